/* serve.h: the far end, for the programs that contain it
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <stdbool.h>
#include <stddef.h>

enum gfork_serve_flags
{
  /* Functions that the program itself exports are found. */
  GFORK_SERVE_PROGRAM = 1 << 0,
  /* This is a fork of an application, whose atexit handlers are not ours. */
  GFORK_SERVE_FROM_MAIN = 1 << 1,
};

/* Serves if the command line is a helper's, and then never returns. */
void gfork_serve_command_line (int                    argc,
                               char                 **argv,
                               enum gfork_serve_flags flags);

/* Turns this process, a fork of an application that has nothing but the calling
 * thread, into a template that serves @socket. */
_Noreturn void gfork_serve_fork (int socket);

/* Writes the names of all threads but the calling one to @names, separated by
 * commas, and returns how many threads there are: 1 if the process can be
 * forked; 0 with a reason in @names if they cannot be counted. */
int gfork_count_threads (char  *names,
                         size_t size);
