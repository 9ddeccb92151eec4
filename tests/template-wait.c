/* template-wait.c: tests of waiting for the end of a template
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <signal.h>

static gboolean
finish (GForkTemplate  *template,
        GAsyncResult  **result,
        GError        **error)
{
  return g_fork_template_wait_finish (template, test_await (result), error);
}

static GForkTemplate *
make_fork (void)
{
  g_autoptr (GForkTemplate) parent = g_fork_template_new_exec ();

  return g_fork_template_fork (parent);
}

/* Nothing else is asked of the template meanwhile. */
static void
test_killed (gconstpointer make)
{
  g_autoptr (GForkTemplate) template = ((GForkTemplate *(*) (void)) make) ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  test_prepare (template);
  g_fork_template_wait_async (template, NULL, test_store_result, &result);
  kill (g_fork_template_get_pid (template), SIGKILL);
  g_assert_false (finish (template, &result, &error));
  test_assert_error (error, G_FORK_ERROR_LOST, "template", "signal 9");
}

static gpointer
kill_it (gpointer template)
{
  kill (g_fork_template_get_pid (template), SIGKILL);
  return NULL;
}

static void
test_blocked (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GError) error = NULL;
  GThread *thread;

  test_prepare (template);
  thread = g_thread_new ("killer", kill_it, template);
  g_assert_false (g_fork_template_wait (template, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_LOST, "signal 9");
  g_thread_join (thread);
}

static void
test_dead_before (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();

  test_prepare (template);
  test_kill_and_wait (g_fork_template_get_pid (template));
  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_false (g_fork_template_wait (template, NULL, &error));
      test_assert_error (error, G_FORK_ERROR_LOST);
    }
}

static void
test_closed (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_wait_async (template, NULL, test_store_result, &result);
  g_fork_template_close (template);
  g_assert_true (finish (template, &result, &error));
  g_assert_no_error (error);
  g_assert_true (g_fork_template_wait (template, NULL, &error));
  g_assert_no_error (error);
}

/* Others that are forked and run do not end it; its own run does, also if that fails. */
static void
test_run_it (gconstpointer function)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) own = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_wait_async (template, NULL, test_store_result, &result);
  socket = test_run (fork, "echo", &process);
  test_prepare (template);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_null (result);

  own = g_fork_template_run (template, function, NULL, NULL, NULL);
  g_assert_true (finish (template, &result, &error));
  g_assert_no_error (error);
}

static void
test_cancelled (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_wait_async (template, cancellable, test_store_result, &result);
  g_cancellable_cancel (cancellable);
  g_assert_false (finish (template, &result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_clear_object (&result);

  g_fork_template_wait_async (template, cancellable, test_store_result, &result);
  g_assert_false (finish (template, &result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);

  /* It is as good as before. */
  test_prepare (template);
}

static void
test_several (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  GAsyncResult *results[3] = { 0 };

  for (guint i = 0; i < G_N_ELEMENTS (results); i++)
    g_fork_template_wait_async (template, NULL, test_store_result, &results[i]);
  test_prepare (template);
  kill (g_fork_template_get_pid (template), SIGKILL);
  for (guint i = 0; i < G_N_ELEMENTS (results); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_false (finish (template, &results[i], &error));
      test_assert_error (error, G_FORK_ERROR_LOST, "signal 9");
      g_object_unref (results[i]);
    }
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_data_func ("/template/wait/killed/direct", g_fork_template_new_exec,
                        test_killed);
  g_test_add_data_func ("/template/wait/killed/fork", make_fork, test_killed);
  g_test_add_func ("/template/wait/blocked", test_blocked);
  g_test_add_func ("/template/wait/dead-before", test_dead_before);
  g_test_add_func ("/template/wait/closed", test_closed);
  g_test_add_data_func ("/template/wait/run", "echo", test_run_it);
  g_test_add_data_func ("/template/wait/run-fails", "there-is-none", test_run_it);
  g_test_add_func ("/template/wait/cancelled", test_cancelled);
  g_test_add_func ("/template/wait/several", test_several);

  return g_test_run ();
}
