/* errors.c: tests of the codes and messages of errors
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

/* Codes and messages */

/* FAILED: what no other code is for, such as a directory that is not there. */
static void
test_failed (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);

  g_fork_template_set_cwd (template, "/nonexistent/directory");
  test_assert_prepare_fails (template, G_FORK_ERROR_FAILED, "/nonexistent/directory",
                             g_strerror (ENOENT));
}

/* valgrind makes a fork of vfork, so that posix_spawn cannot tell the reason. */
static gboolean
skip_under_valgrind (void)
{
  if (!test_under_valgrind ())
    return FALSE;

  g_test_skip ("posix_spawn reports no errors under valgrind");
  return TRUE;
}

/* SPAWN: the helper cannot be executed. Nothing is reported by new itself. */
static void
test_spawn (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) executed = NULL;
  g_autoptr (GForkTemplate) later = NULL;
  g_autofree char *helper = g_strdup (g_getenv ("GSPAWNFORK_HELPER"));

  if (skip_under_valgrind () || !test_in_subprocess ())
    return;

  g_setenv ("GSPAWNFORK_HELPER", "/nonexistent/helper", TRUE);
  template = g_fork_template_new ();
  g_fork_template_require (template, "test-worker");
  g_fork_template_send_fd (template, 2);
  test_assert_prepare_fails (template, G_FORK_ERROR_SPAWN, "/nonexistent/helper",
                             g_strerror (ENOENT));

  executed = g_fork_template_new_exec ();
  test_assert_run_fails (executed, "answer", G_FORK_ERROR_SPAWN, "/nonexistent/helper",
                         g_strerror (ENOENT));

  /* The next default template is a new attempt. */
  if (helper != NULL)
    g_setenv ("GSPAWNFORK_HELPER", helper, TRUE);
  else
    g_unsetenv ("GSPAWNFORK_HELPER");
  later = test_template_new ();
  test_prepare (later);
}

/* SPAWN: so it is with a file that is no program. */
static void
test_spawn_no_program (void)
{
  g_autoptr (GForkTemplate) template = NULL;

  if (skip_under_valgrind () || !test_in_subprocess ())
    return;

  g_setenv ("GSPAWNFORK_HELPER", "/etc/passwd", TRUE);
  template = g_fork_template_new_exec ();
  test_assert_prepare_fails (template, G_FORK_ERROR_SPAWN, "/etc/passwd", g_strerror (EACCES));
}

/* FORK: the system refuses to fork. The template itself is all right. */
static void
test_fork (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GForkTemplate) grandchild = NULL;
  g_autoptr (GError) call_error = NULL;

  if (test_under_valgrind ())
    {
      g_test_skip ("after a failed fork, valgrind has the signal blocked by which it lets a stack grow");
      return;
    }

  g_fork_template_require (template, "test-worker");
  g_fork_template_require (template, "test-trouble");
  g_fork_template_call (template, "forbid_forks", NULL);
  if (!g_fork_template_prepare (template, NULL, &call_error))
    {
      test_assert_error (call_error, G_FORK_ERROR_CALL, "cannot forbid forks");
      g_test_skip (call_error->message);
      return;
    }

  child = g_fork_template_fork (template);
  grandchild = g_fork_template_fork (child);
  test_assert_run_fails (child, "answer", G_FORK_ERROR_FORK, g_strerror (EAGAIN));
  test_assert_prepare_fails (grandchild, G_FORK_ERROR_FORK, g_strerror (EAGAIN));

  test_assert_worker_answers (template, "memory", "nothing");
}

/* THREADED: a template with a thread cannot be forked; the error names the
 * threads. It can still be run. */
static void
test_threaded (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_require (template, "test-thread");
  g_fork_template_call (template, "leave_thread", (const char *[]){ "the-lingerer", NULL });
  g_fork_template_call (template, "leave_thread", (const char *[]){ "another-one", NULL });
  child = g_fork_template_fork (template);
  error = test_fail_to_prepare (child);
  test_assert_error (error, G_FORK_ERROR_THREADED, "the-lingerer", "another-one");

  test_assert_worker_answers (template, "memory", "nothing");
}

/* SPAWN: the helper cannot be executed, and only its exit status tells. */
static void
test_spawn_status (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;
  int fd;

  if (!test_in_subprocess ())
    return;

  fd = g_file_open_tmp ("gspawnfork-XXXXXX", &path, &error);
  g_assert_no_error (error);
  g_assert_cmpint (write (fd, "#!/bin/sh\nexit 127\n", 19), ==, 19);
  g_assert_no_errno (fchmod (fd, 0700));
  g_assert_no_errno (close (fd));

  g_setenv ("GSPAWNFORK_HELPER", path, TRUE);
  template = g_fork_template_new_exec ();
  error = test_fail_to_prepare (template);
  test_assert_error (error, G_FORK_ERROR_SPAWN);
  g_assert_no_errno (unlink (path));
}

/* A helper that is another program does not answer, and is named. */
static void
test_wrong_helper (void)
{
  g_autoptr (GForkTemplate) template = NULL;

  if (!test_in_subprocess ())
    return;

  g_setenv ("GSPAWNFORK_HELPER", "/bin/true", TRUE);
  template = g_fork_template_new ();
  test_assert_run_fails (template, "answer", G_FORK_ERROR_SPAWN, "the function “answer”",
                         "the helper “/bin/true”", "exit status 0");
}

/* CALL: the function says why it failed. */
static void
test_call (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);

  g_fork_template_require (template, "test-trouble");
  g_fork_template_call (template, "refuse", (const char *[]){ "the moon is äöü full", NULL });
  test_assert_prepare_fails (template, G_FORK_ERROR_CALL, "refuse", "the moon is äöü full");
}

/* CALL: a function need not say why, nor be right about the length, nor speak
 * UTF-8; there is a message anyhow. */
typedef struct
{
  const char *name;
  const char *function;
  const char *arg;
  const char *message;
} StrangeMessage;

static const StrangeMessage strange_messages[] = {
  { "none", "refuse_silently", NULL, "refuse_silently" },
  { "too-long", "refuse_at_length", NULL, "xxxxxxxxxxxxxxxx" },
  { "not-utf-8", "refuse", "\xff\xfe not UTF-8", "not UTF-8" },
};

static void
test_call_strange_message (gconstpointer data)
{
  const StrangeMessage *strange = data;
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GError) error = NULL;

  g_fork_template_require (template, "test-trouble");
  g_fork_template_call (template, strange->function, (const char *[]){ strange->arg, NULL });
  error = test_fail_to_prepare (template);
  test_assert_error (error, G_FORK_ERROR_CALL, strange->function, strange->message);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
}

/* FAILED: a variable that has no such name. */
static void
test_failed_variable (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkTemplate) other = g_fork_template_new ();

  g_fork_template_unsetenv (template, "A=B");
  test_assert_prepare_fails (template, G_FORK_ERROR_FAILED, "A=B", g_strerror (EINVAL));

  g_fork_template_setenv (other, "A=B", "value");
  test_assert_prepare_fails (other, G_FORK_ERROR_FAILED, "A=B", g_strerror (EINVAL));
}

/* FAILED: a number that no descriptor can have, or that another one has. */
static void
test_failed_map_fd (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkTemplate) twice = g_fork_template_new ();

  g_fork_template_map_fd (template, 2, G_MAXINT);
  test_assert_prepare_fails (template, G_FORK_ERROR_FAILED, "2147483647", "RLIMIT_NOFILE");

  g_fork_template_map_fd (twice, 2, 7);
  g_fork_template_map_fd (twice, 1, 7);
  test_assert_prepare_fails (twice, G_FORK_ERROR_FAILED, "7");
}

/* NOT_SUPPORTED: C has no eval. */
static void
test_not_supported_eval (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);

  g_fork_template_eval (template, "1 + 1", NULL);
  test_assert_prepare_fails (template, G_FORK_ERROR_NOT_SUPPORTED, "“1 + 1”");
}

/* NOT_SUPPORTED: nobody has installed that runtime. */
static void
test_not_supported_runtime (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec_for_runtime ("cobol");
  g_autoptr (GForkTemplate) other = g_fork_template_new_exec_for_runtime ("../cobol");

  g_fork_template_require (template, "test-worker");
  test_assert_prepare_fails (template, G_FORK_ERROR_NOT_SUPPORTED, "cobol");
  test_assert_run_fails (other, "answer", G_FORK_ERROR_NOT_SUPPORTED, "../cobol");
}

/* A message is UTF-8, also if a name in it is not. */
static void
test_names_in_no_encoding (void)
{
  const char *name = "\xff\xfe";
  g_autoptr (GForkTemplate) runtime = g_fork_template_new_exec_for_runtime (name);
  g_autoptr (GForkTemplate) runner = test_template_new ();
  g_autoptr (GForkTemplate) closed = test_template_new ();
  g_autoptr (GForkTemplate) module = test_template_new ();
  g_autoptr (GForkTemplate) lost = test_template_new ();
  g_autoptr (GForkTemplate) executor = test_template_new ();
  GForkTemplate *templates[] = { runtime, runner, closed, module, lost };

  g_fork_template_close (closed);
  g_fork_template_require (module, name);
  g_fork_template_require (lost, "test-trouble");
  g_fork_template_call (lost, "crash", NULL);
  g_fork_template_eval (lost, name, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (templates); i++)
    {
      g_autoptr (GError) error = test_fail_to_run (templates[i], name);

      g_assert_true (g_utf8_validate (error->message, -1, NULL));
    }
  {
    g_autoptr (GError) error = test_fail_to_exec (executor, (const char *[]){ name, NULL });

    g_assert_true (g_utf8_validate (error->message, -1, NULL));
  }

  if (skip_under_valgrind () || !test_in_subprocess ())
    return;

  g_setenv ("GSPAWNFORK_HELPER", "/nonexistent/\xff", TRUE);
  {
    g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
    g_autoptr (GError) error = test_fail_to_prepare (template);

    test_assert_error (error, G_FORK_ERROR_SPAWN, "/nonexistent/");
    g_assert_true (g_utf8_validate (error->message, -1, NULL));
  }
}

/* The first thing that went wrong is what is reported, by prepare, by run, and by
 * both. */
static void
test_first_error (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) run_error = NULL;

  g_fork_template_require (template, "the-first-module");
  g_fork_template_require (template, "the-second-module");
  g_fork_template_set_cwd (template, "/nonexistent/directory");
  error = test_fail_to_prepare (template);
  test_assert_error (error, G_FORK_ERROR_MODULE, "the-first-module");
  run_error = test_fail_to_run (template, "answer");
  test_assert_error (run_error, G_FORK_ERROR_MODULE, "the-first-module");
  g_assert_cmpstr (run_error->message, ==, error->message);
}

/* The asynchronous forms report the same. */
static void
test_async (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GAsyncResult) prepare_result = NULL;
  g_autoptr (GAsyncResult) run_result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) prepare_error = NULL;
  g_autoptr (GError) run_error = NULL;

  g_fork_template_require (template, "no-such-module");
  g_fork_template_prepare_async (template, NULL, test_store_result, &prepare_result);
  g_fork_template_run_async (template, "answer", NULL, test_store_result, &run_result);

  test_await (&prepare_result);
  g_assert_false (g_fork_template_prepare_finish (template, prepare_result, &prepare_error));
  test_assert_error (prepare_error, G_FORK_ERROR_MODULE, "no-such-module");

  test_await (&run_result);
  socket = g_fork_template_run_finish (template, run_result, &process, &run_error);
  test_assert_error (run_error, G_FORK_ERROR_MODULE, "no-such-module");
  g_assert_null (socket);
  g_assert_null (process);
}

/* A failed template */

/* It answers its forks with its error, and their forks, made before it was known
 * and after; whatever they are told to do. */
static void
test_failed_template_and_forks (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) before = NULL;
  g_autoptr (GForkTemplate) after = NULL;
  g_autoptr (GForkTemplate) after_after = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) after_after_error = NULL;

  g_fork_template_require (template, "no-such-module");
  before = g_fork_template_fork (template);
  g_fork_template_send_fd (before, 2);
  error = test_fail_to_prepare (template);

  after = g_fork_template_fork (template);
  g_fork_template_require (after, "test-worker");
  after_after = g_fork_template_fork (after);

  test_assert_run_fails (before, "answer", G_FORK_ERROR_MODULE, "no-such-module");
  test_assert_prepare_fails (after, G_FORK_ERROR_MODULE, "no-such-module");
  socket = g_fork_template_execv (after_after, (const char *[]){ "/bin/true", NULL }, 0,
                                  NULL, NULL, &after_after_error);
  test_assert_error (after_after_error, G_FORK_ERROR_MODULE, "no-such-module");
  g_assert_null (socket);
}

/* It goes on reaping: the workers that it has forked before are told of. */
static void
test_failed_template_reaps (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
  g_autoptr (GForkTemplate) other_child = g_fork_template_fork (template);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GForkProcess) other_process = NULL;
  g_autoptr (GSocket) socket = test_run (child, "answer", &process);
  g_autoptr (GSocket) other_socket = test_run (other_child, "answer", &other_process);
  g_autoptr (GError) run_error = NULL;
  g_autoptr (GError) wait_error = NULL;

  g_fork_template_require (template, "no-such-module");
  test_assert_prepare_fails (template, G_FORK_ERROR_MODULE, "no-such-module");

  test_send (socket, "exit 81\n");
  g_assert_true (g_fork_process_wait (process, NULL, &wait_error));
  g_assert_no_error (wait_error);
  g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 81);

  /* Also when its run was asked for and has failed. */
  run_error = test_fail_to_run (template, "answer");
  test_send (other_socket, "exit 82\n");
  g_assert_true (g_fork_process_wait (other_process, NULL, &wait_error));
  g_assert_no_error (wait_error);
  g_assert_cmpint (g_fork_process_get_exit_status (other_process), ==, 82);
}

/* What fails in one fork is not the concern of the others. */
static void
test_failed_sibling (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GForkTemplate) good = g_fork_template_fork (template);
  g_autoptr (GForkTemplate) bad = g_fork_template_fork (template);
  g_autoptr (GError) error = NULL;

  g_fork_template_require (bad, "no-such-module");
  error = test_fail_to_prepare (bad);
  test_prepare (template);
  test_assert_writes (good, "whoami", "test-worker");
}

/* A template in which something failed, and that is then dropped, leaves without
 * running the handlers of modules, which are for those who return. */
static void
test_failure_runs_no_handlers (void)
{
  g_autofree char *path = NULL;
  g_autofree char *noted = NULL;
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) run_error = NULL;
  g_auto (TestFd) fd = g_file_open_tmp ("gspawnfork-XXXXXX", &path, &error);
  g_auto (TestFd) tell_tale = -1;

  g_assert_no_error (error);
  g_fork_template_require (template, "test-exit");
  g_fork_template_call (template, "note_exits", (const char *[]){ path, NULL });
  child = g_fork_template_fork (template);
  tell_tale = test_add_tell_tale (child);
  run_error = test_fail_to_run (child, "no_such_function");
  g_clear_object (&child);
  test_assert_fd_eof (tell_tale);

  noted = test_read_fd (fd);
  g_assert_cmpstr (noted, ==, "");
  g_assert_no_errno (unlink (path));
}

int
main (int    argc,
      char **argv)
{
  test_adopt_orphans ();
  g_test_init (&argc, &argv, NULL);

  test_add_kinds ("/errors/failed/directory", test_failed);
  g_test_add_func ("/errors/spawn/missing", test_spawn);
  g_test_add_func ("/errors/spawn/no-program", test_spawn_no_program);
  g_test_add_func ("/errors/spawn/status", test_spawn_status);
  g_test_add_func ("/errors/failed/variable", test_failed_variable);
  g_test_add_func ("/errors/failed/map-fd", test_failed_map_fd);
  g_test_add_func ("/errors/fork", test_fork);
  test_add_kinds ("/errors/threaded", test_threaded);
  test_add_kinds ("/errors/call/message", test_call);
  test_add_table ("/errors/call/strange-message", strange_messages, test_call_strange_message);
  g_test_add_func ("/errors/wrong-helper", test_wrong_helper);
  test_add_kinds ("/errors/not-supported/eval", test_not_supported_eval);
  g_test_add_func ("/errors/not-supported/runtime", test_not_supported_runtime);

  g_test_add_func ("/errors/names-in-no-encoding", test_names_in_no_encoding);

  test_add_kinds ("/errors/first", test_first_error);
  test_add_kinds ("/errors/async", test_async);

  test_add_kinds ("/errors/failed-template/forks", test_failed_template_and_forks);
  test_add_kinds ("/errors/failed-template/reaps", test_failed_template_reaps);
  g_test_add_func ("/errors/failed-template/sibling", test_failed_sibling);
  g_test_add_func ("/errors/failed-template/no-handlers", test_failure_runs_no_handlers);

  return g_test_run ();
}
