/* embed.c: tests of a program that is its own helper, by g_fork_embed_helper()
 *
 * This program is linked with modules/test-worker.c, whose functions it exports.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <gspawnfork/gforkworker.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define EXPORT __attribute__ ((visibility ("default")))

EXPORT int tell_where (int socket, const GForkArg *args, size_t n_args);

static const char *where = "before main";

EXPORT int
tell_where (int             socket,
            const GForkArg *args,
            size_t          n_args)
{
  return dprintf (socket, "%s", where) < 0;
}

static char *
read_exe (GPid pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/exe", pid);

  return g_file_read_link (path, NULL);
}

/* The helper is this program, and the functions that it exports are found. */
static void
test_is_this_program (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = ((const TestKind *) kind)->make ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autofree char *here = read_exe (getpid ());
  g_autofree char *there = NULL;

  g_fork_template_call (template, "remember", (const char *[]){ "called", NULL });
  socket = test_run (template, "answer", &process);
  test_assert_answer (socket, "memory", "[called]");
  there = read_exe (g_fork_process_get_pid (process));
  g_assert_cmpstr (there, ==, here);
}

/* Of main() nothing but that line has been run there. */
static void
test_main_is_not_run (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = ((const TestKind *) kind)->make ();
  g_autoptr (GSocket) socket = test_run (template, "tell_where", NULL);

  test_assert_all_is (socket, "before main");
}

/* Everything else is as with the installed helper. */
static void
test_is_a_template (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GForkProcess) child_process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) child_socket = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) open_here G_GNUC_UNUSED = open ("/dev/zero", O_RDONLY);

  g_fork_template_send_fd (child, 2);
  child_socket = test_run (child, "answer", &child_process);
  test_assert_answer (child_socket, "strays", "none");
  test_assert_answer (child_socket, "signals", "clean");
  socket = test_run (template, "test-other:only_here", &process);
  test_assert_all_is (socket, "only here");

  g_assert_true (g_fork_process_send_signal (child_process, SIGTERM, &error));
  g_assert_no_error (error);
  g_assert_true (g_fork_process_wait (child_process, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_fork_process_get_term_sig (child_process), ==, SIGTERM);
  g_assert_true (g_fork_process_wait_check (process, NULL, &error));
  g_assert_no_error (error);
}

/* The next default template is this program, too. */
static void
test_killed (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  GPid pid = test_default_pid ();

  g_assert_no_errno (kill (pid, SIGKILL));
  test_wait_for_end (pid);
  template = g_fork_template_new ();
  test_assert_writes (template, "tell_where", "before main");
}

/* GSPAWNFORK_HELPER comes first: then it is a helper without this program's
 * functions. */
static void
test_variable_comes_first (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) other = NULL;
  g_autoptr (GSocket) no_socket = NULL;
  g_autoptr (GError) error = NULL;

  if (g_getenv ("GFORK_TEST_HELPER") == NULL)
    {
      g_test_skip ("GSPAWNFORK_HELPER is not set");
      return;
    }
  if (!test_in_subprocess ())
    return;

  g_setenv ("GSPAWNFORK_HELPER", g_getenv ("GFORK_TEST_HELPER"), TRUE);
  template = g_fork_template_new ();
  test_assert_writes (template, "test-worker:whoami", "test-worker");
  other = g_fork_template_new ();
  no_socket = g_fork_template_run (other, "tell_where", NULL, NULL, &error);
  test_assert_error (error, G_FORK_ERROR_FUNCTION, "tell_where");
  g_assert_null (no_socket);
}

/* The variable that chooses the helper is for some tests only; those that run in
 * another process find it here. */
static void
keep_helper (void)
{
  if (g_getenv ("GSPAWNFORK_HELPER") != NULL)
    g_setenv ("GFORK_TEST_HELPER", g_getenv ("GSPAWNFORK_HELPER"), FALSE);
}

int
main (int    argc,
      char **argv)
{
  g_fork_embed_helper (argc, argv);

  where = "in main";
  if (test_under_valgrind ())
    {
      g_print ("1..0 # SKIP /proc/self/exe is valgrind\n");
      return 0;
    }
  keep_helper ();
  g_unsetenv ("GSPAWNFORK_HELPER");
  g_test_init (&argc, &argv, NULL);

  test_add_kinds ("/embed/is-this-program", test_is_this_program);
  test_add_kinds ("/embed/main-is-not-run", test_main_is_not_run);
  test_add_kinds ("/embed/is-a-template", test_is_a_template);
  g_test_add_func ("/embed/killed", test_killed);
  g_test_add_func ("/embed/variable-comes-first", test_variable_comes_first);

  return g_test_run ();
}
