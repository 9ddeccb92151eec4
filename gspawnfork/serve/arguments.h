/* arguments.h: the strings and descriptors that were sent for the run
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gforkworker.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What was sent for the run */
struct gfork_sent
{
  enum
  {
    SENT_INLINE,
    SENT_FD,
    SENT_MEMFD
  } type;
  bool is_string;
  int fd;
  char *data;
  size_t length;
};

struct gfork_arguments
{
  struct gfork_sent *sent;
  size_t n;
  size_t size;
};

bool gfork_arguments_add_bytes (struct gfork_arguments *arguments,
                                bool                    is_string,
                                const uint8_t          *data,
                                size_t                  length);
bool gfork_arguments_add_fd (struct gfork_arguments *arguments,
                             int                     fd);
bool gfork_arguments_add_memfd (struct gfork_arguments *arguments,
                                bool                    is_string,
                                int                     fd,
                                uint64_t                length,
                                char                   *reason,
                                size_t                  reason_size);
GForkArg *gfork_arguments_open (struct gfork_arguments *arguments,
                                char                   *reason,
                                size_t                  reason_size);
void gfork_arguments_close (struct gfork_arguments *arguments);
void gfork_arguments_offer (struct gfork_arguments *arguments);
