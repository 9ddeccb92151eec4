/* pool-worker.c: what the workers of pool.c do
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gspawnfork/gforkworker.h>

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Answers each line with the process ID and the line. */
int
echo (int             socket,
      const GForkArg *args,
      size_t          n_args)
{
  FILE *questions = fdopen (socket, "r");
  char line[200];

  while (fgets (line, sizeof line, questions) != NULL)
    dprintf (socket, "%d: %s", getpid (), line);

  return 0;
}

/* Reads a request up to the empty line that ends it. */
static int
read_request (int connection)
{
  char request[4096];
  size_t length = 0;

  while (length < sizeof request - 1)
    {
      ssize_t n = read (connection, request + length, sizeof request - 1 - length);

      if (n <= 0)
        return 0;

      length += (size_t) n;
      request[length] = '\0';
      if (strstr (request, "\r\n\r\n") != NULL)
        return 1;
    }

  return 0;
}

static void
answer (int connection)
{
  if (read_request (connection))
    dprintf (connection,
             "HTTP/1.0 200 OK\r\n"
             "Content-Type: text/plain\r\n"
             "\r\n"
             "%d\n",
             getpid ());

  close (connection);
}

/* Answers requests until the application closes the communication socket. */
int
serve (int             socket,
       const GForkArg *args,
       size_t          n_args)
{
  struct pollfd fds[] = {
    { .fd = socket, .events = POLLIN },
    { .fd = args[0].fd, .events = POLLIN }
  };

  while (poll (fds, 2, -1) >= 0)
    {
      int connection;

      if (fds[0].revents != 0)
        return 0;

      /* All servers are woken, and one of them is first. */
      connection = accept (fds[1].fd, NULL, NULL);
      if (connection >= 0)
        answer (connection);
    }

  return 1;
}

int
leave (int             socket,
       const GForkArg *args,
       size_t          n_args)
{
  return 0;
}
