/* command.h: the commands of the program gspawnfork
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gspawnfork/gspawnfork.h>

G_BEGIN_DECLS

/* Exit statuses of the program's own, as of env(1) and timeout(1). */
enum
{
  EXIT_USAGE = 2,
  EXIT_NOT_STARTED = 125,
  EXIT_NOT_EXECUTED = 126,
  EXIT_SIGNALED = 128 /* and the signal's number */
};

/* All that the program itself, its manual page and the completion of the shell say of a
 * command. Texts are marked for translation and translated where they are shown. */
typedef struct
{
  const char *name;
  const char *arguments;
  const char *summary;
  const char *description;
  const GOptionEntry *entries;

  /* Whether options end at the first argument that is none: the rest is another's. */
  gboolean strict;
  guint min_arguments;

  /* Gets the arguments without the options. Returns the exit status. */
  int (*run) (char **arguments);
} Command;

extern const Command run_command;
extern const Command exec_command;
extern const Command ps_command;
extern const Command check_command;

/* These and no others; %NULL-terminated */
extern const Command *const commands[];

/* Complains about @error, which it takes, and returns @status. */
int  command_fail             (GError       *error,
                               int           status);

/* Makes a template of the runtime that @runtime names, or of the helper's if it is %NULL. */
GForkTemplate *command_new_template (const char *runtime);

void print_manual_page        (void);
void print_bash_completion    (void);

G_END_DECLS
