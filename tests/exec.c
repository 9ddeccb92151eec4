/* exec.c: tests of g_fork_template_execv()
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
#include <unistd.h>

/* Executes tests/show, which has to work. */
static GSocket *
show (GForkTemplate      *template,
      GForkExecFlags      flags,
      GForkProcess      **process,
      const char * const *words)
{
  g_autofree char *program = test_build_path ("show");
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autoptr (GError) error = NULL;
  GSocket *socket;

  g_ptr_array_add (argv, program);
  for (gsize i = 0; words[i] != NULL; i++)
    g_ptr_array_add (argv, (gpointer) words[i]);
  g_ptr_array_add (argv, NULL);

  socket = g_fork_template_execv (template, (const char *const *) argv->pdata, flags, process, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (G_IS_SOCKET (socket));

  return socket;
}

/* The words of a command line. */
#define WORDS(...) \
  ((const char *const[]){ __VA_ARGS__, NULL })

/* What show has written to its standard output, which is the socket. */
static void
assert_shows (GForkTemplate      *template,
              const char * const *words,
              const char         *expected)
{
  g_autoptr (GSocket) socket = show (template, G_FORK_EXEC_SOCKET_STDOUT, NULL, words);

  /* valgrind may have one of its own open in the program. */
  if (!test_under_valgrind () || !g_str_equal (words[1], "fds"))
    test_assert_all_is (socket, expected);
}

/* The program replaces the template, whatever kind it is: its pid and its status
 * are the process's. */
static void
test_exec_any_kind (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) other = test_make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GForkProcess) other_process = NULL;
  g_autoptr (GSocket) socket = show (template, G_FORK_EXEC_SOCKET_STDOUT, &process, WORDS ("1", "pid"));
  g_autoptr (GSocket) other_socket G_GNUC_UNUSED = show (other, G_FORK_EXEC_NONE, &other_process, WORDS ("1", "exit", "17"));
  g_autoptr (GError) error = NULL;
  g_autofree char *pid = g_strdup_printf ("%d", g_fork_process_get_pid (process));

  test_assert_all_is (socket, pid);
  g_assert_true (g_fork_process_wait_check (process, NULL, &error));
  g_assert_no_error (error);
  test_assert_exits (other_process, 17);
}

/* execv_async completes through the main loop. */
static void
test_exec_async (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *program = test_build_path ("show");

  g_fork_template_execv_async (template, WORDS (program, "1", "args"), G_FORK_EXEC_SOCKET_STDOUT,
                               NULL, test_store_result, &result);
  g_assert_null (result);
  test_await (&result);
  g_assert_true (g_async_result_is_tagged (result, g_fork_template_execv_async));
  socket = g_fork_template_execv_finish (template, result, &process, &error);
  g_assert_no_error (error);
  g_assert_nonnull (process);
  {
    g_autofree char *expected = g_strdup_printf ("[%s][1][args]", program);

    test_assert_all_is (socket, expected);
  }
}

/* Strings sent before are appended to the arguments, in order. */
static void
test_args_are_appended (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkTemplate) child = NULL;
  g_autofree char *program = test_build_path ("show");
  g_autofree char *expected = g_strdup_printf ("[%s][1][args][given][sent first][][sent last äöü]", program);

  g_fork_template_send_arg (template, "sent first");
  g_fork_template_send_arg (template, "");
  child = g_fork_template_fork (template);
  g_fork_template_send_arg (child, "sent last äöü");
  assert_shows (child, WORDS ("1", "args", "given"), expected);
}

/* A long string, which travels another way, is appended, too. */
static void
test_long_arg_is_appended (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autofree char *program = test_build_path ("show");
  g_autofree char *string = g_strnfill (100000, 'x');
  g_autofree char *expected = g_strdup_printf ("[%s][1][args][%s]", program, string);

  g_fork_template_send_arg (template, string);
  assert_shows (template, WORDS ("1", "args"), expected);
}

/* The environment and the directory of the template are the program's. */
static void
test_environment_and_cwd (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkTemplate) child = NULL;

  g_fork_template_setenv (template, "GFORK_TEST_VARIABLE", "for the program");
  g_fork_template_set_cwd (template, "/proc");
  child = g_fork_template_fork (template);
  assert_shows (template, WORDS ("1", "env", "GFORK_TEST_VARIABLE"), "for the program");
  assert_shows (child, WORDS ("1", "cwd"), "/proc");
}

/* The flags choose which streams are the socket. */
static void
test_flag_stdin_and_stdout (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GSocket) socket = show (template, G_FORK_EXEC_SOCKET_STDIN | G_FORK_EXEC_SOCKET_STDOUT, NULL,
                                     WORDS ("1", "copy"));
  g_autoptr (GError) error = NULL;

  test_send (socket, "there and back");
  g_assert_true (g_socket_shutdown (socket, FALSE, TRUE, &error));
  g_assert_no_error (error);
  test_assert_all_is (socket, "there and back");
}

static void
test_flag_stderr (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GSocket) socket = show (template, G_FORK_EXEC_SOCKET_STDERR, NULL, WORDS ("1", "errors"));

  test_assert_all_is (socket, "to standard error");
}

/* The program says which of its streams are a socket through a descriptor that is none. */
static void
test_flags_and_streams (void)
{
  const struct
  {
    GForkExecFlags flags;
    const char *expected;
  } cases[] = {
    { G_FORK_EXEC_NONE, "no no no " },
    { G_FORK_EXEC_SOCKET_STDIN, "yes no no " },
    { G_FORK_EXEC_SOCKET_STDOUT, "no yes no " },
    { G_FORK_EXEC_SOCKET_STDERR, "no no yes " },
    { G_FORK_EXEC_SOCKET_STDIN | G_FORK_EXEC_SOCKET_STDERR, "yes no yes " },
    { G_FORK_EXEC_SOCKET_STDIN | G_FORK_EXEC_SOCKET_STDOUT | G_FORK_EXEC_SOCKET_STDERR, "yes yes yes " },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GForkTemplate) template = g_fork_template_new ();
      g_autoptr (GSocket) socket = NULL;
      g_autofree char *shown = NULL;
      g_auto (TestFd) tell_tale = -1;
      g_auto (TestFd) file = open ("/dev/null", O_RDWR | O_CLOEXEC);

      /* The streams that are inherited could be sockets. */
      for (int stream = 0; stream <= 2; stream++)
        {
          if ((cases[i].flags & (G_FORK_EXEC_SOCKET_STDIN << stream)) == 0)
            g_fork_template_map_fd (template, file, stream);
        }

      tell_tale = test_add_tell_tale (template);
      socket = show (template, cases[i].flags, NULL, WORDS ("3", "is-socket", "0", "1", "2"));
      shown = test_read_fd (tell_tale);
      g_assert_cmpstr (shown, ==, cases[i].expected);
    }
}

/* A program gets its streams blocking, as programs expect. */
static void
test_streams_are_blocking (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GSocket) socket = show (template, G_FORK_EXEC_SOCKET_STDIN | G_FORK_EXEC_SOCKET_STDOUT, NULL,
                                     WORDS ("1", "blocking", "0", "1"));

  test_assert_all_is (socket, "yes yes ");
}

/* Without a flag, standard output and error are the application's, and standard
 * input is none. */
static void
test_streams_are_inherited (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autofree char *expected = NULL;
  g_autofree char *shown = NULL;
  g_autofree char *output = NULL;
  g_autofree char *errors = NULL;
  g_auto (TestFd) tell_tale = -1;

  if (!test_in_subprocess ())
    return;

  template = g_fork_template_new_exec ();
  tell_tale = test_add_tell_tale (template);
  socket = show (template, G_FORK_EXEC_NONE, NULL, WORDS ("3", "file", "0", "1", "2"));
  shown = test_read_fd (tell_tale);
  output = g_file_read_link ("/proc/self/fd/1", NULL);
  errors = g_file_read_link ("/proc/self/fd/2", NULL);
  expected = g_strdup_printf ("[/dev/null][%s][%s]", output, errors);
  g_assert_cmpstr (shown, ==, expected);
}

/* A program that has not got the socket lives on when the socket is at its end. */
static void
test_none_shows_eof (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_auto (TestFd) read_end = -1;
  g_auto (TestFd) unblock = -1;

  test_pipe (&read_end, &unblock);
  g_fork_template_send_fd (template, read_end);
  socket = show (template, G_FORK_EXEC_NONE, &process, WORDS ("1", "block", "3"));
  test_assert_eof (socket);

  test_close_fd (&unblock);
  test_assert_exits (process, 71);
}

/* Descriptors sent before become 3, 4, … in order, and strings between them do
 * not count. */
static void
test_fds_are_numbered (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_auto (TestFd) null = open ("/dev/null", O_RDWR | O_CLOEXEC);
  g_auto (TestFd) zero = open ("/dev/zero", O_RDWR | O_CLOEXEC);
  g_auto (TestFd) full = open ("/dev/full", O_RDWR | O_CLOEXEC);

  g_fork_template_send_fd (template, full);
  g_fork_template_send_arg (template, "3");
  g_fork_template_send_arg (template, "4");
  g_fork_template_send_fd (template, null);
  g_fork_template_send_fd (template, zero);
  g_fork_template_send_arg (template, "5");
  assert_shows (template, WORDS ("1", "file"), "[/dev/full][/dev/null][/dev/zero]");
}

/* Many descriptors take just the numbers from 3 on. */
static void
test_many_fds (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GString) expected = g_string_new ("0 1 2 ");

  if (test_under_valgrind ())
    {
      g_test_skip ("valgrind opens one of its own in the program that is executed");
      return;
    }

  for (int i = 0; i < 600; i++)
    {
      g_fork_template_send_fd (template, 2);
      g_string_append_printf (expected, "%d ", 3 + i);
    }
  assert_shows (template, WORDS ("1", "fds"), expected->str);
}

/* Every number below RLIMIT_NOFILE can be had, also when hardly one is free: the
 * highest ones in reverse, so that each descriptor stands where another one is
 * wanted. */
static void
test_map_highest (void)
{
  const struct rlimit few = { 64, 64 };
  const int highest = 63, n = 58;
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) beyond = NULL;
  g_autoptr (GPtrArray) words = NULL;
  g_autoptr (GString) expected = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) null = -1;
  g_auto (TestFd) zero = -1;

  if (test_under_valgrind ())
    {
      g_test_skip ("valgrind does not let the limit be lowered");
      return;
    }
  if (!test_in_subprocess ())
    return;

  null = open ("/dev/null", O_RDWR | O_CLOEXEC);
  zero = open ("/dev/zero", O_RDWR | O_CLOEXEC);
  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &few));
  template = g_fork_template_new_exec ();
  beyond = g_fork_template_fork (template);

  words = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_add (words, g_strdup ("1"));
  g_ptr_array_add (words, g_strdup ("file"));
  expected = g_string_new (NULL);
  for (int i = 0; i < n; i++)
    {
      g_fork_template_map_fd (template, i % 3 == 0 ? null : zero, highest - i);
      test_prepare (template);
      g_ptr_array_add (words, g_strdup_printf ("%d", highest - i));
      g_string_append (expected, i % 3 == 0 ? "[/dev/null]" : "[/dev/zero]");
    }
  g_ptr_array_add (words, NULL);
  assert_shows (template, (const char *const *) words->pdata, expected->str);

  g_fork_template_map_fd (beyond, null, highest + 1);
  g_assert_false (g_fork_template_prepare (beyond, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_FAILED, "64", "RLIMIT_NOFILE");
}

/* Two descriptors that each stand where the other one is wanted change places. */
static void
test_map_crosswise (void)
{
  g_auto (TestFd) null = open ("/dev/null", O_RDWR | O_CLOEXEC);
  g_auto (TestFd) zero = open ("/dev/zero", O_RDWR | O_CLOEXEC);
  g_auto (TestFd) full = open ("/dev/full", O_RDWR | O_CLOEXEC);
  const int files[] = { null, zero, full };
  const char *const names[] = { "[/dev/null]", "[/dev/zero]", "[/dev/full]" };

  /* Their numbers when they arrive do not matter. */
  for (int first = 3; first < 9; first++)
    for (int turn = 0; turn < 3; turn++)
      {
        g_autoptr (GForkTemplate) template = g_fork_template_new ();
        g_autoptr (GString) expected = g_string_new (NULL);
        char numbers[3][8];

        for (int i = 0; i < 3; i++)
          g_fork_template_map_fd (template, files[i], first + (i + turn) % 3);
        for (int i = 0; i < 3; i++)
          {
            g_snprintf (numbers[i], sizeof numbers[i], "%d", first + i);
            g_string_append (expected, names[(i + 3 - turn) % 3]);
          }
        assert_shows (template, WORDS ("1", "file", numbers[0], numbers[1], numbers[2]),
                      expected->str);
      }
}

/* map_fd places a descriptor at its number, also one that is taken while others
 * are moved, and a stream's. */
static void
test_map_fd (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) child = NULL;
  g_auto (TestFd) null = open ("/dev/null", O_RDWR | O_CLOEXEC);
  g_auto (TestFd) zero = open ("/dev/zero", O_RDWR | O_CLOEXEC);
  g_auto (TestFd) full = open ("/dev/full", O_RDWR | O_CLOEXEC);

  g_fork_template_map_fd (template, zero, 0);
  g_fork_template_map_fd (template, full, 5);
  g_fork_template_map_fd (template, null, 4);
  g_fork_template_map_fd (template, zero, 9);
  g_fork_template_map_fd (template, full, 700);
  g_fork_template_send_fd (template, null);
  child = g_fork_template_fork (template);

  assert_shows (template, WORDS ("1", "file", "0", "3", "4", "5", "9", "700"),
                "[/dev/zero][/dev/null][/dev/null][/dev/full][/dev/zero][/dev/full]");
  assert_shows (child, WORDS ("1", "fds"), "0 1 2 3 4 5 9 700 ");
}

/* Nothing leaks: of what the application, the template and its siblings have
 * open, the program has only what it was sent. */
static void
test_nothing_leaks (gconstpointer kind)
{
  g_auto (TestFd) open_here G_GNUC_UNUSED = open ("/dev/null", O_RDWR);
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) sibling = g_fork_template_fork (template);
  g_autoptr (GForkTemplate) plain = g_fork_template_fork (template);
  g_autoptr (GSocket) sibling_socket = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autofree char *shown = NULL;
  g_auto (TestFd) tell_tale = -1;

  g_fork_template_send_fd (sibling, 2);
  sibling_socket = test_run (sibling, "answer", NULL);

  assert_shows (plain, WORDS ("1", "fds"), "0 1 2 ");

  tell_tale = test_add_tell_tale (template);
  socket = show (template, G_FORK_EXEC_NONE, NULL, WORDS ("3", "fds"));
  shown = test_read_fd (tell_tale);
  g_assert_cmpstr (shown, ==, "0 1 2 3 ");
}

/* A program starts with default signals, though the helper handles some. */
static void
test_signals (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) child = g_fork_template_fork (template);

  assert_shows (template, WORDS ("1", "signals"), "shown");
  assert_shows (child, WORDS ("1", "signals"), "shown");
}

/* SEARCH_PATH finds a program in PATH, which is the template's own. */
static void
test_search_path (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkTemplate) other = g_fork_template_new ();
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *program = test_build_path ("show");
  g_autofree char *directory = g_path_get_dirname (program);
  g_autofree char *path = g_strconcat ("/nonexistent:", directory, NULL);

  g_fork_template_setenv (template, "PATH", path);
  socket = g_fork_template_execv (template, WORDS ("show", "1", "args"),
                                  G_FORK_EXEC_SEARCH_PATH | G_FORK_EXEC_SOCKET_STDOUT, NULL, NULL, &error);
  g_assert_no_error (error);
  /* valgrind, which executes the program itself, gives it its whole path. */
  if (!test_under_valgrind ())
    test_assert_all_is (socket, "[show][1][args]");
  g_clear_object (&socket);

  g_fork_template_setenv (other, "PATH", "/nonexistent");
  socket = g_fork_template_execv (other, WORDS ("show", "1", "args"),
                                  G_FORK_EXEC_SEARCH_PATH | G_FORK_EXEC_SOCKET_STDOUT, NULL, NULL, &error);
  test_assert_error (error, G_FORK_ERROR_EXEC, "show", g_strerror (ENOENT));
  g_assert_null (socket);
}

/* Without SEARCH_PATH a name is a path, in the directory of the template. */
static void
test_relative_path (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkTemplate) other = g_fork_template_new ();
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) other_socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *program = test_build_path ("show");
  g_autofree char *directory = g_path_get_dirname (program);

  g_fork_template_set_cwd (template, directory);
  socket = g_fork_template_execv (template, WORDS ("./show", "1", "args"), G_FORK_EXEC_SOCKET_STDOUT,
                                  NULL, NULL, &error);
  g_assert_no_error (error);
  test_assert_all_is (socket, "[./show][1][args]");

  g_fork_template_set_cwd (other, "/");
  other_socket = g_fork_template_execv (other, WORDS ("sh"), G_FORK_EXEC_NONE, NULL, NULL, &error);
  test_assert_error (error, G_FORK_ERROR_EXEC, "sh", g_strerror (ENOENT));
  g_assert_null (other_socket);
}

/* The error names what could not be executed, and the reason. The process has ended, and
 * left nothing. */
static void
test_errors (gconstpointer kind)
{
  const struct
  {
    const char *program;
    int code;
  } cases[] = {
    { "/nonexistent/program", ENOENT },
    { "/proc", EACCES },
    { "/etc/passwd", EACCES },
    { "/etc/passwd/program", ENOTDIR },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GForkTemplate) template = test_make (kind);
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket = NULL;
      g_autoptr (GError) error = NULL;
      g_auto (TestFd) tell_tale = test_add_tell_tale (template);

      socket = g_fork_template_execv (template, WORDS (cases[i].program), G_FORK_EXEC_NONE, &process, NULL, &error);
      test_assert_error (error, G_FORK_ERROR_EXEC, cases[i].program, g_strerror (cases[i].code));
      g_assert_null (socket);
      g_assert_null (process);

      g_clear_object (&template);
      test_assert_fd_eof (tell_tale);
    }
}

/* A language may pass any list. */
static void
test_empty_list (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GError) error = NULL;

  g_assert_null (g_fork_template_execv (template, (const char *const[]){ NULL }, G_FORK_EXEC_NONE,
                                        NULL, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_EXEC, "empty");
  test_prepare (template);
}

/* The same of execv_async. */
static void
test_error_async (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_execv_async (template, WORDS ("/nonexistent/program"), G_FORK_EXEC_SOCKET_STDIN, NULL,
                               test_store_result, &result);
  test_await (&result);
  socket = g_fork_template_execv_finish (template, result, &process, &error);
  test_assert_error (error, G_FORK_ERROR_EXEC, "/nonexistent/program", g_strerror (ENOENT));
  g_assert_null (socket);
  g_assert_null (process);
}

/* Too long a command line is the system's to refuse. */
static void
test_too_long (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *program = test_build_path ("show");
  g_autofree char *string = g_strnfill (64 << 20, 'x');

  if (test_under_valgrind ())
    {
      g_test_skip ("valgrind does not survive that the kernel refuses to execute");
      return;
    }

  g_fork_template_send_arg (template, string);
  socket = g_fork_template_execv (template, WORDS (program, "1", "args"), G_FORK_EXEC_NONE, NULL, NULL, &error);
  test_assert_error (error, G_FORK_ERROR_EXEC, program, g_strerror (E2BIG));
  g_assert_null (socket);
}

/* Cancelling before completion ends the process, and nothing is executed. */
static void
test_cancel (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *program = test_build_path ("show");
  g_auto (TestFd) unblock = -1;
  g_auto (TestFd) tell_tale = -1;

  test_block (template, &unblock);
  tell_tale = test_add_tell_tale (template);
  g_fork_template_execv_async (template, WORDS (program, "3", "args"), G_FORK_EXEC_NONE, cancellable,
                               test_store_result, &result);
  g_cancellable_cancel (cancellable);
  test_await (&result);
  socket = g_fork_template_execv_finish (template, result, NULL, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_null (socket);
  test_assert_fd_eof (tell_tale);
}

/* A template that has live workers can execute, and goes on telling how they
 * end. */
static void
test_exec_a_parent (void)
{
  g_autoptr (GForkTemplate) parent = test_template_new ();
  g_autoptr (GForkTemplate) child = g_fork_template_fork (parent);
  g_autoptr (GForkProcess) child_process = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) child_socket = test_run (child, "answer", &child_process);
  g_autoptr (GSocket) socket G_GNUC_UNUSED = show (parent, G_FORK_EXEC_SOCKET_STDOUT, &process, WORDS ("1", "args"));
  g_autoptr (GError) error = NULL;

  g_assert_true (g_fork_process_wait_check (process, NULL, &error));
  g_assert_no_error (error);

  test_send (child_socket, "exit 18\n");
  test_assert_exits (child_process, 18);
}

/* What was sent to be an argument cannot be one if it holds a NUL; nobody gets a part
 * of it. */
static void
test_nul_in_argument (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GBytes) bytes = g_bytes_new_static ("one\0two", 7);
  g_autoptr (GError) error = NULL;

  g_fork_template_send_arg (template, "zero");
  g_fork_template_send_bytes (template, bytes);
  g_assert_null (g_fork_template_execv (template, WORDS ("/bin/true"), 0, NULL, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_EXEC, "/bin/true", "NUL", "2");
}

/* A stream cannot be the socket and something else. The program is not executed, and the
 * template can still be used. */
static void
test_stream_taken (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) tell_tale = test_add_tell_tale (template);

  g_fork_template_map_fd (template, 2, 1);
  g_assert_null (g_fork_template_execv (template, WORDS ("/bin/true"), G_FORK_EXEC_SOCKET_STDOUT,
                                        NULL, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_FAILED, "/bin/true", "standard output");
  test_prepare (template);
  g_clear_object (&template);
  test_assert_fd_eof (tell_tale);
}

/* What cannot be sent any more does not undo it. */
static void
test_late_mistake (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_execv_async (template, WORDS ("/bin/true"), G_FORK_EXEC_NONE, NULL,
                               test_store_result, &result);
  g_fork_template_send_fd (template, -1);
  test_await (&result);
  socket = g_fork_template_execv_finish (template, result, &process, &error);
  g_assert_no_error (error);
  g_assert_nonnull (socket);
  g_assert_true (g_fork_process_wait_check (process, NULL, &error));
  g_assert_no_error (error);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  test_add_kinds ("/exec/status", test_exec_any_kind);
  test_add_kinds ("/exec/async", test_exec_async);
  g_test_add_func ("/exec/args/appended", test_args_are_appended);
  g_test_add_func ("/exec/args/long", test_long_arg_is_appended);
  g_test_add_func ("/exec/environment", test_environment_and_cwd);
  g_test_add_func ("/exec/search-path", test_search_path);
  g_test_add_func ("/exec/relative-path", test_relative_path);
  test_add_kinds ("/exec/signals", test_signals);

  test_add_kinds ("/exec/streams/stdin-stdout", test_flag_stdin_and_stdout);
  g_test_add_func ("/exec/streams/stderr", test_flag_stderr);
  g_test_add_func ("/exec/streams/flags", test_flags_and_streams);
  g_test_add_func ("/exec/streams/blocking", test_streams_are_blocking);
  g_test_add_func ("/exec/streams/inherited", test_streams_are_inherited);
  test_add_kinds ("/exec/streams/none-shows-eof", test_none_shows_eof);

  test_add_kinds ("/exec/fds/numbered", test_fds_are_numbered);
  g_test_add_func ("/exec/fds/many", test_many_fds);
  test_add_kinds ("/exec/fds/map", test_map_fd);
  g_test_add_func ("/exec/fds/map-highest", test_map_highest);
  g_test_add_func ("/exec/fds/map-crosswise", test_map_crosswise);
  test_add_kinds ("/exec/fds/nothing-leaks", test_nothing_leaks);

  test_add_kinds ("/exec/errors/sync", test_errors);
  g_test_add_func ("/exec/errors/async", test_error_async);
  g_test_add_func ("/exec/errors/empty-list", test_empty_list);
  g_test_add_func ("/exec/errors/too-long", test_too_long);
  g_test_add_func ("/exec/errors/nul", test_nul_in_argument);
  g_test_add_func ("/exec/errors/stream-taken", test_stream_taken);
  test_add_kinds ("/exec/cancel", test_cancel);
  g_test_add_func ("/exec/a-parent", test_exec_a_parent);
  g_test_add_func ("/exec/late-mistake", test_late_mistake);

  return g_test_run ();
}
