/* test-trouble.c: functions that fail, crash, end the process, or damage the template
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
EXPORT int limit_descriptors (const GForkArg *args, size_t n_args, char *error, size_t error_size);
EXPORT int limit_memory (const GForkArg *args, size_t n_args, char *error, size_t error_size);

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

static int
limit_to (int     resource,
          rlim_t  most,
          char   *error,
          size_t  error_size)
{
  const struct rlimit limit = { most, most };

  if (setrlimit (resource, &limit) == 0)
    return 0;

  snprintf (error, error_size, "cannot set a limit: %s", strerror (errno));
  return 1;
}

/* Allows no descriptors from the number on that is given. */
EXPORT int
limit_descriptors (const GForkArg *args,
                   size_t          n_args,
                   char           *error,
                   size_t          error_size)
{
  return limit_to (RLIMIT_NOFILE, strtoul (args[0].data, NULL, 10), error, error_size);
}

/* Allows no more than so many mebibytes of address space. */
EXPORT int
limit_memory (const GForkArg *args,
              size_t          n_args,
              char           *error,
              size_t          error_size)
{
  return limit_to (RLIMIT_AS, (rlim_t) strtoul (args[0].data, NULL, 10) << 20, error, error_size);
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
