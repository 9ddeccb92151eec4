/* remote-forks.c: the processes that a template process forks, and spares
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "channel/remote-private.h"

#include "base/debug.h"
#include "base/error.h"
#include "base/upkeep.h"
#include "channel/log.h"
#include "channel/spares.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* After so many forks EXITED frames are read. They would pile up in the template if nobody waits
 * for a process. */
#define FORKS_BETWEEN_READS 32

/* A longer name of a function is not sent as a hint, so every fork looks for it. */
#define MAX_HINT 64

/* The id that a template process gives to children whose ends it does not report. */
#define NO_ID G_MAXUINT32

static gboolean
is_usable_spare (gpointer spare)
{
  return g_fork_remote_is_usable (spare);
}

static gpointer
fork_spare (gpointer remote)
{
  return g_fork_remote_fork_anew (remote);
}

/* Nobody knows of it, so nobody could have asked for its error. Its template has that, too. */
static void
drop_spare (gpointer spare)
{
  GForkRemote *remote = spare;

  if (g_fork_channel_is_ours (remote->channel))
    {
      g_fork_remote_lock (remote);
      remote->told = TRUE;
      g_clear_error (&remote->untold);
      g_fork_remote_unlock (remote);
    }
  g_fork_remote_disown (remote);
}

static const GForkSparesFuncs spares_funcs = {
  .fork = fork_spare,
  .is_usable = is_usable_spare,
  .drop = drop_spare,
};

static void
refill_spares (GForkRemote *remote)
{
  GForkSpares *spares = g_atomic_pointer_get (&remote->spares);

  if (spares != NULL && g_fork_channel_is_ours (remote->channel))
    g_fork_spares_refill (spares, remote);
}

/* Refills the spares of the process, and those of its template. */
void
g_fork_remote_refill_later (gpointer data)
{
  g_autoptr (GForkRemote) remote = data;

  refill_spares (remote);
  if (remote->parent != NULL)
    refill_spares (remote->parent);
}

void
g_fork_remote_set_spares (GForkRemote *remote,
                          guint        wanted)
{
  if (!g_fork_channel_is_ours (remote->channel))
    return;

  if (g_atomic_pointer_get (&remote->spares) == NULL)
    {
      GForkSpares *spares = g_fork_spares_new (&spares_funcs);

      if (!g_atomic_pointer_compare_and_exchange (&remote->spares, NULL, spares))
        g_fork_spares_free (spares);
    }

  g_fork_spares_set_wanted (g_atomic_pointer_get (&remote->spares), wanted);
  refill_spares (remote);
}

guint
g_fork_remote_get_spares (GForkRemote *remote)
{
  GForkSpares *spares = g_atomic_pointer_get (&remote->spares);

  return spares != NULL ? g_fork_spares_get_wanted (spares) : 0;
}

static void
send_again (gpointer     receiver,
            guint8       verb,
            const void  *payload,
            gsize        length,
            const int   *fds,
            gsize        n_fds,
            GError      *error)
{
  if (error != NULL)
    g_fork_remote_fail (receiver, error);
  else
    g_fork_remote_send (receiver, verb, payload, length, fds, n_fds);
}

/* Starts a process that is sent all that @parent was sent, in place of a fork that cannot be
 * made. */
static GForkRemote *
start_again (GForkRemote *parent)
{
  g_autoptr (GError) error = NULL;
  GForkLog *log = NULL;
  GForkRemote *remote;

  g_fork_remote_lock (parent);
  error = g_fork_remote_refusal (parent, OPEN);
  if (error == NULL)
    log = g_fork_log_copy (parent->log);
  /* The new one reports what fails in both. */
  g_fork_remote_set_told (parent);
  g_fork_remote_unlock (parent);
  if (error != NULL)
    return g_fork_remote_new_failed (g_steal_pointer (&error));

  remote = parent->start ((const char *const *) parent->words);
  g_fork_log_replay (log, send_again, remote);
  remote->module_path = g_atomic_int_get (&parent->module_path);
  remote->mapped = g_fork_remote_get_mapped (parent);
  g_fork_remote_set_starter (remote, parent->start, (const char *const *) parent->words);
  g_fork_remote_lock (remote);
  g_fork_log_free (remote->log);
  remote->log = log;
  g_fork_remote_unlock (remote);
  return remote;
}

static void
unref_child (gpointer child)
{
  g_fork_child_unref (child);
}

/* Returns an id that no child has whose end was not reported. */
static guint32
choose_id (GForkRemote *parent)
{
  while (parent->next_id == NO_ID
         || g_hash_table_contains (parent->children, GUINT_TO_POINTER (parent->next_id)))
    parent->next_id++;
  return parent->next_id++;
}

/* Templates are mostly forked to run the same function again and again. With its name they
 * look for it once, and not in every fork. An empty name says that a program is expected, and
 * what it needs has been sent. Takes the descriptor. */
static void
append_fork (GForkRemote *parent,
             guint32      id,
             int          fd)
{
  char payload[sizeof id + MAX_HINT];
  gsize length = sizeof id;

  memcpy (payload, &id, sizeof id);
  if (parent->hint_is_news)
    {
      length += g_strlcpy (payload + sizeof id, parent->hint, MAX_HINT) + 1;
      parent->hint_is_news = FALSE;
    }
  else if (parent->holds_forks)
    payload[length++] = '\0';
  g_fork_channel_append (parent->channel, GFORK_FORK, payload, length, &fd, 1);
}

void
g_fork_remote_take_hint (GForkRemote *parent,
                         const char  *function)
{
  if (!g_fork_channel_is_ours (parent->channel))
    return;

  g_fork_remote_lock (parent);
  if (g_strcmp0 (parent->hint, function) != 0 && strlen (function) < MAX_HINT)
    {
      g_free (parent->hint);
      parent->hint = g_strdup (function);
      parent->hint_is_news = TRUE;
    }
  g_fork_remote_unlock (parent);
}

/* Remembers how forks of @parent are used. If the last one has executed a program, the next ones
 * are made when they are sent something that has to be carried out at once: together with the
 * command to execute a program, most likely, so that the template need not make a fork for it.
 * A fork that is run, however, is better made as soon as possible. */
void
g_fork_remote_expect_forks (GForkRemote *parent,
                            GForkAwait   await)
{
  if (!g_fork_channel_is_ours (parent->channel))
    return;

  g_fork_remote_lock (parent);
  parent->holds_forks = await == G_FORK_AWAIT_EXECUTED;
  g_fork_remote_unlock (parent);
}

static gpointer
watch_reports (gpointer      reaper,
               GMainContext *context)
{
  return g_fork_channel_watch (((GForkRemote *) reaper)->channel, context);
}

static void
unwatch_reports (gpointer watch)
{
  g_fork_watch_release (watch);
}

static void
read_reports (gpointer reaper)
{
  g_fork_channel_pump (((GForkRemote *) reaper)->channel, TRUE);
}

static gboolean
kill_child (gpointer reaper,
            guint32  id,
            int      signum)
{
  GForkRemote *remote = reaper;
  struct gfork_kill frame = { .id = id, .signum = signum };

  read_reports (remote);
  if (g_fork_channel_has_ended (remote->channel))
    return FALSE;

  g_fork_remote_send (remote, GFORK_KILL, &frame, sizeof frame, NULL, 0);
  return TRUE;
}

static const GForkReaper reaper_funcs = {
  .ref = g_fork_remote_ref_owner,
  .unref = g_fork_remote_unref_owner,
  .watch = watch_reports,
  .unwatch = unwatch_reports,
  .read = read_reports,
  .kill = kill_child,
};

/* Has the template fork a process with this control socket, which is taken. With @can_wait FORK
 * may be held back until something else is sent to the template or to the new process. */
static GForkChild *
send_fork (GForkRemote  *parent,
           int           socket,
           gboolean      can_wait,
           GError      **error)
{
  GForkChild *child = NULL;
  gboolean flushed = FALSE;
  GError *refused;
  guint32 id;

  /* It may have died while nobody waited for anything that would have asked why. */
  g_fork_remote_settle (parent);

  g_fork_remote_lock (parent);
  refused = g_fork_remote_refusal (parent, OPEN);
  if (refused == NULL && !g_fork_channel_is_open (parent->channel))
    refused = g_fork_remote_lost_error (parent);
  if (refused == NULL)
    {
      if (parent->children == NULL)
        {
          parent->children = g_hash_table_new_full (NULL, NULL, NULL, unref_child);
          g_fork_channel_read_more (parent->channel);
        }

      id = choose_id (parent);
      child = g_fork_child_new_forked (&reaper_funcs, parent, id);
      g_hash_table_insert (parent->children, GUINT_TO_POINTER (id), g_fork_child_ref (child));
      append_fork (parent, id, socket);
      /* If a command has failed, the process refuses the fork with that error. */
      parent->unchecked = FALSE;
      if (id % FORKS_BETWEEN_READS == FORKS_BETWEEN_READS - 1)
        g_fork_channel_read (parent->channel);
      flushed = !can_wait || !parent->holds_forks;
      if (flushed)
        g_fork_channel_flush (parent->channel);
    }
  g_fork_remote_unlock (parent);

  if (flushed)
    g_fork_remote_release (parent);
  if (refused != NULL)
    {
      close (socket);
      g_propagate_error (error, refused);
    }
  return child;
}

/* Asks the template to fork a process, which can be written to at once. */
static GForkRemote *
fork_remote (GForkRemote *parent,
             gboolean     can_wait)
{
  g_autoptr (GForkChild) child = NULL;
  GForkRemote *remote;
  GError *error = NULL;
  int fds[2];

  if (!g_fork_channel_is_ours (parent->channel))
    return g_fork_remote_new_failed (g_fork_remote_inherited_error ());
  if (parent->start != NULL)
    return start_again (parent);

  g_fork_upkeep ();
  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
    return g_fork_remote_new_failed (g_fork_error_new_for (G_FORK_ERROR_FORK, GFORK_FORK, "",
                                                           g_strerror (errno)));

  child = send_fork (parent, fds[1], can_wait, &error);
  if (child == NULL)
    {
      close (fds[0]);
      return g_fork_remote_new_failed (error);
    }

  g_fork_debug ("process %d is forked", (int) g_fork_remote_get_pid (parent));
  remote = g_fork_remote_new (fds[0], child);
  remote->parent = g_fork_remote_ref (parent);
  remote->module_path = g_atomic_int_get (&parent->module_path);
  remote->mapped = g_fork_remote_get_mapped (parent);
  remote->confined = g_fork_remote_is_confined (parent);
  return remote;
}

GForkRemote *
g_fork_remote_fork_anew (GForkRemote *parent)
{
  return fork_remote (parent, FALSE);
}

/* Returns a fork of the template as it is now: a spare or a new process. */
GForkRemote *
g_fork_remote_fork (GForkRemote *parent)
{
  GForkSpares *spares = g_atomic_pointer_get (&parent->spares);
  GForkRemote *remote = NULL;

  if (spares != NULL && g_fork_channel_is_ours (parent->channel))
    remote = g_fork_spares_take (spares);
  return remote != NULL ? remote : fork_remote (parent, TRUE);
}
