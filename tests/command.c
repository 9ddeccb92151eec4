/* command.c: tests of the program gspawnfork, as a shell runs it
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

/* What the program has printed, and how it has ended. */
typedef struct
{
  char *output;
  char *errors;
  int status;
} Outcome;

static void
outcome_clear (Outcome *outcome)
{
  g_free (outcome->output);
  g_free (outcome->errors);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Outcome, outcome_clear)

static const char *
get_program (void)
{
  const char *program = g_getenv ("GFORK_TEST_COMMAND");

  return program != NULL ? program : "gspawnfork";
}

static void
assert_contains (const char *text,
                 const char *part)
{
  if (strstr (text, part) == NULL)
    g_error ("“%s” is not in: %s", part, text);
}

/* Runs it with words that are separated by spaces; @input may be %NULL. */
static void
command (Outcome    *outcome,
         const char *input,
         const char *words)
{
  GSubprocessFlags flags = G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE;
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *line = g_strdup_printf ("%s %s", get_program (), words);
  g_auto (GStrv) argv = g_strsplit (line, " ", -1);

  if (input != NULL)
    flags |= G_SUBPROCESS_FLAGS_STDIN_PIPE;
  process = g_subprocess_newv ((const char *const *) argv, flags, &error);
  g_assert_no_error (error);
  g_subprocess_communicate_utf8 (process, input, NULL, &outcome->output, &outcome->errors, &error);
  g_assert_no_error (error);
  outcome->status = g_subprocess_get_if_exited (process) ? g_subprocess_get_exit_status (process)
                                                         : -g_subprocess_get_term_sig (process);
}

/* ——— run ——— */

static void
test_run_joins_streams (void)
{
  g_auto (Outcome) outcome = { NULL };
  g_autofree char *input = g_strnfill (3 << 20, 'x');

  command (&outcome, input, "run test-worker:echo");
  g_assert_cmpstr (outcome.errors, ==, "");
  g_assert_cmpint (outcome.status, ==, 0);
  g_assert_true (g_str_equal (outcome.output, input));
}

static void
test_run_status (void)
{
  g_auto (Outcome) exited = { NULL };

  command (&exited, "exit 42\n", "run test-worker:answer");
  g_assert_cmpstr (exited.errors, ==, "");
  g_assert_cmpint (exited.status, ==, 42);
}

static void
test_run_error (void)
{
  g_auto (Outcome) outcome = { NULL };

  command (&outcome, "", "run test-worker:no_such_function");
  g_assert_cmpint (outcome.status, ==, 125);
  assert_contains (outcome.errors, "no_such_function");
}

/* The options end at the function. */
static void
test_run_arguments (void)
{
  g_auto (Outcome) outcome = { NULL };

  command (&outcome, "", "run --require test-worker dump_args --count 2");
  g_assert_cmpint (outcome.status, ==, 0);
  assert_contains (outcome.output, "--count");
}

static void
test_run_several (void)
{
  g_auto (Outcome) outcome = { NULL };

  command (&outcome, NULL, "run --count 3 test-worker:whoami");
  g_assert_cmpint (outcome.status, ==, 0);
  g_assert_cmpstr (outcome.output, ==, "test-workertest-workertest-worker");

  outcome_clear (&outcome);
  command (&outcome, NULL, "run --count 0 test-worker:answer");
  g_assert_cmpint (outcome.status, ==, 2);
}

/* ——— exec ——— */

static void
test_exec_streams (void)
{
  g_auto (Outcome) outcome = { NULL };

  command (&outcome, "from here", "exec cat");
  g_assert_cmpstr (outcome.errors, ==, "");
  g_assert_cmpstr (outcome.output, ==, "from here");
  g_assert_cmpint (outcome.status, ==, 0);
}

static void
test_exec_status (void)
{
  g_auto (Outcome) failed = { NULL };
  g_auto (Outcome) missing = { NULL };
  g_auto (Outcome) killed = { NULL };

  command (&failed, "", "exec false");
  g_assert_cmpint (failed.status, ==, 1);

  command (&missing, "", "exec no-such-program");
  g_assert_cmpint (missing.status, ==, 126);
  assert_contains (missing.errors, "no-such-program");

  command (&killed, "kill -TERM $$\n", "exec sh");
  g_assert_cmpint (killed.status, ==, 128 + SIGTERM);
}

/* ——— What both start with ——— */

static void
test_environment (void)
{
  g_auto (Outcome) outcome = { NULL };
  g_auto (Outcome) empty = { NULL };
  g_auto (Outcome) wrong = { NULL };

  command (&outcome, "echo $ONE-${HOME-none}\n", "exec --setenv ONE=a=b --unsetenv HOME sh");
  g_assert_cmpstr (outcome.output, ==, "a=b-none\n");

  command (&empty, NULL, "exec --ignore-environment env");
  g_assert_cmpstr (empty.errors, ==, "");
  g_assert_cmpstr (empty.output, ==, "");
  g_assert_cmpint (empty.status, ==, 0);

  command (&wrong, NULL, "exec --setenv =1 env");
  g_assert_cmpint (wrong.status, ==, 2);
  assert_contains (wrong.errors, "=1");
}

static void
test_directory (void)
{
  g_auto (Outcome) program = { NULL };
  g_auto (Outcome) worker = { NULL };

  command (&program, NULL, "exec --chdir=/usr pwd");
  g_assert_cmpstr (program.output, ==, "/usr\n");

  command (&worker, "cwd\nexit 0\n", "run --chdir=/usr test-worker:answer");
  assert_contains (worker.output, "/usr");
}

static void
test_limits (void)
{
  static const char *const wrong[] = { "memory", "memory=", "memory=1Q", "memory=-1", "speed=1",
                                       "memory=20000000000G" };
  g_auto (Outcome) outcome = { NULL };

  command (&outcome, "ulimit -n\nulimit -v\nulimit -t\n",
           "exec -l open-files=77 --limit=memory=512M --limit=cpu-time=30 sh");
  g_assert_cmpstr (outcome.output, ==, "77\n524288\n30\n");

  for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      g_auto (Outcome) refused = { NULL };
      g_autofree char *words = g_strdup_printf ("exec --limit=%s true", wrong[i]);

      command (&refused, NULL, words);
      g_assert_cmpint (refused.status, ==, 2);
      assert_contains (refused.errors, wrong[i]);
    }
}

/* What the program has started ends with it: it holds our end of the pipe open. */
static void
test_deadline (void)
{
  g_auto (Outcome) outcome = { NULL };
  g_auto (Outcome) met = { NULL };
  g_auto (Outcome) wrong = { NULL };

  command (&outcome, "sleep 1000 & wait\n", "exec --setsid --deadline=0.2 sh");
  g_assert_cmpint (outcome.status, ==, 124);

  command (&met, NULL, "exec --deadline=1000 true");
  g_assert_cmpint (met.status, ==, 0);

  command (&wrong, NULL, "exec --deadline=-1 true");
  g_assert_cmpint (wrong.status, ==, 2);
}

/* Executes a shell that prints a line when it has begun; reads that line. */
static GSubprocess *
start_shell (const char        *option,
             const char        *script,
             GDataInputStream **lines)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *line = NULL;
  GSubprocess *process = NULL;

  process = g_subprocess_new (G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error,
                              get_program (), "exec", option, "sh", "-c", script, NULL);
  g_assert_no_error (error);
  *lines = g_data_input_stream_new (g_subprocess_get_stdout_pipe (process));
  line = g_data_input_stream_read_line (*lines, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_nonnull (line);
  return process;
}

/* It is passed on to the whole group: nobody has the pipe any more. As long as the shell's child
 * is a shell itself, it may take the signal for its parent's, and forget it. */
static void
test_sigterm (void)
{
  g_autoptr (GDataInputStream) lines = NULL;
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *line = NULL;

  process = start_shell ("--setsid",
                         "trap 'exit 7' TERM; sleep 1000 & "
                         "until read name </proc/$!/comm && [ \"$name\" = sleep ]; do :; done; "
                         "echo begun; wait",
                         &lines);
  g_subprocess_send_signal (process, SIGTERM);
  g_assert_true (g_subprocess_wait (process, NULL, &error));
  g_assert_no_error (error);
  g_assert_true (g_subprocess_get_if_exited (process));
  g_assert_cmpint (g_subprocess_get_exit_status (process), ==, 7);

  line = g_data_input_stream_read_line (lines, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_null (line);
}

/* From a terminal, the program gets it itself, and may go on. */
static void
test_sigint (void)
{
  g_autoptr (GDataInputStream) lines = NULL;
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) error = NULL;

  process = start_shell ("--count=1", "echo begun; cat; exit 5", &lines);
  g_subprocess_send_signal (process, SIGINT);
  g_output_stream_close (g_subprocess_get_stdin_pipe (process), NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_subprocess_wait (process, NULL, &error));
  g_assert_no_error (error);
  g_assert_true (g_subprocess_get_if_exited (process));
  g_assert_cmpint (g_subprocess_get_exit_status (process), ==, 5);
}

/* The pipe is at its end when all who have it have ended. */
static void
test_die_with_application (void)
{
  g_autoptr (GDataInputStream) lines = NULL;
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *line = NULL;

  process = start_shell ("--die-with-application", "echo begun; exec sleep 1000", &lines);
  g_subprocess_force_exit (process);
  line = g_data_input_stream_read_line (lines, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_null (line);
}

static gboolean
can_confine (void)
{
  const GForkSandboxFeatures needed = G_FORK_SANDBOX_FILES | G_FORK_SANDBOX_NETWORK
                                      | G_FORK_SANDBOX_SIGNALS | G_FORK_SANDBOX_SYSTEM_CALLS;

  if (test_under_sanitizer ())
    {
      g_test_skip ("what a sanitizer does at the end of a process is not allowed");
      return FALSE;
    }

  if (g_fork_sandbox_get_features () == needed)
    return TRUE;

  g_test_skip ("the kernel lacks a part of what confines");
  return FALSE;
}

/* The module is loaded outside of the sandbox, its function runs inside. */
static void
test_confine (void)
{
  g_auto (Outcome) worker = { NULL };
  g_auto (Outcome) free_program = { NULL };
  g_auto (Outcome) program = { NULL };
  g_auto (Outcome) missing = { NULL };

  if (!can_confine ())
    return;

  command (&worker, "hello", "run --confine test-worker:echo");
  g_assert_cmpstr (worker.errors, ==, "");
  g_assert_cmpstr (worker.output, ==, "hello");

  command (&free_program, NULL, "exec cat /etc/passwd");
  g_assert_cmpint (free_program.status, ==, 0);
  command (&program, NULL, "exec --allow-execute=/ cat /etc/passwd");
  g_assert_cmpint (program.status, ==, 0);

  command (&missing, NULL, "run --allow-read=/no/such/path test-worker:echo");
  g_assert_cmpint (missing.status, ==, 125);
  assert_contains (missing.errors, "/no/such/path");
}

/* What may be executed may be read, and nothing else. */
static void
test_confined_files (void)
{
  g_auto (Outcome) refused = { NULL };
  g_auto (Outcome) partly = { NULL };

  if (!can_confine ())
    return;

  command (&refused, NULL, "exec --confine cat /etc/passwd");
  g_assert_cmpint (refused.status, ==, 126);
  g_assert_cmpstr (refused.output, ==, "");

  command (&partly, NULL, "exec --allow-execute=/usr --allow-execute=/lib64 cat /etc/passwd");
  g_assert_cmpint (partly.status, ==, 1);
  g_assert_cmpstr (partly.output, ==, "");
}

/* ——— ps ——— */

static void
test_ps (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket G_GNUC_UNUSED = test_run (template, "echo", &process);
  g_auto (Outcome) outcome = { NULL };
  g_autofree char *words = g_strdup_printf ("ps %d", getpid ());
  g_autofree char *row = g_strdup_printf ("%7d ", g_fork_process_get_pid (process));
  char *line;

  command (&outcome, NULL, words);
  g_assert_cmpint (outcome.status, ==, 0);
  line = strstr (outcome.output, row);
  g_assert_nonnull (line);
  g_assert_cmpint (strchr (line, '\n') - line, >, 0);
  *strchr (line, '\n') = '\0';
  assert_contains (line, "echo");
  assert_contains (line, "B "); /* of its memory */
}

/* A process that gives itself such a name sends nothing to the terminal. */
static void
test_ps_control_characters (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *directory = g_dir_make_tmp ("command-XXXXXX", &error);
  g_autofree char *program = g_build_filename (directory, "a\033[31mb", NULL);
  g_auto (Outcome) outcome = { NULL };
  g_autofree char *words = g_strdup_printf ("ps %d", getpid ());

  g_assert_no_error (error);
  g_assert_cmpint (symlink ("/bin/cat", program), ==, 0);
  socket = g_fork_template_execv (template, (const char *[]){ program, NULL }, G_FORK_EXEC_SOCKET_STDIN,
                                  &process, NULL, &error);
  g_assert_no_error (error);

  command (&outcome, NULL, words);
  g_assert_cmpint (outcome.status, ==, 0);
  g_assert_null (strchr (outcome.output, '\033'));
  assert_contains (outcome.output, "a?[31mb");
  g_assert_cmpint (unlink (program), ==, 0);
  g_assert_cmpint (rmdir (directory), ==, 0);
}

static void
test_ps_nobody (void)
{
  g_auto (Outcome) outcome = { NULL };

  command (&outcome, NULL, "ps 999999999");
  g_assert_cmpint (outcome.status, ==, 1);
  assert_contains (outcome.errors, "999999999");
}

/* ——— check ——— */

static void
test_check_good (void)
{
  g_auto (Outcome) outcome = { NULL };

  command (&outcome, NULL, "check test-worker");
  g_assert_cmpstr (outcome.errors, ==, "");
  g_assert_cmpint (outcome.status, ==, 0);
  assert_contains (outcome.output, "can be forked: yes");
  assert_contains (outcome.output, "dump_args");
}

static void
test_check_missing (void)
{
  g_auto (Outcome) outcome = { NULL };

  command (&outcome, NULL, "check no-such-module");
  g_assert_cmpint (outcome.status, ==, 1);
  assert_contains (outcome.errors, "no-such-module");
}

static void
test_check_threads (void)
{
  g_auto (Outcome) outcome = { NULL };

  command (&outcome, NULL, "check test-start");
  g_assert_cmpint (outcome.status, ==, 1);
  assert_contains (outcome.output, "can be forked: no");
  assert_contains (outcome.errors, "loading-thread");
}

/* ——— The program itself ——— */

static void
test_usage (void)
{
  static const char *const wrong[] = { "", "frobnicate", "run", "run --frobnicate x:y", "check a b" };
  g_auto (Outcome) version = { NULL };

  for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      g_auto (Outcome) outcome = { NULL };

      command (&outcome, NULL, wrong[i]);
      g_assert_cmpint (outcome.status, ==, 2);
    }

  command (&version, NULL, "--version");
  g_assert_cmpint (version.status, ==, 0);
  g_assert_true (g_str_has_prefix (version.output, "gspawnfork "));
}

/* A shell offers the commands, and the options of each. */
static void
test_completion (void)
{
  g_auto (Outcome) outcome = { NULL };
  g_autoptr (GSubprocess) bash = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *script = NULL;
  g_autofree char *output = NULL;

  command (&outcome, NULL, "--bash-completion");
  script = g_strdup_printf ("%s\n"
                            "COMP_WORDS=(gspawnfork ch) COMP_CWORD=1; _gspawnfork; echo ${COMPREPLY[@]}\n"
                            "COMP_WORDS=(gspawnfork run --cou) COMP_CWORD=2; _gspawnfork 2>/dev/null; "
                            "echo ${COMPREPLY[@]}\n",
                            outcome.output);
  bash = g_subprocess_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error, "bash", "-c", script, NULL);
  g_assert_no_error (error);
  g_subprocess_communicate_utf8 (bash, NULL, NULL, &output, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (output, ==, "check\n--count=\n");
}

/* The page has each command, and no line that the formatter takes for a request. */
static void
test_manual_page (void)
{
  g_auto (Outcome) outcome = { NULL };
  g_auto (GStrv) lines = NULL;

  command (&outcome, NULL, "--manual-page");
  assert_contains (outcome.output, ".TH GSPAWNFORK 1");
  assert_contains (outcome.output, ".SS gspawnfork check");
  lines = g_strsplit (outcome.output, "\n", -1);
  for (char **line = lines; *line != NULL; line++)
    if (**line == '.')
      g_assert_true (g_regex_match_simple ("^\\.(TH|SH|SS|TP|B|br)\\b", *line, 0, 0));
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/command/run/joins-streams", test_run_joins_streams);
  g_test_add_func ("/command/run/status", test_run_status);
  g_test_add_func ("/command/run/error", test_run_error);
  g_test_add_func ("/command/run/arguments", test_run_arguments);
  g_test_add_func ("/command/run/several", test_run_several);
  g_test_add_func ("/command/exec/streams", test_exec_streams);
  g_test_add_func ("/command/exec/status", test_exec_status);
  g_test_add_func ("/command/prepare/environment", test_environment);
  g_test_add_func ("/command/prepare/directory", test_directory);
  g_test_add_func ("/command/prepare/limits", test_limits);
  g_test_add_func ("/command/prepare/deadline", test_deadline);
  g_test_add_func ("/command/prepare/sigterm", test_sigterm);
  g_test_add_func ("/command/prepare/sigint", test_sigint);
  g_test_add_func ("/command/prepare/die-with-application", test_die_with_application);
  g_test_add_func ("/command/prepare/confine", test_confine);
  g_test_add_func ("/command/prepare/confined-files", test_confined_files);
  g_test_add_func ("/command/ps/tree", test_ps);
  g_test_add_func ("/command/ps/nobody", test_ps_nobody);
  g_test_add_func ("/command/ps/control-characters", test_ps_control_characters);
  g_test_add_func ("/command/check/good", test_check_good);
  g_test_add_func ("/command/check/missing", test_check_missing);
  g_test_add_func ("/command/check/threads", test_check_threads);
  g_test_add_func ("/command/usage", test_usage);
  g_test_add_func ("/command/completion", test_completion);
  g_test_add_func ("/command/manual-page", test_manual_page);

  return g_test_run ();
}
