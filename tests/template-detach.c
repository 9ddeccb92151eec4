/* template-detach.c: tests of detaching templates
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <unistd.h>

/* What was detached goes on where it was, with the commands before done. */
static void
test_detach (gconstpointer kind)
{
  const char *args[] = { "before", NULL };
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) adopted = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) control = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_call (template, "remember", args);
  g_fork_template_send_arg (template, "before");
  control = g_fork_template_detach (template, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (G_IS_SOCKET (control));
  g_clear_object (&template);

  adopted = g_fork_template_new_from_socket (control);
  g_clear_object (&control);
  args[0] = "after";
  g_fork_template_call (adopted, "remember", args);
  g_fork_template_send_arg (adopted, "after");

  socket = test_run (adopted, "answer", &process);
  test_assert_answer (socket, "memory", "[before][after]");
  test_assert_answer (socket, "n-args", "2");
  test_assert_answer (socket, "arg 0", "before");
  test_assert_answer (socket, "arg 1", "after");
  g_assert_cmpint (test_ask_number (socket, "pid"), ==, g_fork_process_get_pid (process));
}

/* A template that was taken over can be forked. */
static void
test_detach_and_fork (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GForkTemplate) adopted = NULL;
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocket) control = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_detach_async (template, NULL, test_store_result, &result);
  test_await (&result);
  g_assert_true (g_async_result_is_tagged (result, g_fork_template_detach_async));
  control = g_fork_template_detach_finish (template, result, &error);
  g_assert_no_error (error);

  adopted = g_fork_template_new_from_socket (control);
  child = g_fork_template_fork (adopted);
  socket = test_run (child, "answer", &process);
  test_send (socket, "exit 14\n");
  test_assert_exits (process, 14);
}

/* Another program can go on with it: see takeover.c. */
static void
test_detach_to_another_process (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GSocket) control = NULL;
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE);
  g_autoptr (GSubprocess) subprocess = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *program = test_build_path ("takeover");
  g_autofree char *output = NULL;

  g_fork_template_send_arg (template, "across");
  control = g_fork_template_detach (template, NULL, &error);
  g_assert_no_error (error);

  g_subprocess_launcher_take_fd (launcher, dup (g_socket_get_fd (control)), 3);
  g_clear_object (&control);
  g_clear_object (&template);
  subprocess = g_subprocess_launcher_spawn (launcher, &error, program, NULL);
  g_assert_no_error (error);
  g_assert_true (g_subprocess_communicate_utf8 (subprocess, NULL, NULL, &output, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (output, ==, "6:across\n5:there\n");
  g_assert_true (g_subprocess_get_successful (subprocess));
}

/* How the workers of before end is no news of those that are forked afterwards. */
static void
test_detach_statuses (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) adopted = NULL;
  GForkTemplate *parents[4];
  GForkProcess *processes[4] = { NULL };
  GSocket *sockets[4];
  g_autoptr (GSocket) control = NULL;
  g_autoptr (GError) error = NULL;

  for (int i = 0; i < 4; i++)
    {
      if (i == 2)
        {
          control = g_fork_template_detach (template, NULL, &error);
          g_assert_no_error (error);
          adopted = g_fork_template_new_from_socket (control);
        }
      parents[i] = g_fork_template_fork (i < 2 ? template : adopted);
      sockets[i] = test_run (parents[i], "answer", &processes[i]);
    }

  /* Those of before end first, and the template has learnt of it. */
  for (int i = 0; i < 4; i++)
    {
      GPid pid = g_fork_process_get_pid (processes[i]);
      g_autofree char *exit = g_strdup_printf ("exit %d\n", 31 + i);

      test_send (sockets[i], exit);
      test_wait_for_end (pid);
      while (test_process_exists (pid))
        test_prepare (adopted);
      test_prepare (adopted);
    }

  for (int i = 0; i < 4; i++)
    {
      if (g_fork_process_wait (processes[i], NULL, &error))
        g_assert_cmpint (g_fork_process_get_exit_status (processes[i]), ==, 31 + i);
      else
        g_assert_cmpint (i, <, 2);
      g_clear_error (&error);
      g_object_unref (processes[i]);
      g_object_unref (sockets[i]);
      g_object_unref (parents[i]);
    }
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  test_add_kinds ("/template/detach/same-process", test_detach);
  g_test_add_func ("/template/detach/fork", test_detach_and_fork);
  g_test_add_func ("/template/detach/another-process", test_detach_to_another_process);
  test_add_kinds ("/template/detach/statuses", test_detach_statuses);

  return g_test_run ();
}
