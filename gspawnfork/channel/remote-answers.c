/* remote-answers.c: what a template process answers
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "channel/remote-private.h"

#include "base/error.h"

#include <glib/gi18n-lib.h>
#include <string.h>
#include <sys/wait.h>

/* Returns %FALSE if it is no process ID: 0 and negative ones would make a signal hit a group, or
 * all. */
static gboolean
take_pid (GForkRemote        *remote,
          struct gfork_frame *frame)
{
  struct gfork_pid pid;

  if (frame->length != sizeof pid || frame->n_fds > 1)
    return FALSE;
  memcpy (&pid, frame->payload, sizeof pid);
  if (pid.pid <= 0)
    return FALSE;

  remote->pid = pid.pid;
  if (remote->child != NULL)
    {
      g_fork_child_set_pid (remote->child, &pid, frame->n_fds > 0 ? frame->fds[0] : -1);
      frame->n_fds = 0;
    }
  return TRUE;
}

static gboolean
on_ready (GForkRemote        *remote,
          struct gfork_frame *frame)
{
  GForkOperation *operation = g_queue_peek_head (&remote->operations);

  if (operation == NULL || g_fork_operation_get_await (operation) < G_FORK_AWAIT_READY
      || g_fork_operation_is_ready (operation) || !take_pid (remote, frame))
    return FALSE;

  g_fork_operation_set_ready (operation);
  if (remote->condemned || g_fork_operation_get_await (operation) == G_FORK_AWAIT_EXECUTED)
    return TRUE;

  g_queue_pop_head (&remote->operations);
  g_fork_operation_succeed (operation, g_fork_remote_take_socket (remote), remote->child);
  g_fork_remote_finish (remote, operation);
  return TRUE;
}

static gboolean
on_synced (GForkRemote        *remote,
           struct gfork_frame *frame)
{
  GForkOperation *operation = g_queue_peek_head (&remote->operations);
  int fd = -1;

  if (operation == NULL || g_fork_operation_get_await (operation) > G_FORK_AWAIT_DETACHED
      || !take_pid (remote, frame))
    return FALSE;
  if (remote->condemned)
    return TRUE;

  g_queue_pop_head (&remote->operations);
  g_fork_trace_done (&remote->trace, g_fork_operation_get_n_sent (operation));
  if (g_fork_operation_get_await (operation) == G_FORK_AWAIT_DETACHED)
    fd = g_fork_remote_take_socket (remote);
  g_fork_operation_succeed (operation, fd, remote->child);
  g_fork_remote_finish (remote, operation);
  return TRUE;
}

/* Whether it says that a command has failed, and not that the process has given up or cannot be
 * forked. */
static gboolean
is_of_command (const struct gfork_frame *frame)
{
  struct gfork_error error = { 0 };

  if (frame->length >= sizeof error)
    memcpy (&error, frame->payload, sizeof error);
  return error.verb != 0 && error.verb != GFORK_FORK;
}

static gboolean
on_error (GForkRemote        *remote,
          struct gfork_frame *frame)
{
  GForkOperation *operation = g_queue_pop_head (&remote->operations);
  g_autofree char *process = g_fork_remote_name_process (remote);
  const gboolean asked = operation != NULL && !g_fork_operation_is_cancelled (operation);

  /* It may also be the last word of a process that has given up, or of a template that refused
   * to fork: for the operations to come. */
  g_clear_error (&remote->reported);
  remote->reported = g_fork_error_new_from_frame (frame, process);
  if (asked)
    g_fork_remote_set_told (remote);
  else if (is_of_command (frame))
    g_fork_remote_set_untold (remote, remote->reported);
  if (operation == NULL)
    return TRUE;

  g_fork_operation_fail (operation, g_error_copy (remote->reported));
  g_fork_remote_finish (remote, operation);
  if (g_fork_operation_get_await (operation) != G_FORK_AWAIT_SYNCED)
    g_fork_remote_die (remote, g_fork_remote_closed_error ());
  return TRUE;
}

typedef struct
{
  GForkChild *child;
  struct gfork_exited exited;
} Exit;

static void
set_exited (gpointer data)
{
  Exit *ended = data;

  g_fork_child_set_exited (ended->child, &ended->exited);
  g_fork_child_unref (ended->child);
  g_free (ended);
}

static gboolean
on_exited (GForkRemote        *remote,
           struct gfork_frame *frame)
{
  struct gfork_exited exited;
  gpointer child = NULL;
  Exit *ended;

  if (frame->length != sizeof exited)
    return FALSE;
  memcpy (&exited, frame->payload, sizeof exited);
  /* Users are promised that a process either has exited or was killed. */
  if (exited.wait_status != -1 && !WIFEXITED (exited.wait_status)
      && !WIFSIGNALED (exited.wait_status))
    return FALSE;

  /* After detach and new_from_socket there may be children of another application. */
  if (remote->children == NULL
      || !g_hash_table_steal_extended (remote->children, GUINT_TO_POINTER (exited.id), NULL,
                                       &child))
    return TRUE;

  ended = g_new (Exit, 1);
  *ended = (Exit){ child, exited };
  g_fork_channel_defer (remote->channel, set_exited, ended);
  return TRUE;
}

static gboolean
on_hello (GForkRemote        *remote,
          struct gfork_frame *frame)
{
  uint32_t version;

  if (frame->length != sizeof version || remote->program == NULL)
    return FALSE;

  memcpy (&version, frame->payload, sizeof version);
  if (version == GFORK_PROTOCOL_VERSION)
    return TRUE;

  if (remote->error == NULL)
    {
      g_autofree char *process = g_fork_remote_name_process (remote);

      remote->error = g_fork_reason_new (G_FORK_ERROR_PROTOCOL,
                                         _("%s speaks version %u of the protocol, and not "
                                           "version %u"),
                                         process, version, GFORK_PROTOCOL_VERSION);
    }
  return FALSE;
}

/* Returns whether the answer was expected. */
static gboolean
handle_frame (GForkRemote        *remote,
              struct gfork_frame *frame)
{
  switch (frame->verb)
    {
    case GFORK_READY:
      return on_ready (remote, frame);
    case GFORK_SYNCED:
      return on_synced (remote, frame);
    case GFORK_ERROR:
      return on_error (remote, frame);
    case GFORK_EXITED:
      return on_exited (remote, frame);
    case GFORK_HELLO:
      return on_hello (remote, frame);
    default:
      return FALSE;
    }
}

static void
on_frame (gpointer            owner,
          struct gfork_frame *frame)
{
  GForkRemote *remote = owner;

  remote->answered = TRUE;

  /* After the template was closed nobody awaits answers. */
  if (remote->state == CLOSED && frame->verb != GFORK_EXITED && frame->verb != GFORK_ERROR)
    return;
  if (remote->condemned && frame->verb != GFORK_READY)
    return;

  if (!handle_frame (remote, frame) && !remote->condemned)
    {
      g_autofree char *process = g_fork_remote_name_process (remote);

      g_fork_remote_give_up (remote, g_fork_reason_new (G_FORK_ERROR_PROTOCOL,
                                                        _("%s does not speak the protocol: "
                                                          "unexpected answer of type %u"),
                                                        process, frame->verb));
    }
}

const GForkChannelFuncs g_fork_remote_channel_funcs = {
  .ref = g_fork_remote_ref_owner,
  .unref = g_fork_remote_unref_owner,
  .frame = on_frame,
  .end = g_fork_remote_on_end,
};
