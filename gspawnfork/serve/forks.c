/* forks.c: the template process forks itself
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/template.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Makes the fork another template. What its parent has read ahead, and answers that this has not
 * sent yet, are dropped. */
static void
become_child (struct gfork_template *template,
              int                    socket)
{
  close (template->socket);
  template->socket = socket;
  gfork_reader_clear (&template->reader);
  gfork_children_forget (&template->children);
  template->out_length = 0;
  template->closed = false;
  template->forked = true;
  template->is_fork_of_template = true;
  template->untitled = true;
  template->random.stale = true;
  template->parent = template->pid;
  template->pid = getpid ();
}

/* Sends ERROR on the socket of a process that is not made. Reports first that there is no such
 * process, so that nobody who has the ERROR waits for its end. */
static void
refuse_child (struct gfork_template      *template,
              const struct gfork_frame   *frame,
              const struct gfork_failure *failure)
{
  struct
  {
    struct gfork_header header;
    struct gfork_exited exited;
  } report = { .exited = { .wait_status = -1 } };

  memcpy (&report.exited.id, frame->payload, sizeof report.exited.id);
  gfork_header_set (&report.header, GFORK_EXITED, sizeof report.exited, 0);
  gfork_answer (template, &report, sizeof report);

  gfork_send_failure (frame->fds[0], failure);
}

void
gfork_refuse_child (struct gfork_template    *template,
                    const struct gfork_frame *frame,
                    enum gfork_code           code,
                    const char               *reason)
{
  struct gfork_failure failure = { .code = code, .verb = GFORK_FORK };

  snprintf (failure.reason, sizeof failure.reason, "%s", reason);
  refuse_child (template, frame, &failure);
}

/* To be called before a fork if code of modules has run since the last one: only that can have
 * started threads, changed signals, or freed memory. Returns false if the fork was refused. */
static bool
look_after_unknown_code (struct gfork_template    *template,
                         const struct gfork_frame *frame)
{
  char threads[512];

  if (gfork_count_threads (threads, sizeof threads) != 1)
    {
      struct gfork_failure failure = { GFORK_CODE_THREADED, GFORK_FORK, template->last_code, "" };

      snprintf (failure.reason, sizeof failure.reason, "%s", threads);
      refuse_child (template, frame, &failure);
      return false;
    }

  /* What it has printed is printed once, not by every fork. */
  fflush (NULL);
  gfork_signals_look (&template->signals);
  if (template->modules.n > 0 || (template->flags & GFORK_SERVE_PROGRAM) != 0)
    gfork_random_look (&template->random);
  gfork_release_freed_memory (template);
  template->unknown_code_ran = false;
  return true;
}

void
gfork_fork (struct gfork_template *template,
            struct gfork_frame    *frame)
{
  int socket = frame->fds[0];
  const char *name;
  uint32_t id;
  pid_t pid = -1;

  if (template->failed)
    {
      refuse_child (template, frame, &template->failure);
      return;
    }

  memcpy (&id, frame->payload, sizeof id);
  name = frame->length > sizeof id && frame->payload[frame->length - 1] == '\0'
             ? (const char *) frame->payload + sizeof id
             : NULL;
  if (name != NULL && name[0] != '\0')
    gfork_module_hint (template, name);
  if (template->unknown_code_ran && !look_after_unknown_code (template, frame))
    return;
  if (!gfork_children_reserve (&template->children))
    {
      gfork_refuse_child (template, frame, GFORK_CODE_FORK, strerror (errno));
      return;
    }

  if (name != NULL && name[0] == '\0')
    pid = gfork_launch (template, socket);
  if (pid < 0)
    pid = fork ();
  if (pid < 0)
    gfork_refuse_child (template, frame, GFORK_CODE_FORK, strerror (errno));
  else if (pid == 0)
    {
      frame->n_fds = 0;
      become_child (template, socket);
    }
  else
    gfork_children_add (&template->children, pid, id);
}
