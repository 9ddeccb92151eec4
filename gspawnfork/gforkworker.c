/* gforkworker.c: a worker of a pool
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "pool/pool.h"

/**
 * GForkWorker:
 *
 * A worker of a [class@GFork.Pool].
 *
 * Workers are the items of the pool, which is a [iface@Gio.ListModel]. The signals
 * [signal@GFork.Pool::worker-started] and [signal@GFork.Pool::worker-ended] have them as
 * arguments.
 *
 * The methods may be called from any thread.
 *
 * Since: 1.0
 */

struct _GForkWorker
{
  GObject parent_instance;

  guint index;
  GForkProcess *process;

  GMutex lock;
  gboolean is_ready;
  gboolean is_idle;
  guint64 n_jobs;
};

G_DEFINE_FINAL_TYPE (GForkWorker, g_fork_worker, G_TYPE_OBJECT)

static void
g_fork_worker_finalize (GObject *object)
{
  GForkWorker *self = G_FORK_WORKER (object);

  g_object_unref (self->process);
  g_mutex_clear (&self->lock);

  G_OBJECT_CLASS (g_fork_worker_parent_class)->finalize (object);
}

static void
g_fork_worker_class_init (GForkWorkerClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = g_fork_worker_finalize;
}

static void
g_fork_worker_init (GForkWorker *self)
{
  g_mutex_init (&self->lock);
}

GForkWorker *
g_fork_worker_new (guint         index,
                   GForkProcess *process)
{
  GForkWorker *self = g_object_new (G_FORK_TYPE_WORKER, NULL);

  self->index = index;
  self->process = g_object_ref (process);
  return self;
}

/* Said by the pool. */
void
g_fork_worker_set (GForkWorker *self,
                   gboolean     is_ready,
                   gboolean     is_idle,
                   guint64      n_jobs)
{
  g_mutex_lock (&self->lock);
  self->is_ready = is_ready;
  self->is_idle = is_idle;
  self->n_jobs = n_jobs;
  g_mutex_unlock (&self->lock);
}

/**
 * g_fork_worker_get_process:
 * @self: a worker
 *
 * Gets the process of the worker. The pool ends and replaces it by itself.
 *
 * To learn of its end, use [signal@GFork.Pool::worker-ended]. [signal@GFork.Process::exited]
 * may be emitted in any thread that uses the pool.
 *
 * Returns: (transfer none): the process
 *
 * Since: 1.0
 */
GForkProcess *
g_fork_worker_get_process (GForkWorker *self)
{
  g_return_val_if_fail (G_FORK_IS_WORKER (self), NULL);

  return self->process;
}

/**
 * g_fork_worker_get_index:
 * @self: a worker
 *
 * Gets the number of the worker's place in the pool. The worker that replaces this one has
 * the same number. While one takes the place of the other, for instance during
 * [method@GFork.Pool.replace], both are in the list, and two workers have the same number.
 *
 * Returns: the number, from 0 to [property@GFork.Pool:max-workers] - 1
 *
 * Since: 1.0
 */
guint
g_fork_worker_get_index (GForkWorker *self)
{
  g_return_val_if_fail (G_FORK_IS_WORKER (self), 0);

  return self->index;
}

/**
 * g_fork_worker_get_n_jobs:
 * @self: a worker
 *
 * Gets the number of jobs that the worker has done, including those that failed, and of loans
 * that have ended.
 *
 * Returns: the number of jobs and loans
 *
 * Since: 1.0
 */
guint64
g_fork_worker_get_n_jobs (GForkWorker *self)
{
  guint64 n_jobs;

  g_return_val_if_fail (G_FORK_IS_WORKER (self), 0);

  g_mutex_lock (&self->lock);
  n_jobs = self->n_jobs;
  g_mutex_unlock (&self->lock);
  return n_jobs;
}

/**
 * g_fork_worker_is_idle:
 * @self: a worker
 *
 * Whether the worker has no job and is not on loan.
 *
 * Returns: %TRUE if it is idle
 *
 * Since: 1.0
 */
gboolean
g_fork_worker_is_idle (GForkWorker *self)
{
  gboolean is_idle;

  g_return_val_if_fail (G_FORK_IS_WORKER (self), FALSE);

  g_mutex_lock (&self->lock);
  is_idle = self->is_idle;
  g_mutex_unlock (&self->lock);
  return is_idle;
}

/**
 * g_fork_worker_is_ready:
 * @self: a worker
 *
 * Whether the worker is ready; see [property@GFork.Pool:wait-for-ready].
 *
 * Returns: %TRUE if it is ready
 *
 * Since: 1.0
 */
gboolean
g_fork_worker_is_ready (GForkWorker *self)
{
  gboolean is_ready;

  g_return_val_if_fail (G_FORK_IS_WORKER (self), FALSE);

  g_mutex_lock (&self->lock);
  is_ready = self->is_ready;
  g_mutex_unlock (&self->lock);
  return is_ready;
}
