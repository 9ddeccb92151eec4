/* remote-operations.c: the operations that await the answers of a template process
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "channel/remote-private.h"

#include "base/error.h"

#include <glib/gi18n-lib.h>
#include <signal.h>
#include <unistd.h>

static GError *
cancelled_error (void)
{
  return g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED, _("Operation was cancelled"));
}

static GList *
find_operation (GQueue *operations,
                GTask  *task)
{
  for (GList *l = operations->head; l != NULL; l = l->next)
    if (g_fork_operation_is_of (l->data, task))
      return l;
  return NULL;
}

static gboolean
on_cancelled (GCancellable *cancellable,
              gpointer      task)
{
  g_autoptr (GForkRemote) remote = g_fork_remote_ref (g_task_get_task_data (task));
  GForkOperation *operation;
  GList *link, *waiting;

  if (!g_fork_channel_is_ours (remote->channel))
    return G_SOURCE_REMOVE;

  g_fork_remote_lock (remote);
  waiting = find_operation (&remote->waiting, task);
  link = find_operation (&remote->operations, task);
  operation = link != NULL ? link->data : NULL;

  if (waiting != NULL)
    {
      operation = waiting->data;
      g_queue_delete_link (&remote->waiting, waiting);
      g_fork_operation_fail (operation, cancelled_error ());
      g_fork_remote_finish (remote, operation);
    }
  else if (operation != NULL && g_fork_operation_get_await (operation) == G_FORK_AWAIT_SYNCED)
    {
      /* Its answer comes all the same, in its turn. */
      link->data = g_fork_operation_cancel (operation);
      g_fork_operation_fail (operation, cancelled_error ());
      g_fork_remote_finish (remote, operation);
    }
  else if (operation != NULL)
    {
      g_fork_remote_condemn (remote);
      g_fork_remote_die (remote, cancelled_error ());
    }
  g_fork_remote_unlock (remote);
  return G_SOURCE_REMOVE;
}

/* To be called without a lock: the cancellable has one of its own, which it may hold while
 * handlers run. */
static void
watch_cancellable (GForkOperation *operation,
                   GTask          *task)
{
  GCancellable *cancellable = g_task_get_cancellable (task);
  GSource *source;

  if (cancellable == NULL)
    return;

  source = g_cancellable_source_new (cancellable);
  g_fork_operation_attach (operation, source, G_SOURCE_FUNC (on_cancelled));
}

/* Whether the program has not answered yet, and so may be no helper. */
static gboolean
is_starting (GForkRemote *root)
{
  gboolean starting;

  if (root->program == NULL)
    return FALSE;

  g_fork_remote_lock (root);
  starting = !root->answered;
  g_fork_remote_unlock (root);
  return starting;
}

/* Kills a program that has not answered, and fails its operations and those of @waiting, which
 * is the program or a fork of it. A fork would never see an end of file: the other end of its
 * socket may be in a FORK that the program has not read. */
static void
end_silent (GForkRemote *root,
            GForkRemote *waiting)
{
  g_autofree char *process = g_fork_remote_name_process (root);
  GForkRemote *ended[] = { root, waiting };
  g_autoptr (GError) error = NULL;

  error = g_fork_reason_new (G_FORK_ERROR_SPAWN,
                             g_dngettext (GETTEXT_PACKAGE,
                                          "%s has not answered within %u second; it may be another "
                                          "program (GSPAWNFORK_START_TIMEOUT sets the limit)",
                                          "%s has not answered within %u seconds; it may be another "
                                          "program (GSPAWNFORK_START_TIMEOUT sets the limit)",
                                          root->start_timeout),
                             process, root->start_timeout);
  g_fork_child_kill (root->child, SIGKILL, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (ended); i++)
    {
      g_fork_remote_lock (ended[i]);
      if (ended[i]->state != GONE)
        g_fork_remote_die (ended[i], g_error_copy (error));
      g_fork_remote_unlock (ended[i]);
    }
}

static gboolean
on_start_timeout (gpointer task)
{
  g_autoptr (GForkRemote) remote = g_fork_remote_ref (g_task_get_task_data (task));
  GForkRemote *root = g_fork_remote_get_root (remote);

  if (!g_fork_channel_is_ours (remote->channel))
    return G_SOURCE_REMOVE;

  g_fork_channel_pump (root->channel, FALSE);
  if (is_starting (root))
    end_silent (root, remote);
  return G_SOURCE_REMOVE;
}

static void
release_watch (gpointer watch)
{
  g_fork_watch_release (watch);
}

static void
watch_socket (GForkRemote    *remote,
              GForkOperation *operation)
{
  g_fork_operation_keep (
      operation, g_fork_channel_watch (remote->channel, g_fork_operation_get_context (operation)),
      release_watch);
}

/* Has the sockets of templates above written in the operation's context that have not taken all
 * of their commands, since the one that makes this process may be among these. To be called when
 * the operation's command was sent, after which another thread may complete the operation. */
static void
watch_templates (GForkRemote    *remote,
                 GForkOperation *operation,
                 GMainContext   *context)
{
  for (GForkRemote *above = remote->parent; above != NULL; above = above->parent)
    {
      GForkWatch *watch = NULL;
      gboolean blocked;

      g_fork_remote_lock (above);
      blocked = g_fork_channel_is_blocked (above->channel);
      g_fork_remote_unlock (above);
      if (blocked)
        watch = g_fork_channel_watch (above->channel, context);
      if (watch == NULL)
        continue;

      g_fork_remote_lock (remote);
      if (g_queue_find (&remote->operations, operation) != NULL)
        {
          g_fork_operation_keep (operation, watch, release_watch);
          watch = NULL;
        }
      g_fork_remote_unlock (remote);
      if (watch != NULL)
        g_fork_watch_release (watch);
    }
}

/* Claims the template for an operation that ends it, after which no command may follow. Returns
 * %FALSE if the template has children, since it stays to reap them. A template that is detached
 * does that for another application. */
gboolean
g_fork_remote_claim (GForkRemote *remote,
                     GForkAwait   await)
{
  gboolean claimed, has_children;

  if (!g_fork_channel_is_ours (remote->channel))
    return TRUE;

  g_fork_remote_lock (remote);
  has_children = remote->children != NULL && g_hash_table_size (remote->children) > 0;
  g_fork_remote_unlock (remote);
  /* Some may have ended meanwhile. */
  if (has_children)
    g_fork_channel_pump (remote->channel, FALSE);

  g_fork_remote_lock (remote);
  claimed = await == G_FORK_AWAIT_DETACHED || remote->children == NULL
            || g_hash_table_size (remote->children) == 0;
  if (remote->state == OPEN)
    {
      remote->claimed = TRUE;
      remote->claim = await;
      if (claimed)
        g_fork_remote_set_state (remote, FINAL);
    }
  g_fork_remote_unlock (remote);
  return claimed;
}

/* Queues the standard streams of a program. Takes the descriptors. */
static void
append_streams (GForkRemote *remote,
                int         *streams)
{
  for (gint32 stream = 0; streams != NULL && stream <= 2; stream++)
    if (streams[stream] >= 0)
      {
        g_fork_channel_append (remote->channel, GFORK_MAP_FD, &stream, sizeof stream,
                               &streams[stream], 1);
        streams[stream] = -1;
      }
}

/* Sends the command of @await, and returns @task, which it takes, when the answer has come. The
 * descriptors in @streams, which may be %NULL, become the standard streams; those that are sent
 * are taken, and set to -1. */
void
g_fork_remote_await (GForkRemote *remote,
                     GForkAwait   await,
                     const void  *payload,
                     gsize        length,
                     int         *streams,
                     GTask       *task)
{
  GForkOperation *operation = g_fork_operation_new (await, payload, task);
  GForkRemote *root = g_fork_remote_get_root (remote);
  GError *error = NULL;
  g_autoptr (GMainContext) context = NULL;
  gboolean sent = FALSE;
  int fd = -1;

  g_task_set_task_data (task, g_fork_remote_ref (remote), g_fork_remote_unref_owner);
  if (!g_fork_channel_is_ours (remote->channel))
    {
      g_fork_operation_fail (operation, g_fork_remote_inherited_error ());
      g_fork_operation_return (operation);
      return;
    }

  context = g_main_context_ref (g_fork_operation_get_context (operation));
  g_fork_operation_then (operation, g_fork_remote_refill_later, g_fork_remote_ref (remote));
  if (await == G_FORK_AWAIT_READY && remote->parent != NULL)
    g_fork_remote_take_hint (remote->parent, payload);
  if (await >= G_FORK_AWAIT_READY && remote->parent != NULL)
    g_fork_remote_expect_forks (remote->parent, await);
  if (await == G_FORK_AWAIT_EXECUTED)
    g_fork_operation_make_socket (operation, &fd, &error);
  watch_socket (remote, operation);
  watch_cancellable (operation, task);
  if (root->start_timeout > 0 && is_starting (root))
    g_fork_operation_call_later (operation, "[gspawnfork] start", root->start_timeout * 1000,
                                 on_start_timeout);
  g_fork_remote_settle (remote);

  g_fork_remote_lock (remote);
  if (error == NULL)
    error = g_fork_remote_refusal (remote, await == G_FORK_AWAIT_SYNCED ? OPEN : FINAL);
  if (error == NULL && length > GFORK_MAX_PAYLOAD)
    error = g_fork_remote_too_long_error (length);
  if (error == NULL && g_cancellable_is_cancelled (g_task_get_cancellable (task)))
    {
      error = cancelled_error ();
      if (await != G_FORK_AWAIT_SYNCED)
        g_fork_remote_die (remote, g_fork_remote_closed_error ());
    }

  if (error != NULL)
    {
      /* It was claimed for this operation, so no other one will end it. */
      if (remote->state == FINAL && g_queue_is_empty (&remote->operations))
        g_fork_remote_die (remote, g_fork_remote_closed_error ());
      g_fork_operation_fail (operation, error);
      g_fork_remote_finish (remote, operation);
    }
  else
    {
      remote->unchecked = FALSE;
      g_fork_operation_set_n_sent (operation, remote->trace.n_sent);
      g_queue_push_tail (&remote->operations, operation);
      if (remote->ended_at != 0)
        g_fork_remote_await_cause (operation, remote);
      else
        {
          append_streams (remote, streams);
          g_fork_channel_append (remote->channel, g_fork_await_get_verb (await), payload, length,
                                 &fd, fd >= 0);
          fd = -1;
          if (await != G_FORK_AWAIT_SYNCED)
            g_fork_channel_read_exactly (remote->channel);
          g_fork_channel_flush (remote->channel);
          sent = TRUE;
        }
    }
  g_fork_remote_unlock (remote);
  g_fork_remote_release (remote);
  if (sent)
    watch_templates (remote, operation, context);

  if (fd >= 0)
    close (fd);
}

/* Returns @task, which it takes, when the process has ended or is no template any more. */
void
g_fork_remote_await_end (GForkRemote *remote,
                         GTask       *task)
{
  GForkOperation *operation = g_fork_operation_new (G_FORK_AWAIT_END, NULL, task);
  GError *error;

  g_task_set_task_data (task, g_fork_remote_ref (remote), g_fork_remote_unref_owner);
  if (!g_fork_channel_is_ours (remote->channel))
    {
      g_fork_operation_fail (operation, g_fork_remote_inherited_error ());
      g_fork_operation_return (operation);
      return;
    }

  watch_socket (remote, operation);
  watch_cancellable (operation, task);
  g_fork_remote_settle (remote);

  g_fork_remote_lock (remote);
  error = g_fork_remote_refusal (remote, OPEN);
  if (error == NULL && !g_cancellable_is_cancelled (g_task_get_cancellable (task)))
    {
      g_queue_push_tail (&remote->waiting, operation);
      if (remote->ended_at != 0)
        g_fork_remote_await_cause (operation, remote);
    }
  else
    {
      if (error == NULL)
        g_fork_operation_fail (operation, cancelled_error ());
      else if (error->code != G_FORK_ERROR_CLOSED)
        g_fork_operation_fail (operation, g_steal_pointer (&error));
      else
        g_fork_operation_succeed (operation, -1, NULL);
      g_clear_error (&error);
      g_fork_remote_finish (remote, operation);
    }
  g_fork_remote_unlock (remote);
}
