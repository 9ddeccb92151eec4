/* gforkprocess.c: a running worker: waiting, signalling, accounting
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "gforkprocess-private.h"

#include "base/context.h"
#include "gforkerror.h"

#include <gio/gunixinputstream.h>
#include <gio/gunixoutputstream.h>
#include <glib/gi18n-lib.h>
#include <signal.h>
#include <sys/wait.h>

/**
 * GForkProcess:
 *
 * A worker, or a program that was executed in a template.
 *
 * [method@GFork.Template.run] and [method@GFork.Template.execv] return it. It has the methods
 * of [class@Gio.Subprocess] and some more: to wait for the process, to find out how it has
 * ended and what it has used, and to send it signals.
 *
 * ```c
 * static void
 * on_ended (GObject      *source,
 *           GAsyncResult *result,
 *           gpointer      user_data)
 * {
 *   g_autoptr (GError) error = NULL;
 *
 *   if (!g_fork_process_wait_check_finish (G_FORK_PROCESS (source), result, &error))
 *     g_warning ("The worker: %s", error->message);
 * }
 *
 * …
 *   g_fork_process_wait_check_async (process, NULL, on_ended, NULL);
 * ```
 *
 * Most workers are not children of the application. They are children of the template that
 * they were forked from, which reaps them and reports how they ended. If that template has
 * died first, the kernel is asked. If the kernel does not know how the process ended, waiting
 * fails with %G_FORK_ERROR_LOST. A status is never invented. In a process that was forked from
 * the application, nothing is known of the worker, and waiting fails in the same way.
 *
 * If the last reference is dropped, the worker goes on, and it is reaped when it ends.
 *
 * The methods may be called from any thread. The result of an asynchronous method arrives in
 * the thread-default main context of the call. [signal@GFork.Process::exited] is emitted in
 * the thread-default main context of the call that ran the worker.
 *
 * Since: 1.0
 */

struct _GForkProcess
{
  GObject parent_instance;

  GForkChild *child;
  GForkListener *listener; /* emits the signal */

  GOutputStream *stdin_pipe;
  GInputStream *output_pipes[2]; /* of standard output and standard error */
};

enum
{
  EXITED,
  N_SIGNALS
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (GForkProcess, g_fork_process, G_TYPE_OBJECT)

/* ——— The signal ——— */

static void
free_weak (gpointer weak)
{
  g_weak_ref_clear (weak);
  g_free (weak);
}

static GWeakRef *
new_weak (GForkProcess *self)
{
  GWeakRef *weak = g_new0 (GWeakRef, 1);

  g_weak_ref_init (weak, self);
  return weak;
}

/* The listener does not keep the object: a program may never iterate the context. */
static void
emit_exited (GForkChild *child,
             gpointer    weak)
{
  g_autoptr (GForkProcess) self = g_weak_ref_get (weak);

  if (self != NULL)
    g_signal_emit (self, signals[EXITED], 0, g_fork_child_get_exited (child)->wait_status);
}

/* ——— The object ——— */

static void
g_fork_process_dispose (GObject *object)
{
  GForkProcess *self = G_FORK_PROCESS (object);

  g_clear_pointer (&self->listener, g_fork_listener_stop);

  G_OBJECT_CLASS (g_fork_process_parent_class)->dispose (object);
}

static void
g_fork_process_finalize (GObject *object)
{
  GForkProcess *self = G_FORK_PROCESS (object);

  g_clear_object (&self->stdin_pipe);
  g_clear_object (&self->output_pipes[0]);
  g_clear_object (&self->output_pipes[1]);
  g_fork_child_forget (self->child);
  g_fork_child_unref (self->child);

  G_OBJECT_CLASS (g_fork_process_parent_class)->finalize (object);
}

static void
g_fork_process_class_init (GForkProcessClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->dispose = g_fork_process_dispose;
  object_class->finalize = g_fork_process_finalize;

  /**
   * GForkProcess::exited:
   * @self: the process
   * @wait_status: the wait status as from `waitpid(2)`; -1 if it cannot be known
   *
   * Emitted once, when the process has ended, in the thread-default main context of the call
   * that ran it.
   *
   * The signal does not keep the object alive. Keep a reference to receive it, or use
   * [method@GFork.Process.wait_async], which keeps one.
   *
   * Since: 1.0
   */
  signals[EXITED] = g_signal_new ("exited", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL,
                                  NULL, NULL, G_TYPE_NONE, 1, G_TYPE_INT);
}

static void
g_fork_process_init (GForkProcess *self)
{
}

static void
take_pipes (GForkProcess *self,
            GForkStreams *streams)
{
  if (streams->ours[0] >= 0)
    self->stdin_pipe = g_unix_output_stream_new (streams->ours[0], TRUE);
  for (int i = 0; i < 2; i++)
    if (streams->ours[i + 1] >= 0)
      self->output_pipes[i] = g_unix_input_stream_new (streams->ours[i + 1], TRUE);
  for (int stream = 0; stream <= 2; stream++)
    streams->ours[stream] = -1;
}

/* @context is where the signal is emitted. The pipes are taken out of @streams, which may
 * be %NULL. */
GForkProcess *
g_fork_process_new_for_child (GForkChild   *child,
                              GMainContext *context,
                              GForkStreams *streams)
{
  GForkProcess *self = g_object_new (G_FORK_TYPE_PROCESS, NULL);

  if (streams != NULL)
    take_pipes (self, streams);
  self->child = g_fork_child_ref (child);
  self->listener = g_fork_listener_new (child, emit_exited, new_weak (self), free_weak);
  g_fork_listener_start (self->listener, context);
  return self;
}

/**
 * g_fork_process_get_pid:
 * @self: a process
 *
 * Gets the process ID. When the process has ended, another process may get the same ID, so do
 * not use it for signals: [method@GFork.Process.send_signal] never reaches another process.
 *
 * Returns: the process ID
 *
 * Since: 1.0
 */
GPid
g_fork_process_get_pid (GForkProcess *self)
{
  g_return_val_if_fail (G_FORK_IS_PROCESS (self), 0);

  return g_fork_child_get_pid (self->child);
}

/* ——— Waiting ——— */

/* What a task has until it returns. Each of these has the task as well. */
#define LISTENER "listener"
#define CANCEL_SOURCE "cancel-source"

static void
stop_listener (gpointer listener)
{
  g_fork_listener_stop (listener);
}

static void
destroy_source (gpointer source)
{
  g_source_destroy (source);
  g_source_unref (source);
}

static void
on_waited_for (GForkChild *child,
               gpointer    data)
{
  g_autoptr (GTask) task = g_object_ref (data);

  g_object_set_data (G_OBJECT (task), CANCEL_SOURCE, NULL);
  g_object_set_data (G_OBJECT (task), LISTENER, NULL);
  if (g_fork_child_is_lost (child))
    g_task_return_new_error (task, G_FORK_ERROR, G_FORK_ERROR_LOST,
                             _("How “%s” (process %d) ended cannot be known: the template that it "
                               "was forked from is gone"),
                             g_fork_child_get_name (child), (int) g_fork_child_get_pid (child));
  else
    g_task_return_boolean (task, TRUE);
}

/* The cancellable may have been reset meanwhile. */
static gboolean
on_wait_cancelled (GCancellable *cancellable,
                   gpointer      data)
{
  g_autoptr (GTask) task = g_object_ref (data);
  GForkListener *listener = g_object_steal_data (G_OBJECT (task), LISTENER);

  g_object_set_data (G_OBJECT (task), CANCEL_SOURCE, NULL);
  if (listener != NULL && g_fork_listener_stop (listener))
    g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_CANCELLED, "%s",
                             _("Operation was cancelled"));
  return G_SOURCE_REMOVE;
}

static void
wait_async (GForkProcess        *self,
            GCancellable        *cancellable,
            GAsyncReadyCallback  callback,
            gpointer             user_data,
            gpointer             source_tag)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, user_data);
  GForkListener *listener;

  g_task_set_source_tag (task, source_tag);
  if (g_task_return_error_if_cancelled (task))
    return;

  /* What is returned stays so, although the cancellable may be triggered before
   * the callback runs. */
  g_task_set_check_cancellable (task, FALSE);

  /* The context may be another thread's: the task has both before either is at work. */
  listener = g_fork_listener_new (self->child, on_waited_for, g_object_ref (task), g_object_unref);
  g_object_set_data_full (G_OBJECT (task), LISTENER, g_fork_listener_ref (listener),
                          stop_listener);
  if (cancellable != NULL)
    {
      GSource *source = g_cancellable_source_new (cancellable);

      g_source_set_callback (source, G_SOURCE_FUNC (on_wait_cancelled), g_object_ref (task),
                             g_object_unref);
      g_object_set_data_full (G_OBJECT (task), CANCEL_SOURCE, source, destroy_source);
      g_source_attach (source, g_task_get_context (task));
    }
  g_fork_listener_start (listener, g_task_get_context (task));
  g_fork_listener_unref (listener);

  /* What is cancelled while its source is being attached may not wake up the context. */
  if (g_cancellable_is_cancelled (cancellable))
    on_wait_cancelled (cancellable, task);
}

static gboolean
wait_finish (GForkProcess  *self,
             GAsyncResult  *result,
             gpointer       source_tag,
             GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  g_return_val_if_fail (g_async_result_is_tagged (result, source_tag), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * g_fork_process_wait_async:
 * @self: a process
 * @cancellable: (nullable): a cancellable; it ends the waiting, not the process
 * @callback: (scope async) (closure user_data): called when the process has ended
 * @user_data: data for @callback
 *
 * Waits for the process to end. This is the asynchronous form of
 * [method@GFork.Process.wait].
 *
 * Any number of waits may be under way at once.
 *
 * Since: 1.0
 */
void
g_fork_process_wait_async (GForkProcess        *self,
                           GCancellable        *cancellable,
                           GAsyncReadyCallback  callback,
                           gpointer             user_data)
{
  g_return_if_fail (G_FORK_IS_PROCESS (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  wait_async (self, cancellable, callback, user_data, g_fork_process_wait_async);
}

/**
 * g_fork_process_wait_finish:
 * @self: a process
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Finishes an operation started with [method@GFork.Process.wait_async].
 *
 * This fails with %G_FORK_ERROR_LOST if it cannot be known how the process ended, or with
 * %G_IO_ERROR_CANCELLED.
 *
 * Returns: %TRUE if the process has ended in any way; %FALSE with @error set
 *
 * Since: 1.0
 */
gboolean
g_fork_process_wait_finish (GForkProcess  *self,
                            GAsyncResult  *result,
                            GError       **error)
{
  g_return_val_if_fail (G_FORK_IS_PROCESS (self), FALSE);

  return wait_finish (self, result, g_fork_process_wait_async, error);
}

/**
 * g_fork_process_wait:
 * @self: a process
 * @cancellable: (nullable): a cancellable; it ends the waiting, not the process
 * @error: return location for an error
 *
 * Blocks until the process has ended. The thread's own main context is not iterated
 * meanwhile.
 *
 * This fails with:
 *
 * - %G_FORK_ERROR_LOST if it cannot be known how the process ended
 * - %G_FORK_ERROR_FAILED if there are no descriptors left for a main context in which to
 *   wait
 * - %G_IO_ERROR_CANCELLED
 *
 * Returns: %TRUE if the process has ended in any way; %FALSE with @error set
 *
 * Since: 1.0
 */
gboolean
g_fork_process_wait (GForkProcess  *self,
                     GCancellable  *cancellable,
                     GError       **error)
{
  GForkSync sync;
  gboolean ended;

  g_return_val_if_fail (G_FORK_IS_PROCESS (self), FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);

  if (!g_fork_sync_begin (&sync, error))
    return FALSE;
  g_fork_process_wait_async (self, cancellable, g_fork_sync_done, &sync);
  ended = g_fork_process_wait_finish (self, g_fork_sync_wait (&sync), error);
  g_fork_sync_end (&sync);

  return ended;
}

/**
 * g_fork_process_wait_check_async:
 * @self: a process
 * @cancellable: (nullable): a cancellable; it ends the waiting, not the process
 * @callback: (scope async) (closure user_data): called when the process has ended
 * @user_data: data for @callback
 *
 * Waits for the process to end, and checks that its exit status is 0. This is the
 * asynchronous form of [method@GFork.Process.wait_check].
 *
 * Since: 1.0
 */
void
g_fork_process_wait_check_async (GForkProcess        *self,
                                 GCancellable        *cancellable,
                                 GAsyncReadyCallback  callback,
                                 gpointer             user_data)
{
  g_return_if_fail (G_FORK_IS_PROCESS (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  wait_async (self, cancellable, callback, user_data, g_fork_process_wait_check_async);
}

/* GLib's domains and codes, with a sentence that says which process it was. */
static gboolean
check_wait_status (GForkProcess  *self,
                   GError       **error)
{
  const int wait_status = g_fork_process_get_wait_status (self);
  const char *name = g_fork_child_get_name (self->child);
  const int pid = g_fork_child_get_pid (self->child);
  g_autoptr (GError) reason = NULL;

  if (g_spawn_check_wait_status (wait_status, &reason))
    return TRUE;

  if (WIFSIGNALED (wait_status))
    g_set_error (error, reason->domain, reason->code,
                 _("“%s” (process %d) was killed by signal %d (%s)"), name, pid,
                 WTERMSIG (wait_status), g_strsignal (WTERMSIG (wait_status)));
  else
    g_set_error (error, reason->domain, reason->code,
                 _("“%s” (process %d) has exited with status %d"), name, pid,
                 WEXITSTATUS (wait_status));
  return FALSE;
}

/**
 * g_fork_process_wait_check_finish:
 * @self: a process
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Finishes an operation started with [method@GFork.Process.wait_check_async].
 *
 * The errors about the exit status are those of [func@GLib.spawn_check_wait_status]. Their
 * messages name the function or program and the process ID.
 *
 * This fails with:
 *
 * - an error of the domain `G_SPAWN_EXIT_ERROR`, with the exit status as its code, if the
 *   process has exited with another status than 0
 * - %G_SPAWN_ERROR_FAILED if a signal has killed it
 * - %G_FORK_ERROR_LOST if it cannot be known how it ended
 * - %G_IO_ERROR_CANCELLED
 *
 * Returns: %TRUE if the process has exited with status 0; %FALSE with @error set
 *
 * Since: 1.0
 */
gboolean
g_fork_process_wait_check_finish (GForkProcess  *self,
                                  GAsyncResult  *result,
                                  GError       **error)
{
  g_return_val_if_fail (G_FORK_IS_PROCESS (self), FALSE);

  return wait_finish (self, result, g_fork_process_wait_check_async, error)
         && check_wait_status (self, error);
}

/**
 * g_fork_process_wait_check:
 * @self: a process
 * @cancellable: (nullable): a cancellable; it ends the waiting, not the process
 * @error: return location for an error
 *
 * Blocks until the process has ended, and checks that its exit status is 0. The thread's own
 * main context is not iterated meanwhile.
 *
 * This fails with the errors of [method@GFork.Process.wait_check_finish], or with
 * %G_FORK_ERROR_FAILED if there are no descriptors left for a main context in which to wait.
 *
 * Returns: %TRUE if the process has exited with status 0; %FALSE with @error set
 *
 * Since: 1.0
 */
gboolean
g_fork_process_wait_check (GForkProcess  *self,
                           GCancellable  *cancellable,
                           GError       **error)
{
  return g_fork_process_wait (self, cancellable, error) && check_wait_status (self, error);
}

/* ——— How it ended ——— */

/**
 * g_fork_process_get_wait_status:
 * @self: a process that has ended
 *
 * Gets the wait status, for `WIFEXITED()` and the like.
 *
 * It is an error to call this before the process is known to have ended. That is known when a
 * wait is complete, a source of the process was dispatched,
 * [signal@GFork.Process::exited] was emitted, or [method@GFork.Process.is_running] has
 * returned %FALSE.
 *
 * Returns: the wait status as from `waitpid(2)`; -1 if it cannot be known
 *
 * Since: 1.0
 */
int
g_fork_process_get_wait_status (GForkProcess *self)
{
  const struct gfork_exited *exited;

  g_return_val_if_fail (G_FORK_IS_PROCESS (self), -1);
  exited = g_fork_child_get_exited (self->child);
  g_return_val_if_fail (exited != NULL, -1);

  return exited->wait_status;
}

/**
 * g_fork_process_get_if_exited:
 * @self: a process that has ended
 *
 * Whether the process exited by itself, with an exit status.
 *
 * It is an error to call this before the process is known to have ended; see
 * [method@GFork.Process.get_wait_status].
 *
 * Returns: %TRUE if it has exited; %FALSE if a signal has killed it, or if it cannot be known
 *   how it ended
 *
 * Since: 1.0
 */
gboolean
g_fork_process_get_if_exited (GForkProcess *self)
{
  const struct gfork_exited *exited;

  g_return_val_if_fail (G_FORK_IS_PROCESS (self), FALSE);
  exited = g_fork_child_get_exited (self->child);
  g_return_val_if_fail (exited != NULL, FALSE);

  return exited->wait_status != -1 && WIFEXITED (exited->wait_status);
}

/**
 * g_fork_process_get_exit_status:
 * @self: a process of which [method@GFork.Process.get_if_exited] is true
 *
 * Gets the exit status. For a worker, that is the lowest eight bits of the value that its
 * function has returned.
 *
 * It is an error to call this if [method@GFork.Process.get_if_exited] is %FALSE.
 *
 * Returns: the exit status, from 0 to 255
 *
 * Since: 1.0
 */
int
g_fork_process_get_exit_status (GForkProcess *self)
{
  const struct gfork_exited *exited;

  g_return_val_if_fail (G_FORK_IS_PROCESS (self), 1);
  exited = g_fork_child_get_exited (self->child);
  g_return_val_if_fail (exited != NULL, 1);
  g_return_val_if_fail (exited->wait_status != -1 && WIFEXITED (exited->wait_status), 1);

  return WEXITSTATUS (exited->wait_status);
}

/**
 * g_fork_process_get_if_signaled:
 * @self: a process that has ended
 *
 * Whether a signal has killed the process.
 *
 * It is an error to call this before the process is known to have ended; see
 * [method@GFork.Process.get_wait_status].
 *
 * Returns: %TRUE if a signal has killed it; %FALSE if it has exited, or if it cannot be known
 *   how it ended
 *
 * Since: 1.0
 */
gboolean
g_fork_process_get_if_signaled (GForkProcess *self)
{
  const struct gfork_exited *exited;

  g_return_val_if_fail (G_FORK_IS_PROCESS (self), FALSE);
  exited = g_fork_child_get_exited (self->child);
  g_return_val_if_fail (exited != NULL, FALSE);

  return exited->wait_status != -1 && WIFSIGNALED (exited->wait_status);
}

/**
 * g_fork_process_get_term_sig:
 * @self: a process of which [method@GFork.Process.get_if_signaled] is true
 *
 * Gets the number of the signal that has killed the process.
 *
 * It is an error to call this if [method@GFork.Process.get_if_signaled] is %FALSE.
 *
 * Returns: the number of the signal
 *
 * Since: 1.0
 */
int
g_fork_process_get_term_sig (GForkProcess *self)
{
  const struct gfork_exited *exited;

  g_return_val_if_fail (G_FORK_IS_PROCESS (self), 0);
  exited = g_fork_child_get_exited (self->child);
  g_return_val_if_fail (exited != NULL, 0);
  g_return_val_if_fail (exited->wait_status != -1 && WIFSIGNALED (exited->wait_status), 0);

  return WTERMSIG (exited->wait_status);
}

/**
 * g_fork_process_get_user_time:
 * @self: a process that has ended
 *
 * Gets the user CPU time that the process has used, including that of the children that it
 * has waited for: `ru_utime` in `getrusage(2)`.
 *
 * It is an error to call this before the process is known to have ended; see
 * [method@GFork.Process.get_wait_status].
 *
 * Returns: the time in microseconds; 0 if it cannot be known
 *
 * Since: 1.0
 */
gint64
g_fork_process_get_user_time (GForkProcess *self)
{
  const struct gfork_exited *exited;

  g_return_val_if_fail (G_FORK_IS_PROCESS (self), 0);
  exited = g_fork_child_get_exited (self->child);
  g_return_val_if_fail (exited != NULL, 0);

  return exited->user_time;
}

/**
 * g_fork_process_get_system_time:
 * @self: a process that has ended
 *
 * Gets the system CPU time that the process has used, including that of the children that it
 * has waited for: `ru_stime` in `getrusage(2)`.
 *
 * It is an error to call this before the process is known to have ended; see
 * [method@GFork.Process.get_wait_status].
 *
 * Returns: the time in microseconds; 0 if it cannot be known
 *
 * Since: 1.0
 */
gint64
g_fork_process_get_system_time (GForkProcess *self)
{
  const struct gfork_exited *exited;

  g_return_val_if_fail (G_FORK_IS_PROCESS (self), 0);
  exited = g_fork_child_get_exited (self->child);
  g_return_val_if_fail (exited != NULL, 0);

  return exited->system_time;
}

/**
 * g_fork_process_get_max_rss:
 * @self: a process that has ended
 *
 * Gets the maximum resident set size of the process, including memory that it shares with its
 * template: `ru_maxrss` in `getrusage(2)`.
 *
 * It is an error to call this before the process is known to have ended; see
 * [method@GFork.Process.get_wait_status].
 *
 * Returns: the size in bytes; 0 if it cannot be known
 *
 * Since: 1.0
 */
guint64
g_fork_process_get_max_rss (GForkProcess *self)
{
  const struct gfork_exited *exited;

  g_return_val_if_fail (G_FORK_IS_PROCESS (self), 0);
  exited = g_fork_child_get_exited (self->child);
  g_return_val_if_fail (exited != NULL, 0);

  return exited->max_rss;
}

/* ——— Signals ——— */

/**
 * g_fork_process_send_signal:
 * @self: a process
 * @signum: the number of a signal
 * @error: return location for an error
 *
 * Sends a signal to the process. If the process has ended, no other process with the same
 * process ID receives the signal.
 *
 * This fails with:
 *
 * - %G_FORK_ERROR_CLOSED if the process has ended
 * - %G_FORK_ERROR_LOST if the template that it was forked from has died and its state cannot
 *   be known
 * - %G_FORK_ERROR_NOT_SUPPORTED if this system has no way to make sure that no other process
 *   receives the signal
 * - %G_FORK_ERROR_FAILED, with the system's reason, if the signal is not valid or not
 *   permitted
 *
 * Returns: %TRUE if the signal was sent; %FALSE with @error set
 *
 * Since: 1.0
 */
gboolean
g_fork_process_send_signal (GForkProcess  *self,
                            int            signum,
                            GError       **error)
{
  g_return_val_if_fail (G_FORK_IS_PROCESS (self), FALSE);

  return g_fork_child_kill (self->child, signum, error);
}

/**
 * g_fork_process_send_signal_to_group:
 * @self: a process that leads a process group, as one does after
 *   [method@GFork.Template.setsid]
 * @signum: the number of a signal
 * @error: return location for an error
 *
 * Sends a signal to all processes of the group that this process leads. These are the process
 * itself and those that it has started, except those that have left the group.
 *
 * From Linux 6.9 on, this is also possible after the process itself has ended.
 *
 * This fails with:
 *
 * - %G_FORK_ERROR_FAILED if the process does not lead a group, or, with the system's reason,
 *   if the signal is not valid or not permitted
 * - %G_FORK_ERROR_CLOSED if no process of the group is left, or if the process has ended and
 *   the kernel is older than Linux 6.9
 * - %G_FORK_ERROR_LOST if the template that it was forked from has died and its state cannot
 *   be known
 * - %G_FORK_ERROR_NOT_SUPPORTED if this system has no way to make sure that no other group
 *   receives the signal
 *
 * Returns: %TRUE if the signal was sent; %FALSE with @error set
 *
 * Since: 1.0
 */
gboolean
g_fork_process_send_signal_to_group (GForkProcess  *self,
                                     int            signum,
                                     GError       **error)
{
  g_return_val_if_fail (G_FORK_IS_PROCESS (self), FALSE);

  return g_fork_child_kill_group (self->child, signum, error);
}

/**
 * g_fork_process_force_exit:
 * @self: a process
 *
 * Kills the process with `SIGKILL`, unless it has ended. If it leads a process group (see
 * [method@GFork.Template.setsid]), the other processes of the group are killed as well.
 *
 * The process may not have ended yet when this returns. To be sure, wait for it.
 *
 * Since: 1.0
 */
void
g_fork_process_force_exit (GForkProcess *self)
{
  g_return_if_fail (G_FORK_IS_PROCESS (self));

  g_fork_child_force_exit (self->child);
}

/* ——— Its state ——— */

/**
 * g_fork_process_is_running:
 * @self: a process
 *
 * Whether the process is running. This never blocks, and no wait has to be under way.
 *
 * A process that has ended counts as running until its wait status is known, or until it is
 * certain that the status will never be known.
 *
 * Returns: %TRUE if the process is running; %FALSE if it has ended, or if its state cannot be
 *   known
 *
 * Since: 1.0
 */
gboolean
g_fork_process_is_running (GForkProcess *self)
{
  g_return_val_if_fail (G_FORK_IS_PROCESS (self), FALSE);

  return g_fork_child_is_running (self->child);
}

/**
 * g_fork_process_dup_pidfd:
 * @self: a process
 * @error: return location for an error
 *
 * Duplicates the pidfd of the process, for event loops and system calls. A pidfd is a
 * descriptor that becomes readable when the process has ended; see `pidfd_open(2)`.
 *
 * This fails with:
 *
 * - %G_FORK_ERROR_NOT_SUPPORTED if the kernel has no pidfds
 * - %G_FORK_ERROR_CLOSED if the process has ended
 * - %G_FORK_ERROR_LOST if its state cannot be known
 * - %G_FORK_ERROR_FAILED, with the system's reason, if the pidfd cannot be duplicated
 *
 * Returns: a descriptor, which the caller owns, with the close-on-exec flag; -1 with @error
 *   set
 *
 * Since: 1.0
 */
int
g_fork_process_dup_pidfd (GForkProcess  *self,
                          GError       **error)
{
  g_return_val_if_fail (G_FORK_IS_PROCESS (self), -1);

  return g_fork_child_dup_pidfd (self->child, error);
}

/* ——— Its pipes ——— */

/**
 * g_fork_process_get_stdin_pipe:
 * @self: a process
 *
 * Gets the pipe that is the standard input of a program that was executed with
 * %G_FORK_EXEC_STDIN_PIPE: a pollable [class@Gio.UnixOutputStream]. The program reads the end
 * of file when the stream is closed.
 *
 * Returns: (transfer none) (nullable): the stream; %NULL if there is no such pipe
 *
 * Since: 1.0
 */
GOutputStream *
g_fork_process_get_stdin_pipe (GForkProcess *self)
{
  g_return_val_if_fail (G_FORK_IS_PROCESS (self), NULL);

  return self->stdin_pipe;
}

/**
 * g_fork_process_get_stdout_pipe:
 * @self: a process
 *
 * Gets the pipe that is the standard output of a program that was executed with
 * %G_FORK_EXEC_STDOUT_PIPE: a pollable [class@Gio.UnixInputStream].
 *
 * Returns: (transfer none) (nullable): the stream; %NULL if there is no such pipe
 *
 * Since: 1.0
 */
GInputStream *
g_fork_process_get_stdout_pipe (GForkProcess *self)
{
  g_return_val_if_fail (G_FORK_IS_PROCESS (self), NULL);

  return self->output_pipes[0];
}

/**
 * g_fork_process_get_stderr_pipe:
 * @self: a process
 *
 * Gets the pipe that is the standard error of a program that was executed with
 * %G_FORK_EXEC_STDERR_PIPE: a pollable [class@Gio.UnixInputStream].
 *
 * Returns: (transfer none) (nullable): the stream; %NULL if there is no such pipe
 *
 * Since: 1.0
 */
GInputStream *
g_fork_process_get_stderr_pipe (GForkProcess *self)
{
  g_return_val_if_fail (G_FORK_IS_PROCESS (self), NULL);

  return self->output_pipes[1];
}

/* ——— The source ——— */

typedef struct
{
  GSource source;
  GForkProcess *process;
  GForkListener *listener; /* dispatched in the same context, which so looks again */
} ProcessSource;

static void
do_nothing (GForkChild *child,
            gpointer    data)
{
}

static gboolean
process_source_ready (ProcessSource *self)
{
  return g_fork_child_get_exited (self->process->child) != NULL;
}

/* Only now is it known which context the source is in. */
static gboolean
process_source_prepare (GSource *source,
                        int     *timeout)
{
  ProcessSource *self = (ProcessSource *) source;

  *timeout = -1;
  if (self->listener == NULL)
    {
      self->listener = g_fork_listener_new (self->process->child, do_nothing, NULL, NULL);
      g_fork_listener_start (self->listener, g_source_get_context (source));
    }
  return process_source_ready (self);
}

static gboolean
process_source_check (GSource *source)
{
  return process_source_ready ((ProcessSource *) source);
}

static gboolean
process_source_dispatch (GSource     *source,
                         GSourceFunc  callback,
                         gpointer     user_data)
{
  ProcessSource *self = (ProcessSource *) source;

  if (callback == NULL)
    g_warning ("The source of a GForkProcess was dispatched without a callback");
  else
    ((GForkProcessSourceFunc) callback) (self->process,
                                         g_fork_child_get_exited (self->process->child)->wait_status,
                                         user_data);
  return G_SOURCE_REMOVE;
}

static void
process_source_finalize (GSource *source)
{
  ProcessSource *self = (ProcessSource *) source;

  g_clear_pointer (&self->listener, g_fork_listener_stop);
  g_object_unref (self->process);
}

/* For bindings, which connect closures to sources. */
static gboolean
process_source_closure (GForkProcess *process,
                        int           wait_status,
                        gpointer      data)
{
  GValue parameters[2] = { G_VALUE_INIT, G_VALUE_INIT };
  GValue result = G_VALUE_INIT;
  gboolean remains;

  g_value_init (&parameters[0], G_FORK_TYPE_PROCESS);
  g_value_set_object (&parameters[0], process);
  g_value_init (&parameters[1], G_TYPE_INT);
  g_value_set_int (&parameters[1], wait_status);
  g_value_init (&result, G_TYPE_BOOLEAN);

  g_closure_invoke (data, &result, 2, parameters, NULL);
  remains = g_value_get_boolean (&result);

  g_value_unset (&parameters[0]);
  g_value_unset (&parameters[1]);
  g_value_unset (&result);
  return remains;
}

static GSourceFuncs process_source_funcs = {
  .prepare = process_source_prepare,
  .check = process_source_check,
  .dispatch = process_source_dispatch,
  .finalize = process_source_finalize,
  .closure_callback = (GSourceFunc) (void (*) (void)) process_source_closure,
};

/**
 * g_fork_process_create_source:
 * @self: a process
 *
 * Creates a source that is dispatched once, when the process has ended. Its callback is a
 * [callback@GFork.ProcessSourceFunc]. The source holds a reference to @self.
 *
 * Returns: (transfer full): a new source, to be attached to a main context
 *
 * Since: 1.0
 */
GSource *
g_fork_process_create_source (GForkProcess *self)
{
  GSource *source;

  g_return_val_if_fail (G_FORK_IS_PROCESS (self), NULL);

  source = g_source_new (&process_source_funcs, sizeof (ProcessSource));
  g_source_set_static_name (source, "[gspawnfork] process end");
  ((ProcessSource *) source)->process = g_object_ref (self);

  return source;
}
