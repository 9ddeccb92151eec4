/* signals.c: how signals are handled in the template process and in what it forks
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/template.h"

#include <signal.h>

void
gfork_signals_unblock (void)
{
  sigset_t none;

  sigemptyset (&none);
  sigprocmask (SIG_SETMASK, &none, NULL);
}
