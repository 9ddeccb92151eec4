/* command.c: tests the program gspawnfork as a shell uses it
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <signal.h>
#include <string.h>

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

static void
assert_contains (const char *text,
                 const char *part)
{
  if (strstr (text, part) == NULL)
    g_error ("“%s” is not in: %s", part, text);
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
  const char *line;

  command (&outcome, NULL, words);
  g_assert_cmpint (outcome.status, ==, 0);
  line = strstr (outcome.output, row);
  g_assert_nonnull (line);
  g_assert_cmpint (strchr (line, '\n') - line, >, 0);
  *strchr (line, '\n') = '\0';
  assert_contains (line, "echo");
  assert_contains (line, "B "); /* of its memory */
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
                            "COMP_WORDS=(gspawnfork run --co) COMP_CWORD=2; _gspawnfork 2>/dev/null; "
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
  g_test_add_func ("/command/ps/tree", test_ps);
  g_test_add_func ("/command/ps/nobody", test_ps_nobody);
  g_test_add_func ("/command/check/good", test_check_good);
  g_test_add_func ("/command/check/missing", test_check_missing);
  g_test_add_func ("/command/check/threads", test_check_threads);
  g_test_add_func ("/command/usage", test_usage);
  g_test_add_func ("/command/completion", test_completion);
  g_test_add_func ("/command/manual-page", test_manual_page);

  return g_test_run ();
}
