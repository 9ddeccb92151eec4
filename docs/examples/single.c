/* single.c: one file that is application, helper and worker
 *
 * Link it with -rdynamic, so that the function can be found.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gspawnfork/gforkworker.h>
#include <gspawnfork/gspawnfork.h>
#include <stdio.h>
#include <stdlib.h>

int square (int socket, const GForkArg *args, size_t n_args);

/* Runs in a worker. */
int
square (int             socket,
        const GForkArg *args,
        size_t          n_args)
{
  int number = atoi (args[0].data);

  dprintf (socket, "%d", number * number);
  return 0;
}

int
main (int    argc,
      char **argv)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  char answer[20] = "";

  /* If this start is the helper's, it serves, and does not return. */
  g_fork_embed_helper (argc, argv);

  template = g_fork_template_new ();
  g_fork_template_send_arg (template, argc > 1 ? argv[1] : "12");
  socket = g_fork_template_run (template, "square", &process, NULL, &error);
  if (socket == NULL)
    {
      g_printerr ("%s\n", error->message);
      return 1;
    }

  g_socket_set_blocking (socket, TRUE);
  if (g_socket_receive (socket, answer, sizeof answer - 1, NULL, &error) < 0
      || !g_fork_process_wait_check (process, NULL, &error))
    {
      g_printerr ("%s\n", error->message);
      return 1;
    }

  g_print ("%s\n", answer);
  return 0;
}
