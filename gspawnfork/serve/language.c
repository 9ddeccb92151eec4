/* language.c: commands that an interpreter carries out
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/template.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
ask (struct gfork_template    *template,
     enum gfork_request        request,
     const char               *name,
     const struct gfork_value *values,
     size_t                    n_values,
     char                     *reason,
     size_t                    reason_size)
{
  const struct gfork_language *language = template->language;
  int result;

  reason[0] = '\0';
  if (request != GFORK_REQUEST_RUN)
    gfork_signals_enter_module ();
  result = language->request (request, name, values, n_values, template->socket, reason,
                              reason_size, language->data);
  if (request != GFORK_REQUEST_RUN)
    gfork_signals_leave_module ();
  return result;
}

/* Has the interpreter carry out a command that consists of a name and strings. */
static void
prepare (struct gfork_template    *template,
         enum gfork_request        request,
         const struct gfork_frame *frame)
{
  const uint8_t *rest = frame->payload;
  uint32_t length = frame->length;
  const char *name = gfork_next_string (&rest, &length);
  char reason[sizeof template->failure.reason];
  struct gfork_value *values;
  const char *string;
  size_t n = 0;
  int code;

  for (uint32_t i = 0; i < length; i++)
    n += rest[i] == '\0';
  values = calloc (n + 1, sizeof *values);
  if (values == NULL)
    {
      gfork_fail (template, GFORK_CODE_CALL, frame->verb, name, strerror (errno));
      return;
    }
  for (n = 0; (string = gfork_next_string (&rest, &length)) != NULL; n++)
    values[n] = (struct gfork_value){ -1, true, string, strlen (string) };

  code = ask (template, request, name, values, n, reason, sizeof reason);
  if (code >= 0)
    gfork_fail (template, code, frame->verb, name, reason);
  free (values);
}

static struct gfork_value *
open_values (struct gfork_template *template,
             char                  *reason,
             size_t                 reason_size)
{
  struct gfork_arguments *arguments = &template->arguments;
  GForkArg *args = gfork_arguments_open (arguments, reason, reason_size);
  struct gfork_value *values;

  if (args == NULL)
    return NULL;

  values = calloc (arguments->n + 1, sizeof *values);
  for (size_t i = 0; values != NULL && i < arguments->n; i++)
    values[i] = (struct gfork_value){ args[i].fd, arguments->sent[i].is_string, args[i].data,
                                      args[i].length };
  if (values == NULL)
    snprintf (reason, reason_size, "%s", strerror (errno));
  return values;
}

static void
run (struct gfork_template *template,
     const char            *name)
{
  char reason[sizeof template->failure.reason];
  struct gfork_value *values = NULL;

  if (!template->failed)
    {
      int code = ask (template, GFORK_REQUEST_FIND, name, NULL, 0, reason, sizeof reason);

      if (code < 0)
        {
          code = GFORK_CODE_FAILED;
          if (gfork_place_for_run (template, reason, sizeof reason))
            values = open_values (template, reason, sizeof reason);
        }
      if (values == NULL)
        gfork_fail (template, code, GFORK_RUN, name, reason);
    }

  if (values == NULL)
    {
      gfork_answer_failure (template);
      return;
    }

  gfork_become_worker (template, name, true);
  exit (ask (template, GFORK_REQUEST_RUN, name, values, template->arguments.n, reason,
             sizeof reason));
}

/* Returns whether it is a command that differs from one language to another. */
bool
gfork_language_handle (struct gfork_template *template,
                       struct gfork_frame    *frame)
{
  switch (frame->verb)
    {
    case GFORK_REQUIRE:
      prepare (template, GFORK_REQUEST_REQUIRE, frame);
      return true;

    case GFORK_CALL:
      prepare (template, GFORK_REQUEST_CALL, frame);
      return true;

    case GFORK_EVAL:
      prepare (template, GFORK_REQUEST_EVAL, frame);
      return true;

    case GFORK_MODULE_PATH:
      prepare (template, GFORK_REQUEST_MODULE_PATH, frame);
      return true;

    case GFORK_FORK:
      gfork_refuse_child (template, frame, GFORK_CODE_NOT_SUPPORTED,
                          N_("the interpreter has threads from the beginning"));
      return true;

    case GFORK_RUN:
      run (template, (const char *) frame->payload);
      return true;

    default:
      return false;
    }
}
