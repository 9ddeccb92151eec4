/* template-fork.c: tests of forks of templates
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

/* A fork has everything that its parent has: modules, their memory, the
 * environment, the directory, arguments and descriptors. */
static void
test_fork_clones (gconstpointer kind)
{
  const char *args[] = { "from the parent", NULL };
  g_autoptr (GForkTemplate) parent = test_make (kind);
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_auto (TestFd) tell_tale = -1;

  g_fork_template_call (parent, "remember", args);
  g_fork_template_setenv (parent, "GFORK_TEST_VARIABLE", "inherited");
  g_fork_template_set_cwd (parent, "/proc");
  g_fork_template_send_arg (parent, "zero");
  tell_tale = test_add_tell_tale (parent);
  g_fork_template_send_arg (parent, "two");

  child = g_fork_template_fork (parent);
  socket = test_run (child, "answer", NULL);
  test_assert_answer (socket, "memory", "[from the parent]");
  test_assert_answer (socket, "env GFORK_TEST_VARIABLE", "inherited");
  test_assert_answer (socket, "cwd", "/proc");
  test_assert_answer (socket, "n-args", "3");
  test_assert_answer (socket, "arg 0", "zero");
  test_assert_answer (socket, "arg-write 1", "done");
  test_assert_answer (socket, "arg 2", "two");
  test_assert_answer (socket, "strays", "none");

  g_fork_template_close (parent);
  test_send (socket, "exit 0\n");
  test_assert_eof (socket);
  {
    g_autofree char *written = test_read_fd (tell_tale);

    g_assert_cmpstr (written, ==, "written by the worker");
  }
}

/* What is done to a template after a fork is not done to the fork, nor the other
 * way round. */
static void
test_fork_separates (void)
{
  const char *common[] = { "common", NULL };
  const char *parents[] = { "parent", NULL };
  const char *childs[] = { "child", NULL };
  g_autoptr (GForkTemplate) parent = test_template_new ();
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GSocket) parent_socket = NULL;
  g_autoptr (GSocket) child_socket = NULL;

  g_fork_template_call (parent, "remember", common);
  g_fork_template_send_arg (parent, "common");
  child = g_fork_template_fork (parent);

  g_fork_template_call (child, "remember", childs);
  g_fork_template_send_arg (child, "child");
  g_fork_template_setenv (child, "GFORK_TEST_VARIABLE", "child");
  g_fork_template_call (parent, "remember", parents);
  g_fork_template_send_arg (parent, "parent");
  g_fork_template_set_cwd (parent, "/proc");

  child_socket = test_run (child, "answer", NULL);
  test_assert_answer (child_socket, "memory", "[common][child]");
  test_assert_answer (child_socket, "n-args", "2");
  test_assert_answer (child_socket, "arg 1", "child");
  test_assert_answer (child_socket, "env GFORK_TEST_VARIABLE", "child");

  parent_socket = test_run (parent, "answer", NULL);
  test_assert_answer (parent_socket, "memory", "[common][parent]");
  test_assert_answer (parent_socket, "n-args", "2");
  test_assert_answer (parent_socket, "arg 1", "parent");
  test_assert_answer (parent_socket, "env GFORK_TEST_VARIABLE", "(unset)");
  test_assert_answer (parent_socket, "cwd", "/proc");
}

/* Forks of forks, ten deep, each adding something. */
static void
test_fork_deep (void)
{
  g_autoptr (GPtrArray) templates = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr (GString) expected = g_string_new (NULL);

  g_ptr_array_add (templates, test_template_new ());
  for (int i = 0; i < 10; i++)
    {
      g_autofree char *text = g_strdup_printf ("%d", i);
      const char *args[] = { text, NULL };
      GForkTemplate *template = g_ptr_array_index (templates, templates->len - 1);

      g_fork_template_call (template, "remember", args);
      g_string_append_printf (expected, "[%s]", text);
      g_ptr_array_add (templates, g_fork_template_fork (template));
    }

  test_assert_worker_answers (g_ptr_array_index (templates, templates->len - 1), "memory",
                              expected->str);
}

/* One template can be forked any number of times, and all of them live at once. */
static void
test_fork_often (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GPtrArray) sockets = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr (GHashTable) pids = g_hash_table_new (NULL, NULL);

  for (int i = 0; i < 50; i++)
    {
      g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
      g_autofree char *number = g_strdup_printf ("%d", i);

      g_fork_template_send_arg (child, number);
      g_ptr_array_add (sockets, test_run (child, "answer", NULL));
    }

  for (guint i = 0; i < sockets->len; i++)
    {
      GSocket *socket = g_ptr_array_index (sockets, i);

      g_assert_cmpint (test_ask_number (socket, "arg 0"), ==, i);
      g_hash_table_add (pids, GINT_TO_POINTER (test_ask_number (socket, "pid")));
    }

  g_assert_cmpuint (g_hash_table_size (pids), ==, sockets->len);
}

/* Modules are loaded once, in the template, and not by each worker. */
static void
test_fork_shares_modules (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
  g_autoptr (GSocket) socket = test_run (child, "answer", NULL);

  test_prepare (template);
  g_assert_cmpint (test_ask_number (socket, "loaded-by"), ==, g_fork_template_get_pid (template));
}

/* A fork does not need its parent any more. */
static void
test_fork_outlives_parent (void)
{
  g_autoptr (GForkTemplate) parent = test_template_new ();
  g_autoptr (GForkTemplate) child = g_fork_template_fork (parent);

  g_clear_object (&parent);
  test_assert_writes (child, "whoami", "test-worker");
}

/* A template that has live workers can be run itself, and their statuses still
 * come. */
static void
test_run_a_parent (void)
{
  g_autoptr (GForkTemplate) parent = test_template_new ();
  g_autoptr (GForkTemplate) child = g_fork_template_fork (parent);
  g_autoptr (GForkProcess) child_process = NULL;
  g_autoptr (GForkProcess) parent_process = NULL;
  g_autoptr (GSocket) child_socket = test_run (child, "answer", &child_process);
  g_autoptr (GSocket) parent_socket = test_run (parent, "answer", &parent_process);

  g_assert_cmpint (test_ask_number (parent_socket, "pid"), ==, g_fork_process_get_pid (parent_process));
  test_assert_answer (parent_socket, "strays", "none");

  test_send (child_socket, "exit 11\n");
  test_assert_exits (child_process, 11);

  test_send (parent_socket, "exit 12\n");
  test_assert_exits (parent_process, 12);
}

/* The descriptors that were sent are then the new worker's alone: they are at
 * their end when it is gone, although others live. */
static void
test_run_a_parent_lets_go (void)
{
  g_autoptr (GForkTemplate) parent = test_template_new ();
  g_autoptr (GForkTemplate) child = g_fork_template_fork (parent);
  g_autoptr (GSocket) child_socket = test_run (child, "answer", NULL);
  g_autoptr (GSocket) socket = NULL;
  g_autofree char *written = NULL;
  g_auto (TestFd) tell_tale = test_add_tell_tale (parent);

  socket = test_run (parent, "write_to_args", NULL);
  written = test_read_fd (tell_tale);
  g_assert_cmpstr (written, ==, "written by the worker");
  test_assert_answer (child_socket, "memory", "nothing");
}

/* A template that is closed while workers live still tells how they end. */
static void
test_close_a_parent (gconstpointer kind)
{
  g_autoptr (GForkTemplate) parent = test_make (kind);
  g_autoptr (GForkTemplate) child = g_fork_template_fork (parent);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_run (child, "answer", &process);

  g_fork_template_close (parent);
  g_clear_object (&parent);
  g_clear_object (&child);

  test_assert_answer (socket, "memory", "nothing");
  test_send (socket, "exit 13\n");
  test_assert_exits (process, 13);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  test_add_kinds ("/template/fork/clones", test_fork_clones);
  g_test_add_func ("/template/fork/separates", test_fork_separates);
  g_test_add_func ("/template/fork/deep", test_fork_deep);
  g_test_add_func ("/template/fork/often", test_fork_often);
  g_test_add_func ("/template/fork/shares-modules", test_fork_shares_modules);
  g_test_add_func ("/template/fork/outlives-parent", test_fork_outlives_parent);
  g_test_add_func ("/template/fork/run-the-parent", test_run_a_parent);
  g_test_add_func ("/template/fork/run-the-parent-lets-go", test_run_a_parent_lets_go);
  test_add_kinds ("/template/fork/close-the-parent", test_close_a_parent);

  return g_test_run ();
}
