/* log.h: what a template was sent, to send it to another
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

#include "wire/frame.h"

G_BEGIN_DECLS

typedef struct _GForkLog GForkLog;

/* Sends a command again. Takes the descriptors. If they could not be kept, @error is set, and
 * taken. */
typedef void (*GForkLogFunc) (gpointer     receiver,
                              guint8       verb,
                              const void  *payload,
                              gsize        length,
                              const int   *fds,
                              gsize        n_fds,
                              GError      *error);

GForkLog *g_fork_log_new    (void);
GForkLog *g_fork_log_copy   (const GForkLog *log);
void      g_fork_log_free   (GForkLog       *log);
void      g_fork_log_clear  (GForkLog       *log);
void      g_fork_log_append (GForkLog       *log,
                             guint8          verb,
                             const void     *payload,
                             gsize           length,
                             const int      *fds,
                             gsize           n_fds);
void      g_fork_log_replay (const GForkLog *log,
                             GForkLogFunc    send,
                             gpointer        receiver);

G_END_DECLS
