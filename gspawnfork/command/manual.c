/* manual.c: makes the manual page and the completion of the shell from the table of commands
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "command/command.h"

#include <string.h>

/* Escapes what has a meaning in the source of a page. There, "-" is a hyphen. */
static char *
escape (const char *text)
{
  g_autoptr (GString) escaped = g_string_new (text);

  g_string_replace (escaped, "\\", "\\e", 0);
  g_string_replace (escaped, "-", "\\-", 0);
  g_string_replace (escaped, "…", "...", 0);
  g_string_replace (escaped, "“", "\\(lq", 0);
  g_string_replace (escaped, "”", "\\(rq", 0);
  return g_string_free (g_steal_pointer (&escaped), FALSE);
}

static void
print_text (const char *format,
            const char *text)
{
  g_autofree char *escaped = escape (text);

  g_print (format, escaped);
}

static void
print_options (const GOptionEntry *entries)
{
  for (const GOptionEntry *entry = entries; entry->long_name != NULL; entry++)
    {
      g_print (".TP\n");
      if (entry->short_name != 0)
        g_print ("\\fB\\-%c\\fR, ", entry->short_name);
      print_text ("\\fB\\-\\-%s\\fR", entry->long_name);
      if (entry->arg_description != NULL)
        print_text ("=\\fI%s\\fR", entry->arg_description);
      print_text ("\n%s.\n", entry->description);
    }
}

void
print_manual_page (void)
{
  g_print (".TH GSPAWNFORK 1 \"\" \"gspawnfork %s\" \"User Commands\"\n", GFORK_VERSION);
  g_print (".SH NAME\ngspawnfork \\- worker processes forked from prepared templates\n");
  g_print (".SH SYNOPSIS\n");
  for (const Command *const *command = commands; *command != NULL; command++)
    {
      print_text (".B gspawnfork %s\n", (*command)->name);
      print_text ("[OPTION...] %s\n.br\n", (*command)->arguments);
    }
  g_print (".B gspawnfork \\-\\-version\n");
  g_print (".SH COMMANDS\n");
  for (const Command *const *command = commands; *command != NULL; command++)
    {
      print_text (".SS gspawnfork %s\n", (*command)->name);
      print_text ("%s.\n", (*command)->summary);
      print_text ("%s\n", (*command)->description);
      print_options ((*command)->entries);
    }
  g_print (".SH OPTIONS OF RUN AND EXEC\n"
           "These options say what the worker or program starts with. Modules are loaded before the "
           "worker is confined. A dynamically linked program needs \\-\\-allow\\-execute for its loader "
           "and \\-\\-allow\\-read for its libraries.\n");
  print_options (command_prepare_entries);
  g_print (".SH EXIT STATUS\n"
           ".TP\n.B 2\nThe command line is wrong.\n"
           ".TP\n.B 124\nThe deadline has passed.\n"
           ".TP\n.B 125\nThe worker could not be started, or how it has ended is not known.\n"
           ".TP\n.B 126\nThe program could not be executed.\n"
           ".TP\n.B 128 and the number of a signal\nThe signal has killed the worker or program.\n"
           ".TP\n.B others\nThat of the worker or program; 1 if ps or check fails.\n");
  g_print (".SH ENVIRONMENT\n"
           ".TP\n.B GFORK_MODULE_PATH\nDirectories in which modules are looked up, separated by colons.\n"
           ".TP\n.B GSPAWNFORK_HELPER\nThe helper to execute instead of the installed one.\n"
           ".TP\n.B GSPAWNFORK_RUNTIME_DIR\nA directory in which runtimes are looked up first.\n"
           ".TP\n.B GSPAWNFORK_START_TIMEOUT\nHow many seconds a helper or interpreter has to answer after "
           "its start; 30 by default, 0 for no limit.\n"
           ".SH EXAMPLES\n"
           ".TP\n.B gspawnfork run \\-\\-confine decoder:decode <picture.png >picture.raw\n"
           "Decodes a picture in a sandbox.\n"
           ".TP\n.B gspawnfork exec \\-\\-setsid \\-\\-deadline=10 \\-\\-limit=memory=1G make check\n"
           "Executes a program that is killed after ten seconds, with all that it has started.\n"
           ".SH SEE ALSO\nThe reference manual of gspawnfork.\n");
}

static void
print_option_names (const GOptionEntry *entries)
{
  for (const GOptionEntry *entry = entries; entry->long_name != NULL; entry++)
    g_print (" --%s%s", entry->long_name, entry->arg != G_OPTION_ARG_NONE ? "=" : "");
}

void
print_bash_completion (void)
{
  g_print ("# bash completion for gspawnfork                    -*- shell-script -*-\n\n"
           "_gspawnfork ()\n{\n"
           "  local word=${COMP_WORDS[COMP_CWORD]} options\n\n"
           "  if ((COMP_CWORD == 1))\n  then\n"
           "    COMPREPLY=($(compgen -W '");
  for (const Command *const *command = commands; *command != NULL; command++)
    g_print ("%s ", (*command)->name);
  g_print ("--help --version' -- \"$word\"))\n    return\n  fi\n\n"
           "  case ${COMP_WORDS[1]} in\n");
  for (const Command *const *command = commands; *command != NULL; command++)
    {
      g_print ("    %s) options='--help", (*command)->name);
      print_option_names ((*command)->entries);
      if ((*command)->common_entries != NULL)
        print_option_names ((*command)->common_entries);
      g_print ("' ;;\n");
    }
  g_print ("    *) return ;;\n  esac\n\n"
           "  case $word in\n"
           "    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")) ;;\n"
           "    *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n  esac\n"
           "  [[ ${COMPREPLY[0]} != *= ]] || compopt -o nospace\n"
           "}\n\ncomplete -F _gspawnfork gspawnfork\n");
}
