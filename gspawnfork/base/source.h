/* source.h: sources of the library's in contexts that it does not keep
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The first member of a source's structure. The lock of the object that has the source guards
 * it: other threads modify and drop it with the lock held. If the context goes away first,
 * @gone is called, which takes the lock, and until it has returned the context is there. */
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
