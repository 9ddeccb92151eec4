/* nls.c: tests that messages are translated, with each catalogue
 *
 * The program runs itself in each language and prints messages, since the language is chosen by
 * the environment when a program starts. GFORK_TEST_LOCALEDIR names the directory of the
 * catalogues, if they are not installed. The C library translates nothing in the locale C, so
 * each test makes the locale of its language.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <libintl.h>
#include <locale.h>
#include <string.h>

#define DOMAIN "gspawnfork-1.0"

static void
print_error (GForkTemplate *template,
             const char    *function)
{
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  socket = g_fork_template_run (template, function, NULL, NULL, &error);
  g_assert_nonnull (error);
  g_print ("%s\n", error->message);
}

/* One line for each of several errors. */
static void
print_errors (void)
{
  g_autoptr (GForkTemplate) function = NULL;
  g_autoptr (GForkTemplate) module = g_fork_template_new ();
  g_autoptr (GForkTemplate) call = g_fork_template_new ();
  g_autoptr (GForkTemplate) directory = g_fork_template_new ();
  g_autoptr (GForkTemplate) eval = g_fork_template_new ();
  g_autoptr (GForkTemplate) closed = g_fork_template_new ();
  g_autoptr (GForkTemplate) lost = g_fork_template_new ();
  g_autoptr (GForkTemplate) runtime = NULL;
  const char *locale_dir = g_getenv ("GFORK_TEST_LOCALEDIR");

  function = test_template_new ();

  /* The library has bound its domain to where it will be installed. */
  if (locale_dir != NULL)
    bindtextdomain (DOMAIN, locale_dir);

  print_error (function, "no_such_function");
  g_fork_template_require (module, "no-such-module");
  print_error (module, "answer");
  g_fork_template_require (call, "test-trouble");
  g_fork_template_call (call, "refuse_silently", NULL);
  print_error (call, "answer");
  g_fork_template_set_cwd (directory, "/nonexistent/directory");
  print_error (directory, "answer");
  g_fork_template_eval (eval, "1 + 1", NULL);
  print_error (eval, "answer");
  g_fork_template_close (closed);
  print_error (closed, "answer");
  g_fork_template_require (lost, "test-trouble");
  g_fork_template_call (lost, "crash", NULL);
  print_error (lost, "answer");
  runtime = g_fork_template_new_for_runtime ("cobol");
  print_error (runtime, "answer");
}

/* Makes the locale in a directory of the test's; %FALSE if the system has no source of it. */
static gboolean
make_locale (const char *directory,
             const char *locale)
{
  g_autofree char *path = g_build_filename (directory, locale, NULL);
  g_autoptr (GSubprocess) localedef = NULL;
  g_autofree char *source = g_strndup (locale, strcspn (locale, "."));

  localedef = g_subprocess_new (G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_SILENCE,
                                NULL, "localedef", "--no-archive", "-f", "UTF-8", "-i", source, path,
                                NULL);
  return localedef != NULL && g_subprocess_wait_check (localedef, NULL, NULL);
}

/* What print_errors() prints in a locale. */
static GStrv
get_errors (const char *directory,
            const char *locale)
{
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE);
  g_autoptr (GSubprocess) subprocess = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *program = g_file_read_link ("/proc/self/exe", &error);
  g_autofree char *output = NULL;

  g_assert_no_error (error);
  g_subprocess_launcher_setenv (launcher, "LOCPATH", directory, TRUE);
  g_subprocess_launcher_setenv (launcher, "LC_ALL", locale, TRUE);
  g_subprocess_launcher_unsetenv (launcher, "LANGUAGE");
  subprocess = g_subprocess_launcher_spawn (launcher, &error, program, "--print-errors", NULL);
  g_assert_no_error (error);
  g_assert_true (g_subprocess_communicate_utf8 (subprocess, NULL, NULL, &output, NULL, &error));
  g_assert_no_error (error);
  g_assert_true (g_subprocess_get_successful (subprocess));

  return g_strsplit (g_strchomp (output), "\n", -1);
}

static void
remove_directory (const char *directory)
{
  g_autoptr (GSubprocess) rm = NULL;

  rm = g_subprocess_new (G_SUBPROCESS_FLAGS_NONE, NULL, "rm", "-r", directory, NULL);
  g_assert_true (g_subprocess_wait_check (rm, NULL, NULL));
}

/* Every message is another one than in English, and still names what it is about. */
static void
test_language (gconstpointer data)
{
  const char *names[] = {
    "no_such_function", "no-such-module", "refuse_silently", "/nonexistent/directory", "1 + 1", "answer", "crash", "cobol"
  };
  const char *locale = data;
  g_autoptr (GError) error = NULL;
  g_autofree char *directory = g_dir_make_tmp ("gspawnfork-locale-XXXXXX", &error);
  g_auto (GStrv) english = NULL;
  g_auto (GStrv) translated = NULL;

  g_assert_no_error (error);
  if (!make_locale (directory, locale))
    {
      remove_directory (directory);
      g_test_skip ("this locale cannot be made here: localedef, or its source, is missing");
      return;
    }

  /* In the locale C, quotation marks would be printed as question marks, and so differ. */
  english = get_errors (directory, "C.UTF-8");
  translated = get_errors (directory, locale);
  remove_directory (directory);

  g_assert_cmpuint (g_strv_length (english), ==, G_N_ELEMENTS (names));
  g_assert_cmpuint (g_strv_length (translated), ==, G_N_ELEMENTS (names));
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_test_message ("%s", translated[i]);
      g_assert_cmpstr (translated[i], !=, english[i]);
      g_assert_nonnull (strstr (english[i], names[i]));
      g_assert_nonnull (strstr (translated[i], names[i]));
    }
}

int
main (int    argc,
      char **argv)
{
  setlocale (LC_ALL, "");

  if (g_strcmp0 (argv[1], "--print-errors") == 0)
    {
      print_errors ();
      return 0;
    }

  g_test_init (&argc, &argv, NULL);

  g_test_add_data_func ("/nls/brazilian-portuguese", "pt_BR.UTF-8", test_language);
  g_test_add_data_func ("/nls/chinese", "zh_CN.UTF-8", test_language);
  g_test_add_data_func ("/nls/french", "fr_FR.UTF-8", test_language);
  g_test_add_data_func ("/nls/german", "de_DE.UTF-8", test_language);
  g_test_add_data_func ("/nls/japanese", "ja_JP.UTF-8", test_language);
  g_test_add_data_func ("/nls/spanish", "es_ES.UTF-8", test_language);

  return g_test_run ();
}
