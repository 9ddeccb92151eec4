/* main.c: gspawnfork-helper, the small program that templates are forks of
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "helper/account.h"
#include "serve/serve.h"

#include <stdio.h>

/* The kernel writes to what the C library knows of the thread whenever a process was
 * forked, for its number, and was scheduled. That is as far from the boundary of a page as
 * what is next to it, thread-local variables, is asked to be; so it is in one page, and not
 * in two, of which every fork would make copies. */
static _Thread_local _Alignas (4096) char boundary __attribute__ ((used));

int
main (int    argc,
      char **argv)
{
#ifdef HAVE_ACCOUNT
  gfork_serve_use_account (&gfork_helpers_account);
#endif
  gfork_serve_command_line (argc, argv, 0);

  fprintf (stderr, "%s: this program is started by the gspawnfork library\n", argv[0]);
  return 2;
}
