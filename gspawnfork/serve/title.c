/* title.c: what ps and top show of a process
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/template.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

/* The memory that the kernel shows as the command line. */
static char *area;
static size_t area_size;
static size_t area_used;

void
gfork_title_use_arguments (int    argc,
                           char **argv)
{
  char *end = argv[0] + strlen (argv[0]) + 1;

  for (int i = 1; i < argc && argv[i] == end; i++)
    end += strlen (argv[i]) + 1;

  area = argv[0];
  area_size = area_used = end - argv[0];
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

  /* Some tools give a program a copy of its arguments, and need the original. */
  if ((char *) start != program_invocation_name)
    return;

  area = (char *) start;
  area_size = area_used = end - start;
}

static size_t
put_text (size_t      at,
          const char *text)
{
  while (*text != '\0' && at < area_size - 1)
    area[at++] = *text++;
  return at;
}

static size_t
put_number (size_t at,
            pid_t  number)
{
  char digits[3 * sizeof number + 1];
  char *first = digits + sizeof digits - 1;

  *first = '\0';
  for (; number > 0; number /= 10)
    *--first = '0' + number % 10;
  return put_text (at, first);
}

/* Titles the process "gspawnfork: WHAT [PARENT]", as far as there is room. By hand:
 * printf() would cost a fork half a dozen page faults, which is more than all
 * that it does otherwise, and strrchr() one. */
void
gfork_title_set (const char *what,
                 pid_t       parent)
{
  const char *name = what;
  size_t end;

  for (const char *c = what; *c != '\0'; c++)
    if (*c == ':')
      name = c + 1;

  /* Of the name there is room for fifteen characters. */
  prctl (PR_SET_NAME, name);

  if (area_size < 2)
    return;

  end = put_text (0, "gspawnfork: ");
  end = put_text (end, what);
  end = put_text (end, " [");
  end = put_number (end, parent);
  end = put_text (end, "]");

  /* The kernel shows the whole area, so what is left of the last title has to go.
   * A last octet that is no NUL would make it show the environment as well. */
  for (size_t i = end; i < area_used; i++)
    area[i] = '\0';
  area_used = end;
}
