/* ends.c: how the ends of processes become known, and to whom
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <errno.h>
#include <signal.h>

/* Nothing waits in the main loop for what is not known yet. The template that can say how its
 * forks have ended is stopped; the main loop goes on meanwhile, and the causes are known once
 * the template has gone on. */
static void
test_cause_comes_later (void)
{
  GForkTemplate *forks[40];
  GAsyncResult *results[G_N_ELEMENTS (forks)] = { NULL };
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  GPid pid = g_fork_template_get_pid (template);
  gint64 began;

  for (guint i = 0; i < G_N_ELEMENTS (forks); i++)
    {
      forks[i] = g_fork_template_fork (template);
      g_fork_template_require (forks[i], "test-worker");
      test_prepare (forks[i]);
    }

  g_assert_no_errno (kill (pid, SIGSTOP));
  for (guint i = 0; i < G_N_ELEMENTS (forks); i++)
    {
      const char *const words[] = { "100000", NULL };

      g_fork_template_call (forks[i], "sleep_for", words);
      g_fork_template_prepare_async (forks[i], NULL, test_store_result, &results[i]);
      g_assert_no_errno (kill (g_fork_template_get_pid (forks[i]), SIGKILL));
    }
  for (guint i = 0; i < G_N_ELEMENTS (forks); i++)
    test_wait_for_end (g_fork_template_get_pid (forks[i]));

  /* All of the sockets are at their ends. */
  began = g_get_monotonic_time ();
  g_main_context_iteration (NULL, FALSE);
  for (guint i = 0; i < G_N_ELEMENTS (forks); i++)
    g_assert_null (results[i]);

  g_assert_no_errno (kill (pid, SIGCONT));
  for (guint i = 0; i < G_N_ELEMENTS (forks); i++)
    {
      g_autoptr (GError) error = NULL;
      gboolean prepared = g_fork_template_prepare_finish (forks[i], test_await (&results[i]), &error);

      g_assert_false (prepared);
      /* Nobody waits for longer than that. */
      if (g_get_monotonic_time () - began < G_USEC_PER_SEC / 2)
        test_assert_error (error, G_FORK_ERROR_LOST, "sleep_for", "signal 9");
      else
        test_assert_error (error, G_FORK_ERROR_LOST, "sleep_for");
      g_object_unref (results[i]);
      g_object_unref (forks[i]);
    }
}

/* If it does not go on, the operations end all the same. */
static void
test_cause_never_comes (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
  g_autoptr (GError) error = NULL;
  GPid pid = g_fork_template_get_pid (template);

  test_prepare (fork);
  g_assert_no_errno (kill (pid, SIGSTOP));
  g_assert_no_errno (kill (g_fork_template_get_pid (fork), SIGKILL));
  g_assert_false (g_fork_template_prepare (fork, NULL, &error));
  g_assert_no_errno (kill (pid, SIGCONT));
  test_assert_error (error, G_FORK_ERROR_LOST, "ended unexpectedly");
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/ends/cause-comes-later", test_cause_comes_later);
  g_test_add_func ("/ends/cause-never-comes", test_cause_never_comes);

  return g_test_run ();
}
