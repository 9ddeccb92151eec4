/* channel.h: one control socket
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

#include "wire/frame.h"

G_BEGIN_DECLS

typedef struct _GForkChannel GForkChannel;
typedef struct _GForkChild GForkChild;
typedef struct _GForkWatch GForkWatch;
typedef struct _GForkLog GForkLog;

/* What an operation waits for. The last three end the template. */
typedef enum
{
  G_FORK_AWAIT_SYNCED,
  G_FORK_AWAIT_DETACHED, /* SYNCED, and then the control socket is handed out */
  G_FORK_AWAIT_READY,    /* READY, and then the control socket is the user's */
  G_FORK_AWAIT_EXECUTED  /* READY, and then the end of file */
} GForkAwait;

/* What comes out of READY, EXECUTED and DETACHED: a socket, and whose it is. */
typedef struct
{
  int fd;
  GForkChild *child;
} GForkLaunch;

void          g_fork_launch_free               (GForkLaunch        *launch);

GForkChannel *g_fork_channel_new               (int                 fd,
                                                GForkChild         *child);
GForkChannel *g_fork_channel_new_failed        (GError             *error);
void          g_fork_channel_set_program       (GForkChannel       *channel,
                                                const char         *program);
GForkChannel *g_fork_channel_new_child         (GForkChannel       *parent);
void          g_fork_channel_set_log           (GForkChannel       *channel,
                                                GForkLog           *log);
GForkChannel *g_fork_channel_fork              (GForkChannel       *parent);
void          g_fork_channel_set_spares        (GForkChannel       *channel,
                                                guint               wanted);
GForkChannel *g_fork_channel_ref               (GForkChannel       *channel);
void          g_fork_channel_unref             (GForkChannel       *channel);

/* The socket is open as long as somebody uses it; who makes a channel does. */
void          g_fork_channel_use               (GForkChannel       *channel);
void          g_fork_channel_unuse             (GForkChannel       *channel);
void          g_fork_channel_close             (GForkChannel       *channel);

pid_t         g_fork_channel_get_pid           (GForkChannel       *channel);
void          g_fork_channel_check             (GForkChannel       *channel);
GError       *g_fork_channel_closed_error      (void);
gboolean      g_fork_channel_is_doomed         (GForkChannel       *channel);
gboolean      g_fork_channel_is_dying          (GForkChannel       *channel);

void          g_fork_channel_send              (GForkChannel       *channel,
                                                guint8              verb,
                                                const void         *payload,
                                                gsize               length,
                                                const int          *fds,
                                                gsize               n_fds);
void          g_fork_channel_send_strings      (GForkChannel       *channel,
                                                guint8              verb,
                                                const char         *first,
                                                const char * const *rest);
gboolean      g_fork_channel_update_module_path (GForkChannel       *channel,
                                                 int                 serial);
void          g_fork_channel_add_mapped        (GForkChannel       *channel,
                                                int                 target);
guint         g_fork_channel_get_mapped        (GForkChannel       *channel);
void          g_fork_channel_fail              (GForkChannel       *channel,
                                                GError             *error);

gboolean      g_fork_channel_has_children      (GForkChannel       *channel);
GError       *g_fork_await_error               (GForkAwait          await,
                                                const void         *payload,
                                                GError             *error);
gboolean      g_fork_channel_await             (GForkChannel       *channel,
                                                GForkAwait          await,
                                                const void         *payload,
                                                gsize               length,
                                                int                *streams,
                                                GTask              *task);

GForkWatch   *g_fork_channel_watch             (GForkChannel       *channel,
                                                GMainContext       *context);
void          g_fork_watch_release             (GForkWatch         *watch);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GForkChannel, g_fork_channel_unref)

G_END_DECLS
