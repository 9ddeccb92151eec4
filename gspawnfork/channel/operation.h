/* operation.h: one asynchronous call that awaits an answer
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

#include "process/child.h"

G_BEGIN_DECLS

/* What an operation waits for. The last three end the template. */
typedef enum
{
  G_FORK_AWAIT_END, /* nothing is sent, and there is no answer */
  G_FORK_AWAIT_SYNCED,
  G_FORK_AWAIT_DETACHED, /* SYNCED, and then the control socket is handed out */
  G_FORK_AWAIT_READY,    /* READY, and then the control socket is the user's */
  G_FORK_AWAIT_EXECUTED  /* READY, and then the end of file */
} GForkAwait;

/* What a successful operation returns: a socket, or -1, and the process. */
typedef struct
{
  int fd;
  GForkChild *child;
} GForkLaunch;

void            g_fork_launch_free            (GForkLaunch       *launch);

typedef struct _GForkOperation GForkOperation;

guint8          g_fork_await_get_verb         (GForkAwait         await);
GError         *g_fork_await_complete_error   (GForkAwait         await,
                                               const void        *payload,
                                               GError            *error);

GForkOperation *g_fork_operation_new          (GForkAwait         await,
                                               const void        *payload,
                                               GTask             *task);
GForkAwait      g_fork_operation_get_await    (GForkOperation    *operation);
void            g_fork_operation_set_n_sent   (GForkOperation    *operation,
                                               guint              n_sent);
guint           g_fork_operation_get_n_sent   (GForkOperation    *operation);
gboolean        g_fork_operation_is_of        (GForkOperation    *operation,
                                               GTask             *task);
GMainContext   *g_fork_operation_get_context  (GForkOperation    *operation);
gboolean        g_fork_operation_make_socket  (GForkOperation    *operation,
                                               int               *other_end,
                                               GError           **error);
int             g_fork_operation_take_socket  (GForkOperation    *operation);

void            g_fork_operation_set_ready    (GForkOperation    *operation);
gboolean        g_fork_operation_is_ready     (GForkOperation    *operation);

/* What is released when the task returns. */
void            g_fork_operation_keep         (GForkOperation    *operation,
                                               gpointer           resource,
                                               GDestroyNotify     release);
void            g_fork_operation_attach       (GForkOperation    *operation,
                                               GSource           *source,
                                               GSourceFunc        func);
void            g_fork_operation_call_later   (GForkOperation    *operation,
                                               const char        *name,
                                               guint              milliseconds,
                                               GSourceFunc        func);

void            g_fork_operation_then         (GForkOperation    *operation,
                                               GDestroyNotify     then,
                                               gpointer           data);

GForkOperation *g_fork_operation_cancel       (GForkOperation    *operation);
gboolean        g_fork_operation_is_cancelled (GForkOperation    *operation);
void            g_fork_operation_fail         (GForkOperation    *operation,
                                               GError            *error);
void            g_fork_operation_succeed      (GForkOperation    *operation,
                                               int                fd,
                                               GForkChild        *child);
void            g_fork_operation_return       (gpointer           data);

G_END_DECLS
