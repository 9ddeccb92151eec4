/* spares.h: forks of a template that are kept ready
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "channel/channel.h"

G_BEGIN_DECLS

typedef struct _GForkSpares GForkSpares;

GForkSpares  *g_fork_spares_new        (void);
void          g_fork_spares_free       (GForkSpares  *spares);

void          g_fork_spares_set_wanted (GForkSpares  *spares,
                                        guint         wanted);
GForkChannel *g_fork_spares_take       (GForkSpares  *spares);
void          g_fork_spares_refill     (GForkSpares  *spares,
                                        GForkChannel *channel);
void          g_fork_spares_discard    (GForkSpares  *spares);
void          g_fork_spares_end        (GForkSpares  *spares);

G_END_DECLS
