/* results.c: writes what was measured as tables and as JSON
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "results.h"

typedef struct
{
  char *key;
  char *value;
} Fact;

typedef struct
{
  char *name;
  char *parameter;
  guint first_row;
  guint first_comparison;
} Section;

struct _Series
{
  char *section;
  char *parameter;
  char *name;
  gint64 value;
  Unit unit;
  GArray *samples;
};

typedef struct
{
  Series *fast;
  Series *slow;
} Comparison;

struct _Results
{
  GPtrArray *facts;
  GPtrArray *rows;
  GPtrArray *comparisons;
  Section section;
  guint printed;
};

/* Samples */

static void
series_free (gpointer data)
{
  Series *self = data;

  g_free (self->section);
  g_free (self->parameter);
  g_free (self->name);
  g_array_unref (self->samples);
  g_free (self);
}

void
series_add (Series *self,
            double  sample)
{
  g_array_append_val (self->samples, sample);
}

static int
compare_samples (gconstpointer a,
                 gconstpointer b)
{
  double x = *(const double *) a;
  double y = *(const double *) b;

  return (x > y) - (x < y);
}

/* Returns a quantile: 0 is the minimum, 1 the maximum. */
static double
quantile (GArray *samples,
          double  part)
{
  g_autoptr (GArray) sorted = g_array_copy (samples);
  double place = part * (double) (samples->len - 1);
  guint below = (guint) place;
  guint above = MIN (below + 1, samples->len - 1);
  double x, y;

  g_array_sort (sorted, compare_samples);
  x = g_array_index (sorted, double, below);
  y = g_array_index (sorted, double, above);

  return x + (y - x) * (place - below);
}

double
series_get_median (Series *self)
{
  return quantile (self->samples, 0.5);
}

static GArray *
ratios (const Comparison *comparison)
{
  GArray *fast = comparison->fast->samples;
  GArray *slow = comparison->slow->samples;
  guint n = MIN (fast->len, slow->len);
  GArray *result = g_array_sized_new (FALSE, FALSE, sizeof (double), n);

  for (guint i = 0; i < n; i++)
    {
      double ratio = g_array_index (slow, double, i) / g_array_index (fast, double, i);

      g_array_append_val (result, ratio);
    }

  return result;
}

/* Gathering */

static void
fact_free (gpointer data)
{
  Fact *fact = data;

  g_free (fact->key);
  g_free (fact->value);
  g_free (fact);
}

Results *
results_new (void)
{
  Results *self = g_new0 (Results, 1);

  self->facts = g_ptr_array_new_with_free_func (fact_free);
  self->rows = g_ptr_array_new_with_free_func (series_free);
  self->comparisons = g_ptr_array_new_with_free_func (g_free);

  return self;
}

void
results_free (Results *self)
{
  g_ptr_array_unref (self->facts);
  g_ptr_array_unref (self->rows);
  g_ptr_array_unref (self->comparisons);
  g_free (self->section.name);
  g_free (self->section.parameter);
  g_free (self);
}

void
results_add_fact (Results    *self,
                  const char *key,
                  const char *format,
                  ...)
{
  Fact *fact = g_new0 (Fact, 1);
  va_list args;

  va_start (args, format);
  fact->key = g_strdup (key);
  fact->value = g_strdup_vprintf (format, args);
  va_end (args);

  g_ptr_array_add (self->facts, fact);
  g_print ("%-24s %s\n", fact->key, fact->value);
}

void
results_begin (Results    *self,
               const char *section,
               const char *heading,
               const char *parameter)
{
  g_free (self->section.name);
  g_free (self->section.parameter);
  self->section.name = g_strdup (section);
  self->section.parameter = g_strdup (parameter);
  self->section.first_row = self->rows->len;
  self->section.first_comparison = self->comparisons->len;

  g_print ("\n== %s ==\n", heading);
}

Series *
results_row (Results    *self,
             const char *name,
             gint64      value,
             Unit        unit)
{
  Series *row;

  for (guint i = self->section.first_row; i < self->rows->len; i++)
    {
      row = g_ptr_array_index (self->rows, i);
      if (row->value == value && g_str_equal (row->name, name))
        return row;
    }

  row = g_new0 (Series, 1);
  row->section = g_strdup (self->section.name);
  row->parameter = g_strdup (self->section.parameter);
  row->name = g_strdup (name);
  row->value = value;
  row->unit = unit;
  row->samples = g_array_new (FALSE, FALSE, sizeof (double));
  g_ptr_array_add (self->rows, row);

  return row;
}

void
results_compare (Results *self,
                 Series  *fast,
                 Series  *slow)
{
  Comparison *comparison = g_new (Comparison, 1);

  comparison->fast = fast;
  comparison->slow = slow;
  g_ptr_array_add (self->comparisons, comparison);
}

/* Printing */

static const char *
scale_for (Unit    unit,
           double *scale)
{
  switch (unit)
    {
    case UNIT_NANOSECONDS:
      *scale = 1e-3;
      return "us";
    case UNIT_BYTES:
      *scale = 1.0 / 1024;
      return "KiB";
    case UNIT_COUNT:
    default:
      *scale = 1;
      return "";
    }
}

/* Prints a number with three significant digits. */
static void
print_number (double number)
{
  int digits = number >= 100 ? 0 : number >= 10 ? 1 : number >= 0.1 ? 2 : 4;

  g_print (" %10.*f", digits, number);
}

static char *
label_row (Series *row)
{
  if (row->parameter == NULL)
    return g_strdup (row->name);

  return g_strdup_printf ("%s, %" G_GINT64_FORMAT " %s",
                          row->name, row->value, row->parameter);
}

static void
print_row (Series *row,
           Series *reference)
{
  g_autofree char *label = label_row (row);
  double median = series_get_median (row);
  double scale;
  const char *unit = scale_for (row->unit, &scale);

  g_print ("%-48s", label);
  print_number (median * scale);
  print_number (quantile (row->samples, 0) * scale);
  print_number (quantile (row->samples, 1) * scale);
  g_print (" %-3s", unit);

  if (row->unit == UNIT_NANOSECONDS)
    print_number (1e9 / median);

  if (reference != NULL && row->unit == reference->unit)
    {
      Comparison comparison = { row, reference };
      g_autoptr (GArray) times = ratios (&comparison);

      print_number (quantile (times, 0.5));
    }

  g_print ("\n");
}

void
results_table (Results *self,
               Series  *reference)
{
  g_print ("%-48s %10s %10s %10s    ", "", "median", "min", "max");
  g_print (" %10s%s\n", "a second", reference != NULL ? "      speed" : "");

  for (; self->printed < self->rows->len; self->printed++)
    print_row (g_ptr_array_index (self->rows, self->printed), reference);

  if (reference != NULL)
    g_print ("Speed 1 is that of: %s\n", reference->name);
}

void
results_end (Results *self)
{
  if (self->comparisons->len > self->section.first_comparison)
    g_print ("\n%-72s %9s %9s %9s\n", "How many times as fast", "median", "min", "max");

  for (guint i = self->section.first_comparison; i < self->comparisons->len; i++)
    {
      Comparison *comparison = g_ptr_array_index (self->comparisons, i);
      g_autoptr (GArray) times = ratios (comparison);
      g_autofree char *fast = label_row (comparison->fast);
      g_autofree char *slow = label_row (comparison->slow);
      g_autofree char *label = g_strdup_printf ("%s : %s", fast, slow);

      g_print ("%-72s %9.2f %9.2f %9.2f\n", label, quantile (times, 0.5),
               quantile (times, 0), quantile (times, 1));
    }
}

/* JSON */

static void
append_string (GString    *json,
               const char *string)
{
  g_string_append_c (json, '"');
  for (; *string != '\0'; string++)
    {
      if (*string == '"' || *string == '\\')
        g_string_append_c (json, '\\');
      if ((guchar) *string >= 0x20)
        g_string_append_c (json, *string);
    }
  g_string_append_c (json, '"');
}

static void
append_number (GString    *json,
               const char *key,
               double      number)
{
  char buffer[G_ASCII_DTOSTR_BUF_SIZE];

  g_string_append_printf (json, ", \"%s\": %s", key,
                          g_ascii_formatd (buffer, sizeof buffer, "%.6g", number));
}

static void
append_samples (GString *json,
                GArray  *samples)
{
  append_number (json, "median", quantile (samples, 0.5));
  append_number (json, "min", quantile (samples, 0));
  append_number (json, "max", quantile (samples, 1));
  g_string_append_printf (json, ", \"samples\": %u", samples->len);
}

static void
append_row_name (GString    *json,
                 const char *name_key,
                 const char *value_key,
                 Series     *row)
{
  g_string_append_printf (json, "\"%s\": ", name_key);
  append_string (json, row->name);

  if (row->parameter != NULL)
    g_string_append_printf (json, ", \"%s\": %" G_GINT64_FORMAT,
                            value_key, row->value);
}

static void
append_facts (GString   *json,
              GPtrArray *facts)
{
  g_string_append (json, "{\n  \"about\": {");
  for (guint i = 0; i < facts->len; i++)
    {
      Fact *fact = g_ptr_array_index (facts, i);

      g_string_append (json, i > 0 ? ",\n    " : "\n    ");
      append_string (json, fact->key);
      g_string_append (json, ": ");
      append_string (json, fact->value);
    }
  g_string_append (json, "\n  },\n");
}

static void
append_rows (GString   *json,
             GPtrArray *rows)
{
  static const char *units[] = { "ns", "bytes", "count" };

  g_string_append (json, "  \"results\": [");
  for (guint i = 0; i < rows->len; i++)
    {
      Series *row = g_ptr_array_index (rows, i);

      g_string_append_printf (json, "%s\n    { \"section\": \"%s\", ",
                              i > 0 ? "," : "", row->section);
      append_row_name (json, "name", "value", row);
      if (row->parameter != NULL)
        {
          g_string_append (json, ", \"parameter\": ");
          append_string (json, row->parameter);
        }
      g_string_append_printf (json, ", \"unit\": \"%s\"", units[row->unit]);
      append_samples (json, row->samples);
      g_string_append (json, " }");
    }
  g_string_append (json, "\n  ],\n");
}

static void
append_comparisons (GString   *json,
                    GPtrArray *comparisons)
{
  g_string_append (json, "  \"ratios\": [");
  for (guint i = 0; i < comparisons->len; i++)
    {
      Comparison *comparison = g_ptr_array_index (comparisons, i);
      g_autoptr (GArray) times = ratios (comparison);

      g_string_append_printf (json, "%s\n    { \"section\": \"%s\", ",
                              i > 0 ? "," : "", comparison->fast->section);
      append_row_name (json, "fast", "fast value", comparison->fast);
      g_string_append (json, ", ");
      append_row_name (json, "slow", "slow value", comparison->slow);
      append_samples (json, times);
      g_string_append (json, " }");
    }
  g_string_append (json, "\n  ]\n}\n");
}

gboolean
results_save (Results     *self,
              const char  *filename,
              GError     **error)
{
  g_autoptr (GString) json = g_string_new (NULL);

  append_facts (json, self->facts);
  append_rows (json, self->rows);
  append_comparisons (json, self->comparisons);

  return g_file_set_contents (filename, json->str, (gssize) json->len, error);
}
