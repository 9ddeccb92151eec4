/* signals.c: how signals are handled in the template process and in what it forks
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/signals.h"

#include <signal.h>

/* What a terminal or a service manager sends to a whole process group, and what only ends
 * a process by default that did not ask for it. */
static const int quiet[] = {
  SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,   SIGTSTP, SIGUSR1,
  SIGUSR2, SIGALRM, SIGPIPE, SIGVTALRM, SIGPROF, SIGIO,
};

#define N_QUIET (sizeof quiet / sizeof *quiet)

/* These stay ignored if the application ignored them, as nohup(1) has it. */
static bool
is_inherited (int signum)
{
  return signum == SIGHUP || signum == SIGINT || signum == SIGQUIT;
}

static void
do_nothing (int signum)
{
  (void) signum;
}

void
gfork_signals_fill_quiet (sigset_t *set)
{
  sigemptyset (set);
  for (size_t i = 0; i < N_QUIET; i++)
    sigaddset (set, quiet[i]);
}

/* In a fork of an application, with all signals blocked: its handlers are not for here. */
void
gfork_signals_drop_handlers (void)
{
  for (int signum = 1; signum < NSIG; signum++)
    {
      struct sigaction action;

      if (sigaction (signum, NULL, &action) == 0
          && (action.sa_handler != SIG_IGN || !is_inherited (signum)))
        signal (signum, SIG_DFL);
    }
}

/* While the template waits for commands, nothing of this ends it. SIGCHLD is read from a
 * signalfd. */
void
gfork_signals_block (void)
{
  sigset_t blocked;

  gfork_signals_fill_quiet (&blocked);
  sigaddset (&blocked, SIGCHLD);
  sigprocmask (SIG_SETMASK, &blocked, NULL);
}

static void
unblock (void)
{
  sigset_t none;

  sigemptyset (&none);
  sigprocmask (SIG_SETMASK, &none, NULL);
}

/* A handler that does nothing is not inherited by programs that the process starts, as being
 * ignored would be. */
static void
handle_quiet (void)
{
  struct sigaction action, nothing = { .sa_handler = do_nothing, .sa_flags = SA_RESTART };

  for (size_t i = 0; i < N_QUIET; i++)
    if (sigaction (quiet[i], NULL, &action) == 0 && action.sa_handler == SIG_DFL)
      sigaction (quiet[i], &nothing, NULL);
}

/* To be called before code of a module, which runs with no signal blocked. */
void
gfork_signals_enter_module (void)
{
  handle_quiet ();
  unblock ();
}

/* To be called after it. It may have set a signal to the default, and left a thread. */
void
gfork_signals_leave_module (void)
{
  handle_quiet ();
  gfork_signals_block ();
}

/* Takes over the signals of a process that becomes a template. Its own code may have left
 * a thread, too: an interpreter's does. */
void
gfork_signals_begin (struct gfork_signals *signals,
                     bool                  of_interpreter)
{
  sigemptyset (&signals->ignored);
  sigemptyset (&signals->changed);
  signals->of_interpreter = of_interpreter;

  for (size_t i = 0; i < N_QUIET; i++)
    {
      struct sigaction before;

      if (sigaction (quiet[i], NULL, &before) == 0 && before.sa_handler == SIG_IGN
          && (of_interpreter || is_inherited (quiet[i])))
        sigaddset (&signals->ignored, quiet[i]);
      else
        signal (quiet[i], SIG_DFL);
    }

  gfork_signals_leave_module ();
}

/* Notes which signals code of modules has changed. To be called after that and before a
 * fork, so that the fork need not look at all of them. */
void
gfork_signals_look (struct gfork_signals *signals)
{
  sigemptyset (&signals->changed);
  for (int signum = 1; signum < NSIG; signum++)
    {
      struct sigaction action;

      if (sigaction (signum, NULL, &action) != 0 || action.sa_handler == SIG_DFL)
        continue;
      if (action.sa_handler == do_nothing)
        signal (signum, SIG_DFL);
      else
        sigaddset (&signals->changed, signum);
    }
}

/* What came while it was blocked was meant for the template. Ignoring a signal discards it. */
static void
discard_pending (void)
{
  sigset_t pending;

  sigpending (&pending);
  for (size_t i = 0; i < N_QUIET; i++)
    if (sigismember (&pending, quiet[i]) == 1)
      {
        struct sigaction action, ignore = { .sa_handler = SIG_IGN };

        sigaction (quiet[i], &ignore, &action);
        sigaction (quiet[i], &action, NULL);
      }
}

/* Sets the handlers that a worker starts with, or a program if @for_program. In an
 * interpreter, a worker keeps those that the interpreter and its modules have set. */
void
gfork_signals_restore (const struct gfork_signals *signals,
                       bool                        for_program)
{
  sigset_t all;

  sigfillset (&all);
  sigprocmask (SIG_SETMASK, &all, NULL);

  for (int signum = 1; signum < NSIG; signum++)
    if (sigismember (&signals->changed, signum) == 1
        && (for_program || !signals->of_interpreter)
        && (sigismember (&signals->ignored, signum) != 1 || (for_program && !is_inherited (signum))))
      signal (signum, SIG_DFL);

  discard_pending ();
  unblock ();
}
