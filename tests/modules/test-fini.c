/* test-fini.c: a module with a function that is called at exit, as a destructor or by the linker's
 * option -fini
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-module.h"

#include <unistd.h>

static int note_fd = -1;

/* From now on, note_end() says "done" there. */
EXPORT void set_note_fd (int fd);

void
set_note_fd (int fd)
{
  note_fd = fd;
}

/* Named in meson.build. */
#ifdef AS_DESTRUCTOR
__attribute__ ((destructor))
#endif
EXPORT void note_end (void);

void
note_end (void)
{
  if (note_fd >= 0 && write (note_fd, "done", 4) != 4)
    _exit (100);
}
