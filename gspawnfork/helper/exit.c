/* exit.c: is there anything to do at exit?
 *
 * Mostly there is not, and exit() finds that out at the cost of a dozen page faults, a
 * sixth of all that a launch costs: the linker visits every object, to run destructors
 * that it does not have. So the helper keeps account of what would be run. It has the
 * functions that register handlers before the C library has them, and looks at the
 * objects before it forks.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "helper/exit.h"

#include <dlfcn.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__ ((visibility ("default")))

/* ——— Handlers ——— */

static unsigned handlers;

typedef int RegisterObject (void (*function) (void *), void *argument, void *object);

/* NOLINTBEGIN(*-reserved-identifier,cert-dcl*): the names are the C library's */
EXPORT RegisterObject __cxa_atexit;
EXPORT RegisterObject __cxa_thread_atexit_impl;
/* NOLINTEND(*-reserved-identifier,cert-dcl*) */

/* atexit(), and destructors of C++ */
int
__cxa_atexit (void (*function) (void *),
              void *argument,
              void *object)
{
  static RegisterObject *next;

  if (next == NULL)
    next = (RegisterObject *) dlsym (RTLD_NEXT, "__cxa_atexit");
  handlers++;
  return next (function, argument, object);
}

/* The same for thread-local objects, which the main thread has, too. */
int
__cxa_thread_atexit_impl (void (*function) (void *),
                          void *argument,
                          void *object)
{
  static RegisterObject *next;

  if (next == NULL)
    next = (RegisterObject *) dlsym (RTLD_NEXT, "__cxa_thread_atexit_impl");
  handlers++;
  return next (function, argument, object);
}

EXPORT int
on_exit (void (*function) (int, void *),
         void *argument)
{
  static int (*next) (void (*) (int, void *), void *);

  if (next == NULL)
    next = (int (*) (void (*) (int, void *), void *)) dlsym (RTLD_NEXT, "on_exit");
  handlers++;
  return next (function, argument);
}

/* ——— Destructors ——— */

static const void *
address_in (const struct dl_phdr_info *object,
            ElfW (Addr)                address)
{
  /* Whether the linker has added it already depends on the architecture. */
  return (const void *) (address < object->dlpi_addr ? address + object->dlpi_addr : address);
}

/* The first symbols are those that are not defined here; the table of the others says
 * where they begin. */
static bool
refers_to (const ElfW (Sym) *symbols,
           const char       *strings,
           const uint32_t   *gnu_hash,
           const char       *name)
{
  if (symbols == NULL || strings == NULL || gnu_hash == NULL)
    return false;

  for (uint32_t i = 1; i < gnu_hash[1]; i++)
    if (strcmp (strings + symbols[i].st_name, name) == 0)
      return true;
  return false;
}

/* The compiler's own start files have one destructor, which calls __cxa_finalize() for
 * the handlers of its object, and an empty DT_FINI. Everything else is somebody's. The
 * object without a name is the helper, which has none but that. */
static bool
has_destructors (const struct dl_phdr_info *object)
{
  const ElfW (Dyn) *dynamic = NULL;
  const ElfW (Sym) *symbols = NULL;
  const uint32_t *gnu_hash = NULL;
  const char *strings = NULL;
  size_t size = 0;
  bool has_fini = false;

  for (size_t i = 0; i < object->dlpi_phnum; i++)
    if (object->dlpi_phdr[i].p_type == PT_DYNAMIC)
      dynamic = (const void *) (object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);

  for (; dynamic != NULL && dynamic->d_tag != DT_NULL; dynamic++)
    switch (dynamic->d_tag)
      {
      case DT_FINI:
        has_fini = true;
        break;
      case DT_FINI_ARRAYSZ:
        size = dynamic->d_un.d_val;
        break;
      case DT_SYMTAB:
        symbols = address_in (object, dynamic->d_un.d_ptr);
        break;
      case DT_STRTAB:
        strings = address_in (object, dynamic->d_un.d_ptr);
        break;
      case DT_GNU_HASH:
        gnu_hash = address_in (object, dynamic->d_un.d_ptr);
        break;
      }

  if (size == 0)
    return has_fini;
  return size != sizeof (void *)
         || (object->dlpi_name[0] != '\0'
             && !refers_to (symbols, strings, gnu_hash, "__cxa_finalize"));
}

/* What was found when so many objects had been loaded, and so many unloaded. */
static struct
{
  unsigned long long loaded;
  unsigned long long unloaded;
  bool destructors;
} seen;

static int
look_at (struct dl_phdr_info *object,
         size_t               size,
         void                *data)
{
  bool *begun = data;

  if (size < offsetof (struct dl_phdr_info, dlpi_subs) + sizeof object->dlpi_subs)
    {
      seen.destructors = true;
      return 1;
    }

  if (!*begun)
    {
      if (seen.loaded == object->dlpi_adds && seen.unloaded == object->dlpi_subs)
        return 1;
      seen.loaded = object->dlpi_adds;
      seen.unloaded = object->dlpi_subs;
      seen.destructors = false;
      *begun = true;
    }

  seen.destructors = seen.destructors || has_destructors (object);
  return seen.destructors;
}

/* Whether exit() would do nothing but write out what stdio has buffered. What was found
 * out before a fork need not be found out by the fork. */
bool
gfork_nothing_at_exit (void)
{
  bool begun = false;

  if (handlers > 0)
    return false;
  dl_iterate_phdr (look_at, &begun);
  return !seen.destructors;
}
