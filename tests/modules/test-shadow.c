/* test-shadow.c: a module that is built twice with the same name, in two directories
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-module.h"

#include <stdio.h>

EXPORT int which_shadow (int socket, const GForkArg *args, size_t n_args);

EXPORT int
which_shadow (int             socket,
              const GForkArg *args,
              size_t          n_args)
{
  return dprintf (socket, "%s", SHADOW) < 0;
}
