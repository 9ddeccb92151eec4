/* title.c: what ps and top show of a process
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/template.h"

#include "wire/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define PREFIX "gspawnfork: "

/* So far up the stack a worker's title may be. */
#define NEAR (1 << 20)

void
gfork_title_use_arguments (struct gfork_title *title,
                           int                 argc,
                           char              **argv)
{
  char *end = argv[0] + strlen (argv[0]) + 1;

  for (int i = 1; i < argc && argv[i] == end; i++)
    end += strlen (argv[i]) + 1;

  title->area = argv[0];
  title->size = title->used = end - argv[0];
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
  for (int i = 3; i < N_FIELDS; i++)
    {
      if (field == NULL || (field = strchr (field, ' ')) == NULL)
        return false;
      values[i] = strtoul (++field, NULL, 10);
    }

  return true;
}

/* Tells the kernel to show other memory than the stack's beginning. It wants to hear all
 * about the process again, but the user need not be privileged. That must be memory of no
 * file. */
static void
move (struct gfork_title  *title,
      const unsigned long *values)
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
    .arg_start = (unsigned long) title->room,
    .arg_end = (unsigned long) title->room + sizeof title->room,
    .env_start = values[ENV_START],
    .env_end = values[ENV_END],
    .exe_fd = -1,
  };
  size_t used = title->used < sizeof title->room ? title->used : sizeof title->room - 1;

  if (title->area != NULL)
    memcpy (title->room, title->area, used);
  if (prctl (PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0) != 0)
    return;

  title->area = title->room;
  title->size = sizeof title->room;
  title->used = used;
#else
  (void) title;
  (void) values;
#endif
}

/* Whether this process is a worker already, and this is what it is shown with: on the
 * stack that it is running on, where everything can be read. */
static bool
is_title (const char *area,
          size_t      size)
{
  uintptr_t here = (uintptr_t) __builtin_frame_address (0);

  return (uintptr_t) area - here < NEAR && size >= sizeof PREFIX
         && memcmp (area, PREFIX, sizeof PREFIX - 1) == 0;
}

/* For a fork of an application, whose argv nobody handed over. If the kernel does not
 * let it have more room, titles are cut to the length of the command line. */
void
gfork_title_use_proc (struct gfork_title *title)
{
  unsigned long values[N_FIELDS];
  char *area;
  size_t size;

  if (!read_stat (values) || values[ARG_START] == 0 || values[ARG_END] <= values[ARG_START])
    return;

  area = (char *) values[ARG_START];
  size = values[ARG_END] - values[ARG_START];
  /* Some tools give a program a copy of its arguments, and need the original. */
  if (area != program_invocation_name && !is_title (area, size))
    return;

  title->area = area;
  title->size = title->used = size;
  if (title->size < sizeof title->room)
    gfork_title_settle (title);
}

/* Before the first fork. The command line is in a page of its own, which every fork would
 * have to copy. */
void
gfork_title_settle (struct gfork_title *title)
{
  unsigned long values[N_FIELDS];

  if (!title->settled && title->area != NULL && read_stat (values))
    move (title, values);
  title->settled = true;
}

static size_t
put_text (struct gfork_title *title,
          size_t              at,
          const char         *text)
{
  while (*text != '\0' && at < title->size - 1)
    title->area[at++] = *text++;
  return at;
}

static size_t
put_number (struct gfork_title *title,
            size_t              at,
            pid_t               number)
{
  char digits[3 * sizeof number + 1];
  char *first = digits + sizeof digits - 1;

  *first = '\0';
  for (; number > 0; number /= 10)
    *--first = '0' + number % 10;
  return put_text (title, at, first);
}

/* Titles the process "gspawnfork: WHAT [PARENT]", as far as there is room. By hand:
 * printf() would cost a fork half a dozen page faults, which is more than all
 * that it does otherwise, and strrchr() one. */
void
gfork_title_set (struct gfork_title *title,
                 const char         *what,
                 pid_t               parent)
{
  const char *name = what;
  size_t end;

  for (const char *c = what; *c != '\0'; c++)
    if (*c == ':')
      name = c + 1;

  gfork_kernel_set_name (name);

  if (title->size < 2)
    return;

  end = put_text (title, 0, PREFIX);
  end = put_text (title, end, what);
  end = put_text (title, end, " [");
  end = put_number (title, end, parent);
  end = put_text (title, end, "]");

  /* The kernel shows the whole area, so what is left of the last title has to go.
   * A last byte that is no NUL would make it show the environment as well. */
  for (size_t i = end; i < title->used; i++)
    title->area[i] = '\0';
  title->used = end;
}
