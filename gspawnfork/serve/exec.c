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

/* The given words, then the strings that were sent. */
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

/* Everything that goes to a number of its own: the descriptors sent become 3, 4
 * and so on, as far as these are free, and the socket those streams that were asked for.
 * Each belongs to the placements from then on. */
static bool
collect_placements (struct gfork_placements *placements,
                    struct gfork_arguments  *arguments,
                    int                      socket,
                    uint32_t                 flags,
                    char                    *reason,
                    size_t                   reason_size)
{
  int next = 3;

  for (size_t i = 0; i < arguments->n; i++)
    {
      int fd = arguments->sent[i].fd;

      while (gfork_placements_have (placements, next))
        next++;
      arguments->sent[i].fd = -1;
      if (fd >= 0 && !gfork_placements_add (placements, fd, next, reason, reason_size))
        return false;
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
          return false;
      }

  return true;
}

static void
free_all (char    **argv,
          char    **shell_argv,
          int      *keep,
          GForkArg *args,
          size_t    n_args)
{
  free (argv);
  free (shell_argv);
  free (keep);
  if (n_args > 0)
    free (args);
}

/* Answers READY before and ERROR after, should it fail: that the control socket
 * ends with no error tells the application that the program has been executed. */
void
gfork_exec (struct gfork_template *template,
            struct gfork_frame    *frame)
{
  struct gfork_placements *placements = &template->placements;
  const char *program = (const char *) frame->payload + sizeof (uint32_t);
  char reason[sizeof template->failure.reason] = "";
  int *movable[] = { &template->socket, &template->scope };
  char path[PATH_MAX];
  int *keep;
  uint32_t flags;
  GForkArg *args;
  char **argv, **shell_argv = NULL;
  size_t n_args = template->arguments.n, n_words = 0, n_keep = 0;
  bool placed;

  memcpy (&flags, frame->payload, sizeof flags);

  /* What code of modules has printed goes where it printed it, not to what comes next. */
  fflush (NULL);

  args = gfork_arguments_open (&template->arguments, reason, sizeof reason);
  argv = args == NULL ? NULL
                      : collect_argv (frame->payload + sizeof flags, frame->length - sizeof flags,
                                      args, n_args, reason, sizeof reason);
  while (argv != NULL && argv[n_words] != NULL)
    n_words++;
  if (argv != NULL)
    shell_argv = calloc (n_words + 2, sizeof *shell_argv);
  keep = calloc (placements->n + n_args + 5, sizeof *keep);
  placed = shell_argv != NULL && keep != NULL
           && collect_placements (placements, &template->arguments, frame->fds[0], flags,
                                  reason, sizeof reason);
  /* Its copies are what the program gets, perhaps at this very number. */
  gfork_frame_close_fds (frame);
  placed = placed && gfork_place (placements, movable, template->scope >= 0 ? 2 : 1, reason,
                                  sizeof reason);
  if (placed && (flags & GFORK_EXEC_STDERR_MERGE) != 0 && dup2 (1, 2) < 0)
    {
      snprintf (reason, sizeof reason, "%s", strerror (errno));
      placed = false;
    }
  if (!placed)
    {
      gfork_fail (template, GFORK_CODE_EXEC, GFORK_EXEC, program,
                  reason[0] != '\0' ? reason : strerror (ENOMEM));
      gfork_answer_failure (template);
      free_all (argv, shell_argv, keep, args, n_args);
      return;
    }

  for (; n_keep < placements->n; n_keep++)
    keep[n_keep] = placements->items[n_keep].target;
  keep[n_keep++] = template->socket;
  if (template->scope >= 0)
    keep[n_keep++] = template->scope;
  gfork_close_all_but (keep, n_keep);

  if (!gfork_attributes_apply (template)
      || !gfork_confine_worker (template, GFORK_EXEC, program))
    {
      free_all (argv, shell_argv, keep, args, n_args);
      gfork_attributes_give_up (template);
    }
  if (template->unknown_code_ran)
    gfork_signals_look (&template->signals);
  gfork_signals_restore (&template->signals, true);
  gfork_answer_ready (template);

  gfork_execute (argv, environ, (flags & GFORK_EXEC_SEARCH_PATH) != 0, shell_argv, path);

  gfork_execute_describe (path, errno, reason, sizeof reason);
  gfork_fail (template, GFORK_CODE_EXEC, GFORK_EXEC, program, reason);
  gfork_answer_failure (template);

  /* For those who look for leaks, since a fork does not end by exit(). */
  free_all (argv, shell_argv, keep, args, n_args);
  _exit (127);
}
