/* main.c: gspawnfork-helper, the small program that templates are forks of
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/serve.h"

#include <stdio.h>

int
main (int    argc,
      char **argv)
{
  gfork_serve_command_line (argc, argv, 0);

  fprintf (stderr, "%s: this program is started by the gspawnfork library\n", argv[0]);
  return 2;
}
