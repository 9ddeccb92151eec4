/* pool.c: ten servers at one socket, each a fork of one prepared template
 *
 * First a single worker is made and talked to. Then the servers answer a
 * thousand requests. Last comes what processes cost, next to other ways of
 * making them.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <gspawnfork/gspawnfork.h>

#include "ballast.h"
#include "contenders.h"

#define N_SERVERS 10
#define N_REQUESTS 1000
#define N_CONCURRENT 50

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

typedef struct
{
  GForkProcess *process;
  GSocket *socket;
  guint n_answered;
} Server;

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

static void
start_servers (Server        *servers,
               GForkTemplate *template)
{
  for (guint i = 0; i < N_SERVERS; i++)
    {
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
      GError *error = NULL;

      servers[i].socket = g_fork_template_run (fork, "serve", &servers[i].process,
                                               NULL, &error);
      must ("run", error);
    }
}

static void
print_server (Server *server)
{
  GForkProcess *process = server->process;
  g_autofree char *end = NULL;
  gint64 time = g_fork_process_get_user_time (process) +
                g_fork_process_get_system_time (process);

  if (g_fork_process_get_if_exited (process))
    end = g_strdup_printf ("exit status %d", g_fork_process_get_exit_status (process));
  else
    end = g_strdup_printf ("signal %d (%s)", g_fork_process_get_term_sig (process),
                           strsignal (g_fork_process_get_term_sig (process)));

  g_print ("  %8d %10u   %-22s 0x%04x %8.1f ms %6" G_GUINT64_FORMAT " KiB\n",
           g_fork_process_get_pid (process), server->n_answered, end,
           g_fork_process_get_wait_status (process), (double) time / 1000,
           g_fork_process_get_max_rss (process) / 1024);
}

/* A server whose socket is closed ends by itself. */
static void
end_servers (Server *servers)
{
  GError *error = NULL;

  g_fork_process_send_signal (servers[0].process, SIGKILL, &error);
  must ("kill", error);

  g_print ("  %8s %10s   %-22s %6s %11s %10s\n",
           "worker", "answered", "ended with", "status", "CPU time", "memory");

  for (guint i = 0; i < N_SERVERS; i++)
    {
      g_clear_object (&servers[i].socket);
      g_fork_process_wait (servers[i].process, NULL, &error);
      must ("wait", error);

      print_server (&servers[i]);
      g_clear_object (&servers[i].process);
    }
}

/* Requests, many at a time, each of which ends with the server's answer */

typedef struct
{
  GSocketClient *client;
  GSocketAddress *address;
  Server *servers;
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
count_answer (Requests   *requests,
              const char *answer)
{
  const char *body = strstr (answer, "\r\n\r\n");
  GPid pid = body != NULL ? atoi (body) : 0;

  for (guint i = 0; i < N_SERVERS; i++)
    if (g_fork_process_get_pid (requests->servers[i].process) == pid)
      requests->servers[i].n_answered++;
}

static void
end_request (Request *request)
{
  Requests *requests = request->requests;

  g_object_unref (request->connection);
  g_free (request->text);
  g_free (request);

  requests->n_ended++;
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

  g_input_stream_read_all_finish (G_INPUT_STREAM (source), result, NULL, &error);
  must ("read", error);

  count_answer (request->requests, request->answer);
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
ask_servers (Server  *servers,
             GSocket *listener)
{
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GSocketAddress) address = g_socket_get_local_address (listener, NULL);
  Requests requests = { client, address, servers, 0, 0, FALSE };
  gint64 start = clock_ns ();
  double seconds;

  for (guint i = 0; i < N_CONCURRENT; i++)
    start_request (&requests);
  loop_until (&requests.done);

  seconds = (double) (clock_ns () - start) / 1e9;
  g_print ("  %u requests to port %u, answered in %.3f s: %.0f a second\n",
           N_REQUESTS, g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (address)),
           seconds, N_REQUESTS / seconds);
}

static void
run_servers (void)
{
  g_autoptr (GSocket) listener = listen_somewhere ();
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  Server servers[N_SERVERS] = { 0 };

  g_print ("\nTen servers, one of which is killed at the end\n");

  g_fork_template_require (template, "pool-worker");
  g_fork_template_send_socket (template, listener);

  start_servers (servers, template);
  ask_servers (servers, listener);
  end_servers (servers);
}

/* What processes cost */

static int
compare_doubles (const void *a,
                 const void *b)
{
  double x = *(const double *) a;
  double y = *(const double *) b;

  return (x > y) - (x < y);
}

static void
print_rates (guint megabytes)
{
  enum { N_CONTENDERS = 4, N_ROUNDS = 3 };
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autofree char *program = g_find_program_in_path ("true");
  const char *argv[] = { program, NULL };
  LaunchPlan plan = { template, "pool-worker", "leave", argv };
  Contender *contenders[N_CONTENDERS];
  double times[N_CONTENDERS][N_ROUNDS];
  void *ballast;

  g_fork_template_require (template, plan.module);
  ballast = ballast_new (megabytes);

  contenders[0] = contender_new_gspawnfork ("gspawnfork", &plan);
  contenders[1] = contender_new_fork ("fork");
  contenders[2] = contender_new_spawn ("posix_spawn", &plan);
  contenders[3] = contender_new_subprocess ("GSubprocess", &plan, G_SUBPROCESS_FLAGS_NONE);

  for (guint round = 0; round < N_ROUNDS; round++)
    for (guint i = 0; i < N_CONTENDERS; i++)
      times[i][round] = contender_measure_warm (contenders[i], 100, 100, 1);

  g_print ("  %7u MB", megabytes);
  for (guint i = 0; i < N_CONTENDERS; i++)
    {
      qsort (times[i], N_ROUNDS, sizeof (double), compare_doubles);
      g_print (" %12.0f", 1e9 / times[i][N_ROUNDS / 2]);
      contender_free (contenders[i]);
    }
  g_print ("\n");

  ballast_free (ballast, megabytes);
}

static void
compare_rates (void)
{
  g_print ("\nProcesses a second, one after another, by the size of this program\n");
  g_print ("  %10s %12s %12s %12s %12s\n",
           "", "gspawnfork", "fork", "posix_spawn", "GSubprocess");

  print_rates (0);
  print_rates (1000);
}

int
main (int    argc,
      char **argv)
{
  talk_to_one ();
  run_servers ();
  compare_rates ();

  return 0;
}
