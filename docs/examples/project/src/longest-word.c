/* longest-word.c: finds the longest of the strings that were sent
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gspawnfork/gforkworker.h>
#include <stdio.h>

int find (int socket, const GForkArg *args, size_t n_args);

int
find (int             socket,
      const GForkArg *args,
      size_t          n_args)
{
  const GForkArg *longest = &args[0];

  for (size_t i = 1; i < n_args; i++)
    if (args[i].length > longest->length)
      longest = &args[i];

  dprintf (socket, "%s", n_args > 0 ? longest->data : "");
  return 0;
}
