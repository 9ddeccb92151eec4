/* channel.h: frames over a control socket
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

#include "wire/frame.h"

G_BEGIN_DECLS

typedef struct _GForkChannel GForkChannel;
typedef struct _GForkWatch GForkWatch;

/* How the stream of frames came to its end. */
typedef enum
{
  G_FORK_END_OF_FILE,
  G_FORK_END_MALFORMED,
  G_FORK_END_UNREADABLE, /* with an errno */
  G_FORK_END_UNWRITABLE  /* likewise; what has come in can still be read */
} GForkEnd;

/* The functions of the owner. @frame and @end are called with the lock held. */
typedef struct
{
  gpointer (*ref) (gpointer owner);
  void (*unref) (gpointer owner);

  /* Handles a frame. Descriptors that it does not take out of the frame are closed. */
  void (*frame) (gpointer            owner,
                 struct gfork_frame *frame);
  void (*end) (gpointer owner,
               GForkEnd end,
               int      error_number);
} GForkChannelFuncs;

GForkChannel *g_fork_channel_new          (int                      fd,
                                           const GForkChannelFuncs *funcs,
                                           gpointer                 owner);
void          g_fork_channel_free         (GForkChannel            *channel);
gboolean      g_fork_channel_is_ours      (GForkChannel            *channel);

/* The lock guards the owner's state as well. A function that must not be called under it is
 * handed to g_fork_channel_defer(), and g_fork_channel_unlock() calls these in their order. */
void          g_fork_channel_lock         (GForkChannel            *channel);
void          g_fork_channel_unlock       (GForkChannel            *channel);
void          g_fork_channel_defer        (GForkChannel            *channel,
                                           GDestroyNotify           func,
                                           gpointer                 data);

/* The lock is held. */
gboolean      g_fork_channel_is_open      (GForkChannel            *channel);
gsize         g_fork_channel_n_unsent     (GForkChannel            *channel,
                                           gsize                   *n_fds);
gboolean      g_fork_channel_is_blocked   (GForkChannel            *channel);
void          g_fork_channel_append       (GForkChannel            *channel,
                                           guint8                   verb,
                                           const void              *payload,
                                           gsize                    length,
                                           const int               *fds,
                                           gsize                    n_fds);
void          g_fork_channel_flush        (GForkChannel            *channel);
void          g_fork_channel_read         (GForkChannel            *channel);
void          g_fork_channel_read_exactly (GForkChannel            *channel);
void          g_fork_channel_read_more    (GForkChannel            *channel);
void          g_fork_channel_stop         (GForkChannel            *channel);
void          g_fork_channel_linger       (GForkChannel            *channel);
int           g_fork_channel_take_fd      (GForkChannel            *channel);

/* The lock is not held. */
void          g_fork_channel_pump         (GForkChannel            *channel,
                                           gboolean                 to_the_end);
gboolean      g_fork_channel_has_ended    (GForkChannel            *channel);
GForkWatch   *g_fork_channel_watch        (GForkChannel            *channel,
                                           GMainContext            *context);
void          g_fork_watch_release        (GForkWatch              *watch);

G_END_DECLS
