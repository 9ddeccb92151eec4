/* gforkcommunicate.c: giving a program its input and collecting its output
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "gforkprocess.h"

#include "base/context.h"

#include <gio/gunixinputstream.h>
#include <gio/gunixoutputstream.h>
#include <glib/gi18n-lib.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

/* So much is read or written before others in the main context get their turn. */
#define MAX_AT_ONCE (256 * 1024)

typedef enum
{
  STDIN,
  STDOUT,
  STDERR,
  N_STREAMS
} Stream;

/* What a communication has to do is counted: a source for each stream, and the wait. */
typedef struct
{
  GBytes *input;
  gsize written;
  GByteArray *output[N_STREAMS]; /* %NULL for what is no pipe */

  GSource *sources[N_STREAMS];
  GSource *cancel_source;
  GCancellable *wait; /* ends the wait when the communication is cancelled */
  guint n_pending;
  gboolean returned;
} Communication;

static void
drop_source (GSource **source)
{
  if (*source == NULL)
    return;

  g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}

static void
communication_free (gpointer data)
{
  Communication *communication = data;

  g_clear_pointer (&communication->input, g_bytes_unref);
  for (int i = 0; i < N_STREAMS; i++)
    g_clear_pointer (&communication->output[i], g_byte_array_unref);
  g_object_unref (communication->wait);
  g_free (communication);
}

/* ——— Its end ——— */

/* Takes @error. */
static void
communication_return (GTask  *task,
                      GError *error)
{
  Communication *communication = g_task_get_task_data (task);

  if (communication->returned)
    {
      g_clear_error (&error);
      return;
    }

  communication->returned = TRUE;
  for (int i = 0; i < N_STREAMS; i++)
    drop_source (&communication->sources[i]);
  drop_source (&communication->cancel_source);
  g_cancellable_cancel (communication->wait);
  if (error != NULL)
    g_task_return_error (task, error);
  else
    g_task_return_boolean (task, TRUE);
}

static void
one_is_done (GTask *task)
{
  Communication *communication = g_task_get_task_data (task);

  if (--communication->n_pending == 0)
    communication_return (task, NULL);
}

static void
on_waited (GObject      *source,
           GAsyncResult *result,
           gpointer      user_data)
{
  g_autoptr (GTask) task = user_data;

  /* That it is lost how the program has ended loses no output. */
  g_fork_process_wait_finish (G_FORK_PROCESS (source), result, NULL);
  one_is_done (task);
}

static gboolean
on_cancelled (GCancellable *cancellable,
              gpointer      user_data)
{
  g_autoptr (GTask) task = g_object_ref (user_data);

  communication_return (task, g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED,
                                           _("Operation was cancelled")));
  return G_SOURCE_REMOVE;
}

/* ——— The streams ——— */

/* Writing to a pipe that nobody reads sends SIGPIPE to this thread, which would end an
 * application that has not changed that. The signal is taken back, unless there was one
 * before. */
static gssize
write_without_signal (GPollableOutputStream  *stream,
                      const void             *data,
                      gsize                   length,
                      GError                **error)
{
  const struct timespec at_once = { 0, 0 };
  sigset_t pipe, before, pending;
  gboolean was_pending;
  gssize n;

  sigemptyset (&pipe);
  sigaddset (&pipe, SIGPIPE);
  sigpending (&pending);
  was_pending = sigismember (&pending, SIGPIPE) == 1;
  pthread_sigmask (SIG_BLOCK, &pipe, &before);

  n = g_pollable_output_stream_write_nonblocking (stream, data, length, NULL, error);

  if (n < 0 && !was_pending)
    while (sigtimedwait (&pipe, NULL, &at_once) < 0 && errno == EINTR)
      ;
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  return n;
}

/* The input was written, or nobody reads it any more, which is the program's decision. */
static void
close_input (GTask         *task,
             GOutputStream *stream)
{
  Communication *communication = g_task_get_task_data (task);

  g_output_stream_close (stream, NULL, NULL);
  drop_source (&communication->sources[STDIN]);
  one_is_done (task);
}

static gboolean
on_writable (GObject  *stream,
             gpointer  user_data)
{
  g_autoptr (GTask) task = g_object_ref (user_data);
  Communication *communication = g_task_get_task_data (task);
  gsize length;
  const char *data = g_bytes_get_data (communication->input, &length);
  gsize end = communication->written + MIN (length - communication->written, MAX_AT_ONCE);

  while (communication->written < end)
    {
      g_autoptr (GError) error = NULL;
      gssize n = write_without_signal (G_POLLABLE_OUTPUT_STREAM (stream),
                                       data + communication->written,
                                       end - communication->written, &error);

      if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
        return G_SOURCE_CONTINUE;
      if (n < 0)
        {
          close_input (task, G_OUTPUT_STREAM (stream));
          return G_SOURCE_REMOVE;
        }
      communication->written += n;
    }

  if (communication->written < length)
    return G_SOURCE_CONTINUE;

  close_input (task, G_OUTPUT_STREAM (stream));
  return G_SOURCE_REMOVE;
}

static gboolean
on_readable (GTask  *task,
             GInputStream *stream,
             Stream  which)
{
  Communication *communication = g_task_get_task_data (task);
  GByteArray *output = communication->output[which];
  gsize at_once = 0;
  gssize n;

  do
    {
      g_autoptr (GError) error = NULL;
      guint before = output->len;
      const gsize size = 64 * 1024;

      if (before > G_MAXUINT - size)
        {
          communication_return (task, g_error_new (G_IO_ERROR, G_IO_ERROR_NO_SPACE,
                                                   _("The output is longer than 4 GiB")));
          return G_SOURCE_REMOVE;
        }
      g_byte_array_set_size (output, before + size);
      n = g_pollable_input_stream_read_nonblocking (G_POLLABLE_INPUT_STREAM (stream),
                                                    output->data + before, size, NULL, &error);
      g_byte_array_set_size (output, before + MAX (n, 0));
      at_once += MAX (n, 0);
      if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
        return G_SOURCE_CONTINUE;
      if (n < 0)
        {
          communication_return (task, g_steal_pointer (&error));
          return G_SOURCE_REMOVE;
        }
    }
  while (n > 0 && at_once < MAX_AT_ONCE);

  if (n > 0)
    return G_SOURCE_CONTINUE;

  g_input_stream_close (stream, NULL, NULL);
  drop_source (&communication->sources[which]);
  one_is_done (task);
  return G_SOURCE_REMOVE;
}

static gboolean
on_stdout_readable (GObject  *stream,
                    gpointer  user_data)
{
  g_autoptr (GTask) task = g_object_ref (user_data);

  return on_readable (task, G_INPUT_STREAM (stream), STDOUT);
}

static gboolean
on_stderr_readable (GObject  *stream,
                    gpointer  user_data)
{
  g_autoptr (GTask) task = g_object_ref (user_data);

  return on_readable (task, G_INPUT_STREAM (stream), STDERR);
}

/* ——— Its beginning ——— */

static void
watch_output (GTask             *task,
              Stream             which,
              GInputStream      *stream,
              GPollableSourceFunc callback)
{
  Communication *communication = g_task_get_task_data (task);

  if (stream == NULL)
    return;

  communication->output[which] = g_byte_array_new ();
  /* Somebody has closed it, and reads nothing. */
  if (g_input_stream_is_closed (stream))
    return;

  communication->n_pending++;
  communication->sources[which] =
      g_pollable_input_stream_create_source (G_POLLABLE_INPUT_STREAM (stream), NULL);
  g_task_attach_source (task, communication->sources[which], G_SOURCE_FUNC (callback));
}

static void
watch_input (GTask         *task,
             GOutputStream *stream)
{
  Communication *communication = g_task_get_task_data (task);

  if (stream == NULL || g_output_stream_is_closed (stream))
    return;

  if (communication->input == NULL)
    {
      g_output_stream_close (stream, NULL, NULL);
      return;
    }

  communication->n_pending++;
  communication->sources[STDIN] =
      g_pollable_output_stream_create_source (G_POLLABLE_OUTPUT_STREAM (stream), NULL);
  g_task_attach_source (task, communication->sources[STDIN], G_SOURCE_FUNC (on_writable));
}

static void
communicate (GForkProcess        *self,
             GBytes              *input,
             GCancellable        *cancellable,
             GAsyncReadyCallback  callback,
             gpointer             user_data,
             gpointer             source_tag)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, user_data);
  Communication *communication = g_new0 (Communication, 1);

  g_task_set_source_tag (task, source_tag);
  /* What was returned is returned, also if it is cancelled afterwards. */
  g_task_set_check_cancellable (task, FALSE);
  communication->input = input != NULL ? g_bytes_ref (input) : NULL;
  communication->wait = g_cancellable_new ();
  g_task_set_task_data (task, communication, communication_free);

  if (cancellable != NULL)
    {
      communication->cancel_source = g_cancellable_source_new (cancellable);
      g_task_attach_source (task, communication->cancel_source, G_SOURCE_FUNC (on_cancelled));
      if (g_cancellable_is_cancelled (cancellable))
        {
          on_cancelled (cancellable, task);
          return;
        }
    }

  watch_input (task, g_fork_process_get_stdin_pipe (self));
  watch_output (task, STDOUT, g_fork_process_get_stdout_pipe (self), on_stdout_readable);
  watch_output (task, STDERR, g_fork_process_get_stderr_pipe (self), on_stderr_readable);
  communication->n_pending++;
  g_fork_process_wait_async (self, communication->wait, on_waited, g_object_ref (task));
}

static gboolean
is_valid_result (GForkProcess *self,
                 GAsyncResult *result,
                 gpointer      source_tag)
{
  return g_task_is_valid (result, self) && g_async_result_is_tagged (result, source_tag);
}

static void
take_bytes (GTask   *task,
            Stream   which,
            GBytes **bytes)
{
  Communication *communication = g_task_get_task_data (task);

  if (bytes == NULL)
    return;

  *bytes = communication->output[which] != NULL
               ? g_byte_array_free_to_bytes (g_steal_pointer (&communication->output[which]))
               : NULL;
}

static gboolean
take_outputs (GAsyncResult  *result,
              GBytes       **stdout_buf,
              GBytes       **stderr_buf,
              GError       **error)
{
  if (!g_task_propagate_boolean (G_TASK (result), error))
    return FALSE;

  take_bytes (G_TASK (result), STDOUT, stdout_buf);
  take_bytes (G_TASK (result), STDERR, stderr_buf);
  return TRUE;
}

static GBytes *
text_to_bytes (const char *text)
{
  return text != NULL ? g_bytes_new (text, strlen (text)) : NULL;
}

static gboolean
is_utf8 (GBytes      *bytes,
         const char  *name,
         GError     **error)
{
  const char *data;
  const char *end;
  gsize length;

  if (bytes == NULL || g_bytes_get_size (bytes) == 0)
    return TRUE;

  data = g_bytes_get_data (bytes, &length);
  if (g_utf8_validate_len (data, length, &end))
    return TRUE;

  g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
               /* Translators: “stdout” or “stderr” */
               _("The program's %s is no UTF-8 at byte %zu"), name, (gsize) (end - data));
  return FALSE;
}

static char *
bytes_to_text (GBytes *bytes)
{
  gsize length;
  gconstpointer data;

  if (bytes == NULL)
    return NULL;

  data = g_bytes_get_data (bytes, &length);
  return length > 0 ? g_strndup (data, length) : g_strdup ("");
}

/* What a communication has brought, as text. Nothing is returned if one of the two is none. */
static gboolean
outputs_to_text (GBytes  *stdout_bytes,
                 GBytes  *stderr_bytes,
                 char   **stdout_text,
                 char   **stderr_text,
                 GError **error)
{
  if (!is_utf8 (stdout_bytes, "stdout", error) || !is_utf8 (stderr_bytes, "stderr", error))
    return FALSE;

  if (stdout_text != NULL)
    *stdout_text = bytes_to_text (stdout_bytes);
  if (stderr_text != NULL)
    *stderr_text = bytes_to_text (stderr_bytes);
  return TRUE;
}

/**
 * g_fork_process_communicate_async:
 * @self: a process that is a program, see [method@GFork.Template.execv]
 * @stdin_buf: (nullable): the bytes to write to the program's standard input; it must be
 *   %NULL unless that is a pipe (%G_FORK_EXEC_STDIN_PIPE)
 * @cancellable: (nullable): a cancellable; it ends the communication, not the program
 * @callback: (scope async) (closure user_data): called when the program has ended and all
 *   of its output was read
 * @user_data: data for @callback
 *
 * Communicates with a program until it ends. This is the asynchronous form of
 * [method@GFork.Process.communicate].
 *
 * It writes @stdin_buf to the standard input of the program, and then closes that. It reads
 * all of the standard output and the standard error, if these are pipes. If @stdin_buf is
 * %NULL and the standard input is a pipe, it is closed at once.
 *
 * A program that does not read all of its input causes no error, unlike with
 * [method@Gio.Subprocess.communicate_async]. No output is lost then, and the application
 * receives no `SIGPIPE`.
 *
 * If the program has started other processes that have its standard output or standard error
 * open, this waits until they close it. After [method@GFork.Template.setsid],
 * [method@GFork.Process.force_exit] ends them together with the program.
 *
 * Since: 1.0
 */
void
g_fork_process_communicate_async (GForkProcess        *self,
                                  GBytes              *stdin_buf,
                                  GCancellable        *cancellable,
                                  GAsyncReadyCallback  callback,
                                  gpointer             user_data)
{
  g_return_if_fail (G_FORK_IS_PROCESS (self));
  g_return_if_fail (stdin_buf == NULL || g_fork_process_get_stdin_pipe (self) != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  communicate (self, stdin_buf, cancellable, callback, user_data,
               g_fork_process_communicate_async);
}

/**
 * g_fork_process_communicate_finish:
 * @self: a process
 * @result: what the callback was given
 * @stdout_buf: (out) (optional) (nullable) (transfer full): return location for what the
 *   program has written to its standard output; %NULL if that is not a pipe
 * @stderr_buf: (out) (optional) (nullable) (transfer full): return location for what the
 *   program has written to its standard error; %NULL if that is not a pipe
 * @error: return location for an error
 *
 * Finishes an operation started with [method@GFork.Process.communicate_async].
 *
 * Afterwards, [method@GFork.Process.get_if_exited] and the methods after it tell how the
 * program has ended. It is no error if that cannot be known: then
 * [method@GFork.Process.get_wait_status] is -1.
 *
 * This fails with:
 *
 * - %G_IO_ERROR_CANCELLED
 * - %G_IO_ERROR_NO_SPACE if an output is longer than 4 GiB
 * - another of [error@Gio.IOErrorEnum] if an output cannot be read
 *
 * Returns: %TRUE if the program has ended; %FALSE with @error set
 *
 * Since: 1.0
 */
gboolean
g_fork_process_communicate_finish (GForkProcess  *self,
                                   GAsyncResult  *result,
                                   GBytes       **stdout_buf,
                                   GBytes       **stderr_buf,
                                   GError       **error)
{
  g_return_val_if_fail (G_FORK_IS_PROCESS (self), FALSE);
  g_return_val_if_fail (is_valid_result (self, result, g_fork_process_communicate_async), FALSE);

  return take_outputs (result, stdout_buf, stderr_buf, error);
}

/**
 * g_fork_process_communicate:
 * @self: a process that is a program
 * @stdin_buf: (nullable): the bytes to write to the program's standard input; it must be
 *   %NULL unless that is a pipe (%G_FORK_EXEC_STDIN_PIPE)
 * @cancellable: (nullable): a cancellable; it ends the communication, not the program
 * @stdout_buf: (out) (optional) (nullable) (transfer full): return location for what the
 *   program has written to its standard output; %NULL if that is not a pipe
 * @stderr_buf: (out) (optional) (nullable) (transfer full): return location for what the
 *   program has written to its standard error; %NULL if that is not a pipe
 * @error: return location for an error
 *
 * Communicates with a program, and blocks until it has ended and all of its output was read.
 * The thread's own main context is not iterated meanwhile.
 *
 * [method@GFork.Process.communicate_async] has the details.
 *
 * This fails with the errors of [method@GFork.Process.communicate_finish], or with
 * %G_FORK_ERROR_FAILED if there are no descriptors left for a main context in which to wait.
 *
 * Returns: %TRUE if the program has ended; %FALSE with @error set
 *
 * Since: 1.0
 */
gboolean
g_fork_process_communicate (GForkProcess  *self,
                            GBytes        *stdin_buf,
                            GCancellable  *cancellable,
                            GBytes       **stdout_buf,
                            GBytes       **stderr_buf,
                            GError       **error)
{
  GForkSync sync;
  gboolean ended;

  g_return_val_if_fail (G_FORK_IS_PROCESS (self), FALSE);
  g_return_val_if_fail (stdin_buf == NULL || g_fork_process_get_stdin_pipe (self) != NULL, FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);

  if (!g_fork_sync_begin (&sync, error))
    return FALSE;
  g_fork_process_communicate_async (self, stdin_buf, cancellable, g_fork_sync_done, &sync);
  ended = g_fork_process_communicate_finish (self, g_fork_sync_wait (&sync), stdout_buf,
                                             stderr_buf, error);
  g_fork_sync_end (&sync);

  return ended;
}

/**
 * g_fork_process_communicate_utf8_async:
 * @self: a process that is a program
 * @stdin_buf: (nullable): a string to write to the program's standard input; it must be
 *   %NULL unless that is a pipe (%G_FORK_EXEC_STDIN_PIPE)
 * @cancellable: (nullable): a cancellable; it ends the communication, not the program
 * @callback: (scope async) (closure user_data): called when the program has ended and all
 *   of its output was read
 * @user_data: data for @callback
 *
 * Communicates with a program like [method@GFork.Process.communicate_async], but in text in
 * UTF-8.
 *
 * Since: 1.0
 */
void
g_fork_process_communicate_utf8_async (GForkProcess        *self,
                                       const char          *stdin_buf,
                                       GCancellable        *cancellable,
                                       GAsyncReadyCallback  callback,
                                       gpointer             user_data)
{
  g_autoptr (GBytes) input = text_to_bytes (stdin_buf);

  g_return_if_fail (G_FORK_IS_PROCESS (self));
  g_return_if_fail (stdin_buf == NULL || g_fork_process_get_stdin_pipe (self) != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  communicate (self, input, cancellable, callback, user_data,
               g_fork_process_communicate_utf8_async);
}

/**
 * g_fork_process_communicate_utf8_finish:
 * @self: a process
 * @result: what the callback was given
 * @stdout_buf: (out) (optional) (nullable) (transfer full): return location for what the
 *   program has written to its standard output; %NULL if that is not a pipe
 * @stderr_buf: (out) (optional) (nullable) (transfer full): return location for what the
 *   program has written to its standard error; %NULL if that is not a pipe
 * @error: return location for an error
 *
 * Finishes an operation started with [method@GFork.Process.communicate_utf8_async].
 *
 * If one output is not valid UTF-8, neither is returned.
 *
 * This fails with %G_IO_ERROR_INVALID_DATA if an output is not valid UTF-8. Otherwise, it
 * fails with the errors of [method@GFork.Process.communicate_finish].
 *
 * Returns: %TRUE if the program has ended and its output is valid UTF-8; %FALSE with @error
 *   set
 *
 * Since: 1.0
 */
gboolean
g_fork_process_communicate_utf8_finish (GForkProcess  *self,
                                        GAsyncResult  *result,
                                        char         **stdout_buf,
                                        char         **stderr_buf,
                                        GError       **error)
{
  g_autoptr (GBytes) out = NULL;
  g_autoptr (GBytes) err = NULL;

  g_return_val_if_fail (G_FORK_IS_PROCESS (self), FALSE);
  g_return_val_if_fail (is_valid_result (self, result, g_fork_process_communicate_utf8_async),
                        FALSE);

  return take_outputs (result, &out, &err, error)
         && outputs_to_text (out, err, stdout_buf, stderr_buf, error);
}

/**
 * g_fork_process_communicate_utf8:
 * @self: a process that is a program
 * @stdin_buf: (nullable): a string to write to the program's standard input; it must be
 *   %NULL unless that is a pipe (%G_FORK_EXEC_STDIN_PIPE)
 * @cancellable: (nullable): a cancellable; it ends the communication, not the program
 * @stdout_buf: (out) (optional) (nullable) (transfer full): return location for what the
 *   program has written to its standard output; %NULL if that is not a pipe
 * @stderr_buf: (out) (optional) (nullable) (transfer full): return location for what the
 *   program has written to its standard error; %NULL if that is not a pipe
 * @error: return location for an error
 *
 * Communicates with a program like [method@GFork.Process.communicate], but in text in UTF-8.
 *
 * This fails with %G_IO_ERROR_INVALID_DATA if an output is not valid UTF-8. Otherwise, it
 * fails with the errors of [method@GFork.Process.communicate].
 *
 * Returns: %TRUE if the program has ended and its output is valid UTF-8; %FALSE with @error
 *   set
 *
 * Since: 1.0
 */
gboolean
g_fork_process_communicate_utf8 (GForkProcess  *self,
                                 const char    *stdin_buf,
                                 GCancellable  *cancellable,
                                 char         **stdout_buf,
                                 char         **stderr_buf,
                                 GError       **error)
{
  g_autoptr (GBytes) input = text_to_bytes (stdin_buf);
  g_autoptr (GBytes) out = NULL;
  g_autoptr (GBytes) err = NULL;

  return g_fork_process_communicate (self, input, cancellable, &out, &err, error)
         && outputs_to_text (out, err, stdout_buf, stderr_buf, error);
}
