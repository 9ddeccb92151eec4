/* template-modules.c: tests of loading modules, calling functions, and fork and exit handlers
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <string.h>
#include <unistd.h>

/* Modules and functions */

static void
assert_runs (const char *module,
             const char *function,
             const char *expected)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();

  if (module != NULL)
    g_fork_template_require (template, module);
  test_assert_writes (template, function, expected);
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

  g_fork_template_call (template, "remember", args);
  g_fork_template_require (template, "test-worker");
  test_assert_worker_answers (template, "memory", "[kept]");
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

  g_fork_template_require (template, "test-other");
  g_fork_template_call (template, "test-worker:whoami_call", NULL);
  test_assert_worker_answers (template, "memory", "test-worker was called");
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

      test_assert_eof (socket);
      test_assert_exits (process, (1 + i) * 10 + 2);
    }
}

/* A function that is preloaded before the C library's is called. */
static void
test_preloaded (void)
{
  g_autofree char *path = test_build_path ("modules/test-preload.so");
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
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
  test_assert_exits (process, 11);
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
  gboolean special = g_str_equal (what, "deep") || g_str_equal (what, "fini")
                     || g_str_equal (what, "nostartfiles");
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

/* The second time, nothing is left to take. */
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

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

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
  g_test_add_data_func ("/template/exit-leavings/on-exit-by-name", "on_exit-by-name",
                        test_exit_leavings);
  g_test_add_data_func ("/template/exit-leavings/cxa-atexit-by-name", "cxa_atexit-by-name",
                        test_exit_leavings);
  g_test_add_data_func ("/template/exit-leavings/nostartfiles", "nostartfiles",
                        test_exit_leavings);
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

  return g_test_run ();
}
