/* languages.c: tests of applications in C with workers in other languages
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <gio/gunixconnection.h>
#include <glib-unix.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the worker modules here call their functions. */
typedef struct
{
  const char *runtime;
  const char *module;
  const char *echo;
  const char *exit_with;
  const char *write_to;
  const char *send_back;
  const char *exception; /* that the function `fail` throws */
} Language;

static const Language languages[] = {
  { "python3", "py_worker", "echo", "exit_with", "write_to", "send_back", "KeyError" },
  { "gjs", "js-worker", "echo", "exitWith", "writeTo", "sendBack", "RangeError" },
};

static GForkTemplate *
make (const Language *language)
{
  GForkTemplate *template = g_fork_template_new_for_runtime (language->runtime);

  g_fork_template_require (template, language->module);
  return template;
}

static void
test_conversation (gconstpointer data)
{
  const Language *language = data;
  g_autoptr (GForkTemplate) template = make (language);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_run (template, language->echo, &process);
  g_autoptr (GError) error = NULL;

  test_send (socket, "there and back");
  g_assert_true (g_socket_shutdown (socket, FALSE, TRUE, &error));
  test_assert_all_is (socket, "there and back");
  g_assert_true (g_fork_process_wait_check (process, NULL, &error));
  g_assert_no_error (error);
}

/* A fork knows what its template was told, and its status comes back. */
static void
test_statuses (gconstpointer data)
{
  const Language *language = data;
  g_autoptr (GForkTemplate) template = make (language);

  for (int status = 0; status < 6; status += 3)
    {
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
      g_autofree char *text = g_strdup_printf ("%d", status);
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket = NULL;
      g_autoptr (GError) error = NULL;

      g_fork_template_send_arg (fork, text);
      socket = test_run (fork, language->exit_with, &process);
      g_assert_true (g_fork_process_wait (process, NULL, &error));
      g_assert_no_error (error);
      g_assert_cmpint (g_fork_process_get_exit_status (process), ==, status);
    }
}

static void
assert_run_fails (const Language *language,
                  const char     *call,
                  const char     *function,
                  GForkError      code,
                  const char     *word)
{
  g_autoptr (GForkTemplate) template = make (language);
  g_autoptr (GError) error = NULL;

  if (call != NULL)
    g_fork_template_call (template, call, NULL);
  g_assert_null (g_fork_template_run (template, function, NULL, NULL, &error));
  test_assert_error (error, code, word);
}

static void
test_errors (gconstpointer data)
{
  const Language *language = data;

  assert_run_fails (language, NULL, "nowhere:f", G_FORK_ERROR_MODULE, "nowhere");
  assert_run_fails (language, NULL, "not_there", G_FORK_ERROR_FUNCTION, "not_there");
  assert_run_fails (language, "fail", language->echo, G_FORK_ERROR_CALL, language->exception);
}

static void
test_descriptor_there (gconstpointer data)
{
  const Language *language = data;
  g_autoptr (GForkTemplate) template = make (language);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *written = NULL;
  g_auto (TestFd) ours = -1;
  g_auto (TestFd) theirs = -1;
  int fds[2];

  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  ours = fds[0];
  theirs = fds[1];
  g_fork_template_send_fd (template, theirs);
  test_close_fd (&theirs);
  socket = test_run (template, language->write_to, &process);
  g_assert_true (g_fork_process_wait_check (process, NULL, &error));
  g_assert_no_error (error);
  written = test_read_fd (ours);
  g_assert_cmpstr (written, ==, "written by the worker");
}

static void
test_descriptor_back (gconstpointer data)
{
  const Language *language = data;
  g_autoptr (GForkTemplate) template = make (language);
  g_autoptr (GSocket) socket = test_run (template, language->send_back, NULL);
  g_autoptr (GSocketConnection) connection = g_socket_connection_factory_create_connection (socket);
  g_autoptr (GError) error = NULL;
  g_autofree char *content = NULL;
  g_auto (TestFd) fd = -1;

  g_socket_set_blocking (socket, TRUE);
  fd = g_unix_connection_receive_fd (G_UNIX_CONNECTION (connection), NULL, &error);
  g_assert_no_error (error);
  content = test_read_fd (fd);
  g_assert_cmpstr (content, ==, "from the worker");
}

static void
add (const Language *language,
     const char     *name,
     GTestDataFunc   test)
{
  g_autofree char *path = g_strdup_printf ("/languages/%s/%s", language->runtime, name);

  g_test_add_data_func (path, language, test);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (languages); i++)
    {
      const Language *language = &languages[i];
      g_autofree char *program = g_find_program_in_path (language->runtime);

      if (program == NULL)
        continue;
      add (language, "conversation", test_conversation);
      add (language, "statuses", test_statuses);
      add (language, "errors", test_errors);
      add (language, "descriptor-there", test_descriptor_there);
      add (language, "descriptor-back", test_descriptor_back);
    }

  return g_test_run ();
}
