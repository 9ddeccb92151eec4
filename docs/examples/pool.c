/* pool.c: ten servers at one socket, which a pool keeps up
 *
 * First a single worker is made and talked to. Then the servers answer a thousand
 * requests, while one of them is killed and another one takes its place.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <gspawnfork/gspawnfork.h>

#define N_SERVERS 10
#define N_REQUESTS 1000
#define N_CONCURRENT 50

static void
must (const char *what,
      GError     *error)
{
  if (error != NULL)
    g_error ("%s: %s", what, error->message);
}

/* One worker */

static void
ask (GDataInputStream *answers,
     GOutputStream    *questions,
     const char       *question)
{
  g_autofree char *line = NULL;
  GError *error = NULL;

  g_output_stream_printf (questions, NULL, NULL, &error, "%s\n", question);
  must ("write", error);

  line = g_data_input_stream_read_line (answers, NULL, NULL, &error);
  must ("read", error);

  g_print ("  asked: %-20s answered: %s\n", question, line);
}

static void
talk_to_one (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocketConnection) connection = NULL;
  g_autoptr (GDataInputStream) answers = NULL;
  GOutputStream *questions;
  GError *error = NULL;

  g_print ("One worker\n");

  socket = g_fork_template_run (template, "pool-worker:echo", &process, NULL, &error);
  must ("run", error);

  connection = g_socket_connection_factory_create_connection (socket);
  answers = g_data_input_stream_new (g_io_stream_get_input_stream (G_IO_STREAM (connection)));
  questions = g_io_stream_get_output_stream (G_IO_STREAM (connection));

  ask (answers, questions, "Is anybody there?");
  ask (answers, questions, "And now?");

  g_io_stream_close (G_IO_STREAM (connection), NULL, NULL);
  g_fork_process_wait (process, NULL, &error);
  must ("wait", error);

  g_print ("  worker %d ended with exit status %d\n",
           g_fork_process_get_pid (process), g_fork_process_get_exit_status (process));
}

/* The servers */

static GSocket *
listen_somewhere (void)
{
  g_autoptr (GSocketAddress) address = NULL;
  GSocket *socket;
  GError *error = NULL;

  address = g_inet_socket_address_new_from_string ("127.0.0.1", 0);
  socket = g_socket_new (G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM,
                         G_SOCKET_PROTOCOL_TCP, &error);
  must ("socket", error);

  g_socket_set_listen_backlog (socket, N_CONCURRENT);
  g_socket_bind (socket, address, TRUE, &error);
  must ("bind", error);
  g_socket_listen (socket, &error);
  must ("listen", error);

  return socket;
}

/* Who has answered how many requests, by process. */
static GHashTable *n_answered;

static void
on_started (GForkPool   *pool,
            GForkWorker *worker)
{
  g_print ("  server %u is process %d\n", g_fork_worker_get_index (worker),
           g_fork_process_get_pid (g_fork_worker_get_process (worker)));
}

static void
on_ended (GForkPool   *pool,
          GForkWorker *worker)
{
  GForkProcess *process = g_fork_worker_get_process (worker);
  int pid = g_fork_process_get_pid (process);
  g_autofree char *end = NULL;

  if (g_fork_process_get_if_exited (process))
    end = g_strdup_printf ("exit status %d", g_fork_process_get_exit_status (process));
  else
    end = g_strdup_printf ("signal %d", g_fork_process_get_term_sig (process));

  g_print ("  process %d ended with %s, after %u requests and %.1f ms of CPU time\n", pid, end,
           GPOINTER_TO_UINT (g_hash_table_lookup (n_answered, GINT_TO_POINTER (pid))),
           (double) (g_fork_process_get_user_time (process)
                     + g_fork_process_get_system_time (process))
               / 1000);
}

static void
kill_one (GForkPool *pool)
{
  g_autoptr (GForkWorker) worker = g_list_model_get_item (G_LIST_MODEL (pool), 0);

  g_fork_process_force_exit (g_fork_worker_get_process (worker));
}

/* Requests, many at a time, each of which ends with the server's answer */

typedef struct
{
  GSocketClient *client;
  GSocketAddress *address;
  GForkPool *pool;
  guint n_started;
  guint n_ended;
  gboolean done;
} Requests;

typedef struct
{
  Requests *requests;
  GSocketConnection *connection;
  char *text;
  char answer[512];
} Request;

static void start_request (Requests *requests);

static void
count_answer (const char *answer)
{
  const char *body = strstr (answer, "\r\n\r\n");
  gpointer pid = GINT_TO_POINTER (body != NULL ? atoi (body) : 0);
  guint n = GPOINTER_TO_UINT (g_hash_table_lookup (n_answered, pid));

  g_hash_table_insert (n_answered, pid, GUINT_TO_POINTER (n + 1));
}

static void
end_request (Request *request)
{
  Requests *requests = request->requests;

  g_object_unref (request->connection);
  g_free (request->text);
  g_free (request);

  requests->n_ended++;
  if (requests->n_ended == N_REQUESTS / 2)
    kill_one (requests->pool);
  requests->done = requests->n_ended == N_REQUESTS;
  if (requests->n_started < N_REQUESTS)
    start_request (requests);
}

static void
on_answered (GObject      *source,
             GAsyncResult *result,
             gpointer      data)
{
  Request *request = data;
  GError *error = NULL;

  /* What the server was about to answer that is killed is lost. */
  if (g_input_stream_read_all_finish (G_INPUT_STREAM (source), result, NULL, &error))
    count_answer (request->answer);
  g_clear_error (&error);
  end_request (request);
}

static void
on_asked (GObject      *source,
          GAsyncResult *result,
          gpointer      data)
{
  Request *request = data;
  GInputStream *input = g_io_stream_get_input_stream (G_IO_STREAM (request->connection));
  GError *error = NULL;

  g_output_stream_write_all_finish (G_OUTPUT_STREAM (source), result, NULL, &error);
  must ("write", error);

  g_input_stream_read_all_async (input, request->answer, sizeof request->answer - 1,
                                 G_PRIORITY_DEFAULT, NULL, on_answered, request);
}

static void
on_connected (GObject      *source,
              GAsyncResult *result,
              gpointer      data)
{
  Request *request = data;
  GOutputStream *output;
  GError *error = NULL;

  request->connection = g_socket_client_connect_finish (G_SOCKET_CLIENT (source),
                                                        result, &error);
  must ("connect", error);

  output = g_io_stream_get_output_stream (G_IO_STREAM (request->connection));
  g_output_stream_write_all_async (output, request->text, strlen (request->text),
                                   G_PRIORITY_DEFAULT, NULL, on_asked, request);
}

static void
start_request (Requests *requests)
{
  Request *request = g_new0 (Request, 1);

  requests->n_started++;
  request->requests = requests;
  request->text = g_strdup_printf ("GET /%u HTTP/1.0\r\n\r\n", requests->n_started);

  g_socket_client_connect_async (requests->client,
                                 G_SOCKET_CONNECTABLE (requests->address),
                                 NULL, on_connected, request);
}

static void
ask_servers (GForkPool *pool,
             GSocket   *listener)
{
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GSocketAddress) address = g_socket_get_local_address (listener, NULL);
  Requests requests = { client, address, pool, 0, 0, FALSE };

  for (guint i = 0; i < N_CONCURRENT; i++)
    start_request (&requests);
  while (!requests.done)
    g_main_context_iteration (NULL, TRUE);

  g_print ("  %u requests to port %u\n", N_REQUESTS,
           g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (address)));
}

static void
run_servers (void)
{
  g_autoptr (GSocket) listener = listen_somewhere ();
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkPool) pool = NULL;
  GError *error = NULL;

  g_print ("\nTen servers, one of which is killed meanwhile\n");

  g_fork_template_send_socket (template, listener);
  pool = g_fork_pool_new (template, "pool-worker:serve");
  g_fork_pool_set_min_workers (pool, N_SERVERS);
  g_signal_connect (pool, "worker-started", G_CALLBACK (on_started), NULL);
  g_signal_connect (pool, "worker-ended", G_CALLBACK (on_ended), NULL);

  n_answered = g_hash_table_new (NULL, NULL);
  g_fork_pool_start (pool, NULL, &error);
  must ("start", error);
  ask_servers (pool, listener);
  g_fork_pool_stop (pool, NULL, &error);
  must ("stop", error);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_hash_table_unref (n_answered);
}

int
main (int    argc,
      char **argv)
{
  talk_to_one ();
  run_servers ();

  return 0;
}
