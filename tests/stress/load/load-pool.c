/* load-pool.c: has a pool do very many jobs, while workers are killed at random
 *
 * Each job has to be answered exactly once, with its own reply or as lost, and neither
 * descriptors nor memory may pile up.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N_WORKERS 4
#define N_WAITING 64
#define KILL_INTERVAL_MS 100
#define SIZE 64

typedef struct
{
  GForkPool *pool;
  GRand *random;
  guint64 n_jobs;
  guint64 n_started;
  guint64 n_replied;
  guint64 n_lost;
  guint64 n_kills;
  guint8 *answers; /* how often each was answered */

  gsize rss_before, rss_after;
  guint fds_before, fds_after;
} Load;

typedef struct
{
  Load *load;
  guint64 number;
} Job;

static void start_job (Load *load);

static gsize
get_rss (void)
{
  g_autofree char *statm = test_read_proc (0, "statm");

  return strtoull (strchr (statm, ' '), NULL, 10) * sysconf (_SC_PAGESIZE);
}

static void
fill_request (char    *request,
              guint64  number)
{
  memset (request, '.', SIZE);
  memcpy (request, &number, sizeof number);
}

static void
on_answered (GObject      *source,
             GAsyncResult *result,
             gpointer      data)
{
  g_autofree Job *job = data;
  Load *load = job->load;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) reply = g_fork_pool_call_finish (G_FORK_POOL (source), result, &error);
  char expected[SIZE];

  g_assert_cmpuint (load->answers[job->number], ==, 0);
  load->answers[job->number]++;
  if (reply == NULL)
    {
      g_assert_error (error, G_FORK_ERROR, G_FORK_ERROR_LOST);
      load->n_lost++;
    }
  else
    {
      fill_request (expected, job->number);
      g_assert_cmpmem (g_bytes_get_data (reply, NULL), g_bytes_get_size (reply), expected, SIZE);
      load->n_replied++;
    }

  if (load->n_started < load->n_jobs)
    start_job (load);
}

static void
start_job (Load *load)
{
  g_autoptr (GBytes) request = NULL;
  Job *job = g_new (Job, 1);
  char bytes[SIZE];

  job->load = load;
  job->number = load->n_started++;
  fill_request (bytes, job->number);
  request = g_bytes_new (bytes, SIZE);
  g_fork_pool_call_async (load->pool, request, NULL, on_answered, job);
}

static gboolean
kill_one (gpointer data)
{
  Load *load = data;
  guint n = g_list_model_get_n_items (G_LIST_MODEL (load->pool));
  g_autoptr (GForkWorker) worker = NULL;

  if (n == 0)
    return G_SOURCE_CONTINUE;

  worker = g_list_model_get_item (G_LIST_MODEL (load->pool), g_rand_int_range (load->random, 0, n));
  g_fork_process_force_exit (g_fork_worker_get_process (worker));
  load->n_kills++;
  return G_SOURCE_CONTINUE;
}

/* Does a tenth of the jobs first, so that everything is allocated that is allocated once. */
static void
run (Load    *load,
     guint64  n_jobs)
{
  load->n_jobs = n_jobs;
  for (guint i = 0; i < N_WAITING && load->n_started < load->n_jobs; i++)
    start_job (load);
  while (load->n_replied + load->n_lost < load->n_jobs)
    g_main_context_iteration (NULL, TRUE);
}

int
main (int    argc,
      char **argv)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autofree char *directory = g_path_get_dirname (argv[0]);
  g_autofree char *absolute = g_canonicalize_filename (directory, NULL);
  g_autofree char *function = g_strdup_printf ("%s/load-worker.so:do_jobs", absolute);
  g_autoptr (GError) error = NULL;
  guint64 n_jobs = argc > 1 ? g_ascii_strtoull (argv[1], NULL, 10) : 1000000;
  guint32 seed = argc > 2 ? g_ascii_strtoull (argv[2], NULL, 10) : g_random_int ();
  Load load = { 0 };
  gint64 start;
  guint id;

  load.pool = g_fork_pool_new (template, function);
  load.random = g_rand_new_with_seed (seed);
  load.answers = g_new0 (guint8, n_jobs);
  g_print ("%" G_GUINT64_FORMAT " jobs, seed %u\n", n_jobs, seed);

  g_fork_pool_set_min_workers (load.pool, N_WORKERS);
  g_fork_pool_set_max_workers (load.pool, N_WORKERS);
  g_fork_pool_set_max_restarts (load.pool, G_MAXUINT);
  g_fork_pool_set_restart_delay (load.pool, 0);
  g_fork_pool_start (load.pool, NULL, &error);
  g_assert_no_error (error);

  start = g_get_monotonic_time ();
  id = g_timeout_add (KILL_INTERVAL_MS, kill_one, &load);
  run (&load, n_jobs / 10);
  load.rss_before = get_rss ();
  load.fds_before = test_count_fds (0);
  run (&load, n_jobs);
  load.rss_after = get_rss ();
  load.fds_after = test_count_fds (0);
  g_source_remove (id);

  g_print ("%" G_GUINT64_FORMAT " replies, %" G_GUINT64_FORMAT " lost, %" G_GUINT64_FORMAT
           " kills, in %.1f s\n",
           load.n_replied, load.n_lost, load.n_kills,
           (g_get_monotonic_time () - start) / (double) G_USEC_PER_SEC);
  g_print ("descriptors: %u, then %u; memory: %zu KiB, then %zu KiB\n", load.fds_before,
           load.fds_after, load.rss_before / 1024, load.rss_after / 1024);
  for (guint64 i = 0; i < n_jobs; i++)
    g_assert_cmpuint (load.answers[i], ==, 1);
  /* A worker that is being started or has just ended has a few descriptors. */
  g_assert_cmpuint (load.fds_after, <=, load.fds_before + 3 * N_WORKERS);
  /* The pages of the array of answers are touched meanwhile. */
  g_assert_cmpuint (load.rss_after, <=, load.rss_before + n_jobs + 4 * 1024 * 1024);

  g_fork_pool_stop (load.pool, NULL, &error);
  g_assert_no_error (error);
  g_object_unref (load.pool);
  g_rand_free (load.random);
  g_free (load.answers);
  return 0;
}
