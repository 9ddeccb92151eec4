/* modulepath.h: where modules are looked for
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "channel/remote.h"

G_BEGIN_DECLS

void g_fork_module_path_send (GForkRemote *remote);

G_END_DECLS
