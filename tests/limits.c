/* limits.c: tests on systems that lack something, or allow less
 *
 * Each test runs in a process of its own, which sets a limit and then uses the library. That
 * must work in another way, or say exactly what is missing.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The calls that are newer than some kernels and filters in use. */
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif

#define LARGE 100000

/* To be called first, and left if it returns %FALSE. */
static gboolean
begin (void)
{
  if (test_under_valgrind ())
    {
      g_test_skip ("valgrind has needs of its own");
      return FALSE;
    }

  return test_in_subprocess ();
}

/* ——— All that a program does ——— */

static void
send_large (GForkTemplate *template)
{
  g_autofree char *large = g_strnfill (LARGE, 'x');

  g_fork_template_send_arg (template, large);
}

static void
check_exit (GSocket      *socket,
            GForkProcess *process)
{
  test_assert_answer (socket, "strays", "none");
  test_send (socket, "exit 3\n");
  test_assert_exits (process, 3);
}

static void
check_run (GForkTemplate *template)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_run (template, "answer", &process);

  check_exit (socket, process);
}

static void
check_signal (GForkTemplate *template)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket G_GNUC_UNUSED = test_run (template, "answer", &process);
  g_autoptr (GError) error = NULL;

  g_assert_true (g_fork_process_send_signal (process, SIGUSR1, &error));
  g_assert_no_error (error);
  g_assert_true (g_fork_process_wait (process, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_fork_process_get_term_sig (process), ==, SIGUSR1);
  g_assert_false (g_fork_process_send_signal (process, SIGUSR1, &error));
  g_assert_error (error, G_FORK_ERROR, G_FORK_ERROR_CLOSED);
}

static void
check_exec (GForkTemplate *template)
{
  const char *const argv[] = { "/bin/sh", "-c", "echo $#", "sh", NULL };
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_send_arg (template, "one");
  socket = g_fork_template_execv (template, argv, G_FORK_EXEC_SOCKET_STDOUT, &process, NULL,
                                  &error);
  g_assert_no_error (error);
  test_assert_all_is (socket, "1\n");
  g_assert_true (g_fork_process_wait_check (process, NULL, &error));
  g_assert_no_error (error);
}

/* The default template is found dead, and replaced. */
static void
check_replacement (void)
{
  GPid pid = test_default_pid ();
  g_autoptr (GForkTemplate) template = NULL;

  g_assert_no_errno (kill (pid, SIGKILL));
  test_wait_for_end (pid);
  template = test_template_new ();
  check_run (template);
  g_assert_cmpint (test_default_pid (), !=, pid);
}

static void
check_everything (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GForkTemplate) executed = g_fork_template_new_exec ();

  test_prepare (template);
  for (guint i = 0; i < 4; i++)
    {
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);

      switch (i)
        {
        case 0:
          send_large (fork);
          check_run (fork);
          break;
        case 1:
          check_signal (fork);
          break;
        case 2:
          check_exec (fork);
          break;
        case 3:
          test_prepare (fork);
          g_fork_template_close (fork);
          break;
        }
    }

  g_fork_template_require (executed, "test-worker");
  check_signal (executed);
  check_run (template);
  check_replacement ();
}

/* ——— Resources ——— */

static void
limit (int    resource,
       rlim_t value)
{
  g_assert_no_errno (setrlimit (resource, &(struct rlimit){ value, value }));
}

/* As many as there may be; so many are left. */
static GArray *
use_up_descriptors (guint left)
{
  GArray *fds = g_array_new (FALSE, FALSE, sizeof (int));
  int fd;

  while ((fd = fcntl (0, F_DUPFD_CLOEXEC, 3)) >= 0)
    g_array_append_val (fds, fd);
  g_assert_cmpint (errno, ==, EMFILE);
  for (guint i = 0; i < left; i++)
    {
      close (g_array_index (fds, int, fds->len - 1));
      g_array_set_size (fds, fds->len - 1);
    }

  return fds;
}

static void
release_descriptors (GArray *fds)
{
  for (guint i = 0; i < fds->len; i++)
    close (g_array_index (fds, int, i));
  g_array_unref (fds);
}

/* Sixty-four are enough for anything, one after another. */
static void
test_few_descriptors (void)
{
  if (!begin ())
    return;

  limit (RLIMIT_NOFILE, 64);
  for (guint i = 0; i < 20; i++)
    check_everything ();
}

/* Without any, or with few, each call says so, and works again later. */
static void
test_no_descriptors (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  GArray *fds;

  if (!begin ())
    return;

  limit (RLIMIT_NOFILE, 64);
  template = test_template_new ();
  test_prepare (template);

  for (guint left = 0; left < 4; left++)
    {
      GForkTemplate *templates[3];

      fds = use_up_descriptors (left);
      templates[0] = g_fork_template_fork (template);
      templates[1] = g_fork_template_new_exec ();
      templates[2] = g_fork_template_new ();
      for (guint i = 0; i < G_N_ELEMENTS (templates); i++)
        {
          g_autoptr (GForkProcess) process = NULL;
          g_autoptr (GSocket) socket = NULL;
          g_autoptr (GError) error = NULL;

          g_fork_template_send_fd (templates[i], 2);
          send_large (templates[i]);
          socket = g_fork_template_run (templates[i], "test-worker:answer", &process, NULL, &error);
          /* With two for the socket pair, it depends on what else the kernel has. */
          g_assert_true (socket == NULL || left >= 2);
          if (socket == NULL)
            {
              g_assert_true (error->domain == G_FORK_ERROR);
              g_assert_nonnull (strstr (error->message, g_strerror (EMFILE)));
            }
          g_object_unref (templates[i]);
        }
      release_descriptors (fds);
    }

  check_everything ();
}

/* The answer has a descriptor that can be done without. */
static void
test_no_descriptor_for_answer (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GAsyncResult) prepared = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) unblock = -1;
  GArray *fds;

  if (!begin ())
    return;

  limit (RLIMIT_NOFILE, 64);
  template = test_template_new ();
  test_prepare (template);
  fork = g_fork_template_fork (template);
  test_block (fork, &unblock);
  g_fork_template_prepare_async (fork, NULL, test_store_result, &prepared);
  g_fork_template_run_async (fork, "answer", NULL, test_store_result, &result);
  g_main_context_iteration (NULL, FALSE);
  fds = use_up_descriptors (0);
  test_close_fd (&unblock);
  release_descriptors (g_steal_pointer (&fds));
  fds = use_up_descriptors (0);
  test_await (&prepared);
  g_assert_true (g_fork_template_prepare_finish (fork, prepared, &error));
  g_assert_no_error (error);
  test_await (&result);
  socket = g_fork_template_run_finish (fork, result, &process, &error);
  g_assert_no_error (error);
  g_assert_nonnull (socket);
  release_descriptors (fds);

  g_assert_true (g_fork_process_send_signal (process, 0, &error));
  g_assert_no_error (error);
  check_exit (socket, process);
}

/* As a user who has no other process, if that can be. */
static gboolean
begin_as_new_user (void)
{
  uid_t user = 1000000000 + getpid ();

  if (!begin ())
    return FALSE;
  if (geteuid () == 0 && setgroups (0, NULL) == 0 && setresgid (user, user, user) == 0
      && setresuid (user, user, user) == 0)
    return TRUE;

  test_skip_in_subprocess ("it takes root to be another user");
  return FALSE;
}

static void
test_few_processes (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GPtrArray) sockets = NULL;
  g_autoptr (GError) error = NULL;
  struct rlimit few;

  if (!begin_as_new_user ())
    return;

  template = test_template_new ();
  if (!g_fork_template_prepare (template, NULL, &error))
    {
      test_skip_in_subprocess ("somebody else may not execute the helper");
      return;
    }
  check_everything ();

  /* Each thread counts, the two templates, and what is still ending. */
  few.rlim_cur = few.rlim_max = test_count_threads () + 6;
  g_assert_no_errno (prlimit (g_fork_template_get_pid (template), RLIMIT_NPROC, &few, NULL));
  sockets = g_ptr_array_new_with_free_func (g_object_unref);
  for (guint i = 0; error == NULL && i < 10; i++)
    {
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
      GSocket *socket = g_fork_template_run (fork, "answer", NULL, NULL, &error);

      if (socket != NULL)
        g_ptr_array_add (sockets, socket);
    }
  test_assert_error (error, G_FORK_ERROR_FORK, g_strerror (EAGAIN));
  g_assert_cmpuint (sockets->len, >, 0);

  /* Those that were there live, and when they end, others can be forked. */
  for (guint i = 0; i < sockets->len; i++)
    test_assert_answer (sockets->pdata[i], "memory", "nothing");
  g_ptr_array_set_size (sockets, 1);
  for (guint i = 0; i < 10000; i++)
    {
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
      g_autoptr (GSocket) socket = g_fork_template_run (fork, "answer", NULL, NULL, NULL);

      if (socket != NULL)
        return;
      g_thread_yield ();
    }
  g_assert_not_reached ();
}

/* No helper, either. */
static void
test_no_processes (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) executed = NULL;
  g_autoptr (GError) error = NULL;
  struct rlimit before;

  if (!begin_as_new_user ())
    return;

  /* GLib has started its threads after this. */
  template = g_fork_template_new_exec ();
  g_fork_template_prepare (template, NULL, NULL);
  g_assert_no_errno (getrlimit (RLIMIT_NPROC, &before));
  g_assert_no_errno (setrlimit (RLIMIT_NPROC, &(struct rlimit){ 1, before.rlim_max }));
  executed = g_fork_template_new_exec ();
  g_assert_false (g_fork_template_prepare (executed, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_SPAWN, g_strerror (EAGAIN));
  g_assert_no_errno (setrlimit (RLIMIT_NPROC, &before));
}

static rlim_t
count_bytes (GPid pid)
{
  g_autofree char *statm = test_read_proc (pid, "statm");

  return (rlim_t) g_ascii_strtoull (statm, NULL, 10) * sysconf (_SC_PAGESIZE);
}

/* A worker has no memory for what was sent, and neither has a module, but the template goes
 * on. */
static void
test_little_memory (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *large = NULL;
  g_autoptr (GBytes) bytes = NULL;
  GPid pid;
  struct rlimit few;

  if (!begin ())
    return;

  template = test_template_new ();
  test_prepare (template);
  pid = g_fork_template_get_pid (template);
  few.rlim_cur = few.rlim_max = count_bytes (pid) + 8 * 1024 * 1024;
  g_assert_no_errno (prlimit (pid, RLIMIT_AS, &few, NULL));

  fork = g_fork_template_fork (template);
  large = g_malloc0 (16 * 1024 * 1024);
  bytes = g_bytes_new_static (large, 16 * 1024 * 1024);
  g_fork_template_send_bytes (fork, bytes);
  g_assert_null (g_fork_template_run (fork, "answer", NULL, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_FAILED, g_strerror (ENOMEM));
  g_clear_error (&error);
  g_clear_object (&fork);

  fork = g_fork_template_fork (template);
  check_run (fork);
  g_clear_object (&fork);

  few.rlim_cur = few.rlim_max = count_bytes (pid);
  g_assert_no_errno (prlimit (pid, RLIMIT_AS, &few, NULL));
  fork = g_fork_template_fork (template);
  g_assert_null (g_fork_template_run (fork, "test-glib:answer", NULL, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_MODULE, "test-glib");
}

/* A file that gets too large ends a process by a signal, by default. */
static void
test_small_files (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GError) error = NULL;

  if (!begin ())
    return;

  limit (RLIMIT_FSIZE, LARGE);
  template = test_template_new ();
  send_large (template);
  g_assert_null (g_fork_template_run (template, "answer", NULL, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_FAILED, g_strerror (EFBIG), "100000");

  g_clear_object (&template);
  template = test_template_new ();
  g_fork_template_send_arg (template, "small");
  check_run (template);
}

/* ——— What a filter refuses ——— */

/* Refuses the calls from now on, here and in whatever is executed. */
static gboolean
forbid (const int *calls,
        guint      n_calls,
        int        error_number)
{
  g_autoptr (GArray) program = g_array_new (FALSE, FALSE, sizeof (struct sock_filter));
  struct sock_fprog filter;
  struct sock_filter load = BPF_STMT (BPF_LD | BPF_W | BPF_ABS, offsetof (struct seccomp_data, nr));
  struct sock_filter refuse = BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error_number);
  struct sock_filter allow = BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

  g_array_append_val (program, load);
  for (guint i = 0; i < n_calls; i++)
    {
      struct sock_filter compare = BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, calls[i], 0, 1);

      g_array_append_val (program, compare);
      g_array_append_val (program, refuse);
    }
  g_array_append_val (program, allow);

  filter = (struct sock_fprog){ program->len, (struct sock_filter *) program->data };
  return prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
         && syscall (SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) == 0;
}

static const int newer_calls[] = {
  SYS_memfd_create, SYS_pidfd_open, SYS_pidfd_send_signal, SYS_close_range,
};

typedef struct
{
  const char *path;
  int call; /* or -1, all */
  int error_number;
} Filter;

static const Filter filters[] = {
  { "/limits/filter/memfd-create/unknown", SYS_memfd_create, ENOSYS },
  { "/limits/filter/memfd-create/forbidden", SYS_memfd_create, EPERM },
  { "/limits/filter/pidfd-open/unknown", SYS_pidfd_open, ENOSYS },
  { "/limits/filter/pidfd-open/forbidden", SYS_pidfd_open, EPERM },
  { "/limits/filter/pidfd-send-signal/unknown", SYS_pidfd_send_signal, ENOSYS },
  { "/limits/filter/pidfd-send-signal/forbidden", SYS_pidfd_send_signal, EPERM },
  { "/limits/filter/close-range/unknown", SYS_close_range, ENOSYS },
  { "/limits/filter/close-range/forbidden", SYS_close_range, EPERM },
  { "/limits/filter/clone3/unknown", SYS_clone3, ENOSYS },
  { "/limits/filter/all/unknown", -1, ENOSYS },
  { "/limits/filter/all/forbidden", -1, EPERM },
};

static void
test_filter (gconstpointer data)
{
  const Filter *filter = data;

  if (!begin ())
    return;
  if (!(filter->call < 0 ? forbid (newer_calls, G_N_ELEMENTS (newer_calls), filter->error_number)
                         : forbid (&filter->call, 1, filter->error_number)))
    {
      test_skip_in_subprocess ("there are no filters here");
      return;
    }

  check_everything ();
}

/* Refuses a call with this first argument. */
static gboolean
forbid_argument (int call,
                 int argument)
{
  const gsize low = G_BYTE_ORDER == G_LITTLE_ENDIAN ? 0 : sizeof (guint32);
  struct sock_filter program[] = {
    BPF_STMT (BPF_LD | BPF_W | BPF_ABS, offsetof (struct seccomp_data, nr)),
    BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3),
    BPF_STMT (BPF_LD | BPF_W | BPF_ABS, offsetof (struct seccomp_data, args[0]) + low),
    BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, argument, 0, 1),
    BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
    BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = { G_N_ELEMENTS (program), program };

  return prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
         && syscall (SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) == 0;
}

/* waitid() can wait for a pidfd since Linux 5.4; a filter may know that. */
static void
test_filter_waitid (void)
{
  enum
  {
    WAIT_PIDFD = 3 /* P_PIDFD */
  };

  if (!begin ())
    return;
  if (!forbid_argument (SYS_waitid, WAIT_PIDFD))
    {
      test_skip_in_subprocess ("there are no filters here");
      return;
    }

  check_everything ();
}

/* The C library does not survive this, but says EPERM, which is not helpful. A template
 * that is there can still be forked. */
static void
test_filter_clone3_forbidden (void)
{
  const int call = SYS_clone3;
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GForkTemplate) executed = NULL;
  g_autoptr (GError) error = NULL;

  if (!begin ())
    return;

  /* GLib has started its threads after this. */
  template = test_template_new ();
  fork = g_fork_template_fork (template);
  check_run (fork);
  g_clear_object (&fork);
  if (!forbid (&call, 1, EPERM))
    {
      test_skip_in_subprocess ("there are no filters here");
      return;
    }

  executed = g_fork_template_new_exec ();
  g_fork_template_require (executed, "test-worker");
  if (g_fork_template_prepare (executed, NULL, &error))
    check_run (executed); /* of a C library that does not use it */
  else
    test_assert_error (error, G_FORK_ERROR_SPAWN, "clone3()", "seccomp");
  fork = g_fork_template_fork (template);
  check_run (fork);
}

/* ——— What is not mounted ——— */

/* In a file system of its own, where others do not see it. */
static gboolean
mount_here (const char *type,
            const char *directory,
            const char *options)
{
  return unshare (CLONE_NEWNS) == 0 && mount (NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0
         && mount (type, directory, type, 0, options) == 0;
}

static const Filter without_proc[] = {
  { "/limits/no-proc/alone", -1, 0 },
  { "/limits/no-proc/no-close-range", SYS_close_range, ENOSYS },
  { "/limits/no-proc/no-pidfd", SYS_pidfd_open, ENOSYS },
};

static void
test_no_proc (gconstpointer data)
{
  const Filter *filter = data;
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GForkTemplate) executed = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) open_here G_GNUC_UNUSED = -1;

#if defined(__SANITIZE_ADDRESS__) || defined(SANITIZED)
  g_test_skip ("the address sanitizer needs /proc");
  return;
#endif
  if (!begin ())
    return;
  if (!mount_here ("tmpfs", "/proc", "size=64k"))
    {
      test_skip_in_subprocess ("it takes root to hide /proc");
      return;
    }
  if (filter->call >= 0 && !forbid (&filter->call, 1, filter->error_number))
    {
      test_skip_in_subprocess ("there are no filters here");
      return;
    }

  /* Not close-on-exec; nobody must have it. */
  open_here = open ("/dev/zero", O_RDONLY);
  template = test_template_new ();
  send_large (template);
  fork = g_fork_template_fork (template);
  socket = test_run (fork, "fd_positions", &process);
  g_assert_true (g_fork_process_wait_check (process, NULL, &error));
  g_assert_no_error (error);
  g_clear_object (&fork);

  fork = g_fork_template_fork (template);
  check_signal (fork);
  g_clear_object (&fork);

  fork = g_fork_template_new ();
  check_exec (fork);
  executed = g_fork_template_new_exec ();
  g_fork_template_require (executed, "test-worker");
  check_signal (executed);
}

/* It is said that /dev/null is missing, and not that the helper is. */
static void
test_no_dev_null (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GError) error = NULL;

  if (!begin ())
    return;
  if (!mount_here ("tmpfs", "/dev", "size=64k"))
    {
      test_skip_in_subprocess ("it takes root to hide /dev");
      return;
    }

  template = g_fork_template_new_exec ();
  g_assert_false (g_fork_template_prepare (template, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_SPAWN, "/dev/null", g_strerror (ENOENT));
}

/* Where there is no memfd, a file in the temporary directory has to do. */
static void
test_disk_full (void)
{
  const int call = SYS_memfd_create;
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GError) error = NULL;

  if (!begin ())
    return;
  g_setenv ("TMPDIR", "/mnt", TRUE);
  if (!forbid (&call, 1, ENOSYS) || !mount_here ("tmpfs", "/mnt", "size=64k"))
    {
      test_skip_in_subprocess ("it takes root to fill a disk");
      return;
    }

  template = g_fork_template_new ();
  send_large (template);
  g_assert_false (g_fork_template_prepare (template, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_FAILED, g_strerror (ENOSPC), "100000");
}

/* Nor may it be written to. */
static void
test_no_memfd_no_directory (void)
{
  const int call = SYS_memfd_create;
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GError) error = NULL;

  if (!begin ())
    return;
  g_setenv ("TMPDIR", "/nonexistent", TRUE);
  if (!forbid (&call, 1, ENOSYS))
    {
      test_skip_in_subprocess ("there are no filters here");
      return;
    }

  template = g_fork_template_new ();
  send_large (template);
  g_assert_false (g_fork_template_prepare (template, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_FAILED, "/nonexistent", g_strerror (ENOENT));
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/limits/descriptors/few", test_few_descriptors);
  g_test_add_func ("/limits/descriptors/none", test_no_descriptors);
  g_test_add_func ("/limits/descriptors/none-for-answer", test_no_descriptor_for_answer);
  g_test_add_func ("/limits/processes/few", test_few_processes);
  g_test_add_func ("/limits/processes/none", test_no_processes);
  g_test_add_func ("/limits/memory", test_little_memory);
  g_test_add_func ("/limits/file-size", test_small_files);
  for (gsize i = 0; i < G_N_ELEMENTS (filters); i++)
    g_test_add_data_func (filters[i].path, &filters[i], test_filter);
  g_test_add_func ("/limits/filter/waitid/unknown", test_filter_waitid);
  g_test_add_func ("/limits/filter/clone3/forbidden", test_filter_clone3_forbidden);
  g_test_add_func ("/limits/no-dev-null", test_no_dev_null);
  for (gsize i = 0; i < G_N_ELEMENTS (without_proc); i++)
    g_test_add_data_func (without_proc[i].path, &without_proc[i], test_no_proc);
  g_test_add_func ("/limits/disk-full", test_disk_full);
  g_test_add_func ("/limits/no-memfd-no-directory", test_no_memfd_no_directory);

  return g_test_run ();
}
