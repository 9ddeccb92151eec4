/* unruly.c: tests of modules that change what the template relies on
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <signal.h>

static GForkTemplate *
template_new (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();

  g_fork_template_require (template, "test-worker");
  g_fork_template_require (template, "test-unruly");
  return g_steal_pointer (&template);
}

/* How the processes end is known, before and after the signal for it was ignored or
 * its handler taken away. */
static void
test_signals (gconstpointer function)
{
  g_autoptr (GForkTemplate) template = template_new ();
  g_autoptr (GForkTemplate) earlier = g_fork_template_fork (template);
  g_autoptr (GForkTemplate) later = NULL;
  g_autoptr (GForkProcess) earlier_process = NULL;
  g_autoptr (GForkProcess) later_process = NULL;
  g_autoptr (GSocket) earlier_socket = test_run (earlier, "answer", &earlier_process);
  g_autoptr (GSocket) later_socket = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_call (template, function, NULL);
  test_prepare (template);
  later = g_fork_template_fork (template);
  later_socket = test_run (later, "answer", &later_process);

  test_send (earlier_socket, "exit 3\n");
  test_assert_exits (earlier_process, 3);

  g_fork_process_force_exit (later_process);
  g_assert_true (g_fork_process_wait (later_process, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_fork_process_get_term_sig (later_process), ==, SIGKILL);
}

/* A process that somebody else has reaped is waited for no longer: its status is
 * what the kernel remembers, or lost. */
static void
test_reaped_by_module (void)
{
  g_autoptr (GForkTemplate) template = template_new ();
  g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_run (child, "answer", &process);
  g_autoptr (GError) error = NULL;

  g_fork_template_call (template, "reap_everybody", NULL);
  test_send (socket, "exit 3\n");
  if (g_fork_process_wait (process, NULL, &error))
    g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 3);
  else
    g_assert_error (error, G_FORK_ERROR, G_FORK_ERROR_LOST);
  test_prepare (template);
}

static void
assert_runs_until_killed (GForkProcess *process)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (g_fork_process_is_running (process));
  g_fork_process_force_exit (process);
  g_assert_true (g_fork_process_wait (process, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_fork_process_get_term_sig (process), ==, SIGKILL);
}

static void
wait_until_traced (GForkProcess *process)
{
  while (test_process_state (g_fork_process_get_pid (process)) != 't')
    g_assert_true (test_process_exists (g_fork_process_get_pid (process)));
}

static GForkTemplate *
python_new (void)
{
  GForkTemplate *template = g_fork_template_new_exec_for_runtime ("python3");

  g_fork_template_eval (template,
                        "import ctypes, os, signal\n"
                        "def be_traced (sock):\n"
                        "  assert ctypes.CDLL (None).ptrace (0, 0, 0, 0) == 0\n"
                        "  os.kill (os.getpid (), signal.SIGSTOP)\n"
                        "def answer (sock):\n"
                        "  sock.recv (10)\n"
                        "  raise SystemExit (3)\n",
                        NULL);
  return template;
}

/* That a worker has stopped, and has had its template trace it, is not its end. The end of another
 * one has the template look. */
static void
test_traced_by_template (gconstpointer make)
{
  g_autoptr (GForkTemplate) template = ((GForkTemplate *(*) (void)) make) ();
  g_autoptr (GForkTemplate) traced = g_fork_template_fork (template);
  g_autoptr (GForkTemplate) other = g_fork_template_fork (template);
  g_autoptr (GForkProcess) traced_process = NULL;
  g_autoptr (GForkProcess) other_process = NULL;
  g_autoptr (GSocket) traced_socket G_GNUC_UNUSED = test_run (traced, "be_traced", &traced_process);
  g_autoptr (GSocket) other_socket = test_run (other, "answer", &other_process);

  wait_until_traced (traced_process);
  test_send (other_socket, "exit 3\n");
  test_assert_exits (other_process, 3);
  assert_runs_until_killed (traced_process);
}

static void
test_traced_by_application (void)
{
  g_autoptr (GForkTemplate) template = template_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket G_GNUC_UNUSED = test_run (template, "be_traced", &process);

  wait_until_traced (process);
  assert_runs_until_killed (process);
}

/* What the module is linked with has functions, too, but they are not its own. */
static void
test_functions_of_others (void)
{
  const char *functions[] = { "getpid", "test-worker:abort" };

  for (guint i = 0; i < G_N_ELEMENTS (functions); i++)
    {
      g_autoptr (GForkTemplate) template = template_new ();
      g_autoptr (GError) error = NULL;

      g_assert_null (g_fork_template_run (template, functions[i], NULL, NULL, &error));
      g_assert_error (error, G_FORK_ERROR, G_FORK_ERROR_FUNCTION);
    }
}

/* A default template that is a fork of another is replaced when it has died, too, the
 * first time after it was sent the signal; whether it was prepared or not. */
static void
test_forked_default (gconstpointer data)
{
  gboolean prepared = GPOINTER_TO_INT (data);
  g_autoptr (GForkTemplate) parent = g_fork_template_new_exec ();

  for (guint i = 0; i < 50; i++)
    {
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (parent);
      g_autoptr (GForkTemplate) first = NULL;
      g_autoptr (GForkTemplate) next = NULL;
      g_autoptr (GSocket) first_socket = NULL;
      GPid pid;

      if (prepared)
        test_prepare (fork);
      g_fork_template_set_default (fork);
      first = test_template_new ();
      first_socket = test_run (first, "answer", NULL);
      pid = test_ask_number (first_socket, "ppid");
      g_assert_cmpint (test_process_parent (pid), ==, g_fork_template_get_pid (parent));
      g_assert_no_errno (kill (pid, SIGKILL));
      test_wait_for_end (pid);

      next = test_template_new ();
      test_assert_worker_answers (next, "memory", "nothing");
    }
  g_fork_template_set_default (NULL);
}

/* It is dead also if somebody else has its end of the socket: a process that a module
 * has forked, or, for a moment, the template that it was forked from. */
static void
test_default_leaves_a_fork (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) next = NULL;
  g_auto (TestFd) read_end = -1;
  g_auto (TestFd) write_end = -1;
  GPid pid;

  test_pipe (&read_end, &write_end);
  g_fork_template_require (template, "test-unruly");
  g_fork_template_send_fd (template, read_end);
  g_fork_template_call (template, "leave_a_fork", NULL);
  test_prepare (template);
  pid = g_fork_template_get_pid (template);
  /* Without pidfds only the template that forked it knows of its end, and reports it later. */
  if (!test_has_pidfds () && test_process_parent (pid) != getpid ())
    {
      g_assert_no_errno (kill (pid, SIGKILL));
      g_test_skip ("the kernel lacks pidfds");
      return;
    }
  g_fork_template_set_default (template);

  g_assert_no_errno (kill (pid, SIGKILL));
  test_wait_for_end (pid);
  next = test_template_new ();
  test_assert_worker_answers (next, "memory", "nothing");
  g_fork_template_set_default (NULL);
}

/* Nothing stays open here for processes that nobody has any more. */
static void
test_dropped_processes (void)
{
  g_autoptr (GForkTemplate) template = template_new ();
  guint before;

  test_prepare (template);
  before = test_count_fds (0);
  for (guint i = 0; i < 100; i++)
    {
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket = test_run (fork, "answer", &process);

      g_assert_nonnull (socket);
    }
  g_assert_cmpuint (test_count_fds (0), <=, before + 5);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_data_func ("/unruly/signals/ignored", "ignore_children", test_signals);
  g_test_add_data_func ("/unruly/signals/default", "default_signals", test_signals);
  g_test_add_func ("/unruly/reaped-by-module", test_reaped_by_module);
  g_test_add_func ("/unruly/functions-of-others", test_functions_of_others);
  g_test_add_data_func ("/unruly/forked-default/prepared", GINT_TO_POINTER (TRUE),
                        test_forked_default);
  g_test_add_data_func ("/unruly/forked-default/unprepared", GINT_TO_POINTER (FALSE),
                        test_forked_default);
  test_add_kinds ("/unruly/default-leaves-a-fork", test_default_leaves_a_fork);
  g_test_add_func ("/unruly/dropped-processes", test_dropped_processes);
  g_test_add_data_func ("/unruly/traced/by-template", template_new, test_traced_by_template);
  g_test_add_func ("/unruly/traced/by-application", test_traced_by_application);
  g_test_add_data_func ("/unruly/traced/by-python", python_new, test_traced_by_template);

  return g_test_run ();
}
