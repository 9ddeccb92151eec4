/* descriptors.h: which descriptors a process has, and at which numbers
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <stdbool.h>
#include <stddef.h>

/* A descriptor that is wanted at an exact number */
struct gfork_placement
{
  int fd;
  int target;
};

struct gfork_placements
{
  struct gfork_placement *items;
  size_t n;
};

void gfork_fill_standard_streams (void);
void gfork_close_all_but (int *keep,
                          size_t n);
void gfork_close_from (int first);
void gfork_close_applications (int socket);
void gfork_close_inherited (int socket);
bool gfork_placements_have (const struct gfork_placements *placements,
                            int                            target);
bool gfork_placements_add (struct gfork_placements *placements,
                           int                      fd,
                           int                      target,
                           char                    *reason,
                           size_t                   reason_size);
void gfork_placements_close (struct gfork_placements *placements);
bool gfork_place (struct gfork_placements *placements,
                  int                    **movable,
                  size_t                   n_movable,
                  char                    *reason,
                  size_t                   reason_size);
