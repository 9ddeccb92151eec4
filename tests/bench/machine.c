/* machine.c: reads what the system says of itself and of processes
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "bench.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

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

guint64
read_number (const char *filename,
             const char *name)
{
  g_autofree char *field = read_field (filename, name);

  return field != NULL ? g_ascii_strtoull (field, NULL, 10) : 0;
}

gboolean
have_memory (guint megabytes)
{
  guint64 available = read_number ("/proc/meminfo", "MemAvailable") >> 10;

  if (available >= megabytes * 5 / 4)
    return TRUE;

  g_print ("(Left out: %u MB, because %" G_GUINT64_FORMAT " MB are available)\n",
           megabytes, available);

  return FALSE;
}

guint
count_fds (GPid pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/fd", pid);
  g_autoptr (GDir) directory = g_dir_open (path, 0, NULL);
  guint n = 0;

  while (directory != NULL && g_dir_read_name (directory) != NULL)
    n++;

  return n;
}

/* What a launch is mostly made of, and what differs most between machines */
static void
describe_faults (Bench *self)
{
  g_autofree char *program = beside (self, "bench-faults");
  const char *argv[] = { program, NULL };
  g_autofree char *output = NULL;
  double alone, both;

  if (g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &output, NULL, NULL,
                    NULL)
      && sscanf (output, "%lf %lf", &alone, &both) == 2)
    results_add_fact (self->results, "copying a page after a fork",
                      "%.1f µs; %.1f µs while another process does the same", alone / 1000,
                      both / 1000);
}

void
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
  describe_faults (self);
  results_add_fact (results, "load", "%s", load != NULL ? g_strchomp (load) : "unknown");
  results_add_fact (results, "GLib", "%u.%u.%u", glib_major_version,
                    glib_minor_version, glib_micro_version);
  results_add_fact (results, "gspawnfork", "%s", G_FORK_VERSION_S);
  results_add_fact (results, "rounds", "%u, in each of which every contender is "
                    "measured for %u ms after a warm-up of %d ms",
                    self->rounds, self->batch_ms, self->warm_up_ms);
}
