/* gforkruntime.c: which program serves which language
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "gforkruntime-private.h"

#include "gforkerror.h"
#include "gforkhelper-private.h"
#include "gforkmain-private.h"

#include <glib/gi18n-lib.h>
#include <stdlib.h>
#include <string.h>

#define GROUP "Runtime"

/* A directory of an uninstalled tree, or none. */
static const char *
runtime_directory (void)
{
  const char *directory = secure_getenv ("GSPAWNFORK_RUNTIME_DIR");

  return directory != NULL ? directory : GFORK_RUNTIME_DIR;
}

/* The first words of the command line of the program that serves @runtime. */
static char **
find_program (const char  *runtime,
              GError     **error)
{
  g_autofree char *name = g_strconcat (runtime, ".runtime", NULL);
  g_autofree char *path = g_build_filename (runtime_directory (), name, NULL);
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) local_error = NULL;
  g_auto (GStrv) words = NULL;

  /* It is a name, not a way to a file elsewhere. */
  if (runtime[0] == '\0' || runtime[0] == '.' || strchr (runtime, G_DIR_SEPARATOR) != NULL)
    {
      g_set_error (error, G_FORK_ERROR, G_FORK_ERROR_NOT_SUPPORTED,
                   _("“%s” is not the name of a runtime"), runtime);
      return NULL;
    }

  if (!g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, &local_error)
      || (words = g_key_file_get_string_list (file, GROUP, "Exec", NULL, &local_error)) == NULL
      || words[0] == NULL)
    {
      g_set_error (error, G_FORK_ERROR, G_FORK_ERROR_NOT_SUPPORTED,
                   _("The runtime “%s” is not installed: %s: %s"), runtime, path,
                   local_error != NULL ? local_error->message : _("it names no program"));
      return NULL;
    }

  return g_steal_pointer (&words);
}

/* Starts a fresh process that serves the language, which is "c" if %NULL. */
GForkChannel *
g_fork_runtime_start (const char *runtime)
{
  g_auto (GStrv) words = NULL;
  GError *error = NULL;

  if (runtime == NULL || strcmp (runtime, "c") == 0)
    {
      GForkChannel *channel = g_fork_main_fork_early ();

      return channel != NULL ? channel : g_fork_helper_start ();
    }

  words = find_program (runtime, &error);
  if (words == NULL)
    return g_fork_channel_new_failed (error);

  return g_fork_helper_start_program ((const char *const *) words);
}
