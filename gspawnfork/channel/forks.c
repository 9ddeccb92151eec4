/* forks.c: the same socket: forks of the template at its other end, and spares
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "channel/internal.h"

#include "gforkerror-private.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* After so many forks the ends that were reported are read, so that the reports
 * do not pile up in the template if nobody waits for any. */
#define FORKS_BETWEEN_READS 32

/* Longer names of functions are looked for by every fork. */
#define MAX_HINT 64

/* Room for the reports of a hundred ends. */
#define READER_SIZE 4096

/* ——— Forks ——— */

/* Templates are mostly forked to run the same function again and again. Told its
 * name, they look for it once, and not in every fork. */
static void
append_fork (GForkChannel *parent,
             guint32       id,
             int           fd)
{
  char payload[sizeof id + MAX_HINT];
  gsize length = sizeof id;

  memcpy (payload, &id, sizeof id);
  if (parent->hint_is_news)
    {
      length += g_strlcpy (payload + sizeof id, parent->hint, MAX_HINT) + 1;
      parent->hint_is_news = FALSE;
    }
  g_fork_queue_append (&parent->queue, GFORK_FORK, payload, length, &fd, 1);
}

void
g_fork_channel_take_hint (GForkChannel *parent,
                          const char   *function)
{
  g_mutex_lock (&parent->lock);
  if (g_strcmp0 (parent->hint, function) != 0 && strlen (function) < MAX_HINT)
    {
      g_free (parent->hint);
      parent->hint = g_strdup (function);
      parent->hint_is_news = TRUE;
    }
  g_mutex_unlock (&parent->lock);
}

/* The channel of a new process that is told what the one of @parent was told. */
static GForkChannel *
new_replayed (GForkChannel *parent)
{
  GForkLog *log = NULL;
  GForkChannel *channel;
  GError *error;

  g_mutex_lock (&parent->lock);
  error = g_fork_channel_refusal (parent);
  if (error == NULL)
    log = g_fork_log_copy (parent->log);
  g_mutex_unlock (&parent->lock);

  if (error != NULL)
    return g_fork_channel_new_failed (error);

  channel = g_fork_log_replay (log);
  channel->module_path = g_atomic_int_get (&parent->module_path);
  channel->mapped = g_fork_channel_get_mapped (parent);
  return channel;
}

/* The channel of a new process, which the template at the other end of @parent is
 * told to fork. It can be written to at once. */
GForkChannel *
g_fork_channel_new_child (GForkChannel *parent)
{
  GForkChannel *channel;
  GForkChild *child;
  Actions actions = { 0 };
  GError *error = NULL;
  guint32 id;
  int fds[2];

  if (!g_fork_channel_is_ours (parent))
    return g_fork_channel_new_failed (g_fork_channel_inherited_error ());
  if (parent->log != NULL)
    return new_replayed (parent);

  g_fork_child_sweep ();

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
    return g_fork_channel_new_failed (g_fork_error_new_for (G_FORK_ERROR_FORK, GFORK_FORK, "",
                                                            g_strerror (errno)));

  g_mutex_lock (&parent->lock);
  error = g_fork_channel_refusal (parent);
  if (error != NULL)
    {
      g_mutex_unlock (&parent->lock);
      close (fds[0]);
      close (fds[1]);
      return g_fork_channel_new_failed (error);
    }

  if (parent->children == NULL)
    {
      parent->children = g_hash_table_new_full (NULL, NULL, NULL,
                                                (GDestroyNotify) g_fork_child_unref);
      if (parent->reader.start == parent->reader.end)
        {
          gfork_reader_clear (&parent->reader);
          parent->large_memory = g_malloc (READER_SIZE);
          gfork_reader_init (&parent->reader, parent->large_memory, READER_SIZE,
                             parent->control, sizeof parent->control);
          parent->reader.can_lose_fds = true;
        }
    }

  id = parent->next_id++;
  child = g_fork_child_new_forked (parent, id);
  g_hash_table_insert (parent->children, GUINT_TO_POINTER (id), g_fork_child_ref (child));
  append_fork (parent, id, fds[1]);
  if (id % FORKS_BETWEEN_READS == FORKS_BETWEEN_READS - 1)
    g_fork_channel_read (parent, FALSE, &actions);
  g_fork_channel_flush_and_watch (parent);
  g_mutex_unlock (&parent->lock);

  g_fork_channel_take_actions (parent, &actions);

  channel = g_fork_channel_new (fds[0], child);
  channel->parent = g_fork_channel_ref (parent);
  channel->module_path = g_atomic_int_get (&parent->module_path);
  channel->mapped = g_fork_channel_get_mapped (parent);
  g_fork_child_unref (child);
  return channel;
}

/* Are there processes that only this template can reap? */
gboolean
g_fork_channel_has_children (GForkChannel *channel)
{
  gboolean has;

  if (!g_fork_channel_is_ours (channel))
    return FALSE;

  g_mutex_lock (&channel->lock);
  has = channel->children != NULL;
  g_mutex_unlock (&channel->lock);
  if (!has)
    return FALSE;

  /* Some may have ended meanwhile. */
  g_fork_channel_pump (channel, FALSE);

  g_mutex_lock (&channel->lock);
  has = g_hash_table_size (channel->children) > 0;
  g_mutex_unlock (&channel->lock);
  return has;
}

/* ——— Spares ——— */

static GForkSpares *
get_spares (GForkChannel *channel)
{
  return g_atomic_pointer_get (&channel->spares);
}

void
g_fork_channel_discard_spares (GForkChannel *channel)
{
  GForkSpares *spares = get_spares (channel);

  if (spares != NULL)
    g_fork_spares_discard (spares);
}

void
g_fork_channel_end_spares (GForkChannel *channel)
{
  GForkSpares *spares = get_spares (channel);

  if (spares != NULL)
    g_fork_spares_end (spares);
}

void
g_fork_channel_refill_spares (GForkChannel *channel)
{
  GForkSpares *spares = channel != NULL ? get_spares (channel) : NULL;

  if (spares != NULL && g_fork_channel_is_ours (channel))
    g_fork_spares_refill (spares, channel);
}

/* The channel of a process that is as if it were forked now: a spare or a new one. */
GForkChannel *
g_fork_channel_fork (GForkChannel *parent)
{
  GForkSpares *spares = get_spares (parent);
  GForkChannel *channel;

  if (spares == NULL || !g_fork_channel_is_ours (parent)
      || (channel = g_fork_spares_take (spares)) == NULL)
    channel = g_fork_channel_new_child (parent);

  return channel;
}

void
g_fork_channel_set_spares (GForkChannel *channel,
                           guint         wanted)
{
  if (!g_fork_channel_is_ours (channel))
    return;

  if (get_spares (channel) == NULL)
    {
      GForkSpares *spares = g_fork_spares_new ();

      if (!g_atomic_pointer_compare_and_exchange (&channel->spares, NULL, spares))
        g_fork_spares_free (spares);
    }

  g_fork_spares_set_wanted (get_spares (channel), wanted);
  g_fork_channel_refill_spares (channel);
}
