/* served.h: the way into the template process that is fuzzed
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "serve/serve.h"

_Noreturn void fuzz_serve (int                          socket,
                           const struct gfork_language *language);
