/* threads.c: tests of the library in several threads, and of main contexts
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define N_THREADS 8

/* Runs the function in several threads at once. */
static void
in_threads (GThreadFunc function,
            gpointer    data)
{
  GThread *threads[N_THREADS];

  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("tester", function, data);
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

/* Several threads at work */

static gpointer
make_and_run (gpointer data)
{
  for (int i = 0; i < 20; i++)
    {
      g_autoptr (GForkTemplate) template = test_template_new ();
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket = NULL;
      g_autofree char *number = g_strdup_printf ("%d", 1 + i);

      g_fork_template_send_arg (template, number);
      socket = test_run (template, "leave_with", &process);
      test_assert_exits (process, 1 + i);
    }

  return NULL;
}

/* Each thread makes, runs and waits for its own, off one default template, which
 * is started by the first of them. */
static void
test_make_and_run (void)
{
  if (!test_in_subprocess ())
    return;

  in_threads (make_and_run, NULL);
}

static gpointer
fork_and_run (gpointer data)
{
  GForkTemplate *template = data;

  for (int i = 0; i < 20; i++)
    {
      g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket = NULL;

      socket = test_run (child, "answer", &process);
      g_assert_cmpint (test_ask_number (socket, "pid"), ==, g_fork_process_get_pid (process));
      test_send (socket, "exit 3\n");
      test_assert_exits (process, 3);
    }

  return NULL;
}

/* All fork one template, and wait for its children. */
static void
test_fork_and_run (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);

  in_threads (fork_and_run, template);
}

static int n_senders;

static gpointer
send_many (gpointer data)
{
  GForkTemplate *template = data;
  int sender = g_atomic_int_add (&n_senders, 1);

  for (int i = 0; i < 500; i++)
    {
      g_autofree char *string = g_strdup_printf ("%d %d", sender, i);

      g_fork_template_send_arg (template, string);
      if (i % 50 == 0)
        {
          g_fork_template_send_fd (template, 2);
          g_fork_template_setenv (template, "GFORK_TEST_VARIABLE", string);
          test_prepare (template);
        }
    }

  return NULL;
}

/* All prepare one template; nothing gets lost or torn, and what one thread sends
 * keeps its order. */
static void
test_send_from_all (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GString) all = NULL;
  g_auto (GStrv) lines = NULL;
  int next[N_THREADS] = { 0 };
  int n_fds = 0;

  n_senders = 0;
  in_threads (send_many, template);
  socket = test_run (template, "dump_args", NULL);
  all = test_read_all (socket);
  lines = g_strsplit (all->str, "\n", -1);

  for (gsize i = 0; lines[i] != NULL && *lines[i] != '\0'; i++)
    {
      int length;
      int sender;
      int number;

      if (strcmp (lines[i], "fd") == 0)
        {
          n_fds++;
          continue;
        }

      g_assert_cmpint (sscanf (lines[i], "%d:%d %d", &length, &sender, &number), ==, 3);
      g_assert_cmpint (sender, <, N_THREADS);
      g_assert_cmpint (number, ==, next[sender]);
      next[sender]++;
    }

  g_assert_cmpint (n_fds, ==, N_THREADS * 10);
  for (gsize i = 0; i < N_THREADS; i++)
    g_assert_cmpint (next[i], ==, 500);
}

static gpointer
wait_for_process (gpointer data)
{
  GForkProcess *process = data;

  test_assert_exits (process, 4);

  return NULL;
}

static gpointer
tell_to_exit (gpointer data)
{
  test_send (data, "exit 4\n");

  return NULL;
}

/* All wait for one process, which another thread has started, and none of them
 * in vain, though one of them reads what concerns all. */
static void
test_wait_in_all (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_run (template, "answer", &process);
  GThread *thread;

  thread = g_thread_new ("teller", tell_to_exit, socket);
  in_threads (wait_for_process, process);
  g_thread_join (thread);
}

static gpointer
do_anything (gpointer data)
{
  GForkTemplate *template = data;
  g_autoptr (GForkTemplate) child G_GNUC_UNUSED = g_fork_template_fork (template);
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_setenv (template, "GFORK_TEST_VARIABLE", "value");
  g_fork_template_unsetenv (template, "GFORK_TEST_VARIABLE");
  g_fork_template_send_fd (template, 2);
  g_fork_template_get_pid (template);
  if (!g_fork_template_prepare (template, NULL, &error))
    test_assert_error (error, G_FORK_ERROR_CLOSED);
  g_clear_error (&error);

  /* Only one can be the first. */
  socket = g_fork_template_run (template, "answer", NULL, NULL, &error);
  if (socket == NULL)
    test_assert_error (error, G_FORK_ERROR_CLOSED);
  else
    test_assert_answer (socket, "memory", "nothing");

  return GINT_TO_POINTER (socket != NULL);
}

/* Of all who run one template, just one has its worker. */
static void
test_run_in_all (gconstpointer kind)
{
  for (int i = 0; i < 20; i++)
    {
      g_autoptr (GForkTemplate) template = test_make (kind);
      GThread *threads[N_THREADS];
      int n_run = 0;

      for (gsize j = 0; j < G_N_ELEMENTS (threads); j++)
        threads[j] = g_thread_new ("tester", do_anything, template);
      for (gsize j = 0; j < G_N_ELEMENTS (threads); j++)
        n_run += GPOINTER_TO_INT (g_thread_join (threads[j]));

      g_assert_cmpint (n_run, ==, 1);
    }
}

static gpointer
close_it (gpointer data)
{
  g_fork_template_close (data);

  return NULL;
}

/* Another thread may close what one is waiting for. */
static void
test_close_from_another (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) unblock = -1;
  GThread *thread;

  test_block (template, &unblock);
  thread = g_thread_new ("closer", close_it, template);
  g_assert_false (g_fork_template_prepare (template, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_CLOSED);
  g_thread_join (thread);
}

static gpointer
cancel_it (gpointer data)
{
  g_cancellable_cancel (data);

  return NULL;
}

/* Another thread may cancel what one is waiting for. */
static void
test_cancel_from_another (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) unblock = -1;
  GThread *thread;

  test_block (template, &unblock);
  thread = g_thread_new ("canceller", cancel_it, cancellable);
  socket = g_fork_template_run (template, "answer", NULL, cancellable, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_null (socket);
  g_thread_join (thread);
}

static gpointer
give_up_in_all_ways (gpointer data)
{
  g_autoptr (GMainContext) context = g_main_context_new ();

  g_main_context_push_thread_default (context);
  for (int i = 0; i < 40; i++)
    {
      g_autoptr (GForkTemplate) child = g_fork_template_fork (data);
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      g_autoptr (GAsyncResult) result = NULL;
      g_autoptr (GSocket) socket = NULL;
      g_autoptr (GError) error = NULL;

      /* Dropped as it is, or */
      if (i % 4 == 0)
        continue;

      g_fork_template_run_async (child, "echo", cancellable, test_store_result, &result);
      if (i % 4 == 1)
        g_cancellable_cancel (cancellable);
      else if (i % 4 == 2)
        g_fork_template_close (child);
      test_await (&result);
      socket = g_fork_template_run_finish (child, result, NULL, &error);

      /* The answer may have been faster than the cancelling. */
      if (i % 4 == 1 && socket == NULL)
        g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      else if (i % 4 == 2)
        test_assert_error (error, G_FORK_ERROR_CLOSED);
      else
        g_assert_no_error (error);
    }
  g_main_context_pop_thread_default (context);

  return NULL;
}

/* All fork one template, and drop, cancel or close the forks. It remains what it was. */
static void
test_give_up_in_all (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;

  in_threads (give_up_in_all_ways, template);
  socket = test_run (template, "answer", &process);
  test_assert_answer (socket, "memory", "nothing");
}

/* Contexts */

typedef struct
{
  GAsyncResult *result;
  GThread *thread;
  GMainContext *context;
} Delivery;

static void
note_delivery (GObject      *object,
               GAsyncResult *result,
               gpointer      user_data)
{
  Delivery *delivery = user_data;

  g_assert_null (delivery->result);
  delivery->result = g_object_ref (result);
  delivery->thread = g_thread_self ();
  delivery->context = g_main_context_get_thread_default ();
}

static void
await_delivery (Delivery     *delivery,
                GMainContext *context)
{
  while (delivery->result == NULL)
    g_main_context_iteration (context, TRUE);

  g_assert_true (delivery->thread == g_thread_self ());
  g_assert_true (delivery->context == context);
  g_clear_object (&delivery->result);
}

static gpointer
do_all_in_own_context (gpointer data)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) detached = NULL;
  g_autoptr (GForkTemplate) executed = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  Delivery delivery = { NULL };

  g_main_context_push_thread_default (context);

  template = test_make (data);
  detached = g_fork_template_fork (template);
  executed = g_fork_template_fork (template);

  g_fork_template_prepare_async (template, NULL, note_delivery, &delivery);
  await_delivery (&delivery, context);
  g_fork_template_detach_async (detached, NULL, note_delivery, &delivery);
  await_delivery (&delivery, context);
  g_fork_template_execv_async (executed, (const char *[]){ "/bin/true", NULL }, 0, NULL, note_delivery, &delivery);
  await_delivery (&delivery, context);

  g_fork_template_run_async (template, "answer", NULL, note_delivery, &delivery);
  while (delivery.result == NULL)
    g_main_context_iteration (context, TRUE);
  socket = g_fork_template_run_finish (template, delivery.result, &process, &error);
  g_assert_no_error (error);
  await_delivery (&delivery, context);

  g_fork_process_wait_async (process, NULL, note_delivery, &delivery);
  test_send (socket, "exit 1\n");
  await_delivery (&delivery, context);
  g_fork_process_wait_check_async (process, NULL, note_delivery, &delivery);
  await_delivery (&delivery, context);

  g_main_context_pop_thread_default (context);

  return NULL;
}

/* Every result arrives in the thread-default context of its call, while nobody
 * runs the global one. */
static void
test_own_context (gconstpointer kind)
{
  g_thread_join (g_thread_new ("tester", do_all_in_own_context, (gpointer) kind));
  in_threads (do_all_in_own_context, (gpointer) kind);
}

typedef struct
{
  const TestKind *kind;
  GThread *main_thread;
  int n_pending;
} Arrivals;

static void
on_arrival (GObject      *object,
            GAsyncResult *result,
            gpointer      user_data)
{
  Arrivals *arrivals = user_data;
  g_autoptr (GError) error = NULL;

  g_assert_true (g_thread_self () == arrivals->main_thread);
  if (g_fork_process_wait_finish (G_FORK_PROCESS (object), result, &error))
    g_assert_cmpint (g_fork_process_get_exit_status (G_FORK_PROCESS (object)), ==, 6);
  else
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_atomic_int_add (&arrivals->n_pending, -1);
}

static gpointer
wait_without_context (gpointer data)
{
  Arrivals *arrivals = data;
  g_autoptr (GForkTemplate) template = test_make (arrivals->kind);

  for (int i = 0; i < 20; i++)
    {
      g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket = test_run (child, "answer", &process);
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();

      test_send (socket, "exit 6\n");
      g_atomic_int_inc (&arrivals->n_pending);
      g_fork_process_wait_async (process, cancellable, on_arrival, arrivals);
      if (i % 2 == 0)
        g_cancellable_cancel (cancellable);
    }

  g_atomic_int_add (&arrivals->n_pending, -1);
  g_main_context_wakeup (NULL);
  return NULL;
}

/* What is begun in threads that have no context arrives in the main thread, each once,
 * though that may be at it before the call returns. */
static void
test_default_context (gconstpointer kind)
{
  Arrivals arrivals = { kind, g_thread_self (), N_THREADS };
  GThread *threads[N_THREADS];

  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("tester", wait_without_context, &arrivals);
  while (g_atomic_int_get (&arrivals.n_pending) > 0)
    g_main_context_iteration (NULL, TRUE);
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

/* So it is in the main thread with a context pushed, when the template is at home
 * in another. */
static void
test_pushed_context (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GAsyncResult) global_result = NULL;
  Delivery delivery = { NULL };
  g_auto (TestFd) unblock = -1;

  test_block (template, &unblock);
  g_fork_template_prepare_async (template, NULL, test_store_result, &global_result);

  g_main_context_push_thread_default (context);
  g_fork_template_prepare_async (template, NULL, note_delivery, &delivery);
  test_close_fd (&unblock);
  while (delivery.result == NULL)
    g_main_context_iteration (context, TRUE);
  await_delivery (&delivery, context);
  g_main_context_pop_thread_default (context);

  /* The global one was not run, so nothing was delivered there. */
  g_assert_null (global_result);
  test_await (&global_result);
}

/* A synchronous call runs nothing of what waits in the caller's context. */
static gboolean
must_not_run (gpointer data)
{
  g_assert_not_reached ();
}

static void
test_sync_runs_nothing_else (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  guint id = g_idle_add_full (G_PRIORITY_HIGH, must_not_run, NULL, NULL);

  test_prepare (template);
  socket = test_run (template, "answer", &process);
  test_send (socket, "exit 0\n");
  g_assert_true (g_fork_process_wait (process, NULL, &error));
  g_assert_no_error (error);
  g_source_remove (id);
}

static gpointer
start_and_leave (gpointer data)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  GForkTemplate *template = data;

  g_main_context_push_thread_default (context);
  g_fork_template_require (template, "test-worker");
  g_fork_template_prepare_async (template, NULL, NULL, NULL);
  g_main_context_pop_thread_default (context);

  return NULL;
}

/* A thread that has used a template, and its context, may go: the others go on. */
static void
test_context_goes_away (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = ((const TestKind *) kind)->make ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;

  g_thread_join (g_thread_new ("visitor", start_and_leave, template));
  socket = test_run (template, "answer", &process);
  test_assert_answer (socket, "memory", "nothing");
  test_send (socket, "exit 5\n");
  test_assert_exits (process, 5);
}

/* While one thread sits in a context that it does not run, another can wait for
 * the same process. */
static void
test_idle_context_stops_nobody (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_run (template, "answer", &process);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  /* Here nobody runs the loop until the thread is through. */
  g_fork_process_wait_async (process, NULL, test_store_result, &result);
  test_send (socket, "exit 4\n");
  g_thread_join (g_thread_new ("waiter", wait_for_process, process));

  g_assert_null (result);
  test_await (&result);
  g_assert_true (g_fork_process_wait_finish (process, result, &error));
  g_assert_no_error (error);
}

static gpointer
get_pid (gpointer data)
{
  test_prepare (data);
  g_fork_template_set_spare_processes (data, 1);
  return GINT_TO_POINTER (g_fork_template_get_pid (data));
}

/* What g_object_new() has made gets one process, also if several threads use it first. */
static void
test_first_use (void)
{
  for (int i = 0; i < (test_under_valgrind () ? 2 : 30); i++)
    {
      g_autoptr (GForkTemplate) template = g_object_new (G_FORK_TYPE_TEMPLATE, NULL);
      GThread *threads[4];

      for (gsize j = 0; j < G_N_ELEMENTS (threads); j++)
        threads[j] = g_thread_new ("user", get_pid, template);
      for (gsize j = 0; j < G_N_ELEMENTS (threads); j++)
        g_assert_cmpint (GPOINTER_TO_INT (g_thread_join (threads[j])), ==,
                         g_fork_template_get_pid (template));
    }
}

/* No thread of the library's own */

/* After everything was used, synchronously and through the main loop, there are
 * the threads that there were: this one, and that which GLib starts for GTask. */
static void
test_no_thread (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) executed = NULL;
  g_autoptr (GForkTemplate) detached = NULL;
  g_autoptr (GForkTemplate) adopted = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GForkProcess) executed_process = NULL;
  g_autoptr (GAsyncResult) prepare_result = NULL;
  g_autoptr (GAsyncResult) run_result = NULL;
  g_autoptr (GAsyncResult) wait_result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) executed_socket = NULL;
  g_autoptr (GSocket) control = NULL;
  g_autoptr (GError) error = NULL;
  guint n_threads;

  if (!test_in_subprocess ())
    return;

  g_assert_cmpuint (test_count_threads (), ==, 1);
  g_type_ensure (G_TYPE_TASK);
  n_threads = test_count_threads ();

  template = test_make (kind);
  executed = g_fork_template_fork (template);
  detached = g_fork_template_fork (template);
  g_fork_template_prepare_async (template, NULL, test_store_result, &prepare_result);
  test_await (&prepare_result);
  g_fork_template_run_async (template, "answer", NULL, test_store_result, &run_result);
  test_await (&run_result);
  socket = g_fork_template_run_finish (template, run_result, &process, &error);
  g_assert_no_error (error);

  executed_socket = g_fork_template_execv (executed, (const char *[]){ "/bin/true", NULL }, 0,
                                           &executed_process, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_fork_process_wait_check (executed_process, NULL, &error));
  g_assert_no_error (error);

  control = g_fork_template_detach (detached, NULL, &error);
  g_assert_no_error (error);
  adopted = g_fork_template_new_from_socket (control);
  test_prepare (adopted);

  g_fork_process_wait_async (process, NULL, test_store_result, &wait_result);
  g_assert_true (g_fork_process_send_signal (process, SIGTERM, &error));
  g_assert_no_error (error);
  test_await (&wait_result);

  g_assert_cmpuint (test_count_threads (), ==, n_threads);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/threads/make-and-run", test_make_and_run);
  g_test_add_func ("/threads/first-use", test_first_use);
  test_add_kinds ("/threads/fork-and-run", test_fork_and_run);
  test_add_kinds ("/threads/send-from-all", test_send_from_all);
  test_add_kinds ("/threads/wait-in-all", test_wait_in_all);
  test_add_kinds ("/threads/run-in-all", test_run_in_all);
  test_add_kinds ("/threads/give-up-in-all", test_give_up_in_all);
  g_test_add_func ("/threads/close-from-another", test_close_from_another);
  g_test_add_func ("/threads/cancel-from-another", test_cancel_from_another);

  test_add_kinds ("/threads/context/own", test_own_context);
  test_add_kinds ("/threads/context/default", test_default_context);
  test_add_kinds ("/threads/context/pushed", test_pushed_context);
  test_add_kinds ("/threads/context/sync", test_sync_runs_nothing_else);
  test_add_kinds ("/threads/context/goes-away", test_context_goes_away);
  test_add_kinds ("/threads/context/idle", test_idle_context_stops_nobody);

  test_add_kinds ("/threads/none-of-its-own", test_no_thread);

  return g_test_run ();
}
