/* random.c: seeds generators of random numbers, so that forks have different numbers
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/random.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* Looks for GLib in the template, so that its forks need not. */
void
gfork_random_look (struct gfork_random *random)
{
  void *glib;

  if (random->set_glib_seed != NULL)
    return;

  random->set_glib_seed = (void (*) (uint32_t)) dlsym (RTLD_DEFAULT, "g_random_set_seed");
  if (random->set_glib_seed != NULL)
    return;
  glib = dlopen ("libglib-2.0.so.0", RTLD_NOW | RTLD_NOLOAD);
  if (glib != NULL)
    random->set_glib_seed = (void (*) (uint32_t)) dlsym (glib, "g_random_set_seed");
  /* cppcheck-suppress resourceLeak; GLib has to stay loaded, so its handle is kept */
}

/* Seeds the generators of the C library and GLib in a fork. To be called before code of a module
 * runs there. */
void
gfork_random_renew (struct gfork_random *random)
{
  uint32_t seeds[3];

  if (!random->stale)
    return;
  random->stale = false;

  if (getrandom (seeds, sizeof seeds, GRND_NONBLOCK) != sizeof seeds)
    {
      struct timespec now;

      clock_gettime (CLOCK_REALTIME, &now);
      for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++)
        seeds[i] = (uint32_t) now.tv_nsec * 2654435761U ^ (uint32_t) getpid () << i;
    }

  srandom (seeds[0]);
  srand48 ((long) seeds[1]);
  if (random->set_glib_seed != NULL)
    random->set_glib_seed (seeds[2]);
}
