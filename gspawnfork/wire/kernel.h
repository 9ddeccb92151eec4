/* kernel.h: what a worker asks of the kernel between its fork and its function
 *
 * The first use of each page of code is a fault in every process that was forked, and a
 * dozen functions of the C library are in as many pages. So the helper does what they do,
 * where it is known how, or else calls syscall(), which is one page. Programs that are
 * their own helper call the functions, so that whoever is put before them sees that.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* Older kernels had one call for all that has to do with sockets on some
 * architectures. */
#if defined(GFORK_DIRECT) && defined(SYS_sendmsg) && defined(SYS_recvmsg)
#define GFORK_KERNEL(direct, by_name) gfork_kernel_##direct
#else
#define GFORK_KERNEL(direct, by_name) by_name
#endif

/* All calls here have arguments of these kinds, or fewer. */
static inline long
gfork_kernel_call (long        number,
                   long        first,
                   const void *second,
                   long        third,
                   size_t      fourth)
{
#if defined(__x86_64__) && defined(__LP64__)
  register size_t r10 __asm__ ("r10") = fourth;
  long result;

  __asm__ volatile ("syscall"
                    : "=a"(result)
                    : "0"(number), "D"(first), "S"(second), "d"(third), "r"(r10)
                    : "rcx", "r11", "memory");
  if (result < 0)
    {
      errno = (int) -result;
      return -1;
    }
  return result;
#else
  return syscall (number, first, second, third, fourth);
#endif
}

static inline ssize_t
gfork_kernel_sendmsg (int                  socket,
                      const struct msghdr *message,
                      int                  flags)
{
  return GFORK_KERNEL (call (SYS_sendmsg, socket, message, flags, 0),
                       sendmsg (socket, message, flags));
}

static inline ssize_t
gfork_kernel_recvmsg (int            socket,
                      struct msghdr *message,
                      int            flags)
{
  return GFORK_KERNEL (call (SYS_recvmsg, socket, message, flags, 0),
                       recvmsg (socket, message, flags));
}

static inline void
gfork_kernel_close (int fd)
{
  GFORK_KERNEL (call (SYS_close, fd, NULL, 0, 0), close (fd));
}

static inline pid_t
gfork_kernel_getpid (void)
{
  return (pid_t) GFORK_KERNEL (call (SYS_getpid, 0, NULL, 0, 0), getpid ());
}

/* There may be no such call; then errno is ENOSYS. */
static inline int
gfork_kernel_pidfd_open (pid_t pid)
{
#if defined(SYS_pidfd_open) && !defined(GFORK_PORTABLE)
  return (int) GFORK_KERNEL (call (SYS_pidfd_open, pid, NULL, 0, 0),
                             syscall (SYS_pidfd_open, pid, 0));
#else
  (void) pid;
  errno = ENOSYS;
  return -1;
#endif
}

/* Of the name there is room for fifteen characters. */
static inline void
gfork_kernel_set_name (const char *name)
{
  GFORK_KERNEL (call (SYS_prctl, PR_SET_NAME, name, 0, 0), prctl (PR_SET_NAME, name));
}

static inline void
gfork_kernel_unblock_signals (void)
{
  static const sigset_t none;

  GFORK_KERNEL (call (SYS_rt_sigprocmask, SIG_SETMASK, &none, 0, (size_t) NSIG / 8),
                sigprocmask (SIG_SETMASK, &none, NULL));
}

_Noreturn static inline void
gfork_kernel_exit (int status)
{
  for (;;)
    GFORK_KERNEL (call (SYS_exit_group, status, NULL, 0, 0), _exit (status));
}
