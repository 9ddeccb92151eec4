/* memory.h: long strings in memory that processes share
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that were received as a file, followed by a NUL that is not counted. */
struct gfork_memory
{
  char *data;
  size_t length;
  bool is_mapped;
};

/* Returns a descriptor of memory that holds a copy of the bytes and a NUL, and that
 * nobody can write to; -1 with the reason if that cannot be had. */
int gfork_memory_new (const void *data,
                      size_t      length,
                      char       *reason,
                      size_t      reason_size);

/* Whether the file has so many bytes, and one more. */
bool gfork_memory_is_long_enough (int      fd,
                                  uint64_t length);

/* Whether nobody can change the file any more, and a NUL follows the bytes. */
bool gfork_memory_is_sealed (int      fd,
                             uint64_t length);

/* Returns a copy of the bytes, with a NUL, to be released by free(); NULL with errno set if it
 * cannot be made. */
char *gfork_memory_copy (int    fd,
                         size_t length);

/* Makes the bytes of such a descriptor readable. A file that somebody can still
 * change is copied. Returns false with errno set if it is not what it should be. */
bool gfork_memory_open (struct gfork_memory *memory,
                        int                  fd,
                        uint64_t             length);
void gfork_memory_close (struct gfork_memory *memory);
