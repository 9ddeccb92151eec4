/* programs.c: measures programs with pipes, in a small and in a big application
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "bench.h"

#include "ballast.h"

enum
{
  PROGRAM_EXECV,
  PROGRAM_SPAWN,
  PROGRAM_SUBPROCESS,
  PROGRAM_INHERITING,
  N_PROGRAMS
};

void
run_programs (Bench *self)
{
  static const guint sizes[] = { 0, 2000 };
  static const char * const argv[] = { "/bin/true", NULL };
  const LaunchPlan plan = { .argv = argv };
  g_autoptr (GPtrArray) contenders = contenders_new ();

  results_begin (self->results, "programs",
                 "/bin/true with pipes, until its end of file and status are known", "MB");

  keep (contenders, contender_new_piped_execv ("gspawnfork new, execv", &plan));
  keep (contenders, contender_new_piped_spawn ("posix_spawn", &plan));
  keep (contenders, contender_new_piped_subprocess ("GSubprocess", &plan,
                                                    G_SUBPROCESS_FLAGS_NONE));
  keep (contenders, contender_new_piped_subprocess ("GSubprocess, inheriting", &plan,
                                                    G_SUBPROCESS_FLAGS_INHERIT_FDS));
  g_assert (contenders->len == N_PROGRAMS);

  for (guint i = 0; i < G_N_ELEMENTS (sizes) && have_memory (sizes[i]); i++)
    {
      g_autoptr (GPtrArray) entries = entries_new ();
      void *ballast = ballast_new (sizes[i]);
      Series *rows[N_PROGRAMS];

      for (guint j = 0; j < N_PROGRAMS; j++)
        rows[j] = add_entry (self, entries, g_ptr_array_index (contenders, j), 1, sizes[i]);
      results_compare (self->results, rows[PROGRAM_EXECV], rows[PROGRAM_SPAWN]);
      results_compare (self->results, rows[PROGRAM_EXECV], rows[PROGRAM_SUBPROCESS]);
      results_compare (self->results, rows[PROGRAM_EXECV], rows[PROGRAM_INHERITING]);

      measure (self, entries);
      ballast_free (ballast, sizes[i]);

      g_print ("\n");
      results_table (self->results, rows[PROGRAM_SPAWN]);
    }
}
