/* run.c: the template process becomes a worker
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/template.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool
gfork_place_for_run (struct gfork_template *template,
                     char                  *reason,
                     size_t                 reason_size)
{
  struct gfork_arguments *arguments = &template->arguments;
  int **movable;
  size_t n = 0;
  bool placed;

  if (template->placements.n == 0)
    return true;

  /* What modules have printed is written before another descriptor becomes standard output. */
  fflush (NULL);

  movable = calloc (arguments->n + 2, sizeof *movable);
  if (movable == NULL)
    {
      snprintf (reason, reason_size, "%s", strerror (errno));
      return false;
    }

  movable[n++] = &template->socket;
  if (template->scope >= 0)
    movable[n++] = &template->scope;
  for (size_t i = 0; i < arguments->n; i++)
    if (arguments->sent[i].fd >= 0)
      movable[n++] = &arguments->sent[i].fd;

  placed = gfork_place (&template->placements, movable, n, reason, reason_size);
  free (movable);
  return placed;
}

/* The last steps before the function is entered. The attributes come first, since a confined
 * process could not start the guard of gfork_attributes_apply(). */
void
gfork_become_worker (struct gfork_template *template,
                     const char            *function,
                     bool                   handlers_may_have_changed)
{
  if (!gfork_attributes_apply (template) || !gfork_confine_worker (template, GFORK_RUN, function))
    gfork_attributes_give_up (template);

  gfork_title_set (&template->title, function, template->parent);
  if (handlers_may_have_changed)
    gfork_signals_look (&template->signals);
  gfork_signals_restore (&template->signals, false);
  gfork_answer_ready (template);
}

/* Finds the function, places the descriptors and opens the arguments. Returns NULL if something
 * fails, which is recorded. */
static GForkArg *
find_function (struct gfork_template *template,
               const char            *name,
               GForkRunFunc          *function)
{
  char reason[sizeof template->failure.reason];
  enum gfork_code code = GFORK_CODE_FAILED;
  GForkArg *args = NULL;

  *function = (GForkRunFunc) gfork_module_find (template, name, &code, reason, sizeof reason);
  if (*function != NULL)
    {
      code = GFORK_CODE_FAILED;
      if (gfork_place_for_run (template, reason, sizeof reason))
        args = gfork_arguments_open (&template->arguments, reason, sizeof reason);
    }

  if (args == NULL)
    gfork_fail (template, code, GFORK_RUN, name, reason);
  return args;
}

void
gfork_run (struct gfork_template *template,
           struct gfork_frame    *frame)
{
  const char *name = (const char *) frame->payload;
  GForkRunFunc function;
  GForkArg *args = NULL;
  size_t n_modules;

  gfork_children_ignore (&template->children);
  gfork_random_renew (&template->random);
  n_modules = template->modules.n;
  if (!template->failed)
    args = find_function (template, name, &function);
  if (args == NULL)
    {
      gfork_children_check (template);
      gfork_answer_failure (template);
      return;
    }

  gfork_become_worker (template, name,
                       template->unknown_code_ran || template->modules.n > n_modules);
  exit (function (template->socket, args, template->arguments.n));
}
