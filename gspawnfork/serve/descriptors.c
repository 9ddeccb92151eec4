/* descriptors.c: which descriptors a process has, and at which numbers
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/template.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* An application may have been started with some of them closed. Whatever was
 * opened next would become standard output, and be printed to. */
void
gfork_fill_standard_streams (void)
{
  for (int fd = 0; fd <= 2; fd++)
    if (fcntl (fd, F_GETFD) < 0 && errno == EBADF)
      {
        int null = open ("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY);

        if (null >= 0 && null != fd)
          {
            dup2 (null, fd);
            close (null);
          }
      }
}

static int
compare (const void *a,
         const void *b)
{
  int x = *(const int *) a, y = *(const int *) b;

  return (x > y) - (x < y);
}

static bool
contains (const int *sorted,
          size_t     n,
          int        fd)
{
  return bsearch (&fd, sorted, n, sizeof fd, compare) != NULL;
}

/* Closes what lies between @first and @last, whatever the kernel offers. */
static void
close_between (unsigned first,
               unsigned last,
               const int *keep,
               size_t    n)
{
  struct rlimit limit;
  DIR *directory;
  unsigned end;

  if (first > last)
    return;

#if defined(SYS_close_range) && !defined(GFORK_PORTABLE)
  if (syscall (SYS_close_range, first, last, 0) == 0)
    return;
#endif

  directory = opendir ("/proc/self/fd");
  if (directory != NULL)
    {
      struct dirent *entry;

      while ((entry = readdir (directory)) != NULL)
        {
          long fd = atol (entry->d_name);

          if (entry->d_name[0] != '.' && (unsigned) fd >= first && (unsigned) fd <= last
              && fd != dirfd (directory) && !contains (keep, n, fd))
            close (fd);
        }
      closedir (directory);
      return;
    }

  /* Without /proc every number has to be tried, up to a limit that may have
   * been lowered since; more than this cannot be helped. */
  end = getrlimit (RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 65536 ? limit.rlim_cur : 65536;
  for (unsigned fd = first; fd <= last && fd < end; fd++)
    if (!contains (keep, n, fd))
      close (fd);
}

/* Closes everything from 3 up but @keep, which gets sorted. */
void
gfork_close_all_but (int   *keep,
                     size_t n)
{
  unsigned first = 3;

  qsort (keep, n, sizeof *keep, compare);
  for (size_t i = 0; i < n; i++)
    {
      if (keep[i] < (int) first)
        continue;
      close_between (first, (unsigned) keep[i] - 1, keep, n);
      first = (unsigned) keep[i] + 1;
    }
  close_between (first, UINT_MAX, keep, n);
}

/* In a fork of an application: nothing that it had open stays open, but for
 * the wake-up descriptors of its main contexts. GLib in this process goes on to
 * use their numbers, and shares their counters with the application, so each is
 * replaced by a new one of the same kind. */
void
gfork_close_applications (int socket)
{
  DIR *directory = opendir ("/proc/self/fd");
  struct dirent *entry;
  int *keep = malloc (sizeof *keep);
  size_t n = 0;

  if (keep == NULL)
    _exit (127);
  keep[n++] = socket;

  while (directory != NULL && (entry = readdir (directory)) != NULL)
    {
      int fd = atoi (entry->d_name), fresh, *grown;
      char path[64], kind[64];
      ssize_t length;

      snprintf (path, sizeof path, "/proc/self/fd/%.16s", entry->d_name);
      length = readlink (path, kind, sizeof kind - 1);
      if (length < 0 || fd < 3)
        continue;
      kind[length] = '\0';
      if (strcmp (kind, "anon_inode:[eventfd]") != 0)
        continue;

      fresh = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
      grown = realloc (keep, (n + 1) * sizeof *keep);
      if (fresh < 0 || grown == NULL)
        _exit (127);
      keep = grown;
      keep[n++] = fd;
      dup3 (fresh, fd, O_CLOEXEC);
      close (fresh);
    }
  if (directory != NULL)
    closedir (directory);

  gfork_close_all_but (keep, n);
  free (keep);
}

bool
gfork_placements_have (const struct gfork_placements *placements,
                       int                            target)
{
  for (size_t i = 0; i < placements->n; i++)
    if (placements->items[i].target == target)
      return true;

  return false;
}

/* Takes @fd, also when it fails. */
bool
gfork_placements_add (struct gfork_placements *placements,
                      int                      fd,
                      int                      target,
                      char                    *reason,
                      size_t                   reason_size)
{
  struct gfork_placement *grown;
  struct rlimit limit;

  /* There, moving others out of the way needs one more. */
  if (target < 0
      || (getrlimit (RLIMIT_NOFILE, &limit) == 0 && (rlim_t) target + 1 >= limit.rlim_cur))
    {
      snprintf (reason, reason_size, "%s", strerror (EBADF));
      close (fd);
      return false;
    }

  if (gfork_placements_have (placements, target))
    {
      snprintf (reason, reason_size, "%s" GFORK_DETAIL "%d",
                N_("a descriptor is asked for twice"), target);
      close (fd);
      return false;
    }

  grown = realloc (placements->items, (placements->n + 1) * sizeof *grown);
  if (grown == NULL)
    {
      snprintf (reason, reason_size, "%s", strerror (errno));
      close (fd);
      return false;
    }

  placements->items = grown;
  grown[placements->n++] = (struct gfork_placement){ fd, target };
  return true;
}

void
gfork_placements_close (struct gfork_placements *placements)
{
  for (size_t i = 0; i < placements->n; i++)
    close (placements->items[i].fd);
  placements->n = 0;
}

static bool
move_up (int *fd,
         int  lowest)
{
  int moved = fcntl (*fd, F_DUPFD_CLOEXEC, lowest);

  if (moved < 0)
    return false;
  close (*fd);
  *fd = moved;
  return true;
}

/* Puts every descriptor where it is wanted. What stands there and is still
 * needed, @movable, moves out of the way first. */
bool
gfork_place (struct gfork_placements *placements,
             int                    **movable,
             size_t                   n_movable,
             char                    *reason,
             size_t                   reason_size)
{
  int lowest = 3;

  if (placements->n == 0)
    return true;

  for (size_t i = 0; i < placements->n; i++)
    if (placements->items[i].target >= lowest)
      lowest = placements->items[i].target + 1;

  for (size_t i = 0; i < placements->n; i++)
    for (size_t j = 0; j < n_movable; j++)
      if (*movable[j] == placements->items[i].target && !move_up (movable[j], lowest))
        goto failed;

  for (size_t i = 0; i < placements->n; i++)
    if (!move_up (&placements->items[i].fd, lowest))
      goto failed;

  for (size_t i = 0; i < placements->n; i++)
    {
      if (dup2 (placements->items[i].fd, placements->items[i].target) < 0)
        goto failed;
      close (placements->items[i].fd);
    }

  return true;

failed:
  snprintf (reason, reason_size, "%s", strerror (errno));
  return false;
}
