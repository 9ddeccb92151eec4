/* kernel.h: what a worker asks of the kernel between its fork and its function
 *
 * The first use of each page of the C library is a fault in every process that was
 * forked, and a dozen functions are in as many pages. syscall() is in one.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "config.h"

#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* Older kernels had one call for all that has to do with sockets on some
 * architectures. The fuzzers and the thread sanitizer have functions of their own for
 * these names. */
#if defined(GFORK_DIRECT) && !defined(GFORK_MASKED) && defined(SYS_sendmsg) && defined(SYS_recvmsg)
#define GFORK_KERNEL(function, ...) syscall (SYS_##function, ##__VA_ARGS__)
#else
#define GFORK_KERNEL(function, ...) function (__VA_ARGS__)
#define rt_sigprocmask(how, set, old, size) sigprocmask (how, set, old)
#define exit_group _exit
#endif

static inline ssize_t
gfork_kernel_sendmsg (int                  socket,
                      const struct msghdr *message,
                      int                  flags)
{
  return GFORK_KERNEL (sendmsg, socket, message, flags);
}

static inline ssize_t
gfork_kernel_recvmsg (int            socket,
                      struct msghdr *message,
                      int            flags)
{
  return GFORK_KERNEL (recvmsg, socket, message, flags);
}

static inline void
gfork_kernel_close (int fd)
{
  GFORK_KERNEL (close, fd);
}

static inline pid_t
gfork_kernel_getpid (void)
{
  return GFORK_KERNEL (getpid);
}

/* Of the name there is room for fifteen characters. */
static inline void
gfork_kernel_set_name (const char *name)
{
  GFORK_KERNEL (prctl, PR_SET_NAME, name);
}

static inline void
gfork_kernel_unblock_signals (void)
{
  static const sigset_t none;

  GFORK_KERNEL (rt_sigprocmask, SIG_SETMASK, &none, NULL, (size_t) NSIG / 8);
}

_Noreturn static inline void
gfork_kernel_exit (int status)
{
  for (;;)
    GFORK_KERNEL (exit_group, status);
}
