/* replay.h: what a template was told, to tell it to another
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "channel/channel.h"

G_BEGIN_DECLS

GForkLog     *g_fork_log_new    (const char * const *program);
GForkLog     *g_fork_log_copy   (const GForkLog     *log);
void          g_fork_log_free   (GForkLog           *log);
void          g_fork_log_clear  (GForkLog           *log);
void          g_fork_log_append (GForkLog           *log,
                                 guint8              verb,
                                 const void         *payload,
                                 gsize               length,
                                 const int          *fds,
                                 gsize               n_fds);
GForkChannel *g_fork_log_replay (GForkLog           *log);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GForkLog, g_fork_log_free)

G_END_DECLS
