/* template-prepare.c: tests of preparing templates, and of commands that are queued
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

/* prepare returns when all that was asked for is done, and can be repeated. */
static void
test_prepare_sync (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autofree char *written = NULL;
  g_auto (TestFd) tell_tale = test_add_tell_tale (template);

  g_fork_template_call (template, "keep_args", NULL);
  test_prepare (template);
  written = test_read_fd (tell_tale);
  g_assert_cmpstr (written, ==, "written by the template");

  test_prepare (template);
}

/* prepare_async completes not before the commands are done. */
static void
test_prepare_async (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) unblock = -1;

  test_block (template, &unblock);
  g_fork_template_prepare_async (template, NULL, test_store_result, &result);

  /* Another template's round trip is time enough for an early answer. */
  test_default_pid ();
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_null (result);

  test_close_fd (&unblock);
  test_await (&result);
  g_assert_true (g_async_result_is_tagged (result, g_fork_template_prepare_async));
  g_assert_true (g_fork_template_prepare_finish (template, result, &error));
  g_assert_no_error (error);
}

/* Several round trips can be under way; they complete in order. */
static void
on_prepared (GObject      *object,
             GAsyncResult *result,
             gpointer      user_data)
{
  GString *order = user_data;
  g_autoptr (GError) error = NULL;

  g_assert_true (g_fork_template_prepare_finish (G_FORK_TEMPLATE (object), result, &error));
  g_assert_no_error (error);
  g_string_append_c (order, '0' + order->len);
}

static void
test_prepare_several (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GString) order = g_string_new (NULL);

  for (int i = 0; i < 5; i++)
    g_fork_template_prepare_async (template, NULL, on_prepared, order);
  while (order->len < 5)
    g_main_context_iteration (NULL, TRUE);

  g_assert_cmpstr (order->str, ==, "01234");
}

/* A callback may iterate the context until the same process has answered something else,
 * which was asked for before; whether that comes later or has come with the first. */
typedef struct
{
  GString *order;
  TestFd unblock;
} Nested;

static void
on_prepared_iterate (GObject      *object,
                     GAsyncResult *result,
                     gpointer      user_data)
{
  Nested *nested = user_data;

  on_prepared (object, result, nested->order);
  test_close_fd (&nested->unblock);
  while (nested->order->len < 2)
    g_main_context_iteration (NULL, TRUE);
  g_string_append_c (nested->order, '.');
}

static void
test_prepare_within_callback (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GString) order = g_string_new (NULL);
  Nested nested = { .order = order, .unblock = -1 };

  g_fork_template_prepare_async (template, NULL, on_prepared_iterate, &nested);
  test_block (template, &nested.unblock);
  g_fork_template_prepare_async (template, NULL, on_prepared, order);
  while (order->len < 3)
    g_main_context_iteration (NULL, TRUE);

  g_assert_cmpstr (order->str, ==, "01.");
}

static void
test_prepare_within_callback_at_once (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GString) order = g_string_new (NULL);
  Nested nested = { .order = order, .unblock = -1 };

  g_fork_template_prepare_async (template, NULL, on_prepared_iterate, &nested);
  g_fork_template_prepare_async (template, NULL, on_prepared, order);
  /* It has answered both before it forks. */
  child = g_fork_template_fork (template);
  socket = test_run (child, "answer", NULL);
  while (order->len < 3)
    g_main_context_iteration (NULL, TRUE);

  g_assert_cmpstr (order->str, ==, "01.");
}

/* Nothing waits for the process: a template that does not listen takes more
 * commands than any socket holds, and does them all once it listens. */
static void
test_commands_are_queued (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GString) expected = g_string_new (NULL);
  g_autoptr (GString) all = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *kilobyte = g_strnfill (1024, 'x');
  g_auto (TestFd) unblock = -1;

  test_block (template, &unblock);
  for (int i = 0; i < 2000; i++)
    {
      g_fork_template_send_arg (template, kilobyte);
      g_string_append_printf (expected, "1024:%s\n", kilobyte);
      if (i % 100 == 0)
        {
          g_fork_template_send_fd (template, 2);
          g_string_append (expected, "fd\n");
        }
    }
  g_fork_template_run_async (template, "dump_args", NULL, test_store_result, &result);

  test_close_fd (&unblock);
  test_await (&result);
  socket = g_fork_template_run_finish (template, result, NULL, &error);
  g_assert_no_error (error);
  all = test_read_all (socket);
  g_assert_cmpmem (all->str, all->len, expected->str, expected->len);
}

/* The same with a synchronous call: it sends what waits, without a main loop. */
static void
test_commands_are_queued_sync (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autofree char *kilobyte = g_strnfill (1024, 'x');

  for (int i = 0; i < 2000; i++)
    g_fork_template_send_arg (template, kilobyte);
  test_assert_worker_answers (template, "n-args", "2000");
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/template/prepare/sync", test_prepare_sync);
  g_test_add_func ("/template/prepare/async", test_prepare_async);
  g_test_add_func ("/template/prepare/several", test_prepare_several);
  g_test_add_func ("/template/prepare/within-callback", test_prepare_within_callback);
  g_test_add_func ("/template/prepare/within-callback-at-once",
                   test_prepare_within_callback_at_once);
  g_test_add_func ("/template/queue/async", test_commands_are_queued);
  g_test_add_func ("/template/queue/sync", test_commands_are_queued_sync);

  return g_test_run ();
}
