/* title.h: what ps and top show of a process
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <stddef.h>
#include <sys/types.h>

/* The memory that the kernel shows as the command line */
struct gfork_title
{
  char *area;
  size_t size; /* 0 if there is none to write to */
};

void gfork_title_use_arguments (struct gfork_title *title,
                                int                 argc,
                                char              **argv);
void gfork_title_use_proc (struct gfork_title *title);
void gfork_title_set (struct gfork_title *title,
                      const char         *what,
                      pid_t               parent);
