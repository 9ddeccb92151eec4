/* exec.c: turns a template into another program
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
#include <unistd.h>

/* Makes the argument list: the words of the frame, and then the strings that were sent. */
static char **
collect_argv (const uint8_t  *words,
              uint32_t        length,
              const GForkArg *args,
              size_t          n_args,
              char           *reason,
              size_t          reason_size)
{
  size_t n = 0, size = n_args + 1;
  char **argv;
  const char *word;

  for (uint32_t i = 0; i < length; i++)
    size += words[i] == '\0';

  argv = calloc (size, sizeof *argv);
  if (argv == NULL)
    {
      snprintf (reason, reason_size, "%s", strerror (errno));
      return NULL;
    }

  while ((word = gfork_next_string (&words, &length)) != NULL)
    argv[n++] = (char *) word;

  for (size_t i = 0; i < n_args; i++)
    if (args[i].fd < 0)
      {
        if (memchr (args[i].data, '\0', args[i].length) != NULL)
          {
            snprintf (reason, reason_size, "%s" GFORK_DETAIL "%zu",
                      N_("an argument holds a NUL"), n);
            free (argv);
            return NULL;
          }
        argv[n++] = (char *) args[i].data;
      }

  return argv;
}

/* Adds what is placed besides mapped descriptors: those that were sent, at 3, 4 and so on, as
 * far as these are free; and copies of the socket, at the streams that it is to be. The
 * placements own them from then on. */
static bool
collect_placements (struct gfork_execution  *execution,
                    struct gfork_placements *placements,
                    struct gfork_arguments  *arguments,
                    int                      socket,
                    char                    *reason,
                    size_t                   reason_size)
{
  uint32_t flags = execution->flags;
  int next = 3;

  for (size_t i = 0; i < arguments->n; i++)
    {
      int fd = arguments->sent[i].fd;

      while (gfork_placements_have (placements, next))
        next++;
      if (fd >= 0 && !gfork_placements_add (placements, fd, next, reason, reason_size))
        return false;
      arguments->sent[i].fd = -1;
    }

  if ((flags & GFORK_EXEC_STDERR_MERGE) != 0
      && ((flags & GFORK_EXEC_SOCKET_STDERR) != 0 || gfork_placements_have (placements, 2)))
    {
      snprintf (reason, reason_size, "%s" GFORK_DETAIL "%d",
                N_("a descriptor is asked for twice"), 2);
      return false;
    }

  for (int stream = 0; stream <= 2; stream++)
    if ((flags & (GFORK_EXEC_SOCKET_STDIN << stream)) != 0)
      {
        int copy = dup (socket);

        if (copy < 0)
          {
            snprintf (reason, reason_size, "%s", strerror (errno));
            return false;
          }
        if (!gfork_placements_add (placements, copy, stream, reason, reason_size))
          {
            close (copy);
            return false;
          }
        execution->copies[execution->n_copies++] = copy;
      }

  return true;
}

/* Collects in memory what an execution needs, from the frame EXEC and what was sent before. No
 * descriptor is moved or closed; copies of the socket are made. The execution is to be freed
 * also if this fails. */
bool
gfork_execution_prepare (struct gfork_execution   *execution,
                         struct gfork_template    *template,
                         const struct gfork_frame *frame,
                         char                     *reason,
                         size_t                    reason_size)
{
  struct gfork_placements *placements = &template->placements;
  size_t n_args = template->arguments.n, n_words = 0;
  const uint8_t *words = frame->payload + sizeof execution->flags;

  *execution = (struct gfork_execution){ .program = (const char *) words, .n_args = n_args };
  memcpy (&execution->flags, frame->payload, sizeof execution->flags);
  snprintf (reason, reason_size, "%s", strerror (ENOMEM));

  execution->args = gfork_arguments_open (&template->arguments, reason, reason_size);
  if (execution->args == NULL)
    return false;
  execution->argv = collect_argv (words, frame->length - sizeof execution->flags, execution->args,
                                  n_args, reason, reason_size);
  if (execution->argv == NULL)
    return false;

  while (execution->argv[n_words] != NULL)
    n_words++;
  execution->shell_argv = calloc (n_words + 2, sizeof *execution->shell_argv);
  execution->keep = calloc (placements->n + n_args + 5, sizeof *execution->keep);
  return execution->shell_argv != NULL && execution->keep != NULL
         && collect_placements (execution, placements, &template->arguments, frame->fds[0],
                                reason, reason_size);
}

void
gfork_execution_free (struct gfork_execution *execution)
{
  free (execution->argv);
  free (execution->shell_argv);
  free (execution->keep);
  if (execution->n_args > 0)
    free (execution->args);
}

/* Puts the descriptors in their places. From here to gfork_execution_go() there are only
 * system calls: the memory may be another process's. */
bool
gfork_execution_place (struct gfork_execution *execution,
                       struct gfork_template  *template,
                       char                   *reason,
                       size_t                  reason_size)
{
  int *movable[] = { &template->socket, &template->scope };

  if (!gfork_place (&template->placements, movable, template->scope >= 0 ? 2 : 1, reason,
                    reason_size))
    return false;

  if ((execution->flags & GFORK_EXEC_STDERR_MERGE) != 0 && dup2 (1, 2) < 0)
    {
      snprintf (reason, reason_size, "%s", strerror (errno));
      return false;
    }

  return true;
}

/* Closes all other descriptors, and applies the attributes and the confinement. The process
 * cannot be a template any more after that. If it fails, that is recorded as the template's
 * failure. */
bool
gfork_execution_settle (struct gfork_execution *execution,
                        struct gfork_template  *template)
{
  const struct gfork_placements *placements = &template->placements;
  size_t n = 0;

  for (; n < placements->n; n++)
    execution->keep[n] = placements->items[n].target;
  execution->keep[n++] = template->socket;
  if (template->scope >= 0)
    execution->keep[n++] = template->scope;
  gfork_close_all_but (execution->keep, n);

  return gfork_attributes_apply (template)
         && gfork_confine_worker (template, GFORK_EXEC, execution->program);
}

/* Answers READY and executes the program. Returns only if that has failed, with the reason. The
 * caller then sends ERROR, and ends the process. If the end of file comes without an ERROR, the
 * application knows that the program was executed. */
void
gfork_execution_go (struct gfork_execution *execution,
                    struct gfork_template  *template,
                    char                  **envp,
                    char                   *reason,
                    size_t                  reason_size)
{
  gfork_signals_restore (&template->signals, true);
  gfork_answer_ready (template);
  gfork_execute (execution->argv, envp, (execution->flags & GFORK_EXEC_SEARCH_PATH) != 0,
                 execution->shell_argv, execution->path);
  gfork_execute_describe (execution->path, errno, reason, reason_size);
}

void
gfork_exec (struct gfork_template *template,
            struct gfork_frame    *frame)
{
  char reason[sizeof template->failure.reason] = "";
  struct gfork_execution execution;
  bool placed;

  /* What code of modules has printed goes where it printed it, not to what comes next. */
  fflush (NULL);

  placed = gfork_execution_prepare (&execution, template, frame, reason, sizeof reason);
  /* The program gets copies of the socket, perhaps at the number of this one. */
  gfork_frame_close_fds (frame);
  if (!placed || !gfork_execution_place (&execution, template, reason, sizeof reason))
    {
      gfork_fail (template, GFORK_CODE_EXEC, GFORK_EXEC, execution.program, reason);
      gfork_answer_failure (template);
      gfork_execution_free (&execution);
      return;
    }

  if (!gfork_execution_settle (&execution, template))
    {
      gfork_execution_free (&execution);
      gfork_attributes_give_up (template);
    }
  if (template->unknown_code_ran)
    gfork_signals_look (&template->signals);
  gfork_execution_go (&execution, template, environ, reason, sizeof reason);
  gfork_fail (template, GFORK_CODE_EXEC, GFORK_EXEC, execution.program, reason);
  gfork_answer_failure (template);

  /* For leak checkers, since _exit() does not free it. */
  gfork_execution_free (&execution);
  _exit (127);
}
