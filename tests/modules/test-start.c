/* test-start.c: a module that starts a thread when it is loaded
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-module.h"

#include <pthread.h>
#include <unistd.h>

static void *
wait_for_ever (void *data)
{
  for (;;)
    pause ();

  return data;
}

__attribute__ ((constructor)) static void
start_thread (void)
{
  pthread_t thread;

  if (pthread_create (&thread, NULL, wait_for_ever, NULL) != 0)
    return;
  pthread_setname_np (thread, "loading-thread");
  pthread_detach (thread);
}
