/* greeter.c: a server of several processes that share one port
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gspawnfork/gspawnfork.h>
#include <glib-unix.h>
#include <locale.h>

static GSocket *listener; /* all workers accept on it */

/* Loads the module anew, as the default template does not have it. */
static GForkTemplate *
make_template (void)
{
  GForkTemplate *template = g_fork_template_new ();

  g_fork_template_require (template, "greeter-worker");
  g_fork_template_send_socket (template, listener);
  return template;
}

static GForkTemplate *
on_template_lost (GForkPool *pool)
{
  return make_template ();
}

static void
on_replaced (GObject *pool, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;

  if (!g_fork_pool_replace_finish (G_FORK_POOL (pool), result, &error))
    g_printerr ("greeter: the old workers stay: %s\n", error->message);
}

static gboolean
on_sighup (gpointer pool)
{
  g_autoptr (GForkTemplate) template = make_template ();

  g_fork_pool_replace_async (pool, template, NULL, on_replaced, NULL);
  return G_SOURCE_CONTINUE;
}

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
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkPool) pool = NULL;
  g_autoptr (GSocketAddress) any = g_inet_socket_address_new_from_string ("127.0.0.1", 0);
  g_autoptr (GSocketAddress) address = NULL;
  g_autoptr (GError) error = NULL;

  setlocale (LC_ALL, "");

  listener = g_socket_new (G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, &error);
  if (listener == NULL || !g_socket_bind (listener, any, TRUE, &error) || !g_socket_listen (listener, &error))
    {
      g_printerr ("greeter: %s\n", error->message);
      return 1;
    }
  /* accept() must not wait for a client that another worker has taken. */
  g_socket_set_blocking (listener, FALSE);

  template = make_template ();
  pool = g_fork_pool_new (template, "greeter-worker:serve");
  g_fork_pool_set_min_workers (pool, 4);
  g_fork_pool_set_stop_signal (pool, 0); /* the end of file is enough, and lets a worker finish */
  g_signal_connect (pool, "failed", G_CALLBACK (on_failed), loop);
  g_signal_connect (pool, "template-lost", G_CALLBACK (on_template_lost), NULL);
  g_unix_signal_add (SIGHUP, on_sighup, pool);
  g_unix_signal_add (SIGTERM, on_sigterm, loop);
  g_unix_signal_add (SIGINT, on_sigterm, loop);
  if (!g_fork_pool_start (pool, NULL, &error))
    {
      g_printerr ("greeter: %s\n", error->message);
      return 1;
    }

  address = g_socket_get_local_address (listener, NULL);
  g_print ("port %u\n", g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (address)));

  g_main_loop_run (loop);

  /* Returns when all workers have ended. */
  g_fork_pool_stop (pool, NULL, NULL);
  return 0;
}
