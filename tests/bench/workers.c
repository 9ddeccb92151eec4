/* workers.c: measures workers that stay: thousands of them, their memory, and big templates
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "bench.h"

#include "ballast.h"

#include <sys/resource.h>

/* A worker that lives until its socket is closed. */
typedef struct
{
  GSocket *socket;
  GForkProcess *process;
} Worker;

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

/* Ends the last n workers. Returns the nanoseconds until all of their statuses were known. */
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

void
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

  /* The time should be linear in the number of workers, so a fifth is ended on its own, and then
   * the others. */
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

void
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

void
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
