/* source.h: sources in main contexts that they hold no reference to
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The first member of a source's structure. Other threads may modify and drop the source, with
 * the lock of the object that owns it held. If the context is freed first, @gone is called. It
 * takes the lock as well, and the context exists until it has returned, so no other thread uses
 * a source whose context is freed. */
typedef struct
{
  GSource source;
  GDestroyNotify gone;
  int dropped;
} GForkSource;

void g_fork_source_attach (GForkSource    *self,
                           const char     *name,
                           GDestroyNotify  gone,
                           GMainContext   *context);
void g_fork_source_drop   (GForkSource    *self);

G_END_DECLS
