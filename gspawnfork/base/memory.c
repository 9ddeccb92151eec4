/* memory.c: long strings in memory that processes share, with errors
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "base/memory.h"

#include "gforkerror.h"
#include "wire/memory.h"

#include <glib/gi18n-lib.h>

/* Returns a descriptor of memory that holds @data and a NUL, and that nobody can write to; -1
 * with @error set if it cannot be made. */
int
g_fork_memory_new (gconstpointer   data,
                   gsize           length,
                   GError        **error)
{
  char reason[512];
  int fd = gfork_memory_new (data, length, reason, sizeof reason);

  if (fd < 0)
    {
      g_autofree char *valid = g_utf8_make_valid (reason, -1);

      g_set_error (error, G_FORK_ERROR, G_FORK_ERROR_FAILED, _("Could not send %zu bytes: %s"),
                   length, valid);
    }
  return fd;
}
