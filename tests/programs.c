/* programs.c: tests of executing programs in the ways that GSubprocess offers
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "executions.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixinputstream.h>
#include <gio/gunixoutputstream.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a program writes, read through a stream of GLib's. */
static char *
read_stream (GInputStream *stream)
{
  g_autoptr (GOutputStream) memory = g_memory_output_stream_new_resizable ();
  g_autoptr (GError) error = NULL;

  g_output_stream_splice (memory, stream, G_OUTPUT_STREAM_SPLICE_CLOSE_SOURCE
                                              | G_OUTPUT_STREAM_SPLICE_CLOSE_TARGET,
                          NULL, &error);
  g_assert_no_error (error);
  return g_strndup (g_memory_output_stream_get_data (G_MEMORY_OUTPUT_STREAM (memory)),
                    g_memory_output_stream_get_data_size (G_MEMORY_OUTPUT_STREAM (memory)));
}

/* ——— Beginning and ending ——— */

/* With every form of the streams, a program that does nothing does it. */
static void
test_noop (gconstpointer kind)
{
  static const GForkExecFlags flags[] = {
    G_FORK_EXEC_NONE,
    IN,
    OUT,
    ERR,
    IN | OUT | ERR,
    G_FORK_EXEC_STDOUT_SILENCE | G_FORK_EXEC_STDERR_SILENCE,
    IN | G_FORK_EXEC_STDOUT_SILENCE | G_FORK_EXEC_STDERR_MERGE,
    OUT | G_FORK_EXEC_STDERR_SILENCE,
    OUT | G_FORK_EXEC_STDERR_MERGE,
    G_FORK_EXEC_SOCKET_STDIN | OUT | ERR,
    G_FORK_EXEC_SOCKET_STDIN | G_FORK_EXEC_SOCKET_STDOUT | G_FORK_EXEC_STDERR_MERGE,
  };

  for (gsize i = 0; i < G_N_ELEMENTS (flags); i++)
    {
      g_autoptr (GForkTemplate) template = test_make (kind);
      g_autoptr (GForkProcess) process = execute_in (template, WORDS ("/bin/true"), flags[i]);

      g_assert_cmpint (g_fork_process_get_stdin_pipe (process) != NULL, ==, (flags[i] & IN) != 0);
      g_assert_cmpint (g_fork_process_get_stdout_pipe (process) != NULL, ==, (flags[i] & OUT) != 0);
      g_assert_cmpint (g_fork_process_get_stderr_pipe (process) != NULL, ==, (flags[i] & ERR) != 0);
      assert_succeeds (process);
    }
}

/* Nobody waits, and nothing is left. */
static void
test_no_wait (void)
{
  g_autoptr (GForkProcess) process = execute (WORDS ("/bin/true"), IN | OUT | ERR);
  GPid pid = g_fork_process_get_pid (process);

  g_clear_object (&process);
  test_wait_for_end (pid);
}

static void
test_search_path (void)
{
  g_autoptr (GForkProcess) process = execute (WORDS ("true"), G_FORK_EXEC_SEARCH_PATH);
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GError) error = NULL;

  assert_succeeds (process);
  g_assert_null (g_fork_template_execv (template, WORDS ("true"), OUT, NULL, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_EXEC, "true", g_strerror (ENOENT));
}

/* PATH is the program's own, as the template's environment has it. */
static void
test_search_own_path (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkTemplate) unset = g_fork_template_new ();
  g_autoptr (GForkTemplate) elsewhere = g_fork_template_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GForkProcess) by_default = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_setenv (template, "PATH", "/nonexistent::/proc/self/exe:/usr/bin:/bin");
  process = execute_in (template, WORDS ("true"), G_FORK_EXEC_SEARCH_PATH);
  assert_succeeds (process);

  g_fork_template_unsetenv (unset, "PATH");
  by_default = execute_in (unset, WORDS ("true"), G_FORK_EXEC_SEARCH_PATH);
  assert_succeeds (by_default);

  g_fork_template_setenv (elsewhere, "PATH", "/nonexistent");
  g_assert_null (g_fork_template_execv (elsewhere, WORDS ("true"), G_FORK_EXEC_SEARCH_PATH, NULL,
                                        NULL, &error));
  test_assert_error (error, G_FORK_ERROR_EXEC, "true", g_strerror (ENOENT));
}

static void
test_exit_status (void)
{
  static const char *const scripts[] = { "exit 0", "exit 1", "exit 42", "exit 255" };
  static const int statuses[] = { 0, 1, 42, 255 };

  for (gsize i = 0; i < G_N_ELEMENTS (scripts); i++)
    {
      g_autoptr (GForkProcess) process = execute (SCRIPT (scripts[i]), G_FORK_EXEC_NONE);
      g_autoptr (GError) error = NULL;

      g_assert_cmpint (g_fork_process_wait_check (process, NULL, &error), ==, statuses[i] == 0);
      g_assert_true (g_fork_process_get_if_exited (process));
      g_assert_false (g_fork_process_get_if_signaled (process));
      g_assert_cmpint (g_fork_process_get_exit_status (process), ==, statuses[i]);
      if (statuses[i] != 0)
        g_assert_error (error, G_SPAWN_EXIT_ERROR, statuses[i]);
    }
}

/* A wait that was cancelled leaves the program alone, and another wait tells its end. */
static void
test_cancelled_wait (void)
{
  g_autoptr (GForkProcess) process = execute (WORDS ("cat"), G_FORK_EXEC_SEARCH_PATH | IN | OUT);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_process_wait_check_async (process, cancellable, test_store_result, &result);
  g_cancellable_cancel (cancellable);
  test_await (&result);
  g_assert_false (g_fork_process_wait_check_finish (process, result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_true (g_fork_process_is_running (process));
  communicate (process, "still there", "still there", NULL);
}

static void
cancel_in_callback (GObject      *source,
                    GAsyncResult *result,
                    gpointer      data)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (g_fork_process_wait_check_finish (G_FORK_PROCESS (source), result, &error));
  g_assert_error (error, G_SPAWN_EXIT_ERROR, 1);
  g_cancellable_cancel (g_task_get_cancellable (G_TASK (result)));
  *(gboolean *) data = TRUE;
}

/* Two can wait for the same end, one of them in a blocking call; and cancelling what has ended
 * changes nothing. */
static void
test_cancelled_in_callback (void)
{
  g_autoptr (GForkProcess) process = execute (SCRIPT ("exit 1"), G_FORK_EXEC_NONE);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  gboolean called = FALSE;

  g_fork_process_wait_check_async (process, cancellable, cancel_in_callback, &called);
  g_assert_false (g_fork_process_wait_check (process, NULL, &error));
  g_assert_error (error, G_SPAWN_EXIT_ERROR, 1);
  g_assert_false (called);
  while (!called)
    g_main_context_iteration (NULL, TRUE);
}

/* A program that is traced stops again and again, and each stop is something to wait for; but it
 * has ended when it has ended. */
static void
test_traced (void)
{
  g_autoptr (GForkProcess) process = execute (WORDS ("/bin/sleep", "1000"), G_FORK_EXEC_NONE);
  GPid pid = g_fork_process_get_pid (process);
  g_autoptr (GError) error = NULL;
  int status;

  if (ptrace (PTRACE_SEIZE, pid, NULL, NULL) != 0)
    {
      g_test_skip ("processes cannot be traced here");
      g_fork_process_force_exit (process);
      return;
    }

  g_assert_true (g_fork_process_send_signal (process, SIGUSR2, &error));
  g_assert_no_error (error);
  g_assert_cmpint (waitpid (pid, &status, __WALL), ==, pid);
  g_assert_true (WIFSTOPPED (status));
  g_assert_cmpint (WSTOPSIG (status), ==, SIGUSR2);
  g_assert_true (g_fork_process_is_running (process));
  g_assert_no_errno (ptrace (PTRACE_CONT, pid, NULL, NULL));

  g_assert_true (g_fork_process_send_signal (process, SIGTERM, &error));
  g_assert_no_error (error);
  g_assert_cmpint (waitpid (pid, &status, __WALL), ==, pid);
  g_assert_cmpint (WSTOPSIG (status), ==, SIGTERM);
  g_assert_no_errno (ptrace (PTRACE_CONT, pid, NULL, (void *) (gintptr) SIGTERM));
  g_assert_cmpint (waitpid (pid, &status, __WALL), ==, pid);
  g_assert_true (WIFSIGNALED (status));

  g_assert_true (g_fork_process_wait (process, NULL, &error));
  g_assert_no_error (error);
  g_assert_true (g_fork_process_get_if_signaled (process));
  g_assert_cmpint (g_fork_process_get_term_sig (process), ==, SIGTERM);
}

static void
test_signals (void)
{
  g_autoptr (GForkProcess) process = execute (WORDS ("/bin/sleep", "1000"), G_FORK_EXEC_NONE);
  g_autoptr (GForkProcess) killed = execute (WORDS ("/bin/sleep", "1000"), G_FORK_EXEC_NONE);
  g_autoptr (GForkProcess) trapped = execute (
      SCRIPT ("trap 'exit 33' TERM; echo ready; while :; do sleep 0.01; done"), OUT);
  g_autoptr (GError) error = NULL;
  char line[6] = "";

  g_assert_true (g_fork_process_send_signal (process, SIGUSR1, &error));
  g_assert_no_error (error);
  g_assert_false (g_fork_process_wait_check (process, NULL, &error));
  g_assert_error (error, G_SPAWN_ERROR, G_SPAWN_ERROR_FAILED);
  g_assert_true (g_fork_process_get_if_signaled (process));
  g_assert_cmpint (g_fork_process_get_term_sig (process), ==, SIGUSR1);
  g_clear_error (&error);

  g_fork_process_force_exit (killed);
  g_assert_true (g_fork_process_wait (killed, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_fork_process_get_term_sig (killed), ==, SIGKILL);

  g_assert_true (g_input_stream_read_all (g_fork_process_get_stdout_pipe (trapped), line, 6, NULL,
                                          NULL, &error));
  g_assert_cmpmem (line, 6, "ready\n", 6);
  g_assert_true (g_fork_process_send_signal (trapped, SIGTERM, &error));
  g_assert_true (g_fork_process_wait (trapped, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_fork_process_get_exit_status (trapped), ==, 33);
}

/* ——— Pipes ——— */

/* They are GLib's streams for descriptors, and can be polled. */
static void
test_pipe_types (void)
{
  g_autoptr (GForkProcess) process = execute (WORDS ("cat"), G_FORK_EXEC_SEARCH_PATH | IN | OUT | ERR);
  GOutputStream *in = g_fork_process_get_stdin_pipe (process);
  GInputStream *outputs[] = { g_fork_process_get_stdout_pipe (process),
                              g_fork_process_get_stderr_pipe (process) };

  g_assert_true (G_IS_UNIX_OUTPUT_STREAM (in));
  g_assert_true (g_pollable_output_stream_can_poll (G_POLLABLE_OUTPUT_STREAM (in)));
  for (int i = 0; i < 2; i++)
    {
      struct stat status;

      g_assert_true (G_IS_UNIX_INPUT_STREAM (outputs[i]));
      g_assert_true (g_pollable_input_stream_can_poll (G_POLLABLE_INPUT_STREAM (outputs[i])));
      g_assert_no_errno (fstat (g_unix_input_stream_get_fd (G_UNIX_INPUT_STREAM (outputs[i])),
                                &status));
      g_assert_true (S_ISFIFO (status.st_mode));
      g_assert_cmpint (fcntl (g_unix_input_stream_get_fd (G_UNIX_INPUT_STREAM (outputs[i])), F_GETFD),
                       ==, FD_CLOEXEC);
    }
  communicate (process, NULL, "", "");
}

/* The program's ends are blocking pipes at their numbers, and it has nothing else. */
static void
test_pipes_in_program (gconstpointer kind)
{
  g_autofree char *program = test_build_path ("show");
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) fds = test_make (kind);
  g_autoptr (GForkProcess) blocking = NULL;
  g_autoptr (GForkProcess) open_fds = NULL;

  blocking = execute_in (template, WORDS (program, "1", "blocking", "0", "1", "2"), IN | OUT | ERR);
  communicate (blocking, NULL, "yes yes yes ", "");
  if (test_under_valgrind ())
    return;
  open_fds = execute_in (fds, WORDS (program, "1", "fds"), IN | OUT | ERR);
  communicate (open_fds, NULL, "0 1 2 ", "");
}

static void
test_echo (void)
{
  g_autoptr (GForkProcess) process = execute (SCRIPT ("echo hello; echo world!"), OUT);
  g_autofree char *output = read_stream (g_fork_process_get_stdout_pipe (process));

  g_assert_cmpstr (output, ==, "hello\nworld!\n");
  assert_succeeds (process);
}

/* What a socket as standard output does not let a program do. */
static void
test_dev_stdout (void)
{
  g_autoptr (GForkProcess) process = execute (
      SCRIPT ("echo one > /dev/stdout; echo two > /dev/stderr"), OUT | ERR);

  communicate (process, NULL, "one\n", "two\n");
}

static void
test_merge (gconstpointer kind)
{
  static const char script[] = "echo merge; echo this >&2";
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) socket_template = test_make (kind);
  g_autoptr (GForkTemplate) mapped = test_make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GForkProcess) mapped_process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *shown = NULL;
  g_auto (TestFd) read_end = -1;
  g_auto (TestFd) write_end = -1;

  process = execute_in (template, SCRIPT (script), OUT | G_FORK_EXEC_STDERR_MERGE);
  communicate (process, NULL, "merge\nthis\n", NULL);

  socket = g_fork_template_execv (socket_template, SCRIPT (script),
                                  G_FORK_EXEC_SOCKET_STDOUT | G_FORK_EXEC_STDERR_MERGE, NULL, NULL,
                                  &error);
  g_assert_no_error (error);
  test_assert_all_is (socket, "merge\nthis\n");

  test_pipe (&read_end, &write_end);
  g_fork_template_map_fd (mapped, write_end, 1);
  test_close_fd (&write_end);
  mapped_process = execute_in (mapped, SCRIPT (script), G_FORK_EXEC_STDERR_MERGE);
  shown = test_read_fd (read_end);
  g_assert_cmpstr (shown, ==, "merge\nthis\n");
}

static void
test_silence (void)
{
  g_autofree char *program = test_build_path ("show");
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autofree char *shown = NULL;
  g_auto (TestFd) tell_tale = test_add_tell_tale (template);

  process = execute_in (template, WORDS (program, "3", "file", "0", "1", "2"),
                        G_FORK_EXEC_STDOUT_SILENCE | G_FORK_EXEC_STDERR_SILENCE);
  shown = test_read_fd (tell_tale);
  g_assert_cmpstr (shown, ==, "[/dev/null][/dev/null][/dev/null]");
}

/* Output goes to a file by map_fd, as a launcher's file paths and descriptors do. */
static void
test_stdout_file (void)
{
  g_autofree char *path = NULL;
  g_autofree char *contents = NULL;
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) file = g_file_open_tmp ("gfork-XXXXXX", &path, &error);

  g_assert_no_error (error);
  g_fork_template_map_fd (template, file, 1);
  process = execute_in (template, SCRIPT ("echo hello; echo errors >&2"), ERR);
  communicate (process, NULL, NULL, "errors\n");
  g_assert_true (g_file_get_contents (path, &contents, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (contents, ==, "hello\n");
  g_assert_no_errno (g_unlink (path));
}

/* Input and output by splicing, as many users of GSubprocess do it. */
static void
test_cat_by_streams (void)
{
  g_autoptr (GForkProcess) process = execute (WORDS ("/bin/cat"), IN | OUT);
  g_autoptr (GError) error = NULL;
  g_autofree char *output = NULL;

  g_assert_true (g_output_stream_write_all (g_fork_process_get_stdin_pipe (process), "hello, world",
                                            12, NULL, NULL, &error));
  g_assert_no_error (error);
  g_assert_true (g_output_stream_close (g_fork_process_get_stdin_pipe (process), NULL, &error));
  g_assert_no_error (error);
  output = read_stream (g_fork_process_get_stdout_pipe (process));
  g_assert_cmpstr (output, ==, "hello, world");
  assert_succeeds (process);
}

/* Three programs in a row, by asynchronous splices. */
static void
on_spliced (GObject      *source,
            GAsyncResult *result,
            gpointer      user_data)
{
  g_autoptr (GError) error = NULL;

  g_output_stream_splice_finish (G_OUTPUT_STREAM (source), result, &error);
  g_assert_no_error (error);
  ++*(int *) user_data;
}

static void
test_pipeline (void)
{
  const int all = G_OUTPUT_STREAM_SPLICE_CLOSE_SOURCE | G_OUTPUT_STREAM_SPLICE_CLOSE_TARGET;
  g_autoptr (GForkProcess) first = execute (SCRIPT ("seq 1 20000"), OUT);
  g_autoptr (GForkProcess) second = execute (WORDS ("/bin/cat"), IN | OUT);
  g_autoptr (GForkProcess) third = execute (SCRIPT ("wc -l"), IN | OUT);
  g_autofree char *output = NULL;
  int spliced = 0;

  g_output_stream_splice_async (g_fork_process_get_stdin_pipe (second),
                                g_fork_process_get_stdout_pipe (first), all, G_PRIORITY_DEFAULT,
                                NULL, on_spliced, &spliced);
  g_output_stream_splice_async (g_fork_process_get_stdin_pipe (third),
                                g_fork_process_get_stdout_pipe (second), all, G_PRIORITY_DEFAULT,
                                NULL, on_spliced, &spliced);
  while (spliced < 2)
    g_main_context_iteration (NULL, TRUE);
  output = read_stream (g_fork_process_get_stdout_pipe (third));
  g_assert_cmpint (g_ascii_strtoll (output, NULL, 10), ==, 20000);
  assert_succeeds (first);
  assert_succeeds (second);
  assert_succeeds (third);
}

/* A program sees the end of its input when the stream is closed, and not before. */
static void
test_cat_eof (void)
{
  g_autoptr (GForkProcess) process = execute (WORDS ("/bin/cat"), IN | OUT);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  char buffer[16];

  g_assert_cmpint (g_output_stream_write (g_fork_process_get_stdin_pipe (process), "x", 1, NULL,
                                          &error), ==, 1);
  g_assert_cmpint (g_input_stream_read (g_fork_process_get_stdout_pipe (process), buffer, 16, NULL,
                                        &error), ==, 1);
  g_input_stream_read_async (g_fork_process_get_stdout_pipe (process), buffer, 16, 0, NULL,
                             test_store_result, &result);
  g_assert_null (result);
  g_assert_true (g_output_stream_close (g_fork_process_get_stdin_pipe (process), NULL, &error));
  test_await (&result);
  g_assert_cmpint (g_input_stream_read_finish (g_fork_process_get_stdout_pipe (process), result,
                                               &error), ==, 0);
  g_assert_no_error (error);
  assert_succeeds (process);
}

/* ——— Directory, environment, descriptors ——— */

static void
test_cwd (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkProcess) process = NULL;

  g_fork_template_set_cwd (template, "/usr");
  process = execute_in (template, SCRIPT ("pwd"), OUT);
  communicate (process, NULL, "/usr\n", NULL);
}

static void
test_env (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkTemplate) inherited = NULL;
  g_autoptr (GForkTemplate) clean = g_fork_template_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GForkProcess) inherited_process = NULL;
  g_autoptr (GForkProcess) clean_process = NULL;

  g_fork_template_setenv (template, "ONE", "1");
  g_fork_template_setenv (template, "TWO", "1");
  g_fork_template_setenv (template, "TWO", "2");
  g_fork_template_setenv (template, "THREE", "3");
  g_fork_template_unsetenv (template, "THREE");
  inherited = g_fork_template_fork (template);
  process = execute_in (template, SCRIPT ("echo $ONE$TWO$THREE"), OUT);
  communicate (process, NULL, "12\n", NULL);
  inherited_process = execute_in (inherited, SCRIPT ("echo $ONE$TWO$THREE"), OUT);
  communicate (inherited_process, NULL, "12\n", NULL);

  g_fork_template_set_environ (clean, WORDS ("ONLY=this"));
  clean_process = execute_in (clean, WORDS ("/usr/bin/env"), OUT);
  communicate (clean_process, NULL, "ONLY=this\n", NULL);
}

/* A descriptor of the application's can be the program's standard input. */
static void
test_stdin_file (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_auto (TestFd) read_end = -1;
  g_auto (TestFd) write_end = -1;

  test_pipe (&read_end, &write_end);
  g_assert_cmpint (write (write_end, "from a pipe", 11), ==, 11);
  test_close_fd (&write_end);
  g_fork_template_map_fd (template, read_end, 0);
  process = execute_in (template, WORDS ("/bin/cat"), OUT);
  communicate (process, NULL, "from a pipe", NULL);
}

/* Closing a template closes the descriptors that it was given, and not those that have the numbers
 * at which these were wanted; nothing can be executed in it any more. */
static void
test_closed_with_fds (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) read_end = -1;
  g_auto (TestFd) write_end = -1;
  g_auto (TestFd) other = open ("/dev/null", O_RDWR | O_CLOEXEC);

  test_pipe (&read_end, &write_end);
  g_fork_template_map_fd (template, write_end, other);
  g_fork_template_take_fd (template, write_end);
  write_end = -1;
  g_fork_template_close (template);
  test_assert_fd_eof (read_end);
  g_assert_cmpint (fcntl (other, F_GETFD), ==, FD_CLOEXEC);

  g_assert_null (g_fork_template_execv (template, WORDS ("/bin/true"), OUT, NULL, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_CLOSED, "/bin/true");
}

/* Descriptors are passed at their numbers, also those where others stand. */
static void
test_pass_fds (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autofree char *first = NULL;
  g_autofree char *second = NULL;
  g_auto (TestFd) first_read = -1;
  g_auto (TestFd) first_write = -1;
  g_auto (TestFd) second_read = -1;
  g_auto (TestFd) second_write = -1;

  test_pipe (&first_read, &first_write);
  test_pipe (&second_read, &second_write);
  g_fork_template_map_fd (template, first_write, second_write);
  g_fork_template_map_fd (template, second_write, first_write);
  {
    g_autofree char *script = g_strdup_printf ("echo one > /dev/fd/%d; echo two > /dev/fd/%d", first_write,
                                               second_write);

    process = execute_in (template, SCRIPT (script), G_FORK_EXEC_NONE);
  }
  test_close_fd (&first_write);
  test_close_fd (&second_write);
  first = test_read_fd (first_read);
  second = test_read_fd (second_read);
  g_assert_cmpstr (second, ==, "one\n");
  g_assert_cmpstr (first, ==, "two\n");
}

/* ——— Combinations that cannot be ——— */

static void
test_conflicts (void)
{
  static const struct
  {
    GForkExecFlags flags;
    int mapped;
    const char *stream;
  } cases[] = {
    { IN | G_FORK_EXEC_SOCKET_STDIN, -1, "standard input" },
    { OUT | G_FORK_EXEC_SOCKET_STDOUT, -1, "standard output" },
    { OUT | G_FORK_EXEC_STDOUT_SILENCE, -1, "standard output" },
    { G_FORK_EXEC_SOCKET_STDOUT | G_FORK_EXEC_STDOUT_SILENCE, -1, "standard output" },
    { ERR | G_FORK_EXEC_STDERR_SILENCE, -1, "standard error" },
    { ERR | G_FORK_EXEC_STDERR_MERGE, -1, "standard error" },
    { G_FORK_EXEC_SOCKET_STDERR | G_FORK_EXEC_STDERR_MERGE, -1, "standard error" },
    { G_FORK_EXEC_STDERR_SILENCE | G_FORK_EXEC_STDERR_MERGE, -1, "standard error" },
    { IN, 0, "standard input" },
    { OUT, 1, "standard output" },
    { G_FORK_EXEC_SOCKET_STDOUT, 1, "standard output" },
    { G_FORK_EXEC_STDERR_MERGE, 2, "standard error" },
    { G_FORK_EXEC_STDERR_SILENCE, 2, "standard error" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GForkTemplate) parent = g_fork_template_new ();
      g_autoptr (GForkTemplate) template = NULL;
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GError) error = NULL;
      g_auto (TestFd) null = open ("/dev/null", O_RDWR | O_CLOEXEC);

      if (cases[i].mapped >= 0)
        g_fork_template_map_fd (parent, null, cases[i].mapped);
      template = g_fork_template_fork (parent);
      g_assert_null (g_fork_template_execv (template, WORDS ("/bin/true"), cases[i].flags, NULL, NULL,
                                            &error));
      test_assert_error (error, G_FORK_ERROR_FAILED, "/bin/true", cases[i].stream);

      process = execute_in (template, WORDS ("/bin/true"), G_FORK_EXEC_NONE);
      assert_succeeds (process);
    }
}

/* ——— Scripts and errors ——— */

static char *
write_script (const char *contents,
              gsize       length,
              int         mode)
{
  g_autoptr (GError) error = NULL;
  char *directory = g_dir_make_tmp ("gfork-XXXXXX", &error);
  char *path;

  g_assert_no_error (error);
  path = g_build_filename (directory, "script", NULL);
  g_assert_true (g_file_set_contents (path, contents, length, &error));
  g_assert_no_error (error);
  g_assert_no_errno (g_chmod (path, mode));
  g_free (directory);
  return path;
}

static void
remove_script (char *path)
{
  g_autofree char *directory = g_path_get_dirname (path);

  g_assert_no_errno (g_unlink (path));
  g_assert_no_errno (g_rmdir (directory));
  g_free (path);
}

/* Text without #! is a script for the shell, by its path and by PATH. */
static void
test_script_without_interpreter (gconstpointer kind)
{
  static const char contents[] = "echo \"script $1\"\nexit 5\n";
  char *path = write_script (contents, strlen (contents), 0755);
  g_autofree char *directory = g_path_get_dirname (path);

  for (int search = 0; search < 2; search++)
    {
      g_autoptr (GForkTemplate) template = test_make (kind);
      g_autoptr (GForkProcess) process = NULL;
      g_autofree char *search_path = g_strconcat (directory, ":/usr/bin:/bin", NULL);

      g_fork_template_setenv (template, "PATH", search_path);
      g_fork_template_send_arg (template, "argument");
      process = execute_in (template, WORDS (search ? "script" : path),
                            OUT | (search ? G_FORK_EXEC_SEARCH_PATH : 0));
      communicate (process, NULL, "script argument\n", NULL);
      g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 5);
    }
  remove_script (path);
}

/* Each file that cannot be executed, and what the error has to name. */
static void
test_errors (gconstpointer kind)
{
  static const struct
  {
    const char *contents;
    gsize length;
    int mode;
    int error_number;
    const char *named;
  } cases[] = {
    { "bi\0nary", 7, 0755, ENOEXEC, "script" },
    { "echo no\n", 8, 0644, EACCES, "script" },
    { "#!/nonexistent/perl -w\n", 23, 0755, ENOENT, "/nonexistent/perl" },
    { "#! /etc/passwd\n", 15, 0755, EACCES, "/etc/passwd" },
    { "#!/bin/sh\r\nexit 0\r\n", 19, 0755, ENOENT, "/bin/sh?" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      char *path = write_script (cases[i].contents, cases[i].length, cases[i].mode);
      g_autoptr (GForkTemplate) template = test_make (kind);
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GError) error = NULL;

      g_assert_null (g_fork_template_execv (template, WORDS (path), IN | OUT, &process, NULL, &error));
      test_assert_error (error, G_FORK_ERROR_EXEC, path, cases[i].named,
                         g_strerror (cases[i].error_number));
      g_assert_null (process);
      remove_script (path);
    }
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  test_add_kinds ("/programs/noop", test_noop);
  g_test_add_func ("/programs/no-wait", test_no_wait);
  g_test_add_func ("/programs/search-path", test_search_path);
  g_test_add_func ("/programs/search-own-path", test_search_own_path);
  g_test_add_func ("/programs/exit-status", test_exit_status);
  g_test_add_func ("/programs/cancelled-wait", test_cancelled_wait);
  g_test_add_func ("/programs/cancelled-in-callback", test_cancelled_in_callback);
  g_test_add_func ("/programs/signals", test_signals);
  g_test_add_func ("/programs/traced", test_traced);

  g_test_add_func ("/programs/pipes/types", test_pipe_types);
  test_add_kinds ("/programs/pipes/in-program", test_pipes_in_program);
  g_test_add_func ("/programs/pipes/echo", test_echo);
  g_test_add_func ("/programs/pipes/dev-stdout", test_dev_stdout);
  test_add_kinds ("/programs/pipes/merge", test_merge);
  g_test_add_func ("/programs/pipes/silence", test_silence);
  g_test_add_func ("/programs/pipes/stdout-file", test_stdout_file);
  g_test_add_func ("/programs/pipes/cat", test_cat_by_streams);
  g_test_add_func ("/programs/pipes/pipeline", test_pipeline);
  g_test_add_func ("/programs/pipes/cat-eof", test_cat_eof);
  g_test_add_func ("/programs/pipes/conflicts", test_conflicts);

  g_test_add_func ("/programs/cwd", test_cwd);
  g_test_add_func ("/programs/env", test_env);
  g_test_add_func ("/programs/pass-fds", test_pass_fds);
  g_test_add_func ("/programs/stdin-file", test_stdin_file);
  g_test_add_func ("/programs/closed-with-fds", test_closed_with_fds);

  test_add_kinds ("/programs/scripts", test_script_without_interpreter);
  test_add_kinds ("/programs/errors", test_errors);

  return g_test_run ();
}
