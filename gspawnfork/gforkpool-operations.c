/* gforkpool-operations.c: starting, stopping and replacing workers, jobs and loans
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "gforkpool-private.h"

static GForkPending *
pending_new (GForkPool        *self,
             GForkPendingKind  kind,
             GCancellable     *cancellable)
{
  return g_fork_pending_new (g_fork_pool_get_crew (self), kind, cancellable);
}

static void
submit (GForkPool           *self,
        GForkPending        *pending,
        GCancellable        *cancellable,
        GAsyncReadyCallback  callback,
        gpointer             user_data,
        gpointer             source_tag)
{
  GTask *task = g_task_new (self, cancellable, callback, user_data);

  g_task_set_source_tag (task, source_tag);
  g_fork_pending_submit (pending, task);
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
 * Starts the workers. A pool that has stopped or failed can be started again, and then
 * forgets what has happened before.
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

  submit (self, pending_new (self, G_FORK_PENDING_START, cancellable), cancellable, callback,
          user_data, g_fork_pool_start_async);
}

/**
 * g_fork_pool_start_finish:
 * @self: a pool
 * @result: what the callback was given
 * @error: return location for an error: the reason why a worker could not be started, as
 *   for [method@GFork.Template.run_finish]; %G_FORK_ERROR_FAILED if too many have ended
 *   early; %G_FORK_ERROR_CLOSED if the pool was stopped; or %G_IO_ERROR_CANCELLED
 *
 * Finishes an operation started with [method@GFork.Pool.start_async].
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
 * @error: return location for an error: as for [method@GFork.Pool.start_finish]
 *
 * Starts the workers, and blocks until they are ready.
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

  return g_fork_pending_wait (pending_new (self, G_FORK_PENDING_START, cancellable), error) != NULL;
}

/**
 * g_fork_pool_stop_async:
 * @self: a pool
 * @cancellable: (nullable): a cancellable; it ends the waiting, not the stop
 * @callback: (scope async) (closure user_data): called when no worker is left
 * @user_data: data for @callback
 *
 * Ends the workers. What waits for a worker fails with %G_FORK_ERROR_CLOSED; jobs that
 * workers have are finished. The socket of each worker is shut down for writing, and when
 * it has no job it is sent [property@GFork.Pool:stop-signal]. Those that have not ended
 * after [property@GFork.Pool:stop-timeout] are killed.
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

  submit (self, pending_new (self, G_FORK_PENDING_STOP, cancellable), cancellable, callback,
          user_data, g_fork_pool_stop_async);
}

/**
 * g_fork_pool_stop_finish:
 * @self: a pool
 * @result: what the callback was given
 * @error: return location for an error: %G_IO_ERROR_CANCELLED
 *
 * Finishes an operation started with [method@GFork.Pool.stop_async].
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
 * @error: return location for an error: as for [method@GFork.Pool.stop_finish]
 *
 * Ends the workers, as [method@GFork.Pool.stop_async] does, and blocks until none is left.
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

  return g_fork_pending_wait (pending_new (self, G_FORK_PENDING_STOP, cancellable), error) != NULL;
}

static GForkPending *
new_replacement (GForkPool     *self,
                 GForkTemplate *template,
                 GCancellable  *cancellable)
{
  GForkPending *pending = pending_new (self, G_FORK_PENDING_REPLACE, cancellable);

  g_fork_pending_set_template (pending, template);
  return pending;
}

/**
 * g_fork_pool_replace_async:
 * @self: a pool that runs
 * @template_: what the new workers are forked from
 * @cancellable: (nullable): a cancellable; the old workers then stay
 * @callback: (scope async) (closure user_data): called when the new workers have taken
 *   over, or could not be started
 * @user_data: data for @callback
 *
 * Replaces all workers by forks of another template, without a gap: as many new ones as
 * there are old ones are started, and when all of them are ready, the old ones finish what
 * they have and are ended. Calls that are made after that get new workers only.
 *
 * If one of the new workers cannot be started, or ends before all are ready, they are
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

  submit (self, new_replacement (self, template, cancellable), cancellable, callback, user_data,
          g_fork_pool_replace_async);
}

/**
 * g_fork_pool_replace_finish:
 * @self: a pool
 * @result: what the callback was given
 * @error: return location for an error: the reason why a new worker could not be started,
 *   as for [method@GFork.Template.run_finish]; %G_FORK_ERROR_FAILED if one has ended;
 *   %G_FORK_ERROR_CLOSED or the reason of the pool's failure if it does not run;
 *   %G_IO_ERROR_PENDING if the workers are being replaced already; or
 *   %G_IO_ERROR_CANCELLED
 *
 * Finishes an operation started with [method@GFork.Pool.replace_async].
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
 * @self: a pool that runs
 * @template_: what the new workers are forked from
 * @cancellable: (nullable): a cancellable; the old workers then stay
 * @error: return location for an error: as for [method@GFork.Pool.replace_finish]
 *
 * Replaces all workers by forks of another template, as
 * [method@GFork.Pool.replace_async] does, and blocks until they have taken over.
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

  return g_fork_pending_wait (new_replacement (self, template, cancellable), error) != NULL;
}

static GForkPending *
new_call (GForkPool    *self,
          GBytes       *request,
          GCancellable *cancellable)
{
  GForkPending *pending = pending_new (self, G_FORK_PENDING_CALL, cancellable);

  g_fork_pending_set_request (pending, request);
  return pending;
}

/* Takes the variant if it is floating. */
static GForkPending *
new_call_many (GForkPool    *self,
               GVariant     *requests,
               GCancellable *cancellable)
{
  g_autoptr (GVariant) sunk = g_variant_ref_sink (requests);
  GForkPending *pending = g_fork_pending_new (g_fork_pool_get_crew (self),
                                              G_FORK_PENDING_CALL_MANY, cancellable);

  g_fork_pending_set_requests (pending, sunk);
  return pending;
}

/**
 * g_fork_pool_call_async:
 * @self: a pool that runs, whose workers serve jobs
 * @request: what the job is about
 * @cancellable: (nullable): a cancellable; it kills the worker if that has been given the
 *   job
 * @callback: (scope async) (closure user_data): called when the job was done, or has
 *   failed
 * @user_data: data for @callback
 *
 * Has one job done by a worker; see [func@GFork.serve_jobs].
 *
 * Requests and replies of more than 64 KiB travel as shared memory. There is no other
 * limit to their size.
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

  submit (self, new_call (self, request, cancellable), cancellable, callback, user_data,
          g_fork_pool_call_async);
}

/**
 * g_fork_pool_call_finish:
 * @self: a pool
 * @result: what the callback was given
 * @error: return location for an error: %G_FORK_ERROR_JOB with the message of the
 *   worker's function if that has failed; %G_FORK_ERROR_LOST, saying how the worker has
 *   ended, if it died; %G_FORK_ERROR_PROTOCOL if the worker has sent something else than
 *   a reply; %G_FORK_ERROR_CLOSED or the reason of the pool's failure if it does not
 *   run; %G_FORK_ERROR_FAILED if there is no memory or descriptor for the request or the
 *   reply; or %G_IO_ERROR_CANCELLED
 *
 * Finishes an operation started with [method@GFork.Pool.call_async].
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
 * @self: a pool that runs, whose workers serve jobs
 * @request: what the job is about
 * @cancellable: (nullable): a cancellable; it kills the worker if that has been given the
 *   job
 * @error: return location for an error: as for [method@GFork.Pool.call_finish]
 *
 * Has one job done by a worker, as [method@GFork.Pool.call_async] does, and blocks until
 * it was done.
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

  return g_fork_pending_wait (new_call (self, request, cancellable), error);
}

/**
 * g_fork_pool_call_many_async:
 * @self: a pool that runs, whose workers serve jobs
 * @requests: what the jobs are about, a variant of type `aay`
 * @cancellable: (nullable): a cancellable; it kills the workers that have been given some
 *   of the jobs
 * @callback: (scope async) (closure user_data): called when all jobs were done, or have
 *   failed
 * @user_data: data for @callback
 *
 * Has many jobs done by the workers, in one operation.
 *
 * This is for many small jobs, of which each would cost a language binding more than it
 * costs the pool. The jobs wait, run and fail as if each was requested on its own. How many
 * of them a worker is sent ahead is [property@GFork.Pool:jobs-in-flight].
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
  GForkPending *pending;

  g_return_if_fail (G_FORK_IS_POOL (self));
  g_return_if_fail (g_variant_is_of_type (requests, G_VARIANT_TYPE_BYTESTRING_ARRAY));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  pending = new_call_many (self, requests, cancellable);
  submit (self, pending, cancellable, callback, user_data, g_fork_pool_call_many_async);
}

/**
 * g_fork_pool_call_many_finish:
 * @self: a pool
 * @result: what the callback was given
 * @error: return location for an error: %G_FORK_ERROR_CLOSED or the reason of the pool's
 *   failure if it did not run when the jobs were requested; or %G_IO_ERROR_CANCELLED
 *
 * Finishes an operation started with [method@GFork.Pool.call_many_async].
 *
 * For each job there is a number and bytes, in the order of the requests. If the number is
 * -1, the bytes are the reply. Else it is the [error@GFork.Error] with which
 * [method@GFork.Pool.call_finish] would have failed, and the bytes are its message. A job
 * that fails does not make the others fail.
 *
 * Returns: (transfer full): what has become of the jobs, a variant of type `a(iay)`; %NULL
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
 * @self: a pool that runs, whose workers serve jobs
 * @requests: what the jobs are about, a variant of type `aay`
 * @cancellable: (nullable): a cancellable; it kills the workers that have been given some
 *   of the jobs
 * @error: return location for an error: as for [method@GFork.Pool.call_many_finish]
 *
 * Has many jobs done by the workers, and waits for all of them; see
 * [method@GFork.Pool.call_many_async].
 *
 * Returns: (transfer full): what has become of the jobs, a variant of type `a(iay)`; %NULL
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
  g_return_val_if_fail (G_FORK_IS_POOL (self), NULL);
  g_return_val_if_fail (g_variant_is_of_type (requests, G_VARIANT_TYPE_BYTESTRING_ARRAY), NULL);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);

  return g_fork_pending_wait (new_call_many (self, requests, cancellable), error);
}

/**
 * g_fork_pool_acquire_async:
 * @self: a pool that runs
 * @cancellable: (nullable): a cancellable
 * @callback: (scope async) (closure user_data): called when there is a worker
 * @user_data: data for @callback
 *
 * Borrows a worker: an idle one, else a new one if there may be more, else the next one
 * that is given back.
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

  submit (self, pending_new (self, G_FORK_PENDING_ACQUIRE, cancellable), cancellable, callback,
          user_data, g_fork_pool_acquire_async);
}

/**
 * g_fork_pool_acquire_finish:
 * @self: a pool
 * @result: what the callback was given
 * @error: return location for an error: %G_FORK_ERROR_CLOSED or the reason of the pool's
 *   failure if it does not run; %G_FORK_ERROR_FAILED if there is no descriptor for the
 *   socket; or %G_IO_ERROR_CANCELLED
 *
 * Finishes an operation started with [method@GFork.Pool.acquire_async].
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
 * @self: a pool that runs
 * @cancellable: (nullable): a cancellable
 * @error: return location for an error: as for [method@GFork.Pool.acquire_finish]
 *
 * Borrows a worker, as [method@GFork.Pool.acquire_async] does, and blocks until there is
 * one.
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

  lease = g_fork_pending_wait (pending_new (self, G_FORK_PENDING_ACQUIRE, cancellable), error);
  return lease != NULL ? g_fork_loan_new (lease) : NULL;
}
