/* entry.c: the ways into the template process
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/template.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static _Noreturn void
start (int                          socket,
       enum gfork_serve_flags       flags,
       const struct gfork_language *language,
       int                          argc,
       char                       **argv)
{
  struct gfork_template state = { .socket = socket }, *template = &state;

  template->flags = flags;
  template->language = language;
  template->pid = getpid ();
  template->parent = getppid ();
  template->scope = -1;
  template->forked = (flags & GFORK_SERVE_FROM_MAIN) != 0;
  template->unknown_code_ran = true; /* the program's own */
  template->children.signals = -1;
  gfork_reader_init (&template->reader, template->memory, sizeof template->memory,
                     template->control, sizeof template->control);

  gfork_signals_begin (&template->signals, language != NULL);

  if (argv != NULL)
    gfork_title_use_arguments (&template->title, argc, argv);
  else
    gfork_title_use_proc (&template->title);
  gfork_title_set (&template->title, GFORK_TEMPLATE_TITLE, template->parent);
  gfork_serve (template);
}

_Noreturn void
gfork_serve_fork (int socket)
{
  gfork_signals_drop_handlers ();
  gfork_close_applications (socket);
  close (0);
  gfork_fill_standard_streams ();

  gfork_leave_before_the_application ();
  start (socket, GFORK_SERVE_PROGRAM | GFORK_SERVE_FROM_MAIN, NULL, 0, NULL);
}

/* Returns the control socket that the command line names; -1 if it is not the command line of a
 * helper. */
static int
find_control_socket (int    argc,
                     char **argv)
{
  int socket, type = 0;
  socklen_t length = sizeof type;

  if (argc < 4 || strcmp (argv[1], GFORK_SERVE_OPTION) != 0)
    return -1;

  socket = atoi (argv[3]);
  if (getsockopt (socket, SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_STREAM)
    return -1;

  return socket;
}

static void
check_version (int         socket,
               const char *version)
{
  struct gfork_failure failure = { .code = GFORK_CODE_PROTOCOL };

  if (atoi (version) == GFORK_PROTOCOL_VERSION)
    return;

  snprintf (failure.reason, sizeof failure.reason, "%s" GFORK_DETAIL "%d, %.16s",
            N_("the helper and the application speak different versions of the protocol"),
            GFORK_PROTOCOL_VERSION, version);
  gfork_send_failure (socket, &failure);
  exit (2);
}

/* Sends HELLO, from which the application knows that this program is a helper. */
static void
say_hello (int socket)
{
  struct
  {
    struct gfork_header header;
    uint32_t version;
  } frame = { .version = GFORK_PROTOCOL_VERSION };

  gfork_header_set (&frame.header, GFORK_HELLO, sizeof frame.version, 0);
  gfork_send (socket, &frame, sizeof frame, NULL, 0, 0);
}

void
gfork_serve_language (int                          argc,
                      char                       **argv,
                      const struct gfork_language *language)
{
  int socket = find_control_socket (argc, argv);

  if (socket < 0)
    return;

  fcntl (socket, F_SETFD, FD_CLOEXEC);
  gfork_close_inherited (socket);
  check_version (socket, argv[2]);
  say_hello (socket);
  start (socket, 0, language, 0, NULL);
}

void
gfork_serve_command_line (int                    argc,
                          char                 **argv,
                          enum gfork_serve_flags flags)
{
  int socket;

  if (argc < 4 || strcmp (argv[1], GFORK_SERVE_OPTION) != 0)
    return;

  socket = find_control_socket (argc, argv);
  if (socket < 0)
    {
      fprintf (stderr, "%s: this program is started by the gspawnfork library\n", argv[0]);
      exit (2);
    }

  gfork_fill_standard_streams ();
  gfork_close_all_but (&socket, 1);
  fcntl (socket, F_SETFD, FD_CLOEXEC);

  check_version (socket, argv[2]);
  say_hello (socket);
  start (socket, flags, NULL, argc, argv);
}
