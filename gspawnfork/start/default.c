/* default.c: the template that new templates are forks of
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
static GForkTemplate *default_template;

/* The one of the process that this one was forked from. It cannot be freed, because
 * its locks may be held, but somebody should know it (volatile, since nobody asks). */
static GForkTemplate *volatile inherited_template;

/* In a fork of the application. Another thread of the parent's may have held the
 * lock; nobody holds it here. */
static void
forget_default (void)
{
  memset (&lock, 0, sizeof lock);
  inherited_template = default_template;
  default_template = NULL;
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

static GForkTemplate *
dup_default (void)
{
  g_autoptr (GForkTemplate) dead = NULL;
  GForkTemplate *template;

  lock_default ();
  if (default_template == NULL
      || g_fork_channel_is_dying (g_fork_template_peek_channel (default_template)))
    {
      /* NOLINTNEXTLINE(clang-analyzer-deadcode.DeadStores): dropped after the lock */
      dead = default_template;
      default_template = g_fork_template_new_for_channel (g_fork_runtime_start (NULL), NULL);
    }
  template = g_object_ref (default_template);
  g_mutex_unlock (&lock);

  return template;
}

/* The channel of a new fork of the default template, with its use. */
GForkChannel *
g_fork_default_fork (void)
{
  g_autoptr (GForkTemplate) template = dup_default ();

  return g_fork_channel_fork (g_fork_template_peek_channel (template));
}

/**
 * g_fork_template_dup_default:
 *
 * Gets the template that [ctor@GFork.Template.new] forks. It is started on first
 * use, and anew if it has died or was run; in a process that was itself forked from
 * the application, it is another one.
 *
 * What it is told to load is there in every template made afterwards.
 *
 * Returns: (transfer full): the default template
 *
 * Since: 1.0
 */
GForkTemplate *
g_fork_template_dup_default (void)
{
  return dup_default ();
}

/**
 * g_fork_template_set_default:
 * @template_: (nullable) (type GObject.Object): a [class@GFork.Template], or %NULL for a new helper at the next use
 *
 * Sets the template that [ctor@GFork.Template.new] forks. If it dies, a new helper,
 * with nothing loaded, takes its place.
 *
 * In other languages this is a function of the class, and not a method, for which there
 * would have to be a template.
 *
 * Since: 1.0
 */
void
g_fork_template_set_default (GForkTemplate *template_)
{
  g_autoptr (GForkTemplate) old = NULL;

  g_return_if_fail (template_ == NULL || G_FORK_IS_TEMPLATE (template_));

  /* One that g_object_new() has made is forked off the default template now, not
   * when it is that itself and the lock is held. */
  if (template_ != NULL)
    g_fork_template_peek_channel (template_);

  lock_default ();
  /* NOLINTNEXTLINE(clang-analyzer-deadcode.DeadStores): dropped after the lock */
  old = default_template;
  default_template = template_ != NULL ? g_object_ref (template_) : NULL;
  g_mutex_unlock (&lock);
}
