/* pools.c: makes pools whose workers run functions of modules/test-jobs.c
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "pools.h"

GForkPool *
pool_new (const char *function)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  GForkPool *pool = g_fork_pool_new (template, function);

  g_fork_pool_set_max_workers (pool, 4);
  g_fork_pool_set_restart_delay (pool, 0);
  return pool;
}

void
start (GForkPool *pool)
{
  g_autoptr (GError) error = NULL;
  gboolean started = g_fork_pool_start (pool, NULL, &error);

  g_assert_no_error (error);
  g_assert_true (started);
}

void
stop (GForkPool *pool)
{
  g_autoptr (GError) error = NULL;
  gboolean stopped = g_fork_pool_stop (pool, NULL, &error);

  g_assert_no_error (error);
  g_assert_true (stopped);
  g_assert_cmpint (g_fork_pool_get_state (pool), ==, G_FORK_POOL_STATE_STOPPED);
}

char *
ask (GForkLoan  *loan,
     const char *question)
{
  return test_ask (g_fork_loan_get_socket (loan), "%s", question);
}
