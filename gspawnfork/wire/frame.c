/* frame.c: reads and writes frames, for both ends
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "wire/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The answers are read with GFORK_MIN_ANSWER first. */
_Static_assert (sizeof (struct gfork_header) == 8, "the header is part of the protocol");
_Static_assert (sizeof (struct gfork_error) + 2 >= sizeof (struct gfork_pid),
                "an error is no shorter than READY");
_Static_assert (sizeof (struct gfork_exited) == 32, "no padding on the wire");

/* The descriptors of so many full messages may wait for their frames. That is far more than
 * frames can ask for, and too few to do harm. */
#define MAX_QUEUED_MESSAGES 16

void
gfork_reader_init (struct gfork_reader *reader,
                   void                *memory,
                   size_t               size,
                   void                *control,
                   size_t               control_size)
{
  memset (reader, 0, sizeof *reader);
  reader->first = reader->data = memory;
  reader->first_size = reader->size = size;
  reader->control = control;
  reader->control_size = control_size;
  reader->fds = reader->first_fds;
  reader->fds_size = sizeof reader->first_fds / sizeof *reader->first_fds;
}

/* Drops everything that was read ahead. The bytes are wiped, since the caller may be a fork of
 * the process that they were sent to. */
void
gfork_reader_clear (struct gfork_reader *reader)
{
  for (size_t i = reader->fds_start; i < reader->fds_end; i++)
    close (reader->fds[i]);
  if (reader->end > reader->start)
    explicit_bzero (reader->data + reader->start, reader->end - reader->start);

  if (reader->fds != reader->first_fds)
    free (reader->fds);
  if (reader->data != reader->first)
    free (reader->data);

  reader->data = reader->first;
  reader->size = reader->first_size;
  reader->start = reader->end = 0;
  reader->full = reader->has_lost_fds = false;
  reader->fds = reader->first_fds;
  reader->fds_size = sizeof reader->first_fds / sizeof *reader->first_fds;
  reader->fds_start = reader->fds_end = 0;
}

/* The size of the frame that begins at @start; of its header, if that is not complete. */
static size_t
frame_size (const struct gfork_reader *reader)
{
  struct gfork_header header;

  if (reader->end - reader->start < sizeof header)
    return sizeof header;

  memcpy (&header, reader->data + reader->start, sizeof header);
  return sizeof header + header.length;
}

/* The buffer grows up to this size if reads fill it. */
#define COMFORTABLE (64 * 1024)

/* Makes space for at least one more byte. Memory is allocated only in proportion to what has
 * arrived: a header may claim any length. */
static bool
make_space (struct gfork_reader *reader)
{
  size_t used = reader->end - reader->start;

  if (reader->start > 0)
    {
      memmove (reader->data, reader->data + reader->start, used);
      reader->start = 0;
      reader->end = used;
    }

  if (used == reader->size || (reader->full && reader->size < COMFORTABLE))
    {
      size_t size = reader->size * 2;
      /* NOLINTNEXTLINE(clang-analyzer-optin.portability.UnixAPI): it is never 0 */
      uint8_t *data = malloc (size);

      if (data == NULL)
        return false;
      memcpy (data, reader->data, used);
      explicit_bzero (reader->data, used);
      if (reader->data != reader->first)
        free (reader->data);
      reader->data = data;
      reader->size = size;
    }

  return true;
}

/* How many descriptors one message may bring. */
static size_t
max_fds (const struct gfork_reader *reader)
{
  return (reader->control_size - CMSG_LEN (0)) / sizeof (int);
}

static bool
keep_fds (struct gfork_reader *reader,
          const int           *fds,
          size_t               n_fds)
{
  size_t n_kept = reader->fds_end - reader->fds_start;

  if (reader->fds_start > 0)
    {
      memmove (reader->fds, reader->fds + reader->fds_start, n_kept * sizeof *fds);
      reader->fds_start = 0;
      reader->fds_end = n_kept;
    }

  if (n_kept + n_fds > reader->fds_size)
    {
      bool inherent = reader->fds == reader->first_fds;
      size_t size = n_kept + n_fds;
      int *grown;

      grown = realloc (inherent ? NULL : reader->fds, size * sizeof *grown);
      if (grown == NULL)
        return false;
      if (inherent)
        memcpy (grown, reader->first_fds, sizeof reader->first_fds);
      reader->fds = grown;
      reader->fds_size = size;
    }

  memcpy (reader->fds + reader->fds_end, fds, n_fds * sizeof *fds);
  reader->fds_end += n_fds;
  return true;
}

/* Reads once from @socket. With @exact, not a byte past the frame that is
 * being read, provided that no frame is shorter than GFORK_MIN_ANSWER. @flags
 * go to recvmsg(). */
enum gfork_fill
gfork_reader_fill (struct gfork_reader *reader,
                   int                  socket,
                   bool                 exact,
                   int                  flags)
{
  struct iovec iov;
  struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
  struct cmsghdr *cmsg;
  bool lost = false, flooded = false;
  ssize_t n;

  if (reader->start == reader->end)
    reader->start = reader->end = 0;
  if ((reader->end == reader->size || reader->full) && !make_space (reader))
    return GFORK_FILL_NO_MEMORY;

  iov.iov_base = reader->data + reader->end;
  iov.iov_len = reader->size - reader->end;

  if (exact)
    {
      size_t have = reader->end - reader->start;
      size_t want = frame_size (reader);

      if (want < GFORK_MIN_ANSWER)
        want = GFORK_MIN_ANSWER;
      if (iov.iov_len > want - have)
        iov.iov_len = want - have;
    }

  do
    {
      message.msg_control = reader->control;
      message.msg_controllen = reader->control_size;
      n = recvmsg (socket, &message, flags | MSG_CMSG_CLOEXEC);
    }
  while (n < 0 && errno == EINTR);

  if (n < 0)
    return errno == EAGAIN ? GFORK_FILL_AGAIN : GFORK_FILL_RESET;

  for (cmsg = CMSG_FIRSTHDR (&message); cmsg != NULL; cmsg = CMSG_NXTHDR (&message, cmsg))
    if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS)
      {
        const int *fds = (const int *) CMSG_DATA (cmsg);
        size_t n_fds = (cmsg->cmsg_len - CMSG_LEN (0)) / sizeof (int);
        size_t n_kept = reader->fds_end - reader->fds_start;

        flooded = n_kept + n_fds > MAX_QUEUED_MESSAGES * max_fds (reader)
                  || (n_fds >= max_fds (reader) && (message.msg_flags & MSG_CTRUNC) != 0);
        if (flooded || !keep_fds (reader, fds, n_fds))
          {
            lost = true;
            for (size_t i = 0; i < n_fds; i++)
              close (fds[i]);
          }
      }

  if (flooded)
    return GFORK_FILL_FLOODED;
  if (lost || (message.msg_flags & MSG_CTRUNC) != 0)
    {
      if (!reader->can_lose_fds)
        return GFORK_FILL_TRUNCATED;
      reader->has_lost_fds = true;
    }
  if (n == 0)
    return GFORK_FILL_EOF;

  reader->end += n;
  reader->full = !exact && (size_t) n == iov.iov_len;
  return GFORK_FILL_DATA;
}

/* Takes the next complete frame, with its descriptors. */
enum gfork_next
gfork_reader_next (struct gfork_reader *reader,
                   struct gfork_frame  *frame)
{
  struct gfork_header header;
  size_t have = reader->end - reader->start;

  if (have < sizeof header)
    return GFORK_NEXT_MORE;

  memcpy (&header, reader->data + reader->start, sizeof header);
  if (header.length > GFORK_MAX_PAYLOAD || header.zero != 0 || header.n_fds > GFORK_MAX_FDS)
    return GFORK_NEXT_BAD;
  if (have < sizeof header + header.length)
    return GFORK_NEXT_MORE;

  /* They were sent with the frame's first byte, so they have arrived, unless they were lost. */
  if (header.n_fds > reader->fds_end - reader->fds_start)
    {
      if (!reader->has_lost_fds)
        return GFORK_NEXT_BAD;
      reader->has_lost_fds = false;
      header.n_fds = reader->fds_end - reader->fds_start;
    }

  frame->verb = header.verb;
  frame->n_fds = header.n_fds;
  frame->length = header.length;
  frame->payload = reader->data + reader->start + sizeof header;
  frame->fds = reader->fds + reader->fds_start;
  reader->fds_start += header.n_fds;
  reader->start += sizeof header + header.length;
  return GFORK_NEXT_FRAME;
}

void
gfork_frame_close_fds (struct gfork_frame *frame)
{
  for (size_t i = 0; i < frame->n_fds; i++)
    close (frame->fds[i]);
  frame->n_fds = 0;
}

const char *
gfork_next_string (const uint8_t **payload,
                   uint32_t       *length)
{
  const char *string = (const char *) *payload;
  const uint8_t *end;

  if (*length == 0)
    return NULL;
  end = memchr (*payload, '\0', *length);
  if (end == NULL)
    return NULL;

  *length -= end + 1 - *payload;
  *payload = end + 1;
  return string;
}

void
gfork_header_set (struct gfork_header *header,
                  uint8_t              verb,
                  size_t               length,
                  size_t               n_fds)
{
  header->length = length;
  header->verb = verb;
  header->n_fds = n_fds;
  header->zero = 0;
}

ssize_t
gfork_send (int         socket,
            const void *data,
            size_t      length,
            const int  *fds,
            size_t      n_fds,
            int         flags)
{
  _Alignas (struct cmsghdr) char control[GFORK_CONTROL_SIZE (GFORK_MAX_FDS)];
  struct iovec iov = { .iov_base = (void *) data, .iov_len = length };
  struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
  struct cmsghdr *cmsg = (struct cmsghdr *) control;
  ssize_t n;

  if (n_fds > 0)
    {
      *cmsg = (struct cmsghdr){
        .cmsg_len = CMSG_LEN (n_fds * sizeof (int)),
        .cmsg_level = SOL_SOCKET,
        .cmsg_type = SCM_RIGHTS,
      };
      memcpy (CMSG_DATA (cmsg), fds, n_fds * sizeof (int));
      message.msg_control = control;
      message.msg_controllen = cmsg->cmsg_len;
    }

  do
    n = sendmsg (socket, &message, flags | MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);

  return n;
}

bool
gfork_can_send_later (int error_number)
{
  return error_number == ENOBUFS || error_number == ENOMEM || error_number == ETOOMANYREFS;
}
