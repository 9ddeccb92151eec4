/* SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gspawnfork/gforkworker.h>
#include <stdio.h>
#include <unistd.h>

int
hello (int socket, const GForkArg *args, size_t n_args)
{
  char name[100] = "";

  if (read (socket, name, sizeof name - 1) < 0)
    return 1;

  dprintf (socket, "%s, %s! This is process %d.", args[0].data, name, getpid ());
  return 0;
}
