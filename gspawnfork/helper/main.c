/* main.c: gspawnfork-helper, the small program that templates are forks of
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "helper/exit.h"
#include "serve/serve.h"

#include <stdio.h>

int
main (int    argc,
      char **argv)
{
#ifdef HAVE_EXIT_ACCOUNT
  gfork_serve_ask_before_exit (gfork_nothing_at_exit);
#endif
  gfork_serve_command_line (argc, argv, 0);

  fprintf (stderr, "%s: this program is started by the gspawnfork library\n", argv[0]);
  return 2;
}
