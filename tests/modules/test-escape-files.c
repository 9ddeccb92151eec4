/* test-escape-files.c: ways out of a sandbox by files
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-escape.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <semaphore.h>
#include <spawn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

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
  } space = { .handle = { .handle_bytes = 128 } };
  int mount_id;

  if (name_to_handle_at (AT_FDCWD, in_dir ("secret"), &space.handle, &mount_id, 0) != 0)
    return -1;
  return open_by_handle_at (dir_fd, &space.handle, O_RDONLY);
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

/* Processes that open the file have to wait for the one that has a lease. */
static int
lease (void)
{
  return fcntl (secret_fd, F_SETLEASE, F_RDLCK) != 0 ? -1
                                                     : fcntl (secret_fd, F_SETLEASE, F_UNLCK);
}

/* ——— All of them ——— */

/* Memory that is shared and has no name can be reached like a file, by root. */
static int
execute_shared_memory (void)
{
  static const char script[] = "#!/lib64/ld-linux-x86-64.so.2 --version\n";
  char path[96], *argv[] = { path, NULL };
  char *bytes = mmap (NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t pid;

  if (bytes == MAP_FAILED)
    return -1;
  memcpy (bytes, script, sizeof script - 1);
  snprintf (path, sizeof path, "/proc/self/map_files/%lx-%lx", (long) bytes, (long) bytes + 4096);
  pid = fork ();
  if (pid == 0)
    {
      dup2 (open ("/dev/null", O_WRONLY), 1);
      execv (path, argv);
      _exit (errno);
    }
  return wait_for (pid);
}

/* The kernel writes it. */
static int
dump_core (void)
{
  struct rlimit limit = { 1 << 20, 1 << 20 };

  if (chdir (dir) != 0 || setrlimit (RLIMIT_CORE, &limit) != 0)
    return -1;
  if (fork () == 0)
    abort ();
  wait (NULL);
  return access ("core", F_OK);
}

/* What is left behind is a device. */
static int
rename_and_leave_device (void)
{
  return (int) syscall (SYS_renameat2, AT_FDCWD, in_dir ("secret"), AT_FDCWD, in_dir ("secret-moved"), 1 << 2)
             != 0 ? -1 : rename (in_dir ("secret-moved"), in_dir ("secret"));
}

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
  X (execute_shared_memory, execute_shared_memory ()) \
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
  X (rename_and_leave_device, rename_and_leave_device ()) \
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
  X (dump_core, dump_core ()) \
  X (shared_memory_name, shared_memory_name ()) \
  X (named_semaphore, named_semaphore ()) \
  X (message_queue, message_queue ())

ATTEMPTS (ESCAPE_DEFINE)

const struct escape_attempt escape_files[] = { ATTEMPTS (ESCAPE_ENTRY) { NULL, NULL } };
