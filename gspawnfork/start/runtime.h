/* runtime.h: which program serves which language
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "channel/remote.h"

G_BEGIN_DECLS

GForkRemote *g_fork_runtime_start                  (const char *runtime);
gboolean     g_fork_runtime_forks                  (const char *runtime);
guint        g_fork_runtime_get_interpreter_serial (const char *runtime);

G_END_DECLS
