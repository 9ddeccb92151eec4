/* crew.c: the inside of a pool: its parts, its settings, and what can be asked of it
 *
 * The parts call each other in this direction: the crew, the staff and batches, jobs, leases,
 * members (workers), lines (their sockets), jobs, news and operations, the driver. What a lower
 * one has to tell goes by the functions that the crew has given it.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "pool/pool.h"

#include "pool/batch.h"
#include "pool/jobs.h"
#include "pool/staff.h"

#include <signal.h>

struct _GForkCrew
{
  guint settings[G_FORK_N_SETTINGS];
  char *function;
  GForkEmployer employer;
  GForkDriver *driver; /* which frees the crew */
  GForkNews *news;
  GForkJobs *jobs;
  GForkStaff *staff;
};

/* What is not here is 0. */
static const guint defaults[G_FORK_N_SETTINGS] = {
  [G_FORK_SETTING_MIN_WORKERS] = 1,
  [G_FORK_SETTING_JOBS_IN_FLIGHT] = 1,
  [G_FORK_SETTING_RESTART] = G_FORK_RESTART_ALWAYS,
  [G_FORK_SETTING_MAX_RESTARTS] = 5,
  [G_FORK_SETTING_RESTART_WINDOW] = 10000,
  [G_FORK_SETTING_RESTART_DELAY] = 100,
  [G_FORK_SETTING_MAX_RESTART_DELAY] = 10000,
  [G_FORK_SETTING_STOP_SIGNAL] = SIGTERM,
  [G_FORK_SETTING_STOP_TIMEOUT] = 5000,
};

/* ——— What the driver calls ——— */

/* Gives what waits to workers: to idle ones, else to new ones, else to those that can be sent
 * something ahead. */
static void
assign (GForkCrew *self)
{
  guint n_waiting;

  g_fork_jobs_give (self->jobs);
  n_waiting = g_fork_jobs_get_n_waiting (self->jobs);
  if (n_waiting > 0)
    g_fork_jobs_give_ahead (self->jobs, g_fork_staff_hire (self->staff, n_waiting));
}

static void
decide (gpointer crew,
        gboolean all)
{
  GForkCrew *self = crew;

  if (all)
    g_fork_staff_supervise (self->staff);
  if (g_fork_staff_get_state (self->staff) == G_FORK_POOL_STATE_RUNNING)
    assign (self);
}

static gint64
get_deadline (gpointer crew)
{
  return g_fork_staff_get_deadline (((GForkCrew *) crew)->staff);
}

static void
emit (gpointer crew)
{
  g_fork_news_emit (((GForkCrew *) crew)->news);
}

static void
crew_free (gpointer crew)
{
  GForkCrew *self = crew;

  g_fork_staff_free (self->staff);
  g_fork_jobs_free (self->jobs);
  g_fork_news_free (self->news);
  g_object_unref (self->employer.closing);
  g_free (self->function);
  g_free (self);
}

static const GForkDriverFuncs driver_funcs = { decide, get_deadline, emit, crew_free };

/* ——— Beginning and end ——— */

GForkCrew *
g_fork_crew_new (GForkPool     *pool,
                 GForkTemplate *template,
                 const char    *function,
                 GForkNewsFunc  on_news)
{
  GForkCrew *self = g_new0 (GForkCrew, 1);

  for (guint i = 0; i < G_FORK_N_SETTINGS; i++)
    self->settings[i] = defaults[i];
  self->settings[G_FORK_SETTING_MAX_WORKERS] = g_get_num_processors ();
  self->function = g_strdup (function);
  self->driver = g_fork_driver_new (&driver_funcs, self);
  self->news = g_fork_news_new (self->driver, pool, on_news);
  self->jobs = g_fork_jobs_new (self->settings);
  self->employer = (GForkEmployer){
    .driver = self->driver,
    .news = self->news,
    .settings = self->settings,
    .function = self->function,
    .closing = g_cancellable_new (),
    .jobs = self->jobs,
    .on_ready = g_fork_jobs_add_worker,
    .on_free = g_fork_jobs_on_free,
    .on_not_run = g_fork_staff_on_not_run,
    .on_ended = g_fork_staff_on_ended,
  };
  self->staff = self->employer.staff = g_fork_staff_new (&self->employer, self->jobs, template);
  return self;
}

/* Kills the workers at once. Nobody waits for anything any more, as who does keeps the
 * pool. */
void
g_fork_crew_close (GForkCrew *self)
{
  g_autoptr (GForkDriver) driver = self->driver;

  /* They are not this process's, and neither is the epoll descriptor. */
  if (!g_fork_driver_is_ours (driver))
    return;

  g_fork_driver_lock (driver);
  g_fork_staff_close (self->staff);
  g_fork_driver_unlock (driver);

  g_cancellable_cancel (self->employer.closing);
  g_fork_driver_lock (driver);
  g_fork_driver_close (driver);
}

/* ——— About it ——— */

/* In a fork of the application, the lock may be held by a thread that is not there. */
static void
begin_look (GForkCrew *self)
{
  if (g_fork_driver_is_ours (self->driver))
    g_fork_driver_lock (self->driver);
}

static void
end_look (GForkCrew *self)
{
  if (g_fork_driver_is_ours (self->driver))
    g_fork_driver_unlock_unchanged (self->driver);
}

GForkTemplate *
g_fork_crew_dup_template (GForkCrew *self)
{
  GForkTemplate *template;

  begin_look (self);
  template = g_object_ref (g_fork_staff_get_template (self->staff));
  end_look (self);
  return template;
}

GForkPoolState
g_fork_crew_get_state (GForkCrew *self)
{
  GForkPoolState state;

  begin_look (self);
  state = g_fork_staff_get_state (self->staff);
  end_look (self);
  return state;
}

guint
g_fork_crew_get_n_waiting (GForkCrew *self)
{
  guint n;

  begin_look (self);
  n = g_fork_jobs_get_n_waiting (self->jobs);
  end_look (self);
  return n;
}

guint
g_fork_crew_get_setting (GForkCrew    *self,
                         GForkSetting  setting)
{
  guint value;

  begin_look (self);
  value = self->settings[setting];
  end_look (self);
  return value;
}

/* Returns whether it has changed. */
gboolean
g_fork_crew_set_setting (GForkCrew    *self,
                         GForkSetting  setting,
                         guint         value)
{
  gboolean has_changed;

  begin_look (self);
  has_changed = self->settings[setting] != value;
  self->settings[setting] = value;
  g_fork_driver_touch (self->driver);
  /* The workers are not this process's. */
  if (g_fork_driver_is_ours (self->driver))
    g_fork_driver_unlock (self->driver);
  return has_changed;
}

/* ——— What can be asked ——— */

static void
submit_start (gpointer      crew,
              GForkPending *pending,
              gpointer      subject)
{
  GForkCrew *self = crew;
  const GError *defect = g_fork_driver_get_defect (self->driver);

  if (defect != NULL)
    g_fork_pending_finish (pending, g_error_copy (defect));
  else
    g_fork_staff_start (self->staff, pending);
}

static void
submit_stop (gpointer      crew,
             GForkPending *pending,
             gpointer      subject)
{
  g_fork_staff_stop (((GForkCrew *) crew)->staff, pending);
}

/* The other operations need a pool that runs. Returns whether it does; else the operation has
 * failed. */
static gboolean
check_running (GForkCrew    *self,
               GForkPending *pending)
{
  const GError *defect = g_fork_driver_get_defect (self->driver);

  if (defect == NULL && g_fork_staff_get_state (self->staff) == G_FORK_POOL_STATE_RUNNING)
    return TRUE;

  g_fork_pending_finish (pending, defect != NULL ? g_error_copy (defect)
                                                 : g_fork_staff_dup_reason (self->staff));
  return FALSE;
}

static void
submit_replace (gpointer      crew,
                GForkPending *pending,
                gpointer      template)
{
  GForkCrew *self = crew;

  if (check_running (self, pending))
    g_fork_staff_replace (self->staff, pending, template);
}

/* Of the operations before this. */
static void
forget (gpointer      crew,
        GForkPending *pending,
        gpointer      subject)
{
  g_fork_staff_forget (((GForkCrew *) crew)->staff, pending);
}

static void
submit_job (gpointer      crew,
            GForkPending *pending,
            gpointer      subject)
{
  GForkCrew *self = crew;
  GForkJob *job = subject;

  job->data = pending;
  if (check_running (self, pending))
    g_fork_jobs_add (self->jobs, job);
}

static void
cancel_job (gpointer      crew,
            GForkPending *pending,
            gpointer      job)
{
  g_fork_jobs_cancel (((GForkCrew *) crew)->jobs, job);
}

static void
submit_batch (gpointer      crew,
              GForkPending *pending,
              gpointer      batch)
{
  GForkCrew *self = crew;

  if (check_running (self, pending))
    g_fork_batch_submit (batch, pending, self->jobs);
}

static void
cancel_batch (gpointer      crew,
              GForkPending *pending,
              gpointer      batch)
{
  g_fork_batch_cancel (batch, ((GForkCrew *) crew)->jobs);
}

static void
drop_lease (gpointer lease)
{
  g_fork_lease_end (lease, FALSE);
}

/* A job that is an operation of its own has ended. */
static void
on_done (GForkJob *job,
         gpointer  pending)
{
  if (job->error != NULL)
    g_fork_pending_finish (pending, g_steal_pointer (&job->error));
  else if (job->request != NULL)
    g_fork_pending_finish_with (pending, g_steal_pointer (&job->reply),
                                (GDestroyNotify) g_bytes_unref);
  else
    g_fork_pending_finish_with (pending, g_steal_pointer (&job->lease), drop_lease);
}

static void
free_job (gpointer job)
{
  g_fork_job_free (job);
}

static void
free_batch (gpointer batch)
{
  g_fork_batch_free (batch);
}

static const GForkPendingKind kinds[] = {
  [G_FORK_ASK_START] = { submit_start, forget, NULL },
  [G_FORK_ASK_STOP] = { submit_stop, forget, NULL },
  [G_FORK_ASK_REPLACE] = { submit_replace, forget, g_object_unref },
  [G_FORK_ASK_CALL] = { submit_job, cancel_job, free_job },
  [G_FORK_ASK_CALL_MANY] = { submit_batch, cancel_batch, free_batch },
  [G_FORK_ASK_ACQUIRE] = { submit_job, cancel_job, free_job },
};

/* Makes an operation, which is to be submitted or waited for. */
GForkPending *
g_fork_crew_ask (GForkCrew    *self,
                 GForkAsk      what,
                 gpointer      about,
                 GCancellable *cancellable)
{
  gpointer subject = NULL;

  if (what == G_FORK_ASK_REPLACE)
    subject = g_object_ref (about);
  else if (what == G_FORK_ASK_CALL)
    subject = g_fork_job_new (g_bytes_ref (about), on_done, NULL);
  else if (what == G_FORK_ASK_CALL_MANY)
    subject = g_fork_batch_new (about);
  else if (what == G_FORK_ASK_ACQUIRE)
    subject = g_fork_job_new (NULL, on_done, NULL);
  return g_fork_pending_new (self->driver, &kinds[what], self, subject, cancellable);
}
