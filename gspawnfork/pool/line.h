/* line.h: frames over the socket of a worker
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "pool/driver.h"
#include "wire/job.h"

G_BEGIN_DECLS

typedef struct _GForkLine GForkLine;

/* What is read. */
typedef enum
{
  G_FORK_READ_NOTHING, /* and the end is of no interest any more */
  G_FORK_READ_END,     /* only whether it is at its end: what is written is somebody else's */
  G_FORK_READ_FIRST,   /* one frame, to its exact length: what follows may be somebody else's */
  G_FORK_READ_FRAMES,
} GForkReadMode;

typedef enum
{
  G_FORK_LINE_ENDED,
  G_FORK_LINE_MALFORMED,
  G_FORK_LINE_UNREADABLE, /* for want of memory or descriptors */
  G_FORK_LINE_UNWRITABLE, /* it has ended, which is still to be read, or is broken */
} GForkLineFault;

/* What its owner does. The lock is held. */
typedef struct
{
  /* Returns %FALSE if the other end must not send such a frame. */
  gboolean (*on_frame) (gpointer                  owner,
                        const struct gfork_frame *frame);
  void     (*on_fault) (gpointer                  owner,
                        GForkLineFault            fault,
                        int                       error_number);
} GForkLineFuncs;

GForkLine *g_fork_line_new          (GForkDriver                 *driver,
                                     GSocket                     *socket,
                                     const GForkLineFuncs        *funcs,
                                     gpointer                     owner);
void       g_fork_line_free         (GForkLine                   *self);
void       g_fork_line_set_mode     (GForkLine                   *self,
                                     GForkReadMode                mode);
gboolean   g_fork_line_is_at_end    (GForkLine                   *self);
gboolean   g_fork_line_has_unread   (GForkLine                   *self);
void       g_fork_line_read_rest    (GForkLine                   *self);
GSocket   *g_fork_line_open_socket  (GForkLine                   *self,
                                     GError                     **error);

void       g_fork_line_send         (GForkLine                   *self,
                                     const struct gfork_job_head *head,
                                     GBytes                      *bytes,
                                     int                          fd);
void       g_fork_line_end_writing  (GForkLine                   *self);
gint64     g_fork_line_get_deadline (GForkLine                   *self);
void       g_fork_line_expire       (GForkLine                   *self,
                                     gint64                       now);

G_END_DECLS
