/* errors.c: tests of what goes wrong, and how it is told
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Prepares, which has to fail. */
static GError *
fail_to_prepare (GForkTemplate *template)
{
  GError *error = NULL;

  g_assert_false (g_fork_template_prepare (template, NULL, &error));
  g_assert_nonnull (error);

  return error;
}

/* Runs, which has to fail. */
static GError *
fail_to_run (GForkTemplate *template,
             const char    *function)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  GError *error = NULL;

  socket = g_fork_template_run (template, function, &process, NULL, &error);
  g_assert_nonnull (error);
  g_assert_null (socket);
  g_assert_null (process);

  return error;
}

static void
kill_and_wait (GPid pid)
{
  g_assert_cmpint (pid, >, 0);
  g_assert_no_errno (kill (pid, SIGKILL));
  test_wait_for_end (pid);
}

/* Codes and messages */

/* FAILED: what no other code is for, such as a directory that is not there. */
static void
test_failed (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GError) error = NULL;

  g_fork_template_set_cwd (template, "/nonexistent/directory");
  error = fail_to_prepare (template);
  test_assert_error (error, G_FORK_ERROR_FAILED, "/nonexistent/directory", g_strerror (ENOENT));
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
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) run_error = NULL;
  g_autofree char *helper = g_strdup (g_getenv ("GSPAWNFORK_HELPER"));

  if (skip_under_valgrind () || !test_in_subprocess ())
    return;

  g_setenv ("GSPAWNFORK_HELPER", "/nonexistent/helper", TRUE);
  template = g_fork_template_new ();
  g_fork_template_require (template, "test-worker");
  g_fork_template_send_fd (template, 2);
  error = fail_to_prepare (template);
  test_assert_error (error, G_FORK_ERROR_SPAWN, "/nonexistent/helper", g_strerror (ENOENT));

  executed = g_fork_template_new_exec ();
  run_error = fail_to_run (executed, "answer");
  test_assert_error (run_error, G_FORK_ERROR_SPAWN, "/nonexistent/helper", g_strerror (ENOENT));

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
  g_autoptr (GError) error = NULL;

  if (skip_under_valgrind () || !test_in_subprocess ())
    return;

  g_setenv ("GSPAWNFORK_HELPER", "/etc/passwd", TRUE);
  template = g_fork_template_new_exec ();
  error = fail_to_prepare (template);
  test_assert_error (error, G_FORK_ERROR_SPAWN, "/etc/passwd", g_strerror (EACCES));
}

/* FORK: the system refuses to fork. The template itself is all right. */
static void
test_fork (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GForkTemplate) grandchild = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) child_error = NULL;
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
  child_error = fail_to_run (child, "answer");
  test_assert_error (child_error, G_FORK_ERROR_FORK, g_strerror (EAGAIN));
  error = fail_to_prepare (grandchild);
  test_assert_error (error, G_FORK_ERROR_FORK, g_strerror (EAGAIN));

  socket = test_run (template, "answer", NULL);
  test_assert_answer (socket, "memory", "nothing");
}

/* THREADED: a template with a thread cannot be forked; the error names the
 * threads. It can still be run. */
static void
test_threaded (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_require (template, "test-thread");
  g_fork_template_call (template, "leave_thread", (const char *[]){ "the-lingerer", NULL });
  g_fork_template_call (template, "leave_thread", (const char *[]){ "another-one", NULL });
  child = g_fork_template_fork (template);
  error = fail_to_prepare (child);
  test_assert_error (error, G_FORK_ERROR_THREADED, "the-lingerer", "another-one");

  socket = test_run (template, "answer", NULL);
  test_assert_answer (socket, "memory", "nothing");
}

/* MODULE: there is no such module. */
static void
test_module_missing (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GError) error = NULL;

  g_fork_template_require (template, "no-such-module");
  error = fail_to_prepare (template);
  test_assert_error (error, G_FORK_ERROR_MODULE, "no-such-module");
}

static void
test_module_missing_path (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GError) error = NULL;

  g_fork_template_require (template, "/nonexistent/module.so");
  error = fail_to_prepare (template);
  test_assert_error (error, G_FORK_ERROR_MODULE, "/nonexistent/module.so", g_strerror (ENOENT));
}

/* MODULE: a name is a path from the root or a plain name, so that nothing depends on
 * where a process happens to be; nor do relative directories count. */
static void
test_module_no_name (void)
{
  const char *names[] = { "../modules/test-worker", "modules/test-worker.so", "./test-worker", "" };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autoptr (GForkTemplate) template = g_fork_template_new ();
      g_autoptr (GError) error = NULL;
      g_autofree char *tests = test_build_path (".");

      g_fork_template_set_cwd (template, tests);
      g_fork_template_require (template, names[i]);
      error = fail_to_prepare (template);
      test_assert_error (error, G_FORK_ERROR_MODULE, names[i], "neither an absolute path");
    }
}

static void
test_module_relative_directory (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autofree char *tests = test_build_path (".");
  g_autoptr (GError) error = NULL;

  g_fork_template_set_cwd (template, tests);
  g_fork_template_setenv (template, "GFORK_MODULE_PATH", "modules::./modules");
  g_fork_template_require (template, "test-worker");
  error = fail_to_prepare (template);
  test_assert_error (error, G_FORK_ERROR_MODULE, "test-worker");
}

/* MODULE: it cannot be loaded; dlerror() says why. */
static void
test_module_undefined_symbol (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GError) error = NULL;

  g_fork_template_require (template, "test-undefined");
  error = fail_to_prepare (template);
  test_assert_error (error, G_FORK_ERROR_MODULE, "test-undefined", "a_function_that_nobody_defines");
}

/* MODULE: neither is a qualified function's module there; nor is one that a loaded one's name
 * only begins with. */
static void
test_module_of_function (gconstpointer module)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *function = g_strconcat (module, ":answer", NULL);

  error = fail_to_run (template, function);
  test_assert_error (error, G_FORK_ERROR_MODULE, module);
}

/* FUNCTION: no module has it, to run and to call. */
static void
test_function (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) caller = test_make (kind);
  g_autoptr (GForkTemplate) qualified = test_make (kind);
  g_autoptr (GForkTemplate) empty = g_fork_template_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) call_error = NULL;
  g_autoptr (GError) qualified_error = NULL;
  g_autoptr (GError) empty_error = NULL;

  error = fail_to_run (template, "no_such_function");
  test_assert_error (error, G_FORK_ERROR_FUNCTION, "no_such_function");

  g_fork_template_call (caller, "no_such_call", NULL);
  call_error = fail_to_prepare (caller);
  test_assert_error (call_error, G_FORK_ERROR_FUNCTION, "no_such_call");

  g_fork_template_require (qualified, "test-other");
  qualified_error = fail_to_run (qualified, "test-worker:only_here");
  test_assert_error (qualified_error, G_FORK_ERROR_FUNCTION, "test-worker", "only_here");

  empty_error = fail_to_run (empty, "answer");
  test_assert_error (empty_error, G_FORK_ERROR_FUNCTION, "answer");
}

/* What the C library exports is not a function to run. */
static void
test_function_of_libc (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GError) error = NULL;

  error = fail_to_run (template, "abort");
  test_assert_error (error, G_FORK_ERROR_FUNCTION, "abort");
}

/* CALL: the function says why it failed. */
static void
test_call (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GError) error = NULL;

  g_fork_template_require (template, "test-trouble");
  g_fork_template_call (template, "refuse", (const char *[]){ "the moon is äöü full", NULL });
  error = fail_to_prepare (template);
  test_assert_error (error, G_FORK_ERROR_CALL, "refuse", "the moon is äöü full");
}

/* CALL: a function need not say why, nor be right about the length, nor speak
 * UTF-8; there is a message anyhow. */
static void
test_call_strange_messages (void)
{
  g_autoptr (GForkTemplate) silent = g_fork_template_new ();
  g_autoptr (GForkTemplate) verbose = g_fork_template_new ();
  g_autoptr (GForkTemplate) garbled = g_fork_template_new ();
  g_autoptr (GError) silent_error = NULL;
  g_autoptr (GError) verbose_error = NULL;
  g_autoptr (GError) garbled_error = NULL;

  g_fork_template_require (silent, "test-trouble");
  g_fork_template_call (silent, "refuse_silently", NULL);
  silent_error = fail_to_prepare (silent);
  test_assert_error (silent_error, G_FORK_ERROR_CALL, "refuse_silently");

  g_fork_template_require (verbose, "test-trouble");
  g_fork_template_call (verbose, "refuse_at_length", NULL);
  verbose_error = fail_to_prepare (verbose);
  test_assert_error (verbose_error, G_FORK_ERROR_CALL, "refuse_at_length", "xxxxxxxxxxxxxxxx");

  g_fork_template_require (garbled, "test-trouble");
  g_fork_template_call (garbled, "refuse", (const char *[]){ "\xff\xfe not UTF-8", NULL });
  garbled_error = fail_to_prepare (garbled);
  test_assert_error (garbled_error, G_FORK_ERROR_CALL, "refuse", "not UTF-8");
  g_assert_true (g_utf8_validate (garbled_error->message, -1, NULL));
}

/* LOST: the process ends in the middle of a call. The message says what was asked for,
 * what it may have been that the process did not survive, and how it ended. */
static void
test_lost (gconstpointer kind)
{
  const char *calls[] = { "crash", "vanish" };
  const char *causes[] = { g_strsignal (SIGKILL), "exit status 3" };

  for (gsize i = 0; i < G_N_ELEMENTS (calls); i++)
    {
      g_autoptr (GForkTemplate) template = test_make (kind);
      g_autoptr (GForkTemplate) child = NULL;
      g_autoptr (GError) error = NULL;
      g_autoptr (GError) child_error = NULL;

      g_fork_template_require (template, "test-trouble");
      g_fork_template_call (template, calls[i], NULL);
      child = g_fork_template_fork (template);
      error = fail_to_run (template, "answer");
      test_assert_error (error, G_FORK_ERROR_LOST, "the function “answer”",
                         "require “test-trouble”", calls[i], causes[i]);
      child_error = fail_to_prepare (child);
      test_assert_error (child_error, G_FORK_ERROR_LOST, "prepare", calls[i], causes[i]);
    }
}

/* So it is if that happens when the template has been closed already, as it has forked and
 * its run is that of a fork. */
static void
test_lost_after_close (gconstpointer kind)
{
  const char *calls[] = { "crash", "vanish" };
  const char *causes[] = { g_strsignal (SIGKILL), "exit status 3" };

  for (gsize i = 0; i < G_N_ELEMENTS (calls); i++)
    {
      g_autoptr (GForkTemplate) template = test_make (kind);
      g_autoptr (GForkTemplate) child = NULL;
      g_autoptr (GAsyncResult) result = NULL;
      g_autoptr (GSocket) socket = NULL;
      g_autoptr (GError) error = NULL;
      g_autoptr (GError) child_error = NULL;
      g_auto (TestFd) unblock = -1;

      g_fork_template_require (template, "test-trouble");
      test_block (template, &unblock);
      g_fork_template_call (template, calls[i], NULL);
      child = g_fork_template_fork (template);
      g_fork_template_run_async (template, "answer", NULL, test_store_result, &result);
      test_close_fd (&unblock);

      test_await (&result);
      socket = g_fork_template_run_finish (template, result, NULL, &error);
      g_assert_null (socket);
      test_assert_error (error, G_FORK_ERROR_LOST, "the function “answer”", calls[i], causes[i]);
      child_error = fail_to_prepare (child);
      test_assert_error (child_error, G_FORK_ERROR_LOST, "prepare", calls[i], causes[i]);
    }
}

/* What is known to be done is not what the process died of. */
static void
test_lost_later (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GError) error = NULL;

  g_fork_template_call (template, "remember", (const char *[]){ "x", NULL });
  test_prepare (template);
  g_fork_template_require (template, "test-trouble");
  g_fork_template_call (template, "crash", NULL);
  error = fail_to_run (template, "answer");
  test_assert_error (error, G_FORK_ERROR_LOST, "require “test-trouble”, call “crash”");
  g_assert_null (strstr (error->message, "remember"));
  g_assert_null (strstr (error->message, "…"));
}

/* Of very many commands the last ones are named. */
static void
test_lost_after_many (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GError) error = NULL;

  g_fork_template_require (template, "test-trouble");
  for (int i = 0; i < 1000; i++)
    g_fork_template_call (template, "remember", (const char *[]){ "x", NULL });
  g_fork_template_call (template, "crash", NULL);
  error = fail_to_prepare (template);
  test_assert_error (error, G_FORK_ERROR_LOST, "…", "call “crash”");
  g_assert_cmpuint (strlen (error->message), <, 1000);
}

/* The same for those that await something else. */
static GError *
fail_to_exec (GForkTemplate      *template,
              const char * const *argv)
{
  g_autoptr (GSocket) socket = NULL;
  GError *error = NULL;

  socket = g_fork_template_execv (template, argv, 0, NULL, NULL, &error);
  g_assert_nonnull (error);
  g_assert_null (socket);

  return error;
}

static void
test_lost_exec (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GError) error = NULL;

  g_fork_template_require (template, "test-trouble");
  g_fork_template_call (template, "crash", NULL);
  error = fail_to_exec (template, (const char *[]){ "/bin/true", NULL });
  test_assert_error (error, G_FORK_ERROR_LOST, "the program “/bin/true”", "crash",
                     g_strsignal (SIGKILL));
}

static void
test_lost_detach (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_require (template, "test-trouble");
  g_fork_template_call (template, "vanish", NULL);
  socket = g_fork_template_detach (template, NULL, &error);
  test_assert_error (error, G_FORK_ERROR_LOST, "detach", "vanish", "exit status 3");
}

/* A command that is longer than what goes over the socket names itself. */
static void
test_too_long (gconstpointer kind)
{
  g_autofree char *string = g_strnfill (17 * 1024 * 1024, 'x');
  g_autoptr (GForkTemplate) caller = test_make (kind);
  g_autoptr (GForkTemplate) evaluator = test_make (kind);
  g_autoptr (GForkTemplate) setter = test_make (kind);
  g_autoptr (GForkTemplate) executor = test_make (kind);
  g_autoptr (GForkTemplate) runner = test_make (kind);
  g_autoptr (GError) call_error = NULL;
  g_autoptr (GError) eval_error = NULL;
  g_autoptr (GError) setenv_error = NULL;
  g_autoptr (GError) exec_error = NULL;
  g_autoptr (GError) run_error = NULL;

  g_fork_template_call (caller, "remember", (const char *[]){ string, NULL });
  call_error = fail_to_prepare (caller);
  test_assert_error (call_error, G_FORK_ERROR_FAILED, "remember", "16777216");

  g_fork_template_eval (evaluator, string, NULL);
  eval_error = fail_to_prepare (evaluator);
  test_assert_error (eval_error, G_FORK_ERROR_FAILED, "Evaluating", "“xxx", "16777216");
  g_assert_cmpuint (strlen (eval_error->message), <, 1000);

  g_fork_template_setenv (setter, "A_VARIABLE", string);
  setenv_error = fail_to_prepare (setter);
  test_assert_error (setenv_error, G_FORK_ERROR_FAILED, "A_VARIABLE", "16777216");

  exec_error = fail_to_exec (executor, (const char *[]){ "/bin/echo", string, NULL });
  test_assert_error (exec_error, G_FORK_ERROR_FAILED, "/bin/echo", "16777216");

  run_error = fail_to_run (runner, string);
  test_assert_error (run_error, G_FORK_ERROR_FAILED, "“xxx", "16777216");
}

/* A descriptor that is none is named, and the number that it was meant for. */
static void
test_bad_descriptors (gconstpointer kind)
{
  g_autoptr (GForkTemplate) sender = test_make (kind);
  g_autoptr (GForkTemplate) giver = test_make (kind);
  g_autoptr (GForkTemplate) mapper = test_make (kind);
  g_autoptr (GError) send_error = NULL;
  g_autoptr (GError) take_error = NULL;
  g_autoptr (GError) map_error = NULL;

  g_fork_template_send_fd (sender, 777777);
  send_error = fail_to_prepare (sender);
  test_assert_error (send_error, G_FORK_ERROR_FAILED, "send", "777777", g_strerror (EBADF));

  g_fork_template_take_fd (giver, 777777);
  take_error = fail_to_run (giver, "answer");
  test_assert_error (take_error, G_FORK_ERROR_FAILED, "send", "777777", g_strerror (EBADF));

  g_fork_template_map_fd (mapper, 777777, 55);
  map_error = fail_to_prepare (mapper);
  test_assert_error (map_error, G_FORK_ERROR_FAILED, "777777 at 55", g_strerror (EBADF));
}

/* FAILED: more descriptors than the template may have open. This process has as many as
 * before: whoever is not privileged keeps those for which there is no room in flight. */
static void
test_too_many_descriptors (void)
{
  const struct rlimit few = { 60, 60 };
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GError) error = NULL;

  if (test_under_valgrind () || test_under_sanitizer ())
    {
      g_test_skip ("valgrind and sanitizers need descriptors themselves");
      return;
    }

  template = g_fork_template_new_exec ();
  g_fork_template_require (template, "test-worker");
  test_prepare (template);
  g_assert_no_errno (prlimit (g_fork_template_get_pid (template), RLIMIT_NOFILE, &few, NULL));
  for (int i = 0; i < 100; i++)
    {
      g_fork_template_send_fd (template, 2);
      if (i % 20 == 0)
        g_fork_template_call (template, "remember", (const char *[]){ "x", NULL });
    }
  error = fail_to_run (template, "answer");
  test_assert_error (error, G_FORK_ERROR_FAILED, "the function “answer”", "RLIMIT_NOFILE");
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
  error = fail_to_prepare (template);
  test_assert_error (error, G_FORK_ERROR_SPAWN);
  g_assert_no_errno (unlink (path));
}

/* PROTOCOL: the helper is another version's, and says so first. */
static void
test_wrong_version (void)
{
  const char *script = "#!/bin/sh\n"
                       "printf '\\004\\000\\000\\000\\104\\000\\000\\000\\007\\000\\000\\000' >&3\n"
                       "exec cat <&3 >/dev/null\n";
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;
  gssize length = strlen (script);
  int fd;

  if (!test_in_subprocess ())
    return;

  fd = g_file_open_tmp ("gspawnfork-XXXXXX", &path, &error);
  g_assert_no_error (error);
  g_assert_cmpint (write (fd, script, length), ==, length);
  g_assert_no_errno (fchmod (fd, 0700));
  g_assert_no_errno (close (fd));

  g_setenv ("GSPAWNFORK_HELPER", path, TRUE);
  template = g_fork_template_new_exec ();
  error = fail_to_prepare (template);
  test_assert_error (error, G_FORK_ERROR_PROTOCOL, path, "version 7", "version 1");
  g_assert_no_errno (unlink (path));
}

/* FAILED: a variable that has no such name. */
static void
test_failed_variable (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkTemplate) other = g_fork_template_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) other_error = NULL;

  g_fork_template_unsetenv (template, "A=B");
  error = fail_to_prepare (template);
  test_assert_error (error, G_FORK_ERROR_FAILED, "A=B", g_strerror (EINVAL));

  g_fork_template_setenv (other, "A=B", "value");
  other_error = fail_to_prepare (other);
  test_assert_error (other_error, G_FORK_ERROR_FAILED, "A=B", g_strerror (EINVAL));
}

/* FAILED: a number that no descriptor can have, or that another one has. */
static void
test_failed_map_fd (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkTemplate) twice = g_fork_template_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) twice_error = NULL;

  g_fork_template_map_fd (template, 2, G_MAXINT);
  error = fail_to_prepare (template);
  test_assert_error (error, G_FORK_ERROR_FAILED, "2147483647", "RLIMIT_NOFILE");

  g_fork_template_map_fd (twice, 2, 7);
  g_fork_template_map_fd (twice, 1, 7);
  twice_error = fail_to_prepare (twice);
  test_assert_error (twice_error, G_FORK_ERROR_FAILED, "7");
}

/* FAILED: there is no room for what was sent, here or where it is used. */
static void
test_failed_no_room (void)
{
  struct rlimit limit;
  rlim_t size;
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) limited = NULL;
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) limited_error = NULL;

  if (test_under_valgrind () || test_under_sanitizer ())
    {
      g_test_skip ("what looks on needs address space itself");
      return;
    }
  if (!test_in_subprocess ())
    return;

  bytes = g_bytes_new_take (g_malloc0 (256 << 20), 256 << 20);
  limited = test_template_new ();
  g_fork_template_require (limited, "test-trouble");
  g_fork_template_call (limited, "limit_memory", (const char *[]){ "128", NULL });
  g_fork_template_send_bytes (limited, bytes);
  if (!g_fork_template_prepare (limited, NULL, &limited_error))
    test_assert_error (limited_error, G_FORK_ERROR_FAILED, g_strerror (ENOMEM));
  else
    {
      limited_error = fail_to_run (limited, "answer");
      test_assert_error (limited_error, G_FORK_ERROR_FAILED, g_strerror (ENOMEM));
    }

  signal (SIGXFSZ, SIG_IGN);
  template = test_template_new ();
  g_assert_no_errno (getrlimit (RLIMIT_FSIZE, &limit));
  size = limit.rlim_cur;
  limit.rlim_cur = 4096;
  g_assert_no_errno (setrlimit (RLIMIT_FSIZE, &limit));
  g_fork_template_send_bytes (template, bytes);
  limit.rlim_cur = size;
  g_assert_no_errno (setrlimit (RLIMIT_FSIZE, &limit));
  error = fail_to_run (template, "answer");
  test_assert_error (error, G_FORK_ERROR_FAILED, "268435456", g_strerror (EFBIG));
}

/* FAILED, EXEC: the template has no number left to place a descriptor. PROTOCOL: nor
 * for one that it is sent. */
static void
test_failed_no_number (void)
{
  for (int i = 0; i < 3; i++)
    {
      g_autoptr (GForkTemplate) template = NULL;
      g_autoptr (GSocket) socket = NULL;
      g_autoptr (GError) error = NULL;

      if (test_under_valgrind () || test_under_sanitizer ())
        {
          g_test_skip ("what looks on needs descriptors itself");
          return;
        }

      /* It has 0 to 3, of which the last is the socket. */
      template = g_fork_template_new_exec ();
      g_fork_template_require (template, "test-worker");
      g_fork_template_require (template, "test-trouble");
      g_fork_template_call (template, "limit_descriptors", (const char *[]){ "8", NULL });
      test_prepare (template);
      if (i < 2)
        g_fork_template_map_fd (template, 2, 6);
      for (int fd = 0; fd < (const int[]){ 3, 2, 10 }[i]; fd++)
        g_fork_template_send_fd (template, 2);

      if (i == 1)
        socket = g_fork_template_execv (template, (const char *[]){ "/bin/true", NULL },
                                        G_FORK_EXEC_SOCKET_STDOUT, NULL, NULL, &error);
      else
        socket = g_fork_template_run (template, "answer", NULL, NULL, &error);
      g_assert_null (socket);
      if (i == 0)
        test_assert_error (error, G_FORK_ERROR_FAILED, "answer", g_strerror (EMFILE));
      else if (i == 1)
        test_assert_error (error, G_FORK_ERROR_EXEC, "/bin/true", g_strerror (EMFILE));
      else
        test_assert_error (error, G_FORK_ERROR_FAILED, "RLIMIT_NOFILE");
    }
}

/* A socket with nobody behind it, or rubbish. */
static GForkTemplate *
new_from_rubbish (gconstpointer data,
                  gsize         length)
{
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  GForkTemplate *template;
  int fds[2];

  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  socket = g_socket_new_from_fd (fds[0], &error);
  g_assert_no_error (error);
  if (length > 0)
    g_assert_cmpint (write (fds[1], data, length), ==, length);
  g_assert_no_errno (shutdown (fds[1], SHUT_WR));

  template = g_fork_template_new_from_socket (socket);
  g_object_set_data (G_OBJECT (template), "other-end", GINT_TO_POINTER (fds[1]));

  return template;
}

static void
close_other_end (GForkTemplate *template)
{
  g_assert_no_errno (close (GPOINTER_TO_INT (g_object_get_data (G_OBJECT (template), "other-end"))));
}

/* LOST: a socket that is at its end already. */
static void
test_lost_socket (void)
{
  g_autoptr (GForkTemplate) template = new_from_rubbish (NULL, 0);
  g_autoptr (GError) error = fail_to_prepare (template);

  test_assert_error (error, G_FORK_ERROR_LOST, "prepare");
  close_other_end (template);
}

/* PROTOCOL: what answers does not speak the protocol. It is not a crash, nor is
 * memory asked for by what it says. */
static void
test_protocol (void)
{
  const char rubbish[][17] = {
    "GET / HTTP/1.1\r\n",
    "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    "\0\0\0\0\xc8\0\0\0\0\0\0\0\xc8\0\0",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rubbish); i++)
    {
      g_autoptr (GForkTemplate) template = new_from_rubbish (rubbish[i], 16);
      g_autoptr (GError) error = fail_to_prepare (template);

      test_assert_error (error, G_FORK_ERROR_PROTOCOL, "prepare", "protocol");
      close_other_end (template);
    }
}

/* An answer, as it is on the wire: to a question that nobody has asked, or malformed. */
static GByteArray *
answer_new (guint8        verb,
            gconstpointer payload,
            guint32       length)
{
  GByteArray *answer = g_byte_array_new ();

  g_byte_array_append (answer, (const guint8 *) &length, sizeof length);
  g_byte_array_append (answer, (const guint8[]){ verb, 0, 0, 0 }, 4);
  g_byte_array_append (answer, payload, length);
  return answer;
}

enum
{
  READY = 64,
  SYNCED,
  ERROR,
  EXITED
};

static void
test_protocol_answers (void)
{
  const struct
  {
    guint8 verb;
    guint32 length;
  } answers[] = { { READY, 8 }, { SYNCED, 9 }, { ERROR, 4 }, { ERROR, 32 }, { 99, 0 } };
  const guint8 payload[32] = { [8] = 'x', [9 ... 31] = 'x' };

  for (gsize i = 0; i < G_N_ELEMENTS (answers); i++)
    {
      g_autoptr (GByteArray) answer = answer_new (answers[i].verb, payload, answers[i].length);
      g_autoptr (GForkTemplate) template = new_from_rubbish (answer->data, answer->len);
      g_autoptr (GError) error = fail_to_prepare (template);

      test_assert_error (error, G_FORK_ERROR_PROTOCOL);
      close_other_end (template);
    }
}

/* That somebody has ended who was never there is no news, if it is well formed. */
static void
test_protocol_unknown_end (void)
{
  const guint32 lengths[] = { 0, 5, 32 };
  const guint8 payload[32] = { 1, 2, 3, 4 };

  for (gsize i = 0; i < G_N_ELEMENTS (lengths); i++)
    {
      g_autoptr (GByteArray) answer = answer_new (EXITED, payload, lengths[i]);
      g_autoptr (GForkTemplate) template = new_from_rubbish (answer->data, answer->len);
      g_autoptr (GError) error = fail_to_prepare (template);

      test_assert_error (error, lengths[i] == 32 ? G_FORK_ERROR_LOST : G_FORK_ERROR_PROTOCOL);
      close_other_end (template);
    }
}

/* Whatever the template process says to have failed at, there is a sentence for it. */
static void
test_sentences (void)
{
  for (guint32 verb = 0; verb < 20; verb++)
    {
      const guint32 numbers[] = { G_FORK_ERROR_FAILED, verb };
      g_autoptr (GByteArray) payload = g_byte_array_new ();
      g_autoptr (GByteArray) answer = NULL;
      g_autoptr (GForkTemplate) template = NULL;
      g_autoptr (GError) error = NULL;

      g_byte_array_append (payload, (const guint8 *) numbers, sizeof numbers);
      g_byte_array_append (payload, (const guint8 *) "", 1);
      g_byte_array_append (payload, (const guint8 *) "the reason", 11);
      answer = answer_new (ERROR, payload->data, payload->len);
      template = new_from_rubbish (answer->data, answer->len);
      error = fail_to_prepare (template);
      test_assert_error (error, G_FORK_ERROR_FAILED, "the reason");
      g_assert_null (strchr (error->message, '%'));
      close_other_end (template);
    }
}

/* A helper that is another program does not answer, and is named. */
static void
test_wrong_helper (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GError) error = NULL;

  if (!test_in_subprocess ())
    return;

  g_setenv ("GSPAWNFORK_HELPER", "/bin/true", TRUE);
  template = g_fork_template_new ();
  error = fail_to_run (template, "answer");
  test_assert_error (error, G_FORK_ERROR_LOST, "the function “answer”", "the helper “/bin/true”",
                     "exit status 0");
}

/* Whoever starts the helper by hand is told what it is, and nothing hangs. */
static void
test_helper_by_hand (void)
{
  const char *helper = g_getenv ("GSPAWNFORK_HELPER");
  const char *const options[][3] = { { NULL }, { "--help" }, { "--gspawnfork-serve", "1", "77" } };

  if (helper == NULL)
    {
      g_test_skip ("nothing tells where the helper is");
      return;
    }

  for (gsize i = 0; i < G_N_ELEMENTS (options); i++)
    {
      const char *const argv[] = { helper, options[i][0], options[i][1], options[i][2], NULL };
      g_autofree char *said = NULL;
      g_autoptr (GError) error = NULL;
      int wait_status;

      g_assert_true (g_spawn_sync (NULL, (char **) argv, NULL, 0, NULL, NULL, NULL, &said,
                                   &wait_status, &error));
      g_assert_no_error (error);
      g_assert_true (WIFEXITED (wait_status));
      g_assert_cmpint (WEXITSTATUS (wait_status), ==, 2);
      g_assert_nonnull (strstr (said, "gspawnfork library"));
    }
}

/* NOT_SUPPORTED: C has no eval. */
static void
test_not_supported_eval (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GError) error = NULL;

  g_fork_template_eval (template, "1 + 1", NULL);
  error = fail_to_prepare (template);
  test_assert_error (error, G_FORK_ERROR_NOT_SUPPORTED, "“1 + 1”");
}

/* NOT_SUPPORTED: nobody has installed that runtime. */
static void
test_not_supported_runtime (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_for_runtime ("cobol");
  g_autoptr (GForkTemplate) other = g_fork_template_new_for_runtime ("../cobol");
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) other_error = NULL;

  g_fork_template_require (template, "test-worker");
  error = fail_to_prepare (template);
  test_assert_error (error, G_FORK_ERROR_NOT_SUPPORTED, "cobol");
  other_error = fail_to_run (other, "answer");
  test_assert_error (other_error, G_FORK_ERROR_NOT_SUPPORTED, "../cobol");
}

/* Whatever a name is made of, its message is UTF-8. */
static void
test_names_in_no_encoding (void)
{
  const char *name = "\xff\xfe";
  g_autoptr (GForkTemplate) runtime = g_fork_template_new_for_runtime (name);
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
      g_autoptr (GError) error = fail_to_run (templates[i], name);

      g_assert_true (g_utf8_validate (error->message, -1, NULL));
    }
  {
    g_autoptr (GError) error = fail_to_exec (executor, (const char *[]){ name, NULL });

    g_assert_true (g_utf8_validate (error->message, -1, NULL));
  }

  if (skip_under_valgrind () || !test_in_subprocess ())
    return;

  g_setenv ("GSPAWNFORK_HELPER", "/nonexistent/\xff", TRUE);
  {
    g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
    g_autoptr (GError) error = fail_to_prepare (template);

    test_assert_error (error, G_FORK_ERROR_SPAWN, "/nonexistent/");
    g_assert_true (g_utf8_validate (error->message, -1, NULL));
  }
}

/* CLOSED: a preparation ends once. */
static void
assert_closed (GForkTemplate *template)
{
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) run_error = NULL;
  g_autoptr (GError) exec_error = NULL;
  g_autoptr (GError) detach_error = NULL;
  g_autoptr (GError) prepare_error = NULL;
  g_autoptr (GError) fork_error = NULL;

  run_error = fail_to_run (template, "answer");
  test_assert_error (run_error, G_FORK_ERROR_CLOSED, "the function “answer”");

  socket = g_fork_template_execv (template, (const char *[]){ "/bin/true", NULL }, 0, NULL, NULL, &exec_error);
  test_assert_error (exec_error, G_FORK_ERROR_CLOSED, "the program “/bin/true”");
  g_assert_null (socket);

  socket = g_fork_template_detach (template, NULL, &detach_error);
  test_assert_error (detach_error, G_FORK_ERROR_CLOSED, "detach");
  g_assert_null (socket);

  prepare_error = fail_to_prepare (template);
  test_assert_error (prepare_error, G_FORK_ERROR_CLOSED, "prepare");

  child = g_fork_template_fork (template);
  fork_error = fail_to_prepare (child);
  test_assert_error (fork_error, G_FORK_ERROR_CLOSED, "prepare");

  /* Commands are taken, and come to nothing. */
  g_fork_template_require (template, "test-worker");
  g_fork_template_send_fd (template, 2);
  g_fork_template_close (template);
}

static void
test_closed_after_run (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GSocket) socket = test_run (template, "answer", NULL);

  assert_closed (template);
  test_assert_answer (socket, "memory", "nothing");
}

static void
test_closed_after_exec (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket G_GNUC_UNUSED = NULL;

  socket = g_fork_template_execv (template, (const char *[]){ "/bin/true", NULL }, 0, NULL, NULL, &error);
  g_assert_no_error (error);
  assert_closed (template);
}

static void
test_closed_after_detach (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) adopted = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) control = g_fork_template_detach (template, NULL, &error);

  g_assert_no_error (error);
  assert_closed (template);

  adopted = g_fork_template_new_from_socket (control);
  test_prepare (adopted);
}

static void
test_closed_after_close (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);

  g_fork_template_close (template);
  assert_closed (template);
}

/* So it is when its process has left, which stays for its workers no longer than they do. */
static void
test_closed_and_gone (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_run (child, "answer", &process);
  g_autoptr (GError) error = NULL;

  test_prepare (template);
  g_fork_template_close (template);
  test_send (socket, "exit 0\n");
  g_assert_true (g_fork_process_wait_check (process, NULL, &error));
  g_assert_no_error (error);
  test_wait_for_end (g_fork_template_get_pid (template));

  assert_closed (template);
}

/* While a run is under way, nothing else can end the preparation, and the run is
 * not disturbed. */
static void
test_closed_while_running (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) second_error = NULL;
  g_auto (TestFd) unblock = -1;

  test_block (template, &unblock);
  g_fork_template_run_async (template, "answer", NULL, test_store_result, &result);
  second_error = fail_to_run (template, "echo");
  test_assert_error (second_error, G_FORK_ERROR_CLOSED);

  test_close_fd (&unblock);
  test_await (&result);
  socket = g_fork_template_run_finish (template, result, NULL, &error);
  g_assert_no_error (error);
  test_assert_answer (socket, "memory", "nothing");
}

/* Closing while operations are under way ends them. */
static void
test_closed_under_way (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GAsyncResult) prepare_result = NULL;
  g_autoptr (GAsyncResult) run_result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) prepare_error = NULL;
  g_autoptr (GError) run_error = NULL;
  g_auto (TestFd) unblock = -1;

  test_block (template, &unblock);
  g_fork_template_prepare_async (template, NULL, test_store_result, &prepare_result);
  g_fork_template_run_async (template, "answer", NULL, test_store_result, &run_result);
  g_fork_template_close (template);

  test_await (&prepare_result);
  g_assert_false (g_fork_template_prepare_finish (template, prepare_result, &prepare_error));
  test_assert_error (prepare_error, G_FORK_ERROR_CLOSED);
  test_await (&run_result);
  socket = g_fork_template_run_finish (template, run_result, NULL, &run_error);
  test_assert_error (run_error, G_FORK_ERROR_CLOSED);
  g_assert_null (socket);
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
  error = fail_to_prepare (template);
  test_assert_error (error, G_FORK_ERROR_MODULE, "the-first-module");
  run_error = fail_to_run (template, "answer");
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
  g_autoptr (GError) before_error = NULL;
  g_autoptr (GError) after_error = NULL;
  g_autoptr (GError) after_after_error = NULL;

  g_fork_template_require (template, "no-such-module");
  before = g_fork_template_fork (template);
  g_fork_template_send_fd (before, 2);
  error = fail_to_prepare (template);

  after = g_fork_template_fork (template);
  g_fork_template_require (after, "test-worker");
  after_after = g_fork_template_fork (after);

  before_error = fail_to_run (before, "answer");
  test_assert_error (before_error, G_FORK_ERROR_MODULE, "no-such-module");
  after_error = fail_to_prepare (after);
  test_assert_error (after_error, G_FORK_ERROR_MODULE, "no-such-module");
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
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) run_error = NULL;
  g_autoptr (GError) wait_error = NULL;

  g_fork_template_require (template, "no-such-module");
  error = fail_to_prepare (template);
  test_assert_error (error, G_FORK_ERROR_MODULE, "no-such-module");

  test_send (socket, "exit 81\n");
  g_assert_true (g_fork_process_wait (process, NULL, &wait_error));
  g_assert_no_error (wait_error);
  g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 81);

  /* Also when its run was asked for and has failed. */
  run_error = fail_to_run (template, "answer");
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
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_require (bad, "no-such-module");
  error = fail_to_prepare (bad);
  test_prepare (template);
  socket = test_run (good, "whoami", NULL);
  test_assert_all_is (socket, "test-worker");
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
  run_error = fail_to_run (child, "no_such_function");
  g_clear_object (&child);
  test_assert_fd_eof (tell_tale);

  noted = test_read_fd (fd);
  g_assert_cmpstr (noted, ==, "");
  g_assert_no_errno (unlink (path));
}

/* A template that is killed */

/* Its workers live, and can be signalled where the system knows a way. */
static void
test_killed_workers_live (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_run (child, "answer", &process);
  g_autoptr (GError) error = NULL;

  test_prepare (template);
  kill_and_wait (g_fork_template_get_pid (template));
  test_assert_answer (socket, "memory", "nothing");

  if (g_fork_process_send_signal (process, SIGTERM, &error))
    test_assert_eof (socket);
  else
    test_assert_error (error, G_FORK_ERROR_LOST);
}

/* Operations under way end with LOST at once: its own, and those of forks that
 * it has not come to make. */
static void
test_killed_operations_end (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GForkTemplate) grandchild = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GAsyncResult) child_result = NULL;
  g_autoptr (GAsyncResult) grandchild_result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) child_error = NULL;
  g_autoptr (GError) grandchild_error = NULL;
  g_autoptr (GError) later_error = NULL;
  g_auto (TestFd) unblock = -1;

  test_prepare (template);
  test_block (template, &unblock);
  child = g_fork_template_fork (template);
  grandchild = g_fork_template_fork (child);
  g_fork_template_prepare_async (template, NULL, test_store_result, &result);
  g_fork_template_run_async (child, "answer", NULL, test_store_result, &child_result);
  g_fork_template_prepare_async (grandchild, NULL, test_store_result, &grandchild_result);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  kill_and_wait (g_fork_template_get_pid (template));

  test_await (&result);
  g_assert_false (g_fork_template_prepare_finish (template, result, &error));
  test_assert_error (error, G_FORK_ERROR_LOST);
  test_await (&child_result);
  socket = g_fork_template_run_finish (child, child_result, NULL, &child_error);
  test_assert_error (child_error, G_FORK_ERROR_LOST);
  g_assert_null (socket);
  test_await (&grandchild_result);
  g_assert_false (g_fork_template_prepare_finish (grandchild, grandchild_result, &grandchild_error));
  test_assert_error (grandchild_error, G_FORK_ERROR_LOST);

  /* What begins later ends so as well. */
  later_error = fail_to_run (template, "answer");
  test_assert_error (later_error, G_FORK_ERROR_LOST);
}

/* A wait for what the killed template was parent of ends with the truth or LOST,
 * when the worker ends; and exited and sources tell -1 for what is not known. */
static void
on_exited (GForkProcess *process,
           int           wait_status,
           gpointer      user_data)
{
  *(int *) user_data = wait_status;
}

static gboolean
on_source (GForkProcess *process,
           int           wait_status,
           gpointer      user_data)
{
  *(int *) user_data = wait_status;

  return G_SOURCE_REMOVE;
}

static void
test_killed_statuses (gconstpointer kind)
{
  enum
  {
    UNTOLD = -2
  };
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_run (child, "answer", &process);
  g_autoptr (GSource) source = g_fork_process_create_source (process);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) later_error = NULL;
  int exited_status = UNTOLD;
  int source_status = UNTOLD;
  gboolean told_early;
  gboolean known;

  g_signal_connect (process, "exited", G_CALLBACK (on_exited), &exited_status);
  g_source_set_callback (source, G_SOURCE_FUNC (on_source), &source_status, NULL);
  g_source_attach (source, NULL);
  g_fork_process_wait_async (process, NULL, test_store_result, &result);

  test_prepare (template);
  kill_and_wait (g_fork_template_get_pid (template));

  /* That the template has ended is not that the worker has; but where there are no
   * pidfds, nothing more will be known. */
  for (int i = 0; i < 100; i++)
    g_main_context_iteration (NULL, FALSE);
  told_early = result != NULL || exited_status != UNTOLD;

  test_send (socket, "exit 83\n");
  test_await (&result);
  while (exited_status == UNTOLD || source_status == UNTOLD)
    g_main_context_iteration (NULL, TRUE);

  known = g_fork_process_wait_finish (process, result, &error);
  if (known)
    {
      g_assert_no_error (error);
      g_assert_false (told_early);
      g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 83);
      g_assert_cmpint (exited_status, ==, g_fork_process_get_wait_status (process));
    }
  else
    {
      test_assert_error (error, G_FORK_ERROR_LOST);
      g_assert_cmpint (exited_status, ==, -1);
    }
  g_assert_cmpint (source_status, ==, exited_status);

  /* It stays so. */
  g_assert_cmpint (g_fork_process_wait (process, NULL, &later_error), ==, known);
  if (!known)
    test_assert_error (later_error, G_FORK_ERROR_LOST);
}

/* The same for a worker that is killed together with its template, first or last;
 * whoever has to reap it may take its time. */
static void
test_killed_together (gconstpointer kind)
{
  for (int i = 0; i < 4; i++)
    {
      g_autoptr (GForkTemplate) template = test_make (kind);
      g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket G_GNUC_UNUSED = test_run (child, "answer", &process);
      g_autoptr (GError) error = NULL;
      GPid pid;

      test_prepare (template);
      pid = g_fork_template_get_pid (template);
      if (i % 2 == 0)
        g_assert_no_errno (kill (pid, SIGKILL));
      g_assert_no_errno (kill (g_fork_process_get_pid (process), SIGTERM));
      if (i % 2 != 0)
        g_assert_no_errno (kill (pid, SIGKILL));

      if (g_fork_process_wait (process, NULL, &error))
        g_assert_cmpint (g_fork_process_get_term_sig (process), ==, SIGTERM);
      else
        test_assert_error (error, G_FORK_ERROR_LOST);
    }
}

static gboolean
can_signal (GForkProcess *process)
{
  g_autoptr (GError) error = NULL;
  gboolean can = g_fork_process_send_signal (process, SIGCONT, &error);

  if (!can)
    test_assert_error (error, G_FORK_ERROR_LOST);
  return can;
}

/* A process whose template is killed before it was run is not lost, if others of the
 * template's are not. */
static void
test_killed_before_ready (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) other = g_fork_template_fork (template);
  g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
  g_autoptr (GForkProcess) other_process = NULL;
  g_autoptr (GSocket) other_socket G_GNUC_UNUSED = test_run (other, "answer", &other_process);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) run_error = NULL;
  g_auto (TestFd) unblock = -1;

  test_block (child, &unblock);
  test_prepare (template);
  g_fork_template_run_async (child, "answer", NULL, test_store_result, &result);
  kill_and_wait (g_fork_template_get_pid (template));
  g_assert_false (g_fork_template_prepare (template, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_LOST);

  test_close_fd (&unblock);
  test_await (&result);
  socket = g_fork_template_run_finish (child, result, &process, &run_error);
  g_assert_no_error (run_error);
  test_assert_answer (socket, "memory", "nothing");
  g_assert_cmpint (can_signal (process), ==, can_signal (other_process));
}

/* A worker whose run is given up ends, although its template is not there to kill it:
 * when its answer is on the way */
static void
test_killed_and_closed (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) other = g_fork_template_fork (template);
  g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
  g_autoptr (GForkProcess) other_process = NULL;
  g_autoptr (GSocket) other_socket G_GNUC_UNUSED = test_run (other, "answer", &other_process);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *traces = NULL;
  g_auto (TestFd) tell_tale = test_add_tell_tale (child);
  g_auto (TestFd) read_end = -1;
  g_auto (TestFd) write_end = -1;
  char byte;

  test_prepare (template);
  test_pipe (&read_end, &write_end);
  g_fork_template_send_fd (child, read_end);
  g_fork_template_run_async (child, "write_and_wait", NULL, test_store_result, &result);
  g_assert_cmpint (read (tell_tale, &byte, 1), ==, 1);
  kill_and_wait (g_fork_template_get_pid (template));

  g_fork_template_close (child);
  test_await (&result);
  g_assert_null (g_fork_template_run_finish (child, result, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_CLOSED);

  test_close_fd (&write_end);
  traces = test_read_fd (tell_tale);
  if (can_signal (other_process))
    g_assert_cmpstr (traces, ==, "");
}

/* and before it has answered. */
static void
test_killed_and_never_run (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) unblock = -1;
  g_auto (TestFd) tell_tale = -1;

  test_block (child, &unblock);
  tell_tale = test_add_tell_tale (child);
  test_prepare (template);
  g_fork_template_run_async (child, "write_to_args", NULL, test_store_result, &result);
  kill_and_wait (g_fork_template_get_pid (template));

  g_fork_template_close (child);
  test_await (&result);
  g_assert_null (g_fork_template_run_finish (child, result, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_CLOSED);

  test_close_fd (&unblock);
  test_assert_fd_eof (tell_tale);
}

/* Nor is it waited for for ever if nobody reaps the worker: the process that has to, which
 * is this one's parent, is stopped meanwhile. */
static void
test_killed_and_not_reaped (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  gboolean known;

  g_fork_template_require (child, "test-worker");
  socket = test_run (child, "answer", &process);
  test_prepare (template);
  g_assert_no_errno (kill (getppid (), SIGSTOP));
  while (test_process_state (getppid ()) != 'T')
    g_thread_yield ();
  kill_and_wait (g_fork_template_get_pid (template));
  g_assert_no_errno (kill (g_fork_process_get_pid (process), SIGTERM));
  known = g_fork_process_wait (process, NULL, &error);
  g_assert_no_errno (kill (getppid (), SIGCONT));

  g_assert_false (known);
  test_assert_error (error, G_FORK_ERROR_LOST);
}

/* After the default template was killed, and that is known, the next new starts
 * another one, and works. */
static void
test_killed_default (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GSocket) socket = NULL;
  GPid pid;

  if (!test_in_subprocess ())
    return;

  pid = test_default_pid ();
  kill_and_wait (pid);
  template = test_template_new ();
  socket = test_run (template, "answer", NULL);
  test_assert_answer (socket, "memory", "nothing");
  g_assert_cmpint (test_default_pid (), !=, pid);
}

/* So it does, the first time and every time, when it was killed just before, and
 * nobody can know yet; the workers of before live. */
static void
test_killed_default_often (void)
{
  g_autoptr (GPtrArray) sockets = NULL;

  if (!test_in_subprocess ())
    return;

  sockets = g_ptr_array_new_with_free_func (g_object_unref);
  for (int i = 0; i < 50; i++)
    {
      g_autoptr (GForkTemplate) template = NULL;
      g_autoptr (GSocket) socket = NULL;

      g_assert_no_errno (kill (test_default_pid (), SIGKILL));
      template = test_template_new ();
      g_fork_template_send_fd (template, 2);
      g_fork_template_send_arg (template, "an argument");
      socket = test_run (template, "answer", NULL);
      test_assert_answer (socket, "n-args", "2");
      g_ptr_array_add (sockets, g_steal_pointer (&socket));
    }

  for (guint i = 0; i < sockets->len; i++)
    test_assert_answer (g_ptr_array_index (sockets, i), "arg 1", "an argument");
}

/* The same when it dies while new ones are being prepared and forked: what was
 * not yet done is done by the next. */
static void
test_killed_default_async (void)
{
  if (!test_in_subprocess ())
    return;

  for (int i = 0; i < 50; i++)
    {
      g_autoptr (GForkTemplate) template = NULL;
      g_autoptr (GForkTemplate) child = NULL;
      g_autoptr (GAsyncResult) result = NULL;
      g_autoptr (GSocket) socket = NULL;
      g_autoptr (GError) error = NULL;

      g_assert_no_errno (kill (test_default_pid (), SIGKILL));
      template = test_template_new ();
      child = g_fork_template_fork (template);
      g_clear_object (&template);
      g_fork_template_run_async (child, "answer", NULL, test_store_result, &result);
      test_await (&result);
      socket = g_fork_template_run_finish (child, result, NULL, &error);
      g_assert_no_error (error);
      test_assert_answer (socket, "memory", "nothing");
    }
}

/* A default template that does not answer any more, though it lives, is no
 * different once it is killed. */
static void
test_killed_default_stopped (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) next = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  GPid pid;

  if (!test_in_subprocess ())
    return;

  pid = test_default_pid ();
  g_assert_no_errno (kill (pid, SIGSTOP));
  template = test_template_new ();
  g_fork_template_prepare_async (template, NULL, test_store_result, &result);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_null (result);

  g_assert_no_errno (kill (pid, SIGKILL));
  test_await (&result);

  /* It was made before, so it may be lost, but is told at once. */
  if (!g_fork_template_prepare_finish (template, result, &error))
    test_assert_error (error, G_FORK_ERROR_LOST);

  next = test_template_new ();
  socket = test_run (next, "answer", NULL);
  test_assert_answer (socket, "memory", "nothing");
}

/* Writing to a template that is gone does not end the application by SIGPIPE,
 * and changes nothing about how it treats that signal. */
static void
test_no_sigpipe (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GError) error = NULL;
  struct sigaction action;
  g_autofree char *string = NULL;

  if (!test_in_subprocess ())
    return;

  /* GLib ignores it as soon as there are sockets, but whoever wants to may change
   * that. */
  g_type_class_unref (g_type_class_ref (G_TYPE_SOCKET));
  g_assert_no_errno (sigaction (SIGPIPE, NULL, &action));
  action.sa_handler = SIG_DFL;
  g_assert_no_errno (sigaction (SIGPIPE, &action, NULL));

  template = g_fork_template_new_exec ();
  test_prepare (template);
  kill_and_wait (g_fork_template_get_pid (template));

  string = g_strnfill (10000, 'x');
  for (int i = 0; i < 100; i++)
    g_fork_template_send_arg (template, string);
  g_fork_template_send_fd (template, 2);
  error = fail_to_run (template, "answer");
  test_assert_error (error, G_FORK_ERROR_LOST);

  g_assert_no_errno (sigaction (SIGPIPE, NULL, &action));
  g_assert_true (action.sa_handler == SIG_DFL);
}

/* A process that ends itself, or is killed, before it is run, is LOST. */
static void
test_killed_before_run (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) run_error = NULL;

  test_prepare (template);
  kill_and_wait (g_fork_template_get_pid (template));
  error = fail_to_prepare (template);
  test_assert_error (error, G_FORK_ERROR_LOST);
  run_error = fail_to_run (template, "answer");
  test_assert_error (run_error, G_FORK_ERROR_LOST);
}

/* No descriptors left */

/* Uses up all descriptors but for so many. */
static GArray *
use_up_descriptors (guint left)
{
  GArray *used = g_array_new (FALSE, FALSE, sizeof (int));
  int fd;

  while ((fd = open ("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
    g_array_append_val (used, fd);
  g_assert_cmpint (errno, ==, EMFILE);
  g_assert_cmpuint (used->len, >=, left);
  for (guint i = 0; i < left; i++)
    close (g_array_index (used, int, --used->len));

  return used;
}

static void
give_back_descriptors (GArray *used)
{
  for (guint i = 0; i < used->len; i++)
    close (g_array_index (used, int, i));
  g_array_unref (used);
}

static gboolean
lower_descriptor_limit (void)
{
  const struct rlimit few = { 100, 100 };

  if (test_under_valgrind () || test_under_sanitizer ())
    {
      g_test_skip ("valgrind and sanitizers need descriptors themselves");
      return FALSE;
    }
  if (!test_in_subprocess ())
    return FALSE;

  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &few));
  return TRUE;
}

static gpointer
run_in_thread (gpointer data)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  GError *error = NULL;

  socket = g_fork_template_run (data, "answer", &process, NULL, &error);
  g_assert_true ((socket == NULL) == (error != NULL));
  g_assert_true ((process == NULL) == (error != NULL));

  return error;
}

static gpointer
call_all_in_thread (gpointer data)
{
  GForkProcess *process = data;
  g_autoptr (GForkTemplate) template = g_object_ref (g_object_get_data (data, "template"));
  GError *errors[4] = { NULL };

  g_assert_false (g_fork_template_prepare (template, NULL, &errors[0]));
  g_assert_null (g_fork_template_detach (template, NULL, &errors[1]));
  g_assert_null (g_fork_template_execv (template, (const char *[]){ "/bin/true", NULL }, 0, NULL,
                                        NULL, &errors[2]));
  g_assert_false (g_fork_process_wait (process, NULL, &errors[3]));
  for (gsize i = 0; i < G_N_ELEMENTS (errors); i++)
    {
      test_assert_error (errors[i], G_FORK_ERROR_FAILED, g_strerror (EMFILE));
      g_error_free (errors[i]);
    }

  return NULL;
}

/* So does every other one; and nothing has happened, so that it can be called again. */
static void
test_no_descriptors_to_call (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  GArray *used;

  if (!lower_descriptor_limit ())
    return;

  template = test_template_new ();
  child = g_fork_template_fork (template);
  socket = test_run (child, "answer", &process);
  g_object_set_data (G_OBJECT (process), "template", template);

  used = use_up_descriptors (0);
  g_thread_join (g_thread_new ("caller", call_all_in_thread, process));
  give_back_descriptors (used);

  test_prepare (template);
  test_send (socket, "exit 4\n");
  g_assert_true (g_fork_process_wait (process, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 4);
}

/* A synchronous call, also the first one of a thread, ends with an error that says
 * what is missing, however many descriptors are. */
static void
test_no_descriptors_to_wait (gconstpointer in_thread)
{
  gboolean succeeded = FALSE;

  if (!lower_descriptor_limit ())
    return;

  for (guint left = 0; !succeeded; left++)
    {
      g_autoptr (GForkTemplate) template = test_template_new ();
      g_autoptr (GError) error = NULL;
      GArray *used;

      /* What the default template is used for is no question of descriptors. */
      if (in_thread == NULL && left == 0)
        test_prepare (template);

      used = use_up_descriptors (left);
      if (in_thread != NULL)
        error = g_thread_join (g_thread_new ("caller", run_in_thread, template));
      else
        error = run_in_thread (template);
      give_back_descriptors (used);

      succeeded = error == NULL;
      if (error != NULL)
        test_assert_error (error, G_FORK_ERROR_FAILED);
      g_assert_cmpuint (left, <, 20);
    }
}

/* Whatever needs a descriptor and gets none is told by the next operation. */
static void
send_fd (GForkTemplate *template)
{
  g_fork_template_send_fd (template, 2);
}

static void
send_long (GForkTemplate *template)
{
  g_autoptr (GBytes) bytes = g_bytes_new_take (g_malloc0 (1 << 20), 1 << 20);

  g_fork_template_send_bytes (template, bytes);
}

static void
map_fd (GForkTemplate *template)
{
  g_fork_template_map_fd (template, 2, 7);
}

static void
send_fd_list (GForkTemplate *template)
{
  g_autoptr (GUnixFDList) list = g_unix_fd_list_new_from_array ((const int[]){ 2 }, 1);

  g_fork_template_send_fd_list (template, list);
  g_unix_fd_list_steal_fds (list, NULL);
}

static void
test_no_descriptors_to_send (void)
{
  void (*const functions[]) (GForkTemplate *) = { send_fd, send_long, map_fd, send_fd_list };

  if (!lower_descriptor_limit ())
    return;

  for (gsize i = 0; i < G_N_ELEMENTS (functions); i++)
    {
      g_autoptr (GForkTemplate) template = test_template_new ();
      g_autoptr (GError) error = NULL;
      GArray *used;

      test_prepare (template);
      used = use_up_descriptors (0);
      functions[i](template);
      give_back_descriptors (used);
      error = fail_to_run (template, "answer");
      test_assert_error (error, G_FORK_ERROR_FAILED, g_strerror (EMFILE));
    }
}

/* So it is with a template that cannot be made. */
static void
test_no_descriptors_to_make (void)
{
  g_autoptr (GForkTemplate) parent = NULL;
  g_autoptr (GForkTemplate) detached = NULL;
  g_autoptr (GForkTemplate) executed = NULL;
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GForkTemplate) adopted = NULL;
  g_autoptr (GForkTemplate) later = NULL;
  g_autoptr (GSocket) control = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) exec_error = NULL;
  g_autoptr (GError) executed_error = NULL;
  g_autoptr (GError) fork_error = NULL;
  g_autoptr (GError) adopted_error = NULL;
  GArray *used;

  if (!lower_descriptor_limit ())
    return;

  parent = test_template_new ();
  detached = g_fork_template_fork (parent);
  control = g_fork_template_detach (detached, NULL, &error);
  g_assert_no_error (error);

  used = use_up_descriptors (0);
  executed = g_fork_template_new_exec ();
  fork = g_fork_template_fork (parent);
  adopted = g_fork_template_new_from_socket (control);
  socket = g_fork_template_execv (parent, (const char *[]){ "/bin/true", NULL }, 0, NULL, NULL,
                                  &exec_error);
  g_assert_null (socket);
  give_back_descriptors (used);

  executed_error = fail_to_prepare (executed);
  test_assert_error (executed_error, G_FORK_ERROR_SPAWN, g_strerror (EMFILE));
  fork_error = fail_to_prepare (fork);
  test_assert_error (fork_error, G_FORK_ERROR_FORK, g_strerror (EMFILE));
  adopted_error = fail_to_prepare (adopted);
  test_assert_error (adopted_error, G_FORK_ERROR_FAILED, g_strerror (EMFILE));
  test_assert_error (exec_error, G_FORK_ERROR_FAILED, g_strerror (EMFILE));

  /* It has not been taken. */
  later = g_fork_template_new_from_socket (control);
  test_prepare (later);
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
  g_test_add_func ("/errors/failed/no-room", test_failed_no_room);
  g_test_add_func ("/errors/failed/no-number", test_failed_no_number);
  g_test_add_func ("/errors/fork", test_fork);
  test_add_kinds ("/errors/threaded", test_threaded);
  test_add_kinds ("/errors/module/missing", test_module_missing);
  g_test_add_func ("/errors/module/missing-path", test_module_missing_path);
  g_test_add_func ("/errors/module/no-name", test_module_no_name);
  g_test_add_func ("/errors/module/relative-directory", test_module_relative_directory);
  g_test_add_func ("/errors/module/undefined-symbol", test_module_undefined_symbol);
  g_test_add_data_func ("/errors/module/of-function/none", "no-such-module", test_module_of_function);
  g_test_add_data_func ("/errors/module/of-function/prefix", "test-work", test_module_of_function);
  test_add_kinds ("/errors/function/missing", test_function);
  g_test_add_func ("/errors/function/of-libc", test_function_of_libc);
  test_add_kinds ("/errors/call/message", test_call);
  g_test_add_func ("/errors/call/strange-messages", test_call_strange_messages);
  test_add_kinds ("/errors/lost/in-call", test_lost);
  test_add_kinds ("/errors/lost/after-close", test_lost_after_close);
  test_add_kinds ("/errors/lost/later", test_lost_later);
  g_test_add_func ("/errors/lost/after-many", test_lost_after_many);
  test_add_kinds ("/errors/lost/exec", test_lost_exec);
  test_add_kinds ("/errors/lost/detach", test_lost_detach);
  g_test_add_func ("/errors/lost/socket", test_lost_socket);
  g_test_add_func ("/errors/protocol/rubbish", test_protocol);
  g_test_add_func ("/errors/protocol/answers", test_protocol_answers);
  g_test_add_func ("/errors/protocol/unknown-end", test_protocol_unknown_end);
  g_test_add_func ("/errors/sentences", test_sentences);
  test_add_kinds ("/errors/too-long", test_too_long);
  test_add_kinds ("/errors/bad-descriptors", test_bad_descriptors);
  g_test_add_func ("/errors/too-many-descriptors", test_too_many_descriptors);
  g_test_add_func ("/errors/wrong-helper", test_wrong_helper);
  g_test_add_func ("/errors/wrong-version", test_wrong_version);
  g_test_add_func ("/errors/helper-by-hand", test_helper_by_hand);
  test_add_kinds ("/errors/not-supported/eval", test_not_supported_eval);
  g_test_add_func ("/errors/not-supported/runtime", test_not_supported_runtime);

  g_test_add_func ("/errors/names-in-no-encoding", test_names_in_no_encoding);
  test_add_kinds ("/errors/closed/after-run", test_closed_after_run);
  test_add_kinds ("/errors/closed/after-exec", test_closed_after_exec);
  test_add_kinds ("/errors/closed/after-detach", test_closed_after_detach);
  test_add_kinds ("/errors/closed/after-close", test_closed_after_close);
  test_add_kinds ("/errors/closed/and-gone", test_closed_and_gone);
  g_test_add_func ("/errors/closed/while-running", test_closed_while_running);
  g_test_add_func ("/errors/closed/under-way", test_closed_under_way);

  test_add_kinds ("/errors/first", test_first_error);
  test_add_kinds ("/errors/async", test_async);

  test_add_kinds ("/errors/failed-template/forks", test_failed_template_and_forks);
  test_add_kinds ("/errors/failed-template/reaps", test_failed_template_reaps);
  g_test_add_func ("/errors/failed-template/sibling", test_failed_sibling);
  g_test_add_func ("/errors/failed-template/no-handlers", test_failure_runs_no_handlers);

  test_add_kinds ("/errors/killed/workers-live", test_killed_workers_live);
  test_add_kinds ("/errors/killed/operations-end", test_killed_operations_end);
  test_add_kinds ("/errors/killed/statuses", test_killed_statuses);
  test_add_kinds ("/errors/killed/together", test_killed_together);
  g_test_add_func ("/errors/killed/not-reaped", test_killed_and_not_reaped);
  test_add_kinds ("/errors/killed/before-run", test_killed_before_run);
  test_add_kinds ("/errors/killed/before-ready", test_killed_before_ready);
  test_add_kinds ("/errors/killed/and-closed", test_killed_and_closed);
  test_add_kinds ("/errors/killed/and-never-run", test_killed_and_never_run);
  g_test_add_func ("/errors/killed/default", test_killed_default);
  g_test_add_func ("/errors/killed/default-often", test_killed_default_often);
  g_test_add_func ("/errors/killed/default-async", test_killed_default_async);
  g_test_add_func ("/errors/killed/default-stopped", test_killed_default_stopped);
  g_test_add_func ("/errors/killed/no-sigpipe", test_no_sigpipe);

  g_test_add_data_func ("/errors/no-descriptors/to-wait", NULL, test_no_descriptors_to_wait);
  g_test_add_data_func ("/errors/no-descriptors/to-wait-first", "first", test_no_descriptors_to_wait);
  g_test_add_func ("/errors/no-descriptors/to-call", test_no_descriptors_to_call);
  g_test_add_func ("/errors/no-descriptors/to-send", test_no_descriptors_to_send);
  g_test_add_func ("/errors/no-descriptors/to-make", test_no_descriptors_to_make);

  return g_test_run ();
}
