/* generation.c: what happens when the application itself forks
 *
 * In the child the library starts afresh: control sockets are closed, so that
 * their other ends see the end of file when the parent is gone, and nothing that
 * was inherited is used again.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "base/generation.h"

#include <pthread.h>

#define MAX_HOOKS 4

static GMutex globals;
static guint generation;
static GForkChildHook hooks[MAX_HOOKS];
static guint n_hooks;

static void
after_in_child (void)
{
  generation++;
  for (guint i = 0; i < n_hooks; i++)
    hooks[i]();
  g_mutex_unlock (&globals);
}

guint
g_fork_generation (void)
{
  return generation;
}

void
g_fork_globals_lock (void)
{
  g_mutex_lock (&globals);
}

void
g_fork_globals_unlock (void)
{
  g_mutex_unlock (&globals);
}

/* To be called once for each hook, before there is anything that it has to look after. */
void
g_fork_add_child_hook (GForkChildHook hook)
{
  static gsize watching;

  if (g_once_init_enter (&watching))
    {
      pthread_atfork (g_fork_globals_lock, g_fork_globals_unlock, after_in_child);
      g_once_init_leave (&watching, 1);
    }

  g_mutex_lock (&globals);
  g_assert (n_hooks < MAX_HOOKS);
  hooks[n_hooks++] = hook;
  g_mutex_unlock (&globals);
}
