/* sandbox-inside.c: tests of what works in a sandbox, and of what keeps processes in it
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define LARGE (200 * 1000)

static GForkTemplate *
confine (GForkTemplate *template,
         GForkSandbox  *sandbox)
{
  g_autoptr (GForkSandbox) empty = g_fork_sandbox_new ();

  g_fork_template_confine (template, sandbox != NULL ? sandbox : empty);
  return template;
}

static void
assert_says (GForkTemplate *template,
             const char    *function,
             const char    *expected)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_run (template, function, &process);
  g_autofree char *answer = test_ask (socket, "%s", "");

  g_assert_cmpstr (answer, ==, expected);
  test_assert_exits (process, 0);
}

static void
allow_shell (GForkSandbox *sandbox)
{
  static const char *const loaders[] = { "/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1",
                                         "/lib/ld-linux.so.2" };

  g_fork_sandbox_allow_execute (sandbox, "/bin/sh");
  for (guint i = 0; i < G_N_ELEMENTS (loaders); i++)
    if (g_file_test (loaders[i], G_FILE_TEST_EXISTS))
      g_fork_sandbox_allow_execute (sandbox, loaders[i]);
  g_fork_sandbox_allow_read (sandbox, "/lib");
  g_fork_sandbox_allow_read (sandbox, "/usr/lib");
}

/* ——— What works ——— */

static void
test_main_loop (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();

  g_fork_template_require (template, "test-inside");
  confine (template, NULL);
  assert_says (template, "use_main_loop", "child idle socket task timeout");
}

static void
test_pixbuf (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GError) error = NULL;

  g_fork_template_call (template, "test-inside:load_pixbuf", NULL);
  if (!g_fork_template_prepare (template, NULL, &error))
    {
      g_test_skip (error->message);
      return;
    }
  confine (template, NULL);
  assert_says (template, "decode_pixbuf", "1 x 1, ff");
}

static void
test_python (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_for_runtime ("python3");

  g_fork_template_eval (template,
                        "import json, struct, sys, threading\n"
                        "def work (sock):\n"
                        "  sock.recv (1)\n"
                        "  found = []\n"
                        "  thread = threading.Thread (target=lambda: found.append (\n"
                        "    struct.unpack ('>I', struct.pack ('<I', 1))[0]))\n"
                        "  thread.start ()\n"
                        "  thread.join ()\n"
                        "  try:\n"
                        "    open ('/etc/passwd')\n"
                        "  except PermissionError as error:\n"
                        "    found.append (error.errno)\n"
                        "  print ('# a confined worker in Python prints', file=sys.stderr)\n"
                        "  sock.sendall (json.dumps ({'found': found}).encode () + b'\\n')\n",
                        NULL);
  confine (template, NULL);
  assert_says (template, "work", "{\"found\": [16777216, 13]}");
}

static void
test_jobs (gconstpointer may_execute)
{
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkPool) pool = NULL;
  g_autofree char *text = g_strdup_printf ("large %d", LARGE);
  g_autoptr (GBytes) request = g_bytes_new (text, strlen (text));
  g_autoptr (GBytes) reply = NULL;
  g_autoptr (GError) error = NULL;

  if (!test_has_sealed_memory ())
    {
      g_test_skip ("A large reply would need a file.");
      return;
    }

  if (may_execute != NULL)
    g_fork_sandbox_allow_execute (sandbox, "/bin/sh");
  g_fork_template_require (template, "test-jobs");
  confine (template, sandbox);
  pool = g_fork_pool_new (template, "jobs");
  g_assert_true (g_fork_pool_start (pool, NULL, &error));
  g_assert_no_error (error);

  reply = g_fork_pool_call (pool, request, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_bytes_get_size (reply), ==, LARGE);
  g_assert_true (g_fork_pool_stop (pool, NULL, &error));
  g_assert_no_error (error);
}

/* The interpreter has threads from the beginning. */
static void
test_gjs (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_for_runtime ("gjs");
  g_autoptr (GError) error = NULL;

  if (!g_fork_template_prepare (template, NULL, &error))
    {
      g_test_skip (error->message);
      return;
    }
  confine (template, NULL);
  g_assert_false (g_fork_template_prepare (template, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_THREADED, "confined");
}

/* ——— What stays ——— */

static void
assert_is_confined (GForkTemplate *template)
{
  g_autoptr (GSocket) socket = test_run (template, "do_things", NULL);

  g_assert_cmpint (test_ask_number (socket, "read /etc/passwd"), ==, EACCES);
}

/* Spares that were made before are not used any more. */
static void
test_spares (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkTemplate) early = NULL;
  g_autoptr (GForkTemplate) fork = NULL;

  g_fork_template_require (template, "test-confined");
  g_fork_template_set_spare_processes (template, 2);
  test_prepare (template);
  early = g_fork_template_fork (template);
  test_prepare (early);
  confine (template, NULL);
  fork = g_fork_template_fork (template);
  assert_is_confined (fork);
}

/* Where a confined process was, no other takes its place by itself. */
static void
test_default (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GForkTemplate) before = NULL;
  g_autoptr (GForkTemplate) after = NULL;
  g_autoptr (GForkTemplate) fresh = NULL;
  GPid pid;

  g_fork_template_require (template, "test-confined");
  confine (template, NULL);
  fork = g_fork_template_fork (template);
  test_prepare (fork);
  g_object_get (fork, "pid", &pid, NULL);
  g_fork_template_set_default (fork);
  before = g_fork_template_new ();
  assert_is_confined (before);

  test_kill_and_wait (pid);
  after = g_fork_template_new ();
  test_assert_run_fails (after, "test-confined:do_things", G_FORK_ERROR_LOST);

  g_fork_template_set_default (NULL);
  fresh = g_fork_template_new ();
  test_prepare (fresh);
}

/* Nor when an interpreter is named, which the next default would be started with. */
static void
test_default_of_interpreter (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec_for_runtime ("python3");
  g_autoptr (GForkTemplate) later = NULL;

  g_fork_template_eval (template,
                        "def work (sock):\n"
                        "  sock.recv (1)\n"
                        "  try:\n"
                        "    open ('/etc/passwd')\n"
                        "    sock.sendall (b'free\\n')\n"
                        "  except PermissionError:\n"
                        "    sock.sendall (b'confined\\n')\n",
                        NULL);
  confine (template, NULL);
  test_prepare (template);
  g_fork_template_set_default (template);

  g_fork_set_interpreter ("python3", "/usr/bin/python3");
  later = g_fork_template_new_for_runtime ("python3");
  assert_says (later, "work", "confined");

  g_fork_set_interpreter ("python3", NULL);
  g_fork_template_set_default (NULL);
}

/* Programs of one template are separated from each other, from its workers and from it. */
static void
test_programs (void)
{
  static const char *const reads[] = { "/bin/sh", "-c", "read line", NULL };
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkTemplate) first = NULL;
  g_autoptr (GForkTemplate) second = NULL;
  g_autoptr (GForkTemplate) worker = NULL;
  g_autoptr (GForkProcess) first_process = NULL;
  g_autoptr (GSocket) first_socket = NULL;
  g_autoptr (GSocket) second_socket = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GString) said = NULL;
  g_autofree char *script = NULL;
  g_autofree char *question = NULL;
  g_autoptr (GError) error = NULL;
  GPid pid;

  allow_shell (sandbox);
  g_fork_template_require (template, "test-confined");
  confine (template, sandbox);
  test_prepare (template);
  g_object_get (template, "pid", &pid, NULL);

  first = g_fork_template_fork (template);
  first_socket = g_fork_template_execv (first, reads, G_FORK_EXEC_SOCKET_STDIN, &first_process, NULL,
                                        &error);
  g_assert_no_error (error);
  script = g_strdup_printf ("kill -0 $$ && echo itself; kill -0 %d && echo template;"
                            " kill -0 %d && echo sibling; kill -0 %d && echo application",
                            pid, g_fork_process_get_pid (first_process), getpid ());
  second = g_fork_template_fork (template);
  second_socket = g_fork_template_execv (second, (const char *[]){ "/bin/sh", "-c", script, NULL },
                                         G_FORK_EXEC_SOCKET_STDOUT | G_FORK_EXEC_STDERR_SILENCE, NULL,
                                         NULL, &error);
  g_assert_no_error (error);
  said = test_read_all (second_socket);
  g_assert_cmpstr (said->str, ==, "itself\n");

  worker = g_fork_template_fork (template);
  socket = test_run (worker, "do_things", NULL);
  question = g_strdup_printf ("kill %d 0", g_fork_process_get_pid (first_process));
  g_assert_cmpint (test_ask_number (socket, question), ==, EPERM);
}

int
main (int    argc,
      char **argv)
{
  const GForkSandboxFeatures all = G_FORK_SANDBOX_FILES | G_FORK_SANDBOX_NETWORK
                                   | G_FORK_SANDBOX_SIGNALS | G_FORK_SANDBOX_SYSTEM_CALLS;

  g_test_init (&argc, &argv, NULL);

  if (test_under_sanitizer ())
    {
      g_print ("1..0 # SKIP what a sanitizer does at the end of a process is not allowed\n");
      return 0;
    }

  if (g_fork_sandbox_get_features () != all)
    {
      g_print ("1..0 # SKIP the kernel cannot confine\n");
      return 0;
    }

  g_test_add_func ("/sandbox-inside/main-loop", test_main_loop);
  g_test_add_func ("/sandbox-inside/pixbuf", test_pixbuf);
  g_test_add_func ("/sandbox-inside/python", test_python);
  g_test_add_data_func ("/sandbox-inside/jobs", NULL, test_jobs);
  g_test_add_data_func ("/sandbox-inside/jobs-and-programs", GINT_TO_POINTER (TRUE), test_jobs);
  g_test_add_func ("/sandbox-inside/gjs", test_gjs);
  g_test_add_func ("/sandbox-inside/spares", test_spares);
  g_test_add_func ("/sandbox-inside/default", test_default);
  g_test_add_func ("/sandbox-inside/default-of-interpreter", test_default_of_interpreter);
  g_test_add_func ("/sandbox-inside/programs", test_programs);

  return g_test_run ();
}
