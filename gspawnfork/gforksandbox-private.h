/* gforksandbox-private.h: a sandbox as a template process takes it
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gforksandbox.h"

G_BEGIN_DECLS

/* The payload and the descriptors of CONFINE. */
typedef struct
{
  GByteArray *payload;
  int fds[2];
  gsize n_fds;
} GForkConfinement;

gboolean g_fork_sandbox_compile   (GForkSandbox      *self,
                                   GForkConfinement  *confinement,
                                   GError           **error);
void     g_fork_confinement_clear (GForkConfinement  *confinement);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (GForkConfinement, g_fork_confinement_clear)

G_END_DECLS
