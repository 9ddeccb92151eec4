/* answers.c: what comes in on a control socket
 *
 * Nothing that the other end sends is trusted: it is checked, or it is the end.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "channel/internal.h"

#include "gforkerror-private.h"

#include <errno.h>
#include <glib/gi18n-lib.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Between the end of a socket and that of the process, on a busy machine. */
#define CAUSE_PATIENCE G_TIME_SPAN_SECOND

/* ——— The end of file ——— */

/* Who is at the other end, in the middle of a sentence. */
char *
g_fork_channel_name_process (GForkChannel *channel)
{
  if (channel->program != NULL)
    return g_strdup_printf (_("the helper “%s”"), channel->program);
  return g_strdup (channel->children != NULL ? _("the template") : _("the process"));
}

/* What may have ended a process: code that is not ours, which it has been told to run
 * and has not said that it has. %NULL if there is none. */
static char *
describe_told (GForkChannel *channel)
{
  g_autoptr (GString) told = NULL;
  gboolean more;

  g_mutex_lock (&channel->lock);
  more = channel->n_told - channel->told.length > channel->n_done;
  for (GList *l = channel->told.head; l != NULL; l = l->next)
    {
      if (told == NULL)
        told = g_string_new (more ? "…, " : NULL);
      else
        g_string_append (told, ", ");
      g_string_append (told, l->data);
    }
  g_mutex_unlock (&channel->lock);

  return told != NULL ? g_string_free (g_steal_pointer (&told), FALSE) : NULL;
}

/* Why nothing comes from a process that is gone. @exited may be %NULL. */
static GError *
lost_error (GForkChannel              *channel,
            const struct gfork_exited *exited,
            gboolean                   answered)
{
  g_autofree char *process = g_fork_channel_name_process (channel);
  g_autofree char *told = describe_told (channel);
  g_autofree char *fact = NULL;
  gboolean unstarted = channel->program != NULL && !answered;

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

  /* What it was sent has nothing to do with it. */
  if (unstarted)
    return g_fork_reason_new (G_FORK_ERROR_SPAWN, "%s", fact);
  if (told == NULL)
    return g_fork_reason_new (G_FORK_ERROR_LOST, "%s", fact);
  /* Translators: what has happened to a process, and a list of commands */
  return g_fork_reason_new (G_FORK_ERROR_LOST, _("%s, having been told: %s"), fact, told);
}

/* A process whose template has died before it could be forked takes over its error, unless
 * that has left as it should. */
static GError *
error_of_parent (GForkChannel *parent)
{
  GError *error = NULL;

  g_mutex_lock (&parent->lock);
  if (parent->reported != NULL)
    error = g_error_copy (parent->reported);
  else if (parent->state == GONE && parent->error != NULL
           && parent->error->code != G_FORK_ERROR_CLOSED)
    error = g_error_copy (parent->error);
  g_mutex_unlock (&parent->lock);
  return error;
}

void
g_fork_channel_end_of_file (GForkChannel *channel)
{
  GError *error = NULL;
  Condemned condemned = { NULL };
  Actions actions = { 0 };
  gboolean given_up;

  g_mutex_lock (&channel->lock);
  given_up = channel->given_up && channel->state == FINAL;
  if (channel->reported != NULL)
    error = g_error_copy (channel->reported);
  else if (channel->error != NULL)
    error = g_error_copy (channel->error);
  else if (g_fork_channel_is_executed (channel))
    error = g_fork_channel_closed_error ();

  /* It may be in the function already, which nobody will talk to. */
  if (given_up)
    g_fork_channel_condemn (channel, &condemned);
  if (channel->fd >= 0 && error != NULL)
    g_fork_channel_die (channel, g_steal_pointer (&error), !given_up, &actions);
  else if (channel->fd >= 0)
    {
      channel->ended_at = g_get_monotonic_time ();
      close (g_fork_channel_take_fd (channel, &actions));
      g_queue_foreach (&channel->operations, (GFunc) g_fork_operation_await_cause, NULL);
    }
  g_mutex_unlock (&channel->lock);
  g_clear_error (&error);

  g_fork_condemned_kill (&condemned);
  g_fork_channel_take_actions (channel, &actions);
  g_fork_channel_settle (channel);
}

/* Why the socket came to its end: %NULL if that is not known yet. */
static GError *
find_cause (GForkChannel *channel,
            gboolean      late)
{
  const struct gfork_exited *exited = NULL;
  gboolean answered;
  GError *error = NULL;

  if (channel->parent != NULL)
    g_fork_channel_pump (channel->parent, TRUE);

  g_mutex_lock (&channel->lock);
  answered = channel->answered;
  g_mutex_unlock (&channel->lock);

  if (!answered && channel->parent != NULL
      && g_fork_channel_is_ours (channel->parent))
    {
      if (!g_fork_channel_settle (channel->parent) && !late)
        return NULL;
      error = error_of_parent (channel->parent);
      if (error != NULL)
        return error;
    }

  if (channel->child != NULL)
    {
      if (!g_fork_child_check (channel->child) && g_fork_child_will_tell (channel->child) && !late)
        return NULL;
      exited = g_fork_child_get_exited (channel->child);
    }
  if (channel->closed && exited != NULL && exited->wait_status == 0)
    return g_fork_channel_closed_error ();
  return lost_error (channel, exited, answered);
}

/* Ends the operations of a channel whose socket is at its end, if the cause can be known by
 * now, or was looked for long enough. Returns %FALSE if it is still to be looked for. */
gboolean
g_fork_channel_settle (GForkChannel *channel)
{
  Actions actions = { 0 };
  GError *error;
  gint64 ended_at;

  g_mutex_lock (&channel->lock);
  ended_at = channel->ended_at;
  g_mutex_unlock (&channel->lock);
  if (ended_at == 0)
    return TRUE;

  error = find_cause (channel, g_get_monotonic_time () - ended_at >= CAUSE_PATIENCE);
  if (error == NULL)
    return FALSE;

  g_mutex_lock (&channel->lock);
  if (channel->ended_at != 0)
    g_fork_channel_end_operations (channel, g_steal_pointer (&error), FALSE, &actions);
  g_mutex_unlock (&channel->lock);
  g_clear_error (&error);
  g_fork_channel_take_actions (channel, &actions);
  return TRUE;
}

/* ——— Frames ——— */

/* Whoever signals a process by its pid must not be made to hit a group, or all. */
static gboolean
get_pid (const struct gfork_frame *frame,
         struct gfork_pid         *pid)
{
  if (frame->length != sizeof *pid || frame->n_fds > 1)
    return FALSE;

  memcpy (pid, frame->payload, sizeof *pid);
  return pid->pid > 0;
}

/* It is this side that ends it. Takes @error. */
static void
give_up (GForkChannel *channel,
         GError       *error,
         Actions      *actions)
{
  if (channel->error == NULL)
    channel->error = g_steal_pointer (&error);
  g_clear_error (&error);
  channel->given_up = TRUE;
  actions->end_of_file = TRUE;
}

static void
on_ready (GForkChannel       *channel,
          struct gfork_frame *frame,
          Actions            *actions)
{
  Operation *operation = g_queue_peek_head (&channel->operations);
  struct gfork_pid pid;

  if (operation == NULL || operation->await < G_FORK_AWAIT_READY || operation->ready
      || !get_pid (frame, &pid))
    {
      actions->end_of_file = TRUE;
      return;
    }

  operation->ready = TRUE;
  channel->pid = pid.pid;
  operation->pid = pid;
  operation->pidfd = frame->n_fds > 0 ? frame->fds[0] : -1;
  frame->n_fds = 0;

  if (operation->await == G_FORK_AWAIT_READY)
    {
      g_queue_pop_head (&channel->operations);
      operation->launch = g_fork_launch_new (-1, channel->child);
      operation->launch->fd = g_fork_channel_take_fd (channel, actions);
      g_fork_operation_take (operation, NULL, actions);
    }
}

/* It has done the first @n_done of what it was told. */
static void
forget_told (GForkChannel *channel,
             guint         n_done)
{
  channel->n_done = n_done;
  while (channel->told.length > 0 && channel->n_told - channel->told.length < n_done)
    g_free (g_queue_pop_head (&channel->told));
}

static void
on_synced (GForkChannel       *channel,
           struct gfork_frame *frame,
           Actions            *actions)
{
  Operation *operation = g_queue_peek_head (&channel->operations);
  struct gfork_pid pid;

  if (operation == NULL || operation->await > G_FORK_AWAIT_DETACHED || !get_pid (frame, &pid))
    {
      actions->end_of_file = TRUE;
      return;
    }

  channel->pid = pid.pid;
  operation->pid = pid;
  operation->pidfd = frame->n_fds > 0 ? frame->fds[0] : -1;
  frame->n_fds = 0;
  g_queue_pop_head (&channel->operations);
  forget_told (channel, operation->n_told);
  if (operation->await == G_FORK_AWAIT_DETACHED)
    {
      operation->launch = g_fork_launch_new (-1, channel->child);
      operation->launch->fd = g_fork_channel_take_fd (channel, actions);
    }
  else
    operation->launch = g_fork_launch_new (-1, channel->child);
  g_fork_operation_take (operation, NULL, actions);
}

static void
on_error (GForkChannel       *channel,
          struct gfork_frame *frame,
          Actions            *actions)
{
  Operation *operation = g_queue_pop_head (&channel->operations);
  g_autofree char *process = g_fork_channel_name_process (channel);

  /* It may also be the last word of a process that has given up, or of a template
   * that refused to fork: for whoever asks later. */
  g_clear_error (&channel->reported);
  channel->reported = g_fork_error_new_from_frame (frame, process);
  if (operation == NULL)
    return;

  g_fork_operation_take (operation, g_error_copy (channel->reported), actions);
  if (operation->await != G_FORK_AWAIT_SYNCED)
    g_fork_channel_die (channel, g_fork_channel_closed_error (), FALSE, actions);
}

/* Of a process that has ended, or -1. Users are promised that it either has exited or
 * was killed. */
static gboolean
is_wait_status (int wait_status)
{
  return wait_status == -1 || WIFEXITED (wait_status) || WIFSIGNALED (wait_status);
}

static void
on_exited (GForkChannel       *channel,
           struct gfork_frame *frame,
           Actions            *actions)
{
  struct gfork_exited exited;
  gpointer child = NULL;
  Exit *ended;

  if (frame->length != sizeof exited)
    {
      actions->end_of_file = TRUE;
      return;
    }
  memcpy (&exited, frame->payload, sizeof exited);
  if (!is_wait_status (exited.wait_status))
    {
      actions->end_of_file = TRUE;
      return;
    }

  /* After detach and new_from_socket there may be some that are not ours. */
  if (channel->children == NULL
      || !g_hash_table_steal_extended (channel->children, GUINT_TO_POINTER (exited.id), NULL,
                                       &child))
    return;

  ended = g_new (Exit, 1);
  ended->child = child;
  ended->exited = exited;
  actions->exited = g_slist_prepend (actions->exited, ended);
}

static void
on_hello (GForkChannel       *channel,
          struct gfork_frame *frame,
          Actions            *actions)
{
  uint32_t version;

  if (frame->length != sizeof version || channel->program == NULL)
    {
      actions->end_of_file = TRUE;
      return;
    }

  memcpy (&version, frame->payload, sizeof version);
  if (version == GFORK_PROTOCOL_VERSION)
    return;

  actions->end_of_file = TRUE;
  if (channel->error == NULL)
    {
      g_autofree char *process = g_fork_channel_name_process (channel);

      channel->error = g_fork_reason_new (G_FORK_ERROR_PROTOCOL,
                                          _("%s speaks version %u of the protocol, and not "
                                            "version %u"),
                                          process, version, GFORK_PROTOCOL_VERSION);
    }
}

static void
handle_frame (GForkChannel       *channel,
              struct gfork_frame *frame,
              Actions            *actions)
{
  channel->answered = TRUE;

  /* Whoever has closed the template does not await answers any more. */
  if (channel->state == CLOSED && frame->verb != GFORK_EXITED && frame->verb != GFORK_ERROR)
    {
      gfork_frame_close_fds (frame);
      return;
    }

  switch (frame->verb)
    {
    case GFORK_READY:
      on_ready (channel, frame, actions);
      break;
    case GFORK_SYNCED:
      on_synced (channel, frame, actions);
      break;
    case GFORK_ERROR:
      on_error (channel, frame, actions);
      break;
    case GFORK_EXITED:
      on_exited (channel, frame, actions);
      break;
    case GFORK_HELLO:
      on_hello (channel, frame, actions);
      break;
    default:
      actions->end_of_file = TRUE;
    }

  if (actions->end_of_file)
    {
      g_autofree char *process = g_fork_channel_name_process (channel);

      give_up (channel,
               g_fork_reason_new (G_FORK_ERROR_PROTOCOL,
                                  _("%s does not speak the protocol: unexpected answer of type %u"),
                                  process, frame->verb),
               actions);
    }
  gfork_frame_close_fds (frame);
}

static void
give_up_malformed (GForkChannel *channel,
                   Actions      *actions)
{
  g_autofree char *process = g_fork_channel_name_process (channel);

  give_up (channel,
           g_fork_reason_new (G_FORK_ERROR_PROTOCOL,
                              _("%s does not speak the protocol: malformed answer"), process),
           actions);
}

static void
handle_frames (GForkChannel *channel,
               Actions      *actions)
{
  struct gfork_frame frame;

  while (channel->fd >= 0 && !actions->end_of_file)
    switch (gfork_reader_next (&channel->reader, &frame))
      {
      case GFORK_NEXT_FRAME:
        handle_frame (channel, &frame, actions);
        break;

      case GFORK_NEXT_MORE:
        return;

      case GFORK_NEXT_BAD:
        give_up_malformed (channel, actions);
        break;
      }
}

static GError *
unreadable_error (int error_number)
{
  return g_fork_reason_new (G_FORK_ERROR_FAILED, _("could not read from the process: %s"),
                            g_strerror (error_number));
}

/* More than it takes to read all that a socket holds at one time. Who says more than
 * that without a pause must not keep the application from everything else. */
#define MAX_READS 1024

/* Reads what there is. A read that did not fill the buffer was most likely the last
 * one, and is taken for it unless it is important to see the end of file. */
void
g_fork_channel_read (GForkChannel *channel,
                     gboolean      to_the_end,
                     Actions      *actions)
{
  for (guint i = 0; i < MAX_READS && channel->fd >= 0 && !actions->end_of_file; i++)
    {
      gboolean exact = channel->state == FINAL;

      switch (gfork_reader_fill (&channel->reader, channel->fd, exact, MSG_DONTWAIT))
        {
        case GFORK_FILL_DATA:
          {
            gboolean more = exact || to_the_end || channel->reader.full;

            handle_frames (channel, actions);
            if (!more)
              return;
          }
          break;

        case GFORK_FILL_AGAIN:
          return;

        case GFORK_FILL_NO_MEMORY:
          give_up (channel, unreadable_error (ENOMEM), actions);
          break;

        case GFORK_FILL_RESET:
          /* Unless it has ended, and left something unread. */
          if (errno != ECONNRESET)
            give_up (channel, unreadable_error (errno), actions);
          actions->end_of_file = TRUE;
          break;

        case GFORK_FILL_EOF:
          actions->end_of_file = TRUE;
          break;

        case GFORK_FILL_TRUNCATED:
          /* Not of answers, to which a pidfd is all that ever belongs. */
          g_assert_not_reached ();

        case GFORK_FILL_FLOODED:
          give_up_malformed (channel, actions);
          break;
        }
    }
}

