/* gforkpool-operations.c: starting, stopping and replacing workers, jobs and loans
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "gforkpool-private.h"

static void
submit (GForkPool           *self,
        GForkAsk             what,
        gpointer             about,
        GCancellable        *cancellable,
        GAsyncReadyCallback  callback,
        gpointer             user_data,
        gpointer             source_tag)
{
  GTask *task = g_task_new (self, cancellable, callback, user_data);

  g_task_set_source_tag (task, source_tag);
  g_fork_pending_submit (g_fork_crew_ask (g_fork_pool_get_crew (self), what, about, cancellable),
                         task);
}

static gpointer
wait_for (GForkPool     *self,
          GForkAsk       what,
          gpointer       about,
          GCancellable  *cancellable,
          GError       **error)
{
  return g_fork_pending_wait (g_fork_crew_ask (g_fork_pool_get_crew (self), what, about,
                                               cancellable),
                              error);
}

static gboolean
finish (GForkPool     *self,
        GAsyncResult  *result,
        gpointer       source_tag,
        GError       **error)
{
  g_return_val_if_fail (G_FORK_IS_POOL (self), FALSE);
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  g_return_val_if_fail (g_async_result_is_tagged (result, source_tag), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * g_fork_pool_start_async:
 * @self: a pool
 * @cancellable: (nullable): a cancellable; it ends the waiting, not the start
 * @callback: (scope async) (closure user_data): called when the workers are ready, or
 *   could not be started
 * @user_data: data for @callback
 *
 * Starts the workers. This is the asynchronous form of [method@GFork.Pool.start].
 *
 * A pool that has stopped or failed can be started again. Its early ends and delays are then
 * counted anew. If the pool is running already, this does nothing.
 *
 * Since: 1.0
 */
void
g_fork_pool_start_async (GForkPool           *self,
                         GCancellable        *cancellable,
                         GAsyncReadyCallback  callback,
                         gpointer             user_data)
{
  g_return_if_fail (G_FORK_IS_POOL (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  submit (self, G_FORK_ASK_START, NULL, cancellable, callback, user_data, g_fork_pool_start_async);
}

/**
 * g_fork_pool_start_finish:
 * @self: a pool
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Finishes an operation started with [method@GFork.Pool.start_async].
 *
 * This fails with:
 *
 * - an error of [method@GFork.Template.run_finish] if a worker could not be started
 * - %G_FORK_ERROR_FAILED if too many workers have ended early, or one has ended that is not
 *   replaced
 * - %G_FORK_ERROR_LOST if the template has died, or was run or closed before
 * - %G_FORK_ERROR_CLOSED if the pool was stopped meanwhile or is being stopped
 * - %G_IO_ERROR_CANCELLED
 *
 * Returns: %TRUE if [property@GFork.Pool:min-workers] workers are ready; %FALSE with
 *   @error set
 *
 * Since: 1.0
 */
gboolean
g_fork_pool_start_finish (GForkPool     *self,
                          GAsyncResult  *result,
                          GError       **error)
{
  return finish (self, result, g_fork_pool_start_async, error);
}

/**
 * g_fork_pool_start:
 * @self: a pool
 * @cancellable: (nullable): a cancellable; it ends the waiting, not the start
 * @error: return location for an error
 *
 * Starts the workers, and blocks until [property@GFork.Pool:min-workers] are ready.
 * [method@GFork.Pool.start_async] has the details.
 *
 * This fails with the errors of [method@GFork.Pool.start_finish].
 *
 * Returns: %TRUE if [property@GFork.Pool:min-workers] workers are ready; %FALSE with
 *   @error set
 *
 * Since: 1.0
 */
gboolean
g_fork_pool_start (GForkPool     *self,
                   GCancellable  *cancellable,
                   GError       **error)
{
  g_return_val_if_fail (G_FORK_IS_POOL (self), FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);

  return wait_for (self, G_FORK_ASK_START, NULL, cancellable, error) != NULL;
}

/**
 * g_fork_pool_stop_async:
 * @self: a pool
 * @cancellable: (nullable): a cancellable; it ends the waiting, not the stop
 * @callback: (scope async) (closure user_data): called when no worker is left
 * @user_data: data for @callback
 *
 * Ends the workers. This is the asynchronous form of [method@GFork.Pool.stop].
 *
 * Operations that wait for a worker fail with %G_FORK_ERROR_CLOSED. Jobs that workers have
 * are finished. The socket of each worker is shut down for writing. When a worker has no job
 * and is not on loan, it is sent [property@GFork.Pool:stop-signal]. Workers that have not
 * ended after [property@GFork.Pool:stop-timeout] are killed.
 *
 * Since: 1.0
 */
void
g_fork_pool_stop_async (GForkPool           *self,
                        GCancellable        *cancellable,
                        GAsyncReadyCallback  callback,
                        gpointer             user_data)
{
  g_return_if_fail (G_FORK_IS_POOL (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  submit (self, G_FORK_ASK_STOP, NULL, cancellable, callback, user_data, g_fork_pool_stop_async);
}

/**
 * g_fork_pool_stop_finish:
 * @self: a pool
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Finishes an operation started with [method@GFork.Pool.stop_async].
 *
 * This fails with %G_FORK_ERROR_CLOSED in a process that was forked from the application, or
 * with %G_IO_ERROR_CANCELLED.
 *
 * Returns: %TRUE if no worker is left; %FALSE with @error set
 *
 * Since: 1.0
 */
gboolean
g_fork_pool_stop_finish (GForkPool     *self,
                         GAsyncResult  *result,
                         GError       **error)
{
  return finish (self, result, g_fork_pool_stop_async, error);
}

/**
 * g_fork_pool_stop:
 * @self: a pool
 * @cancellable: (nullable): a cancellable; it ends the waiting, not the stop
 * @error: return location for an error
 *
 * Ends the workers, and blocks until none is left. [method@GFork.Pool.stop_async] has the
 * details.
 *
 * This fails with the errors of [method@GFork.Pool.stop_finish].
 *
 * Returns: %TRUE if no worker is left; %FALSE with @error set
 *
 * Since: 1.0
 */
gboolean
g_fork_pool_stop (GForkPool     *self,
                  GCancellable  *cancellable,
                  GError       **error)
{
  g_return_val_if_fail (G_FORK_IS_POOL (self), FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);

  return wait_for (self, G_FORK_ASK_STOP, NULL, cancellable, error) != NULL;
}

/**
 * g_fork_pool_replace_async:
 * @self: a running pool
 * @template_: the template that the new workers are forked from
 * @cancellable: (nullable): a cancellable; if it is cancelled, the old workers stay
 * @callback: (scope async) (closure user_data): called when the new workers have taken
 *   over, or could not be started
 * @user_data: data for @callback
 *
 * Replaces all workers by forks of another template, without an interruption. This is the
 * asynchronous form of [method@GFork.Pool.replace].
 *
 * As many new workers are started as there are old ones. When all of them are ready, the old
 * ones finish their jobs and loans and are ended. Calls that are made after that get only new
 * workers.
 *
 * If one of the new workers cannot be started, or ends before all are ready, the new ones are
 * ended and the old ones stay.
 *
 * Since: 1.0
 */
void
g_fork_pool_replace_async (GForkPool           *self,
                           GForkTemplate       *template,
                           GCancellable        *cancellable,
                           GAsyncReadyCallback  callback,
                           gpointer             user_data)
{
  g_return_if_fail (G_FORK_IS_POOL (self));
  g_return_if_fail (G_FORK_IS_TEMPLATE (template));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  submit (self, G_FORK_ASK_REPLACE, template, cancellable, callback, user_data,
          g_fork_pool_replace_async);
}

/**
 * g_fork_pool_replace_finish:
 * @self: a pool
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Finishes an operation started with [method@GFork.Pool.replace_async].
 *
 * This fails with:
 *
 * - an error of [method@GFork.Template.run_finish] if a new worker could not be started
 * - %G_FORK_ERROR_FAILED if a new worker has ended
 * - %G_FORK_ERROR_CLOSED if the pool is not running
 * - the error with which the pool has failed, if it has
 * - %G_IO_ERROR_PENDING if the workers are being replaced already
 * - %G_IO_ERROR_CANCELLED
 *
 * Returns: %TRUE if the new workers have taken over; %FALSE with @error set
 *
 * Since: 1.0
 */
gboolean
g_fork_pool_replace_finish (GForkPool     *self,
                            GAsyncResult  *result,
                            GError       **error)
{
  return finish (self, result, g_fork_pool_replace_async, error);
}

/**
 * g_fork_pool_replace:
 * @self: a running pool
 * @template_: the template that the new workers are forked from
 * @cancellable: (nullable): a cancellable; if it is cancelled, the old workers stay
 * @error: return location for an error
 *
 * Replaces all workers by forks of another template, and blocks until these have taken over.
 * [method@GFork.Pool.replace_async] has the details.
 *
 * This fails with the errors of [method@GFork.Pool.replace_finish].
 *
 * Returns: %TRUE if the new workers have taken over; %FALSE with @error set
 *
 * Since: 1.0
 */
gboolean
g_fork_pool_replace (GForkPool      *self,
                     GForkTemplate  *template,
                     GCancellable   *cancellable,
                     GError        **error)
{
  g_return_val_if_fail (G_FORK_IS_POOL (self), FALSE);
  g_return_val_if_fail (G_FORK_IS_TEMPLATE (template), FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);

  return wait_for (self, G_FORK_ASK_REPLACE, template, cancellable, error) != NULL;
}

/**
 * g_fork_pool_call_async:
 * @self: a running pool, whose workers serve jobs
 * @request: the bytes that the worker is sent
 * @cancellable: (nullable): a cancellable; if a worker was given the job already, that worker
 *   is killed
 * @callback: (scope async) (closure user_data): called when the job was done, or has
 *   failed
 * @user_data: data for @callback
 *
 * Has a worker do one job; see [func@GFork.serve_jobs]. This is the asynchronous form of
 * [method@GFork.Pool.call].
 *
 * The size of a request or a reply is limited by memory alone. More than 64 KiB are passed as
 * shared memory.
 *
 * Since: 1.0
 */
void
g_fork_pool_call_async (GForkPool           *self,
                        GBytes              *request,
                        GCancellable        *cancellable,
                        GAsyncReadyCallback  callback,
                        gpointer             user_data)
{
  g_return_if_fail (G_FORK_IS_POOL (self));
  g_return_if_fail (request != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  submit (self, G_FORK_ASK_CALL, request, cancellable, callback, user_data, g_fork_pool_call_async);
}

/**
 * g_fork_pool_call_finish:
 * @self: a pool
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Finishes an operation started with [method@GFork.Pool.call_async].
 *
 * This fails with:
 *
 * - %G_FORK_ERROR_JOB, with the message of the worker's function, if the function has failed
 * - %G_FORK_ERROR_LOST if the worker died; the message says how
 * - %G_FORK_ERROR_PROTOCOL if the worker has sent something else than a reply
 * - %G_FORK_ERROR_CLOSED if the pool is not running
 * - the error with which the pool has failed, if it has
 * - %G_FORK_ERROR_FAILED if there is no memory or descriptor for the request or the reply
 * - %G_IO_ERROR_CANCELLED
 *
 * Returns: (transfer full): the reply; %NULL with @error set
 *
 * Since: 1.0
 */
GBytes *
g_fork_pool_call_finish (GForkPool     *self,
                         GAsyncResult  *result,
                         GError       **error)
{
  g_return_val_if_fail (G_FORK_IS_POOL (self), NULL);
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  g_return_val_if_fail (g_async_result_is_tagged (result, g_fork_pool_call_async), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

/**
 * g_fork_pool_call:
 * @self: a running pool, whose workers serve jobs
 * @request: the bytes that the worker is sent
 * @cancellable: (nullable): a cancellable; if a worker was given the job already, that worker
 *   is killed
 * @error: return location for an error
 *
 * Has a worker do one job, and blocks until it was done. [method@GFork.Pool.call_async] has
 * the details.
 *
 * This fails with the errors of [method@GFork.Pool.call_finish].
 *
 * Returns: (transfer full): the reply; %NULL with @error set
 *
 * Since: 1.0
 */
GBytes *
g_fork_pool_call (GForkPool     *self,
                  GBytes        *request,
                  GCancellable  *cancellable,
                  GError       **error)
{
  g_return_val_if_fail (G_FORK_IS_POOL (self), NULL);
  g_return_val_if_fail (request != NULL, NULL);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);

  return wait_for (self, G_FORK_ASK_CALL, request, cancellable, error);
}

/**
 * g_fork_pool_call_many_async:
 * @self: a running pool, whose workers serve jobs
 * @requests: the bytes of each job, a variant of the type `aay`; a floating one is sunk
 * @cancellable: (nullable): a cancellable; workers that were given some of the jobs already
 *   are killed
 * @callback: (scope async) (closure user_data): called when all jobs were done, or have
 *   failed
 * @user_data: data for @callback
 *
 * Has the workers do many jobs in one operation. This is the asynchronous form of
 * [method@GFork.Pool.call_many].
 *
 * This is for many small jobs, for which a language binding would need more time than the
 * pool does. The jobs wait, run and fail as if each was requested by
 * [method@GFork.Pool.call]. [property@GFork.Pool:jobs-in-flight] is the number of them that a
 * worker may have at a time.
 *
 * Since: 1.0
 */
void
g_fork_pool_call_many_async (GForkPool           *self,
                             GVariant            *requests,
                             GCancellable        *cancellable,
                             GAsyncReadyCallback  callback,
                             gpointer             user_data)
{
  g_autoptr (GVariant) sunk = NULL;

  g_return_if_fail (G_FORK_IS_POOL (self));
  g_return_if_fail (g_variant_is_of_type (requests, G_VARIANT_TYPE_BYTESTRING_ARRAY));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  sunk = g_variant_ref_sink (requests);
  submit (self, G_FORK_ASK_CALL_MANY, sunk, cancellable, callback, user_data,
          g_fork_pool_call_many_async);
}

/**
 * g_fork_pool_call_many_finish:
 * @self: a pool
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Finishes an operation started with [method@GFork.Pool.call_many_async].
 *
 * The result has a number and bytes for each job, in the order of the requests. If the number
 * is -1, the bytes are the reply. Otherwise the job has failed: the number is the code of
 * [error@GFork.Error] with which [method@GFork.Pool.call_finish] would have failed, and the
 * bytes are the message. A job that fails does not affect the others.
 *
 * This fails with:
 *
 * - %G_FORK_ERROR_CLOSED if the pool was not running when the jobs were requested
 * - the error with which the pool has failed, if it had failed then
 * - %G_IO_ERROR_CANCELLED
 *
 * Returns: (transfer full): the results of the jobs, a variant of the type `a(iay)`; %NULL
 *   with @error set
 *
 * Since: 1.0
 */
GVariant *
g_fork_pool_call_many_finish (GForkPool     *self,
                              GAsyncResult  *result,
                              GError       **error)
{
  g_return_val_if_fail (G_FORK_IS_POOL (self), NULL);
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  g_return_val_if_fail (g_async_result_is_tagged (result, g_fork_pool_call_many_async), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

/**
 * g_fork_pool_call_many:
 * @self: a running pool, whose workers serve jobs
 * @requests: the bytes of each job, a variant of the type `aay`; a floating one is sunk
 * @cancellable: (nullable): a cancellable; workers that were given some of the jobs already
 *   are killed
 * @error: return location for an error
 *
 * Has the workers do many jobs, and blocks until all were done or have failed.
 * [method@GFork.Pool.call_many_async] and [method@GFork.Pool.call_many_finish] have the
 * details.
 *
 * This fails with the errors of [method@GFork.Pool.call_many_finish].
 *
 * Returns: (transfer full): the results of the jobs, a variant of the type `a(iay)`; %NULL
 *   with @error set
 *
 * Since: 1.0
 */
GVariant *
g_fork_pool_call_many (GForkPool     *self,
                       GVariant      *requests,
                       GCancellable  *cancellable,
                       GError       **error)
{
  g_autoptr (GVariant) sunk = NULL;

  g_return_val_if_fail (G_FORK_IS_POOL (self), NULL);
  g_return_val_if_fail (g_variant_is_of_type (requests, G_VARIANT_TYPE_BYTESTRING_ARRAY), NULL);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);

  sunk = g_variant_ref_sink (requests);
  return wait_for (self, G_FORK_ASK_CALL_MANY, sunk, cancellable, error);
}

/**
 * g_fork_pool_acquire_async:
 * @self: a running pool
 * @cancellable: (nullable): a cancellable; it ends the waiting
 * @callback: (scope async) (closure user_data): called when there is a worker
 * @user_data: data for @callback
 *
 * Borrows a worker. It is an idle one if there is one, otherwise a new one if there may be
 * more, otherwise one that has become idle. This is the asynchronous form of
 * [method@GFork.Pool.acquire].
 *
 * Since: 1.0
 */
void
g_fork_pool_acquire_async (GForkPool           *self,
                           GCancellable        *cancellable,
                           GAsyncReadyCallback  callback,
                           gpointer             user_data)
{
  g_return_if_fail (G_FORK_IS_POOL (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  submit (self, G_FORK_ASK_ACQUIRE, NULL, cancellable, callback, user_data, g_fork_pool_acquire_async);
}

/**
 * g_fork_pool_acquire_finish:
 * @self: a pool
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Finishes an operation started with [method@GFork.Pool.acquire_async].
 *
 * This fails with:
 *
 * - %G_FORK_ERROR_CLOSED if the pool is not running
 * - the error with which the pool has failed, if it has
 * - %G_FORK_ERROR_FAILED if there is no descriptor for the socket
 * - %G_IO_ERROR_CANCELLED
 * - another of [error@Gio.IOErrorEnum] if no [class@Gio.Socket] can be made
 *
 * Returns: (transfer full): a worker on loan; %NULL with @error set
 *
 * Since: 1.0
 */
GForkLoan *
g_fork_pool_acquire_finish (GForkPool     *self,
                            GAsyncResult  *result,
                            GError       **error)
{
  GForkLease *lease;

  g_return_val_if_fail (G_FORK_IS_POOL (self), NULL);
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  g_return_val_if_fail (g_async_result_is_tagged (result, g_fork_pool_acquire_async), NULL);

  lease = g_task_propagate_pointer (G_TASK (result), error);
  return lease != NULL ? g_fork_loan_new (lease) : NULL;
}

/**
 * g_fork_pool_acquire:
 * @self: a running pool
 * @cancellable: (nullable): a cancellable; it ends the waiting
 * @error: return location for an error
 *
 * Borrows a worker, and blocks until there is one. [method@GFork.Pool.acquire_async] has the
 * details.
 *
 * This fails with the errors of [method@GFork.Pool.acquire_finish].
 *
 * Returns: (transfer full): a worker on loan; %NULL with @error set
 *
 * Since: 1.0
 */
GForkLoan *
g_fork_pool_acquire (GForkPool     *self,
                     GCancellable  *cancellable,
                     GError       **error)
{
  GForkLease *lease;

  g_return_val_if_fail (G_FORK_IS_POOL (self), NULL);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);

  lease = wait_for (self, G_FORK_ASK_ACQUIRE, NULL, cancellable, error);
  return lease != NULL ? g_fork_loan_new (lease) : NULL;
}
