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

/* Sends a process the directories, unless it knows them: before it loads something. */
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
 * @directory: (type filename): a directory; a relative one is taken as of now
 *
 * Puts a directory before all others in which modules are looked for by their
 * name. After those that were put there come the ones in the environment variable
 * `GFORK_MODULE_PATH`, separated by colons, and the library's own,
 * `$libdir/gspawnfork-1.0/modules`.
 *
 * It holds for all that templates load from now on, also for templates that are
 * there already.
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
