/* operations.h: calls the asynchronous operations of a template, for tests that hold for each
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "testutils.h"

G_BEGIN_DECLS

typedef enum
{
  PREPARE,
  RUN,
  EXEC,
  DETACH,
} Operation;

/* A template whose process is the test itself, at the other end of the socket. */
GForkTemplate *new_played_by_test (TestFd         *other_end);

void           operation_begin    (GForkTemplate  *template,
                                   Operation       operation,
                                   GCancellable   *cancellable,
                                   GAsyncResult  **result);
GError        *operation_end      (GForkTemplate  *template,
                                   Operation       operation,
                                   GAsyncResult  **result,
                                   GForkProcess  **process);

G_END_DECLS
