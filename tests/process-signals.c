/* process-signals.c: tests of signals to workers
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A signal reaches the worker. */
static void
test_send_signal (gconstpointer kind)
{
  const int signals[] = { SIGTERM, SIGUSR2, SIGHUP, SIGPIPE, SIGINT };

  for (gsize i = 0; i < G_N_ELEMENTS (signals); i++)
    {
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket G_GNUC_UNUSED = test_start (kind, &process);
      g_autoptr (GError) error = NULL;

      g_assert_true (g_fork_process_send_signal (process, signals[i], &error));
      g_assert_no_error (error);
      test_wait_for (process);
      g_assert_true (g_fork_process_get_if_signaled (process));
      g_assert_cmpint (g_fork_process_get_term_sig (process), ==, signals[i]);
    }
}

/* To be stopped is not to have ended. */
static void
test_stop_and_continue (gconstpointer kind)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_start (kind, &process);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_process_wait_async (process, NULL, test_store_result, &result);
  g_assert_true (g_fork_process_send_signal (process, SIGSTOP, &error));
  g_assert_no_error (error);
  while (test_process_state (g_fork_process_get_pid (process)) != 'T')
    g_main_context_iteration (NULL, FALSE);
  test_default_pid ();
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_null (result);

  g_assert_true (g_fork_process_send_signal (process, SIGCONT, &error));
  g_assert_no_error (error);
  test_assert_answer (socket, "memory", "nothing");
  test_send (socket, "exit 41\n");
  test_await (&result);
  g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 41);
}

/* force_exit kills. */
static void
test_force_exit (gconstpointer kind)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_start (kind, &process);

  g_fork_process_force_exit (process);
  test_assert_eof (socket);
  test_wait_for (process);
  g_assert_true (g_fork_process_get_if_signaled (process));
  g_assert_cmpint (g_fork_process_get_term_sig (process), ==, SIGKILL);

  /* And then is nothing. */
  g_fork_process_force_exit (process);
}

/* What has ended cannot be signalled. */
static void
test_signal_too_late (gconstpointer kind)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_start (kind, &process);
  g_autoptr (GError) error = NULL;

  test_send (socket, "exit 0\n");
  test_wait_for (process);
  g_assert_false (g_fork_process_send_signal (process, SIGTERM, &error));
  test_assert_error (error, G_FORK_ERROR_CLOSED);
}

/* Starts a child of this process with the number of one that has ended. Returns
 * 0 in the child, and -1 if the system does not let anybody choose. */
static GPid
fork_with_pid (GPid pid)
{
#ifdef SYS_clone3
  pid_t wanted = pid;
  struct clone_args args = {
    .exit_signal = SIGCHLD,
    .set_tid = (guintptr) &wanted,
    .set_tid_size = 1,
  };
  long result;

  /* While the number is taken, its owner is still to be reaped. */
  do
    result = syscall (SYS_clone3, &args, sizeof (args));
  while (result == -1 && errno == EEXIST);

  return result;
#else
  errno = ENOSYS;
  return -1;
#endif
}

/* A signal that is sent after the worker has ended, and its number was given to
 * another process, does not hit that one. The library has had no chance yet to
 * notice the end. */
static void
test_signal_and_reused_pid (gconstpointer kind)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_start (kind, &process);
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) read_end = -1;
  g_auto (TestFd) write_end = -1;
  GPid pid = g_fork_process_get_pid (process);
  GPid innocent;
  int wait_status;

  test_pipe (&read_end, &write_end);
  test_send (socket, "exit 0\n");
  test_assert_eof (socket);

  /* Only this process could reap its child, and frees the number by that. */
  if (test_process_parent (pid) == getpid ())
    test_wait_for (process);

  innocent = fork_with_pid (pid);
  if (innocent == -1)
    {
      g_autofree char *reason = g_strdup_printf ("cannot choose a pid: %s", g_strerror (errno));

      g_test_skip (reason);
      return;
    }
  if (innocent == 0)
    {
      char byte;

      close (write_end);
      _exit (read (read_end, &byte, 1) == 0 ? 51 : 52);
    }
  g_assert_cmpint (innocent, ==, pid);

  /* Where somebody else has to send it, the end need not be known yet. */
  if (!g_fork_process_send_signal (process, SIGKILL, &error))
    test_assert_error (error, G_FORK_ERROR_CLOSED);
  g_fork_process_force_exit (process);
  test_default_pid ();

  test_close_fd (&write_end);
  g_assert_cmpint (waitpid (innocent, &wait_status, 0), ==, innocent);
  g_assert_true (WIFEXITED (wait_status));
  g_assert_cmpint (WEXITSTATUS (wait_status), ==, 51);

  test_wait_for (process);
  g_assert_cmpint (g_fork_process_get_wait_status (process), ==, 0);
}

/* There are signals that are none. */
static void
test_no_signal (gconstpointer kind)
{
  const int signals[] = { -1, 1000 };

  for (gsize i = 0; i < G_N_ELEMENTS (signals); i++)
    {
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket G_GNUC_UNUSED = test_start (kind, &process);
      g_autoptr (GError) error = NULL;

      g_assert_false (g_fork_process_send_signal (process, signals[i], &error));
      test_assert_error (error, G_FORK_ERROR_FAILED, g_strerror (EINVAL));
    }
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  test_add_kinds ("/process/signal/send", test_send_signal);
  test_add_kinds ("/process/signal/none", test_no_signal);
  test_add_kinds ("/process/signal/stop", test_stop_and_continue);
  test_add_kinds ("/process/signal/force-exit", test_force_exit);
  test_add_kinds ("/process/signal/too-late", test_signal_too_late);
  test_add_kinds ("/process/signal/reused-pid", test_signal_and_reused_pid);

  return g_test_run ();
}
