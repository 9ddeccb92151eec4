/* account.h: what is there for the C library to do at fork and at exit?
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "serve/serve.h"

extern const struct gfork_account gfork_helpers_account;
