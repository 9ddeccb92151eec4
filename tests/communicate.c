/* communicate.c: tests of g_fork_process_communicate()
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "executions.h"

#include <signal.h>
#include <string.h>

static void
assert_bytes (GBytes     *bytes,
              const char *expected)
{
  g_assert_nonnull (bytes);
  g_assert_cmpmem (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), expected,
                   strlen (expected));
}

/* In all forms: bytes and strings, blocking and not. */
static void
test_communicate (gconstpointer kind)
{
  static const char input[] = "# hello world\n";
  g_autoptr (GBytes) bytes = g_bytes_new_static (input, strlen (input));

  for (int form = 0; form < 4; form++)
    {
      g_autoptr (GForkTemplate) template = test_make (kind);
      g_autoptr (GForkProcess) process =
          execute_in (template, SCRIPT ("cat; echo done >&2"), IN | OUT | ERR);
      g_autoptr (GAsyncResult) result = NULL;
      g_autoptr (GBytes) out = NULL;
      g_autoptr (GBytes) err = NULL;
      g_autoptr (GError) error = NULL;
      g_autofree char *out_text = NULL;
      g_autofree char *err_text = NULL;
      gboolean ended = FALSE;

      switch (form)
        {
        case 0:
          ended = g_fork_process_communicate (process, bytes, NULL, &out, &err, &error);
          break;
        case 1:
          g_fork_process_communicate_async (process, bytes, NULL, test_store_result, &result);
          g_assert_null (result);
          test_await (&result);
          ended = g_fork_process_communicate_finish (process, result, &out, &err, &error);
          break;
        case 2:
          ended = g_fork_process_communicate_utf8 (process, input, NULL, &out_text, &err_text, &error);
          break;
        case 3:
          g_fork_process_communicate_utf8_async (process, input, NULL, test_store_result, &result);
          g_assert_null (result);
          test_await (&result);
          ended = g_fork_process_communicate_utf8_finish (process, result, &out_text, &err_text,
                                                          &error);
          break;
        }

      g_assert_no_error (error);
      g_assert_true (ended);
      g_assert_true (g_fork_process_get_if_exited (process));
      if (form < 2)
        {
          assert_bytes (out, input);
          assert_bytes (err, "done\n");
        }
      else
        {
          g_assert_cmpstr (out_text, ==, input);
          g_assert_cmpstr (err_text, ==, "done\n");
        }
    }
}

/* Nothing to say and nothing to hear. */
static void
test_communicate_nothing (void)
{
  g_autoptr (GForkProcess) process = execute (WORDS ("/bin/true"), G_FORK_EXEC_NONE);
  g_autoptr (GForkProcess) cat = execute (WORDS ("/bin/cat"), IN | OUT);
  g_autoptr (GForkProcess) ignored = execute (SCRIPT ("echo unwanted"), OUT | ERR);
  g_autoptr (GError) error = NULL;

  communicate (process, NULL, NULL, NULL);
  communicate (cat, NULL, "", NULL);
  g_assert_true (g_fork_process_communicate (ignored, NULL, NULL, NULL, NULL, &error));
  g_assert_no_error (error);
}

/* 8 MiB there and back, which no pipe holds. */
static void
test_communicate_much (void)
{
  gsize length = 8 << 20;
  guint8 *data = g_malloc (length);
  g_autoptr (GBytes) input = NULL;
  g_autoptr (GBytes) output = NULL;
  g_autoptr (GForkProcess) process = execute (WORDS ("/bin/cat"), IN | OUT);
  g_autoptr (GError) error = NULL;

  for (gsize i = 0; i < length; i++)
    data[i] = (guint8) (i * 2654435761u >> 13);
  input = g_bytes_new_take (data, length);
  g_assert_true (g_fork_process_communicate (process, input, NULL, &output, NULL, &error));
  g_assert_no_error (error);
  g_assert_true (g_bytes_equal (input, output));
  assert_succeeds (process);
}

/* Both outputs at once, each more than a pipe holds. */
static void
test_communicate_both_outputs (void)
{
  g_autoptr (GForkProcess) process =
      execute (SCRIPT ("head -c 300000 /dev/zero >&2; head -c 400000 /dev/zero; exit 3"), OUT | ERR);
  g_autoptr (GBytes) out = NULL;
  g_autoptr (GBytes) err = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (g_fork_process_communicate (process, NULL, NULL, &out, &err, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (g_bytes_get_size (out), ==, 400000);
  g_assert_cmpuint (g_bytes_get_size (err), ==, 300000);
  g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 3);
}

/* A program that does not read its input is no error, and its output is there. The
 * application would die of SIGPIPE. */
static void
test_communicate_ignored_input (void)
{
  g_autofree char *input = g_strnfill (1 << 20, 'x');

  if (!test_in_subprocess ())
    return;

  for (int i = 0; i < 20; i++)
    {
      g_autoptr (GForkProcess) process = execute (SCRIPT ("exec <&-; echo output; exit 7"), IN | OUT);

      signal (SIGPIPE, SIG_DFL);
      communicate (process, input, "output\n", NULL);
      g_assert_cmpint (g_fork_process_get_exit_status (process), ==, 7);
    }
}

/* One that has ended before the communication begins. */
static void
test_communicate_late (void)
{
  g_autoptr (GForkProcess) process = execute (SCRIPT ("echo early"), IN | OUT);
  g_autoptr (GError) error = NULL;

  g_assert_true (g_fork_process_wait (process, NULL, &error));
  g_assert_no_error (error);
  communicate (process, "too late", "early\n", NULL);
}

/* Cancelling ends the communication, in every form, and not the program. */
static void
test_communicate_cancelled (void)
{
  for (int form = 0; form < 4; form++)
    {
      g_autoptr (GForkProcess) process = execute (WORDS ("/bin/cat"), IN | OUT);
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      g_autoptr (GAsyncResult) result = NULL;
      g_autoptr (GBytes) output = (GBytes *) NULL;
      g_autoptr (GError) error = NULL;
      g_autofree char *text = NULL;

      if (form < 2)
        g_cancellable_cancel (cancellable);
      switch (form)
        {
        case 0:
          g_assert_false (g_fork_process_communicate (process, NULL, cancellable, &output, NULL,
                                                      &error));
          break;
        case 1:
          g_assert_false (g_fork_process_communicate_utf8 (process, "text", cancellable, &text, NULL,
                                                           &error));
          break;
        case 2:
          /* Its input stays open. */
          g_fork_process_communicate_async (process, NULL, cancellable, test_store_result, &result);
          g_cancellable_cancel (cancellable);
          test_await (&result);
          g_assert_false (g_fork_process_communicate_finish (process, result, &output, NULL, &error));
          break;
        case 3:
          g_fork_process_communicate_utf8_async (process, NULL, cancellable, test_store_result,
                                                 &result);
          g_cancellable_cancel (cancellable);
          test_await (&result);
          g_assert_false (g_fork_process_communicate_utf8_finish (process, result, &text, NULL,
                                                                  &error));
          break;
        }
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
      g_assert_null (output);
      g_assert_null (text);
      if (form < 2)
        g_assert_true (g_fork_process_is_running (process));
      g_fork_process_force_exit (process);
    }
}

/* Output that is no UTF-8 is an error that says where; UTF-8 in pieces is none. */
static void
test_communicate_utf8 (void)
{
  g_autoptr (GForkProcess) valid = execute (WORDS ("/bin/cat"), IN | OUT);
  g_autofree char *umlauts = NULL;
  g_autoptr (GString) many = g_string_new (NULL);

  for (int i = 0; i < 100001; i++)
    g_string_append (many, "€");
  umlauts = g_strdup (many->str);
  communicate (valid, umlauts, umlauts, NULL);

  for (int async = 0; async < 2; async++)
    {
      g_autoptr (GForkProcess) process = execute (SCRIPT ("printf 'good\\377bad'"), OUT);
      g_autoptr (GAsyncResult) result = NULL;
      g_autoptr (GError) error = NULL;
      g_autofree char *text = NULL;

      if (async)
        {
          g_fork_process_communicate_utf8_async (process, NULL, NULL, test_store_result, &result);
          test_await (&result);
          g_assert_false (g_fork_process_communicate_utf8_finish (process, result, &text, NULL, &error));
        }
      else
        g_assert_false (g_fork_process_communicate_utf8 (process, NULL, NULL, &text, NULL, &error));
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
      g_assert_nonnull (strstr (error->message, "4"));
      g_assert_null (text);
    }
}

/* A process whose template is killed loses no output, also if its status is lost. */
static void
test_communicate_orphan (void)
{
  g_autoptr (GForkTemplate) parent = g_fork_template_new_exec ();
  g_autoptr (GForkTemplate) template = g_fork_template_fork (parent);
  g_autoptr (GForkProcess) process = execute_in (template, WORDS ("/bin/cat"), IN | OUT);

  test_prepare (parent);
  g_assert_no_errno (kill (g_fork_template_get_pid (parent), SIGKILL));
  communicate (process, "not lost", "not lost", NULL);
}

/* In a thread with a context of its own, while nobody iterates the default one. */
static gpointer
communicate_in_thread (gpointer data)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GBytes) input = g_bytes_new_static ("thread", 6);
  g_autoptr (GBytes) output = NULL;
  g_autoptr (GError) error = NULL;

  g_main_context_push_thread_default (context);
  process = execute (WORDS ("/bin/cat"), IN | OUT);
  g_fork_process_communicate_async (process, input, NULL, test_store_result, &result);
  while (result == NULL)
    g_main_context_iteration (context, TRUE);
  g_assert_true (g_fork_process_communicate_finish (process, result, &output, NULL, &error));
  g_assert_no_error (error);
  assert_bytes (output, "thread");
  g_main_context_pop_thread_default (context);
  return NULL;
}

static void
test_communicate_thread (void)
{
  GThread *threads[4];

  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("communicate", communicate_in_thread, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  test_add_kinds ("/communicate/forms", test_communicate);
  g_test_add_func ("/communicate/nothing", test_communicate_nothing);
  g_test_add_func ("/communicate/much", test_communicate_much);
  g_test_add_func ("/communicate/both-outputs", test_communicate_both_outputs);
  g_test_add_func ("/communicate/ignored-input", test_communicate_ignored_input);
  g_test_add_func ("/communicate/late", test_communicate_late);
  g_test_add_func ("/communicate/cancelled", test_communicate_cancelled);
  g_test_add_func ("/communicate/utf8", test_communicate_utf8);
  g_test_add_func ("/communicate/orphan", test_communicate_orphan);
  g_test_add_func ("/communicate/thread", test_communicate_thread);

  return g_test_run ();
}
