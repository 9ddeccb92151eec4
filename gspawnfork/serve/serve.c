/* serve.c: the template process: a loop that reads commands, and the table of commands
 *
 * One thread, and nothing but the C library.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/template.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* To be called when a template has to wait for commands. Most forks run a function at once, and
 * never take this title. */
static void
take_title (struct gfork_template *template)
{
  if (template->untitled)
    gfork_title_set (&template->title, GFORK_TEMPLATE_TITLE, template->parent);
  template->untitled = false;
}

/* ——— Preparing ——— */

static void
on_sync (struct gfork_template *template,
         struct gfork_frame    *frame)
{
  struct
  {
    struct gfork_header header;
    struct gfork_pid pid;
  } answer = { .pid = { .pid = template->pid } };

  if (template->failed)
    {
      gfork_answer_failure (template);
      return;
    }

  take_title (template);
  if (frame->length > 0)
    gfork_children_disown (&template->children);
  if (template->out_length == 0 && gfork_answer_with_pidfd (template, GFORK_SYNCED, MSG_DONTWAIT))
    return;

  /* Queued behind the answers that wait already, without a pidfd. */
  gfork_header_set (&answer.header, GFORK_SYNCED, sizeof answer.pid, 0);
  gfork_answer (template, &answer, sizeof answer);
}

/* To be called before code of a module runs in the template. */
static void
expect_unknown_code (struct gfork_template *template,
                     const char            *name)
{
  template->unknown_code_ran = true;
  template->hint.function = NULL; /* a new module may have one of that name */
  snprintf (template->last_code, sizeof template->last_code, "%s", name);
  gfork_random_renew (&template->random);
}

static void
on_require (struct gfork_template *template,
            struct gfork_frame    *frame)
{
  const char *module = (const char *) frame->payload;
  char reason[sizeof template->failure.reason];

  expect_unknown_code (template, module);
  if (!gfork_module_require (&template->modules, module, reason, sizeof reason))
    gfork_fail (template, GFORK_CODE_MODULE, GFORK_REQUIRE, module, reason);
  gfork_children_check (template);
}

static void
on_call (struct gfork_template *template,
         struct gfork_frame    *frame)
{
  const uint8_t *rest = frame->payload;
  uint32_t length = frame->length;
  const char *name = gfork_next_string (&rest, &length);
  char reason[sizeof template->failure.reason] = "";
  GForkCallFunc function;
  GForkArg *args;
  const char *string;
  size_t n_args = 0;
  enum gfork_code code;
  int status;

  expect_unknown_code (template, name);
  function = (GForkCallFunc) gfork_module_find (template, name, &code, reason, sizeof reason);
  if (function == NULL)
    {
      gfork_fail (template, code, GFORK_CALL, name, reason);
      return;
    }

  for (uint32_t i = 0; i < length; i++)
    n_args += rest[i] == '\0';
  args = calloc (n_args + 1, sizeof *args);
  if (args == NULL)
    {
      gfork_fail (template, GFORK_CODE_CALL, GFORK_CALL, name, strerror (errno));
      return;
    }
  for (n_args = 0; (string = gfork_next_string (&rest, &length)) != NULL; n_args++)
    args[n_args] = (GForkArg){ .fd = -1, .data = string, .length = strlen (string) };

  gfork_arguments_offer (&template->arguments);
  gfork_signals_enter_module ();
  status = function (args, n_args, reason, sizeof reason);
  gfork_signals_leave_module ();
  if (status != 0)
    {
      /* The function may have left no NUL. */
      reason[sizeof reason - 1] = '\0';
      gfork_fail (template, GFORK_CODE_CALL, GFORK_CALL, name,
                  reason[0] != '\0' ? reason : N_("it did not say why"));
    }
  gfork_arguments_offer (NULL);
  free (args);
  gfork_children_check (template);
}

static void
on_eval (struct gfork_template *template,
         struct gfork_frame    *frame)
{
  gfork_fail (template, GFORK_CODE_NOT_SUPPORTED, GFORK_EVAL, (const char *) frame->payload,
              N_("this runtime does not evaluate code"));
}

static void
on_arg (struct gfork_template *template,
        struct gfork_frame    *frame)
{
  if (!gfork_arguments_add_bytes (&template->arguments, frame->payload[0] == GFORK_ARG_STRING,
                                   frame->payload + 1, frame->length - 1))
    gfork_fail (template, GFORK_CODE_FAILED, GFORK_ARG, "", strerror (errno));
}

static void
on_arg_fd (struct gfork_template *template,
           struct gfork_frame    *frame)
{
  for (; frame->n_fds > 0; frame->n_fds--, frame->fds++)
    if (!gfork_arguments_add_fd (&template->arguments, frame->fds[0]))
      {
        gfork_fail (template, GFORK_CODE_FAILED, GFORK_ARG_FD, "", strerror (errno));
        return;
      }
}

static void
on_arg_memfd (struct gfork_template *template,
              struct gfork_frame    *frame)
{
  char reason[sizeof template->failure.reason];
  struct gfork_memfd memfd;

  memcpy (&memfd, frame->payload, sizeof memfd);
  frame->n_fds = 0;
  if (!gfork_arguments_add_memfd (&template->arguments, memfd.kind == GFORK_ARG_STRING,
                                  frame->fds[0], memfd.length, reason, sizeof reason))
    gfork_fail (template, GFORK_CODE_FAILED, GFORK_ARG_MEMFD, "", reason);
}

static void
on_setenv (struct gfork_template *template,
           struct gfork_frame    *frame)
{
  const char *variable = (const char *) frame->payload;
  size_t length = strlen (variable) + 1;

  if (length == frame->length)
    gfork_fail (template, GFORK_CODE_PROTOCOL, GFORK_SETENV, variable, "");
  else if (setenv (variable, variable + length, 1) != 0)
    gfork_fail (template, GFORK_CODE_FAILED, GFORK_SETENV, variable, strerror (errno));
}

static void
on_unsetenv (struct gfork_template *template,
             struct gfork_frame    *frame)
{
  const char *variable = (const char *) frame->payload;

  if (unsetenv (variable) != 0)
    gfork_fail (template, GFORK_CODE_FAILED, GFORK_UNSETENV, variable, strerror (errno));
}

static void
on_chdir (struct gfork_template *template,
          struct gfork_frame    *frame)
{
  const char *directory = (const char *) frame->payload;

  if (chdir (directory) != 0)
    gfork_fail (template, GFORK_CODE_FAILED, GFORK_CHDIR, directory, strerror (errno));
}

static void
on_map_fd (struct gfork_template *template,
           struct gfork_frame    *frame)
{
  char reason[sizeof template->failure.reason], subject[16];
  int32_t target;

  memcpy (&target, frame->payload, sizeof target);
  if (gfork_placements_add (&template->placements, frame->fds[0], target, reason, sizeof reason))
    frame->n_fds = 0;
  else
    {
      snprintf (subject, sizeof subject, "%d", target);
      gfork_fail (template, GFORK_CODE_FAILED, GFORK_MAP_FD, subject, reason);
    }
}

static void
on_module_path (struct gfork_template *template,
                struct gfork_frame    *frame)
{
  free (template->modules.path);
  template->modules.path = strdup ((const char *) frame->payload);
}

/* Replaces all variables, or none. Of two with the same name the first one counts, as getenv()
 * would find that in an array. */
static void
on_environ (struct gfork_template *template,
            struct gfork_frame    *frame)
{
  const uint8_t *rest = frame->payload;
  uint32_t length = frame->length;
  char *string;

  while ((string = (char *) gfork_next_string (&rest, &length)) != NULL)
    if (string[0] == '=' || strchr (string, '=') == NULL)
      {
        gfork_fail (template, GFORK_CODE_FAILED, GFORK_ENVIRON, string, strerror (EINVAL));
        return;
      }
  if (length > 0)
    {
      gfork_fail (template, GFORK_CODE_PROTOCOL, GFORK_ENVIRON, "", "");
      return;
    }

  clearenv ();
  rest = frame->payload;
  length = frame->length;
  while ((string = (char *) gfork_next_string (&rest, &length)) != NULL)
    {
      char *equals = strchr (string, '=');

      if (equals == NULL)
        continue; /* there is none: see above */
      *equals = '\0';
      if (setenv (string, equals + 1, 0) != 0)
        gfork_fail (template, GFORK_CODE_FAILED, GFORK_ENVIRON, string, strerror (errno));
    }
}

/* ——— What applies to what is run ——— */

static void
on_setsid (struct gfork_template *template,
           struct gfork_frame    *frame)
{
  (void) frame;
  template->attributes.leads_session = true;
}

static void
on_die (struct gfork_template *template,
        struct gfork_frame    *frame)
{
  (void) frame;
  template->attributes.dies = true;
}

static void
on_limit (struct gfork_template *template,
          struct gfork_frame    *frame)
{
  struct gfork_limit limit;
  char subject[16];

  memcpy (&limit, frame->payload, sizeof limit);
  if (!gfork_attributes_set_limit (&template->attributes, limit.resource, limit.value))
    {
      snprintf (subject, sizeof subject, "%u", limit.resource);
      gfork_fail (template, GFORK_CODE_FAILED, GFORK_LIMIT, subject, strerror (EINVAL));
    }
}

/* ——— Children and the end ——— */

/* The template only reaps its children from now on, which may live long. What was sent is closed
 * now, since a process may wait for the end of a pipe. */
static void
on_close (struct gfork_template *template,
          struct gfork_frame    *frame)
{
  (void) frame;
  template->closed = true;
  gfork_arguments_close (&template->arguments);
  gfork_placements_close (&template->placements);
}

static void
on_kill (struct gfork_template *template,
         struct gfork_frame    *frame)
{
  struct gfork_kill kill;

  memcpy (&kill, frame->payload, sizeof kill);
  gfork_children_kill (&template->children, kill.id, kill.signum);
}

/* ——— Running ——— */

static void
on_exec (struct gfork_template *template,
         struct gfork_frame    *frame)
{
  if (template->failed)
    {
      gfork_answer_failure (template);
      return;
    }

  gfork_children_ignore (&template->children);
  gfork_exec (template, frame);
}

/* ——— The table and the loop ——— */

enum
{
  STRINGS = 1 << 0,  /* the payload ends with a NUL */
  PREPARES = 1 << 1, /* not done any more once something has failed */
  ANY_FDS = 1 << 2,
  LAUNCHES = 1 << 3, /* may be among what a program is launched with: see launch.c */
};

static const struct
{
  void (*handle) (struct gfork_template *template, struct gfork_frame *frame);
  uint32_t min_length;
  uint8_t n_fds;
  uint8_t flags;
} commands[] = {
  [GFORK_REQUIRE] = { on_require, 1, 0, STRINGS | PREPARES },
  [GFORK_CALL] = { on_call, 1, 0, STRINGS | PREPARES },
  [GFORK_EVAL] = { on_eval, 1, 0, STRINGS | PREPARES },
  [GFORK_ARG] = { on_arg, 1, 0, PREPARES | LAUNCHES },
  [GFORK_ARG_FD] = { on_arg_fd, 0, 0, PREPARES | ANY_FDS | LAUNCHES },
  [GFORK_ARG_MEMFD] = { on_arg_memfd, sizeof (struct gfork_memfd), 1, PREPARES },
  [GFORK_SETENV] = { on_setenv, 2, 0, STRINGS | PREPARES | LAUNCHES },
  [GFORK_UNSETENV] = { on_unsetenv, 1, 0, STRINGS | PREPARES | LAUNCHES },
  [GFORK_CHDIR] = { on_chdir, 1, 0, STRINGS | PREPARES | LAUNCHES },
  [GFORK_MAP_FD] = { on_map_fd, sizeof (int32_t), 1, PREPARES | LAUNCHES },
  [GFORK_MODULE_PATH] = { on_module_path, 1, 0, STRINGS | PREPARES },
  [GFORK_FORK] = { gfork_fork, sizeof (uint32_t), 1, 0 },
  [GFORK_SYNC] = { on_sync, 0, 0, 0 },
  [GFORK_RUN] = { gfork_run, 1, 0, STRINGS },
  [GFORK_EXEC] = { on_exec, sizeof (uint32_t) + 1, 1, STRINGS | LAUNCHES },
  [GFORK_KILL] = { on_kill, sizeof (struct gfork_kill), 0, 0 },
  [GFORK_CLOSE] = { on_close, 0, 0, 0 },
  [GFORK_ENVIRON] = { on_environ, 0, 0, PREPARES | LAUNCHES },
  [GFORK_SETSID] = { on_setsid, 0, 0, PREPARES | LAUNCHES },
  [GFORK_LIMIT] = { on_limit, sizeof (struct gfork_limit), 0, PREPARES | LAUNCHES },
  [GFORK_DIE] = { on_die, 0, 0, PREPARES | LAUNCHES },
  [GFORK_CONFINE] = { gfork_confine, sizeof (struct gfork_confine), 0, PREPARES | ANY_FDS },
};

static bool
is_command (const struct gfork_frame *frame)
{
  size_t verb = frame->verb;

  return verb < sizeof commands / sizeof *commands && commands[verb].handle != NULL
         && frame->length >= commands[verb].min_length
         && ((commands[verb].flags & ANY_FDS) != 0 || frame->n_fds == commands[verb].n_fds)
         && ((commands[verb].flags & STRINGS) == 0 || frame->payload[frame->length - 1] == '\0');
}

static bool
is_for_launch (const struct gfork_frame *frame)
{
  return is_command (frame) && (commands[frame->verb].flags & LAUNCHES) != 0;
}

static void
handle_for_launch (struct gfork_template *template,
                   struct gfork_frame    *frame)
{
  commands[frame->verb].handle (template, frame);
}

static const struct gfork_launch_funcs launch_funcs = { is_for_launch, handle_for_launch };

static _Noreturn void
give_up (struct gfork_template *template,
         enum gfork_code        code,
         const char            *reason)
{
  /* This failure is reported even if there was another one before. */
  template->failed = false;
  gfork_fail (template, code, 0, "", reason);
  gfork_answer_failure (template);
  gfork_leave (template, 1);
}

static void
handle_frame (struct gfork_template *template,
              struct gfork_frame    *frame)
{
  if (template->language == NULL || !gfork_language_handle (template, frame))
    commands[frame->verb].handle (template, frame);
}

/* Carries out the commands that were read. After a fork, both processes return from here. */
static void
handle_frames (struct gfork_template *template)
{
  struct gfork_frame frame;

  for (;;)
    switch (gfork_reader_next (&template->reader, &frame))
      {
      case GFORK_NEXT_MORE:
        return;

      case GFORK_NEXT_BAD:
        give_up (template, GFORK_CODE_PROTOCOL, N_("malformed frame"));

      case GFORK_NEXT_FRAME:
        if (!is_command (&frame))
          give_up (template, GFORK_CODE_PROTOCOL, N_("malformed command"));
        if (!template->failed || (commands[frame.verb].flags & PREPARES) == 0)
          handle_frame (template, &frame);
        gfork_frame_close_fds (&frame);
        break;
      }
}

enum
{
  COMMANDS = 1 << 0,
  ENDS = 1 << 1,
};

/* Waits until something can be read, and returns what. Sends answers that wait. */
static unsigned
wait_for_something (struct gfork_template *template)
{
  struct pollfd polls[] = {
    { .fd = template->socket, .events = POLLIN },
    { .fd = template->children.signals, .events = POLLIN },
  };
  int patience = gfork_children_reap_in_time (template);
  unsigned ready = 0;
  int n;

  if (template->out_length > 0 && !template->out_of_memory)
    polls[0].events |= POLLOUT;
  else if (template->out_length > 0 && (patience < 0 || patience > GFORK_RETRY_AFTER_MS))
    patience = GFORK_RETRY_AFTER_MS;
  n = poll (polls, 2, patience);
  if (n < 0)
    return 0;

  if ((polls[0].revents & POLLOUT) != 0 || template->out_of_memory)
    gfork_answer_flush (template, MSG_DONTWAIT);
  if ((polls[0].revents & ~POLLOUT) != 0)
    ready |= COMMANDS;
  if (polls[1].revents != 0)
    ready |= ENDS;
  return ready;
}

static void
read_commands (struct gfork_template *template,
               int                    flags)
{
  switch (gfork_reader_fill (&template->reader, template->socket, false, flags))
    {
    case GFORK_FILL_DATA:
      handle_frames (template);
      break;

    case GFORK_FILL_AGAIN:
      take_title (template);
      break;

    case GFORK_FILL_RESET:
      if (errno != ECONNRESET)
        give_up (template, GFORK_CODE_FAILED, strerror (errno));
      gfork_leave (template, 0);

    case GFORK_FILL_EOF:
      /* The application has ended, or has closed the socket. */
      gfork_leave (template, 0);

    case GFORK_FILL_TRUNCATED:
      give_up (template, GFORK_CODE_FAILED, N_("too many descriptors (see RLIMIT_NOFILE)"));

    case GFORK_FILL_FLOODED:
      give_up (template, GFORK_CODE_PROTOCOL, N_("malformed frame"));

    case GFORK_FILL_NO_MEMORY:
      give_up (template, GFORK_CODE_FAILED, strerror (ENOMEM));
    }
}

_Noreturn void
gfork_serve (struct gfork_template *template)
{
  template->launch_funcs = &launch_funcs;
  for (;;)
    {
      /* Without children and unsent answers the process can block in recvmsg(), and need not
       * call poll(). */
      bool alone = template->children.n == 0 && template->out_length == 0;
      unsigned ready = COMMANDS;

      if (template->closed && alone)
        gfork_leave (template, 0);
      if (!alone)
        ready = wait_for_something (template);

      /* Commands come before ends: somebody waits for what they do. A fork returns from here,
       * too, and has no children. */
      if ((ready & COMMANDS) != 0)
        read_commands (template, alone && !template->untitled ? 0 : MSG_DONTWAIT);
      if ((ready & ENDS) != 0 && template->children.n > 0)
        gfork_children_reap (template);
    }
}
