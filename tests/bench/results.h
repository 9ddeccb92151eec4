/* results.h: writes what was measured as tables and as JSON
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  UNIT_NANOSECONDS,
  UNIT_BYTES,
  UNIT_COUNT
} Unit;

typedef struct _Results Results;

/* One row: samples of one thing under one condition. */
typedef struct _Series Series;

Results *results_new        (void);
void     results_free       (Results    *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Results, results_free)

/* Prints a fact about the machine or the programs. */
void     results_add_fact   (Results    *self,
                             const char *key,
                             const char *format,
                             ...) G_GNUC_PRINTF (3, 4);

/* Starts a section and prints its heading. @parameter says what the values of the rows are, or
 * is NULL. */
void     results_begin      (Results    *self,
                             const char *section,
                             const char *heading,
                             const char *parameter);

/* Returns the row with that name and value in the current section. It is made if there is none. */
Series  *results_row        (Results    *self,
                             const char *name,
                             gint64      value,
                             Unit        unit);

void     series_add         (Series     *self,
                             double      sample);
double   series_get_median  (Series     *self);

/* Compares two rows that were measured in the same rounds: how many times
 * faster the first one is, in the median round. Shown by results_end(). */
void     results_compare    (Results    *self,
                             Series     *fast,
                             Series     *slow);

/* Prints the table of the rows since the last table. Where reference is not
 * NULL, each row's speed is shown as a multiple of its speed. */
void     results_table      (Results    *self,
                             Series     *reference);

/* Prints the comparisons of the current section. */
void     results_end        (Results    *self);

gboolean results_save       (Results    *self,
                             const char *filename,
                             GError    **error);

G_END_DECLS
