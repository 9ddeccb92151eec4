/* flush.c: linked to everything that coverage.sh counts
 *
 * Templates and workers leave by _exit(), which does not write the counters to files. The
 * linker's --wrap=_exit has them come here first, so that no source of the library has to
 * know that it is counted.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <stddef.h>

/* Each program and library has a __gcov_dump() of its own. */
void __gcov_dump (void);

_Noreturn void __real__exit (int status);
_Noreturn void __wrap__exit (int status);

struct part
{
  void (*dump) (void);
  struct part *next;
};

/* The dynamic linker sees to it that there is one in the process. */
extern struct part *gfork_coverage_parts;
struct part *gfork_coverage_parts;

static struct part this_part = { __gcov_dump, NULL };

__attribute__ ((constructor)) static void
add_this_part (void)
{
  this_part.next = gfork_coverage_parts;
  gfork_coverage_parts = &this_part;
}

_Noreturn void
__wrap__exit (int status)
{
  for (struct part *part = gfork_coverage_parts; part != NULL; part = part->next)
    part->dump ();
  __real__exit (status);
}
