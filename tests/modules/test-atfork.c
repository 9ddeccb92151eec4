/* test-atfork.c: a module that counts the forks that its pthread_atfork() handlers see
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-module.h"

#include <dlfcn.h>
#include <pthread.h>

static int prepared;
static int forked;

static void
on_prepare (void)
{
  prepared++;
}

static void
on_child (void)
{
  forked++;
}

__attribute__ ((constructor)) static void
register_handlers (void)
{
#ifdef BY_NAME
  /* What pthread_atfork() calls, by its address in the C library. */
  int (*registers) (void (*) (void), void (*) (void), void (*) (void), void *);
  void *library = dlopen ("libc.so.6", RTLD_NOW | RTLD_NOLOAD);

  *(void **) &registers = library != NULL ? dlsym (library, "__register_atfork") : NULL;
  if (registers != NULL)
    registers (on_prepare, NULL, on_child, NULL);
  else
#endif
    pthread_atfork (on_prepare, NULL, on_child);
}

/* Its status is how often there was a fork about to be, times ten, and how often this
 * was the new process. */
EXPORT int tell_forks (int socket, const GForkArg *args, size_t n_args);

int
tell_forks (int             socket,
            const GForkArg *args,
            size_t          n_args)
{
  return prepared * 10 + forked;
}
