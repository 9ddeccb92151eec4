/* trace.h: which commands a process may be carrying out
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* For messages: the commands that run code which is not ours. All zero is an empty one. */
typedef struct
{
  GQueue last;  /* of those that are not known to be done: descriptions of the last few */
  guint n_sent; /* how many there were in all */
  guint n_done; /* how many of these are done */
} GForkTrace;

void  g_fork_trace_sent     (GForkTrace       *trace,
                             guint8            verb,
                             const char       *subject);
void  g_fork_trace_done     (GForkTrace       *trace,
                             guint             n_done);
char *g_fork_trace_describe (const GForkTrace *trace);
void  g_fork_trace_clear    (GForkTrace       *trace);

G_END_DECLS
