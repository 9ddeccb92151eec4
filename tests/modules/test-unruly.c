/* test-unruly.c: a module that changes what the template relies on
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-module.h"

#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

EXPORT int ignore_children (const GForkArg *, size_t, char *, size_t);

int
ignore_children (const GForkArg *args,
                 size_t          n_args,
                 char           *error,
                 size_t          error_size)
{
  signal (SIGCHLD, SIG_IGN);
  return 0;
}

EXPORT int default_signals (const GForkArg *, size_t, char *, size_t);

int
default_signals (const GForkArg *args,
                 size_t          n_args,
                 char           *error,
                 size_t          error_size)
{
  for (int signum = 1; signum < NSIG; signum++)
    signal (signum, SIG_DFL);
  return 0;
}

/* Waits until all that it can reap have ended. */
EXPORT int reap_everybody (const GForkArg *, size_t, char *, size_t);

int
reap_everybody (const GForkArg *args,
                size_t          n_args,
                char           *error,
                size_t          error_size)
{
  while (waitpid (-1, NULL, 0) > 0)
    ;
  return 0;
}

/* Leaves a process with all that the template has open, its socket too, until the
 * descriptor that was sent is at its end. */
EXPORT int leave_a_fork (const GForkArg *, size_t, char *, size_t);

int
leave_a_fork (const GForkArg *args,
              size_t          n_args,
              char           *error,
              size_t          error_size)
{
  const GForkArg *taken;
  char byte;

  if (g_fork_take_args (&taken) != 1)
    {
      snprintf (error, error_size, "expected one descriptor");
      return 1;
    }
  if (fork () == 0)
    {
      while (read (taken[0].fd, &byte, 1) > 0)
        ;
      _exit (0);
    }
  close (taken[0].fd);
  return 0;
}

/* Has its parent trace it, and stops. */
EXPORT int be_traced (int, const GForkArg *, size_t);

int
be_traced (int             socket,
           const GForkArg *args,
           size_t          n_args)
{
  if (ptrace (PTRACE_TRACEME, 0, NULL, NULL) != 0)
    return 1;
  return raise (SIGSTOP);
}
