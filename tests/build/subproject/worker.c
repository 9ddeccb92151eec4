/* worker.c: a module of a program with the library as its subproject
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gspawnfork/gforkworker.h>

#include <unistd.h>

int answer (int             socket,
            const GForkArg *args,
            size_t          n_args);

int
answer (int             socket,
        const GForkArg *args,
        size_t          n_args)
{
  if (n_args != 1)
    return 1;

  return write (socket, args[0].data, args[0].length) != (ssize_t) args[0].length;
}
