/* pool-workers.c: tests of which workers a pool has: starts, restarts, stops, replacements
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "pools.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void
wait_for_state (GForkPool      *pool,
                GForkPoolState  state)
{
  while (g_fork_pool_get_state (pool) != state)
    g_main_context_iteration (NULL, TRUE);
}

static guint
count_workers (GForkPool *pool)
{
  return g_list_model_get_n_items (G_LIST_MODEL (pool));
}

static void
wait_for_workers (GForkPool *pool,
                  guint      n)
{
  while (count_workers (pool) != n)
    g_main_context_iteration (NULL, TRUE);
}

/* The process of a worker on the list. */
static GForkProcess *
dup_process (GForkPool *pool,
             guint      position)
{
  g_autoptr (GForkWorker) worker = g_list_model_get_item (G_LIST_MODEL (pool), position);

  g_assert_nonnull (worker);
  return g_object_ref (g_fork_worker_get_process (worker));
}

static void
count (GForkPool *pool,
       gpointer   object,
       guint     *n)
{
  ++*n;
}

/* ——— Starting ——— */

static void
test_starts (void)
{
  g_autoptr (GForkPool) pool = pool_new ("test-jobs:stay");
  guint indices = 0;

  g_assert_cmpint (g_fork_pool_get_state (pool), ==, G_FORK_POOL_STATE_STOPPED);
  g_fork_pool_set_min_workers (pool, 3);
  start (pool);
  g_assert_cmpint (g_fork_pool_get_state (pool), ==, G_FORK_POOL_STATE_RUNNING);
  /* A blocking call emits what it has brought about before it returns. */
  g_assert_cmpuint (count_workers (pool), ==, 3);
  for (guint i = 0; i < 3; i++)
    {
      g_autoptr (GForkWorker) worker = g_list_model_get_item (G_LIST_MODEL (pool), i);

      indices |= 1 << g_fork_worker_get_index (worker);
      g_assert_true (g_fork_worker_is_ready (worker));
      g_assert_true (g_fork_worker_is_idle (worker));
      g_assert_cmpuint (g_fork_worker_get_n_jobs (worker), ==, 0);
    }
  /* Each has its own, in whatever order they got ready. */
  g_assert_cmpuint (indices, ==, 7);

  stop (pool);
  g_assert_cmpuint (count_workers (pool), ==, 0);
}

static void
test_start_async (void)
{
  g_autoptr (GForkPool) pool = pool_new ("test-jobs:stay");
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_pool_start_async (pool, NULL, test_store_result, &result);
  g_assert_cmpint (g_fork_pool_get_state (pool), ==, G_FORK_POOL_STATE_STARTING);
  g_assert_true (g_fork_pool_start_finish (pool, test_await (&result), &error));
  g_assert_no_error (error);
  g_clear_object (&result);

  g_fork_pool_stop_async (pool, NULL, test_store_result, &result);
  g_assert_true (g_fork_pool_stop_finish (pool, test_await (&result), &error));
  g_assert_no_error (error);
}

static void
test_start_fails (void)
{
  g_autoptr (GForkPool) pool = pool_new ("test-jobs:is_not_there");
  g_autoptr (GForkLoan) loan = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) reason = NULL;
  guint n_failed = 0;

  g_signal_connect (pool, "failed", G_CALLBACK (count), &n_failed);
  g_assert_false (g_fork_pool_start (pool, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_FUNCTION, "is_not_there");
  g_assert_cmpint (g_fork_pool_get_state (pool), ==, G_FORK_POOL_STATE_FAILED);

  loan = g_fork_pool_acquire (pool, NULL, &reason);
  g_assert_null (loan);
  test_assert_error (reason, G_FORK_ERROR_FUNCTION, "is_not_there");
  g_main_context_iteration (NULL, FALSE);
  g_assert_cmpuint (n_failed, ==, 1);
  stop (pool);
}

static void
test_template_fails (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkPool) pool = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_require (template, "there-is-no-such-module");
  pool = g_fork_pool_new (template, "worker");
  g_assert_false (g_fork_pool_start (pool, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_MODULE, "there-is-no-such-module");
}

static void
test_wait_for_ready (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkPool) pool = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) busy = -1, busy_end = -1, blocked = -1, unblock = -1;
  char byte;

  test_pipe (&busy, &busy_end);
  test_pipe (&blocked, &unblock);
  g_fork_template_send_fd (template, busy_end);
  g_fork_template_send_fd (template, blocked);
  pool = g_fork_pool_new (template, "test-jobs:late");
  g_fork_pool_set_wait_for_ready (pool, TRUE);
  g_fork_pool_start_async (pool, NULL, test_store_result, &result);

  for (GPollFD fd = { .fd = busy, .events = G_IO_IN }; g_poll (&fd, 1, 0) == 0;)
    g_main_context_iteration (NULL, FALSE);
  g_assert_cmpint (read (busy, &byte, 1), ==, 1);
  g_assert_cmpint (g_fork_pool_get_state (pool), ==, G_FORK_POOL_STATE_STARTING);
  g_assert_cmpuint (count_workers (pool), ==, 0);

  g_assert_cmpint (write (unblock, ".", 1), ==, 1);
  g_assert_true (g_fork_pool_start_finish (pool, test_await (&result), &error));
  g_assert_no_error (error);
}

static void
test_ends_before_ready (void)
{
  g_autoptr (GForkPool) pool = pool_new ("test-jobs:leave_before_ready");
  g_autoptr (GError) error = NULL;

  g_fork_pool_set_wait_for_ready (pool, TRUE);
  g_assert_false (g_fork_pool_start (pool, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_FAILED, "leave_before_ready", "status 5");
}

static void
on_prepare (GForkPool     *pool,
            GForkTemplate *fork,
            guint          index,
            gpointer       thread)
{
  g_autofree char *text = g_strdup_printf ("worker %u", index);

  g_assert_true (g_thread_self () == thread);
  g_fork_template_send_arg (fork, text);
}

static void
test_prepare_signal (void)
{
  g_autoptr (GForkPool) pool = pool_new ("test-jobs:lines");
  g_autoptr (GForkLoan) first = NULL;
  g_autoptr (GForkLoan) second = NULL;
  g_autofree char *first_args = NULL;
  g_autofree char *second_args = NULL;
  g_autoptr (GError) error = NULL;

  g_signal_connect (pool, "prepare", G_CALLBACK (on_prepare), g_thread_self ());
  start (pool);
  first = g_fork_pool_acquire (pool, NULL, &error);
  g_assert_no_error (error);
  second = g_fork_pool_acquire (pool, NULL, &error);
  g_assert_no_error (error);
  first_args = ask (first, "args");
  second_args = ask (second, "args");
  g_assert_cmpstr (first_args, ==, "worker 0 ");
  g_assert_cmpstr (second_args, ==, "worker 1 ");
}

/* ——— Restarting ——— */

static void
test_restart (void)
{
  g_autoptr (GForkPool) pool = pool_new ("test-jobs:stay");
  g_autoptr (GForkProcess) old = NULL;
  g_autoptr (GForkProcess) new = NULL;
  guint n_started = 0, n_ended = 0;

  g_signal_connect (pool, "worker-started", G_CALLBACK (count), &n_started);
  g_signal_connect (pool, "worker-ended", G_CALLBACK (count), &n_ended);
  start (pool);
  wait_for_workers (pool, 1);
  old = dup_process (pool, 0);
  g_fork_process_force_exit (old);
  while (n_started < 2)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (n_ended, ==, 1);

  g_assert_cmpuint (count_workers (pool), ==, 1);
  new = dup_process (pool, 0);
  g_assert_cmpint (g_fork_process_get_pid (new), !=, g_fork_process_get_pid (old));
}

/* A pool of leave_with(), and where each start leaves a byte. */
static GForkPool *
pool_new_of_leavers (const char *status,
                     TestFd     *starts)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_auto (TestFd) write_end = -1;
  GForkPool *pool;

  test_pipe (starts, &write_end);
  g_fork_template_send_fd (template, write_end);
  g_fork_template_send_arg (template, status);
  pool = g_fork_pool_new (template, "test-jobs:leave_with");
  g_fork_pool_set_restart_delay (pool, 0);
  return pool;
}

static void
on_failed (GForkPool  *pool,
           GError     *error,
           GError    **stored)
{
  g_assert_null (*stored);
  *stored = g_error_copy (error);
}

static void
test_never_spins (void)
{
  g_auto (TestFd) starts = -1;
  GForkPool *pool = pool_new_of_leavers ("3", &starts);
  g_autoptr (GError) error = NULL;
  g_autofree char *all = NULL;

  g_fork_pool_set_max_restarts (pool, 4);
  g_signal_connect (pool, "failed", G_CALLBACK (on_failed), &error);
  start (pool);
  while (error == NULL)
    g_main_context_iteration (NULL, TRUE);
  test_assert_error (error, G_FORK_ERROR_FAILED, "leave_with", "status 3");
  g_assert_cmpint (g_fork_pool_get_state (pool), ==, G_FORK_POOL_STATE_FAILED);

  stop (pool);
  g_object_unref (pool);
  all = test_read_fd (starts);
  g_assert_cmpstr (all, ==, ".....");
}

/* Those that end together count as one. */
static void
test_together (void)
{
  g_autoptr (GForkPool) pool = pool_new ("test-jobs:stay");
  GForkProcess *processes[4];
  guint n_started = 0;

  g_fork_pool_set_min_workers (pool, 4);
  g_fork_pool_set_max_restarts (pool, 3);
  g_fork_pool_set_restart_window (pool, 600000);
  g_signal_connect (pool, "worker-started", G_CALLBACK (count), &n_started);
  start (pool);
  wait_for_workers (pool, 4);
  for (guint i = 0; i < G_N_ELEMENTS (processes); i++)
    processes[i] = dup_process (pool, i);
  for (guint i = 0; i < G_N_ELEMENTS (processes); i++)
    g_fork_process_force_exit (processes[i]);
  while (n_started < 8)
    {
      g_main_context_iteration (NULL, TRUE);
      g_assert_cmpint (g_fork_pool_get_state (pool), ==, G_FORK_POOL_STATE_RUNNING);
    }
  for (guint i = 0; i < G_N_ELEMENTS (processes); i++)
    g_object_unref (processes[i]);
}

/* Workers that leave with a status, and what becomes of their pool. */
typedef struct
{
  const char *name;
  const char *status;
  GForkRestart restart;
  GForkPoolState state;
  const char *starts;
} LeaverCase;

static const LeaverCase leaver_cases[] = {
  { "on-failure/succeeds", "0", G_FORK_RESTART_ON_FAILURE, G_FORK_POOL_STATE_STOPPED, "." },
  { "on-failure/fails", "1", G_FORK_RESTART_ON_FAILURE, G_FORK_POOL_STATE_FAILED, ".." },
  { "never", "1", G_FORK_RESTART_NEVER, G_FORK_POOL_STATE_STOPPED, "." },
};

static void
test_leavers (gconstpointer data)
{
  const LeaverCase *leaver = data;
  g_auto (TestFd) starts = -1;
  GForkPool *pool = pool_new_of_leavers (leaver->status, &starts);
  g_autofree char *all = NULL;

  g_fork_pool_set_restart (pool, leaver->restart);
  g_fork_pool_set_max_restarts (pool, 1);
  start (pool);
  wait_for_state (pool, leaver->state);
  g_object_unref (pool);
  all = test_read_fd (starts);
  g_assert_cmpstr (all, ==, leaver->starts);
}

static void
test_start_again (void)
{
  g_auto (TestFd) starts = -1;
  GForkPool *pool = pool_new_of_leavers ("1", &starts);
  g_autofree char *all = NULL;

  g_fork_pool_set_max_restarts (pool, 0);
  for (guint i = 0; i < 3; i++)
    {
      start (pool);
      wait_for_state (pool, G_FORK_POOL_STATE_FAILED);
    }
  g_object_unref (pool);
  all = test_read_fd (starts);
  g_assert_cmpstr (all, ==, "...");
}

/* ——— How many ——— */

static void
test_change_limits (void)
{
  g_autoptr (GForkPool) pool = pool_new ("test-jobs:stay");

  start (pool);
  wait_for_workers (pool, 1);
  g_fork_pool_set_min_workers (pool, 6);
  g_assert_cmpuint (g_fork_pool_get_max_workers (pool), ==, 6);
  wait_for_workers (pool, 6);
  g_fork_pool_set_max_workers (pool, 2);
  g_assert_cmpuint (g_fork_pool_get_min_workers (pool), ==, 2);
  wait_for_workers (pool, 2);
}

/* ——— Stopping ——— */

static void
test_stop (void)
{
  g_autoptr (GForkPool) pool = pool_new ("test-jobs:stay");
  g_autoptr (GForkProcess) process = NULL;

  g_fork_pool_set_stop_signal (pool, 0);
  start (pool);
  wait_for_workers (pool, 1);
  process = dup_process (pool, 0);
  stop (pool);
  test_wait_for (process);
  g_assert_true (g_fork_process_get_if_exited (process));
  g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 0);
}

static void
test_stop_signal (void)
{
  g_autoptr (GForkPool) pool = pool_new ("test-jobs:closer");
  g_autoptr (GForkProcess) process = NULL;

  g_fork_pool_set_stop_signal (pool, SIGUSR1);
  start (pool);
  wait_for_workers (pool, 1);
  process = dup_process (pool, 0);
  stop (pool);
  test_wait_for (process);
  g_assert_cmpint (g_fork_process_get_term_sig (process), ==, SIGUSR1);
}

static void
test_stop_timeout (void)
{
  g_autoptr (GForkPool) pool = pool_new ("test-jobs:stubborn");
  g_autoptr (GForkProcess) process = NULL;

  g_fork_pool_set_stop_timeout (pool, 1);
  g_fork_pool_set_wait_for_ready (pool, TRUE);
  start (pool);
  wait_for_workers (pool, 1);
  process = dup_process (pool, 0);
  stop (pool);
  test_wait_for (process);
  g_assert_cmpint (g_fork_process_get_term_sig (process), ==, SIGKILL);
}

static void
test_stop_group (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkPool) pool = NULL;
  g_auto (TestFd) tell_tale = test_add_tell_tale (template);

  g_fork_template_setsid (template);
  pool = g_fork_pool_new (template, "test-jobs:with_child");
  g_fork_pool_set_stop_timeout (pool, 1);
  start (pool);
  stop (pool);
  g_clear_object (&pool);
  g_clear_object (&template);
  /* The child of the worker is gone, too. */
  test_assert_fd_eof (tell_tale);
}

static void
test_drop (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_auto (TestFd) tell_tale = test_add_tell_tale (template);
  GForkPool *pool = g_fork_pool_new (template, "test-jobs:stubborn");

  g_fork_pool_set_min_workers (pool, 3);
  start (pool);
  g_object_unref (pool);
  g_clear_object (&template);
  test_assert_fd_eof (tell_tale);
}

static void
test_drop_while_starting (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_auto (TestFd) tell_tale = test_add_tell_tale (template);
  GForkPool *pool = g_fork_pool_new (template, "test-jobs:stubborn");
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) result = NULL;

  g_fork_pool_start_async (pool, cancellable, test_store_result, &result);
  g_cancellable_cancel (cancellable);
  test_await (&result);
  g_clear_object (&result);
  g_object_unref (pool);
  g_clear_object (&template);
  test_assert_fd_eof (tell_tale);
}

static void
test_stop_while_starting (void)
{
  g_autoptr (GForkPool) pool = pool_new ("test-jobs:stay");
  g_autoptr (GAsyncResult) started = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_pool_start_async (pool, NULL, test_store_result, &started);
  stop (pool);
  g_assert_false (g_fork_pool_start_finish (pool, test_await (&started), &error));
  g_assert_error (error, G_FORK_ERROR, G_FORK_ERROR_CLOSED);
}

static void
test_stop_fails_waiting (void)
{
  g_autoptr (GForkPool) pool = pool_new ("test-jobs:lines");
  g_autoptr (GForkLoan) loan = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_pool_set_max_workers (pool, 1);
  start (pool);
  loan = g_fork_pool_acquire (pool, NULL, &error);
  g_assert_no_error (error);
  g_fork_pool_acquire_async (pool, NULL, test_store_result, &result);
  g_fork_pool_set_stop_timeout (pool, 1);
  stop (pool);
  g_assert_null (g_fork_pool_acquire_finish (pool, test_await (&result), &error));
  g_assert_error (error, G_FORK_ERROR, G_FORK_ERROR_CLOSED);
  g_fork_loan_release (loan);
}

/* ——— Replacing ——— */

static void
test_replace (void)
{
  g_autoptr (GForkPool) pool = pool_new ("test-jobs:lines");
  g_autoptr (GForkTemplate) new = g_fork_template_new ();
  g_autoptr (GForkTemplate) current = NULL;
  g_autoptr (GForkLoan) old_loan = NULL;
  g_autoptr (GForkLoan) new_loan = NULL;
  g_autofree char *old_args = NULL;
  g_autofree char *new_args = NULL;
  g_autoptr (GError) error = NULL;

  start (pool);
  old_loan = g_fork_pool_acquire (pool, NULL, &error);
  g_assert_no_error (error);

  g_fork_template_send_arg (new, "second");
  g_assert_true (g_fork_pool_replace (pool, new, NULL, &error));
  g_assert_no_error (error);
  current = g_fork_pool_get_template (pool);
  g_assert_true (current == new);

  /* The old one is there until it is given back. */
  old_args = ask (old_loan, "args");
  g_assert_cmpstr (old_args, ==, "");
  new_loan = g_fork_pool_acquire (pool, NULL, &error);
  g_assert_no_error (error);
  new_args = ask (new_loan, "args");
  g_assert_cmpstr (new_args, ==, "second ");
  g_assert_cmpuint (g_fork_worker_get_index (g_fork_loan_get_worker (new_loan)), ==,
                    g_fork_worker_get_index (g_fork_loan_get_worker (old_loan)));

  g_fork_loan_release (old_loan);
  g_fork_loan_release (old_loan);
  test_wait_for (g_fork_worker_get_process (g_fork_loan_get_worker (old_loan)));
}

static void
test_replace_fails (void)
{
  g_autoptr (GForkPool) pool = pool_new ("test-jobs:lines");
  g_autoptr (GForkTemplate) old = g_fork_pool_get_template (pool);
  g_autoptr (GForkTemplate) new = g_fork_template_new ();
  g_autoptr (GForkTemplate) current = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GForkLoan) loan = NULL;
  g_autoptr (GError) error = NULL;

  start (pool);
  wait_for_workers (pool, 1);
  process = dup_process (pool, 0);
  g_fork_template_require (new, "there-is-no-such-module");
  g_assert_false (g_fork_pool_replace (pool, new, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_MODULE, "there-is-no-such-module");
  g_clear_error (&error);

  current = g_fork_pool_get_template (pool);
  g_assert_true (current == old);
  loan = g_fork_pool_acquire (pool, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_fork_worker_get_process (g_fork_loan_get_worker (loan)) == process);
}

static void
test_replace_ends (void)
{
  g_autoptr (GForkTemplate) good = g_fork_template_new ();
  g_autoptr (GForkTemplate) bad = g_fork_template_new ();
  g_autoptr (GForkPool) pool = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_send_arg (good, "stay");
  g_fork_template_send_arg (bad, "4");
  pool = g_fork_pool_new (good, "test-jobs:ready_or_leave");
  g_fork_pool_set_wait_for_ready (pool, TRUE);
  start (pool);
  g_assert_false (g_fork_pool_replace (pool, bad, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_FAILED, "status 4");
  g_assert_cmpint (g_fork_pool_get_state (pool), ==, G_FORK_POOL_STATE_RUNNING);
}

/* ——— A lost template ——— */

static void
on_template_changed (GForkPool  *pool,
                     GParamSpec *pspec,
                     guint      *n)
{
  ++*n;
}

static GForkTemplate *
give_template (GForkPool *pool,
               guint     *n)
{
  ++*n;
  return g_fork_template_new_exec ();
}

static void
test_template_lost (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GForkPool) pool = g_fork_pool_new (template, "test-jobs:lines");
  g_autoptr (GForkLoan) kept = NULL;
  g_autoptr (GForkLoan) new = NULL;
  g_autofree char *answer = NULL;
  g_autoptr (GError) error = NULL;
  guint n = 0;

  g_signal_connect (pool, "template-lost", G_CALLBACK (give_template), &n);
  g_fork_pool_set_max_workers (pool, 2);
  start (pool);
  kept = g_fork_pool_acquire (pool, NULL, &error);
  g_assert_no_error (error);

  kill (g_fork_template_get_pid (template), SIGKILL);
  test_wait_for_end (g_fork_template_get_pid (template));
  new = g_fork_pool_acquire (pool, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (n, ==, 1);
  answer = ask (kept, "still here");
  g_assert_cmpstr (answer, ==, "still here");
}

/* As soon as the loss is seen, though no worker is needed. */
static void
test_template_lost_while_idle (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GForkPool) pool = g_fork_pool_new (template, "test-jobs:lines");
  guint n = 0, n_changes = 0;

  g_signal_connect (pool, "template-lost", G_CALLBACK (give_template), &n);
  g_signal_connect (pool, "notify::template", G_CALLBACK (on_template_changed), &n_changes);
  start (pool);
  kill (g_fork_template_get_pid (template), SIGKILL);
  while (n_changes == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (n, ==, 1);
  g_assert_cmpint (g_fork_pool_get_state (pool), ==, G_FORK_POOL_STATE_RUNNING);
  /* Without pidfds nobody knows whether the worker lives, so it counts as lost. */
  if (test_has_pidfds ())
    g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (pool)), ==, 1);
}

static GForkTemplate *
give_dead_template (GForkPool *pool,
                    guint     *n)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();

  ++*n;
  test_prepare (template);
  test_kill_and_wait (g_fork_template_get_pid (template));
  return g_steal_pointer (&template);
}

/* Handlers that give what cannot be used are not asked again and again. */
static void
test_template_lost_again_and_again (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GForkPool) pool = g_fork_pool_new (template, "test-jobs:lines");
  g_autoptr (GForkLoan) kept = NULL;
  g_autoptr (GError) error = NULL;
  guint n = 0;

  g_signal_connect (pool, "template-lost", G_CALLBACK (give_dead_template), &n);
  g_fork_pool_set_max_workers (pool, 2);
  g_fork_pool_set_max_restarts (pool, 3);
  g_fork_pool_set_restart_delay (pool, 1);
  start (pool);
  kept = g_fork_pool_acquire (pool, NULL, &error);
  g_assert_no_error (error);

  kill (g_fork_template_get_pid (template), SIGKILL);
  g_assert_null (g_fork_pool_acquire (pool, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_LOST);
  g_assert_cmpint (g_fork_pool_get_state (pool), ==, G_FORK_POOL_STATE_FAILED);
  g_assert_cmpuint (n, >=, 1);
  g_assert_cmpuint (n, <=, 5);
}

static void
on_pool_failed (GForkPool    *pool,
                const GError *error,
                GError      **reason)
{
  *reason = g_error_copy (error);
}

static void
test_template_lost_while_idle_for_good (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GForkPool) pool = g_fork_pool_new (template, "test-jobs:lines");
  g_autoptr (GError) reason = NULL;

  g_signal_connect (pool, "failed", G_CALLBACK (on_pool_failed), &reason);
  start (pool);
  kill (g_fork_template_get_pid (template), SIGKILL);
  while (reason == NULL)
    g_main_context_iteration (NULL, TRUE);
  test_assert_error (reason, G_FORK_ERROR_LOST, "test-jobs:lines");
  g_assert_cmpint (g_fork_pool_get_state (pool), ==, G_FORK_POOL_STATE_FAILED);
  /* The worker lives. */
  if (test_has_pidfds ())
    g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (pool)), ==, 1);
}

static void
test_template_lost_for_good (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GForkPool) pool = g_fork_pool_new (template, "test-jobs:lines");
  g_autoptr (GForkLoan) kept = NULL;
  g_autofree char *answer = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_pool_set_max_workers (pool, 2);
  start (pool);
  kept = g_fork_pool_acquire (pool, NULL, &error);
  g_assert_no_error (error);

  kill (g_fork_template_get_pid (template), SIGKILL);
  test_wait_for_end (g_fork_template_get_pid (template));
  g_assert_null (g_fork_pool_acquire (pool, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_LOST, "test-jobs:lines");
  g_assert_cmpint (g_fork_pool_get_state (pool), ==, G_FORK_POOL_STATE_FAILED);
  answer = ask (kept, "still here");
  g_assert_cmpstr (answer, ==, "still here");
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/pool-workers/start", test_starts);
  g_test_add_func ("/pool-workers/start-async", test_start_async);
  g_test_add_func ("/pool-workers/start-fails", test_start_fails);
  g_test_add_func ("/pool-workers/template-fails", test_template_fails);
  g_test_add_func ("/pool-workers/wait-for-ready", test_wait_for_ready);
  g_test_add_func ("/pool-workers/ends-before-ready", test_ends_before_ready);
  g_test_add_func ("/pool-workers/prepare", test_prepare_signal);
  g_test_add_func ("/pool-workers/restart", test_restart);
  g_test_add_func ("/pool-workers/never-spins", test_never_spins);
  g_test_add_func ("/pool-workers/together", test_together);
  test_add_table ("/pool-workers", leaver_cases, test_leavers);
  g_test_add_func ("/pool-workers/start-again", test_start_again);
  g_test_add_func ("/pool-workers/change-limits", test_change_limits);
  g_test_add_func ("/pool-workers/stop", test_stop);
  g_test_add_func ("/pool-workers/stop-signal", test_stop_signal);
  g_test_add_func ("/pool-workers/stop-timeout", test_stop_timeout);
  g_test_add_func ("/pool-workers/stop-group", test_stop_group);
  g_test_add_func ("/pool-workers/stop-while-starting", test_stop_while_starting);
  g_test_add_func ("/pool-workers/stop-fails-waiting", test_stop_fails_waiting);
  g_test_add_func ("/pool-workers/drop", test_drop);
  g_test_add_func ("/pool-workers/drop-while-starting", test_drop_while_starting);
  g_test_add_func ("/pool-workers/replace", test_replace);
  g_test_add_func ("/pool-workers/replace-fails", test_replace_fails);
  g_test_add_func ("/pool-workers/replace-ends", test_replace_ends);
  g_test_add_func ("/pool-workers/template-lost/replaced", test_template_lost);
  g_test_add_func ("/pool-workers/template-lost/while-idle", test_template_lost_while_idle);
  g_test_add_func ("/pool-workers/template-lost/again-and-again",
                   test_template_lost_again_and_again);
  g_test_add_func ("/pool-workers/template-lost/while-idle-for-good",
                   test_template_lost_while_idle_for_good);
  g_test_add_func ("/pool-workers/template-lost/for-good", test_template_lost_for_good);

  return g_test_run ();
}
