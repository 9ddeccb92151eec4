/* gforkbinding.h: for those who write bindings for another language
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#if !defined(GFORK_INSIDE) && !defined(GFORK_COMPILATION)
#error "Only <gspawnfork/gspawnfork.h> can be included directly."
#endif

#include <gio/gio.h>
#include <gspawnfork/gforkversion.h>

G_BEGIN_DECLS

GFORK_AVAILABLE_IN_1_0
GMainContext *g_fork_begin_wait (GError **error);
GFORK_AVAILABLE_IN_1_0
void          g_fork_end_wait   (void);

G_END_DECLS
