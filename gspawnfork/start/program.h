/* program.h: the calling program as its own helper
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "channel/channel.h"

G_BEGIN_DECLS

GForkChannel *g_fork_main_fork       (GError **error);
GForkChannel *g_fork_main_fork_early (void);

G_END_DECLS
