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

/* All zero is an empty queue. */
typedef struct
{
  GByteArray *bytes; /* %NULL before the first */
  gsize sent;         /* so many of them */
  GArray *fds;        /* those that were not sent */
} GForkQueue;

typedef enum
{
  G_FORK_FLUSH_EMPTY,    /* nothing is left */
  G_FORK_FLUSH_WRITABLE, /* go on when the socket is writable */
  G_FORK_FLUSH_LATER,    /* go on after a while */
  G_FORK_FLUSH_BROKEN    /* what was left is gone: errno says why */
} GForkFlush;

gboolean   g_fork_queue_is_empty (const GForkQueue *queue);
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
