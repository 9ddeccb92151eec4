/* queue.h: frames that the socket has not taken yet
 *
 * The owner's lock guards it.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

#include "wire/frame.h"

G_BEGIN_DECLS

/* All zero is an empty queue. Positions count from the first byte that was ever queued. */
typedef struct
{
  guint8 *data;  /* what is unsent begins at @start */
  gsize start;
  gsize end;
  gsize size;
  guint64 sent;  /* the position of @start */
  GArray *fds;   /* QueuedFd, those that were not sent */
} GForkQueue;

typedef enum
{
  G_FORK_FLUSH_EMPTY,    /* nothing is left */
  G_FORK_FLUSH_WRITABLE, /* go on when the socket is writable */
  G_FORK_FLUSH_LATER,    /* go on after a while */
  G_FORK_FLUSH_BROKEN    /* what was left was dropped: errno says why */
} GForkFlush;

gsize      g_fork_queue_length   (const GForkQueue *queue);
gsize      g_fork_queue_n_fds    (const GForkQueue *queue);
void       g_fork_queue_append   (GForkQueue       *queue,
                                  guint8            verb,
                                  const void       *payload,
                                  gsize             length,
                                  const int        *fds,
                                  gsize             n_fds);
GForkFlush g_fork_queue_flush    (GForkQueue       *queue,
                                  int               socket);
void       g_fork_queue_clear    (GForkQueue       *queue);
void       g_fork_queue_free     (GForkQueue       *queue);

G_END_DECLS
