/* signals.c: tests of signals that are sent to the whole process group
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const int quiet[] = {
  SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,   SIGTSTP, SIGUSR1,
  SIGUSR2, SIGALRM, SIGPIPE, SIGVTALRM, SIGPROF, SIGIO,
};

static void
handle_signal (int signum)
{
}

/* An application that handles all of these itself, in a process group of its own. */
static void
lead_group (void)
{
  struct sigaction action = { .sa_handler = handle_signal, .sa_flags = SA_RESTART };

  g_assert_no_errno (setpgid (0, 0));
  for (gsize i = 0; i < G_N_ELEMENTS (quiet); i++)
    g_assert_no_errno (sigaction (quiet[i], &action, NULL));
}

static void
signal_group (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (quiet); i++)
    g_assert_no_errno (kill (0, quiet[i]));
}

static GForkTemplate *
make_from_main (void)
{
  g_autoptr (GError) error = NULL;
  GForkTemplate *template = g_fork_template_new_from_main (&error);

  g_assert_no_error (error);
  return template;
}

static GForkTemplate *
make_early (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (g_fork_init_early (&error));
  g_assert_no_error (error);
  return g_fork_template_new ();
}

static const TestKind programs[] = {
  { "from-main", make_from_main },
  { "early", make_early },
};

static void
assert_stubborn (GSocket      *socket,
                 GForkProcess *process)
{
  test_send (socket, "\n");
  test_wait_for (process);
  g_assert_true (g_fork_process_get_if_exited (process));
  g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 42);
}

/* They do nothing to a template, whether it waits or a call runs in it. */
static void
test_template (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) busy = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GForkProcess) later_process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) later_socket = NULL;
  g_auto (TestFd) unblock = -1;

  if (!test_in_subprocess ())
    return;

  lead_group ();
  template = test_make (kind);
  g_fork_template_require (template, "test-guest");
  g_fork_template_require (template, "test-worker");
  busy = g_fork_template_fork (template);
  test_prepare (busy);
  socket = test_run_until_ready (template, "be_stubborn", &process);
  test_block (busy, &unblock);

  signal_group ();

  assert_stubborn (socket, process);
  later_socket = test_run_until_ready (template, "be_stubborn", &later_process);
  assert_stubborn (later_socket, later_process);
  test_close_fd (&unblock);
  test_prepare (busy);
}

/* Nor to what it becomes afterwards: what was sent to the template is not the worker's. */
static void
test_before_run (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GForkTemplate) executed = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GForkProcess) own_process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) own_socket = NULL;
  g_autoptr (GSocket) executed_socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GString) shown = NULL;
  g_autofree char *program = test_build_path ("show");

  if (!test_in_subprocess ())
    return;

  lead_group ();
  template = test_make (kind);
  g_fork_template_require (template, "test-guest");
  fork = g_fork_template_fork (template);
  executed = g_fork_template_fork (template);
  test_prepare (fork);
  test_prepare (executed);

  signal_group ();

  socket = test_run_until_ready (fork, "be_stubborn", &process);
  assert_stubborn (socket, process);
  executed_socket = g_fork_template_execv (executed,
                                           (const char *[]){ program, "1", "signals", NULL },
                                           G_FORK_EXEC_SOCKET_STDOUT, NULL, NULL, &error);
  g_assert_no_error (error);
  shown = test_read_all (executed_socket);
  g_assert_cmpuint (shown->len, >, 0);
  own_socket = test_run_until_ready (template, "be_stubborn", &own_process);
  assert_stubborn (own_socket, own_process);
}

/* Returns %FALSE if there is no such interpreter, which skips the test. */
static gboolean
prepare_runtime (GForkTemplate *template)
{
  g_autoptr (GError) error = NULL;

  if (!g_fork_template_prepare (template, NULL, &error)
      && g_error_matches (error, G_FORK_ERROR, G_FORK_ERROR_SPAWN))
    {
      test_skip_in_subprocess ("there is no such interpreter");
      return FALSE;
    }
  g_assert_no_error (error);
  return TRUE;
}

/* Nor while a program is being started that will be a template. */
static void
test_while_starting (gconstpointer runtime)
{
  if (!test_in_subprocess ())
    return;

  lead_group ();
  for (int i = 0; i < 5; i++)
    {
      g_autoptr (GForkTemplate) template = g_str_equal (runtime, "c")
                                               ? g_fork_template_new_exec ()
                                               : g_fork_template_new_exec_for_runtime (runtime);

      signal_group ();
      if (!prepare_runtime (template))
        return;
    }
}

/* Workers are ended as any program is. */
static void
test_worker (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = NULL;

  if (!test_in_subprocess ())
    return;

  lead_group ();
  template = test_make (kind);
  g_fork_template_require (template, "test-worker");
  for (gsize i = 0; i < G_N_ELEMENTS (quiet); i++)
    {
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket G_GNUC_UNUSED = test_run (fork, "answer", &process);
      g_autoptr (GError) error = NULL;

      if (quiet[i] == SIGTSTP)
        continue;
      g_assert_no_errno (kill (0, quiet[i]));
      g_assert_true (g_fork_process_wait (process, NULL, &error));
      g_assert_no_error (error);
      g_assert_cmpint (g_fork_process_get_term_sig (process), ==, quiet[i]);
    }
}

/* What nohup(1) and shells have the application ignore stays ignored. */
static void
test_ignored (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GForkTemplate) executed = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) executed_socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *program = test_build_path ("show");
  g_autoptr (GString) shown = NULL;

  if (!test_in_subprocess ())
    return;

  g_assert_true (signal (SIGHUP, SIG_IGN) != SIG_ERR);
  g_assert_true (signal (SIGQUIT, SIG_IGN) != SIG_ERR);
  g_assert_true (signal (SIGTERM, SIG_IGN) != SIG_ERR);
  template = test_make (kind);
  g_fork_template_require (template, "test-worker");
  fork = g_fork_template_fork (template);
  executed = g_fork_template_fork (template);
  socket = test_run (fork, "answer", NULL);
  test_assert_answer (socket, "signals", "1:ignored 3:ignored");

  executed_socket = g_fork_template_execv (executed,
                                           (const char *[]){ program, "1", "signals", NULL },
                                           G_FORK_EXEC_SOCKET_STDOUT, NULL, NULL, &error);
  g_assert_no_error (error);
  shown = test_read_all (executed_socket);
  g_assert_nonnull (strstr (shown->str, "1:ignored"));
  g_assert_nonnull (strstr (shown->str, "3:ignored"));
  g_assert_null (strstr (shown->str, "15:"));
}

/* ——— Storms ——— */

/* Returns a process that sends SIGUSR1 to the group again and again, and does not have these
 * descriptors. */
static pid_t
start_storm (int    fd,
             int    other_fd,
             gulong pause)
{
  pid_t storm = fork ();

  g_assert_no_errno (storm);
  if (storm != 0)
    return storm;

  prctl (PR_SET_PDEATHSIG, SIGKILL);
  signal (SIGUSR1, SIG_IGN);
  signal (SIGTERM, SIG_DFL);
  close (fd);
  close (other_fd);
  for (;;)
    {
      kill (0, SIGUSR1);
      if (pause > 0)
        usleep (pause);
    }
}

static void
end_storm (pid_t storm)
{
  g_assert_no_errno (kill (storm, SIGKILL));
  g_assert_cmpint (waitpid (storm, NULL, 0), ==, storm);
}

/* What leads a session of its own gets no signal of the group, from its first instruction on. */
static void
lead_sessions (GForkTemplate *template)
{
  static const char *const argv[] = { "true", NULL };
  pid_t storm = start_storm (-1, -1, 1000);

  for (int i = 0; i < 60; i++)
    {
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket = NULL;
      g_autoptr (GError) error = NULL;

      g_fork_template_setsid (fork);
      if (i % 2 == 0)
        socket = g_fork_template_run (fork, "echo", &process, NULL, &error);
      else
        socket = g_fork_template_execv (fork, argv, G_FORK_EXEC_SEARCH_PATH, &process, NULL,
                                        &error);
      g_assert_no_error (error);
      g_clear_object (&socket);
      test_wait_for (process);
      g_assert_cmphex (g_fork_process_get_wait_status (process), ==, 0);
    }

  end_storm (storm);
}

static void
test_session (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = NULL;

  if (!test_in_subprocess ())
    return;

  lead_group ();
  template = test_make (kind);
  g_fork_template_require (template, "test-worker");
  test_prepare (template);
  lead_sessions (template);
}

static void
test_session_in_python (void)
{
  g_autoptr (GForkTemplate) template = NULL;

  if (!test_in_subprocess ())
    return;

  lead_group ();
  template = g_fork_template_new_for_runtime ("python3");
  g_fork_template_eval (template, "def echo(sock): pass", NULL);
  if (prepare_runtime (template))
    lead_sessions (template);
}

/* ——— Forks of the application ——— */

static volatile sig_atomic_t n_handled_elsewhere;
static pid_t own_pid;
static int elsewhere;

static void
handle_and_tell (int signum)
{
  if (getpid () != own_pid && write (elsewhere, "!", 1) == 1)
    n_handled_elsewhere++;
}

/* A handler of the application's does not run in its forks, whenever the signal comes. */
static void
test_handlers_in_forks (void)
{
  g_auto (TestFd) read_end = -1;
  g_auto (TestFd) write_end = -1;
  g_autofree char *told = NULL;
  pid_t storm;

  if (!test_in_subprocess ())
    return;

  test_pipe (&read_end, &write_end);
  /* A number that the fork does not close before a handler could run. */
  elsewhere = write_end;
  own_pid = getpid ();
  g_assert_no_errno (setpgid (0, 0));
  g_assert_true (signal (SIGUSR1, handle_and_tell) != SIG_ERR);

  storm = start_storm (read_end, write_end, 0);
  for (int i = 0; i < 150; i++)
    {
      g_autoptr (GForkTemplate) template G_GNUC_UNUSED = make_from_main ();
    }

  end_storm (storm);
  test_close_fd (&write_end);
  told = test_read_fd (read_end);
  g_assert_cmpstr (told, ==, "");
}

static void
add_programs (const char *path,
              void      (*test) (gconstpointer kind))
{
  for (gsize i = 0; i < G_N_ELEMENTS (programs); i++)
    {
      g_autofree char *full_path = g_strconcat (path, "/", programs[i].name, NULL);

      g_test_add_data_func (full_path, &programs[i], test);
    }
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  test_add_kinds ("/signals/template", test_template);
  add_programs ("/signals/template", test_template);
  test_add_kinds ("/signals/before-run", test_before_run);
  add_programs ("/signals/before-run", test_before_run);
  g_test_add_data_func ("/signals/start/c", "c", test_while_starting);
  g_test_add_data_func ("/signals/start/python3", "python3", test_while_starting);
  g_test_add_data_func ("/signals/start/gjs", "gjs", test_while_starting);
  test_add_kinds ("/signals/worker", test_worker);
  add_programs ("/signals/worker", test_worker);
  test_add_kinds ("/signals/ignored", test_ignored);
  add_programs ("/signals/ignored", test_ignored);
  test_add_kinds ("/signals/session", test_session);
  add_programs ("/signals/session", test_session);
  g_test_add_func ("/signals/session/python3", test_session_in_python);
  g_test_add_func ("/signals/handlers-in-forks", test_handlers_in_forks);

  return g_test_run ();
}
