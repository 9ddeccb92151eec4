/* test-escape.c: ways out of a sandbox, for tests/escapes.c to have them tried
 *
 * It is a module, a program of its own, a part of a program that forks itself, and what
 * Python loads by ctypes. Each attempt is made in a fork of the worker, so that it has the
 * process to itself.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-module.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/securebits.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

EXPORT int escape_tries (int socket, const GForkArg *args, size_t n_args);
EXPORT int escape_sibling (int socket, const GForkArg *args, size_t n_args);
EXPORT int escape_main (int out, int argc, char **argv);

/* Where what there is to reach is: `key=value`, from the test. */
static const char *dir = "";
static const char *path_listener = "", *path_datagram = "", *abstract_name = "";
static int tcp_port, tcp6_port, udp_port;
static pid_t template_pid, sibling, application;
static int secret_fd = -1, dir_fd = -1, tcp_fd = -1, unix_fd = -1, terminal_fd = -1, listen_fd = -1;

/* What siblings see of each other. */
static volatile char memory[16] = "unchanged";
static volatile sig_atomic_t n_signals;

/* A path beneath the directory, in one of a few places. */
static const char *
in_dir (const char *name)
{
  static char paths[4][512];
  static unsigned next;

  next = (next + 1) % 4;
  snprintf (paths[next], sizeof paths[next], "%s/%s", dir, name);
  return paths[next];
}

static const char *
of_process (pid_t       pid,
            const char *file)
{
  static char path[64];

  snprintf (path, sizeof path, "/proc/%d/%s", pid, file);
  return path;
}

/* ——— Attempts that take more than a call ——— */

static int
list (const char *path)
{
  DIR *directory = opendir (path);

  return directory != NULL && readdir (directory) != NULL ? 0 : -1;
}

static int
read_file (const char *path)
{
  char byte;
  int fd = open (path, O_RDONLY);

  return fd >= 0 && read (fd, &byte, 1) >= 0 ? 0 : -1;
}

static int
read_beneath_path_only (void)
{
  int base = open (dir, O_PATH | O_DIRECTORY);

  return openat (base, "secret", O_RDONLY);
}

static int
read_after_chdir (void)
{
  return chdir (dir) != 0 ? -1 : open ("secret", O_RDONLY);
}

static int
read_by_handle (void)
{
  struct
  {
    struct file_handle handle;
    unsigned char bytes[128];
  } room = { .handle = { .handle_bytes = 128 } };
  int mount_id;

  if (name_to_handle_at (AT_FDCWD, in_dir ("secret"), &room.handle, &mount_id, 0) != 0)
    return -1;
  return open_by_handle_at (dir_fd, &room.handle, O_RDONLY);
}

static int
read_by_dlopen (void)
{
  if (dlopen (in_dir ("module.so"), RTLD_NOW) != NULL)
    return 0;
  errno = EACCES;
  return -1;
}

static int
call_openat2 (void)
{
  struct
  {
    unsigned long long flags, mode, resolve;
  } how = { .flags = O_RDONLY };

  return (int) syscall (437, AT_FDCWD, in_dir ("secret"), &how, sizeof how);
}

/* Opens again, for writing, what was opened for reading. */
static int
reopen (const char *what,
        int         flags)
{
  char path[64];

  snprintf (path, sizeof path, "/proc/%s/fd/%d", what, secret_fd);
  return open (path, flags);
}

static int
io_uring (void)
{
  char params[120] = "";

  return (int) syscall (425, 1, params);
}

static int
wait_for (pid_t pid)
{
  int status;

  if (pid < 0 || waitpid (pid, &status, 0) != pid)
    return -1;
  errno = WIFEXITED (status) ? WEXITSTATUS (status) : EINTR;
  return errno == 0 ? 0 : -1;
}

static int
execute (const char *path)
{
  pid_t pid = fork ();

  if (pid == 0)
    {
      execl (path, path, (char *) NULL);
      _exit (errno);
    }
  return wait_for (pid);
}

static int
spawn (const char *path)
{
  char *argv[] = { (char *) path, NULL }, *envp[] = { NULL };
  pid_t pid;
  int error = posix_spawn (&pid, path, NULL, NULL, argv, envp);

  if (error == 0)
    return wait_for (pid);
  errno = error;
  return -1;
}

static int
execute_by_loader (void)
{
  pid_t pid = fork ();

  if (pid == 0)
    {
      close (2); /* it would complain */
      execl ("/lib64/ld-linux-x86-64.so.2", "ld.so", "/bin/true", (char *) NULL);
      _exit (errno);
    }
  return wait_for (pid);
}

/* The secret is a script, and can be executed. */
static int
copy_of_script (unsigned flags)
{
  char bytes[64];
  ssize_t n = pread (secret_fd, bytes, sizeof bytes, 0);
  int fd = (int) syscall (SYS_memfd_create, "program", flags);

  return n > 0 && fd >= 0 && write (fd, bytes, n) == n ? fd : -1;
}

enum how
{
  BY_PATH,
  BY_EXECVEAT,
  BY_FEXECVE
};

static int
execute_descriptor (int      fd,
                    enum how how)
{
  pid_t pid;

  if (fd < 0)
    return -1;
  pid = fork ();
  if (pid == 0)
    {
      char path[64], *argv[] = { path, NULL }, *envp[] = { NULL };

      snprintf (path, sizeof path, "/proc/self/fd/%d", fd);
      if (how == BY_PATH)
        execve (path, argv, envp);
      else if (how == BY_EXECVEAT)
        syscall (SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
      else
        fexecve (fd, argv, envp);
      _exit (errno);
    }
  return wait_for (pid);
}

static int
execute_vfork (void)
{
  volatile int error = 0;
  pid_t pid = vfork ();

  if (pid == 0)
    {
      execl ("/bin/true", "true", (char *) NULL);
      error = errno;
      _exit (1);
    }
  waitpid (pid, NULL, 0);
  errno = error;
  return error == 0 ? 0 : -1;
}

static int
shared_memory_name (void)
{
  int result = shm_open ("/gspawnfork-escape", O_CREAT | O_RDWR, 0600);

  if (result >= 0)
    shm_unlink ("/gspawnfork-escape");
  return result;
}

static int
named_semaphore (void)
{
  if (sem_open ("/gspawnfork-escape", O_CREAT, 0600, 0) == SEM_FAILED)
    return -1;
  return sem_unlink ("/gspawnfork-escape");
}

static int
message_queue (void)
{
  int result = mq_open ("/gspawnfork-escape", O_CREAT | O_RDWR, 0600, NULL);

  if (result >= 0)
    mq_unlink ("/gspawnfork-escape");
  return result;
}

static int
mount_memory (void)
{
  if (mount ("none", in_dir ("empty"), "tmpfs", 0, NULL) != 0)
    return -1;
  return umount2 (in_dir ("empty"), MNT_DETACH);
}

static int
bind_mount (void)
{
  if (mount (dir, in_dir ("empty"), NULL, MS_BIND, NULL) != 0)
    return -1;
  return umount2 (in_dir ("empty"), MNT_DETACH);
}

static int
watch_files (void)
{
  return inotify_add_watch (inotify_init1 (0), dir, IN_ALL_EVENTS);
}

static int
watch_all_files (void)
{
  int fd = fanotify_init (FAN_CLASS_NOTIF, O_RDONLY);

  return fanotify_mark (fd, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, dir);
}

/* Others that open the file have to wait for whoever has a lease. */
static int
lease (void)
{
  return fcntl (secret_fd, F_SETLEASE, F_RDLCK) != 0 ? -1
                                                     : fcntl (secret_fd, F_SETLEASE, F_UNLCK);
}

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
process_descriptor (pid_t pid)
{
  return (int) syscall (SYS_pidfd_open, pid, 0);
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

/* ——— Sockets ——— */

static socklen_t
path_address (struct sockaddr_un *address,
              const char         *path)
{
  memset (address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  snprintf (address->sun_path, sizeof address->sun_path, "%s", path);
  return sizeof *address;
}

static socklen_t
abstract_address (struct sockaddr_un *address,
                  const char         *name)
{
  memset (address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  snprintf (address->sun_path + 1, sizeof address->sun_path - 1, "%s", name);
  return (socklen_t) (offsetof (struct sockaddr_un, sun_path) + 1 + strlen (name));
}

static int
connect_unix (int fd,
              int is_abstract)
{
  struct sockaddr_un address;
  socklen_t length = is_abstract ? abstract_address (&address, abstract_name)
                                 : path_address (&address, path_listener);

  return connect (fd, (struct sockaddr *) &address, length);
}

static int
send_to_path (int fd)
{
  struct sockaddr_un address;
  socklen_t length = path_address (&address, path_datagram);

  return (int) sendto (fd, "x", 1, 0, (struct sockaddr *) &address, length);
}

/* Half of such a pair can send to anybody. */
static int
send_by_pair (void)
{
  int fds[2];

  return socketpair (AF_UNIX, SOCK_DGRAM, 0, fds) != 0 ? -1 : send_to_path (fds[0]);
}

static struct sockaddr_in
ip_address (int port)
{
  return (struct sockaddr_in){ AF_INET, htons (port), { htonl (INADDR_LOOPBACK) }, { 0 } };
}

static int
connect_ip (int fd)
{
  struct sockaddr_in address = ip_address (tcp_port);

  return connect (fd, (struct sockaddr *) &address, sizeof address);
}

static int
connect_ip6 (int fd)
{
  struct sockaddr_in6 address = { AF_INET6, htons (tcp6_port), 0, IN6ADDR_LOOPBACK_INIT, 0 };

  return connect (fd, (struct sockaddr *) &address, sizeof address);
}

static int
send_ip (int fd,
         int port,
         int flags)
{
  struct sockaddr_in address = ip_address (port);

  return (int) sendto (fd, "x", 1, flags, (struct sockaddr *) &address, sizeof address);
}

static int
send_ip_message (int fd,
                 int many)
{
  struct sockaddr_in address = ip_address (tcp_port);
  struct iovec bytes = { (void *) "x", 1 };
  struct mmsghdr message = { { &address, sizeof address, &bytes, 1, NULL, 0, 0 }, 0 };

  return many ? sendmmsg (fd, &message, 1, MSG_FASTOPEN)
              : (int) sendmsg (fd, &message.msg_hdr, MSG_FASTOPEN);
}

static int
bind_ip (int fd)
{
  struct sockaddr_in address = ip_address (0);

  return bind (fd, (struct sockaddr *) &address, sizeof address);
}

static int
bind_unix (const char *path,
           int         is_abstract)
{
  struct sockaddr_un address;
  socklen_t length = is_abstract ? abstract_address (&address, path)
                                 : path_address (&address, path);

  return bind (socket (AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *) &address, length);
}

/* ——— The rest of the kernel ——— */

static int
use_bpf (void)
{
  union bpf_attr attributes = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4,
                                .max_entries = 1 };

  return (int) syscall (SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes);
}

static int
use_perf (pid_t pid)
{
  struct perf_event_attr attributes = { .type = PERF_TYPE_SOFTWARE, .size = sizeof attributes,
                                        .config = PERF_COUNT_SW_TASK_CLOCK };

  return (int) syscall (SYS_perf_event_open, &attributes, pid, -1, -1, 0);
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
system_v (int what)
{
  int id = what == 0   ? shmget (IPC_PRIVATE, 4096, 0600)
           : what == 1 ? semget (IPC_PRIVATE, 1, 0600)
                       : msgget (IPC_PRIVATE, 0600);

  if (id < 0)
    return -1;
  return what == 0 ? shmctl (id, IPC_RMID, NULL)
         : what == 1 ? semctl (id, 0, IPC_RMID)
                     : msgctl (id, IPC_RMID, NULL);
}

static int
page_cache (void)
{
  unsigned char pages[1];

  return mincore ((void *) ((size_t) memory & ~(size_t) 4095), 4096, pages);
}

static int
type_on_terminal (unsigned long request)
{
  return (int) syscall (SYS_ioctl, terminal_fd, request, "x");
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

/* ——— All of them ——— */

#define HIGH (1ul << 32) /* which the kernel does not look at in an int */

#define ATTEMPTS(X) \
  /* reading files */ \
  X (read, read_file (in_dir ("secret"))) \
  X (read_link, read_file (in_dir ("link"))) \
  X (read_beneath_path_only, read_beneath_path_only ()) \
  X (read_after_chdir, read_after_chdir ()) \
  X (read_from_root, openat (open ("/", O_PATH), in_dir ("secret") + 1, O_RDONLY)) \
  X (read_above_sent_directory, openat (dir_fd, "../../etc/passwd", O_RDONLY)) \
  X (read_by_proc_root, openat (open ("/proc/self/root", O_PATH), in_dir ("secret") + 1, O_RDONLY)) \
  X (read_by_handle, read_by_handle ()) \
  X (read_by_openat2, call_openat2 ()) \
  X (read_by_io_uring, io_uring ()) \
  X (read_by_dlopen, read_by_dlopen ()) \
  X (read_passwords, read_file ("/etc/passwd")) \
  X (list_directory, list (dir)) \
  X (list_root, list ("/")) \
  X (list_sent_directory, openat (dir_fd, "subdirectory", O_RDONLY | O_DIRECTORY)) \
  X (read_beneath_sent_directory, openat (dir_fd, "secret", O_RDONLY)) \
  X (read_attribute, (int) getxattr (in_dir ("secret"), "user.a", (char[16]){ 0 }, 16)) \
  X (read_attribute_of_link, (int) lgetxattr (in_dir ("secret"), "user.a", (char[16]){ 0 }, 16)) \
  X (list_attributes, (int) listxattr (in_dir ("secret"), (char[256]){ 0 }, 256)) \
  X (read_attribute_of_sent, (int) fgetxattr (secret_fd, "user.a", (char[16]){ 0 }, 16)) \
  X (watch_files, watch_files ()) \
  X (watch_all_files, watch_all_files ()) \
  X (notify_of_directory, (int) syscall (SYS_fcntl, dir_fd, F_NOTIFY, DN_CREATE)) \
  X (lease, lease ()) \
  /* /proc, /sys and /dev */ \
  X (own_environment, read_file ("/proc/self/environ")) \
  X (own_map, read_file ("/proc/self/maps")) \
  X (own_memory, open ("/proc/self/mem", O_RDWR)) \
  X (own_descriptors, list ("/proc/self/fd")) \
  X (all_processes, list ("/proc")) \
  X (memory_of_template, open (of_process (template_pid, "mem"), O_RDWR)) \
  X (memory_of_sibling, open (of_process (sibling, "mem"), O_RDWR)) \
  X (memory_of_application, open (of_process (application, "mem"), O_RDWR)) \
  X (environment_of_application, read_file (of_process (application, "environ"))) \
  X (command_line_of_application, read_file (of_process (application, "cmdline"))) \
  X (descriptors_of_template, list (of_process (template_pid, "fd"))) \
  X (descriptors_of_application, list (of_process (application, "fd"))) \
  X (map_of_sibling, read_file (of_process (sibling, "maps"))) \
  X (own_oom_score, open ("/proc/self/oom_score_adj", O_WRONLY)) \
  X (system_requests, open ("/proc/sysrq-trigger", O_WRONLY)) \
  X (core_pattern, open ("/proc/sys/kernel/core_pattern", O_RDWR)) \
  X (mounts, read_file ("/proc/self/mountinfo")) \
  X (devices_of_system, list ("/sys")) \
  X (dev_zero, open ("/dev/zero", O_RDWR)) \
  X (dev_full, open ("/dev/full", O_RDWR)) \
  X (dev_random, open ("/dev/random", O_RDONLY)) \
  X (dev_kmsg, open ("/dev/kmsg", O_RDONLY)) \
  X (dev_ptmx, open ("/dev/ptmx", O_RDWR)) \
  X (dev_list, list ("/dev")) \
  X (write_to_urandom, open ("/dev/urandom", O_WRONLY)) \
  /* executing */ \
  X (execute, execute ("/bin/true")) \
  X (execute_shell, execute ("/bin/sh")) \
  X (execute_script, execute (in_dir ("secret"))) \
  X (execute_by_vfork, execute_vfork ()) \
  X (execute_by_spawn, spawn ("/bin/true")) \
  X (execute_by_loader, execute_by_loader ()) \
  X (execute_memory, execute_descriptor (copy_of_script (0), BY_PATH)) \
  X (execute_memory_at, execute_descriptor (copy_of_script (0), BY_EXECVEAT)) \
  X (execute_memory_descriptor, execute_descriptor (copy_of_script (0), BY_FEXECVE)) \
  X (execute_memory_said_executable, execute_descriptor (copy_of_script (0x10 /* MFD_EXEC */), BY_EXECVEAT)) \
  X (execute_sent, execute_descriptor (dup (secret_fd), BY_PATH)) \
  X (execute_sent_at, execute_descriptor (dup (secret_fd), BY_EXECVEAT)) \
  /* writing files */ \
  X (write, open (in_dir ("secret"), O_WRONLY)) \
  X (read_and_write, open (in_dir ("secret"), O_RDWR)) \
  X (append, open (in_dir ("secret"), O_WRONLY | O_APPEND)) \
  X (create, open (in_dir ("new"), O_WRONLY | O_CREAT, 0600)) \
  X (create_by_creat, creat (in_dir ("new-creat"), 0600)) \
  X (create_setuid, open (in_dir ("new-setuid"), O_WRONLY | O_CREAT, 04755)) \
  X (create_unnamed, open (dir, O_TMPFILE | O_RDWR, 0600)) \
  X (create_beneath_sent_directory, openat (dir_fd, "new-at", O_WRONLY | O_CREAT, 0600)) \
  X (truncate, truncate (in_dir ("victim"), 0)) \
  X (truncate_by_open, open (in_dir ("victim"), O_RDONLY | O_TRUNC)) \
  X (reopen_for_writing, reopen ("self", O_RDWR)) \
  X (reopen_by_thread, reopen ("thread-self", O_WRONLY)) \
  X (make_directory, mkdir (in_dir ("new-directory"), 0700)) \
  X (make_directory_at, mkdirat (dir_fd, "new-directory-at", 0700)) \
  X (remove_directory, rmdir (in_dir ("subdirectory"))) \
  X (rename, rename (in_dir ("victim"), in_dir ("renamed"))) \
  X (rename_exchange, renameat2 (AT_FDCWD, in_dir ("link"), AT_FDCWD, in_dir ("renamed"), RENAME_EXCHANGE)) \
  X (unlink, unlink (in_dir ("renamed"))) \
  X (unlink_at, unlinkat (dir_fd, "link", 0)) \
  X (hard_link, link (in_dir ("secret"), in_dir ("new-link"))) \
  X (hard_link_of_sent, linkat (secret_fd, "", dir_fd, "new-link-of-sent", AT_EMPTY_PATH)) \
  X (symbolic_link, symlink ("/etc/passwd", in_dir ("new-symlink"))) \
  X (make_fifo, mkfifo (in_dir ("new-fifo"), 0600)) \
  X (make_character_device, mknod (in_dir ("new-null"), S_IFCHR | 0600, 0x103)) \
  X (make_block_device, mknod (in_dir ("new-block"), S_IFBLK | 0600, 0x700)) \
  X (make_node, mknodat (dir_fd, "new-node", S_IFREG | 0600, 0)) \
  X (make_socket, bind_unix (in_dir ("new-socket"), 0)) \
  X (chmod, chmod (in_dir ("secret"), 0777)) \
  X (chmod_at, fchmodat (dir_fd, "secret", 0777, 0)) \
  X (chmod_sent, fchmod (secret_fd, 04777)) \
  X (chown, chown (in_dir ("secret"), getuid (), getgid ())) \
  X (chown_link, lchown (in_dir ("secret"), getuid (), getgid ())) \
  X (chown_at, fchownat (dir_fd, "secret", getuid (), getgid (), 0)) \
  X (chown_sent, fchown (secret_fd, getuid (), getgid ())) \
  X (times, utimes (in_dir ("secret"), (struct timeval[2]){ { 1, 0 }, { 1, 0 } })) \
  X (times_at, utimensat (dir_fd, "secret", (struct timespec[2]){ { 1, 0 }, { 1, 0 } }, 0)) \
  X (times_of_sent, futimens (secret_fd, (struct timespec[2]){ { 1, 0 }, { 1, 0 } })) \
  X (set_attribute, setxattr (in_dir ("secret"), "user.b", "b", 1, 0)) \
  X (set_attribute_of_sent, fsetxattr (secret_fd, "user.c", "c", 1, 0)) \
  X (remove_attribute, removexattr (in_dir ("secret"), "user.a")) \
  X (change_root, chroot (dir)) \
  X (mount_memory, mount_memory ()) \
  X (mount_directory, bind_mount ()) \
  X (mount_context, (int) syscall (430, "tmpfs", 0)) \
  X (mount_tree, (int) syscall (428, AT_FDCWD, dir, 1)) \
  X (shared_memory_name, shared_memory_name ()) \
  X (named_semaphore, named_semaphore ()) \
  X (message_queue, message_queue ()) \
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
  X (new_child_of_parent, new_process (CLONE_PARENT | SIGCHLD)) \
  /* namespaces and identity */ \
  X (new_user_namespace, unshare (CLONE_NEWUSER)) \
  X (new_mount_namespace, unshare (CLONE_NEWNS)) \
  X (new_network_namespace, unshare (CLONE_NEWNET)) \
  X (new_process_namespace, unshare (CLONE_NEWPID)) \
  X (new_host_namespace, unshare (CLONE_NEWUTS)) \
  X (new_ipc_namespace, unshare (CLONE_NEWIPC)) \
  X (new_cgroup_namespace, unshare (CLONE_NEWCGROUP)) \
  X (new_time_namespace, unshare (0x80)) \
  X (clone_user_namespace, new_process (CLONE_NEWUSER)) \
  X (clone_mount_namespace, new_process (CLONE_NEWNS)) \
  X (clone_network_namespace, new_process (CLONE_NEWNET)) \
  X (clone_process_namespace, new_process (CLONE_NEWPID)) \
  X (clone3, call_clone3 ()) \
  X (join_network_namespace, join_namespace ("net")) \
  X (join_by_process, setns (process_descriptor (application), CLONE_NEWUTS)) \
  X (other_architecture, other_architecture ()) \
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
  X (adjust_clock, read_clock_state ()) \
  /* sockets */ \
  X (connect_to_path, connect_unix (socket (AF_UNIX, SOCK_STREAM, 0), 0)) \
  X (connect_to_abstract, connect_unix (socket (AF_UNIX, SOCK_STREAM, 0), 1)) \
  X (connect_sent_to_path, connect_unix (unix_fd, 0)) \
  X (send_to_path, send_to_path (socket (AF_UNIX, SOCK_DGRAM, 0))) \
  X (send_to_path_by_pair, send_by_pair ()) \
  X (connect_tcp, connect_ip (socket (AF_INET, SOCK_STREAM, 0))) \
  X (connect_tcp6, connect_ip6 (socket (AF_INET6, SOCK_STREAM, 0))) \
  X (connect_mptcp, connect_ip (socket (AF_INET, SOCK_STREAM, 262))) \
  X (listen_on_sent, listen (listen_fd, 1)) \
  X (connect_sent, connect_ip (tcp_fd)) \
  X (send_udp, send_ip (socket (AF_INET, SOCK_DGRAM, 0), udp_port, 0)) \
  X (send_udplite, socket (AF_INET, SOCK_DGRAM, 136)) \
  X (raw_socket, socket (AF_INET, SOCK_RAW, IPPROTO_ICMP)) \
  X (ping_socket, socket (AF_INET, SOCK_DGRAM, IPPROTO_ICMP)) \
  X (packet_socket, socket (AF_PACKET, SOCK_RAW, 0)) \
  X (netlink_socket, socket (AF_NETLINK, SOCK_RAW, 0)) \
  X (uevent_socket, socket (AF_NETLINK, SOCK_DGRAM, 15)) \
  X (netfilter_socket, socket (AF_NETLINK, SOCK_RAW, 12)) \
  X (vsock_socket, socket (AF_VSOCK, SOCK_STREAM, 0)) \
  X (crypto_socket, socket (AF_ALG, SOCK_SEQPACKET, 0)) \
  X (key_socket, socket (AF_KEY, SOCK_RAW, 2)) \
  X (bind_tcp, bind_ip (socket (AF_INET, SOCK_STREAM, 0))) \
  X (bind_udp, bind_ip (socket (AF_INET, SOCK_DGRAM, 0))) \
  X (bind_abstract, bind_unix ("gspawnfork-escape", 1)) \
  X (listen_tcp, listen (socket (AF_INET, SOCK_STREAM, 0), 1)) \
  X (fast_open, send_ip (socket (AF_INET, SOCK_STREAM, 0), tcp_port, MSG_FASTOPEN)) \
  X (fast_open_message, send_ip_message (socket (AF_INET, SOCK_STREAM, 0), 0)) \
  X (fast_open_messages, send_ip_message (socket (AF_INET, SOCK_STREAM, 0), 1)) \
  /* the rest of the kernel */ \
  X (use_bpf, use_bpf ()) \
  X (count_events, use_perf (0)) \
  X (count_events_of_sibling, use_perf (sibling)) \
  X (add_key, (int) syscall (SYS_add_key, "user", "gspawnfork-escape", "x", 1, KEY_SPEC_PROCESS_KEYRING)) \
  X (join_keyring, (int) syscall (SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "gspawnfork-escape", 0, 0, 0)) \
  X (find_keyring, (int) syscall (SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 1, 0, 0)) \
  X (page_faults, (int) syscall (SYS_userfaultfd, 1)) \
  X (shared_memory, system_v (0)) \
  X (semaphores, system_v (1)) \
  X (messages, system_v (2)) \
  X (page_cache, page_cache ()) \
  X (kernel_log, (int) syscall (SYS_syslog, 10, NULL, 0)) \
  X (type_on_terminal, type_on_terminal (TIOCSTI)) \
  X (type_on_terminal_high_bits, type_on_terminal (TIOCSTI | HIGH)) \
  X (resize_terminal, ioctl (terminal_fd, TIOCSWINSZ, &(struct winsize){ 1, 1, 0, 0 })) \
  X (take_terminal, setsid () < 0 ? -1 : ioctl (terminal_fd, TIOCSCTTY, 0)) \
  X (break_terminal, ioctl (terminal_fd, TCFLSH, 0)) \
  X (change_terminal, ioctl (terminal_fd, 0x5402 /* TCSETS */, (char[64]){ 0 })) \
  X (accounting, (int) syscall (SYS_acct, NULL)) \
  X (quota, (int) syscall (SYS_quotactl, 0x80000100 /* Q_SYNC */, NULL, 0, NULL)) \
  X (other_ports, (int) syscall (SYS_ioperm, 0x80, 1, 1)) \
  X (descriptor_tables, (int) syscall (SYS_modify_ldt, 0, (char[64]){ 0 }, 64)) \
  X (lock_memory, mlockall (MCL_CURRENT))

#define DEFINE(name, ...) \
  static int try_##name (void) { return (__VA_ARGS__); }
#define ENTRY(name, ...) { #name, try_##name },

/* Numbers that only some architectures have. */
#ifndef SYS_ioperm
#define SYS_ioperm (-1)
#endif
#ifndef SYS_modify_ldt
#define SYS_modify_ldt (-1)
#endif

ATTEMPTS (DEFINE)

static const struct
{
  const char *name;
  int (*attempt) (void);
} attempts[] = { ATTEMPTS (ENTRY) };

static void
learn (const char *word)
{
  const char *value = strchr (word, '=');

  if (value == NULL)
    return;
  value++;
#define TEXT(name) if (strncmp (word, #name "=", sizeof #name) == 0) name = strdup (value)
#define NUMBER(name) if (strncmp (word, #name "=", sizeof #name) == 0) name = atoi (value)
  TEXT (dir);
  TEXT (path_listener);
  TEXT (path_datagram);
  TEXT (abstract_name);
  NUMBER (tcp_port);
  NUMBER (tcp6_port);
  NUMBER (udp_port);
  NUMBER (template_pid);
  NUMBER (sibling);
  NUMBER (application);
  NUMBER (secret_fd);
  NUMBER (dir_fd);
  NUMBER (tcp_fd);
  NUMBER (unix_fd);
  NUMBER (terminal_fd);
  NUMBER (listen_fd);
}

/* Returns 0 if it succeeded, the errno if it was refused, 255 if it was killed. */
static int
make_attempt (size_t i)
{
  int status;
  pid_t pid = fork ();

  if (pid == 0)
    {
      alarm (20);
      signal (SIGURG, SIG_IGN);
      errno = 0;
      if (attempts[i].attempt () >= 0)
        _exit (0);
      _exit (errno != 0 ? errno : 254);
    }
  while (pid > 0 && waitpid (pid, &status, 0) < 0 && errno == EINTR)
    ;
  return pid > 0 && WIFEXITED (status) ? WEXITSTATUS (status) : 255;
}

/* Makes all attempts, and writes a line about each. */
int
escape_main (int    out,
             int    argc,
             char **argv)
{
  for (int i = 0; i < argc; i++)
    learn (argv[i]);

  for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++)
    dprintf (out, "%s %d\n", attempts[i].name, make_attempt (i));
  return 0;
}

int
escape_tries (int             socket,
              const GForkArg *args,
              size_t          n_args)
{
  int *const fds[] = { &secret_fd, &dir_fd, &tcp_fd, &unix_fd, &terminal_fd, &listen_fd };
  size_t n_fds = 0;

  for (size_t i = 0; i < n_args; i++)
    if (args[i].fd < 0)
      learn (args[i].data);
    else if (n_fds < sizeof fds / sizeof *fds)
      *fds[n_fds++] = args[i].fd;

  return escape_main (socket, 0, NULL);
}

static void
count_signal (int signum)
{
  (void) signum;
  n_signals = n_signals + 1;
}

/* Says, whenever it is asked, how many signals it got and what its memory is. */
int
escape_sibling (int             socket,
                const GForkArg *args,
                size_t          n_args)
{
  char byte;

  (void) args;
  (void) n_args;
  signal (SIGUSR1, count_signal);
  signal (SIGURG, count_signal);
  for (;;)
    {
      ssize_t n = read (socket, &byte, 1);

      if (n == 0)
        return 0;
      if (n == 1 && byte == '\n')
        dprintf (socket, "%d %s\n", (int) n_signals, (const char *) memory);
    }
}

#ifdef ESCAPE_PROGRAM
int
main (int    argc,
      char **argv)
{
  return escape_main (1, argc, argv);
}
#endif
