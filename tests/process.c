/* process.c: tests of GForkProcess: how workers end, and waiting for that
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* Status */

/* A worker that returns a number has exited with it. */
static void
test_exit_status (gconstpointer kind)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_start (kind, &process);

  test_send (socket, "exit 7\n");
  test_wait_for (process);

  g_assert_true (WIFEXITED (g_fork_process_get_wait_status (process)));
  g_assert_cmpint (WEXITSTATUS (g_fork_process_get_wait_status (process)), ==, 7);
  g_assert_true (g_fork_process_get_if_exited (process));
  g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 7);
  g_assert_false (g_fork_process_get_if_signaled (process));
}

/* So it is with success, which is not what an unknown status looks like. */
static void
test_success (gconstpointer kind)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_start (kind, &process);

  test_send (socket, "exit 0\n");
  test_wait_for (process);

  g_assert_cmpint (g_fork_process_get_wait_status (process), ==, 0);
  g_assert_true (g_fork_process_get_if_exited (process));
  g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 0);
}

/* A function that does nothing but return ends just as truly. */
static void
test_short_life (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;

  g_fork_template_send_arg (template, "99");
  socket = test_run (template, "leave_with", &process);
  test_assert_exits (process, 99);
}

/* A worker that dies of a signal has been signalled. */
static void
test_term_sig (gconstpointer kind)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_start (kind, &process);
  g_autofree char *order = g_strdup_printf ("raise %d\n", SIGUSR1);

  test_send (socket, order);
  test_wait_for (process);

  g_assert_true (WIFSIGNALED (g_fork_process_get_wait_status (process)));
  g_assert_cmpint (WTERMSIG (g_fork_process_get_wait_status (process)), ==, SIGUSR1);
  g_assert_true (g_fork_process_get_if_signaled (process));
  g_assert_cmpint (g_fork_process_get_term_sig (process), ==, SIGUSR1);
  g_assert_false (g_fork_process_get_if_exited (process));
}

/* Each of many workers, which end in another order than they began, has its own
 * status. */
static void
test_statuses_are_not_mixed_up (gconstpointer kind)
{
  enum
  {
    N = 30
  };
  GForkProcess *processes[N];
  GSocket *sockets[N];

  for (int i = 0; i < N; i++)
    sockets[i] = test_start (kind, &processes[i]);

  for (int i = N - 1; i >= 0; i--)
    {
      g_autofree char *order = g_strdup_printf ("exit %d\n", i + 1);

      test_send (sockets[i], order);
      test_assert_eof (sockets[i]);
    }

  for (int i = 0; i < N; i++)
    {
      test_assert_exits (processes[i], i + 1);
      g_object_unref (processes[i]);
      g_object_unref (sockets[i]);
    }
}

/* To ask for the status of a process that has not ended is a programming error. */
static void
test_status_too_early (gconstpointer kind)
{
  if (g_test_subprocess ())
    {
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket G_GNUC_UNUSED = test_start (kind, &process);

      g_fork_process_get_wait_status (process);
      return;
    }

  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_failed ();
  g_test_trap_assert_stderr ("*CRITICAL*assertion*");
}

/* The pid is the worker's. */
static void
test_pid (gconstpointer kind)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_start (kind, &process);
  GPid pid = g_fork_process_get_pid (process);

  g_assert_cmpint (test_ask_number (socket, "pid"), ==, pid);
  test_send (socket, "exit 0\n");
  test_wait_for (process);
  g_assert_cmpint (g_fork_process_get_pid (process), ==, pid);
}

/* Waiting */

/* wait_async completes when the worker has ended, and not before. */
static void
test_wait_async (gconstpointer kind)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_start (kind, &process);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_process_wait_async (process, NULL, test_store_result, &result);
  test_default_pid ();
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_null (result);
  test_assert_answer (socket, "memory", "nothing");

  test_send (socket, "exit 21\n");
  test_await (&result);
  g_assert_true (g_async_result_is_tagged (result, g_fork_process_wait_async));
  g_assert_true (g_fork_process_wait_finish (process, result, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 21);
}

/* Several operations can wait for one worker. */
static void
test_several_wait (gconstpointer kind)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_start (kind, &process);
  GAsyncResult *results[5] = { NULL };

  for (gsize i = 0; i < G_N_ELEMENTS (results); i++)
    g_fork_process_wait_async (process, NULL, test_store_result, &results[i]);
  test_send (socket, "exit 0\n");

  for (gsize i = 0; i < G_N_ELEMENTS (results); i++)
    {
      g_autoptr (GAsyncResult) result = test_await (&results[i]);
      g_autoptr (GError) error = NULL;

      g_assert_true (g_fork_process_wait_finish (process, result, &error));
      g_assert_no_error (error);
    }
}

/* Waiting for what has ended already completes, but from the main loop. */
static void
test_wait_late (gconstpointer kind)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_start (kind, &process);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  test_send (socket, "exit 22\n");
  test_wait_for (process);
  test_wait_for (process);

  g_fork_process_wait_async (process, NULL, test_store_result, &result);
  g_assert_null (result);
  test_await (&result);
  g_assert_true (g_fork_process_wait_finish (process, result, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 22);
}

/* An operation under way keeps the object alive. */
static void
test_wait_and_forget (gconstpointer kind)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_start (kind, &process);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_process_wait_async (process, NULL, test_store_result, &result);
  g_clear_object (&process);
  test_send (socket, "exit 23\n");
  test_await (&result);

  process = G_FORK_PROCESS (g_async_result_get_source_object (result));
  g_assert_true (g_fork_process_wait_finish (process, result, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 23);
}

/* Cancelling ends the waiting, not the worker. */
static void
test_cancel_wait (gconstpointer kind)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_start (kind, &process);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GAsyncResult) other_result = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_process_wait_async (process, cancellable, test_store_result, &result);
  g_fork_process_wait_async (process, NULL, test_store_result, &other_result);
  g_cancellable_cancel (cancellable);
  test_await (&result);
  g_assert_false (g_fork_process_wait_finish (process, result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_assert_null (other_result);

  g_assert_false (g_fork_process_wait (process, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);

  test_assert_answer (socket, "memory", "nothing");
  test_send (socket, "exit 24\n");
  test_await (&other_result);
  g_assert_true (g_fork_process_wait_finish (process, other_result, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 24);
}

/* wait_check is content with success only, and reports the rest as GSubprocess
 * does. */
static void
test_wait_check (gconstpointer kind)
{
  g_autofree char *order = g_strdup_printf ("raise %d\n", SIGTERM);
  const char *orders[] = { "exit 0\n", "exit 3\n", order };

  for (gsize i = 0; i < G_N_ELEMENTS (orders); i++)
    {
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket = test_start (kind, &process);
      g_autoptr (GError) error = NULL;
      gboolean successful;

      test_send (socket, orders[i]);
      successful = g_fork_process_wait_check (process, NULL, &error);

      g_assert_cmpint (successful, ==, i == 0);
      if (i == 0)
        g_assert_no_error (error);
      else if (i == 1)
        g_assert_error (error, G_SPAWN_EXIT_ERROR, 3);
      else
        g_assert_error (error, G_SPAWN_ERROR, G_SPAWN_ERROR_FAILED);
    }
}

static void
test_wait_check_async (gconstpointer kind)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_start (kind, &process);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_process_wait_check_async (process, NULL, test_store_result, &result);
  test_send (socket, "exit 4\n");
  test_await (&result);
  g_assert_false (g_fork_process_wait_check_finish (process, result, &error));
  g_assert_error (error, G_SPAWN_EXIT_ERROR, 4);
}

/* A worker that closes its end is still waited for until it has really ended. */
static void
test_wait_outlasts_socket (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) unblock = -1;
  g_auto (TestFd) read_end = -1;

  test_pipe (&read_end, &unblock);
  g_fork_template_send_fd (template, read_end);
  socket = test_run (template, "hang_up_and_wait", &process);
  test_assert_eof (socket);

  g_fork_process_wait_async (process, NULL, test_store_result, &result);
  test_default_pid ();
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_null (result);

  test_close_fd (&unblock);
  test_await (&result);
  g_assert_true (g_fork_process_wait_finish (process, result, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 25);
}

/* Use of resources */

/* The use of resources is at least what the worker saw itself. */
static void
test_resources (gconstpointer kind)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_start (kind, &process);
  g_autofree char *answer = test_ask (socket, "burn 48");
  g_auto (GStrv) numbers = g_strsplit (answer, " ", 2);
  gint64 user = g_ascii_strtoll (numbers[0], NULL, 10);
  gint64 system = g_ascii_strtoll (numbers[1], NULL, 10);

  test_send (socket, "exit 0\n");
  test_wait_for (process);

  /* The kernel divides anew what it has measured whenever it is asked. */
  g_assert_cmpint (g_fork_process_get_user_time (process), >, user / 2);
  g_assert_cmpint (g_fork_process_get_system_time (process), >, system / 2);
  g_assert_cmpint (g_fork_process_get_user_time (process) + g_fork_process_get_system_time (process),
                   >=, user + system);
  g_assert_cmpuint (g_fork_process_get_max_rss (process), >=, 48 << 20);
}

/* The resources of each worker are its own, not those of its siblings. */
static void
test_resources_of_one (gconstpointer kind)
{
  g_autoptr (GForkProcess) busy = NULL;
  g_autoptr (GForkProcess) idle = NULL;
  g_autoptr (GSocket) busy_socket = test_start (kind, &busy);
  g_autoptr (GSocket) idle_socket = test_start (kind, &idle);
  g_autofree char *answer G_GNUC_UNUSED = test_ask (busy_socket, "burn 256");

  test_send (busy_socket, "exit 0\n");
  test_send (idle_socket, "exit 0\n");
  test_wait_for (busy);
  test_wait_for (idle);

  g_assert_cmpuint (g_fork_process_get_max_rss (busy), >=, 256 << 20);
  g_assert_cmpuint (g_fork_process_get_max_rss (idle), <, g_fork_process_get_max_rss (busy));
}

/* Objects that are dropped */

/* Dropping the object does not kill. */
static void
test_drop_does_not_kill (gconstpointer kind)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_start (kind, &process);

  g_clear_object (&process);
  test_default_pid ();
  test_assert_answer (socket, "memory", "nothing");
}

/* Neither does it leak: the process is reaped, though no main loop runs. */
static void
test_drop_does_not_leak (gconstpointer kind)
{
  for (int i = 0; i < 10; i++)
    {
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket = test_start (kind, i % 2 == 0 ? &process : NULL);
      GPid pid = test_ask_number (socket, "pid");

      g_clear_object (&process);
      test_send (socket, "exit 0\n");
      test_wait_until_reaped (pid);
    }
}

/* A program that never runs a main loop, and never waits, has no pile of zombies
 * or descriptors after any number of workers. */
static void
test_no_pile (gconstpointer kind)
{
  GPid default_pid;
  guint n_fds = 0;
  guint n_template_fds = 0;
  GPid last = 0;

  if (!test_in_subprocess ())
    return;

  default_pid = test_default_pid ();
  for (int i = 0; i < 120; i++)
    {
      g_autoptr (GSocket) socket = test_start (kind, NULL);

      if (i == 20)
        {
          n_fds = test_count_fds (0);
          n_template_fds = test_count_fds (default_pid);
        }

      last = test_ask_number (socket, "pid");
      test_send (socket, "exit 0\n");
      test_assert_eof (socket);
      test_wait_for_end (last);
    }

  test_wait_until_reaped (last);

  /* A few may be left, for the next call to notice. */
  g_assert_cmpuint (test_count_zombies (getpid ()), <=, 3);
  g_assert_cmpuint (test_count_zombies (default_pid), <=, 3);
  g_assert_cmpuint (test_count_fds (0), <=, n_fds + 10);
  g_assert_cmpuint (test_count_fds (default_pid), <=, n_template_fds + 10);
}

/* Statuses that nobody fetches for long neither stop the template nor are lost:
 * 3,000 workers end unheard, and the status of the first one is true. Under valgrind,
 * which looks for leaks in each of them, as many have to do as are more than what is
 * read, and than what is kept, at once. */
static void
test_unheard_statuses (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GForkTemplate) first_template = g_fork_template_fork (template);
  g_autoptr (GForkProcess) first = NULL;
  g_autoptr (GSocket) first_socket = test_run (first_template, "answer", &first);
  g_autoptr (GPtrArray) processes = g_ptr_array_new_with_free_func (g_object_unref);
  const int n = test_under_valgrind () ? 300 : 3000;

  g_fork_template_send_arg (template, "61");
  for (int i = 0; i < n; i++)
    {
      g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket G_GNUC_UNUSED = test_run (child, "leave_with", &process);

      /* The number of descriptors is limited, and a process may have one. */
      if (i % 20 == 0)
        g_ptr_array_add (processes, g_steal_pointer (&process));
    }

  test_send (first_socket, "exit 62\n");
  test_assert_exits (first, 62);

  for (guint i = 0; i < processes->len; i++)
    {
      GForkProcess *process = g_ptr_array_index (processes, i);

      test_assert_exits (process, 61);
    }
}

/* An operation under way ends although the socket and the template are dropped. */
static void
test_only_the_process_is_kept (gconstpointer kind)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_start (kind, &process);

  test_send (socket, "exit 63\n");
  g_clear_object (&socket);
  test_assert_exits (process, 63);
}

/* In a program that never iterates its main context, nothing waits there for ever with
 * the object of a worker that has ended. */
static void
test_nothing_keeps_it (gconstpointer kind)
{
  GForkProcess *process = NULL;
  g_autoptr (GSocket) socket = test_start (kind, &process);

  test_send (socket, "exit 64\n");
  test_wait_for (process);
  g_object_add_weak_pointer (G_OBJECT (process), (gpointer *) &process);
  g_object_unref (process);
  g_assert_null (process);
}

/* More workers than the template asks for one by one, which end together, and whose
 * ends it cannot report yet, as nobody reads. */
static void
test_very_many (void)
{
  const guint n = test_under_valgrind () || test_under_sanitizer () ? 20 : 700;
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GPtrArray) processes = g_ptr_array_new_with_free_func (g_object_unref);
  g_auto (TestFd) read_end = -1;
  g_auto (TestFd) write_end = -1;

  test_pipe (&read_end, &write_end);
  g_fork_template_require (template, "test-worker");
  g_fork_template_send_fd (template, read_end);
  test_close_fd (&read_end);
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
      GForkProcess *process = NULL;
      g_autoptr (GSocket) socket G_GNUC_UNUSED = test_run (fork, "hang_up_and_wait", &process);

      g_ptr_array_add (processes, process);
    }

  /* They wait for this. */
  test_close_fd (&write_end);
  for (guint i = 0; i < n; i++)
    while (test_process_exists (g_fork_process_get_pid (processes->pdata[i])))
      g_thread_yield ();

  test_prepare (template);
  for (guint i = 0; i < n; i++)
    test_assert_exits (processes->pdata[i], 25);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  test_add_kinds ("/process/status/exited", test_exit_status);
  test_add_kinds ("/process/status/success", test_success);
  test_add_kinds ("/process/status/short-life", test_short_life);
  test_add_kinds ("/process/status/signaled", test_term_sig);
  test_add_kinds ("/process/status/many", test_statuses_are_not_mixed_up);
  g_test_add_func ("/process/status/very-many", test_very_many);
  test_add_kinds ("/process/status/too-early", test_status_too_early);
  test_add_kinds ("/process/pid", test_pid);

  test_add_kinds ("/process/wait/async", test_wait_async);
  test_add_kinds ("/process/wait/several", test_several_wait);
  test_add_kinds ("/process/wait/late", test_wait_late);
  test_add_kinds ("/process/wait/forget", test_wait_and_forget);
  test_add_kinds ("/process/wait/cancel", test_cancel_wait);
  test_add_kinds ("/process/wait/check", test_wait_check);
  test_add_kinds ("/process/wait/check-async", test_wait_check_async);
  test_add_kinds ("/process/wait/outlasts-socket", test_wait_outlasts_socket);
  test_add_kinds ("/process/wait/only-the-process-is-kept", test_only_the_process_is_kept);
  test_add_kinds ("/process/drop/nothing-keeps-it", test_nothing_keeps_it);

  test_add_kinds ("/process/resources/used", test_resources);
  test_add_kinds ("/process/resources/of-one", test_resources_of_one);

  test_add_kinds ("/process/drop/does-not-kill", test_drop_does_not_kill);
  test_add_kinds ("/process/drop/does-not-leak", test_drop_does_not_leak);
  test_add_kinds ("/process/drop/no-pile", test_no_pile);
  g_test_add_func ("/process/drop/unheard-statuses", test_unheard_statuses);

  return g_test_run ();
}
