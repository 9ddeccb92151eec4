/* test-escape-corners.c: clocks, newer system calls, and what readers of the filter thought of
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-escape.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ——— Clocks ——— */

/* The processor time that a process has used is a clock, which others can read and sleep by. */
static clockid_t
clock_of (pid_t pid)
{
  return (clockid_t) ((~(unsigned) pid << 3) | 2);
}

static int
read_clock (clockid_t clock)
{
  struct timespec now;

  return (int) syscall (SYS_clock_gettime, clock, &now);
}

static int
sleep_by (clockid_t clock)
{
  struct timespec past = { 0, 1 };

  return (int) syscall (SYS_clock_nanosleep, clock, TIMER_ABSTIME, &past, NULL);
}

static int
time_by (clockid_t clock)
{
  struct sigevent event = { .sigev_notify = SIGEV_NONE };
  int timer;

  return (int) syscall (SYS_timer_create, clock, &event, &timer);
}

/* ——— Processes ——— */

/* A tracer may have the kernel not ask the filter. */
static int
lift_filter_of_child (void)
{
  pid_t pid = fork ();
  int result, saved_errno;

  if (pid == 0)
    for (;;)
      pause ();
  result = (int) ptrace (PTRACE_SEIZE, pid, 0, 1 << 21 /* PTRACE_O_SUSPEND_SECCOMP */);
  saved_errno = errno;
  kill (pid, SIGKILL);
  waitpid (pid, NULL, __WALL);
  errno = saved_errno;
  return result;
}

/* The socket says which process is at its other end. */
static int
signal_to_peer (void)
{
  int pidfd = -1;
  socklen_t length = sizeof pidfd;

  if (getsockopt (conversation, SOL_SOCKET, 77 /* SO_PEERPIDFD */, &pidfd, &length) != 0)
    return -1;
  return (int) syscall (SYS_pidfd_send_signal, pidfd, SIGURG, NULL, 0);
}

/* ——— The numbers of another architecture ——— */

#ifdef __x86_64__
static int
call_i386 (long number,
           long first,
           long second)
{
  long result;

  __asm__ volatile ("int $0x80" : "=a"(result) : "0"(number), "b"(first), "c"(second), "d"(0L) : "memory", "r8", "r9", "r10", "r11");
  if (result >= 0)
    return (int) result;
  errno = (int) -result;
  return -1;
}

/* A string where a pointer has 32 bits. */
static long
low (const char *text)
{
  char *copy = mmap (NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

  return copy == MAP_FAILED ? 0 : (long) strcpy (copy, text);
}
#else
static int
call_i386 (long number,
           long first,
           long second)
{
  errno = ENOSYS;
  return -1;
}

static long
low (const char *text)
{
  return 0;
}
#endif

/* ——— Descriptors ——— */

static int
option (int fd,
        int level,
        int name,
        int value)
{
  return setsockopt (fd, level, name, &value, sizeof value);
}

static int
dissolve (int fd)
{
  struct sockaddr none = { .sa_family = AF_UNSPEC };

  return connect (fd, &none, sizeof none);
}

static int
bind_sent (void)
{
  struct sockaddr_in address = { AF_INET, 0, { htonl (INADDR_LOOPBACK) }, { 0 } };

  return bind (tcp_fd, (struct sockaddr *) &address, sizeof address);
}

static int
execute_beneath_sent (void)
{
  char *argv[] = { (char *) "secret", NULL }, *envp[] = { NULL };
  pid_t pid = fork ();

  if (pid == 0)
    {
      fcntl (dir_fd, F_SETFD, 0); /* or its interpreter cannot find it */
      syscall (SYS_execveat, dir_fd, "secret", argv, envp, 0);
      _exit (errno);
    }
  return wait_for (pid);
}

static int
call (long number,
      long a,
      const void *b,
      const void *c,
      long d,
      long e)
{
  return (int) syscall (number, a, b, c, d, e);
}

static char space[4096];

static int
state_of_mount (void)
{
  struct
  {
    unsigned size, mount_namespace;
    unsigned long long mount, wanted, namespace_id;
  } request = { 24, 0, 0, 1, 0 };
  struct statx st;

  if (statx (AT_FDCWD, "/", 0, 0x4000 /* STATX_MNT_ID_UNIQUE */, &st) != 0)
    return -1;
  memcpy (&request.mount, (char *) &st + 0x90, 8);
  return call (457, (long) &request, space, (void *) sizeof space, 0, 0);
}

static int
extended (long number)
{
  struct
  {
    unsigned long long value;
    unsigned size, flags;
  } arguments = { (unsigned long) space, 16, 0 };

  memcpy (space, "b", 1);
  return (int) syscall (number, AT_FDCWD, in_dir ("secret"), 0, number == 463 ? "user.d" : "user.a",
                        &arguments, sizeof arguments);
}

static int
attributes_of_file (long number)
{
  char attributes[24] = "";

  if (syscall (468, AT_FDCWD, in_dir ("secret"), attributes, sizeof attributes, 0) != 0)
    return -1;
  return number == 468 ? 0
                       : (int) syscall (469, AT_FDCWD, in_dir ("secret"), attributes, sizeof attributes, 0);
}

static int
flags_of_file (void)
{
  int flags = 0;

  return ioctl (secret_fd, FS_IOC_GETFLAGS, &flags);
}

static int
set_death_signal (int signum)
{
  return prctl (PR_SET_PDEATHSIG, signum, 0, 0, 0);
}

static int
secret_memory (void)
{
  return (int) syscall (447, 0);
}

static int
set_own_domain (void)
{
  char name[256];

  return getdomainname (name, sizeof name) != 0 ? -1 : setdomainname (name, strlen (name));
}

static int
program_by_task (void)
{
  char link[256];

  return (int) readlink (of_process (application, "task/../exe"), link, sizeof link);
}

#ifndef SYS_sysfs
#define SYS_sysfs (-1)
#endif
#ifndef SYS_iopl
#define SYS_iopl (-1)
#endif

#define ATTEMPTS(X) \
  /* clocks */ \
  X (clock_of_application, read_clock (clock_of (application))) \
  X (clock_of_sibling, read_clock (clock_of (sibling))) \
  X (resolution_of_clock_of_template, (int) syscall (SYS_clock_getres, clock_of (template_pid), NULL)) \
  X (sleep_by_clock_of_application, sleep_by (clock_of (application))) \
  X (timer_by_clock_of_application, time_by (clock_of (application))) \
  X (timer_by_clock_of_sibling, time_by (clock_of (sibling))) \
  X (wake_machine, (int) syscall (SYS_timerfd_create, 9 /* CLOCK_BOOTTIME_ALARM */, 0)) \
  X (wake_machine_by_timer, time_by (9)) \
  X (wake_machine_by_sleep, sleep_by (9)) \
  /* processes */ \
  X (lift_filter_of_child, lift_filter_of_child ()) \
  X (signal_to_peer, signal_to_peer ()) \
  X (survive_parent, set_death_signal (0)) \
  X (send_death_signal, set_death_signal (SIGURG)) \
  X (program_by_task_of_application, program_by_task ()) \
  X (core_cookie_of_application, prctl (62 /* PR_SCHED_CORE */, 0, application, 0, (unsigned long) space)) \
  X (allow_tracer, prctl (0x59616d61 /* PR_SET_PTRACER */, application, 0, 0, 0)) \
  X (keep_capabilities, prctl (PR_SET_KEEPCAPS, 1, 0, 0, 0)) \
  X (raise_ambient, prctl (47 /* PR_CAP_AMBIENT */, 4, 0, 0, 0)) \
  X (drop_bound, prctl (PR_CAPBSET_DROP, 37, 0, 0, 0)) \
  X (memory_map, prctl (35 /* PR_SET_MM */, 14, (unsigned long) space, sizeof space, 0)) \
  X (flush_memory, prctl (57 /* PR_SET_IO_FLUSHER */, 1, 0, 0, 0)) \
  X (merge_memory, prctl (67 /* PR_SET_MEMORY_MERGE */, 1, 0, 0, 0)) \
  X (dispatch_own_calls, prctl (59, 0, 0, 0, 0)) \
  X (spread_faults, prctl (33 /* PR_MCE_KILL */, 1, 1, 0, 0)) \
  X (interval_of_application, (int) syscall (SYS_sched_rr_get_interval, application, space)) \
  X (io_priority_of_application, (int) syscall (SYS_ioprio_get, 1, application)) \
  X (read_limits_of_application, (int) syscall (SYS_prlimit64, application, 4, NULL, space)) \
  X (set_fs_user, (int) syscall (SYS_setfsuid, -1)) \
  X (set_fs_group, (int) syscall (SYS_setfsgid, -1)) \
  X (set_domain_name, set_own_domain ()) \
  /* the numbers of i386 */ \
  X (kill_by_other_architecture, call_i386 (37, sibling, SIGUSR1)) \
  X (open_by_other_architecture, call_i386 (5, low (in_dir ("secret")), 0)) \
  X (remove_by_other_architecture, call_i386 (10, low (in_dir ("link")), 0)) \
  X (mode_by_other_architecture, call_i386 (15, low (in_dir ("secret")), 0777)) \
  X (socket_by_other_architecture, call_i386 (359, AF_INET, SOCK_STREAM)) \
  X (calls_by_other_architecture, call_i386 (117, 0, 0) >= 0 || errno == EINVAL || errno == EFAULT ? 0 : -1) \
  X (pid_by_other_numbers, (int) syscall (0x40000000 | 39)) \
  X (ports, (int) syscall (SYS_iopl, 3)) \
  /* descriptors */ \
  X (execute_beneath_sent, execute_beneath_sent ()) \
  X (dissolve_sent, dissolve (tcp_fd)) \
  X (bind_sent, bind_sent ()) \
  X (flags_of_file, flags_of_file ()) \
  X (hold_terminal, ioctl (terminal_fd, TIOCEXCL)) \
  X (hint_of_file, (int) syscall (SYS_fcntl, secret_fd, 1036 /* F_SET_RW_HINT */, space)) \
  X (owner_of_socket, (int) syscall (SYS_fcntl, conversation, F_GETOWN)) \
  X (force_buffer, option (tcp_fd, SOL_SOCKET, SO_RCVBUFFORCE, 1 << 20)) \
  X (priority_of_socket, option (tcp_fd, SOL_SOCKET, SO_PRIORITY, 6)) \
  X (device_of_socket, setsockopt (tcp_fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3)) \
  X (share_port, option (tcp_fd, SOL_SOCKET, SO_REUSEPORT, 1)) \
  X (no_copy, option (tcp_fd, SOL_SOCKET, SO_ZEROCOPY, 1)) \
  X (fast_open_option, option (tcp_fd, IPPROTO_TCP, 30 /* TCP_FASTOPEN_CONNECT */, 1)) \
  X (congestion, setsockopt (tcp_fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4)) \
  X (wait_at_close, setsockopt (tcp_fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 1000 }, sizeof (struct linger))) \
  X (diagnosis_socket, socket (AF_NETLINK, SOCK_RAW, 4)) \
  X (audit_socket, socket (AF_NETLINK, SOCK_RAW, 9)) \
  X (xdp_socket, socket (44, SOCK_RAW, 0)) \
  X (local_pair_of_tipc, socketpair (30, SOCK_STREAM, 0, (int[2]){ 0 })) \
  /* newer system calls, and older ones */ \
  X (page_cache_of_sent, call (451, secret_fd, &(unsigned long[2]){ 0, 0 }, space, 0, 0)) \
  X (shadow_stack, call (453, 0, (void *) 4096, NULL, 0, 0)) \
  X (state_of_mount, state_of_mount ()) \
  X (security_modules, call (461, (long) space, &(unsigned){ sizeof space }, NULL, 0, 0)) \
  X (own_security, call (459, 100, space, &(unsigned){ sizeof space }, 0, 0)) \
  X (seal_memory, (int) syscall (462, (long) mmap (NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096, 0)) \
  X (secret_memory, secret_memory ()) \
  X (mode_by_flags, call (452, AT_FDCWD, in_dir ("secret"), (void *) 0777, 0, 0)) \
  X (attribute_at, extended (464)) \
  X (set_attribute_at, extended (463)) \
  X (attributes_of_file, attributes_of_file (468)) \
  X (set_attributes_of_file, attributes_of_file (469)) \
  X (tree_with_attributes, call (467, AT_FDCWD, dir, (void *) 1, 0, 0)) \
  X (pick_mount, call (433, AT_FDCWD, "/", NULL, 0, 0)) \
  X (attributes_of_mount, call (442, AT_FDCWD, dir, NULL, (long) (unsigned long[4]){ 0 }, 32)) \
  X (policy_of_memory, (int) syscall (SYS_get_mempolicy, NULL, NULL, 0, NULL, 0)) \
  X (bind_memory, (int) syscall (SYS_set_mempolicy, 0, NULL, 0)) \
  X (lock_page, mlock (space, 1)) \
  X (kinds_of_files, (int) syscall (SYS_sysfs, 3)) \
  X (rules_of_queue, call (443, secret_fd, (void *) 0x80000100ul, NULL, 0, 0))

ATTEMPTS (ESCAPE_DEFINE)

const struct escape_attempt escape_corners[] = { ATTEMPTS (ESCAPE_ENTRY) { NULL, NULL } };
