/* modulepath.c: where modules are looked for
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "start/modulepath.h"

#include "base/generation.h"
#include "gforktemplate.h"

#include <string.h>

/* Guarded by the globals' lock. */
static char *path;
static int serial;

/* To be called before a process loads a module. Sends it the directories, unless it has these
 * already. */
void
g_fork_module_path_send (GForkRemote *remote)
{
  g_autofree char *copy = NULL;

  if (!g_fork_remote_update_module_path (remote, g_atomic_int_get (&serial)))
    return;

  g_fork_globals_lock ();
  copy = g_strdup (path);
  g_fork_globals_unlock ();

  g_fork_remote_send_strings (remote, GFORK_MODULE_PATH, copy, NULL);
}

/**
 * g_fork_add_module_path:
 * @directory: (type filename): a directory whose path has no colon; a relative path is
 *   resolved at once
 *
 * Adds a directory in which modules are looked for by their name. It comes before the
 * directories that were added earlier. After all of these come the directories in the
 * environment variable `GFORK_MODULE_PATH`, which are separated by colons, and
 * `$libdir/gspawnfork-1.0/modules`.
 *
 * This applies to all modules that are loaded from now on, also in templates that exist
 * already.
 *
 * Since: 1.0
 */
void
g_fork_add_module_path (const char *directory)
{
  g_autofree char *absolute = NULL;
  char *longer;

  g_return_if_fail (directory != NULL);

  absolute = g_canonicalize_filename (directory, NULL);
  g_return_if_fail (strchr (absolute, ':') == NULL);

  g_fork_globals_lock ();
  longer = path != NULL ? g_strconcat (absolute, ":", path, NULL) : g_strdup (absolute);
  g_free (path);
  path = longer;
  g_atomic_int_inc (&serial);
  g_fork_globals_unlock ();
}
