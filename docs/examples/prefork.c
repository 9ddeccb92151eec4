/* prefork.c: an HTTP server of several processes at one listening socket
 *
 *   prefork [PORT [WORKERS]]
 *
 * Workers that end are replaced. SIGHUP replaces all of them, and no request is lost by
 * that; SIGINT and SIGTERM end the server.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gspawnfork/gspawnfork.h>

#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct
{
  GMainLoop *loop;
  GSocket *listener;
  GForkPool *pool;
} Application;

/* What is loaded here, all workers share. */
static GForkTemplate *
make_template (Application *self)
{
  GForkTemplate *template = g_fork_template_new ();

  g_fork_template_require (template, "prefork-worker");
  g_fork_template_send_socket (template, self->listener);
  return template;
}

static void
on_started (GForkPool   *pool,
            GForkWorker *worker)
{
  g_print ("started %d\n", g_fork_process_get_pid (g_fork_worker_get_process (worker)));
}

static void
on_failed (GForkPool   *pool,
           GError      *error,
           Application *self)
{
  g_printerr ("prefork: %s\n", error->message);
  g_main_loop_quit (self->loop);
}

static void
on_replaced (GObject      *source,
             GAsyncResult *result,
             gpointer      data)
{
  g_autoptr (GError) error = NULL;

  if (g_fork_pool_replace_finish (G_FORK_POOL (source), result, &error))
    g_print ("replaced\n");
  else
    g_printerr ("prefork: the old workers stay: %s\n", error->message);
}

static gboolean
on_hangup (gpointer data)
{
  Application *self = data;
  g_autoptr (GForkTemplate) template = make_template (self);

  g_fork_pool_replace_async (self->pool, template, NULL, on_replaced, NULL);
  return G_SOURCE_CONTINUE;
}

static GForkTemplate *
on_template_lost (GForkPool   *pool,
                  Application *self)
{
  return make_template (self);
}

static gboolean
on_quit (gpointer data)
{
  g_main_loop_quit (((Application *) data)->loop);
  return G_SOURCE_CONTINUE;
}

static GSocket *
listen_at (guint16   port,
           GError  **error)
{
  g_autoptr (GSocketAddress) address = g_inet_socket_address_new_from_string ("127.0.0.1", port);
  g_autoptr (GSocket) socket = g_socket_new (G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM,
                                             G_SOCKET_PROTOCOL_TCP, error);

  if (socket == NULL)
    return NULL;
  g_socket_set_listen_backlog (socket, 128);
  if (!g_socket_bind (socket, address, TRUE, error) || !g_socket_listen (socket, error))
    return NULL;
  return g_steal_pointer (&socket);
}

int
main (int    argc,
      char **argv)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (GSocket) listener = NULL;
  g_autoptr (GSocketAddress) address = NULL;
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkPool) pool = NULL;
  g_autoptr (GError) error = NULL;
  Application self = { loop, NULL, NULL };

  setvbuf (stdout, NULL, _IOLBF, 0);
  listener = self.listener = listen_at (argc > 1 ? atoi (argv[1]) : 0, &error);
  if (listener == NULL)
    {
      g_printerr ("prefork: %s\n", error->message);
      return 1;
    }

  template = make_template (&self);
  pool = self.pool = g_fork_pool_new (template, "serve");
  g_fork_pool_set_min_workers (pool, argc > 2 ? (guint) MAX (atoi (argv[2]), 1) : g_get_num_processors ());
  g_fork_pool_set_wait_for_ready (pool, TRUE);
  g_signal_connect (pool, "worker-started", G_CALLBACK (on_started), NULL);
  g_signal_connect (pool, "failed", G_CALLBACK (on_failed), &self);
  g_signal_connect (pool, "template-lost", G_CALLBACK (on_template_lost), &self);
  g_unix_signal_add (SIGHUP, on_hangup, &self);
  g_unix_signal_add (SIGINT, on_quit, &self);
  g_unix_signal_add (SIGTERM, on_quit, &self);

  if (!g_fork_pool_start (pool, NULL, &error))
    {
      g_printerr ("prefork: %s\n", error->message);
      return 1;
    }
  address = g_socket_get_local_address (listener, NULL);
  g_print ("http://127.0.0.1:%u/\n",
           g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (address)));

  g_main_loop_run (loop);
  g_fork_pool_stop (pool, NULL, NULL);
  return 0;
}
