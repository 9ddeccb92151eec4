/* remote.h: a template process as the application sees it
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "channel/operation.h"

G_BEGIN_DECLS

typedef struct _GForkRemote GForkRemote;

/* Executes a program, given by its words, that cannot be forked. */
typedef GForkRemote *(*GForkStarter) (const char * const *words);

GForkRemote *g_fork_remote_new             (int                 fd,
                                            GForkChild         *child);
GForkRemote *g_fork_remote_new_failed      (GError             *error);
void         g_fork_remote_set_program     (GForkRemote        *remote,
                                            const char         *program,
                                            guint               start_timeout);
void         g_fork_remote_set_starter     (GForkRemote        *remote,
                                            GForkStarter        start,
                                            const char * const *words);
GForkRemote *g_fork_remote_ref             (GForkRemote        *remote);
void         g_fork_remote_unref           (GForkRemote        *remote);

/* A remote process is closed when its last owner disowns it. Its maker is the first owner. */
GForkRemote *g_fork_remote_own             (GForkRemote        *remote);
void         g_fork_remote_disown          (GForkRemote        *remote);
void         g_fork_remote_close           (GForkRemote        *remote);

pid_t        g_fork_remote_get_pid         (GForkRemote        *remote);
gboolean     g_fork_remote_is_usable       (GForkRemote        *remote);
gboolean     g_fork_remote_is_own          (GForkRemote        *remote);
gboolean     g_fork_remote_has_our_identity (GForkRemote       *remote);
gboolean     g_fork_remote_is_confined     (GForkRemote        *remote);

GForkRemote *g_fork_remote_fork            (GForkRemote        *parent);
GForkRemote *g_fork_remote_fork_anew       (GForkRemote        *parent);
void         g_fork_remote_set_spares      (GForkRemote        *remote,
                                            guint               wanted);
guint        g_fork_remote_get_spares      (GForkRemote        *remote);

/* Commands that prepare it. */
void         g_fork_remote_send            (GForkRemote        *remote,
                                            guint8              verb,
                                            const void         *payload,
                                            gsize               length,
                                            const int          *fds,
                                            gsize               n_fds);
void         g_fork_remote_send_strings    (GForkRemote        *remote,
                                            guint8              verb,
                                            const char         *first,
                                            const char * const *rest);
void         g_fork_remote_fail            (GForkRemote        *remote,
                                            GError             *error);
gboolean     g_fork_remote_update_module_path (GForkRemote     *remote,
                                               int              serial);
void         g_fork_remote_add_mapped      (GForkRemote        *remote,
                                            int                 target);
guint        g_fork_remote_get_mapped      (GForkRemote        *remote);

/* Operations that await an answer. Those that end the template need a claim. */
gboolean     g_fork_remote_claim           (GForkRemote        *remote,
                                            GForkAwait          await);
void         g_fork_remote_await           (GForkRemote        *remote,
                                            GForkAwait          await,
                                            const void         *payload,
                                            gsize               length,
                                            int                *streams,
                                            GTask              *task);
void         g_fork_remote_await_end       (GForkRemote        *remote,
                                            GTask              *task);
GError      *g_fork_remote_closed_error    (void);
GError      *g_fork_remote_ended_error     (GForkRemote        *remote);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GForkRemote, g_fork_remote_unref)

G_END_DECLS
