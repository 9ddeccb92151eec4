/* gforkerror-private.h: sentences out of what the far end reports
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gforkerror.h"
#include "wire/frame.h"

G_BEGIN_DECLS

GError *g_fork_error_new_from_frame (const struct gfork_frame *frame);
GError *g_fork_error_new_threaded   (const char               *threads,
                                     int                       n_threads);

G_END_DECLS
