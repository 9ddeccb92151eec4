/* test-guest.c: a module that starts programs, prints and draws random numbers in a template
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-module.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t child;

static int
fail (char       *error,
      size_t      error_size,
      const char *what,
      int         error_number)
{
  snprintf (error, error_size, "%s: %s", what, strerror (error_number));
  return 1;
}

/* Starts a program that ends with the status that is the first argument. */
EXPORT int start_program (const GForkArg *, size_t, char *, size_t);

int
start_program (const GForkArg *args,
               size_t          n_args,
               char           *error,
               size_t          error_size)
{
  char command[32];
  char *argv[] = { (char *) "sh", (char *) "-c", command, NULL };
  int result;

  snprintf (command, sizeof command, "exit %s", args[0].data);
  result = posix_spawn (&child, "/bin/sh", NULL, NULL, argv, environ);
  return result == 0 ? 0 : fail (error, error_size, "posix_spawn", result);
}

/* Waits until that program has ended, but leaves its status to be collected. */
EXPORT int await_program (const GForkArg *, size_t, char *, size_t);

int
await_program (const GForkArg *args,
               size_t          n_args,
               char           *error,
               size_t          error_size)
{
  siginfo_t info;

  return waitid (P_PID, child, &info, WEXITED | WNOWAIT) == 0
             ? 0
             : fail (error, error_size, "waitid", errno);
}

/* Fails unless that program has ended with the status that is the first argument. */
EXPORT int collect_program (const GForkArg *, size_t, char *, size_t);

int
collect_program (const GForkArg *args,
                 size_t          n_args,
                 char           *error,
                 size_t          error_size)
{
  int wait_status;

  if (waitpid (child, &wait_status, 0) != child)
    return fail (error, error_size, "waitpid", errno);
  if (WIFEXITED (wait_status) && WEXITSTATUS (wait_status) == atoi (args[0].data))
    return 0;
  snprintf (error, error_size, "wait status %d", wait_status);
  return 1;
}

/* Executes the program that is the second argument and what follows, with the file that is
 * the first as its output, and waits for it. */
EXPORT int run_program (const GForkArg *, size_t, char *, size_t);

int
run_program (const GForkArg *args,
             size_t          n_args,
             char           *error,
             size_t          error_size)
{
  posix_spawn_file_actions_t actions;
  char *argv[8] = { NULL };
  int result, wait_status;

  for (size_t i = 1; i < n_args && i < 8; i++)
    argv[i - 1] = (char *) args[i].data;
  posix_spawn_file_actions_init (&actions);
  posix_spawn_file_actions_addopen (&actions, 1, args[0].data, O_WRONLY | O_CREAT | O_APPEND, 0600);
  result = posix_spawn (&child, argv[0], &actions, NULL, argv, environ);
  posix_spawn_file_actions_destroy (&actions);
  if (result != 0)
    return fail (error, error_size, "posix_spawn", result);
  return waitpid (child, &wait_status, 0) == child ? 0
                                                   : fail (error, error_size, "waitpid", errno);
}

static void
handle_signal (int signum)
{
  (void) signum;
}

/* As g_socket_new() ignores SIGPIPE, and others take other signals. */
EXPORT int change_signals (const GForkArg *, size_t, char *, size_t);

int
change_signals (const GForkArg *args,
                size_t          n_args,
                char           *error,
                size_t          error_size)
{
  signal (SIGPIPE, SIG_IGN);
  signal (SIGWINCH, SIG_IGN);
  signal (SIGTERM, handle_signal);
  signal (SIGURG, handle_signal);
  return 0;
}

/* Leaves text in the buffer of a stream to the file that is the first argument. */
EXPORT int print_text (const GForkArg *, size_t, char *, size_t);

int
print_text (const GForkArg *args,
            size_t          n_args,
            char           *error,
            size_t          error_size)
{
  FILE *stream = fopen (args[0].data, "ae");

  if (stream == NULL)
    return fail (error, error_size, "fopen", errno);
  fputs ("printed;", stream);
  return 0;
}

/* Uses the generators in the template, and seeds them, too. */
EXPORT int draw_numbers (const GForkArg *, size_t, char *, size_t);

int
draw_numbers (const GForkArg *args,
              size_t          n_args,
              char           *error,
              size_t          error_size)
{
  srand (1);
  srand48 (1);
  return rand () == random () && lrand48 () == 0;
}

/* Says what a generator has next: rand, random or lrand48. */
EXPORT int tell_number (int, const GForkArg *, size_t);

int
tell_number (int             socket,
             const GForkArg *args,
             size_t          n_args)
{
  long number = strcmp (args[0].data, "rand") == 0     ? rand ()
                : strcmp (args[0].data, "random") == 0 ? random ()
                                                       : lrand48 ();

  return dprintf (socket, "%ld\n", number) < 0;
}

/* Ignores all signals that can be ignored, says so, and leaves with 42 when told. */
EXPORT int be_stubborn (int, const GForkArg *, size_t);

int
be_stubborn (int             socket,
             const GForkArg *args,
             size_t          n_args)
{
  char byte;

  for (int signum = 1; signum < NSIG; signum++)
    if (signum != SIGCHLD)
      signal (signum, SIG_IGN);
  if (write (socket, "!", 1) != 1)
    return 1;
  while (read (socket, &byte, 1) > 0 && byte != '\n')
    ;
  return 42;
}

/* The same, but dies with the process that it was forked from. */
EXPORT int depend_on_parent (int, const GForkArg *, size_t);

int
depend_on_parent (int             socket,
                  const GForkArg *args,
                  size_t          n_args)
{
  prctl (PR_SET_PDEATHSIG, SIGKILL);
  return be_stubborn (socket, args, n_args);
}

/* Has io_uring start a thread of the kernel's in this process; "skip" in the error if the
 * system has none. */
EXPORT int start_kernel_thread (const GForkArg *, size_t, char *, size_t);

int
start_kernel_thread (const GForkArg *args,
                     size_t          n_args,
                     char           *error,
                     size_t          error_size)
{
  struct io_uring_params parameters = { .flags = IORING_SETUP_SQPOLL, .sq_thread_idle = 100000 };

  if (syscall (SYS_io_uring_setup, 4, &parameters) >= 0)
    return 0;
  snprintf (error, error_size, "skip: %s", strerror (errno));
  return 1;
}
