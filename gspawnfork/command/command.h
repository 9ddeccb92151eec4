/* command.h: the commands of the program gspawnfork
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gspawnfork/gspawnfork.h>

G_BEGIN_DECLS

/* The program's own exit statuses, which are those of env(1) and timeout(1). */
enum
{
  EXIT_USAGE = 2,
  EXIT_TIMED_OUT = 124,
  EXIT_NOT_STARTED = 125,
  EXIT_NOT_EXECUTED = 126,
  EXIT_SIGNALED = 128 /* and the signal's number */
};

/* Describes a command for the program itself, its manual page and the completion of the shell.
 * Texts are marked for translation here, and translated where they are shown. */
typedef struct
{
  const char *name;
  const char *arguments;
  const char *summary;
  const char *description;
  const GOptionEntry *entries;

  /* Those that it has in common with other commands, or %NULL */
  const GOptionEntry *common_entries;

  /* Whether options end at the first argument that is none: what follows is for the worker. */
  gboolean strict;
  guint min_arguments;

  /* Gets the arguments without the options. Returns the exit status. */
  int (*run) (char **arguments);
} Command;

extern const Command run_command;
extern const Command exec_command;
extern const Command ps_command;
extern const Command check_command;

/* All commands; %NULL-terminated */
extern const Command *const commands[];

/* Complains about @error, which it takes, and returns @status. */
int  command_fail             (GError       *error,
                               int           status);

/* Makes a template of the runtime @runtime, or of the default one if that is %NULL. */
GForkTemplate *command_new_template (const char *runtime);

/* The options that say what a worker starts with. command_prepare() applies them to a template;
 * it fails if one has a wrong value. command_confine() applies those of the sandbox, and is to
 * be called when the modules are loaded. */
extern const GOptionEntry command_prepare_entries[];

gboolean command_prepare         (GForkTemplate  *template,
                                  GError        **error);
void     command_confine         (GForkTemplate  *template);
gboolean command_has_own_session (void);

void print_manual_page        (void);
void print_bash_completion    (void);

G_END_DECLS
