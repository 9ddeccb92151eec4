/* descriptors.c: which descriptors a process has, and at which numbers
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/descriptors.h"
#include "serve/messages.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* An application may have been started with some of them closed. A file that is opened then
 * would become standard output, and be printed to. */
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

/* Returns where to end when every number has to be tried, as there is no /proc. The limit may
 * have been lowered while higher numbers were open, which cannot be found out. */
static int
highest_descriptor (void)
{
  struct rlimit limit;

  return getrlimit (RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 65536 ? (int) limit.rlim_cur
                                                                          : 65536;
}

/* Closes everything from @first to @last, if the system has a call for that. */
static bool
close_at_once (unsigned first,
               unsigned last)
{
#if defined(SYS_close_range) && !defined(GFORK_PORTABLE)
  return syscall (SYS_close_range, first, last, 0) == 0;
#else
  (void) first;
  (void) last;
  return false;
#endif
}

/* Closes everything from @first to @last, by the best way that the system has. */
static void
close_between (unsigned first,
               unsigned last)
{
  DIR *directory;
  unsigned end;

  if (first > last || close_at_once (first, last))
    return;

  directory = opendir ("/proc/self/fd");
  if (directory != NULL)
    {
      struct dirent *entry;

      while ((entry = readdir (directory)) != NULL)
        {
          long fd = atol (entry->d_name);

          if (entry->d_name[0] != '.' && (unsigned) fd >= first && (unsigned) fd <= last
              && fd != dirfd (directory))
            close (fd);
        }
      closedir (directory);
      return;
    }

  end = (unsigned) highest_descriptor ();
  for (unsigned fd = first; fd <= last && fd < end; fd++)
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
      close_between (first, (unsigned) keep[i] - 1);
      first = (unsigned) keep[i] + 1;
    }
  close_between (first, UINT_MAX);
}

/* Closes everything from @first up, by functions that are safe in a fork of a process with
 * threads. */
void
gfork_close_from (int first)
{
  if (close_at_once (first, UINT_MAX))
    return;

  for (int fd = first; fd < highest_descriptor (); fd++)
    close (fd);
}

/* Whether it is an eventfd or the like, whose file has no type. */
static bool
is_anonymous (int fd)
{
  struct stat st;

  return fstat (fd, &st) == 0 && (st.st_mode & S_IFMT) == 0;
}

/* Puts a new eventfd in the place of a descriptor that may be one, and adds that to @keep. */
static void
replace_eventfd (int     fd,
                 int   **keep,
                 size_t *n)
{
  int fresh, *grown;

  if (!is_anonymous (fd))
    return;

  fresh = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  grown = realloc (*keep, (*n + 1) * sizeof **keep);
  if (fresh < 0 || grown == NULL)
    _exit (127);
  *keep = grown;
  grown[(*n)++] = fd;
  dup3 (fresh, fd, O_CLOEXEC);
  close (fresh);
}

/* In a fork of an application: closes everything that this had open but @socket and the eventfds
 * of its main contexts. GLib in this process goes on to use their numbers, but their counters
 * are shared with the application, so each is replaced by a new one. */
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
    if (entry->d_name[0] != '.' && atoi (entry->d_name) > 2)
      replace_eventfd (atoi (entry->d_name), &keep, &n);
  if (directory != NULL)
    closedir (directory);
  else
    for (int fd = 3; fd < highest_descriptor (); fd++)
      replace_eventfd (fd, &keep, &n);

  gfork_close_all_but (keep, n);
  free (keep);
}

/* In an interpreter: closes what it has inherited, and leaves what it has opened itself. The
 * latter has a close-on-exec flag, the former has none. */
void
gfork_close_inherited (int socket)
{
  DIR *directory = opendir ("/proc/self/fd");
  struct dirent *entry;

  while (directory != NULL && (entry = readdir (directory)) != NULL)
    {
      int fd = atoi (entry->d_name);

      if (fd > 2 && fd != socket && (fcntl (fd, F_GETFD) & FD_CLOEXEC) == 0)
        close (fd);
    }
  if (directory != NULL)
    closedir (directory);
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

/* Takes @fd, unless it fails. */
bool
gfork_placements_add (struct gfork_placements *placements,
                      int                      fd,
                      int                      target,
                      char                    *reason,
                      size_t                   reason_size)
{
  struct gfork_placement *grown;
  struct rlimit limit = { .rlim_cur = RLIM_INFINITY };

  getrlimit (RLIMIT_NOFILE, &limit);
  if (target < 0 || (rlim_t) target >= limit.rlim_cur)
    {
      snprintf (reason, reason_size, "%s" GFORK_DETAIL "%llu",
                N_("RLIMIT_NOFILE does not let the process have that number"),
                (unsigned long long) limit.rlim_cur);
      return false;
    }

  if (gfork_placements_have (placements, target))
    {
      snprintf (reason, reason_size, "%s" GFORK_DETAIL "%d",
                N_("a descriptor is asked for twice"), target);
      return false;
    }

  grown = realloc (placements->items, (placements->n + 1) * sizeof *grown);
  if (grown == NULL)
    {
      snprintf (reason, reason_size, "%s", strerror (errno));
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

/* Moves a descriptor to a number from *@lowest up at which none is wanted. Sets *@lowest to
 * where to look for the next one. */
static bool
move_aside (const struct gfork_placements *placements,
            int                           *fd,
            int                           *lowest)
{
  int moved;

  while ((moved = fcntl (*fd, F_DUPFD_CLOEXEC, *lowest)) >= 0)
    {
      *lowest = moved + 1;
      if (!gfork_placements_have (placements, moved))
        {
          close (*fd);
          *fd = moved;
          return true;
        }
      close (moved);
    }

  return false;
}

/* Finds the placement that is still to be made from @number; with @wanting, to @number. */
static struct gfork_placement *
find_unplaced (struct gfork_placements *placements,
               size_t                   n_placed,
               int                      number,
               bool                     wanting)
{
  for (size_t i = n_placed; i < placements->n; i++)
    if ((wanting ? placements->items[i].target : placements->items[i].fd) == number)
      return &placements->items[i];

  return NULL;
}

/* Places @next, then the one that is wanted at the number that has become free, and so on.
 * Placements that were made are moved to the beginning of the array. */
static bool
place_chain (struct gfork_placements *placements,
             size_t                  *n_placed,
             struct gfork_placement  *next)
{
  while (next != NULL)
    {
      struct gfork_placement placed = *next;

      if (placed.fd == placed.target)
        {
          if (fcntl (placed.fd, F_SETFD, 0) != 0)
            return false;
        }
      else
        {
          if (dup2 (placed.fd, placed.target) < 0)
            return false;
          close (placed.fd);
        }

      *next = placements->items[*n_placed];
      placements->items[*n_placed] = (struct gfork_placement){ placed.target, placed.target };
      ++*n_placed;
      next = placed.fd == placed.target
                 ? NULL
                 : find_unplaced (placements, *n_placed, placed.fd, true);
    }

  return true;
}

/* Puts every descriptor where it is wanted. A descriptor that is there and still needed is moved
 * away first. Those in @movable may be anywhere. Of those to be placed as few as possible are
 * moved twice, as there may be hardly a free number below RLIMIT_NOFILE. */
bool
gfork_place (struct gfork_placements *placements,
             int                    **movable,
             size_t                   n_movable,
             char                    *reason,
             size_t                   reason_size)
{
  size_t n_placed = 0;
  int lowest = 3;

  for (size_t j = 0; j < n_movable; j++)
    if (gfork_placements_have (placements, *movable[j])
        && !move_aside (placements, movable[j], &lowest))
      goto failed;

  /* Each chain begins with a number that no descriptor to be placed has. */
  for (size_t i = 0; i < placements->n;)
    {
      struct gfork_placement *in_the_way;

      i = i < n_placed ? n_placed : i;
      if (i == placements->n)
        break;
      in_the_way = find_unplaced (placements, n_placed, placements->items[i].target, false);
      if (in_the_way != NULL && in_the_way != &placements->items[i])
        i++;
      else if (!place_chain (placements, &n_placed, &placements->items[i]))
        goto failed;
    }

  /* Those that are left are wanted at each other's numbers, in circles. */
  while (n_placed < placements->n)
    {
      struct gfork_placement *first = &placements->items[n_placed];
      int number = first->fd;

      lowest = 3;
      if (!move_aside (placements, &first->fd, &lowest)
          || !place_chain (placements, &n_placed,
                           find_unplaced (placements, n_placed, number, true)))
        goto failed;
    }

  return true;

failed:
  snprintf (reason, reason_size, "%s", strerror (errno));
  return false;
}
