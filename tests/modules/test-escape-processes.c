/* test-escape-processes.c: ways out of a sandbox by signals, other processes, namespaces and
 * identity
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-escape.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int
own_by_ioctl (unsigned long request)
{
  int fds[2];
  int owner = sibling;

  return socketpair (AF_UNIX, SOCK_STREAM, 0, fds) != 0 ? -1 : ioctl (fds[0], request, &owner);
}

static int
own_by_fcntl (int command)
{
  struct
  {
    int type;
    pid_t pid;
  } owner = { 1 /* F_OWNER_PID */, sibling };
  int fds[2];

  if (pipe (fds) != 0)
    return -1;
  return (int) syscall (SYS_fcntl, fds[0], command,
                        (command & 0xff) == F_SETOWN_EX ? (long) &owner : (long) sibling);
}

/* A signal at each byte that comes. */
static int
signal_by_descriptor (void)
{
  int fds[2];

  if (pipe (fds) != 0 || fcntl (fds[0], F_SETOWN, sibling) != 0
      || fcntl (fds[0], F_SETSIG, SIGUSR1) != 0 || fcntl (fds[0], F_SETFL, O_ASYNC) != 0)
    return -1;
  return (int) write (fds[1], "", 1);
}

static int
set_async (void)
{
  int fds[2];

  return pipe (fds) != 0 ? -1 : fcntl (fds[0], F_SETFL, O_ASYNC);
}

static int
signal_by_pidfd (pid_t pid)
{
  return (int) syscall (SYS_pidfd_send_signal, process_descriptor (pid), SIGURG, NULL, 0);
}

static int
take_descriptor (pid_t pid)
{
  return (int) syscall (438, process_descriptor (pid), 2, 0);
}

static int
queue_signal (pid_t pid,
              long  call)
{
  siginfo_t info = { .si_signo = SIGURG, .si_code = SI_QUEUE };

  return (int) (call == SYS_rt_sigqueueinfo ? syscall (call, pid, SIGURG, &info)
                                            : syscall (call, pid, pid, SIGURG, &info));
}

static int
read_memory (pid_t pid)
{
  char copy[sizeof memory];
  struct iovec local = { copy, sizeof copy }, remote = { (void *) memory, sizeof memory };

  return (int) process_vm_readv (pid, &local, 1, &remote, 1, 0);
}

static int
write_memory (pid_t pid)
{
  char text[sizeof memory] = "changed";
  struct iovec local = { text, sizeof text }, remote = { (void *) memory, sizeof memory };

  return (int) process_vm_writev (pid, &local, 1, &remote, 1, 0);
}

static int
trace (pid_t pid,
       int   request)
{
  if (ptrace (request, pid, 0, 0) != 0)
    return -1;
  if (request == PTRACE_ATTACH)
    waitpid (pid, NULL, __WALL);
  ptrace (PTRACE_DETACH, pid, 0, 0);
  return 0;
}

static int
set_limit_of (pid_t pid)
{
  struct rlimit limit;

  return prlimit (pid, RLIMIT_CORE, NULL, &limit) != 0 ? -1
                                                       : prlimit (pid, RLIMIT_CORE, &limit, NULL);
}

static int
set_processors_of (pid_t pid)
{
  cpu_set_t set;

  CPU_ZERO (&set);
  CPU_SET (0, &set);
  CPU_SET (1, &set);
  return sched_setaffinity (pid, sizeof set, &set);
}

static int
set_scheduler_of (pid_t pid)
{
  struct sched_param param = { 0 };

  return sched_setscheduler (pid, SCHED_OTHER, &param);
}

static int
set_attributes_of (pid_t pid)
{
  char attributes[56] = "";

  if (syscall (SYS_sched_getattr, pid, attributes, sizeof attributes, 0) != 0)
    return -1;
  return (int) syscall (SYS_sched_setattr, pid, attributes, 0);
}

static int
new_process (unsigned long flags)
{
  long pid = syscall (SYS_clone, flags | ((flags & CLONE_PARENT) != 0 ? 0 : SIGCHLD), NULL, NULL,
                      NULL, NULL);

  if (pid == 0)
    _exit (0);
  if (pid > 0 && (flags & CLONE_PARENT) == 0)
    waitpid ((pid_t) pid, NULL, __WALL);
  return pid < 0 ? -1 : 0;
}

static int
call_clone3 (void)
{
  unsigned long long args[8] = { 0 };
  long pid;

  args[4] = SIGCHLD;
  pid = syscall (435, args, sizeof args);
  if (pid == 0)
    _exit (0);
  return pid < 0 ? -1 : wait_for ((pid_t) pid);
}

static int
join_namespace (const char *name)
{
  char file[32];

  snprintf (file, sizeof file, "ns/%s", name);
  return setns (open (of_process (application, file), O_RDONLY), 0);
}

static int
set_capabilities (void)
{
  struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
  struct __user_cap_data_struct data[2];

  return syscall (SYS_capget, &header, data) != 0 ? -1
                                                  : (int) syscall (SYS_capset, &header, data);
}

static int
set_same_host_name (void)
{
  char name[256];

  return gethostname (name, sizeof name) != 0 ? -1 : sethostname (name, strlen (name));
}

static int
read_clock_state (void)
{
  struct timex state = { 0 };

  return adjtimex (&state);
}

static int
other_architecture (void)
{
#ifdef __x86_64__
  long result;

  /* unshare (CLONE_NEWUTS), by the numbers of i386 */
  __asm__ volatile ("int $0x80" : "=a"(result) : "0"(310), "b"(CLONE_NEWUTS) : "memory");
  if (result >= 0)
    return 0;
  errno = (int) -result;
  return -1;
#else
  errno = ENOSYS;
  return -1;
#endif
}

#define HIGH (1ul << 32) /* which the kernel does not look at in an int */

/* ——— All of them ——— */

/* Leaves a process in this group that is stopped and is not a child of this one. */
static pid_t
leave_stopped (void)
{
  pid_t pid = -1;
  int fds[2];

  if (pipe (fds) != 0)
    return -1;
  if (fork () == 0)
    {
      pid = fork ();
      if (pid == 0)
        {
          signal (SIGHUP, SIG_DFL);
          _exit (raise (SIGSTOP));
        }
      waitpid (pid, NULL, WUNTRACED);
      _exit (write (fds[1], &pid, sizeof pid) != sizeof pid);
    }
  wait (NULL);
  return read (fds[0], &pid, sizeof pid) == sizeof pid ? pid : -1;
}

/* Leaves the group while a child of this process stays in it. The end of that child makes the
 * group one that nobody continues when it is stopped. The kernel sends SIGHUP to such groups
 * if a process in them is stopped. */
static int
leave_child_in_group (void)
{
  int fds[2], error;
  pid_t pid;
  char byte;

  if (pipe (fds) != 0)
    return errno;
  pid = fork ();
  if (pid == 0)
    _exit (read (fds[0], &byte, 1) != 1);
  error = setpgid (0, 0) != 0 ? errno : 0;
  if (write (fds[1], "", 1) != 1)
    kill (pid, SIGKILL);
  waitpid (pid, NULL, 0);
  return error;
}

static volatile sig_atomic_t n_hang_ups;

static void
count_hang_up (int signum)
{
  (void) signum;
  n_hang_ups = n_hang_ups + 1;
}

static int
hang_up_group (void)
{
  pid_t stopped, pid;
  int error;

  signal (SIGHUP, count_hang_up);
  stopped = leave_stopped ();
  pid = fork ();
  if (pid == 0)
    _exit (leave_child_in_group ());
  error = wait_for (pid) != 0 ? errno : EAGAIN;
  if (stopped > 0)
    kill (stopped, SIGKILL);
  errno = error;
  return n_hang_ups > 0 ? 0 : -1;
}

static int
use_real_time (void)
{
  struct
  {
    unsigned size, policy;
    unsigned long long flags;
    int nice;
    unsigned priority;
    unsigned long long times[3];
  } attributes = { .size = sizeof attributes, .policy = SCHED_FIFO, .priority = 1 };

  return (int) syscall (SYS_sched_setattr, 0, &attributes, 0);
}

static int
link_of (pid_t       pid,
         const char *file)
{
  char target[256];

  return (int) readlink (of_process (pid, file), target, sizeof target);
}

/* By the ioctl()s of a descriptor for a process. */
static int
ask_about (pid_t         pid,
           unsigned long request)
{
  unsigned long long info[8] = { 1 };

  return ioctl (process_descriptor (pid), request, request < 0x10000 ? NULL : info);
}

#define ATTEMPTS(X) \
  /* signals */ \
  X (kill_sibling, kill (sibling, SIGUSR1)) \
  X (kill_template, kill (template_pid, SIGURG)) \
  X (kill_application, kill (application, SIGURG)) \
  X (probe_sibling, kill (sibling, 0)) \
  X (probe_init, kill (1, 0)) \
  X (tkill_sibling, (int) syscall (SYS_tkill, sibling, SIGUSR1)) \
  X (tgkill_template, (int) syscall (SYS_tgkill, template_pid, template_pid, SIGURG)) \
  X (tgkill_application, (int) syscall (SYS_tgkill, application, application, SIGURG)) \
  X (queue_to_sibling, queue_signal (sibling, SYS_rt_sigqueueinfo)) \
  X (queue_to_application, queue_signal (application, SYS_rt_sigqueueinfo)) \
  X (queue_to_thread_of_template, queue_signal (template_pid, SYS_rt_tgsigqueueinfo)) \
  X (pidfd_signal_to_sibling, signal_by_pidfd (sibling)) \
  X (pidfd_signal_to_template, signal_by_pidfd (template_pid)) \
  X (pidfd_signal_to_application, signal_by_pidfd (application)) \
  X (own_by_setown, own_by_fcntl (F_SETOWN)) \
  X (own_by_setown_ex, own_by_fcntl (F_SETOWN_EX)) \
  X (set_signal_of_descriptor, own_by_fcntl (F_SETSIG) >= 0 || errno == EINVAL ? 0 : -1) \
  X (own_by_ioctl, own_by_ioctl (0x8901 /* FIOSETOWN */)) \
  X (own_by_socket_ioctl, own_by_ioctl (0x8902 /* SIOCSPGRP */)) \
  X (signal_by_descriptor, signal_by_descriptor ()) \
  X (set_async, set_async ()) \
  X (set_async_by_ioctl, own_by_ioctl (FIOASYNC)) \
  X (kill_group_of_sibling, kill (-sibling, SIGUSR1)) \
  X (pidfd_signal_to_group_of_sibling, (int) syscall (SYS_pidfd_send_signal, process_descriptor (sibling), SIGUSR1, NULL, 4 /* PIDFD_SIGNAL_PROCESS_GROUP */)) \
  X (own_group, setpgid (0, 0)) \
  X (hang_up_group, hang_up_group ()) \
  /* other processes */ \
  X (read_memory_of_sibling, read_memory (sibling)) \
  X (read_memory_of_template, read_memory (template_pid)) \
  X (write_memory_of_sibling, write_memory (sibling)) \
  X (write_memory_of_template, write_memory (template_pid)) \
  X (trace_sibling, trace (sibling, PTRACE_SEIZE)) \
  X (trace_template, trace (template_pid, PTRACE_SEIZE)) \
  X (trace_application, trace (application, PTRACE_SEIZE)) \
  X (attach_to_sibling, trace (sibling, PTRACE_ATTACH)) \
  X (be_traced_by_parent, (int) ptrace (PTRACE_TRACEME, 0, 0, 0)) \
  X (descriptor_of_sibling, take_descriptor (sibling)) \
  X (descriptor_of_template, take_descriptor (template_pid)) \
  X (descriptor_of_application, take_descriptor (application)) \
  X (compare_with_sibling, (int) syscall (SYS_kcmp, getpid (), sibling, 2, 0, 0)) \
  X (limits_of_sibling, set_limit_of (sibling)) \
  X (limits_of_template, set_limit_of (template_pid)) \
  X (limits_of_application, set_limit_of (application)) \
  X (priority_of_sibling, setpriority (PRIO_PROCESS, sibling, 0)) \
  X (priority_of_group, setpriority (PRIO_PGRP, 0, getpriority (PRIO_PROCESS, 0))) \
  X (io_priority_of_sibling, (int) syscall (SYS_ioprio_set, 1, sibling, 2 << 13)) \
  X (processors_of_sibling, set_processors_of (sibling)) \
  X (processors_of_application, set_processors_of (application)) \
  X (scheduler_of_sibling, set_scheduler_of (sibling)) \
  X (attributes_of_sibling, set_attributes_of (sibling)) \
  X (attributes_of_application, set_attributes_of (application)) \
  X (move_memory_of_sibling, (int) syscall (SYS_move_pages, sibling, 0, NULL, NULL, NULL, 0)) \
  X (migrate_sibling, (int) syscall (SYS_migrate_pages, sibling, 8, (long[]){ 1 }, (long[]){ 1 })) \
  X (robust_list_of_sibling, (int) syscall (SYS_get_robust_list, sibling, (void *[]){ 0 }, (size_t[]){ 0 })) \
  X (release_memory_of_sibling, (int) syscall (440, process_descriptor (sibling), &(struct iovec){ (void *) ((size_t) memory & ~(size_t) 4095), 4096 }, 1, 20, 0)) \
  X (higher_priority, setpriority (PRIO_PROCESS, 0, -1)) \
  X (higher_priority_high_bits, (int) syscall (SYS_setpriority, PRIO_PROCESS | HIGH, 0, HIGH | (unsigned) -1)) \
  X (real_time, use_real_time ()) \
  X (program_of_sibling, link_of (sibling, "exe")) \
  X (program_of_template, link_of (template_pid, "exe")) \
  X (program_of_application, link_of (application, "exe")) \
  X (namespace_of_application, link_of (application, "ns/net")) \
  X (open_file_of_template, link_of (template_pid, "fd/0")) \
  X (directory_of_application, chdir (of_process (application, "cwd"))) \
  X (root_of_application, access (of_process (application, "root/etc"), F_OK)) \
  X (facts_about_application, ask_about (application, 0xc040ff0b /* PIDFD_GET_INFO */)) \
  X (namespace_by_descriptor, ask_about (application, 0xff04 /* PIDFD_GET_NET_NAMESPACE */)) \
  X (new_child_of_parent, new_process (CLONE_PARENT | SIGCHLD)) \
  /* namespaces and identity */ \
  X (new_user_namespace, unshare (CLONE_NEWUSER)) \
  X (new_mount_namespace, unshare (CLONE_NEWNS)) \
  X (new_network_namespace, unshare (CLONE_NEWNET)) \
  X (new_process_namespace, unshare (CLONE_NEWPID)) \
  X (new_host_namespace, unshare (CLONE_NEWUTS)) \
  X (new_ipc_namespace, unshare (CLONE_NEWIPC)) \
  X (new_cgroup_namespace, unshare (CLONE_NEWCGROUP)) \
  X (new_host_namespace_high_bits, (int) syscall ((long) (SYS_unshare | HIGH), CLONE_NEWUTS)) \
  X (new_time_namespace, unshare (0x80)) \
  X (clone_user_namespace, new_process (CLONE_NEWUSER)) \
  X (clone_mount_namespace, new_process (CLONE_NEWNS)) \
  X (clone_network_namespace, new_process (CLONE_NEWNET)) \
  X (clone_process_namespace, new_process (CLONE_NEWPID)) \
  X (clone3, call_clone3 ()) \
  X (join_network_namespace, join_namespace ("net")) \
  X (join_by_process, setns (process_descriptor (application), CLONE_NEWUTS)) \
  X (other_architecture, other_architecture ()) \
  X (other_numbers, (int) syscall (0x40000000 | SYS_getpid) /* of x32 */) \
  X (set_user, setuid (12345)) \
  X (set_users, setresuid (12345, 12345, 12345)) \
  X (set_group, setgid (12345)) \
  X (set_groups, (int) syscall (SYS_setgroups, 0, NULL)) \
  X (set_capabilities, set_capabilities ()) \
  X (set_secure_bits, prctl (PR_SET_SECUREBITS, SECBIT_NOROOT)) \
  X (set_dumpable, prctl (PR_SET_DUMPABLE, 1)) \
  X (set_subreaper, prctl (PR_SET_CHILD_SUBREAPER, 1)) \
  X (set_subreaper_high_bits, (int) syscall (SYS_prctl, PR_SET_CHILD_SUBREAPER | HIGH, 1, 0, 0, 0)) \
  X (set_personality, personality (ADDR_NO_RANDOMIZE)) \
  X (set_host_name, set_same_host_name ()) \
  X (adjust_clock, read_clock_state ())

ATTEMPTS (ESCAPE_DEFINE)

const struct escape_attempt escape_processes[] = { ATTEMPTS (ESCAPE_ENTRY) { NULL, NULL } };
