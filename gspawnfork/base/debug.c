/* debug.c: debug messages, which are shown with G_MESSAGES_DEBUG=gspawnfork
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "base/debug.h"

/* Whether a message would be shown. The environment is looked at once, as it does not change in
 * a program that has threads; g_log_set_debug_enabled() may be called at any time. */
gboolean
g_fork_debug_is_enabled (void)
{
  enum { UNKNOWN, DISABLED, ENABLED };
  static gsize in_environment = UNKNOWN;

  if (g_once_init_enter (&in_environment))
    g_once_init_leave (&in_environment,
                       g_log_writer_default_would_drop (G_LOG_LEVEL_DEBUG, G_LOG_DOMAIN)
                           ? DISABLED
                           : ENABLED);

  return in_environment == ENABLED || g_log_get_debug_enabled ();
}
