/* landlock.h: rulesets of Landlock, by which the kernel restricts processes
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The first versions of Landlock's interface that restrict everything of a kind. */
#define G_FORK_LANDLOCK_FILES 3   /* truncate() too */
#define G_FORK_LANDLOCK_NETWORK 4
#define G_FORK_LANDLOCK_SIGNALS 6

typedef enum
{
  G_FORK_ALLOW_READ = 1 << 0,
  G_FORK_ALLOW_WRITE = 1 << 1,
  G_FORK_ALLOW_EXECUTE = 1 << 2
} GForkAllow;

int      g_fork_landlock_get_version (void);
int      g_fork_landlock_new_access  (gboolean     may_connect);
gboolean g_fork_landlock_allow_path  (int          ruleset,
                                      const char  *path,
                                      GForkAllow   allow);
int      g_fork_landlock_new_scope   (void);

G_END_DECLS
