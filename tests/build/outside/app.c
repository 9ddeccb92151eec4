/* app.c: an application that is built outside of the tree
 *
 * It runs the function that its command line names, and prints what that writes, or why it
 * could not be run.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gspawnfork/gspawnfork.h>

#include <locale.h>

int
main (int    argc,
      char **argv)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  char text[100];
  gssize length;

  setlocale (LC_ALL, "");

  if (argc != 2)
    return 2;

  template = g_fork_template_new ();
  g_fork_template_send_arg (template, "hello");
  socket = g_fork_template_run (template, argv[1], &process, NULL, &error);
  if (socket == NULL)
    {
      g_print ("%s\n", error->message);
      return 0;
    }

  g_socket_set_blocking (socket, TRUE);
  length = g_socket_receive (socket, text, sizeof text, NULL, &error);
  g_assert_no_error (error);
  g_print ("%.*s", (int) length, text);

  g_fork_process_wait_check (process, NULL, &error);
  g_assert_no_error (error);

  return 0;
}
