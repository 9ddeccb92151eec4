/* contenders.c: measures the ways to make a process side by side
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "contenders.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixinputstream.h>
#include <glib-unix.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct _Launch Launch;

/* Starts a process, and calls watch_fd() at once or later. */
typedef void (*LaunchFunc) (Launch *launch);

struct _Contender
{
  char *name;

  /* Within this process */
  LaunchFunc start;
  const LaunchPlan *plan;
  GSubprocessFlags flags;

  /* In a program of its own */
  GSubprocess *program;
  GDataInputStream *answers;
  char *version;

  /* While measuring */
  guint to_start;
  guint to_end;
  gboolean done;
};

struct _Launch
{
  Contender *contender;
  const LaunchPlan *plan;
  GObject *owner;               /* what closes the descriptor */
  GForkProcess *process;        /* whose status is waited for, too */
  GSubprocess *subprocess;      /* likewise */
  int input;                    /* the pipe to its standard input, to be closed, or -1 */
  pid_t pid;                    /* to be reaped by this program, or 0 */
  int fd;
};

gint64
clock_ns (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);

  return (gint64) now.tv_sec * 1000000000 + now.tv_nsec;
}

void
must (const char *what,
      GError     *error)
{
  if (error == NULL)
    return;

  g_printerr ("%s: %s: %s\n", g_get_prgname (), what, error->message);
  exit (1);
}

static void
must_errno (const char *what,
            int         result)
{
  if (result >= 0)
    return;

  g_printerr ("%s: %s: %s\n", g_get_prgname (), what, g_strerror (errno));
  exit (1);
}

void
loop_until (const gboolean *done)
{
  while (!*done)
    g_main_context_iteration (NULL, TRUE);
}

/* One launch */

static void
start_next (Contender *contender)
{
  Launch *launch;

  if (contender->to_start == 0)
    return;

  contender->to_start--;

  launch = g_new0 (Launch, 1);
  launch->contender = contender;
  launch->plan = contender->plan;
  launch->fd = -1;
  launch->input = -1;

  contender->start (launch);
}

static void
end_launch (Launch *launch)
{
  Contender *contender = launch->contender;

  if (launch->pid != 0)
    must_errno ("waitpid", waitpid (launch->pid, NULL, 0));

  if (launch->owner != NULL)
    g_object_unref (launch->owner);
  else
    close (launch->fd);

  if (launch->input >= 0)
    close (launch->input);
  g_clear_object (&launch->process);
  g_clear_object (&launch->subprocess);
  g_free (launch);

  contender->to_end--;
  contender->done = contender->to_end == 0;
  start_next (contender);
}

static void
on_waited (GObject      *source,
           GAsyncResult *result,
           gpointer      data)
{
  GError *error = NULL;

  g_fork_process_wait_finish (G_FORK_PROCESS (source), result, &error);
  must ("wait", error);

  end_launch (data);
}

static void
on_subprocess_waited (GObject      *source,
                      GAsyncResult *result,
                      gpointer      data)
{
  GError *error = NULL;

  g_subprocess_wait_finish (G_SUBPROCESS (source), result, &error);
  must ("wait", error);

  end_launch (data);
}

static gboolean
on_readable (int          fd,
             GIOCondition condition,
             gpointer     data)
{
  Launch *launch = data;
  char byte;

  if (read (fd, &byte, 1) > 0)
    return G_SOURCE_CONTINUE;

  if (launch->process != NULL)
    g_fork_process_wait_async (launch->process, NULL, on_waited, launch);
  else if (launch->subprocess != NULL)
    g_subprocess_wait_async (launch->subprocess, NULL, on_subprocess_waited, launch);
  else
    end_launch (launch);

  return G_SOURCE_REMOVE;
}

static void
watch_fd (Launch *launch,
          int     fd)
{
  launch->fd = fd;
  g_unix_fd_add (fd, G_IO_IN | G_IO_HUP, on_readable, launch);
}

/* gspawnfork */

static void
watch_socket (Launch  *launch,
              GSocket *socket,
              GError  *error)
{
  must (launch->contender->name, error);

  launch->owner = G_OBJECT (socket);
  watch_fd (launch, g_socket_get_fd (socket));
}

static void
on_run (GObject      *source,
        GAsyncResult *result,
        gpointer      data)
{
  GForkTemplate *template = G_FORK_TEMPLATE (source);
  Launch *launch = data;
  GError *error = NULL;
  GSocket *socket;

  socket = g_fork_template_run_finish (template, result, NULL, &error);
  watch_socket (launch, socket, error);
}

static void
on_run_with_process (GObject      *source,
                     GAsyncResult *result,
                     gpointer      data)
{
  GForkTemplate *template = G_FORK_TEMPLATE (source);
  Launch *launch = data;
  GError *error = NULL;
  GSocket *socket;

  socket = g_fork_template_run_finish (template, result, &launch->process, &error);
  watch_socket (launch, socket, error);
}

static void
on_execv (GObject      *source,
          GAsyncResult *result,
          gpointer      data)
{
  GForkTemplate *template = G_FORK_TEMPLATE (source);
  Launch *launch = data;
  GError *error = NULL;
  GSocket *socket;

  socket = g_fork_template_execv_finish (template, result, NULL, &error);
  watch_socket (launch, socket, error);
}

static void
watch_stream (Launch       *launch,
              GInputStream *stream)
{
  watch_fd (launch, g_unix_input_stream_get_fd (G_UNIX_INPUT_STREAM (stream)));
}

static void
on_piped_execv (GObject      *source,
                GAsyncResult *result,
                gpointer      data)
{
  GForkTemplate *template = G_FORK_TEMPLATE (source);
  Launch *launch = data;
  GError *error = NULL;

  launch->owner = G_OBJECT (g_fork_template_execv_finish (template, result, &launch->process,
                                                          &error));
  must (launch->contender->name, error);
  watch_stream (launch, g_fork_process_get_stdout_pipe (launch->process));
}

static GForkTemplate *
fork_template (const LaunchPlan *plan)
{
  return plan->template != NULL ? g_fork_template_fork (plan->template)
                                : g_fork_template_new ();
}

static void
start_gspawnfork (Launch *launch)
{
  g_autoptr (GForkTemplate) template = fork_template (launch->plan);

  g_fork_template_run_async (template, launch->plan->function, NULL,
                             on_run, launch);
}

static void
start_status (Launch *launch)
{
  g_autoptr (GForkTemplate) template = fork_template (launch->plan);

  g_fork_template_run_async (template, launch->plan->function, NULL,
                             on_run_with_process, launch);
}

static void
start_new_exec (Launch *launch)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();

  g_fork_template_require (template, launch->plan->module);
  g_fork_template_run_async (template, launch->plan->function, NULL,
                             on_run, launch);
}

static void
start_execv (Launch *launch)
{
  g_autoptr (GForkTemplate) template = fork_template (launch->plan);

  g_fork_template_execv_async (template, launch->plan->argv,
                               G_FORK_EXEC_SOCKET_STDOUT, NULL,
                               on_execv, launch);
}

static void
start_piped_execv (Launch *launch)
{
  g_autoptr (GForkTemplate) template = fork_template (launch->plan);

  g_fork_template_execv_async (template, launch->plan->argv,
                               G_FORK_EXEC_STDIN_PIPE | G_FORK_EXEC_STDOUT_PIPE, NULL,
                               on_piped_execv, launch);
}

/* What the C library has */

static int
make_sockets (int *theirs)
{
  int fds[2];

  must_errno ("socketpair",
              socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  *theirs = fds[1];

  return fds[0];
}

static void
start_fork (Launch *launch)
{
  int theirs;
  int ours = make_sockets (&theirs);

  launch->pid = fork ();
  must_errno ("fork", launch->pid);
  if (launch->pid == 0)
    _exit (0);

  close (theirs);
  watch_fd (launch, ours);
}

static pid_t
vfork_exec (char * const *argv,
            int           fd)
{
  pid_t pid = vfork ();

  if (pid == 0)
    {
      dup2 (fd, STDOUT_FILENO);
      execv (argv[0], argv);
      _exit (127);
    }

  return pid;
}

static void
start_vfork (Launch *launch)
{
  int theirs;
  int ours = make_sockets (&theirs);

  launch->pid = vfork_exec ((char * const *) launch->plan->argv, theirs);
  must_errno ("vfork", launch->pid);

  close (theirs);
  watch_fd (launch, ours);
}

static void
start_spawn (Launch *launch)
{
  const LaunchPlan *plan = launch->plan;
  posix_spawn_file_actions_t actions;
  int theirs;
  int ours = make_sockets (&theirs);

  posix_spawn_file_actions_init (&actions);
  posix_spawn_file_actions_adddup2 (&actions, theirs, STDOUT_FILENO);
  errno = posix_spawn (&launch->pid, plan->argv[0], &actions, NULL,
                       (char * const *) plan->argv, environ);
  must_errno ("posix_spawn", -errno);
  posix_spawn_file_actions_destroy (&actions);

  close (theirs);
  watch_fd (launch, ours);
}

static void
start_piped_spawn (Launch *launch)
{
  const LaunchPlan *plan = launch->plan;
  posix_spawn_file_actions_t actions;
  int in[2], out[2];

  must_errno ("pipe", pipe2 (in, O_CLOEXEC));
  must_errno ("pipe", pipe2 (out, O_CLOEXEC));
  posix_spawn_file_actions_init (&actions);
  posix_spawn_file_actions_adddup2 (&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2 (&actions, out[1], STDOUT_FILENO);
  errno = posix_spawn (&launch->pid, plan->argv[0], &actions, NULL,
                       (char * const *) plan->argv, environ);
  must_errno ("posix_spawn", -errno);
  posix_spawn_file_actions_destroy (&actions);

  close (in[0]);
  close (out[1]);
  launch->input = in[1];
  watch_fd (launch, out[0]);
}

/* What GLib has */

static void
start_g_spawn (Launch *launch)
{
  GError *error = NULL;
  int fd;

  g_spawn_async_with_pipes (NULL, (char **) launch->plan->argv, NULL,
                            G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
                            &launch->pid, NULL, &fd, NULL, &error);
  must ("g_spawn_async", error);

  watch_fd (launch, fd);
}

static void
start_subprocess (Launch *launch)
{
  GSubprocessFlags flags = launch->contender->flags | G_SUBPROCESS_FLAGS_STDOUT_PIPE;
  GError *error = NULL;
  GSubprocess *subprocess;
  GInputStream *stream;

  subprocess = g_subprocess_newv (launch->plan->argv, flags, &error);
  must ("GSubprocess", error);

  launch->owner = G_OBJECT (subprocess);
  stream = g_subprocess_get_stdout_pipe (subprocess);
  watch_fd (launch, g_unix_input_stream_get_fd (G_UNIX_INPUT_STREAM (stream)));
}

static void
start_piped_subprocess (Launch *launch)
{
  GSubprocessFlags flags = G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE;
  GError *error = NULL;

  launch->subprocess = g_subprocess_newv (launch->plan->argv, launch->contender->flags | flags,
                                          &error);
  must ("GSubprocess", error);

  launch->owner = g_object_ref (G_OBJECT (launch->subprocess));
  watch_stream (launch, g_subprocess_get_stdout_pipe (launch->subprocess));
}

/* Making contenders */

static Contender *
contender_new (const char       *name,
               LaunchFunc        start,
               const LaunchPlan *plan)
{
  Contender *self = g_new0 (Contender, 1);

  self->name = g_strdup (name);
  self->start = start;
  self->plan = plan;

  return self;
}

Contender *
contender_new_gspawnfork (const char       *name,
                          const LaunchPlan *plan)
{
  return contender_new (name, start_gspawnfork, plan);
}

Contender *
contender_new_status (const char       *name,
                      const LaunchPlan *plan)
{
  return contender_new (name, start_status, plan);
}

Contender *
contender_new_new_exec (const char       *name,
                        const LaunchPlan *plan)
{
  return contender_new (name, start_new_exec, plan);
}

Contender *
contender_new_execv (const char       *name,
                     const LaunchPlan *plan)
{
  return contender_new (name, start_execv, plan);
}

Contender *
contender_new_piped_execv (const char       *name,
                           const LaunchPlan *plan)
{
  return contender_new (name, start_piped_execv, plan);
}

Contender *
contender_new_piped_spawn (const char       *name,
                           const LaunchPlan *plan)
{
  return contender_new (name, start_piped_spawn, plan);
}

Contender *
contender_new_piped_subprocess (const char       *name,
                                const LaunchPlan *plan,
                                GSubprocessFlags  flags)
{
  Contender *self = contender_new (name, start_piped_subprocess, plan);

  self->flags = flags;

  return self;
}

Contender *
contender_new_fork (const char *name)
{
  return contender_new (name, start_fork, NULL);
}

Contender *
contender_new_vfork (const char       *name,
                     const LaunchPlan *plan)
{
  return contender_new (name, start_vfork, plan);
}

Contender *
contender_new_spawn (const char       *name,
                     const LaunchPlan *plan)
{
  return contender_new (name, start_spawn, plan);
}

Contender *
contender_new_g_spawn (const char       *name,
                       const LaunchPlan *plan)
{
  return contender_new (name, start_g_spawn, plan);
}

Contender *
contender_new_subprocess (const char       *name,
                          const LaunchPlan *plan,
                          GSubprocessFlags  flags)
{
  Contender *self = contender_new (name, start_subprocess, plan);

  self->flags = flags;

  return self;
}

Contender *
contender_new_program (const char         *name,
                       const char * const *argv)
{
  g_autoptr (Contender) self = contender_new (name, NULL, NULL);
  g_autofree char *line = NULL;

  self->program = g_subprocess_newv (argv,
                                     G_SUBPROCESS_FLAGS_STDIN_PIPE |
                                     G_SUBPROCESS_FLAGS_STDOUT_PIPE |
                                     G_SUBPROCESS_FLAGS_STDERR_SILENCE,
                                     NULL);
  if (self->program == NULL)
    return NULL;

  self->answers = g_data_input_stream_new (g_subprocess_get_stdout_pipe (self->program));
  line = g_data_input_stream_read_line (self->answers, NULL, NULL, NULL);
  if (line == NULL || !g_str_has_prefix (line, "ready "))
    return NULL;

  self->version = g_strdup (line + strlen ("ready "));

  return g_steal_pointer (&self);
}

void
contender_free (Contender *self)
{
  if (self == NULL)
    return;

  g_clear_object (&self->answers);
  g_clear_object (&self->program);
  g_free (self->version);
  g_free (self->name);
  g_free (self);
}

const char *
contender_get_name (Contender *self)
{
  return self->name;
}

const char *
contender_get_version (Contender *self)
{
  return self->version;
}

/* Measuring */

static double
ask_program (Contender *self,
             guint      n)
{
  GOutputStream *questions = g_subprocess_get_stdin_pipe (self->program);
  g_autofree char *line = NULL;
  GError *error = NULL;

  g_output_stream_printf (questions, NULL, NULL, &error, "%u\n", n);
  must (self->name, error);

  line = g_data_input_stream_read_line (self->answers, NULL, NULL, &error);
  must (self->name, error);
  if (line == NULL)
    {
      g_printerr ("%s: %s has ended\n", g_get_prgname (), self->name);
      exit (1);
    }

  return g_ascii_strtod (line, NULL);
}

double
contender_measure (Contender *self,
                   guint      n,
                   guint      in_flight)
{
  gint64 start;

  if (self->program != NULL)
    return ask_program (self, n);

  self->to_start = self->to_end = n;
  self->done = n == 0;

  start = clock_ns ();

  for (guint i = 0; i < in_flight; i++)
    start_next (self);

  loop_until (&self->done);

  return (double) (clock_ns () - start) / MAX (n, 1);
}

double
contender_measure_warm (Contender *self,
                        guint      warm_up_ms,
                        guint      batch_ms,
                        guint      in_flight)
{
  double left = warm_up_ms * 1e6;
  double each = 0;
  guint n = in_flight;

  /* The first processes may be slow, and few do not tell how long many take. So the number at
   * most doubles. */
  do
    {
      each = contender_measure (self, n, in_flight);
      left -= n * each;
      n = (guint) CLAMP (left / each, in_flight, 2 * n);
    }
  while (left > 0);

  n = (guint) MAX (batch_ms * 1e6 / each, in_flight);

  return contender_measure (self, n, in_flight);
}
