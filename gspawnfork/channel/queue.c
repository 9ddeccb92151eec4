/* queue.c: frames that the socket has not taken yet
 *
 * Nothing is dropped: what cannot be sent now is sent later. The memory is in proportion to what
 * is unsent.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "channel/queue.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The smallest memory of a queue, and the largest that an empty queue keeps for the next frames. */
#define MIN_SIZE 256
#define MAX_KEPT (64 * 1024)

typedef struct
{
  guint64 position; /* of the frame that it belongs to */
  int fd;
} QueuedFd;

gsize
g_fork_queue_length (const GForkQueue *queue)
{
  return queue->end - queue->start;
}

gsize
g_fork_queue_n_fds (const GForkQueue *queue)
{
  return queue->fds != NULL ? queue->fds->len : 0;
}

/* Makes space for @length bytes. What is unsent is moved to the front if at least as much was
 * sent, so that a byte is moved at most once on average. */
static void
make_space (GForkQueue *queue,
            gsize       length)
{
  gsize unsent = g_fork_queue_length (queue);

  if (queue->end + length <= queue->size)
    return;

  if (queue->start >= unsent)
    {
      if (unsent > 0)
        memcpy (queue->data, queue->data + queue->start, unsent);
      queue->start = 0;
      queue->end = unsent;
    }
  if (queue->end + length > queue->size)
    {
      queue->size = MAX (MAX (queue->size * 2, queue->end + length), MIN_SIZE);
      queue->data = g_realloc (queue->data, queue->size);
    }
}

static void
append_bytes (GForkQueue *queue,
              const void *bytes,
              gsize       length)
{
  if (length > 0)
    memcpy (queue->data + queue->end, bytes, length);
  queue->end += length;
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

  if (queue->fds == NULL)
    queue->fds = g_array_new (FALSE, FALSE, sizeof (QueuedFd));
  for (gsize i = 0; i < n_fds; i++)
    {
      QueuedFd queued = { queue->sent + g_fork_queue_length (queue), fds[i] };

      g_array_append_val (queue->fds, queued);
    }

  gfork_header_set (&header, verb, length, n_fds);
  make_space (queue, sizeof header + length);
  append_bytes (queue, &header, sizeof header);
  append_bytes (queue, payload, length);
}

/* Finds what one message carries: no more descriptors than it can, and no byte of a frame whose
 * descriptors it cannot carry. Returns the number of bytes. */
static gsize
next_message (const GForkQueue *queue,
              int              *fds,
              gsize            *n_fds)
{
  guint n = MIN (queue->fds->len, GFORK_MAX_FDS);
  guint64 end = queue->sent + g_fork_queue_length (queue);

  if (queue->fds->len > n)
    {
      end = g_array_index (queue->fds, QueuedFd, n).position;
      while (n > 0 && g_array_index (queue->fds, QueuedFd, n - 1).position == end)
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
  while (queue->start < queue->end)
    {
      int fds[GFORK_MAX_FDS];
      gsize n_fds;
      gsize length = next_message (queue, fds, &n_fds);
      gssize sent = gfork_send (socket, queue->data + queue->start, length, fds, n_fds,
                                MSG_DONTWAIT);

      if (sent < 0 && errno == EAGAIN)
        return G_FORK_FLUSH_WRITABLE;
      if (sent < 0 && gfork_can_send_later (errno))
        return G_FORK_FLUSH_LATER;
      if (sent < 0)
        {
          int saved_errno = errno;

          g_fork_queue_clear (queue);
          errno = saved_errno;
          return G_FORK_FLUSH_BROKEN;
        }

      /* The descriptors go with the first byte, so all of them were sent. */
      for (gsize i = 0; i < n_fds; i++)
        close (fds[i]);
      if (n_fds > 0)
        g_array_remove_range (queue->fds, 0, n_fds);
      queue->start += sent;
      queue->sent += sent;
    }

  g_fork_queue_clear (queue);
  return G_FORK_FLUSH_EMPTY;
}

/* Drops what is unsent. */
void
g_fork_queue_clear (GForkQueue *queue)
{
  queue->sent += g_fork_queue_length (queue);
  queue->start = queue->end = 0;
  if (queue->size > MAX_KEPT)
    {
      g_clear_pointer (&queue->data, g_free);
      queue->size = 0;
    }

  for (guint i = 0; i < g_fork_queue_n_fds (queue); i++)
    close (g_array_index (queue->fds, QueuedFd, i).fd);
  if (queue->fds != NULL)
    g_array_set_size (queue->fds, 0);
}

/* Frees the memory of a queue that was cleared. */
void
g_fork_queue_free (GForkQueue *queue)
{
  g_clear_pointer (&queue->data, g_free);
  g_clear_pointer (&queue->fds, g_array_unref);
}
