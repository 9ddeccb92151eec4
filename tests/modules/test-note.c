/* test-note.c: a module that writes each call to a file
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-module.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

EXPORT int note (const GForkArg *args, size_t n_args, char *error, size_t error_size);

/* Appends a byte to the file that the first argument names. */
EXPORT int
note (const GForkArg *args,
      size_t          n_args,
      char           *error,
      size_t          error_size)
{
  int fd = n_args > 0 ? open (args[0].data, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;

  if (fd < 0 || write (fd, "x", 1) != 1 || close (fd) != 0)
    {
      snprintf (error, error_size, "%s", strerror (errno));
      return 1;
    }
  return 0;
}
