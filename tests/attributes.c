/* attributes.c: tests of sessions and process groups, limits, the environment, and workers that
 * die with the application
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS(...) \
  ((const char *const[]){ __VA_ARGS__, NULL })

/* Has /bin/sh carry out a script whose standard output is the socket. */
static GSocket *
run_script (GForkTemplate  *template,
            const char     *script,
            GForkProcess  **process)
{
  g_autoptr (GError) error = NULL;
  GSocket *socket = g_fork_template_execv (template, WORDS ("/bin/sh", "-c", script),
                                           G_FORK_EXEC_SOCKET_STDOUT, process, NULL, &error);

  g_assert_no_error (error);
  g_assert_true (G_IS_SOCKET (socket));
  g_socket_set_blocking (socket, TRUE);
  return socket;
}

/* One line, which is a number. */
static GPid
read_pid (GSocket *socket)
{
  char line[16] = "";
  g_autoptr (GError) error = NULL;

  for (gsize i = 0; i < sizeof line - 1 && (i == 0 || line[i - 1] != '\n'); i++)
    {
      g_assert_cmpint (g_socket_receive (socket, line + i, 1, NULL, &error), ==, 1);
      g_assert_no_error (error);
    }
  return atoi (line);
}

/* PIDFD_SIGNAL_PROCESS_GROUP, which old kernels take for a mistake. */
static gboolean
has_group_pidfds (void)
{
  g_auto (TestFd) pidfd = syscall (SYS_pidfd_open, getpid (), 0);

  return test_has_pidfds ()
         && (syscall (SYS_pidfd_send_signal, pidfd, 0, NULL, 1 << 2) == 0 || errno != EINVAL);
}

/* ——— Sessions and groups ——— */

/* The worker leads a session and a group; the template, which tells its forks to do the
 * same, does not. */
static void
test_setsid (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GForkProcess) program = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) output = NULL;
  GPid pid;

  g_fork_template_setsid (template);
  fork = g_fork_template_fork (template);
  test_prepare (template);
  g_assert_cmpint (getpgid (g_fork_template_get_pid (template)), ==, getpgrp ());
  g_assert_cmpint (getsid (g_fork_template_get_pid (template)), ==, getsid (0));

  socket = test_run (fork, "answer", &process);
  pid = g_fork_process_get_pid (process);
  g_assert_cmpint (getpgid (pid), ==, pid);
  g_assert_cmpint (getsid (pid), ==, pid);

  output = run_script (template, "echo $$", &program);
  pid = read_pid (output);
  g_assert_cmpint (pid, ==, g_fork_process_get_pid (program));
}

/* What a program has started is signalled with it: it is what keeps the socket open. */
static void
test_signal_group (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_setsid (template);
  socket = run_script (template, "sleep 1000 & echo $!; wait", &process);
  read_pid (socket);
  g_assert_true (g_fork_process_send_signal_to_group (process, SIGTERM, &error));
  g_assert_no_error (error);
  test_assert_eof (socket);
  g_assert_true (g_fork_process_wait (process, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_fork_process_get_term_sig (process), ==, SIGTERM);

  g_assert_false (g_fork_process_send_signal_to_group (process, NSIG + 1, &error));
  test_assert_error (error, G_FORK_ERROR_FAILED, g_strerror (EINVAL));
}

static void
test_force_exit_group (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_setsid (template);
  socket = run_script (template, "sleep 1000 & echo $!; wait", &process);
  read_pid (socket);
  g_fork_process_force_exit (process);
  test_assert_eof (socket);
  g_assert_true (g_fork_process_wait (process, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_fork_process_get_term_sig (process), ==, SIGKILL);
}

/* The rest of a group whose leader has ended, if the kernel can do that; and once nobody
 * is left, the error says so. */
static void
test_group_without_leader (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  gboolean sent;
  GPid rest;

  g_fork_template_setsid (template);
  socket = run_script (template, "sleep 1000 & echo $!", &process);
  rest = read_pid (socket);
  g_assert_true (g_fork_process_wait_check (process, NULL, &error));
  g_assert_no_error (error);

  sent = g_fork_process_send_signal_to_group (process, SIGTERM, &error);
  if (has_group_pidfds ())
    {
      g_assert_no_error (error);
      g_assert_true (sent);
    }
  else
    {
      test_assert_error (error, G_FORK_ERROR_CLOSED, "group");
      g_clear_error (&error);
      kill (rest, SIGTERM);
    }
  test_assert_eof (socket);

  /* Until the system's init has reaped it, of which there is no event. */
  while (test_process_exists (rest))
    g_usleep (1000);
  g_assert_false (g_fork_process_send_signal_to_group (process, SIGTERM, &error));
  test_assert_error (error, G_FORK_ERROR_CLOSED, "group");
}

/* Without setsid it is the application's own group, which nobody means. */
static void
test_no_group (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_run (template, "answer", &process);
  g_autoptr (GError) error = NULL;

  g_assert_false (g_fork_process_send_signal_to_group (process, SIGTERM, &error));
  test_assert_error (error, G_FORK_ERROR_FAILED, "setsid");
  test_assert_answer (socket, "n-args", "0");
}

/* ——— is_running and pidfds ——— */

static void
assert_stops_running (GForkProcess *process)
{
  test_wait_for_end (g_fork_process_get_pid (process));
  /* It counts as running until the template's report of its status has come. */
  while (g_fork_process_is_running (process))
    g_thread_yield ();
}

/* Nobody waits, and no main loop runs. */
static void
test_is_running (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_run (template, "answer", &process);

  g_assert_true (g_fork_process_is_running (process));
  test_send (socket, "exit 3\n");
  assert_stops_running (process);
  g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 3);
}

/* A process whose template was killed is seen to be running, and to end. */
static void
test_is_orphan_running (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;

  g_fork_template_require (template, "test-worker");
  fork = g_fork_template_fork (template);
  socket = test_run (fork, "answer", &process);
  test_prepare (template);
  g_assert_no_errno (kill (g_fork_template_get_pid (template), SIGKILL));
  test_assert_answer (socket, "n-args", "0");
  if (test_has_pidfds ())
    g_assert_true (g_fork_process_is_running (process));
  test_send (socket, "exit 0\n");
  assert_stops_running (process);
}

static void
test_dup_pidfd (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_run (template, "answer", &process);
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) pidfd = g_fork_process_dup_pidfd (process, &error);
  struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };

  if (!test_has_pidfds ())
    {
      test_assert_error (error, G_FORK_ERROR_NOT_SUPPORTED, "pidfd");
      return;
    }

  g_assert_no_error (error);
  g_assert_cmpint (fcntl (pidfd, F_GETFD), ==, FD_CLOEXEC);
  g_assert_cmpint (poll (&poll_fd, 1, 0), ==, 0);
  test_send (socket, "exit 0\n");
  g_assert_cmpint (poll (&poll_fd, 1, -1), ==, 1);

  g_assert_true (g_fork_process_wait (process, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_fork_process_dup_pidfd (process, &error), ==, -1);
  test_assert_error (error, G_FORK_ERROR_CLOSED, "pidfd");
}

/* ——— Limits ——— */

/* What /proc says of a limit: soft and hard. */
static void
assert_limit (GPid        pid,
              const char *name,
              guint64     expected)
{
  g_autofree char *all = test_read_proc (pid, "limits");
  const char *line = strstr (all, name);
  guint64 soft, hard;

  g_assert_nonnull (line);
  g_assert_cmpint (sscanf (line + strlen (name), " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT,
                           &soft, &hard), ==, 2);
  g_assert_cmpuint (soft, ==, expected);
  g_assert_cmpuint (hard, ==, expected);
}

/* Each of them is the worker's and the program's, and not the template's. */
static void
test_limits (gconstpointer kind)
{
  static const struct
  {
    GForkLimit limit;
    guint64 value;
    const char *name;
  } limits[] = {
    { G_FORK_LIMIT_CPU_TIME, 1000, "Max cpu time" },
    { G_FORK_LIMIT_MEMORY, G_GUINT64_CONSTANT (1) << 50, "Max address space" },
    { G_FORK_LIMIT_FILE_SIZE, 12345, "Max file size" },
    { G_FORK_LIMIT_OPEN_FILES, 77, "Max open files" },
    { G_FORK_LIMIT_PROCESSES, 4321, "Max processes" },
    { G_FORK_LIMIT_CORE, 0, "Max core file size" },
  };
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GForkProcess) program = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) output = NULL;
  g_autofree char *before = NULL;
  g_autofree char *after = NULL;

  if (test_under_valgrind ())
    {
      g_test_skip ("valgrind keeps the limits to itself");
      return;
    }

  test_prepare (template);
  before = test_read_proc (g_fork_template_get_pid (template), "limits");
  for (gsize i = 0; i < G_N_ELEMENTS (limits); i++)
    {
      g_fork_template_set_limit (template, limits[i].limit, limits[i].value + 1);
      g_fork_template_set_limit (template, limits[i].limit, limits[i].value);
    }
  fork = g_fork_template_fork (template);
  test_prepare (template);
  after = test_read_proc (g_fork_template_get_pid (template), "limits");
  g_assert_cmpstr (after, ==, before);

  socket = test_run (fork, "answer", &process);
  output = run_script (template, "echo $$; exec sleep 1000", &program);
  read_pid (output);
  for (gsize i = 0; i < G_N_ELEMENTS (limits); i++)
    {
      assert_limit (g_fork_process_get_pid (process), limits[i].name, limits[i].value);
      assert_limit (g_fork_process_get_pid (program), limits[i].name, limits[i].value);
    }
  g_fork_process_force_exit (program);
}

/* A limit that nobody can have: the error has its name, and the process ends. */
static void
test_limit_refused (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GError) error = NULL;
  GPid pid;

  if (test_under_valgrind ())
    {
      g_test_skip ("valgrind keeps the limits to itself");
      return;
    }

  g_fork_template_set_limit (template, G_FORK_LIMIT_OPEN_FILES, G_MAXUINT64);
  fork = g_fork_template_fork (template);
  test_prepare (template);
  test_prepare (fork);
  pid = g_fork_template_get_pid (fork);

  g_assert_null (g_fork_template_run (fork, "answer", NULL, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_FAILED, "open-files", g_strerror (EPERM));
  test_wait_for_end (pid);

  g_clear_error (&error);
  g_assert_null (g_fork_template_execv (template, WORDS ("/bin/true"), 0, NULL, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_FAILED, "open-files", g_strerror (EPERM));
}

/* A number that is no limit. */
static void
test_limit_unknown (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GError) error = NULL;

  g_fork_template_set_limit (template, (GForkLimit) 99, 1);
  g_assert_false (g_fork_template_prepare (template, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_FAILED, "99");
}

/* A program that wants more memory than it may have gets none. */
static void
test_memory_is_limited (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  if (test_under_valgrind () || test_under_sanitizer ())
    {
      g_test_skip ("that takes address space of its own");
      return;
    }

  g_fork_template_set_limit (template, G_FORK_LIMIT_MEMORY, 32 << 20);
  g_fork_template_set_limit (template, G_FORK_LIMIT_CORE, 0);
  socket = g_fork_template_execv (template, WORDS ("dd", "if=/dev/zero", "of=/dev/null",
                                                   "bs=64M", "count=1", "status=none"),
                                  G_FORK_EXEC_SEARCH_PATH | G_FORK_EXEC_SOCKET_STDERR, &process,
                                  NULL, &error);
  g_assert_no_error (error);
  g_assert_false (g_fork_process_wait_check (process, NULL, &error));
}

/* ——— The environment ——— */

/* All variables are replaced, in turn with those that are set one by one. */
static void
test_environ (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) empty = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) nothing = NULL;

  g_fork_template_setenv (template, "BEFORE", "is gone");
  g_fork_template_setenv (template, "ONE", "is replaced");
  g_fork_template_set_environ (template, WORDS ("ONE=1", "TWO=two=2", "EMPTY=", "ONE=other"));
  g_fork_template_setenv (template, "AFTER", "is added");
  empty = g_fork_template_fork (template);

  socket = run_script (template, "exec /usr/bin/env | grep -vE '^(PWD|SHLVL|_|OLDPWD)=' | sort", NULL);
  test_assert_all_is (socket, "AFTER=is added\nEMPTY=\nONE=1\nTWO=two=2\n");

  g_fork_template_set_environ (empty, WORDS (NULL));
  nothing = g_fork_template_execv (empty, WORDS ("/usr/bin/env"), G_FORK_EXEC_SOCKET_STDOUT,
                                   NULL, NULL, NULL);
  g_assert_nonnull (nothing);
  if (!test_under_valgrind ())
    test_assert_all_is (nothing, "");
}

/* A string that is no variable is named, and nothing is changed. */
static void
test_environ_malformed (void)
{
  static const char *const malformed[] = { "no equals sign", "=no name", "" };

  for (gsize i = 0; i < G_N_ELEMENTS (malformed); i++)
    {
      g_autoptr (GForkTemplate) template = test_template_new ();
      g_autoptr (GError) error = NULL;

      g_fork_template_set_environ (template, WORDS ("GOOD=1", malformed[i]));
      g_assert_false (g_fork_template_prepare (template, NULL, &error));
      test_assert_error (error, G_FORK_ERROR_FAILED, malformed[i], g_strerror (EINVAL));
    }
}

/* ——— The end with the application ——— */

/* This program as the application that is killed: it says who its worker is, and waits for
 * that. */
static int
be_application (const char *kind,
                const char *how)
{
  g_autoptr (GForkTemplate) template = test_make (test_kind (kind));
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_die_with_application (template);
  if (g_str_equal (how, "run"))
    {
      socket = test_run (template, "ignore_all", &process);
    }
  else
    {
      socket = g_fork_template_execv (template, WORDS ("/bin/sleep", "1000"), G_FORK_EXEC_NONE,
                                      &process, NULL, &error);
      g_assert_no_error (error);
    }
  g_print ("%d\n", g_fork_process_get_pid (process));
  g_fork_process_wait (process, NULL, NULL);
  return 1;
}

/* What is a child of the application itself sees the end of it by a pidfd. */
static gboolean
cannot_see_the_end (void)
{
  if (test_has_pidfds () && !test_under_valgrind ())
    return FALSE;

  g_test_skip ("there are no pidfds");
  return TRUE;
}

/* The worker ignores the end of its socket, and the program has none. */
static void
test_die (gconstpointer data)
{
  const char *how = data;
  static const char *const kinds[] = { "new", "new-exec", "fork-of-exec", "fork-of-fork" };

  if (cannot_see_the_end ())
    return;

  for (gsize i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GSubprocess) application =
          g_subprocess_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error, "/proc/self/exe",
                            "--application", kinds[i], how, NULL);
      g_autoptr (GDataInputStream) lines = NULL;
      g_autofree char *line = NULL;
      GPid pid;

      g_assert_no_error (error);
      lines = g_data_input_stream_new (g_subprocess_get_stdout_pipe (application));
      line = g_data_input_stream_read_line (lines, NULL, NULL, &error);
      g_assert_no_error (error);
      g_assert_nonnull (line);
      pid = atoi (line);
      g_assert_true (test_process_exists (pid));

      g_subprocess_send_signal (application, SIGKILL);
      test_wait_for_end (pid);
      g_assert_true (g_subprocess_wait (application, NULL, &error));
      g_assert_no_error (error);
    }
}

/* It lives as long as the application, whichever thread has started it. */
static gpointer
run_in_thread (gpointer data)
{
  GForkProcess *process = NULL;
  g_autoptr (GSocket) socket G_GNUC_UNUSED = test_run (data, "hang_up_and_wait", &process);

  return process;
}

static void
test_die_not_with_thread (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) read_end = -1;
  g_auto (TestFd) unblock = -1;

  if (cannot_see_the_end ())
    return;

  test_pipe (&read_end, &unblock);
  g_fork_template_send_fd (template, read_end);
  g_fork_template_die_with_application (template);
  process = g_thread_join (g_thread_new ("starter", run_in_thread, template));
  test_close_fd (&unblock);
  g_assert_true (g_fork_process_wait (process, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 25);
}

/* A program finds no child that it has not started. */
static void
test_die_leaves_no_child (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GSocket) socket = NULL;

  if (cannot_see_the_end ())
    return;

  g_fork_template_die_with_application (template);
  socket = run_script (template, "read children < /proc/$$/task/$$/children; echo \"[$children]\"", NULL);
  test_assert_all_is (socket, "[]\n");
}

int
main (int    argc,
      char **argv)
{
  if (argc == 4 && g_str_equal (argv[1], "--application"))
    return be_application (argv[2], argv[3]);

  test_adopt_orphans ();
  g_test_init (&argc, &argv, NULL);

  test_add_kinds ("/attributes/setsid", test_setsid);
  test_add_kinds ("/attributes/group/signal", test_signal_group);
  test_add_kinds ("/attributes/group/force-exit", test_force_exit_group);
  test_add_kinds ("/attributes/group/without-leader", test_group_without_leader);
  test_add_kinds ("/attributes/group/none", test_no_group);

  test_add_kinds ("/attributes/is-running", test_is_running);
  g_test_add_func ("/attributes/is-running/orphan", test_is_orphan_running);
  test_add_kinds ("/attributes/pidfd", test_dup_pidfd);

  test_add_kinds ("/attributes/limits/each", test_limits);
  test_add_kinds ("/attributes/limits/refused", test_limit_refused);
  g_test_add_func ("/attributes/limits/unknown", test_limit_unknown);
  g_test_add_func ("/attributes/limits/memory", test_memory_is_limited);

  test_add_kinds ("/attributes/environ", test_environ);
  g_test_add_func ("/attributes/environ/malformed", test_environ_malformed);

  g_test_add_data_func ("/attributes/die/worker", "run", test_die);
  g_test_add_data_func ("/attributes/die/program", "exec", test_die);
  test_add_kinds ("/attributes/die/not-with-thread", test_die_not_with_thread);
  test_add_kinds ("/attributes/die/no-child", test_die_leaves_no_child);

  return g_test_run ();
}
