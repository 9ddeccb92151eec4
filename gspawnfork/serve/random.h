/* random.h: seeds generators of random numbers, so that forks have different numbers
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The generators that a fork seeds anew */
struct gfork_random
{
  bool stale; /* they have the state of the parent's */
  void (*set_glib_seed) (uint32_t seed); /* NULL if GLib is not loaded */
};

void gfork_random_look (struct gfork_random *random);
void gfork_random_renew (struct gfork_random *random);
