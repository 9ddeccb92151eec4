/* errors-closed.c: tests of operations on templates that were run, executed, detached or closed
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

/* CLOSED: a preparation ends once. */
static void
assert_closed (GForkTemplate *template,
               const char    *why)
{
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) exec_error = NULL;
  g_autoptr (GError) detach_error = NULL;

  test_assert_run_fails (template, "answer", G_FORK_ERROR_CLOSED, "the function “answer”", why);

  socket = g_fork_template_execv (template, (const char *[]){ "/bin/true", NULL }, 0, NULL, NULL, &exec_error);
  test_assert_error (exec_error, G_FORK_ERROR_CLOSED, "the program “/bin/true”", why);
  g_assert_null (socket);

  socket = g_fork_template_detach (template, NULL, &detach_error);
  test_assert_error (detach_error, G_FORK_ERROR_CLOSED, "detach", why);
  g_assert_null (socket);

  test_assert_prepare_fails (template, G_FORK_ERROR_CLOSED, "prepare", why);

  child = g_fork_template_fork (template);
  test_assert_prepare_fails (child, G_FORK_ERROR_CLOSED, "prepare", why);

  /* Commands are taken, and come to nothing. */
  g_fork_template_require (template, "test-worker");
  g_fork_template_send_fd (template, 2);
  g_fork_template_close (template);
}

static void
test_closed_after_run (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GSocket) socket = test_run (template, "answer", NULL);

  assert_closed (template, "was run before; fork it for each worker");
  test_assert_answer (socket, "memory", "nothing");
}

static void
test_closed_after_exec (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket G_GNUC_UNUSED = NULL;

  socket = g_fork_template_execv (template, (const char *[]){ "/bin/true", NULL }, 0, NULL, NULL, &error);
  g_assert_no_error (error);
  assert_closed (template, "was executed before; fork it for each program");
}

static void
test_closed_after_detach (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) adopted = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) control = g_fork_template_detach (template, NULL, &error);

  g_assert_no_error (error);
  assert_closed (template, "was detached before");

  adopted = g_fork_template_new_from_socket (control);
  test_prepare (adopted);
}

static void
test_closed_after_close (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);

  g_fork_template_close (template);
  assert_closed (template, "was closed");
}

/* So it is when its process has left, which stays for its workers no longer than they do. */
static void
test_closed_and_gone (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_run (child, "answer", &process);
  g_autoptr (GError) error = NULL;

  test_prepare (template);
  g_fork_template_close (template);
  test_send (socket, "exit 0\n");
  g_assert_true (g_fork_process_wait_check (process, NULL, &error));
  g_assert_no_error (error);
  test_wait_for_end (g_fork_template_get_pid (template));

  assert_closed (template, "was closed");
}

/* While a run is under way, nothing else can end the preparation, and the run is
 * not disturbed. */
static void
test_closed_while_running (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) unblock = -1;

  test_block (template, &unblock);
  g_fork_template_run_async (template, "answer", NULL, test_store_result, &result);
  test_assert_run_fails (template, "echo", G_FORK_ERROR_CLOSED);

  test_close_fd (&unblock);
  test_await (&result);
  socket = g_fork_template_run_finish (template, result, NULL, &error);
  g_assert_no_error (error);
  test_assert_answer (socket, "memory", "nothing");
}

/* Closing while operations are under way ends them. */
static void
test_closed_under_way (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GAsyncResult) prepare_result = NULL;
  g_autoptr (GAsyncResult) run_result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) prepare_error = NULL;
  g_autoptr (GError) run_error = NULL;
  g_auto (TestFd) unblock = -1;

  test_block (template, &unblock);
  g_fork_template_prepare_async (template, NULL, test_store_result, &prepare_result);
  g_fork_template_run_async (template, "answer", NULL, test_store_result, &run_result);
  g_fork_template_close (template);

  test_await (&prepare_result);
  g_assert_false (g_fork_template_prepare_finish (template, prepare_result, &prepare_error));
  test_assert_error (prepare_error, G_FORK_ERROR_CLOSED);
  test_await (&run_result);
  socket = g_fork_template_run_finish (template, run_result, NULL, &run_error);
  test_assert_error (run_error, G_FORK_ERROR_CLOSED);
  g_assert_null (socket);
}

int
main (int    argc,
      char **argv)
{
  test_adopt_orphans ();
  g_test_init (&argc, &argv, NULL);

  test_add_kinds ("/errors/closed/after-run", test_closed_after_run);
  test_add_kinds ("/errors/closed/after-exec", test_closed_after_exec);
  test_add_kinds ("/errors/closed/after-detach", test_closed_after_detach);
  test_add_kinds ("/errors/closed/after-close", test_closed_after_close);
  test_add_kinds ("/errors/closed/and-gone", test_closed_and_gone);
  g_test_add_func ("/errors/closed/while-running", test_closed_while_running);
  g_test_add_func ("/errors/closed/under-way", test_closed_under_way);

  return g_test_run ();
}
