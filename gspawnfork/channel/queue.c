/* queue.c: frames that the socket has not taken yet
 *
 * Nothing is dropped: what cannot be sent now waits until it can be.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "channel/queue.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct
{
  gsize offset; /* in the queue, of the frame that it belongs to */
  int fd;
} QueuedFd;

gboolean
g_fork_queue_is_empty (const GForkQueue *queue)
{
  return queue->bytes == NULL || queue->sent == queue->bytes->len;
}

/* Takes the descriptors. */
void
g_fork_queue_append (GForkQueue *queue,
                     guint8      verb,
                     const void *payload,
                     gsize       length,
                     const int  *fds,
                     gsize       n_fds)
{
  struct gfork_header header;

  if (queue->bytes == NULL)
    {
      queue->bytes = g_byte_array_sized_new (256);
      queue->fds = g_array_new (FALSE, FALSE, sizeof (QueuedFd));
    }

  for (gsize i = 0; i < n_fds; i++)
    {
      QueuedFd queued = { queue->bytes->len, fds[i] };

      g_array_append_val (queue->fds, queued);
    }

  gfork_header_set (&header, verb, length, n_fds);
  g_byte_array_append (queue->bytes, (const guint8 *) &header, sizeof header);
  g_byte_array_append (queue->bytes, payload, length);
}

/* The bytes and descriptors that go with one message: no more descriptors than
 * it can carry, and no byte of a frame whose descriptors it does not. */
static gsize
next_message (const GForkQueue *queue,
              int              *fds,
              gsize            *n_fds)
{
  guint n = MIN (queue->fds->len, GFORK_MAX_FDS);
  gsize end = queue->bytes->len;

  if (queue->fds->len > n)
    {
      end = g_array_index (queue->fds, QueuedFd, n).offset;
      while (n > 0 && g_array_index (queue->fds, QueuedFd, n - 1).offset == end)
        n--;
    }

  for (guint i = 0; i < n; i++)
    fds[i] = g_array_index (queue->fds, QueuedFd, i).fd;
  *n_fds = n;
  return end - queue->sent;
}

/* Sends what the socket takes. If it is broken the queue is dropped, and errno says
 * why. */
GForkFlush
g_fork_queue_flush (GForkQueue *queue,
                    int         socket)
{
  while (!g_fork_queue_is_empty (queue))
    {
      int fds[GFORK_MAX_FDS];
      gsize n_fds;
      gsize length = next_message (queue, fds, &n_fds);
      gssize sent = gfork_send (socket, queue->bytes->data + queue->sent, length, fds, n_fds,
                                MSG_DONTWAIT);

      if (sent < 0 && errno == EAGAIN)
        return G_FORK_FLUSH_WRITABLE;
      if (sent < 0 && (errno == ENOBUFS || errno == ENOMEM || errno == ETOOMANYREFS))
        return G_FORK_FLUSH_LATER;
      if (sent < 0)
        {
          int error_number = errno;

          g_fork_queue_clear (queue);
          errno = error_number;
          return G_FORK_FLUSH_BROKEN;
        }

      /* They go with the first byte, so they are all gone. */
      for (gsize i = 0; i < n_fds; i++)
        close (fds[i]);
      if (n_fds > 0)
        g_array_remove_range (queue->fds, 0, n_fds);
      queue->sent += sent;
    }

  g_fork_queue_clear (queue);
  return G_FORK_FLUSH_EMPTY;
}

void
g_fork_queue_clear (GForkQueue *queue)
{
  if (queue->bytes == NULL)
    return;

  for (guint i = 0; i < queue->fds->len; i++)
    close (g_array_index (queue->fds, QueuedFd, i).fd);
  g_array_set_size (queue->fds, 0);
  g_byte_array_set_size (queue->bytes, 0);
  queue->sent = 0;
}

/* Frees the memory; the descriptors are cleared before, unless they belong to
 * another process now. */
void
g_fork_queue_free (GForkQueue *queue)
{
  g_clear_pointer (&queue->bytes, g_byte_array_unref);
  g_clear_pointer (&queue->fds, g_array_unref);
}
