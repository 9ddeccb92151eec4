/* modules.c: loads modules and finds functions in them
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/template.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct gfork_module *
find_loaded (struct gfork_modules *modules,
             const char           *name,
             size_t                length)
{
  for (size_t i = 0; i < modules->n; i++)
    if (strncmp (modules->items[i].name, name, length) == 0
        && modules->items[i].name[length] == '\0')
      return &modules->items[i];

  return NULL;
}

/* Looks for the file in one directory of a path; @directory ends at ':' or NUL. */
static bool
find_in (const char *directory,
         size_t      length,
         const char *name,
         char      **file)
{
  static const char *const patterns[] = { "%.*s/%s.so", "%.*s/lib%s.so", "%.*s/%s" };

  /* A relative directory would be looked up wherever the process happens to be. */
  if (length == 0 || directory[0] != '/')
    return false;

  for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
    {
      if (asprintf (file, patterns[i], (int) length, directory, name) < 0)
        *file = NULL;
      else if (access (*file, F_OK) == 0)
        return true;
      else
        free (*file);
    }

  return false;
}

static bool
find_in_path (const char *path,
              const char *name,
              char      **file)
{
  while (path != NULL && *path != '\0')
    {
      size_t length = strcspn (path, ":");

      if (find_in (path, length, name, file))
        return true;
      path += length + (path[length] == ':');
    }

  return false;
}

/* Appends the directories of @path that find_in() looks into to a list in @text. */
static void
list_directories (const char *path,
                  char       *text,
                  size_t      size)
{
  while (path != NULL && *path != '\0')
    {
      size_t length = strcspn (path, ":"), end = strlen (text);

      if (path[0] == '/')
        snprintf (text + end, size - end, "%s%.*s", end > 0 ? ", " : "", (int) length, path);
      path += length + (path[length] == ':');
    }
}

static char *
find_file (const struct gfork_modules *modules,
           const char                 *name,
           char                       *reason,
           size_t                      reason_size)
{
  const char *path = secure_getenv ("GFORK_MODULE_PATH");
  char directories[400] = ""; /* which fits into a reason */
  char *file = NULL;

  if (name[0] == '/')
    {
      file = strdup (name);
      if (file == NULL)
        snprintf (reason, reason_size, "%s", strerror (ENOMEM));
      return file;
    }

  if (name[0] == '\0' || strchr (name, '/') != NULL)
    {
      snprintf (reason, reason_size, "%s",
                N_("neither an absolute path nor a plain name"));
      return NULL;
    }

  if (find_in_path (modules->path, name, &file)
      || find_in_path (path, name, &file)
      || find_in_path (GFORK_MODULE_DIR, name, &file))
    return file;

  list_directories (modules->path, directories, sizeof directories);
  list_directories (path, directories, sizeof directories);
  list_directories (GFORK_MODULE_DIR, directories, sizeof directories);
  snprintf (reason, reason_size, "%s" GFORK_DETAIL "%s", N_("it is in none of these directories"),
            directories);
  return NULL;
}

/* Loads a module unless it is there. All relocations are done now, in the
 * template, so that its forks share them. */
bool
gfork_module_require (struct gfork_modules *modules,
                      const char           *name,
                      char                 *reason,
                      size_t                reason_size)
{
  struct gfork_module *grown;
  char *file, *copy;
  void *handle;

  if (find_loaded (modules, name, strlen (name)) != NULL)
    return true;

  file = find_file (modules, name, reason, reason_size);
  if (file == NULL)
    return false;

  gfork_signals_enter_module ();
  handle = dlopen (file, RTLD_NOW | RTLD_LOCAL);
  gfork_signals_leave_module ();
  free (file);
  if (handle == NULL)
    {
      snprintf (reason, reason_size, "%s", dlerror ());
      return false;
    }

  grown = realloc (modules->items, (modules->n + 1) * sizeof *grown);
  copy = strdup (name);
  if (grown != NULL)
    modules->items = grown;
  if (grown == NULL || copy == NULL)
    {
      snprintf (reason, reason_size, "%s", strerror (ENOMEM));
      free (copy);
      dlclose (handle);
      return false;
    }

  grown[modules->n++] = (struct gfork_module){ copy, handle };
  /* cppcheck-suppress[memleak,resourceLeak]; the table has both now */
  return true;
}

/* Finds the object that has @address, by its link map. Objects cannot be told apart by the
 * address that they are loaded at, which is 0 for each that is linked to a fixed one. */
static struct link_map *
object_of (void *address)
{
  Dl_info info;
#ifdef RTLD_DL_LINKMAP
  void *map;

  return dladdr1 (address, &info, &map, RTLD_DL_LINKMAP) != 0 ? map : NULL;
#else
  /* musl loads every object at an address of its own, and has its name twice. */
  struct link_map *map = NULL;
  void *handle;

  if (dladdr (address, &info) == 0)
    return NULL;
  handle = dlopen (info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  if (handle != NULL && dlinfo (handle, RTLD_DI_LINKMAP, &map) == 0)
    dlclose (handle);
  return map;
#endif
}

/* Finds a function in the module itself. dlsym() also looks in the libraries that it is linked
 * with, which have functions of almost any name. */
static void *
find_own (void       *handle,
          const char *name)
{
  void *found = dlsym (handle, name);
  struct link_map *map;

  if (found == NULL || dlinfo (handle, RTLD_DI_LINKMAP, &map) != 0)
    return found;

  return object_of (found) == map ? found : NULL;
}

/* Returns the function that was found before the fork, if it has this name. */
static void *
find_expected (const struct gfork_template *template,
               const char                  *function)
{
  const struct gfork_hint *hint = &template->hint;

  return hint->function != NULL && strcmp (function, hint->name) == 0 ? hint->function : NULL;
}

/* Finds `name` in the modules, the newest first, or `module:name` in that module,
 * which is loaded if need be. On failure @code tells what was missing. */
void *
gfork_module_find (struct gfork_template *template,
                   const char            *function,
                   enum gfork_code       *code,
                   char                  *reason,
                   size_t                 reason_size)
{
  struct gfork_modules *modules = &template->modules;
  const char *colon;
  void *found = NULL;

  found = find_expected (template, function);
  if (found != NULL)
    return found;

  colon = strrchr (function, ':');
  if (colon != NULL)
    {
      size_t length = colon - function;
      char *name = strndup (function, length);
      struct gfork_module *module;
      bool loaded;

      *code = GFORK_CODE_MODULE;
      if (name == NULL)
        {
          snprintf (reason, reason_size, "%s", strerror (errno));
          return NULL;
        }
      loaded = gfork_module_require (modules, name, reason, reason_size);
      free (name);
      if (!loaded)
        return NULL;

      module = find_loaded (modules, function, length);
      if (module != NULL)
        found = find_own (module->handle, colon + 1);
    }
  else
    {
      for (size_t i = modules->n; i > 0 && found == NULL; i--)
        found = find_own (modules->items[i - 1].handle, function);
      if (found == NULL && (template->flags & GFORK_SERVE_PROGRAM) != 0)
        found = dlsym (RTLD_DEFAULT, function);
    }

  *code = GFORK_CODE_FUNCTION;
  if (found == NULL)
    snprintf (reason, reason_size, "%s",
              colon != NULL ? N_("the module does not export it")
              : (template->flags & GFORK_SERVE_PROGRAM) != 0
                  ? N_("neither a loaded module nor the program exports it")
              : modules->n > 0 ? N_("no loaded module exports it")
                               : N_("no module is loaded"));
  return found;
}

/* Finds the function that the next forks will most likely run, so that not each of them has to
 * look for it. No module is loaded for that: forks that have not required it would have it, and
 * its constructors would change the template. */
void
gfork_module_hint (struct gfork_template *template,
                   const char            *function)
{
  struct gfork_hint *hint = &template->hint;
  const char *colon = strrchr (function, ':');
  size_t length = strlen (function);
  char reason[512];
  enum gfork_code code;

  hint->function = NULL;
  if (length >= sizeof hint->name
      || (colon != NULL && find_loaded (&template->modules, function, colon - function) == NULL))
    return;

  hint->function = gfork_module_find (template, function, &code, reason, sizeof reason);
  memcpy (hint->name, function, length + 1);
}
