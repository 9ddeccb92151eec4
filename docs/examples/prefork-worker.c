/* prefork-worker.c: an HTTP server at a socket that it shares with others
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gspawnfork/gforkworker.h>

#include <glib-unix.h>
#include <libsoup/soup.h>
#include <signal.h>
#include <unistd.h>

/* A connection that has been silent for this long is not in use. */
#define SILENCE_MS 200

typedef struct
{
  GMainLoop *loop;
  SoupServer *server;
  GSource *accepting;
  gboolean is_leaving;
  guint n_requests; /* under way */
  guint silence;
} Server;

static gboolean
on_silence (gpointer data)
{
  g_main_loop_quit (((Server *) data)->loop);
  return G_SOURCE_REMOVE;
}

/* Leaves when there was nothing to do for a while. */
static void
await_silence (Server *self)
{
  g_clear_handle_id (&self->silence, g_source_remove);
  if (self->is_leaving && self->n_requests == 0)
    self->silence = g_timeout_add (SILENCE_MS, on_silence, self);
}

static void
on_request (SoupServer        *server,
            SoupServerMessage *message,
            const char        *path,
            GHashTable        *query,
            gpointer           data)
{
  g_autofree char *text = g_strdup_printf ("Hello from process %d!\n", getpid ());

  /* So that the next request of the same client is not for one who is about to leave. */
  soup_message_headers_append (soup_server_message_get_response_headers (message), "Connection",
                               "close");
  soup_server_message_set_status (message, SOUP_STATUS_OK, NULL);
  soup_server_message_set_response (message, "text/plain", SOUP_MEMORY_COPY, text, strlen (text));
}

static void
on_request_started (SoupServer        *server,
                    SoupServerMessage *message,
                    Server            *self)
{
  self->n_requests++;
  await_silence (self);
}

static void
on_request_ended (SoupServer        *server,
                  SoupServerMessage *message,
                  Server            *self)
{
  self->n_requests--;
  await_silence (self);
}

/* All workers are woken, and one of them is first. */
static gboolean
on_connection (GSocket      *listener,
               GIOCondition  condition,
               gpointer      data)
{
  Server *self = data;
  g_autoptr (GSocket) socket = g_socket_accept (listener, NULL, NULL);
  g_autoptr (GSocketConnection) connection = NULL;
  g_autoptr (GSocketAddress) local = NULL;
  g_autoptr (GSocketAddress) remote = NULL;

  if (socket == NULL)
    return G_SOURCE_CONTINUE;

  connection = g_socket_connection_factory_create_connection (socket);
  local = g_socket_get_local_address (socket, NULL);
  remote = g_socket_get_remote_address (socket, NULL);
  if (local != NULL && remote != NULL)
    soup_server_accept_iostream (self->server, G_IO_STREAM (connection), local, remote, NULL);
  return G_SOURCE_CONTINUE;
}

/* What connects from now on is for others. */
static gboolean
on_stop (gpointer data)
{
  Server *self = data;

  self->is_leaving = TRUE;
  g_source_destroy (self->accepting);
  await_silence (self);
  return G_SOURCE_CONTINUE;
}

/* The application has ended. */
static gboolean
on_end (int          fd,
        GIOCondition condition,
        gpointer     data)
{
  on_stop (data);
  return G_SOURCE_REMOVE;
}

G_FORK_EXPORT int
serve (int             socket,
       const GForkArg *args,
       size_t          n_args)
{
  g_autoptr (GSocket) listener = NULL;
  g_autoptr (SoupServer) server = soup_server_new ("server-header", "prefork ", NULL);
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (GSource) accepting = NULL;
  Server self = { .loop = loop, .server = server };

  soup_server_add_handler (server, NULL, on_request, &self, NULL);
  g_signal_connect (server, "request-started", G_CALLBACK (on_request_started), &self);
  g_signal_connect (server, "request-finished", G_CALLBACK (on_request_ended), &self);
  g_signal_connect (server, "request-aborted", G_CALLBACK (on_request_ended), &self);

  listener = n_args > 0 ? g_socket_new_from_fd (args[0].fd, NULL) : NULL;
  if (listener == NULL)
    return 1;
  accepting = self.accepting = g_socket_create_source (listener, G_IO_IN, NULL);
  g_source_set_callback (accepting, G_SOURCE_FUNC (on_connection), &self, NULL);
  g_source_attach (accepting, NULL);

  g_unix_signal_add (SIGTERM, on_stop, &self);
  /* All processes of a terminal are sent these. Only the application acts on them. */
  signal (SIGHUP, SIG_IGN);
  signal (SIGINT, SIG_IGN);
  g_unix_fd_add (socket, G_IO_IN | G_IO_HUP, on_end, &self);

  g_fork_worker_ready (socket);
  g_main_loop_run (loop);
  return 0;
}
