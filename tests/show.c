/* show.c: a program that tests execute, and that prints what it was given
 *
 * It uses neither GLib nor anything else that opens descriptors or changes something on its own.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "modules/test-signals.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* The log of valgrind, which has a name, as no pipe of a test has. */
static bool
is_valgrinds (const char *name)
{
  char path[64], target[256];
  ssize_t length;

  snprintf (path, sizeof path, "/proc/self/fd/%.16s", name);
  length = readlink (path, target, sizeof target - 1);
  if (getenv ("GFORK_TEST_VALGRIND") == NULL || length < 0)
    return false;

  target[length] = '\0';
  return target[0] == '/' && length > 5 && strcmp (target + length - 5, "/pipe") == 0;
}

/* Numbers of all open descriptors, in order. */
static void
show_fds (int output)
{
  struct rlimit limit = { 0 };
  DIR *directory = opendir ("/proc/self/fd");
  int own = dirfd (directory);
  bool open_fds[4096] = { false };
  struct dirent *entry;

  /* valgrind keeps its own descriptors above the limit that it shows. */
  getrlimit (RLIMIT_NOFILE, &limit);
  while ((entry = readdir (directory)) != NULL)
    {
      int fd = atoi (entry->d_name);

      if (entry->d_name[0] != '.' && fd != own && (rlim_t) fd < limit.rlim_cur && fd < 4096
          && !is_valgrinds (entry->d_name))
        open_fds[fd] = true;
    }
  closedir (directory);

  for (int fd = 0; fd < 4096; fd++)
    {
      if (open_fds[fd])
        dprintf (output, "%d ", fd);
    }
}

static void
show_signals (int output)
{
  sigset_t mask;

  sigprocmask (SIG_BLOCK, NULL, &mask);
  for (int signum = 1; signum <= SIGRTMAX; signum++)
    {
      struct sigaction action;

      if (signal_is_reserved (signum) || sigaction (signum, NULL, &action) != 0)
        continue;
      if (sigismember (&mask, signum) == 1)
        dprintf (output, "%d:blocked ", signum);
      if (action.sa_handler != SIG_DFL)
        dprintf (output, "%d:ignored ", signum);
    }
  dprintf (output, "shown");
}

/* show FD WHAT …: writes to descriptor FD what it shows. */
int
main (int    argc,
      char **argv)
{
  int output;
  const char *what;

  if (argc < 3)
    return 99;

  output = atoi (argv[1]);
  what = argv[2];

  if (strcmp (what, "args") == 0)
    {
      for (int i = 0; i < argc; i++)
        dprintf (output, "[%s]", argv[i]);
    }
  else if (strcmp (what, "fds") == 0)
    show_fds (output);
  else if (strcmp (what, "file") == 0)
    {
      /* Which file each of the given descriptors is. */
      for (int i = 3; i < argc; i++)
        {
          char path[64];
          char target[256];
          ssize_t length;

          snprintf (path, sizeof (path), "/proc/self/fd/%s", argv[i]);
          length = readlink (path, target, sizeof (target) - 1);
          target[length < 0 ? 0 : length] = '\0';
          dprintf (output, "[%s]", target);
        }
    }
  else if (strcmp (what, "is-socket") == 0)
    {
      struct stat st;

      for (int i = 3; i < argc; i++)
        dprintf (output, "%s ", fstat (atoi (argv[i]), &st) == 0 && S_ISSOCK (st.st_mode) ? "yes" : "no");
    }
  else if (strcmp (what, "blocking") == 0)
    {
      for (int i = 3; i < argc; i++)
        dprintf (output, "%s ", fcntl (atoi (argv[i]), F_GETFL) & O_NONBLOCK ? "no" : "yes");
    }
  else if (strcmp (what, "env") == 0)
    dprintf (output, "%s", getenv (argv[3]) != NULL ? getenv (argv[3]) : "(unset)");
  else if (strcmp (what, "cwd") == 0)
    {
      char path[4096];

      dprintf (output, "%s", getcwd (path, sizeof (path)) != NULL ? path : "?");
    }
  else if (strcmp (what, "pid") == 0)
    dprintf (output, "%d", (int) getpid ());
  else if (strcmp (what, "signals") == 0)
    show_signals (output);
  else if (strcmp (what, "copy") == 0)
    {
      /* Standard input to standard output. */
      char buffer[4096];
      ssize_t got;

      while ((got = read (0, buffer, sizeof (buffer))) > 0)
        {
          if (write (1, buffer, got) != got)
            return 98;
        }
    }
  else if (strcmp (what, "errors") == 0)
    dprintf (2, "to standard error");
  else if (strcmp (what, "exit") == 0)
    return atoi (argv[3]);
  else if (strcmp (what, "block") == 0)
    {
      /* Until the given descriptor is at its end. */
      char byte;

      return read (atoi (argv[3]), &byte, 1) == 0 ? 71 : 72;
    }

  return 0;
}
