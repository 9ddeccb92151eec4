/* driver.h: who does a pool's work, and when
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

#include <sys/epoll.h>

G_BEGIN_DECLS

typedef struct _GForkDriver GForkDriver;
typedef struct _GForkDrive GForkDrive;     /* a main context that does the work */
typedef struct _GForkBlocked GForkBlocked; /* a thread that waits for a result */
typedef struct _GForkPoll GForkPoll;       /* what is awaited on a descriptor */

/* What the work is. The lock is held, but by the last two. */
typedef struct
{
  /* Does what follows from what has happened: to all of it, or to jobs alone. */
  void   (*decide)       (gpointer owner,
                          gboolean all);
  /* When there will be something to do although nothing happens. */
  gint64 (*get_deadline) (gpointer owner);
  /* Called in the context that the driver was made in. */
  void   (*emit)         (gpointer owner);
  void   (*free)         (gpointer owner);
} GForkDriverFuncs;

/* Something to do without the lock, about an object and a number. */
typedef void (*GForkActionFunc) (gpointer object,
                                 guint    number);

typedef void (*GForkPollFunc) (gpointer data,
                               guint32  events);

GForkDriver  *g_fork_driver_new        (const GForkDriverFuncs *funcs,
                                        gpointer                owner);
GForkDriver  *g_fork_driver_ref        (GForkDriver            *self);
void          g_fork_driver_unref      (GForkDriver            *self);
gboolean      g_fork_driver_is_ours    (GForkDriver            *self);
void          g_fork_driver_close      (GForkDriver            *self);

void          g_fork_driver_lock       (GForkDriver            *self);
void          g_fork_driver_unlock     (GForkDriver            *self);
void          g_fork_driver_unlock_unchanged (GForkDriver      *self);

/* With the lock */
gboolean      g_fork_driver_is_closed  (GForkDriver            *self);
const GError *g_fork_driver_get_defect (GForkDriver            *self);
void          g_fork_driver_touch      (GForkDriver            *self);
void          g_fork_driver_act        (GForkDriver            *self,
                                        GForkActionFunc         func,
                                        gpointer                object,
                                        guint                   number,
                                        GDestroyNotify          release);
void          g_fork_driver_discard    (GForkDriver            *self,
                                        gpointer                object,
                                        GDestroyNotify          release);
void          g_fork_driver_emit_soon  (GForkDriver            *self);

GForkPoll    *g_fork_poll_new          (GForkDriver            *driver,
                                        int                     fd,
                                        GForkPollFunc           func,
                                        gpointer                data);
gboolean      g_fork_poll_set          (GForkPoll              *self,
                                        guint32                 events);
void          g_fork_poll_write_soon   (GForkPoll              *self);
void          g_fork_poll_free         (GForkPoll              *self);

GForkDrive   *g_fork_driver_use        (GForkDriver            *self,
                                        GMainContext           *context);
void          g_fork_driver_unuse      (GForkDriver            *self,
                                        GForkDrive             *drive);
GForkBlocked *g_fork_blocked_new       (void);
void          g_fork_blocked_free      (GForkBlocked           *self);
void          g_fork_driver_wait       (GForkDriver            *self,
                                        GForkBlocked           *blocked);
void          g_fork_driver_wake       (GForkDriver            *self,
                                        GForkBlocked           *blocked);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GForkDriver, g_fork_driver_unref)

G_END_DECLS
