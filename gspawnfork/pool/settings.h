/* settings.h: the settings of a pool
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Times are milliseconds. */
typedef enum
{
  G_FORK_SETTING_MIN_WORKERS,
  G_FORK_SETTING_MAX_WORKERS,
  G_FORK_SETTING_IDLE_TIMEOUT,
  G_FORK_SETTING_MAX_JOBS,
  G_FORK_SETTING_JOBS_IN_FLIGHT,
  G_FORK_SETTING_RESTART,
  G_FORK_SETTING_MAX_RESTARTS,
  G_FORK_SETTING_RESTART_WINDOW,
  G_FORK_SETTING_RESTART_DELAY,
  G_FORK_SETTING_MAX_RESTART_DELAY,
  G_FORK_SETTING_STOP_SIGNAL,
  G_FORK_SETTING_STOP_TIMEOUT,
  G_FORK_SETTING_WAIT_FOR_READY,
  G_FORK_SETTING_RETRY_LOST,
  G_FORK_N_SETTINGS
} GForkSetting;

/* All of them, by their numbers. Guarded by the driver's lock. */
typedef const guint *GForkSettings;

static inline gint64
g_fork_settings_get_time (GForkSettings settings,
                          GForkSetting  setting)
{
  return settings[setting] * G_GINT64_CONSTANT (1000);
}

G_END_DECLS
