/* executions.c: helpers for tests that execute programs
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "executions.h"

/* Executes a program in a template, which has to work. */
GForkProcess *
execute_in (GForkTemplate      *template,
            const char * const *argv,
            GForkExecFlags      flags)
{
  GForkProcess *process = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = g_fork_template_execv (template, argv, flags, &process, NULL, &error);

  g_assert_no_error (error);
  g_assert_nonnull (socket);
  g_assert_nonnull (process);
  return process;
}

GForkProcess *
execute (const char * const *argv,
         GForkExecFlags      flags)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();

  return execute_in (template, argv, flags);
}

void
assert_succeeds (GForkProcess *process)
{
  g_autoptr (GError) error = NULL;
  gboolean succeeded = g_fork_process_wait_check (process, NULL, &error);

  g_assert_no_error (error);
  g_assert_true (succeeded);
}

/* A communication that has to work: what came out, and an empty string for what is no pipe. */
void
communicate (GForkProcess *process,
             const char   *input,
             const char   *expected_stdout,
             const char   *expected_stderr)
{
  g_autofree char *out = NULL;
  g_autofree char *err = NULL;
  g_autoptr (GError) error = NULL;
  gboolean ended = g_fork_process_communicate_utf8 (process, input, NULL, &out, &err, &error);

  g_assert_no_error (error);
  g_assert_true (ended);
  g_assert_cmpstr (out, ==, expected_stdout);
  g_assert_cmpstr (err, ==, expected_stderr);
}
