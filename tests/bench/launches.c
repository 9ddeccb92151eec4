/* launches.c: measures launches, one after another and several at once, and how soon one is done
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "bench.h"

#include "ballast.h"

/* cycle: one process after another, in a small and in a big application */

enum
{
  CYCLE_NEW,
  CYCLE_EXIT,
  CYCLE_STATUS,
  CYCLE_SPARES,
  CYCLE_SPARES_EXIT,
  CYCLE_NEW_EXEC,
  CYCLE_EXECV,
  CYCLE_FORK,
  CYCLE_VFORK,
  CYCLE_SPAWN,
  CYCLE_G_SPAWN,
  CYCLE_SUBPROCESS,
  CYCLE_INHERITING,
  N_CYCLES
};

static GPtrArray *
make_cycle_contenders (Bench *self)
{
  const LaunchPlan *plan = &self->plan;
  GPtrArray *contenders = contenders_new ();

  keep (contenders, contender_new_gspawnfork (NEW, plan));
  keep (contenders, contender_new_gspawnfork (NEW_EXIT, &self->exit_plan));
  keep (contenders, contender_new_status (NEW " and status", plan));
  keep (contenders, contender_new_gspawnfork (SPARES, &self->spared_plan));
  keep (contenders, contender_new_gspawnfork (SPARES_EXIT, &self->spared_exit_plan));
  keep (contenders, contender_new_new_exec ("gspawnfork new_exec", plan));
  keep (contenders, contender_new_execv ("gspawnfork new, execv", plan));
  keep (contenders, contender_new_fork ("fork"));
  keep (contenders, contender_new_vfork ("vfork, exec", plan));
  keep (contenders, contender_new_spawn ("posix_spawn", plan));
  keep (contenders, contender_new_g_spawn ("g_spawn_async", plan));
  keep (contenders, contender_new_subprocess ("GSubprocess", plan,
                                              G_SUBPROCESS_FLAGS_NONE));
  keep (contenders, contender_new_subprocess ("GSubprocess, inheriting", plan,
                                              G_SUBPROCESS_FLAGS_INHERIT_FDS));
  g_assert (contenders->len == N_CYCLES);

  return contenders;
}

/* Other libraries, and what each is compared with. The processes of both leave by exit(). Python
 * is in python-workers.py. */
static const struct
{
  const char *name;
  const char *argv[3];
  guint opponent;
} peers[] = {
  { "AnyEvent::Fork new", { "perl", "anyevent-fork.pl", "new" }, CYCLE_NEW },
  { "AnyEvent::Fork new_exec", { "perl", "anyevent-fork.pl", "new_exec" }, CYCLE_NEW_EXEC }
};

/* Makes a contender of each peer; NULL of one that is not installed. */
static GPtrArray *
make_peers (Bench *self)
{
  GPtrArray *contenders = contenders_new ();

  for (guint i = 0; i < G_N_ELEMENTS (peers); i++)
    {
      g_autofree char *script = beside (self, peers[i].argv[1]);
      const char *argv[] = { peers[i].argv[0], script, peers[i].argv[2], NULL };
      Contender *peer = keep (contenders, contender_new_program (peers[i].name, argv));

      results_add_fact (self->results, peers[i].name, "%s",
                        peer != NULL ? contender_get_version (peer) : "not installed");
    }

  return contenders;
}

/* Peers run in programs of their own, so this one's size does not matter. */
static void
add_peer_entries (Bench     *self,
                  GPtrArray *entries,
                  GPtrArray *peer_contenders,
                  Series   **rows)
{
  for (guint i = 0; i < G_N_ELEMENTS (peers); i++)
    {
      Contender *peer = g_ptr_array_index (peer_contenders, i);

      if (peer != NULL)
        results_compare (self->results, rows[peers[i].opponent],
                         add_entry (self, entries, peer, 1, 0));
    }
}

/* Children of plain forks call _exit(), and programs leave by exit(). Each is compared with
 * workers that do the same. */
static void
compare_cycles (Bench   *self,
                Series **rows,
                Series  *plain,
                Series  *small)
{
  results_compare (self->results, rows[CYCLE_EXIT], plain);
  results_compare (self->results, rows[CYCLE_SPARES_EXIT], plain);
  results_compare (self->results, rows[CYCLE_EXIT], rows[CYCLE_FORK]);
  results_compare (self->results, rows[CYCLE_SPARES_EXIT], rows[CYCLE_FORK]);
  results_compare (self->results, rows[CYCLE_NEW], rows[CYCLE_SPAWN]);
  results_compare (self->results, rows[CYCLE_NEW], rows[CYCLE_SUBPROCESS]);
  results_compare (self->results, rows[CYCLE_SPARES], rows[CYCLE_SUBPROCESS]);
  results_compare (self->results, rows[CYCLE_NEW_EXEC], rows[CYCLE_SPAWN]);
  if (rows[CYCLE_NEW] != small)
    results_compare (self->results, rows[CYCLE_NEW], small);
}

void
run_cycle (Bench *self)
{
  static const guint all_sizes[] = { 0, 20, 200, 2000 };
  static const guint quick_sizes[] = { 0, 200 };
  const guint *sizes = self->quick ? quick_sizes : all_sizes;
  guint n_sizes = self->quick ? G_N_ELEMENTS (quick_sizes) : G_N_ELEMENTS (all_sizes);
  g_autoptr (GPtrArray) contenders = make_cycle_contenders (self);
  g_autoptr (GPtrArray) peer_contenders = NULL;
  Series *small = NULL;

  results_begin (self->results, "cycle",
                 "One after another: made, run, exited, end-of-file seen", "MB");
  peer_contenders = make_peers (self);

  for (guint i = 0; i < n_sizes && have_memory (sizes[i]); i++)
    {
      g_autoptr (GPtrArray) entries = entries_new ();
      void *ballast = ballast_new (sizes[i]);
      Series *rows[N_CYCLES];
      Series *plain = add_entry (self, entries, self->plain, 1, sizes[i]);

      for (guint j = 0; j < N_CYCLES; j++)
        rows[j] = add_entry (self, entries, g_ptr_array_index (contenders, j), 1,
                             sizes[i]);

      if (i == 0)
        {
          small = rows[CYCLE_NEW];
          add_peer_entries (self, entries, peer_contenders, rows);
        }
      compare_cycles (self, rows, plain, small);

      measure (self, entries);
      ballast_free (ballast, sizes[i]);

      g_print ("\n");
      results_table (self->results, plain);
    }
}

/* flight: several launches at once */

void
run_flight (Bench *self)
{
  static const guint levels[] = { 1, 2, 4, 8, 16 };
  g_autoptr (GPtrArray) contenders = contenders_new ();
  g_autoptr (GPtrArray) entries = entries_new ();
  Series *plain;

  results_begin (self->results, "flight", "Launches in flight", "in flight");

  keep (contenders, contender_new_gspawnfork (NEW_EXIT, &self->exit_plan));
  keep (contenders, contender_new_gspawnfork (NEW, &self->plan));
  keep (contenders, contender_new_gspawnfork (SPARES, &self->spared_plan));
  keep (contenders, contender_new_spawn ("posix_spawn", &self->plan));
  keep (contenders, contender_new_subprocess ("GSubprocess", &self->plan,
                                              G_SUBPROCESS_FLAGS_NONE));

  plain = add_entry (self, entries, self->plain, 1, 1);
  for (guint i = 0; i < contenders->len; i++)
    for (guint j = 0; j < G_N_ELEMENTS (levels); j++)
      {
        Series *row = add_entry (self, entries, g_ptr_array_index (contenders, i),
                                 levels[j], levels[j]);

        if (i == 0)
          results_compare (self->results, row, plain);
      }

  measure (self, entries);
  results_table (self->results, plain);
}

/* spares: how soon a single worker runs */

typedef struct
{
  gint64 forked;
  gint64 ran;
  gint64 called;
  gboolean done;
} Latency;

static void
on_latency_run (GObject      *source,
                GAsyncResult *result,
                gpointer      data)
{
  Latency *latency = data;
  g_autoptr (GSocket) socket = NULL;
  GError *error = NULL;

  latency->called = clock_ns ();

  socket = g_fork_template_run_finish (G_FORK_TEMPLATE (source), result, NULL, &error);
  must ("run", error);
  latency->done = TRUE;
}

static gboolean
set_done (gpointer data)
{
  *(gboolean *) data = TRUE;

  return G_SOURCE_REMOVE;
}

static void
pause_1ms (void)
{
  gboolean done = FALSE;

  g_timeout_add (1, set_done, &done);
  loop_until (&done);
}

static void
measure_latency (GForkTemplate *template,
                 guint          n,
                 Series        *fork_row,
                 Series        *run_row)
{
  g_autoptr (Results) scratch = results_new ();
  Series *from_fork, *from_run;

  from_fork = results_row (scratch, "fork", 0, UNIT_NANOSECONDS);
  from_run = results_row (scratch, "run", 0, UNIT_NANOSECONDS);

  for (guint i = 0; i < n; i++)
    {
      g_autoptr (GForkTemplate) fork = NULL;
      Latency latency = { 0 };

      pause_1ms ();

      latency.forked = clock_ns ();
      fork = g_fork_template_fork (template);
      latency.ran = clock_ns ();
      g_fork_template_run_async (fork, "bench_return", NULL, on_latency_run, &latency);
      loop_until (&latency.done);

      series_add (from_fork, (double) (latency.called - latency.forked));
      series_add (from_run, (double) (latency.called - latency.ran));
    }

  series_add (fork_row, series_get_median (from_fork));
  series_add (run_row, series_get_median (from_run));
}

void
run_spares (Bench *self)
{
  GForkTemplate *templates[] = { self->template, self->spared };
  Series *fork_rows[2], *run_rows[2];
  guint n = self->quick ? 20 : 100;

  results_begin (self->results, "spares",
                 "From the call to the callback, 1 ms between launches", "spares");

  for (guint i = 0; i < 2; i++)
    {
      run_rows[i] = results_row (self->results, "run_async to callback", i * 2,
                                 UNIT_NANOSECONDS);
      fork_rows[i] = results_row (self->results, "fork to callback", i * 2,
                                  UNIT_NANOSECONDS);
    }

  for (guint round = 0; round < self->rounds; round++)
    for (guint i = 0; i < 2; i++)
      {
        settle ();
        measure_latency (templates[i], n, fork_rows[i], run_rows[i]);
      }

  results_compare (self->results, run_rows[1], run_rows[0]);
  results_compare (self->results, fork_rows[1], fork_rows[0]);
  results_table (self->results, NULL);
}
