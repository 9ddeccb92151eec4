/* bench-worker.c: what the measured workers run
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <stdio.h>
#include <stdlib.h>
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

int
bench_idle (int             socket,
            const GForkArg *args,
            size_t          n_args)
{
  char octet;

  (void) args;
  (void) n_args;

  while (read (socket, &octet, 1) > 0)
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
