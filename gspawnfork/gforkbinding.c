/* gforkbinding.c: what bindings need beyond the classes
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "gforkbinding.h"

#include "base/context.h"

typedef struct wait
{
  GForkSync sync;
  struct wait *outer;
} Wait;

/* The innermost of those that the thread has begun. */
static GPrivate current_wait = G_PRIVATE_INIT (NULL);

/**
 * g_fork_begin_wait:
 * @error: return location for an error: %G_FORK_ERROR_FAILED if there are no
 *   descriptors left
 *
 * Begins what a synchronous method of this library does, for a language's binding that does
 * the rest. The binding starts the asynchronous method, iterates the context that this
 * returns until the result is there, calls the method's finish function, and then
 * [func@GFork.end_wait]. Between the iterations an interpreter can handle signals, and
 * cancel the operation.
 *
 * The context is the thread's default one meanwhile. What goes on after the operation
 * is left to the context that was the default before. Waits can be nested.
 *
 * Returns: (transfer none): a context, which belongs to the thread; %NULL with @error
 *   set
 *
 * Since: 1.0
 */
GMainContext *
g_fork_begin_wait (GError **error)
{
  Wait *wait = g_new0 (Wait, 1);

  if (!g_fork_sync_begin (&wait->sync, error))
    {
      g_free (wait);
      return NULL;
    }

  wait->outer = g_private_get (&current_wait);
  g_private_set (&current_wait, wait);
  return wait->sync.context;
}

/**
 * g_fork_end_wait:
 *
 * Ends the wait that [func@GFork.begin_wait] has begun, in the same thread.
 *
 * Since: 1.0
 */
void
g_fork_end_wait (void)
{
  Wait *wait = g_private_get (&current_wait);

  g_return_if_fail (wait != NULL);

  g_private_set (&current_wait, wait->outer);
  g_fork_sync_end (&wait->sync);
  g_free (wait);
}
