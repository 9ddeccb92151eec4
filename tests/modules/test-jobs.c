/* test-jobs.c: workers for the tests of pools
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gspawnfork/gforkworker.h>

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

G_FORK_EXPORT int jobs (int socket, const GForkArg *args, size_t n_args);
G_FORK_EXPORT int late (int socket, const GForkArg *args, size_t n_args);
G_FORK_EXPORT int leave_before_ready (int socket, const GForkArg *args, size_t n_args);
G_FORK_EXPORT int leave_with (int socket, const GForkArg *args, size_t n_args);
G_FORK_EXPORT int leave_at (int socket, const GForkArg *args, size_t n_args);
G_FORK_EXPORT int parrot (int socket, const GForkArg *args, size_t n_args);
G_FORK_EXPORT int stay (int socket, const GForkArg *args, size_t n_args);
G_FORK_EXPORT int stubborn (int socket, const GForkArg *args, size_t n_args);
G_FORK_EXPORT int with_child (int socket, const GForkArg *args, size_t n_args);
G_FORK_EXPORT int ready_or_leave (int socket, const GForkArg *args, size_t n_args);
G_FORK_EXPORT int closer (int socket, const GForkArg *args, size_t n_args);
G_FORK_EXPORT int lines (int socket, const GForkArg *args, size_t n_args);

static int own_socket;
static const GForkArg *own_args;
static size_t n_own_args;

/* The descriptors that were sent, in order. */
static int
get_fd (size_t n)
{
  for (size_t i = 0; i < n_own_args; i++)
    if (own_args[i].fd >= 0 && n-- == 0)
      return own_args[i].fd;
  abort ();
}

/* Says that a job is being done, and waits for a byte or the end of file. */
static void
block (void)
{
  char byte = '.';

  if (write (get_fd (0), &byte, 1) != 1 || read (get_fd (1), &byte, 1) < 0)
    abort ();
}

static int
set_text (GForkReply *reply,
          const char *text)
{
  g_fork_reply_set (reply, text, strlen (text));
  return 0;
}

static int
reply_large (GForkReply *reply,
             size_t      size)
{
  char *bytes = malloc (size);

  if (bytes == NULL)
    return 1;
  memset (bytes, 'x', size);
  g_fork_reply_set (reply, bytes, size);
  free (bytes);
  return 0;
}

/* A request is a word and what it is about. */
static int
do_job (const void *request,
        size_t      length,
        GForkReply *reply,
        void       *user_data)
{
  const char *text = request;
  const char *rest = strchr (text, ' ');
  char number[64];
  unsigned sum = 0;

  rest = rest != NULL ? rest + 1 : text + length;
  if (((size_t) text % sizeof (max_align_t)) % 16 != 0 && length <= 64 * 1024)
    return 1;

  if (strncmp (text, "echo ", 5) == 0)
    g_fork_reply_set (reply, rest, length - 5);
  else if (strcmp (text, "pid") == 0)
    {
      snprintf (number, sizeof number, "%d", getpid ());
      return set_text (reply, number);
    }
  else if (strncmp (text, "sum ", 4) == 0)
    {
      for (size_t i = 4; i < length; i++)
        sum += (unsigned char) text[i];
      snprintf (number, sizeof number, "%zu %u", length, sum);
      return set_text (reply, number);
    }
  else if (strncmp (text, "large ", 6) == 0)
    return reply_large (reply, strtoul (rest, NULL, 10));
  else if (strcmp (text, "nothing") == 0)
    return 0;
  else if (strcmp (text, "fail") == 0)
    return 7;
  else if (strncmp (text, "fail ", 5) == 0)
    {
      g_fork_reply_fail (reply, rest);
      return 1;
    }
  else if (strncmp (text, "exit ", 5) == 0)
    exit (atoi (rest));
  else if (strncmp (text, "raise ", 6) == 0)
    raise (atoi (rest));
  else if (strcmp (text, "block") == 0)
    {
      block ();
      return set_text (reply, "unblocked");
    }
  else if (strcmp (text, "print") == 0)
    {
      puts ("# printed by a worker");
      fflush (stdout);
    }
  else if (strcmp (text, "rubbish") == 0)
    {
      if (write (own_socket, "This is no frame, but a sentence.", 33) != 33)
        abort ();
    }
  else if (strcmp (text, "close") == 0)
    {
      shutdown (own_socket, SHUT_RDWR);
      block ();
    }
  else
    return 1;

  return 0;
}

int
jobs (int             socket,
      const GForkArg *args,
      size_t          n_args)
{
  own_socket = socket;
  own_args = args;
  n_own_args = n_args;
  return g_fork_serve_jobs (socket, do_job, NULL);
}

/* Says whose turn it is, and waits to be told that it is ready. */
int
late (int             socket,
      const GForkArg *args,
      size_t          n_args)
{
  own_args = args;
  n_own_args = n_args;
  block ();
  g_fork_worker_ready (socket);
  return jobs (socket, args, n_args);
}

int
leave_before_ready (int             socket,
                    const GForkArg *args,
                    size_t          n_args)
{
  return 5;
}

/* Tells each of its starts by a byte to the first descriptor, and leaves with the status that
 * is sent. */
int
leave_with (int             socket,
            const GForkArg *args,
            size_t          n_args)
{
  if (write (args[0].fd, ".", 1) != 1)
    return 99;
  return atoi (args[1].data);
}

/* Tells the time of each of its starts, in microseconds of the monotonic clock, to the first
 * descriptor, and fails. */
int
leave_at (int             socket,
          const GForkArg *args,
          size_t          n_args)
{
  struct timespec now;
  int64_t time;

  clock_gettime (CLOCK_MONOTONIC, &now);
  time = now.tv_sec * INT64_C (1000000) + now.tv_nsec / 1000;
  return write (args[0].fd, &time, sizeof time) == sizeof time ? 1 : 99;
}

static bool
read_exactly (int    fd,
              void  *data,
              size_t length)
{
  char *rest = data;

  while (length > 0)
    {
      ssize_t n = read (fd, rest, length);

      if (n <= 0)
        return false;
      rest += n;
      length -= n;
    }
  return true;
}

/* The descriptors that a parrot sends with what it writes. */
static int
open_fds (char kind,
          int *fds)
{
  int n = 0;

  switch (kind)
    {
    case 'f': /* of a file that anybody can change */
      fds[n++] = memfd_create ("test", MFD_CLOEXEC);
      break;
    case 'p': /* of what is no file */
      if (pipe (fds) == 0)
        n = 2;
      break;
    case 'm': /* very many */
      while (n < 200)
        fds[n++] = dup (STDERR_FILENO);
      break;
    }
  return n;
}

/* Reads the frame of one job, and writes back what its bytes are, however much of a frame that
 * is. Before them, one byte says what descriptors to send with it, and another one whether to
 * leave after that. */
int
parrot (int             socket,
        const GForkArg *args,
        size_t          n_args)
{
  _Alignas (struct cmsghdr) char control[CMSG_SPACE (200 * sizeof (int))] = "";
  uint32_t head[6];
  char bytes[4096], how[2];
  int fds[200];
  struct iovec iov = { bytes, 0 };
  struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
  int n_fds;

  if (!read_exactly (socket, head, sizeof head) || head[0] < 18 || head[0] > 16 + sizeof bytes
      || !read_exactly (socket, how, sizeof how)
      || !read_exactly (socket, bytes, head[0] - 18))
    return 99;

  iov.iov_len = head[0] - 18;
  n_fds = open_fds (how[0], fds);
  if (n_fds > 0)
    {
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE (n_fds * sizeof (int));
      *CMSG_FIRSTHDR (&message) = (struct cmsghdr){ .cmsg_len = CMSG_LEN (n_fds * sizeof (int)),
                                                    .cmsg_level = SOL_SOCKET,
                                                    .cmsg_type = SCM_RIGHTS };
      memcpy (CMSG_DATA (CMSG_FIRSTHDR (&message)), fds, n_fds * sizeof (int));
    }
  if (sendmsg (socket, &message, 0) != (ssize_t) iov.iov_len)
    return 98;

  return how[1] == 'l' ? 0 : stay (socket, args, n_args);
}

/* Waits for the end of file. */
int
stay (int             socket,
      const GForkArg *args,
      size_t          n_args)
{
  char byte;

  while (read (socket, &byte, 1) > 0)
    ;
  return 0;
}

/* Has a child in its process group, and neither of the two minds a signal. */
int
with_child (int             socket,
            const GForkArg *args,
            size_t          n_args)
{
  signal (SIGTERM, SIG_IGN);
  if (fork () == 0)
    close (socket);
  for (;;)
    poll (NULL, 0, -1);
}

/* Leaves with the status that was sent, if it is one. */
int
ready_or_leave (int             socket,
                const GForkArg *args,
                size_t          n_args)
{
  if (strcmp (args[0].data, "stay") != 0)
    return atoi (args[0].data);

  g_fork_worker_ready (socket);
  return stay (socket, args, n_args);
}

/* Neither the end of file nor a signal that can be ignored ends this. */
int
stubborn (int             socket,
          const GForkArg *args,
          size_t          n_args)
{
  signal (SIGTERM, SIG_IGN);
  g_fork_worker_ready (socket);
  for (;;)
    poll (NULL, 0, -1);
}

/* Does not need its socket. */
int
closer (int             socket,
        const GForkArg *args,
        size_t          n_args)
{
  close (socket);
  for (;;)
    poll (NULL, 0, -1);
}

/* Answers lines: "pid", "args", "write TEXT", "close", "exit N", and others by themselves. */
int
lines (int             socket,
       const GForkArg *args,
       size_t          n_args)
{
  FILE *input = fdopen (dup (socket), "r");
  char line[256];

  while (fgets (line, sizeof line, input) != NULL)
    {
      if (strcmp (line, "pid\n") == 0)
        dprintf (socket, "%d\n", getpid ());
      else if (strcmp (line, "args\n") == 0)
        {
          for (size_t i = 0; i < n_args; i++)
            if (args[i].fd < 0)
              dprintf (socket, "%s ", args[i].data);
          dprintf (socket, "\n");
        }
      else if (strcmp (line, "leftover\n") == 0)
        dprintf (socket, "a\nb\n");
      else if (strcmp (line, "close\n") == 0)
        {
          /* Open still, so that its end is not known. */
          shutdown (socket, SHUT_RDWR);
          for (;;)
            poll (NULL, 0, -1);
        }
      else if (strncmp (line, "exit ", 5) == 0)
        return atoi (line + 5);
      else
        dprintf (socket, "%s", line);
    }

  return 0;
}
