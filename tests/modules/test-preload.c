/* test-preload.c: a library for LD_PRELOAD that replaces functions of the C library
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-module.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

EXPORT int tell_wrapped (int socket, const GForkArg *args, size_t n_args);

static int n_forks;

EXPORT pid_t
fork (void)
{
  pid_t (*next) (void) = (pid_t (*) (void)) dlsym (RTLD_NEXT, "fork");

  n_forks++;
  return next ();
}

EXPORT void
exit (int status)
{
  _exit (status + 10);
}

/* Its status is how often fork() was called, and 10 more if exit() is. */
int
tell_wrapped (int             socket,
              const GForkArg *args,
              size_t          n_args)
{
  return n_forks;
}
