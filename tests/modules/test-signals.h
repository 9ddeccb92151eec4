/* test-signals.h: which signals belong to valgrind or a sanitizer
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <signal.h>
#include <stdbool.h>

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif

/* The sanitizers handle the signals of faults, and valgrind the last signal. */
static inline bool
signal_is_reserved (int signum)
{
#ifdef UNDER_ASAN
  if (signum == SIGSEGV || signum == SIGBUS || signum == SIGFPE)
    return true;
#endif

  return signum == SIGRTMAX;
}
