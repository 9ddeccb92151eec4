/* test-trouble.c: calls that fail, crash, vanish, or break the template
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-module.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

EXPORT int refuse (const GForkArg *args, size_t n_args, char *error, size_t error_size);
EXPORT int refuse_silently (const GForkArg *args, size_t n_args, char *error, size_t error_size);
EXPORT int refuse_at_length (const GForkArg *args, size_t n_args, char *error, size_t error_size);
EXPORT int crash (const GForkArg *args, size_t n_args, char *error, size_t error_size);
EXPORT int vanish (const GForkArg *args, size_t n_args, char *error, size_t error_size);
EXPORT int forbid_forks (const GForkArg *args, size_t n_args, char *error, size_t error_size);

/* Fails with the first argument as message. */
EXPORT int
refuse (const GForkArg *args,
        size_t          n_args,
        char           *error,
        size_t          error_size)
{
  snprintf (error, error_size, "%s", args[0].data);

  return 1;
}

EXPORT int
refuse_silently (const GForkArg *args,
                 size_t          n_args,
                 char           *error,
                 size_t          error_size)
{
  return -1;
}

/* Fills the whole buffer and forgets the NUL. */
EXPORT int
refuse_at_length (const GForkArg *args,
                  size_t          n_args,
                  char           *error,
                  size_t          error_size)
{
  memset (error, 'x', error_size);

  return 1;
}

EXPORT int
crash (const GForkArg *args,
       size_t          n_args,
       char           *error,
       size_t          error_size)
{
  /* Not abort(), about which sanitizers have opinions. */
  kill (getpid (), SIGKILL);

  return 0;
}

EXPORT int
vanish (const GForkArg *args,
        size_t          n_args,
        char           *error,
        size_t          error_size)
{
  _exit (3);
}

/* Makes fork() fail from now on. The superuser is exempt from the limit, so it
 * becomes somebody else first. */
EXPORT int
forbid_forks (const GForkArg *args,
              size_t          n_args,
              char           *error,
              size_t          error_size)
{
  const struct rlimit limit = { 0, 0 };

  if ((geteuid () == 0 && setresuid (54321, 54321, 54321) != 0) || setrlimit (RLIMIT_NPROC, &limit) != 0)
    {
      snprintf (error, error_size, "cannot forbid forks: %s", strerror (errno));
      return 1;
    }

  return 0;
}
