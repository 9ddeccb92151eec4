/* child.h: one process, and who reaps it
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

#include "wire/frame.h"

G_BEGIN_DECLS

typedef struct _GForkChild GForkChild;
typedef struct _GForkListener GForkListener;

/* The functions of a template that reaps the processes that it has forked, and reports how they
 * have ended. */
typedef struct
{
  gpointer (*ref) (gpointer reaper);
  void (*unref) (gpointer reaper);

  /* Has reports read when @context is iterated. Returns %NULL if there will be none. */
  gpointer (*watch) (gpointer      reaper,
                     GMainContext *context);
  void (*unwatch) (gpointer watch);

  /* Reads the reports that have come. */
  void (*read) (gpointer reaper);

  /* Signals the process, or with a negative number the group that it leads, unless it was
   * reaped. Returns %FALSE if the template has ended. */
  gboolean (*kill) (gpointer reaper,
                    guint32  id,
                    int      signum);
} GForkReaper;

/* Called once, in the context that the listener was started in. */
typedef void (*GForkListenerFunc) (GForkChild *child,
                                   gpointer    data);

GForkChild    *g_fork_child_new_direct  (pid_t                      pid);
GForkChild    *g_fork_child_new_forked  (const GForkReaper         *funcs,
                                         gpointer                   reaper,
                                         guint32                    id);
GForkChild    *g_fork_child_new_foreign (void);
GForkChild    *g_fork_child_ref         (GForkChild                *child);
void           g_fork_child_unref       (GForkChild                *child);

/* What the answers of templates say about a process, and what becomes of it on this side. */
void           g_fork_child_set_pid     (GForkChild                *child,
                                         const struct gfork_pid    *pid,
                                         int                        pidfd);
void           g_fork_child_set_name    (GForkChild                *child,
                                         const char                *name);
void           g_fork_child_set_exited  (GForkChild                *child,
                                         const struct gfork_exited *exited);
void           g_fork_child_set_orphan  (GForkChild                *child);
gpointer       g_fork_child_set_end_func (GForkChild               *child,
                                         GDestroyNotify             func,
                                         gpointer                   data);
void           g_fork_child_leave       (GForkChild                *child);
void           g_fork_child_forget      (GForkChild                *child);

pid_t          g_fork_child_get_pid     (GForkChild                *child);
const char    *g_fork_child_get_name    (GForkChild                *child);
gboolean       g_fork_child_is_direct   (GForkChild                *child);
gboolean       g_fork_child_check       (GForkChild                *child);
gboolean       g_fork_child_is_running  (GForkChild                *child);
gboolean       g_fork_child_has_ended   (GForkChild                *child);
gboolean       g_fork_child_will_tell   (GForkChild                *child);
gboolean       g_fork_child_is_lost     (GForkChild                *child);
const struct gfork_exited *
               g_fork_child_get_exited  (GForkChild                *child);

GForkListener *g_fork_listener_new      (GForkChild                *child,
                                         GForkListenerFunc          func,
                                         gpointer                   data,
                                         GDestroyNotify             free_data);
GForkListener *g_fork_listener_ref      (GForkListener             *self);
void           g_fork_listener_unref    (GForkListener             *self);
void           g_fork_listener_start    (GForkListener             *self,
                                         GMainContext              *context);
gboolean       g_fork_listener_stop     (GForkListener             *self);

gboolean       g_fork_child_kill        (GForkChild                *child,
                                         int                        signum,
                                         GError                   **error);
gboolean       g_fork_child_kill_group  (GForkChild                *child,
                                         int                        signum,
                                         GError                   **error);
void           g_fork_child_force_exit  (GForkChild                *child);
int            g_fork_child_dup_pidfd   (GForkChild                *child,
                                         GError                   **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GForkChild, g_fork_child_unref)

G_END_DECLS
