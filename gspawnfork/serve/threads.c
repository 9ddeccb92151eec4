/* threads.c: a process with more than one thread cannot be forked
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/template.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A thread that was joined is still listed for a moment: the kernel wakes the
 * joiner before it takes the thread off its list. */
#define PATIENCE_MS 50

/* Reads the list, for their names. */
static int
list_threads (char  *names,
              size_t size)
{
  DIR *directory = opendir ("/proc/self/task");
  struct dirent *entry;
  size_t used = 0;
  int n = 0;

  if (directory == NULL)
    {
      /* The C library knows at least whether there ever was a second one. */
      if (GFORK_NEVER_THREADED)
        return 1;
      snprintf (names, size, "/proc/self/task: %s", strerror (errno));
      return 0;
    }

  names[0] = '\0';
  while ((entry = readdir (directory)) != NULL)
    {
      char path[64], name[32];
      int fd, length;
      ssize_t got;

      if (entry->d_name[0] == '.')
        continue;
      n++;
      if (atol (entry->d_name) == (long) getpid ())
        continue;

      snprintf (path, sizeof path, "/proc/self/task/%.16s/comm", entry->d_name);
      fd = open (path, O_RDONLY | O_CLOEXEC);
      got = fd < 0 ? -1 : read (fd, name, sizeof name - 1);
      if (fd >= 0)
        close (fd);
      if (got <= 0)
        got = snprintf (name, sizeof name, "%.16s\n", entry->d_name);
      name[got - 1] = '\0';

      length = snprintf (names + used, size - used, "%s%s", used > 0 ? ", " : "", name);
      if (length > 0 && (size_t) length < size - used)
        used += length;
    }
  closedir (directory);

  return n;
}

int
gfork_count_threads (char  *names,
                     size_t size)
{
  for (int i = 0;; i++)
    {
      const struct timespec pause = { .tv_nsec = 1000000 };
      struct stat st;
      int n;

      /* The directory has a link for each of them and two of its own, which is
       * faster than reading it. */
      if (stat ("/proc/self/task", &st) == 0 && st.st_nlink == 3)
        return 1;

      n = list_threads (names, size);
      if (n <= 1 || i == PATIENCE_MS)
        return n;
      nanosleep (&pause, NULL);
    }
}
