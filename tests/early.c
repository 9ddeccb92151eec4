/* early.c: tests of a program that calls g_fork_init_early() first
 *
 * This program is linked with modules/test-worker.c, whose functions it exports. It has no
 * helper to execute.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <gspawnfork/gforkworker.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__ ((visibility ("default")))

EXPORT int tell_age (int socket, const GForkArg *args, size_t n_args);

static const char *age = "early";
static char *note_path;

EXPORT int
tell_age (int             socket,
          const GForkArg *args,
          size_t          n_args)
{
  return dprintf (socket, "%s", age) < 0;
}

static void
note_handler (void)
{
  if (note_path != NULL)
    {
      FILE *file = fopen (note_path, "ae");

      fputs ("the handler was run", file);
      fclose (file);
    }
}

static const TestKind early_kinds[] = {
  { "new", g_fork_template_new },
  { "new-exec", g_fork_template_new_exec },
};

/* What was forked early serves new and new_exec, with the functions that the
 * program exports. */
static void
test_serves (gconstpointer data)
{
  const TestKind *kind = data;
  g_autoptr (GForkTemplate) template = kind->make ();
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GForkProcess) child_process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) child_socket = NULL;

  g_fork_template_call (template, "remember", (const char *[]){ "called", NULL });
  g_fork_template_send_fd (template, 2);
  child = g_fork_template_fork (template);

  child_socket = test_run (child, "answer", &child_process);
  test_assert_answer (child_socket, "memory", "[called]");
  test_send (child_socket, "exit 7\n");
  test_assert_exits (child_process, 7);

  socket = test_run (template, "answer", &process);
  g_assert_cmpint (test_ask_number (socket, "pid"), ==, g_fork_process_get_pid (process));
  test_send (socket, "exit 8\n");
  test_assert_exits (process, 8);
}

/* A module can be loaded like anywhere. */
static void
test_loads_modules (gconstpointer data)
{
  const TestKind *kind = data;
  g_autoptr (GForkTemplate) template = kind->make ();
  g_autoptr (GSocket) socket = test_run (template, "test-other:only_here", NULL);

  test_assert_all_is (socket, "only here");
}

/* Workers have what the program had early, and not what it came to have. */
static void
test_is_small (gconstpointer data)
{
  const TestKind *kind = data;
  g_autoptr (GForkTemplate) template = kind->make ();
  g_autoptr (GSocket) socket = test_run (template, "tell_age", NULL);

  test_assert_all_is (socket, "early");
}

/* What is new_exec is a fresh one, though default templates were prepared. */
static void
test_new_exec_is_fresh (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_dup_default ();
  g_autoptr (GForkTemplate) executed = NULL;
  g_autoptr (GForkTemplate) forked = NULL;

  g_fork_template_call (template, "remember", (const char *[]){ "prepared", NULL });
  executed = g_fork_template_new_exec ();
  forked = g_fork_template_new ();
  test_assert_worker_answers (executed, "memory", "nothing");
  test_assert_worker_answers (forked, "memory", "[prepared]");

  g_fork_template_set_default (NULL);
}

/* A default template, which is a fork of what was forked early, is replaced if it has died. */
static void
test_killed_default (void)
{
  for (int i = 0; i < 50; i++)
    {
      g_autoptr (GForkTemplate) template = g_fork_template_new ();
      g_autoptr (GForkTemplate) next = NULL;
      g_autoptr (GSocket) socket = test_run (template, "answer", NULL);
      g_autoptr (GSocket) next_socket = NULL;
      gint64 pid = test_ask_number (socket, "ppid");

      g_assert_cmpint (test_process_parent (test_process_parent (pid)), ==, getpid ());
      g_assert_no_errno (kill (pid, SIGKILL));
      test_wait_for_end (pid);
      next = g_fork_template_new ();
      next_socket = test_run (next, "answer", NULL);
      test_assert_answer (next_socket, "memory", "nothing");
      g_assert_cmpint (test_ask_number (next_socket, "ppid"), !=, pid);
    }
}

static gpointer
make_in_thread (gpointer data)
{
  test_serves (data);

  return NULL;
}

/* Threads that the program has started since do not matter. */
static void
test_threads_do_not_matter (gconstpointer data)
{
  g_thread_join (g_thread_new ("tester", make_in_thread, (gpointer) data));
}

/* Nothing of the application's is in the workers: descriptors, handlers. */
static void
test_hygiene (gconstpointer data)
{
  const TestKind *kind = data;
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *noted = NULL;
  g_auto (TestFd) fd = g_file_open_tmp ("gspawnfork-XXXXXX", &note_path, &error);
  g_auto (TestFd) open_here G_GNUC_UNUSED = open ("/dev/zero", O_RDONLY);

  g_assert_no_error (error);
  template = kind->make ();
  g_fork_template_send_fd (template, 2);
  socket = test_run (template, "answer", &process);
  test_assert_answer (socket, "strays", "none");
  test_assert_answer (socket, "signals", "clean");
  test_send (socket, "exit 0\n");
  g_assert_true (g_fork_process_wait_check (process, NULL, &error));
  g_assert_no_error (error);

  noted = test_read_fd (fd);
  g_assert_cmpstr (noted, ==, "");
  g_assert_no_errno (unlink (note_path));
  g_clear_pointer (&note_path, g_free);
}

/* To call it again is nothing. */
static void
test_again (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (g_fork_init_early (&error));
  g_assert_no_error (error);
}

/* When what was forked early is killed, the installed helper takes over. */
static void
test_killed (gconstpointer data)
{
  const TestKind *kind = data;
  g_autoptr (GForkTemplate) template = NULL;
  GPid default_pid;
  GPid early_pid;

  if (!test_in_subprocess ())
    return;

  default_pid = test_default_pid ();
  early_pid = test_process_parent (default_pid);
  g_assert_cmpint (test_process_parent (early_pid), ==, getpid ());
  g_assert_no_errno (kill (early_pid, SIGKILL));
  g_assert_no_errno (kill (default_pid, SIGKILL));
  test_wait_for_end (early_pid);
  test_wait_for_end (default_pid);

  if (g_getenv ("GFORK_TEST_HELPER") != NULL)
    g_setenv ("GSPAWNFORK_HELPER", g_getenv ("GFORK_TEST_HELPER"), TRUE);
  else
    g_unsetenv ("GSPAWNFORK_HELPER");
  template = kind->make ();
  test_assert_writes (template, "test-worker:whoami", "test-worker");
}

static void
add (const char *path,
     void      (*test) (gconstpointer kind))
{
  for (gsize i = 0; i < G_N_ELEMENTS (early_kinds); i++)
    {
      g_autofree char *full_path = g_strconcat (path, "/", early_kinds[i].name, NULL);

      g_test_add_data_func (full_path, &early_kinds[i], test);
    }
}

#define NO_HELPER "/nonexistent/helper"

/* There is no helper, so what is not a fork of the early process cannot be had at all. */
static void
test_another_group (gconstpointer data)
{
  const TestKind *kind = data;
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) afterwards = NULL;

  if (geteuid () != 0)
    {
      g_test_skip ("only root can become another user");
      return;
    }

  g_assert_no_errno (setegid (65534));
  template = kind->make ();
  test_assert_prepare_fails (template, G_FORK_ERROR_SPAWN, NO_HELPER);
  g_assert_no_errno (setegid (0));

  afterwards = kind->make ();
  test_prepare (afterwards);
}

/* The variable that chooses the helper is for some tests only; those that run in
 * another process, where it is changed already, find it here. */
static void
keep_helper (void)
{
  const char *helper = g_getenv ("GSPAWNFORK_HELPER");

  if (helper != NULL && strcmp (helper, NO_HELPER) != 0)
    g_setenv ("GFORK_TEST_HELPER", helper, FALSE);
}

int
main (int    argc,
      char **argv)
{
  g_autoptr (GError) error = NULL;

  if (!g_fork_init_early (&error))
    g_error ("%s", error->message);

  age = "late";
  atexit (note_handler);
  keep_helper ();
  g_setenv ("GSPAWNFORK_HELPER", NO_HELPER, TRUE);
  g_test_init (&argc, &argv, NULL);

  add ("/early/serves", test_serves);
  add ("/early/loads-modules", test_loads_modules);
  add ("/early/is-small", test_is_small);
  g_test_add_func ("/early/new-exec-is-fresh", test_new_exec_is_fresh);
  add ("/early/threads-do-not-matter", test_threads_do_not_matter);
  add ("/early/hygiene", test_hygiene);
  g_test_add_func ("/early/again", test_again);
  g_test_add_func ("/early/killed-default", test_killed_default);
  add ("/early/killed", test_killed);
  add ("/early/another-group", test_another_group);

  return g_test_run ();
}
