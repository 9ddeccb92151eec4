/* bench-pool.c: how many jobs a second a pool does, next to forked children at socket pairs
 *
 * Both have the same number of children, each of which answers 64 bytes with 64 bytes. The
 * program that asks the plain ones waits for all of them by epoll, as a pool does.
 *
 * bench-pool [JOBS [ROUNDS]]
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gspawnfork/gspawnfork.h>

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE 64
#define MAX_CHILDREN 16
#define MAX_ROUNDS 101

static guint n_jobs = 20000;
static guint n_rounds = 9;

static double
seconds_since (gint64 start)
{
  return (g_get_monotonic_time () - start) / (double) G_USEC_PER_SEC;
}

static int
compare (gconstpointer a,
         gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

/* ——— Plain children ——— */

static pid_t children[MAX_CHILDREN];
static int sockets[MAX_CHILDREN];

static void
fork_children (guint n)
{
  for (guint i = 0; i < n; i++)
    {
      char bytes[SIZE];
      int ends[2];

      if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        g_error ("socketpair");
      children[i] = fork ();
      if (children[i] == 0)
        {
          close (ends[0]);
          for (guint j = 0; j < i; j++)
            close (sockets[j]);
          while (read (ends[1], bytes, SIZE) == SIZE && write (ends[1], bytes, SIZE) == SIZE)
            ;
          _exit (0);
        }
      close (ends[1]);
      sockets[i] = ends[0];
    }
}

static void
end_children (guint n)
{
  for (guint i = 0; i < n; i++)
    close (sockets[i]);
  for (guint i = 0; i < n; i++)
    waitpid (children[i], NULL, 0);
}

static double
measure_plain (guint n)
{
  int epoll = epoll_create1 (EPOLL_CLOEXEC);
  struct epoll_event events[MAX_CHILDREN];
  guint n_asked = 0, n_answered = 0;
  char bytes[SIZE] = "";
  gint64 start = g_get_monotonic_time ();
  double seconds;

  for (guint i = 0; i < n; i++)
    {
      struct epoll_event event = { .events = EPOLLIN, .data.fd = sockets[i] };

      epoll_ctl (epoll, EPOLL_CTL_ADD, sockets[i], &event);
      n_asked += write (sockets[i], bytes, SIZE) == SIZE;
    }
  while (n_answered < n_jobs)
    {
      int n_events = epoll_wait (epoll, events, MAX_CHILDREN, -1);

      for (int i = 0; i < n_events; i++)
        {
          if (read (events[i].data.fd, bytes, SIZE) != SIZE)
            g_error ("read");
          n_answered++;
          if (n_asked < n_jobs)
            n_asked += write (events[i].data.fd, bytes, SIZE) == SIZE;
        }
    }

  seconds = seconds_since (start);
  close (epoll);
  return n_jobs / seconds;
}

/* ——— A pool ——— */

static GForkPool *pool;
static GBytes *request;
static guint n_started, n_done;
static gint64 *starts;
static double *latencies; /* microseconds */

static void ask (void);

static void
on_answered (GObject      *source,
             GAsyncResult *result,
             gpointer      data)
{
  guint number = GPOINTER_TO_UINT (data);
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) reply = g_fork_pool_call_finish (pool, result, &error);

  if (reply == NULL || g_bytes_get_size (reply) != SIZE)
    g_error ("%s", error != NULL ? error->message : "a wrong reply");
  latencies[number] = g_get_monotonic_time () - starts[number];
  n_done++;
  if (n_started < n_jobs)
    ask ();
}

static void
ask (void)
{
  starts[n_started] = g_get_monotonic_time ();
  g_fork_pool_call_async (pool, request, NULL, on_answered, GUINT_TO_POINTER (n_started));
  n_started++;
}

static double
measure_pool (guint n)
{
  gint64 start = g_get_monotonic_time ();

  n_started = n_done = 0;
  for (guint i = 0; i < n * g_fork_pool_get_jobs_in_flight (pool); i++)
    ask ();
  while (n_done < n_jobs)
    g_main_context_iteration (NULL, TRUE);
  return n_jobs / seconds_since (start);
}

static double
measure_blocking (void)
{
  gint64 start = g_get_monotonic_time ();

  for (guint i = 0; i < n_jobs; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GBytes) reply = g_fork_pool_call (pool, request, NULL, &error);

      if (reply == NULL)
        g_error ("%s", error->message);
    }
  return n_jobs / seconds_since (start);
}

/* Of the rounds; they are sorted by it. */
static double
median (double *values)
{
  qsort (values, n_rounds, sizeof *values, compare);
  return values[n_rounds / 2];
}

static void
compare_rates (const char *function,
               guint       n_workers,
               guint       in_flight)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  double plain[MAX_ROUNDS], pooled[MAX_ROUNDS], ratios[MAX_ROUNDS], blocking[MAX_ROUNDS];
  g_autoptr (GError) error = NULL;

  pool = g_fork_pool_new (template, function);
  g_fork_pool_set_min_workers (pool, n_workers);
  g_fork_pool_set_max_workers (pool, n_workers);
  g_fork_pool_set_jobs_in_flight (pool, in_flight);
  g_fork_pool_start (pool, NULL, &error);
  if (error != NULL)
    g_error ("%s", error->message);
  fork_children (n_workers);

  /* They take turns, so that what disturbs one disturbs all. */
  for (guint i = 0; i < n_rounds; i++)
    {
      plain[i] = measure_plain (n_workers);
      pooled[i] = measure_pool (n_workers);
      ratios[i] = pooled[i] / plain[i];
      blocking[i] = n_workers == 1 && in_flight == 1 ? measure_blocking () : 0;
    }

  qsort (latencies, n_jobs, sizeof *latencies, compare);
  g_print ("%7u %9u %12.0f %12.0f", n_workers, in_flight, median (plain), median (pooled));
  g_print (" %6.2f", median (ratios));
  g_print (" %6.2f %6.2f %8.0f %8.0f %8.0f", ratios[0], ratios[n_rounds - 1],
           latencies[n_jobs / 2], latencies[n_jobs * 99 / 100], latencies[n_jobs * 999 / 1000]);
  if (blocking[0] > 0)
    g_print ("   blocking calls: %.0f", median (blocking));
  g_print ("\n");

  end_children (n_workers);
  g_object_unref (pool);
}

int
main (int    argc,
      char **argv)
{
  g_autofree char *directory = g_path_get_dirname (argv[0]);
  g_autofree char *absolute = g_canonicalize_filename (directory, NULL);
  g_autofree char *function = g_strdup_printf ("%s/bench-worker.so:bench_jobs", absolute);
  static const char zeros[SIZE];

  if (argc > 1)
    n_jobs = MAX (strtoul (argv[1], NULL, 10), 1000);
  if (argc > 2)
    n_rounds = CLAMP (strtoul (argv[2], NULL, 10), 1, MAX_ROUNDS);
  starts = g_new (gint64, n_jobs);
  latencies = g_new (double, n_jobs);
  request = g_bytes_new_static (zeros, SIZE);

  g_print ("Jobs of %d bytes a second, median of %u rounds of %u, in turn; ratio of each round; "
           "latency in µs\n",
           SIZE, n_rounds, n_jobs);
  g_print ("%7s %9s %12s %12s %6s %6s %6s %8s %8s %8s\n", "workers", "in flight", "plain", "pool",
           "ratio", "min", "max", "median", "99 %", "99.9 %");
  compare_rates (function, 1, 1);
  compare_rates (function, 4, 1);
  compare_rates (function, 1, 8);
  compare_rates (function, 4, 8);

  g_bytes_unref (request);
  g_free (starts);
  g_free (latencies);
  return 0;
}
