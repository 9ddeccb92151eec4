/* leave.c: how the template process ends
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/template.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A template that is a fork does not run the exit handlers, which are another process's. But
 * what modules have printed in this process has to be written. */
_Noreturn void
gfork_leave (struct gfork_template *template,
             int                    status)
{
  if (template->forked)
    {
      fflush (NULL);
      _exit (status);
    }
  exit (status);
}

#ifdef __GLIBC__
/* Exit handlers run in the reverse order of their registration. So those of modules, which were
 * registered later, have run when this ends the process, and those of the application that it
 * was forked from never run. */
static void
on_exit_before_the_application (int   status,
                                void *data)
{
  (void) data;
  fflush (NULL);
  _exit (status);
}
#endif

void
gfork_leave_before_the_application (void)
{
#ifdef __GLIBC__
  on_exit (on_exit_before_the_application, NULL);
#endif
}
