/* pool-many.c: tests of many jobs in one operation
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "jobs.h"

#include <string.h>

/* What has become of one of them; the text is to be freed. */
static int
get_outcome (GVariant  *replies,
             gsize      index,
             char     **text)
{
  g_autoptr (GVariant) content = NULL;
  gsize length;
  const char *data;
  int code;

  g_variant_get_child (replies, index, "(i@ay)", &code, &content);
  data = g_variant_get_fixed_array (content, &length, 1);
  *text = g_strndup (length > 0 ? data : "", length);
  return code;
}

static void
assert_outcome (GVariant   *replies,
                gsize       index,
                int         code,
                const char *part)
{
  g_autofree char *text = NULL;

  g_assert_cmpint (get_outcome (replies, index, &text), ==, code);
  if (code < 0)
    g_assert_cmpstr (text, ==, part);
  else
    g_assert_nonnull (strstr (text, part));
}

static GVariant *
requests_of (const char * const *texts)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE_BYTESTRING_ARRAY);
  for (gsize i = 0; texts[i] != NULL; i++)
    g_variant_builder_add_value (&builder, g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, texts[i],
                                                                      strlen (texts[i]), 1));
  return g_variant_builder_end (&builder);
}

static GVariant *
await_many (Fixture       *fixture,
            GAsyncResult **result,
            GError       **error)
{
  GVariant *replies = g_fork_pool_call_many_finish (fixture->pool, test_await (result), error);

  g_clear_object (result);
  return replies;
}

static void
test_many (Fixture       *fixture,
           gconstpointer  data)
{
  g_autoptr (GVariantBuilder) builder = g_variant_builder_new (G_VARIANT_TYPE_BYTESTRING_ARRAY);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GVariant) replies = NULL;
  g_autoptr (GError) error = NULL;
  const guint n = 1000;

  g_fork_pool_set_max_workers (fixture->pool, 3);
  g_fork_pool_set_jobs_in_flight (fixture->pool, 8);
  start_fixture (fixture);
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *text = g_strdup_printf ("echo %u", i);

      g_variant_builder_add_value (builder, g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, text,
                                                                       strlen (text), 1));
    }
  g_fork_pool_call_many_async (fixture->pool, g_variant_builder_end (builder), NULL,
                               test_store_result, &result);
  replies = await_many (fixture, &result, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_variant_n_children (replies), ==, n);
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *text = g_strdup_printf ("%u", i);

      assert_outcome (replies, i, -1, text);
    }
}

/* One that fails does not make the others fail. */
static void
test_many_fail (Fixture       *fixture,
                gconstpointer  data)
{
  static const char * const texts[] = { "echo a", "fail no disk", "large 100000", "nothing",
                                        "raise 9", "echo b", NULL };
  g_autoptr (GVariant) replies = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *large = NULL;

  g_fork_pool_set_restart_delay (fixture->pool, 0);
  start_fixture (fixture);
  replies = g_fork_pool_call_many (fixture->pool, requests_of (texts), NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_variant_n_children (replies), ==, 6);
  assert_outcome (replies, 0, -1, "a");
  assert_outcome (replies, 1, G_FORK_ERROR_JOB, "no disk");
  g_assert_cmpint (get_outcome (replies, 2, &large), ==, -1);
  g_assert_cmpuint (strlen (large), ==, 100000);
  assert_outcome (replies, 3, -1, "");
  assert_outcome (replies, 4, G_FORK_ERROR_LOST, "signal 9");
  assert_outcome (replies, 5, -1, "b");
}

static void
test_many_none (Fixture       *fixture,
                gconstpointer  data)
{
  static const char * const texts[] = { NULL };
  g_autoptr (GVariant) replies = NULL;
  g_autoptr (GVariant) none = NULL;
  g_autoptr (GError) error = NULL;

  none = g_fork_pool_call_many (fixture->pool, requests_of (texts), NULL, &error);
  g_assert_null (none);
  g_assert_error (error, G_FORK_ERROR, G_FORK_ERROR_CLOSED);
  g_clear_error (&error);

  start_fixture (fixture);
  replies = g_fork_pool_call_many (fixture->pool, requests_of (texts), NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_variant_n_children (replies), ==, 0);
}

/* Those that wait are taken out of the queue, the worker of the one that runs is killed, and
 * those of others that were sent behind it are done by another worker. */
static void
test_many_cancelled (Fixture       *fixture,
                     gconstpointer  data)
{
  static const char * const texts[] = { "block", "pid", "pid", "pid", "pid", NULL };
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GAsyncResult) other = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_pool_set_max_restarts (fixture->pool, 0);
  g_fork_pool_set_jobs_in_flight (fixture->pool, 3);
  start_fixture (fixture);
  g_fork_pool_call_many_async (fixture->pool, requests_of (texts), cancellable, test_store_result,
                               &result);
  wait_until_busy (fixture);
  g_assert_cmpuint (g_fork_pool_get_n_waiting (fixture->pool), ==, 2);
  call_async (fixture, "echo other", NULL, &other);

  g_cancellable_cancel (cancellable);
  g_assert_null (await_many (fixture, &result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  assert_reply (await (fixture, &other, &error), "other");
  g_assert_no_error (error);
  g_assert_cmpuint (g_fork_pool_get_n_waiting (fixture->pool), ==, 0);
}

static void
test_many_stopped (Fixture       *fixture,
                   gconstpointer  data)
{
  static const char * const texts[] = { "block", "pid", NULL };
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GVariant) replies = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_pool_set_stop_timeout (fixture->pool, 1);
  start_fixture (fixture);
  g_fork_pool_call_many_async (fixture->pool, requests_of (texts), NULL, test_store_result,
                               &result);
  wait_until_busy (fixture);
  g_assert_true (g_fork_pool_stop (fixture->pool, NULL, &error));
  g_assert_no_error (error);
  replies = await_many (fixture, &result, &error);
  g_assert_no_error (error);
  assert_outcome (replies, 0, G_FORK_ERROR_LOST, "signal 9");
  assert_outcome (replies, 1, G_FORK_ERROR_CLOSED, "not running");
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

#define add(path, function) g_test_add (path, Fixture, NULL, set_up, function, tear_down)
  add ("/pool-many/all", test_many);
  add ("/pool-many/some-fail", test_many_fail);
  add ("/pool-many/none", test_many_none);
  add ("/pool-many/cancelled", test_many_cancelled);
  add ("/pool-many/stopped", test_many_stopped);

  return g_test_run ();
}
