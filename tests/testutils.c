/* testutils.c: functions that the tests share
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Shells have background jobs ignore some signals. The processes that the tests start would
 * inherit that. */
__attribute__ ((constructor)) static void
be_no_background_job (void)
{
  signal (SIGHUP, SIG_DFL);
  signal (SIGINT, SIG_DFL);
  signal (SIGQUIT, SIG_DFL);
}

/* Descriptors */

void
test_close_fd (TestFd *fd)
{
  if (*fd >= 0)
    {
      int result = close (*fd);

      g_assert_no_errno (result);
    }

  *fd = -1;
}

void
test_pipe (TestFd *read_end,
           TestFd *write_end)
{
  int fds[2];

  g_assert_no_errno (pipe2 (fds, O_CLOEXEC));
  *read_end = fds[0];
  *write_end = fds[1];
}

/* Reads until no process has the other end open. */
char *
test_read_fd (int fd)
{
  g_autoptr (GString) all = g_string_new (NULL);

  for (;;)
    {
      char buffer[4096];
      gssize got = read (fd, buffer, sizeof (buffer));

      if (got < 0 && errno == EINTR)
        continue;
      g_assert_no_errno (got);
      if (got == 0)
        break;

      g_string_append_len (all, buffer, got);
    }

  return g_string_free (g_steal_pointer (&all), FALSE);
}

void
test_assert_fd_eof (int fd)
{
  g_autofree char *all = test_read_fd (fd);

  g_assert_cmpstr (all, ==, "");
}

/* Counts the descriptors of a process; 0 is this process. */
guint
test_count_fds (GPid pid)
{
  g_autofree char *path = pid == 0 ? g_strdup ("/proc/self/fd") : g_strdup_printf ("/proc/%d/fd", pid);
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) directory = g_dir_open (path, 0, &error);
  struct rlimit limit = { 0 };
  const char *name;
  guint n = 0;

  g_assert_no_error (error);
  g_assert_no_errno (getrlimit (RLIMIT_NOFILE, &limit));

  /* valgrind keeps its own descriptors above the limit that it shows. */
  while ((name = g_dir_read_name (directory)) != NULL)
    {
      if (g_ascii_strtoull (name, NULL, 10) < limit.rlim_cur)
        n++;
    }

  return pid == 0 ? n - 1 : n;
}

/* This program and others */

/* To be the first call of a program. The program goes on in a child, while this process reaps
 * orphans of the child at once, which not every system's init does. It exits with the child's
 * status. */
void
test_adopt_orphans (void)
{
  GPid child;
  int wait_status, status = -1;

  g_assert_no_errno (prctl (PR_SET_CHILD_SUBREAPER, 1));
  child = fork ();
  g_assert_no_errno (child);
  if (child == 0)
    {
      /* What ends the parent has to end the child, too. */
      g_assert_no_errno (prctl (PR_SET_PDEATHSIG, SIGKILL));
      return;
    }

  while (status < 0)
    {
      GPid ended = wait (&wait_status);

      g_assert_cmpint (ended, >, 0);
      if (ended == child)
        status = WIFEXITED (wait_status) ? WEXITSTATUS (wait_status) : 128 + WTERMSIG (wait_status);
    }
  exit (status);
}

/* Names the file to which a subprocess writes why a test is skipped. */
#define SKIPPED_VARIABLE "GFORK_TEST_SKIPPED_FILE"
static char *skipped_file;

/* To be the first call of a test that spoils its process, or needs a fresh one. Runs the test in
 * a subprocess, and returns %TRUE in that; returns %FALSE in this process, where the test is to
 * end. */
gboolean
test_in_subprocess (void)
{
  g_autofree char *path = NULL;
  g_autofree char *reason = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) fd = -1;

  if (g_test_subprocess ())
    {
      skipped_file = g_strdup (g_getenv (SKIPPED_VARIABLE));
      g_unsetenv (SKIPPED_VARIABLE);
      return TRUE;
    }

  /* The subprocess may become another user. */
  fd = g_file_open_tmp ("gspawnfork-skipped-XXXXXX", &path, &error);
  g_assert_no_error (error);
  g_assert_no_errno (fchmod (fd, 0622));

  g_setenv (SKIPPED_VARIABLE, path, TRUE);
  g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
  g_unsetenv (SKIPPED_VARIABLE);
  g_assert_no_errno (unlink (path));
  g_test_trap_assert_passed ();

  reason = test_read_fd (fd);
  if (*reason != '\0')
    g_test_skip (reason);
  return FALSE;
}

/* Skips a test from within its subprocess. With g_test_skip() the subprocess would exit like one
 * that has failed, and the reason would get lost. */
void
test_skip_in_subprocess (const char *reason)
{
  g_auto (TestFd) fd = open (skipped_file, O_WRONLY | O_CLOEXEC);

  g_assert_no_errno (fd);
  g_assert_cmpint (write (fd, reason, strlen (reason)), ==, strlen (reason));
}

gboolean
test_under_valgrind (void)
{
  return g_getenv ("GFORK_TEST_VALGRIND") != NULL;
}

/* AddressSanitizer needs much address space and, when it looks for leaks, descriptors; also in
 * templates. */
gboolean
test_under_sanitizer (void)
{
#if defined(__SANITIZE_ADDRESS__)
  return TRUE;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
  return TRUE;
#endif
#endif
  return FALSE;
}

/* Goes on in a subprocess that may have so many descriptors. Returns %FALSE if the test has to
 * end, since this is not the subprocess, or the limit cannot be lowered. */
gboolean
test_limit_descriptors (guint n)
{
  const struct rlimit limit = { n, n };

  if (test_under_valgrind () || (n <= 100 && test_under_sanitizer ()))
    {
      g_test_skip ("valgrind and sanitizers need descriptors themselves");
      return FALSE;
    }
  if (!test_in_subprocess ())
    return FALSE;

  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &limit));
  return TRUE;
}

/* Returns the path of a program or module that is built beside this program. */
char *
test_build_path (const char *name)
{
  return g_canonicalize_filename (g_test_get_filename (G_TEST_BUILT, name, NULL), NULL);
}

guint
test_count_threads (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) directory = g_dir_open ("/proc/self/task", 0, &error);
  guint n = 0;

  g_assert_no_error (error);
  while (g_dir_read_name (directory) != NULL)
    n++;

  return n;
}

/* Returns what is in a file of /proc/PID; %NULL if there is no such process. 0 is this process. */
char *
test_read_proc (GPid        pid,
                const char *file)
{
  g_autofree char *path = NULL;
  char *contents = NULL;

  path = pid == 0 ? g_strdup_printf ("/proc/self/%s", file) : g_strdup_printf ("/proc/%d/%s", pid, file);

  return g_file_get_contents (path, &contents, NULL, NULL) ? contents : NULL;
}

/* The title is what ps shows: the command line, without the NULs at its end. */
void
test_assert_title (GPid        pid,
                   const char *what,
                   GPid        parent)
{
  g_autofree char *title = test_read_proc (pid, "cmdline");
  g_autofree char *expected = g_strdup_printf ("gspawnfork: %s [%d]", what, parent);

  g_assert_cmpstr (title, ==, expected);
}

gboolean
test_process_exists (GPid pid)
{
  return test_process_state (pid) != '\0';
}

/* Returns the fields of /proc/PID/stat after the name, which may hold anything. */
static char *
read_stat (GPid pid)
{
  g_autofree char *stat = test_read_proc (pid, "stat");

  return stat != NULL ? g_strdup (strrchr (stat, ')') + 2) : NULL;
}

/* Returns 'Z' for a zombie, and NUL if there is no such process. */
char
test_process_state (GPid pid)
{
  g_autofree char *stat = read_stat (pid);

  return stat != NULL ? stat[0] : '\0';
}

/* Returns 0 if there is no such process any more. */
GPid
test_process_parent (GPid pid)
{
  g_autofree char *stat = read_stat (pid);

  return stat != NULL ? atoi (stat + 2) : 0;
}

guint
test_count_zombies (GPid parent)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) directory = g_dir_open ("/proc", 0, &error);
  const char *name;
  guint n = 0;

  g_assert_no_error (error);
  while ((name = g_dir_read_name (directory)) != NULL)
    {
      g_autofree char *stat = NULL;

      if (!g_ascii_isdigit (name[0]))
        continue;

      stat = read_stat (atoi (name));
      if (stat != NULL && stat[0] == 'Z' && atoi (stat + 2) == parent)
        n++;
    }

  return n;
}

/* Waits until a process has ended, even if it is not reaped. */
void
test_wait_for_end (GPid pid)
{
  g_auto (TestFd) pidfd = -1;

#ifdef SYS_pidfd_open
  pidfd = syscall (SYS_pidfd_open, pid, 0);
#endif

  if (pidfd >= 0)
    {
      struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };

      while (poll (&poll_fd, 1, -1) < 0)
        g_assert_cmpint (errno, ==, EINTR);
    }
  else
    {
      while (strchr ("ZX", test_process_state (pid)) == NULL)
        g_thread_yield ();
    }
}

void
test_kill_and_wait (GPid pid)
{
  g_assert_cmpint (pid, >, 0);
  g_assert_no_errno (kill (pid, SIGKILL));
  test_wait_for_end (pid);
}

/* Whether there is such a process and it is a descendant of this one. An orphan is not: the
 * system's init reaps it. */
static gboolean
is_descendant (GPid pid)
{
  while (pid > 1)
    {
      g_autofree char *stat = read_stat (pid);

      if (stat == NULL)
        return FALSE;

      pid = atoi (stat + 2);
      if (pid == getpid ())
        return TRUE;
    }

  return FALSE;
}

/* Waits for the end of a process, and makes calls, without a main loop, until it is reaped. */
void
test_wait_until_reaped (GPid pid)
{
  test_wait_for_end (pid);

  for (int i = 0; i < 10000 && is_descendant (pid); i++)
    {
      g_autoptr (GForkTemplate) template = g_fork_template_new ();

      test_prepare (template);
    }

  g_assert_false (is_descendant (pid));
}

/* Results */

void
test_store_result (GObject      *object,
                   GAsyncResult *result,
                   gpointer      user_data)
{
  GAsyncResult **stored = user_data;

  g_assert_null (*stored);
  *stored = g_object_ref (result);
}

/* Runs the thread-default main context until test_store_result() was called. */
GAsyncResult *
test_await (GAsyncResult **result)
{
  while (*result == NULL)
    g_main_context_iteration (g_main_context_get_thread_default (), TRUE);

  return *result;
}

void
test_assert_error_at (const char   *file,
                      int           line,
                      const char   *function,
                      const GError *error,
                      GForkError    code,
                      ...)
{
  const char *word;
  va_list words;

  if (!g_error_matches (error, G_FORK_ERROR, code))
    g_assertion_message_error (G_LOG_DOMAIN, file, line, function, "error", error, G_FORK_ERROR, code);

  va_start (words, code);
  while ((word = va_arg (words, const char *)) != NULL)
    {
      g_autofree char *complaint = NULL;

      if (strstr (error->message, word) != NULL)
        continue;

      complaint = g_strdup_printf ("the message lacks “%s”: %s", word, error->message);
      g_assertion_message (G_LOG_DOMAIN, file, line, function, complaint);
    }
  va_end (words);
}

/* Templates */

static GForkTemplate *
make_fork_of_fork (void)
{
  g_autoptr (GForkTemplate) grandparent = g_fork_template_new ();
  g_autoptr (GForkTemplate) parent = g_fork_template_fork (grandparent);
  GForkTemplate *child = g_fork_template_fork (parent);

  g_object_set_data_full (G_OBJECT (parent), "parent", g_steal_pointer (&grandparent), g_object_unref);
  g_object_set_data_full (G_OBJECT (child), "parent", g_steal_pointer (&parent), g_object_unref);

  return child;
}

static GForkTemplate *
make_fork_of_exec (void)
{
  g_autoptr (GForkTemplate) parent = g_fork_template_new_exec ();
  GForkTemplate *child = g_fork_template_fork (parent);

  g_object_set_data_full (G_OBJECT (child), "parent", g_steal_pointer (&parent), g_object_unref);

  return child;
}

static const TestKind kinds[] = {
  { "new", g_fork_template_new },
  { "new-exec", g_fork_template_new_exec },
  { "fork-of-exec", make_fork_of_exec },
  { "fork-of-fork", make_fork_of_fork },
};

/* Adds the test once for each kind of template. */
void
test_add_kinds (const char *path,
                void      (*test) (gconstpointer kind))
{
  /* Under valgrind, which makes this fifty times slower, a child of a template and one of the
   * application are enough. */
  gsize n = test_under_valgrind () ? 2 : G_N_ELEMENTS (kinds);

  for (gsize i = 0; i < n; i++)
    {
      g_autofree char *full_path = g_strconcat (path, "/", kinds[i].name, NULL);

      g_test_add_data_func (full_path, &kinds[i], test);
    }
}

/* Whether the library sends long strings as sealed memory, and not as deleted files. */
gboolean
test_has_sealed_memory (void)
{
#ifdef GFORK_TEST_PORTABLE
  return FALSE;
#else
  return TRUE;
#endif
}

/* Whether the library uses pidfds: it was built to, and the kernel has them. */
gboolean
test_has_pidfds (void)
{
#if defined(GFORK_TEST_PORTABLE) || !defined(SYS_pidfd_open)
  return FALSE;
#else
  g_auto (TestFd) pidfd = syscall (SYS_pidfd_open, getpid (), 0);

  return pidfd >= 0;
#endif
}

gconstpointer
test_kind (const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (g_str_equal (kinds[i].name, name))
      return &kinds[i];

  g_assert_not_reached ();
}

/* Returns a template of a kind, with the module test-worker. */
GForkTemplate *
test_make (gconstpointer kind)
{
  GForkTemplate *template = ((const TestKind *) kind)->make ();

  g_assert_true (G_FORK_IS_TEMPLATE (template));
  g_fork_template_require (template, "test-worker");

  return template;
}

GForkTemplate *
test_template_new (void)
{
  return test_make (&kinds[0]);
}

/* Prepares a template, which has to succeed. */
void
test_prepare (GForkTemplate *template)
{
  g_autoptr (GError) error = NULL;
  gboolean prepared = g_fork_template_prepare (template, NULL, &error);

  g_assert_no_error (error);
  g_assert_true (prepared);
}

/* Runs a function, which has to succeed. */
GSocket *
test_run (GForkTemplate  *template,
          const char     *function,
          GForkProcess  **process)
{
  g_autoptr (GError) error = NULL;
  GSocket *socket = g_fork_template_run (template, function, process, NULL, &error);

  g_assert_no_error (error);
  g_assert_true (G_IS_SOCKET (socket));
  if (process != NULL)
    g_assert_true (G_FORK_IS_PROCESS (*process));

  return socket;
}

/* Starts a worker that answers, of a template of a kind. */
GSocket *
test_start (gconstpointer   kind,
            GForkProcess  **process)
{
  g_autoptr (GForkTemplate) template = test_make (kind);

  return test_run (template, "answer", process);
}

/* Runs a function in a fork, and waits for the byte that it sends when it is ready. */
GSocket *
test_run_until_ready (GForkTemplate  *template,
                      const char     *function,
                      GForkProcess  **process)
{
  g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
  g_autoptr (GError) error = NULL;
  GSocket *socket = test_run (fork, function, process);
  char byte;

  g_socket_set_blocking (socket, TRUE);
  g_assert_cmpint (g_socket_receive (socket, &byte, 1, NULL, &error), ==, 1);
  g_assert_no_error (error);
  return socket;
}

void
test_wait_for (GForkProcess *process)
{
  g_autoptr (GError) error = NULL;
  gboolean waited = g_fork_process_wait (process, NULL, &error);

  g_assert_no_error (error);
  g_assert_true (waited);
}

/* Prepares a template, which has to fail. Returns the error. */
GError *
test_fail_to_prepare (GForkTemplate *template)
{
  GError *error = NULL;

  g_assert_false (g_fork_template_prepare (template, NULL, &error));
  g_assert_nonnull (error);

  return error;
}

/* Runs a function, which has to fail. Returns the error. */
GError *
test_fail_to_run (GForkTemplate *template,
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

/* Executes a program, which has to fail. Returns the error. */
GError *
test_fail_to_exec (GForkTemplate      *template,
                   const char * const *argv)
{
  g_autoptr (GSocket) socket = NULL;
  GError *error = NULL;

  socket = g_fork_template_execv (template, argv, 0, NULL, NULL, &error);
  g_assert_nonnull (error);
  g_assert_null (socket);

  return error;
}

/* Keeps the process of a template busy until @unblock is closed. The template has the module
 * test-worker, and was sent no argument. */
void
test_block (GForkTemplate *template,
            TestFd        *unblock)
{
  g_auto (TestFd) read_end = -1;

  test_pipe (&read_end, unblock);
  g_fork_template_send_fd (template, read_end);
  g_fork_template_call (template, "block_until_eof", NULL);
}

/* Sends the end of a pipe for writing, and returns the other. That has what the processes write,
 * and is at its end when every process that has the pipe has ended. */
int
test_add_tell_tale (GForkTemplate *template)
{
  TestFd read_end = -1;
  TestFd write_end = -1;

  test_pipe (&read_end, &write_end);
  g_fork_template_take_fd (template, write_end);

  return read_end;
}

/* Returns the process ID of the default template, which is started if there is none. */
GPid
test_default_pid (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_dup_default ();

  test_prepare (template);
  g_assert_cmpint (g_fork_template_get_pid (template), >, 0);

  return g_fork_template_get_pid (template);
}

/* Conversations, without a main loop */

void
test_send (GSocket    *socket,
           const char *data)
{
  gsize length = strlen (data);

  while (length > 0)
    {
      g_autoptr (GError) error = NULL;
      gssize sent = g_socket_send_with_blocking (socket, data, length, TRUE, NULL, &error);

      g_assert_no_error (error);
      data += sent;
      length -= sent;
    }
}

/* Sends a question, and returns the line that is the answer. */
char *
test_ask (GSocket    *socket,
          const char *format,
          ...)
{
  g_autoptr (GString) answer = g_string_new (NULL);
  g_autofree char *question = NULL;
  va_list args;

  va_start (args, format);
  question = g_strdup_vprintf (format, args);
  va_end (args);

  test_send (socket, question);
  test_send (socket, "\n");

  for (;;)
    {
      g_autoptr (GError) error = NULL;
      char byte;
      gssize got = g_socket_receive_with_blocking (socket, &byte, 1, TRUE, NULL, &error);

      g_assert_no_error (error);
      g_assert_cmpint (got, ==, 1);
      if (byte == '\n')
        break;

      g_string_append_c (answer, byte);
    }

  return g_string_free (g_steal_pointer (&answer), FALSE);
}

gint64
test_ask_number (GSocket    *socket,
                 const char *question)
{
  g_autofree char *answer = test_ask (socket, "%s", question);
  g_autoptr (GError) error = NULL;
  gint64 number;

  g_ascii_string_to_signed (answer, 10, G_MININT64, G_MAXINT64, &number, &error);
  g_assert_no_error (error);

  return number;
}

/* Reads until the worker has closed its socket. */
GString *
test_read_all (GSocket *socket)
{
  GString *all = g_string_new (NULL);

  for (;;)
    {
      g_autoptr (GError) error = NULL;
      char buffer[65536];
      gssize got = g_socket_receive_with_blocking (socket, buffer, sizeof (buffer), TRUE, NULL, &error);

      g_assert_no_error (error);
      if (got == 0)
        return all;

      g_string_append_len (all, buffer, got);
    }
}

void
test_assert_eof (GSocket *socket)
{
  test_assert_all_is (socket, "");
}
