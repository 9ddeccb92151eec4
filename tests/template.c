/* template.c: tests of making, running and ending templates
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* Making one */

/* A template of any kind can be prepared and run, and the worker
 * is at the other end of the socket. */
static void
test_run_any_kind (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_run (template, "answer", &process);

  g_assert_cmpint (test_ask_number (socket, "pid"), ==, g_fork_process_get_pid (process));
  test_send (socket, "exit 0\n");
  test_assert_eof (socket);
}

/* g_object_new() is g_fork_template_new(): its default template, and the C
 * runtime. */
static void
test_object_new (void)
{
  g_autoptr (GForkTemplate) template = g_object_new (G_FORK_TYPE_TEMPLATE, NULL);
  g_autoptr (GSocket) socket = NULL;

  g_fork_template_require (template, "test-worker");
  socket = test_run (template, "answer", NULL);
  g_assert_cmpint (test_ask_number (socket, "ppid"), ==, test_default_pid ());
}

/* A new template is a fork of the default one; a new_exec one is not, but a
 * child of this process. */
static void
test_parents (void)
{
  g_autoptr (GForkTemplate) forked = test_template_new ();
  g_autoptr (GForkTemplate) executed = g_fork_template_new_exec ();
  g_autoptr (GSocket) forked_socket = test_run (forked, "answer", NULL);
  g_autoptr (GSocket) executed_socket = NULL;

  g_fork_template_require (executed, "test-worker");
  executed_socket = test_run (executed, "answer", NULL);

  g_assert_cmpint (test_ask_number (forked_socket, "ppid"), ==, test_default_pid ());
  g_assert_cmpint (test_ask_number (executed_socket, "ppid"), ==, getpid ());
}

/* The runtime "c" is what templates have anyway. */
static void
test_runtime (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_for_runtime ("c");
  g_autofree char *runtime = NULL;

  g_assert_cmpstr (g_fork_template_get_runtime (template), ==, "c");
  g_object_get (template, "runtime", &runtime, NULL);
  g_assert_cmpstr (runtime, ==, "c");

  g_fork_template_require (template, "test-worker");
  test_assert_writes (template, "whoami", "test-worker");
}

/* The pid of a child of this process is known at once. */
static void
test_pid_direct (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  GPid pid = g_fork_template_get_pid (template);
  int property;

  g_assert_cmpint (pid, >, 0);
  g_assert_cmpint (test_process_parent (pid), ==, getpid ());
  g_object_get (template, "pid", &property, NULL);
  g_assert_cmpint (property, ==, pid);

  g_fork_template_require (template, "test-worker");
  socket = test_run (template, "answer", &process);
  g_assert_cmpint (g_fork_process_get_pid (process), ==, pid);
}

/* The pid of a fork is known after its first round trip, and was 0 before; the
 * process that was prepared is the one that runs. */
static void
test_pid_forked (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  GPid pid;

  g_assert_cmpint (g_fork_template_get_pid (template), ==, 0);
  test_prepare (template);
  pid = g_fork_template_get_pid (template);
  g_assert_cmpint (pid, >, 0);

  socket = test_run (template, "answer", &process);
  g_assert_cmpint (g_fork_process_get_pid (process), ==, pid);
  g_assert_cmpint (test_ask_number (socket, "pid"), ==, pid);
}

/* The number of spare processes is kept. */
static void
test_spare_processes_property (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  guint property;

  g_assert_cmpuint (g_fork_template_get_spare_processes (template), ==, 0);
  g_fork_template_set_spare_processes (template, 2);
  g_object_get (template, "spare-processes", &property, NULL);
  g_assert_cmpuint (property, ==, 2);
}

/* There is one default template, and what is done to it is there in what is
 * made after. */
static void
test_default_is_shared (void)
{
  g_autoptr (GForkTemplate) first = NULL;
  g_autoptr (GForkTemplate) second = NULL;
  g_autoptr (GForkTemplate) template = NULL;

  if (!test_in_subprocess ())
    return;

  first = g_fork_template_dup_default ();
  second = g_fork_template_dup_default ();
  g_assert_true (first == second);

  g_fork_template_require (first, "test-worker");
  template = g_fork_template_new ();
  test_assert_writes (template, "whoami", "test-worker");
}

/* A default that was set is what new ones are forks of; without one, a fresh one
 * is started. */
static void
test_set_default (void)
{
  const char *args[] = { "the new default", NULL };
  g_autoptr (GForkTemplate) chosen = NULL;
  g_autoptr (GForkTemplate) current = NULL;
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) other = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) other_socket = NULL;

  if (!test_in_subprocess ())
    return;

  chosen = g_fork_template_new_exec ();
  g_fork_template_require (chosen, "test-worker");
  g_fork_template_call (chosen, "remember", args);
  g_fork_template_set_default (chosen);

  current = g_fork_template_dup_default ();
  g_assert_true (current == chosen);
  template = g_fork_template_new ();
  socket = test_run (template, "answer", NULL);
  test_assert_answer (socket, "memory", "[the new default]");
  g_assert_cmpint (test_ask_number (socket, "ppid"), ==, g_fork_template_get_pid (chosen));

  g_fork_template_set_default (NULL);
  other = test_template_new ();
  other_socket = test_run (other, "answer", NULL);
  test_assert_answer (other_socket, "memory", "nothing");
  g_assert_cmpint (test_ask_number (other_socket, "ppid"), !=, g_fork_template_get_pid (chosen));
}

/* One that g_object_new() has made has no process until it is used. It gets it off
 * the default template that there was, also if that has died. */
static void
test_set_default_not_started (void)
{
  for (int i = 0; i < 3; i++)
    {
      g_autoptr (GForkTemplate) chosen = g_object_new (G_FORK_TYPE_TEMPLATE, NULL);
      g_autoptr (GForkTemplate) template = NULL;
      g_autoptr (GSocket) socket = NULL;

      if (i == 2)
        {
          GPid pid = test_default_pid ();

          g_assert_no_errno (kill (pid, SIGKILL));
          test_wait_for_end (pid);
        }
      g_fork_template_set_default (chosen);
      g_fork_template_require (chosen, "test-worker");
      template = g_fork_template_new ();
      socket = test_run (template, "answer", NULL);
      test_prepare (chosen);
      g_assert_cmpint (test_ask_number (socket, "ppid"), ==, g_fork_template_get_pid (chosen));
    }
  g_fork_template_set_default (NULL);
}

/* One that has died is replaced at the next use. */
static void
test_set_default_dead (gconstpointer kind)
{
  g_autoptr (GForkTemplate) chosen = test_make (kind);
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) current = NULL;

  test_prepare (chosen);
  g_assert_no_errno (kill (g_fork_template_get_pid (chosen), SIGKILL));
  test_wait_for_end (g_fork_template_get_pid (chosen));
  g_fork_template_set_default (chosen);

  template = test_template_new ();
  current = g_fork_template_dup_default ();
  g_assert_true (current != chosen);
  test_assert_worker_answers (template, "memory", "nothing");
  g_fork_template_set_default (NULL);
}

/* Running */

/* The socket is a connected, non-blocking Unix stream socket, close-on-exec; the
 * worker's is blocking. Both ends' descriptors that were sent are close-on-exec. */
static void
test_run_socket (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GSocket) socket = NULL;

  g_fork_template_send_fd (template, 2);
  socket = test_run (template, "answer", NULL);

  g_assert_cmpint (g_socket_get_family (socket), ==, G_SOCKET_FAMILY_UNIX);
  g_assert_cmpint (g_socket_get_socket_type (socket), ==, G_SOCKET_TYPE_STREAM);
  g_assert_true (g_socket_is_connected (socket));
  g_assert_false (g_socket_get_blocking (socket));
  g_assert_cmpint (fcntl (g_socket_get_fd (socket), F_GETFL) & O_NONBLOCK, ==, O_NONBLOCK);
  g_assert_cmpint (fcntl (g_socket_get_fd (socket), F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);

  test_assert_answer (socket, "socket-flags", "blocking cloexec stream");
  {
    g_autofree char *flags = test_ask (socket, "arg-flags 0");

    g_assert_nonnull (strstr (flags, "cloexec"));
  }
  test_assert_answer (socket, "fd 0", "/dev/null");
}

/* run_async completes through the main loop. */
static void
test_run_async (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_run_async (template, "answer", NULL, test_store_result, &result);
  g_assert_null (result);
  test_await (&result);
  g_assert_true (g_async_result_is_tagged (result, g_fork_template_run_async));
  socket = g_fork_template_run_finish (template, result, &process, &error);
  g_assert_no_error (error);
  g_assert_cmpint (test_ask_number (socket, "pid"), ==, g_fork_process_get_pid (process));
}

/* Bytes of the conversation that the worker sends at once, before anybody here
 * has looked, are all there, and nothing else is. */
static void
test_run_eats_nothing (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();

  for (int i = 0; i < 50; i++)
    {
      g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
      g_autoptr (GSocket) socket = test_run (child, "whoami", NULL);

      test_assert_all_is (socket, "test-worker");
    }
}

/* Much data in both directions comes back unchanged. */
static void
test_echo (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GSocket) socket = test_run (template, "echo", NULL);
  g_autoptr (GError) error = NULL;
  g_autofree char *data = g_strnfill (50000, 'x');

  for (int i = 0; i < 100; i++)
    {
      g_autofree char *back = g_malloc (50000);
      gsize got = 0;

      memset (data, 'a' + i % 26, 50000);
      test_send (socket, data);
      while (got < 50000)
        {
          gssize n = g_socket_receive_with_blocking (socket, back + got, 50000 - got, TRUE, NULL, &error);

          g_assert_no_error (error);
          g_assert_cmpint (n, >, 0);
          got += n;
        }
      g_assert_cmpmem (back, got, data, 50000);
    }

  g_assert_true (g_socket_shutdown (socket, FALSE, TRUE, &error));
  g_assert_no_error (error);
  test_assert_eof (socket);
}

/* The worker sees the end-of-file when the application drops the socket. */
static void
test_worker_sees_eof (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_run (template, "answer", &process);
  g_autoptr (GError) error = NULL;

  g_clear_object (&socket);
  g_assert_true (g_fork_process_wait_check (process, NULL, &error));
  g_assert_no_error (error);
}

/* An operation under way keeps the template alive: configure and forget. */
static void
test_configure_and_forget (gconstpointer kind)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  {
    g_autoptr (GForkTemplate) template = test_make (kind);

    g_fork_template_send_arg (template, "configured");
    g_fork_template_run_async (template, "answer", NULL, test_store_result, &result);
  }

  test_await (&result);
  {
    g_autoptr (GForkTemplate) template = G_FORK_TEMPLATE (g_async_result_get_source_object (result));

    socket = g_fork_template_run_finish (template, result, NULL, &error);
  }
  g_assert_no_error (error);
  test_assert_answer (socket, "arg 0", "configured");
}

/* Ending without a run */

/* Dropping the last reference ends the process. */
static void
test_drop_ends (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_auto (TestFd) tell_tale = test_add_tell_tale (template);

  test_prepare (template);
  g_clear_object (&template);
  test_assert_fd_eof (tell_tale);
}

/* Closing ends the process, and may be repeated. */
static void
test_close_ends (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_auto (TestFd) tell_tale = test_add_tell_tale (template);

  test_prepare (template);
  g_fork_template_close (template);
  g_fork_template_close (template);
  test_assert_fd_eof (tell_tale);
  g_fork_template_close (template);
}

/* Closing after a run is nothing to the worker. */
static void
test_close_after_run (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GSocket) socket = test_run (template, "answer", NULL);

  g_fork_template_close (template);
  g_clear_object (&template);
  test_assert_answer (socket, "memory", "nothing");
}

/* Cancelling a run before it completes ends the process, even one that is busy,
 * and its function is not entered. */
static void
test_cancel_run (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) unblock = -1;
  g_auto (TestFd) tell_tale = -1;

  test_block (template, &unblock);
  tell_tale = test_add_tell_tale (template);
  g_fork_template_run_async (template, "write_to_args", cancellable, test_store_result, &result);
  g_cancellable_cancel (cancellable);

  test_await (&result);
  socket = g_fork_template_run_finish (template, result, &process, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_null (socket);
  g_assert_null (process);

  test_assert_fd_eof (tell_tale);
}

/* The same with a cancellable that is cancelled from the start. */
static void
test_cancel_before (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) tell_tale = test_add_tell_tale (template);

  g_cancellable_cancel (cancellable);
  socket = g_fork_template_run (template, "write_to_args", NULL, cancellable, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_null (socket);
  test_assert_fd_eof (tell_tale);
}

/* Cancelling after completion is nothing to the worker. */
static void
test_cancel_after (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  socket = g_fork_template_run (template, "answer", NULL, cancellable, &error);
  g_assert_no_error (error);
  g_cancellable_cancel (cancellable);
  test_assert_answer (socket, "memory", "nothing");
}

/* Waiting for the preparation can be cancelled. */
static void
test_cancel_prepare (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) unblock = -1;

  test_block (template, &unblock);
  g_fork_template_prepare_async (template, cancellable, test_store_result, &result);
  g_cancellable_cancel (cancellable);
  test_await (&result);
  g_assert_false (g_fork_template_prepare_finish (template, result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/* Otherwise */

/* A name that is missing is a programming error, and reported as one. */
static void
test_programming_errors (void)
{
  if (g_test_subprocess ())
    {
      g_autoptr (GForkTemplate) template = g_fork_template_new ();

      g_fork_template_require (template, NULL);
      return;
    }

  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_failed ();
  g_test_trap_assert_stderr ("*CRITICAL*g_fork_template_require*");
}

static void
use_once (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) unused G_GNUC_UNUSED = g_fork_template_fork (template);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_send_fd (template, 2);
  socket = test_run (template, "answer", &process);
  test_send (socket, "exit 0\n");
  test_assert_eof (socket);
  g_assert_true (g_fork_process_wait (process, NULL, &error));
  g_assert_no_error (error);
}

/* Nothing is left open here once all objects are gone, but for what the next call
 * will notice, as no main loop runs. */
static void
test_no_descriptor_left (gconstpointer kind)
{
  guint before;

  /* The first ones start what stays for all. */
  for (int i = 0; i < 3; i++)
    use_once (kind);
  test_default_pid ();
  before = test_count_fds (0);

  for (int i = 0; i < 20; i++)
    use_once (kind);
  test_default_pid ();

  g_assert_cmpuint (test_count_fds (0), <=, before + 5);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  test_add_kinds ("/template/run", test_run_any_kind);
  g_test_add_func ("/template/object-new", test_object_new);
  g_test_add_func ("/template/parents", test_parents);
  g_test_add_func ("/template/runtime", test_runtime);
  g_test_add_func ("/template/pid/direct", test_pid_direct);
  g_test_add_func ("/template/pid/forked", test_pid_forked);
  g_test_add_func ("/template/spare-processes-property", test_spare_processes_property);
  g_test_add_func ("/template/default/shared", test_default_is_shared);
  g_test_add_func ("/template/default/set", test_set_default);
  g_test_add_func ("/template/default/set-not-started", test_set_default_not_started);
  test_add_kinds ("/template/default/set-dead", test_set_default_dead);

  test_add_kinds ("/template/run/socket", test_run_socket);
  test_add_kinds ("/template/run/async", test_run_async);
  g_test_add_func ("/template/run/eats-nothing", test_run_eats_nothing);
  g_test_add_func ("/template/run/echo", test_echo);
  test_add_kinds ("/template/run/worker-sees-eof", test_worker_sees_eof);
  test_add_kinds ("/template/run/configure-and-forget", test_configure_and_forget);

  test_add_kinds ("/template/end/drop", test_drop_ends);
  test_add_kinds ("/template/end/close", test_close_ends);
  test_add_kinds ("/template/end/close-after-run", test_close_after_run);
  test_add_kinds ("/template/end/cancel-run", test_cancel_run);
  g_test_add_func ("/template/end/cancel-before", test_cancel_before);
  g_test_add_func ("/template/end/cancel-after", test_cancel_after);
  g_test_add_func ("/template/end/cancel-prepare", test_cancel_prepare);

  g_test_add_func ("/template/programming-errors", test_programming_errors);
  test_add_kinds ("/template/no-descriptor-left", test_no_descriptor_left);

  return g_test_run ();
}
