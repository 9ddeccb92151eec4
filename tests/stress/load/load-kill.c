/* load-kill.c: kills and stops each of those who take part, at every stage
 *
 * load-kill [--seed SEED] [--round ROUND] ROUNDS. In each round an application makes
 * workers, off the default template and off a sub-template, talks to them, cancels
 * one, waits for them and goes. Meanwhile one of the processes is struck: at a certain
 * stage of the application's work by itself, or at any moment by this program. Then:
 *
 *  - the application comes to its end, and nothing but what was struck has failed;
 *  - a status that it is told is true, or LOST if the template has been killed;
 *  - the default template is replaced, so that new templates work at once;
 *  - without the application its templates go, within a thousand looks a millisecond
 *    apart, and the workers that were not told to leave stay, and can leave properly.
 *
 * This program is the subreaper of all, so that it sees every orphan.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

typedef enum
{
  APPLICATION,
  DEFAULT,
  SUB,
  WORKER,
  SUB_WORKER,
  N_ROLES
} Role;

typedef enum
{
  KILL,
  STOP, /* and let it go on after a while */
  STOP_AND_KILL,
  N_BLOWS
} Blow;

static const char *const role_names[] = {
  "application", "default template", "sub-template", "worker", "worker of sub-template",
};
static const char *const blow_names[] = { "SIGKILL", "SIGSTOP, SIGCONT", "SIGSTOP, SIGKILL" };

/* What the application has just done. */
enum
{
  BEGUN,
  DEFAULT_PREPARED,
  SUB_MADE,
  SUB_PREPARED,
  WORKER_MADE,
  SUB_WORKER_MADE,
  TOLD_TO_RUN,
  CANCELLED,
  ONE_RUNS,
  ALL_RUN,
  TALKED,
  WAITING,
  TOLD_TO_LEAVE,
  ONE_HAS_LEFT,
  SUB_CLOSED,
  ABOUT_TO_GO,
  N_STAGES,
  ANY_MOMENT = N_STAGES
};

/* For every stage, so many rounds at any moment. */
#define MOMENTS 5

typedef enum
{
  FIRST,     /* off the default template */
  SECOND,    /* off the sub-template */
  UNWANTED,  /* cancelled */
  N_LAUNCHES
} LaunchId;

/* The status that each leaves with. */
#define STATUS(launch) (11 + (launch))

/* Shared by the two programs. */
typedef struct
{
  int pids[N_ROLES]; /* as far as known; of the workers, see there */
  int struck;        /* the process, before it is */
  int struck_role;
  int stage;
  int told[N_LAUNCHES]; /* to leave, or that it is not wanted */
  int failed[N_LAUNCHES];
  int n_lost;
} Board;

#define LIFE_FD 10
#define LOG_FD 11
#define BOARD_FD 12

static Board *board;

/* How often, a millisecond apart, it is looked for what must happen. */
#define PATIENCE 1000
#define HANGING 30000

/* ——— Striking ——— */

/* The pid at the end of a list in /proc, but for the sub-template's. */
static int
last_child (int pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/task/%d/children", pid, pid);
  g_autofree char *list = NULL;
  g_auto (GStrv) numbers = NULL;
  int last = 0;

  if (pid == 0 || !g_file_get_contents (path, &list, NULL, NULL))
    return 0;

  numbers = g_strsplit (list, " ", -1);
  for (char **number = numbers; *number != NULL; number++)
    if (atoi (*number) != 0 && atoi (*number) != board->pids[SUB])
      last = atoi (*number);
  return last;
}

static int
find (Role role)
{
  switch (role)
    {
    case WORKER:
      return last_child (g_atomic_int_get (&board->pids[DEFAULT]));
    case SUB_WORKER:
      return last_child (g_atomic_int_get (&board->pids[SUB]));
    default:
      return g_atomic_int_get (&board->pids[role]);
    }
}

/* By a pidfd, and only within the group of the application, so that nobody else is hit
 * whose number it is by then. Returns the pidfd for further blows, -1 if there is no such
 * process. */
static int
strike (Role role,
        Blow blow)
{
  int pid = find (role);
  int pidfd = pid > 0 ? syscall (SYS_pidfd_open, pid, 0) : -1;

  if (pidfd < 0 || getpgid (pid) != board->pids[APPLICATION])
    {
      if (pidfd >= 0)
        close (pidfd);
      return -1;
    }

  board->struck_role = role;
  g_atomic_int_set (&board->struck, pid);
  syscall (SYS_pidfd_send_signal, pidfd, blow == KILL ? SIGKILL : SIGSTOP, NULL, 0);
  return pidfd;
}

static void
follow_up (int  pidfd,
           Blow blow)
{
  if (pidfd < 0)
    return;
  if (blow != KILL)
    syscall (SYS_pidfd_send_signal, pidfd, blow == STOP ? SIGCONT : SIGKILL, NULL, 0);
  close (pidfd);
}

/* ——— The application ——— */

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

/* The sub-template is the last child of the default one until something else is. */
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

/* Nothing may fail unless one of these was killed, and then in one way. */
static void
check (const char   *what,
       const GError *error,
       guint         culprits)
{
  if (error == NULL)
    return;
  if (!was_killed (culprits))
    fail ("%s: %s, although none of those was killed that could be why", what, error->message);
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

/* Whatever was killed before, new templates work; at any moment it may be this one that
 * is. */
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
      if (app.stage != ANY_MOMENT || attempt > 0)
        fail ("a fresh worker: %s", error != NULL ? error->message : "it was killed");
      check ("fresh worker", error, BIT (DEFAULT) | BIT (WORKER));
    }
}

static int
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

  /* The answer may have been there before it was cancelled. */
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

/* ——— The driver ——— */

typedef struct
{
  int pid;
  int status;
} Logged;

static struct
{
  guint32 seed;
  guint round;
  Role role;
  Blow blow;
  int stage;
  GRand *random;
  const char *program;

  int pid;
  int life;
  int log;
  GString *text;
  GArray *logged;
  GHashTable *reaped; /* pid → wait status */
  gboolean ended;
  int stopped_looks;

  gboolean failed;
  int longest_going; /* of templates without their application, in looks */
  guint n_struck[N_ROLES][N_BLOWS];
  guint n_rounds[N_ROLES][N_BLOWS];
  guint n_survivors;
  guint n_lost;
  gint64 usual_time;
} driver;

G_GNUC_PRINTF (1, 2) static void
complain (const char *format,
          ...)
{
  va_list args;
  g_autofree char *moment = driver.stage == ANY_MOMENT ? g_strdup ("at any moment")
                                                       : g_strdup_printf ("at stage %d", driver.stage);

  printf ("round %u, %s to the %s %s: ", driver.round, blow_names[driver.blow],
          role_names[driver.role], moment);
  va_start (args, format);
  vprintf (format, args);
  va_end (args);
  printf ("\n  to repeat: load-kill --seed %u --round %u 1\n", driver.seed, driver.round);
  fflush (stdout);
  driver.failed = TRUE;
}

/* A millisecond, or until a child has ended or stopped. */
static void
wait_a_look (void)
{
  const struct timespec millisecond = { 0, 1000000 };
  sigset_t child;

  sigemptyset (&child);
  sigaddset (&child, SIGCHLD);
  sigtimedwait (&child, NULL, &millisecond);
}

static void
reap (void)
{
  int wait_status;
  pid_t pid;

  while ((pid = waitpid (-1, &wait_status, WNOHANG | WUNTRACED)) > 0)
    {
      if (WIFSTOPPED (wait_status))
        {
          /* It may be an orphan, which whoever stopped it lets go on. */
          if (pid == driver.pid)
            driver.stopped_looks = g_rand_int_range (driver.random, 1, 6);
          continue;
        }
      g_hash_table_insert (driver.reaped, GINT_TO_POINTER (pid), GINT_TO_POINTER (wait_status));
      if (pid == driver.pid)
        driver.ended = TRUE;
    }
}

static void
read_log (void)
{
  char buffer[1024];
  ssize_t got;
  char *newline;

  while ((got = read (driver.log, buffer, sizeof buffer)) > 0)
    g_string_append_len (driver.text, buffer, got);

  while ((newline = strchr (driver.text->str, '\n')) != NULL)
    {
      Logged logged;

      if (sscanf (driver.text->str, "%d %d", &logged.pid, &logged.status) == 2)
        g_array_append_val (driver.logged, logged);
      g_string_erase (driver.text, 0, newline + 1 - driver.text->str);
    }
}

static const Logged *
find_logged (int pid)
{
  for (guint i = 0; i < driver.logged->len; i++)
    if (g_array_index (driver.logged, Logged, i).pid == pid)
      return &g_array_index (driver.logged, Logged, i);
  return NULL;
}

/* The orphans: children of this program's, which has no others once the application has
 * ended. */
static GArray *
list_orphans (void)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/task/%d/children", (int) getpid ());
  g_autofree char *list = NULL;
  g_auto (GStrv) numbers = NULL;
  GArray *pids = g_array_new (FALSE, FALSE, sizeof (int));

  g_file_get_contents (path, &list, NULL, NULL);
  numbers = g_strsplit (list, " ", -1);
  for (char **number = numbers; *number != NULL; number++)
    {
      int pid = atoi (*number);

      if (pid != 0)
        g_array_append_val (pids, pid);
    }
  return pids;
}

static gboolean
only_workers_are_left (void)
{
  g_autoptr (GArray) orphans = list_orphans ();

  for (guint i = 0; i < orphans->len; i++)
    if (find_logged (g_array_index (orphans, int, i)) == NULL)
      return FALSE;
  return TRUE;
}

static void
describe_orphans (void)
{
  g_autoptr (GArray) orphans = list_orphans ();

  for (guint i = 0; i < orphans->len; i++)
    {
      int pid = g_array_index (orphans, int, i);

      for (int which = 0; which < 2; which++)
        {
          g_autofree char *path = g_strdup_printf ("/proc/%d/%s", pid, which == 0 ? "stat" : "wchan");
          g_autofree char *text = NULL;

          if (g_file_get_contents (path, &text, NULL, NULL))
            printf ("  %s\n", g_strstrip (text));
        }
    }
  fflush (stdout);
}

static void
start_application (void)
{
  g_autofree char *role = g_strdup_printf ("%d", driver.role);
  g_autofree char *blow = g_strdup_printf ("%d", driver.blow);
  g_autofree char *stage = g_strdup_printf ("%d", driver.stage);
  g_autofree char *seed = g_strdup_printf ("%u", g_rand_int (driver.random));
  char *argv[] = { (char *) driver.program, (char *) "--application", role, blow, stage, seed, NULL };
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none;
  int life[2], log[2], board_fd;

  if (pipe2 (life, O_CLOEXEC) != 0 || pipe2 (log, O_CLOEXEC) != 0)
    g_error ("pipe: %s", g_strerror (errno));
  board_fd = memfd_create ("board", MFD_CLOEXEC);
  if (board_fd < 0 || ftruncate (board_fd, sizeof *board) != 0)
    g_error ("memfd_create: %s", g_strerror (errno));
  board = mmap (NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, board_fd, 0);

  posix_spawn_file_actions_init (&actions);
  posix_spawn_file_actions_adddup2 (&actions, life[0], LIFE_FD);
  posix_spawn_file_actions_adddup2 (&actions, log[1], LOG_FD);
  posix_spawn_file_actions_adddup2 (&actions, board_fd, BOARD_FD);
  posix_spawnattr_init (&attributes);
  sigemptyset (&none);
  posix_spawnattr_setsigmask (&attributes, &none);
  posix_spawnattr_setflags (&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  if (posix_spawn (&driver.pid, driver.program, &actions, &attributes, argv, environ) != 0)
    g_error ("The application could not be executed");
  posix_spawnattr_destroy (&attributes);
  posix_spawn_file_actions_destroy (&actions);

  close (life[0]);
  close (log[1]);
  close (board_fd);
  driver.life = life[1];
  driver.log = log[0];
  fcntl (driver.log, F_SETFL, O_NONBLOCK);
}

/* Until the application has ended; strikes, if that is not the application's business. */
static void
watch_application (void)
{
  gint64 begun = -1, moment = 0;
  int looks, pidfd = -1, pause = 0;

  for (looks = 0; !driver.ended && looks < HANGING; looks++)
    {
      if (driver.stage == ANY_MOMENT && begun < 0 && g_atomic_int_get (&board->pids[APPLICATION]) != 0)
        {
          begun = g_get_monotonic_time ();
          moment = begun + g_rand_int_range (driver.random, 0, driver.usual_time);
        }

      if (begun >= 0 && moment != 0 && g_get_monotonic_time () >= moment - 1000)
        {
          gint64 left = moment - g_get_monotonic_time ();

          if (left > 0)
            g_usleep (left);
          moment = 0;
          pidfd = strike (driver.role, driver.blow);
          pause = g_rand_int_range (driver.random, 1, 8);
        }
      else
        wait_a_look ();

      if (pidfd >= 0 && --pause <= 0)
        {
          follow_up (pidfd, driver.blow);
          pidfd = -1;
        }
      if (driver.stopped_looks > 0 && --driver.stopped_looks == 0 && driver.stage != ANY_MOMENT)
        kill (driver.pid, driver.blow == STOP ? SIGCONT : SIGKILL);
      reap ();
      read_log ();
    }

  follow_up (pidfd, driver.blow);
  if (begun >= 0 && driver.role != APPLICATION && driver.blow == KILL)
    driver.usual_time = (driver.usual_time * 7 + (g_get_monotonic_time () - begun)) / 8;
}

static void
check_application (void)
{
  int wait_status = GPOINTER_TO_INT (g_hash_table_lookup (driver.reaped, GINT_TO_POINTER (driver.pid)));
  gboolean killed = wait_status == SIGKILL && board->struck == driver.pid && driver.blow != STOP;

  if (!driver.ended)
    {
      complain ("the application hangs, having reached stage %d", board->stage);
      if (g_getenv ("LOAD_KILL_DEBUG") != NULL)
        raise (SIGSTOP);
      kill (-driver.pid, SIGKILL);
    }
  else if (wait_status != 0 && !killed)
    complain ("the application has ended with wait status %x", (guint) wait_status);
}

/* The templates have to go; workers that nobody told to leave have to stay. */
static void
check_orphans (void)
{
  int looks;

  /* Of whom the application had no time to say so. */
  kill (-driver.pid, SIGCONT);

  for (looks = 0; !only_workers_are_left () && looks < HANGING; looks++)
    {
      wait_a_look ();
      reap ();
      read_log ();
    }
  driver.longest_going = MAX (driver.longest_going, looks);
  if (looks >= PATIENCE)
    {
      complain ("after %d looks there are still others than workers:", looks);
      describe_orphans ();
    }

  for (guint i = 0; i < driver.logged->len; i++)
    {
      const Logged *logged = &g_array_index (driver.logged, Logged, i);
      LaunchId id = logged->status - STATUS (0);
      gboolean there = !g_hash_table_contains (driver.reaped, GINT_TO_POINTER (logged->pid))
                       && kill (logged->pid, 0) == 0;

      if (there)
        driver.n_survivors++;
      if (!there && !board->told[id] && board->struck != logged->pid)
        complain ("worker %d should live", id);
    }
}

/* What was not wanted, or could not be had, must not be there; the others leave when they
 * are told. */
static void
end_workers (void)
{
  int looks;

  for (looks = 0; looks < PATIENCE; looks++)
    {
      gboolean unwanted = FALSE;

      for (guint i = 0; i < driver.logged->len; i++)
        {
          const Logged *logged = &g_array_index (driver.logged, Logged, i);

          if (board->failed[logged->status - STATUS (0)]
              && !g_hash_table_contains (driver.reaped, GINT_TO_POINTER (logged->pid))
              && kill (logged->pid, 0) == 0)
            unwanted = TRUE;
        }
      if (!unwanted)
        break;
      wait_a_look ();
      reap ();
    }
  if (looks == PATIENCE)
    complain ("a worker is there whose launch has failed");

  close (driver.life);
  for (looks = 0; looks < HANGING; looks++)
    {
      reap ();
      if (kill (-driver.pid, 0) != 0 && errno == ESRCH)
        break;
      wait_a_look ();
    }
  if (looks == HANGING)
    {
      complain ("these do not go:");
      describe_orphans ();
      kill (-driver.pid, SIGKILL);
      while (kill (-driver.pid, 0) == 0)
        reap ();
    }

  for (guint i = 0; i < driver.logged->len; i++)
    {
      const Logged *logged = &g_array_index (driver.logged, Logged, i);
      gpointer pid = GINT_TO_POINTER (logged->pid), wait_status;

      if (g_hash_table_lookup_extended (driver.reaped, pid, NULL, &wait_status)
          && GPOINTER_TO_INT (wait_status) != W_EXITCODE (logged->status, 0)
          && board->struck != logged->pid && !board->told[logged->status - STATUS (0)])
        complain ("worker %d has ended with wait status %x", logged->status - STATUS (0),
                  GPOINTER_TO_INT (wait_status));
    }
}

static void
play_round (guint round)
{
  guint32 seeds[] = { driver.seed, round };
  guint combination = round;

  driver.round = round;
  driver.role = combination % N_ROLES;
  combination /= N_ROLES;
  driver.blow = combination % N_BLOWS;
  combination /= N_BLOWS;
  driver.stage = MIN (combination % (N_STAGES + MOMENTS), ANY_MOMENT);
  driver.random = g_rand_new_with_seed_array (seeds, G_N_ELEMENTS (seeds));
  driver.text = g_string_new (NULL);
  driver.logged = g_array_new (FALSE, FALSE, sizeof (Logged));
  driver.reaped = g_hash_table_new (NULL, NULL);
  driver.ended = FALSE;
  driver.stopped_looks = 0;

  start_application ();
  watch_application ();
  check_application ();
  check_orphans ();
  end_workers ();

  driver.n_rounds[driver.role][driver.blow]++;
  driver.n_struck[driver.role][driver.blow] += board->struck != 0;
  driver.n_lost += board->n_lost;
  close (driver.log);
  munmap (board, sizeof *board);
  g_hash_table_unref (driver.reaped);
  g_array_unref (driver.logged);
  g_string_free (driver.text, TRUE);
  g_rand_free (driver.random);
}

static void
print_table (void)
{
  printf ("%-24s", "struck, of rounds");
  for (Blow blow = 0; blow < N_BLOWS; blow++)
    printf ("%20s", blow_names[blow]);
  printf ("\n");

  for (Role role = 0; role < N_ROLES; role++)
    {
      printf ("%-24s", role_names[role]);
      for (Blow blow = 0; blow < N_BLOWS; blow++)
        printf ("%12u of %4u", driver.n_struck[role][blow], driver.n_rounds[role][blow]);
      printf ("\n");
    }
}

int
main (int    argc,
      char **argv)
{
  gint64 start = g_get_monotonic_time ();
  guint first = 0, n_rounds = 0, n_failed = 0;
  sigset_t child;

  if (argc == 6 && strcmp (argv[1], "--application") == 0)
    return be_application (argv[0], argv + 2);

  driver.program = argv[0];
  driver.seed = g_random_int ();
  driver.usual_time = 20000;
  for (int i = 1; i < argc; i++)
    if (strcmp (argv[i], "--seed") == 0 && i + 1 < argc)
      driver.seed = strtoul (argv[++i], NULL, 10);
    else if (strcmp (argv[i], "--round") == 0 && i + 1 < argc)
      first = atoi (argv[++i]);
    else
      n_rounds = atoi (argv[i]);
  if (n_rounds == 0)
    {
      fprintf (stderr, "load-kill [--seed SEED] [--round ROUND] ROUNDS\n");
      return 2;
    }

  prctl (PR_SET_CHILD_SUBREAPER, 1);
  sigemptyset (&child);
  sigaddset (&child, SIGCHLD);
  sigprocmask (SIG_BLOCK, &child, NULL);

  printf ("kill: %u rounds, seed %u\n", n_rounds, driver.seed);
  for (guint round = first; round < first + n_rounds; round++)
    {
      driver.failed = FALSE;
      play_round (round);
      n_failed += driver.failed;
    }

  print_table ();
  printf ("Workers that outlived their application or their template: %u. Statuses lost with a "
          "template: %u.\n", driver.n_survivors, driver.n_lost);
  printf ("Templates were gone %d ms after their application at the latest.\n", driver.longest_going);
  printf ("kill: %s, %u of %u rounds failed, %.1f s\n", n_failed == 0 ? "good" : "FAILED", n_failed,
          n_rounds, (g_get_monotonic_time () - start) / 1e6);
  return n_failed == 0 ? 0 : 1;
}
