/* runtime.h: which program serves which language
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "channel/remote.h"

G_BEGIN_DECLS

GForkRemote *g_fork_runtime_start (const char *runtime);

G_END_DECLS
