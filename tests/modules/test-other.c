/* test-other.c: a module with functions of the same names as test-worker.c
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-module.h"

#include <stdio.h>
#include <unistd.h>

EXPORT int whoami (int socket, const GForkArg *args, size_t n_args);
EXPORT int whoami_call (const GForkArg *args, size_t n_args, char *error, size_t error_size);
EXPORT int only_here (int socket, const GForkArg *args, size_t n_args);

EXPORT int
whoami (int             socket,
        const GForkArg *args,
        size_t          n_args)
{
  return dprintf (socket, "test-other") < 0;
}

/* Fails, so that the test sees which of the two was called. */
EXPORT int
whoami_call (const GForkArg *args,
             size_t          n_args,
             char           *error,
             size_t          error_size)
{
  snprintf (error, error_size, "test-other was called");

  return 1;
}

EXPORT int
only_here (int             socket,
           const GForkArg *args,
           size_t          n_args)
{
  return dprintf (socket, "only here") < 0;
}
