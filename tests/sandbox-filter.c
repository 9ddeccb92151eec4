/* sandbox-filter.c: tests of the filter of a sandbox, on each architecture that it is for
 *
 * The filter is a program for a small machine in the kernel. This has enough of that machine to
 * ask the filter of an architecture at which no kernel is at hand.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "sandbox/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

static const guint32 architectures[] = { SCMP_ARCH_X86_64, SCMP_ARCH_AARCH64, SCMP_ARCH_X86 };

/* What the filter does about a call. */
static guint32
ask (GBytes                    *filter,
     const struct seccomp_data *data)
{
  gsize size;
  const struct sock_filter *program = g_bytes_get_data (filter, &size);
  guint32 a = 0;

  for (gsize i = 0; i < size / sizeof *program; i++)
    {
      const struct sock_filter *step = &program[i];
      gboolean is_true = FALSE;

      switch (step->code)
        {
        case BPF_RET | BPF_K:
          return step->k;
        case BPF_LD | BPF_W | BPF_ABS:
          g_assert_cmpuint (step->k, <=, sizeof *data - sizeof a);
          memcpy (&a, (const char *) data + step->k, sizeof a);
          continue;
        case BPF_ALU | BPF_AND | BPF_K:
          a &= step->k;
          continue;
        case BPF_JMP | BPF_JA:
          i += step->k;
          continue;
        case BPF_JMP | BPF_JEQ | BPF_K:
          is_true = a == step->k;
          break;
        case BPF_JMP | BPF_JGE | BPF_K:
          is_true = a >= step->k;
          break;
        case BPF_JMP | BPF_JGT | BPF_K:
          is_true = a > step->k;
          break;
        default:
          g_error ("a step that is not known: %x", step->code);
        }
      i += is_true ? step->jt : step->jf;
    }
  g_assert_not_reached ();
}

/* 0 if the call is let through, else the errno with which it fails. */
static int
outcome_by_number (GBytes        *filter,
                   guint32        architecture,
                   int            number,
                   const guint64 *args)
{
  struct seccomp_data data = { .nr = number, .arch = architecture };
  guint32 action;

  if (args != NULL)
    memcpy (data.args, args, sizeof data.args);
  action = ask (filter, &data);
  if (action == SECCOMP_RET_ALLOW)
    return 0;
  g_assert_cmpuint (action & SECCOMP_RET_ACTION_FULL, ==, SECCOMP_RET_ERRNO);
  return action & SECCOMP_RET_DATA;
}

static int
outcome (GBytes     *filter,
         guint32     architecture,
         const char *name,
         guint64     first,
         guint64     second,
         guint64     third,
         guint64     fourth)
{
  const guint64 args[6] = { first, second, third, fourth };
  int number = seccomp_syscall_resolve_name_arch (architecture, name);

  g_assert_cmpint (number, >=, 0);
  return outcome_by_number (filter, architecture, number, args);
}

static GBytes *
build (guint32            architecture,
       GForkFilterOptions options)
{
  g_autoptr (GError) error = NULL;
  GBytes *filter;

  options.architecture = architecture;
  filter = g_fork_filter_new (&options, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_bytes_get_size (filter) / sizeof (struct sock_filter), <=, BPF_MAXINSNS);
  return filter;
}

/* What all architectures have, and pass in registers. */
static void
test_calls (gconstpointer data)
{
  const guint32 arch = GPOINTER_TO_UINT (data);
  g_autoptr (GBytes) filter = build (arch, (GForkFilterOptions){ 0 });

#define CALL(...) outcome (filter, arch, __VA_ARGS__)
  g_assert_cmpint (CALL ("read", 0, 0, 0, 0), ==, 0);
  g_assert_cmpint (CALL ("exit_group", 0, 0, 0, 0), ==, 0);
  g_assert_cmpint (CALL ("execve", 0, 0, 0, 0), ==, EPERM);
  g_assert_cmpint (CALL ("execveat", 0, 0, 0, 0), ==, EPERM);
  g_assert_cmpint (CALL ("unshare", CLONE_NEWUSER, 0, 0, 0), ==, EPERM);
  g_assert_cmpint (CALL ("setns", 0, 0, 0, 0), ==, EPERM);
  g_assert_cmpint (CALL ("setpgid", 0, 0, 0, 0), ==, EPERM);
  g_assert_cmpint (CALL ("clone", SIGCHLD, 0, 0, 0), ==, 0);
  g_assert_cmpint (CALL ("clone", SIGCHLD | CLONE_NEWUSER, 0, 0, 0), ==, EPERM);
  g_assert_cmpint (CALL ("clone", SIGCHLD | CLONE_PARENT, 0, 0, 0), ==, EPERM);
  g_assert_cmpint (CALL ("openat2", 0, 0, 0, 0), ==, ENOSYS);
  g_assert_cmpint (CALL ("ptrace", 0, 0, 0, 0), ==, EPERM);
  g_assert_cmpint (CALL ("prctl", PR_SET_PDEATHSIG, SIGKILL, 0, 0), ==, 0);
  g_assert_cmpint (CALL ("prctl", PR_SET_PDEATHSIG, SIGURG, 0, 0), ==, EPERM);
  g_assert_cmpint (CALL ("prlimit64", 0, 0, 0, 0), ==, 0);
  g_assert_cmpint (CALL ("prlimit64", 1, 0, 0, 0), ==, EPERM);
  g_assert_cmpint (CALL ("ioctl", 0, 0x5412 /* TIOCSTI */, 0, 0), ==, EPERM);
  g_assert_cmpint (CALL ("openat", AT_FDCWD, 0, 0100 /* O_CREAT */, 0644), ==, 0);
  g_assert_cmpint (CALL ("openat", AT_FDCWD, 0, 0100, 04755), ==, EPERM);
  g_assert_cmpint (CALL ("clock_gettime", CLOCK_MONOTONIC, 0, 0, 0), ==, 0);
  g_assert_cmpint (CALL ("clock_gettime", (guint32) (~0u << 3 | 2), 0, 0, 0), ==, 0);
  g_assert_cmpint (CALL ("clock_gettime", (guint32) (~1u << 3 | 2), 0, 0, 0), ==, EPERM);
  g_assert_cmpint (CALL ("timer_create", 9 /* CLOCK_BOOTTIME_ALARM */, 0, 0, 0), ==, EPERM);
  g_assert_cmpint (CALL (arch == SCMP_ARCH_X86 ? "fcntl64" : "fcntl", 0, F_DUPFD, 0, 0), ==, 0);
  g_assert_cmpint (CALL (arch == SCMP_ARCH_X86 ? "fcntl64" : "fcntl", 0, F_SETOWN, 1, 0), ==, EPERM);
#undef CALL

  /* Numbers that nothing has, and those of others. */
  g_assert_cmpint (outcome_by_number (filter, arch, 999, NULL), ==, EPERM);
  g_assert_cmpint (outcome_by_number (filter, arch, -1, NULL), ==, EPERM);
  for (gsize i = 0; i < G_N_ELEMENTS (architectures); i++)
    if (architectures[i] != arch)
      for (int number = 0; number < 500; number++)
        g_assert_cmpint (outcome_by_number (filter, architectures[i], number, NULL), ==, EPERM);
}

/* Of x32, whose calls are those of x86-64 with a bit. */
static void
test_x32 (void)
{
  g_autoptr (GBytes) filter = build (SCMP_ARCH_X86_64, (GForkFilterOptions){ 0 });

  for (int number = 0; number < 600; number++)
    g_assert_cmpint (outcome_by_number (filter, SCMP_ARCH_X86_64, 0x40000000 | number, NULL), ==, EPERM);
}

static void
test_memory (gconstpointer data)
{
  const guint32 arch = GPOINTER_TO_UINT (data);
  g_autoptr (GBytes) filter = build (arch, (GForkFilterOptions){ .execute = TRUE });
  const char *map = arch == SCMP_ARCH_X86 ? "mmap2" : "mmap";

  g_assert_cmpint (outcome (filter, arch, "execve", 0, 0, 0, 0), ==, 0);
  g_assert_cmpint (outcome (filter, arch, map, 0, 0, 0, MAP_PRIVATE | MAP_ANONYMOUS), ==, 0);
  g_assert_cmpint (outcome (filter, arch, map, 0, 0, 0, MAP_SHARED), ==, 0);
  g_assert_cmpint (outcome (filter, arch, map, 0, 0, 0, MAP_SHARED | MAP_ANONYMOUS), ==, EPERM);
  g_assert_cmpint (outcome (filter, arch, "memfd_create", 0, 0, 0, 0), ==, EPERM);
  g_assert_cmpint (outcome (filter, arch, "memfd_create", 0, 8 /* MFD_NOEXEC_SEAL */, 0, 0), ==, 0);
  if (arch == SCMP_ARCH_X86)
    g_assert_cmpint (outcome (filter, arch, "mmap", 0, 0, 0, 0), ==, EPERM);
}

static void
test_sockets (gconstpointer data)
{
  const guint32 arch = GPOINTER_TO_UINT (data);
  g_autoptr (GBytes) filter = build (arch, (GForkFilterOptions){ .network = TRUE });

  g_assert_cmpint (outcome (filter, arch, "socket", AF_INET, SOCK_STREAM, 0, 0), ==, 0);
  g_assert_cmpint (outcome (filter, arch, "socket", AF_UNIX, SOCK_STREAM, 0, 0), ==, EPERM);
  g_assert_cmpint (outcome (filter, arch, "socket", AF_INET, SOCK_RAW, 0, 0), ==, EPERM);
  g_assert_cmpint (outcome (filter, arch, "bind", 0, 0, 0, 0), ==, EPERM);
  g_assert_cmpint (outcome (filter, arch, "listen", 0, 0, 0, 0), ==, EPERM);
  g_assert_cmpint (outcome (filter, arch, "socketpair", AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, 0), ==, 0);
  g_assert_cmpint (outcome (filter, arch, "socketpair", AF_UNIX, SOCK_DGRAM, 0, 0), ==, EPERM);
  g_assert_cmpint (outcome (filter, arch, "sendto", 0, 0, 0, MSG_NOSIGNAL), ==, 0);
  g_assert_cmpint (outcome (filter, arch, "sendto", 0, 0, 0, MSG_FASTOPEN), ==, EPERM);
}

/* Those of i386 go through one call, whose arguments are in memory, or one each. */
static void
test_sockets_i386 (void)
{
  enum { SOCKETCALL = 102, SOCKET = 359, SOCKETPAIR = 360 };
  static const guint64 used[] = { 5, 6, 7, 9, 10, 11, 12, 13, 15, 16, 17, 18, 19, 20 };
  static const guint64 refused[] = { 1 /* socket() */, 2 /* bind() */, 4 /* listen() */, 8 /* socketpair() */,
                                     14 /* setsockopt() */, 21, 99 };
  g_autoptr (GBytes) filter = build (SCMP_ARCH_X86, (GForkFilterOptions){ .network = TRUE });

  for (gsize i = 0; i < G_N_ELEMENTS (used); i++)
    g_assert_cmpint (outcome_by_number (filter, SCMP_ARCH_X86, SOCKETCALL, (guint64[6]){ used[i] }), ==, 0);
  for (gsize i = 0; i < G_N_ELEMENTS (refused); i++)
    g_assert_cmpint (outcome_by_number (filter, SCMP_ARCH_X86, SOCKETCALL, (guint64[6]){ refused[i] }), ==, EPERM);
  g_assert_cmpint (outcome_by_number (filter, SCMP_ARCH_X86, SOCKET, (guint64[6]){ AF_UNIX, SOCK_STREAM }), ==, EPERM);
  g_assert_cmpint (outcome_by_number (filter, SCMP_ARCH_X86, SOCKETPAIR, (guint64[6]){ AF_UNIX, SOCK_DGRAM }), ==, EPERM);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

#define ADD(name, arch, function) g_test_add_data_func ("/sandbox-filter/" name, GUINT_TO_POINTER (arch), function)
  ADD ("calls/x86-64", SCMP_ARCH_X86_64, test_calls);
  ADD ("calls/arm64", SCMP_ARCH_AARCH64, test_calls);
  ADD ("calls/i386", SCMP_ARCH_X86, test_calls);
  g_test_add_func ("/sandbox-filter/calls/x32", test_x32);
  ADD ("memory/x86-64", SCMP_ARCH_X86_64, test_memory);
  ADD ("memory/arm64", SCMP_ARCH_AARCH64, test_memory);
  ADD ("memory/i386", SCMP_ARCH_X86, test_memory);
  ADD ("sockets/x86-64", SCMP_ARCH_X86_64, test_sockets);
  ADD ("sockets/arm64", SCMP_ARCH_AARCH64, test_sockets);
  g_test_add_func ("/sandbox-filter/sockets/i386", test_sockets_i386);
  return g_test_run ();
}
