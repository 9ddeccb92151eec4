/* title.c: what ps and top show of a process
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/title.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

void
gfork_title_use_arguments (struct gfork_title *title,
                           int                 argc,
                           char              **argv)
{
  char *end = argv[0] + strlen (argv[0]) + 1;

  for (int i = 1; i < argc && argv[i] == end; i++)
    end += strlen (argv[i]) + 1;

  title->area = argv[0];
  title->size = end - argv[0];
}

/* Where the command line begins and ends, by proc_pid_stat(5). */
enum
{
  ARG_START = 48,
  ARG_END = 49,
};

static bool
read_stat (uintptr_t *arg_start,
           uintptr_t *arg_end)
{
  char line[1024];
  const char *field;
  int fd = open ("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  ssize_t n;

  if (fd < 0)
    return false;
  n = read (fd, line, sizeof line - 1);
  close (fd);
  if (n < 0)
    return false;
  line[n] = '\0';

  /* The name in field 2 may hold anything, even parentheses. */
  field = strrchr (line, ')');
  for (int i = 3; i <= ARG_END; i++)
    {
      if (field == NULL || (field = strchr (field, ' ')) == NULL)
        return false;
      field++;
      if (i == ARG_START)
        *arg_start = strtoull (field, NULL, 10);
    }

  *arg_end = strtoull (field, NULL, 10);
  return true;
}

/* For a fork of an application, whose argv is not known here. */
void
gfork_title_use_proc (struct gfork_title *title)
{
  uintptr_t start, end;

  /* Some tools run a program with a copy of its arguments, and need the original. So the area is
   * left alone if it does not begin with the program's name. */
  if (!read_stat (&start, &end) || (char *) start != program_invocation_name || end <= start)
    return;

  title->area = (char *) start;
  title->size = end - start;
}

/* Appends as much of @text as fits into the area with a NUL. */
static size_t
append (struct gfork_title *title,
        size_t              length,
        const char         *text)
{
  while (*text != '\0' && length + 1 < title->size)
    title->area[length++] = *text++;
  return length;
}

/* Sets the title "gspawnfork: WHAT [PARENT]". It is cut to the length of the command line. Done
 * without snprintf(), which would touch seven pages that a worker does not touch otherwise, and
 * each is a page fault. */
void
gfork_title_set (struct gfork_title *title,
                 const char         *what,
                 pid_t               parent)
{
  const char *colon = strrchr (what, ':');
  char number[16], *digits = number + sizeof number;
  size_t length = 0;

  prctl (PR_SET_NAME, colon != NULL ? colon + 1 : what);

  if (title->size == 0)
    return;

  *--digits = '\0';
  do
    *--digits = (char) ('0' + parent % 10);
  while ((parent /= 10) > 0);

  length = append (title, length, "gspawnfork: ");
  length = append (title, length, what);
  length = append (title, length, " [");
  length = append (title, length, digits);
  length = append (title, length, "]");

  /* The kernel shows the whole area, so what is left of the last title has to go. */
  memset (title->area + length, '\0', title->size - length);
}
