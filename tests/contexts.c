/* contexts.c: tests of main contexts that are freed while something is to be done in them
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <signal.h>
#include <unistd.h>

#define N_THREADS 60

static gboolean
ignore_end (GForkProcess *process,
            int           wait_status,
            gpointer      data)
{
  return G_SOURCE_REMOVE;
}

/* Leaves a source of the process behind, which is never dispatched. */
static void
leave_source (GForkProcess *process,
              GMainContext *context)
{
  g_autoptr (GSource) source = g_fork_process_create_source (process);

  g_source_set_callback (source, G_SOURCE_FUNC (ignore_end), NULL, NULL);
  g_source_attach (source, context);
  while (g_main_context_iteration (context, FALSE))
    ;
}

/* A thread that has a context of its own launches a worker, and drops everything but the
 * socket, so that the worker lives. */
static gpointer
launch_in_thread (gpointer executed)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  g_main_context_push_thread_default (context);
  template = executed != NULL ? g_fork_template_new_exec () : g_fork_template_new ();
  g_fork_template_run_async (template, "test-worker:answer", NULL, test_store_result, &result);
  test_await (&result);
  socket = g_fork_template_run_finish (template, result, &process, &error);
  g_assert_no_error (error);
  leave_source (process, context);
  g_clear_object (&result);
  g_main_context_pop_thread_default (context);
  return g_steal_pointer (&socket);
}

/* Dropping a context drops all that the library has in it. What remains of each is the socket,
 * and of a child of this process the descriptor by which it is reaped. */
static void
test_dropped (gconstpointer executed)
{
  g_autoptr (GPtrArray) sockets = g_ptr_array_new_with_free_func (g_object_unref);
  guint before = 0, each = executed != NULL ? 2 : 1;

  test_default_pid ();
  for (guint i = 0; i <= N_THREADS; i++)
    {
      GThread *thread = g_thread_new ("launch", launch_in_thread, (gpointer) executed);

      g_ptr_array_add (sockets, g_thread_join (thread));
      if (i == 0)
        before = test_count_fds (getpid ());
    }

  g_assert_cmpuint (test_count_fds (getpid ()), <, before + N_THREADS * each + N_THREADS / 2);
}

/* An object of a process outlives the context in which its signal was to be emitted. */
static void
test_process_remains (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GError) error = NULL;
  GMainContext *context = g_main_context_new ();

  g_main_context_push_thread_default (context);
  g_object_unref (test_run (template, "answer", &process));
  g_main_context_pop_thread_default (context);
  g_main_context_unref (context);

  g_assert_true (g_fork_process_wait (process, NULL, &error));
  g_assert_no_error (error);
}

/* ——— Cancelling ——— */

static void
wait_for_result (GObject      *source,
                 GAsyncResult *result,
                 gpointer      error)
{
  g_fork_process_wait_finish (G_FORK_PROCESS (source), result, error);
}

static gboolean
on_too_late (gpointer data)
{
  g_error ("It does not come to an end");
  return G_SOURCE_REMOVE;
}

/* A wait that was cancelled comes back, although the cancellable is as good as new. */
static void
test_cancelled_and_reset (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GSocket) socket G_GNUC_UNUSED = test_run (template, "answer", &process);
  g_autoptr (GError) error = NULL;
  guint source = g_timeout_add_seconds (60, on_too_late, NULL);

  g_fork_process_wait_async (process, cancellable, wait_for_result, &error);
  g_cancellable_cancel (cancellable);
  g_cancellable_reset (cancellable);
  while (error == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_source_remove (source);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_data_func ("/contexts/dropped/forked", NULL, test_dropped);
  g_test_add_data_func ("/contexts/dropped/executed", GINT_TO_POINTER (TRUE), test_dropped);
  g_test_add_func ("/contexts/process-remains", test_process_remains);
  g_test_add_func ("/contexts/cancelled-and-reset", test_cancelled_and_reset);

  return g_test_run ();
}
