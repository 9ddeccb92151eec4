/* check.c: gspawnfork check: whether a module can be loaded, and what its forks cost
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "command/command.h"

#include <glib/gi18n.h>
#include <stdlib.h>
#include <string.h>

/* An odd number, so that there is a median. */
#define N_FORKS 21

static char *runtime;

static const GOptionEntry entries[] = {
  { "runtime", 'r', 0, G_OPTION_ARG_STRING, &runtime,
    N_("The module is one for this runtime: c (the default), python3 or gjs"), N_("RUNTIME") },
  G_OPTION_ENTRY_NULL
};

/* ——— What it exports ——— */

/* Returns the path at which the module was found. The template has it mapped. */
static char *
find_file (GForkTemplate *template,
           const char    *module)
{
  g_autofree char *maps_path = g_strdup_printf ("/proc/%d/maps", g_fork_template_get_pid (template));
  g_autofree char *suffix = g_strdup_printf ("/%s.so\n", module);
  g_autofree char *maps = NULL;
  const char *end, *start;

  if (module[0] == '/' || !g_file_get_contents (maps_path, &maps, NULL, NULL)
      || (end = strstr (maps, suffix)) == NULL)
    return g_strdup (module);

  for (start = end; start > maps && start[-1] != ' '; start--)
    ;
  return g_strndup (start, end - start + strlen (suffix) - 1);
}

static void
print_symbols (GForkTemplate *template,
               const char    *module)
{
  g_autofree char *path = find_file (template, module);
  g_autoptr (GSubprocess) nm = NULL;
  g_autofree char *output = NULL;
  g_auto (GStrv) lines = NULL;
  const char *separator = " ";

  nm = g_subprocess_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE, NULL,
                         "nm", "-D", "--defined-only", "--format=posix", path, NULL);
  if (nm == NULL || !g_subprocess_communicate_utf8 (nm, NULL, NULL, &output, NULL, NULL)
      || !g_subprocess_get_successful (nm))
    {
      g_print ("%s\n", _("exports: unknown, as “nm -D” (of binutils) could not read the module"));
      return;
    }

  g_print ("%s", _("exports:"));
  lines = g_strsplit (output, "\n", -1);
  for (char **line = lines; *line != NULL; line++)
    {
      g_auto (GStrv) fields = g_strsplit (*line, " ", 3);

      if (g_strv_length (fields) >= 2 && strcmp (fields[1], "T") == 0 && fields[0][0] != '_')
        {
          g_print ("%s%s", separator, fields[0]);
          separator = ", ";
        }
    }
  g_print ("\n");
}

/* Asks a module of another language by evaluating code in the template, which prints to the same
 * standard output. */
static void
print_exports (GForkTemplate *template,
               const char    *module)
{
  const char *arguments[] = { module, _("exports:"), NULL };

  if (g_strcmp0 (runtime, "python3") == 0)
    g_fork_template_eval (template,
                          "import sys\n"
                          "print(args[1], ', '.join(sorted(n for n, v in "
                          "vars(sys.modules[args[0]]).items() if callable(v) and n[0] != '_' "
                          "and getattr(v, '__module__', None) == args[0])), flush=True)",
                          arguments);
  else if (g_strcmp0 (runtime, "gjs") == 0)
    g_fork_template_eval (template,
                          "import(args[0]).then(module => print(args[1], "
                          "Object.keys(module).sort().join(', ')), () => print(args[1], '?'))",
                          arguments);
  else
    print_symbols (template, module);
}

/* ——— What a fork costs ——— */

static int
compare_times (gconstpointer a,
               gconstpointer b)
{
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;

  return (x > y) - (x < y);
}

/* Returns the value of a line of /proc/PID/status, in KiB. */
static long
get_status (GPid        pid,
            const char *name)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/status", pid);
  g_autofree char *text = NULL;
  const char *line;

  if (!g_file_get_contents (path, &text, NULL, NULL) || (line = strstr (text, name)) == NULL)
    return 0;
  return strtol (line + strlen (name), NULL, 10);
}

static gboolean
print_cost (GForkTemplate  *template,
            GError        **error)
{
  gint64 times[N_FORKS];
  GPid pid = g_fork_template_get_pid (template);

  for (guint i = 0; i < N_FORKS; i++)
    {
      g_autoptr (GForkTemplate) fork = NULL;
      gint64 start = g_get_monotonic_time ();

      fork = g_fork_template_fork (template);
      if (!g_fork_template_prepare (fork, NULL, error))
        return FALSE;
      times[i] = g_get_monotonic_time () - start;
    }

  qsort (times, N_FORKS, sizeof *times, compare_times);
  g_print (_("memory: %ld KiB resident, %ld KiB of page tables\n"), get_status (pid, "\nVmRSS:"),
           get_status (pid, "\nVmPTE:"));
  g_print (_("a fork takes: %ld µs (the median of %d, until it answers)\n"),
           (long) times[N_FORKS / 2], N_FORKS);
  return TRUE;
}

static int
run (char **arguments)
{
  g_autoptr (GForkTemplate) template = command_new_template (runtime);
  const char *module = arguments[0];
  GError *error = NULL;

  if (arguments[1] != NULL)
    {
      g_printerr (_("gspawnfork: one module at a time\n"));
      return EXIT_USAGE;
    }

  g_fork_template_require (template, module);
  if (!g_fork_template_prepare (template, NULL, &error))
    return command_fail (error, EXIT_FAILURE);
  g_print (_("loads: yes, in process %d\n"), g_fork_template_get_pid (template));

  print_exports (template, module);
  if (!g_fork_template_prepare (template, NULL, &error))
    return command_fail (error, EXIT_FAILURE);

  if (!print_cost (template, &error))
    {
      g_print (_("can be forked: no\n"));
      return command_fail (error, EXIT_FAILURE);
    }
  g_print (_("can be forked: yes\n"));
  return EXIT_SUCCESS;
}

const Command check_command = {
  .name = "check",
  .arguments = N_("MODULE"),
  .summary = N_("Tell whether a module loads, what it exports, and what a fork costs"),
  .description = N_("The exit status is 0 if the module can be loaded and a template that has loaded it can "
                    "be forked; otherwise it prints the reason, such as the names of the threads that the "
                    "module has started."),
  .entries = entries,
  .min_arguments = 1,
  .run = run,
};
