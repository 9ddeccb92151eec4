/* SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gspawnfork/gspawnfork.h>
#include <locale.h>

int
main (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  char answer[100] = "";

  setlocale (LC_ALL, "");

  g_fork_template_send_arg (template, "Hello");
  socket = g_fork_template_run (template, "hello-worker:hello", NULL, NULL, &error);
  if (socket == NULL)
    {
      g_printerr ("hello: %s\n", error->message);
      return 1;
    }

  g_socket_set_blocking (socket, TRUE);
  g_socket_send (socket, "world", 5, NULL, NULL);
  g_socket_receive (socket, answer, sizeof answer - 1, NULL, NULL);
  g_print ("%s\n", answer);

  return 0;
}
