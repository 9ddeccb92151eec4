/* operations.c: calls the asynchronous operations of a template, for tests that hold for each
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "operations.h"

#include <errno.h>
#include <sys/socket.h>

GForkTemplate *
new_played_by_test (TestFd *other_end)
{
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  int fds[2];

  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  socket = g_socket_new_from_fd (fds[0], &error);
  g_assert_no_error (error);
  *other_end = fds[1];

  return g_fork_template_new_from_socket (socket);
}

void
operation_begin (GForkTemplate *template,
                 Operation      operation,
                 GCancellable  *cancellable,
                 GAsyncResult **result)
{
  switch (operation)
    {
    case PREPARE:
      g_fork_template_prepare_async (template, cancellable, test_store_result, result);
      break;
    case RUN:
      g_fork_template_run_async (template, "function", cancellable, test_store_result, result);
      break;
    case EXEC:
      g_fork_template_execv_async (template, (const char *[]){ "/bin/true", NULL },
                                   G_FORK_EXEC_NONE, cancellable, test_store_result, result);
      break;
    case DETACH:
      g_fork_template_detach_async (template, cancellable, test_store_result, result);
      break;
    }
}

/* Returns why it failed, NULL if it did not. */
GError *
operation_end (GForkTemplate  *template,
               Operation       operation,
               GAsyncResult  **result,
               GForkProcess  **process)
{
  g_autoptr (GSocket) socket = NULL;
  GError *error = NULL;
  gboolean good = FALSE;

  test_await (result);
  switch (operation)
    {
    case PREPARE:
      good = g_fork_template_prepare_finish (template, *result, &error);
      break;
    case RUN:
      socket = g_fork_template_run_finish (template, *result, process, &error);
      good = socket != NULL;
      break;
    case EXEC:
      socket = g_fork_template_execv_finish (template, *result, process, &error);
      good = socket != NULL;
      break;
    case DETACH:
      socket = g_fork_template_detach_finish (template, *result, &error);
      good = socket != NULL;
      break;
    }

  g_assert_cmpint (good, ==, error == NULL);
  if (error != NULL)
    g_assert_true (g_utf8_validate (error->message, -1, NULL));
  g_clear_object (result);
  return error;
}
