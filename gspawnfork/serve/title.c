/* title.c: what ps and top show of a process
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

/* The memory that the kernel shows as the command line. */
static char *area;
static size_t area_size;

void
gfork_title_use_arguments (int    argc,
                           char **argv)
{
  char *end = argv[0] + strlen (argv[0]) + 1;

  for (int i = 1; i < argc && argv[i] == end; i++)
    end += strlen (argv[i]) + 1;

  area = argv[0];
  area_size = end - argv[0];
}

/* For a fork of an application, whose argv nobody handed over: the bounds stand
 * in fields 48 and 49 of /proc/self/stat (proc_pid_stat(5)). */
void
gfork_title_use_proc (void)
{
  char line[1024];
  const char *field;
  FILE *file = fopen ("/proc/self/stat", "re");
  unsigned long start, end;
  size_t n;

  if (file == NULL)
    return;
  n = fread (line, 1, sizeof line - 1, file);
  fclose (file);
  line[n] = '\0';

  /* The name in field 2 may hold anything, even parentheses. */
  field = strrchr (line, ')');
  for (int i = 2; i < 48 && field != NULL; i++)
    field = strchr (field + 1, ' ');
  if (field == NULL || sscanf (field, " %lu %lu", &start, &end) != 2 || start == 0 || end <= start)
    return;

  area = (char *) start;
  area_size = end - start;
}

/* Titles the process "gspawnfork: WHAT [PARENT]", as far as there is room. */
void
gfork_title_set (const char *what,
                 pid_t       parent)
{
  char title[256];
  int length;

  prctl (PR_SET_NAME, what);

  if (area_size < 2)
    return;

  length = snprintf (title, sizeof title, "gspawnfork: %s [%ld]", what, (long) parent);
  if (length < 0)
    return;
  if ((size_t) length > sizeof title - 1)
    length = sizeof title - 1;
  if ((size_t) length > area_size - 1)
    length = area_size - 1;

  /* The kernel shows the whole area, so what is left of it has to be NULs. A
   * last octet that is no NUL would make it show the environment as well. */
  memcpy (area, title, length);
  memset (area + length, '\0', area_size - length);
}
