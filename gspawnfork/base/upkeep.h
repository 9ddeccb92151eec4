/* upkeep.h: reaps and closes what has ended in programs that run no main loop
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A socket or a process to look after. Its descriptor becomes readable when there is something
 * to do. */
typedef struct _GForkUpkeep GForkUpkeep;
struct _GForkUpkeep
{
  gpointer (*ref) (gpointer item);
  void (*unref) (gpointer item);
  void (*look) (gpointer item); /* without a lock held */
  gpointer item;
  int fd; /* -1: it is looked at every time */
  GList link;
  gboolean kept;
};

void g_fork_upkeep_add    (GForkUpkeep *upkeep);
void g_fork_upkeep_remove (GForkUpkeep *upkeep);
void g_fork_upkeep        (void);

G_END_DECLS
