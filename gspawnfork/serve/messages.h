/* messages.h: reasons that the application translates
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "wire/frame.h"

/* Marks what the application translates. */
#define N_(text) text
