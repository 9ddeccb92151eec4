/* gforkpool.h: workers that stay up, and jobs for them
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#if !defined(GFORK_INSIDE) && !defined(GFORK_COMPILATION)
#error "Only <gspawnfork/gspawnfork.h> can be included directly."
#endif

#include <gio/gio.h>
#include <gspawnfork/gforkprocess.h>
#include <gspawnfork/gforktemplate.h>
#include <gspawnfork/gforkversion.h>

G_BEGIN_DECLS

/**
 * GForkRestart:
 * @G_FORK_RESTART_ALWAYS: every worker that ends is replaced, so that there are always
 *   [property@GFork.Pool:min-workers]
 * @G_FORK_RESTART_ON_FAILURE: every worker is replaced, except those that end with the exit
 *   status 0
 * @G_FORK_RESTART_NEVER: no worker that ends by itself is replaced
 *
 * Which workers of a pool are replaced when they end.
 *
 * A worker that the pool ends itself, for instance after [property@GFork.Pool:max-jobs] jobs,
 * is replaced in any case if another one is needed.
 *
 * Since: 1.0
 */
typedef enum
{
  G_FORK_RESTART_ALWAYS,
  G_FORK_RESTART_ON_FAILURE,
  G_FORK_RESTART_NEVER
} GForkRestart;

/**
 * GForkPoolState:
 * @G_FORK_POOL_STATE_STOPPED: there are no workers
 * @G_FORK_POOL_STATE_STARTING: the first workers are being started
 * @G_FORK_POOL_STATE_RUNNING: the pool accepts jobs and lends workers
 * @G_FORK_POOL_STATE_STOPPING: the workers are being ended
 * @G_FORK_POOL_STATE_FAILED: no more workers are started, because a worker could not be
 *   started, too many have ended early, or the template has died; workers that live are kept
 *
 * What a pool is doing.
 *
 * Since: 1.0
 */
typedef enum
{
  G_FORK_POOL_STATE_STOPPED,
  G_FORK_POOL_STATE_STARTING,
  G_FORK_POOL_STATE_RUNNING,
  G_FORK_POOL_STATE_STOPPING,
  G_FORK_POOL_STATE_FAILED
} GForkPoolState;

#define G_FORK_TYPE_POOL (g_fork_pool_get_type ())

GFORK_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (GForkPool, g_fork_pool, G_FORK, POOL, GObject)

#define G_FORK_TYPE_WORKER (g_fork_worker_get_type ())

GFORK_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (GForkWorker, g_fork_worker, G_FORK, WORKER, GObject)

#define G_FORK_TYPE_LOAN (g_fork_loan_get_type ())

GFORK_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (GForkLoan, g_fork_loan, G_FORK, LOAN, GObject)

GFORK_AVAILABLE_IN_1_0
GForkPool *g_fork_pool_new (GForkTemplate *template_,
                            const char    *function);

/* Starting, stopping, replacing */

GFORK_AVAILABLE_IN_1_0
void     g_fork_pool_start_async    (GForkPool            *self,
                                     GCancellable         *cancellable,
                                     GAsyncReadyCallback   callback,
                                     gpointer              user_data);
GFORK_AVAILABLE_IN_1_0
gboolean g_fork_pool_start_finish   (GForkPool            *self,
                                     GAsyncResult         *result,
                                     GError              **error);
GFORK_AVAILABLE_IN_1_0
gboolean g_fork_pool_start          (GForkPool            *self,
                                     GCancellable         *cancellable,
                                     GError              **error);

GFORK_AVAILABLE_IN_1_0
void     g_fork_pool_stop_async     (GForkPool            *self,
                                     GCancellable         *cancellable,
                                     GAsyncReadyCallback   callback,
                                     gpointer              user_data);
GFORK_AVAILABLE_IN_1_0
gboolean g_fork_pool_stop_finish    (GForkPool            *self,
                                     GAsyncResult         *result,
                                     GError              **error);
GFORK_AVAILABLE_IN_1_0
gboolean g_fork_pool_stop           (GForkPool            *self,
                                     GCancellable         *cancellable,
                                     GError              **error);

GFORK_AVAILABLE_IN_1_0
void     g_fork_pool_replace_async  (GForkPool            *self,
                                     GForkTemplate        *template_,
                                     GCancellable         *cancellable,
                                     GAsyncReadyCallback   callback,
                                     gpointer              user_data);
GFORK_AVAILABLE_IN_1_0
gboolean g_fork_pool_replace_finish (GForkPool            *self,
                                     GAsyncResult         *result,
                                     GError              **error);
GFORK_AVAILABLE_IN_1_0
gboolean g_fork_pool_replace        (GForkPool            *self,
                                     GForkTemplate        *template_,
                                     GCancellable         *cancellable,
                                     GError              **error);

/* Using the workers */

GFORK_AVAILABLE_IN_1_0
void     g_fork_pool_call_async     (GForkPool            *self,
                                     GBytes               *request,
                                     GCancellable         *cancellable,
                                     GAsyncReadyCallback   callback,
                                     gpointer              user_data);
GFORK_AVAILABLE_IN_1_0
GBytes  *g_fork_pool_call_finish    (GForkPool            *self,
                                     GAsyncResult         *result,
                                     GError              **error);
GFORK_AVAILABLE_IN_1_0
GBytes  *g_fork_pool_call           (GForkPool            *self,
                                     GBytes               *request,
                                     GCancellable         *cancellable,
                                     GError              **error);

GFORK_AVAILABLE_IN_1_0
void      g_fork_pool_call_many_async  (GForkPool            *self,
                                        GVariant             *requests,
                                        GCancellable         *cancellable,
                                        GAsyncReadyCallback   callback,
                                        gpointer              user_data);
GFORK_AVAILABLE_IN_1_0
GVariant *g_fork_pool_call_many_finish (GForkPool            *self,
                                        GAsyncResult         *result,
                                        GError              **error);
GFORK_AVAILABLE_IN_1_0
GVariant *g_fork_pool_call_many        (GForkPool            *self,
                                        GVariant             *requests,
                                        GCancellable         *cancellable,
                                        GError              **error);

GFORK_AVAILABLE_IN_1_0
void       g_fork_pool_acquire_async  (GForkPool            *self,
                                       GCancellable         *cancellable,
                                       GAsyncReadyCallback   callback,
                                       gpointer              user_data);
GFORK_AVAILABLE_IN_1_0
GForkLoan *g_fork_pool_acquire_finish (GForkPool            *self,
                                       GAsyncResult         *result,
                                       GError              **error);
GFORK_AVAILABLE_IN_1_0
GForkLoan *g_fork_pool_acquire        (GForkPool            *self,
                                       GCancellable         *cancellable,
                                       GError              **error);

/* About it */

GFORK_AVAILABLE_IN_1_0
GForkTemplate *g_fork_pool_get_template       (GForkPool *self);
GFORK_AVAILABLE_IN_1_0
const char    *g_fork_pool_get_function       (GForkPool *self);
GFORK_AVAILABLE_IN_1_0
GForkPoolState g_fork_pool_get_state          (GForkPool *self);
GFORK_AVAILABLE_IN_1_0
guint          g_fork_pool_get_n_waiting      (GForkPool *self);

GFORK_AVAILABLE_IN_1_0
guint          g_fork_pool_get_min_workers    (GForkPool *self);
GFORK_AVAILABLE_IN_1_0
void           g_fork_pool_set_min_workers    (GForkPool *self,
                                               guint      min_workers);
GFORK_AVAILABLE_IN_1_0
guint          g_fork_pool_get_max_workers    (GForkPool *self);
GFORK_AVAILABLE_IN_1_0
void           g_fork_pool_set_max_workers    (GForkPool *self,
                                               guint      max_workers);
GFORK_AVAILABLE_IN_1_0
guint          g_fork_pool_get_idle_timeout   (GForkPool *self);
GFORK_AVAILABLE_IN_1_0
void           g_fork_pool_set_idle_timeout   (GForkPool *self,
                                               guint      milliseconds);
GFORK_AVAILABLE_IN_1_0
guint          g_fork_pool_get_max_jobs       (GForkPool *self);
GFORK_AVAILABLE_IN_1_0
void           g_fork_pool_set_max_jobs       (GForkPool *self,
                                               guint      max_jobs);
GFORK_AVAILABLE_IN_1_0
guint          g_fork_pool_get_jobs_in_flight (GForkPool *self);
GFORK_AVAILABLE_IN_1_0
void           g_fork_pool_set_jobs_in_flight (GForkPool *self,
                                               guint      jobs_in_flight);
GFORK_AVAILABLE_IN_1_0
GForkRestart   g_fork_pool_get_restart        (GForkPool *self);
GFORK_AVAILABLE_IN_1_0
void           g_fork_pool_set_restart        (GForkPool    *self,
                                               GForkRestart  restart);
GFORK_AVAILABLE_IN_1_0
guint          g_fork_pool_get_max_restarts   (GForkPool *self);
GFORK_AVAILABLE_IN_1_0
void           g_fork_pool_set_max_restarts   (GForkPool *self,
                                               guint      max_restarts);
GFORK_AVAILABLE_IN_1_0
guint          g_fork_pool_get_restart_window (GForkPool *self);
GFORK_AVAILABLE_IN_1_0
void           g_fork_pool_set_restart_window (GForkPool *self,
                                               guint      milliseconds);
GFORK_AVAILABLE_IN_1_0
guint          g_fork_pool_get_restart_delay  (GForkPool *self);
GFORK_AVAILABLE_IN_1_0
void           g_fork_pool_set_restart_delay  (GForkPool *self,
                                               guint      milliseconds);
GFORK_AVAILABLE_IN_1_0
guint          g_fork_pool_get_max_restart_delay (GForkPool *self);
GFORK_AVAILABLE_IN_1_0
void           g_fork_pool_set_max_restart_delay (GForkPool *self,
                                                  guint      milliseconds);
GFORK_AVAILABLE_IN_1_0
int            g_fork_pool_get_stop_signal    (GForkPool *self);
GFORK_AVAILABLE_IN_1_0
void           g_fork_pool_set_stop_signal    (GForkPool *self,
                                               int        signum);
GFORK_AVAILABLE_IN_1_0
guint          g_fork_pool_get_stop_timeout   (GForkPool *self);
GFORK_AVAILABLE_IN_1_0
void           g_fork_pool_set_stop_timeout   (GForkPool *self,
                                               guint      milliseconds);
GFORK_AVAILABLE_IN_1_0
gboolean       g_fork_pool_get_wait_for_ready (GForkPool *self);
GFORK_AVAILABLE_IN_1_0
void           g_fork_pool_set_wait_for_ready (GForkPool *self,
                                               gboolean   wait_for_ready);
GFORK_AVAILABLE_IN_1_0
guint          g_fork_pool_get_retry_lost     (GForkPool *self);
GFORK_AVAILABLE_IN_1_0
void           g_fork_pool_set_retry_lost     (GForkPool *self,
                                               guint      retry_lost);

/* Its workers */

GFORK_AVAILABLE_IN_1_0
GForkProcess  *g_fork_worker_get_process      (GForkWorker *self);
GFORK_AVAILABLE_IN_1_0
guint          g_fork_worker_get_index        (GForkWorker *self);
GFORK_AVAILABLE_IN_1_0
guint64        g_fork_worker_get_n_jobs       (GForkWorker *self);
GFORK_AVAILABLE_IN_1_0
gboolean       g_fork_worker_is_idle          (GForkWorker *self);
GFORK_AVAILABLE_IN_1_0
gboolean       g_fork_worker_is_ready         (GForkWorker *self);

/* A worker on loan */

GFORK_AVAILABLE_IN_1_0
GForkWorker   *g_fork_loan_get_worker         (GForkLoan   *self);
GFORK_AVAILABLE_IN_1_0
GSocket       *g_fork_loan_get_socket         (GForkLoan   *self);
GFORK_AVAILABLE_IN_1_0
void           g_fork_loan_release            (GForkLoan   *self);
GFORK_AVAILABLE_IN_1_0
void           g_fork_loan_discard            (GForkLoan   *self);

G_END_DECLS
