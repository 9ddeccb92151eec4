/* restarts.c: whether, and when, a worker that has ended is replaced
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "pool/restarts.h"

#include "gforkpool.h"

/* A worker that ends within this of becoming ready has ended early. */
#define EARLY (1 * G_USEC_PER_SEC)

/* Workers that were up together, and end within this, have one cause. */
#define TOGETHER (100 * G_TIME_SPAN_MILLISECOND)

/* A place for a worker. The worker that replaces one has its place. */
typedef struct
{
  gint64 start_at; /* no worker is started here before that */
  guint delay;     /* of the last restart after an early end, in milliseconds */
  gboolean is_spent;
} Slot;

struct _GForkRestarts
{
  GForkSettings settings;
  GArray *slots;
  GArray *early_ends; /* times, of the restart window */
};

GForkRestarts *
g_fork_restarts_new (GForkSettings settings)
{
  GForkRestarts *self = g_new0 (GForkRestarts, 1);

  self->settings = settings;
  self->slots = g_array_new (FALSE, TRUE, sizeof (Slot));
  self->early_ends = g_array_new (FALSE, FALSE, sizeof (gint64));
  return self;
}

void
g_fork_restarts_free (GForkRestarts *self)
{
  g_array_unref (self->slots);
  g_array_unref (self->early_ends);
  g_free (self);
}

/* Begins anew: the workers are others. */
void
g_fork_restarts_forget (GForkRestarts *self)
{
  g_array_set_size (self->slots, 0);
}

/* Likewise, and forgets how many have ended. */
void
g_fork_restarts_reset (GForkRestarts *self)
{
  g_fork_restarts_forget (self);
  g_array_set_size (self->early_ends, 0);
}

/* The pointer is valid until the next call. */
static Slot *
get_slot (GForkRestarts *self,
          guint          index)
{
  if (index >= self->slots->len)
    g_array_set_size (self->slots, index + 1);
  return &g_array_index (self->slots, Slot, index);
}

gboolean
g_fork_restarts_is_spent (GForkRestarts *self,
                          guint          index)
{
  return index < self->slots->len && get_slot (self, index)->is_spent;
}

/* When a worker may be started in the slot: 0 for at once. */
gint64
g_fork_restarts_get_start_at (GForkRestarts *self,
                              guint          index)
{
  return index < self->slots->len ? get_slot (self, index)->start_at : 0;
}

/* Doubles the delay of a slot. So that workers that fail together are not started
 * together again and again, up to a quarter of it is left out at random. */
static void
back_off (GForkRestarts *self,
          Slot          *slot)
{
  guint64 delay = slot->delay != 0 ? slot->delay * G_GUINT64_CONSTANT (2)
                                   : self->settings[G_FORK_SETTING_RESTART_DELAY];

  slot->delay = MIN (delay, self->settings[G_FORK_SETTING_MAX_RESTART_DELAY]);
  slot->start_at = g_get_monotonic_time ()
                   + (gint64) (slot->delay * g_random_double_range (750, 1000));
}

/* A worker has ended early, or could not be started. */
GForkVerdict
g_fork_restarts_judge_early (GForkRestarts *self,
                             guint          index,
                             gint64         forked_at)
{
  gint64 window = g_fork_settings_get_time (self->settings, G_FORK_SETTING_RESTART_WINDOW);
  guint max_restarts = self->settings[G_FORK_SETTING_MAX_RESTARTS];
  gint64 now = g_get_monotonic_time ();
  gint64 last = 0;

  back_off (self, get_slot (self, index));

  while (self->early_ends->len > 0 && g_array_index (self->early_ends, gint64, 0) < now - window)
    g_array_remove_index (self->early_ends, 0);
  if (self->early_ends->len > 0)
    last = g_array_index (self->early_ends, gint64, self->early_ends->len - 1);
  if (last == 0 || now - last > TOGETHER || forked_at >= last)
    g_array_append_val (self->early_ends, now);

  return max_restarts != G_MAXUINT && self->early_ends->len > max_restarts
             ? G_FORK_VERDICT_FAIL
             : G_FORK_VERDICT_REPLACE;
}

/* A worker has ended that the pool has not ended. This is the one place that decides what
 * follows from that. */
GForkVerdict
g_fork_restarts_judge (GForkRestarts   *self,
                       guint            index,
                       const GForkLife *life)
{
  gint64 window = g_fork_settings_get_time (self->settings, G_FORK_SETTING_RESTART_WINDOW);
  gint64 age = life->ready_at != 0 ? g_get_monotonic_time () - life->ready_at : 0;
  GForkRestart policy = self->settings[G_FORK_SETTING_RESTART];
  Slot *slot = get_slot (self, index);

  slot->start_at = 0;
  if (life->ready_at != 0 && age >= window)
    slot->delay = 0;

  if (policy == G_FORK_RESTART_NEVER
      || (policy == G_FORK_RESTART_ON_FAILURE && life->has_succeeded))
    {
      slot->is_spent = TRUE;
      return G_FORK_VERDICT_SPENT;
    }
  if (life->ready_at == 0 || (age < EARLY && !life->has_worked))
    return g_fork_restarts_judge_early (self, index, life->forked_at);
  return G_FORK_VERDICT_REPLACE;
}
