/* test-prefixed.c: a module that is built as libtest-prefixed.so
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-module.h"

#include <stdio.h>

EXPORT int prefixed (int socket, const GForkArg *args, size_t n_args);

EXPORT int
prefixed (int             socket,
          const GForkArg *args,
          size_t          n_args)
{
  return dprintf (socket, "prefixed") < 0;
}
