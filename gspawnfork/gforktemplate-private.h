/* gforktemplate-private.h: the process of a template
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "channel/remote.h"
#include "gforktemplate.h"

G_BEGIN_DECLS

GForkRemote *g_fork_template_get_remote (GForkTemplate *self);

G_END_DECLS
