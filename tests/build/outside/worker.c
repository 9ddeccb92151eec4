/* worker.c: a worker that is built outside of the tree
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gspawnfork/gforkworker.h>

#include <stdio.h>

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

  return dprintf (socket, "worker says %s\n", args[0].data) < 0;
}
