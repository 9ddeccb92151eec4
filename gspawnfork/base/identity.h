/* identity.h: the user and the groups that a process has the privileges of
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _GForkIdentity GForkIdentity;

GForkIdentity *g_fork_identity_new_current (void);
void           g_fork_identity_free        (GForkIdentity       *identity);
gboolean       g_fork_identity_is_current  (const GForkIdentity *identity);

G_END_DECLS
