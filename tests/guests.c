/* guests.c: tests of what modules may do in a template
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static GForkTemplate *
make (gconstpointer kind)
{
  GForkTemplate *template = test_make (kind);

  g_fork_template_require (template, "test-guest");
  return template;
}

static void
call (GForkTemplate *template,
      const char    *function,
      const char    *argument)
{
  g_fork_template_call (template, function, (const char *[]){ argument, NULL });
}

static void
assert_status (GForkProcess *process,
               int           status)
{
  test_wait_for (process);
  g_assert_true (g_fork_process_get_if_exited (process));
  g_assert_cmpint (g_fork_process_get_exit_status (process), ==, status);
}

/* What a called function starts, it collects itself, in a later call; whether or not it
 * ends between calls, and whether or not the template has children. */
static void
test_programs_are_not_reaped (gconstpointer kind)
{
  for (int has_child = 0; has_child <= 1; has_child++)
    {
      g_autoptr (GForkTemplate) template = make (kind);
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket = NULL;

      if (has_child)
        socket = test_run_until_ready (template, "be_stubborn", &process);
      call (template, "start_program", "3");
      test_prepare (template);
      call (template, "await_program", "");
      test_prepare (template);

      /* The end of a child makes the template collect its children. */
      if (has_child)
        {
          test_send (socket, "\n");
          assert_status (process, 42);
        }
      call (template, "collect_program", "3");
      test_prepare (template);
    }
}

/* A foreign process that has ended does not hide the end of a child. */
static void
test_children_are_reaped (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = make (kind);
  GForkProcess *processes[5];
  GSocket *sockets[5];

  for (int i = 0; i < 5; i++)
    sockets[i] = test_run_until_ready (template, "be_stubborn", &processes[i]);
  call (template, "start_program", "4");
  call (template, "await_program", "");
  test_prepare (template);
  for (int i = 0; i < 5; i++)
    test_send (sockets[i], "\n");
  for (int i = 0; i < 5; i++)
    {
      assert_status (processes[i], 42);
      g_object_unref (processes[i]);
      g_object_unref (sockets[i]);
    }
  call (template, "collect_program", "4");
  test_prepare (template);
}

static char *
make_file (void)
{
  g_autoptr (GError) error = NULL;
  char *path = NULL;
  int fd = g_file_open_tmp ("gspawnfork-XXXXXX", &path, &error);

  g_assert_no_error (error);
  close (fd);
  return path;
}

static void
assert_contents (const char *path,
                 const char *expected)
{
  g_autofree char *contents = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (g_file_get_contents (path, &contents, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (contents, ==, expected);
  g_assert_no_errno (unlink (path));
}

/* A program that a called function starts has default signals and none blocked. */
static void
test_signals_of_programs (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket G_GNUC_UNUSED = test_run_until_ready (template, "be_stubborn", &process);
  g_autofree char *path = make_file ();
  g_autofree char *program = test_build_path ("show");

  g_fork_template_call (template, "run_program",
                        (const char *[]){ path, program, "1", "signals", NULL });
  test_prepare (template);
  assert_contents (path, "shown");
}

/* What code has changed in the template is not changed in workers and programs. */
static void
test_changed_signals (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = make (kind);
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) program_socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *program = test_build_path ("show");

  g_fork_template_require (template, "test-worker");
  g_fork_template_call (template, "change_signals", NULL);
  fork = g_fork_template_fork (template);
  socket = test_run (fork, "answer", NULL);
  test_assert_answer (socket, "signals", "clean");
  program_socket = g_fork_template_execv (template,
                                          (const char *[]){ program, "1", "signals", NULL },
                                          G_FORK_EXEC_SOCKET_STDOUT, NULL, NULL, &error);
  g_assert_no_error (error);
  test_assert_all_is (program_socket, "shown");
}

/* What a module has printed is written once, if the template is executed, closed, or
 * forked before. */
static void
test_output (gconstpointer kind)
{
  const char *ends[] = { "execv", "close", "fork" };

  for (gsize i = 0; i < G_N_ELEMENTS (ends); i++)
    {
      g_autoptr (GForkTemplate) template = make (kind);
      g_autoptr (GForkTemplate) fork = NULL;
      g_autoptr (GSocket) socket = NULL;
      g_autoptr (GError) error = NULL;
      g_autofree char *path = make_file ();
      GPid pid;

      call (template, "print_text", path);
      test_prepare (template);
      pid = g_fork_template_get_pid (template);
      if (i == 0)
        {
          socket = g_fork_template_execv (template, (const char *[]){ "/bin/true", NULL },
                                          G_FORK_EXEC_NONE, NULL, NULL, &error);
          g_assert_no_error (error);
        }
      else if (i == 2)
        {
          fork = g_fork_template_fork (template);
          test_prepare (fork);
          g_fork_template_close (fork);
        }
      g_fork_template_close (template);
      test_wait_for_end (pid);
      assert_contents (path, "printed;");
    }
}

/* Generators are not in the same state in two forks. */
static void
test_random_numbers (gconstpointer generator)
{
  gboolean of_glib = g_str_equal (generator, "g_random_int");
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  g_fork_template_require (template, of_glib ? "test-glib" : "test-guest");
  g_fork_template_call (template, of_glib ? "draw_glib" : "draw_numbers", NULL);
  for (int i = 0; i < 5; i++)
    {
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
      g_autoptr (GSocket) socket = NULL;
      GString *number;

      g_fork_template_send_arg (fork, generator);
      socket = test_run (fork, of_glib ? "tell_glib" : "tell_number", NULL);
      number = test_read_all (socket);
      g_assert_cmpuint (number->len, >, 1);
      g_assert_true (g_hash_table_add (seen, g_string_free (number, FALSE)));
    }
}

/* Threads that the kernel has in the process do not hinder a fork. */
static void
test_kernel_threads (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_require (template, "test-guest");
  g_fork_template_call (template, "start_kernel_thread", NULL);
  if (!g_fork_template_prepare (template, NULL, &error) && strstr (error->message, "skip") != NULL)
    {
      g_test_skip ("there is no io_uring here");
      return;
    }
  g_assert_no_error (error);
  fork = g_fork_template_fork (template);
  test_prepare (fork);
}

/* A thread that has the process's own name is named by its ID, and the error says after which
 * command it was seen. */
static void
test_thread_is_named (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GRegex) regex = g_regex_new ("template \\([0-9]+\\)", 0, 0, NULL);

  g_fork_template_require (template, "test-thread");
  g_fork_template_call (template, "leave_thread", (const char *[]){ "template", NULL });
  fork = g_fork_template_fork (template);
  g_assert_false (g_fork_template_prepare (fork, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_THREADED, "leave_thread");
  g_assert_true (g_regex_match (regex, error->message, 0, NULL));
}

/* A module may be linked at a fixed address. */
static void
test_fixed_address (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GSocket) socket = NULL;

  g_fork_template_require (template, "test-fixed");
  socket = test_run (template, "which_shadow", NULL);
  test_assert_all_is (socket, "the fixed one");
}

/* Workers outlive their templates' objects, whose processes stay for them. */
static void
test_dropped (gconstpointer kind)
{
  GSocket *sockets[5];
  GPid pids[5];

  if (!test_in_subprocess ())
    return;

  /* As PID 1 of a container is the parent of those whose parent has ended. */
  g_assert_no_errno (prctl (PR_SET_CHILD_SUBREAPER, 1));
  for (int i = 0; i < 5; i++)
    {
      g_autoptr (GForkTemplate) template = make (kind);
      g_autoptr (GForkProcess) process = NULL;
      GPid parent;

      sockets[i] = test_run_until_ready (template, i < 3 ? "be_stubborn" : "depend_on_parent", &process);
      pids[i] = g_fork_process_get_pid (process);
      parent = test_process_parent (pids[i]);
      g_clear_object (&process);
      g_clear_object (&template);

      /* Until what was sent on dropping it was carried out. */
      for (int j = 0; j < 20; j++)
        {
          g_autoptr (GForkTemplate) other = test_template_new ();

          test_prepare (other);
        }
      g_assert_cmpint (test_process_parent (pids[i]), ==, parent);
    }
  for (int i = 0; i < 5; i++)
    {
      g_assert_true (test_process_exists (pids[i]));
      test_send (sockets[i], "\n");
      test_assert_eof (sockets[i]);
    }
  for (int i = 0; i < 5; i++)
    {
      test_wait_until_reaped (pids[i]);
      g_object_unref (sockets[i]);
    }
}

static const struct
{
  const char *runtime;
  const char *module;
  const char *function;
  const char *code;
} leavings[] = {
  { "c", "test-guest", "print_text", NULL },
  { "python3", NULL, NULL, "open(args[0], 'w').write('printed;')" },
  { "gjs", NULL, NULL, "imports.gi.GLib.file_set_contents(args[0], 'printed;')" },
};

#define REJECTING "globalThis.reject = () => { Promise.reject(new Error('nobody cares')); }"

/* An application that has a template do something and ends at once. */
static int
leave_at_once (const char *which,
               const char *path)
{
  int i = atoi (which);
  const char *args[] = { path, NULL };
  GForkTemplate *template = g_fork_template_new_for_runtime (leavings[i].runtime);

  if (leavings[i].code != NULL)
    g_fork_template_eval (template, leavings[i].code, args);
  else
    {
      g_fork_template_require (template, leavings[i].module);
      g_fork_template_call (template, leavings[i].function, args);
    }
  g_object_unref (template);
  return 0;
}

/* What a template has received it does, also if the application has ended before the
 * template could say HELLO; and then it ends silently. */
static void
test_hello (gconstpointer index)
{
  int i = GPOINTER_TO_INT (index);
  g_autoptr (GForkTemplate) template = g_fork_template_new_for_runtime (leavings[i].runtime);
  g_autofree char *program = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *which = g_strdup_printf ("%d", i);
  g_autofree char *path = make_file ();
  const char *argv[] = { program, "--leave-at-once", which, path, NULL };
  g_autofree char *output = NULL;
  g_autofree char *errors = NULL;
  g_autoptr (GError) error = NULL;
  int wait_status;

  if (!g_fork_template_prepare (template, NULL, &error))
    {
      g_assert_error (error, G_FORK_ERROR, G_FORK_ERROR_SPAWN);
      g_test_skip (error->message);
      g_assert_no_errno (unlink (path));
      return;
    }

  /* The template has these streams, too, so they are at their end when it has ended. */
  g_assert_true (g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &output,
                               &errors, &wait_status, &error));
  g_assert_no_error (error);
  g_assert_cmpint (wait_status, ==, 0);
  g_assert_cmpstr (output, ==, "");
  g_assert_cmpstr (errors, ==, "");
  assert_contents (path, "printed;");
}

/* Runs a worker that leaves a rejected promise. */
static int
run_rejecting (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_for_runtime ("gjs");
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;

  g_fork_template_eval (template, REJECTING, NULL);
  socket = test_run (template, "reject", &process);
  return g_fork_process_wait (process, NULL, NULL) ? 0 : 1;
}

static gboolean
have_gjs (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_for_runtime ("gjs");
  g_autoptr (GError) error = NULL;

  if (g_fork_template_prepare (template, NULL, &error))
    return TRUE;
  g_test_skip (error->message);
  return FALSE;
}

/* The interpreter warns of a promise that was rejected without anybody handling that. */
static void
test_rejection (void)
{
  g_autofree char *program = g_file_read_link ("/proc/self/exe", NULL);
  const char *argv[] = { program, "--run-rejecting", NULL };
  g_autofree char *errors = NULL;
  g_autoptr (GError) error = NULL;
  int wait_status;

  if (!have_gjs ())
    return;

  g_assert_true (g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL,
                               &errors, &wait_status, &error));
  g_assert_no_error (error);
  g_assert_cmpint (wait_status, ==, 0);
  g_assert_nonnull (strstr (errors, "Unhandled promise rejection"));
}

/* GLib ignores SIGPIPE when a socket is made. */
static void
test_signals_after_socket (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *program = test_build_path ("show");

  if (!have_gjs ())
    return;

  template = g_fork_template_new_for_runtime ("gjs");
  g_fork_template_eval (template, "imports.gi.Gio.Socket.new(1, 1, 0)", NULL);
  socket = g_fork_template_execv (template, (const char *[]){ program, "1", "signals", NULL },
                                  G_FORK_EXEC_SOCKET_STDOUT, NULL, NULL, &error);
  g_assert_no_error (error);
  test_assert_all_is (socket, "shown");
}

int
main (int    argc,
      char **argv)
{
  if (argc == 2 && strcmp (argv[1], "--run-rejecting") == 0)
    return run_rejecting ();
  if (argc == 4 && strcmp (argv[1], "--leave-at-once") == 0)
    return leave_at_once (argv[2], argv[3]);

  g_test_init (&argc, &argv, NULL);

  test_add_kinds ("/guests/programs/not-reaped", test_programs_are_not_reaped);
  test_add_kinds ("/guests/programs/hide-nothing", test_children_are_reaped);
  test_add_kinds ("/guests/programs/signals", test_signals_of_programs);
  test_add_kinds ("/guests/signals", test_changed_signals);
  test_add_kinds ("/guests/output", test_output);
  g_test_add_data_func ("/guests/random/rand", "rand", test_random_numbers);
  g_test_add_data_func ("/guests/random/random", "random", test_random_numbers);
  g_test_add_data_func ("/guests/random/lrand48", "lrand48", test_random_numbers);
  g_test_add_data_func ("/guests/random/glib", "g_random_int", test_random_numbers);
  g_test_add_func ("/guests/threads/of-the-kernel", test_kernel_threads);
  g_test_add_func ("/guests/threads/named", test_thread_is_named);
  g_test_add_func ("/guests/fixed-address", test_fixed_address);
  test_add_kinds ("/guests/dropped", test_dropped);
  g_test_add_func ("/guests/gjs/rejection", test_rejection);
  g_test_add_func ("/guests/gjs/signals", test_signals_after_socket);
  for (gsize i = 0; i < G_N_ELEMENTS (leavings); i++)
    {
      g_autofree char *test_path = g_strconcat ("/guests/hello/", leavings[i].runtime, NULL);

      g_test_add_data_func (test_path, GINT_TO_POINTER (i), test_hello);
    }

  return g_test_run ();
}
