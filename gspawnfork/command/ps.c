/* ps.c: gspawnfork ps: shows which templates and workers there are
 *
 * They are found by their titles, which the template process sets, and which /proc shows as the
 * command line.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "command/command.h"

#include <glib/gi18n.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TITLE "gspawnfork: "
#define TEMPLATE "template"

typedef struct
{
  GPid pid;
  GPid parent;
  char *name;  /* the function, or the program */
  gboolean ours; /* a template or a worker */
  double age; /* in seconds */
} Process;

static const GOptionEntry entries[] = { G_OPTION_ENTRY_NULL };

static void
process_free (gpointer data)
{
  Process *process = data;

  g_free (process->name);
  g_free (process);
}

static gboolean
read_file (GPid         pid,
           const char  *name,
           char       **text)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/%s", pid, name);

  return g_file_get_contents (path, text, NULL, NULL);
}

/* How long the system has been up, in seconds. */
static double
get_uptime (void)
{
  g_autofree char *text = NULL;

  return g_file_get_contents ("/proc/uptime", &text, NULL, NULL) ? g_ascii_strtod (text, NULL) : 0;
}

/* Returns WHAT of a title "gspawnfork: WHAT [PARENT]", or else the name in parentheses in @stat. */
static char *
get_name (const char *command_line,
          const char *stat,
          gboolean   *ours)
{
  const char *start, *end;

  *ours = g_str_has_prefix (command_line, TITLE);
  if (*ours)
    {
      start = command_line + strlen (TITLE);
      end = strrchr (start, '[');
      return g_strchomp (end != NULL ? g_strndup (start, end - start) : g_strdup (start));
    }

  start = strchr (stat, '(') + 1;
  return g_strndup (start, strrchr (stat, ')') - start);
}

/* A process chooses its name. It must not send control sequences to the terminal of the user who
 * looks at it. */
static char *
make_printable (const char *name)
{
  g_autofree char *valid = g_utf8_make_valid (name, -1);
  GString *printable = g_string_new (NULL);

  for (const char *p = valid; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar character = g_utf8_get_char (p);

      g_string_append_unichar (printable, g_unichar_isprint (character) ? character : '?');
    }
  return g_string_free (printable, FALSE);
}

/* Returns %NULL if the process has ended meanwhile. */
static Process *
read_process (GPid   pid,
              double uptime)
{
  g_autofree char *stat = NULL;
  g_autofree char *command_line = NULL;
  g_autofree char *name = NULL;
  g_auto (GStrv) fields = NULL;
  Process *process;

  if (!read_file (pid, "stat", &stat) || !read_file (pid, "cmdline", &command_line)
      || strchr (stat, '(') == NULL || strrchr (stat, ')') == NULL)
    return NULL;

  /* The first one is field 3 of proc_pid_stat(5), the state. */
  fields = g_strsplit (strrchr (stat, ')') + 2, " ", -1);
  if (g_strv_length (fields) < 20)
    return NULL;

  process = g_new0 (Process, 1);
  process->pid = pid;
  process->parent = atoi (fields[4 - 3]);
  process->age = uptime - g_ascii_strtod (fields[22 - 3], NULL) / sysconf (_SC_CLK_TCK);
  name = get_name (command_line, stat, &process->ours);
  process->name = make_printable (name);
  return process;
}

/* All processes, by their IDs. */
static GHashTable *
read_processes (void)
{
  g_autoptr (GDir) directory = g_dir_open ("/proc", 0, NULL);
  GHashTable *processes = g_hash_table_new_full (NULL, NULL, NULL, process_free);
  double uptime = get_uptime ();
  const char *name;

  while (directory != NULL && (name = g_dir_read_name (directory)) != NULL)
    {
      Process *process = g_ascii_isdigit (name[0]) ? read_process (atoi (name), uptime) : NULL;

      if (process != NULL)
        g_hash_table_insert (processes, GINT_TO_POINTER (process->pid), process);
    }

  return processes;
}

/* ——— The table ——— */

/* The sum of the lines of smaps_rollup that begin with @prefix, in bytes. */
static guint64
sum_lines (const char *rollup,
           const char *prefix)
{
  guint64 sum = 0;

  for (const char *line = rollup; line != NULL; line = strchr (line, '\n'))
    {
      line += *line == '\n';
      if (g_str_has_prefix (line, prefix))
        sum += g_ascii_strtoull (strchr (line, ':') + 1, NULL, 10) * 1024;
    }
  return sum;
}

static void
print_age (double age)
{
  guint seconds = MAX (age, 0);

  if (seconds >= 24 * 3600)
    g_print (" %5ud%02uh", seconds / (24 * 3600), seconds / 3600 % 24);
  else if (seconds >= 3600)
    g_print (" %5uh%02um", seconds / 3600, seconds / 60 % 60);
  else
    g_print (" %6u:%02u", seconds / 60, seconds % 60);
}

static void
print_row (const Process *process,
           const char    *indent,
           const char    *branch)
{
  g_autofree char *rollup = NULL;
  g_autofree char *private = NULL;
  g_autofree char *shared = NULL;

  /* That of another user's process cannot be read, and that of an application is not shown. */
  if (process->ours && read_file (process->pid, "smaps_rollup", &rollup))
    {
      private = g_format_size_full (sum_lines (rollup, "Private_"), G_FORMAT_SIZE_IEC_UNITS);
      shared = g_format_size_full (sum_lines (rollup, "Shared_"), G_FORMAT_SIZE_IEC_UNITS);
    }

  g_print ("%7d", process->pid);
  print_age (process->age);
  g_print (" %10s %10s  %s%s%s\n", private != NULL ? private : "-", shared != NULL ? shared : "-",
           indent, branch, process->name);
}

static int
by_pid (gconstpointer a,
        gconstpointer b)
{
  return ((const Process *) a)->pid - ((const Process *) b)->pid;
}

/* Returns what is shown below @parent: templates and workers; below these, programs too. */
static GSList *
find_children (GHashTable    *processes,
               const Process *parent)
{
  GSList *children = NULL;
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, processes);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      Process *process = value;

      if (process->parent == parent->pid && (process->ours || parent->ours))
        children = g_slist_insert_sorted (children, process, by_pid);
    }
  return children;
}

static void
print_tree (GHashTable    *processes,
            const Process *process,
            const char    *indent,
            const char    *branch,
            const char    *rest)
{
  g_autoptr (GSList) children = find_children (processes, process);
  g_autofree char *deeper = g_strconcat (indent, rest, NULL);
  gboolean utf8 = g_get_charset (NULL);

  print_row (process, indent, branch);
  for (GSList *l = children; l != NULL; l = l->next)
    if (l->next != NULL)
      print_tree (processes, l->data, deeper, utf8 ? "├─ " : "|- ", utf8 ? "│  " : "|  ");
    else
      print_tree (processes, l->data, deeper, utf8 ? "└─ " : "`- ", "   ");
}

/* Returns the processes that have a child that is a template or worker, and are none themselves. */
static GSList *
find_roots (GHashTable *processes)
{
  GSList *roots = NULL;
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, processes);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      const Process *process = value;
      Process *parent = g_hash_table_lookup (processes, GINT_TO_POINTER (process->parent));

      if (process->ours && parent != NULL && !parent->ours && g_slist_find (roots, parent) == NULL)
        roots = g_slist_insert_sorted (roots, parent, by_pid);
    }
  return roots;
}

static int
run (char **arguments)
{
  g_autoptr (GHashTable) processes = read_processes ();
  g_autoptr (GSList) roots = NULL;

  if (arguments[0] == NULL)
    roots = find_roots (processes);
  else
    for (char **argument = arguments; *argument != NULL; argument++)
      {
        Process *process = g_hash_table_lookup (processes, GINT_TO_POINTER (atoi (*argument)));

        if (process == NULL)
          {
            g_printerr (_("gspawnfork: there is no process “%s”\n"), *argument);
            return EXIT_FAILURE;
          }
        roots = g_slist_append (roots, process);
      }

  g_print ("%7s %9s %10s %10s  %s\n", _("PID"), _("AGE"), _("PRIVATE"), _("SHARED"), _("PROCESS"));
  for (GSList *l = roots; l != NULL; l = l->next)
    print_tree (processes, l->data, "", "", "");
  return EXIT_SUCCESS;
}

const Command ps_command = {
  .name = "ps",
  .arguments = N_("[PID…]"),
  .summary = N_("Show templates and workers as a tree"),
  .description = N_("Shows below each application its templates and workers, with their age and the memory "
                    "that is their own and that they share with others; with a process ID, only what is below "
                    "that process. Memory is shown of processes of the same user."),
  .entries = entries,
  .run = run,
};
