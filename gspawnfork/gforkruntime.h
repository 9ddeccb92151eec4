/* gforkruntime.h: which program serves which language
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>
#include <gspawnfork/gforkversion.h>

G_BEGIN_DECLS

GFORK_AVAILABLE_IN_1_0
void g_fork_set_interpreter (const char *runtime,
                             const char *interpreter);

G_END_DECLS
