/* jobs.h: makes pools for tests of jobs
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "testutils.h"

G_BEGIN_DECLS

/* A pool whose workers run jobs() of test-jobs, and what blocks them. */
typedef struct
{
  GForkTemplate *template;
  GForkPool *pool;
  TestFd busy;    /* a byte for each job that blocks */
  TestFd unblock; /* a byte unblocks one of them, closing all */
} Fixture;

void         set_up          (Fixture        *fixture,
                              gconstpointer   data);
void         tear_down       (Fixture        *fixture,
                              gconstpointer   data);
void         start_fixture   (Fixture        *fixture);
GBytes      *bytes           (const char     *text);
char        *text_of         (GBytes         *reply);
char        *call            (Fixture        *fixture,
                              const char     *text);
GError      *call_in_vain    (Fixture        *fixture,
                              const char     *text);
void         call_async      (Fixture        *fixture,
                              const char     *text,
                              GCancellable   *cancellable,
                              GAsyncResult  **result);
char        *await           (Fixture        *fixture,
                              GAsyncResult  **result,
                              GError        **error);
void         wait_until_busy (Fixture        *fixture);
void         unblock         (Fixture        *fixture);
GForkWorker *get_worker      (Fixture        *fixture,
                              guint           position);

#define assert_reply(reply, expected) \
  G_STMT_START \
    { \
      g_autofree char *reply_ = reply; \
      g_assert_cmpstr (reply_, ==, expected); \
    } \
  G_STMT_END

G_END_DECLS
