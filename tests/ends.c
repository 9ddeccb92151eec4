/* ends.c: tests of who is notified of the ends of processes, and how
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include "wire/frame.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Nothing waits in the main loop for what is not known yet. The template that can say how its
 * forks have ended is stopped; the main loop goes on meanwhile, and the causes are known once
 * the template has gone on. */
static void
test_cause_comes_later (void)
{
  GForkTemplate *forks[40];
  GAsyncResult *results[G_N_ELEMENTS (forks)] = { NULL };
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  GPid pid = g_fork_template_get_pid (template);
  gint64 began;

  for (guint i = 0; i < G_N_ELEMENTS (forks); i++)
    {
      forks[i] = g_fork_template_fork (template);
      g_fork_template_require (forks[i], "test-worker");
      test_prepare (forks[i]);
    }
  /* By then it has closed their sockets, too. */
  test_prepare (template);

  g_assert_no_errno (kill (pid, SIGSTOP));
  for (guint i = 0; i < G_N_ELEMENTS (forks); i++)
    {
      const char *const words[] = { "100000", NULL };

      g_fork_template_call (forks[i], "sleep_for", words);
      g_fork_template_prepare_async (forks[i], NULL, test_store_result, &results[i]);
      g_assert_no_errno (kill (g_fork_template_get_pid (forks[i]), SIGKILL));
    }
  for (guint i = 0; i < G_N_ELEMENTS (forks); i++)
    test_wait_for_end (g_fork_template_get_pid (forks[i]));

  /* All of the sockets are at their ends. */
  began = g_get_monotonic_time ();
  g_main_context_iteration (NULL, FALSE);
  for (guint i = 0; i < G_N_ELEMENTS (forks); i++)
    g_assert_null (results[i]);

  g_assert_no_errno (kill (pid, SIGCONT));
  for (guint i = 0; i < G_N_ELEMENTS (forks); i++)
    {
      g_autoptr (GError) error = NULL;
      gboolean prepared = g_fork_template_prepare_finish (forks[i], test_await (&results[i]), &error);

      g_assert_false (prepared);
      /* Nobody waits for longer than that. */
      if (g_get_monotonic_time () - began < G_USEC_PER_SEC / 2)
        test_assert_error (error, G_FORK_ERROR_LOST, "sleep_for", "signal 9");
      else
        test_assert_error (error, G_FORK_ERROR_LOST, "sleep_for");
      g_object_unref (results[i]);
      g_object_unref (forks[i]);
    }
}

/* A template has died while nobody waited for anything of it. Forks say that, before and after
 * the cause is known. */
static void
test_died_unnoticed (void)
{
  g_autoptr (GForkTemplate) above = g_fork_template_new_exec ();
  g_autoptr (GForkTemplate) template = g_fork_template_fork (above);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GAsyncResult) waited = NULL;
  GPid pid = g_fork_template_get_pid (above);

  g_fork_template_require (template, "test-worker");
  test_prepare (template);
  test_prepare (above);
  /* The ends of its workers are reported to this context, which reads its socket for that. */
  {
    g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);

    socket = test_run (fork, "echo", &process);
  }
  g_fork_process_wait_async (process, NULL, test_store_result, &waited);

  g_assert_no_errno (kill (pid, SIGSTOP));
  g_assert_no_errno (kill (g_fork_template_get_pid (template), SIGKILL));
  test_wait_for_end (g_fork_template_get_pid (template));
  while (g_main_context_iteration (NULL, FALSE))
    ;

  for (guint i = 0; i < 3; i++)
    {
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
      g_autoptr (GAsyncResult) result = NULL;
      g_autoptr (GError) error = NULL;

      g_fork_template_run_async (fork, "echo", NULL, test_store_result, &result);
      g_assert_null (g_fork_template_run_finish (fork, test_await (&result), NULL, &error));
      test_assert_error (error, G_FORK_ERROR_LOST, "template");
      if (i == 0)
        {
          g_assert_no_errno (kill (pid, SIGCONT));
          test_prepare (above);
        }
    }

  g_object_unref (g_steal_pointer (&socket));
  test_await (&waited);
}

/* If it does not go on, the operations end all the same. */
static void
test_cause_never_comes (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
  g_autoptr (GError) error = NULL;
  GPid pid = g_fork_template_get_pid (template);

  test_prepare (fork);
  test_prepare (template);
  g_assert_no_errno (kill (pid, SIGSTOP));
  g_assert_no_errno (kill (g_fork_template_get_pid (fork), SIGKILL));
  g_assert_false (g_fork_template_prepare (fork, NULL, &error));
  g_assert_no_errno (kill (pid, SIGCONT));
  test_assert_error (error, G_FORK_ERROR_LOST, "ended unexpectedly");
}

static gboolean
on_too_late (gpointer data)
{
  g_error ("It does not come to an end");
  return G_SOURCE_REMOVE;
}

/* A template that dies by itself is reaped by the main loop, although nobody uses it. */
static void
test_reaped_by_loop (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  guint source = g_timeout_add_seconds (60, on_too_late, NULL);
  GPid pid = g_fork_template_get_pid (template);

  test_prepare (template);
  g_assert_no_errno (kill (pid, SIGKILL));
  while (test_process_exists (pid))
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (source);
}

/* Without a main loop, the next call does it. */
static void
test_reaped_by_next_call (void)
{
  GForkTemplate *template = g_fork_template_new_exec ();
  g_autoptr (GForkTemplate) next = NULL;
  GPid pid = g_fork_template_get_pid (template);

  test_prepare (template);
  g_object_unref (template);
  test_wait_for_end (pid);
  next = g_fork_template_new_exec ();
  g_assert_false (test_process_exists (pid));
}

/* Closing a template ends a run under way, also if it is a fork that is run because the
 * template has children. */
static void
test_closed_with_child (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) child_socket = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) unblock = -1;

  g_fork_template_require (template, "test-worker");
  child = g_fork_template_fork (template);
  child_socket = test_run (child, "answer", &process);
  test_block (template, &unblock);
  g_fork_template_run_async (template, "answer", NULL, test_store_result, &result);
  g_fork_template_close (template);
  test_close_fd (&unblock);
  test_await (&result);
  socket = g_fork_template_run_finish (template, result, NULL, &error);
  g_assert_null (socket);
  test_assert_error (error, G_FORK_ERROR_CLOSED);
}

#ifdef SYS_pidfd_open
static pid_t
fork_and_exit (int status)
{
  pid_t pid = fork ();

  g_assert_no_errno (pid);
  if (pid == 0)
    _exit (status);
  test_wait_for_end (pid);
  return pid;
}

static void
send_with_fd (int         socket,
              const void *data,
              gsize       length,
              int         fd)
{
  struct iovec iov = { (void *) data, length };
  union
  {
    struct cmsghdr header;
    char bytes[CMSG_SPACE (sizeof fd)];
  } control = { 0 };
  struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                            .msg_controllen = sizeof control };

  control.header = (struct cmsghdr){ CMSG_LEN (sizeof fd), SOL_SOCKET, SCM_RIGHTS };
  memcpy (CMSG_DATA (&control.header), &fd, sizeof fd);
  g_assert_cmpint (sendmsg (socket, &message, 0), ==, length);
}

/* What comes over the wire is no reason to wait for a process of that ID, which is another
 * library's here. */
static void
test_anothers_child (void)
{
  struct
  {
    struct gfork_header header;
    struct gfork_pid pid;
  } synced = { 0 };
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  pid_t named = fork_and_exit (7), shown = fork_and_exit (8);
  int fds[2], pidfd = syscall (SYS_pidfd_open, shown, 0), wait_status;

  if (pidfd < 0)
    {
      g_test_skip ("there are no pidfds");
      return;
    }

  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  socket = g_socket_new_from_fd (fds[0], &error);
  g_assert_no_error (error);
  template = g_fork_template_new_from_socket (socket);
  g_fork_template_prepare_async (template, NULL, test_store_result, &result);

  synced.header = (struct gfork_header){ sizeof synced.pid, GFORK_SYNCED, 1, 0 };
  synced.pid.pid = named;
  send_with_fd (fds[1], &synced, sizeof synced, pidfd);
  g_assert_true (g_fork_template_prepare_finish (template, test_await (&result), &error));
  g_assert_no_error (error);

  g_assert_no_errno (close (fds[1]));
  g_assert_false (g_fork_template_prepare (template, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_LOST);

  g_assert_cmpint (waitpid (named, &wait_status, 0), ==, named);
  g_assert_cmpint (WEXITSTATUS (wait_status), ==, 7);
  g_assert_cmpint (waitpid (shown, &wait_status, 0), ==, shown);
  g_assert_cmpint (WEXITSTATUS (wait_status), ==, 8);
  g_assert_no_errno (close (pidfd));
}
#endif

/* ——— Forks of the application ——— */

static int done;

/* Has the template's lock most of the time. */
static gpointer
use_template (gpointer template)
{
  while (!g_atomic_int_get (&done))
    g_fork_template_get_pid (template);
  return NULL;
}

/* A lock that another thread held at the fork is left alone. */
static void
test_locks_in_forks (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  GThread *thread = g_thread_new ("use", use_template, template);

  for (guint i = 0; i < 200; i++)
    {
      int wait_status;
      pid_t pid = fork ();

      g_assert_no_errno (pid);
      if (pid == 0)
        {
          g_object_unref (template);
          _exit (0);
        }
      g_assert_cmpint (waitpid (pid, &wait_status, 0), ==, pid);
      g_assert_cmpint (wait_status, ==, 0);
    }
  g_atomic_int_set (&done, TRUE);
  g_thread_join (thread);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/ends/cause-comes-later", test_cause_comes_later);
  g_test_add_func ("/ends/cause-never-comes", test_cause_never_comes);
  g_test_add_func ("/ends/died-unnoticed", test_died_unnoticed);

  g_test_add_func ("/ends/reaped/by-loop", test_reaped_by_loop);
  g_test_add_func ("/ends/reaped/by-next-call", test_reaped_by_next_call);
  g_test_add_func ("/ends/closed-with-child", test_closed_with_child);
#ifdef SYS_pidfd_open
  g_test_add_func ("/ends/anothers-child", test_anothers_child);
#endif
  g_test_add_func ("/ends/locks-in-forks", test_locks_in_forks);

  return g_test_run ();
}
