/* default.h: what new templates are forks of
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "channel/remote.h"

G_BEGIN_DECLS

GForkRemote *g_fork_default_own        (const char  *runtime,
                                        gboolean     start);
void         g_fork_default_set        (const char  *runtime,
                                        GForkRemote *remote);
void         g_fork_default_forget_all (void);

G_END_DECLS
