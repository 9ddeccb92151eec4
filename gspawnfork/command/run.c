/* run.c: gspawnfork run and gspawnfork exec: workers whose sockets are joined to this program's
 * streams
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "command/command.h"

#include <gio/gunixinputstream.h>
#include <gio/gunixoutputstream.h>
#include <glib-unix.h>
#include <glib/gi18n.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static char *runtime;
static char **modules;
static int count = 1;
static double deadline;

static const GOptionEntry run_entries[] = {
  { "runtime", 'r', 0, G_OPTION_ARG_STRING, &runtime,
    N_("Run a function of a module for this runtime: c (the default), python3 or gjs"),
    N_("RUNTIME") },
  { "require", 'm', 0, G_OPTION_ARG_FILENAME_ARRAY, &modules,
    N_("Load this module into the template first; may be given several times"), N_("MODULE") },
  { "count", 'n', 0, G_OPTION_ARG_INT, &count,
    N_("Run so many workers at the same time, with nothing on their standard input"), N_("N") },
  { "deadline", 't', 0, G_OPTION_ARG_DOUBLE, &deadline,
    N_("Kill it after so many seconds; with --setsid, with all that it has started"), N_("SECONDS") },
  G_OPTION_ENTRY_NULL
};

static const GOptionEntry exec_entries[] = {
  { "count", 'n', 0, G_OPTION_ARG_INT, &count,
    N_("Execute the program so many times at once, with nothing on its standard input"),
    N_("N") },
  { "deadline", 't', 0, G_OPTION_ARG_DOUBLE, &deadline,
    N_("Kill it after so many seconds; with --setsid, with all that it has started"), N_("SECONDS") },
  G_OPTION_ENTRY_NULL
};

/* A worker, until it has ended and all that it has written was passed on. */
typedef struct
{
  GForkProcess *process;
  GSocket *socket;
  GIOStream *stream;           /* of the socket */
  GCancellable *input_stopped; /* the worker has ended, so nothing reads it */
  guint under_way;             /* operations */
  guint deadline;              /* the source, or 0 */
  gboolean timed_out;
  int status;
} Worker;

static void
worker_free (Worker *worker)
{
  g_clear_handle_id (&worker->deadline, g_source_remove);
  g_clear_object (&worker->process);
  g_clear_object (&worker->stream);
  g_clear_object (&worker->socket);
  g_clear_object (&worker->input_stopped);
  g_free (worker);
}

static void
on_ended (GObject      *source,
          GAsyncResult *result,
          gpointer      user_data)
{
  GForkProcess *process = G_FORK_PROCESS (source);
  Worker *worker = user_data;
  GError *error = NULL;

  if (!g_fork_process_wait_finish (process, result, &error))
    worker->status = command_fail (error, EXIT_NOT_STARTED);
  else if (worker->timed_out)
    worker->status = EXIT_TIMED_OUT;
  else if (g_fork_process_get_if_signaled (process))
    worker->status = EXIT_SIGNALED + g_fork_process_get_term_sig (process);
  else
    worker->status = g_fork_process_get_exit_status (process);

  g_clear_handle_id (&worker->deadline, g_source_remove);
  g_cancellable_cancel (worker->input_stopped);
  worker->under_way--;
}

static gboolean
on_deadline (gpointer user_data)
{
  Worker *worker = user_data;

  worker->deadline = 0;
  worker->timed_out = TRUE;
  g_fork_process_force_exit (worker->process);
  return G_SOURCE_REMOVE;
}

static void
on_input_passed (GObject      *source,
                 GAsyncResult *result,
                 gpointer      user_data)
{
  Worker *worker = user_data;

  /* A worker may leave its input unread. */
  g_output_stream_splice_finish (G_OUTPUT_STREAM (source), result, NULL);
  g_socket_shutdown (worker->socket, FALSE, TRUE, NULL);
  worker->under_way--;
}

static void
on_output_passed (GObject      *source,
                  GAsyncResult *result,
                  gpointer      user_data)
{
  Worker *worker = user_data;
  GError *error = NULL;

  /* A worker that ends with its input unread resets the connection. */
  if (g_output_stream_splice_finish (G_OUTPUT_STREAM (source), result, &error) < 0
      && !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED))
    command_fail (g_steal_pointer (&error), 0);
  g_clear_error (&error);
  worker->under_way--;
}

/* Passes what the worker writes to the standard output; with @with_input, also the standard
 * input to the worker. */
static void
join_streams (Worker   *worker,
              gboolean  with_input)
{
  g_autoptr (GOutputStream) output = g_unix_output_stream_new (STDOUT_FILENO, FALSE);

  worker->stream = G_IO_STREAM (g_socket_connection_factory_create_connection (worker->socket));
  worker->input_stopped = g_cancellable_new ();

  worker->under_way++;
  g_output_stream_splice_async (output, g_io_stream_get_input_stream (worker->stream),
                                G_OUTPUT_STREAM_SPLICE_NONE, G_PRIORITY_DEFAULT, NULL,
                                on_output_passed, worker);

  if (with_input)
    {
      g_autoptr (GInputStream) input = g_unix_input_stream_new (STDIN_FILENO, FALSE);

      worker->under_way++;
      g_output_stream_splice_async (g_io_stream_get_output_stream (worker->stream), input,
                                    G_OUTPUT_STREAM_SPLICE_NONE, G_PRIORITY_DEFAULT,
                                    worker->input_stopped, on_input_passed, worker);
    }
  else
    g_socket_shutdown (worker->socket, FALSE, TRUE, NULL);

  worker->under_way++;
  g_fork_process_wait_async (worker->process, NULL, on_ended, worker);
  if (deadline > 0)
    worker->deadline = g_timeout_add (MIN (deadline * 1000, G_MAXUINT), on_deadline, worker);
}

/* ——— Signals ——— */

typedef struct
{
  GPtrArray *workers;
  GCancellable *starting; /* NULL when all have been started */
  gboolean seen;          /* a signal has come meanwhile */
  int pending;            /* the signal for those that have not been started yet, or 0 */
} Session;

static void
send_to (Worker *worker,
         int     signum)
{
  if (worker->process != NULL && command_has_own_session ())
    g_fork_process_send_signal_to_group (worker->process, signum, NULL);
  else if (worker->process != NULL)
    g_fork_process_send_signal (worker->process, signum, NULL);
}

/* While workers are being started, one may run already though this is not known here, and others
 * do not exist yet. So the signal is kept for them. A second signal gives up a start that hangs. */
static void
on_signal (Session *session,
           int      signum,
           gboolean is_for_workers)
{
  for (guint i = 0; is_for_workers && i < session->workers->len; i++)
    send_to (g_ptr_array_index (session->workers, i), signum);

  if (session->starting == NULL)
    return;
  if (session->seen)
    g_cancellable_cancel (session->starting);
  session->seen = TRUE;
  if (is_for_workers)
    session->pending = signum;
}

static gboolean
on_sigterm (gpointer session)
{
  on_signal (session, SIGTERM, TRUE);
  return G_SOURCE_CONTINUE;
}

/* A terminal sends SIGINT to the workers as well, unless they have left its session. They decide
 * whether they end. */
static gboolean
on_sigint (gpointer session)
{
  on_signal (session, SIGINT, command_has_own_session ());
  return G_SOURCE_CONTINUE;
}

/* ——— Starting ——— */

/* How a fork of the template becomes a worker. */
typedef struct
{
  void (*begin) (GForkTemplate       *template,
                 char               **arguments,
                 GCancellable        *cancellable,
                 GAsyncReadyCallback  callback,
                 gpointer             data);
  GSocket *(*finish) (GForkTemplate  *template,
                      GAsyncResult   *result,
                      GForkProcess  **process,
                      GError        **error);
  gboolean takes_input; /* through its socket */
} Start;

static void
on_started (GObject      *source,
            GAsyncResult *result,
            gpointer      data)
{
  *(GAsyncResult **) data = g_object_ref (result);
}

/* Starts a worker and waits for that, not by a blocking call, during which no signal would be
 * handled. */
static void
start_worker (Worker        *worker,
              GForkTemplate *template,
              const Start   *start,
              char         **arguments,
              GCancellable  *cancellable)
{
  g_autoptr (GAsyncResult) result = NULL;
  GError *error = NULL;

  start->begin (template, arguments, cancellable, on_started, &result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);

  worker->socket = start->finish (template, result, &worker->process, &error);
  if (worker->socket != NULL)
    join_streams (worker, start->takes_input && count == 1);
  else if (g_error_matches (error, G_FORK_ERROR, G_FORK_ERROR_EXEC))
    worker->status = command_fail (error, EXIT_NOT_EXECUTED);
  else
    worker->status = command_fail (error, EXIT_NOT_STARTED);
}

/* Waits for all of them. Returns the first exit status that is not 0. */
static int
wait_for_all (GPtrArray *workers)
{
  int status = 0;

  for (guint i = 0; i < workers->len; i++)
    {
      Worker *worker = g_ptr_array_index (workers, i);

      while (worker->under_way > 0)
        g_main_context_iteration (NULL, TRUE);
      if (status == 0)
        status = worker->status;
    }
  return status;
}

static int
start_all (GForkTemplate *template,
           const Start   *start,
           char         **arguments)
{
  g_autoptr (GPtrArray) workers = g_ptr_array_new_with_free_func ((GDestroyNotify) worker_free);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  Session session = { .workers = workers, .starting = cancellable };
  guint sigterm, sigint;
  int status;

  if (count < 1)
    {
      g_printerr (_("gspawnfork: %d is no number of workers\n"), count);
      return EXIT_USAGE;
    }
  if (deadline < 0)
    {
      g_printerr (_("gspawnfork: the deadline cannot be before the start\n"));
      return EXIT_USAGE;
    }

  /* Before the first worker: a signal that comes between its start and this would end only this
   * program. */
  sigterm = g_unix_signal_add (SIGTERM, on_sigterm, &session);
  sigint = g_unix_signal_add (SIGINT, on_sigint, &session);

  for (int i = 0; i < count; i++)
    {
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
      Worker *worker = g_new0 (Worker, 1);

      g_ptr_array_add (workers, worker);
      start_worker (worker, fork, start, arguments, cancellable);
      if (session.pending != 0)
        send_to (worker, session.pending);
    }
  session.starting = NULL;
  status = wait_for_all (workers);

  g_source_remove (sigterm);
  g_source_remove (sigint);
  return status;
}

static void
run_function (GForkTemplate       *template,
              char               **arguments,
              GCancellable        *cancellable,
              GAsyncReadyCallback  callback,
              gpointer             data)
{
  for (char **argument = arguments + 1; *argument != NULL; argument++)
    g_fork_template_send_arg (template, *argument);
  g_fork_template_run_async (template, arguments[0], cancellable, callback, data);
}

static const Start start_function = {
  .begin = run_function,
  .finish = g_fork_template_run_finish,
  .takes_input = TRUE,
};

static int
run (char **arguments)
{
  g_autoptr (GForkTemplate) template = command_new_template (runtime);
  g_autofree char *function_module = NULL;
  const char *colon = strrchr (arguments[0], ':');
  GError *error = NULL;

  if (!command_prepare (template, &error))
    return command_fail (error, EXIT_USAGE);

  /* All modules are loaded outside of the sandbox, and once for all workers. */
  for (char **module = modules; module != NULL && *module != NULL; module++)
    g_fork_template_require (template, *module);
  if (colon != NULL && colon != arguments[0])
    {
      function_module = g_strndup (arguments[0], colon - arguments[0]);
      g_fork_template_require (template, function_module);
    }
  command_confine (template);
  return start_all (template, &start_function, arguments);
}

/* The program gets the standard input itself, not a socket, as it may be a terminal. */
static void
execute_program (GForkTemplate       *template,
                 char               **arguments,
                 GCancellable        *cancellable,
                 GAsyncReadyCallback  callback,
                 gpointer             data)
{
  if (count == 1)
    g_fork_template_map_fd (template, STDIN_FILENO, STDIN_FILENO);
  g_fork_template_execv_async (template, (const char * const *) arguments,
                               G_FORK_EXEC_SEARCH_PATH, cancellable, callback, data);
}

static const Start start_program = {
  .begin = execute_program,
  .finish = g_fork_template_execv_finish,
};

static int
execute (char **arguments)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  GError *error = NULL;

  if (!command_prepare (template, &error))
    return command_fail (error, EXIT_USAGE);
  command_confine (template);
  return start_all (template, &start_program, arguments);
}

const Command run_command = {
  .name = "run",
  .arguments = N_("MODULE:FUNCTION [ARGUMENT…]"),
  .summary = N_("Run a function of a module in a worker"),
  .description = N_("The standard input and output are joined to the worker's communication socket. The "
                    "arguments are strings that are sent to it. The exit status is the worker's, 128 and "
                    "the signal's number if a signal has killed it, 124 if the deadline has passed, or 125 if "
                    "it could not be started; of several workers, the first that is not 0. SIGTERM is "
                    "passed on to the worker."),
  .entries = run_entries,
  .common_entries = command_prepare_entries,
  .strict = TRUE,
  .min_arguments = 1,
  .run = run,
};

const Command exec_command = {
  .name = "exec",
  .arguments = N_("PROGRAM [ARGUMENT…]"),
  .summary = N_("Execute a program in a fork of a template"),
  .description = N_("The program is looked up in PATH, and has the standard streams of this one. The exit "
                    "status is the program's, 128 and the signal's number if a signal has killed it, 124 if "
                    "the deadline has passed, or 126 if it could not be executed; of several, the first that "
                    "is not 0. SIGTERM is passed on to the program."),
  .entries = exec_entries,
  .common_entries = command_prepare_entries,
  .strict = TRUE,
  .min_arguments = 1,
  .run = execute,
};
