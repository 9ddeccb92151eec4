/* messages.c: tests of warnings about errors that nobody has asked for, debug messages and names
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

/* ——— A worker that has failed ——— */

/* The sentence names it; domain and code are those of g_spawn_check_wait_status(). */
static void
assert_check_fails (GForkProcess *process,
                    const char   *name,
                    const char   *what)
{
  g_autofree char *id = g_strdup_printf ("(process %d)", g_fork_process_get_pid (process));
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) expected = NULL;

  g_assert_false (g_fork_process_wait_check (process, NULL, &error));
  g_assert_false (g_spawn_check_wait_status (g_fork_process_get_wait_status (process), &expected));
  g_assert_error (error, expected->domain, expected->code);
  g_assert_nonnull (strstr (error->message, name));
  g_assert_nonnull (strstr (error->message, id));
  g_assert_nonnull (strstr (error->message, what));
}

static void
test_check_status (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket G_GNUC_UNUSED = NULL;

  g_fork_template_send_arg (template, "3");
  socket = test_run (template, "test-worker:leave_with", &process);
  assert_check_fails (process, "“test-worker:leave_with”", "status 3");
}

static void
test_check_signal (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket G_GNUC_UNUSED = test_run (template, "echo", &process);

  g_fork_process_force_exit (process);
  assert_check_fails (process, "“echo”", "signal 9");
}

static void
test_check_program (void)
{
  const char *const argv[] = { "/bin/sh", "-c", "exit 4", NULL };
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = g_fork_template_execv (template, argv, 0, &process, NULL, &error);

  g_assert_no_error (error);
  g_assert_nonnull (socket);
  assert_check_fails (process, "“/bin/sh”", "status 4");
}

/* ——— A module that is not found ——— */

/* The directories are a list, without those that nothing is looked for in. */
static void
test_module_path (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();

  g_fork_template_setenv (template, "GFORK_MODULE_PATH", "/one:relative::/two");
  g_fork_template_require (template, "nowhere");
  {
    g_autoptr (GError) error = test_fail_to_prepare (template);

    test_assert_error (error, G_FORK_ERROR_MODULE, "“nowhere”", "/one, /two, /");
    g_assert_null (strstr (error->message, "relative"));
  }
}

/* ——— What is printed ——— */

/* Returns what this program prints, executed again to do @what. */
static char *
do_in_program (const char *what,
               const char *debugged_domains)
{
  g_autofree char *program = g_file_read_link ("/proc/self/exe", NULL);
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (
      G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE);
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) error = NULL;
  char *output = NULL;

  g_subprocess_launcher_setenv (launcher, "G_MESSAGES_DEBUG", debugged_domains, TRUE);
  process = g_subprocess_launcher_spawn (launcher, &error, program, "--do", what, NULL);
  g_assert_no_error (error);
  g_subprocess_communicate_utf8 (process, NULL, NULL, &output, NULL, &error);
  g_assert_no_error (error);
  if (!g_subprocess_get_successful (process))
    g_error ("%s: %s", what, output);
  return output;
}

static guint
count_words (const char *text,
             const char *words)
{
  guint n = 0;

  for (; (text = strstr (text, words)) != NULL; text += strlen (words))
    n++;
  return n;
}

/* ——— Errors that nobody asks for ——— */

static GForkTemplate *
make_failing (void)
{
  GForkTemplate *template = g_fork_template_new_exec ();

  g_fork_template_require (template, "nowhere");
  return template;
}

static GForkTemplate *
drop (void)
{
  return make_failing ();
}

static GForkTemplate *
drop_closed (void)
{
  GForkTemplate *template = make_failing ();

  g_fork_template_close (template);
  return template;
}

/* The template has told it to its fork, which nobody has asked either. */
static GForkTemplate *
drop_with_fork (void)
{
  GForkTemplate *template = make_failing ();
  g_autoptr (GForkTemplate) fork G_GNUC_UNUSED = g_fork_template_fork (template);

  return template;
}

/* The one that has asked has heard nothing. */
static GForkTemplate *
drop_cancelled (void)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) unblock = -1;
  GForkTemplate *template = g_fork_template_new_exec ();

  g_fork_template_require (template, "test-worker");
  test_block (template, &unblock);
  g_fork_template_require (template, "nowhere");
  g_fork_template_prepare_async (template, cancellable, test_store_result, &result);
  g_cancellable_cancel (cancellable);
  test_await (&result);
  g_fork_template_prepare_finish (template, result, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  return template;
}

/* What fails in the application. */
static GForkTemplate *
drop_descriptor (void)
{
  GForkTemplate *template = g_fork_template_new_exec ();

  g_fork_template_send_fd (template, G_MAXINT);
  return template;
}

static GForkTemplate *
drop_without_runtime (void)
{
  GForkTemplate *template = g_fork_template_new_exec_for_runtime ("none-of-these");

  g_fork_template_require (template, "nowhere");
  return template;
}

static GForkTemplate *
ask (void)
{
  GForkTemplate *template = make_failing ();

  test_assert_prepare_fails (template, G_FORK_ERROR_MODULE, "nowhere");
  g_fork_template_require (template, "nowhere");
  return template;
}

static GForkTemplate *
ask_fork (void)
{
  GForkTemplate *template = make_failing ();
  g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);

  test_assert_run_fails (fork, "answer", G_FORK_ERROR_MODULE, "nowhere");
  return template;
}

/* All forks have the same error. */
static GForkTemplate *
ask_one_fork (void)
{
  GForkTemplate *template = make_failing ();
  g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
  g_autoptr (GForkTemplate) other G_GNUC_UNUSED = g_fork_template_fork (template);
  g_autoptr (GForkTemplate) below G_GNUC_UNUSED = g_fork_template_fork (fork);

  test_assert_run_fails (fork, "answer", G_FORK_ERROR_MODULE, "nowhere");
  return template;
}

static GForkTemplate *
succeed (void)
{
  GForkTemplate *template = g_fork_template_new_exec ();

  g_fork_template_require (template, "test-worker");
  return template;
}

/* What a template is made of and done to before its last reference is dropped, and the word
 * that the warning has, if there is to be one. */
typedef struct
{
  const char *name;
  GForkTemplate *(*make) (void);
  const char *word;
} Drop;

static const Drop drops[] = {
  { "at-once", drop, "nowhere" },
  { "closed", drop_closed, "nowhere" },
  { "with-fork", drop_with_fork, "nowhere" },
  { "cancelled", drop_cancelled, "nowhere" },
  { "descriptor", drop_descriptor, "descriptor 2147483647" },
  { "without-runtime", drop_without_runtime, "none-of-these" },
  { "asked", ask, NULL },
  { "asked-of-fork", ask_fork, NULL },
  { "asked-of-one-fork", ask_one_fork, NULL },
  { "succeeded", succeed, NULL },
};

/* In the program that was executed for this: drops the template, and iterates the main context
 * until all is known of it. */
static void
do_drop (const Drop *how)
{
  GForkTemplate *template = how->make ();
  GPid pid = g_fork_template_get_pid (template);

  g_object_unref (template);
  while ((pid != 0 && test_process_exists (pid)) || g_main_context_pending (NULL))
    g_main_context_iteration (NULL, FALSE);
}

static void
test_dropped (gconstpointer data)
{
  const Drop *how = data;
  g_autofree char *output = do_in_program (how->name, "");

  if (how->word == NULL)
    g_assert_cmpstr (output, ==, "");
  else if (count_words (output, "nobody has asked for its error") != 1
           || strstr (output, how->word) == NULL)
    g_error ("“%s” is not in “%s”", how->word, output);
}

/* ——— Lines for debugging ——— */

static void
do_life (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GForkTemplate) other_fork = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) other_socket = NULL;
  g_autoptr (GError) error = NULL;
  GPid pid;

  g_fork_template_require (template, "test-worker");
  test_prepare (template);

  fork = g_fork_template_fork (template);
  g_fork_template_send_arg (fork, "3");
  socket = test_run (fork, "leave_with", &process);
  test_assert_exits (process, 3);

  other_fork = g_fork_template_fork (template);
  other_socket = g_fork_template_execv (other_fork, (const char *[]){ "/bin/true", NULL }, 0, NULL,
                                        NULL, &error);
  g_assert_no_error (error);

  g_fork_template_require (template, "nowhere");
  test_assert_prepare_fails (template, G_FORK_ERROR_MODULE, "nowhere");

  /* A template that dies by itself is noticed while a main loop runs. */
  pid = g_fork_template_get_pid (template);
  g_assert_no_errno (kill (pid, SIGKILL));
  while (test_process_exists (pid))
    g_main_context_iteration (NULL, TRUE);
}

static void
test_debug_on (void)
{
  static const struct
  {
    const char *words;
    guint n;
  } lines[] = {
    { " is started: ", 1 },
    { " is prepared", 1 },
    { " is forked", 2 },
    { " runs ", 1 },
    { " has exited with status 3", 1 },
    { " executes ", 1 },
    { "error: ", 1 },
    { " was killed by signal 9", 1 },
  };
  g_autofree char *output = do_in_program ("life", "gspawnfork");

  for (guint i = 0; i < G_N_ELEMENTS (lines); i++)
    if (count_words (output, lines[i].words) != lines[i].n)
      g_error ("“%s” is not there %u times:\n%s", lines[i].words, lines[i].n, output);
}

static void
test_debug_off (void)
{
  g_autofree char *output = do_in_program ("life", "something-else");

  g_assert_cmpstr (output, ==, "");
}

static void
do_what_is_told (const char *what)
{
  if (strcmp (what, "life") == 0)
    do_life ();
  for (guint i = 0; i < G_N_ELEMENTS (drops); i++)
    if (strcmp (what, drops[i].name) == 0)
      do_drop (&drops[i]);
}

int
main (int   argc,
      char *argv[])
{
  if (argc == 3 && strcmp (argv[1], "--do") == 0)
    {
      do_what_is_told (argv[2]);
      return 0;
    }

  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/messages/check/status", test_check_status);
  g_test_add_func ("/messages/check/signal", test_check_signal);
  g_test_add_func ("/messages/check/program", test_check_program);

  g_test_add_func ("/messages/module-path", test_module_path);

  test_add_table ("/messages/dropped", drops, test_dropped);

  g_test_add_func ("/messages/debug/on", test_debug_on);
  g_test_add_func ("/messages/debug/off", test_debug_off);

  return g_test_run ();
}
