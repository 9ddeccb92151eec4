/* gforkspares.c: forks of a template that are kept ready
 *
 * A spare is what a fork would be at this moment. As soon as the template is told
 * something, its spares are what a fork would have been, and are discarded: what
 * they would be told, too, might have effects outside that are wanted once.
 *
 * They are refilled when an answer has come and whoever awaited it has been called.
 * Earlier, the template would compete with the launch that has taken the spare;
 * later, a program that launches one process after another would run out of them.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "gforkspares-private.h"

struct _GForkSpares
{
  GMutex lock;
  guint wanted;
  GQueue ready; /* GForkChannel */
  gboolean ended;
};

GForkSpares *
g_fork_spares_new (void)
{
  GForkSpares *spares = g_new0 (GForkSpares, 1);

  g_mutex_init (&spares->lock);
  return spares;
}

void
g_fork_spares_free (GForkSpares *spares)
{
  g_assert (g_queue_is_empty (&spares->ready));
  g_mutex_clear (&spares->lock);
  g_free (spares);
}

static void
drop (GQueue *channels)
{
  GForkChannel *channel;

  while ((channel = g_queue_pop_head (channels)) != NULL)
    {
      g_fork_channel_unuse (channel);
      g_fork_channel_unref (channel);
    }
}

/* How many are to be kept from now on. Those that are too many go at once. */
void
g_fork_spares_set_wanted (GForkSpares *spares,
                          guint        wanted)
{
  GQueue excess = G_QUEUE_INIT;

  g_mutex_lock (&spares->lock);
  spares->wanted = wanted;
  while (spares->ready.length > wanted)
    g_queue_push_tail (&excess, g_queue_pop_head (&spares->ready));
  g_mutex_unlock (&spares->lock);

  drop (&excess);
}

/* The oldest spare that lives, which has had most time to get ready; %NULL if there
 * is none. */
GForkChannel *
g_fork_spares_take (GForkSpares *spares)
{
  GQueue dead = G_QUEUE_INIT;
  GForkChannel *channel;

  g_mutex_lock (&spares->lock);
  while ((channel = g_queue_pop_head (&spares->ready)) != NULL && g_fork_channel_is_dying (channel))
    g_queue_push_tail (&dead, channel);
  g_mutex_unlock (&spares->lock);

  drop (&dead);
  return channel;
}

/* Forks what is missing off the template at the other end of @channel. */
void
g_fork_spares_refill (GForkSpares  *spares,
                      GForkChannel *channel)
{
  g_mutex_lock (&spares->lock);
  while (!spares->ended && spares->ready.length < spares->wanted)
    {
      GForkChannel *spare = g_fork_channel_new_child (channel);

      if (!g_fork_channel_is_dying (spare))
        g_queue_push_tail (&spares->ready, spare);
      else
        {
          /* There is no use in trying again before there is an answer again. */
          g_fork_channel_unref (spare);
          break;
        }
    }
  g_mutex_unlock (&spares->lock);
}

void
g_fork_spares_discard (GForkSpares *spares)
{
  GQueue old;

  g_mutex_lock (&spares->lock);
  old = spares->ready;
  g_queue_init (&spares->ready);
  g_mutex_unlock (&spares->lock);

  drop (&old);
}

/* They end with the template. */
void
g_fork_spares_end (GForkSpares *spares)
{
  g_mutex_lock (&spares->lock);
  spares->ended = TRUE;
  g_mutex_unlock (&spares->lock);

  g_fork_spares_discard (spares);
}
