/* remote-end.c: why the connection to a template process has ended
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "channel/remote-private.h"

#include "base/error.h"

#include <errno.h>
#include <glib/gi18n-lib.h>
#include <string.h>
#include <sys/wait.h>

/* How long the cause of an end is looked for. A process that ends closes its socket a moment
 * before it can be reaped. */
#define CAUSE_PATIENCE_MS 1000

/* Returns the error of a process that has ended unexpectedly. @exited is %NULL if it is not
 * known how. */
static GError *
lost_error (GForkRemote               *remote,
            const struct gfork_exited *exited)
{
  g_autofree char *process = g_fork_remote_name_process (remote);
  g_autofree char *commands = g_fork_trace_describe (&remote->trace);
  g_autofree char *fact = NULL;
  gboolean unstarted = remote->program != NULL && !remote->answered;

  if (exited == NULL || exited->wait_status == -1)
    fact = g_strdup_printf (_("%s has ended unexpectedly"), process);
  else if (WIFSIGNALED (exited->wait_status))
    fact = g_strdup_printf (_("%s was killed by signal %d (%s)"), process,
                            WTERMSIG (exited->wait_status),
                            g_strsignal (WTERMSIG (exited->wait_status)));
  /* The C library, too, uses this status if it could not execute a program. */
  else if (unstarted && WEXITSTATUS (exited->wait_status) == 127)
    return g_fork_reason_new (G_FORK_ERROR_SPAWN, _("%s could not be executed"), process);
  else
    fact = g_strdup_printf (_("%s has ended unexpectedly, with exit status %d"), process,
                            WEXITSTATUS (exited->wait_status));

  /* It has not come to the commands that it was sent, so they are not named. */
  if (unstarted)
    return g_fork_reason_new (G_FORK_ERROR_SPAWN, "%s", fact);
  if (commands == NULL)
    return g_fork_reason_new (G_FORK_ERROR_LOST, "%s", fact);
  /* Translators: what has happened to a process, and a list of commands */
  return g_fork_reason_new (G_FORK_ERROR_LOST, _("%s, having been told: %s"), fact, commands);
}

/* Returns the error of a process that has died, if its cause is not known yet. */
GError *
g_fork_remote_lost_error (GForkRemote *remote)
{
  return lost_error (remote, NULL);
}

/* Returns the error of a template that has died, for a process that it has not forked any more;
 * %NULL if the template has left as it should. */
static GError *
copy_cause (GForkRemote *remote)
{
  GError *error = NULL;

  g_fork_remote_lock (remote);
  if (remote->reported != NULL)
    error = g_error_copy (remote->reported);
  else if (remote->state == GONE && remote->error != NULL
           && remote->error->code != G_FORK_ERROR_CLOSED)
    error = g_error_copy (remote->error);
  g_fork_remote_unlock (remote);
  return error;
}

/* Returns why the socket is at its end; %NULL if that is not known yet. It has to be known if
 * @late. */
static GError *
find_cause (GForkRemote *remote,
            gboolean     answered,
            gboolean     late)
{
  const struct gfork_exited *exited = NULL;
  GForkRemote *parent = remote->parent;
  GError *error;

  if (parent != NULL && g_fork_channel_is_ours (parent->channel))
    {
      /* It reports the ends of its children, or has ended itself. */
      g_fork_channel_pump (parent->channel, TRUE);
      if (!answered)
        {
          if (!g_fork_remote_settle (parent) && !late)
            return NULL;
          error = copy_cause (parent);
          if (error != NULL)
            return error;
        }
    }

  if (remote->child != NULL)
    {
      if (!g_fork_child_check (remote->child) && g_fork_child_will_tell (remote->child) && !late)
        return NULL;
      exited = g_fork_child_get_exited (remote->child);
    }

  g_fork_remote_lock (remote);
  if (remote->closed && exited != NULL && exited->wait_status == 0)
    error = g_fork_remote_closed_error ();
  else
    error = lost_error (remote, exited);
  g_fork_remote_unlock (remote);
  return error;
}

/* Fails the operations of a process whose socket is at its end, if the cause is known or was
 * looked for long enough. Returns %FALSE if it is still to be looked for. */
gboolean
g_fork_remote_settle (GForkRemote *remote)
{
  gint64 ended_at;
  gboolean answered;
  GError *error;

  g_fork_remote_lock (remote);
  ended_at = remote->ended_at;
  answered = remote->answered;
  g_fork_remote_unlock (remote);
  if (ended_at == 0)
    return TRUE;

  error = find_cause (remote, answered,
                      g_get_monotonic_time () - ended_at >= CAUSE_PATIENCE_MS * 1000);
  if (error == NULL)
    return FALSE;

  g_fork_remote_lock (remote);
  if (remote->ended_at != 0)
    g_fork_remote_end (remote, g_steal_pointer (&error));
  g_fork_remote_unlock (remote);
  g_clear_error (&error);
  return TRUE;
}

static void
settle_later (gpointer data)
{
  g_autoptr (GForkRemote) remote = data;

  g_fork_remote_settle (remote);
}

static void
on_cause (GForkChild *child,
          gpointer    data)
{
  g_fork_remote_settle (data);
}

static gboolean
on_cause_late (gpointer task)
{
  g_autoptr (GForkRemote) remote = g_fork_remote_ref (g_task_get_task_data (task));

  g_fork_remote_settle (remote);
  return G_SOURCE_REMOVE;
}

static void
stop_listener (gpointer listener)
{
  g_fork_listener_stop (listener);
}

/* The cause is known when the process, or a template above it, is known to have ended. */
void
g_fork_remote_await_cause (gpointer data,
                           gpointer user_data)
{
  GForkOperation *operation = data;
  GForkRemote *remote = user_data;
  GMainContext *context = g_fork_operation_get_context (operation);

  if (context == NULL)
    return;

  for (GForkRemote *above = remote; above != NULL; above = above->parent)
    if (above->child != NULL)
      {
        GForkListener *listener = g_fork_listener_new (above->child, on_cause,
                                                       g_fork_remote_ref (remote),
                                                       g_fork_remote_unref_owner);

        g_fork_listener_start (listener, context);
        g_fork_operation_keep (operation, listener, stop_listener);
      }
  g_fork_operation_call_later (operation, "[gspawnfork] cause of an end", CAUSE_PATIENCE_MS,
                               on_cause_late);
}

/* Whether the end of file means that the process has become another program. */
static gboolean
is_executed (GForkRemote *remote)
{
  GForkOperation *operation = g_queue_peek_head (&remote->operations);

  return operation != NULL && g_fork_operation_get_await (operation) == G_FORK_AWAIT_EXECUTED
         && g_fork_operation_is_ready (operation);
}

static void
end_of_socket (GForkRemote *remote)
{
  GForkOperation *operation;
  GError *error = NULL;

  if (!g_fork_channel_is_open (remote->channel))
    return;

  if (!remote->given_up && is_executed (remote))
    {
      operation = g_queue_pop_head (&remote->operations);
      g_fork_operation_succeed (operation, g_fork_operation_take_socket (operation),
                                remote->child);
      g_fork_remote_finish (remote, operation);
      error = g_fork_remote_closed_error ();
    }
  else if (remote->reported != NULL)
    error = g_error_copy (remote->reported);
  else if (remote->error != NULL)
    error = g_error_copy (remote->error);

  /* It may be in the function already, and nobody will talk to it. */
  if (remote->given_up && remote->state == FINAL)
    g_fork_remote_condemn (remote);
  if (error != NULL)
    {
      g_fork_remote_die (remote, error);
      return;
    }

  remote->ended_at = g_get_monotonic_time ();
  g_fork_remote_close_socket (remote);
  g_queue_foreach (&remote->operations, g_fork_remote_await_cause, remote);
  g_queue_foreach (&remote->waiting, g_fork_remote_await_cause, remote);
  g_fork_remote_defer (remote, settle_later);
}

/* Ends the connection from this side. Takes @error. */
void
g_fork_remote_give_up (GForkRemote *remote,
                       GError      *error)
{
  if (remote->error == NULL)
    remote->error = g_steal_pointer (&error);
  g_clear_error (&error);
  remote->given_up = TRUE;
  end_of_socket (remote);
}

void
g_fork_remote_on_end (gpointer owner,
                      GForkEnd how,
                      int      error_number)
{
  GForkRemote *remote = owner;
  g_autofree char *process = NULL;

  if (remote->condemned)
    return;

  switch (how)
    {
    case G_FORK_END_OF_FILE:
      end_of_socket (remote);
      break;

    case G_FORK_END_MALFORMED:
      process = g_fork_remote_name_process (remote);
      g_fork_remote_give_up (remote, g_fork_reason_new (G_FORK_ERROR_PROTOCOL,
                                                        _("%s does not speak the protocol: "
                                                          "malformed answer"),
                                                        process));
      break;

    case G_FORK_END_UNREADABLE:
      g_fork_remote_give_up (remote, g_fork_reason_new (G_FORK_ERROR_FAILED,
                                                        _("could not read from the process: %s"),
                                                        g_strerror (error_number)));
      break;

    case G_FORK_END_UNWRITABLE:
      /* The process may have said why before it closed the socket. That is still to be read. */
      if (remote->error == NULL && error_number != EPIPE && error_number != ECONNRESET)
        remote->error = g_fork_reason_new (G_FORK_ERROR_FAILED,
                                           _("could not send to the process: %s"),
                                           g_strerror (error_number));
      break;
    }
}
