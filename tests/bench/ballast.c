/* ballast.c: allocates private memory that makes a process big
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "ballast.h"

#include <sys/mman.h>

/* The size of a page, or a divisor of it. */
#define PAGE 4096

void *
ballast_new (size_t megabytes)
{
  size_t length = megabytes << 20;
  char *memory;

  if (length == 0)
    return NULL;

  memory = mmap (NULL, length, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return NULL;

  /* A heap that grew bit by bit has small pages, so this mapping must not have huge ones. */
#ifdef MADV_NOHUGEPAGE
  madvise (memory, length, MADV_NOHUGEPAGE);
#endif

  for (size_t i = 0; i < length; i += PAGE)
    memory[i] = 1;

  return memory;
}

void
ballast_free (void  *ballast,
              size_t megabytes)
{
  if (ballast != NULL)
    munmap (ballast, megabytes << 20);
}

int
ballast_read (const void *memory,
              size_t      length)
{
  const volatile char *bytes = memory;
  int sum = 0;

  for (size_t i = 0; i < length; i += PAGE)
    sum += bytes[i];

  return sum;
}
