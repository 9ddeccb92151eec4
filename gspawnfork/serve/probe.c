/* probe.c: what the system can do of what launch.c needs
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/template.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Whether a system call closes all descriptors, so that no memory is needed for that. */
bool
gfork_can_close_ranges (void)
{
#if defined(SYS_close_range) && !defined(GFORK_PORTABLE)
  static int answer;

  if (answer == 0)
    answer = syscall (SYS_close_range, UINT_MAX, UINT_MAX, 0) == 0 ? 1 : -1;
  return answer > 0;
#else
  return false;
#endif
}

static bool
try_vfork (void)
{
  volatile bool shared = false;
  sigset_t all;
  pid_t pid;

  sigfillset (&all);
  sigprocmask (SIG_SETMASK, &all, NULL);
  /* NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.vfork): that is the question */
  pid = vfork ();
  if (pid == 0)
    {
      shared = true;
      _exit (0);
    }
  gfork_signals_block ();

  while (pid > 0 && waitpid (pid, NULL, 0) < 0 && errno == EINTR)
    ;
  return shared;
}

/* Whether a vfork() child has the memory of its parent. Emulators and valgrind make a fork() of
 * it. */
bool
gfork_vfork_shares_memory (void)
{
  static int answer;

  if (answer == 0)
    answer = try_vfork () ? 1 : -1;
  return answer > 0;
}
