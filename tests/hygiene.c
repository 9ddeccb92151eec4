/* hygiene.c: tests of what the helper and workers must not inherit, and of what must not change
 * in the application
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Has 1,000 descriptors open, close-on-exec or not, also high ones. */
static void
open_many (int flags)
{
  struct rlimit limit;

  g_assert_no_errno (getrlimit (RLIMIT_NOFILE, &limit));
  if (limit.rlim_cur < 4096)
    {
      limit.rlim_cur = MIN (limit.rlim_max, 4096);
      g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &limit));
    }
  g_assert_cmpuint (limit.rlim_cur, >, 1100);

  for (int i = 0; i < 1000; i++)
    g_assert_no_errno (open ("/dev/zero", O_RDONLY | flags));
  g_assert_no_errno (fcntl (0, flags == 0 ? F_DUPFD : F_DUPFD_CLOEXEC, (int) limit.rlim_cur - 5));
}

/* A worker has 0, 1, 2, its socket and what was sent, and nothing else: not what
 * the application has open, nor its template, nor its siblings. */
static void
assert_only_what_was_sent (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) sibling = NULL;
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GSocket) child_socket = NULL;
  g_autoptr (GSocket) socket = NULL;

  sibling = g_fork_template_fork (template);
  g_fork_template_send_fd (sibling, 2);
  g_fork_template_send_fd (sibling, 2);
  test_assert_worker_answers (sibling, "strays", "none");

  g_fork_template_send_fd (template, 2);
  child = g_fork_template_fork (template);
  g_fork_template_send_fd (child, 2);
  child_socket = test_run (child, "answer", NULL);
  test_assert_answer (child_socket, "n-args", "2");
  test_assert_answer (child_socket, "strays", "none");
  test_assert_answer (child_socket, "socket-above-stdio", "yes");
  test_assert_answer (child_socket, "fd 0", "/dev/null");

  socket = test_run (template, "answer", NULL);
  test_assert_answer (socket, "n-args", "1");
  test_assert_answer (socket, "strays", "none");
}

static void
test_fds_inheritable (gconstpointer kind)
{
  if (!test_in_subprocess ())
    return;

  open_many (0);
  assert_only_what_was_sent (kind);
}

static void
test_fds_close_on_exec (gconstpointer kind)
{
  if (!test_in_subprocess ())
    return;

  open_many (O_CLOEXEC);
  assert_only_what_was_sent (kind);
}

/* What is opened after the helper was started does not get there either. */
static void
test_fds_opened_later (gconstpointer kind)
{
  if (!test_in_subprocess ())
    return;

  test_default_pid ();
  open_many (0);
  assert_only_what_was_sent (kind);
}

/* A template has a constant number of descriptors, however many workers live. */
static void
test_fds_of_template (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GPtrArray) sockets = g_ptr_array_new_with_free_func (g_object_unref);
  guint few = 0;

  for (int i = 0; i < 40; i++)
    {
      g_autoptr (GForkTemplate) child = g_fork_template_fork (template);

      g_ptr_array_add (sockets, test_run (child, "answer", NULL));
      test_prepare (template);
      if (i == 1)
        few = test_count_fds (g_fork_template_get_pid (template));
    }

  /* One it may just be closing, which it has sent. */
  g_assert_cmpuint (test_count_fds (g_fork_template_get_pid (template)), <=, few + 1);
}

/* An application that was started without some of its standard streams: whatever
 * takes their numbers here, in the worker nothing of the library's does, and
 * what was sent arrives. The result cannot be printed until they are back. */
static void
test_closed_streams (gconstpointer data)
{
  int mask = GPOINTER_TO_INT (data);
  int saved[3];
  char *strays[2];
  char *stdin_file[2];
  char *above[2];
  char *written[2];

  if (!test_in_subprocess ())
    return;

  for (int fd = 0; fd <= 2; fd++)
    {
      saved[fd] = fcntl (fd, F_DUPFD_CLOEXEC, 100);
      g_assert_no_errno (saved[fd]);
    }
  for (int fd = 0; fd <= 2; fd++)
    {
      if ((mask & (1 << fd)) != 0)
        g_assert_no_errno (close (fd));
    }

  for (int i = 0; i < 2; i++)
    {
      g_autoptr (GForkTemplate) template = i == 0 ? g_fork_template_new_exec () : g_fork_template_new ();
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket = NULL;
      g_auto (TestFd) tell_tale = test_add_tell_tale (template);

      g_fork_template_require (template, "test-worker");
      socket = test_run (template, "answer", &process);
      strays[i] = test_ask (socket, "strays");
      stdin_file[i] = test_ask (socket, "fd 0");
      above[i] = test_ask (socket, "socket-above-stdio");
      g_free (test_ask (socket, "arg-write 0"));
      test_send (socket, "exit 0\n");
      test_assert_eof (socket);
      written[i] = test_read_fd (tell_tale);
    }

  for (int fd = 0; fd <= 2; fd++)
    {
      if ((mask & (1 << fd)) != 0)
        g_assert_no_errno (dup2 (saved[fd], fd));
    }

  for (int i = 0; i < 2; i++)
    {
      g_assert_cmpstr (strays[i], ==, "none");
      g_assert_cmpstr (stdin_file[i], ==, "/dev/null");
      g_assert_cmpstr (above[i], ==, "yes");
      g_assert_cmpstr (written[i], ==, "written by the worker");
    }

  /* The library may have lost what dup2() has replaced. */
  _exit (0);
}

/* Signals */

/* Whatever the application ignores, handles or blocks, a worker begins with
 * default handlers and an empty mask. */
static void
handle_signal (int signum)
{
}

static void
spoil_signals (void)
{
  struct sigaction ignore = { .sa_handler = SIG_IGN };
  struct sigaction handle = { .sa_handler = handle_signal };
  sigset_t all;

  for (int signum = 1; signum < SIGRTMAX; signum++)
    {
      /* What cannot be changed, and what tells of bugs. */
      if (signum == SIGKILL || signum == SIGSTOP || signum == SIGSEGV || signum == SIGABRT
          || signum == SIGBUS || signum == SIGILL || signum == SIGFPE || signum == SIGTRAP || signum == SIGCHLD)
        continue;

      /* Those of a terminal would stay ignored. */
      sigaction (signum, signum > SIGQUIT && signum % 2 == 0 ? &ignore : &handle, NULL);
    }
  g_assert_no_errno (sigaction (SIGPIPE, &ignore, NULL));

  sigfillset (&all);
  sigdelset (&all, SIGSEGV);
  sigdelset (&all, SIGABRT);
  g_assert_no_errno (sigprocmask (SIG_SETMASK, &all, NULL));
}

static void
test_signals (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) executed = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) executed_socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *program = test_build_path ("show");

  if (!test_in_subprocess ())
    return;

  spoil_signals ();

  template = test_make (kind);
  executed = g_fork_template_fork (template);
  socket = test_run (template, "answer", &process);
  test_assert_answer (socket, "signals", "clean");

  executed_socket = g_fork_template_execv (executed, (const char *[]){ program, "1", "signals", NULL },
                                           G_FORK_EXEC_SOCKET_STDOUT, NULL, NULL, &error);
  g_assert_no_error (error);
  test_assert_all_is (executed_socket, "shown");

  g_assert_true (g_fork_process_send_signal (process, SIGUSR1, &error));
  g_assert_no_error (error);
  g_assert_true (g_fork_process_wait (process, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_fork_process_get_term_sig (process), ==, SIGUSR1);
}

/* An application that ignores SIGCHLD, for which the system reaps, still learns
 * how forked workers ended; and of its own children the truth or LOST. */
static void
test_sigchld_ignored (gconstpointer kind)
{
  gboolean is_direct = strcmp (((const TestKind *) kind)->name, "new-exec") == 0;
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  if (!test_in_subprocess ())
    return;

  g_assert_true (signal (SIGCHLD, SIG_IGN) != SIG_ERR);
  template = test_make (kind);
  socket = test_run (template, "answer", &process);
  test_assert_answer (socket, "signals", "clean");
  test_send (socket, "exit 9\n");

  if (!g_fork_process_wait (process, NULL, &error))
    {
      g_assert_true (is_direct);
      test_assert_error (error, G_FORK_ERROR_LOST);
      return;
    }

  g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 9);
}

/* The library does not touch the state of the process: signal handlers, the mask,
 * umask, the directory, the limits. */
static void
test_application_is_left_alone (void)
{
  struct sigaction before[65];
  sigset_t mask_before;
  sigset_t mask;
  struct rlimit limit_before;
  struct rlimit limit;
  mode_t umask_before;
  g_autofree char *directory_before = NULL;
  g_autofree char *directory = NULL;

  if (!test_in_subprocess ())
    return;

  /* GLib ignores SIGPIPE as soon as there are sockets. */
  g_type_class_unref (g_type_class_ref (G_TYPE_SOCKET));

  memset (before, 0, sizeof (before));
  for (int signum = 1; signum < 65; signum++)
    sigaction (signum, NULL, &before[signum]);
  g_assert_no_errno (sigprocmask (SIG_BLOCK, NULL, &mask_before));
  umask_before = umask (027);
  umask (umask_before);
  directory_before = g_get_current_dir ();
  g_assert_no_errno (getrlimit (RLIMIT_NOFILE, &limit_before));

  for (int i = 0; i < 2; i++)
    {
      g_autoptr (GForkTemplate) template = i == 0 ? g_fork_template_new () : g_fork_template_new_exec ();
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GAsyncResult) result = NULL;
      g_autoptr (GSocket) socket = NULL;

      g_fork_template_require (template, "test-worker");
      g_fork_template_set_cwd (template, "/proc");
      socket = test_run (template, "answer", &process);
      g_fork_process_wait_async (process, NULL, test_store_result, &result);
      g_fork_process_force_exit (process);
      test_await (&result);
    }

  for (int signum = 1; signum < 65; signum++)
    {
      struct sigaction action;

      memset (&action, 0, sizeof (action));
      sigaction (signum, NULL, &action);
      g_assert_true (action.sa_handler == before[signum].sa_handler);
      g_assert_cmpint (action.sa_flags, ==, before[signum].sa_flags);
    }
  g_assert_no_errno (sigprocmask (SIG_BLOCK, NULL, &mask));
  for (int signum = 1; signum < 65; signum++)
    g_assert_cmpint (sigismember (&mask, signum), ==, sigismember (&mask_before, signum));
  g_assert_cmpint (umask (umask_before), ==, umask_before);
  directory = g_get_current_dir ();
  g_assert_cmpstr (directory, ==, directory_before);
  g_assert_no_errno (getrlimit (RLIMIT_NOFILE, &limit));
  g_assert_cmpuint (limit.rlim_cur, ==, limit_before.rlim_cur);
}

/* Who gets in */

/* The lines of a table of sockets that stand for one that @pid has open, by its
 * inode, which is the field numbered @field. */
static char *
find_sockets (GPid        pid,
              const char *table,
              guint       field)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/fd", pid);
  g_autofree char *file = g_strconcat ("net/", table, NULL);
  g_autofree char *contents = test_read_proc (pid, file);
  g_autoptr (GString) found = g_string_new (NULL);
  g_autoptr (GHashTable) inodes = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GDir) directory = g_dir_open (path, 0, NULL);
  g_auto (GStrv) lines = g_strsplit (contents != NULL ? contents : "", "\n", -1);
  const char *name;

  g_assert_nonnull (directory);
  while ((name = g_dir_read_name (directory)) != NULL)
    {
      g_autofree char *link = g_build_filename (path, name, NULL);
      g_autofree char *target = g_file_read_link (link, NULL);

      /* The standard streams are whose they are. */
      if (atoi (name) > 2 && target != NULL && g_str_has_prefix (target, "socket:["))
        g_hash_table_add (inodes, g_strndup (target + 8, strlen (target) - 9));
    }

  for (gsize i = 1; lines[0] != NULL && lines[i] != NULL; i++)
    {
      g_autofree char *line = g_strstrip (g_strdup (lines[i]));
      g_auto (GStrv) fields = g_regex_split_simple (" +", line, 0, 0);

      if (g_strv_length (fields) > field && g_hash_table_contains (inodes, fields[field]))
        g_string_append_printf (found, "%s\n", line);
    }

  return g_string_free (g_steal_pointer (&found), FALSE);
}

/* Nobody can connect to what a process has: it has Unix sockets alone, and none of
 * them listens or has a name, in the file system or elsewhere. */
static void
assert_no_way_in (GPid pid)
{
  const char *tables[] = { "tcp", "tcp6", "udp", "udp6", "raw", "raw6" };
  g_autofree char *all = find_sockets (pid, "unix", 6);
  g_auto (GStrv) lines = g_strsplit (all, "\n", -1);

  for (gsize i = 0; i < G_N_ELEMENTS (tables); i++)
    {
      g_autofree char *other = find_sockets (pid, tables[i], 9);

      g_assert_cmpstr (other, ==, "");
    }

  /* Num RefCount Protocol Flags Type St Inode Path */
  g_assert_cmpuint (g_strv_length (lines), >, 1);
  for (gsize i = 0; lines[i][0] != '\0'; i++)
    {
      g_auto (GStrv) fields = g_regex_split_simple (" +", lines[i], 0, 0);

      g_assert_cmpuint (g_strv_length (fields), ==, 7);
      g_assert_cmpuint (g_ascii_strtoull (fields[3], NULL, 16) & 0x10000, ==, 0);
    }
}

static void
test_no_way_in (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;

  /* The test's own may be sockets of the program that runs it. */
  if (!test_in_subprocess ())
    return;

  template = test_make (kind);
  child = g_fork_template_fork (template);
  socket = test_run (child, "answer", &process);
  test_prepare (template);
  assert_no_way_in (g_fork_template_get_pid (template));
  assert_no_way_in (g_fork_process_get_pid (process));
  assert_no_way_in (getpid ());
}

/* Nothing appears in the file system, however much is sent: not in the directories
 * where such things are put, and no process has a file open that has a name there. */
static void
assert_no_files (GPid pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/fd", pid);
  g_autoptr (GDir) directory = g_dir_open (path, 0, NULL);
  const char *name;

  g_assert_nonnull (directory);
  while ((name = g_dir_read_name (directory)) != NULL)
    {
      g_autofree char *file = g_build_filename (path, name, NULL);
      struct stat st;

      if (atoi (name) > 2 && stat (file, &st) == 0 && S_ISREG (st.st_mode))
        g_assert_cmpuint (st.st_nlink, ==, 0);
    }
}

static void
test_no_files (void)
{
  const char *variables[] = { "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "HOME" };
  g_autofree char *directory = NULL;
  g_autofree char *string = g_strnfill (1 << 20, 'x');
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  if (test_under_valgrind ())
    {
      g_test_skip ("valgrind has files of its own");
      return;
    }
  if (!test_in_subprocess ())
    return;

  directory = g_dir_make_tmp ("gspawnfork-XXXXXX", &error);
  g_assert_no_error (error);
  for (gsize i = 0; i < G_N_ELEMENTS (variables); i++)
    g_setenv (variables[i], directory, TRUE);

  template = g_fork_template_new_exec ();
  g_fork_template_require (template, "test-worker");
  g_fork_template_set_cwd (template, directory);
  g_fork_template_send_arg (template, string);
  test_prepare (template);
  child = g_fork_template_fork (template);
  g_fork_template_send_arg (child, string);
  socket = test_run (child, "answer", &process);
  test_assert_answer (socket, "n-args", "2");
  test_assert_answer (socket, "cwd", directory);
  assert_no_files (g_fork_template_get_pid (template));
  assert_no_files (g_fork_process_get_pid (process));

  /* It can be removed, so it is empty. */
  g_assert_no_errno (rmdir (directory));
}

/* A name leads to the directories that were named, and to nowhere else: neither up
 * from there, nor to wherever the process happens to be. */
static void
test_module_names (gconstpointer kind)
{
  const char *names[] = {
    "../modules/test-worker", "../modules/test-worker.so", "./test-worker", "./test-worker.so",
    "modules/test-worker", "modules/../modules/test-worker", "..", ".", "", "../", "test-worker.so/",
  };
  g_autofree char *modules = test_build_path ("modules");

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autoptr (GForkTemplate) template = ((const TestKind *) kind)->make ();
      g_autoptr (GForkTemplate) qualified = ((const TestKind *) kind)->make ();
      g_autofree char *function = g_strconcat (names[i], ":answer", NULL);
      g_autoptr (GSocket) socket = NULL;
      g_autoptr (GError) error = NULL;
      g_autoptr (GError) run_error = NULL;

      g_fork_template_set_cwd (template, modules);
      g_fork_template_require (template, names[i]);
      g_assert_false (g_fork_template_prepare (template, NULL, &error));
      test_assert_error (error, G_FORK_ERROR_MODULE);

      g_fork_template_set_cwd (qualified, modules);
      socket = g_fork_template_run (qualified, function, NULL, NULL, &run_error);
      g_assert_null (socket);
      test_assert_error (run_error, G_FORK_ERROR_MODULE);
    }
}

/* A relative directory in the environment, or an empty one, is no way to where the
 * process is either. */
static void
test_module_directories (void)
{
  g_autofree char *modules = test_build_path ("modules");
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GError) error = NULL;

  if (!test_in_subprocess ())
    return;

  g_assert_no_errno (chdir (modules));
  g_setenv ("GFORK_MODULE_PATH", ".::../modules:./", TRUE);
  template = g_fork_template_new_exec ();
  g_fork_template_set_cwd (template, modules);
  g_fork_template_require (template, "test-worker");
  g_assert_false (g_fork_template_prepare (template, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_MODULE, "test-worker");
}

/* Secrets */

/* Looks for a string in all of a worker's memory. It is asked by the inverted
 * bytes, so that it is not there for that. */
static void
assert_in_memory (GSocket    *socket,
                  const char *secret,
                  const char *expected)
{
  g_autoptr (GString) digits = g_string_new (NULL);
  g_autofree char *answer = NULL;

  for (; *secret != '\0'; secret++)
    g_string_append_printf (digits, "%02x", (guchar) ~*secret);
  answer = test_ask (socket, "find %s", digits->str);
  g_assert_cmpstr (answer, ==, expected);
}

static char *
make_secret (const char *whose)
{
  return g_strdup_printf ("secret-%s-%08x%08x", whose, g_test_rand_int (), g_test_rand_int ());
}

/* What one worker was sent is in no sibling's memory, whichever was forked first, and
 * not in its template's; what the template was sent before the forks is in all. */
static void
test_secrets (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) earlier = NULL;
  g_autoptr (GForkTemplate) one = NULL;
  g_autoptr (GForkTemplate) later = NULL;
  g_autoptr (GSocket) earlier_socket = NULL;
  g_autoptr (GSocket) one_socket = NULL;
  g_autoptr (GSocket) later_socket = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autofree char *common = make_secret ("common");
  g_autofree char *its_own = make_secret ("own");
  g_autofree char *variable = make_secret ("variable");
  g_autofree char *of_template = make_secret ("template");
  g_autofree char *padding = g_strnfill (70000, 'x');
  g_autofree char *its_last = make_secret ("long");
  g_autofree char *its_long = g_strconcat (padding, its_last, NULL);
  GSocket *siblings[3];

  if (test_under_valgrind ())
    {
      g_test_skip ("all of valgrind's memory would be searched");
      return;
    }

  template = test_make (kind);
  g_fork_template_send_arg (template, common);
  earlier = g_fork_template_fork (template);
  one = g_fork_template_fork (template);
  g_fork_template_send_arg (one, its_own);
  g_fork_template_send_arg (one, its_long);
  g_fork_template_setenv (one, "SECRET", variable);
  g_fork_template_call (one, "remember", (const char *[]){ its_own, NULL });
  one_socket = test_run (one, "answer", NULL);
  earlier_socket = test_run (earlier, "answer", NULL);
  later = g_fork_template_fork (template);
  later_socket = test_run (later, "answer", NULL);
  g_fork_template_send_arg (template, of_template);
  socket = test_run (template, "answer", NULL);

  assert_in_memory (one_socket, its_own, "found");
  assert_in_memory (one_socket, its_last, "found");
  assert_in_memory (one_socket, variable, "found");
  assert_in_memory (one_socket, common, "found");
  assert_in_memory (one_socket, of_template, "not found");
  assert_in_memory (socket, of_template, "found");

  siblings[0] = earlier_socket;
  siblings[1] = later_socket;
  siblings[2] = socket;
  for (gsize i = 0; i < G_N_ELEMENTS (siblings); i++)
    {
      assert_in_memory (siblings[i], its_own, "not found");
      assert_in_memory (siblings[i], its_last, "not found");
      assert_in_memory (siblings[i], variable, "not found");
      assert_in_memory (siblings[i], common, "found");
    }
  assert_in_memory (earlier_socket, of_template, "not found");
  assert_in_memory (later_socket, of_template, "not found");
}

/* Titles */

static void
assert_comm (GPid        pid,
             const char *expected)
{
  g_autofree char *comm = test_read_proc (pid, "comm");

  g_strchomp (comm);
  g_assert_cmpstr (comm, ==, expected);
}

static gboolean
skip_titles (void)
{
  if (!test_under_valgrind ())
    return FALSE;

  g_test_skip ("valgrind gives its processes a command line of its own");
  return TRUE;
}

/* The titles tell templates from workers, and of these what they run, and whose
 * children they are. */
static void
test_titles (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GForkProcess) child_process = NULL;
  g_autoptr (GSocket) child_socket = NULL;
  GPid pid;

  if (skip_titles ())
    return;

  template = test_make (kind);
  test_prepare (template);
  pid = g_fork_template_get_pid (template);
  test_assert_title (pid, "template", test_process_parent (pid));
  assert_comm (pid, "template");

  child = g_fork_template_fork (template);
  test_prepare (child);
  test_assert_title (g_fork_template_get_pid (child), "template", pid);
  child_socket = test_run (child, "test-worker:answer", &child_process);
  test_assert_title (g_fork_process_get_pid (child_process), "test-worker:answer", pid);
}

/* The same of one that is run itself. */
static void
test_title_of_run (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  GPid pid;

  if (skip_titles ())
    return;

  template = test_make (kind);
  socket = test_run (template, "answer", &process);
  pid = g_fork_process_get_pid (process);
  test_assert_title (pid, "answer", test_process_parent (pid));
  assert_comm (pid, "answer");
}

/* A title has no trace of what the helper was started with, nor of the
 * environment behind it. */
static void
test_title_is_all (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autofree char *path = NULL;
  g_autofree char *contents = NULL;
  g_autofree char *title = NULL;
  g_autoptr (GError) error = NULL;
  gsize length;

  if (skip_titles ())
    return;

  template = test_template_new ();
  socket = test_run (template, "echo", &process);
  path = g_strdup_printf ("/proc/%d/cmdline", g_fork_process_get_pid (process));
  g_assert_true (g_file_get_contents (path, &contents, &length, &error));
  g_assert_no_error (error);
  title = g_strdup (contents);
  for (gsize i = strlen (title); i < length; i++)
    g_assert_cmpint (contents[i], ==, '\0');
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  test_add_kinds ("/hygiene/fds/inheritable", test_fds_inheritable);
  test_add_kinds ("/hygiene/fds/close-on-exec", test_fds_close_on_exec);
  test_add_kinds ("/hygiene/fds/opened-later", test_fds_opened_later);
  test_add_kinds ("/hygiene/fds/of-template", test_fds_of_template);
  for (int mask = 1; mask < 8; mask++)
    {
      g_autofree char *path = g_strdup_printf ("/hygiene/closed%s%s%s", mask & 1 ? "/stdin" : "",
                                               mask & 2 ? "/stdout" : "", mask & 4 ? "/stderr" : "");

      g_test_add_data_func (path, GINT_TO_POINTER (mask), test_closed_streams);
    }

  test_add_kinds ("/hygiene/signals/any", test_signals);
  test_add_kinds ("/hygiene/signals/sigchld-ignored", test_sigchld_ignored);
  g_test_add_func ("/hygiene/application-is-left-alone", test_application_is_left_alone);

  test_add_kinds ("/hygiene/no-way-in", test_no_way_in);
  g_test_add_func ("/hygiene/no-files", test_no_files);
  test_add_kinds ("/hygiene/module-names", test_module_names);
  g_test_add_func ("/hygiene/module-directories", test_module_directories);
  test_add_kinds ("/hygiene/secrets", test_secrets);

  test_add_kinds ("/hygiene/titles/all", test_titles);
  test_add_kinds ("/hygiene/titles/run", test_title_of_run);
  g_test_add_func ("/hygiene/titles/nothing-else", test_title_is_all);

  return g_test_run ();
}
