/* frommain.c: tests of g_fork_template_new_from_main()
 *
 * This program is linked with modules/test-worker.c, whose functions it exports. Each test runs
 * in a process of its own, without threads: GLib's test framework starts one when it starts a
 * process.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <gspawnfork/gforkworker.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXPORT __attribute__ ((visibility ("default")))

EXPORT int tell_snapshot (int socket, const GForkArg *args, size_t n_args);
EXPORT int use_main_loop (int socket, const GForkArg *args, size_t n_args);
EXPORT int check_eventfd (int socket, const GForkArg *args, size_t n_args);
EXPORT int tell_title_of_worker (int socket, const GForkArg *args, size_t n_args);
EXPORT int wait_for_the_end_under_a_name_that_is_rather_long (int             socket,
                                                              const GForkArg *args,
                                                              size_t          n_args);

static const char *snapshot = "from the beginning";
static char *note_path;

/* What runs in the worker */

EXPORT int
tell_snapshot (int             socket,
               const GForkArg *args,
               size_t          n_args)
{
  return dprintf (socket, "%s", snapshot) < 0;
}

static gboolean
quit (gpointer data)
{
  g_main_loop_quit (data);

  return G_SOURCE_REMOVE;
}

static gpointer
quit_from_thread (gpointer data)
{
  GMainLoop *loop = data;

  g_main_context_invoke (g_main_loop_get_context (loop), quit, loop);

  return NULL;
}

EXPORT int
use_main_loop (int             socket,
               const GForkArg *args,
               size_t          n_args)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GMainLoop) loop = g_main_loop_new (context, FALSE);
  GThread *thread = g_thread_new ("quitter", quit_from_thread, loop);

  g_main_loop_run (loop);
  g_thread_join (thread);

  return dprintf (socket, "the loop has run") < 0;
}

/* The handlers of the application */

static void
note (const char *what)
{
  if (note_path != NULL)
    {
      FILE *file = fopen (note_path, "ae");

      fprintf (file, "%s %d\n", what, getpid ());
      fclose (file);
    }
}

static void
note_handler (void)
{
  note ("atexit");
}

__attribute__ ((destructor)) static void
note_destructor (void)
{
  note ("destructor");
}

static GForkTemplate *
new_from_main (void)
{
  g_autoptr (GError) error = NULL;
  GForkTemplate *template = g_fork_template_new_from_main (&error);

  g_assert_no_error (error);
  g_assert_true (G_FORK_IS_TEMPLATE (template));

  return template;
}

/* Tests */

/* Functions that the program exports are found, to call and to run. */
static void
test_functions (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;

  if (!test_in_subprocess ())
    return;

  template = new_from_main ();
  g_fork_template_send_arg (template, "taken");
  g_fork_template_call (template, "keep_args", NULL);
  g_fork_template_call (template, "remember", (const char *[]){ "called", NULL });
  g_fork_template_send_arg (template, "sent");

  socket = test_run (template, "answer", &process);
  test_assert_answer (socket, "memory", "[taken][called]");
  test_assert_answer (socket, "n-args", "1");
  test_assert_answer (socket, "arg 0", "sent");
  test_assert_answer (socket, "fd 0", "/dev/null");
  g_assert_cmpint (test_ask_number (socket, "pid"), ==, g_fork_process_get_pid (process));
}

/* It is a direct child, whose pid is known at once. */
static void
test_pid (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GSocket) socket = NULL;

  if (!test_in_subprocess ())
    return;

  template = new_from_main ();
  g_assert_cmpint (g_fork_template_get_pid (template), >, 0);
  g_assert_cmpint (test_process_parent (g_fork_template_get_pid (template)), ==, getpid ());
  socket = test_run (template, "answer", NULL);
  g_assert_cmpint (test_ask_number (socket, "pid"), ==, g_fork_template_get_pid (template));
}

/* Everything else about templates holds: forks, modules, statuses, errors. */
static void
test_is_a_template (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GForkTemplate) grandchild = NULL;
  g_autoptr (GForkTemplate) failing = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GForkProcess) grandchild_process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) grandchild_socket = NULL;
  g_autoptr (GSocket) no_socket = NULL;
  g_autoptr (GError) error = NULL;

  if (!test_in_subprocess ())
    return;

  template = new_from_main ();
  g_fork_template_require (template, "test-other");
  child = g_fork_template_fork (template);
  g_fork_template_setenv (child, "GFORK_TEST_VARIABLE", "value");
  grandchild = g_fork_template_fork (child);
  failing = g_fork_template_fork (child);

  grandchild_socket = test_run (grandchild, "answer", &grandchild_process);
  test_assert_answer (grandchild_socket, "env GFORK_TEST_VARIABLE", "value");
  socket = test_run (child, "only_here", &process);
  test_assert_all_is (socket, "only here");

  test_send (grandchild_socket, "exit 5\n");
  test_assert_exits (grandchild_process, 5);
  g_assert_true (g_fork_process_wait_check (process, NULL, &error));
  g_assert_no_error (error);

  no_socket = g_fork_template_run (failing, "no_such_function", NULL, NULL, &error);
  test_assert_error (error, G_FORK_ERROR_FUNCTION, "no_such_function");
  g_assert_null (no_socket);
}

/* The fork is made now: it has what the program has in its memory, and not what
 * comes later. */
static void
test_snapshot (void)
{
  g_autoptr (GForkTemplate) template = NULL;

  if (!test_in_subprocess ())
    return;

  snapshot = "from before";
  template = new_from_main ();
  snapshot = "from after";
  test_assert_writes (template, "tell_snapshot", "from before");
}

typedef struct
{
  GMutex mutex;
  GCond cond;
  guint n_standing;
  gboolean leave;
} Stand;

static gpointer
stand_by (gpointer data)
{
  Stand *stand = data;

  g_mutex_lock (&stand->mutex);
  /* The kernel takes 15 bytes of a name, whatever they are. */
  if (stand->n_standing++ > 0)
    g_assert_no_errno (prctl (PR_SET_NAME, "on-looker-äöüäöü"));
  g_cond_broadcast (&stand->cond);
  while (!stand->leave)
    g_cond_wait (&stand->cond, &stand->mutex);
  g_mutex_unlock (&stand->mutex);

  return NULL;
}

/* Threads are refused, with their names; once they are gone, it works. */
static void
test_threaded (void)
{
  static Stand stand;
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GError) error = NULL;
  GThread *threads[2];

  if (!test_in_subprocess ())
    return;

  threads[0] = g_thread_new ("by-stander", stand_by, &stand);
  threads[1] = g_thread_new ("by-stander", stand_by, &stand);
  g_mutex_lock (&stand.mutex);
  while (stand.n_standing < 2)
    g_cond_wait (&stand.cond, &stand.mutex);
  g_mutex_unlock (&stand.mutex);

  template = g_fork_template_new_from_main (&error);
  test_assert_error (error, G_FORK_ERROR_THREADED, "by-stander", "on-looker");
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  g_assert_null (template);
  g_clear_error (&error);

  g_assert_false (g_fork_init_early (&error));
  test_assert_error (error, G_FORK_ERROR_THREADED, "by-stander", "on-looker");

  g_mutex_lock (&stand.mutex);
  stand.leave = TRUE;
  g_cond_broadcast (&stand.cond);
  g_mutex_unlock (&stand.mutex);
  g_thread_join (threads[0]);
  g_thread_join (threads[1]);

  template = new_from_main ();
  test_prepare (template);
}

/* Neither workers nor templates run the atexit handlers and destructors of the
 * application, however they end. */
static void
test_handlers_do_not_run (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GForkTemplate) unused = NULL;
  g_autoptr (GForkTemplate) failing = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GForkProcess) child_process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) child_socket = NULL;
  g_autoptr (GSocket) no_socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) run_error = NULL;
  g_autofree char *noted = NULL;
  g_auto (TestFd) fd = -1;
  g_auto (TestFd) tell_tale = -1;

  if (!test_in_subprocess ())
    return;

  fd = g_file_open_tmp ("gspawnfork-XXXXXX", &note_path, &error);
  g_assert_no_error (error);
  g_assert_cmpint (atexit (note_handler), ==, 0);

  template = new_from_main ();
  tell_tale = test_add_tell_tale (template);
  child = g_fork_template_fork (template);
  unused = g_fork_template_fork (template);
  failing = g_fork_template_fork (template);

  no_socket = g_fork_template_run (failing, "no_such_function", NULL, NULL, &run_error);
  g_assert_nonnull (run_error);
  child_socket = test_run (child, "whoami", &child_process);
  socket = test_run (template, "whoami", &process);
  g_assert_true (g_fork_process_wait_check (process, NULL, &error));
  g_assert_no_error (error);
  g_assert_true (g_fork_process_wait_check (child_process, NULL, &error));
  g_assert_no_error (error);

  g_clear_object (&unused);
  g_clear_object (&failing);
  g_clear_object (&template);
  g_clear_object (&process);
  test_assert_fd_eof (tell_tale);

  noted = test_read_fd (fd);
  g_assert_cmpstr (noted, ==, "");

  g_assert_no_errno (unlink (note_path));
  g_clear_pointer (&note_path, g_free);
}

/* The handlers of a module that was loaded in the worker's template run. */
static void
test_module_handlers_run (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;
  g_autofree char *noted = NULL;
  g_autofree char *expected = NULL;
  g_auto (TestFd) fd = -1;

  if (!test_in_subprocess ())
    return;

  fd = g_file_open_tmp ("gspawnfork-XXXXXX", &path, &error);
  g_assert_no_error (error);

  template = new_from_main ();
  g_fork_template_require (template, "test-exit");
  g_fork_template_call (template, "note_exits", (const char *[]){ path, NULL });
  socket = test_run (template, "return_at_once", &process);
  g_assert_true (g_fork_process_wait_check (process, NULL, &error));
  g_assert_no_error (error);

  noted = test_read_fd (fd);
  expected = g_strdup_printf ("atexit %d\n", g_fork_process_get_pid (process));
  g_assert_true (g_str_has_prefix (noted, expected));
  g_assert_no_errno (unlink (path));
}

/* What the application had in its buffers is written out once, by whomever. */
static void
test_buffers_are_not_doubled (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GForkProcess) child_process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) child_socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;
  g_autofree char *contents = NULL;
  FILE *file;

  if (!test_in_subprocess ())
    return;

  file = fdopen (g_file_open_tmp ("gspawnfork-XXXXXX", &path, &error), "w");
  g_assert_no_error (error);
  fputs ("before;", file);

  template = new_from_main ();
  fputs ("after;", file);
  child = g_fork_template_fork (template);
  child_socket = test_run (child, "whoami", &child_process);
  socket = test_run (template, "whoami", &process);
  g_assert_true (g_fork_process_wait_check (process, NULL, &error));
  g_assert_no_error (error);
  g_assert_true (g_fork_process_wait_check (child_process, NULL, &error));
  g_assert_no_error (error);
  fclose (file);

  g_assert_true (g_file_get_contents (path, &contents, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (contents, ==, "before;after;");
  g_assert_no_errno (unlink (path));
}

/* Nothing that the application had open is left open without need: what GLib
 * wakes its loops with is all that may be there. */
static void
assert_no_strays (GSocket *socket)
{
  g_autofree char *strays = test_ask (socket, "strays");
  g_auto (GStrv) words = g_strsplit (strays, " ", -1);

  for (gsize i = 0; words[i] != NULL; i++)
    {
      if (strcmp (words[i], "none") != 0 && strstr (words[i], ":anon_inode:[eventfd]") == NULL)
        g_error ("stray descriptors: %s", strays);
    }
}

static void
test_descriptors (void)
{
  g_autoptr (GForkTemplate) other = NULL;
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GForkTemplate) executed = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) child_socket = NULL;
  g_autoptr (GSocket) executed_socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *program = test_build_path ("show");
  g_autofree char *all = NULL;
  g_auto (TestFd) read_end = -1;
  g_auto (TestFd) write_end = -1;

  if (!test_in_subprocess ())
    return;

  test_pipe (&read_end, &write_end);
  for (int i = 0; i < 50; i++)
    {
      g_assert_no_errno (open ("/dev/zero", O_RDONLY));
      g_assert_no_errno (open ("/dev/zero", O_RDONLY | O_CLOEXEC));
    }
  other = test_template_new ();

  template = new_from_main ();
  g_fork_template_send_fd (template, 2);
  child = g_fork_template_fork (template);
  executed = g_fork_template_fork (template);
  socket = test_run (template, "answer", NULL);
  assert_no_strays (socket);
  child_socket = test_run (child, "answer", NULL);
  assert_no_strays (child_socket);

  executed_socket = g_fork_template_execv (executed, (const char *[]){ program, "1", "fds", NULL },
                                           G_FORK_EXEC_SOCKET_STDOUT, NULL, NULL, &error);
  g_assert_no_error (error);
  /* valgrind opens one of its own in the program that is executed. */
  if (!test_under_valgrind ())
    test_assert_all_is (executed_socket, "0 1 2 3 ");

  /* They have none of the application's pipe either. */
  test_close_fd (&write_end);
  all = test_read_fd (read_end);
  g_assert_cmpstr (all, ==, "");

  /* What the application has open is open here still. */
  test_prepare (other);
}

/* The system's reasons are told. */
static void
test_cannot_fork (void)
{
  const struct rlimit few = { 64, 64 };
  const struct rlimit none = { 0, 0 };
  g_autoptr (GError) error = NULL;
  int fds[64], n = 0;

  if (test_under_valgrind () || test_under_sanitizer ())
    {
      g_test_skip ("valgrind and the search for leaks need processes themselves");
      return;
    }
  if (!test_in_subprocess ())
    return;

  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &few));
  while ((fds[n] = open ("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
    n++;
  g_assert_null (g_fork_template_new_from_main (&error));
  test_assert_error (error, G_FORK_ERROR_FORK, g_strerror (EMFILE));
  g_clear_error (&error);
  while (n > 0)
    close (fds[--n]);

  /* The superuser is exempt from the limit. */
  if (geteuid () == 0 && setresuid (54321, 54321, 54321) != 0)
    {
      test_skip_in_subprocess ("this user may always fork");
      return;
    }
  g_assert_no_errno (setrlimit (RLIMIT_NPROC, &none));
  g_assert_null (g_fork_template_new_from_main (&error));
  test_assert_error (error, G_FORK_ERROR_FORK, g_strerror (EAGAIN));
}

static void
handle_signal (int signum)
{
}

/* Workers start with default signals, whatever the application has done. */
static void
test_signals (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  sigset_t mask;

  if (!test_in_subprocess ())
    return;

  g_assert_true (signal (SIGUSR1, handle_signal) != SIG_ERR);
  g_assert_true (signal (SIGPIPE, SIG_IGN) != SIG_ERR);
  g_assert_true (signal (SIGCHLD, handle_signal) != SIG_ERR);
  sigemptyset (&mask);
  sigaddset (&mask, SIGTERM);
  sigaddset (&mask, SIGUSR2);
  g_assert_no_errno (sigprocmask (SIG_BLOCK, &mask, NULL));

  template = new_from_main ();
  test_assert_worker_answers (template, "signals", "clean");
}

/* GLib works in the worker: threads and main loops. */
static void
test_main_loop_in_worker (void)
{
  g_autoptr (GForkTemplate) template = NULL;

  if (!test_in_subprocess ())
    return;

  while (g_main_context_iteration (NULL, FALSE))
    ;
  template = new_from_main ();
  test_assert_writes (template, "use_main_loop", "the loop has run");
}

/* It can be done any number of times, and set as the default. */
static void
test_as_default (void)
{
  g_autoptr (GForkTemplate) first = NULL;
  g_autoptr (GForkTemplate) second = NULL;
  g_autoptr (GForkTemplate) template = NULL;

  if (!test_in_subprocess ())
    return;

  snapshot = "first";
  first = new_from_main ();
  snapshot = "second";
  second = new_from_main ();
  snapshot = "third";
  test_prepare (first);

  g_fork_template_set_default (second);
  template = g_fork_template_new ();
  test_assert_writes (template, "tell_snapshot", "second");
}

/* The title says what it is, as for others. */
static void
test_title (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autofree char *template_title = NULL;
  g_autofree char *title = NULL;

  if (test_under_valgrind ())
    {
      g_test_skip ("valgrind gives its processes a command line of its own");
      return;
    }
  if (!test_in_subprocess ())
    return;

  template = new_from_main ();
  test_prepare (template);
  template_title = test_read_proc (g_fork_template_get_pid (template), "cmdline");
  g_assert_true (g_str_has_prefix (template_title, "gspawnfork: template ["));
  child = g_fork_template_fork (template);
  socket = test_run (child, "answer", &process);
  title = test_read_proc (g_fork_process_get_pid (process), "cmdline");
  g_assert_true (g_str_has_prefix (title, "gspawnfork: answer ["));
}

#define SHORT_NAME "x"
#define LONG_NAME "wait_for_the_end_under_a_name_that_is_rather_long"

EXPORT int
wait_for_the_end_under_a_name_that_is_rather_long (int             socket,
                                                   const GForkArg *args,
                                                   size_t          n_args)
{
  char byte;

  while (read (socket, &byte, 1) > 0)
    ;
  return 0;
}

/* The title of a worker of this program's own. */
static char *
title_of_worker (void)
{
  g_autoptr (GForkTemplate) template = new_from_main ();
  g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket G_GNUC_UNUSED = test_run (child, LONG_NAME, &process);

  return test_read_proc (g_fork_process_get_pid (process), "cmdline");
}

EXPORT int
tell_title_of_worker (int             socket,
                      const GForkArg *args,
                      size_t          n_args)
{
  g_autofree char *title = title_of_worker ();

  return write (socket, title, strlen (title)) < 0;
}

/* So it does in a worker that does the same. */
static void
test_title_in_worker (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GString) title = NULL;

  if (test_under_valgrind ())
    {
      g_test_skip ("valgrind gives its processes a command line of its own");
      return;
    }
  if (!test_in_subprocess ())
    return;

  template = new_from_main ();
  child = g_fork_template_fork (template);
  socket = test_run (child, "tell_title_of_worker", NULL);
  title = test_read_all (socket);
  g_assert_true (g_str_has_prefix (title->str, "gspawnfork: " LONG_NAME " ["));
}

/* A title that is longer than the command line is cut. That program prints the title of a
 * worker. */
static void
test_title_of_short_name (void)
{
  g_autofree char *program = g_file_read_link ("/proc/self/exe", NULL);
  char *argv[] = { program, (char *) SHORT_NAME, NULL };
  g_autofree char *title = NULL;
  g_autofree char *errors = NULL;
  g_autoptr (GError) error = NULL;
  int wait_status;

  if (test_under_valgrind ())
    {
      g_test_skip ("valgrind gives its processes a command line of its own");
      return;
    }

  g_assert_true (g_spawn_sync (NULL, argv, NULL, G_SPAWN_FILE_AND_ARGV_ZERO, NULL, NULL, &title,
                               &errors, &wait_status, &error));
  g_assert_no_error (error);
  g_assert_true (g_spawn_check_wait_status (wait_status, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (strlen (title), ==, strlen (SHORT_NAME));
  g_assert_true (g_str_has_prefix ("gspawnfork: " LONG_NAME, title));
}

/* Its status is 0 if the descriptor with that number is none of a file, a socket and so on. */
EXPORT int
check_eventfd (int             socket,
               const GForkArg *args,
               size_t          n_args)
{
  struct stat st;

  return fstat (atoi (args[0].data), &st) != 0 || (st.st_mode & S_IFMT) != 0;
}

static int
find_eventfd (void)
{
  for (int fd = 3; fd < 100; fd++)
    {
      g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", fd);
      g_autofree char *kind = g_file_read_link (path, NULL);

      if (g_strcmp0 (kind, "anon_inode:[eventfd]") == 0)
        return fd;
    }
  g_assert_not_reached ();
}

/* The numbers of GLib's wake-up descriptors are not used for something else, also where
 * there is no list of descriptors. */
static void
test_no_proc (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *number = NULL;

#if defined(__SANITIZE_ADDRESS__) || defined(SANITIZED)
  g_test_skip ("the address sanitizer needs /proc");
  return;
#endif
  if (!test_in_subprocess ())
    return;

  g_main_context_iteration (NULL, FALSE);
  number = g_strdup_printf ("%d", find_eventfd ());
  if (unshare (CLONE_NEWNS) != 0 || mount (NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0
      || mount ("tmpfs", "/proc", "tmpfs", 0, "size=64k") != 0)
    {
      test_skip_in_subprocess ("it takes root to hide /proc");
      return;
    }

  template = new_from_main ();
  g_fork_template_send_arg (template, number);
  socket = test_run (template, "check_eventfd", &process);
  g_assert_true (g_fork_process_wait_check (process, NULL, &error));
  g_assert_no_error (error);
}

int
main (int    argc,
      char **argv)
{
  if (strcmp (argv[0], SHORT_NAME) == 0)
    {
      g_autofree char *title = title_of_worker ();

      g_print ("%s", title);
      return 0;
    }

  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/from-main/functions", test_functions);
  g_test_add_func ("/from-main/pid", test_pid);
  g_test_add_func ("/from-main/is-a-template", test_is_a_template);
  g_test_add_func ("/from-main/snapshot", test_snapshot);
  g_test_add_func ("/from-main/threaded", test_threaded);
  g_test_add_func ("/from-main/cannot-fork", test_cannot_fork);
  g_test_add_func ("/from-main/handlers/of-the-application", test_handlers_do_not_run);
  g_test_add_func ("/from-main/handlers/of-a-module", test_module_handlers_run);
  g_test_add_func ("/from-main/buffers", test_buffers_are_not_doubled);
  g_test_add_func ("/from-main/descriptors", test_descriptors);
  g_test_add_func ("/from-main/signals", test_signals);
  g_test_add_func ("/from-main/main-loop", test_main_loop_in_worker);
  g_test_add_func ("/from-main/as-default", test_as_default);
  g_test_add_func ("/from-main/no-proc", test_no_proc);
  g_test_add_func ("/from-main/title/any", test_title);
  g_test_add_func ("/from-main/title/in-worker", test_title_in_worker);
  g_test_add_func ("/from-main/title/of-short-name", test_title_of_short_name);

  return g_test_run ();
}
