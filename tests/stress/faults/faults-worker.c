/* faults-worker.c: the functions that the processes of faults-program.c run and call
 *
 * A worker writes "good" if it has everything that was sent, and no other descriptor. This is a
 * module, and is compiled into the program as well.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gspawnfork/gforkworker.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__ ((visibility ("default")))

EXPORT int set_up (const GForkArg *args, size_t n_args, char *error, size_t error_size);
EXPORT int work (int socket, const GForkArg *args, size_t n_args);
EXPORT int work_in_program (int socket, const GForkArg *args, size_t n_args);
EXPORT int linger (int socket, const GForkArg *args, size_t n_args);
EXPORT int serve (int socket, const GForkArg *args, size_t n_args);

static char was_set_up[16];

EXPORT int
set_up (const GForkArg *args,
        size_t          n_args,
        char           *error,
        size_t          error_size)
{
  if (n_args != 1)
    {
      snprintf (error, error_size, "%zu arguments", n_args);
      return 1;
    }

  snprintf (was_set_up, sizeof was_set_up, "%s", args[0].data);
  return 0;
}

/* Returns a descriptor that is open and was not sent; -1 if there is none. */
static int
find_stray (int             socket,
            const GForkArg *args,
            size_t          n_args)
{
  for (int fd = 3; fd < 64; fd++)
    {
      bool known = fd == socket;

      for (size_t i = 0; i < n_args; i++)
        known = known || args[i].fd == fd;
      if (!known && fcntl (fd, F_GETFD) >= 0)
        return fd;
    }

  return -1;
}

static bool
all_are (const GForkArg *arg,
         char            byte)
{
  for (size_t i = 0; i < arg->length; i++)
    if (arg->data[i] != byte)
      return false;

  return true;
}

/* Writes a text. This is not what is tested, so a call that fails is repeated. */
static void
say (int         fd,
     const char *text)
{
  for (int i = 0; i < 3; i++)
    if (write (fd, text, strlen (text)) >= 0)
      return;
}

static int
check (int             socket,
       const GForkArg *args,
       size_t          n_args,
       int             stray)
{
  char text[128];

  if (strcmp (was_set_up, "ready") != 0)
    snprintf (text, sizeof text, "bad: not set up\n");
  else if (n_args != 3 || args[0].fd >= 0 || args[1].fd >= 0 || args[2].fd < 0)
    snprintf (text, sizeof text, "bad: %zu arguments\n", n_args);
  else if (strcmp (args[0].data, "text") != 0)
    snprintf (text, sizeof text, "bad: the string is %.32s\n", args[0].data);
  else if (args[1].length != 100000 || !all_are (&args[1], 'x'))
    snprintf (text, sizeof text, "bad: %zu bytes\n", args[1].length);
  else if (strcmp (getenv ("FAULTS") != NULL ? getenv ("FAULTS") : "", "set") != 0)
    snprintf (text, sizeof text, "bad: no variable\n");
  else if (stray >= 0)
    snprintf (text, sizeof text, "bad: descriptor %d is open\n", stray);
  else
    {
      say (args[2].fd, "!");
      snprintf (text, sizeof text, "good\n");
    }

  say (socket, text);
  return 3;
}

EXPORT int
work (int             socket,
      const GForkArg *args,
      size_t          n_args)
{
  return check (socket, args, n_args, find_stray (socket, args, n_args));
}

/* Runs in a fork of a program with GLib, which keeps the wake-ups of its main contexts. */
EXPORT int
work_in_program (int             socket,
                 const GForkArg *args,
                 size_t          n_args)
{
  return check (socket, args, n_args, -1);
}

/* Lives until a signal kills it, or the application closes the socket. */
EXPORT int
linger (int             socket,
        const GForkArg *args,
        size_t          n_args)
{
  char byte;

  (void) args;
  (void) n_args;
  signal (SIGPIPE, SIG_IGN); /* the application may have closed the socket */
  say (socket, "good\n");
  while (read (socket, &byte, 1) > 0 || errno == EINTR)
    errno = 0;
  return 5;
}

static int
repeat (const void *request,
        size_t      length,
        GForkReply *reply,
        void       *user_data)
{
  (void) user_data;
  g_fork_reply_set (reply, request, length);
  return 0;
}

EXPORT int
serve (int             socket,
       const GForkArg *args,
       size_t          n_args)
{
  (void) args;
  (void) n_args;
  return g_fork_serve_jobs (socket, repeat, NULL);
}
