/* account.c: what is there for the C library to do at fork and at exit?
 *
 * Mostly there is nothing, and fork() and exit() find that out at the cost of a dozen page
 * faults, a quarter of all that a launch costs: locks are made new, and the linker visits
 * every object, to run destructors that it does not have. So the helper keeps account of
 * what would be run. It has the functions that register handlers before the C library
 * has them, and looks at the objects before it forks.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "helper/account.h"

#include <dlfcn.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#define EXPORT __attribute__ ((visibility ("default")))

/* ——— Handlers ——— */

static unsigned handlers_at_fork;
static unsigned handlers_at_exit;

typedef int RegisterObject (void (*function) (void *), void *argument, void *object);
typedef int RegisterAtFork (void (*prepare) (void),
                            void (*parent) (void),
                            void (*child) (void),
                            void *object);

/* NOLINTBEGIN(*-reserved-identifier,cert-dcl*): the names are the C library's */
EXPORT RegisterAtFork __register_atfork;
EXPORT RegisterObject __cxa_atexit;
EXPORT RegisterObject __cxa_thread_atexit_impl;
/* NOLINTEND(*-reserved-identifier,cert-dcl*) */

/* pthread_atfork() */
int
__register_atfork (void (*prepare) (void),
                   void (*parent) (void),
                   void (*child) (void),
                   void *object)
{
  static RegisterAtFork *next;

  if (next == NULL)
    next = (RegisterAtFork *) dlsym (RTLD_NEXT, "__register_atfork");
  handlers_at_fork++;
  return next (prepare, parent, child, object);
}

/* atexit(), and destructors of C++ */
int
__cxa_atexit (void (*function) (void *),
              void *argument,
              void *object)
{
  static RegisterObject *next;

  if (next == NULL)
    next = (RegisterObject *) dlsym (RTLD_NEXT, "__cxa_atexit");
  handlers_at_exit++;
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
  handlers_at_exit++;
  return next (function, argument, object);
}

EXPORT int
on_exit (void (*function) (int, void *),
         void *argument)
{
  static int (*next) (void (*) (int, void *), void *);

  if (next == NULL)
    next = (int (*) (void (*) (int, void *), void *)) dlsym (RTLD_NEXT, "on_exit");
  handlers_at_exit++;
  return next (function, argument);
}

/* ——— Destructors ——— */

/* What the linker tells debuggers: the list of all objects. Asking the linker itself
 * would have it write to its lock, which is a page for every fork. */
static const struct r_debug *
linkers_view (void)
{
  static const struct r_debug *view;

  for (const ElfW (Dyn) *dynamic = _DYNAMIC; view == NULL && dynamic->d_tag != DT_NULL; dynamic++)
    if (dynamic->d_tag == DT_DEBUG)
      view = (const struct r_debug *) dynamic->d_un.d_ptr;
  return view;
}

static const void *
address_in (const struct link_map *object,
            ElfW (Addr)            address)
{
  /* Whether the linker has added it already depends on the architecture. */
  return (const void *) (address < object->l_addr ? address + object->l_addr : address);
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
has_destructors (const struct link_map *object)
{
  const ElfW (Sym) *symbols = NULL;
  const uint32_t *gnu_hash = NULL;
  const char *strings = NULL;
  size_t size = 0;
  bool has_fini = false;

  for (const ElfW (Dyn) *dynamic = object->l_ld; dynamic->d_tag != DT_NULL; dynamic++)
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
         || (object->l_name[0] != '\0'
             && !refers_to (symbols, strings, gnu_hash, "__cxa_finalize"));
}

/* A number that is another one if objects have come or gone. The program and what the
 * kernel provides are always there; the name of the latter would be one more page. */
static uintptr_t
sum_up (const struct link_map *program)
{
  static ElfW (Addr) kernels;
  uintptr_t sum = 1;

  if (kernels == 0)
    kernels = getauxval (AT_SYSINFO_EHDR);

  for (const struct link_map *object = program->l_next; object != NULL; object = object->l_next)
    {
      if (object->l_addr == kernels)
        continue;
      sum = sum * 31 + (uintptr_t) object->l_ld;
      for (const char *c = object->l_name; *c != '\0'; c++)
        sum = sum * 31 + (unsigned char) *c;
    }

  return sum;
}

/* ——— The account ——— */

static bool
nothing_at_fork (void)
{
  return handlers_at_fork == 0;
}

static bool
nothing_at_exit (void)
{
  static uintptr_t seen;
  static bool destructors;
  const struct r_debug *view = linkers_view ();
  uintptr_t sum;

  /* A later version says that there are objects in other namespaces. */
  if (handlers_at_exit > 0 || view == NULL || view->r_version != 1)
    return false;

  sum = sum_up (view->r_map);
  if (sum != seen)
    {
      seen = sum;
      destructors = false;
      for (const struct link_map *object = view->r_map; object != NULL; object = object->l_next)
        destructors = destructors || has_destructors (object);
    }

  return !destructors;
}

/* The streams are looked at without the locks that fcloseall() would write to. Their
 * list is old and has no header any more. */
static bool
nothing_buffered (void)
{
  static FILE *const *list;

  if (list == NULL)
    list = dlsym (RTLD_DEFAULT, "_IO_list_all");
  if (list == NULL)
    return false;

  for (const FILE *stream = *list; stream != NULL; stream = stream->_chain)
    if (stream->_mode > 0 || stream->_IO_write_ptr > stream->_IO_write_base
        || stream->_IO_read_ptr < stream->_IO_read_end)
      return false;
  return true;
}

const struct gfork_account gfork_helpers_account = {
  .nothing_at_fork = nothing_at_fork,
  .nothing_at_exit = nothing_at_exit,
  .nothing_buffered = nothing_buffered,
};
