/* default.h: what new templates are forks of
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "channel/remote.h"

G_BEGIN_DECLS

GForkRemote *g_fork_default_own (void);
void         g_fork_default_set (GForkRemote *remote);

G_END_DECLS
