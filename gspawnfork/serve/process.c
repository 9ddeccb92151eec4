/* process.c: how the template process's processes begin and end
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/template.h"
#include "wire/kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct gfork_account *account;

void
gfork_serve_use_account (const struct gfork_account *of_program)
{
  account = of_program;
}

void
gfork_process_look_ahead (void)
{
  if (account != NULL)
    account->look ();
}

/* fork() makes the C library's locks and lists of threads good for the new process,
 * and calls handlers. Where there never was a thread, nor a handler, that comes to
 * writing to three pages, of which the new process has to make copies. */
pid_t
gfork_process_fork (void)
{
#ifdef HAVE__FORK
  if (account != NULL && GFORK_NEVER_THREADED && account->nothing_at_fork ())
    return _Fork ();
#endif
  return fork ();
}

/* A template that is a fork leaves the handlers alone: they are another process's. */
_Noreturn void
gfork_leave (struct gfork_template *template,
             int                    status)
{
  if (template->forked)
    _exit (status);
  exit (status);
}

/* A function has returned. The kernel closes descriptors when it has taken the memory
 * apart, which is a third of a short worker's life, and the application waits for the
 * end of file; so the socket is closed here, if nobody else can be using it. */
_Noreturn void
gfork_leave_run (struct gfork_template *template,
                 int                    status)
{
#ifdef __GLIBC__
  if (account != NULL && GFORK_NEVER_THREADED && account->nothing_at_exit ())
    {
      if (!account->nothing_buffered ())
        fcloseall ();
      gfork_kernel_close (template->socket);
      gfork_kernel_exit (status);
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
