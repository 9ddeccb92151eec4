/* jobs.c: makes pools for tests of jobs
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "jobs.h"

#include <string.h>
#include <unistd.h>

void
set_up (Fixture       *fixture,
        gconstpointer  data)
{
  g_auto (TestFd) busy = -1, blocked = -1;

  test_pipe (&fixture->busy, &busy);
  test_pipe (&blocked, &fixture->unblock);
  fixture->template = g_fork_template_new ();
  g_fork_template_send_fd (fixture->template, busy);
  g_fork_template_send_fd (fixture->template, blocked);
  fixture->pool = g_fork_pool_new (fixture->template, "test-jobs:jobs");
  g_fork_pool_set_max_workers (fixture->pool, 1);
}

void
tear_down (Fixture       *fixture,
           gconstpointer  data)
{
  test_close_fd (&fixture->busy);
  test_close_fd (&fixture->unblock);
  g_clear_object (&fixture->pool);
  g_clear_object (&fixture->template);
}

void
start_fixture (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  gboolean started = g_fork_pool_start (fixture->pool, NULL, &error);

  g_assert_no_error (error);
  g_assert_true (started);
  g_assert_cmpint (g_fork_pool_get_state (fixture->pool), ==, G_FORK_POOL_STATE_RUNNING);
}

GBytes *
bytes (const char *text)
{
  return g_bytes_new (text, strlen (text));
}

char *
text_of (GBytes *reply)
{
  gsize size = g_bytes_get_size (reply);

  return size > 0 ? g_strndup (g_bytes_get_data (reply, NULL), size) : g_strdup ("");
}

/* The reply to a blocking call, which has to succeed. */
char *
call (Fixture    *fixture,
      const char *text)
{
  g_autoptr (GBytes) request = bytes (text);
  g_autoptr (GBytes) reply = NULL;
  g_autoptr (GError) error = NULL;

  reply = g_fork_pool_call (fixture->pool, request, NULL, &error);
  g_assert_no_error (error);
  return text_of (reply);
}

GError *
call_in_vain (Fixture    *fixture,
              const char *text)
{
  g_autoptr (GBytes) request = bytes (text);
  g_autoptr (GBytes) reply = NULL;
  GError *error = NULL;

  reply = g_fork_pool_call (fixture->pool, request, NULL, &error);
  g_assert_null (reply);
  g_assert_nonnull (error);
  return error;
}

void
call_async (Fixture       *fixture,
            const char    *text,
            GCancellable  *cancellable,
            GAsyncResult **result)
{
  g_autoptr (GBytes) request = bytes (text);

  g_fork_pool_call_async (fixture->pool, request, cancellable, test_store_result, result);
}

char *
await (Fixture       *fixture,
       GAsyncResult **result,
       GError       **error)
{
  g_autoptr (GBytes) reply = g_fork_pool_call_finish (fixture->pool, test_await (result), error);

  g_clear_object (result);
  return reply != NULL ? text_of (reply) : NULL;
}

/* Iterates the context until a job blocks. */
void
wait_until_busy (Fixture *fixture)
{
  char byte;

  while (TRUE)
    {
      GPollFD fd = { .fd = fixture->busy, .events = G_IO_IN };

      if (g_poll (&fd, 1, 0) > 0)
        break;
      g_main_context_iteration (NULL, FALSE);
      g_thread_yield ();
    }
  g_assert_cmpint (read (fixture->busy, &byte, 1), ==, 1);
}

void
unblock (Fixture *fixture)
{
  g_assert_cmpint (write (fixture->unblock, ".", 1), ==, 1);
}

GForkWorker *
get_worker (Fixture *fixture,
            guint    position)
{
  GForkWorker *worker;

  while ((worker = g_list_model_get_item (G_LIST_MODEL (fixture->pool), position)) == NULL)
    g_main_context_iteration (NULL, TRUE);
  return worker;
}
