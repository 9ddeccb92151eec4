/* cgi.c: a web server that runs a program for each request, by RFC 3875
 *
 * It serves the programs of one directory: http://localhost:PORT/NAME/PATH?QUERY. Each
 * runs in a session of its own, with limits, and nothing that it has started outlives its
 * request.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gspawnfork/gspawnfork.h>
#include <libsoup/soup.h>
#include <stdlib.h>
#include <string.h>

static int port = 0;
static int time_limit = 30;             /* seconds */
static int memory_limit = 256;          /* MiB */
static gint64 body_limit = 1 << 20;     /* bytes */
static gint64 output_limit = 16 << 20;  /* bytes */

static const char too_slow[] = "The program takes too long.\n";

static const GOptionEntry options[] = {
  { "port", 'p', 0, G_OPTION_ARG_INT, &port, "Listen on this port", "PORT" },
  { "time-limit", 't', 0, G_OPTION_ARG_INT, &time_limit, "Of a request", "SECONDS" },
  { "memory-limit", 'm', 0, G_OPTION_ARG_INT, &memory_limit, "Of a process", "MIB" },
  { "body-limit", 'b', 0, G_OPTION_ARG_INT64, &body_limit, "Of what is sent", "BYTES" },
  { "output-limit", 'o', 0, G_OPTION_ARG_INT64, &output_limit, "Of what comes back", "BYTES" },
  { NULL }
};

/* All requests are forks of this one. */
static GForkTemplate *template;
static char *directory;

typedef struct
{
  SoupServer *server;
  SoupServerMessage *message;
  char *program;
  GForkProcess *process;
  GByteArray *output;
  GSource *deadline;
  const char *trouble; /* why the program was ended */
} Request;

/* ——— The answer ——— */

static void
request_free (Request *request)
{
  if (request->deadline != NULL)
    g_source_destroy (request->deadline);
  g_clear_pointer (&request->deadline, g_source_unref);
  /* Whatever the program has started and left behind goes with it. */
  if (request->process != NULL)
    g_fork_process_force_exit (request->process);
  g_clear_object (&request->process);
  g_clear_pointer (&request->output, g_byte_array_unref);
  g_object_unref (request->message);
  g_object_unref (request->server);
  g_free (request->program);
  g_free (request);
}

static void
set_text (SoupServerMessage *message,
          guint              status,
          const char        *text)
{
  soup_server_message_set_status (message, status, NULL);
  soup_server_message_set_response (message, "text/plain; charset=utf-8", SOUP_MEMORY_COPY, text,
                                    strlen (text));
}

/* Where the header ends and the body begins; 0 if there is no header. */
static gsize
find_body (const char *output,
           gsize       length)
{
  const char *end, *crlf_end;

  if (length == 0)
    return 0;

  end = g_strstr_len (output, length, "\n\n");
  crlf_end = g_strstr_len (output, length, "\r\n\r\n");
  if (crlf_end != NULL && (end == NULL || crlf_end < end))
    return crlf_end + 4 - output;
  return end != NULL ? end + 2 - output : 0;
}

/* Takes over what the program says of its answer. Returns whether it is one (RFC 3875,
 * section 6). */
static gboolean
set_headers (SoupServerMessage *message,
             const char        *header)
{
  SoupMessageHeaders *headers = soup_server_message_get_response_headers (message);
  g_auto (GStrv) lines = g_strsplit (header, "\n", -1);
  guint status = 200;
  gboolean any = FALSE;

  for (char **line = lines; *line != NULL && g_strchomp (*line)[0] != '\0'; line++)
    {
      char *value = strchr (*line, ':');

      if (value == NULL)
        return FALSE;
      *value++ = '\0';
      g_strchug (value);
      any = TRUE;

      if (g_ascii_strcasecmp (*line, "Status") == 0)
        status = (guint) g_ascii_strtoull (value, NULL, 10);
      else if (g_ascii_strcasecmp (*line, "Content-Length") != 0
               && g_ascii_strcasecmp (*line, "Connection") != 0)
        soup_message_headers_append (headers, *line, value);
      if (g_ascii_strcasecmp (*line, "Location") == 0 && status == 200)
        status = 302;
    }

  if (status < 200 || status > 599)
    return FALSE;
  soup_server_message_set_status (message, status, NULL);
  return any;
}

static void
answer (Request *request)
{
  const char *output = (const char *) request->output->data;
  gsize length = request->output->len, body = find_body (output, length);
  g_autofree char *header = g_strndup (output, body);

  if (request->trouble != NULL)
    set_text (request->message, request->trouble == too_slow ? 504 : 502, request->trouble);
  else if (body == 0 || !set_headers (request->message, header))
    set_text (request->message, 502, "The program has not answered as a CGI program does.\n");
  else
    soup_message_body_append (soup_server_message_get_response_body (request->message),
                              SOUP_MEMORY_COPY, output + body, length - body);

  soup_server_message_unpause (request->message);
  request_free (request);
}

/* ——— The program ——— */

static gboolean
on_deadline (gpointer user_data)
{
  Request *request = user_data;

  request->trouble = too_slow;
  g_fork_process_force_exit (request->process);
  return G_SOURCE_REMOVE;
}

static void read_output (Request *request);

static void
on_output (GObject      *source,
           GAsyncResult *result,
           gpointer      user_data)
{
  Request *request = user_data;
  g_autoptr (GBytes) bytes = g_input_stream_read_bytes_finish (G_INPUT_STREAM (source), result, NULL);

  if (bytes == NULL || g_bytes_get_size (bytes) == 0)
    {
      answer (request);
      return;
    }

  if ((gint64) (request->output->len + g_bytes_get_size (bytes)) > output_limit)
    {
      request->trouble = "The program writes too much.\n";
      answer (request);
      return;
    }
  g_byte_array_append (request->output, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
  read_output (request);
}

static void
read_output (Request *request)
{
  g_input_stream_read_bytes_async (g_fork_process_get_stdout_pipe (request->process), 65536,
                                   G_PRIORITY_DEFAULT, NULL, on_output, request);
}

/* A program need not read what was sent. */
static void
on_input_written (GObject      *source,
                  GAsyncResult *result,
                  gpointer      bytes)
{
  g_output_stream_write_all_finish (G_OUTPUT_STREAM (source), result, NULL, NULL);
  g_output_stream_close (G_OUTPUT_STREAM (source), NULL, NULL);
  g_bytes_unref (bytes);
}

static void
on_executed (GObject      *source,
             GAsyncResult *result,
             gpointer      user_data)
{
  Request *request = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket =
      g_fork_template_execv_finish (G_FORK_TEMPLATE (source), result, &request->process, &error);
  GBytes *body;

  if (socket == NULL)
    {
      g_printerr ("%s\n", error->message);
      set_text (request->message, 500, "The program could not be executed.\n");
      soup_server_message_unpause (request->message);
      request_free (request);
      return;
    }

  request->deadline = g_timeout_source_new_seconds ((guint) time_limit);
  g_source_set_callback (request->deadline, on_deadline, request, NULL);
  g_source_attach (request->deadline, NULL);

  body = soup_message_body_flatten (soup_server_message_get_request_body (request->message));
  g_output_stream_write_all_async (g_fork_process_get_stdin_pipe (request->process),
                                   g_bytes_get_data (body, NULL), g_bytes_get_size (body),
                                   G_PRIORITY_DEFAULT, NULL, on_input_written, body);
  read_output (request);
}

/* ——— The environment (RFC 3875, section 4.1) ——— */

static void
set_variable (GPtrArray  *environment,
              const char *name,
              const char *value)
{
  if (value != NULL)
    g_ptr_array_add (environment, g_strconcat (name, "=", value, NULL));
}

/* Of the headers all but those that have variables of their own, those that are secret, and
 * Proxy, which programs would take for a setting. */
static void
add_header (const char *name,
            const char *value,
            gpointer    environment)
{
  static const char *const others[] = { "Content-Type", "Content-Length", "Authorization", "Proxy",
                                        "Connection" };
  g_autofree char *variable = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (others); i++)
    if (g_ascii_strcasecmp (name, others[i]) == 0)
      return;

  variable = g_strconcat ("HTTP_", name, NULL);
  for (char *at = variable; *at != '\0'; at++)
    *at = g_ascii_isalnum (*at) ? g_ascii_toupper (*at) : '_';
  set_variable (environment, variable, value);
}

static GPtrArray *
make_environment (SoupServerMessage *message,
                  const char        *name,
                  const char        *path_info)
{
  GPtrArray *environment = g_ptr_array_new_with_free_func (g_free);
  SoupMessageHeaders *headers = soup_server_message_get_request_headers (message);
  SoupMessageBody *body = soup_server_message_get_request_body (message);
  GUri *uri = soup_server_message_get_uri (message);
  g_autofree char *script = g_strconcat ("/", name, NULL);
  g_autofree char *server_port = g_strdup_printf ("%d", g_uri_get_port (uri));
  g_autofree char *length = g_strdup_printf ("%" G_GINT64_FORMAT, (gint64) body->length);
  const char *query = g_uri_get_query (uri);

  set_variable (environment, "PATH", "/usr/local/bin:/usr/bin:/bin");
  set_variable (environment, "GATEWAY_INTERFACE", "CGI/1.1");
  set_variable (environment, "SERVER_SOFTWARE", "gspawnfork-cgi/1.0");
  set_variable (environment, "SERVER_PROTOCOL",
                soup_server_message_get_http_version (message) == SOUP_HTTP_1_0 ? "HTTP/1.0"
                                                                               : "HTTP/1.1");
  set_variable (environment, "SERVER_NAME", g_uri_get_host (uri));
  set_variable (environment, "SERVER_PORT", server_port);
  set_variable (environment, "REQUEST_METHOD", soup_server_message_get_method (message));
  set_variable (environment, "SCRIPT_NAME", script);
  set_variable (environment, "PATH_INFO", path_info);
  set_variable (environment, "QUERY_STRING", query != NULL ? query : "");
  set_variable (environment, "REMOTE_ADDR", soup_server_message_get_remote_host (message));
  set_variable (environment, "CONTENT_TYPE", soup_message_headers_get_one (headers, "Content-Type"));
  if (body->length > 0)
    set_variable (environment, "CONTENT_LENGTH", length);
  soup_message_headers_foreach (headers, add_header, environment);
  g_ptr_array_add (environment, NULL);

  return environment;
}

/* ——— Requests ——— */

/* A body that is too long is not kept. */
static void
on_chunk (SoupServerMessage *message,
          GBytes            *chunk,
          gpointer           user_data)
{
  SoupMessageBody *body = soup_server_message_get_request_body (message);

  if (body->length <= body_limit)
    return;

  soup_message_body_set_accumulate (body, FALSE);
  soup_message_body_truncate (body);
  g_object_set_data (G_OBJECT (message), "too-long", (gpointer) "");
}

static void
on_request_begins (SoupServer        *server,
                   SoupServerMessage *message,
                   const char        *path,
                   GHashTable        *query,
                   gpointer           user_data)
{
  g_signal_connect (message, "got-chunk", G_CALLBACK (on_chunk), NULL);
}

static void
on_request (SoupServer        *server,
            SoupServerMessage *message,
            const char        *path,
            GHashTable        *query,
            gpointer           user_data)
{
  const char *path_info = strchr (path + 1, '/');
  g_autofree char *name = path_info != NULL ? g_strndup (path + 1, path_info - path - 1)
                                            : g_strdup (path + 1);
  g_autofree char *program = g_build_filename (directory, name, NULL);
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GPtrArray) environment = NULL;
  Request *request;

  if (g_object_get_data (G_OBJECT (message), "too-long") != NULL)
    {
      set_text (message, 413, "That is too long.\n");
      return;
    }
  if (name[0] == '\0' || name[0] == '.' || !g_file_test (program, G_FILE_TEST_IS_REGULAR))
    {
      set_text (message, 404, "There is no such program.\n");
      return;
    }

  /* libsoup 3.2 keeps connections for ever that clients have kept and then closed. */
  if (!soup_check_version (3, 3, 0))
    soup_message_headers_replace (soup_server_message_get_response_headers (message), "Connection",
                                  "close");

  request = g_new0 (Request, 1);
  request->server = g_object_ref (server);
  request->message = g_object_ref (message);
  request->output = g_byte_array_new ();
  request->program = g_steal_pointer (&program);

  fork = g_fork_template_fork (template);
  environment = make_environment (message, name, path_info);
  g_fork_template_set_environ (fork, (const char *const *) environment->pdata);
  soup_server_message_pause (message);
  g_fork_template_execv_async (fork, (const char *const[]){ request->program, NULL },
                               G_FORK_EXEC_STDIN_PIPE | G_FORK_EXEC_STDOUT_PIPE, NULL, on_executed,
                               request);
}

int
main (int    argc,
      char **argv)
{
  g_autoptr (GOptionContext) context = g_option_context_new ("DIRECTORY");
  g_autoptr (SoupServer) server = soup_server_new ("server-header", "gspawnfork-cgi ", NULL);
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (GError) error = NULL;
  GSList *uris;

  g_option_context_add_main_entries (context, options, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error) || argc != 2)
    {
      g_printerr ("%s: %s\n", argv[0], error != NULL ? error->message : "Which directory?");
      return EXIT_FAILURE;
    }
  directory = g_canonicalize_filename (argv[1], NULL);

  template = g_fork_template_new ();
  g_fork_template_set_cwd (template, directory);
  g_fork_template_setsid (template);
  g_fork_template_die_with_application (template);
  g_fork_template_set_limit (template, G_FORK_LIMIT_MEMORY, (guint64) memory_limit << 20);
  g_fork_template_set_limit (template, G_FORK_LIMIT_CORE, 0);
  if (!g_fork_template_prepare (template, NULL, &error))
    {
      g_printerr ("%s: %s\n", argv[0], error->message);
      return EXIT_FAILURE;
    }

  soup_server_add_early_handler (server, NULL, on_request_begins, NULL, NULL);
  soup_server_add_handler (server, NULL, on_request, NULL, NULL);
  if (!soup_server_listen_local (server, (guint) port, 0, &error))
    {
      g_printerr ("%s: %s\n", argv[0], error->message);
      return EXIT_FAILURE;
    }

  uris = soup_server_get_uris (server);
  for (GSList *l = uris; l != NULL; l = l->next)
    {
      g_autofree char *uri = g_uri_to_string (l->data);

      g_print ("%s\n", uri);
    }
  g_slist_free_full (uris, (GDestroyNotify) g_uri_unref);

  g_main_loop_run (loop);
  return EXIT_SUCCESS;
}
