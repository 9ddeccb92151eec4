/* default.h: the template that new templates are forks of
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "channel/channel.h"
#include "gforktemplate.h"

G_BEGIN_DECLS

GForkChannel *g_fork_template_peek_channel    (GForkTemplate *self);
GForkTemplate *g_fork_template_new_for_channel(GForkChannel  *channel,
                                               const char    *runtime);

GForkChannel *g_fork_default_fork             (void);

G_END_DECLS
