/* leave.c: how the far end's processes end
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A template that is a fork leaves the handlers alone: they are another process's. */
_Noreturn void
gfork_leave (struct gfork_template *template,
             int                    status)
{
  if (template->forked)
    _exit (status);
  exit (status);
}

static bool (*nothing_at_exit) (void);

void
gfork_serve_ask_before_exit (bool (*nothing_to_do) (void))
{
  nothing_at_exit = nothing_to_do;
}

void
gfork_leave_look_ahead (void)
{
  if (nothing_at_exit != NULL)
    nothing_at_exit ();
}

/* A function has returned. The kernel closes descriptors when it has taken the memory
 * apart, which is a third of a short worker's life, and the application waits for the
 * end of file; so the socket is closed here, if nobody else can be using it. */
_Noreturn void
gfork_leave_run (struct gfork_template *template,
                 int                    status)
{
#ifdef __GLIBC__
  if (nothing_at_exit != NULL && GFORK_NEVER_THREADED && nothing_at_exit ())
    {
      fcloseall ();
      close (template->socket);
      _exit (status);
    }
#endif
  (void) template;
  exit (status);
}

#ifdef __GLIBC__
/* The handlers run in the reverse order of their registration: those of modules,
 * which came later, have run when this ends the process, and those of the
 * application that it was forked from never do. */
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
