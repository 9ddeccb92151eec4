/* main.c: the program gspawnfork: templates, workers and modules from the command line
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "command/command.h"

#include <glib/gi18n.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

const Command *const commands[] = {
  &run_command, &exec_command, &ps_command, &check_command, NULL,
};

int
command_fail (GError *error,
              int     status)
{
  g_printerr ("gspawnfork: %s\n", error->message);
  g_error_free (error);
  return status;
}

GForkTemplate *
command_new_template (const char *runtime)
{
  return runtime != NULL ? g_fork_template_new_for_runtime (runtime) : g_fork_template_new ();
}

static void
print_help (void)
{
  gsize width = 0;

  g_print ("%s\n", _("Usage:"));
  for (const Command *const *command = commands; *command != NULL; command++)
    {
      g_print ("  gspawnfork %s %s %s\n", (*command)->name, _("[OPTION…]"), _((*command)->arguments));
      width = MAX (width, strlen ((*command)->name));
    }
  g_print ("  gspawnfork --version\n\n%s\n", _("Commands:"));
  for (const Command *const *command = commands; *command != NULL; command++)
    g_print ("  %-*s  %s\n", (int) width, (*command)->name, _((*command)->summary));
  g_print ("\n%s\n", _("“gspawnfork COMMAND --help” describes the options of a command."));
}

static int
run (const Command  *command,
     char          **argv)
{
  g_autoptr (GOptionContext) context = g_option_context_new (_(command->arguments));
  g_autoptr (GError) error = NULL;
  g_autofree char *name = g_strconcat ("gspawnfork ", command->name, NULL);
  char **arguments = argv;

  g_set_prgname (name);
  g_option_context_set_summary (context, _(command->summary));
  g_option_context_set_description (context, _(command->description));
  g_option_context_set_strict_posix (context, command->strict);
  g_option_context_add_main_entries (context, command->entries, GETTEXT_PACKAGE);
  if (command->common_entries != NULL)
    g_option_context_add_main_entries (context, command->common_entries, GETTEXT_PACKAGE);

  if (g_option_context_parse_strv (context, &arguments, &error))
    {
      g_set_prgname ("gspawnfork");
      if (g_strcmp0 (arguments[1], "--") == 0)
        memmove (&arguments[1], &arguments[2], g_strv_length (&arguments[1]) * sizeof *arguments);
      if (g_strv_length (arguments) > command->min_arguments)
        return command->run (arguments + 1);

      error = g_error_new (G_OPTION_ERROR, G_OPTION_ERROR_FAILED, _("an argument is missing: %s"),
                           _(command->arguments));
    }

  g_printerr ("gspawnfork %s: %s\n", command->name, error->message);
  g_printerr (_("“%s --help” describes the options.\n"), name);
  return EXIT_USAGE;
}

int
main (int    argc,
      char **argv)
{
  g_auto (GStrv) arguments = NULL;
  const char *first = argc > 1 ? argv[1] : "--help";

  setlocale (LC_ALL, ""); /* NOLINT(concurrency-mt-unsafe): there is one thread */
  bindtextdomain (GETTEXT_PACKAGE, LOCALEDIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  textdomain (GETTEXT_PACKAGE);

  for (const Command *const *command = commands; *command != NULL; command++)
    if (strcmp (first, (*command)->name) == 0)
      {
        /* A copy: GOption takes the options out, and ps shows the original. */
        arguments = g_strdupv (argv + 1);
        return run (*command, arguments);
      }

  if (strcmp (first, "--version") == 0)
    g_print ("gspawnfork %s\n", GFORK_VERSION);
  else if (strcmp (first, "--manual-page") == 0)
    print_manual_page ();
  else if (strcmp (first, "--bash-completion") == 0)
    print_bash_completion ();
  else if (strcmp (first, "--help") == 0 || strcmp (first, "-h") == 0)
    print_help ();
  else
    {
      g_printerr (_("gspawnfork: there is no command “%s”; “gspawnfork --help” lists them\n"),
                  first);
      return EXIT_USAGE;
    }

  return argc > 1 ? EXIT_SUCCESS : EXIT_USAGE;
}
