/* source.c: sources in main contexts that they hold no reference to
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "base/source.h"

static gboolean
never_called (gpointer user_data)
{
  g_assert_not_reached ();
}

/* GLib calls this when the source is destroyed, by g_fork_source_drop() or with its context. */
static void
on_destroyed (gpointer user_data)
{
  GForkSource *self = user_data;

  if (!g_atomic_int_get (&self->dropped))
    self->gone (self);
}

void
g_fork_source_attach (GForkSource    *self,
                      const char     *name,
                      GDestroyNotify  gone,
                      GMainContext   *context)
{
  self->gone = gone;
  g_source_set_static_name (&self->source, name);
  g_source_set_callback (&self->source, never_called, self, on_destroyed);
  g_source_attach (&self->source, context);
}

/* The caller holds the lock, and a reference to the source, which it drops after unlocking. */
void
g_fork_source_drop (GForkSource *self)
{
  g_atomic_int_set (&self->dropped, TRUE);
  g_source_destroy (&self->source);
}
