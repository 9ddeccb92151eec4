/* load-kill.c: kills and stops the application, its templates and workers, at every stage
 *
 * load-kill [--seed SEED] [--round ROUND] ROUNDS. In each round an application makes workers,
 * forked from the default template and from a sub-template, talks to them, cancels one, waits
 * for them and ends. Meanwhile one of the processes is struck, that is killed or stopped: by the
 * application at a certain stage of its work, or by this program at any moment. Then:
 *
 *  - the application comes to its end, and nothing but what was struck has failed;
 *  - a status that it gets is true, or LOST if the template has been killed;
 *  - the default template is replaced, so that new templates work at once;
 *  - without the application its templates go, within a thousand looks a millisecond
 *    apart, and the workers that were not told to leave stay, and can leave properly.
 *
 * This program is the subreaper of all of them, so that it sees every orphan.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "kill.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* How many times it looks for what must happen, a millisecond apart. */
#define PATIENCE 1000
#define HANGING 30000

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

/* Waits for a millisecond, or until a child has ended or stopped. */
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
          /* It may also be an orphan. The process that has stopped that lets it go on. */
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

/* Lists the orphans: the children of this program, which has no others when the application has
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

/* Waits until the application has ended, and strikes, if the application is not to do that
 * itself. */
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

/* Checks that templates end, and that workers stay that were not asked to leave. */
static void
check_orphans (void)
{
  int looks;

  /* Stopped processes go on, also if the application had no time to see to that. */
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

/* Checks that no worker is there that was not wanted or could not be made, and that the others
 * leave when they are asked to. */
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
