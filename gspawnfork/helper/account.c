/* account.c: what is there for the C library to do at fork and at exit?
 *
 * Mostly there is nothing, and fork() and exit() find that out at the cost of a dozen page
 * faults, an eighth of all that a launch costs: locks are made new, and the linker visits
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
#include <pthread.h>
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

/* pthread_atfork(), which is a part of each object that calls it */
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

/* For old objects, and for who looks the name up. Thus it belongs to no object. */
EXPORT int
pthread_atfork (void (*prepare) (void),
                void (*parent) (void),
                void (*child) (void))
{
  return __register_atfork (prepare, parent, child, NULL);
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

/* ——— Objects ——— */

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

/* What there is in objects that no function here has been told of. */
struct findings
{
  bool at_fork;
  bool at_exit;
};

/* What an object says of itself, as far as it matters here. */
struct description
{
  const ElfW (Sym) *symbols;
  const char *strings;
  struct relocations
  {
    const char *begin;
    size_t size;
    size_t entry_size;
  } relocations[3];
  const unsigned char *fini;
  size_t fini_array_size;
};

static struct description
describe (const struct link_map *object)
{
  struct description self = {
    .relocations = { { .entry_size = sizeof (ElfW (Rela)) },
                     { .entry_size = sizeof (ElfW (Rel)) },
                     { .entry_size = sizeof (ElfW (Rela)) } },
  };

  for (const ElfW (Dyn) *dynamic = object->l_ld; dynamic->d_tag != DT_NULL; dynamic++)
    {
      const void *address = address_in (object, dynamic->d_un.d_ptr);

      switch (dynamic->d_tag)
        {
        case DT_SYMTAB:
          self.symbols = address;
          break;
        case DT_STRTAB:
          self.strings = address;
          break;
        case DT_RELA:
          self.relocations[0].begin = address;
          break;
        case DT_RELASZ:
          self.relocations[0].size = dynamic->d_un.d_val;
          break;
        case DT_REL:
          self.relocations[1].begin = address;
          break;
        case DT_RELSZ:
          self.relocations[1].size = dynamic->d_un.d_val;
          break;
        case DT_JMPREL:
          self.relocations[2].begin = address;
          break;
        case DT_PLTRELSZ:
          self.relocations[2].size = dynamic->d_un.d_val;
          break;
        case DT_PLTREL:
          if (dynamic->d_un.d_val == DT_REL)
            self.relocations[2].entry_size = sizeof (ElfW (Rel));
          break;
        case DT_FINI:
          self.fini = address;
          break;
        case DT_FINI_ARRAYSZ:
          self.fini_array_size = dynamic->d_un.d_val;
          break;
        }
    }

  return self;
}

/* Where an object has the address of one of the functions above, it may be the C
 * library's: with RTLD_DEEPBIND, what an object links to comes before the helper. One that
 * the linker has not looked up yet may become so. */
static void
look_at_binding (const char      *name,
                 const void      *slot,
                 struct findings *findings)
{
  static const struct
  {
    const char *name;
    void (*ours) (void);
    bool at_fork;
  } functions[] = {
    { "__register_atfork", (void (*) (void)) __register_atfork, true },
    { "pthread_atfork", (void (*) (void)) pthread_atfork, true },
    { "__cxa_atexit", (void (*) (void)) __cxa_atexit, false },
    { "__cxa_thread_atexit_impl", (void (*) (void)) __cxa_thread_atexit_impl, false },
    { "on_exit", (void (*) (void)) on_exit, false },
  };

  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
    if (strcmp (name, functions[i].name) == 0
        && memcmp (slot, &functions[i].ours, sizeof functions[i].ours) != 0)
      {
        findings->at_fork = findings->at_fork || functions[i].at_fork;
        findings->at_exit = findings->at_exit || !functions[i].at_fork;
      }
}

#if __ELF_NATIVE_CLASS == 64
#define SYMBOL_OF ELF64_R_SYM
#else
#define SYMBOL_OF ELF32_R_SYM
#endif

/* Looks at everything that the linker has put an address to. Returns whether
 * __cxa_finalize() is among it. */
static bool
look_at_bindings (const struct link_map    *object,
                  const struct description *self,
                  struct findings          *findings)
{
  bool finalizes = false;

  for (size_t i = 0; i < sizeof self->relocations / sizeof *self->relocations; i++)
    for (size_t at = 0; self->relocations[i].begin != NULL && at < self->relocations[i].size;
         at += self->relocations[i].entry_size)
      {
        /* The other kind has an addend behind it. */
        const ElfW (Rel) *relocation = (const void *) (self->relocations[i].begin + at);
        size_t symbol = SYMBOL_OF (relocation->r_info);
        const char *name = self->strings + self->symbols[symbol].st_name;

        if (symbol == 0)
          continue;
        finalizes = finalizes || strcmp (name, "__cxa_finalize") == 0;
        look_at_binding (name, (const char *) object->l_addr + relocation->r_offset, findings);
      }

  return finalizes;
}

/* Where the start files of the compiler have a DT_FINI, it is this one of the helper, and
 * the last of its code. */
/* NOLINTBEGIN(*-reserved-identifier,cert-dcl*): the names are the linker's */
extern const unsigned char _fini[] __attribute__ ((weak, visibility ("hidden")));
extern const unsigned char etext[] __attribute__ ((weak));
/* NOLINTEND(*-reserved-identifier,cert-dcl*) */

/* If it is longer, it is not known where it ends. */
#define MAX_FINI 64

static bool
is_empty (const unsigned char *fini)
{
  size_t size = (uintptr_t) etext - (uintptr_t) _fini;

  if (size == 0 || size > MAX_FINI)
    return false;
  for (size_t i = 0; i < size; i++)
    if (fini[i] != _fini[i])
      return false;
  return true;
}

/* The compiler's own start files have one destructor, which calls __cxa_finalize() for
 * the handlers of its object, and an empty DT_FINI. Everything else is somebody's. The
 * object without a name is the helper, which has none but that. */
static void
look_at_object (const struct link_map *object,
                struct findings       *findings)
{
  const struct description self = describe (object);
  bool named = object->l_name[0] != '\0';
  bool finalizes = look_at_bindings (object, &self, findings);

  if ((self.fini_array_size > 0
       && (self.fini_array_size != sizeof (void *) || (named && !finalizes)))
      || (self.fini != NULL && named && !is_empty (self.fini)))
    findings->at_exit = true;
}

/* Something may come before the C library (LD_PRELOAD), that wants to be called. */
static bool
is_the_librarys (const char *function)
{
  Dl_info info, library;

  return dladdr (dlsym (RTLD_DEFAULT, function), &info) != 0
         && dladdr (dlsym (RTLD_DEFAULT, "gnu_get_libc_version"), &library) != 0
         && info.dli_fbase == library.dli_fbase;
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

/* What was found when the objects came to this sum; 0 if they were not looked at. */
static struct
{
  uintptr_t sum;
  struct findings findings;
} seen;

/* The list is old and has no header any more. */
static FILE *const *streams;

static void
look (void)
{
  const struct r_debug *view = linkers_view ();
  uintptr_t sum;

  if (view == NULL)
    return;
  sum = sum_up (view->r_map);
  if (sum == seen.sum)
    return;

  seen.sum = sum;
  seen.findings = (struct findings){
    .at_fork = !is_the_librarys ("fork"),
    .at_exit = !is_the_librarys ("exit"),
  };
  for (const struct link_map *object = view->r_map; object != NULL; object = object->l_next)
    look_at_object (object, &seen.findings);
  streams = dlsym (RTLD_DEFAULT, "_IO_list_all");
}

static bool
nothing_at_fork (void)
{
  return handlers_at_fork == 0 && seen.sum != 0 && !seen.findings.at_fork;
}

static bool
nothing_at_exit (void)
{
  const struct r_debug *view = linkers_view ();

  /* A later version says that there are objects in other namespaces. */
  return handlers_at_exit == 0 && seen.sum != 0 && !seen.findings.at_exit && view->r_version == 1
         && sum_up (view->r_map) == seen.sum;
}

/* The streams are looked at without the locks that fcloseall() would write to. */
static bool
nothing_buffered (void)
{
  if (streams == NULL)
    return false;

  for (const FILE *stream = *streams; stream != NULL; stream = stream->_chain)
    if (stream->_mode > 0 || stream->_IO_write_ptr > stream->_IO_write_base
        || stream->_IO_read_ptr < stream->_IO_read_end)
      return false;
  return true;
}

const struct gfork_account gfork_helpers_account = {
  .look = look,
  .nothing_at_fork = nothing_at_fork,
  .nothing_at_exit = nothing_at_exit,
  .nothing_buffered = nothing_buffered,
};
