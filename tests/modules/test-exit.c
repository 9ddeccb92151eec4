/* test-exit.c: a module that reports when its exit handler and its destructor run
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-module.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

EXPORT int note_exits (const GForkArg *args, size_t n_args, char *error, size_t error_size);
EXPORT int return_at_once (int socket, const GForkArg *args, size_t n_args);
EXPORT int exit_at_once (int socket, const GForkArg *args, size_t n_args);
EXPORT int print_and_return (int socket, const GForkArg *args, size_t n_args);
EXPORT int reuse_number_of_socket (int socket, const GForkArg *args, size_t n_args);

EXPORT void set_note_fd (int fd);

static char note_path[4096];
static int note_fd = -1;

/* From now on, the destructor says "done" there. */
void
set_note_fd (int fd)
{
  note_fd = fd;
}

static void
note (const char *what)
{
  int fd;

  if (note_path[0] == '\0')
    return;

  /* Slow enough for it to be noticed if somebody does not wait for this. */
  usleep (20000);
  fd = open (note_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    _exit (104);
  dprintf (fd, "%s %d\n", what, (int) getpid ());
  close (fd);
}

static void
note_handler (void)
{
  note ("atexit");
}

__attribute__ ((destructor)) static void
note_destructor (void)
{
  if (note_fd >= 0 && write (note_fd, "done", 4) != 4)
    _exit (105);
  note ("destructor");
}

/* From now on, each exit is noted in the file that is the first argument. */
EXPORT int
note_exits (const GForkArg *args,
            size_t          n_args,
            char           *error,
            size_t          error_size)
{
  snprintf (note_path, sizeof (note_path), "%s", args[0].data);
  if (atexit (note_handler) != 0)
    {
      snprintf (error, error_size, "%s", strerror (errno));
      return 1;
    }

  return 0;
}

EXPORT int
return_at_once (int             socket,
                const GForkArg *args,
                size_t          n_args)
{
  return 0;
}

EXPORT int
exit_at_once (int             socket,
              const GForkArg *args,
              size_t          n_args)
{
  exit (0);
}

/* Leaves text in a buffer that only exit() writes out. */
EXPORT int
print_and_return (int             socket,
                  const GForkArg *args,
                  size_t          n_args)
{
  FILE *file = fdopen (args[0].fd, "w");

  fputs ("from the buffer", file);

  return 0;
}

/* The same, with the communication socket closed and a file in its place. */
EXPORT int
reuse_number_of_socket (int             socket,
                        const GForkArg *args,
                        size_t          n_args)
{
  FILE *file;

  if (dup2 (args[0].fd, socket) != socket)
    return 1;

  file = fdopen (socket, "w");
  close (args[0].fd);
  fputs ("from the buffer", file);

  return 0;
}
