/* errors-lost.c: tests of templates and workers that end unexpectedly
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

/* Functions of test-trouble that end their process, and how. */
static const char *const calls[] = { "crash", "vanish" };

static const char *
cause_of (gsize i)
{
  return i == 0 ? g_strsignal (SIGKILL) : "exit status 3";
}

/* LOST: the process ends in the middle of a call. The message says what was asked for,
 * what it may have been that the process did not survive, and how it ended. */
static void
test_lost (gconstpointer kind)
{
  for (gsize i = 0; i < G_N_ELEMENTS (calls); i++)
    {
      g_autoptr (GForkTemplate) template = test_make (kind);
      g_autoptr (GForkTemplate) child = NULL;

      g_fork_template_require (template, "test-trouble");
      g_fork_template_call (template, calls[i], NULL);
      child = g_fork_template_fork (template);
      test_assert_run_fails (template, "answer", G_FORK_ERROR_LOST, "the function “answer”",
                             "require “test-trouble”", calls[i], cause_of (i));
      test_assert_prepare_fails (child, G_FORK_ERROR_LOST, "prepare", calls[i], cause_of (i));
    }
}

/* So it is if that happens when the template has been closed already, as it has forked and
 * its run is that of a fork. */
static void
test_lost_after_close (gconstpointer kind)
{
  for (gsize i = 0; i < G_N_ELEMENTS (calls); i++)
    {
      g_autoptr (GForkTemplate) template = test_make (kind);
      g_autoptr (GForkTemplate) child = NULL;
      g_autoptr (GAsyncResult) result = NULL;
      g_autoptr (GSocket) socket = NULL;
      g_autoptr (GError) error = NULL;
      g_auto (TestFd) unblock = -1;

      g_fork_template_require (template, "test-trouble");
      test_block (template, &unblock);
      g_fork_template_call (template, calls[i], NULL);
      child = g_fork_template_fork (template);
      g_fork_template_run_async (template, "answer", NULL, test_store_result, &result);
      test_close_fd (&unblock);

      test_await (&result);
      socket = g_fork_template_run_finish (template, result, NULL, &error);
      g_assert_null (socket);
      test_assert_error (error, G_FORK_ERROR_LOST, "the function “answer”", calls[i], cause_of (i));
      test_assert_prepare_fails (child, G_FORK_ERROR_LOST, "prepare", calls[i], cause_of (i));
    }
}

/* What is known to be done is not what the process died of. */
static void
test_lost_later (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GError) error = NULL;

  g_fork_template_call (template, "remember", (const char *[]){ "x", NULL });
  test_prepare (template);
  g_fork_template_require (template, "test-trouble");
  g_fork_template_call (template, "crash", NULL);
  error = test_fail_to_run (template, "answer");
  test_assert_error (error, G_FORK_ERROR_LOST, "require “test-trouble”, call “crash”");
  g_assert_null (strstr (error->message, "remember"));
  g_assert_null (strstr (error->message, "…"));
}

/* Of very many commands the last ones are named. */
static void
test_lost_after_many (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GError) error = NULL;

  g_fork_template_require (template, "test-trouble");
  for (int i = 0; i < 1000; i++)
    g_fork_template_call (template, "remember", (const char *[]){ "x", NULL });
  g_fork_template_call (template, "crash", NULL);
  error = test_fail_to_prepare (template);
  test_assert_error (error, G_FORK_ERROR_LOST, "…", "call “crash”");
  g_assert_cmpuint (strlen (error->message), <, 1000);
}

static void
test_lost_exec (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);

  g_fork_template_require (template, "test-trouble");
  g_fork_template_call (template, "crash", NULL);
  test_assert_exec_fails (template, ((const char *[]){ "/bin/true", NULL }), G_FORK_ERROR_LOST,
                          "the program “/bin/true”", "crash", g_strsignal (SIGKILL));
}

static void
test_lost_detach (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_require (template, "test-trouble");
  g_fork_template_call (template, "vanish", NULL);
  socket = g_fork_template_detach (template, NULL, &error);
  test_assert_error (error, G_FORK_ERROR_LOST, "detach", "vanish", "exit status 3");
}

/* A template that is killed */

/* Its workers live, and can be signalled where the system knows a way. */
static void
test_killed_workers_live (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_run (child, "answer", &process);
  g_autoptr (GError) error = NULL;

  test_prepare (template);
  test_kill_and_wait (g_fork_template_get_pid (template));
  test_assert_answer (socket, "memory", "nothing");

  if (g_fork_process_send_signal (process, SIGTERM, &error))
    test_assert_eof (socket);
  else
    test_assert_error (error, G_FORK_ERROR_LOST);
}

/* Operations under way end with LOST at once: its own, and those of forks that
 * it has not come to make. */
static void
test_killed_operations_end (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GForkTemplate) grandchild = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GAsyncResult) child_result = NULL;
  g_autoptr (GAsyncResult) grandchild_result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) child_error = NULL;
  g_autoptr (GError) grandchild_error = NULL;
  g_auto (TestFd) unblock = -1;

  test_prepare (template);
  test_block (template, &unblock);
  child = g_fork_template_fork (template);
  grandchild = g_fork_template_fork (child);
  g_fork_template_prepare_async (template, NULL, test_store_result, &result);
  g_fork_template_run_async (child, "answer", NULL, test_store_result, &child_result);
  g_fork_template_prepare_async (grandchild, NULL, test_store_result, &grandchild_result);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  test_kill_and_wait (g_fork_template_get_pid (template));

  test_await (&result);
  g_assert_false (g_fork_template_prepare_finish (template, result, &error));
  test_assert_error (error, G_FORK_ERROR_LOST);
  test_await (&child_result);
  socket = g_fork_template_run_finish (child, child_result, NULL, &child_error);
  test_assert_error (child_error, G_FORK_ERROR_LOST);
  g_assert_null (socket);
  test_await (&grandchild_result);
  g_assert_false (g_fork_template_prepare_finish (grandchild, grandchild_result, &grandchild_error));
  test_assert_error (grandchild_error, G_FORK_ERROR_LOST);

  /* What begins later ends so as well. */
  test_assert_run_fails (template, "answer", G_FORK_ERROR_LOST);
}

/* A wait for what the killed template was parent of ends with the truth or LOST,
 * when the worker ends; and exited and sources tell -1 for what is not known. */
static void
on_exited (GForkProcess *process,
           int           wait_status,
           gpointer      user_data)
{
  *(int *) user_data = wait_status;
}

static gboolean
on_source (GForkProcess *process,
           int           wait_status,
           gpointer      user_data)
{
  *(int *) user_data = wait_status;

  return G_SOURCE_REMOVE;
}

static void
test_killed_statuses (gconstpointer kind)
{
  enum
  {
    UNTOLD = -2
  };
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_run (child, "answer", &process);
  g_autoptr (GSource) source = g_fork_process_create_source (process);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) later_error = NULL;
  int exited_status = UNTOLD;
  int source_status = UNTOLD;
  gboolean told_early;
  gboolean known;

  g_signal_connect (process, "exited", G_CALLBACK (on_exited), &exited_status);
  g_source_set_callback (source, G_SOURCE_FUNC (on_source), &source_status, NULL);
  g_source_attach (source, NULL);
  g_fork_process_wait_async (process, NULL, test_store_result, &result);

  test_prepare (template);
  test_kill_and_wait (g_fork_template_get_pid (template));

  /* That the template has ended is not that the worker has; but where there are no
   * pidfds, nothing more will be known. */
  for (int i = 0; i < 100; i++)
    g_main_context_iteration (NULL, FALSE);
  told_early = result != NULL || exited_status != UNTOLD;

  test_send (socket, "exit 83\n");
  test_await (&result);
  while (exited_status == UNTOLD || source_status == UNTOLD)
    g_main_context_iteration (NULL, TRUE);

  known = g_fork_process_wait_finish (process, result, &error);
  if (known)
    {
      g_assert_no_error (error);
      g_assert_false (told_early);
      g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 83);
      g_assert_cmpint (exited_status, ==, g_fork_process_get_wait_status (process));
    }
  else
    {
      test_assert_error (error, G_FORK_ERROR_LOST);
      g_assert_cmpint (exited_status, ==, -1);
    }
  g_assert_cmpint (source_status, ==, exited_status);

  /* It stays so. */
  g_assert_cmpint (g_fork_process_wait (process, NULL, &later_error), ==, known);
  if (!known)
    test_assert_error (later_error, G_FORK_ERROR_LOST);
}

/* The same for a worker that is killed together with its template, first or last;
 * the process that has to reap it may take its time. */
static void
test_killed_together (gconstpointer kind)
{
  for (int i = 0; i < 4; i++)
    {
      g_autoptr (GForkTemplate) template = test_make (kind);
      g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket G_GNUC_UNUSED = test_run (child, "answer", &process);
      g_autoptr (GError) error = NULL;
      GPid pid;

      test_prepare (template);
      pid = g_fork_template_get_pid (template);
      if (i % 2 == 0)
        g_assert_no_errno (kill (pid, SIGKILL));
      g_assert_no_errno (kill (g_fork_process_get_pid (process), SIGTERM));
      if (i % 2 != 0)
        g_assert_no_errno (kill (pid, SIGKILL));

      if (g_fork_process_wait (process, NULL, &error))
        g_assert_cmpint (g_fork_process_get_term_sig (process), ==, SIGTERM);
      else
        test_assert_error (error, G_FORK_ERROR_LOST);
    }
}

static gboolean
can_signal (GForkProcess *process)
{
  g_autoptr (GError) error = NULL;
  gboolean can = g_fork_process_send_signal (process, SIGCONT, &error);

  if (!can)
    test_assert_error (error, G_FORK_ERROR_LOST);
  return can;
}

/* A process whose template is killed before it was run is not lost, if others of the
 * template's are not. */
static void
test_killed_before_ready (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) other = g_fork_template_fork (template);
  g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
  g_autoptr (GForkProcess) other_process = NULL;
  g_autoptr (GSocket) other_socket G_GNUC_UNUSED = test_run (other, "answer", &other_process);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) run_error = NULL;
  g_auto (TestFd) unblock = -1;

  test_block (child, &unblock);
  test_prepare (template);
  g_fork_template_run_async (child, "answer", NULL, test_store_result, &result);
  test_kill_and_wait (g_fork_template_get_pid (template));
  g_assert_false (g_fork_template_prepare (template, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_LOST);

  test_close_fd (&unblock);
  test_await (&result);
  socket = g_fork_template_run_finish (child, result, &process, &run_error);
  g_assert_no_error (run_error);
  test_assert_answer (socket, "memory", "nothing");
  g_assert_cmpint (can_signal (process), ==, can_signal (other_process));
}

/* A worker whose run is given up ends, although its template is not there to kill it:
 * when its answer is on the way */
static void
test_killed_and_closed (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) other = g_fork_template_fork (template);
  g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
  g_autoptr (GForkProcess) other_process = NULL;
  g_autoptr (GSocket) other_socket G_GNUC_UNUSED = test_run (other, "answer", &other_process);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *traces = NULL;
  g_auto (TestFd) tell_tale = test_add_tell_tale (child);
  g_auto (TestFd) read_end = -1;
  g_auto (TestFd) write_end = -1;
  char byte;

  test_prepare (template);
  test_pipe (&read_end, &write_end);
  g_fork_template_send_fd (child, read_end);
  g_fork_template_run_async (child, "write_and_wait", NULL, test_store_result, &result);
  g_assert_cmpint (read (tell_tale, &byte, 1), ==, 1);
  test_kill_and_wait (g_fork_template_get_pid (template));

  g_fork_template_close (child);
  test_await (&result);
  g_assert_null (g_fork_template_run_finish (child, result, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_CLOSED);

  test_close_fd (&write_end);
  traces = test_read_fd (tell_tale);
  if (can_signal (other_process))
    g_assert_cmpstr (traces, ==, "");
}

/* and before it has answered. */
static void
test_killed_and_never_run (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) unblock = -1;
  g_auto (TestFd) tell_tale = -1;

  test_block (child, &unblock);
  tell_tale = test_add_tell_tale (child);
  test_prepare (template);
  g_fork_template_run_async (child, "write_to_args", NULL, test_store_result, &result);
  test_kill_and_wait (g_fork_template_get_pid (template));

  g_fork_template_close (child);
  test_await (&result);
  g_assert_null (g_fork_template_run_finish (child, result, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_CLOSED);

  test_close_fd (&unblock);
  test_assert_fd_eof (tell_tale);
}

/* Nor is it waited for for ever if nobody reaps the worker: the process that has to, which
 * is this one's parent, is stopped meanwhile. */
static void
test_killed_and_not_reaped (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  gboolean known;

  g_fork_template_require (child, "test-worker");
  socket = test_run (child, "answer", &process);
  test_prepare (template);
  g_assert_no_errno (kill (getppid (), SIGSTOP));
  while (test_process_state (getppid ()) != 'T')
    g_thread_yield ();
  test_kill_and_wait (g_fork_template_get_pid (template));
  g_assert_no_errno (kill (g_fork_process_get_pid (process), SIGTERM));
  known = g_fork_process_wait (process, NULL, &error);
  g_assert_no_errno (kill (getppid (), SIGCONT));

  g_assert_false (known);
  test_assert_error (error, G_FORK_ERROR_LOST);
}

/* After the default template was killed, and that is known, the next new starts
 * another one, and works. */
static void
test_killed_default (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  GPid pid;

  if (!test_in_subprocess ())
    return;

  pid = test_default_pid ();
  test_kill_and_wait (pid);
  template = test_template_new ();
  test_assert_worker_answers (template, "memory", "nothing");
  g_assert_cmpint (test_default_pid (), !=, pid);
}

/* So it does, the first time and every time; the workers of before live. */
static void
test_killed_default_often (void)
{
  g_autoptr (GPtrArray) sockets = NULL;

  if (!test_in_subprocess ())
    return;

  sockets = g_ptr_array_new_with_free_func (g_object_unref);
  for (int i = 0; i < 50; i++)
    {
      g_autoptr (GForkTemplate) template = NULL;
      g_autoptr (GSocket) socket = NULL;

      test_kill_and_wait (test_default_pid ());
      template = test_template_new ();
      g_fork_template_send_fd (template, 2);
      g_fork_template_send_arg (template, "an argument");
      socket = test_run (template, "answer", NULL);
      test_assert_answer (socket, "n-args", "2");
      g_ptr_array_add (sockets, g_steal_pointer (&socket));
    }

  for (guint i = 0; i < sockets->len; i++)
    test_assert_answer (g_ptr_array_index (sockets, i), "arg 1", "an argument");
}

/* The same of a fork of a new one. */
static void
test_killed_default_async (void)
{
  if (!test_in_subprocess ())
    return;

  for (int i = 0; i < 50; i++)
    {
      g_autoptr (GForkTemplate) template = NULL;
      g_autoptr (GForkTemplate) child = NULL;
      g_autoptr (GAsyncResult) result = NULL;
      g_autoptr (GSocket) socket = NULL;
      g_autoptr (GError) error = NULL;

      test_kill_and_wait (test_default_pid ());
      template = test_template_new ();
      child = g_fork_template_fork (template);
      g_clear_object (&template);
      g_fork_template_run_async (child, "answer", NULL, test_store_result, &result);
      test_await (&result);
      socket = g_fork_template_run_finish (child, result, NULL, &error);
      g_assert_no_error (error);
      test_assert_answer (socket, "memory", "nothing");
    }
}

/* A default template that does not answer any more, though it lives, is no
 * different once it is killed. */
static void
test_killed_default_stopped (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) next = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  GPid pid;

  if (!test_in_subprocess ())
    return;

  pid = test_default_pid ();
  g_assert_no_errno (kill (pid, SIGSTOP));
  template = test_template_new ();
  g_fork_template_prepare_async (template, NULL, test_store_result, &result);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_null (result);

  g_assert_no_errno (kill (pid, SIGKILL));
  test_await (&result);

  /* It was made before, so it may be lost, but that is known at once. */
  if (!g_fork_template_prepare_finish (template, result, &error))
    test_assert_error (error, G_FORK_ERROR_LOST);

  next = test_template_new ();
  test_assert_worker_answers (next, "memory", "nothing");
}

/* Writing to a template that is gone does not end the application by SIGPIPE,
 * and changes nothing about how it treats that signal. */
static void
test_no_sigpipe (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  struct sigaction action;
  g_autofree char *string = NULL;

  if (!test_in_subprocess ())
    return;

  /* GLib ignores it as soon as there are sockets, but an application may change
   * that. */
  g_type_class_unref (g_type_class_ref (G_TYPE_SOCKET));
  g_assert_no_errno (sigaction (SIGPIPE, NULL, &action));
  action.sa_handler = SIG_DFL;
  g_assert_no_errno (sigaction (SIGPIPE, &action, NULL));

  template = g_fork_template_new_exec ();
  test_prepare (template);
  test_kill_and_wait (g_fork_template_get_pid (template));

  string = g_strnfill (10000, 'x');
  for (int i = 0; i < 100; i++)
    g_fork_template_send_arg (template, string);
  g_fork_template_send_fd (template, 2);
  test_assert_run_fails (template, "answer", G_FORK_ERROR_LOST);

  g_assert_no_errno (sigaction (SIGPIPE, NULL, &action));
  g_assert_true (action.sa_handler == SIG_DFL);
}

/* A process that ends itself, or is killed, before it is run, is LOST. */
static void
test_killed_before_run (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);

  test_prepare (template);
  test_kill_and_wait (g_fork_template_get_pid (template));
  test_assert_prepare_fails (template, G_FORK_ERROR_LOST);
  test_assert_run_fails (template, "answer", G_FORK_ERROR_LOST);
}

int
main (int    argc,
      char **argv)
{
  test_adopt_orphans ();
  g_test_init (&argc, &argv, NULL);

  test_add_kinds ("/errors/lost/in-call", test_lost);
  test_add_kinds ("/errors/lost/after-close", test_lost_after_close);
  test_add_kinds ("/errors/lost/later", test_lost_later);
  g_test_add_func ("/errors/lost/after-many", test_lost_after_many);
  test_add_kinds ("/errors/lost/exec", test_lost_exec);
  test_add_kinds ("/errors/lost/detach", test_lost_detach);

  test_add_kinds ("/errors/killed/workers-live", test_killed_workers_live);
  test_add_kinds ("/errors/killed/operations-end", test_killed_operations_end);
  test_add_kinds ("/errors/killed/statuses", test_killed_statuses);
  test_add_kinds ("/errors/killed/together", test_killed_together);
  g_test_add_func ("/errors/killed/not-reaped", test_killed_and_not_reaped);
  test_add_kinds ("/errors/killed/before-run", test_killed_before_run);
  test_add_kinds ("/errors/killed/before-ready", test_killed_before_ready);
  test_add_kinds ("/errors/killed/and-closed", test_killed_and_closed);
  test_add_kinds ("/errors/killed/and-never-run", test_killed_and_never_run);
  g_test_add_func ("/errors/killed/default", test_killed_default);
  g_test_add_func ("/errors/killed/default-often", test_killed_default_often);
  g_test_add_func ("/errors/killed/default-async", test_killed_default_async);
  g_test_add_func ("/errors/killed/default-stopped", test_killed_default_stopped);
  g_test_add_func ("/errors/killed/no-sigpipe", test_no_sigpipe);

  return g_test_run ();
}
