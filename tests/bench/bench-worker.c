/* bench-worker.c: the functions that the measured workers run
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <gspawnfork/gforkworker.h>

#include "ballast.h"

static void *ballast;
static size_t megabytes;

int
bench_return (int             socket,
              const GForkArg *args,
              size_t          n_args)
{
  (void) socket;
  (void) args;
  (void) n_args;

  return 0;
}

/* Leaves as the child of a plain fork loop does. */
int
bench_exit (int             socket,
            const GForkArg *args,
            size_t          n_args)
{
  (void) socket;
  (void) args;
  (void) n_args;

  _exit (0);
}

int
bench_idle (int             socket,
            const GForkArg *args,
            size_t          n_args)
{
  char byte;

  (void) args;
  (void) n_args;

  while (read (socket, &byte, 1) > 0)
    ;

  return 0;
}

int
bench_read_args (int             socket,
                 const GForkArg *args,
                 size_t          n_args)
{
  int sum = 0;

  (void) socket;

  for (size_t i = 0; i < n_args; i++)
    sum += ballast_read (args[i].data, args[i].length);

  return sum == 0;
}

int
bench_read_private (int             socket,
                    const GForkArg *args,
                    size_t          n_args)
{
  (void) socket;
  (void) args;
  (void) n_args;

  return ballast_read (ballast, megabytes << 20) == 0;
}

/* Sends how often the process has waited so far. */
int
bench_waits (int             socket,
             const GForkArg *args,
             size_t          n_args)
{
  struct rusage usage;

  (void) args;
  (void) n_args;

  getrusage (RUSAGE_SELF, &usage);

  return write (socket, &usage.ru_nvcsw, sizeof usage.ru_nvcsw) != sizeof usage.ru_nvcsw;
}

int
bench_fill (const GForkArg *args,
            size_t          n_args,
            char           *error,
            size_t          error_size)
{
  megabytes = n_args == 1 ? strtoul (args[0].data, NULL, 10) : 0;
  ballast = ballast_new (megabytes);
  if (ballast != NULL)
    return 0;

  snprintf (error, error_size, "There are no %zu MB of memory", megabytes);
  return -1;
}

/* Allocates many small blocks, and frees all but each hundredth, like code that reads a lot and
 * remembers a little. */
int
bench_free (const GForkArg *args,
            size_t          n_args,
            char           *error,
            size_t          error_size)
{
  size_t n = n_args == 1 ? (strtoul (args[0].data, NULL, 10) << 20) / 1024 : 0;
  char **blocks = calloc (n, sizeof *blocks);
  size_t made = 0;

  while (blocks != NULL && made < n && (blocks[made] = malloc (1000)) != NULL)
    memset (blocks[made++], 1, 1000);

  for (size_t i = 0; i < made; i++)
    if (i % 100 != 99)
      free (blocks[i]);
  free (blocks);
  if (made == n)
    return 0;

  snprintf (error, error_size, "There are no %zu KB of memory", n);
  return -1;
}

/* Does the jobs of bench-pool. */

static int
echo_job (const void *request,
          size_t      length,
          GForkReply *reply,
          void       *user_data)
{
  g_fork_reply_set (reply, request, length);
  return 0;
}

int
bench_jobs (int             socket,
            const GForkArg *args,
            size_t          n_args)
{
  return g_fork_serve_jobs (socket, echo_job, NULL);
}
