/* executions.h: helpers for tests that execute programs
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "testutils.h"

G_BEGIN_DECLS

#define WORDS(...) \
  ((const char *const[]){ __VA_ARGS__, NULL })
#define SCRIPT(text) WORDS ("/bin/sh", "-c", text)

#define IN G_FORK_EXEC_STDIN_PIPE
#define OUT G_FORK_EXEC_STDOUT_PIPE
#define ERR G_FORK_EXEC_STDERR_PIPE

GForkProcess *execute_in      (GForkTemplate      *template,
                               const char * const *argv,
                               GForkExecFlags      flags);
GForkProcess *execute         (const char * const *argv,
                               GForkExecFlags      flags);
void          assert_succeeds (GForkProcess       *process);
void          communicate     (GForkProcess       *process,
                               const char         *input,
                               const char         *expected_stdout,
                               const char         *expected_stderr);

G_END_DECLS
