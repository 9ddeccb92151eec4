/* pool-loans.c: tests of workers that a pool lends
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "pools.h"

#include <stdlib.h>

static char *
borrow_pid (GForkPool  *pool,
            GForkLoan **loan)
{
  g_autoptr (GError) error = NULL;

  *loan = g_fork_pool_acquire (pool, NULL, &error);
  g_assert_no_error (error);
  return ask (*loan, "pid");
}

/* How a loan ends, and whether its worker is lent again. */
typedef struct
{
  const char *name;
  const char *question;
  const char *answer;
  void (*end) (GForkLoan *loan);
  gboolean is_lent_again;
} LoanCase;

static void
close_and_release (GForkLoan *loan)
{
  g_socket_close (g_fork_loan_get_socket (loan), NULL);
  g_fork_loan_release (loan);
}

static void
release_and_discard (GForkLoan *loan)
{
  g_fork_loan_release (loan);
  g_fork_loan_discard (loan);
}

static void
discard_and_release (GForkLoan *loan)
{
  g_fork_loan_discard (loan);
  g_fork_loan_release (loan);
}

static void
read_end_and_release (GForkLoan *loan)
{
  test_assert_eof (g_fork_loan_get_socket (loan));
  g_fork_loan_release (loan);
}

static void
just_drop (GForkLoan *loan)
{
}

static const LoanCase loan_cases[] = {
  { "release", "x", "x", g_fork_loan_release, TRUE },
  { "discard", "x", "x", g_fork_loan_discard, FALSE },
  { "drop", "x", "x", just_drop, FALSE },
  { "first-counts", "x", "x", release_and_discard, TRUE },
  { "first-counts-too", "x", "x", discard_and_release, FALSE },
  { "closed-socket", "x", "x", close_and_release, FALSE },
  { "leftover", "leftover", "a", g_fork_loan_release, FALSE },
  { "end-of-file", "close", NULL, read_end_and_release, FALSE },
};

static void
test_loan (gconstpointer data)
{
  const LoanCase *loan_case = data;
  g_autoptr (GForkPool) pool = pool_new ("test-jobs:lines");
  g_autoptr (GForkLoan) loan = NULL;
  g_autofree char *pid = NULL;
  g_autofree char *next = NULL;

  g_fork_pool_set_max_workers (pool, 1);
  g_fork_pool_set_max_restarts (pool, 0);
  start (pool);
  pid = borrow_pid (pool, &loan);
  if (loan_case->answer != NULL)
    {
      g_autofree char *answer = ask (loan, loan_case->question);

      g_assert_cmpstr (answer, ==, loan_case->answer);
    }
  else
    test_send (g_fork_loan_get_socket (loan), "close\n");
  loan_case->end (loan);
  g_clear_object (&loan);

  next = borrow_pid (pool, &loan);
  if (loan_case->is_lent_again)
    g_assert_cmpstr (next, ==, pid);
  else
    g_assert_cmpstr (next, !=, pid);
  g_fork_loan_release (loan);
}

static void
test_loans_in_order (void)
{
  g_autoptr (GForkPool) pool = pool_new ("test-jobs:lines");
  g_autoptr (GForkLoan) loan = NULL;
  g_autoptr (GForkLoan) second = NULL;
  g_autoptr (GForkLoan) third = NULL;
  GAsyncResult *results[2] = { NULL, NULL };
  g_autoptr (GError) error = NULL;

  g_fork_pool_set_max_workers (pool, 1);
  start (pool);
  loan = g_fork_pool_acquire (pool, NULL, &error);
  g_assert_no_error (error);
  g_fork_pool_acquire_async (pool, NULL, test_store_result, &results[0]);
  g_fork_pool_acquire_async (pool, NULL, test_store_result, &results[1]);
  g_assert_cmpuint (g_fork_pool_get_n_waiting (pool), ==, 2);

  g_fork_loan_release (loan);
  second = g_fork_pool_acquire_finish (pool, test_await (&results[0]), &error);
  g_assert_no_error (error);
  g_assert_null (results[1]);
  g_fork_loan_release (second);
  third = g_fork_pool_acquire_finish (pool, test_await (&results[1]), &error);
  g_assert_no_error (error);
  g_fork_loan_release (third);
  g_object_unref (results[0]);
  g_object_unref (results[1]);
}

static gpointer
borrow_often (gpointer pool)
{
  for (guint i = 0; i < 50; i++)
    {
      g_autoptr (GForkLoan) loan = NULL;
      g_autofree char *pid = borrow_pid (pool, &loan);

      g_assert_cmpint (atoi (pid), ==,
                       g_fork_process_get_pid (
                           g_fork_worker_get_process (g_fork_loan_get_worker (loan))));
      if (i % 10 == 9)
        g_fork_loan_discard (loan);
      else
        g_fork_loan_release (loan);
    }
  return NULL;
}

static void
test_loans_in_threads (void)
{
  g_autoptr (GForkPool) pool = pool_new ("test-jobs:lines");
  GThread *threads[4];

  g_fork_pool_set_max_workers (pool, 3);
  start (pool);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("borrower", borrow_often, pool);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  test_add_table ("/pool-loans", loan_cases, test_loan);
  g_test_add_func ("/pool-loans/in-order", test_loans_in_order);
  g_test_add_func ("/pool-loans/in-threads", test_loans_in_threads);

  return g_test_run ();
}
