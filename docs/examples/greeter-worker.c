/* greeter-worker.c: greets all who connect, until the pool has it stop
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gspawnfork/gforkworker.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* The first argument is the listening socket, which all workers share. */
G_FORK_EXPORT int
serve (int socket, const GForkArg *args, size_t n_args)
{
  struct pollfd fds[2] = { { .fd = socket, .events = POLLIN }, { .events = POLLIN } };

  if (n_args < 1 || args[0].fd < 0)
    return 1;
  fds[1].fd = args[0].fd;

  /* A client that has hung up is no reason to end. */
  signal (SIGPIPE, SIG_IGN);
  /* All processes of a terminal or a service are sent these. Only the pool ends this one. */
  signal (SIGHUP, SIG_IGN);
  signal (SIGINT, SIG_IGN);
  signal (SIGTERM, SIG_IGN);

  for (;;)
    {
      int client;

      if (poll (fds, 2, -1) < 0)
        return 1;
      if (fds[0].revents != 0)
        return 0; /* the end of file: we are to stop, or the application has ended */

      /* Another worker may have been faster; then there is none. */
      client = accept (args[0].fd, NULL, NULL);
      if (client < 0)
        continue;
      dprintf (client, "Hello from process %d!\n", getpid ());
      close (client);
    }
}
