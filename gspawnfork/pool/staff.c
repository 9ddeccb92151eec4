/* staff.c: which workers a pool has: starting, stopping, replacing
 *
 * A pool has slots, each of which may hold a worker of the current template. A worker
 * that has to end leaves its slot at once, and the pool when its process has ended.
 *
 *   STOPPED ─start→ STARTING ─all ready→ RUNNING ─stop→ STOPPING ─none left→ STOPPED
 *                      └───────┬────────────┘
 *          too many early ends, a lost template → FAILED ─start→ STARTING, ─stop→ STOPPING
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "pool/staff.h"

#include "gforkerror.h"
#include "pool/restarts.h"

#include <glib/gi18n-lib.h>

/* A template that ends within this of being given cannot be used. */
#define SHORT_LIFE (1 * G_USEC_PER_SEC)

/* A new generation of workers, which get their slots when all of them are ready. */
typedef struct
{
  GForkPending *pending;
  GForkTemplate *template;
  GPtrArray *members; /* by slot */
} Replacement;

struct _GForkStaff
{
  const GForkEmployer *employer;
  GForkDriver *driver;
  GForkNews *news;
  GForkJobs *jobs;
  GForkSettings settings;

  GForkPoolState state;
  GError *reason; /* of FAILED */
  GForkTemplate *template;
  gint64 given_at;            /* when it was given for one that was lost, or 0 */
  gboolean is_template_ended;
  gboolean is_template_lost;  /* a new one was asked for */
  GCancellable *watching; /* of the operation that waits for its end, or %NULL */

  GPtrArray *slots;   /* members, or %NULL; what is behind them is %NULL, too */
  GPtrArray *members; /* all of them */
  GForkRestarts *restarts;
  Replacement *replacement;
  GQueue starts; /* operations */
  GQueue stops;
};

static void set_template (GForkStaff    *self,
                          GForkTemplate *template);

GForkStaff *
g_fork_staff_new (const GForkEmployer *employer,
                  GForkJobs           *jobs,
                  GForkTemplate       *template)
{
  GForkStaff *self = g_new0 (GForkStaff, 1);

  self->employer = employer;
  self->driver = employer->driver;
  self->news = employer->news;
  self->jobs = jobs;
  self->settings = employer->settings;
  self->template = g_object_ref (template);
  self->slots = g_ptr_array_new ();
  self->members = g_ptr_array_new ();
  self->restarts = g_fork_restarts_new (self->settings);
  return self;
}

void
g_fork_staff_free (GForkStaff *self)
{
  g_object_unref (self->template);
  g_clear_error (&self->reason);
  g_ptr_array_unref (self->slots);
  g_ptr_array_unref (self->members);
  g_fork_restarts_free (self->restarts);
  g_free (self);
}

GForkTemplate *
g_fork_staff_get_template (GForkStaff *self)
{
  return self->template;
}

GForkPoolState
g_fork_staff_get_state (GForkStaff *self)
{
  return self->state;
}

/* ——— Slots ——— */

/* The worker in a slot, which one that has to end has left. */
static GForkMember *
get_member (GForkStaff *self,
            guint       index)
{
  GForkMember *member = index < self->slots->len ? g_ptr_array_index (self->slots, index) : NULL;

  return member != NULL && g_fork_member_has_place (member) ? member : NULL;
}

static void
set_member (GForkStaff  *self,
            guint        index,
            GForkMember *member)
{
  if (index >= self->slots->len)
    g_ptr_array_set_size (self->slots, index + 1);
  g_ptr_array_index (self->slots, index) = member;
}

static GForkMember *
add_member (GForkStaff    *self,
            GForkTemplate *template,
            guint          index,
            gboolean       is_fresh)
{
  GForkMember *member = g_fork_member_new (self->employer, template, index, is_fresh);

  g_ptr_array_add (self->members, member);
  return member;
}

static void
remove_member (GForkStaff  *self,
               GForkMember *member)
{
  guint index = member->index;

  if (index < self->slots->len && g_ptr_array_index (self->slots, index) == member)
    set_member (self, index, NULL);
  g_fork_jobs_remove_worker (self->jobs, member);
  g_ptr_array_remove_fast (self->members, member);
  g_fork_member_remove (member);
  g_fork_driver_touch (self->driver);
}

/* Starts a worker in a slot, if there may be another one. */
static gboolean
start_in (GForkStaff *self,
          guint       index)
{
  if (self->is_template_lost || get_member (self, index) != NULL
      || g_fork_restarts_is_spent (self->restarts, index)
      || g_fork_restarts_get_start_at (self->restarts, index) > g_get_monotonic_time ())
    return FALSE;

  set_member (self, index, add_member (self, self->template, index, FALSE));
  return TRUE;
}

/* Starts workers for what waits until so many are coming, if there may be more. Returns how
 * many are coming. */
guint
g_fork_staff_hire (GForkStaff *self,
                   guint       n_wanted)
{
  guint n_coming = 0;

  for (guint i = 0; i < self->slots->len; i++)
    {
      GForkMember *member = get_member (self, i);

      n_coming += member != NULL && !member->is_ready;
    }

  if (self->is_template_lost)
    return n_coming;

  for (guint i = 0; i < self->settings[G_FORK_SETTING_MAX_WORKERS] && n_coming < n_wanted; i++)
    {
      GForkMember *member = get_member (self, i);

      if (member != NULL)
        g_fork_member_end_if_mute (member);
      n_coming += start_in (self, i);
    }

  return n_coming;
}

/* ——— States ——— */

static gboolean
is_up (GForkStaff *self)
{
  return self->state == G_FORK_POOL_STATE_STARTING || self->state == G_FORK_POOL_STATE_RUNNING;
}

static void
set_state (GForkStaff     *self,
           GForkPoolState  state)
{
  if (self->state == state)
    return;

  self->state = state;
  g_fork_driver_touch (self->driver);
  g_fork_news_tell (self->news, G_FORK_NEWS_STATE, NULL, NULL);
}

/* Why nothing is taken. */
GError *
g_fork_staff_dup_reason (GForkStaff *self)
{
  if (self->state == G_FORK_POOL_STATE_FAILED)
    return g_error_copy (self->reason);
  return g_error_new_literal (G_FORK_ERROR, G_FORK_ERROR_CLOSED, _("The pool is not running"));
}

static void
finish_all (GQueue       *queue,
            const GError *error)
{
  while (queue->head != NULL)
    g_fork_pending_finish (g_queue_pop_head (queue), error != NULL ? g_error_copy (error) : NULL);
}

/* Has the workers of a replacement end, and the old ones stay. */
static void
drop_replacement (GForkStaff *self)
{
  Replacement *replacement = g_steal_pointer (&self->replacement);

  for (guint i = 0; i < replacement->members->len; i++)
    g_fork_member_go (g_ptr_array_index (replacement->members, i));
  g_fork_driver_discard (self->driver, replacement->template, g_object_unref);
  g_ptr_array_unref (replacement->members);
  g_free (replacement);
}

/* Takes @error. */
static void
fail_replacement (GForkStaff *self,
                  GError     *error)
{
  GForkPending *pending = self->replacement->pending;

  drop_replacement (self);
  g_fork_pending_finish (pending, error);
}

/* Neither starts nor takes anything any more, for that reason; or because it was stopped. */
static void
end_work (GForkStaff     *self,
          GForkPoolState  state)
{
  g_autoptr (GError) error = NULL;

  set_state (self, state);
  error = g_fork_staff_dup_reason (self);
  g_fork_jobs_fail (self->jobs, error);
  finish_all (&self->starts, error);
  if (self->replacement != NULL)
    fail_replacement (self, g_steal_pointer (&error));
}

static void
fail (GForkStaff   *self,
      const GError *reason)
{
  if (!is_up (self))
    return;

  g_clear_error (&self->reason);
  self->reason = g_error_copy (reason);
  end_work (self, G_FORK_POOL_STATE_FAILED);
  g_fork_news_tell (self->news, G_FORK_NEWS_FAILED, NULL, reason);

  /* Those that live are kept. */
  for (guint i = 0; i < self->members->len; i++)
    {
      GForkMember *member = g_ptr_array_index (self->members, i);

      if (member->process == NULL)
        g_fork_member_go (member);
    }
}

/* ——— The template ——— */

static void
cancel (gpointer cancellable,
        guint    number)
{
  g_cancellable_cancel (cancellable);
}

static void
unwatch_template (GForkStaff *self)
{
  if (self->watching != NULL)
    g_fork_driver_act (self->driver, cancel, self->watching, 0, g_object_unref);
  self->watching = NULL;
}

/* What has become of the question for a new template, which it takes. */
static void
on_template (gpointer       data,
             GForkTemplate *template)
{
  GForkStaff *self = data;
  g_autoptr (GError) error = NULL;

  /* It may have been replaced meanwhile. */
  if (template != NULL && self->is_template_lost)
    set_template (self, template);
  else if (template != NULL)
    g_fork_driver_discard (self->driver, template, g_object_unref);
  if (template != NULL || !self->is_template_lost)
    return;

  error = g_error_new (G_FORK_ERROR, G_FORK_ERROR_LOST,
                       _("The template of the workers that run the function “%s” is gone"),
                       self->employer->function);
  fail (self, error);
}

static void
ask_for_template (GForkStaff *self)
{
  self->is_template_lost = TRUE;
  if (g_fork_news_has_handler (self->news, "template-lost"))
    g_fork_news_ask (self->news, G_FORK_NEWS_TEMPLATE_LOST, NULL, 0, on_template, self, NULL);
  else
    on_template (self, NULL);
}

/* A new one is asked for at once. But one that was given for another and ends at once, too, or
 * could not even be started, is replaced when a worker is needed, as that does not spin. */
static void
on_template_ended (GForkStaff   *self,
                   const GError *error)
{
  self->is_template_ended = TRUE;
  if (is_up (self) && (error == NULL || g_error_matches (error, G_FORK_ERROR, G_FORK_ERROR_LOST))
      && g_get_monotonic_time () - self->given_at >= SHORT_LIFE)
    ask_for_template (self);
}

static void
on_waited (GObject      *source,
           GAsyncResult *result,
           gpointer      data)
{
  GForkStaff *self = data;
  g_autoptr (GForkDriver) driver = self->driver;
  g_autoptr (GError) error = NULL;

  g_fork_template_wait_finish (G_FORK_TEMPLATE (source), result, &error);

  g_fork_driver_lock (driver);
  /* Else another one is watched since. */
  if (self->watching != NULL && self->watching == g_task_get_cancellable (G_TASK (result)))
    {
      unwatch_template (self);
      on_template_ended (self, error);
    }
  g_fork_driver_unlock (driver);
}

static void
await_template (gpointer data,
                guint    number)
{
  GForkStaff *self = data;
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GCancellable) cancellable = NULL;

  g_fork_driver_lock (self->driver);
  template = g_object_ref (self->template);
  if (self->watching != NULL)
    cancellable = g_object_ref (self->watching);
  g_fork_driver_unlock (self->driver);

  if (cancellable != NULL)
    {
      g_fork_driver_ref (self->driver);
      g_fork_template_wait_async (template, cancellable, on_waited, self);
    }
}

/* Has the end of the template noticed as soon as it comes, also while no worker is needed. */
static void
watch_template (GForkStaff *self)
{
  unwatch_template (self);
  self->watching = g_cancellable_new ();
  self->is_template_ended = self->is_template_lost = FALSE;
  g_fork_driver_act (self->driver, await_template, self, 0, NULL);
}

/* From now on workers are forks of this one, which it takes. */
static void
set_template (GForkStaff    *self,
              GForkTemplate *template)
{
  g_fork_driver_discard (self->driver, self->template, g_object_unref);
  self->given_at = self->is_template_lost ? g_get_monotonic_time () : 0;
  self->template = template;
  watch_template (self);
  g_fork_driver_touch (self->driver);
  g_fork_news_tell (self->news, G_FORK_NEWS_TEMPLATE, NULL, NULL);
}

/* ——— Starting and stopping ——— */

void
g_fork_staff_start (GForkStaff   *self,
                    GForkPending *pending)
{
  switch (self->state)
    {
    case G_FORK_POOL_STATE_RUNNING:
      g_fork_pending_finish (pending, NULL);
      return;

    case G_FORK_POOL_STATE_STOPPING:
      g_fork_pending_finish (pending, g_error_new_literal (G_FORK_ERROR, G_FORK_ERROR_CLOSED,
                                                           _("The pool is being stopped")));
      return;

    case G_FORK_POOL_STATE_STOPPED:
    case G_FORK_POOL_STATE_FAILED:
      g_fork_restarts_reset (self->restarts);
      g_clear_error (&self->reason);
      set_state (self, G_FORK_POOL_STATE_STARTING);
      watch_template (self);
      break;

    case G_FORK_POOL_STATE_STARTING:
      break;
    }

  g_queue_push_tail (&self->starts, pending);
  g_fork_driver_touch (self->driver);
}

void
g_fork_staff_stop (GForkStaff   *self,
                   GForkPending *pending)
{
  gint64 timeout = g_fork_settings_get_time (self->settings, G_FORK_SETTING_STOP_TIMEOUT);
  gint64 deadline = g_get_monotonic_time () + timeout;

  g_queue_push_tail (&self->stops, pending);
  g_fork_driver_touch (self->driver);
  if (self->state == G_FORK_POOL_STATE_STOPPING || self->state == G_FORK_POOL_STATE_STOPPED)
    return;

  end_work (self, G_FORK_POOL_STATE_STOPPING);
  for (guint i = 0; i < self->members->len; i++)
    {
      GForkMember *member = g_ptr_array_index (self->members, i);

      g_fork_member_go (member);
      if (member->process != NULL)
        g_fork_member_limit (member, deadline);
    }
}

/* Nobody waits for the operation any more. A replacement is given up. */
void
g_fork_staff_forget (GForkStaff   *self,
                     GForkPending *pending)
{
  g_queue_remove (&self->starts, pending);
  g_queue_remove (&self->stops, pending);
  if (self->replacement != NULL && self->replacement->pending == pending)
    drop_replacement (self);
}

/* Kills the workers at once. */
void
g_fork_staff_close (GForkStaff *self)
{
  self->state = G_FORK_POOL_STATE_STOPPED;
  unwatch_template (self);
  g_ptr_array_set_size (self->slots, 0);
  while (self->members->len > 0)
    {
      GForkMember *member = g_ptr_array_steal_index_fast (self->members, self->members->len - 1);

      g_fork_jobs_remove_worker (self->jobs, member);
      g_fork_member_remove_and_end (member);
    }
}

/* ——— Ends ——— */

/* Does what was decided about a worker that has ended. */
static void
carry_out (GForkStaff   *self,
           GForkMember  *member,
           GForkVerdict  verdict,
           const char   *end)
{
  g_autoptr (GError) error = NULL;

  if (verdict == G_FORK_VERDICT_FAIL)
    error = g_error_new (G_FORK_ERROR, G_FORK_ERROR_FAILED,
                         _("Too many workers have ended early. The last one: %s"), end);
  else if (verdict == G_FORK_VERDICT_SPENT && !member->is_ready
           && self->state == G_FORK_POOL_STATE_STARTING)
    error = g_error_new (G_FORK_ERROR, G_FORK_ERROR_FAILED,
                         _("A worker has ended before it was ready: %s"), end);
  if (error != NULL)
    fail (self, error);
}

/* A worker has ended; or it must have, and nothing tells. */
void
g_fork_staff_on_ended (gpointer staff,
                       GForkMember *member,
                       gboolean     is_known)
{
  GForkStaff *self = staff;
  guint index = member->index;
  g_autofree char *end = NULL;
  GForkLife life;

  g_fork_jobs_lose (self->jobs, member, is_known, self->state == G_FORK_POOL_STATE_RUNNING);

  if (g_fork_member_is_fresh (member) && self->replacement != NULL)
    {
      end = g_fork_member_describe_end (member, is_known);
      fail_replacement (self, g_error_new (G_FORK_ERROR, G_FORK_ERROR_FAILED,
                                           _("A worker of the new template has ended: %s"), end));
    }
  else if (get_member (self, index) == member && self->state != G_FORK_POOL_STATE_FAILED)
    {
      end = g_fork_member_describe_end (member, is_known);
      life = g_fork_member_get_life (member, is_known);
      carry_out (self, member, g_fork_restarts_judge (self->restarts, index, &life), end);
    }

  remove_member (self, member);
}

/* A worker could not be started. */
void
g_fork_staff_on_not_run (gpointer staff,
                         GForkMember  *member,
                         const GError *error)
{
  GForkStaff *self = staff;
  guint index = member->index;
  gboolean is_wanted = get_member (self, index) == member;
  GForkVerdict verdict;
  /* The template has ended, which it will be known for; or the worker was killed while it was
   * started. */
  gboolean is_lost = g_error_matches (error, G_FORK_ERROR, G_FORK_ERROR_LOST)
                     || g_error_matches (error, G_FORK_ERROR, G_FORK_ERROR_CLOSED);

  if (g_fork_member_is_fresh (member) && self->replacement != NULL)
    fail_replacement (self, g_error_copy (error));
  else if (is_wanted && self->state == G_FORK_POOL_STATE_STARTING && !is_lost)
    fail (self, error);
  else if (is_wanted)
    {
      verdict = g_fork_restarts_judge_early (self->restarts, index,
                                             member->forked_at);
      if (is_lost && verdict == G_FORK_VERDICT_FAIL)
        fail (self, error);
      else
        carry_out (self, member, verdict, error->message);
      if (is_up (self) && self->is_template_ended && !self->is_template_lost)
        ask_for_template (self);
    }

  remove_member (self, member);
}

/* ——— Replacing ——— */

void
g_fork_staff_replace (GForkStaff    *self,
                      GForkPending  *pending,
                      GForkTemplate *template)
{
  guint n = MAX (self->settings[G_FORK_SETTING_MIN_WORKERS], 1);

  if (self->replacement != NULL)
    {
      g_fork_pending_finish (pending, g_error_new_literal (G_IO_ERROR, G_IO_ERROR_PENDING,
                                                           _("The workers are being replaced")));
      return;
    }

  /* As many as there are, in the same slots as far as they go. */
  for (guint i = 0; i < self->slots->len; i++)
    if (get_member (self, i) != NULL)
      n = MAX (n, i + 1);
  n = MIN (n, self->settings[G_FORK_SETTING_MAX_WORKERS]);

  self->replacement = g_new0 (Replacement, 1);
  self->replacement->pending = pending;
  self->replacement->template = g_object_ref (template);
  self->replacement->members = g_ptr_array_new ();
  for (guint i = 0; i < n; i++)
    g_ptr_array_add (self->replacement->members, add_member (self, template, i, TRUE));
  g_fork_driver_touch (self->driver);
}

static gboolean
is_replaceable (const Replacement *replacement)
{
  for (guint i = 0; i < replacement->members->len; i++)
    if (!((GForkMember *) g_ptr_array_index (replacement->members, i))->is_ready)
      return FALSE;
  return TRUE;
}

/* From here on the new workers get what comes, and the old ones finish what they have. */
static void
replace (GForkStaff *self)
{
  Replacement *replacement = g_steal_pointer (&self->replacement);

  set_template (self, replacement->template);
  for (guint i = 0; i < self->slots->len; i++)
    if (get_member (self, i) != NULL)
      g_fork_member_dismiss (get_member (self, i));

  g_fork_restarts_forget (self->restarts);
  g_ptr_array_set_size (self->slots, 0);
  for (guint i = 0; i < replacement->members->len; i++)
    {
      GForkMember *member = g_ptr_array_index (replacement->members, i);

      set_member (self, i, member);
      g_fork_member_take_over (member);
    }

  g_fork_pending_finish (replacement->pending, NULL);
  g_ptr_array_unref (replacement->members);
  g_free (replacement);
}

/* ——— What there is to do ——— */

/* Since when a worker is idle that may be ended for that, or 0. */
static gint64
get_idle_since (GForkStaff *self,
                guint       index)
{
  GForkMember *member = get_member (self, index);

  if (index < self->settings[G_FORK_SETTING_MIN_WORKERS]
      || self->settings[G_FORK_SETTING_IDLE_TIMEOUT] == 0 || member == NULL
      || !member->is_ready || !g_fork_member_is_idle (member))
    return 0;
  return member->idle_since;
}

/* Tells those to go that are too many, or have been idle for too long. */
static void
dismiss_surplus (GForkStaff *self)
{
  gint64 limit = g_get_monotonic_time ()
                 - g_fork_settings_get_time (self->settings, G_FORK_SETTING_IDLE_TIMEOUT);

  for (guint i = self->settings[G_FORK_SETTING_MIN_WORKERS]; i < self->slots->len; i++)
    {
      GForkMember *member = get_member (self, i);
      gint64 idle_since = get_idle_since (self, i);

      if (member != NULL
          && (i >= self->settings[G_FORK_SETTING_MAX_WORKERS]
              || (idle_since != 0 && idle_since <= limit)))
        g_fork_member_dismiss (member);
    }
}

static gboolean
all_are_ready (GForkStaff *self)
{
  for (guint i = 0; i < self->settings[G_FORK_SETTING_MIN_WORKERS]; i++)
    {
      GForkMember *member = get_member (self, i);

      if (!g_fork_restarts_is_spent (self->restarts, i)
          && (member == NULL || !member->is_ready))
        return FALSE;
    }
  return TRUE;
}

/* Whether no worker is left, and the restart policy wants no other one. */
static gboolean
is_done (GForkStaff *self)
{
  guint n_slots = g_fork_jobs_get_n_waiting (self->jobs) > 0
                      ? self->settings[G_FORK_SETTING_MAX_WORKERS]
                      : MAX (self->settings[G_FORK_SETTING_MIN_WORKERS], 1);

  if (self->members->len > 0)
    return FALSE;

  for (guint i = 0; i < n_slots; i++)
    if (!g_fork_restarts_is_spent (self->restarts, i))
      return FALSE;
  return TRUE;
}

static void
keep_up (GForkStaff *self)
{
  for (guint i = 0; i < self->settings[G_FORK_SETTING_MIN_WORKERS]; i++)
    start_in (self, i);
  dismiss_surplus (self);

  if (self->replacement != NULL && is_replaceable (self->replacement))
    replace (self);
  if (self->state == G_FORK_POOL_STATE_STARTING && all_are_ready (self))
    {
      set_state (self, G_FORK_POOL_STATE_RUNNING);
      finish_all (&self->starts, NULL);
    }
  if (is_done (self))
    end_work (self, G_FORK_POOL_STATE_STOPPED);
}

/* Does what follows from the state, the settings and the time. */
void
g_fork_staff_supervise (GForkStaff *self)
{
  gint64 now = g_get_monotonic_time ();

  /* One that has ended may be removed, and then the last one is in its place. */
  for (guint i = self->members->len; i > 0; i--)
    g_fork_member_expire (g_ptr_array_index (self->members, i - 1), now);

  if (is_up (self))
    keep_up (self);
  if (self->state == G_FORK_POOL_STATE_STOPPING && self->members->len == 0)
    set_state (self, G_FORK_POOL_STATE_STOPPED);
  if (self->state == G_FORK_POOL_STATE_STOPPED)
    finish_all (&self->stops, NULL);
}

/* When there will be something to do although nothing happens. */
gint64
g_fork_staff_get_deadline (GForkStaff *self)
{
  gint64 timeout = g_fork_settings_get_time (self->settings, G_FORK_SETTING_IDLE_TIMEOUT);
  gint64 now = g_get_monotonic_time ();
  gint64 deadline = G_MAXINT64;

  for (guint i = 0; i < self->members->len; i++)
    deadline = MIN (deadline, g_fork_member_get_deadline (g_ptr_array_index (self->members, i)));

  for (guint i = 0; is_up (self) && i < self->slots->len; i++)
    {
      gint64 start_at = g_fork_restarts_get_start_at (self->restarts, i);
      gint64 idle_since = get_idle_since (self, i);

      if (get_member (self, i) == NULL && start_at > now
          && !g_fork_restarts_is_spent (self->restarts, i))
        deadline = MIN (deadline, start_at);
      if (idle_since != 0)
        deadline = MIN (deadline, idle_since + timeout);
    }

  return deadline;
}
