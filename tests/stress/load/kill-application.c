/* kill-application.c: the application of load-kill, whose processes are killed and stopped
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "kill.h"

#include <gspawnfork/gspawnfork.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct
{
  GForkTemplate *template;
  GForkProcess *process;
  GSocket *socket;
  gboolean answered;
  gboolean ended;
} Launch;

static struct
{
  Role role;
  Blow blow;
  int stage;
  GRand *random;
  gboolean synchronous;
  char *hold_out;
  char *leave_with;
  Launch launches[N_LAUNCHES];
  GThread *follower;
} app;

static gpointer
follow_up_later (gpointer pidfd)
{
  g_usleep (g_rand_int_range (app.random, 0, 8000));
  follow_up (GPOINTER_TO_INT (pidfd), app.blow);
  return NULL;
}

static void
reach (int stage)
{
  int pidfd;

  g_atomic_int_set (&board->stage, stage);
  if (stage != app.stage)
    return;

  pidfd = strike (app.role, app.blow);
  if (pidfd >= 0 && app.blow == KILL)
    close (pidfd);
  else if (pidfd >= 0 && app.role != APPLICATION)
    app.follower = g_thread_new ("follower", follow_up_later, GINT_TO_POINTER (pidfd));
}

#define BIT(role) (1u << (role))

/* Whether one of these roles was killed. A worker is found as the last child of the default
 * template, which may have been the sub-template. */
static gboolean
was_killed (guint roles)
{
  if (app.blow == STOP || g_atomic_int_get (&board->struck) == 0)
    return FALSE;
  if (board->struck_role == WORKER
      && (board->pids[SUB] == 0 || board->struck == board->pids[SUB]))
    roles |= BIT (WORKER);

  return (BIT (board->struck_role) & roles) != 0;
}

G_GNUC_PRINTF (1, 2) G_GNUC_NORETURN static void
fail (const char *format,
      ...)
{
  va_list args;

  fprintf (stderr, "application, having reached stage %d: ", board->stage);
  va_start (args, format);
  vfprintf (stderr, format, args);
  va_end (args);
  fprintf (stderr, "\n");
  _exit (3);
}

/* Checks that something has failed only if one of these roles was killed, and with this error: a
 * program that has ended before it answered could not be started. */
static void
check (const char   *what,
       const GError *error,
       guint         culprits)
{
  if (error == NULL)
    return;
  if (!was_killed (culprits))
    fail ("%s: %s, although none of those was killed that could be why", what, error->message);
  if (board->stage == BEGUN && g_error_matches (error, G_FORK_ERROR, G_FORK_ERROR_SPAWN))
    return;
  if (!g_error_matches (error, G_FORK_ERROR, G_FORK_ERROR_LOST))
    fail ("%s: %s (%s %d)", what, error->message, g_quark_to_string (error->domain), error->code);
}

static guint
culprits_of (LaunchId id)
{
  return id == SECOND ? BIT (SUB) | BIT (SUB_WORKER) | BIT (DEFAULT) : BIT (DEFAULT) | BIT (WORKER);
}

static void
prepare (GForkTemplate *template,
         guint          culprits)
{
  g_autoptr (GError) error = NULL;

  g_fork_template_prepare (template, NULL, &error);
  check ("prepare", error, culprits);
}

static void
take_launch (LaunchId      id,
             GAsyncResult *result,
             GSocket      *socket,
             GError       *error)
{
  Launch *launch = &app.launches[id];

  if (result != NULL)
    socket = g_fork_template_run_finish (launch->template, result, &launch->process, &error);
  launch->socket = socket;
  launch->answered = TRUE;
  board->failed[id] = socket == NULL;
  if (id == UNWANTED && g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    g_clear_error (&error);
  check ("run", error, culprits_of (id));
  g_clear_error (&error);
}

static void
on_run (GObject      *object,
        GAsyncResult *result,
        gpointer      id)
{
  take_launch (GPOINTER_TO_INT (id), result, NULL, NULL);
}

static void
run_synchronously (LaunchId id)
{
  Launch *launch = &app.launches[id];
  GError *error = NULL;
  GSocket *socket = g_fork_template_run (launch->template, app.hold_out, &launch->process, NULL,
                                         &error);

  take_launch (id, NULL, socket, error);
}

static void
send_args (LaunchId id)
{
  GForkTemplate *template = app.launches[id].template;
  g_autofree char *status = g_strdup_printf ("%d", STATUS (id));

  g_fork_template_send_arg (template, status);
  g_fork_template_send_fd (template, LIFE_FD);
  g_fork_template_send_fd (template, LOG_FD);
}

static gboolean
may_be_dead (const Launch *launch)
{
  return app.blow != STOP && launch->process != NULL
         && g_atomic_int_get (&board->struck) == g_fork_process_get_pid (launch->process);
}

static void
talk (LaunchId id)
{
  Launch *launch = &app.launches[id];
  char byte = 'p';

  if (launch->socket == NULL)
    return;
  if ((g_socket_send_with_blocking (launch->socket, &byte, 1, TRUE, NULL, NULL) != 1
       || g_socket_receive_with_blocking (launch->socket, &byte, 1, TRUE, NULL, NULL) != 1)
      && !may_be_dead (launch))
    fail ("worker %d does not answer", id);
}

static void
tell_to_leave (LaunchId id)
{
  Launch *launch = &app.launches[id];

  if (launch->socket == NULL)
    return;
  g_atomic_int_set (&board->told[id], TRUE);
  if (g_socket_send_with_blocking (launch->socket, "x", 1, TRUE, NULL, NULL) != 1
      && !may_be_dead (launch))
    fail ("worker %d is not there", id);
}

static void
check_end (LaunchId id,
           GError  *error)
{
  Launch *launch = &app.launches[id];
  int wait_status;

  launch->ended = TRUE;
  if (error != NULL)
    {
      check ("wait", error, id == SECOND ? BIT (SUB) : BIT (DEFAULT));
      g_error_free (error);
      board->n_lost++;
      return;
    }

  wait_status = g_fork_process_get_wait_status (launch->process);
  if (!(WIFEXITED (wait_status) && (guint) WEXITSTATUS (wait_status) == STATUS (id)
        && board->told[id])
      && !(wait_status == SIGKILL && may_be_dead (launch)))
    fail ("worker %d is said to have ended with wait status %x", id, (guint) wait_status);
}

static void
on_waited (GObject      *object,
           GAsyncResult *result,
           gpointer      id)
{
  GError *error = NULL;

  g_fork_process_wait_finish (app.launches[GPOINTER_TO_INT (id)].process, result, &error);
  check_end (GPOINTER_TO_INT (id), error);
}

static void
begin_waiting (LaunchId id)
{
  if (!app.synchronous && app.launches[id].process != NULL)
    g_fork_process_wait_async (app.launches[id].process, NULL, on_waited, GINT_TO_POINTER (id));
}

static void
wait_for (LaunchId id)
{
  Launch *launch = &app.launches[id];

  if (launch->process == NULL)
    return;
  if (app.synchronous)
    {
      GError *error = NULL;

      g_fork_process_wait (launch->process, NULL, &error);
      check_end (id, error);
    }
  else
    while (!launch->ended)
      g_main_context_iteration (NULL, TRUE);
}

/* Checks that new templates work after any kill. This one may be killed, too. */
static void
check_new (void)
{
  for (int attempt = 0;; attempt++)
    {
      g_autoptr (GForkTemplate) template = g_fork_template_new ();
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket = NULL;
      g_autoptr (GError) error = NULL;

      g_fork_template_send_arg (template, "77");
      socket = g_fork_template_run (template, app.leave_with, &process, NULL, &error);
      if (socket != NULL && g_fork_process_wait (process, NULL, &error))
        {
          int wait_status = g_fork_process_get_wait_status (process);

          if (WIFEXITED (wait_status) && WEXITSTATUS (wait_status) == 77)
            return;
          if (wait_status != SIGKILL
              || g_atomic_int_get (&board->struck) != g_fork_process_get_pid (process))
            fail ("a fresh worker has ended with wait status %x", (guint) wait_status);
        }
      /* The default template may be about to die just now; the next one is another. */
      if (attempt > 0)
        fail ("a fresh worker: %s", error != NULL ? error->message : "it was killed");
      check ("fresh worker", error, BIT (DEFAULT) | BIT (WORKER));
    }
}

int
be_application (const char *program,
                char      **args)
{
  g_autofree char *directory = g_path_get_dirname (program);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) sub = NULL;
  gboolean wait_for_second;

  for (int fd = LIFE_FD; fd <= BOARD_FD; fd++)
    fcntl (fd, F_SETFD, FD_CLOEXEC);
  board = mmap (NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, BOARD_FD, 0);
  app.role = atoi (args[0]);
  app.blow = atoi (args[1]);
  app.stage = atoi (args[2]);
  app.random = g_rand_new_with_seed (strtoul (args[3], NULL, 10));
  app.synchronous = g_rand_boolean (app.random);
  wait_for_second = g_rand_boolean (app.random);
  app.hold_out = g_build_filename (directory, "load-worker.so:hold_out", NULL);
  app.leave_with = g_build_filename (directory, "load-worker.so:leave_with", NULL);

  g_atomic_int_set (&board->pids[APPLICATION], getpid ());
  reach (BEGUN);

  template = g_fork_template_dup_default ();
  g_atomic_int_set (&board->pids[DEFAULT], g_fork_template_get_pid (template));
  prepare (template, BIT (DEFAULT));
  reach (DEFAULT_PREPARED);

  sub = g_fork_template_new ();
  reach (SUB_MADE);
  prepare (sub, BIT (DEFAULT) | BIT (SUB) | BIT (WORKER));
  g_atomic_int_set (&board->pids[SUB], g_fork_template_get_pid (sub));
  reach (SUB_PREPARED);

  app.launches[FIRST].template = g_fork_template_new ();
  send_args (FIRST);
  reach (WORKER_MADE);
  app.launches[SECOND].template = g_fork_template_fork (sub);
  send_args (SECOND);
  reach (SUB_WORKER_MADE);
  app.launches[UNWANTED].template = g_fork_template_new ();
  send_args (UNWANTED);

  if (!app.synchronous)
    for (LaunchId id = 0; id < N_LAUNCHES; id++)
      g_fork_template_run_async (app.launches[id].template, app.hold_out,
                                 id == UNWANTED ? cancellable : NULL, on_run, GINT_TO_POINTER (id));
  else
    g_fork_template_run_async (app.launches[UNWANTED].template, app.hold_out, cancellable, on_run,
                               GINT_TO_POINTER (UNWANTED));
  reach (TOLD_TO_RUN);
  if (g_rand_boolean (app.random))
    g_usleep (g_rand_int_range (app.random, 0, 1000));
  g_atomic_int_set (&board->told[UNWANTED], TRUE);
  g_cancellable_cancel (cancellable);
  reach (CANCELLED);

  if (app.synchronous)
    {
      run_synchronously (FIRST);
      reach (ONE_RUNS);
      run_synchronously (SECOND);
    }
  while (!app.launches[FIRST].answered && !app.launches[SECOND].answered)
    g_main_context_iteration (NULL, TRUE);
  if (!app.synchronous)
    reach (ONE_RUNS);
  while (!app.launches[FIRST].answered || !app.launches[SECOND].answered
         || !app.launches[UNWANTED].answered)
    g_main_context_iteration (NULL, TRUE);
  for (LaunchId id = 0; id < N_LAUNCHES; id++)
    g_clear_object (&app.launches[id].template);
  reach (ALL_RUN);

  talk (FIRST);
  talk (SECOND);
  reach (TALKED);
  begin_waiting (FIRST);
  if (wait_for_second)
    begin_waiting (SECOND);
  reach (WAITING);
  tell_to_leave (FIRST);
  reach (TOLD_TO_LEAVE);
  wait_for (FIRST);
  reach (ONE_HAS_LEFT);
  g_fork_template_close (sub);
  reach (SUB_CLOSED);

  /* The answer may have come before it was cancelled. */
  tell_to_leave (UNWANTED);
  if (wait_for_second)
    {
      tell_to_leave (SECOND);
      wait_for (SECOND);
    }

  if (app.follower != NULL)
    g_thread_join (app.follower);
  check_new ();
  reach (ABOUT_TO_GO);
  return 0;
}
