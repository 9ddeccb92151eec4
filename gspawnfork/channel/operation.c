/* operation.c: those who await an answer
 *
 * An operation is a task in the queue of its channel, in the order of the answers.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "channel/internal.h"

#include "base/context.h"
#include "gforkerror-private.h"

#include <errno.h>
#include <glib/gi18n-lib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* So many seconds a program has to say HELLO, unless the environment says otherwise. */
#define START_TIMEOUT 30
#define MAX_START_TIMEOUT (G_MAXUINT / 1000)

#define LOOK_FOR_CAUSE_MS 5

/* ——— Its result ——— */

void
g_fork_launch_free (GForkLaunch *launch)
{
  if (launch->fd >= 0)
    close (launch->fd);
  if (launch->child != NULL)
    {
      g_fork_child_release (launch->child);
      g_fork_child_unref (launch->child);
    }
  g_free (launch);
}

GForkLaunch *
g_fork_launch_new (int         fd,
                   GForkChild *child)
{
  GForkLaunch *launch = g_new (GForkLaunch, 1);

  launch->fd = fd;
  launch->child = child != NULL ? g_fork_child_ref (child) : NULL;
  return launch;
}

static const guint8 verbs[] = {
  [G_FORK_AWAIT_SYNCED] = GFORK_SYNC,
  [G_FORK_AWAIT_DETACHED] = GFORK_SYNC,
  [G_FORK_AWAIT_READY] = GFORK_RUN,
  [G_FORK_AWAIT_EXECUTED] = GFORK_EXEC,
};

/* What the operation is about: the function or the program in its command. */
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
  return g_fork_reason_complete (error,
                                 await == G_FORK_AWAIT_DETACHED ? G_FORK_DETACH : verbs[await],
                                 subject);
}

/* What @error, which is taken, is for the user who has asked for this. */
GError *
g_fork_await_error (GForkAwait  await,
                    const void *payload,
                    GError     *error)
{
  return complete_error (await, find_subject (await, payload), error);
}

void
g_fork_operation_take (Operation *operation,
                       GError    *error,
                       Actions   *actions)
{
  if (operation->error == NULL)
    operation->error = complete_error (operation->await, operation->subject, error);
  else
    g_clear_error (&error);
  actions->operations = g_slist_prepend (actions->operations, operation);
}

static gboolean
operation_return (gpointer user_data)
{
  Operation *operation = user_data;
  g_autoptr (GForkChannel) channel = NULL;

  if (g_task_get_task_data (operation->task) != NULL)
    channel = g_fork_channel_ref (g_task_get_task_data (operation->task));

  if (operation->error != NULL)
    g_task_return_error (operation->task, operation->error);
  else
    g_task_return_pointer (operation->task, operation->launch,
                           (GDestroyNotify) g_fork_launch_free);
  g_object_unref (operation->task);
  g_free (operation->subject);
  g_free (operation);

  if (channel != NULL)
    {
      g_fork_channel_refill_spares (channel);
      g_fork_channel_refill_spares (channel->parent);
    }
  return G_SOURCE_REMOVE;
}

void
g_fork_operation_finish (Operation *operation)
{
  GTask *task = operation->task;
  GForkLaunch *launch = operation->launch;

  GSource *sources[] = { operation->cancel_source, operation->start_source, operation->cause_source };

  for (guint i = 0; i < G_N_ELEMENTS (sources); i++)
    if (sources[i] != NULL)
      {
        g_source_destroy (sources[i]);
        g_source_unref (sources[i]);
      }
  g_slist_free_full (operation->watches, (GDestroyNotify) g_fork_watch_release);
  if (operation->user_fd >= 0)
    close (operation->user_fd);

  if (launch != NULL && launch->child != NULL)
    {
      g_fork_child_set_pid (launch->child, &operation->pid, operation->pidfd);
      operation->pidfd = -1;
      g_fork_child_hold (launch->child);
    }
  if (operation->pidfd >= 0)
    close (operation->pidfd);

  if (task != NULL)
    g_fork_call_in (g_task_get_context (task), operation_return, operation);
  else
    {
      g_clear_error (&operation->error);
      g_clear_pointer (&operation->launch, g_fork_launch_free);
      g_free (operation->subject);
      g_free (operation);
    }
}

/* ——— Its beginning, and an early end ——— */

/* Before a channel dies whose process may be in its function already, or on the way. It
 * cannot answer any more, and leaves when it finds that out; if it has answered, the
 * answer says whom to kill. So none remains, even if the template is not there to do
 * it. */
void
g_fork_channel_condemn (GForkChannel *channel,
                        Condemned    *condemned)
{
  Operation *operation = g_queue_peek_head (&channel->operations);
  struct gfork_frame frame;

  *condemned = (Condemned){ .pidfd = -1 };
  if (channel->child == NULL)
    return;

  condemned->child = g_fork_child_ref (channel->child);
  if (operation != NULL && operation->ready)
    {
      condemned->pid = operation->pid;
      condemned->pidfd = operation->pidfd;
      operation->pidfd = -1;
    }

  shutdown (channel->fd, SHUT_RD);
  while (gfork_reader_fill (&channel->reader, channel->fd, TRUE, MSG_DONTWAIT) == GFORK_FILL_DATA)
    while (gfork_reader_next (&channel->reader, &frame) == GFORK_NEXT_FRAME)
      {
        if (frame.verb == GFORK_READY && frame.length == sizeof condemned->pid && frame.n_fds == 1
            && condemned->pidfd < 0)
          {
            memcpy (&condemned->pid, frame.payload, sizeof condemned->pid);
            condemned->pidfd = frame.fds[0];
            frame.n_fds = 0;
          }
        gfork_frame_close_fds (&frame);
      }
}

void
g_fork_condemned_kill (Condemned *condemned)
{
  if (condemned->child == NULL)
    return;

  if (condemned->pidfd >= 0)
    g_fork_child_set_pid (condemned->child, &condemned->pid, condemned->pidfd);
  g_fork_child_force_exit (condemned->child);
  g_fork_child_unref (condemned->child);
}

static GError *
cancelled_error (void)
{
  return g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED, _("Operation was cancelled"));
}

static gboolean
on_cancelled (GCancellable *cancellable,
              gpointer      user_data)
{
  GTask *task = user_data;
  GForkChannel *channel = g_task_get_task_data (task);
  Condemned condemned = { NULL };
  Operation *operation = NULL;
  Actions actions = { 0 };
  GMainContext *outer = g_fork_dispatch_begin (g_task_get_context (task));

  g_mutex_lock (&channel->lock);
  for (GList *l = channel->operations.head; l != NULL; l = l->next)
    if (((Operation *) l->data)->task == task)
      operation = l->data;

  if (operation != NULL && operation->await == G_FORK_AWAIT_SYNCED)
    {
      /* Its answer comes all the same, in its turn. */
      Operation *remains = g_new0 (Operation, 1);

      *remains = *operation;
      remains->task = NULL;
      remains->cancel_source = remains->start_source = remains->cause_source = NULL;
      remains->watches = NULL;
      remains->subject = g_strdup (operation->subject);
      g_queue_find (&channel->operations, operation)->data = remains;
      g_fork_operation_take (operation, cancelled_error (), &actions);
    }
  else if (operation != NULL)
    {
      g_fork_channel_condemn (channel, &condemned);
      g_fork_channel_die (channel, cancelled_error (), FALSE, &actions);
    }
  g_mutex_unlock (&channel->lock);

  g_fork_condemned_kill (&condemned);
  g_fork_channel_take_actions (channel, &actions);
  g_fork_dispatch_end (outer);
  return G_SOURCE_REMOVE;
}

/* ——— Waiting for HELLO ——— */

/* The channel of the program that was executed for this one, and those between. */
static GForkChannel *
get_root (GForkChannel *channel)
{
  while (channel->parent != NULL)
    channel = channel->parent;
  return channel;
}

/* Whether it is still unknown if the program is a helper. */
static gboolean
is_starting (GForkChannel *root)
{
  gboolean starting;

  g_mutex_lock (&root->lock);
  starting = root->program != NULL && !root->answered;
  g_mutex_unlock (&root->lock);
  return starting;
}

/* How many seconds a program has to say HELLO; 0 if there is no limit. */
static guint
get_start_timeout (void)
{
  const char *value = secure_getenv ("GSPAWNFORK_START_TIMEOUT");
  guint64 seconds;

  if (value != NULL && g_ascii_string_to_unsigned (value, 10, 0, MAX_START_TIMEOUT, &seconds, NULL))
    return (guint) seconds;
  return START_TIMEOUT;
}

/* Ends @channel and the program that was executed at @root, which has not answered. Commands
 * that it has not read may stay where they are, with the sockets of forks that there will
 * never be. */
static void
give_up_silent (GForkChannel *channel,
                GForkChannel *root)
{
  g_autofree char *process = g_fork_channel_name_process (root);
  guint seconds = get_start_timeout ();
  g_autoptr (GError) error = NULL;
  GForkChannel *ended[] = { root, channel };

  error = g_fork_reason_new (G_FORK_ERROR_SPAWN,
                             _("%s has not answered within %u seconds; it may be another "
                               "program (GSPAWNFORK_START_TIMEOUT sets the limit)"),
                             process, seconds);
  if (root->child != NULL)
    g_fork_child_kill (root->child, SIGKILL, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (ended); i++)
    {
      Actions actions = { 0 };

      g_mutex_lock (&ended[i]->lock);
      if (ended[i]->state != GONE)
        g_fork_channel_die (ended[i], g_error_copy (error), FALSE, &actions);
      g_mutex_unlock (&ended[i]->lock);
      g_fork_channel_take_actions (ended[i], &actions);
    }
}

static gboolean
on_start_timeout (gpointer user_data)
{
  g_autoptr (GTask) task = g_object_ref (user_data);
  GForkChannel *channel = g_task_get_task_data (task);
  GForkChannel *root = get_root (channel);
  GMainContext *outer;

  if (!g_fork_channel_is_ours (channel))
    return G_SOURCE_REMOVE;

  outer = g_fork_dispatch_begin (g_task_get_context (task));
  g_fork_channel_pump (root, FALSE);
  if (is_starting (root))
    give_up_silent (channel, root);
  g_fork_dispatch_end (outer);
  return G_SOURCE_REMOVE;
}

/* The source is dropped with the operation. */
static void
watch_start (Operation *operation,
             GTask     *task)
{
  guint seconds = get_start_timeout ();

  if (seconds == 0)
    return;

  operation->start_source = g_timeout_source_new_seconds (seconds);
  g_source_set_static_name (operation->start_source, "[gspawnfork] start");
  g_task_attach_source (task, operation->start_source, on_start_timeout);
}

/* ——— Waiting for the cause of the end ——— */

static gboolean
on_look_for_cause (gpointer user_data)
{
  g_autoptr (GTask) task = g_object_ref (user_data);
  GForkChannel *channel = g_task_get_task_data (task);
  GMainContext *outer;

  if (!g_fork_channel_is_ours (channel))
    return G_SOURCE_REMOVE;

  outer = g_fork_dispatch_begin (g_task_get_context (task));
  g_fork_channel_settle (channel);
  g_fork_dispatch_end (outer);
  return G_SOURCE_CONTINUE;
}

/* The socket has ended: the operation ends when it is known why. */
void
g_fork_operation_await_cause (Operation *operation)
{
  if (operation->task == NULL || operation->cause_source != NULL)
    return;

  operation->cause_source = g_timeout_source_new (LOOK_FOR_CAUSE_MS);
  g_source_set_static_name (operation->cause_source, "[gspawnfork] cause of an end");
  g_task_attach_source (operation->task, operation->cause_source, on_look_for_cause);
}

/* Operations have to go on with the parent's queue too: the command that makes
 * this process may be in it. */
static GSList *
watch_ancestors (GForkChannel *channel,
                 GMainContext *context)
{
  GSList *watches = NULL;

  for (GForkChannel *parent = channel->parent; parent != NULL; parent = parent->parent)
    {
      gboolean drained;
      GForkWatch *watch;

      g_mutex_lock (&parent->lock);
      drained = g_fork_queue_is_empty (&parent->queue);
      g_mutex_unlock (&parent->lock);

      if (!drained && (watch = g_fork_channel_watch (parent, context)) != NULL)
        watches = g_slist_prepend (watches, watch);
    }

  return watches;
}

static int
make_communication_socket (int      *user_fd,
                           GError **error)
{
  int fds[2];

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
    {
      g_propagate_error (error, g_fork_reason_new (G_FORK_ERROR_FAILED,
                                                   _("could not create a socket pair: %s"),
                                                   g_strerror (errno)));
      return -1;
    }

  *user_fd = fds[0];
  return fds[1];
}

/* What the program gets as its standard streams. Takes the descriptors. */
static void
append_streams (GForkChannel *channel,
                int          *streams)
{
  for (gint32 stream = 0; streams != NULL && stream <= 2; stream++)
    if (streams[stream] >= 0)
      {
        g_fork_queue_append (&channel->queue, GFORK_MAP_FD, &stream, sizeof stream,
                             &streams[stream], 1);
        streams[stream] = -1;
      }
}

/* Sends the command that @await says, and returns @task, which it takes, when the
 * answer has come. Before it, @streams are placed, which are taken if they are sent; it may
 * be %NULL. Returns %FALSE, with nothing done and nothing taken, if the template must not
 * end because it has children to reap. */
gboolean
g_fork_channel_await (GForkChannel *channel,
                      GForkAwait    await,
                      const void   *payload,
                      gsize         length,
                      int          *streams,
                      GTask        *task)
{
  GCancellable *cancellable = g_task_get_cancellable (task);
  GMainContext *context = g_task_get_context (task);
  Operation *operation;
  GError *error = NULL;
  GForkWatch *watch;
  Actions actions = { 0 };
  int sent_fd = -1;
  gboolean starting;

  if (!g_fork_channel_is_ours (channel))
    {
      g_task_return_error (task, g_fork_await_error (await, payload,
                                                     g_fork_channel_inherited_error ()));
      g_object_unref (task);
      return TRUE;
    }

  operation = g_new0 (Operation, 1);
  operation->await = await;
  operation->subject = g_strdup (find_subject (await, payload));
  operation->user_fd = operation->pidfd = -1;
  if (await == G_FORK_AWAIT_EXECUTED)
    sent_fd = make_communication_socket (&operation->user_fd, &error);

  g_task_set_task_data (task, g_fork_channel_ref (channel), (GDestroyNotify) g_fork_channel_unref);
  if (await == G_FORK_AWAIT_READY && channel->parent != NULL)
    g_fork_channel_take_hint (channel->parent, payload);
  operation->watches = watch_ancestors (channel, context);
  watch = g_fork_channel_watch (channel, context);
  if (watch != NULL)
    operation->watches = g_slist_prepend (operation->watches, watch);

  starting = is_starting (get_root (channel));
  g_fork_channel_settle (channel);

  g_mutex_lock (&channel->lock);
  if (await >= G_FORK_AWAIT_READY && channel->state == OPEN && channel->children != NULL
      && g_hash_table_size (channel->children) > 0)
    {
      g_mutex_unlock (&channel->lock);
      if (sent_fd >= 0)
        close (sent_fd);
      g_clear_error (&error);
      g_fork_operation_finish (operation);
      return FALSE;
    }

  operation->task = task;
  /* Before it is looked whether it is cancelled: what is cancelled while the source is
   * being attached may not wake up the context. */
  if (cancellable != NULL)
    {
      operation->cancel_source = g_cancellable_source_new (cancellable);
      g_task_attach_source (task, operation->cancel_source, G_SOURCE_FUNC (on_cancelled));
    }
  if (error == NULL)
    error = g_fork_channel_refusal (channel);
  if (error == NULL && length > GFORK_MAX_PAYLOAD)
    error = g_fork_channel_too_long_error (length);
  if (error == NULL && g_cancellable_is_cancelled (cancellable))
    {
      error = cancelled_error ();
      if (await != G_FORK_AWAIT_SYNCED)
        g_fork_channel_die (channel, g_fork_channel_closed_error (), FALSE, &actions);
    }
  if (error != NULL)
    {
      g_fork_operation_take (operation, error, &actions);
      g_mutex_unlock (&channel->lock);
      if (sent_fd >= 0)
        close (sent_fd);
      g_fork_channel_take_actions (channel, &actions);
      return TRUE;
    }

  if (starting)
    watch_start (operation, task);
  operation->n_told = channel->n_told;
  g_queue_push_tail (&channel->operations, operation);
  if (channel->ended_at != 0)
    {
      g_fork_operation_await_cause (operation);
      g_mutex_unlock (&channel->lock);
      if (sent_fd >= 0)
        close (sent_fd);
      return TRUE;
    }
  append_streams (channel, streams);
  g_fork_queue_append (&channel->queue, verbs[await], payload, length, &sent_fd, sent_fd >= 0);
  if (await != G_FORK_AWAIT_SYNCED)
    g_fork_channel_end (channel, FINAL);
  g_fork_channel_flush (channel);
  g_fork_channel_update_watches (channel);
  g_mutex_unlock (&channel->lock);
  return TRUE;
}

