/* process-exited.c: tests of the GObject signal and the sources that report the end of a worker
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <sys/wait.h>

static void
on_exited (GForkProcess *process,
           int           wait_status,
           gpointer      user_data)
{
  GArray *statuses = user_data;

  g_assert_cmpint (wait_status, ==, g_fork_process_get_wait_status (process));
  g_array_append_val (statuses, wait_status);
}

/* The signal is emitted once, with the status, from the main loop. */
static void
test_exited_signal (gconstpointer kind)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_start (kind, &process);
  g_autoptr (GArray) statuses = g_array_new (FALSE, FALSE, sizeof (int));

  g_signal_connect (process, "exited", G_CALLBACK (on_exited), statuses);
  test_send (socket, "exit 31\n");
  while (statuses->len == 0)
    g_main_context_iteration (NULL, TRUE);
  test_wait_for (process);
  test_default_pid ();
  while (g_main_context_iteration (NULL, FALSE))
    ;

  g_assert_cmpuint (statuses->len, ==, 1);
  g_assert_cmpint (WEXITSTATUS (g_array_index (statuses, int, 0)), ==, 31);
}

/* A handler that learns of an end may wait for another end that is known already, or until
 * another listener learns of the same one. */
typedef struct
{
  GForkProcess *processes[2];
  guint n_exited;
  guint n_waited;
} Pair;

static void
on_pair_waited (GObject      *object,
                GAsyncResult *result,
                gpointer      user_data)
{
  Pair *pair = user_data;
  g_autoptr (GError) error = NULL;

  g_assert_true (g_fork_process_wait_finish (G_FORK_PROCESS (object), result, &error));
  g_assert_no_error (error);
  pair->n_waited++;
}

static void
on_pair_exited (GForkProcess *process,
                int           wait_status,
                gpointer      user_data)
{
  Pair *pair = user_data;

  test_wait_for (pair->processes[process == pair->processes[0]]);
  pair->n_exited++;
  while (pair->n_waited < 2)
    g_main_context_iteration (NULL, TRUE);
}

/* Starts two processes of one template, which have both ended, although nobody has been
 * told yet. */
static void
start_and_end_pair (GForkTemplate      *template,
                    Pair               *pair,
                    GCallback           exited,
                    GAsyncReadyCallback waited)
{
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GSocket) socket = NULL;
  GPid pids[2];

  for (int i = 0; i < 2; i++)
    {
      g_autoptr (GForkTemplate) worker = g_fork_template_fork (template);
      g_autoptr (GSocket) line = test_run (worker, "answer", &pair->processes[i]);

      g_signal_connect (pair->processes[i], "exited", exited, pair);
      if (waited != NULL)
        g_fork_process_wait_async (pair->processes[i], NULL, waited, pair);
      pids[i] = g_fork_process_get_pid (pair->processes[i]);
      test_send (line, "exit 0\n");
      test_assert_eof (line);
    }

  for (int i = 0; i < 2; i++)
    test_wait_until_reaped (pids[i]);
  /* Now it has said so. */
  child = g_fork_template_fork (template);
  socket = test_run (child, "answer", NULL);
}

static void
test_exited_together (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  Pair pair = { { NULL } };

  start_and_end_pair (template, &pair, G_CALLBACK (on_pair_exited), on_pair_waited);
  while (pair.n_exited < 2)
    g_main_context_iteration (NULL, TRUE);

  g_assert_cmpuint (pair.n_waited, ==, 2);
  for (int i = 0; i < 2; i++)
    g_object_unref (pair.processes[i]);
}

static void
on_pair_exited_drop (GForkProcess *process,
                     int           wait_status,
                     gpointer      user_data)
{
  Pair *pair = user_data;

  pair->n_exited++;
  for (int i = 0; i < 2; i++)
    g_clear_object (&pair->processes[i]);
}

/* Who has dropped a process is not told of it any more, even if its end is known. */
static void
test_exited_dropped (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  Pair pair = { { NULL } };

  start_and_end_pair (template, &pair, G_CALLBACK (on_pair_exited_drop), NULL);
  while (pair.n_exited == 0)
    g_main_context_iteration (NULL, TRUE);
  test_default_pid ();
  while (g_main_context_iteration (NULL, FALSE))
    ;

  g_assert_cmpuint (pair.n_exited, ==, 1);
}

typedef struct
{
  guint n_calls;
  int wait_status;
  GThread *thread;
} Told;

static gboolean
on_source (GForkProcess *process,
           int           wait_status,
           gpointer      user_data)
{
  Told *told = user_data;

  g_assert_true (G_FORK_IS_PROCESS (process));
  told->n_calls++;
  told->wait_status = wait_status;
  told->thread = g_thread_self ();

  return G_SOURCE_CONTINUE;
}

static GSource *
add_source (GForkProcess *process,
            GMainContext *context,
            Told         *told)
{
  GSource *source = g_fork_process_create_source (process);

  g_source_set_callback (source, G_SOURCE_FUNC (on_source), told, NULL);
  g_source_attach (source, context);

  return source;
}

/* A source calls back in its context, once, whatever the callback returns. */
static void
test_source (gconstpointer kind)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_start (kind, &process);
  g_autoptr (GMainContext) context = g_main_context_new ();
  Told told = { 0 };
  g_autoptr (GSource) source = add_source (process, context, &told);

  while (g_main_context_iteration (context, FALSE))
    ;
  g_assert_cmpuint (told.n_calls, ==, 0);

  test_send (socket, "exit 32\n");
  while (told.n_calls == 0)
    g_main_context_iteration (context, TRUE);
  while (g_main_context_iteration (context, FALSE))
    ;

  g_assert_cmpuint (told.n_calls, ==, 1);
  g_assert_cmpint (WEXITSTATUS (told.wait_status), ==, 32);
  g_assert_true (g_source_is_destroyed (source));
}

/* A source for a process that has ended calls back, too. */
static void
test_source_late (gconstpointer kind)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_start (kind, &process);
  Told told = { 0 };
  g_autoptr (GSource) source = NULL;

  test_send (socket, "exit 33\n");
  test_wait_for (process);
  source = add_source (process, NULL, &told);
  while (told.n_calls == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpint (WEXITSTATUS (told.wait_status), ==, 33);
}

/* A source keeps the process object, and a destroyed one does not call. */
static void
test_source_ownership (gconstpointer kind)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_start (kind, &process);
  Told told = { 0 };
  Told untold = { 0 };
  g_autoptr (GSource) source G_GNUC_UNUSED = add_source (process, NULL, &told);
  g_autoptr (GSource) destroyed = add_source (process, NULL, &untold);

  g_clear_object (&process);
  g_source_destroy (destroyed);
  test_send (socket, "exit 34\n");
  while (told.n_calls == 0)
    g_main_context_iteration (NULL, TRUE);
  while (g_main_context_iteration (NULL, FALSE))
    ;

  g_assert_cmpint (WEXITSTATUS (told.wait_status), ==, 34);
  g_assert_cmpuint (untold.n_calls, ==, 0);
}

static gpointer
run_source_in_thread (gpointer data)
{
  GForkProcess *process = data;
  g_autoptr (GMainContext) context = g_main_context_new ();
  Told told = { 0 };
  g_autoptr (GSource) source G_GNUC_UNUSED = add_source (process, context, &told);

  while (told.n_calls == 0)
    g_main_context_iteration (context, TRUE);
  g_assert_true (told.thread == g_thread_self ());

  return GINT_TO_POINTER (told.wait_status);
}

/* Sources of several threads are all told, each in its own. */
static void
test_source_threads (gconstpointer kind)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_start (kind, &process);
  GThread *threads[4];

  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("watcher", run_source_in_thread, process);
  test_assert_answer (socket, "memory", "nothing");
  test_send (socket, "exit 35\n");
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    g_assert_cmpint (WEXITSTATUS (GPOINTER_TO_INT (g_thread_join (threads[i]))), ==, 35);
}

/* What bindings have is a closure. */
static void
test_source_closure (gconstpointer kind)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_start (kind, &process);
  g_autoptr (GSource) source = g_fork_process_create_source (process);
  GClosure *closure;
  Told told = { 0 };

  closure = g_cclosure_new (G_CALLBACK (on_source), &told, NULL);
  g_closure_set_marshal (closure, g_cclosure_marshal_generic);
  g_source_set_closure (source, closure);
  g_source_attach (source, NULL);
  test_send (socket, "exit 33\n");
  while (told.n_calls == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpint (WEXITSTATUS (told.wait_status), ==, 33);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  test_add_kinds ("/process/exited", test_exited_signal);
  g_test_add_func ("/process/exited-together", test_exited_together);
  g_test_add_func ("/process/exited-dropped", test_exited_dropped);
  test_add_kinds ("/process/source/context", test_source);
  test_add_kinds ("/process/source/late", test_source_late);
  test_add_kinds ("/process/source/closure", test_source_closure);
  test_add_kinds ("/process/source/ownership", test_source_ownership);
  test_add_kinds ("/process/source/threads", test_source_threads);

  return g_test_run ();
}
