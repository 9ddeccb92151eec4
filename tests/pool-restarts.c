/* pool-restarts.c: tests of when a pool restarts workers, of replacements that are given up, and
 * of pools of an application that forks
 *
 * The tests assert that something takes at least so long, which a timer guarantees, but not that
 * it takes no longer. Where a test is about a delay that is too long, a wrong delay would be
 * hours.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "pools.h"

#include <sys/wait.h>
#include <unistd.h>

#define HOURS (24 * 3600 * 1000) /* in milliseconds */

/* A pool whose worker fails at once, and where it tells when it was started. */
static GForkPool *
pool_of_failures (guint   delay,
                  guint   max_delay,
                  TestFd *starts)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_auto (TestFd) write_end = -1;
  GForkPool *pool;

  test_pipe (starts, &write_end);
  g_fork_template_send_fd (template, write_end);
  pool = g_fork_pool_new (template, "test-jobs:leave_at");
  g_fork_pool_set_restart_delay (pool, delay);
  g_fork_pool_set_max_restart_delay (pool, max_delay);
  g_fork_pool_set_max_restarts (pool, G_MAXUINT);
  start (pool);
  return pool;
}

/* The time of the next start, in microseconds. */
static gint64
await_start (int starts)
{
  gint64 time;

  for (GPollFD fd = { .fd = starts, .events = G_IO_IN }; g_poll (&fd, 1, 1) == 0;)
    while (g_main_context_iteration (NULL, FALSE))
      ;
  g_assert_cmpint (read (starts, &time, sizeof time), ==, sizeof time);
  return time;
}

/* Each delay is twice the one before, less a quarter at most. */
static void
test_doubled (void)
{
  g_auto (TestFd) starts = -1;
  g_autoptr (GForkPool) pool G_GNUC_UNUSED = pool_of_failures (20, HOURS, &starts);
  gint64 last = await_start (starts);

  for (gint64 delay = 20000; delay <= 160000; delay *= 2)
    {
      gint64 time = await_start (starts);

      g_assert_cmpint (time - last, >=, delay * 3 / 4);
      last = time;
    }
}

/* Doubled as often, the delay would be an hour. */
static void
test_capped (void)
{
  g_auto (TestFd) starts = -1;
  g_autoptr (GForkPool) pool G_GNUC_UNUSED = pool_of_failures (1, 2, &starts);

  for (guint i = 0; i < 22; i++)
    await_start (starts);
}

/* Sooner or later a worker is started again before the delay is over, by a quarter at most. How
 * late others are, on a slow machine, matters less and less. */
static void
test_jitter (void)
{
  g_auto (TestFd) starts = -1;
  g_autoptr (GForkPool) pool G_GNUC_UNUSED = pool_of_failures (50, HOURS, &starts);
  gint64 last = await_start (starts);
  gboolean was_early = FALSE;

  for (gint64 delay = 50000; !was_early; delay *= 2)
    {
      gint64 time = await_start (starts);

      g_assert_cmpint (time - last, >=, delay * 3 / 4);
      was_early = time - last < delay;
      last = time;
    }
}

/* A worker that has lived as long as the window, here no time at all, has the delay begin
 * anew; else the last one would be of hours. */
static void
test_reset (void)
{
  g_auto (TestFd) starts = -1;
  g_autoptr (GForkPool) pool = pool_of_failures (1, HOURS, &starts);

  g_fork_pool_set_restart_window (pool, 0);
  for (guint i = 0; i < 26; i++)
    await_start (starts);
}

static void
await_failure (GForkPool *pool)
{
  while (g_fork_pool_get_state (pool) != G_FORK_POOL_STATE_FAILED)
    g_main_context_iteration (NULL, TRUE);
}

/* Ends that are longer ago than the window do not count. */
static void
test_window (void)
{
  g_auto (TestFd) starts = -1;
  g_autoptr (GForkPool) pool = pool_of_failures (20, 20, &starts);

  g_fork_pool_set_max_restarts (pool, 1);
  g_fork_pool_set_restart_window (pool, 1);
  for (guint i = 0; i < 10; i++)
    await_start (starts);
  g_assert_cmpint (g_fork_pool_get_state (pool), ==, G_FORK_POOL_STATE_RUNNING);

  g_fork_pool_set_restart_window (pool, HOURS);
  await_failure (pool);
}

/* ——— Giving up a replacement ——— */

/* A template of late(): where a worker says that it runs, and what makes it get ready. */
static GForkTemplate *
template_of_late (TestFd *running,
                  TestFd *unblock)
{
  GForkTemplate *template = g_fork_template_new ();
  g_auto (TestFd) running_end = -1, blocked = -1;

  test_pipe (running, &running_end);
  test_pipe (&blocked, unblock);
  g_fork_template_send_fd (template, running_end);
  g_fork_template_send_fd (template, blocked);
  return template;
}

static void
assert_replies (GForkPool *pool)
{
  g_autoptr (GBytes) request = g_bytes_new_static ("echo x", 6);
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) reply = g_fork_pool_call (pool, request, NULL, &error);

  g_assert_no_error (error);
  g_assert_cmpmem (g_bytes_get_data (reply, NULL), g_bytes_get_size (reply), "x", 1);
}

static void
test_cancelled_replace (void)
{
  g_auto (TestFd) running = -1, unblock = -1, new_running = -1, new_unblock = -1;
  g_autoptr (GForkTemplate) template = template_of_late (&running, &unblock);
  g_autoptr (GForkTemplate) new = template_of_late (&new_running, &new_unblock);
  g_autoptr (GForkPool) pool = g_fork_pool_new (template, "test-jobs:late");
  g_autoptr (GForkTemplate) current = NULL;
  g_autoptr (GForkWorker) worker = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  char byte;

  g_fork_pool_set_wait_for_ready (pool, TRUE);
  g_assert_cmpint (write (unblock, ".", 1), ==, 1);
  start (pool);
  while (g_list_model_get_n_items (G_LIST_MODEL (pool)) == 0)
    g_main_context_iteration (NULL, TRUE);
  worker = g_list_model_get_item (G_LIST_MODEL (pool), 0);

  g_fork_pool_replace_async (pool, new, cancellable, test_store_result, &result);
  for (GPollFD fd = { .fd = new_running, .events = G_IO_IN }; g_poll (&fd, 1, 1) == 0;)
    g_main_context_iteration (NULL, FALSE);
  g_assert_cmpint (read (new_running, &byte, 1), ==, 1);
  assert_replies (pool);

  g_cancellable_cancel (cancellable);
  g_assert_false (g_fork_pool_replace_finish (pool, test_await (&result), &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_clear_object (&result);

  /* The new worker has ended, and with it goes the last one that could write. */
  g_clear_object (&new);
  test_assert_fd_eof (new_running);
  current = g_fork_pool_get_template (pool);
  g_assert_true (current == template);
  assert_replies (pool);
  g_assert_cmpuint (g_fork_worker_get_n_jobs (worker), ==, 2);
  g_assert_true (g_fork_process_is_running (g_fork_worker_get_process (worker)));

  /* And another try is possible. */
  g_assert_cmpint (write (unblock, ".", 1), ==, 1);
  g_assert_true (g_fork_pool_replace (pool, template, NULL, &error));
  g_assert_no_error (error);
  assert_replies (pool);
}

static void
test_replace_twice (void)
{
  g_auto (TestFd) running = -1, unblock = -1;
  g_autoptr (GForkTemplate) template = template_of_late (&running, &unblock);
  g_autoptr (GForkPool) pool = g_fork_pool_new (template, "test-jobs:late");
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_pool_set_wait_for_ready (pool, TRUE);
  g_assert_cmpint (write (unblock, ".", 1), ==, 1);
  start (pool);
  g_fork_pool_replace_async (pool, template, cancellable, test_store_result, &result);
  g_assert_false (g_fork_pool_replace (pool, template, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_PENDING);
  g_clear_error (&error);
  g_cancellable_cancel (cancellable);
  g_assert_false (g_fork_pool_replace_finish (pool, test_await (&result), &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/* ——— A fork of the application ——— */

#define assert_closed(failed, error) \
  G_STMT_START \
    { \
      g_assert_true (failed); \
      g_assert_error (error, G_FORK_ERROR, G_FORK_ERROR_CLOSED); \
      g_clear_error (&error); \
    } \
  G_STMT_END

static void
use_in_child (GForkPool *pool)
{
  g_autoptr (GBytes) request = g_bytes_new_static ("pid", 3);
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_pool_set_min_workers (pool, 10);
  g_assert_cmpuint (g_fork_pool_get_min_workers (pool), ==, 10);
  g_assert_cmpuint (g_fork_pool_get_n_waiting (pool), ==, 0);
  assert_closed (!g_fork_pool_start (pool, NULL, &error), error);
  assert_closed (!g_fork_pool_stop (pool, NULL, &error), error);
  assert_closed (!g_fork_pool_replace (pool, template, NULL, &error), error);
  assert_closed (g_fork_pool_call (pool, request, NULL, &error) == NULL, error);
  assert_closed (g_fork_pool_acquire (pool, NULL, &error) == NULL, error);
  g_fork_pool_call_async (pool, request, NULL, test_store_result, &result);
  assert_closed (g_fork_pool_call_finish (pool, test_await (&result), &error) == NULL, error);
  g_object_unref (pool);
}

static gpointer
call_all_the_time (gpointer pool)
{
  while (g_fork_pool_get_state (pool) == G_FORK_POOL_STATE_RUNNING)
    {
      g_autoptr (GBytes) request = g_bytes_new_static ("echo x", 6);
      g_autoptr (GBytes) reply G_GNUC_UNUSED = g_fork_pool_call (pool, request, NULL, NULL);
    }
  return NULL;
}

/* In the child all fails with CLOSED, and what it drops is not the parent's; also if other
 * threads of the parent use the pool while it forks. */
static void
test_forked (void)
{
  g_autoptr (GForkPool) pool = pool_new ("test-jobs:jobs");
  g_autoptr (GForkLoan) loan = NULL;
  g_autoptr (GForkWorker) worker = NULL;
  g_autoptr (GError) error = NULL;
  GThread *thread;

  g_fork_pool_set_min_workers (pool, 2);
  start (pool);
  loan = g_fork_pool_acquire (pool, NULL, &error);
  g_assert_no_error (error);
  worker = g_object_ref (g_fork_loan_get_worker (loan));
  thread = g_thread_new ("caller", call_all_the_time, pool);

  for (guint i = 0; i < 8; i++)
    {
      int wait_status;
      pid_t pid = fork ();

      g_assert_no_errno (pid);
      if (pid == 0)
        {
          g_clear_object (&loan);
          g_clear_object (&worker);
          use_in_child (g_steal_pointer (&pool));
          _exit (0);
        }
      g_assert_cmpint (waitpid (pid, &wait_status, 0), ==, pid);
      g_assert_cmpint (wait_status, ==, 0);
    }

  assert_replies (pool);
  g_assert_true (g_fork_process_is_running (g_fork_worker_get_process (worker)));
  g_fork_loan_release (loan);
  assert_replies (pool);
  stop (pool);
  g_thread_join (thread);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/pool-restarts/delay/doubled", test_doubled);
  g_test_add_func ("/pool-restarts/delay/capped", test_capped);
  g_test_add_func ("/pool-restarts/delay/jitter", test_jitter);
  g_test_add_func ("/pool-restarts/delay/reset", test_reset);
  g_test_add_func ("/pool-restarts/window", test_window);
  g_test_add_func ("/pool-restarts/replace/cancelled", test_cancelled_replace);
  g_test_add_func ("/pool-restarts/replace/twice", test_replace_twice);
  g_test_add_func ("/pool-restarts/forked", test_forked);

  return g_test_run ();
}
