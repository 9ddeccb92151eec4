/* line.c: frames over the socket of a worker
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "pool/line.h"

#include "gforkerror.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n-lib.h>
#include <sys/socket.h>
#include <unistd.h>

/* What a first read takes, and the descriptors of a few replies. */
#define READ_SIZE 4096
#define CONTROL_SIZE GFORK_CONTROL_SIZE (8)

/* When too many descriptors are in flight, nothing tells when fewer are. */
#define RETRY_DELAY (10 * G_TIME_SPAN_MILLISECOND)

/* Frames that are sent together, the first with the descriptor if there is one. */
typedef struct
{
  GByteArray *data;
  gsize n_sent;
  int fd;
} Chunk;

struct _GForkLine
{
  GForkDriver *driver;
  const GForkLineFuncs *funcs;
  gpointer owner;
  int fd;
  GForkPoll *poll;

  GForkReadMode mode;
  gboolean is_at_end;
  struct gfork_reader reader;
  guint8 *memory;
  guint8 *control;

  GQueue unsent;
  gboolean is_untried;      /* what is unsent was never tried to be sent */
  gboolean is_to_be_ended;  /* when all was sent */
  gint64 retry_at;          /* when to send again what the kernel did not take; 0: when it does */
};

static void on_event (gpointer data,
                      guint32  events);

static void
chunk_free (Chunk *self)
{
  g_byte_array_unref (self->data);
  if (self->fd >= 0)
    close (self->fd);
  g_free (self);
}

/* Has a duplicate of the socket. %NULL with errno set if it cannot be had. */
GForkLine *
g_fork_line_new (GForkDriver          *driver,
                 GSocket              *socket,
                 const GForkLineFuncs *funcs,
                 gpointer              owner)
{
  int fd = fcntl (g_socket_get_fd (socket), F_DUPFD_CLOEXEC, 3);
  GForkLine *self;

  if (fd < 0)
    return NULL;

  self = g_new0 (GForkLine, 1);
  self->driver = driver;
  self->funcs = funcs;
  self->owner = owner;
  self->fd = fd;
  self->poll = g_fork_poll_new (driver, fd, on_event, self);
  self->memory = g_malloc (READ_SIZE);
  self->control = g_malloc (CONTROL_SIZE);
  gfork_reader_init (&self->reader, self->memory, READ_SIZE, self->control, CONTROL_SIZE);
  self->reader.can_lose_fds = true;
  return self;
}

void
g_fork_line_free (GForkLine *self)
{
  g_fork_poll_free (self->poll);
  close (self->fd);
  gfork_reader_clear (&self->reader);
  g_queue_clear_full (&self->unsent, (GDestroyNotify) chunk_free);
  g_free (self->memory);
  g_free (self->control);
  g_free (self);
}

/* Awaits what is to be awaited now. */
static void
expect (GForkLine *self)
{
  guint32 events = 0;

  if (!self->is_at_end && self->mode != G_FORK_READ_NOTHING)
    {
      events = EPOLLRDHUP;
      if (self->mode != G_FORK_READ_END)
        events |= EPOLLIN;
      if (!g_queue_is_empty (&self->unsent) && !self->is_untried && self->retry_at == 0)
        events |= EPOLLOUT;
    }
  if (!g_fork_poll_set (self->poll, events))
    self->funcs->on_fault (self->owner, G_FORK_LINE_UNREADABLE, errno);
}

void
g_fork_line_set_mode (GForkLine     *self,
                      GForkReadMode  mode)
{
  self->mode = mode;
  expect (self);
}

/* ——— Reading ——— */

gboolean
g_fork_line_is_at_end (GForkLine *self)
{
  return self->is_at_end;
}

/* The worker, or another process that has its socket, has closed it. */
static void
on_end (GForkLine *self)
{
  if (self->is_at_end)
    return;

  self->is_at_end = TRUE;
  expect (self);
  self->funcs->on_fault (self->owner, G_FORK_LINE_ENDED, 0);
}

static gboolean
reads (GForkLine *self)
{
  return self->mode >= G_FORK_READ_FIRST && !self->is_at_end;
}

static gboolean
take_frames (GForkLine *self)
{
  enum gfork_next next = GFORK_NEXT_MORE;
  struct gfork_frame frame;

  while (self->mode != G_FORK_READ_NOTHING
         && (next = gfork_reader_next (&self->reader, &frame)) == GFORK_NEXT_FRAME)
    {
      gboolean is_good = self->funcs->on_frame (self->owner, &frame);

      gfork_frame_close_fds (&frame);
      if (!is_good)
        return FALSE;
    }

  return next != GFORK_NEXT_BAD;
}

static void
read_frames (GForkLine *self,
             gboolean   all)
{
  while (reads (self))
    {
      gboolean exact = self->mode == G_FORK_READ_FIRST;

      switch (gfork_reader_fill (&self->reader, self->fd, exact, MSG_DONTWAIT))
        {
        case GFORK_FILL_DATA:
          if (!take_frames (self))
            self->funcs->on_fault (self->owner, G_FORK_LINE_MALFORMED, 0);
          else if (!self->reader.full && !exact && !all)
            return;
          break;

        case GFORK_FILL_AGAIN:
          return;

        case GFORK_FILL_EOF:
        case GFORK_FILL_RESET:
          on_end (self);
          return;

        case GFORK_FILL_NO_MEMORY:
          self->funcs->on_fault (self->owner, G_FORK_LINE_UNREADABLE, ENOMEM);
          return;

        default:
          self->funcs->on_fault (self->owner, G_FORK_LINE_MALFORMED, 0);
          return;
        }
    }
}

/* Reads all that is there, as nothing tells of it any more. */
void
g_fork_line_read_rest (GForkLine *self)
{
  read_frames (self, TRUE);
}

/* Whether there is something that nobody has read. */
gboolean
g_fork_line_has_unread (GForkLine *self)
{
  char byte;
  ssize_t n;

  if (self->is_at_end)
    return FALSE;

  do
    n = recv (self->fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);

  if (n == 0 || (n < 0 && errno != EAGAIN))
    on_end (self);
  return n > 0;
}

/* Each borrower gets a socket of its own, which it may close. */
GSocket *
g_fork_line_open_socket (GForkLine  *self,
                         GError    **error)
{
  int fd = fcntl (self->fd, F_DUPFD_CLOEXEC, 3);
  GSocket *socket;

  if (fd < 0)
    {
      g_set_error (error, G_FORK_ERROR, G_FORK_ERROR_FAILED, _("Could not lend a worker: %s"),
                   g_strerror (errno));
      return NULL;
    }

  socket = g_socket_new_from_fd (fd, error);
  if (socket == NULL)
    close (fd);
  return socket;
}

/* ——— Writing ——— */

static void
end_if_sent (GForkLine *self)
{
  if (self->is_to_be_ended && g_queue_is_empty (&self->unsent))
    shutdown (self->fd, SHUT_WR);
}

/* Ends the conversation when all was sent. */
void
g_fork_line_end_writing (GForkLine *self)
{
  self->is_to_be_ended = TRUE;
  end_if_sent (self);
}

/* Sends what the kernel takes. */
static void
flush (GForkLine *self)
{
  Chunk *chunk;

  self->is_untried = FALSE;
  self->retry_at = 0;
  while ((chunk = g_queue_peek_head (&self->unsent)) != NULL)
    {
      ssize_t n = gfork_send (self->fd, chunk->data->data + chunk->n_sent,
                              chunk->data->len - chunk->n_sent, &chunk->fd, chunk->fd >= 0,
                              MSG_DONTWAIT);

      if (n < 0 && errno == EAGAIN)
        break;
      if (n < 0 && (errno == ETOOMANYREFS || errno == ENOBUFS || errno == ENOMEM))
        {
          self->retry_at = g_get_monotonic_time () + RETRY_DELAY;
          g_fork_driver_touch (self->driver);
          break;
        }

      if (chunk->fd >= 0)
        close (chunk->fd);
      chunk->fd = -1;
      if (n >= 0)
        chunk->n_sent += n;
      else
        self->funcs->on_fault (self->owner, G_FORK_LINE_UNWRITABLE, errno);
      if (n < 0 || chunk->n_sent == chunk->data->len)
        chunk_free (g_queue_pop_head (&self->unsent));
    }

  end_if_sent (self);
  expect (self);
}

/* Sends a frame, at the end of the decisions, with what else there is to send. Takes the
 * descriptor, unless it is -1. */
void
g_fork_line_send (GForkLine                   *self,
                  const struct gfork_job_head *head,
                  GBytes                      *bytes,
                  int                          fd)
{
  Chunk *chunk = g_queue_peek_tail (&self->unsent);

  if (chunk == NULL || fd >= 0)
    {
      chunk = g_new (Chunk, 1);
      *chunk = (Chunk){ g_byte_array_new (), 0, fd };
      g_queue_push_tail (&self->unsent, chunk);
    }
  g_byte_array_append (chunk->data, (const guint8 *) head, sizeof *head);
  if (bytes != NULL)
    g_byte_array_append (chunk->data, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));

  if (self->retry_at == 0)
    {
      self->is_untried = TRUE;
      g_fork_poll_write_soon (self->poll);
    }
}

gint64
g_fork_line_get_deadline (GForkLine *self)
{
  return self->retry_at != 0 ? self->retry_at : G_MAXINT64;
}

void
g_fork_line_expire (GForkLine *self,
                    gint64     now)
{
  if (self->retry_at != 0 && self->retry_at <= now)
    flush (self);
}

/* ——— Events ——— */

static void
on_event (gpointer data,
          guint32  events)
{
  GForkLine *self = data;

  if ((events & EPOLLOUT) != 0)
    flush (self);
  if ((events & ~EPOLLOUT) == 0)
    return;
  if (reads (self))
    read_frames (self, FALSE);
  else if (self->mode == G_FORK_READ_END && (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
    on_end (self);
}
