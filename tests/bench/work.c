/* work.c: counts what one launch makes the system do
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "bench.h"

#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* work: what one launch makes the system do */

typedef struct
{
  double faults;
  double child_faults;
  double waits;
  double cpu_ns;
  double calls;
} Work;

/* Counters of the kernel, as perf(1) uses them. Not every user may have them. */
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

/* Measures a worker, by what it and its template say. One worker comes before, as it has to look
 * for the function, which the template then finds for all later ones. */
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

/* Counts the system calls in another run, as counting makes each a little slower. */
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

void
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
