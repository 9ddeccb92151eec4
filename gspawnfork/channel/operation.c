/* operation.c: one asynchronous call that awaits an answer
 *
 * An operation owns the task of the call, and what the task needs until it returns: sources,
 * watches, a cancellable. When the answer has come, the operation is given its result or error,
 * and then returns in the task's context.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "channel/operation.h"

#include "base/context.h"
#include "base/debug.h"
#include "base/error.h"

#include <errno.h>
#include <glib/gi18n-lib.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct
{
  gpointer resource;
  GDestroyNotify release;
} Kept;

struct _GForkOperation
{
  GForkAwait await;
  GTask *task;   /* %NULL once cancelled: the answer is still to come */
  GArray *kept;  /* Kept */
  char *subject; /* the function that is run or the program that is executed */
  guint n_sent;  /* how many commands were sent before this one */
  gboolean ready; /* READY has come */
  int socket;    /* of a program that is executed: the communication socket */

  GForkLaunch *launch;
  GError *error;

  GDestroyNotify then;
  gpointer then_data;
};

/* ——— What it awaits ——— */

guint8
g_fork_await_get_verb (GForkAwait await)
{
  static const guint8 verbs[] = {
    [G_FORK_AWAIT_SYNCED] = GFORK_SYNC,
    [G_FORK_AWAIT_DETACHED] = GFORK_SYNC,
    [G_FORK_AWAIT_READY] = GFORK_RUN,
    [G_FORK_AWAIT_EXECUTED] = GFORK_EXEC,
  };

  return verbs[await];
}

/* Finds the function or the program in the payload of the command. */
static const char *
find_subject (GForkAwait  await,
              const void *payload)
{
  switch (await)
    {
    case G_FORK_AWAIT_READY:
      return payload;
    case G_FORK_AWAIT_EXECUTED:
      return (const char *) payload + sizeof (guint32);
    default:
      return "";
    }
}

static GError *
complete_error (GForkAwait  await,
                const char *subject,
                GError     *error)
{
  guint8 verb = await == G_FORK_AWAIT_DETACHED ? G_FORK_DETACH
                : await == G_FORK_AWAIT_END    ? G_FORK_WAIT
                                               : g_fork_await_get_verb (await);

  return g_fork_reason_complete (error, verb, subject);
}

/* Makes @error, which it takes, into one that names the function or program of the call. */
GError *
g_fork_await_complete_error (GForkAwait  await,
                             const void *payload,
                             GError     *error)
{
  return complete_error (await, find_subject (await, payload), error);
}

/* ——— Its result ——— */

void
g_fork_launch_free (GForkLaunch *launch)
{
  if (launch->fd >= 0)
    close (launch->fd);
  g_clear_pointer (&launch->child, g_fork_child_unref);
  g_free (launch);
}

/* ——— Its life ——— */

/* Takes the task. */
GForkOperation *
g_fork_operation_new (GForkAwait  await,
                      const void *payload,
                      GTask      *task)
{
  GForkOperation *operation = g_new0 (GForkOperation, 1);

  operation->await = await;
  operation->task = task;
  operation->subject = g_strdup (find_subject (await, payload));
  operation->socket = -1;
  return operation;
}

GForkAwait
g_fork_operation_get_await (GForkOperation *operation)
{
  return operation->await;
}

void
g_fork_operation_set_n_sent (GForkOperation *operation,
                             guint           n_sent)
{
  operation->n_sent = n_sent;
}

guint
g_fork_operation_get_n_sent (GForkOperation *operation)
{
  return operation->n_sent;
}

void
g_fork_operation_set_ready (GForkOperation *operation)
{
  operation->ready = TRUE;
}

gboolean
g_fork_operation_is_ready (GForkOperation *operation)
{
  return operation->ready;
}

gboolean
g_fork_operation_is_of (GForkOperation *operation,
                        GTask          *task)
{
  return operation->task == task;
}

/* Returns %NULL if it was cancelled. */
GMainContext *
g_fork_operation_get_context (GForkOperation *operation)
{
  return operation->task != NULL ? g_task_get_context (operation->task) : NULL;
}

/* Makes the communication socket of a program, whose other end is sent with EXEC. The control
 * socket cannot be it, as its end of file says that the program was executed. */
gboolean
g_fork_operation_make_socket (GForkOperation  *operation,
                              int             *other_end,
                              GError         **error)
{
  int fds[2];

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
    {
      g_propagate_error (error, g_fork_reason_new (G_FORK_ERROR_FAILED,
                                                   _("could not create a socket pair: %s"),
                                                   g_strerror (errno)));
      return FALSE;
    }

  operation->socket = fds[0];
  *other_end = fds[1];
  return TRUE;
}

int
g_fork_operation_take_socket (GForkOperation *operation)
{
  int fd = operation->socket;

  operation->socket = -1;
  return fd;
}

/* Takes @resource, which may be %NULL, and releases it when the operation returns. */
void
g_fork_operation_keep (GForkOperation *operation,
                       gpointer        resource,
                       GDestroyNotify  release)
{
  Kept kept = { resource, release };

  if (resource == NULL)
    return;
  if (operation->kept == NULL)
    operation->kept = g_array_new (FALSE, FALSE, sizeof kept);
  g_array_append_val (operation->kept, kept);
}

static void
destroy_source (gpointer source)
{
  g_source_destroy (source);
  g_source_unref (source);
}

/* Attaches @source, which it takes, to the context of the task until the operation returns.
 * @func is called with the task. */
void
g_fork_operation_attach (GForkOperation *operation,
                         GSource        *source,
                         GSourceFunc     func)
{
  g_task_attach_source (operation->task, source, func);
  g_fork_operation_keep (operation, source, destroy_source);
}

/* Calls @func with the task after so many milliseconds, unless the operation returns before. */
void
g_fork_operation_call_later (GForkOperation *operation,
                             const char     *name,
                             guint           milliseconds,
                             GSourceFunc     func)
{
  GSource *source;

  if (operation->task == NULL)
    return;

  source = g_timeout_source_new (milliseconds);
  g_source_set_static_name (source, name);
  g_fork_operation_attach (operation, source, func);
}

/* Calls @then, which takes @data, when the callback of the task has returned. */
void
g_fork_operation_then (GForkOperation *operation,
                       GDestroyNotify  then,
                       gpointer        data)
{
  operation->then = then;
  operation->then_data = data;
}

/* Returns an operation that takes the place of a cancelled one. Nobody awaits it, but its answer
 * still comes. */
GForkOperation *
g_fork_operation_cancel (GForkOperation *operation)
{
  GForkOperation *remains = g_new0 (GForkOperation, 1);

  remains->await = operation->await;
  remains->subject = g_strdup (operation->subject);
  remains->n_sent = operation->n_sent;
  remains->socket = -1;
  return remains;
}

/* Whether nobody awaits it. */
gboolean
g_fork_operation_is_cancelled (GForkOperation *operation)
{
  return operation->task == NULL;
}

/* Takes the error. Only the first one counts. */
void
g_fork_operation_fail (GForkOperation *operation,
                       GError         *error)
{
  if (operation->error == NULL)
    operation->error = complete_error (operation->await, operation->subject, error);
  else
    g_error_free (error);
}

/* Takes the descriptor. */
void
g_fork_operation_succeed (GForkOperation *operation,
                          int             fd,
                          GForkChild     *child)
{
  operation->launch = g_new (GForkLaunch, 1);
  operation->launch->fd = fd;
  operation->launch->child = child != NULL ? g_fork_child_ref (child) : NULL;
  if (child != NULL && operation->await >= G_FORK_AWAIT_READY)
    g_fork_child_set_name (child, operation->subject);
}

/* ——— Its return ——— */

static void
release_kept (GForkOperation *operation)
{
  if (operation->kept == NULL)
    return;

  for (guint i = 0; i < operation->kept->len; i++)
    {
      Kept *kept = &g_array_index (operation->kept, Kept, i);

      kept->release (kept->resource);
    }
  g_clear_pointer (&operation->kept, g_array_unref);
}

static void
operation_free (GForkOperation *operation)
{
  if (operation->then != NULL)
    operation->then (operation->then_data);
  g_clear_error (&operation->error);
  g_clear_pointer (&operation->launch, g_fork_launch_free);
  g_free (operation->subject);
  g_free (operation);
}

static gboolean
return_task (gpointer user_data)
{
  GForkOperation *operation = user_data;
  GTask *task = g_steal_pointer (&operation->task);

  if (operation->error != NULL)
    g_task_return_error (task, g_steal_pointer (&operation->error));
  else
    g_task_return_pointer (task, g_steal_pointer (&operation->launch),
                           (GDestroyNotify) g_fork_launch_free);
  g_object_unref (task);
  operation_free (operation);
  return G_SOURCE_REMOVE;
}

static void
debug_result (GForkOperation *operation)
{
  const GForkLaunch *launch = operation->launch;
  const int pid = launch != NULL && launch->child != NULL ? g_fork_child_get_pid (launch->child) : 0;

  if (operation->error != NULL)
    g_fork_debug ("error: %s", operation->error->message);
  else if (operation->await == G_FORK_AWAIT_END)
    g_fork_debug ("a template has ended");
  else if (operation->await == G_FORK_AWAIT_SYNCED)
    g_fork_debug ("process %d is prepared", pid);
  else if (operation->await == G_FORK_AWAIT_DETACHED)
    g_fork_debug ("process %d is detached", pid);
  else if (launch != NULL)
    g_fork_debug ("process %d %s “%s”", pid,
                  operation->await == G_FORK_AWAIT_READY ? "runs" : "executes",
                  g_fork_child_get_name (launch->child));
}

/* Frees the operation. No lock is held. */
void
g_fork_operation_return (gpointer data)
{
  GForkOperation *operation = data;

  if (g_fork_debug_is_enabled ())
    debug_result (operation);
  release_kept (operation);
  if (operation->socket >= 0)
    close (operation->socket);

  if (operation->task != NULL)
    g_fork_call_in (g_task_get_context (operation->task), return_task, operation);
  else
    operation_free (operation);
}
