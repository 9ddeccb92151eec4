/* gforkpool-settings.c: what the user sets of a pool
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "gforkpool-private.h"

static guint
get_setting (GForkPool    *self,
             GForkSetting  setting)
{
  return g_fork_crew_get_setting (g_fork_pool_get_crew (self), setting);
}

/**
 * g_fork_pool_get_min_workers: (get-property min-workers)
 * @self: a pool
 *
 * Gets the least number of workers while the pool is running.
 *
 * Returns: the number of workers
 *
 * Since: 1.0
 */
guint
g_fork_pool_get_min_workers (GForkPool *self)
{
  g_return_val_if_fail (G_FORK_IS_POOL (self), 0);

  return get_setting (self, G_FORK_SETTING_MIN_WORKERS);
}

/**
 * g_fork_pool_set_min_workers: (set-property min-workers)
 * @self: a pool
 * @min_workers: the number of workers
 *
 * Sets the least number of workers; see [property@GFork.Pool:min-workers].
 *
 * Since: 1.0
 */
void
g_fork_pool_set_min_workers (GForkPool *self,
                             guint     min_workers)
{
  g_return_if_fail (G_FORK_IS_POOL (self));

  g_fork_pool_set_setting (self, G_FORK_SETTING_MIN_WORKERS, min_workers);
}

/**
 * g_fork_pool_get_max_workers: (get-property max-workers)
 * @self: a pool
 *
 * Gets the greatest number of workers.
 *
 * Returns: the number of workers, at least 1
 *
 * Since: 1.0
 */
guint
g_fork_pool_get_max_workers (GForkPool *self)
{
  g_return_val_if_fail (G_FORK_IS_POOL (self), 0);

  return get_setting (self, G_FORK_SETTING_MAX_WORKERS);
}

/**
 * g_fork_pool_set_max_workers: (set-property max-workers)
 * @self: a pool
 * @max_workers: the number of workers, at least 1
 *
 * Sets the greatest number of workers; see [property@GFork.Pool:max-workers].
 *
 * Since: 1.0
 */
void
g_fork_pool_set_max_workers (GForkPool *self,
                             guint     max_workers)
{
  g_return_if_fail (G_FORK_IS_POOL (self));
  g_return_if_fail (max_workers > 0);

  g_fork_pool_set_setting (self, G_FORK_SETTING_MAX_WORKERS, max_workers);
}

/**
 * g_fork_pool_get_idle_timeout: (get-property idle-timeout)
 * @self: a pool
 *
 * Gets the time after which an idle worker is ended; see
 * [property@GFork.Pool:idle-timeout].
 *
 * Returns: the time in milliseconds; 0 means never
 *
 * Since: 1.0
 */
guint
g_fork_pool_get_idle_timeout (GForkPool *self)
{
  g_return_val_if_fail (G_FORK_IS_POOL (self), 0);

  return get_setting (self, G_FORK_SETTING_IDLE_TIMEOUT);
}

/**
 * g_fork_pool_set_idle_timeout: (set-property idle-timeout)
 * @self: a pool
 * @milliseconds: the time in milliseconds; 0 means never
 *
 * Sets the time after which an idle worker is ended; see
 * [property@GFork.Pool:idle-timeout].
 *
 * Since: 1.0
 */
void
g_fork_pool_set_idle_timeout (GForkPool *self,
                              guint     milliseconds)
{
  g_return_if_fail (G_FORK_IS_POOL (self));

  g_fork_pool_set_setting (self, G_FORK_SETTING_IDLE_TIMEOUT, milliseconds);
}

/**
 * g_fork_pool_get_max_jobs: (get-property max-jobs)
 * @self: a pool
 *
 * Gets the number of jobs and loans after which a worker is replaced.
 *
 * Returns: the number of jobs and loans; 0 means no limit
 *
 * Since: 1.0
 */
guint
g_fork_pool_get_max_jobs (GForkPool *self)
{
  g_return_val_if_fail (G_FORK_IS_POOL (self), 0);

  return get_setting (self, G_FORK_SETTING_MAX_JOBS);
}

/**
 * g_fork_pool_set_max_jobs: (set-property max-jobs)
 * @self: a pool
 * @max_jobs: the number of jobs and loans; 0 means no limit
 *
 * Sets the number of jobs and loans after which a worker is replaced; see
 * [property@GFork.Pool:max-jobs].
 *
 * Since: 1.0
 */
void
g_fork_pool_set_max_jobs (GForkPool *self,
                          guint     max_jobs)
{
  g_return_if_fail (G_FORK_IS_POOL (self));

  g_fork_pool_set_setting (self, G_FORK_SETTING_MAX_JOBS, max_jobs);
}

/**
 * g_fork_pool_get_jobs_in_flight: (get-property jobs-in-flight)
 * @self: a pool
 *
 * Gets the number of jobs that a worker may have at a time.
 *
 * Returns: the number of jobs, at least 1
 *
 * Since: 1.0
 */
guint
g_fork_pool_get_jobs_in_flight (GForkPool *self)
{
  g_return_val_if_fail (G_FORK_IS_POOL (self), 0);

  return get_setting (self, G_FORK_SETTING_JOBS_IN_FLIGHT);
}

/**
 * g_fork_pool_set_jobs_in_flight: (set-property jobs-in-flight)
 * @self: a pool
 * @jobs_in_flight: the number of jobs, at least 1
 *
 * Sets the number of jobs that a worker may have at a time; see
 * [property@GFork.Pool:jobs-in-flight].
 *
 * Since: 1.0
 */
void
g_fork_pool_set_jobs_in_flight (GForkPool *self,
                                guint     jobs_in_flight)
{
  g_return_if_fail (G_FORK_IS_POOL (self));
  g_return_if_fail (jobs_in_flight > 0);

  g_fork_pool_set_setting (self, G_FORK_SETTING_JOBS_IN_FLIGHT, jobs_in_flight);
}

/**
 * g_fork_pool_get_max_restarts: (get-property max-restarts)
 * @self: a pool
 *
 * Gets the number of early ends that may happen within
 * [property@GFork.Pool:restart-window].
 *
 * Returns: the number of ends; %G_MAXUINT means no limit
 *
 * Since: 1.0
 */
guint
g_fork_pool_get_max_restarts (GForkPool *self)
{
  g_return_val_if_fail (G_FORK_IS_POOL (self), 0);

  return get_setting (self, G_FORK_SETTING_MAX_RESTARTS);
}

/**
 * g_fork_pool_set_max_restarts: (set-property max-restarts)
 * @self: a pool
 * @max_restarts: the number of ends; %G_MAXUINT means no limit
 *
 * Sets the number of early ends that may happen within
 * [property@GFork.Pool:restart-window]; see [property@GFork.Pool:max-restarts].
 *
 * Since: 1.0
 */
void
g_fork_pool_set_max_restarts (GForkPool *self,
                              guint     max_restarts)
{
  g_return_if_fail (G_FORK_IS_POOL (self));

  g_fork_pool_set_setting (self, G_FORK_SETTING_MAX_RESTARTS, max_restarts);
}

/**
 * g_fork_pool_get_restart_window: (get-property restart-window)
 * @self: a pool
 *
 * Gets the time within which early ends are counted.
 *
 * Returns: the time in milliseconds
 *
 * Since: 1.0
 */
guint
g_fork_pool_get_restart_window (GForkPool *self)
{
  g_return_val_if_fail (G_FORK_IS_POOL (self), 0);

  return get_setting (self, G_FORK_SETTING_RESTART_WINDOW);
}

/**
 * g_fork_pool_set_restart_window: (set-property restart-window)
 * @self: a pool
 * @milliseconds: the time in milliseconds
 *
 * Sets the time within which early ends are counted; see
 * [property@GFork.Pool:restart-window].
 *
 * Since: 1.0
 */
void
g_fork_pool_set_restart_window (GForkPool *self,
                                guint     milliseconds)
{
  g_return_if_fail (G_FORK_IS_POOL (self));

  g_fork_pool_set_setting (self, G_FORK_SETTING_RESTART_WINDOW, milliseconds);
}

/**
 * g_fork_pool_get_restart_delay: (get-property restart-delay)
 * @self: a pool
 *
 * Gets the delay of the first restart after an early end.
 *
 * Returns: the delay in milliseconds
 *
 * Since: 1.0
 */
guint
g_fork_pool_get_restart_delay (GForkPool *self)
{
  g_return_val_if_fail (G_FORK_IS_POOL (self), 0);

  return get_setting (self, G_FORK_SETTING_RESTART_DELAY);
}

/**
 * g_fork_pool_set_restart_delay: (set-property restart-delay)
 * @self: a pool
 * @milliseconds: the delay in milliseconds
 *
 * Sets the delay of the first restart after an early end; see
 * [property@GFork.Pool:restart-delay].
 *
 * Since: 1.0
 */
void
g_fork_pool_set_restart_delay (GForkPool *self,
                               guint     milliseconds)
{
  g_return_if_fail (G_FORK_IS_POOL (self));

  g_fork_pool_set_setting (self, G_FORK_SETTING_RESTART_DELAY, milliseconds);
}

/**
 * g_fork_pool_get_max_restart_delay: (get-property max-restart-delay)
 * @self: a pool
 *
 * Gets the greatest delay of a restart.
 *
 * Returns: the delay in milliseconds
 *
 * Since: 1.0
 */
guint
g_fork_pool_get_max_restart_delay (GForkPool *self)
{
  g_return_val_if_fail (G_FORK_IS_POOL (self), 0);

  return get_setting (self, G_FORK_SETTING_MAX_RESTART_DELAY);
}

/**
 * g_fork_pool_set_max_restart_delay: (set-property max-restart-delay)
 * @self: a pool
 * @milliseconds: the delay in milliseconds
 *
 * Sets the greatest delay of a restart; see [property@GFork.Pool:max-restart-delay].
 *
 * Since: 1.0
 */
void
g_fork_pool_set_max_restart_delay (GForkPool *self,
                                   guint     milliseconds)
{
  g_return_if_fail (G_FORK_IS_POOL (self));

  g_fork_pool_set_setting (self, G_FORK_SETTING_MAX_RESTART_DELAY, milliseconds);
}

/**
 * g_fork_pool_get_stop_signal: (get-property stop-signal)
 * @self: a pool
 *
 * Gets the signal that a worker is sent to end it.
 *
 * Returns: the number of a signal; 0 means none
 *
 * Since: 1.0
 */
int
g_fork_pool_get_stop_signal (GForkPool *self)
{
  g_return_val_if_fail (G_FORK_IS_POOL (self), 0);

  return get_setting (self, G_FORK_SETTING_STOP_SIGNAL);
}

/**
 * g_fork_pool_set_stop_signal: (set-property stop-signal)
 * @self: a pool
 * @signum: the number of a signal; 0 means none
 *
 * Sets the signal that a worker is sent to end it; see [property@GFork.Pool:stop-signal].
 *
 * Since: 1.0
 */
void
g_fork_pool_set_stop_signal (GForkPool *self,
                             int       signum)
{
  g_return_if_fail (G_FORK_IS_POOL (self));

  g_fork_pool_set_setting (self, G_FORK_SETTING_STOP_SIGNAL, signum);
}

/**
 * g_fork_pool_get_stop_timeout: (get-property stop-timeout)
 * @self: a pool
 *
 * Gets the time after which a worker that was asked to end is killed.
 *
 * Returns: the time in milliseconds
 *
 * Since: 1.0
 */
guint
g_fork_pool_get_stop_timeout (GForkPool *self)
{
  g_return_val_if_fail (G_FORK_IS_POOL (self), 0);

  return get_setting (self, G_FORK_SETTING_STOP_TIMEOUT);
}

/**
 * g_fork_pool_set_stop_timeout: (set-property stop-timeout)
 * @self: a pool
 * @milliseconds: the time in milliseconds
 *
 * Sets the time after which a worker that was asked to end is killed; see
 * [property@GFork.Pool:stop-timeout].
 *
 * Since: 1.0
 */
void
g_fork_pool_set_stop_timeout (GForkPool *self,
                              guint     milliseconds)
{
  g_return_if_fail (G_FORK_IS_POOL (self));

  g_fork_pool_set_setting (self, G_FORK_SETTING_STOP_TIMEOUT, milliseconds);
}

/**
 * g_fork_pool_get_wait_for_ready: (get-property wait-for-ready)
 * @self: a pool
 *
 * Whether a worker is ready only when it says so; see
 * [property@GFork.Pool:wait-for-ready].
 *
 * Returns: %TRUE if a worker has to say that it is ready
 *
 * Since: 1.0
 */
gboolean
g_fork_pool_get_wait_for_ready (GForkPool *self)
{
  g_return_val_if_fail (G_FORK_IS_POOL (self), FALSE);

  return get_setting (self, G_FORK_SETTING_WAIT_FOR_READY);
}

/**
 * g_fork_pool_set_wait_for_ready: (set-property wait-for-ready)
 * @self: a pool
 * @wait_for_ready: %TRUE if a worker has to say that it is ready
 *
 * Sets whether a worker is ready only when it says so; see
 * [property@GFork.Pool:wait-for-ready].
 *
 * Since: 1.0
 */
void
g_fork_pool_set_wait_for_ready (GForkPool *self,
                                gboolean  wait_for_ready)
{
  g_return_if_fail (G_FORK_IS_POOL (self));

  g_fork_pool_set_setting (self, G_FORK_SETTING_WAIT_FOR_READY, !!wait_for_ready);
}

/**
 * g_fork_pool_get_retry_lost: (get-property retry-lost)
 * @self: a pool
 *
 * Gets the number of times that a job whose worker has died is given to another worker.
 *
 * Returns: the number of times
 *
 * Since: 1.0
 */
guint
g_fork_pool_get_retry_lost (GForkPool *self)
{
  g_return_val_if_fail (G_FORK_IS_POOL (self), 0);

  return get_setting (self, G_FORK_SETTING_RETRY_LOST);
}

/**
 * g_fork_pool_set_retry_lost: (set-property retry-lost)
 * @self: a pool
 * @retry_lost: the number of times
 *
 * Sets the number of times that a job whose worker has died is given to another worker; see
 * [property@GFork.Pool:retry-lost].
 *
 * Since: 1.0
 */
void
g_fork_pool_set_retry_lost (GForkPool *self,
                            guint     retry_lost)
{
  g_return_if_fail (G_FORK_IS_POOL (self));

  g_fork_pool_set_setting (self, G_FORK_SETTING_RETRY_LOST, retry_lost);
}

/**
 * g_fork_pool_get_restart: (get-property restart)
 * @self: a pool
 *
 * Gets which workers are replaced when they end.
 *
 * Returns: which workers are replaced
 *
 * Since: 1.0
 */
GForkRestart
g_fork_pool_get_restart (GForkPool *self)
{
  g_return_val_if_fail (G_FORK_IS_POOL (self), G_FORK_RESTART_ALWAYS);

  return get_setting (self, G_FORK_SETTING_RESTART);
}

/**
 * g_fork_pool_set_restart: (set-property restart)
 * @self: a pool
 * @restart: which workers are replaced
 *
 * Sets which workers are replaced when they end; see [property@GFork.Pool:restart].
 *
 * Since: 1.0
 */
void
g_fork_pool_set_restart (GForkPool    *self,
                         GForkRestart restart)
{
  g_return_if_fail (G_FORK_IS_POOL (self));

  g_fork_pool_set_setting (self, G_FORK_SETTING_RESTART, restart);
}
