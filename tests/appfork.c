/* appfork.c: tests of applications that call fork()
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Does what a child is to do, and asserts that it succeeds. */
static void
in_child (void     (*function) (gpointer data),
          gpointer   data)
{
  int wait_status;
  pid_t pid;

  fflush (NULL);
  pid = fork ();
  g_assert_no_errno (pid);
  if (pid == 0)
    {
      function (data);
      _exit (0);
    }

  g_assert_cmpint (waitpid (pid, &wait_status, 0), ==, pid);
  g_assert_true (WIFEXITED (wait_status));
  g_assert_cmpint (WEXITSTATUS (wait_status), ==, 0);
}

static void
use_the_library (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GForkTemplate) executed = g_fork_template_new_exec ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GForkProcess) executed_process = NULL;
  g_autoptr (GSocket) socket = test_run (template, "answer", &process);
  g_autoptr (GSocket) executed_socket = NULL;
  g_autoptr (GAsyncResult) result = NULL;

  test_assert_answer (socket, "memory", "nothing");
  test_send (socket, "exit 3\n");
  test_assert_exits (process, 3);

  g_fork_template_require (executed, "test-worker");
  executed_socket = test_run (executed, "answer", &executed_process);
  g_fork_process_wait_async (executed_process, NULL, test_store_result, &result);
  test_send (executed_socket, "exit 4\n");
  test_await (&result);
  g_assert_cmpint (g_fork_process_get_exit_status (executed_process), ==, 4);
}

/* The child has a default template of its own, and everything works. */
static void
use_own_default (gpointer data)
{
  GPid pid = test_default_pid ();

  g_assert_cmpint (pid, !=, GPOINTER_TO_INT (data));
  g_assert_cmpint (test_process_parent (pid), ==, getpid ());
  use_the_library ();
}

static void
test_child_starts_afresh (void)
{
  GPid pid = test_default_pid ();

  in_child (use_own_default, GINT_TO_POINTER (pid));

  g_assert_cmpint (test_default_pid (), ==, pid);
  use_the_library ();
}

/* So it is with its own child. */
static void
use_in_grandchild (gpointer data)
{
  GPid pid = test_default_pid ();

  in_child (use_own_default, GINT_TO_POINTER (pid));
  g_assert_cmpint (test_default_pid (), ==, pid);
}

static void
test_grandchild (void)
{
  test_default_pid ();
  in_child (use_in_grandchild, NULL);
}

/* A child that never used the library before, of a parent that did not. */
static void
test_unused_before (void)
{
  if (!test_in_subprocess ())
    return;

  in_child (use_own_default, NULL);
  use_the_library ();
}

typedef struct
{
  GForkTemplate *template;
  GForkTemplate *default_template;
  GForkProcess *process;
  GSocket *socket;
} Holding;

static void
drop_all (gpointer data)
{
  Holding *holding = data;

  g_object_unref (holding->template);
  g_object_unref (holding->default_template);
  g_object_unref (holding->process);
  g_object_unref (holding->socket);
}

static void
use_and_drop_all (gpointer data)
{
  use_the_library ();
  drop_all (data);
  use_the_library ();
}

/* What was inherited answers that it is another process's. */
static void
use_inherited (gpointer data)
{
  Holding *holding = data;
  g_autoptr (GForkTemplate) fork = g_fork_template_fork (holding->template);
  g_autoptr (GError) fork_error = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) run_error = NULL;
  g_autoptr (GError) wait_error = NULL;
  g_autoptr (GError) signal_error = NULL;

  g_assert_cmpint (g_fork_template_get_pid (holding->template), >, 0);
  g_fork_template_require (holding->template, "test-other");
  g_fork_template_send_fd (holding->template, 2);
  g_fork_template_set_spare_processes (holding->template, 1);
  g_assert_false (g_fork_template_prepare (holding->template, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_LOST);
  g_assert_null (g_fork_template_run (holding->template, "answer", NULL, NULL, &run_error));
  test_assert_error (run_error, G_FORK_ERROR_LOST);
  g_assert_false (g_fork_template_prepare (fork, NULL, &fork_error));
  test_assert_error (fork_error, G_FORK_ERROR_LOST);

  g_assert_false (g_fork_process_wait (holding->process, NULL, &wait_error));
  test_assert_error (wait_error, G_FORK_ERROR_LOST);
  g_assert_cmpint (g_fork_process_get_wait_status (holding->process), ==, -1);
  g_assert_false (g_fork_process_get_if_exited (holding->process));
  g_assert_false (g_fork_process_send_signal (holding->process, SIGTERM, &signal_error));
  test_assert_error (signal_error, G_FORK_ERROR_LOST);

  g_fork_template_set_default (holding->template);
  use_the_library ();
}

static void
close_all (gpointer data)
{
  Holding *holding = data;

  g_fork_template_close (holding->template);
  g_fork_template_set_default (NULL);
  drop_all (data);
}

static void
exit_normally (gpointer data)
{
  use_the_library ();
  exit (0);
}

static void
exit_at_once (gpointer data)
{
}

/* What the child does with what it has inherited, and that it ends, does not
 * concern the parent: templates can be run, workers live, statuses come. */
static void
test_parent_is_unharmed (gconstpointer data)
{
  void (*const functions[]) (gpointer) = { exit_at_once, drop_all, use_and_drop_all, use_inherited,
                                           close_all, exit_normally };
  Holding holding = { NULL };
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  holding.default_template = g_fork_template_dup_default ();
  holding.template = test_make (data);
  child = g_fork_template_fork (holding.template);
  holding.socket = test_run (child, "answer", &holding.process);
  test_prepare (holding.template);

  for (gsize i = 0; i < G_N_ELEMENTS (functions); i++)
    {
      in_child (functions[i], &holding);
      test_prepare (holding.template);
      test_assert_answer (holding.socket, "memory", "nothing");
    }

  test_send (holding.socket, "exit 5\n");
  g_assert_true (g_fork_process_wait (holding.process, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_fork_process_get_exit_status (holding.process), ==, 5);

  socket = test_run (holding.template, "answer", &process);
  test_send (socket, "exit 6\n");
  test_assert_exits (process, 6);

  drop_all (&holding);
}

/* The same with operations under way. */
static void
test_operations_go_on (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GAsyncResult) wait_result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) unblock = -1;

  test_block (template, &unblock);
  g_fork_template_send_arg (template, "sent");
  g_fork_template_run_async (template, "answer", NULL, test_store_result, &result);
  in_child (exit_at_once, NULL);
  in_child (use_own_default, NULL);

  test_close_fd (&unblock);
  test_await (&result);
  socket = g_fork_template_run_finish (template, result, &process, &error);
  g_assert_no_error (error);
  g_fork_process_wait_async (process, NULL, test_store_result, &wait_result);
  in_child (use_own_default, NULL);

  test_assert_answer (socket, "n-args", "1");
  test_send (socket, "exit 7\n");
  test_await (&wait_result);
  g_assert_true (g_fork_process_wait_finish (process, wait_result, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 7);
}

/* What a child has started ends with it. */
static void
leave_behind (gpointer data)
{
  GForkTemplate *template = test_template_new ();
  GForkTemplate *executed = g_fork_template_new_exec ();
  TestFd write_end = GPOINTER_TO_INT (data);

  g_fork_template_send_fd (template, write_end);
  g_fork_template_send_fd (executed, write_end);
  test_prepare (template);
  test_prepare (executed);
}

static void
test_nothing_is_left_behind (void)
{
  g_auto (TestFd) read_end = -1;
  g_auto (TestFd) write_end = -1;

  test_pipe (&read_end, &write_end);
  in_child (leave_behind, GINT_TO_POINTER (write_end));
  test_close_fd (&write_end);
  test_assert_fd_eof (read_end);
}

/* The application's own children are its own to wait for, whatever the library
 * reaps meanwhile. */
static void
test_own_children (void)
{
  pid_t pids[10];

  for (int i = 0; i < 10; i++)
    {
      fflush (NULL);
      pids[i] = fork ();
      g_assert_no_errno (pids[i]);
      if (pids[i] == 0)
        _exit (10 + i);
      test_wait_for_end (pids[i]);
    }

  for (int i = 0; i < 5; i++)
    use_the_library ();

  for (int i = 0; i < 10; i++)
    {
      int wait_status;

      g_assert_cmpint (waitpid (pids[i], &wait_status, 0), ==, pids[i]);
      g_assert_cmpint (WEXITSTATUS (wait_status), ==, 10 + i);
    }
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/appfork/child-starts-afresh", test_child_starts_afresh);
  g_test_add_func ("/appfork/grandchild", test_grandchild);
  g_test_add_func ("/appfork/unused-before", test_unused_before);
  test_add_kinds ("/appfork/parent-is-unharmed", test_parent_is_unharmed);
  test_add_kinds ("/appfork/operations-go-on", test_operations_go_on);
  g_test_add_func ("/appfork/nothing-is-left-behind", test_nothing_is_left_behind);
  g_test_add_func ("/appfork/own-children", test_own_children);

  return g_test_run ();
}
