/* template.c: tests of GForkTemplate: making, preparing and running
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Making one */

/* Whichever way a template was made, it can be prepared and run, and the worker
 * is at the other end of the socket. */
static void
test_run_any_kind (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_run (template, "answer", &process);

  g_assert_cmpint (test_ask_number (socket, "pid"), ==, g_fork_process_get_pid (process));
  test_send (socket, "exit 0\n");
  test_assert_eof (socket);
}

/* g_object_new() is g_fork_template_new(): its default template, and the C
 * runtime. */
static void
test_object_new (void)
{
  g_autoptr (GForkTemplate) template = g_object_new (G_FORK_TYPE_TEMPLATE, NULL);
  g_autoptr (GSocket) socket = NULL;

  g_fork_template_require (template, "test-worker");
  socket = test_run (template, "answer", NULL);
  g_assert_cmpint (test_ask_number (socket, "ppid"), ==, test_default_pid ());
}

/* A new template is a fork of the default one; a new_exec one is not, but a
 * child of this process. */
static void
test_parents (void)
{
  g_autoptr (GForkTemplate) forked = test_template_new ();
  g_autoptr (GForkTemplate) executed = g_fork_template_new_exec ();
  g_autoptr (GSocket) forked_socket = test_run (forked, "answer", NULL);
  g_autoptr (GSocket) executed_socket = NULL;

  g_fork_template_require (executed, "test-worker");
  executed_socket = test_run (executed, "answer", NULL);

  g_assert_cmpint (test_ask_number (forked_socket, "ppid"), ==, test_default_pid ());
  g_assert_cmpint (test_ask_number (executed_socket, "ppid"), ==, getpid ());
}

/* The runtime "c" is what templates have anyway. */
static void
test_runtime (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_for_runtime ("c");
  g_autoptr (GSocket) socket = NULL;
  g_autofree char *runtime = NULL;

  g_assert_cmpstr (g_fork_template_get_runtime (template), ==, "c");
  g_object_get (template, "runtime", &runtime, NULL);
  g_assert_cmpstr (runtime, ==, "c");

  g_fork_template_require (template, "test-worker");
  socket = test_run (template, "whoami", NULL);
  test_assert_all_is (socket, "test-worker");
}

/* The pid of a child of this process is known at once. */
static void
test_pid_direct (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  GPid pid = g_fork_template_get_pid (template);
  int property;

  g_assert_cmpint (pid, >, 0);
  g_assert_cmpint (test_process_parent (pid), ==, getpid ());
  g_object_get (template, "pid", &property, NULL);
  g_assert_cmpint (property, ==, pid);

  g_fork_template_require (template, "test-worker");
  socket = test_run (template, "answer", &process);
  g_assert_cmpint (g_fork_process_get_pid (process), ==, pid);
}

/* The pid of a fork is known after its first round trip, and was 0 before; the
 * process that was prepared is the one that runs. */
static void
test_pid_forked (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  GPid pid;

  g_assert_cmpint (g_fork_template_get_pid (template), ==, 0);
  test_prepare (template);
  pid = g_fork_template_get_pid (template);
  g_assert_cmpint (pid, >, 0);

  socket = test_run (template, "answer", &process);
  g_assert_cmpint (g_fork_process_get_pid (process), ==, pid);
  g_assert_cmpint (test_ask_number (socket, "pid"), ==, pid);
}

/* The number of spare processes is kept. */
static void
test_spare_processes_property (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  guint property;

  g_assert_cmpuint (g_fork_template_get_spare_processes (template), ==, 0);
  g_fork_template_set_spare_processes (template, 2);
  g_object_get (template, "spare-processes", &property, NULL);
  g_assert_cmpuint (property, ==, 2);
}

/* There is one default template, and what is done to it is there in what is
 * made after. */
static void
test_default_is_shared (void)
{
  g_autoptr (GForkTemplate) first = NULL;
  g_autoptr (GForkTemplate) second = NULL;
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GSocket) socket = NULL;

  if (!test_in_subprocess ())
    return;

  first = g_fork_template_dup_default ();
  second = g_fork_template_dup_default ();
  g_assert_true (first == second);

  g_fork_template_require (first, "test-worker");
  template = g_fork_template_new ();
  socket = test_run (template, "whoami", NULL);
  test_assert_all_is (socket, "test-worker");
}

/* A default that was set is what new ones are forks of; without one, a fresh one
 * is started. */
static void
test_set_default (void)
{
  const char *args[] = { "the new default", NULL };
  g_autoptr (GForkTemplate) chosen = NULL;
  g_autoptr (GForkTemplate) current = NULL;
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) other = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) other_socket = NULL;

  if (!test_in_subprocess ())
    return;

  chosen = g_fork_template_new_exec ();
  g_fork_template_require (chosen, "test-worker");
  g_fork_template_call (chosen, "remember", args);
  g_fork_template_set_default (chosen);

  current = g_fork_template_dup_default ();
  g_assert_true (current == chosen);
  template = g_fork_template_new ();
  socket = test_run (template, "answer", NULL);
  test_assert_answer (socket, "memory", "[the new default]");
  g_assert_cmpint (test_ask_number (socket, "ppid"), ==, g_fork_template_get_pid (chosen));

  g_fork_template_set_default (NULL);
  other = test_template_new ();
  other_socket = test_run (other, "answer", NULL);
  test_assert_answer (other_socket, "memory", "nothing");
  g_assert_cmpint (test_ask_number (other_socket, "ppid"), !=, g_fork_template_get_pid (chosen));
}

/* One that g_object_new() has made has no process until it is used. It gets it off
 * the default template that there was, also if that has died. */
static void
test_set_default_not_started (void)
{
  for (int i = 0; i < 3; i++)
    {
      g_autoptr (GForkTemplate) chosen = g_object_new (G_FORK_TYPE_TEMPLATE, NULL);
      g_autoptr (GForkTemplate) template = NULL;
      g_autoptr (GSocket) socket = NULL;

      if (i == 2)
        g_assert_no_errno (kill (test_default_pid (), SIGKILL));
      g_fork_template_set_default (chosen);
      g_fork_template_require (chosen, "test-worker");
      template = g_fork_template_new ();
      socket = test_run (template, "answer", NULL);
      test_prepare (chosen);
      g_assert_cmpint (test_ask_number (socket, "ppid"), ==, g_fork_template_get_pid (chosen));
    }
  g_fork_template_set_default (NULL);
}

/* One that has died is replaced at the next use. */
static void
test_set_default_dead (gconstpointer kind)
{
  g_autoptr (GForkTemplate) chosen = test_make (kind);
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) current = NULL;
  g_autoptr (GSocket) socket = NULL;

  test_prepare (chosen);
  g_assert_no_errno (kill (g_fork_template_get_pid (chosen), SIGKILL));
  g_fork_template_set_default (chosen);

  template = test_template_new ();
  current = g_fork_template_dup_default ();
  g_assert_true (current != chosen);
  socket = test_run (template, "answer", NULL);
  test_assert_answer (socket, "memory", "nothing");
  g_fork_template_set_default (NULL);
}

/* Forking */

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
  g_autoptr (GSocket) socket = NULL;

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

  socket = test_run (g_ptr_array_index (templates, templates->len - 1), "answer", NULL);
  test_assert_answer (socket, "memory", expected->str);
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
  g_autoptr (GSocket) socket = NULL;

  g_clear_object (&parent);
  socket = test_run (child, "whoami", NULL);
  test_assert_all_is (socket, "test-worker");
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
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (test_ask_number (parent_socket, "pid"), ==, g_fork_process_get_pid (parent_process));
  test_assert_answer (parent_socket, "strays", "none");

  test_send (child_socket, "exit 11\n");
  g_assert_true (g_fork_process_wait (child_process, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_fork_process_get_exit_status (child_process), ==, 11);

  test_send (parent_socket, "exit 12\n");
  g_assert_true (g_fork_process_wait (parent_process, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_fork_process_get_exit_status (parent_process), ==, 12);
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
  g_autoptr (GError) error = NULL;

  g_fork_template_close (parent);
  g_clear_object (&parent);
  g_clear_object (&child);

  test_assert_answer (socket, "memory", "nothing");
  test_send (socket, "exit 13\n");
  g_assert_true (g_fork_process_wait (process, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 13);
}

/* Modules and functions */

static void
assert_runs (const char *module,
             const char *function,
             const char *expected)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GSocket) socket = NULL;

  if (module != NULL)
    g_fork_template_require (template, module);
  socket = test_run (template, function, NULL);
  test_assert_all_is (socket, expected);
}

/* A name stands for NAME.so, libNAME.so, or a file of just that name. */
static void
test_require_names (void)
{
  assert_runs ("test-worker", "whoami", "test-worker");
  assert_runs ("test-prefixed", "prefixed", "prefixed");
  assert_runs ("test-worker.so", "whoami", "test-worker");
  assert_runs ("libtest-prefixed.so", "prefixed", "prefixed");
}

static void
test_require_path (void)
{
  g_autofree char *path = test_build_path ("modules/test-worker.so");

  assert_runs (path, "whoami", "test-worker");
}

/* Requiring what is loaded is nothing. */
static void
test_require_twice (void)
{
  const char *args[] = { "kept", NULL };
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GSocket) socket = NULL;

  g_fork_template_call (template, "remember", args);
  g_fork_template_require (template, "test-worker");
  socket = test_run (template, "answer", NULL);
  test_assert_answer (socket, "memory", "[kept]");
}

/* module:name takes the function of that module, and loads it if it must. */
static void
test_qualified_function (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) child_socket = NULL;

  assert_runs (NULL, "test-worker:whoami", "test-worker");
  assert_runs (NULL, "test-other:whoami", "test-other");
  assert_runs ("test-worker", "test-other:only_here", "only here");

  g_fork_template_require (template, "test-other");
  child = g_fork_template_fork (template);
  socket = test_run (template, "test-worker:whoami", NULL);
  child_socket = test_run (child, "test-other:whoami", NULL);
  test_assert_all_is (socket, "test-worker");
  test_assert_all_is (child_socket, "test-other");
}

/* Its module is loaded in the process that runs it, and in no other: neither in the
 * template that this is a fork of, nor in further forks. */
static void
test_qualified_loads_nothing_else (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);

  for (int i = 0; i < 3; i++)
    {
      g_autoptr (GForkTemplate) runner = g_fork_template_fork (template);
      g_autoptr (GForkTemplate) other = g_fork_template_fork (template);
      g_autoptr (GSocket) socket G_GNUC_UNUSED = test_run (runner, "test-other:only_here", NULL);
      g_autoptr (GSocket) none = NULL;
      g_autoptr (GError) error = NULL;
      g_autofree char *maps = NULL;

      none = g_fork_template_run (other, "only_here", NULL, NULL, &error);
      g_assert_error (error, G_FORK_ERROR, G_FORK_ERROR_FUNCTION);
      g_assert_null (none);

      test_prepare (template);
      maps = test_read_proc (g_fork_template_get_pid (template), "maps");
      g_assert_nonnull (strstr (maps, "test-worker.so"));
      g_assert_null (strstr (maps, "test-other.so"));
    }
}

static void
test_qualified_path (void)
{
  g_autofree char *path = test_build_path ("modules/test-other.so");
  g_autofree char *function = g_strconcat (path, ":whoami", NULL);

  assert_runs ("test-worker", function, "test-other");
}

static void
test_qualified_call (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GSocket) socket = NULL;

  g_fork_template_require (template, "test-other");
  g_fork_template_call (template, "test-worker:whoami_call", NULL);
  socket = test_run (template, "answer", NULL);
  test_assert_answer (socket, "memory", "test-worker was called");
}

/* A directory that is added comes before GFORK_MODULE_PATH, and the last one
 * added before the others; also for a default template that exists. */
static void
test_add_module_path (void)
{
  g_autofree char *directory = NULL;

  if (!test_in_subprocess ())
    return;

  assert_runs ("test-shadow", "which_shadow", "the usual one");

  directory = test_build_path ("modules/other");
  g_fork_add_module_path (directory);
  assert_runs ("test-shadow", "which_shadow", "the one put before");
  assert_runs ("test-worker", "whoami", "test-worker");

  g_fork_add_module_path ("/nonexistent");
  assert_runs ("test-shadow", "which_shadow", "the one put before");

  {
    g_autofree char *usual = test_build_path ("modules");

    g_fork_add_module_path (usual);
  }
  assert_runs ("test-shadow", "which_shadow", "the usual one");
}

/* A module may link GLib, and use it in the template and in the worker. */
static void
test_module_with_glib (void)
{
  const char *words[] = { "one", "two", NULL };
  g_autoptr (GForkTemplate) template = g_fork_template_new ();

  g_fork_template_require (template, "test-glib");
  g_fork_template_call (template, "prepare_glib", words);

  for (int i = 0; i < 3; i++)
    {
      g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket = test_run (child, "use_glib", &process);
      g_autoptr (GError) error = NULL;

      test_assert_answer (socket, "two", "known");
      test_assert_answer (socket, "three", "unknown");
      g_assert_true (g_socket_shutdown (socket, FALSE, TRUE, &error));
      g_assert_no_error (error);
      g_assert_true (g_fork_process_wait_check (process, NULL, &error));
      g_assert_no_error (error);
    }
}

/* What a module has registered by pthread_atfork() is called in every fork, however it has
 * come to that function: also if it was loaded before by another module, so that what it
 * links to came first. */
static void
test_fork_handlers (gconstpointer way)
{
  gboolean deep = g_str_equal (way, "deep");
  g_autofree char *path = test_build_path ("modules/test-atfork.so");
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkTemplate) child = NULL;

  if (deep && test_under_sanitizer ())
    {
      g_test_skip ("the sanitizer does not let anything come before it");
      return;
    }

  if (deep)
    {
      g_fork_template_require (template, "test-leave");
      g_fork_template_call (template, "load_deep", (const char *[]){ path, NULL });
    }
  g_fork_template_require (template, g_str_equal (way, "by-name") ? "test-atfork-by-name"
                                                                 : "test-atfork");
  child = g_fork_template_fork (template);
  for (int i = 1; i <= 2; i++)
    {
      g_autoptr (GForkTemplate) grandchild = g_fork_template_fork (child);
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket = test_run (grandchild, "tell_forks", &process);
      g_autoptr (GError) error = NULL;

      test_assert_eof (socket);
      g_assert_true (g_fork_process_wait (process, NULL, &error));
      g_assert_no_error (error);
      g_assert_cmpint (g_fork_process_get_exit_status (process), ==, (1 + i) * 10 + 2);
    }
}

/* Whoever has put something before the C library's functions wants to be called. */
static void
test_preloaded (void)
{
  g_autofree char *path = test_build_path ("modules/test-preload.so");
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *before = g_strdup (g_getenv ("LD_PRELOAD"));

  if (before != NULL || test_under_sanitizer ())
    {
      g_test_skip ("something else has to come before the C library");
      return;
    }

  g_setenv ("LD_PRELOAD", path, TRUE);
  template = g_fork_template_new_exec ();
  test_prepare (template);
  g_unsetenv ("LD_PRELOAD");

  g_fork_template_require (template, "test-preload");
  child = g_fork_template_fork (template);
  socket = test_run (child, "tell_wrapped", &process);
  test_assert_eof (socket);
  g_assert_true (g_fork_process_wait (process, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 11);
}

/* A function that returns leaves by exit(), so that handlers and destructors of
 * modules run, and buffers are written out; in the worker, once, and before the
 * application sees the end of file. */
static void
test_exit_handlers (gconstpointer function)
{
  g_autofree char *path = NULL;
  g_autofree char *noted = NULL;
  g_autofree char *expected = NULL;
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) fd = g_file_open_tmp ("gspawnfork-XXXXXX", &path, &error);

  g_assert_no_error (error);
  g_fork_template_require (template, "test-exit");
  g_fork_template_call (template, "note_exits", (const char *[]){ path, NULL });
  child = g_fork_template_fork (template);
  socket = test_run (child, function, &process);
  test_assert_eof (socket);
  noted = test_read_fd (fd);
  expected = g_strdup_printf ("atexit %d\ndestructor %d\n",
                              g_fork_process_get_pid (process), g_fork_process_get_pid (process));
  g_assert_cmpstr (noted, ==, expected);
  g_assert_no_errno (unlink (path));

  g_assert_true (g_fork_process_wait_check (process, NULL, &error));
  g_assert_no_error (error);
}

/* So is what the function itself has left to be done, in a worker that would otherwise
 * have nothing to do. */
static void
test_exit_leavings (gconstpointer what)
{
  gboolean special = g_str_equal (what, "deep") || g_str_equal (what, "fini");
  g_autofree char *file = g_strdup_printf ("modules/test-%s.so",
                                           special ? (const char *) what : "exit");
  g_autofree char *module = test_build_path (file);
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GError) error = NULL;

  if (test_under_sanitizer () && (g_str_equal (what, "namespace") || g_str_equal (what, "deep")))
    {
      g_test_skip ("the sanitizer does not let anything come before it, or be apart");
      return;
    }

  g_fork_template_require (template, "test-leave");
  for (int i = 0; i < 3; i++)
    {
      g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket = NULL;
      g_autofree char *written = NULL;
      g_auto (TestFd) tell_tale = -1;

      g_fork_template_send_arg (child, what);
      tell_tale = test_add_tell_tale (child);
      g_fork_template_send_arg (child, module);
      socket = test_run (child, "leave", &process);
      test_assert_eof (socket);
      written = test_read_fd (tell_tale);
      g_assert_cmpstr (written, ==, "done");
      g_assert_true (g_fork_process_wait_check (process, NULL, &error));
      g_assert_no_error (error);
    }
}

/* exit() gives back what was read ahead. */
static void
test_exit_leaves_input (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;
  g_auto (TestFd) fd = g_file_open_tmp ("gspawnfork-XXXXXX", &path, &error);
  g_auto (TestFd) tell_tale = -1;

  g_assert_no_error (error);
  g_assert_no_errno (unlink (path));
  g_assert_cmpint (write (fd, "one\ntwo\n", 8), ==, 8);
  g_assert_cmpint (lseek (fd, 0, SEEK_SET), ==, 0);

  g_fork_template_require (template, "test-leave");
  child = g_fork_template_fork (template);
  g_fork_template_map_fd (child, fd, 0);
  g_fork_template_send_arg (child, "input");
  tell_tale = test_add_tell_tale (child);
  socket = test_run (child, "leave", NULL);
  test_assert_eof (socket);
  g_assert_cmpint (lseek (fd, 0, SEEK_CUR), ==, 4);
}

static void
test_exit_writes_buffers (gconstpointer function)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GSocket) socket = NULL;
  g_autofree char *written = NULL;
  g_auto (TestFd) tell_tale = -1;

  g_fork_template_require (template, "test-exit");
  tell_tale = test_add_tell_tale (template);
  socket = test_run (template, function, NULL);
  test_assert_eof (socket);
  written = test_read_fd (tell_tale);
  g_assert_cmpstr (written, ==, "from the buffer");
}

/* Calls */

/* A call runs in the template, with its arguments, and in its order. */
static void
test_call (void)
{
  const char *some[] = { "some", "", "arguments äöü", NULL };
  const char *none[] = { NULL };
  const char *last[] = { "last", NULL };
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GSocket) socket = NULL;

  g_fork_template_call (template, "remember", some);
  g_fork_template_call (template, "remember", NULL);
  g_fork_template_call (template, "remember", none);
  g_fork_template_call (template, "remember", last);

  socket = test_run (template, "answer", NULL);
  test_assert_answer (socket, "memory", "[some][][arguments äöü][last]");
  test_assert_answer (socket, "n-args", "0");
}

/* A fork does not copy page tables for what a call has freed: the C library is asked
 * for it before. */
static void
test_call_frees (void)
{
#if defined __GLIBC__ && !defined __SANITIZE_ADDRESS__
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) fork = NULL;
  g_autofree char *statm = NULL;
  guint64 pages;

  if (test_under_valgrind ())
    {
      g_test_skip ("valgrind has an allocator of its own");
      return;
    }

  template = test_template_new ();
  g_fork_template_call (template, "free_much", NULL);
  test_prepare (template);
  fork = g_fork_template_fork (template);
  test_prepare (fork);

  statm = test_read_proc (g_fork_template_get_pid (template), "statm");
  pages = g_ascii_strtoull (strchr (statm, ' '), NULL, 10);
  g_assert_cmpuint (pages * (guint64) sysconf (_SC_PAGESIZE) >> 20, <, 20);
#else
  g_test_skip ("the C library cannot be asked to give memory back");
#endif
}

/* g_fork_take_args() gives a call what was sent before it, and the run gets the
 * rest only. */
static void
test_take_args (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GSocket) socket = NULL;
  g_autofree char *written = NULL;
  g_auto (TestFd) tell_tale = -1;

  g_fork_template_send_arg (template, "one");
  tell_tale = test_add_tell_tale (template);
  g_fork_template_send_arg (template, "three");
  g_fork_template_call (template, "keep_args", NULL);
  g_fork_template_send_arg (template, "four");

  socket = test_run (template, "answer", NULL);
  test_assert_answer (socket, "memory", "[one][fd][three]");
  test_assert_answer (socket, "n-args", "1");
  test_assert_answer (socket, "arg 0", "four");

  /* The call has closed it, and nobody else has it. */
  written = test_read_fd (tell_tale);
  g_assert_cmpstr (written, ==, "written by the template");
}

/* A call without anything sent is told so. */
static void
test_take_no_args (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GSocket) socket = NULL;

  g_fork_template_send_arg (template, "taken the first time");
  g_fork_template_call (template, "keep_args", NULL);
  g_fork_template_call (template, "keep_args", NULL);
  socket = test_run (template, "answer", NULL);
  test_assert_answer (socket, "memory", "");
  test_assert_answer (socket, "n-args", "0");
}

/* Sending */

/* Everything arrives in the order in which it was sent, whatever it is. */
static void
test_send_order (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GBytes) bytes = g_bytes_new_static ("oct\0ets", 7);
  g_autoptr (GUnixFDList) list = g_unix_fd_list_new ();
  g_autoptr (GSocket) pair = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GString) all = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) tell_tale = -1;

  pair = g_socket_new (G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, &error);
  g_assert_no_error (error);
  g_unix_fd_list_append (list, 0, &error);
  g_assert_no_error (error);
  g_unix_fd_list_append (list, 2, &error);
  g_assert_no_error (error);

  g_fork_template_send_arg (template, "zero");
  g_fork_template_send_fd (template, 2);
  g_fork_template_send_bytes (template, bytes);
  tell_tale = test_add_tell_tale (template);
  g_fork_template_send_socket (template, pair);
  g_fork_template_send_arg (template, "");
  g_fork_template_send_fd_list (template, list);
  g_fork_template_send_arg (template, "last");

  socket = test_run (template, "dump_args", NULL);
  all = test_read_all (socket);
  g_assert_cmpmem (all->str, all->len,
                   "4:zero\nfd\n7:oct\0ets\nfd\nfd\n0:\nfd\nfd\n4:last\n",
                   strlen ("4:zero\nfd\n7:oct_ets\nfd\nfd\n0:\nfd\nfd\n4:last\n"));
}

/* A descriptor is duplicated at once: it may be closed right after, before
 * anything was sent, and stays open if it is not. */
static void
test_send_fd_duplicates (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GSocket) socket = NULL;
  g_autofree char *written = NULL;
  g_auto (TestFd) unblock = -1;
  g_auto (TestFd) read_end = -1;
  g_auto (TestFd) write_end = -1;
  g_auto (TestFd) kept = -1;
  g_auto (TestFd) kept_other_end = -1;

  test_block (template, &unblock);
  test_pipe (&read_end, &write_end);
  test_pipe (&kept_other_end, &kept);

  g_fork_template_send_fd (template, write_end);
  g_fork_template_send_fd (template, kept);
  test_close_fd (&write_end);
  test_close_fd (&unblock);

  socket = test_run (template, "answer", NULL);
  test_assert_answer (socket, "arg-write 0", "done");
  test_send (socket, "exit 0\n");
  test_assert_eof (socket);
  written = test_read_fd (read_end);
  g_assert_cmpstr (written, ==, "written by the worker");

  g_assert_no_errno (fcntl (kept, F_GETFD));
}

/* A descriptor that is taken is closed here, once it is there. */
static void
test_take_fd_closes (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GSocket) socket = NULL;
  g_autofree char *written = NULL;
  g_auto (TestFd) tell_tale = test_add_tell_tale (template);

  socket = test_run (template, "write_to_args", NULL);
  written = test_read_fd (tell_tale);
  g_assert_cmpstr (written, ==, "written by the worker");
}

/* A template that ends without having got it closes it just as well. */
static void
test_take_fd_closes_unsent (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_auto (TestFd) tell_tale = -1;

  g_fork_template_close (template);
  tell_tale = test_add_tell_tale (template);
  test_assert_fd_eof (tell_tale);
}

/* A GSocket that is sent works in the worker, and stays open here. */
static void
test_send_socket (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GSocket) here = NULL;
  g_autoptr (GSocket) there = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  char buffer[64] = "";
  int fds[2];

  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  here = g_socket_new_from_fd (fds[0], &error);
  g_assert_no_error (error);
  there = g_socket_new_from_fd (fds[1], &error);
  g_assert_no_error (error);

  g_fork_template_send_socket (template, there);
  socket = test_run (template, "write_to_args", NULL);
  g_assert_cmpint (g_socket_receive_with_blocking (here, buffer, sizeof (buffer) - 1, TRUE, NULL, &error), >, 0);
  g_assert_no_error (error);
  g_assert_cmpstr (buffer, ==, "written by the worker");
  g_assert_false (g_socket_is_closed (there));
  g_assert_no_errno (fcntl (fds[1], F_GETFD));
}

/* Every descriptor of a list is sent; the list remains as it was. */
static void
test_send_fd_list (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GUnixFDList) list = g_unix_fd_list_new ();
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  TestFd tell_tales[3];

  for (gsize i = 0; i < 3; i++)
    {
      g_auto (TestFd) write_end = -1;

      test_pipe (&tell_tales[i], &write_end);
      g_unix_fd_list_append (list, write_end, &error);
      g_assert_no_error (error);
    }

  g_fork_template_send_fd_list (template, list);
  g_assert_cmpint (g_unix_fd_list_get_length (list), ==, 3);
  g_clear_object (&list);

  socket = test_run (template, "write_to_args", NULL);
  for (gsize i = 0; i < 3; i++)
    {
      g_autofree char *written = test_read_fd (tell_tales[i]);

      g_assert_cmpstr (written, ==, "written by the worker");
      test_close_fd (&tell_tales[i]);
    }
}

/* A descriptor can be had at an exact number, even where another one is. */
static void
test_map_fd (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GSocket) socket = NULL;
  g_auto (TestFd) null = open ("/dev/null", O_RDWR | O_CLOEXEC);
  g_auto (TestFd) zero = open ("/dev/zero", O_RDWR | O_CLOEXEC);

  for (int target = 3; target < 20; target++)
    g_fork_template_map_fd (template, target % 2 == 0 ? null : zero, target);
  g_fork_template_send_arg (template, "still here");
  g_fork_template_map_fd (template, zero, 500);
  test_close_fd (&zero);

  socket = test_run (template, "answer", NULL);
  for (int target = 3; target < 20; target++)
    {
      g_autofree char *file = test_ask (socket, "fd %d", target);

      g_assert_cmpstr (file, ==, target % 2 == 0 ? "/dev/null" : "/dev/zero");
    }
  test_assert_answer (socket, "fd 500", "/dev/zero");
  test_assert_answer (socket, "arg 0", "still here");
}

/* Descriptors that were sent, and the socket, make way for those with a number. */
static void
test_map_fd_makes_way (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GSocket) socket = NULL;
  g_auto (TestFd) zero = open ("/dev/zero", O_RDWR | O_CLOEXEC);
  g_auto (TestFd) null = open ("/dev/null", O_RDWR | O_CLOEXEC);

  for (int i = 0; i < 5; i++)
    g_fork_template_send_fd (template, null);
  for (int target = 3; target < 20; target++)
    g_fork_template_map_fd (template, zero, target);

  socket = test_run (template, "answer", NULL);
  for (int i = 0; i < 5; i++)
    {
      g_autofree char *file = test_ask (socket, "arg-fd %d", i);

      g_assert_cmpstr (file, ==, "/dev/null");
    }
  for (int target = 3; target < 20; target++)
    {
      g_autofree char *file = test_ask (socket, "fd %d", target);

      g_assert_cmpstr (file, ==, "/dev/zero");
    }
}

/* Environment and directory */

/* Variables are set, replaced and unset in order, and calls see them as they are
 * at that moment. The application's own stay. */
static void
test_environment (void)
{
  const char *args[] = { "GFORK_TEST_ONE", NULL };
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GSocket) socket = NULL;

  if (!test_in_subprocess ())
    return;

  g_setenv ("GFORK_TEST_INHERITED", "from the application", TRUE);
  g_setenv ("GFORK_TEST_UNSET", "from the application", TRUE);

  template = test_template_new ();
  g_fork_template_setenv (template, "GFORK_TEST_ONE", "first");
  g_fork_template_call (template, "remember_environment", args);
  g_fork_template_setenv (template, "GFORK_TEST_ONE", "second = äöü");
  g_fork_template_setenv (template, "GFORK_TEST_EMPTY", "");
  g_fork_template_unsetenv (template, "GFORK_TEST_UNSET");
  g_fork_template_unsetenv (template, "GFORK_TEST_NEVER_SET");

  socket = test_run (template, "answer", NULL);
  {
    g_autofree char *memory = test_ask (socket, "memory");

    g_assert_true (g_str_has_prefix (memory, "first in "));
  }
  test_assert_answer (socket, "env GFORK_TEST_ONE", "second = äöü");
  test_assert_answer (socket, "env GFORK_TEST_EMPTY", "");
  test_assert_answer (socket, "env GFORK_TEST_UNSET", "(unset)");
  test_assert_answer (socket, "env GFORK_TEST_INHERITED", "from the application");

  g_assert_null (g_getenv ("GFORK_TEST_ONE"));
  g_assert_cmpstr (g_getenv ("GFORK_TEST_UNSET"), ==, "from the application");
}

/* The directory is the application's unless it is set. */
static void
test_cwd (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) child_socket = NULL;
  g_autofree char *here = g_get_current_dir ();
  g_autofree char *real = realpath (here, NULL);
  g_autofree char *still_here = NULL;

  g_fork_template_set_cwd (template, "/proc");
  g_fork_template_set_cwd (template, "sys/kernel");
  socket = test_run (template, "answer", NULL);
  test_assert_answer (socket, "cwd", "/proc/sys/kernel");

  child_socket = test_run (child, "answer", NULL);
  test_assert_answer (child_socket, "cwd", real);

  still_here = g_get_current_dir ();
  g_assert_cmpstr (still_here, ==, here);
}

/* Preparing */

/* prepare returns when all that was asked for is done, and can be repeated. */
static void
test_prepare_sync (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autofree char *written = NULL;
  g_auto (TestFd) tell_tale = test_add_tell_tale (template);

  g_fork_template_call (template, "keep_args", NULL);
  test_prepare (template);
  written = test_read_fd (tell_tale);
  g_assert_cmpstr (written, ==, "written by the template");

  test_prepare (template);
}

/* prepare_async completes not before the commands are done. */
static void
test_prepare_async (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) unblock = -1;

  test_block (template, &unblock);
  g_fork_template_prepare_async (template, NULL, test_store_result, &result);

  /* Another template's round trip is time enough for an early answer. */
  test_default_pid ();
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_null (result);

  test_close_fd (&unblock);
  test_await (&result);
  g_assert_true (g_async_result_is_tagged (result, g_fork_template_prepare_async));
  g_assert_true (g_fork_template_prepare_finish (template, result, &error));
  g_assert_no_error (error);
}

/* Several round trips can be under way; they complete in order. */
static void
on_prepared (GObject      *object,
             GAsyncResult *result,
             gpointer      user_data)
{
  GString *order = user_data;
  g_autoptr (GError) error = NULL;

  g_assert_true (g_fork_template_prepare_finish (G_FORK_TEMPLATE (object), result, &error));
  g_assert_no_error (error);
  g_string_append_c (order, '0' + order->len);
}

static void
test_prepare_several (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GString) order = g_string_new (NULL);

  for (int i = 0; i < 5; i++)
    g_fork_template_prepare_async (template, NULL, on_prepared, order);
  while (order->len < 5)
    g_main_context_iteration (NULL, TRUE);

  g_assert_cmpstr (order->str, ==, "01234");
}

/* A callback may iterate the context until the same process has answered something else,
 * which was asked for before; whether that comes later or has come with the first. */
typedef struct
{
  GString *order;
  TestFd unblock;
} Nested;

static void
on_prepared_iterate (GObject      *object,
                     GAsyncResult *result,
                     gpointer      user_data)
{
  Nested *nested = user_data;

  on_prepared (object, result, nested->order);
  test_close_fd (&nested->unblock);
  while (nested->order->len < 2)
    g_main_context_iteration (NULL, TRUE);
  g_string_append_c (nested->order, '.');
}

static void
test_prepare_within_callback (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GString) order = g_string_new (NULL);
  Nested nested = { .order = order, .unblock = -1 };

  g_fork_template_prepare_async (template, NULL, on_prepared_iterate, &nested);
  test_block (template, &nested.unblock);
  g_fork_template_prepare_async (template, NULL, on_prepared, order);
  while (order->len < 3)
    g_main_context_iteration (NULL, TRUE);

  g_assert_cmpstr (order->str, ==, "01.");
}

static void
test_prepare_within_callback_at_once (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GString) order = g_string_new (NULL);
  Nested nested = { .order = order, .unblock = -1 };

  g_fork_template_prepare_async (template, NULL, on_prepared_iterate, &nested);
  g_fork_template_prepare_async (template, NULL, on_prepared, order);
  /* It has answered both before it forks. */
  child = g_fork_template_fork (template);
  socket = test_run (child, "answer", NULL);
  while (order->len < 3)
    g_main_context_iteration (NULL, TRUE);

  g_assert_cmpstr (order->str, ==, "01.");
}

/* Nothing waits for the process: a template that does not listen takes more
 * commands than any socket holds, and does them all once it listens. */
static void
test_commands_are_queued (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GString) expected = g_string_new (NULL);
  g_autoptr (GString) all = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *kilobyte = g_strnfill (1024, 'x');
  g_auto (TestFd) unblock = -1;

  test_block (template, &unblock);
  for (int i = 0; i < 2000; i++)
    {
      g_fork_template_send_arg (template, kilobyte);
      g_string_append_printf (expected, "1024:%s\n", kilobyte);
      if (i % 100 == 0)
        {
          g_fork_template_send_fd (template, 2);
          g_string_append (expected, "fd\n");
        }
    }
  g_fork_template_run_async (template, "dump_args", NULL, test_store_result, &result);

  test_close_fd (&unblock);
  test_await (&result);
  socket = g_fork_template_run_finish (template, result, NULL, &error);
  g_assert_no_error (error);
  all = test_read_all (socket);
  g_assert_cmpmem (all->str, all->len, expected->str, expected->len);
}

/* The same with a synchronous call: it sends what waits, without a main loop. */
static void
test_commands_are_queued_sync (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GSocket) socket = NULL;
  g_autofree char *kilobyte = g_strnfill (1024, 'x');

  for (int i = 0; i < 2000; i++)
    g_fork_template_send_arg (template, kilobyte);
  socket = test_run (template, "answer", NULL);
  test_assert_answer (socket, "n-args", "2000");
}

/* Running */

/* The socket is a connected, non-blocking Unix stream socket, close-on-exec; the
 * worker's is blocking. Both ends' descriptors that were sent are close-on-exec. */
static void
test_run_socket (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GSocket) socket = NULL;

  g_fork_template_send_fd (template, 2);
  socket = test_run (template, "answer", NULL);

  g_assert_cmpint (g_socket_get_family (socket), ==, G_SOCKET_FAMILY_UNIX);
  g_assert_cmpint (g_socket_get_socket_type (socket), ==, G_SOCKET_TYPE_STREAM);
  g_assert_true (g_socket_is_connected (socket));
  g_assert_false (g_socket_get_blocking (socket));
  g_assert_cmpint (fcntl (g_socket_get_fd (socket), F_GETFL) & O_NONBLOCK, ==, O_NONBLOCK);
  g_assert_cmpint (fcntl (g_socket_get_fd (socket), F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);

  test_assert_answer (socket, "socket-flags", "blocking cloexec stream");
  {
    g_autofree char *flags = test_ask (socket, "arg-flags 0");

    g_assert_nonnull (strstr (flags, "cloexec"));
  }
  test_assert_answer (socket, "fd 0", "/dev/null");
}

/* run_async completes through the main loop. */
static void
test_run_async (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_run_async (template, "answer", NULL, test_store_result, &result);
  g_assert_null (result);
  test_await (&result);
  g_assert_true (g_async_result_is_tagged (result, g_fork_template_run_async));
  socket = g_fork_template_run_finish (template, result, &process, &error);
  g_assert_no_error (error);
  g_assert_cmpint (test_ask_number (socket, "pid"), ==, g_fork_process_get_pid (process));
}

/* Bytes of the conversation that the worker sends at once, before anybody here
 * has looked, are all there, and nothing else is. */
static void
test_run_eats_nothing (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();

  for (int i = 0; i < 50; i++)
    {
      g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
      g_autoptr (GSocket) socket = test_run (child, "whoami", NULL);

      test_assert_all_is (socket, "test-worker");
    }
}

/* Much data in both directions comes back unchanged. */
static void
test_echo (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GSocket) socket = test_run (template, "echo", NULL);
  g_autoptr (GError) error = NULL;
  g_autofree char *data = g_strnfill (50000, 'x');

  for (int i = 0; i < 100; i++)
    {
      g_autofree char *back = g_malloc (50000);
      gsize got = 0;

      memset (data, 'a' + i % 26, 50000);
      test_send (socket, data);
      while (got < 50000)
        {
          gssize n = g_socket_receive_with_blocking (socket, back + got, 50000 - got, TRUE, NULL, &error);

          g_assert_no_error (error);
          g_assert_cmpint (n, >, 0);
          got += n;
        }
      g_assert_cmpmem (back, got, data, 50000);
    }

  g_assert_true (g_socket_shutdown (socket, FALSE, TRUE, &error));
  g_assert_no_error (error);
  test_assert_eof (socket);
}

/* The worker sees the end-of-file when the application drops the socket. */
static void
test_worker_sees_eof (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_run (template, "answer", &process);
  g_autoptr (GError) error = NULL;

  g_clear_object (&socket);
  g_assert_true (g_fork_process_wait_check (process, NULL, &error));
  g_assert_no_error (error);
}

/* An operation under way keeps the template alive: configure and forget. */
static void
test_configure_and_forget (gconstpointer kind)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  {
    g_autoptr (GForkTemplate) template = test_make (kind);

    g_fork_template_send_arg (template, "configured");
    g_fork_template_run_async (template, "answer", NULL, test_store_result, &result);
  }

  test_await (&result);
  {
    g_autoptr (GForkTemplate) template = G_FORK_TEMPLATE (g_async_result_get_source_object (result));

    socket = g_fork_template_run_finish (template, result, NULL, &error);
  }
  g_assert_no_error (error);
  test_assert_answer (socket, "arg 0", "configured");
}

/* Ending without a run */

/* Dropping the last reference ends the process. */
static void
test_drop_ends (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_auto (TestFd) tell_tale = test_add_tell_tale (template);

  test_prepare (template);
  g_clear_object (&template);
  test_assert_fd_eof (tell_tale);
}

/* Closing ends the process, and may be repeated. */
static void
test_close_ends (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_auto (TestFd) tell_tale = test_add_tell_tale (template);

  test_prepare (template);
  g_fork_template_close (template);
  g_fork_template_close (template);
  test_assert_fd_eof (tell_tale);
  g_fork_template_close (template);
}

/* Closing after a run is nothing to the worker. */
static void
test_close_after_run (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GSocket) socket = test_run (template, "answer", NULL);

  g_fork_template_close (template);
  g_clear_object (&template);
  test_assert_answer (socket, "memory", "nothing");
}

/* Cancelling a run before it completes ends the process, even one that is busy,
 * and its function is not entered. */
static void
test_cancel_run (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) unblock = -1;
  g_auto (TestFd) tell_tale = -1;

  test_block (template, &unblock);
  tell_tale = test_add_tell_tale (template);
  g_fork_template_run_async (template, "write_to_args", cancellable, test_store_result, &result);
  g_cancellable_cancel (cancellable);

  test_await (&result);
  socket = g_fork_template_run_finish (template, result, &process, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_null (socket);
  g_assert_null (process);

  test_assert_fd_eof (tell_tale);
}

/* The same with a cancellable that is cancelled from the start. */
static void
test_cancel_before (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) tell_tale = test_add_tell_tale (template);

  g_cancellable_cancel (cancellable);
  socket = g_fork_template_run (template, "write_to_args", NULL, cancellable, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_null (socket);
  test_assert_fd_eof (tell_tale);
}

/* Cancelling after completion is nothing to the worker. */
static void
test_cancel_after (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  socket = g_fork_template_run (template, "answer", NULL, cancellable, &error);
  g_assert_no_error (error);
  g_cancellable_cancel (cancellable);
  test_assert_answer (socket, "memory", "nothing");
}

/* Waiting for the preparation can be cancelled. */
static void
test_cancel_prepare (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) unblock = -1;

  test_block (template, &unblock);
  g_fork_template_prepare_async (template, cancellable, test_store_result, &result);
  g_cancellable_cancel (cancellable);
  test_await (&result);
  g_assert_false (g_fork_template_prepare_finish (template, result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/* Detaching */

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
  g_assert_true (g_fork_process_wait (process, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 14);
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

/* Otherwise */

/* A name that is missing is a programming error, and reported as one. */
static void
test_programming_errors (void)
{
  if (g_test_subprocess ())
    {
      g_autoptr (GForkTemplate) template = g_fork_template_new ();

      g_fork_template_require (template, NULL);
      return;
    }

  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_failed ();
  g_test_trap_assert_stderr ("*CRITICAL*g_fork_template_require*");
}

static void
use_once (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) unused G_GNUC_UNUSED = g_fork_template_fork (template);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_send_fd (template, 2);
  socket = test_run (template, "answer", &process);
  test_send (socket, "exit 0\n");
  test_assert_eof (socket);
  g_assert_true (g_fork_process_wait (process, NULL, &error));
  g_assert_no_error (error);
}

/* Nothing is left open here once all objects are gone, but for what the next call
 * will notice, as no main loop runs. */
static void
test_no_descriptor_left (gconstpointer kind)
{
  guint before;

  /* The first ones start what stays for all. */
  for (int i = 0; i < 3; i++)
    use_once (kind);
  test_default_pid ();
  before = test_count_fds (0);

  for (int i = 0; i < 20; i++)
    use_once (kind);
  test_default_pid ();

  g_assert_cmpuint (test_count_fds (0), <=, before + 5);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  test_add_kinds ("/template/run", test_run_any_kind);
  g_test_add_func ("/template/object-new", test_object_new);
  g_test_add_func ("/template/parents", test_parents);
  g_test_add_func ("/template/runtime", test_runtime);
  g_test_add_func ("/template/pid/direct", test_pid_direct);
  g_test_add_func ("/template/pid/forked", test_pid_forked);
  g_test_add_func ("/template/spare-processes-property", test_spare_processes_property);
  g_test_add_func ("/template/default/shared", test_default_is_shared);
  g_test_add_func ("/template/default/set", test_set_default);
  g_test_add_func ("/template/default/set-not-started", test_set_default_not_started);
  test_add_kinds ("/template/default/set-dead", test_set_default_dead);

  test_add_kinds ("/template/fork/clones", test_fork_clones);
  g_test_add_func ("/template/fork/separates", test_fork_separates);
  g_test_add_func ("/template/fork/deep", test_fork_deep);
  g_test_add_func ("/template/fork/often", test_fork_often);
  g_test_add_func ("/template/fork/shares-modules", test_fork_shares_modules);
  g_test_add_func ("/template/fork/outlives-parent", test_fork_outlives_parent);
  g_test_add_func ("/template/fork/run-the-parent", test_run_a_parent);
  g_test_add_func ("/template/fork/run-the-parent-lets-go", test_run_a_parent_lets_go);
  test_add_kinds ("/template/fork/close-the-parent", test_close_a_parent);

  g_test_add_func ("/template/require/names", test_require_names);
  g_test_add_func ("/template/require/path", test_require_path);
  g_test_add_func ("/template/require/twice", test_require_twice);
  g_test_add_func ("/template/require/add-module-path", test_add_module_path);
  g_test_add_func ("/template/require/glib", test_module_with_glib);
  g_test_add_func ("/template/qualified/function", test_qualified_function);
  test_add_kinds ("/template/qualified/loads-nothing-else", test_qualified_loads_nothing_else);
  g_test_add_func ("/template/qualified/path", test_qualified_path);
  g_test_add_func ("/template/qualified/call", test_qualified_call);
  g_test_add_data_func ("/template/fork-handlers/usual", "usual", test_fork_handlers);
  g_test_add_data_func ("/template/fork-handlers/by-name", "by-name", test_fork_handlers);
  g_test_add_data_func ("/template/fork-handlers/deep", "deep", test_fork_handlers);
  g_test_add_data_func ("/template/exit-handlers/return", "return_at_once", test_exit_handlers);
  g_test_add_data_func ("/template/exit-handlers/exit", "exit_at_once", test_exit_handlers);
  g_test_add_data_func ("/template/exit-leavings/atexit", "atexit", test_exit_leavings);
  g_test_add_data_func ("/template/exit-leavings/on-exit", "on_exit", test_exit_leavings);
  g_test_add_data_func ("/template/exit-leavings/thread-local", "thread-local", test_exit_leavings);
  g_test_add_data_func ("/template/exit-leavings/destructor", "destructor", test_exit_leavings);
  g_test_add_data_func ("/template/exit-leavings/fini", "fini", test_exit_leavings);
  g_test_add_data_func ("/template/exit-leavings/deep", "deep", test_exit_leavings);
  g_test_add_data_func ("/template/exit-leavings/namespace", "namespace", test_exit_leavings);
  g_test_add_data_func ("/template/exit-leavings/buffer", "buffer", test_exit_leavings);
  g_test_add_data_func ("/template/exit-leavings/wide-buffer", "wide-buffer", test_exit_leavings);
  g_test_add_func ("/template/preloaded", test_preloaded);
  g_test_add_func ("/template/exit-leaves-input", test_exit_leaves_input);
  g_test_add_data_func ("/template/exit-writes-buffers/return", "print_and_return",
                        test_exit_writes_buffers);
  g_test_add_data_func ("/template/exit-writes-buffers/number-of-socket", "reuse_number_of_socket",
                        test_exit_writes_buffers);

  g_test_add_func ("/template/call", test_call);
  g_test_add_func ("/template/call-frees", test_call_frees);
  g_test_add_func ("/template/take-args/some", test_take_args);
  g_test_add_func ("/template/take-args/none", test_take_no_args);

  g_test_add_func ("/template/send/order", test_send_order);
  g_test_add_func ("/template/send/fd-duplicates", test_send_fd_duplicates);
  g_test_add_func ("/template/send/take-fd", test_take_fd_closes);
  g_test_add_func ("/template/send/take-fd-unsent", test_take_fd_closes_unsent);
  g_test_add_func ("/template/send/socket", test_send_socket);
  g_test_add_func ("/template/send/fd-list", test_send_fd_list);
  g_test_add_func ("/template/map-fd/numbers", test_map_fd);
  g_test_add_func ("/template/map-fd/makes-way", test_map_fd_makes_way);
  g_test_add_func ("/template/environment", test_environment);
  g_test_add_func ("/template/cwd", test_cwd);

  g_test_add_func ("/template/prepare/sync", test_prepare_sync);
  g_test_add_func ("/template/prepare/async", test_prepare_async);
  g_test_add_func ("/template/prepare/several", test_prepare_several);
  g_test_add_func ("/template/prepare/within-callback", test_prepare_within_callback);
  g_test_add_func ("/template/prepare/within-callback-at-once",
                   test_prepare_within_callback_at_once);
  g_test_add_func ("/template/queue/async", test_commands_are_queued);
  g_test_add_func ("/template/queue/sync", test_commands_are_queued_sync);

  test_add_kinds ("/template/run/socket", test_run_socket);
  test_add_kinds ("/template/run/async", test_run_async);
  g_test_add_func ("/template/run/eats-nothing", test_run_eats_nothing);
  g_test_add_func ("/template/run/echo", test_echo);
  test_add_kinds ("/template/run/worker-sees-eof", test_worker_sees_eof);
  test_add_kinds ("/template/run/configure-and-forget", test_configure_and_forget);

  test_add_kinds ("/template/end/drop", test_drop_ends);
  test_add_kinds ("/template/end/close", test_close_ends);
  test_add_kinds ("/template/end/close-after-run", test_close_after_run);
  test_add_kinds ("/template/end/cancel-run", test_cancel_run);
  g_test_add_func ("/template/end/cancel-before", test_cancel_before);
  g_test_add_func ("/template/end/cancel-after", test_cancel_after);
  g_test_add_func ("/template/end/cancel-prepare", test_cancel_prepare);

  test_add_kinds ("/template/detach/same-process", test_detach);
  g_test_add_func ("/template/detach/fork", test_detach_and_fork);
  g_test_add_func ("/template/detach/another-process", test_detach_to_another_process);
  test_add_kinds ("/template/detach/statuses", test_detach_statuses);

  g_test_add_func ("/template/programming-errors", test_programming_errors);
  test_add_kinds ("/template/no-descriptor-left", test_no_descriptor_left);

  return g_test_run ();
}
