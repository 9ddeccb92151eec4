/* launch.c: starts a program without the fork that would execute it
 *
 * If all that a fork is to do has been written to its socket before it is made, and ends with EXEC,
 * the program is started by vfork() instead, so that no page tables are copied for nothing. The
 * commands are read without taking them off the socket. If anything is not as expected, nothing has
 * happened: the fork is made, and does and answers all of it.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/template.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* More are not read ahead. The kernel keeps so many bytes together in most cases. */
#define MAX_COMMANDS (32 * 1024)

/* The commands that were sent to a fork that is not made yet */
struct commands
{
  const struct gfork_launch_funcs *funcs;
  uint8_t data[MAX_COMMANDS];
  size_t length;
  int fds[GFORK_MAX_FDS];
  size_t n_fds;
};

struct launch
{
  struct gfork_template template; /* as it would be in the fork */
  struct gfork_execution execution;
  char **envp;
  size_t n_env;
  const char **directories; /* to change to, one after another */
  size_t n_directories;
};

/* ——— Reading ahead ——— */

static bool
next_frame (struct commands    *commands,
            size_t             *position,
            size_t             *fds_position,
            struct gfork_frame *frame)
{
  struct gfork_header header;

  if (commands->length - *position < sizeof header)
    return false;
  memcpy (&header, commands->data + *position, sizeof header);
  *position += sizeof header;
  if (header.zero != 0 || header.length > commands->length - *position)
    return false;

  *frame = (struct gfork_frame){ header.verb, header.n_fds, header.length,
                                 commands->data + *position, commands->fds + *fds_position };
  *position += header.length;
  *fds_position += header.n_fds;
  return *fds_position <= GFORK_MAX_FDS;
}

/* Whether these are commands that end with EXEC. Finds out how many descriptors they have. */
static bool
are_complete (struct commands *commands,
              size_t          *n_fds)
{
  struct gfork_frame frame = { 0 };
  size_t position = 0;

  *n_fds = 0;
  while (frame.verb != GFORK_EXEC)
    if (!next_frame (commands, &position, n_fds, &frame) || !commands->funcs->takes (&frame))
      return false;

  return position == commands->length;
}

/* Forks of the template must not have what another process was sent. */
static void
forget (struct commands *commands)
{
  explicit_bzero (commands->data, commands->length);
}

static void
close_fds (struct commands *commands)
{
  for (size_t i = 0; i < commands->n_fds; i++)
    close (commands->fds[i]);
}

/* Gets copies of the descriptors. Those that are in flight stay in flight. */
static bool
peek_fds (struct commands *commands,
          int              socket,
          size_t           n_fds)
{
  _Alignas (struct cmsghdr) char control[GFORK_CONTROL_SIZE (GFORK_MAX_FDS)];
  struct iovec iov = { commands->data, commands->length };
  struct msghdr message = { .msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control,
                            .msg_controllen = GFORK_CONTROL_SIZE (n_fds) };
  ssize_t n = recvmsg (socket, &message, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  struct cmsghdr *cmsg = n > 0 ? CMSG_FIRSTHDR (&message) : NULL;

  if (cmsg != NULL && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS)
    {
      commands->n_fds = (cmsg->cmsg_len - CMSG_LEN (0)) / sizeof (int);
      memcpy (commands->fds, CMSG_DATA (cmsg), commands->n_fds * sizeof (int));
    }
  if (n == (ssize_t) commands->length && commands->n_fds == n_fds)
    return true;

  close_fds (commands);
  return false;
}

/* Reads the commands without taking them off the socket. Returns whether they are all that is
 * needed to start a program. */
static bool
read_ahead (struct commands *commands,
            int              socket)
{
  ssize_t n = recv (socket, commands->data, sizeof commands->data, MSG_PEEK | MSG_DONTWAIT);
  size_t n_fds;

  commands->length = n > 0 ? n : 0;
  commands->n_fds = 0;
  if (are_complete (commands, &n_fds) && peek_fds (commands, socket, n_fds))
    return true;

  forget (commands);
  return false;
}

/* Takes the commands off the socket, when they have been carried out. */
static void
drain (struct commands *commands,
       int              socket)
{
  size_t left = commands->length;
  ssize_t n;

  while (left > 0
         && ((n = recv (socket, commands->data, left, MSG_DONTWAIT)) > 0
             || (n < 0 && errno == EINTR)))
    left -= n > 0 ? n : 0;
}

/* ——— The environment ——— */

static bool
has_name (const char *entry,
          const char *name,
          size_t      length)
{
  return strncmp (entry, name, length) == 0 && entry[length] == '=';
}

static size_t
find_variable (const struct launch *launch,
               const char          *name,
               size_t               length)
{
  size_t i = 0;

  while (i < launch->n_env && !has_name (launch->envp[i], name, length))
    i++;
  return i;
}

/* The array has space for one variable more for each string in the commands. */
static void
set_variable (struct launch *launch,
              char          *entry,
              size_t         length,
              bool           replace)
{
  size_t i = find_variable (launch, entry, length);

  if (i == launch->n_env)
    launch->n_env++;
  else if (!replace)
    return;
  launch->envp[i] = entry;
}

/* Does on the copy of the environment what setenv() and the like would do. These never free a
 * value. */
static bool
change_environment (struct launch            *launch,
                    const struct gfork_frame *frame)
{
  const uint8_t *rest = frame->payload;
  uint32_t left = frame->length;
  size_t length, i;
  char *string;

  if (frame->verb == GFORK_ENVIRON)
    {
      launch->n_env = 0;
      while ((string = (char *) gfork_next_string (&rest, &left)) != NULL)
        {
          length = strcspn (string, "=");
          if (length == 0 || string[length] == '\0')
            return false;
          set_variable (launch, string, length, false);
        }
      return left == 0;
    }

  string = (char *) frame->payload;
  length = strlen (string);
  if (length == 0 || memchr (string, '=', length) != NULL)
    return false;

  if (frame->verb == GFORK_SETENV)
    {
      if (length + 1 == frame->length)
        return false;
      string[length] = '=';
      set_variable (launch, string, length, true);
      return true;
    }

  while ((i = find_variable (launch, string, length)) < launch->n_env)
    {
      memmove (&launch->envp[i], &launch->envp[i + 1],
               (launch->n_env - i - 1) * sizeof *launch->envp);
      launch->n_env--;
    }
  return true;
}

/* ——— The launch ——— */

static void *
copy (const void *data,
      size_t      n,
      size_t      n_more,
      size_t      size)
{
  void *result = calloc (n + n_more + 1, size);

  if (result != NULL && n > 0)
    memcpy (result, data, n * size);
  return result;
}

/* Gives the launch a copy of everything that the commands change. */
static bool
begin_launch (struct launch               *launch,
              const struct gfork_template *template,
              const struct commands       *commands,
              int                          socket)
{
  size_t n_strings = 0;

  *launch = (struct launch){ .template = *template };
  launch->template.socket = socket;
  launch->template.parent = template->pid;
  launch->template.forked = true;
  launch->template.is_fork_of_template = true;
  launch->template.out_length = 0;

  for (size_t i = 0; i < commands->length; i++)
    n_strings += commands->data[i] == '\0';
  while (environ != NULL && environ[launch->n_env] != NULL)
    launch->n_env++;

  launch->envp = copy (environ, launch->n_env, n_strings, sizeof *environ);
  launch->directories = copy (NULL, 0, n_strings, sizeof *launch->directories);
  launch->template.placements.items
      = copy (template->placements.items, template->placements.n, 0,
              sizeof *template->placements.items);
  launch->template.arguments.sent = copy (template->arguments.sent, template->arguments.n, 0,
                                          sizeof *template->arguments.sent);
  launch->template.arguments.size = template->arguments.n + 1;
  if (launch->envp == NULL || launch->directories == NULL
      || launch->template.placements.items == NULL || launch->template.arguments.sent == NULL)
    return false;

  /* It would be mapped in the template, and stay mapped. */
  for (size_t i = 0; i < template->arguments.n; i++)
    if (template->arguments.sent[i].type == SENT_MEMFD)
      return false;
  return true;
}

static void
end_launch (struct launch               *launch,
            const struct gfork_template *template)
{
  struct gfork_arguments *arguments = &launch->template.arguments;

  for (size_t i = 0; i < launch->execution.n_copies; i++)
    close (launch->execution.copies[i]);
  gfork_execution_free (&launch->execution);
  explicit_bzero (launch->execution.path, sizeof launch->execution.path);
  if (arguments->sent != NULL)
    for (size_t i = template->arguments.n; i < arguments->n; i++)
      {
        if (arguments->sent[i].data != NULL)
          explicit_bzero (arguments->sent[i].data, arguments->sent[i].length);
        free (arguments->sent[i].data);
      }
  free (arguments->sent);
  free (launch->template.placements.items);
  free (launch->directories);
  free (launch->envp);
}

/* Carries out in memory what the commands say. Nothing outside of the launch changes. */
static bool
plan_launch (struct launch   *launch,
             struct commands *commands)
{
  struct gfork_template *template = &launch->template;
  char reason[sizeof template->failure.reason];
  size_t position = 0, n_fds = 0;
  struct gfork_frame frame;

  while (next_frame (commands, &position, &n_fds, &frame))
    switch (frame.verb)
      {
      case GFORK_EXEC:
        return gfork_execution_prepare (&launch->execution, template, &frame, reason,
                                        sizeof reason);

      case GFORK_CHDIR:
        launch->directories[launch->n_directories++] = (const char *) frame.payload;
        break;

      case GFORK_ENVIRON:
      case GFORK_SETENV:
      case GFORK_UNSETENV:
        if (!change_environment (launch, &frame))
          return false;
        break;

      default:
        commands->funcs->handle (template, &frame);
        if (template->failed)
          {
            free (template->failure.subject);
            return false;
          }
      }

  return false;
}

/* Runs in the new process, in the memory of the template. */
static _Noreturn void
become_program (struct launch *launch,
                volatile bool *refused)
{
  struct gfork_template *template = &launch->template;
  struct gfork_failure failure = { GFORK_CODE_EXEC, GFORK_EXEC,
                                   (char *) launch->execution.program, "" };
  bool good = true;

  template->pid = getpid ();
  template->failed = true; /* so that nothing remembers, and allocates, a failure */
  for (size_t i = 0; good && i < launch->n_directories; i++)
    good = chdir (launch->directories[i]) == 0;
  if (!good
      || !gfork_execution_place (&launch->execution, template, failure.reason,
                                 sizeof failure.reason)
      || !gfork_execution_settle (&launch->execution, template))
    {
      *refused = true;
      _exit (0);
    }

  gfork_execution_go (&launch->execution, template, launch->envp, failure.reason,
                      sizeof failure.reason);
  gfork_send_failure (template->socket, &failure);
  _exit (127);
}

static pid_t
start (struct launch *launch)
{
  volatile bool refused = false;
  sigset_t all;
  pid_t pid;

  sigfillset (&all);
  sigprocmask (SIG_SETMASK, &all, NULL);
  /* NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.vfork): nothing else is as fast */
  pid = vfork ();
  if (pid == 0)
    become_program (launch, &refused);
  gfork_signals_block ();

  if (pid > 0 && refused)
    while (waitpid (pid, NULL, 0) < 0 && errno == EINTR)
      ;
  return refused ? -1 : pid;
}

/* Starts the program that a fork with this control socket would execute. Returns -1 if the fork
 * has to be made, which is no error. */
pid_t
gfork_launch (struct gfork_template *template,
              int                    socket)
{
  struct commands commands;
  struct launch launch;
  pid_t pid = -1;

  commands.funcs = template->launch_funcs;
  if (!gfork_can_close_ranges () || !read_ahead (&commands, socket))
    return -1;

  if (begin_launch (&launch, template, &commands, socket) && plan_launch (&launch, &commands)
      && gfork_vfork_shares_memory ())
    {
      launch.envp[launch.n_env] = NULL;
      pid = start (&launch);
    }
  if (pid > 0)
    drain (&commands, socket);

  end_launch (&launch, template);
  close_fds (&commands);
  forget (&commands);
  return pid;
}
