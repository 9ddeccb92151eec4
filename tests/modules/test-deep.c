/* test-deep.c: a module that has an exit handler, and no destructor
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-module.h"

#include <stdlib.h>
#include <unistd.h>

static int note_fd;

static void
note (void)
{
  if (write (note_fd, "done", 4) != 4)
    _exit (100);
}

/* From now on, the handler says "done" there. */
EXPORT void set_note_fd (int fd);

void
set_note_fd (int fd)
{
  note_fd = fd;
  atexit (note);
}
