/* debug.h: debug messages, which are shown with G_MESSAGES_DEBUG=gspawnfork
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

gboolean g_fork_debug_is_enabled (void);

/* The arguments are evaluated only if the message is shown. The caller holds no lock: a
 * program's own log writer may call anything. */
#define g_fork_debug(...) \
  G_STMT_START \
    { \
      if (G_UNLIKELY (g_fork_debug_is_enabled ())) \
        g_debug (__VA_ARGS__); \
    } \
  G_STMT_END

G_END_DECLS
