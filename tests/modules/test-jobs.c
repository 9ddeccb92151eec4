/* test-jobs.c: workers for the tests of pools
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gspawnfork/gforkworker.h>

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

G_FORK_EXPORT int jobs (int socket, const GForkArg *args, size_t n_args);
G_FORK_EXPORT int late (int socket, const GForkArg *args, size_t n_args);
G_FORK_EXPORT int leave_before_ready (int socket, const GForkArg *args, size_t n_args);
G_FORK_EXPORT int leave_with (int socket, const GForkArg *args, size_t n_args);
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
