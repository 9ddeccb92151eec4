/* greeter.c: a server of several processes that share one port
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gspawnfork/gspawnfork.h>
#include <glib-unix.h>
#include <locale.h>

static gboolean
on_sigterm (gpointer loop)
{
  g_main_loop_quit (loop);
  return G_SOURCE_CONTINUE;
}

static void
on_failed (GForkPool *pool, GError *error, gpointer loop)
{
  g_printerr ("greeter: %s\n", error->message);
  g_main_loop_quit (loop);
}

int
main (void)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkPool) pool = NULL;
  g_autoptr (GSocketAddress) any = g_inet_socket_address_new_from_string ("127.0.0.1", 0);
  g_autoptr (GSocketAddress) address = NULL;
  g_autoptr (GSocket) listener = NULL;
  g_autoptr (GError) error = NULL;

  setlocale (LC_ALL, "");

  listener = g_socket_new (G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, &error);
  if (listener == NULL || !g_socket_bind (listener, any, TRUE, &error) || !g_socket_listen (listener, &error))
    g_error ("%s", error->message);
  /* accept() must not wait for a client that another worker has taken. */
  g_socket_set_blocking (listener, FALSE);

  g_fork_template_require (template, "greeter-worker");
  g_fork_template_send_socket (template, listener);

  pool = g_fork_pool_new (template, "greeter-worker:serve");
  g_fork_pool_set_min_workers (pool, 4);
  g_fork_pool_set_stop_signal (pool, 0); /* the end of file is enough, and lets a worker finish */
  g_signal_connect (pool, "failed", G_CALLBACK (on_failed), loop);
  g_unix_signal_add (SIGTERM, on_sigterm, loop);
  g_unix_signal_add (SIGINT, on_sigterm, loop);
  if (!g_fork_pool_start (pool, NULL, &error))
    g_error ("%s", error->message);

  address = g_socket_get_local_address (listener, NULL);
  g_print ("port %u\n", g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (address)));

  g_main_loop_run (loop);

  /* Returns when all workers have ended. */
  g_fork_pool_stop (pool, NULL, NULL);
  return 0;
}
