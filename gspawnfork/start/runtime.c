/* runtime.c: which program serves which language
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "start/runtime.h"

#include "gforkerror.h"
#include "base/generation.h"
#include "start/helper.h"
#include "start/program.h"
#include "gforktemplate.h"

#include <glib/gi18n-lib.h>
#include <stdlib.h>
#include <string.h>

#define GROUP "Runtime"

/* Runtime → the interpreter that the application has named, and its arguments. Guarded by the
 * globals' lock. */
static GHashTable *interpreters;

/* Runtime → how often the application has named an interpreter. Guarded by the globals' lock. */
static GHashTable *serials;

static char **
dup_interpreter (const char *runtime)
{
  char **interpreter = NULL;

  g_fork_globals_lock ();
  if (interpreters != NULL)
    interpreter = g_strdupv (g_hash_table_lookup (interpreters, runtime));
  g_fork_globals_unlock ();

  return interpreter;
}

/* Returns a number that changes when another interpreter is named. */
guint
g_fork_runtime_get_interpreter_serial (const char *runtime)
{
  guint serial = 0;

  g_fork_globals_lock ();
  if (serials != NULL)
    serial = GPOINTER_TO_UINT (g_hash_table_lookup (serials, runtime));
  g_fork_globals_unlock ();

  return serial;
}

/* Puts the interpreter and its arguments in place of the first word of a command line. Takes
 * @words. */
static char **
replace_interpreter (char               **words,
                     const char * const  *interpreter)
{
  g_auto (GStrv) replaced = words;
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();

  g_strv_builder_addv (builder, (const char **) interpreter);
  g_strv_builder_addv (builder, (const char **) replaced + 1);
  return g_strv_builder_end (builder);
}

/* Returns the path of the file that describes a runtime. One in $GSPAWNFORK_RUNTIME_DIR, as of a
 * build that is not installed, comes first. */
static char *
find_keyfile (const char *runtime)
{
  const char *directory = secure_getenv ("GSPAWNFORK_RUNTIME_DIR");
  g_autofree char *name = g_strconcat (runtime, ".runtime", NULL);
  g_autofree char *path = NULL;

  if (directory != NULL)
    {
      path = g_build_filename (directory, name, NULL);
      if (g_file_test (path, G_FILE_TEST_EXISTS))
        return g_steal_pointer (&path);
    }

  return g_build_filename (GFORK_RUNTIME_DIR, name, NULL);
}

/* Words that begin with "./" are files beside the keyfile, so that a runtime can be moved, and
 * used without being installed. */
static gboolean
resolve_words (char       **words,
               const char  *keyfile,
               GError     **error)
{
  g_autofree char *directory = g_path_get_dirname (keyfile);

  for (; *words != NULL; words++)
    if (g_str_has_prefix (*words, "./"))
      {
        char *file = g_build_filename (directory, *words + 2, NULL);

        g_free (*words);
        *words = file;
        if (!g_file_test (file, G_FILE_TEST_EXISTS))
          {
            g_autofree char *valid_file = g_filename_display_name (file);

            g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_NOENT, _("%s does not exist"),
                         valid_file);
            return FALSE;
          }
      }

  return TRUE;
}

/* Returns the first words of the command line of the program that serves @runtime, and in @forks
 * whether its processes can be forked. */
static char **
find_program (const char  *runtime,
              gboolean    *forks,
              GError     **error)
{
  g_autofree char *name = g_utf8_make_valid (runtime, -1);
  g_autofree char *path = NULL;
  g_auto (GStrv) interpreter = NULL;
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) local_error = NULL;
  g_auto (GStrv) words = NULL;

  /* A name must not lead to a file elsewhere. */
  if (runtime[0] == '\0' || runtime[0] == '.' || strchr (runtime, G_DIR_SEPARATOR) != NULL)
    {
      g_set_error (error, G_FORK_ERROR, G_FORK_ERROR_NOT_SUPPORTED,
                   _("“%s” is not the name of a runtime"), name);
      return NULL;
    }

  path = find_keyfile (runtime);
  if (!g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, &local_error)
      || (words = g_key_file_get_string_list (file, GROUP, "Exec", NULL, &local_error)) == NULL
      || words[0] == NULL || words[0][0] == '\0'
      || !resolve_words (words, path, &local_error))
    {
      g_autofree char *valid_path = g_filename_display_name (path);

      g_set_error (error, G_FORK_ERROR, G_FORK_ERROR_NOT_SUPPORTED,
                   _("The runtime “%s” is not installed: %s: %s"), name, valid_path,
                   local_error != NULL ? local_error->message : _("it names no program"));
      return NULL;
    }

  interpreter = dup_interpreter (runtime);
  if (interpreter != NULL)
    words = replace_interpreter (g_steal_pointer (&words), (const char *const *) interpreter);

  *forks = !g_key_file_has_key (file, GROUP, "Forks", NULL)
           || g_key_file_get_boolean (file, GROUP, "Forks", NULL);
  return g_steal_pointer (&words);
}

/* Whether processes of a runtime can be forked; %FALSE if it is not installed. */
gboolean
g_fork_runtime_forks (const char *runtime)
{
  g_auto (GStrv) words = NULL;
  gboolean forks = TRUE;

  if (strcmp (runtime, "c") == 0)
    return TRUE;

  words = find_program (runtime, &forks, NULL);
  return words != NULL && forks;
}

/* Starts a process that serves @runtime, or "c" if that is %NULL. */
GForkRemote *
g_fork_runtime_start (const char *runtime)
{
  g_auto (GStrv) words = NULL;
  GForkRemote *remote;
  gboolean forks;
  GError *error = NULL;

  if (runtime == NULL || strcmp (runtime, "c") == 0)
    {
      remote = g_fork_main_fork_early ();
      return remote != NULL ? remote : g_fork_helper_start ();
    }

  words = find_program (runtime, &forks, &error);
  if (words == NULL)
    return g_fork_remote_new_failed (error);

  remote = g_fork_helper_start_program ((const char *const *) words);
  if (!forks)
    g_fork_remote_set_starter (remote, g_fork_helper_start_program, (const char *const *) words);
  return remote;
}

/**
 * g_fork_set_interpreter:
 * @runtime: the name of a runtime, such as `python3`
 * @interpreter: (nullable) (type filename): a program, by its path or by a name that
 *   is looked up in `PATH`; %NULL for the usual one
 *
 * Sets the interpreter for all templates of a runtime that are created from now on, for
 * instance that of a virtual environment. It replaces the first word of the command line in
 * the key file of the runtime.
 *
 * The next template of the runtime starts a new default template, unless the present one was
 * confined; see [func@GFork.Template.set_default]. If the program cannot be executed, the
 * first operation of a template fails with %G_FORK_ERROR_SPAWN.
 *
 * Since: 1.0
 */
void
g_fork_set_interpreter (const char *runtime,
                        const char *interpreter)
{
  const char *const argv[] = { interpreter, NULL };

  g_fork_set_interpreter_argv (runtime, interpreter != NULL ? argv : NULL);
}

/**
 * g_fork_set_interpreter_argv:
 * @runtime: the name of a runtime, such as `python3`
 * @argv: (array zero-terminated=1) (element-type filename) (nullable): a program, by
 *   its path or by a name that is looked up in `PATH`, and its own arguments, such as
 *   `-I`; %NULL for the usual one
 *
 * Sets the interpreter of a runtime, as [func@GFork.set_interpreter] does, and arguments for
 * it, which come before those in the key file of the runtime.
 *
 * Since: 1.0
 */
void
g_fork_set_interpreter_argv (const char         *runtime,
                             const char * const *argv)
{
  guint serial;

  g_return_if_fail (runtime != NULL);
  g_return_if_fail (argv == NULL || argv[0] != NULL);

  g_fork_globals_lock ();
  if (interpreters == NULL)
    {
      interpreters = g_hash_table_new_full (g_str_hash, g_str_equal, g_free,
                                            (GDestroyNotify) g_strfreev);
      serials = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
    }
  serial = GPOINTER_TO_UINT (g_hash_table_lookup (serials, runtime)) + 1;
  g_hash_table_replace (serials, g_strdup (runtime), GUINT_TO_POINTER (serial));
  if (argv != NULL)
    g_hash_table_replace (interpreters, g_strdup (runtime), g_strdupv ((char **) argv));
  else
    g_hash_table_remove (interpreters, runtime);
  g_fork_globals_unlock ();
}
