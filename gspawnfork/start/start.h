/* start.h: programs that were executed and have not said anything yet
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>
#include <sys/types.h>

G_BEGIN_DECLS

typedef struct _GForkStart GForkStart;

/* How often to look, while somebody awaits an answer. */
#define G_FORK_START_LOOK_MS 50

GForkStart *g_fork_start_new  (pid_t       pid);
void        g_fork_start_free (GForkStart *start);
gboolean    g_fork_start_look (GForkStart *start);

G_END_DECLS
