/* pool-jobs.c: tests of pools whose workers do jobs
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "jobs.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LARGE (1024 * 1024)

#define NOEXEC_SEAL 0x8 /* MFD_NOEXEC_SEAL */

/* ——— One job ——— */

static void
test_call (Fixture       *fixture,
           gconstpointer  data)
{
  start_fixture (fixture);
  assert_reply (call (fixture, "echo hello"), "hello");
  assert_reply (call (fixture, "nothing"), "");
  assert_reply (call (fixture, "print"), "");
}

static void
test_call_async (Fixture       *fixture,
                 gconstpointer  data)
{
  GAsyncResult *results[20] = { NULL };
  g_autoptr (GError) error = NULL;

  start_fixture (fixture);
  for (guint i = 0; i < G_N_ELEMENTS (results); i++)
    {
      g_autofree char *text = g_strdup_printf ("echo %u", i);

      call_async (fixture, text, NULL, &results[i]);
    }
  for (guint i = 0; i < G_N_ELEMENTS (results); i++)
    {
      g_autofree char *expected = g_strdup_printf ("%u", i);

      assert_reply (await (fixture, &results[i], &error), expected);
      g_assert_no_error (error);
    }
}

static void
test_large (Fixture       *fixture,
            gconstpointer  data)
{
  g_autoptr (GString) text = g_string_new ("sum ");
  g_autofree char *sum = NULL;
  g_autofree char *expected = NULL;
  g_autofree char *reply = NULL;

  start_fixture (fixture);
  for (guint size = 64 * 1024 - 10; size <= 64 * 1024 + 10; size += 10)
    {
      g_string_truncate (text, 4);
      while (text->len < size)
        g_string_append_c (text, 'a');
      g_free (expected);
      expected = g_strdup_printf ("%u %u", size, (size - 4) * 'a');
      assert_reply (call (fixture, text->str), expected);
    }

  while (text->len < LARGE)
    g_string_append (text, "0123456789abcdef");
  sum = call (fixture, text->str);
  g_assert_true (g_str_has_prefix (sum, "1048"));

  reply = call (fixture, "large 1048576");
  g_assert_cmpuint (strlen (reply), ==, LARGE);
  g_assert_cmpuint (strspn (reply, "x"), ==, LARGE);
}

/* A sandbox that allows to execute programs wants memory that can be none. */
static void
test_large_confined (Fixture       *fixture,
                     gconstpointer  data)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autofree char *reply = NULL;
  g_auto (TestFd) fd = memfd_create ("test", MFD_CLOEXEC | NOEXEC_SEAL);

  if (fd < 0 || !test_has_sealed_memory ())
    {
      g_test_skip ("There is no memory that cannot be executed.");
      return;
    }
  if (test_under_valgrind ())
    {
      g_test_skip ("valgrind cannot work in a sandbox");
      return;
    }

  g_fork_sandbox_set_required (sandbox, FALSE);
  g_fork_sandbox_allow_execute (sandbox, "/usr");
  g_fork_template_require (template, "test-jobs");
  g_fork_template_confine (template, sandbox);
  g_set_object (&fixture->template, template);
  g_clear_object (&fixture->pool);
  fixture->pool = g_fork_pool_new (template, "jobs");
  start_fixture (fixture);
  reply = call (fixture, "large 1048576");
  g_assert_cmpuint (strlen (reply), ==, LARGE);
  g_assert_cmpuint (strspn (reply, "x"), ==, LARGE);
}

/* ——— Failures ——— */

static void
test_job_fails (Fixture       *fixture,
                gconstpointer  data)
{
  g_autoptr (GError) with_message = NULL;
  g_autoptr (GError) without = NULL;
  g_autofree char *before = NULL;

  start_fixture (fixture);
  before = call (fixture, "pid");

  with_message = call_in_vain (fixture, "fail the disk is full");
  g_assert_error (with_message, G_FORK_ERROR, G_FORK_ERROR_JOB);
  g_assert_cmpstr (with_message->message, ==, "the disk is full");
  without = call_in_vain (fixture, "fail");
  test_assert_error (without, G_FORK_ERROR_JOB, "failed");

  assert_reply (call (fixture, "pid"), before);
}

static void
test_retry (Fixture       *fixture,
            gconstpointer  data)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GForkWorker) worker = NULL;

  g_fork_pool_set_retry_lost (fixture->pool, 1);
  g_fork_pool_set_restart_delay (fixture->pool, 0);
  start_fixture (fixture);

  call_async (fixture, "block", NULL, &result);
  wait_until_busy (fixture);
  worker = get_worker (fixture, 0);
  g_fork_process_force_exit (g_fork_worker_get_process (worker));
  /* Another worker has it. */
  wait_until_busy (fixture);
  g_assert_null (result);
  unblock (fixture);
  assert_reply (await (fixture, &result, &error), "unblocked");

  /* Once, not twice. */
  error = call_in_vain (fixture, "raise 9");
  g_assert_error (error, G_FORK_ERROR, G_FORK_ERROR_LOST);
}

/* A worker that ends in the middle of a job, writes what is not a reply, or closes its socket,
 * which is killed. The next job has another worker. */
static void
test_failed_workers (Fixture       *fixture,
                     gconstpointer  data)
{
  static const struct
  {
    const char *job;
    GForkError code;
    const char *reason;
  } cases[] = {
    { "raise 9", G_FORK_ERROR_LOST, "signal 9" },
    { "exit 3", G_FORK_ERROR_LOST, "status 3" },
    { "rubbish", G_FORK_ERROR_PROTOCOL, "" },
    { "close", G_FORK_ERROR_LOST, "signal 9" },
  };

  g_fork_pool_set_restart_delay (fixture->pool, 0);
  start_fixture (fixture);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = call_in_vain (fixture, cases[i].job);

      test_assert_error (error, cases[i].code, "test-jobs:jobs", cases[i].reason);
    }
  assert_reply (call (fixture, "echo again"), "again");
}

static void
test_not_running (Fixture       *fixture,
                  gconstpointer  data)
{
  g_autoptr (GError) before = NULL;
  g_autoptr (GError) after = NULL;
  g_autoptr (GError) error = NULL;

  before = call_in_vain (fixture, "pid");
  g_assert_error (before, G_FORK_ERROR, G_FORK_ERROR_CLOSED);
  start_fixture (fixture);
  g_assert_true (g_fork_pool_stop (fixture->pool, NULL, &error));
  g_assert_no_error (error);
  after = call_in_vain (fixture, "pid");
  g_assert_error (after, G_FORK_ERROR, G_FORK_ERROR_CLOSED);
}

/* ——— Cancelling ——— */

static void
test_cancel_before (Fixture       *fixture,
                    gconstpointer  data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GBytes) request = bytes ("raise 9");
  g_autoptr (GError) error = NULL;

  start_fixture (fixture);
  g_cancellable_cancel (cancellable);
  g_assert_null (g_fork_pool_call (fixture->pool, request, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

static void
test_cancel_waiting (Fixture       *fixture,
                     gconstpointer  data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) first = NULL;
  g_autoptr (GAsyncResult) second = NULL;
  g_autoptr (GError) error = NULL;

  start_fixture (fixture);
  call_async (fixture, "block", NULL, &first);
  wait_until_busy (fixture);
  call_async (fixture, "pid", cancellable, &second);
  g_assert_cmpuint (g_fork_pool_get_n_waiting (fixture->pool), ==, 1);

  g_cancellable_cancel (cancellable);
  g_assert_cmpuint (g_fork_pool_get_n_waiting (fixture->pool), ==, 0);
  g_assert_null (await (fixture, &second, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);

  unblock (fixture);
  assert_reply (await (fixture, &first, &error), "unblocked");
}

static void
test_cancel_running (Fixture       *fixture,
                     gconstpointer  data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GForkWorker) worker = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  /* It does not count as an early end. */
  g_fork_pool_set_max_restarts (fixture->pool, 0);
  start_fixture (fixture);
  worker = get_worker (fixture, 0);
  call_async (fixture, "block", cancellable, &result);
  wait_until_busy (fixture);

  g_cancellable_cancel (cancellable);
  g_assert_null (await (fixture, &result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);

  g_assert_true (g_fork_process_wait (g_fork_worker_get_process (worker), NULL, &error));
  g_assert_cmpint (g_fork_process_get_term_sig (g_fork_worker_get_process (worker)), ==, SIGKILL);
  assert_reply (call (fixture, "echo again"), "again");
}

/* Those that were sent behind the one that is cancelled are done by another worker. */
static void
test_cancel_neighbours (Fixture       *fixture,
                        gconstpointer  data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  GAsyncResult *results[4] = { NULL };
  g_autoptr (GError) error = NULL;

  g_fork_pool_set_jobs_in_flight (fixture->pool, G_N_ELEMENTS (results));
  start_fixture (fixture);
  call_async (fixture, "block", cancellable, &results[0]);
  for (guint i = 1; i < G_N_ELEMENTS (results); i++)
    call_async (fixture, "echo done", NULL, &results[i]);
  wait_until_busy (fixture);
  g_assert_cmpuint (g_fork_pool_get_n_waiting (fixture->pool), ==, 0);

  g_cancellable_cancel (cancellable);
  for (guint i = 1; i < G_N_ELEMENTS (results); i++)
    {
      assert_reply (await (fixture, &results[i], &error), "done");
      g_assert_no_error (error);
    }
  g_assert_null (await (fixture, &results[0], &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/* ——— Which worker ——— */

static void
test_max_jobs (Fixture       *fixture,
               gconstpointer  data)
{
  char *pids[5];

  g_fork_pool_set_max_jobs (fixture->pool, 2);
  /* They do not count as early ends. */
  g_fork_pool_set_max_restarts (fixture->pool, 0);
  start_fixture (fixture);
  for (guint i = 0; i < G_N_ELEMENTS (pids); i++)
    pids[i] = call (fixture, "pid");

  g_assert_cmpstr (pids[0], ==, pids[1]);
  g_assert_cmpstr (pids[1], !=, pids[2]);
  g_assert_cmpstr (pids[2], ==, pids[3]);
  g_assert_cmpstr (pids[3], !=, pids[4]);
  for (guint i = 0; i < G_N_ELEMENTS (pids); i++)
    g_free (pids[i]);
}

static void
test_last_used_first (Fixture       *fixture,
                      gconstpointer  data)
{
  g_autoptr (GAsyncResult) blocked = NULL;
  g_autofree char *pid = NULL;
  g_autofree char *other = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_pool_set_min_workers (fixture->pool, 3);
  start_fixture (fixture);
  pid = call (fixture, "pid");
  for (guint i = 0; i < 5; i++)
    assert_reply (call (fixture, "pid"), pid);

  call_async (fixture, "block", NULL, &blocked);
  wait_until_busy (fixture);
  other = call (fixture, "pid");
  g_assert_cmpstr (pid, !=, other);
  unblock (fixture);
  assert_reply (await (fixture, &blocked, &error), "unblocked");
  assert_reply (call (fixture, "pid"), pid);
}

/* New workers are started for what waits, up to the limit, and end when they are idle. */
static void
test_on_demand (Fixture       *fixture,
                gconstpointer  data)
{
  GAsyncResult *results[3] = { NULL };
  g_autoptr (GAsyncResult) fourth = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_pool_set_min_workers (fixture->pool, 0);
  g_fork_pool_set_max_workers (fixture->pool, 3);
  start_fixture (fixture);
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (fixture->pool)), ==, 0);

  for (guint i = 0; i < G_N_ELEMENTS (results); i++)
    call_async (fixture, "block", NULL, &results[i]);
  for (guint i = 0; i < G_N_ELEMENTS (results); i++)
    wait_until_busy (fixture);
  call_async (fixture, "pid", NULL, &fourth);
  g_assert_cmpuint (g_fork_pool_get_n_waiting (fixture->pool), ==, 1);
  while (g_list_model_get_n_items (G_LIST_MODEL (fixture->pool)) < 3)
    g_main_context_iteration (NULL, TRUE);

  for (guint i = 0; i < G_N_ELEMENTS (results); i++)
    unblock (fixture);
  for (guint i = 0; i < G_N_ELEMENTS (results); i++)
    assert_reply (await (fixture, &results[i], &error), "unblocked");
  g_free (await (fixture, &fourth, &error));
  g_assert_no_error (error);

  g_fork_pool_set_idle_timeout (fixture->pool, 1);
  while (g_list_model_get_n_items (G_LIST_MODEL (fixture->pool)) > 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpint (g_fork_pool_get_state (fixture->pool), ==, G_FORK_POOL_STATE_RUNNING);
}

static void
note_order (GObject      *source,
            GAsyncResult *result,
            gpointer      order)
{
  g_autoptr (GBytes) reply = g_fork_pool_call_finish (G_FORK_POOL (source), result, NULL);

  g_assert_nonnull (reply);
  g_string_append_len (order, g_bytes_get_data (reply, NULL), g_bytes_get_size (reply));
}

static void
test_fair_order (Fixture       *fixture,
                 gconstpointer  data)
{
  g_autoptr (GString) order = g_string_new (NULL);

  start_fixture (fixture);
  for (char c = 'a'; c <= 'j'; c++)
    {
      g_autofree char *text = g_strdup_printf ("echo %c", c);
      g_autoptr (GBytes) request = bytes (text);

      g_fork_pool_call_async (fixture->pool, request, NULL, note_order, order);
    }
  while (order->len < 10)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpstr (order->str, ==, "abcdefghij");
}

/* ——— Threads ——— */

static gpointer
call_many (gpointer data)
{
  Fixture *fixture = data;

  for (guint i = 0; i < 200; i++)
    {
      g_autofree char *number = g_strdup_printf ("%p %u", (gpointer) g_thread_self (), i);
      g_autofree char *text = g_strconcat ("echo ", number, NULL);

      assert_reply (call (fixture, text), number);
    }
  return NULL;
}

/* No main loop runs anywhere, and a worker is needed, too. */
static void
test_threads (Fixture       *fixture,
              gconstpointer  data)
{
  GThread *threads[4];

  g_fork_pool_set_max_workers (fixture->pool, 2);
  start_fixture (fixture);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("caller", call_many, fixture);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

static gpointer
call_in_own_context (gpointer data)
{
  Fixture *fixture = data;
  g_autoptr (GMainContext) context = g_main_context_new ();

  g_main_context_push_thread_default (context);
  for (guint i = 0; i < 100; i++)
    {
      g_autoptr (GAsyncResult) result = NULL;
      g_autoptr (GError) error = NULL;

      call_async (fixture, "echo x", NULL, &result);
      assert_reply (await (fixture, &result, &error), "x");
    }
  g_main_context_pop_thread_default (context);
  return NULL;
}

static void
test_contexts (Fixture       *fixture,
               gconstpointer  data)
{
  GThread *threads[4];

  g_fork_pool_set_max_workers (fixture->pool, 2);
  start_fixture (fixture);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("caller", i % 2 == 0 ? call_in_own_context : call_many, fixture);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

static gpointer
call_blocking_job (gpointer data)
{
  return call (data, "block");
}

static gpointer
cancel_soon (gpointer cancellable)
{
  g_cancellable_cancel (cancellable);
  return NULL;
}

/* One blocked thread waits for events on behalf of both. */
static void
test_cancel_blocked (Fixture       *fixture,
                     gconstpointer  data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GBytes) request = bytes ("pid");
  g_autoptr (GError) error = NULL;
  GThread *caller, *canceller;

  start_fixture (fixture);
  caller = g_thread_new ("caller", call_blocking_job, fixture);
  wait_until_busy (fixture);
  canceller = g_thread_new ("canceller", cancel_soon, cancellable);
  g_assert_null (g_fork_pool_call (fixture->pool, request, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_thread_join (canceller);

  unblock (fixture);
  assert_reply (g_thread_join (caller), "unblocked");
}

static void
test_flat_descriptors (Fixture       *fixture,
                       gconstpointer  data)
{
  guint before;

  g_fork_pool_set_restart_delay (fixture->pool, 0);
  g_fork_pool_set_max_restarts (fixture->pool, G_MAXUINT);
  start_fixture (fixture);
  assert_reply (call (fixture, "echo x"), "x");
  before = test_count_fds (0);

  for (guint i = 0; i < 20; i++)
    {
      g_autofree char *reply G_GNUC_UNUSED = call (fixture, "large 100000");
      g_autoptr (GError) error = call_in_vain (fixture, "raise 9");

      g_assert_error (error, G_FORK_ERROR, G_FORK_ERROR_LOST);
    }
  assert_reply (call (fixture, "echo x"), "x");
  g_assert_cmpuint (test_count_fds (0), <=, before + 1);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

#define add(path, function) g_test_add (path, Fixture, NULL, set_up, function, tear_down)
  add ("/pool-jobs/call", test_call);
  add ("/pool-jobs/call-async", test_call_async);
  add ("/pool-jobs/large", test_large);
  add ("/pool-jobs/large-confined", test_large_confined);
  add ("/pool-jobs/job-fails", test_job_fails);
  add ("/pool-jobs/failed-workers", test_failed_workers);
  add ("/pool-jobs/retry", test_retry);
  add ("/pool-jobs/not-running", test_not_running);
  add ("/pool-jobs/cancel/before", test_cancel_before);
  add ("/pool-jobs/cancel/waiting", test_cancel_waiting);
  add ("/pool-jobs/cancel/running", test_cancel_running);
  add ("/pool-jobs/cancel/neighbours", test_cancel_neighbours);
  add ("/pool-jobs/cancel/blocked", test_cancel_blocked);
  add ("/pool-jobs/max-jobs", test_max_jobs);
  add ("/pool-jobs/last-used-first", test_last_used_first);
  add ("/pool-jobs/on-demand", test_on_demand);
  add ("/pool-jobs/fair-order", test_fair_order);
  add ("/pool-jobs/threads", test_threads);
  add ("/pool-jobs/contexts", test_contexts);
  add ("/pool-jobs/flat-descriptors", test_flat_descriptors);

  return g_test_run ();
}
