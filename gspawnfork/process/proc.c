/* proc.c: what /proc says about processes
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "process/proc.h"

#include <string.h>
#include <unistd.h>

/* Whoever has started more than so many is busy. */
#define MAX_PROCESSES 64

/* The fields of a file named stat from STATE on, %NULL if it cannot be read. */
char **
g_fork_proc_read_stat (const char *path)
{
  g_autofree char *line = NULL;
  g_auto (GStrv) fields = NULL;
  const char *rest;

  /* Field 2 is in parentheses, and may hold any character. */
  if (!g_file_get_contents (path, &line, NULL, NULL) || (rest = strrchr (line, ')')) == NULL
      || rest[1] != ' ')
    return NULL;

  fields = g_strsplit (rest + 2, " ", G_FORK_STAT_N_FIELDS);
  return g_strv_length (fields) > G_FORK_STAT_EXIT_CODE - G_FORK_STAT_STATE
           ? g_steal_pointer (&fields) : NULL;
}

guint64
g_fork_proc_number (char  **stat,
                    guint   field)
{
  return g_ascii_strtoull (stat[field - G_FORK_STAT_STATE], NULL, 10);
}

/* How often a thread has left the processor, by the two lines that say so. */
static guint64
count_switches (const char *directory)
{
  g_autofree char *path = g_build_filename (directory, "status", NULL);
  g_autofree char *text = NULL;
  guint64 n = 0;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return 0;

  for (const char *line = text; (line = strstr (line, "ctxt_switches:")) != NULL;)
    {
      line += strlen ("ctxt_switches:");
      n += g_ascii_strtoull (line, NULL, 10);
    }
  return n;
}

static void look_at_process (pid_t        pid,
                             GForkDoings *doings,
                             guint       *n);

static void
look_at_thread (const char  *directory,
                GForkDoings *doings,
                guint       *n)
{
  g_autofree char *stat_path = g_build_filename (directory, "stat", NULL);
  g_autofree char *children_path = g_build_filename (directory, "children", NULL);
  g_auto (GStrv) stat = g_fork_proc_read_stat (stat_path);
  g_autofree char *children = NULL;

  /* It has ended meanwhile. */
  if (stat == NULL)
    {
      doings->asleep = FALSE;
      return;
    }

  doings->asleep = doings->asleep && strchr ("SZXx", stat[0][0]) != NULL;
  doings->stopped = doings->stopped || strchr ("Tt", stat[0][0]) != NULL;
  doings->activity += count_switches (directory);

  if (g_file_get_contents (children_path, &children, NULL, NULL))
    {
      g_auto (GStrv) pids = g_strsplit (children, " ", -1);

      for (char **pid = pids; *pid != NULL; pid++)
        if (g_ascii_isdigit (**pid))
          look_at_process ((pid_t) g_ascii_strtoll (*pid, NULL, 10), doings, n);
    }
}

static void
look_at_process (pid_t        pid,
                 GForkDoings *doings,
                 guint       *n)
{
  g_autofree char *stat_path = g_strdup_printf ("/proc/%ld/stat", (long) pid);
  g_autofree char *task_path = g_strdup_printf ("/proc/%ld/task", (long) pid);
  g_auto (GStrv) stat = g_fork_proc_read_stat (stat_path);
  g_autoptr (GDir) task = g_dir_open (task_path, 0, NULL);
  const char *name;

  if (stat == NULL || task == NULL || ++*n > MAX_PROCESSES)
    {
      doings->known = doings->known && *n > 0;
      doings->asleep = FALSE;
      return;
    }

  for (guint field = G_FORK_STAT_UTIME; field <= G_FORK_STAT_CSTIME; field++)
    doings->cpu_time += g_fork_proc_number (stat, field) * G_USEC_PER_SEC / sysconf (_SC_CLK_TCK);
  /* So that another process makes a difference, too. */
  doings->activity += (guint64) pid << 32;

  while ((name = g_dir_read_name (task)) != NULL)
    {
      g_autofree char *directory = g_build_filename (task_path, name, NULL);

      look_at_thread (directory, doings, n);
    }
}

void
g_fork_proc_look (pid_t        pid,
                  GForkDoings *doings)
{
  guint n = 0;

  *doings = (GForkDoings){ .known = TRUE, .asleep = TRUE };
  look_at_process (pid, doings, &n);
}
