/* main.c: gspawnfork-helper, the small program that templates are forks of
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "helper/account.h"
#include "serve/serve.h"

#include <stdio.h>

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
