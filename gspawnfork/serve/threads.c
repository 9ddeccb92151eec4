/* threads.c: counts threads, as a process with more than one cannot be forked
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

/* Flags of a thread (field 9 of proc_pid_stat(5)) that the kernel itself has started in the
 * process, as io_uring does. A fork has no need of it. */
#define KERNEL_FLAGS 0x200010UL /* PF_KTHREAD, PF_IO_WORKER */

enum
{
  NAME = 2,
  FLAGS = 9,
};

/* Takes name and flags from a thread's /proc/self/task/ID/stat. */
static bool
read_thread (const char    *id,
             char          *name,
             size_t         name_size,
             unsigned long *flags)
{
  char path[64], line[1024];
  char *field, *end;
  ssize_t n;
  int fd;

  snprintf (path, sizeof path, "/proc/self/task/%.16s/stat", id);
  fd = open (path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return false;
  n = read (fd, line, sizeof line - 1);
  close (fd);
  if (n <= 0)
    return false;
  line[n] = '\0';

  /* The name may itself hold parentheses. */
  field = strchr (line, '(');
  end = strrchr (line, ')');
  if (field == NULL || end == NULL)
    return false;
  *end = '\0';
  snprintf (name, name_size, "%s", field + 1);

  field = end + 1;
  for (int i = NAME + 1; i < FLAGS && field != NULL; i++)
    field = strchr (field + 1, ' ');
  *flags = field != NULL ? strtoul (field + 1, NULL, 10) : 0;
  return true;
}

/* Lists the threads, with their names and IDs. Returns how many there are; 0 if they cannot be
 * counted. */
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
      char name[32] = "";
      unsigned long flags = 0;
      int length;

      if (entry->d_name[0] == '.')
        continue;
      if (atol (entry->d_name) == (long) getpid ())
        {
          n++;
          continue;
        }
      if (read_thread (entry->d_name, name, sizeof name, &flags) && (flags & KERNEL_FLAGS) != 0)
        continue;
      n++;

      length = snprintf (names + used, size - used, "%s%s%s%.16s%s", used > 0 ? ", " : "", name,
                         name[0] != '\0' ? " (" : "", entry->d_name,
                         name[0] != '\0' ? ")" : "");
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
      struct stat st = { 0 };
      int n;

      /* The directory has a link for each thread, and two of its own. To ask for their number is
       * faster than to read the directory. */
      if (stat ("/proc/self/task", &st) == 0 && st.st_nlink == 3)
        return 1;

      n = list_threads (names, size);
      if (n == 0 && st.st_nlink > 3)
        {
          /* A confined process cannot read the directory. */
          snprintf (names, size, "%s" GFORK_DETAIL "%s", N_("their names cannot be read"),
                    strerror (EACCES));
          n = st.st_nlink - 2;
        }
      if (n <= 1 || i == PATIENCE_MS)
        return n;
      nanosleep (&pause, NULL);
    }
}
