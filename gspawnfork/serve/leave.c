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

static int socket_to_close = -1;

/* Has the communication socket closed when exit() has done all it has to. The kernel
 * would first take the memory apart, which takes longer, and the application
 * waits for the end of file. */
void
gfork_close_at_exit (int socket)
{
  socket_to_close = socket;
}

#ifdef __GLIBC__
/* The function may have closed it, and opened something else that got the number; but
 * nobody uses that any more, unless there are threads, nor has buffered anything. */
static void
close_socket (void)
{
  fflush (NULL);
  if (socket_to_close >= 0 && GFORK_NEVER_THREADED)
    close (socket_to_close);
}

static void
on_last_exit (int   status,
              void *data)
{
  (void) status;
  (void) data;
  close_socket ();
}

static void
on_exit_before_the_application (int   status,
                                void *data)
{
  (void) data;
  close_socket ();
  _exit (status);
}
#endif

/* Handlers run in the reverse order of their registration. */
void
gfork_serve_register_exit (void)
{
#ifdef __GLIBC__
  on_exit (on_last_exit, NULL);
#endif
}

/* In a fork of an application. The handlers of modules, which come later, will have run
 * when this ends the process, and those of the application never do. */
void
gfork_leave_before_the_application (void)
{
#ifdef __GLIBC__
  on_exit (on_exit_before_the_application, NULL);
#endif
}
