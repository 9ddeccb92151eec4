/* test-thread.c: a module that leaves a thread running, so that the template cannot be forked
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-module.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

EXPORT int leave_thread (const GForkArg *args, size_t n_args, char *error, size_t error_size);

static void *
wait_for_ever (void *data)
{
  for (;;)
    pause ();

  return data;
}

/* The name of the thread is the first argument. */
EXPORT int
leave_thread (const GForkArg *args,
              size_t          n_args,
              char           *error,
              size_t          error_size)
{
  pthread_t thread;
  int code;

  code = pthread_create (&thread, NULL, wait_for_ever, NULL);
  if (code != 0)
    {
      snprintf (error, error_size, "%s", strerror (code));
      return 1;
    }

  pthread_setname_np (thread, args[0].data);
  pthread_detach (thread);

  return 0;
}
