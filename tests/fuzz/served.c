/* served.c: the template process, with a way in for the fuzzer
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "serve/entry.c"

#include "served.h"

_Noreturn void
fuzz_serve (int                          socket,
            const struct gfork_language *language)
{
  start (socket, 0, language, 0, NULL);
}
