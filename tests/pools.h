/* pools.h: makes pools whose workers run functions of modules/test-jobs.c
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "testutils.h"

G_BEGIN_DECLS

GForkPool *pool_new (const char *function);
void       start    (GForkPool  *pool);
void       stop     (GForkPool  *pool);
char      *ask      (GForkLoan  *loan,
                     const char *question);

G_END_DECLS
