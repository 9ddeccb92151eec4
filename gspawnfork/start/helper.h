/* helper.h: executing helpers
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "channel/remote.h"

G_BEGIN_DECLS

void          g_fork_helper_set_embedded (void);
GForkRemote *g_fork_helper_start        (void);
GForkRemote *g_fork_helper_start_program(const char * const *words);

G_END_DECLS
