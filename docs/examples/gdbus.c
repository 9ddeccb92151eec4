/* gdbus.c: talks D-Bus with a worker, without a bus
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gdbus-interface.h"

#include <gspawnfork/gspawnfork.h>

static void
on_counted (GObject      *source,
            GAsyncResult *result,
            gpointer      user_data)
{
  ExampleCounter *counter = EXAMPLE_COUNTER (source);
  g_autoptr (GError) error = NULL;
  guint words;

  if (example_counter_call_count_words_finish (counter, &words, result, &error))
    g_print ("%u words\n", words);
  else
    g_printerr ("%s\n", error->message);
  g_main_loop_quit (user_data);
}

int
main (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocketConnection) stream = NULL;
  g_autoptr (GDBusConnection) connection = NULL;
  g_autoptr (ExampleCounter) counter = NULL;
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (GError) error = NULL;

  socket = g_fork_template_run (template, "gdbus-worker:serve", &process, NULL, &error);
  if (socket == NULL)
    g_error ("%s", error->message);

  stream = g_socket_connection_factory_create_connection (socket);
  connection = g_dbus_connection_new_sync (G_IO_STREAM (stream), NULL,
                                           G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL,
                                           NULL, &error);
  if (connection != NULL)
    counter = example_counter_proxy_new_sync (connection, G_DBUS_PROXY_FLAGS_NONE, NULL, "/", NULL,
                                              &error);
  if (counter == NULL)
    g_error ("%s", error->message);

  example_counter_call_count_words (counter, "As many words as there are here", NULL, on_counted,
                                    loop);
  g_main_loop_run (loop);

  if (!g_dbus_connection_close_sync (connection, NULL, &error)
      || !g_fork_process_wait_check (process, NULL, &error))
    g_error ("%s", error->message);
  return 0;
}
