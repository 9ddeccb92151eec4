/* program.h: the calling program as its own helper
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "channel/remote.h"

#include "gforktemplate.h"

G_BEGIN_DECLS

GForkRemote *g_fork_main_fork       (GForkMainFunc   func,
                                     gpointer        user_data,
                                     GError        **error);
GForkRemote *g_fork_main_fork_early (void);

G_END_DECLS
