/* bench-fork.c: a loop of socketpair() and fork() in an empty program, to compare with
 *
 * Reads numbers, one a line. For each it makes as many processes, one after
 * another, and writes how many nanoseconds one of them took on average.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void
check (int         result,
       const char *what)
{
  if (result >= 0)
    return;

  fprintf (stderr, "bench-fork: %s: %s\n", what, strerror (errno));
  exit (1);
}

static void
make_process (void)
{
  int fds[2];
  pid_t pid;
  char byte;

  check (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), "socketpair");

  pid = fork ();
  check (pid, "fork");
  if (pid == 0)
    _exit (0);

  close (fds[1]);
  check ((int) read (fds[0], &byte, 1), "read");
  close (fds[0]);
  check (waitpid (pid, NULL, 0), "waitpid");
}

static double
now (void)
{
  struct timespec time;

  clock_gettime (CLOCK_MONOTONIC, &time);

  return (double) time.tv_sec * 1e9 + (double) time.tv_nsec;
}

int
main (void)
{
  char line[32];

  /* Without a buffer, which each fork would copy. */
  setvbuf (stdout, NULL, _IONBF, 0);
  puts ("ready bench-fork");

  while (fgets (line, sizeof line, stdin) != NULL)
    {
      long n = strtol (line, NULL, 10);
      double start = now ();

      for (long i = 0; i < n; i++)
        make_process ();

      printf ("%.0f\n", n > 0 ? (now () - start) / (double) n : 0.0);
    }

  return 0;
}
