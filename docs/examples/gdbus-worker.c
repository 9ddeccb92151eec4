/* gdbus-worker.c: a worker that exports a D-Bus object on its communication socket
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "gdbus-interface.h"

#include <gio/gio.h>
#include <gspawnfork/gforkworker.h>

int serve (int socket, const GForkArg *args, size_t n_args);

static gboolean
on_count_words (ExampleCounter        *counter,
                GDBusMethodInvocation *invocation,
                const char            *text,
                gpointer               user_data)
{
  g_auto (GStrv) words = g_str_tokenize_and_fold (text, NULL, NULL);

  example_counter_set_requests (counter, example_counter_get_requests (counter) + 1);
  example_counter_complete_count_words (counter, invocation, g_strv_length (words));
  return TRUE;
}

int
serve (int             socket_fd,
       const GForkArg *args,
       size_t          n_args)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = g_socket_new_from_fd (socket_fd, &error);
  g_autoptr (GSocketConnection) stream = NULL;
  g_autoptr (GDBusConnection) connection = NULL;
  g_autoptr (ExampleCounter) counter = example_counter_skeleton_new ();
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autofree char *guid = g_dbus_generate_guid ();

  if (socket == NULL)
    return 1;

  /* Messages wait until the object is there. */
  stream = g_socket_connection_factory_create_connection (socket);
  connection = g_dbus_connection_new_sync (G_IO_STREAM (stream), guid,
                                           G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER
                                           | G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING,
                                           NULL, NULL, &error);
  if (connection == NULL)
    {
      g_printerr ("%s\n", error->message);
      return 1;
    }

  g_signal_connect (counter, "handle-count-words", G_CALLBACK (on_count_words), NULL);
  g_dbus_interface_skeleton_export (G_DBUS_INTERFACE_SKELETON (counter), connection, "/", NULL);
  /* The application has closed its end, or has ended. */
  g_signal_connect_swapped (connection, "closed", G_CALLBACK (g_main_loop_quit), loop);
  g_dbus_connection_start_message_processing (connection);

  g_main_loop_run (loop);
  return 0;
}
