/* template-send.c: tests of sending arguments, descriptors, environment and directory to a
 * template
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

/* Sending */

/* Everything arrives in the order in which it was sent, whatever it is. */
static void
test_send_order (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GBytes) bytes = g_bytes_new_static ("oct\0ets", 7);
  g_autoptr (GUnixFDList) list = g_unix_fd_list_new ();
  g_autoptr (GSocket) pair = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GString) all = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) tell_tale = -1;

  pair = g_socket_new (G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, &error);
  g_assert_no_error (error);
  g_unix_fd_list_append (list, 0, &error);
  g_assert_no_error (error);
  g_unix_fd_list_append (list, 2, &error);
  g_assert_no_error (error);

  g_fork_template_send_arg (template, "zero");
  g_fork_template_send_fd (template, 2);
  g_fork_template_send_bytes (template, bytes);
  tell_tale = test_add_tell_tale (template);
  g_fork_template_send_socket (template, pair);
  g_fork_template_send_arg (template, "");
  g_fork_template_send_fd_list (template, list);
  g_fork_template_send_arg (template, "last");

  socket = test_run (template, "dump_args", NULL);
  all = test_read_all (socket);
  g_assert_cmpmem (all->str, all->len,
                   "4:zero\nfd\n7:oct\0ets\nfd\nfd\n0:\nfd\nfd\n4:last\n",
                   strlen ("4:zero\nfd\n7:oct_ets\nfd\nfd\n0:\nfd\nfd\n4:last\n"));
}

/* A descriptor is duplicated at once: it may be closed right after, before
 * anything was sent, and stays open if it is not. */
static void
test_send_fd_duplicates (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GSocket) socket = NULL;
  g_autofree char *written = NULL;
  g_auto (TestFd) unblock = -1;
  g_auto (TestFd) read_end = -1;
  g_auto (TestFd) write_end = -1;
  g_auto (TestFd) kept = -1;
  g_auto (TestFd) kept_other_end = -1;

  test_block (template, &unblock);
  test_pipe (&read_end, &write_end);
  test_pipe (&kept_other_end, &kept);

  g_fork_template_send_fd (template, write_end);
  g_fork_template_send_fd (template, kept);
  test_close_fd (&write_end);
  test_close_fd (&unblock);

  socket = test_run (template, "answer", NULL);
  test_assert_answer (socket, "arg-write 0", "done");
  test_send (socket, "exit 0\n");
  test_assert_eof (socket);
  written = test_read_fd (read_end);
  g_assert_cmpstr (written, ==, "written by the worker");

  g_assert_no_errno (fcntl (kept, F_GETFD));
}

/* A descriptor that is taken is closed here, once it is there. */
static void
test_take_fd_closes (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GSocket) socket = NULL;
  g_autofree char *written = NULL;
  g_auto (TestFd) tell_tale = test_add_tell_tale (template);

  socket = test_run (template, "write_to_args", NULL);
  written = test_read_fd (tell_tale);
  g_assert_cmpstr (written, ==, "written by the worker");
}

/* A template that ends without having got it closes it just as well. */
static void
test_take_fd_closes_unsent (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_auto (TestFd) tell_tale = -1;

  g_fork_template_close (template);
  tell_tale = test_add_tell_tale (template);
  test_assert_fd_eof (tell_tale);
}

/* A GSocket that is sent works in the worker, and stays open here. */
static void
test_send_socket (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GSocket) here = NULL;
  g_autoptr (GSocket) there = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  char buffer[64] = "";
  int fds[2];

  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  here = g_socket_new_from_fd (fds[0], &error);
  g_assert_no_error (error);
  there = g_socket_new_from_fd (fds[1], &error);
  g_assert_no_error (error);

  g_fork_template_send_socket (template, there);
  socket = test_run (template, "write_to_args", NULL);
  g_assert_cmpint (g_socket_receive_with_blocking (here, buffer, sizeof (buffer) - 1, TRUE, NULL, &error), >, 0);
  g_assert_no_error (error);
  g_assert_cmpstr (buffer, ==, "written by the worker");
  g_assert_false (g_socket_is_closed (there));
  g_assert_no_errno (fcntl (fds[1], F_GETFD));
}

/* Every descriptor of a list is sent; the list remains as it was. */
static void
test_send_fd_list (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GUnixFDList) list = g_unix_fd_list_new ();
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  TestFd tell_tales[3];

  for (gsize i = 0; i < 3; i++)
    {
      g_auto (TestFd) write_end = -1;

      test_pipe (&tell_tales[i], &write_end);
      g_unix_fd_list_append (list, write_end, &error);
      g_assert_no_error (error);
    }

  g_fork_template_send_fd_list (template, list);
  g_assert_cmpint (g_unix_fd_list_get_length (list), ==, 3);
  g_clear_object (&list);

  socket = test_run (template, "write_to_args", NULL);
  for (gsize i = 0; i < 3; i++)
    {
      g_autofree char *written = test_read_fd (tell_tales[i]);

      g_assert_cmpstr (written, ==, "written by the worker");
      test_close_fd (&tell_tales[i]);
    }
}

/* A descriptor can be had at an exact number, even where another one is. */
static void
test_map_fd (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GSocket) socket = NULL;
  g_auto (TestFd) null = open ("/dev/null", O_RDWR | O_CLOEXEC);
  g_auto (TestFd) zero = open ("/dev/zero", O_RDWR | O_CLOEXEC);

  for (int target = 3; target < 20; target++)
    g_fork_template_map_fd (template, target % 2 == 0 ? null : zero, target);
  g_fork_template_send_arg (template, "still here");
  g_fork_template_map_fd (template, zero, 500);
  test_close_fd (&zero);

  socket = test_run (template, "answer", NULL);
  for (int target = 3; target < 20; target++)
    {
      g_autofree char *file = test_ask (socket, "fd %d", target);

      g_assert_cmpstr (file, ==, target % 2 == 0 ? "/dev/null" : "/dev/zero");
    }
  test_assert_answer (socket, "fd 500", "/dev/zero");
  test_assert_answer (socket, "arg 0", "still here");
}

/* Descriptors that were sent, and the socket, make way for those with a number. */
static void
test_map_fd_makes_way (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GSocket) socket = NULL;
  g_auto (TestFd) zero = open ("/dev/zero", O_RDWR | O_CLOEXEC);
  g_auto (TestFd) null = open ("/dev/null", O_RDWR | O_CLOEXEC);

  for (int i = 0; i < 5; i++)
    g_fork_template_send_fd (template, null);
  for (int target = 3; target < 20; target++)
    g_fork_template_map_fd (template, zero, target);

  socket = test_run (template, "answer", NULL);
  for (int i = 0; i < 5; i++)
    {
      g_autofree char *file = test_ask (socket, "arg-fd %d", i);

      g_assert_cmpstr (file, ==, "/dev/null");
    }
  for (int target = 3; target < 20; target++)
    {
      g_autofree char *file = test_ask (socket, "fd %d", target);

      g_assert_cmpstr (file, ==, "/dev/zero");
    }
}

/* Environment and directory */

/* Variables are set, replaced and unset in order, and calls see them as they are
 * at that moment. The application's own stay. */
static void
test_environment (void)
{
  const char *args[] = { "GFORK_TEST_ONE", NULL };
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GSocket) socket = NULL;

  if (!test_in_subprocess ())
    return;

  g_setenv ("GFORK_TEST_INHERITED", "from the application", TRUE);
  g_setenv ("GFORK_TEST_UNSET", "from the application", TRUE);

  template = test_template_new ();
  g_fork_template_setenv (template, "GFORK_TEST_ONE", "first");
  g_fork_template_call (template, "remember_environment", args);
  g_fork_template_setenv (template, "GFORK_TEST_ONE", "second = äöü");
  g_fork_template_setenv (template, "GFORK_TEST_EMPTY", "");
  g_fork_template_unsetenv (template, "GFORK_TEST_UNSET");
  g_fork_template_unsetenv (template, "GFORK_TEST_NEVER_SET");

  socket = test_run (template, "answer", NULL);
  {
    g_autofree char *memory = test_ask (socket, "memory");

    g_assert_true (g_str_has_prefix (memory, "first in "));
  }
  test_assert_answer (socket, "env GFORK_TEST_ONE", "second = äöü");
  test_assert_answer (socket, "env GFORK_TEST_EMPTY", "");
  test_assert_answer (socket, "env GFORK_TEST_UNSET", "(unset)");
  test_assert_answer (socket, "env GFORK_TEST_INHERITED", "from the application");

  g_assert_null (g_getenv ("GFORK_TEST_ONE"));
  g_assert_cmpstr (g_getenv ("GFORK_TEST_UNSET"), ==, "from the application");
}

/* The directory is the application's unless it is set. */
static void
test_cwd (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
  g_autofree char *here = g_get_current_dir ();
  g_autofree char *real = realpath (here, NULL);
  g_autofree char *still_here = NULL;

  g_fork_template_set_cwd (template, "/proc");
  g_fork_template_set_cwd (template, "sys/kernel");
  test_assert_worker_answers (template, "cwd", "/proc/sys/kernel");

  test_assert_worker_answers (child, "cwd", real);

  still_here = g_get_current_dir ();
  g_assert_cmpstr (still_here, ==, here);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/template/send/order", test_send_order);
  g_test_add_func ("/template/send/fd-duplicates", test_send_fd_duplicates);
  g_test_add_func ("/template/send/take-fd", test_take_fd_closes);
  g_test_add_func ("/template/send/take-fd-unsent", test_take_fd_closes_unsent);
  g_test_add_func ("/template/send/socket", test_send_socket);
  g_test_add_func ("/template/send/fd-list", test_send_fd_list);
  g_test_add_func ("/template/map-fd/numbers", test_map_fd);
  g_test_add_func ("/template/map-fd/makes-way", test_map_fd_makes_way);
  g_test_add_func ("/template/environment", test_environment);
  g_test_add_func ("/template/cwd", test_cwd);

  return g_test_run ();
}
