/* filter.c: tests of a service whose system calls are filtered
 *
 * The library needs no more system calls than systemd allows with
 * SystemCallFilter=@system-service, and @sandbox to confine workers. Any other call kills the
 * process, as is systemd's default. So does making or entering a namespace, which neither Flatpak
 * nor RestrictNamespaces=yes lets a program do.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The set, as systemd 252 lists it; without what only other architectures have, and without
 * setns() and unshare(). clone() and clone3() are looked at more closely. The number is a
 * string, because a call that this architecture has not is no number. */
#define CALL(name) { #name, G_STRINGIFY (SYS_##name) },

static const struct
{
  const char *name;
  const char *number;
} system_service[] = {
  CALL (accept) CALL (accept4) CALL (access) CALL (add_key) CALL (alarm) CALL (arch_prctl)
  CALL (bind) CALL (brk) CALL (capget) CALL (capset) CALL (chdir) CALL (chmod) CALL (chown)
  CALL (clock_getres) CALL (clock_gettime) CALL (clock_nanosleep)
  CALL (close) CALL (close_range) CALL (connect) CALL (copy_file_range) CALL (creat) CALL (dup)
  CALL (dup2) CALL (dup3) CALL (epoll_create) CALL (epoll_create1) CALL (epoll_ctl)
  CALL (epoll_pwait) CALL (epoll_pwait2) CALL (epoll_wait) CALL (eventfd) CALL (eventfd2)
  CALL (execve) CALL (execveat) CALL (exit) CALL (exit_group) CALL (faccessat) CALL (faccessat2)
  CALL (fadvise64) CALL (fallocate) CALL (fchdir) CALL (fchmod) CALL (fchmodat) CALL (fchmodat2)
  CALL (fchown) CALL (fchownat) CALL (fcntl) CALL (fdatasync) CALL (fgetxattr) CALL (flistxattr)
  CALL (flock) CALL (fork) CALL (fremovexattr) CALL (fsetxattr) CALL (fstat) CALL (fstatfs)
  CALL (fsync) CALL (ftruncate) CALL (futex) CALL (futex_waitv) CALL (futimesat)
  CALL (get_mempolicy) CALL (get_robust_list) CALL (get_thread_area) CALL (getcpu) CALL (getcwd)
  CALL (getdents) CALL (getdents64) CALL (getegid) CALL (geteuid) CALL (getgid) CALL (getgroups)
  CALL (getitimer) CALL (getpeername) CALL (getpgid) CALL (getpgrp) CALL (getpid) CALL (getppid)
  CALL (getpriority) CALL (getrandom) CALL (getresgid) CALL (getresuid) CALL (getrlimit)
  CALL (getrusage) CALL (getsid) CALL (getsockname) CALL (getsockopt) CALL (gettid)
  CALL (gettimeofday) CALL (getuid) CALL (getxattr) CALL (inotify_add_watch) CALL (inotify_init)
  CALL (inotify_init1) CALL (inotify_rm_watch) CALL (io_cancel) CALL (io_destroy)
  CALL (io_getevents) CALL (io_pgetevents) CALL (io_setup) CALL (io_submit) CALL (io_uring_enter)
  CALL (io_uring_register) CALL (io_uring_setup) CALL (ioctl) CALL (ioprio_get) CALL (ioprio_set)
  CALL (kcmp) CALL (keyctl) CALL (kill) CALL (lchown) CALL (lgetxattr) CALL (link) CALL (linkat)
  CALL (listen) CALL (listxattr) CALL (llistxattr) CALL (lremovexattr) CALL (lseek)
  CALL (lsetxattr) CALL (lstat) CALL (madvise) CALL (mbind) CALL (membarrier) CALL (memfd_create)
  CALL (migrate_pages) CALL (mkdir) CALL (mkdirat) CALL (mknod) CALL (mknodat) CALL (mlock)
  CALL (mlock2) CALL (mlockall) CALL (mmap) CALL (move_pages) CALL (mprotect) CALL (mq_getsetattr)
  CALL (mq_notify) CALL (mq_open) CALL (mq_timedreceive) CALL (mq_timedsend) CALL (mq_unlink)
  CALL (mremap) CALL (msgctl) CALL (msgget) CALL (msgrcv) CALL (msgsnd) CALL (msync)
  CALL (munlock) CALL (munlockall) CALL (munmap) CALL (name_to_handle_at) CALL (nanosleep)
  CALL (newfstatat) CALL (open) CALL (openat) CALL (openat2) CALL (pause) CALL (personality)
  CALL (pidfd_open) CALL (pidfd_send_signal) CALL (pipe) CALL (pipe2) CALL (poll) CALL (ppoll)
  CALL (prctl) CALL (pread64) CALL (preadv) CALL (preadv2) CALL (prlimit64) CALL (process_madvise)
  CALL (process_vm_readv) CALL (process_vm_writev) CALL (pselect6) CALL (pwrite64) CALL (pwritev)
  CALL (pwritev2) CALL (read) CALL (readahead) CALL (readlink) CALL (readlinkat) CALL (readv)
  CALL (recvfrom) CALL (recvmmsg) CALL (recvmsg) CALL (remap_file_pages) CALL (removexattr)
  CALL (rename) CALL (renameat) CALL (renameat2) CALL (request_key) CALL (restart_syscall)
  CALL (rmdir) CALL (rseq) CALL (rt_sigaction) CALL (rt_sigpending) CALL (rt_sigprocmask)
  CALL (rt_sigqueueinfo) CALL (rt_sigreturn) CALL (rt_sigsuspend) CALL (rt_sigtimedwait)
  CALL (rt_tgsigqueueinfo) CALL (sched_get_priority_max) CALL (sched_get_priority_min)
  CALL (sched_getaffinity) CALL (sched_getattr) CALL (sched_getparam) CALL (sched_getscheduler)
  CALL (sched_rr_get_interval) CALL (sched_setaffinity) CALL (sched_setattr) CALL (sched_setparam)
  CALL (sched_setscheduler) CALL (sched_yield) CALL (select) CALL (semctl) CALL (semget)
  CALL (semop) CALL (semtimedop) CALL (sendfile) CALL (sendmmsg) CALL (sendmsg) CALL (sendto)
  CALL (set_mempolicy) CALL (set_mempolicy_home_node) CALL (set_robust_list)
  CALL (set_thread_area) CALL (set_tid_address) CALL (setfsgid) CALL (setfsuid) CALL (setgid)
  CALL (setgroups) CALL (setitimer) CALL (setpgid) CALL (setpriority) CALL (setregid)
  CALL (setresgid) CALL (setresuid) CALL (setreuid) CALL (setrlimit) CALL (setsid)
  CALL (setsockopt) CALL (setuid) CALL (setxattr) CALL (shmat) CALL (shmctl) CALL (shmdt)
  CALL (shmget) CALL (shutdown) CALL (sigaltstack) CALL (signalfd) CALL (signalfd4) CALL (socket)
  CALL (socketpair) CALL (splice) CALL (stat) CALL (statfs) CALL (statx) CALL (symlink)
  CALL (symlinkat) CALL (sync) CALL (sync_file_range) CALL (sync_file_range2) CALL (syncfs)
  CALL (sysinfo) CALL (tee) CALL (tgkill) CALL (time) CALL (timer_create) CALL (timer_delete)
  CALL (timer_getoverrun) CALL (timer_gettime) CALL (timer_settime) CALL (timerfd_create)
  CALL (timerfd_gettime) CALL (timerfd_settime) CALL (times) CALL (tkill) CALL (truncate)
  CALL (umask) CALL (uname) CALL (unlink) CALL (unlinkat) CALL (userfaultfd)
  CALL (utime) CALL (utimensat) CALL (utimes) CALL (vfork) CALL (vmsplice) CALL (wait4)
  CALL (waitid) CALL (write) CALL (writev)
}, sandbox_calls[] = {
  CALL (landlock_add_rule) CALL (landlock_create_ruleset) CALL (landlock_restrict_self)
  CALL (seccomp)
};

#define NAMESPACES (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER \
                    | CLONE_NEWPID | CLONE_NEWNET)

/* Where clone() has its flags. */
#if defined (__s390__)
#define CLONE_FLAGS 1
#else
#define CLONE_FLAGS 0
#endif
#define LOW_HALF (G_BYTE_ORDER == G_BIG_ENDIAN ? 4 : 0)

/* Lets through what is in the sets, and kills at everything else. */
static gboolean
install_filter (void)
{
  const struct sock_filter clones[] = {
    /* The flags of clone3() are in memory, where a filter cannot look: C libraries go on with
     * clone(). */
    BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
    BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
    BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4),
    BPF_STMT (BPF_LD | BPF_W | BPF_ABS,
              offsetof (struct seccomp_data, args) + 8 * CLONE_FLAGS + LOW_HALF),
    BPF_JUMP (BPF_JMP | BPF_JSET | BPF_K, NAMESPACES, 0, 1),
    BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_filter load = BPF_STMT (BPF_LD | BPF_W | BPF_ABS,
                                            offsetof (struct seccomp_data, nr));
  const struct sock_filter allow = BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const struct sock_filter end = BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  g_autoptr (GArray) program = g_array_new (FALSE, FALSE, sizeof (struct sock_filter));
  struct sock_fprog filter;

  g_array_append_val (program, load);
  g_array_append_vals (program, clones, G_N_ELEMENTS (clones));
  for (guint i = 0; i < G_N_ELEMENTS (system_service) + G_N_ELEMENTS (sandbox_calls); i++)
    {
      const char *text = i < G_N_ELEMENTS (system_service)
                         ? system_service[i].number
                         : sandbox_calls[i - G_N_ELEMENTS (system_service)].number;
      guint64 number;

      if (g_ascii_string_to_unsigned (text, 10, 0, G_MAXUINT32, &number, NULL))
        {
          struct sock_filter compare = BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, (guint32) number, 0, 1);

          g_array_append_val (program, compare);
          g_array_append_val (program, allow);
        }
    }
  g_array_append_val (program, end);

  filter = (struct sock_fprog){ program->len, (struct sock_filter *) program->data };
  return prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
         && syscall (SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) == 0;
}

/* The rest of a test is done in a process of its own, under the filter. */
static gboolean
begin (void)
{
  if (!test_in_subprocess ())
    return FALSE;
  if (install_filter ())
    return TRUE;

  test_skip_in_subprocess ("there are no filters here");
  return FALSE;
}

/* What is to be killed for, so that the other tests mean something. */
static void
do_account (void)
{
  syscall (SYS_acct, NULL);
}

static void
do_unshare (void)
{
  syscall (SYS_unshare, CLONE_NEWUSER);
}

static void
do_clone (void)
{
#if defined (__s390__)
  long pid = syscall (SYS_clone, 0, CLONE_NEWUSER | SIGCHLD, 0, 0, 0);
#else
  long pid = syscall (SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
#endif

  if (pid == 0)
    _exit (0);
}

static const struct
{
  const char *path;
  void (*function) (void);
} forbidden[] = {
  { "/filter/kills/account", do_account },
  { "/filter/kills/unshare", do_unshare },
  { "/filter/kills/clone", do_clone },
};

static void
test_kills (gconstpointer data)
{
  if (!g_test_subprocess ())
    {
      g_test_trap_subprocess (NULL, 0, 0);
      g_test_trap_assert_failed ();
      g_test_trap_assert_stderr_unmatched ("*should not be reached*");
      return;
    }

  if (install_filter ())
    forbidden[GPOINTER_TO_UINT (data)].function ();
  else
    raise (SIGKILL);
  g_assert_not_reached ();
}

static void
check_conversation (GForkTemplate *template)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_run (template, "test-worker:answer", &process);
  g_autoptr (GError) error = NULL;

  test_assert_answer (socket, "memory", "nothing");
  g_socket_shutdown (socket, FALSE, TRUE, &error);
  g_assert_no_error (error);
  g_assert_true (g_fork_process_wait_check (process, NULL, &error));
  g_assert_no_error (error);
}

/* Templates, forks, arguments of all kinds, preparation. */
static void
test_templates (void)
{
  g_autofree char *large = g_strnfill (100000, 'x');

  if (!begin ())
    return;

  for (int i = 0; i < 3; i++)
    {
      g_autoptr (GForkTemplate) template = g_fork_template_new ();
      g_autoptr (GForkTemplate) executed = g_fork_template_new_exec ();
      g_autoptr (GForkTemplate) fork = NULL;

      g_fork_template_require (template, "test-worker");
      g_fork_template_setenv (template, "GFORK_TEST", "value");
      g_fork_template_set_cwd (template, "/");
      g_fork_template_send_arg (template, large);
      g_fork_template_send_fd (template, STDERR_FILENO);
      g_fork_template_map_fd (template, STDERR_FILENO, 20);
      test_prepare (template);
      fork = g_fork_template_fork (template);
      check_conversation (fork);
      check_conversation (template);
      check_conversation (executed);
    }
}

static void
test_programs (void)
{
  const char *const argv[] = { "echo", "hello", NULL };
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  if (!begin ())
    return;

  template = g_fork_template_new ();
  socket = g_fork_template_execv (template, argv,
                                  G_FORK_EXEC_SOCKET_STDOUT | G_FORK_EXEC_SEARCH_PATH, &process,
                                  NULL, &error);
  g_assert_no_error (error);
  test_assert_all_is (socket, "hello\n");
  g_assert_true (g_fork_process_wait_check (process, NULL, &error));
  g_assert_no_error (error);
}

/* Signals, the death of a default template, and the next new. */
static void
test_signals (void)
{
  if (!begin ())
    return;

  for (int i = 0; i < 3; i++)
    {
      g_autoptr (GForkTemplate) template = g_fork_template_new ();
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket G_GNUC_UNUSED = test_run (template, "test-worker:answer", &process);
      g_autoptr (GError) error = NULL;
      GPid pid = test_default_pid ();

      g_assert_true (g_fork_process_send_signal (process, SIGTERM, &error));
      g_assert_no_error (error);
      g_assert_true (g_fork_process_wait (process, NULL, &error));
      g_assert_no_error (error);
      g_assert_cmpint (g_fork_process_get_term_sig (process), ==, SIGTERM);

      g_assert_no_errno (kill (pid, SIGKILL));
      test_wait_for_end (pid);
    }
}

/* A sandbox is made without namespaces, too. */
static void
test_confined (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkSandbox) sandbox = NULL;

  if (!begin ())
    return;

  template = g_fork_template_new ();
  sandbox = g_fork_sandbox_new ();
  /* With as much as this kernel has. */
  g_fork_sandbox_set_required (sandbox, FALSE);
  g_fork_template_require (template, "test-worker");
  g_fork_template_confine (template, sandbox);
  for (int i = 0; i < 3; i++)
    {
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);

      check_conversation (fork);
    }
}

/* Modules that are there for the tests of bindings. */
typedef struct
{
  const char *runtime;
  const char *file;
  const char *function;
} Language;

static const Language languages[] = {
  { "python3", "py_worker.py", "py_worker:echo" },
  { "gjs", "js-worker.js", "js-worker:echo" },
};

/* The runtime gjs needs the introspection data, of which a build may have none. */
static gboolean
has_introspection_data (void)
{
  const char *argv[] = { "gjs", "-c", "imports.gi.versions.GFork = '1.0'; imports.gi.GFork", NULL };
  int wait_status;

  return g_spawn_sync (NULL, (char **) argv, NULL,
                       G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL
                       | G_SPAWN_STDERR_TO_DEV_NULL,
                       NULL, NULL, NULL, NULL, &wait_status, NULL)
         && wait_status == 0;
}

static void
test_runtime (gconstpointer data)
{
  const Language *language = data;
  g_autofree char *directory = g_test_build_filename (G_TEST_DIST, "bindings", NULL);
  g_autofree char *file = g_build_filename (directory, language->file, NULL);
  g_autofree char *program = g_find_program_in_path (language->runtime);
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  if (program == NULL || !g_file_test (file, G_FILE_TEST_EXISTS)
      || (strcmp (language->runtime, "gjs") == 0 && !has_introspection_data ()))
    {
      g_test_skip ("its interpreter, its module or the introspection data are not there");
      return;
    }
  if (!begin ())
    return;

  g_setenv ("PYTHONPATH", directory, TRUE);
  g_setenv ("PYTHONDONTWRITEBYTECODE", "1", TRUE);
  g_setenv ("GFORK_MODULE_PATH", directory, TRUE);
  template = g_fork_template_new_exec_for_runtime (language->runtime);
  fork = g_fork_template_fork (template);
  socket = test_run (fork, language->function, &process);
  test_send (socket, "hello");
  g_assert_true (g_socket_shutdown (socket, FALSE, TRUE, &error));
  test_assert_all_is (socket, "hello");
  g_assert_true (g_fork_process_wait_check (process, NULL, &error));
  g_assert_no_error (error);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  if (test_under_sanitizer ())
    {
      g_print ("1..0 # SKIP a sanitizer makes system calls of its own\n");
      return 0;
    }

  for (guint i = 0; i < G_N_ELEMENTS (forbidden); i++)
    g_test_add_data_func (forbidden[i].path, GUINT_TO_POINTER (i), test_kills);
  g_test_add_func ("/filter/templates", test_templates);
  g_test_add_func ("/filter/programs", test_programs);
  g_test_add_func ("/filter/signals", test_signals);
  g_test_add_func ("/filter/confined", test_confined);
  for (guint i = 0; i < G_N_ELEMENTS (languages); i++)
    {
      g_autofree char *path = g_strconcat ("/filter/runtime/", languages[i].runtime, NULL);

      g_test_add_data_func (path, &languages[i], test_runtime);
    }

  return g_test_run ();
}
