/* exit.h: is there anything to do at exit?
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <stdbool.h>

bool gfork_nothing_at_exit (void);
