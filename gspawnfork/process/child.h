/* child.h: one process, whoever reaps it
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

#include "channel/channel.h"
#include "wire/frame.h"

G_BEGIN_DECLS

/* Called once, in whatever thread noticed, without a lock held. */
typedef void (*GForkListenerFunc) (GForkChild   *child,
                                   GMainContext *context,
                                   gpointer      data);

GForkChild    *g_fork_child_new_direct (pid_t                      pid);
GForkChild    *g_fork_child_new_forked (GForkChannel              *reaper,
                                        guint32                    id);
GForkChild    *g_fork_child_new_foreign(void);
GForkChild    *g_fork_child_ref        (GForkChild                *child);
void           g_fork_child_unref      (GForkChild                *child);

void           g_fork_child_hold       (GForkChild                *child);
void           g_fork_child_release    (GForkChild                *child);

void           g_fork_child_set_unattended (GForkChild            *child);

void           g_fork_child_set_pid    (GForkChild                *child,
                                        const struct gfork_pid    *pid,
                                        int                        pidfd);
void           g_fork_child_set_exited (GForkChild                *child,
                                        const struct gfork_exited *exited);
void           g_fork_child_set_orphan (GForkChild                *child);

pid_t          g_fork_child_get_pid    (GForkChild                *child);
gboolean       g_fork_child_has_ended  (GForkChild                *child);
gboolean       g_fork_child_will_tell  (GForkChild                *child);
gboolean       g_fork_child_check      (GForkChild                *child);
gboolean       g_fork_child_is_running (GForkChild                *child);
int            g_fork_child_dup_pidfd  (GForkChild                *child,
                                        GError                   **error);
gboolean       g_fork_child_is_lost    (GForkChild                *child);
const struct gfork_exited *
               g_fork_child_get_exited (GForkChild                *child);

gboolean       g_fork_child_listen     (GForkChild                *child,
                                        GMainContext              *context,
                                        GForkListenerFunc          func,
                                        gpointer                   data);
gboolean       g_fork_child_unlisten   (GForkChild                *child,
                                        gconstpointer              data);

gboolean       g_fork_child_kill       (GForkChild                *child,
                                        int                        signum,
                                        GError                   **error);
gboolean       g_fork_child_kill_group (GForkChild                *child,
                                        int                        signum,
                                        GError                   **error);
void           g_fork_child_force_exit (GForkChild                *child);

void           g_fork_child_sweep      (void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GForkChild, g_fork_child_unref)

G_END_DECLS
