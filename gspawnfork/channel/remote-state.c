/* remote-state.c: the state of a template process, and how its operations are ended
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "channel/remote-private.h"

#include "base/debug.h"
#include "base/error.h"
#include "channel/log.h"
#include "channel/spares.h"

#include <glib/gi18n-lib.h>
#include <unistd.h>

GForkRemote *
g_fork_remote_ref (GForkRemote *remote)
{
  g_atomic_ref_count_inc (&remote->ref_count);
  return remote;
}

void
g_fork_remote_unref (GForkRemote *remote)
{
  /* What was inherited from the process that this one was forked from is not touched. */
  if (!g_atomic_ref_count_dec (&remote->ref_count) || !g_fork_channel_is_ours (remote->channel))
    return;

  if (remote->untold != NULL)
    g_warning ("A template was dropped, and nobody has asked for its error: %s",
               remote->untold->message);

  g_fork_channel_free (remote->channel);
  g_clear_pointer (&remote->children, g_hash_table_unref);
  g_clear_pointer (&remote->child, g_fork_child_unref);
  g_clear_pointer (&remote->parent, g_fork_remote_unref);
  g_clear_pointer (&remote->identity, g_fork_identity_free);
  g_clear_pointer (&remote->spares, g_fork_spares_free);
  g_clear_pointer (&remote->log, g_fork_log_free);
  g_strfreev (remote->words);
  g_fork_trace_clear (&remote->trace);
  g_clear_error (&remote->error);
  g_clear_error (&remote->reported);
  g_clear_error (&remote->untold);
  g_clear_error (&remote->heard);
  g_free (remote->hint);
  g_free (remote->program);
  g_free (remote);
}

gpointer
g_fork_remote_ref_owner (gpointer remote)
{
  return g_fork_remote_ref (remote);
}

void
g_fork_remote_unref_owner (gpointer remote)
{
  g_fork_remote_unref (remote);
}

/* Returns the first template above this process, which was executed or forked by the
 * application. */
GForkRemote *
g_fork_remote_get_root (GForkRemote *remote)
{
  while (remote->parent != NULL)
    remote = remote->parent;
  return remote;
}

void
g_fork_remote_lock (GForkRemote *remote)
{
  g_fork_channel_lock (remote->channel);
}

void
g_fork_remote_unlock (GForkRemote *remote)
{
  g_fork_channel_unlock (remote->channel);
}

/* Calls @func when the lock is released, with a reference to the remote process that it takes. */
void
g_fork_remote_defer (GForkRemote    *remote,
                     GDestroyNotify  func)
{
  g_fork_channel_defer (remote->channel, func, g_fork_remote_ref (remote));
}

/* The error of operations on a template that has ended. It says what has ended it. */
static GError *
ended_error (GForkRemote *remote)
{
  if (!remote->claimed)
    return g_fork_remote_closed_error ();

  switch (remote->claim)
    {
    case G_FORK_AWAIT_READY:
      return g_fork_reason_new (G_FORK_ERROR_CLOSED,
                                _("the template was run before; fork it for each worker, and run "
                                  "the forks"));
    case G_FORK_AWAIT_EXECUTED:
      return g_fork_reason_new (G_FORK_ERROR_CLOSED,
                                _("the template was executed before; fork it for each program, "
                                  "and execute the forks"));
    default:
      return g_fork_reason_new (G_FORK_ERROR_CLOSED, _("the template was detached before"));
    }
}

/* Returns why no operation can begin; %NULL if one can, as the process is in @state, or has just
 * died and the cause is not known yet. */
GError *
g_fork_remote_refusal (GForkRemote *remote,
                       State        state)
{
  const gboolean failed = remote->error != NULL
                          && (!remote->claimed || remote->error->code != G_FORK_ERROR_CLOSED);

  if (!remote->closed && failed)
    {
      g_fork_remote_set_told (remote);
      return g_error_copy (remote->error);
    }
  if (remote->closed || failed || (remote->state != state && remote->ended_at == 0))
    return ended_error (remote);
  return NULL;
}

GError *
g_fork_remote_ended_error (GForkRemote *remote)
{
  GError *error;

  if (!g_fork_channel_is_ours (remote->channel))
    return g_fork_remote_inherited_error ();

  g_fork_remote_lock (remote);
  error = ended_error (remote);
  g_fork_remote_unlock (remote);
  return error;
}

GError *
g_fork_remote_closed_error (void)
{
  return g_fork_reason_new (G_FORK_ERROR_CLOSED, _("the template was closed"));
}

GError *
g_fork_remote_inherited_error (void)
{
  return g_fork_reason_new (G_FORK_ERROR_LOST,
                            _("the template belongs to the process that this one was forked from"));
}

GError *
g_fork_remote_too_long_error (gsize length)
{
  return g_fork_reason_new (G_FORK_ERROR_FAILED,
                            _("%zu bytes are more than the %d that a command may have"), length,
                            GFORK_MAX_PAYLOAD);
}

/* Names the process at the other end in the middle of a sentence. */
char *
g_fork_remote_name_process (GForkRemote *remote)
{
  if (remote->program != NULL)
    return g_strdup_printf (_("the helper “%s”"), remote->program);
  return g_strdup (remote->children != NULL ? _("the template") : _("the process"));
}

/* To be called after the process was sent something. Sends the FORK that makes the process, if
 * the templates above hold it back. */
void
g_fork_remote_release (GForkRemote *remote)
{
  for (GForkRemote *above = remote->parent; above != NULL; above = above->parent)
    {
      gsize n_fds;

      if (!g_fork_channel_is_ours (above->channel))
        return;
      g_fork_remote_lock (above);
      if (g_fork_channel_n_unsent (above->channel, &n_fds) > 0)
        g_fork_channel_flush (above->channel);
      g_fork_remote_unlock (above);
    }
}

static void
print_error (gpointer message)
{
  g_fork_debug ("error: %s", (const char *) message);
  g_free (message);
}

static gboolean
is_same_error (const GError *error,
               const GError *other)
{
  return error != NULL && other != NULL
         && g_error_matches (error, other->domain, other->code)
         && g_str_equal (error->message, other->message);
}

/* Forgets the error of a process that the user knows from a fork, of it or of a template above. */
static void
forget_heard (gpointer data)
{
  g_autoptr (GForkRemote) remote = data;
  g_autoptr (GError) untold = NULL;
  gboolean heard = FALSE;

  g_fork_remote_lock (remote);
  if (remote->untold != NULL)
    untold = g_error_copy (remote->untold);
  g_fork_remote_unlock (remote);

  for (GForkRemote *above = remote; above != NULL && !heard; above = above->parent)
    if (g_fork_channel_is_ours (above->channel))
      {
        g_fork_remote_lock (above);
        heard = is_same_error (above->heard, untold);
        g_fork_remote_unlock (above);
      }

  g_fork_remote_lock (remote);
  if (heard)
    g_clear_error (&remote->untold);
  g_fork_remote_unlock (remote);
}

/* Remembers why a command has failed, until an operation fails with it. */
void
g_fork_remote_set_untold (GForkRemote  *remote,
                          const GError *error)
{
  if (g_fork_debug_is_enabled ())
    g_fork_channel_defer (remote->channel, print_error, g_strdup (error->message));
  if (!remote->told && remote->untold == NULL)
    {
      remote->untold = g_error_copy (error);
      g_fork_remote_defer (remote, forget_heard);
    }
}

static void
tell_parent (gpointer data)
{
  g_autoptr (GForkRemote) remote = data;
  GForkRemote *parent = remote->parent;

  if (!g_fork_channel_is_ours (parent->channel))
    return;

  g_fork_remote_lock (parent);
  g_fork_remote_set_told (parent);
  g_fork_remote_unlock (parent);
}

/* A template in which a command has failed refuses its forks with that error. */
static void
tell_templates (gpointer data)
{
  g_autoptr (GForkRemote) remote = data;
  g_autoptr (GError) error = NULL;

  g_fork_remote_lock (remote);
  error = g_error_copy (remote->reported);
  g_fork_remote_unlock (remote);

  for (GForkRemote *above = remote->parent; above != NULL; above = above->parent)
    if (g_fork_channel_is_ours (above->channel))
      {
        g_fork_remote_lock (above);
        if (above->heard == NULL)
          above->heard = g_error_copy (error);
        if (is_same_error (above->untold, error))
          g_clear_error (&above->untold);
        g_fork_remote_unlock (above);
      }
}

/* An operation fails with the error of a command, so the user knows of it. A process that was
 * never made has that error from its template, for which it counts as well. */
void
g_fork_remote_set_told (GForkRemote *remote)
{
  remote->told = TRUE;
  g_clear_error (&remote->untold);
  if (remote->parent == NULL)
    return;
  if (remote->reported != NULL)
    g_fork_remote_defer (remote, tell_templates);
  else if (!remote->answered && remote->error != NULL && remote->error->domain == G_FORK_ERROR)
    g_fork_remote_defer (remote, tell_parent);
}

static void
set_orphan (gpointer data)
{
  g_autoptr (GForkChild) child = data;

  g_fork_child_set_orphan (child);
}

static void
leave_process (gpointer data)
{
  g_autoptr (GForkRemote) remote = data;
  g_autoptr (GForkRemote) listening G_GNUC_UNUSED = NULL;

  listening = g_fork_child_set_end_func (remote->child, NULL, NULL);
  g_fork_child_leave (remote->child);
}

void
g_fork_remote_end_spares (gpointer data)
{
  g_autoptr (GForkRemote) remote = data;
  GForkSpares *spares = g_atomic_pointer_get (&remote->spares);

  if (spares != NULL)
    g_fork_spares_end (spares);
}

void
g_fork_remote_finish (GForkRemote    *remote,
                      GForkOperation *operation)
{
  g_fork_channel_defer (remote->channel, g_fork_operation_return, operation);
}

/* It is no template any more: as the application has wanted, or because of @error. */
static void
finish_waiting (GForkRemote  *remote,
                const GError *error)
{
  GForkOperation *operation;

  while ((operation = g_queue_pop_head (&remote->waiting)) != NULL)
    {
      if (error != NULL && error->code != G_FORK_ERROR_CLOSED)
        {
          g_fork_remote_set_told (remote);
          g_fork_operation_fail (operation, g_error_copy (error));
        }
      else
        g_fork_operation_succeed (operation, -1, NULL);
      g_fork_remote_finish (remote, operation);
    }
}

/* The process leaves the state OPEN for ever, so it is not forked again and needs no log. */
void
g_fork_remote_set_state (GForkRemote *remote,
                         State        state)
{
  remote->state = state;
  if (state != GONE)
    finish_waiting (remote, NULL);
  if (remote->log != NULL)
    g_fork_log_clear (remote->log);
}

/* Ends the connection. Returns the socket, for the caller to close or to hand out. */
int
g_fork_remote_take_socket (GForkRemote *remote)
{
  g_fork_remote_set_state (remote, GONE);
  if (remote->children != NULL)
    {
      GHashTableIter iter;
      gpointer child;

      g_hash_table_iter_init (&iter, remote->children);
      while (g_hash_table_iter_next (&iter, NULL, &child))
        {
          g_hash_table_iter_steal (&iter);
          g_fork_channel_defer (remote->channel, set_orphan, child);
        }
    }
  if (remote->child != NULL && g_fork_child_is_direct (remote->child))
    g_fork_remote_defer (remote, leave_process);
  if (g_atomic_pointer_get (&remote->spares) != NULL)
    g_fork_remote_defer (remote, g_fork_remote_end_spares);
  return g_fork_channel_take_fd (remote->channel);
}

void
g_fork_remote_close_socket (GForkRemote *remote)
{
  int fd = g_fork_remote_take_socket (remote);

  if (fd >= 0)
    close (fd);
}

/* Takes the error. */
void
g_fork_remote_fail_operations (GForkRemote *remote,
                               GError      *error)
{
  GForkOperation *operation;

  while ((operation = g_queue_pop_head (&remote->operations)) != NULL)
    {
      if (!g_fork_operation_is_cancelled (operation))
        g_fork_remote_set_told (remote);
      g_fork_operation_fail (operation, g_error_copy (error));
      g_fork_remote_finish (remote, operation);
    }
  finish_waiting (remote, error);
  g_error_free (error);
}

/* Fails all operations with the error that there was before, or else with @error. Takes it. */
void
g_fork_remote_end (GForkRemote *remote,
                   GError      *error)
{
  remote->ended_at = 0;
  if (remote->error == NULL)
    remote->error = g_error_copy (error);
  g_error_free (error);
  g_fork_remote_fail_operations (remote, g_error_copy (remote->error));
}

void
g_fork_remote_die (GForkRemote *remote,
                   GError      *error)
{
  g_fork_remote_close_socket (remote);
  g_fork_remote_end (remote, error);
}

static void
kill_process (gpointer data)
{
  g_autoptr (GForkChild) child = data;

  g_fork_child_force_exit (child);
}

/* Kills a process that may be in its function, or may be about to enter it. If READY has come,
 * it says which process that is. If not, it cannot come any more, since the socket is shut down,
 * and the process leaves when it cannot send it. So no process remains, even if its template has
 * died and cannot kill it. */
void
g_fork_remote_condemn (GForkRemote *remote)
{
  if (remote->child == NULL || !g_fork_channel_is_open (remote->channel))
    return;

  remote->condemned = TRUE;
  g_fork_channel_stop (remote->channel);
  g_fork_channel_defer (remote->channel, kill_process, g_fork_child_ref (remote->child));
}
