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
 * @error: return location for an error
 *
 * Begins a wait for the result of an asynchronous method. This is for language bindings that
 * have synchronous methods of their own.
 *
 * The binding then starts the asynchronous method of this library, and iterates the returned
 * context until the callback was called. It calls the finish function of the method, and at
 * last [func@GFork.end_wait]. Between the iterations, an interpreter can handle signals and
 * cancel the operation.
 *
 * Until the end of the wait, the returned context is the thread-default one. What goes on
 * after the operation, such as waiting for the end of the process, uses the context that was
 * the thread-default one before. Waits can be nested.
 *
 * This fails with %G_FORK_ERROR_FAILED if there are no descriptors left for the main
 * context.
 *
 * Returns: (transfer none): a main context, which belongs to the thread; %NULL with @error set
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
 * Ends the wait that the last [func@GFork.begin_wait] in this thread has begun.
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
