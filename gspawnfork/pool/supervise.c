/* supervise.c: which workers a pool has: starting, restarting, stopping, replacing
 *
 * A pool has slots, each of which may hold a worker of the current template. A worker
 * that has to end leaves its slot at once, and the crew when its process has ended.
 *
 *   STOPPED ─start→ STARTING ─all ready→ RUNNING ─stop→ STOPPING ─none left→ STOPPED
 *                      └───────┬────────────┘
 *          too many early ends, a lost template → FAILED ─start→ STARTING, ─stop→ STOPPING
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "pool/crew.h"

#include "base/generation.h"
#include "gforkerror.h"

#include <glib/gi18n-lib.h>
#include <unistd.h>

/* A worker that ends within this of becoming ready has ended early. */
#define EARLY (1 * G_USEC_PER_SEC)

/* Workers that were up together, and end within this, have one cause. */
#define TOGETHER (100 * G_TIME_SPAN_MILLISECOND)

/* ——— Slots ——— */

/* The pointer is valid until the next call. */
GForkSlot *
g_fork_crew_get_slot (GForkCrew *self,
                      guint      index)
{
  if (index >= self->slots->len)
    g_array_set_size (self->slots, index + 1);
  return &g_array_index (self->slots, GForkSlot, index);
}

static gboolean
may_start (const GForkSlot *slot,
           gint64           now)
{
  return slot->member == NULL && !slot->is_spent && slot->start_at <= now;
}

static void
start_in (GForkCrew *self,
          guint      index)
{
  GForkMember *member = g_fork_member_new (self, index, FALSE);

  g_fork_crew_get_slot (self, index)->member = member;
}

/* Starts a worker in the first slot that may have one, for what waits. */
gboolean
g_fork_crew_start_one (GForkCrew *self)
{
  gint64 now = g_get_monotonic_time ();

  if (self->template_state != TEMPLATE_GOOD)
    return FALSE;

  for (guint i = 0; i < self->settings[G_FORK_SETTING_MAX_WORKERS]; i++)
    {
      GForkSlot *slot = g_fork_crew_get_slot (self, i);

      /* It closed its socket, and can be given nothing. */
      if (slot->member != NULL && slot->member->is_over && slot->member->kill_at == 0)
        {
          slot->member->kill_at = now + EARLY;
          self->is_dirty = TRUE;
        }
      if (may_start (slot, now))
        {
          start_in (self, i);
          return TRUE;
        }
    }

  return FALSE;
}

guint
g_fork_crew_count_coming (GForkCrew *self)
{
  guint n = 0;

  for (guint i = 0; i < self->slots->len; i++)
    {
      GForkMember *member = g_array_index (self->slots, GForkSlot, i).member;

      n += member != NULL && !member->is_ready;
    }
  return n;
}

/* ——— States ——— */

static void
set_state (GForkCrew      *self,
           GForkPoolState  state)
{
  if (self->state == state)
    return;

  self->state = state;
  self->is_dirty = TRUE;
  g_fork_crew_tell (self, G_FORK_NEWS_STATE, NULL, 0, NULL);
}

/* Why nothing is taken. */
GError *
g_fork_crew_closed_error (GForkCrew *self)
{
  if (self->state == G_FORK_POOL_STATE_FAILED)
    return g_error_copy (self->reason);
  return g_error_new_literal (G_FORK_ERROR, G_FORK_ERROR_CLOSED, _("The pool is not running"));
}

/* Neither starts nor takes anything any more, for that reason; or because it was stopped. */
static void
end_work (GForkCrew      *self,
          GForkPoolState  state)
{
  g_autoptr (GError) error = NULL;

  set_state (self, state);
  error = g_fork_crew_closed_error (self);
  g_fork_crew_fail_all (self, &self->waiting, error);
  g_fork_crew_fail_all (self, &self->starts, error);
  if (self->replacement != NULL)
    g_fork_crew_end_replacement (self, g_error_copy (error));
}

static void
fail (GForkCrew    *self,
      const GError *reason)
{
  if (self->state != G_FORK_POOL_STATE_STARTING && self->state != G_FORK_POOL_STATE_RUNNING)
    return;

  g_clear_error (&self->reason);
  self->reason = g_error_copy (reason);
  end_work (self, G_FORK_POOL_STATE_FAILED);
  g_fork_crew_tell (self, G_FORK_NEWS_FAILED, NULL, 0, reason);

  /* Those that live are kept. */
  for (guint i = 0; i < self->members->len; i++)
    {
      GForkMember *member = g_ptr_array_index (self->members, i);

      if (member->process == NULL)
        g_fork_member_go (self, member);
    }
}

void
g_fork_crew_submit_start (GForkCrew    *self,
                          GForkPending *pending)
{
  switch (self->state)
    {
    case G_FORK_POOL_STATE_RUNNING:
      g_fork_pending_finish (pending, NULL);
      break;

    case G_FORK_POOL_STATE_STOPPING:
      g_fork_pending_finish (pending, g_error_new_literal (G_FORK_ERROR, G_FORK_ERROR_CLOSED,
                                                           _("The pool is being stopped")));
      break;

    case G_FORK_POOL_STATE_STOPPED:
    case G_FORK_POOL_STATE_FAILED:
      for (guint i = 0; i < self->slots->len; i++)
        {
          GForkSlot *slot = g_fork_crew_get_slot (self, i);

          slot->start_at = slot->delay = 0;
          slot->is_spent = FALSE;
        }
      g_array_set_size (self->early_ends, 0);
      g_clear_error (&self->reason);
      self->template_state = TEMPLATE_GOOD;
      set_state (self, G_FORK_POOL_STATE_STARTING);
      g_fork_pending_enqueue (pending, &self->starts);
      break;

    case G_FORK_POOL_STATE_STARTING:
      g_fork_pending_enqueue (pending, &self->starts);
      break;
    }
  self->is_dirty = TRUE;
}

void
g_fork_crew_submit_stop (GForkCrew    *self,
                         GForkPending *pending)
{
  gint64 deadline = g_get_monotonic_time () + self->settings[G_FORK_SETTING_STOP_TIMEOUT] * 1000LL;

  g_fork_pending_enqueue (pending, &self->stops);
  self->is_dirty = TRUE;
  if (self->state == G_FORK_POOL_STATE_STOPPING || self->state == G_FORK_POOL_STATE_STOPPED)
    return;

  end_work (self, G_FORK_POOL_STATE_STOPPING);
  for (guint i = 0; i < self->members->len; i++)
    {
      GForkMember *member = g_ptr_array_index (self->members, i);

      g_fork_member_go (self, member);
      if (member->process != NULL && (member->kill_at == 0 || member->kill_at > deadline))
        member->kill_at = deadline;
    }
}

/* ——— Restarting ——— */

/* Notes an early end. Returns whether there are too many of them. */
static gboolean
note_early_end (GForkCrew   *self,
                GForkMember *member)
{
  gint64 now = g_get_monotonic_time ();
  gint64 last = 0;

  while (self->early_ends->len > 0
         && g_array_index (self->early_ends, gint64, 0)
                < now - self->settings[G_FORK_SETTING_RESTART_WINDOW] * 1000LL)
    g_array_remove_index (self->early_ends, 0);

  if (self->early_ends->len > 0)
    last = g_array_index (self->early_ends, gint64, self->early_ends->len - 1);
  if (last == 0 || now - last > TOGETHER || member->forked_at >= last)
    g_array_append_val (self->early_ends, now);

  return self->settings[G_FORK_SETTING_MAX_RESTARTS] != G_MAXUINT
         && self->early_ends->len > self->settings[G_FORK_SETTING_MAX_RESTARTS];
}

/* Doubles the delay of a slot. So that workers that fail together are not started
 * together again and again, up to a quarter of it is left out at random. */
static void
back_off (GForkCrew *self,
          GForkSlot *slot)
{
  guint64 delay = slot->delay != 0 ? slot->delay * G_GUINT64_CONSTANT (2)
                                   : self->settings[G_FORK_SETTING_RESTART_DELAY];

  slot->delay = MIN (delay, self->settings[G_FORK_SETTING_MAX_RESTART_DELAY]);
  slot->start_at = g_get_monotonic_time ()
                   + (gint64) (slot->delay * g_random_double_range (750, 1000));
}

static void
on_early_end (GForkCrew   *self,
              GForkMember *member,
              const char  *end)
{
  g_autoptr (GError) error = NULL;

  back_off (self, g_fork_crew_get_slot (self, member->index));
  if (!note_early_end (self, member))
    return;

  error = g_error_new (G_FORK_ERROR, G_FORK_ERROR_FAILED,
                       _("Too many workers have ended early. The last one: %s"), end);
  fail (self, error);
}

/* It will not be started again. */
static void
fail_to_start (GForkCrew  *self,
               const char *end)
{
  g_autoptr (GError) error = g_error_new (G_FORK_ERROR, G_FORK_ERROR_FAILED,
                                          _("A worker has ended before it was ready: %s"), end);

  fail (self, error);
}

static gboolean
has_ended_early (const GForkMember *member)
{
  if (!member->is_ready)
    return TRUE;
  return g_get_monotonic_time () - member->ready_at < EARLY
         && (member->n_given == 0 || member->n_done == 0);
}

/* A worker has ended; or it must have, and nothing tells. */
void
g_fork_crew_on_ended (GForkCrew   *self,
                      GForkMember *member,
                      gboolean     is_known)
{
  GForkSlot *slot = g_fork_crew_get_slot (self, member->index);
  gboolean is_wanted = slot->member == member && !member->is_excused;
  gboolean is_fresh = member->is_fresh && !member->is_leaving;
  g_autofree char *end = g_fork_member_describe_end (self, member, is_known);
  gboolean has_succeeded = is_known && g_fork_process_get_if_exited (member->process)
                           && g_fork_process_get_exit_status (member->process) == 0;

  g_fork_crew_lose_jobs (self, member, is_known);

  if (is_fresh && self->replacement != NULL)
    g_fork_crew_end_replacement (self, g_error_new (G_FORK_ERROR, G_FORK_ERROR_FAILED,
                                                    _("A worker of the new template has ended: %s"),
                                                    end));
  else if (is_wanted && self->state != G_FORK_POOL_STATE_FAILED)
    {
      if (member->is_ready
          && g_get_monotonic_time () - member->ready_at >= self->settings[G_FORK_SETTING_RESTART_WINDOW] * 1000LL)
        slot->delay = 0;
      slot->start_at = 0;
      if (self->settings[G_FORK_SETTING_RESTART] == G_FORK_RESTART_NEVER
          || (self->settings[G_FORK_SETTING_RESTART] == G_FORK_RESTART_ON_FAILURE && has_succeeded))
        {
          slot->is_spent = TRUE;
          if (!member->is_ready && self->state == G_FORK_POOL_STATE_STARTING)
            fail_to_start (self, end);
        }
      else if (has_ended_early (member))
        on_early_end (self, member, end);
    }

  g_fork_member_remove (self, member);
}

/* ——— The template ——— */

static void
on_checked (GObject      *source,
            GAsyncResult *result,
            gpointer      data)
{
  GForkCrew *self = data;
  g_autoptr (GError) error = NULL;

  g_fork_template_prepare_finish (G_FORK_TEMPLATE (source), result, &error);

  g_fork_crew_lock (self);
  if (self->template_state == TEMPLATE_DOUBTED && self->template == (GForkTemplate *) source)
    {
      self->is_dirty = TRUE;
      if (!g_error_matches (error, G_FORK_ERROR, G_FORK_ERROR_LOST)
          && !g_error_matches (error, G_FORK_ERROR, G_FORK_ERROR_CLOSED))
        self->template_state = TEMPLATE_GOOD;
      else if (g_fork_crew_has_handler (self, "template-lost"))
        {
          self->template_state = TEMPLATE_LOST;
          g_fork_crew_tell (self, G_FORK_NEWS_TEMPLATE_LOST, NULL, 0, NULL);
        }
      else
        g_fork_crew_on_template (self, NULL);
    }
  g_fork_crew_unlock (self);
  g_fork_crew_unref (self);
}

/* An action: asks the template whether it is there. */
static void
check_template (GForkCrew *self,
                gpointer   template,
                guint64    number)
{
  g_fork_template_prepare_async (template, self->closing, on_checked, g_fork_crew_ref (self));
}

/* What has become of the question for a new template. Takes @template. */
void
g_fork_crew_on_template (GForkCrew     *self,
                         GForkTemplate *template)
{
  g_autoptr (GError) error = NULL;

  if (template != NULL)
    {
      g_fork_crew_discard (self, self->template);
      self->template = template;
      self->template_state = TEMPLATE_GOOD;
      self->is_dirty = TRUE;
      g_fork_crew_tell (self, G_FORK_NEWS_TEMPLATE, NULL, 0, NULL);
      return;
    }

  self->template_state = TEMPLATE_LOST;
  error = g_error_new (G_FORK_ERROR, G_FORK_ERROR_LOST,
                       _("The template of the workers that run the function “%s” is gone"),
                       self->function);
  fail (self, error);
}

/* A worker could not be started. */
void
g_fork_crew_on_not_run (GForkCrew    *self,
                        GForkMember  *member,
                        const GError *error)
{
  gboolean is_wanted = g_fork_crew_get_slot (self, member->index)->member == member;
  gboolean is_fresh = member->is_fresh && !member->is_leaving;

  if (is_fresh && self->replacement != NULL)
    g_fork_crew_end_replacement (self, g_error_copy (error));
  else if (is_wanted && (g_error_matches (error, G_FORK_ERROR, G_FORK_ERROR_LOST)
                         || g_error_matches (error, G_FORK_ERROR, G_FORK_ERROR_CLOSED)))
    {
      if (self->template_state == TEMPLATE_GOOD)
        {
          self->template_state = TEMPLATE_DOUBTED;
          g_fork_crew_act (self, check_template, g_object_ref (self->template), 0);
        }
      /* If it is there, the worker was killed while it was started. */
      back_off (self, g_fork_crew_get_slot (self, member->index));
      if (note_early_end (self, member))
        fail (self, error);
    }
  else if (is_wanted && self->state == G_FORK_POOL_STATE_STARTING)
    fail (self, error);
  else if (is_wanted)
    on_early_end (self, member, error->message);

  g_fork_member_remove (self, member);
}

/* ——— Replacing ——— */

void
g_fork_crew_submit_replace (GForkCrew    *self,
                            GForkPending *pending)
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
    if (g_fork_crew_get_slot (self, i)->member != NULL)
      n = MAX (n, i + 1);
  n = MIN (n, self->settings[G_FORK_SETTING_MAX_WORKERS]);

  self->replacement = g_new0 (GForkReplacement, 1);
  self->replacement->pending = pending;
  self->replacement->template = g_object_ref (pending->template);
  self->replacement->members = g_ptr_array_new ();
  for (guint i = 0; i < n; i++)
    g_ptr_array_add (self->replacement->members, g_fork_member_new (self, i, TRUE));
  self->is_dirty = TRUE;
}

static void
replacement_free (GForkCrew        *self,
                  GForkReplacement *replacement)
{
  g_fork_crew_discard (self, replacement->template);
  g_ptr_array_unref (replacement->members);
  g_free (replacement);
}

/* The old workers stay. Takes @error. */
void
g_fork_crew_end_replacement (GForkCrew *self,
                             GError    *error)
{
  GForkReplacement *replacement = g_steal_pointer (&self->replacement);

  for (guint i = 0; i < replacement->members->len; i++)
    g_fork_member_go (self, g_ptr_array_index (replacement->members, i));
  g_fork_pending_finish (replacement->pending, error);
  replacement_free (self, replacement);
}

static gboolean
is_replaceable (const GForkReplacement *replacement)
{
  for (guint i = 0; i < replacement->members->len; i++)
    if (!((GForkMember *) g_ptr_array_index (replacement->members, i))->is_ready)
      return FALSE;
  return TRUE;
}

/* From here on the new workers get what comes, and the old ones finish what they have. */
static void
replace (GForkCrew *self)
{
  GForkReplacement *replacement = g_steal_pointer (&self->replacement);

  g_fork_crew_discard (self, self->template);
  self->template = g_object_ref (replacement->template);
  self->template_state = TEMPLATE_GOOD;
  g_fork_crew_tell (self, G_FORK_NEWS_TEMPLATE, NULL, 0, NULL);

  for (guint i = 0; i < self->slots->len; i++)
    {
      GForkMember *old = g_fork_crew_get_slot (self, i)->member;

      if (old != NULL)
        {
          old->is_excused = TRUE;
          g_fork_member_go (self, old);
        }
      *g_fork_crew_get_slot (self, i) = (GForkSlot){ 0 };
    }

  for (guint i = 0; i < replacement->members->len; i++)
    {
      GForkMember *member = g_ptr_array_index (replacement->members, i);

      member->is_fresh = FALSE;
      g_fork_crew_get_slot (self, i)->member = member;
      g_fork_crew_on_free (self, member);
    }

  g_fork_pending_finish (replacement->pending, NULL);
  replacement_free (self, replacement);
}

/* ——— What there is to do ——— */

/* Carries out deadlines. */
static void
expire (GForkCrew *self,
        gint64     now)
{
  for (guint i = self->members->len; i > 0; i--)
    {
      GForkMember *member = g_ptr_array_index (self->members, i - 1);

      if (member->retry_at != 0 && member->retry_at <= now)
        g_fork_member_flush (self, member);
      if (member->kill_at == 0 || member->kill_at > now)
        continue;

      if (member->process != NULL && !member->is_killed)
        g_fork_member_kill (self, member);
      else if (member->process != NULL)
        g_fork_crew_on_ended (self, member, FALSE);
      else if (!member->is_run)
        g_fork_member_remove (self, member);
      else
        member->kill_at = 0;
      /* Removing has put the last one here, or has removed more than one. */
      i = MIN (i, self->members->len + 1);
    }
}

/* Tells those to go that are too many, or have been idle for too long. */
static void
dismiss_surplus (GForkCrew *self,
                 gint64     now)
{
  for (guint i = self->settings[G_FORK_SETTING_MIN_WORKERS]; i < self->slots->len; i++)
    {
      GForkMember *member = g_array_index (self->slots, GForkSlot, i).member;
      gboolean is_idle = member != NULL && member->is_ready && !member->is_lent
                         && g_queue_is_empty (&member->jobs);

      if (member == NULL)
        continue;
      if (i >= self->settings[G_FORK_SETTING_MAX_WORKERS]
          || (is_idle && self->settings[G_FORK_SETTING_IDLE_TIMEOUT] != 0
              && member->idle_since + self->settings[G_FORK_SETTING_IDLE_TIMEOUT] * 1000LL <= now))
        {
          member->is_excused = TRUE;
          g_fork_member_go (self, member);
        }
    }
}

static gboolean
all_are_ready (GForkCrew *self)
{
  for (guint i = 0; i < self->settings[G_FORK_SETTING_MIN_WORKERS]; i++)
    {
      GForkSlot *slot = g_fork_crew_get_slot (self, i);

      if (!slot->is_spent && (slot->member == NULL || !slot->member->is_ready))
        return FALSE;
    }
  return TRUE;
}

/* Whether no worker is left, and the restart policy wants no other one. */
static gboolean
is_done (GForkCrew *self)
{
  guint n_slots = self->waiting.head != NULL ? self->settings[G_FORK_SETTING_MAX_WORKERS]
                                             : MAX (self->settings[G_FORK_SETTING_MIN_WORKERS], 1);

  if (self->members->len > 0)
    return FALSE;

  for (guint i = 0; i < n_slots; i++)
    if (!g_fork_crew_get_slot (self, i)->is_spent)
      return FALSE;
  return TRUE;
}

static void
keep_up (GForkCrew *self,
         gint64     now)
{
  if (self->template_state == TEMPLATE_GOOD)
    {
      for (guint i = 0; i < self->settings[G_FORK_SETTING_MIN_WORKERS]; i++)
        if (may_start (g_fork_crew_get_slot (self, i), now))
          start_in (self, i);
    }
  dismiss_surplus (self, now);

  if (self->replacement != NULL && is_replaceable (self->replacement))
    replace (self);
  if (self->state == G_FORK_POOL_STATE_STARTING && all_are_ready (self))
    {
      set_state (self, G_FORK_POOL_STATE_RUNNING);
      g_fork_crew_fail_all (self, &self->starts, NULL);
    }
  if (is_done (self))
    end_work (self, G_FORK_POOL_STATE_STOPPED);
}

/* Does what follows from the state, the settings and the time. */
void
g_fork_crew_supervise (GForkCrew *self,
                       gint64     now)
{
  expire (self, now);

  switch (self->state)
    {
    case G_FORK_POOL_STATE_STARTING:
    case G_FORK_POOL_STATE_RUNNING:
      keep_up (self, now);
      break;

    case G_FORK_POOL_STATE_STOPPING:
      if (self->members->len == 0)
        set_state (self, G_FORK_POOL_STATE_STOPPED);
      break;

    case G_FORK_POOL_STATE_STOPPED:
    case G_FORK_POOL_STATE_FAILED:
      break;
    }

  if (self->state == G_FORK_POOL_STATE_STOPPED)
    g_fork_crew_fail_all (self, &self->stops, NULL);
}

/* When there will be something to do although nothing happens. */
gint64
g_fork_crew_next_deadline (GForkCrew *self)
{
  gint64 now = g_get_monotonic_time ();
  gint64 deadline = G_MAXINT64;

  for (guint i = 0; i < self->members->len; i++)
    {
      GForkMember *member = g_ptr_array_index (self->members, i);

      if (member->kill_at != 0)
        deadline = MIN (deadline, member->kill_at);
      if (member->retry_at != 0)
        deadline = MIN (deadline, member->retry_at);
    }

  if (self->state != G_FORK_POOL_STATE_STARTING && self->state != G_FORK_POOL_STATE_RUNNING)
    return deadline;

  for (guint i = 0; i < self->slots->len; i++)
    {
      GForkSlot *slot = &g_array_index (self->slots, GForkSlot, i);

      if (slot->member == NULL && !slot->is_spent && slot->start_at > now)
        deadline = MIN (deadline, slot->start_at);
      else if (slot->member != NULL && i >= self->settings[G_FORK_SETTING_MIN_WORKERS]
               && self->settings[G_FORK_SETTING_IDLE_TIMEOUT] != 0 && slot->member->is_ready
               && g_queue_is_empty (&slot->member->jobs) && !slot->member->is_lent)
        deadline = MIN (deadline,
                        slot->member->idle_since + self->settings[G_FORK_SETTING_IDLE_TIMEOUT] * 1000LL);
    }

  return deadline;
}
