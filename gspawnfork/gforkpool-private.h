/* gforkpool-private.h: what is within a pool
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gforkpool.h"
#include "pool/pool.h"

G_BEGIN_DECLS

GForkCrew *g_fork_pool_get_crew    (GForkPool    *self);
void       g_fork_pool_set_setting (GForkPool    *self,
                                    GForkSetting  setting,
                                    guint         value);

G_END_DECLS
