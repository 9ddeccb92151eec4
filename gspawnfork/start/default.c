/* default.c: what new templates are forks of
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "start/default.h"

#include "base/generation.h"
#include "start/runtime.h"

#include <string.h>

/* Held while a helper is being started, so that two threads do not start two. */
static GMutex lock;
static GForkRemote *default_remote;

/* The one of the process that this one was forked from. It cannot be freed, because
 * its locks may be held, but leak checkers should find it (volatile, since nothing reads it). */
static GForkRemote *volatile inherited_remote;

/* In a fork of the application. Another thread of the parent's may have held the
 * lock; no thread holds it here. */
static void
forget_default (void)
{
  memset (&lock, 0, sizeof lock);
  inherited_remote = default_remote;
  default_remote = NULL;
}

static void
lock_default (void)
{
  static gsize hooked;

  if (g_once_init_enter (&hooked))
    {
      g_fork_add_child_hook (forget_default);
      g_once_init_leave (&hooked, 1);
    }

  g_mutex_lock (&lock);
}

/* The default template process, which the caller owns as well. It is started if there is none,
 * and anew if it has died or was run. */
GForkRemote *
g_fork_default_own (void)
{
  GForkRemote *old = NULL, *remote;

  lock_default ();
  if (default_remote == NULL || !g_fork_remote_is_usable (default_remote))
    {
      old = default_remote;
      default_remote = g_fork_runtime_start (NULL);
    }
  remote = g_fork_remote_own (default_remote);
  g_mutex_unlock (&lock);

  if (old != NULL)
    g_fork_remote_disown (old);
  return remote;
}

/* @remote may be %NULL: then the next use starts another one. */
void
g_fork_default_set (GForkRemote *remote)
{
  GForkRemote *old;

  lock_default ();
  old = default_remote;
  default_remote = remote != NULL ? g_fork_remote_own (remote) : NULL;
  g_mutex_unlock (&lock);

  if (old != NULL)
    g_fork_remote_disown (old);
}
