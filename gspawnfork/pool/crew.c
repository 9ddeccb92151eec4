/* crew.c: the beginning and the end of a pool's inside, and its settings
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "pool/crew.h"

#include "base/generation.h"

#include <signal.h>

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

GForkCrew *
g_fork_crew_new (GForkPool     *pool,
                 GForkTemplate *template,
                 const char    *function,
                 GForkNewsFunc  on_news)
{
  GForkCrew *self = g_new0 (GForkCrew, 1);

  self->ref_count = 1;
  self->generation = g_fork_generation ();
  g_mutex_init (&self->lock);
  g_weak_ref_init (&self->pool, pool);
  self->on_news = on_news;
  self->template = g_object_ref (template);
  self->function = g_strdup (function);
  for (guint i = 0; i < G_FORK_N_SETTINGS; i++)
    self->settings[i] = defaults[i];
  self->settings[G_FORK_SETTING_MAX_WORKERS] = g_get_num_processors ();
  self->slots = g_array_new (FALSE, TRUE, sizeof (GForkSlot));
  self->early_ends = g_array_new (FALSE, FALSE, sizeof (gint64));
  self->by_serial = g_hash_table_new (g_int64_hash, g_int64_equal);
  self->members = g_ptr_array_new ();
  self->unsent = g_ptr_array_new ();
  self->closing = g_cancellable_new ();

  g_fork_crew_open_driver (self);
  return self;
}

GForkCrew *
g_fork_crew_ref (GForkCrew *self)
{
  g_atomic_int_inc (&self->ref_count);
  return self;
}

void
g_fork_crew_unref (GForkCrew *self)
{
  if (!g_atomic_int_dec_and_test (&self->ref_count))
    return;

  g_fork_crew_free_driver (self);
  g_object_unref (self->template);
  g_object_unref (self->closing);
  g_array_unref (self->slots);
  g_array_unref (self->early_ends);
  g_hash_table_unref (self->by_serial);
  g_ptr_array_unref (self->members);
  g_ptr_array_unref (self->unsent);
  g_clear_error (&self->reason);
  g_clear_error (&self->defect);
  g_free (self->function);
  g_weak_ref_clear (&self->pool);
  g_mutex_clear (&self->lock);
  g_free (self);
}

/* Kills the workers at once. Nobody waits for anything any more, as who does keeps the
 * pool. */
void
g_fork_crew_close (GForkCrew *self)
{
  /* They are not this process's, and neither is the epoll descriptor. */
  if (self->generation != g_fork_generation ())
    return;

  g_fork_crew_lock (self);
  self->is_closed = TRUE;
  self->state = G_FORK_POOL_STATE_STOPPED;
  while (self->members->len > 0)
    {
      GForkMember *member = g_ptr_array_index (self->members, self->members->len - 1);

      g_fork_member_end (self, member);
      g_fork_member_remove (self, member);
    }
  g_fork_crew_unlock (self);

  g_cancellable_cancel (self->closing);
  g_fork_crew_close_driver (self);
}

/* In a fork of the application, the lock may be held by a thread that is not there. */
static void
begin_look (GForkCrew *self)
{
  if (self->generation == g_fork_generation ())
    g_fork_crew_lock (self);
}

static void
end_look (GForkCrew *self)
{
  if (self->generation == g_fork_generation ())
    g_mutex_unlock (&self->lock);
}

GForkTemplate *
g_fork_crew_dup_template (GForkCrew *self)
{
  GForkTemplate *template;

  begin_look (self);
  template = g_object_ref (self->template);
  end_look (self);
  return template;
}

GForkPoolState
g_fork_crew_get_state (GForkCrew *self)
{
  GForkPoolState state;

  begin_look (self);
  state = self->state;
  end_look (self);
  return state;
}

guint
g_fork_crew_get_n_waiting (GForkCrew *self)
{
  guint n;

  begin_look (self);
  n = self->waiting.length;
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
  self->is_dirty = TRUE;
  /* The workers are not this process's. */
  if (self->generation == g_fork_generation ())
    g_fork_crew_unlock (self);
  return has_changed;
}
