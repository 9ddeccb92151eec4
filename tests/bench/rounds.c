/* rounds.c: measures each contender in each of several rounds
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "bench.h"

/* One contender's part in each round. */
typedef struct
{
  Contender *contender;
  guint in_flight;
  Series *row;
} Entry;

/* Returns the name of a file beside this program. */
char *
beside (Bench      *self,
        const char *name)
{
  return g_build_filename (self->directory, name, NULL);
}

GPtrArray *
entries_new (void)
{
  return g_ptr_array_new_with_free_func (g_free);
}

Series *
add_entry (Bench     *self,
           GPtrArray *entries,
           Contender *contender,
           guint      in_flight,
           gint64     value)
{
  Entry *entry = g_new0 (Entry, 1);

  entry->contender = contender;
  entry->in_flight = in_flight;
  entry->row = results_row (self->results, contender_get_name (contender), value,
                            UNIT_NANOSECONDS);
  g_ptr_array_add (entries, entry);

  return entry->row;
}

/* Waits for what a contender left to be done, like replacing spare processes, which must not
 * count as the next one's work. */
void
settle (void)
{
  gint64 end = clock_ns () + 2000000;

  while (clock_ns () < end)
    {
      g_main_context_iteration (NULL, FALSE);
      g_usleep (200);
    }
}

void
measure (Bench     *self,
         GPtrArray *entries)
{
  for (guint round = 0; round < self->rounds; round++)
    for (guint i = 0; i < entries->len; i++)
      {
        Entry *entry = g_ptr_array_index (entries, i);

        settle ();
        series_add (entry->row, contender_measure_warm (entry->contender,
                                                        self->warm_up_ms,
                                                        self->batch_ms,
                                                        entry->in_flight));
      }
}

GPtrArray *
contenders_new (void)
{
  return g_ptr_array_new_with_free_func ((GDestroyNotify) contender_free);
}

Contender *
keep (GPtrArray *contenders,
      Contender *contender)
{
  g_ptr_array_add (contenders, contender);

  return contender;
}
