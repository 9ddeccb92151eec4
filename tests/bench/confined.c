/* confined.c: what a confined worker costs, next to one that is not and to bubblewrap
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "bench.h"

static gboolean
can_confine (void)
{
  const GForkSandboxFeatures all = G_FORK_SANDBOX_FILES | G_FORK_SANDBOX_NETWORK
                                   | G_FORK_SANDBOX_SIGNALS | G_FORK_SANDBOX_SYSTEM_CALLS;

  return g_fork_sandbox_get_features () == all;
}

/* Returns NULL if there is none, or it does not work here. */
static char *
find_bubblewrap (void)
{
  g_autofree char *path = g_find_program_in_path ("bwrap");
  const char *argv[] = { path, "--unshare-all", "--ro-bind", "/", "/", "true", NULL };
  int status;

  if (path == NULL
      || !g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, NULL,
                        NULL, &status, NULL)
      || status != 0)
    return NULL;

  return g_steal_pointer (&path);
}

void
run_confined (Bench *self)
{
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GPtrArray) contenders = contenders_new ();
  g_autoptr (GPtrArray) entries = entries_new ();
  g_autofree char *bubblewrap = find_bubblewrap ();
  const char *argv[] = { bubblewrap, "--unshare-all", "--ro-bind", "/", "/", self->argv[0], NULL };
  LaunchPlan free_plan = self->plan, confined_plan = self->plan, bubblewrap_plan = self->plan;
  Series *confined_row, *free_row;
  GError *error = NULL;

  results_begin (self->results, "confined", "Confined workers", NULL);
  results_add_fact (self->results, "bubblewrap", "%s",
                    bubblewrap != NULL ? bubblewrap : "not installed, or not allowed");
  if (!can_confine ())
    return;

  template = g_fork_template_fork (self->template);
  g_fork_template_confine (template, sandbox);
  g_fork_template_prepare (template, NULL, &error);
  must ("confine", error);

  free_plan.template = self->template;
  confined_plan.template = template;
  bubblewrap_plan.argv = argv;

  free_row = add_entry (self, entries,
                        keep (contenders, contender_new_gspawnfork (NEW, &free_plan)), 1, 0);
  confined_row = add_entry (self, entries,
                            keep (contenders,
                                  contender_new_gspawnfork (NEW ", confined", &confined_plan)),
                            1, 0);
  results_compare (self->results, confined_row, free_row);
  if (bubblewrap != NULL)
    results_compare (self->results, confined_row,
                     add_entry (self, entries,
                                keep (contenders,
                                      contender_new_spawn ("posix_spawn bwrap", &bubblewrap_plan)),
                                1, 0));

  measure (self, entries);
  results_table (self->results, NULL);
}
