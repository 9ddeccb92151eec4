/* gspawnfork.h: the header that applications include
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#define GFORK_INSIDE
#include <gspawnfork/gforkversion.h>
#include <gspawnfork/gforkenumtypes.h>
#include <gspawnfork/gforkbinding.h>
#include <gspawnfork/gforkerror.h>
#include <gspawnfork/gforkpool.h>
#include <gspawnfork/gforkprocess.h>
#include <gspawnfork/gforksandbox.h>
#include <gspawnfork/gforkserve.h>
#include <gspawnfork/gforktemplate.h>
#undef GFORK_INSIDE
