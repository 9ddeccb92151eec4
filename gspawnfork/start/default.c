/* default.c: what new templates are forks of
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "start/default.h"

#include "base/error.h"
#include "base/generation.h"
#include "start/program.h"
#include "start/runtime.h"

#include <glib/gi18n-lib.h>
#include <string.h>

typedef struct
{
  GForkRemote *remote;
  guint interpreter; /* the serial of the one that was named when this was started or set */
  gboolean chosen;   /* set by the user: it is not replaced before it ends */
} Default;

/* Held while a process is being started, so that two threads do not start two of them. */
static GMutex lock;

/* By the name of the runtime. */
static GHashTable *defaults;

/* The defaults of the process that this one was forked from. They cannot be freed, because their
 * locks may be held, but leak checkers should find them. Nothing reads this, so it is volatile. */
static GHashTable *volatile inherited_defaults;

/* In a fork of the application. The lock is made anew, as another thread of the parent may have
 * held it. */
static void
forget_defaults (void)
{
  memset (&lock, 0, sizeof lock);
  inherited_defaults = defaults;
  defaults = NULL;
}

static void
lock_defaults (void)
{
  static gsize hooked;

  if (g_once_init_enter (&hooked))
    {
      g_fork_add_child_hook (forget_defaults);
      g_once_init_leave (&hooked, 1);
    }

  g_mutex_lock (&lock);
  if (defaults == NULL)
    defaults = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
}

/* Takes @remote, and returns the process that it replaces, which the caller disowns after
 * unlocking. */
static GForkRemote *
replace (const char  *runtime,
         GForkRemote *remote,
         gboolean     chosen)
{
  Default *kept = g_hash_table_lookup (defaults, runtime);
  GForkRemote *old = NULL;

  if (kept == NULL)
    {
      kept = g_new0 (Default, 1);
      g_hash_table_insert (defaults, g_strdup (runtime), kept);
    }
  old = kept->remote;
  kept->remote = remote;
  kept->interpreter = g_fork_runtime_get_interpreter_serial (runtime);
  kept->chosen = chosen;
  return old;
}

/* Whether it stays the default. A confined template is never replaced by a new one, which would
 * not be confined, neither when it has ended, so that its forks fail, nor when another
 * interpreter was named. */
static gboolean
is_usable (const char    *runtime,
           const Default *kept)
{
  if (kept == NULL || kept->remote == NULL)
    return FALSE;

  return g_fork_remote_is_confined (kept->remote)
         || (g_fork_remote_is_usable (kept->remote)
             && kept->interpreter == g_fork_runtime_get_interpreter_serial (runtime));
}

/* Stands in for a default that has the privileges of another user or group than this process. */
static GForkRemote *
new_refused (void)
{
  return g_fork_remote_new_failed (
      g_fork_reason_new (G_FORK_ERROR_FAILED,
                         _("the default template that was set has the privileges of another user "
                           "or group than the application has now; set another one")));
}

/* Returns the default template process of @runtime, which the caller owns as well. If there is
 * none that is_usable(), or the application has become another user, a new one is started if
 * @start is %TRUE; otherwise this returns %NULL. One that was chosen or confined is refused to
 * another user instead of being replaced. */
GForkRemote *
g_fork_default_own (const char *runtime,
                    gboolean    start)
{
  GForkRemote *old = NULL, *remote = NULL;
  Default *kept;

  lock_defaults ();
  kept = g_hash_table_lookup (defaults, runtime);
  if (is_usable (runtime, kept) && g_fork_remote_has_our_identity (kept->remote))
    remote = g_fork_remote_own (kept->remote);
  else if (is_usable (runtime, kept)
           && (kept->chosen || g_fork_remote_is_confined (kept->remote)))
    remote = new_refused ();
  else if (start)
    {
      old = replace (runtime, g_fork_runtime_start (runtime), FALSE);
      kept = g_hash_table_lookup (defaults, runtime);
      remote = g_fork_remote_own (kept->remote);
    }
  g_mutex_unlock (&lock);

  if (old != NULL)
    g_fork_remote_disown (old);
  return remote;
}

/* Replaces the default that there was. */
static void
set_default (const char  *runtime,
             GForkRemote *remote,
             gboolean     chosen)
{
  GForkRemote *old;

  lock_defaults ();
  old = replace (runtime, g_fork_remote_own (remote), chosen);
  g_mutex_unlock (&lock);

  if (old != NULL)
    g_fork_remote_disown (old);
}

/* Sets a default that the user has chosen, which is not replaced before it ends. */
void
g_fork_default_set (const char  *runtime,
                    GForkRemote *remote)
{
  set_default (runtime, remote, TRUE);
}

/* Forgets all defaults. New ones are started when they are needed. */
void
g_fork_default_forget_all (void)
{
  g_autoptr (GHashTable) old = NULL;
  GHashTableIter iter;
  gpointer kept;

  lock_defaults ();
  old = g_steal_pointer (&defaults);
  g_mutex_unlock (&lock);

  g_hash_table_iter_init (&iter, old);
  while (g_hash_table_iter_next (&iter, NULL, &kept))
    if (((Default *) kept)->remote != NULL)
      g_fork_remote_disown (((Default *) kept)->remote);
}

/**
 * g_fork_init_early_with:
 * @runtime: the name of the runtime that the fork serves
 * @func: (scope call) (closure user_data): forks the calling program
 * @user_data: data for @func
 * @error: return location for an error
 *
 * Has @func fork the calling program, as [ctor@GFork.Template.new_from_main_with] does, and
 * makes the fork the default template of the runtime. This is for language bindings.
 *
 * If the program changes its effective user, its effective group or its supplementary groups,
 * the default template is replaced; see [func@GFork.Template.dup_default].
 *
 * This fails with the errors of [func@GFork.init_early].
 *
 * Returns: %TRUE if the program was forked; %FALSE with @error set
 *
 * Since: 1.0
 */
gboolean
g_fork_init_early_with (const char     *runtime,
                        GForkMainFunc   func,
                        gpointer        user_data,
                        GError        **error)
{
  GForkRemote *remote;

  g_return_val_if_fail (runtime != NULL, FALSE);
  g_return_val_if_fail (func != NULL, FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  remote = g_fork_main_fork (func, user_data, error);
  if (remote == NULL)
    return FALSE;

  set_default (runtime, remote, FALSE);
  g_fork_remote_disown (remote);
  return TRUE;
}
