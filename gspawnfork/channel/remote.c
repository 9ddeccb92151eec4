/* remote.c: a template process as the application sees it
 *
 * Its state, the commands that it is sent, the operations that await its answers, and the
 * processes that it has forked and reports the ends of. The channel carries the frames; its
 * lock guards all that can change here.
 *
 * The files call each other in one direction: operations, forks, remote, answers, end, state.
 * Forks also call commands, which call state.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "channel/remote-private.h"

#include "channel/log.h"

/* A direct child has ended, so its socket is at its end, too. */
static void
on_process_ended (gpointer data)
{
  g_autoptr (GForkRemote) remote = data;

  g_fork_channel_pump (remote->channel, TRUE);
  g_fork_remote_settle (remote);
}

/* Takes the socket. @child is the process at its other end. */
GForkRemote *
g_fork_remote_new (int         fd,
                   GForkChild *child)
{
  GForkRemote *remote = g_new0 (GForkRemote, 1);

  g_atomic_ref_count_init (&remote->ref_count);
  remote->channel = g_fork_channel_new (fd, &g_fork_remote_channel_funcs, remote);
  remote->owners = 1;

  if (child != NULL)
    {
      remote->child = g_fork_child_ref (child);
      remote->pid = g_fork_child_get_pid (child);
      if (g_fork_child_is_direct (child))
        {
          remote->identity = g_fork_identity_new_current ();
          g_fork_child_set_end_func (child, on_process_ended, g_fork_remote_ref (remote));
        }
    }

  return remote;
}

/* Stands for a process that could not be made: all operations fail with @error, which it takes. */
GForkRemote *
g_fork_remote_new_failed (GError *error)
{
  GForkRemote *remote = g_fork_remote_new (-1, NULL);

  remote->state = GONE;
  remote->error = error;
  return remote;
}

/* The process is a program that was just executed, which is to say HELLO within so many
 * seconds, unless that is 0. To be called before anything else. */
void
g_fork_remote_set_program (GForkRemote *remote,
                           const char  *program,
                           guint        start_timeout)
{
  remote->program = g_filename_display_name (program);
  remote->start_timeout = start_timeout;
}

/* The process cannot be forked: the program is started again instead, and is sent what this
 * one was sent. */
void
g_fork_remote_set_starter (GForkRemote        *remote,
                           GForkStarter        start,
                           const char * const *words)
{
  g_fork_remote_lock (remote);
  remote->start = start;
  remote->words = g_strdupv ((char **) words);
  remote->log = g_fork_log_new ();
  g_fork_remote_unlock (remote);
}

/* Returns 0 if it is not known yet. It does not change when the process was run or has ended. */
pid_t
g_fork_remote_get_pid (GForkRemote *remote)
{
  pid_t pid;

  if (!g_fork_channel_is_ours (remote->channel))
    return remote->pid;

  g_fork_remote_lock (remote);
  pid = remote->pid;
  g_fork_remote_unlock (remote);
  return pid;
}

/* Whether the process has not ended, and can be prepared and forked. The socket alone may be
 * late to tell, since the template may still have a copy of its other end. */
gboolean
g_fork_remote_is_usable (GForkRemote *remote)
{
  gboolean open;

  if (!g_fork_channel_is_ours (remote->channel))
    return FALSE;

  g_fork_remote_lock (remote);
  open = remote->state == OPEN;
  g_fork_remote_unlock (remote);
  return open && !g_fork_channel_has_ended (remote->channel)
         && (remote->child == NULL || !g_fork_child_has_ended (remote->child));
}

/* Whether this application has started the process, or the one that it comes from by forks. */
gboolean
g_fork_remote_is_own (GForkRemote *remote)
{
  const GForkRemote *root = g_fork_remote_get_root (remote);

  return root->child == NULL || root->identity != NULL;
}

/* Whether the application still has the user and groups with which it was started. */
gboolean
g_fork_remote_has_our_identity (GForkRemote *remote)
{
  const GForkRemote *root = g_fork_remote_get_root (remote);

  return root->identity == NULL || g_fork_identity_is_current (root->identity);
}

/* Ends the template, because the user wants that. What it was sent before is still done, and the
 * process stays as long as it has children to reap. A process that is about to run is killed. */
void
g_fork_remote_close (GForkRemote *remote)
{
  if (!g_fork_channel_is_ours (remote->channel))
    return;

  g_fork_remote_end_spares (g_fork_remote_ref (remote));

  g_fork_remote_lock (remote);
  if (remote->state == OPEN)
    {
      g_fork_remote_fail_operations (remote, g_fork_remote_closed_error ());
      g_fork_remote_set_state (remote, CLOSED);
      remote->closed = TRUE;
      if (remote->unchecked)
        g_fork_channel_append (remote->channel, GFORK_SYNC, NULL, 0, NULL, 0);
      g_fork_channel_append (remote->channel, GFORK_CLOSE, NULL, 0, NULL, 0);
      g_fork_channel_flush (remote->channel);
      g_fork_channel_linger (remote->channel);
    }
  else if (remote->state == FINAL && !g_queue_is_empty (&remote->operations))
    {
      g_fork_remote_condemn (remote);
      g_fork_remote_die (remote, g_fork_remote_closed_error ());
    }
  g_fork_remote_unlock (remote);
  g_fork_remote_release (remote);
}

GForkRemote *
g_fork_remote_own (GForkRemote *remote)
{
  if (g_fork_channel_is_ours (remote->channel))
    {
      g_fork_remote_lock (remote);
      remote->owners++;
      g_fork_remote_unlock (remote);
    }
  return g_fork_remote_ref (remote);
}

void
g_fork_remote_disown (GForkRemote *remote)
{
  gboolean last = FALSE;

  if (g_fork_channel_is_ours (remote->channel))
    {
      g_fork_remote_lock (remote);
      last = --remote->owners == 0;
      g_fork_remote_unlock (remote);
    }
  if (last)
    g_fork_remote_close (remote);
  g_fork_remote_unref (remote);
}
