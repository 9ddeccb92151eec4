/* faults.c: tests of system calls that fail at certain moments
 *
 * This program is its own helper, and replaces some functions of the C library.
 * tests/stress/faults makes every call fail; these tests are for the faults that it has found.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <gspawnfork/gforkworker.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXPORT __attribute__ ((visibility ("default")))

/* ——— Calls that fail ——— */

/* Frames are told apart by their length: header and payload. */
enum
{
  ANY = 0,
  PID_FRAME = 8 + 8,     /* READY and SYNCED */
  EXITED_FRAME = 8 + 32,
};

typedef struct
{
  char call[16];
  int error;
  int after;  /* so many calls of that kind */
  int times;  /* so many times */
  int length; /* of what is sent; ANY */
} Plan;

static Plan plan;

#define VARIABLE "GFORK_TEST_PLAN"

/* The file that helpers write to when they were made to fail. */
#define NOTES "GFORK_TEST_NOTES"

/* In the helpers that are started from now on. */
static void
make_helpers_fail (const Plan *how)
{
  g_autofree char *notes = NULL;
  g_auto (TestFd) fd G_GNUC_UNUSED = g_file_open_tmp (NULL, &notes, NULL);
  g_autofree char *text = g_strdup_printf ("%s %d %d %d %d", how->call, how->error, how->after,
                                           how->times, how->length);

  g_setenv (VARIABLE, text, TRUE);
  g_setenv (NOTES, notes, TRUE);
}

/* A test whose calls do not come by here any more would be good whatever happened. */
static void
assert_helpers_failed (void)
{
  const char *notes = g_getenv (NOTES);
  g_autofree char *contents = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (g_file_get_contents (notes, &contents, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (contents, !=, "");
  g_remove (notes);
}

/* In this process. */
static void
make_fail (const char *call,
           int         error,
           int         times)
{
  plan = (Plan){ .error = error, .times = times, .length = ANY };
  g_strlcpy (plan.call, call, sizeof plan.call);
}

static void
assert_failed (void)
{
  g_assert_cmpint (plan.times, ==, 0);
}

/* Before main(), since a helper never comes back from the library. */
__attribute__ ((constructor)) static void
read_plan (void)
{
  const char *text = getenv (VARIABLE);

  if (text != NULL)
    sscanf (text, "%15s %d %d %d %d", plan.call, &plan.error, &plan.after, &plan.times,
            &plan.length);
}

static void
note (void)
{
  const char *notes = getenv (NOTES);
  int fd = notes != NULL ? open (notes, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;

  if (fd >= 0 && (write (fd, "!", 1) != 1 || close (fd) != 0))
    abort ();
}

static gboolean
fails (const char *call,
       gsize       length)
{
  if (plan.times == 0 || strcmp (plan.call, call) != 0
      || (plan.length != ANY && (gsize) plan.length != length))
    return FALSE;
  if (plan.after > 0)
    {
      plan.after--;
      return FALSE;
    }

  plan.times--;
  note ();
  errno = plan.error;
  return TRUE;
}

#define NEXT(name) ((__typeof__ (&name)) dlsym (RTLD_NEXT, #name))

EXPORT ssize_t
sendmsg (int                  fd,
         const struct msghdr *message,
         int                  flags)
{
  return fails ("sendmsg", message->msg_iov[0].iov_len) ? -1 : NEXT (sendmsg) (fd, message, flags);
}

EXPORT ssize_t
recvmsg (int            fd,
         struct msghdr *message,
         int            flags)
{
  return fails ("recvmsg", ANY) ? -1 : NEXT (recvmsg) (fd, message, flags);
}

EXPORT int
ftruncate (int   fd,
           off_t length)
{
  return fails ("ftruncate", length) ? -1 : NEXT (ftruncate) (fd, length);
}

EXPORT pid_t
wait4 (pid_t          pid,
       int           *wait_status,
       int            options,
       struct rusage *usage)
{
  if (!fails ("wait4", ANY))
    return NEXT (wait4) (pid, wait_status, options, usage);

  /* As if another thread had been faster. */
  if (plan.error == ECHILD)
    NEXT (wait4) (-1, NULL, 0, NULL);
  errno = plan.error;
  return -1;
}

EXPORT int
signalfd (int             fd,
          const sigset_t *mask,
          int             flags)
{
  return fails ("signalfd", ANY) ? -1 : NEXT (signalfd) (fd, mask, flags);
}

/* ——— What is run ——— */

EXPORT int stay (int socket, const GForkArg *args, size_t n_args);

/* Does not mind the end of the conversation. */
EXPORT int
stay (int             socket,
      const GForkArg *args,
      size_t          n_args)
{
  for (;;)
    pause ();
}

/* ——— Tests ——— */

static GForkTemplate *
template_new (void)
{
  GForkTemplate *template = g_fork_template_new_exec ();

  g_unsetenv (VARIABLE);
  return template;
}

/* Runs a worker, asks it something, and has it end with a status. */
static void
check_run (GForkTemplate *template)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_run (template, "answer", &process);

  test_assert_answer (socket, "memory", "nothing");
  test_send (socket, "exit 3\n");
  test_assert_exits (process, 3);
}

/* What the kernel has no memory for now is sent later. */
static void
test_later (gconstpointer data)
{
  const Plan *how = data;
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) fork = NULL;

  make_helpers_fail (how);
  template = template_new ();
  fork = g_fork_template_fork (template);
  check_run (fork);
  test_prepare (template);
  assert_helpers_failed ();
}

static const struct
{
  const char *path;
  Plan plan;
} later[] = {
  { "/faults/later/exited/no-buffers", { "sendmsg", ENOBUFS, 0, 3, EXITED_FRAME } },
  { "/faults/later/exited/no-memory", { "sendmsg", ENOMEM, 0, 3, EXITED_FRAME } },
  { "/faults/later/ready/no-buffers", { "sendmsg", ENOBUFS, 0, 3, PID_FRAME } },
  { "/faults/later/ready/no-memory", { "sendmsg", ENOMEM, 0, 3, PID_FRAME } },
  { "/faults/later/ready/in-flight", { "sendmsg", ETOOMANYREFS, 0, 3, PID_FRAME } },
  { "/faults/later/wait/interrupted", { "wait4", EINTR, 0, 1, ANY } },
};

/* The error that explains why there is no process, too. */
static void
test_error_later (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GError) error = NULL;

  make_helpers_fail (&(Plan){ "sendmsg", ENOMEM, 0, 3, ANY });
  template = template_new ();
  g_fork_template_require (template, "nonexistent");
  fork = g_fork_template_fork (template);
  g_assert_null (g_fork_template_run (fork, "answer", NULL, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_MODULE, "nonexistent");
  assert_helpers_failed ();
}

static const Plan report_lost = { "sendmsg", EPERM, 0, 1, EXITED_FRAME };
static const Plan reaped = { "wait4", ECHILD, 0, 1, ANY };

/* The end of a child that cannot be reported at all, or that another thread of the template
 * has reaped, is not waited for. */
static void
test_end_unknown (gconstpointer how)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  make_helpers_fail (how);
  template = template_new ();
  fork = g_fork_template_fork (template);
  socket = test_run (fork, "answer", &process);
  test_send (socket, "exit 3\n");
  if (g_fork_process_wait (process, NULL, &error))
    g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 3);
  else
    {
      g_assert_error (error, G_FORK_ERROR, G_FORK_ERROR_LOST);
      g_assert_cmpint (g_fork_process_get_wait_status (process), ==, -1);
      g_assert_false (g_fork_process_get_if_exited (process));
      g_assert_false (g_fork_process_get_if_signaled (process));
    }
  assert_helpers_failed ();
}

/* A function that is called makes the template look whether the descriptor that tells
 * of its children is still there. It does without, or tells that it cannot fork. */
static void
test_no_signalfd (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GForkTemplate) other = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) no_socket = NULL;
  g_autoptr (GError) error = NULL;

  make_helpers_fail (&(Plan){ "signalfd", EBADF, 1, G_MAXINT, ANY });
  template = template_new ();
  fork = g_fork_template_fork (template);
  socket = test_run (fork, "answer", &process);
  g_fork_template_call (template, "remember", NULL);
  test_prepare (template);
  test_send (socket, "exit 3\n");
  test_assert_exits (process, 3);

  other = g_fork_template_fork (template);
  no_socket = g_fork_template_run (other, "answer", NULL, NULL, &error);
  g_assert_null (no_socket);
  test_assert_error (error, G_FORK_ERROR_FORK, g_strerror (EBADF));
  assert_helpers_failed ();
}

/* If commands got lost, those after them are not carried out, and the next operation
 * says why. */
static void
test_commands_lost (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GError) error = NULL;

  test_prepare (template);
  make_fail ("sendmsg", EPERM, 1);
  g_fork_template_call (template, "remember", (const char *[]){ "this", NULL });
  g_assert_null (g_fork_template_run (template, "answer", NULL, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_FAILED, g_strerror (EPERM));
  assert_failed ();
}

/* A fork that is made only when it is to execute a program is made later still. */
static void
test_fork_later (void)
{
  static const char *const argv[] = { "/bin/true", NULL };
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();

  for (int i = 0; i < 3; i++)
    {
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket = NULL;
      g_autoptr (GError) error = NULL;

      if (i > 0)
        {
          /* The first is the command to execute it. */
          make_fail ("sendmsg", ENOBUFS, i);
          plan.after = 1;
        }
      socket = g_fork_template_execv (fork, argv, 0, &process, NULL, &error);
      g_assert_no_error (error);
      test_assert_exits (process, 0);
      assert_failed ();
    }
}

/* An answer that cannot be read is the end of a process that may be running. */
static void
test_answer_unreadable (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) tell_tale = -1;

  test_prepare (template);
  tell_tale = test_add_tell_tale (template);
  make_fail ("recvmsg", ENOMEM, 1);
  socket = g_fork_template_run (template, "stay", NULL, NULL, &error);
  g_assert_null (socket);
  test_assert_error (error, G_FORK_ERROR_FAILED, g_strerror (ENOMEM));
  test_assert_fd_eof (tell_tale);
  assert_failed ();
}

/* Nor has a program been executed that was ended for that. */
static void
test_program_unreadable (void)
{
  const char *const argv[] = { "/bin/sleep", "1000", NULL };
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) tell_tale = -1;

  test_prepare (template);
  tell_tale = test_add_tell_tale (template);
  make_fail ("recvmsg", ENOMEM, 1);
  socket = g_fork_template_execv (template, argv, G_FORK_EXEC_NONE, NULL, NULL, &error);
  g_assert_null (socket);
  test_assert_error (error, G_FORK_ERROR_FAILED, g_strerror (ENOMEM));
  test_assert_fd_eof (tell_tale);
  assert_failed ();
}

/* What a signal has interrupted is repeated. */
static void
test_memory_interrupted (void)
{
  g_autofree char *large = g_strnfill (200000, 'x');
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GSocket) socket = NULL;

  make_fail ("ftruncate", EINTR, 2);
  g_fork_template_send_arg (template, large);
  socket = test_run (template, "answer", NULL);
  g_assert_cmpint (test_ask_number (socket, "n-args"), ==, 1);
  assert_failed ();
}

int
main (int    argc,
      char **argv)
{
  g_fork_embed_helper (argc, argv);

  if (test_under_valgrind ())
    {
      g_print ("1..0 # SKIP /proc/self/exe is valgrind\n");
      return 0;
    }
  g_unsetenv ("GSPAWNFORK_HELPER");
  g_test_init (&argc, &argv, NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (later); i++)
    g_test_add_data_func (later[i].path, &later[i].plan, test_later);
  g_test_add_func ("/faults/error-later", test_error_later);
  g_test_add_data_func ("/faults/report-lost", &report_lost, test_end_unknown);
  g_test_add_data_func ("/faults/reaped", &reaped, test_end_unknown);
  g_test_add_func ("/faults/no-signalfd", test_no_signalfd);
  g_test_add_func ("/faults/commands-lost", test_commands_lost);
  g_test_add_func ("/faults/fork-later", test_fork_later);
  g_test_add_func ("/faults/answer-unreadable", test_answer_unreadable);
  g_test_add_func ("/faults/program-unreadable", test_program_unreadable);
  g_test_add_func ("/faults/memory-interrupted", test_memory_interrupted);

  return g_test_run ();
}
