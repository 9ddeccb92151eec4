/* gspawnfork-bench.c: measures what processes cost, next to other ways of making them
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "bench.h"

#include <stdlib.h>

#define PLAIN_FORK "fork, empty program"

/* The program */

static const struct
{
  const char *name;
  void (*run) (Bench *self);
} sections[] = {
  { "cycle", run_cycle },
  { "programs", run_programs },
  { "flight", run_flight },
  { "spares", run_spares },
  { "scale", run_scale },
  { "memory", run_memory },
  { "big", run_big },
  { "work", run_work },
  { "confined", run_confined }
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
  self->exit_plan = self->plan;
  self->exit_plan.function = "bench_exit";
  self->spared_plan = self->plan;
  self->spared_plan.template = self->spared;
  self->spared_exit_plan = self->exit_plan;
  self->spared_exit_plan.template = self->spared;
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
                                    "Sections: cycle, programs, flight, spares, scale, memory, "
                                    "big, work, confined");
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
