/* spares.h: forks of a template that are kept ready
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _GForkSpares GForkSpares;

/* How spares are made, looked at and dropped. */
typedef struct
{
  gpointer (*fork) (gpointer template);
  gboolean (*is_usable) (gpointer spare);
  GDestroyNotify drop;
} GForkSparesFuncs;

GForkSpares *g_fork_spares_new        (const GForkSparesFuncs *funcs);
void         g_fork_spares_free       (GForkSpares            *spares);

void         g_fork_spares_set_wanted (GForkSpares            *spares,
                                       guint                   wanted);
guint        g_fork_spares_get_wanted (GForkSpares            *spares);
gpointer     g_fork_spares_take       (GForkSpares            *spares);
void         g_fork_spares_refill     (GForkSpares            *spares,
                                       gpointer                template);
void         g_fork_spares_discard    (GForkSpares            *spares);
void         g_fork_spares_end        (GForkSpares            *spares);

G_END_DECLS
