/* gforksandbox.h: what a template and its workers may still do
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

/**
 * GForkSandboxFeatures:
 * @G_FORK_SANDBOX_NONE: nothing
 * @G_FORK_SANDBOX_FILES: files can be opened, created and removed only where that is
 *   allowed (Landlock 3, Linux 6.2)
 * @G_FORK_SANDBOX_NETWORK: TCP connections can be refused on all sockets, also on those
 *   that were sent (Landlock 4, Linux 6.7)
 * @G_FORK_SANDBOX_SIGNALS: a process can send signals only to what it has started itself
 *   (Landlock 6, Linux 6.12)
 * @G_FORK_SANDBOX_SYSTEM_CALLS: system calls are filtered (seccomp, if the library was built
 *   with libseccomp)
 *
 * The parts of a sandbox that can be enforced; see [func@GFork.Sandbox.get_features].
 *
 * Since: 1.0
 */
typedef enum /*< flags >*/
{
  G_FORK_SANDBOX_NONE = 0,
  G_FORK_SANDBOX_FILES = 1 << 0,
  G_FORK_SANDBOX_NETWORK = 1 << 1,
  G_FORK_SANDBOX_SIGNALS = 1 << 2,
  G_FORK_SANDBOX_SYSTEM_CALLS = 1 << 3
} GForkSandboxFeatures;

#define G_FORK_TYPE_SANDBOX (g_fork_sandbox_get_type ())

GFORK_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (GForkSandbox, g_fork_sandbox, G_FORK, SANDBOX, GObject)

GFORK_AVAILABLE_IN_1_0
GForkSandbox         *g_fork_sandbox_new                (void);

GFORK_AVAILABLE_IN_1_0
void                  g_fork_sandbox_allow_read         (GForkSandbox       *self,
                                                         const char         *path);
GFORK_AVAILABLE_IN_1_0
void                  g_fork_sandbox_allow_write        (GForkSandbox       *self,
                                                         const char         *path);
GFORK_AVAILABLE_IN_1_0
void                  g_fork_sandbox_allow_execute      (GForkSandbox       *self,
                                                         const char         *path);
GFORK_AVAILABLE_IN_1_0
void                  g_fork_sandbox_allow_network      (GForkSandbox       *self);
GFORK_AVAILABLE_IN_1_0
void                  g_fork_sandbox_allow_system_calls (GForkSandbox       *self,
                                                         const char * const *names);

GFORK_AVAILABLE_IN_1_0
gboolean              g_fork_sandbox_get_required       (GForkSandbox       *self);
GFORK_AVAILABLE_IN_1_0
void                  g_fork_sandbox_set_required       (GForkSandbox       *self,
                                                         gboolean            required);

GFORK_AVAILABLE_IN_1_0
GForkSandboxFeatures  g_fork_sandbox_get_features       (void);

G_END_DECLS
