/* load-worker.c: the functions that are run under load
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-module.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

EXPORT int leave_with (int socket, const GForkArg *args, size_t n_args);
EXPORT int leave_at_eof (int socket, const GForkArg *args, size_t n_args);
EXPORT int hold_out (int socket, const GForkArg *args, size_t n_args);

/* Returns the number that was sent. */
EXPORT int
leave_with (int             socket,
            const GForkArg *args,
            size_t          n_args)
{
  return atoi (args[0].data);
}

/* Returns the number that was sent, when the application has closed its end. */
EXPORT int
leave_at_eof (int             socket,
              const GForkArg *args,
              size_t          n_args)
{
  char byte;
  ssize_t got;

  do
    got = read (socket, &byte, 1);
  while (got > 0 || (got < 0 && errno == EINTR));

  return got == 0 ? atoi (args[0].data) : 100;
}

/* Writes its process ID and exit status to the log, which is the third argument. Then it lives,
 * even without the application, until it gets a byte "x" by its socket, or the second argument,
 * a descriptor, is at its end. Any other byte is sent back. */
EXPORT int
hold_out (int             socket,
          const GForkArg *args,
          size_t          n_args)
{
  struct pollfd fds[] = {
    { .fd = args[1].fd, .events = POLLIN },
    { .fd = socket, .events = POLLIN },
  };
  int status = atoi (args[0].data);

  dprintf (args[2].fd, "%d %d\n", (int) getpid (), status);

  for (;;)
    {
      char byte;
      ssize_t got;

      if (poll (fds, 2, -1) < 0)
        continue;
      if (fds[0].revents != 0)
        return status;
      if (fds[1].revents == 0)
        continue;

      got = read (socket, &byte, 1);
      if (got == 1 && byte == 'x')
        return status;
      if (got < 0 && (errno == EINTR || errno == EAGAIN))
        continue;
      if (got <= 0 || send (socket, &byte, 1, MSG_NOSIGNAL) != 1)
        fds[1].fd = -1;
    }
}

/* Does the jobs of load-pool. */

static int
echo_job (const void *request,
          size_t      length,
          GForkReply *reply,
          void       *user_data)
{
  g_fork_reply_set (reply, request, length);
  return 0;
}

EXPORT int do_jobs (int socket, const GForkArg *args, size_t n_args);

int
do_jobs (int             socket,
         const GForkArg *args,
         size_t          n_args)
{
  return g_fork_serve_jobs (socket, echo_job, NULL);
}
