/* gforkprocess.h: a running worker
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

#define G_FORK_TYPE_PROCESS (g_fork_process_get_type ())

GFORK_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (GForkProcess, g_fork_process, G_FORK, PROCESS, GObject)

/**
 * GForkProcessSourceFunc:
 * @process: the process that has ended
 * @wait_status: the wait status as from `waitpid(2)`; -1 if it cannot be known
 * @user_data: the data given to [method@GLib.Source.set_callback]
 *
 * The type of callbacks of the sources that
 * [method@GFork.Process.create_source] makes.
 *
 * Returns: %G_SOURCE_REMOVE; as a process ends only once, the source is removed in any case
 *
 * Since: 1.0
 */
typedef gboolean (*GForkProcessSourceFunc) (GForkProcess *process,
                                            int           wait_status,
                                            gpointer      user_data);

GFORK_AVAILABLE_IN_1_0
GPid     g_fork_process_get_pid           (GForkProcess         *self);

GFORK_AVAILABLE_IN_1_0
void     g_fork_process_wait_async        (GForkProcess         *self,
                                           GCancellable         *cancellable,
                                           GAsyncReadyCallback   callback,
                                           gpointer              user_data);
GFORK_AVAILABLE_IN_1_0
gboolean g_fork_process_wait_finish       (GForkProcess         *self,
                                           GAsyncResult         *result,
                                           GError              **error);
GFORK_AVAILABLE_IN_1_0
gboolean g_fork_process_wait              (GForkProcess         *self,
                                           GCancellable         *cancellable,
                                           GError              **error);

GFORK_AVAILABLE_IN_1_0
void     g_fork_process_wait_check_async  (GForkProcess         *self,
                                           GCancellable         *cancellable,
                                           GAsyncReadyCallback   callback,
                                           gpointer              user_data);
GFORK_AVAILABLE_IN_1_0
gboolean g_fork_process_wait_check_finish (GForkProcess         *self,
                                           GAsyncResult         *result,
                                           GError              **error);
GFORK_AVAILABLE_IN_1_0
gboolean g_fork_process_wait_check        (GForkProcess         *self,
                                           GCancellable         *cancellable,
                                           GError              **error);

GFORK_AVAILABLE_IN_1_0
int      g_fork_process_get_wait_status   (GForkProcess         *self);
GFORK_AVAILABLE_IN_1_0
gboolean g_fork_process_get_if_exited     (GForkProcess         *self);
GFORK_AVAILABLE_IN_1_0
int      g_fork_process_get_exit_status   (GForkProcess         *self);
GFORK_AVAILABLE_IN_1_0
gboolean g_fork_process_get_if_signaled   (GForkProcess         *self);
GFORK_AVAILABLE_IN_1_0
int      g_fork_process_get_term_sig      (GForkProcess         *self);

GFORK_AVAILABLE_IN_1_0
gint64   g_fork_process_get_user_time     (GForkProcess         *self);
GFORK_AVAILABLE_IN_1_0
gint64   g_fork_process_get_system_time   (GForkProcess         *self);
GFORK_AVAILABLE_IN_1_0
guint64  g_fork_process_get_max_rss       (GForkProcess         *self);

GFORK_AVAILABLE_IN_1_0
gboolean g_fork_process_send_signal       (GForkProcess         *self,
                                           int                   signum,
                                           GError              **error);
GFORK_AVAILABLE_IN_1_0
gboolean g_fork_process_send_signal_to_group (GForkProcess      *self,
                                              int                signum,
                                              GError           **error);
GFORK_AVAILABLE_IN_1_0
void     g_fork_process_force_exit        (GForkProcess         *self);

GFORK_AVAILABLE_IN_1_0
gboolean g_fork_process_is_running        (GForkProcess         *self);
GFORK_AVAILABLE_IN_1_0
int      g_fork_process_dup_pidfd         (GForkProcess         *self,
                                           GError              **error);

GFORK_AVAILABLE_IN_1_0
GOutputStream *g_fork_process_get_stdin_pipe  (GForkProcess     *self);
GFORK_AVAILABLE_IN_1_0
GInputStream  *g_fork_process_get_stdout_pipe (GForkProcess     *self);
GFORK_AVAILABLE_IN_1_0
GInputStream  *g_fork_process_get_stderr_pipe (GForkProcess     *self);

GFORK_AVAILABLE_IN_1_0
void     g_fork_process_communicate_async       (GForkProcess         *self,
                                                 GBytes               *stdin_buf,
                                                 GCancellable         *cancellable,
                                                 GAsyncReadyCallback   callback,
                                                 gpointer              user_data);
GFORK_AVAILABLE_IN_1_0
gboolean g_fork_process_communicate_finish      (GForkProcess         *self,
                                                 GAsyncResult         *result,
                                                 GBytes              **stdout_buf,
                                                 GBytes              **stderr_buf,
                                                 GError              **error);
GFORK_AVAILABLE_IN_1_0
gboolean g_fork_process_communicate             (GForkProcess         *self,
                                                 GBytes               *stdin_buf,
                                                 GCancellable         *cancellable,
                                                 GBytes              **stdout_buf,
                                                 GBytes              **stderr_buf,
                                                 GError              **error);
GFORK_AVAILABLE_IN_1_0
void     g_fork_process_communicate_utf8_async  (GForkProcess         *self,
                                                 const char           *stdin_buf,
                                                 GCancellable         *cancellable,
                                                 GAsyncReadyCallback   callback,
                                                 gpointer              user_data);
GFORK_AVAILABLE_IN_1_0
gboolean g_fork_process_communicate_utf8_finish (GForkProcess         *self,
                                                 GAsyncResult         *result,
                                                 char                **stdout_buf,
                                                 char                **stderr_buf,
                                                 GError              **error);
GFORK_AVAILABLE_IN_1_0
gboolean g_fork_process_communicate_utf8        (GForkProcess         *self,
                                                 const char           *stdin_buf,
                                                 GCancellable         *cancellable,
                                                 char                **stdout_buf,
                                                 char                **stderr_buf,
                                                 GError              **error);

GFORK_AVAILABLE_IN_1_0
GSource *g_fork_process_create_source     (GForkProcess         *self);

G_END_DECLS
