/* gspawnfork-bench.c: what processes cost, next to other ways of making them
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <gspawnfork/gspawnfork.h>

#include "ballast.h"
#include "contenders.h"
#include "results.h"

#define PLAIN_FORK "fork, empty program"
#define NEW "gspawnfork new"

typedef struct
{
  Results *results;
  gboolean quick;
  guint rounds;
  int warm_up_ms;               /* what comes before each measurement */
  guint batch_ms;               /* how long one is */

  char *directory;              /* where this program and its companions are */
  char *module;
  const char *argv[2];          /* the program that does nothing */

  GForkTemplate *helper;
  GForkTemplate *template;      /* has the module; the default one */
  GForkTemplate *spared;        /* the same with two spare processes */
  LaunchPlan plan;
  LaunchPlan spared_plan;
  Contender *plain;             /* what everything is compared with */
} Bench;

/* One contender's part in each round. */
typedef struct
{
  Contender *contender;
  guint in_flight;
  Series *row;
} Entry;

/* A worker that lives until its socket is closed. */
typedef struct
{
  GSocket *socket;
  GForkProcess *process;
} Worker;

/* The name of a file that stands where this program does. */
static char *
beside (Bench      *self,
        const char *name)
{
  return g_build_filename (self->directory, name, NULL);
}

/* Rounds */

static GPtrArray *
entries_new (void)
{
  return g_ptr_array_new_with_free_func (g_free);
}

static Series *
add_entry (Bench     *self,
           GPtrArray *entries,
           Contender *contender,
           guint      in_flight,
           gint64     value)
{
  Entry *entry = g_new0 (Entry, 1);

  entry->contender = contender;
  entry->in_flight = in_flight;
  entry->row = results_row (self->results, contender_get_name (contender), value,
                            UNIT_NANOSECONDS);
  g_ptr_array_add (entries, entry);

  return entry->row;
}

/* Lets what one contender left behind, spare processes to be replaced for
 * instance, not count as the next one's. */
static void
settle (void)
{
  gint64 end = clock_ns () + 2000000;

  while (clock_ns () < end)
    {
      g_main_context_iteration (NULL, FALSE);
      g_usleep (200);
    }
}

static void
measure (Bench     *self,
         GPtrArray *entries)
{
  for (guint round = 0; round < self->rounds; round++)
    for (guint i = 0; i < entries->len; i++)
      {
        Entry *entry = g_ptr_array_index (entries, i);

        settle ();
        series_add (entry->row, contender_measure_warm (entry->contender,
                                                        self->warm_up_ms,
                                                        self->batch_ms,
                                                        entry->in_flight));
      }
}

static GPtrArray *
contenders_new (void)
{
  return g_ptr_array_new_with_free_func ((GDestroyNotify) contender_free);
}

static Contender *
keep (GPtrArray *contenders,
      Contender *contender)
{
  g_ptr_array_add (contenders, contender);

  return contender;
}

/* What the system tells */

static char *
read_field (const char *filename,
            const char *name)
{
  g_autofree char *contents = NULL;
  g_auto (GStrv) lines = NULL;

  if (!g_file_get_contents (filename, &contents, NULL, NULL))
    return NULL;

  lines = g_strsplit (contents, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    {
      char *colon = strchr (lines[i], ':');

      if (colon == NULL)
        continue;

      *colon = '\0';
      if (g_str_equal (g_strchomp (lines[i]), name))
        return g_strdup (g_strstrip (colon + 1));
    }

  return NULL;
}

static guint64
read_number (const char *filename,
             const char *name)
{
  g_autofree char *field = read_field (filename, name);

  return field != NULL ? g_ascii_strtoull (field, NULL, 10) : 0;
}

static gboolean
have_memory (guint megabytes)
{
  guint64 available = read_number ("/proc/meminfo", "MemAvailable") >> 10;

  if (available >= megabytes * 5 / 4)
    return TRUE;

  g_print ("(Left out: %u MB, because %" G_GUINT64_FORMAT " MB are available)\n",
           megabytes, available);

  return FALSE;
}

static guint
count_fds (GPid pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/fd", pid);
  g_autoptr (GDir) directory = g_dir_open (path, 0, NULL);
  guint n = 0;

  while (directory != NULL && g_dir_read_name (directory) != NULL)
    n++;

  return n;
}

static void
describe_machine (Bench *self)
{
  Results *results = self->results;
  g_autofree char *cpu = read_field ("/proc/cpuinfo", "model name");
  g_autofree char *flags = read_field ("/proc/cpuinfo", "flags");
  g_autofree char *pages = NULL;
  g_autofree char *load = NULL;
  struct utsname kernel;

  uname (&kernel);
  g_file_get_contents ("/sys/kernel/mm/transparent_hugepage/enabled", &pages,
                       NULL, NULL);
  g_file_get_contents ("/proc/loadavg", &load, NULL, NULL);

  results_add_fact (results, "CPU", "%s, %u in use%s", cpu != NULL ? cpu : kernel.machine,
                    g_get_num_processors (),
                    flags != NULL && strstr (flags, " hypervisor") ? ", virtual" : "");
  results_add_fact (results, "memory", "%" G_GUINT64_FORMAT " MB",
                    read_number ("/proc/meminfo", "MemTotal") >> 10);
  results_add_fact (results, "kernel", "%s %s, %s", kernel.sysname, kernel.release,
                    kernel.machine);
  results_add_fact (results, "huge pages", "%s",
                    pages != NULL ? g_strchomp (pages) : "none");
  results_add_fact (results, "load", "%s", load != NULL ? g_strchomp (load) : "unknown");
  results_add_fact (results, "GLib", "%u.%u.%u", glib_major_version,
                    glib_minor_version, glib_micro_version);
  results_add_fact (results, "gspawnfork", "%s", G_FORK_VERSION_S);
  results_add_fact (results, "rounds", "%u, in each of which every contender is "
                    "measured for %u ms after a warm-up of %d ms",
                    self->rounds, self->batch_ms, self->warm_up_ms);
}

/* cycle: one process after another, in a small and in a big application */

enum
{
  CYCLE_NEW,
  CYCLE_STATUS,
  CYCLE_SPARES,
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
  keep (contenders, contender_new_status (NEW " and status", plan));
  keep (contenders, contender_new_gspawnfork (NEW " with 2 spares", &self->spared_plan));
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

/* Programs of others, and what each is compared with. */
static const struct
{
  const char *name;
  const char *argv[3];
  guint opponent;
} peers[] = {
  { "AnyEvent::Fork new", { "perl", "anyevent-fork.pl", "new" }, CYCLE_NEW },
  { "AnyEvent::Fork new_exec", { "perl", "anyevent-fork.pl", "new_exec" }, CYCLE_NEW_EXEC },
  { "forkserver", { "python3", "forkserver.py", NULL }, CYCLE_NEW }
};

/* NULL stands for a peer that is not installed. */
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

/* What runs in another program does not depend on this one's size. */
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

static void
compare_cycles (Bench   *self,
                Series **rows,
                Series  *plain,
                Series  *small)
{
  results_compare (self->results, rows[CYCLE_NEW], plain);
  results_compare (self->results, rows[CYCLE_SPARES], plain);
  results_compare (self->results, rows[CYCLE_NEW], rows[CYCLE_FORK]);
  results_compare (self->results, rows[CYCLE_NEW], rows[CYCLE_SPAWN]);
  results_compare (self->results, rows[CYCLE_NEW], rows[CYCLE_SUBPROCESS]);
  results_compare (self->results, rows[CYCLE_SPARES], rows[CYCLE_FORK]);
  results_compare (self->results, rows[CYCLE_SPARES], rows[CYCLE_SUBPROCESS]);
  results_compare (self->results, rows[CYCLE_NEW_EXEC], rows[CYCLE_SPAWN]);
  if (rows[CYCLE_NEW] != small)
    results_compare (self->results, rows[CYCLE_NEW], small);
}

static void
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

static void
run_flight (Bench *self)
{
  static const guint levels[] = { 1, 2, 4, 8, 16 };
  g_autoptr (GPtrArray) contenders = contenders_new ();
  g_autoptr (GPtrArray) entries = entries_new ();
  Series *plain;

  results_begin (self->results, "flight", "Launches in flight", "in flight");

  keep (contenders, contender_new_gspawnfork (NEW, &self->plan));
  keep (contenders, contender_new_gspawnfork (NEW " with 2 spares", &self->spared_plan));
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

/* spares: how soon a single worker is there */

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

static void
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

/* Workers that stay alive */

static void
worker_free (gpointer data)
{
  Worker *worker = data;

  g_clear_object (&worker->socket);
  g_clear_object (&worker->process);
  g_free (worker);
}

static gboolean
start_worker (Bench      *self,
              GPtrArray  *workers,
              GError    **error)
{
  g_autoptr (GForkTemplate) template = g_fork_template_fork (self->template);
  g_autoptr (GForkProcess) process = NULL;
  GSocket *socket;
  Worker *worker;

  socket = g_fork_template_run (template, "bench_idle", &process, NULL, error);
  if (socket == NULL)
    return FALSE;

  worker = g_new0 (Worker, 1);
  worker->socket = socket;
  worker->process = g_steal_pointer (&process);
  g_ptr_array_add (workers, worker);

  return TRUE;
}

typedef struct
{
  guint left;
  gboolean done;
} Countdown;

static void
on_worker_ended (GObject      *source,
                 GAsyncResult *result,
                 gpointer      data)
{
  Countdown *countdown = data;
  GError *error = NULL;

  g_fork_process_wait_finish (G_FORK_PROCESS (source), result, &error);
  must ("wait", error);

  countdown->left--;
  countdown->done = countdown->left == 0;
}

/* Ends the last n workers and returns the nanoseconds until the statuses of all
 * were known. */
static double
end_workers (GPtrArray *workers,
             guint      n)
{
  Countdown countdown = { n, n == 0 };
  gint64 start = clock_ns ();

  for (guint i = workers->len - n; i < workers->len; i++)
    {
      Worker *worker = g_ptr_array_index (workers, i);

      g_fork_process_wait_async (worker->process, NULL, on_worker_ended, &countdown);
      g_clear_object (&worker->socket);
    }

  loop_until (&countdown.done);
  g_ptr_array_set_size (workers, (int) (workers->len - n));

  return (double) (clock_ns () - start);
}

static void
allow_descriptors (void)
{
  struct rlimit limit;

  getrlimit (RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit (RLIMIT_NOFILE, &limit);
}

static gboolean
grow_workers (Bench     *self,
              GPtrArray *workers,
              guint      n,
              GArray    *times)
{
  while (workers->len < n)
    {
      g_autoptr (GError) error = NULL;
      gint64 start = clock_ns ();
      double time;

      if (!start_worker (self, workers, &error))
        {
          g_print ("(No more than %u workers: %s)\n", workers->len, error->message);
          end_workers (workers, MIN (workers->len, workers->len / 10 + 1));
          return FALSE;
        }

      time = (double) (clock_ns () - start);
      if (times != NULL)
        g_array_append_val (times, time);
    }

  return TRUE;
}

/* scale: a worker among thousands */

static Series *
measure_among (Bench     *self,
               Contender *contender,
               guint      alive)
{
  g_autoptr (GPtrArray) entries = entries_new ();
  Series *row;

  add_entry (self, entries, self->plain, 1, alive);
  row = add_entry (self, entries, contender, 1, alive);
  measure (self, entries);

  series_add (results_row (self->results, "the template's descriptors", alive, UNIT_COUNT),
              count_fds (g_fork_template_get_pid (self->template)));

  return row;
}

static void
add_samples (Bench  *self,
             GArray *times,
             guint   first,
             guint   n)
{
  for (guint i = first; i < first + n && i < times->len; i++)
    series_add (results_row (self->results, "one more worker that stays", first,
                             UNIT_NANOSECONDS),
                g_array_index (times, double, i));
}

static void
end_and_time_workers (Bench     *self,
                      GPtrArray *workers,
                      guint      n)
{
  if (n > 0)
    series_add (results_row (self->results, "ended and waited for, each", n,
                             UNIT_NANOSECONDS),
                end_workers (workers, n) / n);
}

static void
run_scale (Bench *self)
{
  g_autoptr (GPtrArray) workers = g_ptr_array_new_with_free_func (worker_free);
  g_autoptr (Contender) new = contender_new_gspawnfork (NEW, &self->plan);
  g_autoptr (GArray) times = g_array_new (FALSE, FALSE, sizeof (double));
  guint n = self->quick ? 500 : 5000;
  guint window = n / 50;
  Series *first, *last;

  results_begin (self->results, "scale", "Many workers alive at once", "alive");
  allow_descriptors ();

  first = measure_among (self, new, 0);

  grow_workers (self, workers, n, times);
  add_samples (self, times, 0, window);
  add_samples (self, times, times->len - MIN (window, times->len), window);

  last = measure_among (self, new, workers->len);
  results_compare (self->results, first, last);

  /* The first fifth, and after it all the others, for the time to be linear in
   * their number. */
  end_and_time_workers (self, workers, workers->len / 5);
  end_and_time_workers (self, workers, workers->len);

  results_table (self->results, NULL);
}

/* memory: what an idle worker takes */

static void
add_memory (Bench      *self,
            GPid        pid,
            const char *who,
            gint64      value)
{
  static const char *fields[] = { "Rss", "Pss" };
  g_autofree char *path = g_strdup_printf ("/proc/%d/smaps_rollup", pid);
  g_autofree char *private_name = g_strdup_printf ("%s: private", who);

  for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
    {
      g_autofree char *name = g_strdup_printf ("%s: %s", who, fields[i]);

      series_add (results_row (self->results, name, value, UNIT_BYTES),
                  (double) read_number (path, fields[i]) * 1024);
    }

  series_add (results_row (self->results, private_name, value, UNIT_BYTES),
              (double) (read_number (path, "Private_Clean") +
                        read_number (path, "Private_Dirty")) * 1024);
}

static void
run_memory (Bench *self)
{
  static const guint counts[] = { 1, 10, 100, 1000 };
  guint n_counts = self->quick ? 3 : G_N_ELEMENTS (counts);
  g_autoptr (GPtrArray) workers = g_ptr_array_new_with_free_func (worker_free);

  results_begin (self->results, "memory", "Memory of idle workers", "alive");
  allow_descriptors ();

  for (guint i = 0; i < n_counts; i++)
    {
      if (!grow_workers (self, workers, counts[i], NULL))
        break;

      for (guint j = 0; j < workers->len; j++)
        {
          Worker *worker = g_ptr_array_index (workers, j);

          add_memory (self, g_fork_process_get_pid (worker->process), "worker",
                      counts[i]);
        }
      add_memory (self, g_fork_template_get_pid (self->template), "template", counts[i]);
      add_memory (self, g_fork_template_get_pid (self->helper), "helper", counts[i]);
    }

  end_workers (workers, workers->len);
  results_table (self->results, NULL);
}

/* big: templates that hold a lot */

static GForkTemplate *
make_called_template (Bench      *self,
                      const char *function,
                      guint       megabytes)
{
  GForkTemplate *template = g_fork_template_fork (self->template);
  g_autofree char *size = g_strdup_printf ("%u", megabytes);
  const char *args[] = { size, NULL };
  GError *error = NULL;

  g_fork_template_call (template, function, args);
  g_fork_template_prepare (template, NULL, &error);
  must ("prepare", error);

  return template;
}

static GForkTemplate *
make_sent_template (Bench  *self,
                    GBytes *bytes)
{
  GForkTemplate *template = g_fork_template_fork (self->template);
  GError *error = NULL;

  g_fork_template_send_bytes (template, bytes);
  g_fork_template_prepare (template, NULL, &error);
  must ("prepare", error);

  return template;
}

static void
add_duration (Bench      *self,
              const char *name,
              gint64      value,
              gint64      start)
{
  series_add (results_row (self->results, name, value, UNIT_NANOSECONDS),
              (double) (clock_ns () - start));
}

static void
run_big (Bench *self)
{
  guint size = self->quick ? 50 : 500;
  g_autoptr (GForkTemplate) private = NULL;
  g_autoptr (GForkTemplate) sent = NULL;
  g_autoptr (GForkTemplate) freed = NULL;
  g_autoptr (GPtrArray) contenders = contenders_new ();
  g_autoptr (GPtrArray) entries = entries_new ();
  LaunchPlan plans[5];
  Series *small, *private_row, *sent_row, *freed_row, *private_read, *sent_read;
  GBytes *bytes;
  void *ballast;
  gint64 start;

  if (!have_memory (size * 3))
    return;

  results_begin (self->results, "big", "Templates that hold a lot", "MB");

  start = clock_ns ();
  private = make_called_template (self, "bench_fill", size);
  add_duration (self, "preparing: call that fills private memory", size, start);

  ballast = ballast_new (size);
  bytes = g_bytes_new_static (ballast, (gsize) size << 20);
  start = clock_ns ();
  sent = make_sent_template (self, bytes);
  add_duration (self, "preparing: send_bytes", size, start);
  g_bytes_unref (bytes);
  ballast_free (ballast, size);

  freed = make_called_template (self, "bench_free", size);

  for (guint i = 0; i < 4; i++)
    {
      plans[i] = self->plan;
      plans[i].template = i % 2 == 0 ? private : sent;
    }
  plans[4] = self->plan;
  plans[4].template = freed;
  plans[2].function = "bench_read_private";
  plans[3].function = "bench_read_args";

  keep (contenders, contender_new_gspawnfork (NEW, &self->plan));
  keep (contenders, contender_new_gspawnfork ("private", &plans[0]));
  keep (contenders, contender_new_gspawnfork ("send_bytes", &plans[1]));
  keep (contenders, contender_new_gspawnfork ("private, all of it read", &plans[2]));
  keep (contenders, contender_new_gspawnfork ("send_bytes, all of it read", &plans[3]));
  keep (contenders, contender_new_gspawnfork ("allocated and freed", &plans[4]));

  small = add_entry (self, entries, g_ptr_array_index (contenders, 0), 1, 0);
  private_row = add_entry (self, entries, g_ptr_array_index (contenders, 1), 1, size);
  sent_row = add_entry (self, entries, g_ptr_array_index (contenders, 2), 1, size);
  private_read = add_entry (self, entries, g_ptr_array_index (contenders, 3), 1, size);
  sent_read = add_entry (self, entries, g_ptr_array_index (contenders, 4), 1, size);
  freed_row = add_entry (self, entries, g_ptr_array_index (contenders, 5), 1, size);

  results_compare (self->results, sent_row, small);
  results_compare (self->results, sent_row, private_row);
  results_compare (self->results, sent_read, private_read);
  results_compare (self->results, freed_row, private_row);

  measure (self, entries);
  results_table (self->results, small);
}

/* work: what one launch makes the system do */

typedef struct
{
  double faults;
  double child_faults;
  double waits;
  double cpu_ns;
  double calls;
} Work;

/* What the kernel counts, as perf(1) has it counted; only for those who may. */
typedef struct
{
  int own;
  int template;
  int family;                   /* the template and its children */
} CallCounters;

static int
count_calls (GPid     pid,
             gboolean children)
{
  static const char * const directories[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
  struct perf_event_attr event = {
    .type = PERF_TYPE_TRACEPOINT,
    .size = sizeof event,
    .inherit = children
  };

  for (guint i = 0; i < G_N_ELEMENTS (directories) && event.config == 0; i++)
    {
      g_autofree char *path = g_build_filename (directories[i],
                                                "events/raw_syscalls/sys_enter/id", NULL);
      g_autofree char *id = NULL;

      if (g_file_get_contents (path, &id, NULL, NULL))
        event.config = g_ascii_strtoull (id, NULL, 10);
    }

  if (event.config == 0)
    return -1;

  return (int) syscall (SYS_perf_event_open, &event, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static double
read_counter (int fd)
{
  guint64 n = 0;

  return fd >= 0 && read (fd, &n, sizeof n) == sizeof n ? (double) n : 0;
}

static void
get_own_work (Work *work)
{
  struct rusage usage;

  getrusage (RUSAGE_SELF, &usage);
  work->faults = (double) usage.ru_minflt;
  work->child_faults = 0;
  work->waits = (double) usage.ru_nvcsw;
  work->cpu_ns = (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
                 (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
}

static void
get_work (GPid  pid,
          Work *work)
{
  g_autofree char *stat_path = g_strdup_printf ("/proc/%d/stat", pid);
  g_autofree char *status_path = g_strdup_printf ("/proc/%d/status", pid);
  g_autofree char *sched_path = g_strdup_printf ("/proc/%d/schedstat", pid);
  g_autofree char *contents = NULL;
  g_autofree char *times = NULL;
  guint64 faults = 0, child_faults = 0;
  const char *rest;

  /* The second field, the name, may itself hold spaces and parentheses. */
  if (g_file_get_contents (stat_path, &contents, NULL, NULL) &&
      (rest = strrchr (contents, ')')) != NULL)
    sscanf (rest, ") %*c %*d %*d %*d %*d %*d %*u %" G_GUINT64_FORMAT
            " %" G_GUINT64_FORMAT, &faults, &child_faults);

  work->faults = (double) faults;
  work->child_faults = (double) child_faults;
  work->waits = (double) read_number (status_path, "voluntary_ctxt_switches");
  work->cpu_ns = g_file_get_contents (sched_path, &times, NULL, NULL)
                   ? (double) g_ascii_strtoull (times, NULL, 10) : 0;
}

static void
add_count (Bench      *self,
           const char *who,
           const char *what,
           guint       in_flight,
           double      count)
{
  g_autofree char *name = g_strdup_printf ("%s: %s", who, what);

  series_add (results_row (self->results, name, in_flight, UNIT_COUNT), count);
}

static void
add_work (Bench      *self,
          const char *who,
          guint       in_flight,
          const Work *before,
          const Work *after,
          guint       n)
{
  g_autofree char *cpu = g_strdup_printf ("%s: CPU time", who);

  if (after->calls > 0)
    add_count (self, who, "system calls", in_flight, (after->calls - before->calls) / n);
  add_count (self, who, "minor faults", in_flight, (after->faults - before->faults) / n);
  add_count (self, who, "waits", in_flight, (after->waits - before->waits) / n);
  series_add (results_row (self->results, cpu, in_flight, UNIT_NANOSECONDS),
              (after->cpu_ns - before->cpu_ns) / n);
}

typedef struct
{
  long waits; /* until its function is called */
  gint64 cpu_us;
} Usage;

static void
ask_worker (Bench *self,
            Usage *usage)
{
  g_autoptr (GForkTemplate) template = g_fork_template_fork (self->template);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  GError *error = NULL;

  socket = g_fork_template_run (template, "bench_waits", &process, NULL, &error);
  must ("run", error);
  g_socket_set_blocking (socket, TRUE);
  g_socket_receive (socket, (char *) &usage->waits, sizeof usage->waits, NULL, &error);
  must ("receive", error);
  g_fork_process_wait (process, NULL, &error);
  must ("wait", error);
  usage->cpu_us = g_fork_process_get_user_time (process) +
                  g_fork_process_get_system_time (process);
}

/* What a worker needs, as it and its template tell. The first one has to look for the
 * function, which the template then expects to be run again. */
static void
measure_worker (Bench *self,
                guint  n)
{
  gint64 cpu_us = 0;
  Usage usage;

  ask_worker (self, &usage);
  for (guint i = 0; i < n; i++)
    {
      ask_worker (self, &usage);
      cpu_us += usage.cpu_us;
    }

  add_count (self, "worker", "waits before its function", 1, (double) usage.waits);
  series_add (results_row (self->results, "worker: CPU time", 1, UNIT_NANOSECONDS),
              (double) cpu_us * 1000 / n);
}

/* A second one, as counting costs each system call a little. */
static void
measure_calls (Bench     *self,
               Contender *contender,
               guint      in_flight,
               guint      n,
               Work      *own,
               Work      *template)
{
  GPid pid = g_fork_template_get_pid (self->template);
  CallCounters counters = {
    count_calls (0, FALSE), count_calls (pid, FALSE), count_calls (pid, TRUE)
  };
  double family[2] = { 0 };

  own[0].calls = read_counter (counters.own);
  template[0].calls = read_counter (counters.template);
  family[0] = read_counter (counters.family);
  contender_measure (contender, n, in_flight);
  own[1].calls = read_counter (counters.own);
  settle ();
  template[1].calls = read_counter (counters.template);
  family[1] = read_counter (counters.family);

  if (family[1] > 0)
    add_count (self, "worker", "system calls", in_flight,
               (family[1] - family[0] - (template[1].calls - template[0].calls)) / n);

  close (counters.own);
  close (counters.template);
  close (counters.family);
}

static void
measure_work (Bench     *self,
              Contender *contender,
              guint      in_flight,
              guint      n)
{
  GPid pid = g_fork_template_get_pid (self->template);
  Work own[2], template[2];

  contender_measure_warm (contender, self->warm_up_ms, self->batch_ms, in_flight);
  settle ();

  get_work (pid, &template[0]);
  get_own_work (&own[0]);
  contender_measure (contender, n, in_flight);
  get_own_work (&own[1]);
  settle ();
  get_work (pid, &template[1]);
  measure_calls (self, contender, in_flight, n, own, template);

  add_work (self, "application", in_flight, &own[0], &own[1], n);
  add_work (self, "template", in_flight, &template[0], &template[1], n);
  add_count (self, "worker", "minor faults", in_flight,
             (template[1].child_faults - template[0].child_faults) / n);
}

static void
run_work (Bench *self)
{
  g_autoptr (Contender) new = contender_new_gspawnfork (NEW, &self->plan);
  guint n = self->quick ? 100 : 400;

  results_begin (self->results, "work", "What one launch of " NEW " takes",
                 "in flight");

  for (guint round = 0; round < self->rounds; round++)
    {
      measure_work (self, new, 1, n);
      measure_worker (self, n / 4);
      measure_work (self, new, 8, n);
    }

  results_table (self->results, NULL);
}

/* The program */

static const struct
{
  const char *name;
  void (*run) (Bench *self);
} sections[] = {
  { "cycle", run_cycle },
  { "flight", run_flight },
  { "spares", run_spares },
  { "scale", run_scale },
  { "memory", run_memory },
  { "big", run_big },
  { "work", run_work }
};

static gboolean
is_section (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (sections); i++)
    if (g_str_equal (sections[i].name, name))
      return TRUE;

  return FALSE;
}

static void
prepare_bench (Bench *self)
{
  g_autofree char *program = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *plain_program = NULL;
  const char *plain_argv[2] = { NULL };
  GError *error = NULL;

  self->directory = g_path_get_dirname (program);
  self->module = beside (self, "bench-worker.so");
  self->argv[0] = beside (self, "bench-true");
  plain_argv[0] = plain_program = beside (self, "bench-fork");

  self->plain = contender_new_program (PLAIN_FORK, plain_argv);
  if (self->plain == NULL)
    {
      g_printerr ("%s: %s cannot be run\n", g_get_prgname (), plain_program);
      exit (1);
    }

  self->helper = g_fork_template_dup_default ();
  self->template = g_fork_template_fork (self->helper);
  g_fork_template_require (self->template, self->module);
  self->spared = g_fork_template_fork (self->template);
  g_fork_template_set_spare_processes (self->spared, 2);

  g_fork_template_prepare (self->template, NULL, &error);
  must ("prepare", error);
  g_fork_template_prepare (self->spared, NULL, &error);
  must ("prepare", error);
  g_fork_template_set_default (self->template);

  self->plan.module = self->module;
  self->plan.function = "bench_return";
  self->plan.argv = self->argv;
  self->spared_plan = self->plan;
  self->spared_plan.template = self->spared;
}

static void
clear_bench (Bench *self)
{
  g_fork_template_set_default (NULL);
  g_clear_object (&self->spared);
  g_clear_object (&self->template);
  g_clear_object (&self->helper);
  g_clear_pointer (&self->plain, contender_free);
  g_clear_pointer (&self->results, results_free);
  g_free ((char *) self->argv[0]);
  g_free (self->module);
  g_free (self->directory);
}

int
main (int    argc,
      char **argv)
{
  Bench bench = { .warm_up_ms = -1 };
  int rounds = 0;
  g_auto (GStrv) only = NULL;
  g_autofree char *json = NULL;
  const GOptionEntry options[] = {
    { "only", 0, 0, G_OPTION_ARG_STRING_ARRAY, &only,
      "Measure this section; may be repeated", "SECTION" },
    { "rounds", 0, 0, G_OPTION_ARG_INT, &rounds,
      "How often everything is measured", "N" },
    { "warm-up", 0, 0, G_OPTION_ARG_INT, &bench.warm_up_ms,
      "How long a contender runs before it is measured; 0 is after a pause", "MS" },
    { "quick", 0, 0, G_OPTION_ARG_NONE, &bench.quick,
      "Take a few seconds, and be less exact", NULL },
    { "json", 0, 0, G_OPTION_ARG_FILENAME, &json,
      "Write the results to a file, too", "FILE" },
    G_OPTION_ENTRY_NULL
  };
  g_autoptr (GOptionContext) context = NULL;
  GError *error = NULL;

  context = g_option_context_new ("- what processes cost");
  g_option_context_set_description (context,
                                    "Sections: cycle, flight, spares, scale, memory, "
                                    "big, work");
  g_option_context_add_main_entries (context, options, NULL);
  g_option_context_parse (context, &argc, &argv, &error);
  must ("options", error);

  for (guint i = 0; only != NULL && only[i] != NULL; i++)
    if (!is_section (only[i]))
      {
        g_printerr ("%s: there is no section '%s'\n", g_get_prgname (), only[i]);
        return 1;
      }

  bench.rounds = rounds > 0 ? (guint) rounds : bench.quick ? 3 : 15;
  bench.batch_ms = bench.quick ? 10 : 40;
  if (bench.warm_up_ms < 0)
    bench.warm_up_ms = bench.quick ? 50 : 100;
  bench.results = results_new ();

  describe_machine (&bench);
  prepare_bench (&bench);

  for (guint i = 0; i < G_N_ELEMENTS (sections); i++)
    if (only == NULL || g_strv_contains ((const char * const *) only, sections[i].name))
      {
        sections[i].run (&bench);
        results_end (bench.results);
      }

  if (json != NULL)
    {
      results_save (bench.results, json, &error);
      must (json, error);
    }

  clear_bench (&bench);

  return 0;
}
