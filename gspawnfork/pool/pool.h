/* pool.h: what the classes of a pool use of its inside
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gforkpool.h"

G_BEGIN_DECLS

typedef struct _GForkCrew GForkCrew;
typedef struct _GForkPending GForkPending;

/* Times are milliseconds. */
typedef enum
{
  G_FORK_SETTING_MIN_WORKERS,
  G_FORK_SETTING_MAX_WORKERS,
  G_FORK_SETTING_IDLE_TIMEOUT,
  G_FORK_SETTING_MAX_JOBS,
  G_FORK_SETTING_JOBS_IN_FLIGHT,
  G_FORK_SETTING_RESTART,
  G_FORK_SETTING_MAX_RESTARTS,
  G_FORK_SETTING_RESTART_WINDOW,
  G_FORK_SETTING_RESTART_DELAY,
  G_FORK_SETTING_MAX_RESTART_DELAY,
  G_FORK_SETTING_STOP_SIGNAL,
  G_FORK_SETTING_STOP_TIMEOUT,
  G_FORK_SETTING_WAIT_FOR_READY,
  G_FORK_SETTING_RETRY_LOST,
  G_FORK_N_SETTINGS
} GForkSetting;

/* What the pool emits, in its own context. */
typedef enum
{
  G_FORK_NEWS_STATE,
  G_FORK_NEWS_TEMPLATE,
  G_FORK_NEWS_STARTED,       /* a worker */
  G_FORK_NEWS_ENDED,         /* a worker */
  G_FORK_NEWS_FAILED,        /* an error */
  G_FORK_NEWS_PREPARE,       /* a fork, its index */
  G_FORK_NEWS_TEMPLATE_LOST, /* returns a new template */
} GForkNewsKind;

typedef GForkTemplate *(*GForkNewsFunc) (GForkPool     *pool,
                                         GForkNewsKind  kind,
                                         gpointer       object,
                                         guint          index,
                                         const GError  *error);

typedef enum
{
  G_FORK_PENDING_START,
  G_FORK_PENDING_STOP,
  G_FORK_PENDING_REPLACE,
  G_FORK_PENDING_CALL,
  G_FORK_PENDING_CALL_MANY,
  G_FORK_PENDING_ACQUIRE,
} GForkPendingKind;

/* A worker that was lent. Freeing it gives the worker back, or ends it. */
typedef struct
{
  GForkCrew *crew;
  guint64 serial;
  GForkWorker *worker;
  GSocket *socket;
} GForkLease;

GForkCrew      *g_fork_crew_new          (GForkPool         *pool,
                                          GForkTemplate     *template,
                                          const char        *function,
                                          GForkNewsFunc      on_news);
GForkCrew      *g_fork_crew_ref          (GForkCrew         *self);
void            g_fork_crew_unref        (GForkCrew         *self);
void            g_fork_crew_close        (GForkCrew         *self);

GForkTemplate  *g_fork_crew_dup_template (GForkCrew         *self);
GForkPoolState  g_fork_crew_get_state    (GForkCrew         *self);
guint           g_fork_crew_get_n_waiting(GForkCrew         *self);
guint           g_fork_crew_get_setting  (GForkCrew         *self,
                                          GForkSetting       setting);
gboolean        g_fork_crew_set_setting  (GForkCrew         *self,
                                          GForkSetting       setting,
                                          guint              value);

/* An operation is made, and then submitted or waited for, which takes it. */
GForkPending   *g_fork_pending_new       (GForkCrew         *crew,
                                          GForkPendingKind   kind,
                                          GCancellable      *cancellable);
void            g_fork_pending_set_request (GForkPending    *self,
                                          GBytes            *request);
void            g_fork_pending_set_requests (GForkPending   *self,
                                          GVariant          *requests);
void            g_fork_pending_set_template (GForkPending   *self,
                                          GForkTemplate     *template);
void            g_fork_pending_submit    (GForkPending      *self,
                                          GTask             *task);
gpointer        g_fork_pending_wait      (GForkPending      *self,
                                          GError           **error);

void            g_fork_lease_end         (GForkLease        *self,
                                          gboolean           is_good);

/* gforkworker.c */
GForkWorker    *g_fork_worker_new        (guint              index,
                                          GForkProcess      *process);
void            g_fork_worker_set        (GForkWorker       *self,
                                          gboolean           is_ready,
                                          gboolean           is_idle,
                                          guint64            n_jobs);

/* gforkloan.c */
GForkLoan      *g_fork_loan_new          (GForkLease        *lease);

G_END_DECLS
