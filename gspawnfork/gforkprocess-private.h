/* gforkprocess-private.h: how templates make processes
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "process/child.h"
#include "process/streams.h"
#include "gforkprocess.h"

G_BEGIN_DECLS

GForkProcess *g_fork_process_new_for_child (GForkChild   *child,
                                            GMainContext *context,
                                            GForkStreams *streams);

G_END_DECLS
