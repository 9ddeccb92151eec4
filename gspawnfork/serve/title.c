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
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

/* As much as a function's name is likely to need. */
#define ROOM 160

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

/* Of what /proc/PID/stat says, by proc_pid_stat(5). */
enum
{
  START_CODE = 26,
  END_CODE = 27,
  START_STACK = 28,
  START_DATA = 45,
  END_DATA = 46,
  START_BRK = 47,
  ARG_START = 48,
  ARG_END = 49,
  ENV_START = 50,
  ENV_END = 51,
  N_FIELDS
};

static bool
read_stat (unsigned long *values)
{
  char line[1024];
  const char *field;
  FILE *file = fopen ("/proc/self/stat", "re");
  size_t n;

  if (file == NULL)
    return false;
  n = fread (line, 1, sizeof line - 1, file);
  fclose (file);
  line[n] = '\0';

  /* The name in field 2 may hold anything, even parentheses. */
  field = strrchr (line, ')');
  for (int i = 3; i < N_FIELDS; i++)
    {
      if (field == NULL || (field = strchr (field, ' ')) == NULL)
        return false;
      values[i] = strtoul (++field, NULL, 10);
    }

  return true;
}

/* Tells the kernel to show other memory than the stack's beginning, where there is no
 * more room than the program's command line takes. It wants to hear all about the
 * process again, but the user need not be privileged. That must be memory of no file. */
static bool
make_room (const unsigned long *values)
{
#if defined(PR_SET_MM_MAP) && !defined(GFORK_PORTABLE)
  struct prctl_mm_map map = {
    .start_code = values[START_CODE],
    .end_code = values[END_CODE],
    .start_data = values[START_DATA],
    .end_data = values[END_DATA],
    .start_brk = values[START_BRK],
    .brk = (unsigned long) sbrk (0),
    .start_stack = values[START_STACK],
    .env_start = values[ENV_START],
    .env_end = values[ENV_END],
    .exe_fd = -1,
  };
  char *memory = mmap (NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

  if (memory == MAP_FAILED)
    return false;

  map.arg_start = (unsigned long) memory;
  map.arg_end = map.arg_start + ROOM;
  if (prctl (PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0) == 0)
    {
      area = memory;
      area_size = area_used = ROOM;
      return true;
    }

  munmap (memory, ROOM);
#else
  (void) values;
#endif
  return false;
}

/* For a fork of an application, whose argv nobody handed over. If the kernel does not
 * let it have more room, titles are cut to the length of the command line. */
void
gfork_title_use_proc (void)
{
  unsigned long values[N_FIELDS];

  if (!read_stat (values) || values[ARG_START] == 0 || values[ARG_END] <= values[ARG_START])
    return;

  /* Some tools give a program a copy of its arguments, and need the original. */
  if ((char *) values[ARG_START] != program_invocation_name)
    return;

  if (values[ARG_END] - values[ARG_START] < ROOM && make_room (values))
    return;

  area = (char *) values[ARG_START];
  area_size = area_used = values[ARG_END] - values[ARG_START];
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
