/* test-module.h: declarations that the modules of the tests share
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gspawnfork/gforkworker.h>

#define EXPORT __attribute__ ((visibility ("default")))
