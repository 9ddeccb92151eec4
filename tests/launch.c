/* launch.c: tests of programs that a template starts without a fork
 *
 * The first program of a template is executed by a fork, and later ones are started without one.
 * Nobody must see a difference.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WORDS(...) \
  ((const char *const[]){ __VA_ARGS__, NULL })

#define OUT G_FORK_EXEC_STDOUT_PIPE

/* Executes a program in a template. */
static GForkProcess *
execute_in (GForkTemplate      *template,
            const char * const *argv,
            GForkExecFlags      flags,
            GSocket           **conversation)
{
  GForkProcess *process = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = g_fork_template_execv (template, argv, flags, &process, NULL, &error);

  g_assert_no_error (error);
  g_assert_nonnull (socket);
  if (conversation != NULL)
    *conversation = g_steal_pointer (&socket);
  return process;
}

static char *
read_output (GForkProcess *process)
{
  g_autofree char *out = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_process_communicate_utf8 (process, NULL, NULL, &out, NULL, &error);
  g_assert_no_error (error);
  return g_steal_pointer (&out);
}

/* Executes a program that does nothing. So the template expects the same of its next forks. */
static void
execute_true (GForkTemplate *template,
              gboolean       by_a_fork)
{
  g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
  g_autoptr (GForkProcess) process = NULL;

  if (by_a_fork)
    test_prepare (fork);
  process = execute_in (fork, WORDS ("/bin/true"), G_FORK_EXEC_NONE, NULL);
  test_assert_exits (process, 0);
}

/* Where closing descriptors takes more than a system call, and where vfork() is fork(), a fork is
 * always made. */
static gboolean
can_launch (void)
{
#ifdef SYS_close_range
  return test_has_pidfds () && !test_under_valgrind () && syscall (SYS_close_range, ~0U, ~0U, 0) == 0;
#else
  return FALSE;
#endif
}

/* Asserts that a template that has loaded this module has made @expected forks, with the one
 * that answers. */
static void
assert_n_forks (GForkTemplate *template,
                int            expected)
{
  g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket G_GNUC_UNUSED = test_run (fork, "tell_forks", &process);

  test_wait_for (process);
  if (can_launch ())
    g_assert_cmpint (g_fork_process_get_exit_status (process) / 10, ==, expected);
}

/* ——— Without a fork ——— */

static void
test_no_forks (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();

  if (!can_launch ())
    g_test_skip ("a fork is always made here");

  g_fork_template_require (template, "test-atfork");
  execute_true (template, TRUE);
  for (guint i = 0; i < 5; i++)
    execute_true (template, FALSE);
  assert_n_forks (template, 2);
}

/* Everything that a program can be given, and that takes no memory of the template's, does not
 * take a fork either. */
static void
give_all (GForkTemplate *fork,
          int            fd)
{
  g_autoptr (GUnixFDList) list = g_unix_fd_list_new ();

  g_unix_fd_list_append (list, fd, NULL);
  g_unix_fd_list_append (list, fd, NULL);
  g_fork_template_set_environ (fork, WORDS ("PATH=/usr/bin:/bin", "A=1", "B=x=y", "A=2", "C=3"));
  g_fork_template_setenv (fork, "C", "4");
  g_fork_template_setenv (fork, "D", "");
  g_fork_template_unsetenv (fork, "B");
  g_fork_template_unsetenv (fork, "NOBODY");
  g_fork_template_set_cwd (fork, "/usr");
  g_fork_template_set_cwd (fork, "bin");
  g_fork_template_send_arg (fork, "sent");
  g_fork_template_send_arg (fork, "b");
  g_fork_template_send_fd_list (fork, list);
  g_fork_template_map_fd (fork, fd, 4);
  g_fork_template_map_fd (fork, fd, 200);
  g_fork_template_setsid (fork);
  g_fork_template_set_limit (fork, G_FORK_LIMIT_FILE_SIZE, 300 * 512);
  g_fork_template_set_limit (fork, G_FORK_LIMIT_CORE, 0);
  g_fork_template_die_with_application (fork);
}

static const char describe[]
    = "echo \"$@\"; env | sort; pwd; ulimit -Sf; ulimit -Hf; ulimit -c; ls /proc/$$/fd; "
      "grep -E '^(Sig|Shd|Thr)' /proc/$$/status | grep -v SigQ; "
      "test $(cut -d' ' -f6 /proc/$$/stat) = $$ && echo leads; echo merged >&2";

static void
test_all (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autofree char *expected = NULL;
  g_auto (TestFd) fd = open ("/dev/null", O_RDWR | O_CLOEXEC);

  g_fork_template_require (template, "test-atfork");
  g_fork_template_setenv (template, "GONE", "1");
  for (guint i = 0; i < 3; i++)
    {
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
      g_autoptr (GForkProcess) process = NULL;
      g_autofree char *out = NULL;

      give_all (fork, fd);
      if (i == 0)
        test_prepare (fork);
      process = execute_in (fork, WORDS ("sh", "-c", describe, "sh"),
                            OUT | G_FORK_EXEC_SEARCH_PATH | G_FORK_EXEC_STDERR_MERGE, NULL);
      out = read_output (process);
      test_assert_exits (process, 0);
      g_assert_nonnull (strstr (out, "sent b\nA=1\nC=4\nD=\n"));
      g_assert_nonnull (strstr (out, "/usr/bin\n300\n300\n0\n0\n1\n2\n200\n3\n4\n5\n"));
      g_assert_nonnull (strstr (out, "leads\nmerged\n"));
      if (expected == NULL)
        expected = g_steal_pointer (&out);
      else
        g_assert_cmpstr (out, ==, expected);
    }

  assert_n_forks (template, 2);
}

/* What the template was sent before is the program's, and stays the template's. */
static void
test_inherited (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autofree char *more = g_strnfill (100 * 1000, 'x');
  g_auto (TestFd) fd = open ("/dev/null", O_RDWR | O_CLOEXEC);

  g_fork_template_require (template, "test-atfork");
  g_fork_template_setenv (template, "INHERITED", "yes");
  g_fork_template_set_cwd (template, "/usr");
  g_fork_template_send_arg (template, "one");
  g_fork_template_send_fd (template, fd);
  g_fork_template_map_fd (template, fd, 9);
  execute_true (template, TRUE);

  for (guint i = 0; i < 4; i++)
    {
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
      g_autoptr (GForkProcess) process = NULL;
      g_autofree char *out = NULL;

      g_fork_template_send_arg (fork, "two");
      if (i == 2)
        g_fork_template_map_fd (fork, fd, 3);
      process = execute_in (fork,
                            WORDS ("/bin/sh", "-c", "echo $1 $2 $INHERITED; pwd; ls /proc/$$/fd",
                                   "sh"),
                            OUT, NULL);
      out = read_output (process);
      g_assert_cmpstr (out, ==, i == 2 ? "one two yes\n/usr\n0\n1\n2\n3\n4\n9\n"
                                       : "one two yes\n/usr\n0\n1\n2\n3\n9\n");
    }
  assert_n_forks (template, 2);

  /* Shared memory takes a fork. */
  g_fork_template_send_arg (template, more);
  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
      g_autoptr (GForkProcess) process = NULL;
      g_autofree char *out = NULL;

      process = execute_in (fork, WORDS ("/bin/sh", "-c", "echo ${#1} ${#2}", "sh"), OUT, NULL);
      out = read_output (process);
      g_assert_cmpstr (out, ==, "3 100000\n");
    }
}

/* What a fork of the template has, which is what the template has. */
static char *
describe_fork (GForkTemplate *template)
{
  g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_run (fork, "answer", &process);
  GPid pid = g_fork_process_get_pid (process);
  g_autofree char *cwd = test_ask (socket, "cwd");
  g_autofree char *variable = test_ask (socket, "env C");
  g_autofree char *limits = test_read_proc (pid, "limits");

  return g_strdup_printf ("%s, %s, %u descriptors, session %d\n%s", cwd, variable,
                          test_count_fds (pid), getsid (pid), limits);
}

/* The template's environment, directory, descriptors and limits stay what they were. */
static void
test_template_is_unchanged (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autofree char *before = NULL;
  g_autofree char *after = NULL;

  before = describe_fork (template);
  execute_true (template, TRUE);
  for (guint i = 0; i < 20; i++)
    {
      g_auto (TestFd) fd = open ("/dev/null", O_RDWR | O_CLOEXEC);
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
      g_autoptr (GForkProcess) process = NULL;

      give_all (fork, fd);
      process = execute_in (fork, WORDS ("/bin/true"),
                            G_FORK_EXEC_SOCKET_STDIN | G_FORK_EXEC_SOCKET_STDERR, NULL);
      test_assert_exits (process, 0);
    }

  after = describe_fork (template);
  g_assert_cmpstr (after, ==, before);
}

/* What a program was sent is in no later fork's memory. */
static void
test_secrets (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GForkTemplate) secretive = NULL;
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autofree char *secret = NULL;
  g_autoptr (GString) digits = g_string_new ("find ");

  if (test_under_valgrind ())
    {
      g_test_skip ("all of valgrind's memory would be searched");
      return;
    }

  execute_true (template, TRUE);
  secret = g_strdup_printf ("secret-%08x%08x", g_test_rand_int (), g_test_rand_int ());
  secretive = g_fork_template_fork (template);
  g_fork_template_setenv (secretive, "SECRET", secret);
  g_fork_template_send_arg (secretive, secret);
  process = execute_in (secretive, WORDS ("true", secret), G_FORK_EXEC_SEARCH_PATH, NULL);
  test_assert_exits (process, 0);

  for (const char *c = secret; *c != '\0'; c++)
    g_string_append_printf (digits, "%02x", (guchar) ~*c);
  fork = g_fork_template_fork (template);
  socket = test_run (fork, "answer", NULL);
  test_assert_answer (socket, digits->str, "not found");
}

/* ——— What cannot be started ——— */

typedef struct
{
  const char *name;
  void (*give) (GForkTemplate *fork);
  const char *program;
  GForkExecFlags flags;
} Mistake;

static void
give_nothing (GForkTemplate *fork)
{
}

static void
give_missing_directory (GForkTemplate *fork)
{
  g_fork_template_set_cwd (fork, "/usr");
  g_fork_template_set_cwd (fork, "nowhere");
  g_fork_template_setenv (fork, "A", "1");
}

static void
give_no_variable (GForkTemplate *fork)
{
  g_fork_template_set_environ (fork, WORDS ("A=1", "no variable"));
}

static void
give_equals_sign (GForkTemplate *fork)
{
  g_fork_template_setenv (fork, "A=B", "1");
}

static void
give_nul (GForkTemplate *fork)
{
  g_autoptr (GBytes) bytes = g_bytes_new_static ("a\0b", 3);

  g_fork_template_send_bytes (fork, bytes);
}

static void
give_number_twice (GForkTemplate *fork)
{
  g_fork_template_map_fd (fork, 0, 7);
  g_fork_template_map_fd (fork, 0, 7);
}

static void
give_high_number (GForkTemplate *fork)
{
  g_fork_template_map_fd (fork, 0, G_MAXINT);
}

static void
give_limit (GForkTemplate *fork)
{
  g_fork_template_setsid (fork);
  g_fork_template_set_limit (fork, G_FORK_LIMIT_OPEN_FILES, G_MAXUINT64);
}

static const Mistake mistakes[] = {
  { "missing-program", give_nothing, "/nowhere/at-all", G_FORK_EXEC_NONE },
  { "missing-in-path", give_nothing, "gspawnfork-nowhere", G_FORK_EXEC_SEARCH_PATH },
  { "no-program", give_nothing, "/etc/passwd", G_FORK_EXEC_NONE },
  { "directory", give_nothing, "/", G_FORK_EXEC_NONE },
  { "missing-directory", give_missing_directory, "/bin/true", G_FORK_EXEC_NONE },
  { "no-variable", give_no_variable, "/bin/true", G_FORK_EXEC_NONE },
  { "equals-sign", give_equals_sign, "/bin/true", G_FORK_EXEC_NONE },
  { "nul", give_nul, "/bin/true", G_FORK_EXEC_NONE },
  { "number-twice", give_number_twice, "/bin/true", G_FORK_EXEC_NONE },
  { "high-number", give_high_number, "/bin/true", G_FORK_EXEC_NONE },
  { "limit", give_limit, "/bin/true", G_FORK_EXEC_NONE },
};

/* The error is the same with and without a fork, and the template goes on. */
static void
test_mistake (gconstpointer data)
{
  const Mistake *mistake = data;
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GError) expected = NULL;

  execute_true (template, TRUE);
  for (guint i = 0; i < 3; i++)
    {
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket = NULL;
      g_autoptr (GError) error = NULL;

      mistake->give (fork);
      if (i == 0)
        {
          g_autoptr (GError) ignored = NULL;

          g_fork_template_prepare (fork, NULL, &ignored);
        }
      socket = g_fork_template_execv (fork, WORDS (mistake->program), mistake->flags, &process,
                                      NULL, &error);
      g_assert_null (socket);
      g_assert_null (process);
      g_assert_nonnull (error);
      g_assert_cmpint (error->domain, ==, G_FORK_ERROR);
      if (expected == NULL)
        expected = g_steal_pointer (&error);
      else
        {
          g_assert_cmpint (error->code, ==, expected->code);
          g_assert_cmpstr (error->message, ==, expected->message);
        }
      execute_true (template, FALSE);
    }
}

/* ——— Forks that are held back ——— */

/* What is used otherwise, or not at all, is as if the fork had been made at once. */
static void
test_other_uses (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GForkTemplate) prepared = NULL;
  g_autoptr (GForkTemplate) run = NULL;
  g_autoptr (GForkTemplate) parent = NULL;
  g_autoptr (GForkTemplate) grandchild = NULL;
  g_autoptr (GForkTemplate) earlier = NULL;
  g_autoptr (GForkTemplate) detached = NULL;
  g_autoptr (GForkTemplate) taken = NULL;
  g_autoptr (GForkTemplate) of_closed = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  execute_true (template, TRUE);
  prepared = g_fork_template_fork (template);
  test_prepare (prepared);
  g_assert_cmpint (g_fork_template_get_pid (prepared), >, 0);

  parent = g_fork_template_fork (template);
  grandchild = g_fork_template_fork (parent);
  test_assert_worker_answers (grandchild, "env PATHETIC", "(unset)");
  execute_true (template, FALSE);

  /* What the template is sent later is not the fork's. */
  earlier = g_fork_template_fork (template);
  g_fork_template_setenv (template, "LATER", "1");
  process = execute_in (earlier, WORDS ("/bin/sh", "-c", "exit ${LATER:-0}"), G_FORK_EXEC_NONE,
                        NULL);
  test_assert_exits (process, 0);

  g_object_unref (g_fork_template_fork (template));
  g_fork_template_close (parent);

  detached = g_fork_template_fork (template);
  socket = g_fork_template_detach (detached, NULL, &error);
  g_assert_no_error (error);
  taken = g_fork_template_new_from_socket (socket);
  test_prepare (taken);

  run = g_fork_template_fork (template);
  of_closed = g_fork_template_fork (template);
  test_assert_worker_answers (run, "env LATER", "1");
  execute_true (template, FALSE);

  g_clear_object (&run);
  run = g_fork_template_fork (template);
  g_fork_template_close (template);
  test_assert_worker_answers (run, "env LATER", "1");
  test_assert_worker_answers (of_closed, "env LATER", "1");
}

/* A template that has died cannot make the fork, and that is seen. */
static void
test_lost (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GForkTemplate) fork = NULL;

  execute_true (template, TRUE);
  test_prepare (template);
  fork = g_fork_template_fork (template);
  test_kill_and_wait (g_fork_template_get_pid (template));
  test_assert_exec_fails (fork, WORDS ("/bin/true"), G_FORK_ERROR_LOST);
}

/* The communication with what was started is as ever: here, of many at a time. */
static void
test_many (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  GForkTemplate *forks[20];
  GForkProcess *processes[G_N_ELEMENTS (forks)];
  GSocket *sockets[G_N_ELEMENTS (forks)];

  execute_true (template, TRUE);
  for (guint i = 0; i < G_N_ELEMENTS (forks); i++)
    forks[i] = g_fork_template_fork (template);
  for (guint i = 0; i < G_N_ELEMENTS (forks); i++)
    processes[i] = execute_in (forks[i], WORDS ("/bin/cat"),
                               G_FORK_EXEC_SOCKET_STDIN | G_FORK_EXEC_SOCKET_STDOUT, &sockets[i]);
  for (guint i = 0; i < G_N_ELEMENTS (forks); i++)
    {
      g_autofree char *word = g_strdup_printf ("%u", i);

      g_socket_set_blocking (sockets[i], TRUE);
      test_send (sockets[i], word);
      g_socket_shutdown (sockets[i], FALSE, TRUE, NULL);
      test_assert_all_is (sockets[i], word);
      test_assert_exits (processes[i], 0);
      g_object_unref (sockets[i]);
      g_object_unref (processes[i]);
      g_object_unref (forks[i]);
    }
}

/* More than is looked at takes a fork, and works. */
static void
test_much (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autofree char *word = g_strnfill (50 * 1000, 'x');

  execute_true (template, TRUE);
  for (gsize n = 1; n <= 32; n *= 2)
    {
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
      g_autoptr (GForkProcess) process = NULL;
      g_autofree char *expected = g_strdup_printf ("%zu %zu\n", n, n * strlen (word));
      g_autofree char *out = NULL;

      for (gsize i = 0; i < n; i++)
        {
          g_fork_template_send_arg (fork, word);
          g_fork_template_send_fd (fork, 0);
        }
      process = execute_in (fork, WORDS ("/bin/sh", "-c", "IFS=; a=\"$*\"; echo $# ${#a}", "sh"),
                            OUT, NULL);
      out = read_output (process);
      g_assert_cmpstr (out, ==, expected);
    }
}

/* It is killed with the process that it would have been forked from. */
static void
test_dies (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;

  execute_true (template, TRUE);
  test_prepare (template);
  fork = g_fork_template_fork (template);
  g_fork_template_die_with_application (fork);
  process = execute_in (fork, WORDS ("/bin/sleep", "1000"), G_FORK_EXEC_SOCKET_STDIN, &socket);
  test_kill_and_wait (g_fork_template_get_pid (template));
  g_socket_set_blocking (socket, TRUE);
  test_assert_eof (socket);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/launch/no-forks", test_no_forks);
  g_test_add_func ("/launch/all", test_all);
  g_test_add_func ("/launch/inherited", test_inherited);
  g_test_add_func ("/launch/template-is-unchanged", test_template_is_unchanged);
  g_test_add_func ("/launch/secrets", test_secrets);
  test_add_table ("/launch/mistakes", mistakes, test_mistake);
  g_test_add_func ("/launch/held/other-uses", test_other_uses);
  g_test_add_func ("/launch/held/lost", test_lost);
  g_test_add_func ("/launch/held/many", test_many);
  g_test_add_func ("/launch/much", test_much);
  g_test_add_func ("/launch/dies", test_dies);

  return g_test_run ();
}
