/* generation.h: what happens when the application itself forks
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Called in the child, while it has one thread and the globals are locked. Only
 * what is async-signal-safe may be done. */
typedef void (*GForkChildHook) (void);

/* Returns how many forks lie between the first process that used the library and this one. What
 * was made in another generation must not be used, since its locks may be held by threads that
 * this process does not have. */
guint g_fork_generation      (void);

/* The lock of all that belongs to no single object. The application is not forked while it is
 * held. */
void  g_fork_globals_lock    (void);
void  g_fork_globals_unlock  (void);

void  g_fork_add_child_hook  (GForkChildHook hook);

G_END_DECLS
