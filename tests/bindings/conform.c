/* conform.c: the functions that conformance.py runs, in C
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gspawnfork/gforkworker.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char kept[1000];

/* Sends back what it is sent, until the end. */
int
conform_echo (int             socket,
              const GForkArg *args,
              size_t          n_args)
{
  char data[1000];
  ssize_t n;

  while ((n = read (socket, data, sizeof data)) > 0)
    if (send (socket, data, n, 0) != n)
      return 1;

  return 0;
}

int
conform_seven (int             socket,
               const GForkArg *args,
               size_t          n_args)
{
  return 7;
}

/* Writes a line for each argument: "fd", or its length and its bytes. */
int
conform_show (int             socket,
              const GForkArg *args,
              size_t          n_args)
{
  FILE *stream = fdopen (socket, "w");

  for (size_t i = 0; i < n_args; i++)
    if (args[i].fd >= 0)
      fprintf (stream, "fd\n");
    else
      {
        fprintf (stream, "%zu:", args[i].length);
        fwrite (args[i].data, 1, args[i].length, stream);
        fprintf (stream, "\n");
      }

  return fclose (stream);
}

/* Keeps what it is called with. */
int
conform_keep (const GForkArg *args,
              size_t          n_args,
              char           *error,
              size_t          error_size)
{
  for (size_t i = 0; i < n_args; i++)
    {
      if (kept[0] != '\0')
        strncat (kept, " ", sizeof kept - strlen (kept) - 1);
      strncat (kept, args[i].data, sizeof kept - strlen (kept) - 1);
    }

  return 0;
}

/* Writes all that was kept, with spaces between. */
int
conform_kept (int             socket,
              const GForkArg *args,
              size_t          n_args)
{
  return send (socket, kept, strlen (kept), 0) < 0;
}

int
conform_fail (const GForkArg *args,
              size_t          n_args,
              char           *error,
              size_t          error_size)
{
  snprintf (error, error_size, "this is why");
  return 1;
}
