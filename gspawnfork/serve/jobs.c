/* jobs.c: does the jobs of a pool, in a worker
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "gforkworker.h"
#include "wire/job.h"
#include "wire/memory.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NO_MESSAGE "the job failed"

/* The first size of the buffer, which grows when a frame is longer. */
#define READ_SIZE 4096

struct _GForkReply
{
  char *data; /* the reply, or the message if it is a failure */
  size_t length;
  bool is_failure;
};

static void
set_data (GForkReply *reply,
          bool        is_failure,
          const void *data,
          size_t      length)
{
  char *copy = malloc (length > 0 ? length : 1);

  free (reply->data);
  *reply = (GForkReply){ copy, copy != NULL ? length : 0, is_failure || copy == NULL };
  if (copy != NULL && length > 0)
    memcpy (copy, data, length);
  /* cppcheck-suppress memleak; the reply has it now */
}

void
g_fork_reply_set (GForkReply *reply,
                  const void *data,
                  size_t      length)
{
  set_data (reply, false, data, length);
}

void
g_fork_reply_fail (GForkReply *reply,
                   const char *message)
{
  set_data (reply, true, message, strlen (message));
}

/* Sends everything, also if the function has made the socket non-blocking. */
static bool
send_all (int         socket,
          const void *data,
          size_t      length,
          int         fd)
{
  const char *rest = data;
  bool has_fd = fd >= 0;

  while (length > 0)
    {
      struct pollfd writable = { .fd = socket, .events = POLLOUT };
      ssize_t n = gfork_send (socket, rest, length, &fd, has_fd, 0);

      if (n >= 0)
        {
          rest += n;
          length -= n;
          has_fd = false;
        }
      else if (gfork_can_send_later (errno))
        poll (NULL, 0, 1);
      else if (errno != EAGAIN || (poll (&writable, 1, -1) < 0 && errno != EINTR))
        return false;
    }

  return true;
}

/* Sends the head and the bytes in one message, as most replies are short. */
static bool
send_short (int         socket,
            bool        is_failure,
            uint32_t    id,
            const char *data,
            size_t      length)
{
  char first[512];
  size_t size = sizeof (struct gfork_job_head) + length;
  char *bytes = size <= sizeof first ? first : malloc (size);
  struct gfork_job_head head;
  bool sent;

  if (bytes == NULL)
    return false;

  gfork_job_head_set (&head, is_failure ? GFORK_FAILED : GFORK_REPLY, id, length);
  memcpy (bytes, &head, sizeof head);
  if (length > 0)
    memcpy (bytes + sizeof head, data, length);
  sent = send_all (socket, bytes, size, -1);

  if (bytes != first)
    free (bytes);
  return sent;
}

static bool
send_reply (int               socket,
            uint32_t          id,
            const GForkReply *reply)
{
  struct gfork_job_head head;
  char reason[512];
  bool sent;
  int fd;

  if (!gfork_job_is_long (reply->length))
    return send_short (socket, reply->is_failure, id, reply->data, reply->length);

  fd = gfork_memory_new (reply->data, reply->length, reason, sizeof reason);
  if (fd < 0)
    return send_short (socket, true, id, reason, strlen (reason));

  gfork_job_head_set (&head, reply->is_failure ? GFORK_FAILED : GFORK_REPLY, id, reply->length);
  sent = send_all (socket, &head, sizeof head, fd);
  close (fd);
  return sent;
}

/* Calls the function and sends the reply. Returns false if that cannot be sent. */
static bool
do_job (int          socket,
        uint32_t     id,
        const char  *request,
        size_t       length,
        GForkJobFunc func,
        void        *user_data)
{
  GForkReply reply = { NULL, 0, false };
  bool sent;

  if (func (request, length, &reply, user_data) != 0 && !reply.is_failure)
    g_fork_reply_fail (&reply, NO_MESSAGE);
  if (reply.is_failure && reply.data == NULL)
    sent = send_short (socket, true, id, strerror (ENOMEM), strlen (strerror (ENOMEM)));
  else
    sent = send_reply (socket, id, &reply);

  free (reply.data);
  return sent;
}

static bool
do_long_job (int                     socket,
             const struct gfork_job *job,
             int                     fd,
             GForkJobFunc            func,
             void                   *user_data)
{
  struct gfork_memory memory;
  const char *reason;
  bool goes_on;

  if (!gfork_memory_open (&memory, fd, job->length))
    {
      reason = strerror (errno);
      return send_short (socket, true, job->id, reason, strlen (reason));
    }

  goes_on = do_job (socket, job->id, memory.data, memory.length, func, user_data);
  gfork_memory_close (&memory);
  return goes_on;
}

/* Returns false if the connection cannot be used any more. */
static bool
do_frame (int                       socket,
          const struct gfork_frame *frame,
          GForkJobFunc              func,
          void                     *user_data)
{
  struct gfork_job job;
  char *request;
  bool goes_on;

  if (frame->verb != GFORK_JOB || !gfork_job_parse (frame, &job))
    return false;
  if (gfork_job_is_long (job.length))
    return frame->n_fds == 1 && do_long_job (socket, &job, frame->fds[0], func, user_data);

  /* The function gets a copy: aligned, followed by a NUL, and not in the buffer that the reader
   * moves. */
  request = malloc (job.length + 1);
  if (request == NULL)
    return send_short (socket, true, job.id, strerror (ENOMEM), strlen (strerror (ENOMEM)));
  memcpy (request, frame->payload + sizeof job, job.length);
  request[job.length] = '\0';

  goes_on = do_job (socket, job.id, request, job.length, func, user_data);
  free (request);
  return goes_on;
}

/* Reads once. Blocks until there is something, also if the socket is non-blocking. */
static enum gfork_fill
fill (struct gfork_reader *reader,
      int                  socket)
{
  struct pollfd readable = { .fd = socket, .events = POLLIN };
  enum gfork_fill filled;

  while ((filled = gfork_reader_fill (reader, socket, false, 0)) == GFORK_FILL_AGAIN)
    poll (&readable, 1, -1);
  return filled;
}

int
g_fork_serve_jobs (int          socket,
                   GForkJobFunc func,
                   void        *user_data)
{
  _Alignas (struct cmsghdr) char control[GFORK_CONTROL_SIZE (8)];
  char memory[READ_SIZE];
  struct gfork_reader reader;
  struct gfork_frame frame = { 0 };
  enum gfork_next next = GFORK_NEXT_MORE;
  enum gfork_fill filled = GFORK_FILL_EOF;
  bool goes_on = true;

  g_fork_worker_ready (socket);

  gfork_reader_init (&reader, memory, sizeof memory, control, sizeof control);
  while (goes_on && (filled = fill (&reader, socket)) == GFORK_FILL_DATA)
    while (goes_on && (next = gfork_reader_next (&reader, &frame)) != GFORK_NEXT_MORE)
      {
        goes_on = next == GFORK_NEXT_FRAME && do_frame (socket, &frame, func, user_data);
        gfork_frame_close_fds (&frame);
      }

  goes_on = goes_on && (filled == GFORK_FILL_EOF || filled == GFORK_FILL_RESET)
            && reader.start == reader.end;
  gfork_reader_clear (&reader);
  return goes_on ? 0 : 1;
}

void
g_fork_worker_ready (int socket)
{
  struct
  {
    struct gfork_header header;
    struct gfork_pid pid;
  } ready = { .pid = { .pid = getpid () } };

  gfork_header_set (&ready.header, GFORK_WORKER_READY, sizeof ready.pid, 0);
  send_all (socket, &ready, sizeof ready, -1);
}
