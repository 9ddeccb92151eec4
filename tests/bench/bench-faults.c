/* bench-faults.c: how long the kernel takes to copy a page on the first write after a fork
 *
 * Prints the nanoseconds for one page, first with one process that writes, then with two that
 * write at the same time. A launch is made of such copies, and on some virtual machines two
 * processors take much longer for them than one.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define N_PAGES 4000

static double
now (void)
{
  struct timespec time;

  clock_gettime (CLOCK_MONOTONIC, &time);

  return time.tv_sec * 1e9 + time.tv_nsec;
}

/* Returns the nanoseconds for one page, or a negative number. */
static double
write_to_pages (void)
{
  size_t page = sysconf (_SC_PAGESIZE);
  char *pages = mmap (NULL, N_PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                      -1, 0);
  double start;
  pid_t other;

  if (pages == MAP_FAILED)
    return -1;

  madvise (pages, N_PAGES * page, MADV_NOHUGEPAGE);
  memset (pages, 1, N_PAGES * page);
  other = fork ();
  if (other < 0)
    return -1;
  if (other == 0)
    {
      pause ();
      _exit (0);
    }

  start = now ();
  for (size_t i = 0; i < N_PAGES; i++)
    pages[i * page] = 2;
  start = now () - start;

  kill (other, SIGKILL);
  waitpid (other, NULL, 0);

  return start / N_PAGES;
}

int
main (void)
{
  double alone, both;
  int status = 0;
  pid_t other;

  alone = write_to_pages ();
  other = fork ();
  both = write_to_pages ();
  if (other == 0)
    _exit (both < 0);
  if (other < 0 || alone < 0 || both < 0 || waitpid (other, &status, 0) < 0 || status != 0)
    return 1;

  printf ("%.0f %.0f\n", alone, both);

  return 0;
}
