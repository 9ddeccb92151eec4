/* program.c: the calling program as its own helper
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "start/program.h"

#include "base/debug.h"
#include "base/error.h"
#include "base/generation.h"
#include "base/upkeep.h"
#include "start/helper.h"
#include "gforktemplate.h"
#include "serve/serve.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <unistd.h>

/* What g_fork_init_early() has forked. */
static GForkRemote *early;
static guint early_generation;

/* Forks the calling program, and makes the fork a template. A binding forks by @func, as its
 * interpreter has to do something before and after. */
GForkRemote *
g_fork_main_fork (GForkMainFunc   func,
                  gpointer        user_data,
                  GError        **error)
{
  char threads[512];
  int fds[2], n_threads, error_number;
  sigset_t all, before;
  g_autoptr (GForkChild) child = NULL;
  pid_t pid;

  g_fork_upkeep ();

  n_threads = gfork_count_threads (threads, sizeof threads);
  if (n_threads != 1)
    {
      g_propagate_error (error, g_fork_error_new_threaded (threads, n_threads, ""));
      return NULL;
    }

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
    {
      g_propagate_error (error, g_fork_error_new_for (G_FORK_ERROR_FORK, GFORK_FORK, "",
                                                      g_strerror (errno)));
      return NULL;
    }

  /* What the program has printed so far is printed once. */
  fflush (NULL);

  /* No signal handler of the application may run in the fork. */
  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  pid = func != NULL ? func (fds[1], user_data) : fork ();
  if (pid == 0)
    gfork_serve_fork (fds[1]);
  error_number = func != NULL ? -pid : errno;
  pthread_sigmask (SIG_SETMASK, &before, NULL);

  close (fds[1]);
  if (pid < 0)
    {
      g_propagate_error (error, g_fork_error_new_for (G_FORK_ERROR_FORK, GFORK_FORK, "",
                                                      g_strerror (error_number)));
      close (fds[0]);
      return NULL;
    }

  g_fork_debug ("process %d is forked off this program", (int) pid);
  child = g_fork_child_new_direct (pid);
  return g_fork_remote_new (fds[0], child);
}

/* Returns a new fork of what was forked early; %NULL if nothing was, or it has died, or has
 * privileges that this process has dropped. */
GForkRemote *
g_fork_main_fork_early (void)
{
  if (early == NULL || early_generation != g_fork_generation () || !g_fork_remote_is_usable (early)
      || !g_fork_remote_has_our_identity (early))
    return NULL;

  return g_fork_remote_fork_anew (early);
}

/**
 * g_fork_init_early:
 * @error: return location for an error
 *
 * Forks the calling program, to be called as the first thing that it does, while it is small.
 *
 * From then on, [ctor@GFork.Template.new] and [ctor@GFork.Template.new_exec] fork that process
 * instead of executing a helper. Functions that the program itself exports can be run and
 * called in their templates. Neither the `atexit()` handlers nor the destructors of the
 * program are run in these processes.
 *
 * If the program changes its effective user, its effective group or its supplementary groups,
 * the process is not used any more, and helpers are executed again. Further calls of this
 * function do nothing.
 *
 * This fails with %G_FORK_ERROR_THREADED, with the names of the threads, if the program has
 * more than one thread, or with %G_FORK_ERROR_FORK, with the system's reason.
 *
 * Returns: %TRUE if the program was forked; %FALSE with @error set
 *
 * Since: 1.0
 */
gboolean
g_fork_init_early (GError **error)
{
  if (early != NULL && early_generation == g_fork_generation ())
    return TRUE;

  early = g_fork_main_fork (NULL, NULL, error);
  early_generation = g_fork_generation ();
  return early != NULL;
}

/**
 * g_fork_embed_helper: (skip)
 * @argc: the number of elements in @argv
 * @argv: (array length=argc): the arguments of `main()`
 *
 * Makes the program its own helper, so that no helper has to be installed. This is for static,
 * relocated or bundled programs. Call it in the first line of `main()`.
 *
 * If the program was started as a helper, this carries out commands and does not return.
 * Otherwise, the program is executed as the helper when one is needed. Functions that the
 * program exports can then be run and called.
 *
 * In set-user-ID and set-group-ID programs this does nothing, because the user who starts such
 * a program chooses its arguments.
 *
 * Since: 1.0
 */
void
g_fork_embed_helper (int    argc,
                     char **argv)
{
  if (getauxval (AT_SECURE) != 0)
    return;

  gfork_serve_command_line (argc, argv, GFORK_SERVE_PROGRAM);
  g_fork_helper_set_embedded ();
}
