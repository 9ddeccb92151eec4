/* served.c: the loop of the far end, with its state within reach
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "serve/serve.c"

#include "served.h"

/* Serves from the beginning. */
_Noreturn void
fuzz_serve (int                          socket,
            const struct gfork_language *language)
{
  memset (&state, 0, sizeof state);
  state.language = language;
  start (socket, 0);
}
