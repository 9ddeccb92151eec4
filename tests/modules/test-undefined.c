/* test-undefined.c: a module that cannot be loaded, as it needs a function that does not exist
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-module.h"

EXPORT int needs_the_missing (int socket, const GForkArg *args, size_t n_args);
int a_function_that_nobody_defines (int socket);

EXPORT int
needs_the_missing (int             socket,
                   const GForkArg *args,
                   size_t          n_args)
{
  return a_function_that_nobody_defines (socket);
}
