/* calls.h: the system calls that a confined process may make, and why
 *
 * All others fail. Names that an architecture does not have are left out, so that the table
 * serves x86-64, arm64 and i386. A call that takes a path is allowed if Landlock decides about
 * it, or if it tells no more than that the file exists, what it is and how large.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

#include <fcntl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

typedef enum
{
  ALWAYS,
  WITH_NETWORK,
  WITH_EXECUTE,
  WITHOUT_EXECUTE
} When;

typedef struct
{
  const char *name;
  When when;
  unsigned n_checks;
  struct scmp_arg_cmp checks[3];
} AllowedCall;

/* The kernel looks only at the lower half of an argument that is an int. */
#define IS(argument, value) SCMP_CMP ((argument), SCMP_CMP_MASKED_EQ, 0xffffffffu, (guint32) (value))
#define HAS_NONE_OF(argument, bits) SCMP_CMP ((argument), SCMP_CMP_MASKED_EQ, (bits), 0)
#define HAS_ALL_OF(argument, bits) SCMP_CMP ((argument), SCMP_CMP_MASKED_EQ, (bits), (bits))

/* The C library's names for these depend on the architecture and its version. */
#define CREATES_FILE (00000100 | 020000000) /* O_CREAT, the kernel's __O_TMPFILE */
#define NEW_NAMESPACES 0x7e020000           /* CLONE_NEWNS, …CGROUP, …UTS, …IPC, …USER, …PID, …NET */
#define NOEXEC_SEAL 0x8                     /* MFD_NOEXEC_SEAL */
#define SET_VMA 0x53564d41                  /* PR_SET_VMA */

/* Clocks have numbers below 16. Negative ones are the processor time of a process, or of a
 * thread of this process (bit 2). The process is this one if its number is left out. */
#define IS_NO_PROCESS HAS_NONE_OF (0, 0x80000000u)
#define WAKES_NO_MACHINE HAS_NONE_OF (0, 0xfffffff8u)
#define CLOCKS(name, which) \
  { name, ALWAYS, 1, { which } }, \
  { name, ALWAYS, 1, { HAS_ALL_OF (0, 0x80000004u) } }, \
  { name, ALWAYS, 1, { HAS_ALL_OF (0, 0xfffffff8u) } }

#define SET_OPTION(when, level, option) \
  { "setsockopt", when, 2, { IS (1, level), IS (2, option) } }

static const AllowedCall allowed_calls[] = {
  /* Memory of its own. Code may be generated, since an attacker who has taken the process over
   * can run code already. But anonymous shared memory is a file, which root could execute by
   * /proc/self/map_files. */
  { "brk" }, { "munmap" }, { "mprotect" }, { "mremap" }, { "msync" }, { "membarrier" },
  { "pkey_alloc" }, { "pkey_free" }, { "pkey_mprotect" },
  { "mmap", WITHOUT_EXECUTE }, { "mmap2", WITHOUT_EXECUTE },
  { "mmap", WITH_EXECUTE, 1, { HAS_NONE_OF (3, MAP_ANONYMOUS) } },
  { "mmap", WITH_EXECUTE, 1, { HAS_NONE_OF (3, MAP_SHARED) } },
  { "mmap2", WITH_EXECUTE, 1, { HAS_NONE_OF (3, MAP_ANONYMOUS) } },
  { "mmap2", WITH_EXECUTE, 1, { HAS_NONE_OF (3, MAP_SHARED) } },

  /* Advice on memory, but not MADV_HWPOISON and MADV_SOFT_OFFLINE, by which root takes pages
   * away from the machine, and from other processes that share them. */
  { "madvise", ALWAYS, 1, { HAS_NONE_OF (2, 0xffffffc0u) } },
  { "madvise", ALWAYS, 1, { IS (2, 102) } }, /* MADV_GUARD_INSTALL */
  { "madvise", ALWAYS, 1, { IS (2, 103) } }, /* MADV_GUARD_REMOVE */

  /* Descriptors that it has. */
  { "read" }, { "readv" }, { "pread64" }, { "preadv" }, { "preadv2" },
  { "write" }, { "writev" }, { "pwrite64" }, { "pwritev" }, { "pwritev2" },
  { "lseek" }, { "_llseek" }, { "close" }, { "close_range" }, { "dup" }, { "dup2" }, { "dup3" },
  { "ftruncate" }, { "ftruncate64" }, { "fallocate" }, { "fsync" }, { "fdatasync" },
  { "fadvise64" }, { "fadvise64_64" }, { "arm_fadvise64_64" }, { "readahead" },
  { "sync_file_range" }, { "flock" },
  { "sendfile" }, { "sendfile64" }, { "copy_file_range" }, { "splice" }, { "tee" },
  { "vmsplice" },

  /* Descriptors that reach nobody else. */
  { "pipe" }, { "pipe2" }, { "eventfd" }, { "eventfd2" },
  { "signalfd" }, { "signalfd4" },
  { "timerfd_create", ALWAYS, 1, { WAKES_NO_MACHINE } }, { "timerfd_settime" }, { "timerfd_gettime" },
  { "timerfd_settime64" }, { "timerfd_gettime64" },
  { "epoll_create" }, { "epoll_create1" }, { "epoll_ctl" }, { "epoll_wait" }, { "epoll_pwait" },
  { "epoll_pwait2" },
  { "poll" }, { "ppoll" }, { "ppoll_time64" }, { "select" }, { "_newselect" }, { "pselect6" },
  { "pselect6_time64" },

  /* Sealed memory, by which large replies are sent. If programs can be executed, it must not be
   * possible to execute memory. */
  { "memfd_create", WITHOUT_EXECUTE },
  { "memfd_create", WITH_EXECUTE, 1, { HAS_ALL_OF (1, NOEXEC_SEAL) } },

  /* What fcntl() does to the descriptor itself. No owner can be set, to whom the kernel would
   * send signals, nor O_ASYNC, which has them sent to an owner that is set. No lease can be had,
   * for which other processes would have to wait. */
  { "fcntl", ALWAYS, 1, { IS (1, F_DUPFD) } },
  { "fcntl", ALWAYS, 1, { IS (1, F_DUPFD_CLOEXEC) } },
  { "fcntl", ALWAYS, 1, { IS (1, F_GETFD) } },
  { "fcntl", ALWAYS, 1, { IS (1, F_SETFD) } },
  { "fcntl", ALWAYS, 1, { IS (1, F_GETFL) } },
  { "fcntl", ALWAYS, 2, { IS (1, F_SETFL), HAS_NONE_OF (2, O_ASYNC) } },
  { "fcntl", ALWAYS, 1, { IS (1, 5) } }, /* F_GETLK, F_SETLK, F_SETLKW: the 32-bit ones */
  { "fcntl", ALWAYS, 1, { IS (1, 6) } },
  { "fcntl", ALWAYS, 1, { IS (1, 7) } },
  { "fcntl", ALWAYS, 1, { IS (1, F_OFD_GETLK) } },
  { "fcntl", ALWAYS, 1, { IS (1, F_OFD_SETLK) } },
  { "fcntl", ALWAYS, 1, { IS (1, F_OFD_SETLKW) } },
  { "fcntl", ALWAYS, 1, { IS (1, F_GETPIPE_SZ) } },
  { "fcntl", ALWAYS, 1, { IS (1, F_SETPIPE_SZ) } },
  { "fcntl", ALWAYS, 1, { IS (1, F_ADD_SEALS) } },
  { "fcntl", ALWAYS, 1, { IS (1, F_GET_SEALS) } },
  { "fcntl64", ALWAYS, 1, { IS (1, F_DUPFD) } },
  { "fcntl64", ALWAYS, 1, { IS (1, F_DUPFD_CLOEXEC) } },
  { "fcntl64", ALWAYS, 1, { IS (1, F_GETFD) } },
  { "fcntl64", ALWAYS, 1, { IS (1, F_SETFD) } },
  { "fcntl64", ALWAYS, 1, { IS (1, F_GETFL) } },
  { "fcntl64", ALWAYS, 2, { IS (1, F_SETFL), HAS_NONE_OF (2, O_ASYNC) } },
  { "fcntl64", ALWAYS, 1, { IS (1, 5) } },
  { "fcntl64", ALWAYS, 1, { IS (1, 6) } },
  { "fcntl64", ALWAYS, 1, { IS (1, 7) } },
  { "fcntl64", ALWAYS, 1, { IS (1, 12) } }, /* F_GETLK64, F_SETLK64, F_SETLKW64 */
  { "fcntl64", ALWAYS, 1, { IS (1, 13) } },
  { "fcntl64", ALWAYS, 1, { IS (1, 14) } },
  { "fcntl64", ALWAYS, 1, { IS (1, F_OFD_GETLK) } },
  { "fcntl64", ALWAYS, 1, { IS (1, F_OFD_SETLK) } },
  { "fcntl64", ALWAYS, 1, { IS (1, F_OFD_SETLKW) } },
  { "fcntl64", ALWAYS, 1, { IS (1, F_GETPIPE_SZ) } },
  { "fcntl64", ALWAYS, 1, { IS (1, F_SETPIPE_SZ) } },
  { "fcntl64", ALWAYS, 1, { IS (1, F_ADD_SEALS) } },
  { "fcntl64", ALWAYS, 1, { IS (1, F_GET_SEALS) } },

  /* How a descriptor is used, whether it is a terminal, and how large that is. No device can be
   * controlled, and nothing typed on a terminal (TIOCSTI). */
  { "ioctl", ALWAYS, 1, { IS (1, FIONREAD) } },
  { "ioctl", ALWAYS, 1, { IS (1, FIONBIO) } },
  { "ioctl", ALWAYS, 1, { IS (1, FIOCLEX) } },
  { "ioctl", ALWAYS, 1, { IS (1, FIONCLEX) } },
  { "ioctl", ALWAYS, 1, { IS (1, TCGETS) } },
  { "ioctl", ALWAYS, 1, { IS (1, 0x802c542au) } }, /* TCGETS2, which later C libraries use */
  { "ioctl", ALWAYS, 1, { IS (1, TIOCGWINSZ) } },
  { "ioctl", ALWAYS, 1, { IS (1, TIOCOUTQ) } },

  /* Files that Landlock lets it open, create and remove. None can be created that runs with its
   * owner's rights (S_ISUID), and no device in place of a file that is moved (RENAME_WHITEOUT). */
  { "open", ALWAYS, 1, { HAS_NONE_OF (1, CREATES_FILE) } },
  { "open", ALWAYS, 1, { HAS_NONE_OF (2, S_ISUID | S_ISGID) } },
  { "openat", ALWAYS, 1, { HAS_NONE_OF (2, CREATES_FILE) } },
  { "openat", ALWAYS, 1, { HAS_NONE_OF (3, S_ISUID | S_ISGID) } },
  { "creat", ALWAYS, 1, { HAS_NONE_OF (1, S_ISUID | S_ISGID) } },
  { "truncate" }, { "truncate64" },
  { "mkdir" }, { "mkdirat" }, { "rmdir" }, { "unlink" }, { "unlinkat" },
  { "rename" }, { "renameat" },
  { "renameat2", ALWAYS, 1, { HAS_NONE_OF (4, 1 << 2) } },
  { "link" }, { "linkat" }, { "symlink" }, { "symlinkat" },
  { "getdents" }, { "getdents64" },

  /* That a file exists, what it is and how large: Landlock does not withhold that. */
  { "stat" }, { "stat64" }, { "lstat" }, { "lstat64" }, { "fstat" }, { "fstat64" },
  { "newfstatat" }, { "fstatat64" }, { "statx" }, { "access" }, { "faccessat" },
  { "faccessat2" }, { "readlink" }, { "readlinkat" },
  { "statfs" }, { "statfs64" }, { "fstatfs" }, { "fstatfs64" },
  { "getcwd" }, { "chdir" }, { "fchdir" }, { "umask" },

  /* Sockets that it was given, and connections to a listening one. A datagram socket could send
   * to any other one by its path, so there are no pairs of these. A stream must not be connected
   * by sending (MSG_FASTOPEN), which Landlock does not see. Urgent bytes (MSG_OOB) are refused,
   * as that part of the kernel has few users and has had faults. */
  { "socketpair", ALWAYS, 2, { IS (0, AF_UNIX), SCMP_CMP (1, SCMP_CMP_MASKED_EQ, 0xf, SOCK_STREAM) } },
  { "socketpair", ALWAYS, 2, { IS (0, AF_UNIX), SCMP_CMP (1, SCMP_CMP_MASKED_EQ, 0xf, SOCK_SEQPACKET) } },
  { "accept" }, { "accept4" }, { "shutdown" }, { "getsockname" }, { "getpeername" },
  { "recv" }, { "recvfrom" }, { "recvmsg" }, { "recvmmsg" }, { "recvmmsg_time64" },
  { "sendto", ALWAYS, 1, { HAS_NONE_OF (3, MSG_FASTOPEN | MSG_OOB) } },
  { "sendmsg", ALWAYS, 1, { HAS_NONE_OF (2, MSG_FASTOPEN | MSG_OOB) } },
  { "sendmmsg", ALWAYS, 1, { HAS_NONE_OF (3, MSG_FASTOPEN | MSG_OOB) } },

  /* How a socket buffers, waits and labels what it sends. Options for root are refused, such as
   * marks, the state of a connection (TCP_REPAIR) and tables of the firewall; so are those that
   * attach programs and other protocols. SO_LINGER is refused, since the
   * process that closes such a socket last waits, and that may be the application. */
  { "getsockopt", ALWAYS, 1, { IS (1, SOL_SOCKET) } },
  { "getsockopt", ALWAYS, 1, { IS (1, IPPROTO_TCP) } },
  SET_OPTION (ALWAYS, SOL_SOCKET, SO_REUSEADDR),
  SET_OPTION (ALWAYS, SOL_SOCKET, SO_BROADCAST),
  SET_OPTION (ALWAYS, SOL_SOCKET, SO_SNDBUF),
  SET_OPTION (ALWAYS, SOL_SOCKET, SO_RCVBUF),
  SET_OPTION (ALWAYS, SOL_SOCKET, SO_KEEPALIVE),
  SET_OPTION (ALWAYS, SOL_SOCKET, SO_PASSCRED),
  SET_OPTION (ALWAYS, SOL_SOCKET, SO_RCVLOWAT),
  SET_OPTION (ALWAYS, SOL_SOCKET, 20), /* SO_RCVTIMEO, SO_SNDTIMEO: the older ones */
  SET_OPTION (ALWAYS, SOL_SOCKET, 21),
  SET_OPTION (ALWAYS, SOL_SOCKET, 66), /* and those with 64 bits */
  SET_OPTION (ALWAYS, SOL_SOCKET, 67),
  SET_OPTION (ALWAYS, IPPROTO_TCP, TCP_NODELAY),
  SET_OPTION (ALWAYS, IPPROTO_TCP, TCP_CORK),
  SET_OPTION (ALWAYS, IPPROTO_TCP, TCP_KEEPIDLE),
  SET_OPTION (ALWAYS, IPPROTO_TCP, TCP_KEEPINTVL),
  SET_OPTION (ALWAYS, IPPROTO_TCP, TCP_KEEPCNT),
  SET_OPTION (ALWAYS, IPPROTO_TCP, TCP_SYNCNT),
  SET_OPTION (ALWAYS, IPPROTO_TCP, TCP_LINGER2),
  SET_OPTION (ALWAYS, IPPROTO_TCP, TCP_WINDOW_CLAMP),
  SET_OPTION (ALWAYS, IPPROTO_TCP, TCP_QUICKACK),
  SET_OPTION (ALWAYS, IPPROTO_TCP, TCP_USER_TIMEOUT),
  SET_OPTION (ALWAYS, IPPROTO_TCP, 25), /* TCP_NOTSENT_LOWAT */

  /* The network, if it is allowed: streams and datagrams of IP, nothing raw. There is no
   * bind() and no listen(). */
  { "socket", WITH_NETWORK, 3, { IS (0, AF_INET), SCMP_CMP (1, SCMP_CMP_MASKED_EQ, 0xf, SOCK_STREAM), IS (2, 0) } },
  { "socket", WITH_NETWORK, 3, { IS (0, AF_INET), SCMP_CMP (1, SCMP_CMP_MASKED_EQ, 0xf, SOCK_STREAM), IS (2, IPPROTO_TCP) } },
  { "socket", WITH_NETWORK, 3, { IS (0, AF_INET), SCMP_CMP (1, SCMP_CMP_MASKED_EQ, 0xf, SOCK_DGRAM), IS (2, 0) } },
  { "socket", WITH_NETWORK, 3, { IS (0, AF_INET), SCMP_CMP (1, SCMP_CMP_MASKED_EQ, 0xf, SOCK_DGRAM), IS (2, IPPROTO_UDP) } },
  { "socket", WITH_NETWORK, 3, { IS (0, AF_INET6), SCMP_CMP (1, SCMP_CMP_MASKED_EQ, 0xf, SOCK_STREAM), IS (2, 0) } },
  { "socket", WITH_NETWORK, 3, { IS (0, AF_INET6), SCMP_CMP (1, SCMP_CMP_MASKED_EQ, 0xf, SOCK_STREAM), IS (2, IPPROTO_TCP) } },
  { "socket", WITH_NETWORK, 3, { IS (0, AF_INET6), SCMP_CMP (1, SCMP_CMP_MASKED_EQ, 0xf, SOCK_DGRAM), IS (2, 0) } },
  { "socket", WITH_NETWORK, 3, { IS (0, AF_INET6), SCMP_CMP (1, SCMP_CMP_MASKED_EQ, 0xf, SOCK_DGRAM), IS (2, IPPROTO_UDP) } },
  { "connect", WITH_NETWORK },
  { "getsockopt", WITH_NETWORK, 2, { IS (1, IPPROTO_IP), HAS_NONE_OF (2, 0xffffffc0u) } },
  { "getsockopt", WITH_NETWORK, 2, { IS (1, IPPROTO_IPV6), HAS_NONE_OF (2, 0xffffffc0u) } },
  SET_OPTION (WITH_NETWORK, IPPROTO_IP, IP_TOS),
  SET_OPTION (WITH_NETWORK, IPPROTO_IP, IP_TTL),
  SET_OPTION (WITH_NETWORK, IPPROTO_IP, IP_PKTINFO),
  SET_OPTION (WITH_NETWORK, IPPROTO_IP, IP_MTU_DISCOVER),
  SET_OPTION (WITH_NETWORK, IPPROTO_IP, IP_RECVERR),
  SET_OPTION (WITH_NETWORK, IPPROTO_IP, IP_RECVTTL),
  SET_OPTION (WITH_NETWORK, IPPROTO_IP, IP_RECVTOS),
  SET_OPTION (WITH_NETWORK, IPPROTO_IP, IP_MULTICAST_IF),
  SET_OPTION (WITH_NETWORK, IPPROTO_IP, IP_MULTICAST_TTL),
  SET_OPTION (WITH_NETWORK, IPPROTO_IP, IP_MULTICAST_LOOP),
  SET_OPTION (WITH_NETWORK, IPPROTO_IPV6, IPV6_V6ONLY),
  SET_OPTION (WITH_NETWORK, IPPROTO_IPV6, IPV6_UNICAST_HOPS),
  SET_OPTION (WITH_NETWORK, IPPROTO_IPV6, IPV6_MULTICAST_IF),
  SET_OPTION (WITH_NETWORK, IPPROTO_IPV6, IPV6_MULTICAST_HOPS),
  SET_OPTION (WITH_NETWORK, IPPROTO_IPV6, IPV6_MULTICAST_LOOP),
  SET_OPTION (WITH_NETWORK, IPPROTO_IPV6, IPV6_MTU_DISCOVER),
  SET_OPTION (WITH_NETWORK, IPPROTO_IPV6, IPV6_RECVERR),
  SET_OPTION (WITH_NETWORK, IPPROTO_IPV6, IPV6_RECVPKTINFO),
  SET_OPTION (WITH_NETWORK, IPPROTO_IPV6, IPV6_RECVHOPLIMIT),
  SET_OPTION (WITH_NETWORK, IPPROTO_IPV6, IPV6_RECVTCLASS),
  SET_OPTION (WITH_NETWORK, IPPROTO_IPV6, IPV6_TCLASS),

  /* Threads and processes of its own, but in no new namespace, and not as children of the
   * template (CLONE_PARENT). */
  { "clone", ALWAYS, 1, { HAS_NONE_OF (0, NEW_NAMESPACES | CLONE_PARENT) } },
  { "fork" }, { "vfork" }, { "exit" }, { "exit_group" }, { "wait4" }, { "waitid" },
  { "waitpid" }, { "pidfd_open" },
  { "futex" }, { "futex_time64" }, { "futex_waitv" }, { "futex_wait" }, { "futex_wake" },
  { "futex_requeue" }, { "set_robust_list" }, { "set_tid_address" }, { "rseq" },
  { "arch_prctl" }, { "set_thread_area" }, { "get_thread_area" }, { "restart_syscall" },
  { "sched_yield" },

  /* Programs, if some may be executed: Landlock says which. Programs without a path cannot be
   * made (memfd_create). */
  { "execve", WITH_EXECUTE },

  /* Its identity, limits and scheduling, not those of other processes. Root gets no larger share
   * of the processor either, by its priority or by another policy. No process group can be
   * joined or made: by one whose parent is in another group the kernel can be made to send
   * SIGHUP to the whole group of the application, which Landlock does not see. */
  { "getpid" }, { "gettid" }, { "getppid" }, { "getpgrp" }, { "getpgid" }, { "getsid" },
  { "setsid" },
  { "getuid" }, { "getuid32" }, { "geteuid" }, { "geteuid32" }, { "getgid" }, { "getgid32" },
  { "getegid" }, { "getegid32" }, { "getresuid" }, { "getresuid32" }, { "getresgid" },
  { "getresgid32" }, { "getgroups" }, { "getgroups32" }, { "capget" },
  { "getrlimit" }, { "ugetrlimit" }, { "setrlimit" },
  { "prlimit64", ALWAYS, 1, { IS (0, 0) } },
  { "getrusage" }, { "times" }, { "sysinfo" }, { "uname" }, { "getcpu" },
  { "getpriority", ALWAYS, 2, { IS (0, PRIO_PROCESS), IS (1, 0) } },
  { "setpriority", ALWAYS, 3, { IS (0, PRIO_PROCESS), IS (1, 0), HAS_NONE_OF (2, 0xffffffe0u) } },
  { "sched_getaffinity" },
  { "sched_setaffinity", ALWAYS, 1, { IS (0, 0) } },
  { "sched_getattr", ALWAYS, 1, { IS (0, 0) } },
  { "sched_getscheduler" }, { "sched_getparam" }, { "sched_get_priority_max" },
  { "sched_get_priority_min" },

  /* Signals: Landlock says to whom. */
  { "kill" }, { "tkill" }, { "tgkill" }, { "rt_sigqueueinfo" }, { "rt_tgsigqueueinfo" },
  { "pidfd_send_signal" },
  { "sigaction" }, { "rt_sigaction" }, { "sigprocmask" }, { "rt_sigprocmask" },
  { "sigreturn" }, { "rt_sigreturn" }, { "sigaltstack" }, { "sigpending" },
  { "rt_sigpending" }, { "sigsuspend" }, { "rt_sigsuspend" }, { "rt_sigtimedwait" },
  { "rt_sigtimedwait_time64" }, { "pause" },

  /* Tracing: Landlock says whom. Its parent, the template, cannot be made to trace it
   * (PTRACE_TRACEME), and so to wait for its stops. */
  { "ptrace", ALWAYS, 1, { SCMP_CMP (0, SCMP_CMP_NE, 0) } },

  /* Time: to read it, and to wait. No clock of another process is read, which says when
   * that is at work, or has timers attached, which that has to look after; and none that wakes
   * the machine up (CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM), as root may. */
  { "time" }, { "gettimeofday" }, { "nanosleep" }, { "alarm" }, { "getitimer" }, { "setitimer" },
  CLOCKS ("clock_gettime", IS_NO_PROCESS), CLOCKS ("clock_gettime64", IS_NO_PROCESS),
  CLOCKS ("clock_getres", IS_NO_PROCESS), CLOCKS ("clock_getres_time64", IS_NO_PROCESS),
  CLOCKS ("clock_nanosleep", WAKES_NO_MACHINE), CLOCKS ("clock_nanosleep_time64", WAKES_NO_MACHINE),
  CLOCKS ("timer_create", WAKES_NO_MACHINE),
  { "timer_settime" }, { "timer_settime64" }, { "timer_gettime" }, { "timer_gettime64" },
  { "timer_getoverrun" }, { "timer_delete" },

  /* Random numbers. */
  { "getrandom" },

  /* Names of threads and of memory; and being killed when its parent ends, which it cannot take
   * back. Confining itself again, which can only narrow what it may do. */
  { "prctl", ALWAYS, 1, { IS (0, PR_SET_NAME) } },
  { "prctl", ALWAYS, 1, { IS (0, PR_GET_NAME) } },
  { "prctl", ALWAYS, 2, { IS (0, PR_SET_PDEATHSIG), IS (1, SIGKILL) } },
  { "prctl", ALWAYS, 1, { IS (0, PR_GET_PDEATHSIG) } },
  { "prctl", ALWAYS, 1, { IS (0, PR_GET_DUMPABLE) } },
  { "prctl", ALWAYS, 1, { IS (0, PR_SET_TIMERSLACK) } },
  { "prctl", ALWAYS, 1, { IS (0, PR_GET_TIMERSLACK) } },
  { "prctl", ALWAYS, 1, { IS (0, PR_CAPBSET_READ) } },
  { "prctl", ALWAYS, 1, { IS (0, SET_VMA) } },
  { "prctl", ALWAYS, 1, { IS (0, PR_GET_SECCOMP) } },
  { "prctl", ALWAYS, 1, { IS (0, PR_SET_SECCOMP) } },
  { "prctl", ALWAYS, 1, { IS (0, PR_GET_NO_NEW_PRIVS) } },
  { "prctl", ALWAYS, 1, { IS (0, PR_SET_NO_NEW_PRIVS) } },
  { "seccomp", ALWAYS, 2, { IS (0, SECCOMP_SET_MODE_FILTER), IS (1, 0) } },
  { "landlock_create_ruleset" }, { "landlock_add_rule" }, { "landlock_restrict_self" },
};

/* Their arguments are in memory, where a filter cannot look at them. C libraries do without
 * these calls if the kernel does not have them. */
static const char *const missing_calls[] = { "clone3", "openat2" };

/* i386 passes the arguments of calls for sockets, and of its older mmap(), in memory, too.
 * A call whose arguments the table has checks for is left out there, so there is no
 * allow_network; but these use what the process has, and the C library needs them. */
static const char *const i386_calls[] = { "send", "sendto", "sendmsg", "sendmmsg", "getsockopt" };
