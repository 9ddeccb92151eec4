/* runtimes.c: tests of programs that key files name, and of forks of processes that cannot be
 * forked
 *
 * The helper serves as the program of another runtime, so that nothing else is needed.
 * tests/bindings/ tests those of real languages.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static char *directory;

/* The interpreter that is named takes the place of the first word. */
#define HELPER "the-helper-by-another-name"

static void
write_keyfile (const char *name,
               const char *content)
{
  g_autofree char *path = g_build_filename (directory, name, NULL);
  g_autoptr (GError) error = NULL;

  g_file_set_contents (path, content, -1, &error);
  g_assert_no_error (error);
}

static void
remove_keyfile (const char *name)
{
  g_autofree char *path = g_build_filename (directory, name, NULL);

  g_unlink (path);
}

static GForkTemplate *
make_unforkable (void)
{
  return g_fork_template_new_exec_for_runtime ("unforkable");
}

/* A program that can fork is sent FORK. */
static void
test_forks (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec_for_runtime ("forkable");
  g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);

  g_assert_cmpstr (g_fork_template_get_runtime (fork), ==, "forkable");
  test_prepare (fork);
  g_assert_cmpint (test_process_parent (g_fork_template_get_pid (fork)), ==,
                   g_fork_template_get_pid (template));
}

/* One that does not is started again, and is the application's own child. */
static void
test_starts_again (void)
{
  g_autoptr (GForkTemplate) template = make_unforkable ();
  g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);

  g_assert_cmpstr (g_fork_template_get_runtime (fork), ==, "unforkable");
  g_assert_cmpint (g_fork_template_get_pid (fork), !=, g_fork_template_get_pid (template));
  g_assert_cmpint (test_process_parent (g_fork_template_get_pid (fork)), ==, getpid ());
}

/* What the template was told, its forks and theirs are told, and what a fork is
 * told, no other is. */
static void
test_replays (void)
{
  const char *const words[] = { "one", NULL };
  g_autoptr (GForkTemplate) template = make_unforkable ();
  g_autofree char *large = g_strnfill (100000, 'x');

  g_fork_template_require (template, "test-worker");
  g_fork_template_setenv (template, "GFORK_TEST", "value");
  g_fork_template_set_cwd (template, "/");
  g_fork_template_call (template, "remember", words);
  g_fork_template_send_arg (template, "first");
  g_fork_template_send_arg (template, large);

  for (int i = 0; i < 3; i++)
    {
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
      g_autoptr (GForkTemplate) fork_of_fork = NULL;
      g_autoptr (GSocket) socket = NULL;

      g_fork_template_send_arg (fork, "third");
      fork_of_fork = g_fork_template_fork (fork);
      g_fork_template_call (fork_of_fork, "remember", words);
      socket = test_run (fork_of_fork, "answer", NULL);
      test_assert_answer (socket, "memory", "[one][one]");
      test_assert_answer (socket, "n-args", "3");
      test_assert_answer (socket, "arg 0", "first");
      test_assert_answer (socket, "arg 1", large);
      test_assert_answer (socket, "arg 2", "third");
      test_assert_answer (socket, "env GFORK_TEST", "value");
      test_assert_answer (socket, "cwd", "/");
      test_assert_answer (socket, "strays", "none");
    }
}

/* Descriptors are kept for forks, and closed with the last template. */
static void
test_keeps_descriptors (void)
{
  GForkTemplate *template = make_unforkable ();
  g_auto (TestFd) read_end = -1;
  g_auto (TestFd) write_end = -1;
  g_autofree char *all = NULL;

  test_pipe (&read_end, &write_end);
  g_fork_template_require (template, "test-worker");
  g_fork_template_send_fd (template, write_end);
  test_close_fd (&write_end);

  for (int i = 0; i < 2; i++)
    {
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
      g_autoptr (GSocket) socket = test_run (fork, "write_to_args", NULL);

      test_assert_eof (socket);
    }

  g_object_unref (template);
  all = test_read_fd (read_end);
  g_assert_cmpstr (all, ==, "written by the workerwritten by the worker");
}

/* What could not be kept is missed by forks, and by nobody else. */
static void
test_cannot_keep_descriptors (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GError) error = NULL;
  int fds[100], n = 0;

  if (!test_limit_descriptors (100))
    return;

  template = make_unforkable ();
  g_fork_template_require (template, "test-worker");
  test_prepare (template);

  while ((fds[n] = open ("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
    n++;
  close (fds[--n]);
  g_fork_template_send_fd (template, 2);
  while (n > 0)
    close (fds[--n]);

  fork = g_fork_template_fork (template);
  g_assert_false (g_fork_template_prepare (fork, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_FORK, g_strerror (EMFILE));
  test_assert_worker_answers (template, "n-args", "1");
}

/* They are kept no longer than there can be forks, even if the template is held longer. */
static void
test_drops_descriptors (void)
{
  for (guint i = 0; i < 3; i++)
    {
      g_autoptr (GForkTemplate) template = make_unforkable ();
      g_autoptr (GSocket) socket = NULL;
      g_autoptr (GError) error = NULL;
      g_auto (TestFd) read_end = -1;
      g_auto (TestFd) write_end = -1;

      test_pipe (&read_end, &write_end);
      g_fork_template_send_fd (template, write_end);
      test_close_fd (&write_end);
      if (i == 0)
        socket = test_run (template, "test-worker:whoami", NULL);
      else if (i == 1)
        socket = g_fork_template_execv (template, (const char *const[]) { "/bin/true", NULL },
                                        G_FORK_EXEC_NONE, NULL, NULL, &error);
      else
        g_fork_template_close (template);
      g_assert_no_error (error);
      test_assert_fd_eof (read_end);
    }
}

/* A fork fails like its template. */
static void
test_replays_errors (void)
{
  g_autoptr (GForkTemplate) template = make_unforkable ();
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_require (template, "nowhere");
  fork = g_fork_template_fork (template);
  g_assert_false (g_fork_template_prepare (fork, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_MODULE, "nowhere");
}

/* There is nothing to fork any more. */
static void
test_closed (void)
{
  g_autoptr (GForkTemplate) template = make_unforkable ();
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_close (template);
  fork = g_fork_template_fork (template);
  g_assert_false (g_fork_template_prepare (fork, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_CLOSED);
}

/* A program that does not answer in time is killed, and none of those who wait for it go on:
 * neither those who would be answered by it, nor those who would be by a fork that it never
 * makes. */
static void
test_silent (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GForkTemplate) fork_of_fork = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GAsyncResult) fork_result = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) fork_error = NULL;
  g_autoptr (GError) later_error = NULL;
  GPid pid;

  /* What it has started has the socket open, too, and outlives it. */
  g_setenv ("GSPAWNFORK_START_TIMEOUT", "1", TRUE);
  write_keyfile ("silent.runtime", "[Runtime]\nExec=sh;-c;sleep 20 >/dev/null 2>&1\\; true;\n");
  template = g_fork_template_new_exec_for_runtime ("silent");
  pid = g_fork_template_get_pid (template);
  fork = g_fork_template_fork (template);
  fork_of_fork = g_fork_template_fork (fork);

  g_fork_template_prepare_async (template, NULL, test_store_result, &result);
  g_fork_template_run_async (fork_of_fork, "test-worker:answer", NULL, test_store_result,
                             &fork_result);
  g_assert_false (g_fork_template_prepare_finish (template, test_await (&result), &error));
  test_assert_error (error, G_FORK_ERROR_SPAWN, "“sh”", "1 second", "GSPAWNFORK_START_TIMEOUT");
  g_assert_null (g_fork_template_run_finish (fork_of_fork, test_await (&fork_result), NULL,
                                             &fork_error));
  test_assert_error (fork_error, G_FORK_ERROR_SPAWN, "sh");
  g_assert_false (g_fork_template_prepare (fork, NULL, &later_error));
  test_assert_error (later_error, G_FORK_ERROR_SPAWN, "sh");
  test_wait_for_end (pid);

  remove_keyfile ("silent.runtime");
  g_unsetenv ("GSPAWNFORK_START_TIMEOUT");
}

/* Without a limit, or as long as nobody waits, or with an answer that lies unread, it is not. */
static void
test_patient (gconstpointer seconds)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  gboolean limited = strcmp (seconds, "0") != 0;

  g_setenv ("GSPAWNFORK_START_TIMEOUT", seconds, TRUE);
  write_keyfile ("late.runtime", "[Runtime]\nExec=sh;-c;sleep 1.2\\; "
                                 "exec \"$GSPAWNFORK_HELPER\" \"$@\";late;\n");
  template = g_fork_template_new_exec_for_runtime ("late");
  g_main_context_push_thread_default (context);
  g_fork_template_prepare_async (template, NULL, test_store_result, &result);
  /* By then both the answer and the limit are there. */
  if (limited)
    g_usleep (2 * G_USEC_PER_SEC);
  while (result == NULL)
    g_main_context_iteration (context, TRUE);
  g_main_context_pop_thread_default (context);
  g_assert_true (g_fork_template_prepare_finish (template, result, &error));
  g_assert_no_error (error);

  remove_keyfile ("late.runtime");
  g_unsetenv ("GSPAWNFORK_START_TIMEOUT");
}

/* One that is slow is waited for: be it that it has a lot to do, that it sleeps now and
 * then, or that somebody has stopped it. */
static void
test_slow (gconstpointer script)
{
  g_autofree char *keyfile = g_strdup_printf ("[Runtime]\nExec=sh;-c;%s\\; "
                                              "exec \"$GSPAWNFORK_HELPER\" \"$@\";slow;\n",
                                              (const char *) script);
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GSocket) socket = NULL;

  write_keyfile ("slow.runtime", keyfile);
  template = g_fork_template_new_exec_for_runtime ("slow");
  fork = g_fork_template_fork (template);
  socket = test_run (fork, "test-worker:answer", NULL);
  test_assert_answer (socket, "memory", "nothing");
  test_prepare (template);

  remove_keyfile ("slow.runtime");
}

/* Once it has said hello, it may be as quiet as it likes. */
static void
test_quiet (void)
{
  g_autoptr (GForkTemplate) template = make_unforkable ();
  const char *const words[] = { "1500", NULL };

  g_fork_template_call (template, "test-worker:sleep_for", words);
  test_prepare (template);
}

/* Without an interpreter of one's own, it is the one that the key file names. */
static void
test_interpreter (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GError) error = NULL;

  /* It makes a fork of vfork, so that posix_spawn cannot tell the reason. */
  if (g_getenv ("GFORK_TEST_VALGRIND") != NULL)
    {
      g_test_skip ("posix_spawn reports no errors under valgrind");
      return;
    }

  g_fork_set_interpreter ("forkable", NULL);
  template = g_fork_template_new_exec_for_runtime ("forkable");
  g_assert_false (g_fork_template_prepare (template, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_SPAWN, HELPER);
  g_fork_set_interpreter ("forkable", g_getenv ("GSPAWNFORK_HELPER"));
}

int
main (int   argc,
      char *argv[])
{
  g_autoptr (GError) error = NULL;
  int result;

  if (g_getenv ("GSPAWNFORK_HELPER") == NULL)
    {
      g_print ("1..0 # SKIP Nothing tells where the helper is\n");
      return 0;
    }

  directory = g_dir_make_tmp ("gspawnfork-XXXXXX", &error);
  g_assert_no_error (error);
  g_setenv ("GSPAWNFORK_RUNTIME_DIR", directory, TRUE);
  write_keyfile ("forkable.runtime", "[Runtime]\nExec=" HELPER ";\n");
  write_keyfile ("unforkable.runtime", "[Runtime]\nExec=" HELPER ";\nForks=false\n");
  g_fork_set_interpreter ("forkable", g_getenv ("GSPAWNFORK_HELPER"));
  g_fork_set_interpreter ("unforkable", g_getenv ("GSPAWNFORK_HELPER"));

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/runtimes/forks", test_forks);
  g_test_add_func ("/runtimes/starts-again", test_starts_again);
  g_test_add_func ("/runtimes/replays", test_replays);
  g_test_add_func ("/runtimes/keeps-descriptors", test_keeps_descriptors);
  g_test_add_func ("/runtimes/cannot-keep-descriptors", test_cannot_keep_descriptors);
  g_test_add_func ("/runtimes/drops-descriptors", test_drops_descriptors);
  g_test_add_func ("/runtimes/replays-errors", test_replays_errors);
  g_test_add_func ("/runtimes/closed", test_closed);
  g_test_add_func ("/runtimes/interpreter", test_interpreter);
  g_test_add_func ("/runtimes/silent", test_silent);
  g_test_add_data_func ("/runtimes/patient/no-limit", "0", test_patient);
  g_test_add_data_func ("/runtimes/patient/unread", "1", test_patient);
  g_test_add_func ("/runtimes/quiet", test_quiet);
  g_test_add_data_func ("/runtimes/slow/busy",
                        "i=0\\; while [ $i -lt 400000 ]\\; do i=$((i + 1))\\; done", test_slow);
  g_test_add_data_func ("/runtimes/slow/asleep", "sleep 1", test_slow);
  g_test_add_data_func ("/runtimes/slow/sleepy",
                        "for i in 1 2 3 4 5 6\\; do sleep 0.2\\; done", test_slow);
  g_test_add_data_func ("/runtimes/slow/stopped",
                        "(sleep 1\\; kill -CONT $$) & kill -STOP $$", test_slow);
  result = g_test_run ();

  remove_keyfile ("forkable.runtime");
  remove_keyfile ("unforkable.runtime");
  g_rmdir (directory);
  g_free (directory);
  return result;
}
