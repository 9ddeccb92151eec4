/* trace.c: which commands a process may be carrying out
 *
 * When a process ends unexpectedly, nobody can tell which command has ended it. The message
 * names the last ones that it was sent and that it has not said to be done.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "channel/trace.h"

#include "base/error.h"
#include "wire/frame.h"

/* The message names at most so many. */
#define MAX_LAST 8

void
g_fork_trace_sent (GForkTrace *trace,
                   guint8      verb,
                   const char *subject)
{
  if (verb != GFORK_REQUIRE && verb != GFORK_CALL && verb != GFORK_EVAL)
    return;

  g_queue_push_tail (&trace->last, g_fork_command_describe (verb, subject));
  trace->n_sent++;
  if (trace->last.length > MAX_LAST)
    g_free (g_queue_pop_head (&trace->last));
}

/* The first @n_done of the commands that were sent are done. */
void
g_fork_trace_done (GForkTrace *trace,
                   guint       n_done)
{
  trace->n_done = n_done;
  while (trace->last.length > 0 && trace->n_sent - trace->last.length < n_done)
    g_free (g_queue_pop_head (&trace->last));
}

/* Returns %NULL if no command may be under way. */
char *
g_fork_trace_describe (const GForkTrace *trace)
{
  g_autoptr (GString) list = NULL;
  gboolean more = trace->n_sent - trace->last.length > trace->n_done;

  for (GList *l = trace->last.head; l != NULL; l = l->next)
    {
      if (list == NULL)
        list = g_string_new (more ? "…, " : NULL);
      else
        g_string_append (list, ", ");
      g_string_append (list, l->data);
    }

  return list != NULL ? g_string_free (g_steal_pointer (&list), FALSE) : NULL;
}

void
g_fork_trace_clear (GForkTrace *trace)
{
  g_queue_clear_full (&trace->last, g_free);
}
