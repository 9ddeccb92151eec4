/* error.h: makes error messages of what the template process reports
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gforkerror.h"
#include "wire/frame.h"

G_BEGIN_DECLS

/* Stands for a verb in messages: the protocol has none for detaching a template. */
#define G_FORK_DETACH 255
#define G_FORK_WAIT 254

GError *g_fork_error_new_for        (GForkError                code,
                                     guint8                    verb,
                                     const char               *subject,
                                     const char               *reason);
GError *g_fork_error_new_from_frame (const struct gfork_frame *frame,
                                     const char               *process);
GError *g_fork_error_new_threaded   (const char               *threads,
                                     int                       n_threads,
                                     const char               *last_code);

/* A mere reason: a fact that several operations may fail with. Each operation completes it to an
 * error that names its own function or program. */
GError *g_fork_reason_new           (GForkError                code,
                                     const char               *format,
                                     ...) G_GNUC_PRINTF (2, 3);
GError *g_fork_reason_complete      (GError                   *error,
                                     guint8                    verb,
                                     const char               *subject);
char   *g_fork_command_describe     (guint8                    verb,
                                     const char               *subject);

G_END_DECLS
