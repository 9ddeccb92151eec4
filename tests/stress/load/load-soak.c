/* load-soak.c: makes very many workers, and checks that they leave nothing behind
 *
 * load-soak KIND LAUNCHES [IN-FLIGHT]. The launches are made in spells. After each spell
 * everything has to come to rest: the application and its templates must have as many
 * descriptors as after the first one, no zombie, and not have grown.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How many spells there are, and how many of them make a line of the output. */
#define SPELLS 50
#define SPELLS_A_LINE 5

/* The first spells allocate what is kept: contexts, arenas, caches. */
#define WARM_UP 10

/* By how much a heap may differ at rest, in KiB. Something that was lost with each launch would
 * make far more. */
#define TOLERANCE 1024

enum
{
  APPLICATION,
  DEFAULT,
  SUB,
  N_WATCHED
};

typedef struct
{
  guint fds;
  glong rss; /* KiB */
} Size;

typedef struct
{
  char *module;
  GForkTemplate *sub;
  GPid pids[N_WATCHED];
  Size first[N_WATCHED];
  gboolean failed;

  guint in_flight;
  guint allowed;
  guint to_start;
  guint n_started;
  guint n_ended;
  GQueue held;
} Soak;

typedef struct
{
  Soak *soak;
  GForkTemplate *template;
  GForkProcess *process;
  int status;
} Launch;

/* ——— Measuring ——— */

static void
complain (Soak       *soak,
          const char *format,
          ...)
{
  va_list args;

  va_start (args, format);
  vprintf (format, args);
  va_end (args);
  soak->failed = TRUE;
}

static Size
measure (GPid pid)
{
  g_autofree char *statm = test_read_proc (pid, "statm");
  Size size = { .fds = test_count_fds (pid) };

  g_assert_cmpint (sscanf (statm, "%*d %ld", &size.rss), ==, 1);
  size.rss *= sysconf (_SC_PAGESIZE) / 1024;
  return size;
}

/* Returns how many children of @pid are no templates. */
static guint
count_workers (const Soak *soak,
               GPid        pid)
{
  g_autofree char *file = g_strdup_printf ("task/%d/children", (int) pid);
  g_autofree char *children = test_read_proc (pid, file);
  g_auto (GStrv) numbers = g_strsplit (children, " ", -1);
  guint n = 0;

  for (char **number = numbers; *number != NULL; number++)
    if (**number != '\0' && atoi (*number) != soak->pids[DEFAULT]
        && atoi (*number) != soak->pids[SUB])
      n++;
  return n;
}

/* Waits until everything is at rest. Workers that were not waited for are looked for in /proc,
 * and direct children are reaped by the next call after their end. */
static void
come_to_rest (Soak *soak)
{
  for (int i = 0; i < N_WATCHED; i++)
    for (int looks = 0; count_workers (soak, soak->pids[i]) > 0 && looks < 10000; looks++)
      {
        g_usleep (1000);
        if (i == APPLICATION)
          g_object_unref (g_fork_template_new ());
      }
}

static void
look (Soak *soak,
      int   spell)
{
  static const char *const names[] = { "application", "template", "sub-template" };
  gboolean shown = spell == 0 || (spell + 1) % SPELLS_A_LINE == 0;

  come_to_rest (soak);
  if (shown)
    printf ("%9u", soak->n_started);

  for (int i = 0; i < N_WATCHED; i++)
    {
      Size size = measure (soak->pids[i]);
      guint zombies = test_count_zombies (soak->pids[i]);

      if (shown)
        printf ("%8u fd %7ld KiB", size.fds, size.rss);
      if (zombies > 0)
        complain (soak, "\n%s: %u zombies\n", names[i], zombies);
      if (spell < WARM_UP)
        soak->first[i] = size;
      if (size.fds != soak->first[i].fds)
        complain (soak, "\n%s: %u descriptors instead of %u\n", names[i], size.fds,
                  soak->first[i].fds);
      if (size.rss > soak->first[i].rss + TOLERANCE)
        complain (soak, "\n%s: %ld KiB instead of %ld\n", names[i], size.rss, soak->first[i].rss);
    }

  if (shown)
    printf ("\n");
  fflush (stdout);
}

/* ——— Launching ——— */

static int
next_status (Soak *soak)
{
  return 1 + soak->n_started++ % 99;
}

static GForkTemplate *
next_template (Soak *soak,
               int   status)
{
  g_autofree char *number = g_strdup_printf ("%d", status);
  GForkTemplate *template = status % 2 == 0 ? g_fork_template_new ()
                                            : g_fork_template_fork (soak->sub);

  g_fork_template_send_arg (template, number);
  return template;
}

static void
check_status (Soak         *soak,
              GForkProcess *process,
              int           status,
              GError       *error)
{
  soak->n_ended++;
  if (error != NULL)
    complain (soak, "\n%s\n", error->message);
  else if (!g_fork_process_get_if_exited (process)
           || g_fork_process_get_exit_status (process) != status)
    complain (soak, "\nwait status %x instead of exit status %d\n",
              (guint) g_fork_process_get_wait_status (process), status);
}

static void start_some (Soak *soak);

static void
on_ended (GObject      *object,
          GAsyncResult *result,
          gpointer      user_data)
{
  Launch *launch = user_data;
  Soak *soak = launch->soak;
  g_autoptr (GError) error = NULL;

  g_fork_process_wait_finish (launch->process, result, &error);
  check_status (soak, launch->process, launch->status, error);
  g_object_unref (launch->process);
  g_free (launch);
  soak->in_flight--;
  start_some (soak);
}

static void
on_run (GObject      *object,
        GAsyncResult *result,
        gpointer      user_data)
{
  Launch *launch = user_data;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  socket = g_fork_template_run_finish (launch->template, result, &launch->process, &error);
  g_assert_no_error (error);
  g_clear_object (&launch->template);
  g_fork_process_wait_async (launch->process, NULL, on_ended, launch);
}

static void
start_some (Soak *soak)
{
  while (soak->in_flight < soak->allowed && soak->to_start > 0)
    {
      Launch *launch = g_new0 (Launch, 1);

      launch->soak = soak;
      launch->status = next_status (soak);
      launch->template = next_template (soak, launch->status);
      g_fork_template_run_async (launch->template, "leave_with", NULL, on_run, launch);
      soak->in_flight++;
      soak->to_start--;
    }
}

/* Launches by the main loop: when one worker has ended, the next is started. */
static void
spell_with_loop (Soak *soak,
                 guint n)
{
  soak->to_start = n;
  start_some (soak);
  while (soak->in_flight > 0)
    g_main_context_iteration (NULL, TRUE);
}

static Launch *
run_one (Soak          *soak,
         const char    *function,
         gboolean       want_process,
         GSocket      **socket)
{
  g_autoptr (GError) error = NULL;
  Launch *launch = g_new0 (Launch, 1);

  launch->soak = soak;
  launch->status = next_status (soak);
  launch->template = next_template (soak, launch->status);
  *socket = g_fork_template_run (launch->template, function,
                                 want_process ? &launch->process : NULL, NULL, &error);
  g_assert_no_error (error);
  g_clear_object (&launch->template);
  return launch;
}

/* Launches by synchronous calls, one after another. The default main context is never iterated,
 * so what the library leaves to that is not done. */
static void
spell_without_loop (Soak *soak,
                    guint n)
{
  while (n > 0)
    {
      g_autoptr (GPtrArray) sockets = g_ptr_array_new_with_free_func (g_object_unref);
      g_autoptr (GPtrArray) launches = g_ptr_array_new_with_free_func (g_free);

      for (; n > 0 && launches->len < soak->allowed; n--)
        {
          GSocket *socket;

          g_ptr_array_add (launches, run_one (soak, "leave_at_eof", TRUE, &socket));
          g_ptr_array_add (sockets, socket);
        }

      g_ptr_array_set_size (sockets, 0);
      for (guint i = 0; i < launches->len; i++)
        {
          Launch *launch = launches->pdata[i];
          g_autoptr (GError) error = NULL;

          g_fork_process_wait (launch->process, NULL, &error);
          check_status (soak, launch->process, launch->status, error);
          g_object_unref (launch->process);
        }
    }
}

/* Launches without ever waiting for a worker. Some have helpers of their own, which become
 * children of the application that no template reaps. */
static void
spell_without_waiting (Soak *soak,
                       guint n)
{
  for (; n > 0; n--)
    {
      g_autoptr (GError) error = NULL;
      GForkProcess *process = NULL;
      GSocket *socket;

      if (soak->n_started % 64 == 0)
        {
          g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();

          next_status (soak);
          g_fork_template_send_arg (template, "0");
          g_fork_template_require (template, soak->module);
          socket = g_fork_template_run (template, "leave_at_eof", &process, NULL, &error);
          g_assert_no_error (error);
        }
      else
        {
          Launch *launch = run_one (soak, "leave_at_eof", soak->n_started % 2 == 0, &socket);

          process = launch->process;
          g_free (launch);
        }

      g_clear_object (&process);
      g_queue_push_tail (&soak->held, socket);
      if (soak->held.length == soak->allowed)
        g_object_unref (g_queue_pop_head (&soak->held));
      soak->n_ended++;
    }

  g_queue_clear_full (&soak->held, g_object_unref);
}

/* ——— The program ——— */

static const struct
{
  const char *name;
  void (*spell) (Soak *soak, guint n);
} kinds[] = {
  { "loop", spell_with_loop },
  { "never-iterated", spell_without_loop },
  { "never-waited", spell_without_waiting },
};

static void
start_templates (Soak       *soak,
                 const char *program)
{
  g_autoptr (GForkTemplate) template = g_fork_template_dup_default ();
  g_autofree char *directory = g_path_get_dirname (program);

  soak->module = g_build_filename (directory, "load-worker.so", NULL);
  g_fork_template_require (template, soak->module);
  test_prepare (template);
  soak->sub = g_fork_template_new ();
  test_prepare (soak->sub);

  soak->pids[APPLICATION] = getpid ();
  soak->pids[DEFAULT] = g_fork_template_get_pid (template);
  soak->pids[SUB] = g_fork_template_get_pid (soak->sub);
}

int
main (int    argc,
      char **argv)
{
  Soak soak = { .held = G_QUEUE_INIT };
  void (*run_spell) (Soak *soak, guint n) = NULL;
  gint64 start = g_get_monotonic_time ();
  guint n_launches;
  double seconds;

  for (gsize i = 0; argc >= 3 && i < G_N_ELEMENTS (kinds); i++)
    if (strcmp (argv[1], kinds[i].name) == 0)
      run_spell = kinds[i].spell;
  if (run_spell == NULL)
    {
      fprintf (stderr, "load-soak loop|never-iterated|never-waited LAUNCHES [IN-FLIGHT]\n");
      return 2;
    }

  n_launches = atoi (argv[2]);
  soak.allowed = argc > 3 ? atoi (argv[3]) : 16;
  printf ("soak %s: %u workers, %u in flight\n", argv[1], n_launches, soak.allowed);
  printf ("%9s%23s%23s%23s\n", "workers", "application", "template", "sub-template");

  start_templates (&soak, argv[0]);
  for (int spell = 0; spell < SPELLS; spell++)
    {
      run_spell (&soak, n_launches / SPELLS);
      look (&soak, spell);
    }

  seconds = (g_get_monotonic_time () - start) / 1e6;
  if (soak.n_ended != soak.n_started)
    complain (&soak, "%u workers, of which %u have ended\n", soak.n_started, soak.n_ended);
  printf ("soak %s: %s, %u workers in %.1f s, %.0f a second\n", argv[1],
          soak.failed ? "FAILED" : "good", soak.n_started, seconds, soak.n_started / seconds);

  g_object_unref (soak.sub);
  g_free (soak.module);
  return soak.failed ? 1 : 0;
}
