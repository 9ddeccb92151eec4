/* takeover.c: a program that takes over a template that another one has detached
 *
 * Descriptor 3 is the control socket. It runs a worker and prints what that writes.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

int
main (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) control = g_socket_new_from_fd (3, &error);
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GString) all = NULL;

  g_assert_no_error (error);
  template = g_fork_template_new_from_socket (control);
  g_fork_template_send_arg (template, "there");
  socket = test_run (template, "dump_args", NULL);
  all = test_read_all (socket);
  g_print ("%s", all->str);

  return 0;
}
