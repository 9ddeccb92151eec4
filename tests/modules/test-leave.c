/* test-leave.c: functions that leave something to be done at exit, each in another way
 *
 * The module has no destructor and registers nothing when it is loaded. So a worker has nothing
 * to do at exit but what its function has left.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-module.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

/* What C++ calls for a thread-local object with a destructor. */
extern int __cxa_thread_atexit_impl (void (*)(void *), void *, void *);
extern void *__dso_handle;

static int note_fd;

/* Slowly, so that it is noticed if somebody does not wait for this. */
static void
note (void)
{
  usleep (20000);
  if (write (note_fd, "done", 4) != 4)
    _exit (100);
}

static void
note_status (int   status,
             void *data)
{
  note ();
}

static void
note_object (void *object)
{
  note ();
}

#ifdef RTLD_DEEPBIND
/* Loads an object that finds what it links to before what the helper has. */
EXPORT int load_deep (const GForkArg *args, size_t n_args, char *error, size_t error_size);

int
load_deep (const GForkArg *args,
           size_t          n_args,
           char           *error,
           size_t          error_size)
{
  if (dlopen (args[0].data, RTLD_NOW | RTLD_DEEPBIND) != NULL)
    return 0;
  snprintf (error, error_size, "%s", dlerror ());
  return 1;
}
#endif

static int
flags_for (const char *what)
{
#ifdef RTLD_DEEPBIND
  if (strcmp (what, "deep") == 0)
    return RTLD_NOW | RTLD_DEEPBIND;
#endif
  return RTLD_NOW;
}

/* The arguments are what to leave, and a descriptor that "done" is written to, and
 * perhaps the object that leaves it. */
EXPORT int leave (int socket, const GForkArg *args, size_t n_args);

int
leave (int             socket,
       const GForkArg *args,
       size_t          n_args)
{
  const char *what = args[0].data;
  char line[100];

  note_fd = args[1].fd;
  if (strcmp (what, "atexit") == 0)
    return atexit (note);
  if (strcmp (what, "on_exit") == 0)
    return on_exit (note_status, NULL);
  if (strcmp (what, "on_exit-by-name") == 0)
    {
      int (*registers) (void (*) (int, void *), void *);

      *(void **) &registers = dlsym (RTLD_NEXT, "on_exit");
      return registers (note_status, NULL);
    }
  if (strcmp (what, "cxa_atexit-by-name") == 0)
    {
      int (*registers) (void (*) (void *), void *, void *);

      *(void **) &registers = dlsym (dlopen ("libc.so.6", RTLD_NOW), "__cxa_atexit");
      return registers (note_object, NULL, NULL);
    }
  if (strcmp (what, "thread-local") == 0)
    return __cxa_thread_atexit_impl (note_object, NULL, &__dso_handle);
  if (strcmp (what, "destructor") == 0 || strcmp (what, "namespace") == 0
      || strcmp (what, "fini") == 0 || strcmp (what, "deep") == 0
      || strcmp (what, "nostartfiles") == 0)
    {
      void *module = strcmp (what, "namespace") != 0
                         ? dlopen (args[2].data, flags_for (what))
                         : dlmopen (LM_ID_NEWLM, args[2].data, RTLD_NOW);
      void (*set_note_fd) (int) = (void (*) (int)) dlsym (module, "set_note_fd");

      set_note_fd (note_fd);
      return 0;
    }
  if (strcmp (what, "buffer") == 0)
    return fputs ("done", fdopen (note_fd, "w")) < 0;
  if (strcmp (what, "wide-buffer") == 0)
    return fputws (L"done", fdopen (note_fd, "w")) < 0;
  if (strcmp (what, "input") == 0)
    return fgets (line, sizeof line, stdin) == NULL;
  return 1;
}
