/* sandbox.c: tests of GForkSandbox and g_fork_template_confine()
 *
 * These tests are about what sandboxes allow. escapes.c tests what they refuse.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <glib/gstdio.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ALL_FEATURES \
  (G_FORK_SANDBOX_FILES | G_FORK_SANDBOX_NETWORK | G_FORK_SANDBOX_SIGNALS \
   | G_FORK_SANDBOX_SYSTEM_CALLS)

/* A template with the module that does things, confined. */
static GForkTemplate *
confined (GForkSandbox *sandbox)
{
  GForkTemplate *template = g_fork_template_new ();

  g_fork_template_require (template, "test-confined");
  g_fork_template_confine (template, sandbox);
  return template;
}

static GSocket *
run_confined (GForkSandbox *sandbox)
{
  g_autoptr (GForkTemplate) template = confined (sandbox);

  return test_run (template, "do_things", NULL);
}

/* The errno of what was tried, 0 if it could be done. */
static int
try (GSocket    *socket,
     const char *format,
     ...) G_GNUC_PRINTF (2, 3);

static int
try (GSocket    *socket,
     const char *format,
     ...)
{
  g_autofree char *question = NULL;
  g_autofree char *answer = NULL;
  va_list args;

  va_start (args, format);
  question = g_strdup_vprintf (format, args);
  va_end (args);
  answer = test_ask (socket, "%s", question);
  return atoi (answer);
}

#define assert_can(socket, ...) g_assert_cmpint (try (socket, __VA_ARGS__), ==, 0)
#define assert_refused(socket, error, ...) g_assert_cmpint (try (socket, __VA_ARGS__), ==, error)

static void
assert_fails (GForkTemplate *template,
              GForkError     code,
              const char    *word)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (g_fork_template_prepare (template, NULL, &error));
  test_assert_error (error, code, word);
}

/* A directory with a file and a directory, removed at the end. */
typedef struct
{
  char *path, *file, *new_file, *directory, *other;
} Files;

static void
files_set (Files *files)
{
  files->path = g_dir_make_tmp ("sandbox-XXXXXX", NULL);
  files->file = g_build_filename (files->path, "file", NULL);
  files->new_file = g_build_filename (files->path, "new", NULL);
  files->directory = g_build_filename (files->path, "directory", NULL);
  files->other = g_build_filename (files->path, "directory", "other", NULL);
  g_assert_true (g_file_set_contents (files->file, "contents", -1, NULL));
  g_assert_cmpint (g_mkdir (files->directory, 0700), ==, 0);
}

static void
files_clear (Files *files)
{
  const char *argv[] = { "rm", "-rf", files->path, NULL };

  g_assert_true (g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
                               NULL, NULL, NULL));
  g_free (files->path);
  g_free (files->file);
  g_free (files->new_file);
  g_free (files->directory);
  g_free (files->other);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Files, files_clear)

/* ——— What is allowed ——— */

/* In a new sandbox a process has what it has, and computes. */
static void
test_nothing (void)
{
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GSocket) socket = run_confined (sandbox);

  assert_refused (socket, EACCES, "read /etc/passwd");
  assert_refused (socket, EACCES, "list /");
  assert_can (socket, "stat /etc/passwd");
  assert_can (socket, "read-byte /dev/null");
  assert_can (socket, "read-byte /dev/urandom");
  assert_can (socket, "write-byte /dev/null");
  assert_refused (socket, EACCES, "write /dev/urandom");
  assert_can (socket, "thread");
  assert_can (socket, "kill-own-child");
  assert_can (socket, "memory 3");
  assert_can (socket, "privileges");
  assert_can (socket, "print what-a-confined-worker-prints");
  assert_refused (socket, EPERM, "execute /bin/true");
  assert_refused (socket, EPERM, "socket 1 0");
  assert_refused (socket, ENOSYS, "call 435");
  assert_refused (socket, ENOSYS, "call 437");
  assert_refused (socket, EPERM, "call 100000");
}

static void
test_read (void)
{
  g_auto (Files) files = { 0 };
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GSocket) socket = NULL;

  files_set (&files);
  g_fork_sandbox_allow_read (sandbox, files.path);
  socket = run_confined (sandbox);

  assert_can (socket, "read-byte %s", files.file);
  assert_can (socket, "list %s", files.path);
  assert_can (socket, "list %s", files.directory);
  assert_refused (socket, EACCES, "list %s/..", files.path);
  assert_refused (socket, EACCES, "write %s", files.file);
  assert_refused (socket, EACCES, "truncate %s", files.file);
  assert_refused (socket, EACCES, "create %s 600", files.new_file);
  assert_refused (socket, EACCES, "unlink %s", files.file);
}

/* Also one that is no directory, and links are followed when the template is confined. */
static void
test_read_one_file (void)
{
  g_auto (Files) files = { 0 };
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GSocket) socket = NULL;

  files_set (&files);
  g_assert_cmpint (symlink (files.file, files.new_file), ==, 0);
  g_fork_sandbox_allow_read (sandbox, files.new_file);
  socket = run_confined (sandbox);

  assert_can (socket, "read-byte %s", files.file);
  assert_can (socket, "read-byte %s", files.new_file);
  assert_refused (socket, EACCES, "list %s", files.path);
}

static void
test_write (void)
{
  g_auto (Files) files = { 0 };
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GSocket) socket = NULL;

  files_set (&files);
  g_fork_sandbox_allow_write (sandbox, files.path);
  socket = run_confined (sandbox);

  assert_can (socket, "write-byte %s", files.file);
  assert_can (socket, "truncate %s", files.file);
  assert_can (socket, "create %s 600", files.new_file);
  assert_can (socket, "rename %s %s", files.new_file, files.other);
  assert_can (socket, "link %s %s", files.other, files.new_file);
  assert_can (socket, "unlink %s", files.new_file);
  assert_can (socket, "symlink /etc/passwd %s", files.new_file);
  assert_can (socket, "unlink %s", files.new_file);
  assert_can (socket, "mkdir %s", files.new_file);
  assert_can (socket, "rmdir %s", files.new_file);

  assert_refused (socket, EACCES, "read %s", files.file);
  assert_refused (socket, EACCES, "list %s", files.path);
  assert_refused (socket, EPERM, "chmod %s", files.file);
  assert_refused (socket, EPERM, "mkfifo %s", files.new_file);
  assert_refused (socket, EPERM, "mknod %s", files.new_file);
  assert_refused (socket, EACCES, "create %s/../new-%d 600", files.path, getpid ());
}

/* Who creates a file for others to execute does not lend them its user's rights. */
static void
test_write_no_setuid (void)
{
  g_auto (Files) files = { 0 };
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GSocket) socket = NULL;

  files_set (&files);
  g_fork_sandbox_allow_write (sandbox, files.path);
  socket = run_confined (sandbox);

  assert_refused (socket, EPERM, "create %s 4755", files.new_file);
  assert_refused (socket, EPERM, "create %s 2755", files.new_file);
  assert_refused (socket, EPERM, "creat %s 4755", files.new_file);
  assert_refused (socket, EPERM, "create-unnamed %s 4755", files.path);
  assert_can (socket, "create-unnamed %s 755", files.path);
  assert_can (socket, "create %s 755", files.new_file);
}

static void
allow_show (GForkSandbox *sandbox)
{
  static const char *const loaders[] = { "/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1",
                                         "/lib/ld-linux.so.2" };
  g_autofree char *program = test_build_path ("show");

  g_fork_sandbox_allow_execute (sandbox, program);
  for (guint i = 0; i < G_N_ELEMENTS (loaders); i++)
    if (g_file_test (loaders[i], G_FILE_TEST_EXISTS))
      g_fork_sandbox_allow_execute (sandbox, loaders[i]);
  g_fork_sandbox_allow_read (sandbox, "/lib");
}

static void
test_execute (void)
{
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GSocket) socket = NULL;
  g_autofree char *program = test_build_path ("show");

  allow_show (sandbox);
  socket = run_confined (sandbox);

  assert_can (socket, "execute %s", program);
  assert_can (socket, "read-byte %s", program);
  assert_refused (socket, EACCES, "execute /bin/true");
  assert_refused (socket, EPERM, "memory 3");
  assert_can (socket, "memory 0xb");
}

/* The template itself executes a program that is allowed, and says why it does not one that
 * is not. */
static void
test_execv (void)
{
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) other = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) no_socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *program = test_build_path ("show");

  allow_show (sandbox);
  template = confined (sandbox);
  other = g_fork_template_fork (template);
  socket = g_fork_template_execv (template, (const char *[]){ program, "1", "fds", NULL },
                                  G_FORK_EXEC_SOCKET_STDOUT, NULL, NULL, &error);
  g_assert_no_error (error);
  test_assert_eof (socket);

  no_socket = g_fork_template_execv (other, (const char *[]){ "/bin/true", NULL },
                                     G_FORK_EXEC_NONE, NULL, NULL, &error);
  g_assert_null (no_socket);
  test_assert_error (error, G_FORK_ERROR_EXEC, "/bin/true", g_strerror (EACCES));
}

static int
listen_on (int  type,
           int *port)
{
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl (INADDR_LOOPBACK) } };
  int fd = socket (AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  socklen_t length = sizeof address;

  g_assert_cmpint (bind (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  if (type == SOCK_STREAM)
    g_assert_cmpint (listen (fd, 10), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *) &address, &length), ==, 0);
  *port = ntohs (address.sin_port);
  return fd;
}

static void
test_network (void)
{
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) none = run_confined (sandbox);
  int tcp_port, udp_port;
  TestFd tcp = listen_on (SOCK_STREAM, &tcp_port);
  TestFd udp = listen_on (SOCK_DGRAM, &udp_port);
  TestFd accepted = -1;
  char byte;

  g_fork_sandbox_allow_network (sandbox);
  socket = run_confined (sandbox);

  assert_can (socket, "tcp %d", tcp_port);
  assert_can (socket, "udp %d", udp_port);
  accepted = accept4 (tcp, NULL, NULL, SOCK_CLOEXEC);
  g_assert_cmpint (accepted, >=, 0);
  g_assert_cmpint (recv (udp, &byte, 1, 0), ==, 1);

  assert_refused (socket, EPERM, "bind-tcp");
  assert_refused (socket, EPERM, "bind-udp");
  assert_refused (socket, EPERM, "listen-tcp");
  assert_refused (socket, EPERM, "unix /run/nothing");
  assert_refused (socket, EPERM, "netlink");
  assert_refused (socket, EPERM, "socket %d %d", SOCK_RAW, IPPROTO_ICMP);
  assert_refused (socket, EPERM, "socket %d %d", SOCK_STREAM, 262 /* IPPROTO_MPTCP */);
  assert_refused (socket, EPERM, "socket %d %d", SOCK_DGRAM, IPPROTO_ICMP);

  assert_refused (none, EPERM, "tcp %d", tcp_port);
  assert_refused (none, EPERM, "udp %d", udp_port);
}

/* Who was sent a listening socket accepts connections, whatever the sandbox. */
static void
test_accept (void)
{
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GForkTemplate) template = confined (sandbox);
  g_autoptr (GSocket) worker = NULL;
  int port;
  TestFd listener = listen_on (SOCK_STREAM, &port);
  TestFd client = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = { AF_INET, htons (port), { htonl (INADDR_LOOPBACK) }, { 0 } };

  g_assert_cmpint (connect (client, (struct sockaddr *) &address, sizeof address), ==, 0);
  g_fork_template_send_fd (template, listener);
  worker = test_run (template, "do_things", NULL);
  assert_can (worker, "accept");
}

static void
test_system_calls (void)
{
  static const char *const names[] = { "mlock", "inotify_init1", "inotify_add_watch", NULL };
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GSocket) before = run_confined (sandbox);
  g_autoptr (GSocket) socket = NULL;

  g_fork_sandbox_allow_system_calls (sandbox, names);
  socket = run_confined (sandbox);

  assert_refused (before, EPERM, "lock");
  assert_refused (before, EPERM, "watch /");
  assert_can (socket, "lock");
  assert_can (socket, "watch /");
}

/* Calls that are looked at, or do as if they were missing, are allowed by their names, too. */
static void
test_system_calls_of_the_table (void)
{
  static const char *const names[] = { "socket", "connect", "clone3", "openat2", NULL };
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GSocket) socket = NULL;

  g_fork_sandbox_allow_system_calls (sandbox, names);
  socket = run_confined (sandbox);

  assert_can (socket, "netlink");
  assert_refused (socket, ENOENT, "unix /run/nothing");
  assert_refused (socket, EINVAL, "call 435");
  assert_refused (socket, EINVAL, "call 437");
}

/* ——— The command ——— */

/* It is done in its turn: what comes before it is outside, what comes after it inside. */
static void
test_order (void)
{
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  const char *args[] = { "/etc/passwd", NULL };

  g_fork_template_call (template, "test-confined:read_in_template", args);
  g_fork_template_confine (template, sandbox);
  test_prepare (template);
  g_fork_template_call (template, "read_in_template", args);
  assert_fails (template, G_FORK_ERROR_CALL, g_strerror (EACCES));
}

/* A module can be loaded inside if it can be read. */
static void
test_require_inside (void)
{
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GForkTemplate) without = g_fork_template_new ();
  g_autoptr (GForkTemplate) with = g_fork_template_new ();
  g_autofree char *modules = test_build_path ("modules");

  g_fork_template_confine (without, sandbox);
  g_fork_template_require (without, "test-other");
  assert_fails (without, G_FORK_ERROR_MODULE, "test-other");

  g_fork_sandbox_allow_read (sandbox, modules);
  g_fork_template_confine (with, sandbox);
  g_fork_template_require (with, "test-other");
  test_prepare (with);
}

static void
test_directory_inside (void)
{
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GForkTemplate) template = confined (sandbox);
  g_autoptr (GSocket) socket = NULL;

  g_fork_template_set_cwd (template, "/etc");
  socket = test_run (template, "do_things", NULL);
  assert_can (socket, "stat passwd");
  assert_refused (socket, EACCES, "read passwd");
}

/* It concerns no template but that one and its forks. */
static void
test_others_are_free (void)
{
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GForkTemplate) fork_of_fork = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) socket_of_fork = NULL;

  g_fork_template_require (template, "test-confined");
  fork = g_fork_template_fork (template);
  g_fork_template_confine (fork, sandbox);
  fork_of_fork = g_fork_template_fork (fork);
  socket = test_run (template, "do_things", NULL);
  socket_of_fork = test_run (fork_of_fork, "do_things", NULL);

  assert_can (socket, "read /etc/passwd");
  assert_refused (socket_of_fork, EACCES, "read /etc/passwd");
}

/* What is done with the sandbox afterwards is for those that are confined afterwards. */
static void
test_sandbox_is_copied (void)
{
  g_auto (Files) files = { 0 };
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GForkTemplate) first = NULL;
  g_autoptr (GForkTemplate) second = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) second_socket = NULL;

  files_set (&files);
  first = confined (sandbox);
  g_fork_sandbox_allow_read (sandbox, files.path);
  second = confined (sandbox);
  g_clear_object (&sandbox);
  socket = test_run (first, "do_things", NULL);
  second_socket = test_run (second, "do_things", NULL);

  assert_refused (socket, EACCES, "read %s", files.file);
  assert_can (second_socket, "read %s", files.file);
}

static void
test_again_narrows (void)
{
  g_auto (Files) files = { 0 };
  g_autoptr (GForkSandbox) wide = g_fork_sandbox_new ();
  g_autoptr (GForkSandbox) narrow = g_fork_sandbox_new ();
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) fork_socket = NULL;

  files_set (&files);
  g_fork_sandbox_allow_read (wide, files.path);
  g_fork_sandbox_allow_network (wide);
  g_fork_sandbox_allow_read (narrow, files.directory);
  g_fork_sandbox_allow_read (narrow, "/etc");
  template = confined (wide);
  fork = g_fork_template_fork (template);
  g_fork_template_confine (fork, narrow);
  socket = test_run (template, "do_things", NULL);
  fork_socket = test_run (fork, "do_things", NULL);

  assert_can (socket, "read %s", files.file);
  assert_can (socket, "socket 1 0");
  assert_can (fork_socket, "list %s", files.directory);
  assert_refused (fork_socket, EACCES, "read %s", files.file);
  assert_refused (fork_socket, EACCES, "read /etc/passwd");
  assert_refused (fork_socket, EPERM, "socket 1 0");
}

/* The kernel has a limit, which is an error like others. */
static void
test_again_and_again (void)
{
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GForkTemplate) template = confined (sandbox);
  g_autoptr (GForkTemplate) enough = NULL;
  g_autoptr (GSocket) socket = NULL;

  for (guint i = 1; i < 15; i++)
    g_fork_template_confine (template, sandbox);
  enough = g_fork_template_fork (template);
  socket = test_run (enough, "do_things", NULL);
  assert_refused (socket, EACCES, "read /etc/passwd");

  for (guint i = 0; i < 2; i++)
    g_fork_template_confine (template, sandbox);
  assert_fails (template, G_FORK_ERROR_FAILED, "too often");
}

/* The application can signal its workers, and hears how they end. */
static void
test_signals_from_outside (void)
{
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GForkTemplate) template = confined (sandbox);
  g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket G_GNUC_UNUSED = test_run (fork, "do_things", &process);
  g_autoptr (GError) error = NULL;

  g_assert_true (g_fork_process_send_signal (process, SIGTERM, &error));
  g_assert_no_error (error);
  g_assert_true (g_fork_process_wait (process, NULL, &error));
  g_assert_no_error (error);
  g_assert_true (g_fork_process_get_if_signaled (process));
  g_assert_cmpint (g_fork_process_get_term_sig (process), ==, SIGTERM);
}

/* What is to be placed at the number that the template keeps something at is placed there. */
static void
test_descriptors_are_placed (void)
{
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GForkTemplate) template = confined (sandbox);
  TestFd null = open ("/dev/null", O_RDONLY | O_CLOEXEC);
  g_autoptr (GSocket) socket = NULL;

  for (int target = 3; target < 20; target++)
    g_fork_template_map_fd (template, null, target);
  socket = test_run (template, "do_things", NULL);
  assert_refused (socket, EACCES, "read /etc/passwd");
  assert_refused (socket, EPERM, "kill %d 0", getpid ());
}

typedef GForkTemplate *(*MakeTemplate) (void);

static GForkTemplate *
make_c (void)
{
  GForkTemplate *template = g_fork_template_new_exec ();

  g_fork_template_require (template, "test-confined");
  return template;
}

static GForkTemplate *
make_python (void)
{
  g_autofree char *module = test_build_path ("modules/test-confined.so");
  const char *args[] = { module, NULL };
  GForkTemplate *template = g_fork_template_new_exec_for_runtime ("python3");

  g_fork_template_eval (template,
                        "import ctypes\n"
                        "library = ctypes.CDLL (args[0])\n"
                        "def do_things (sock):\n"
                        "  library.do_things (sock.fileno (), None, 0)\n",
                        args);
  return template;
}

/* Starts a template whose standard error is the terminal. */
static GForkTemplate *
make_on_terminal (MakeTemplate make,
                  int          terminal)
{
  TestFd standard_error = fcntl (2, F_DUPFD_CLOEXEC, 3);
  GForkTemplate *template;

  g_assert_cmpint (dup2 (terminal, 2), ==, 2);
  template = make ();
  test_prepare (template);
  g_assert_cmpint (dup2 (standard_error, 2), ==, 2);
  return template;
}

/* What is typed on the terminal is not for a confined process, though it may print there. */
static void
test_terminal (gconstpointer make)
{
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) open_template = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) open_socket = NULL;
  TestFd master = posix_openpt (O_RDWR | O_NOCTTY | O_CLOEXEC);
  TestFd terminal = -1;

  g_assert_cmpint (grantpt (master), ==, 0);
  g_assert_cmpint (unlockpt (master), ==, 0);
  terminal = open (ptsname (master), O_RDWR | O_NOCTTY | O_CLOEXEC);
  template = make_on_terminal ((MakeTemplate) make, terminal);
  open_template = g_fork_template_fork (template);
  g_fork_template_confine (template, sandbox);

  g_assert_cmpint (write (master, "password\n", 9), ==, 9);
  socket = test_run (template, "do_things", NULL);
  assert_refused (socket, EBADF, "read-standard-error");
  assert_can (socket, "print printed in a sandbox");
  open_socket = test_run (open_template, "do_things", NULL);
  assert_can (open_socket, "read-standard-error");
}

/* The clocks of a process and its threads are there under several numbers. */
static void
test_own_clocks (void)
{
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GSocket) socket = run_confined (sandbox);

  assert_can (socket, "own-clocks");
}

/* ——— Errors ——— */

static void
test_missing_path (void)
{
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GForkTemplate) template = NULL;

  g_fork_sandbox_allow_read (sandbox, "/nowhere/at/all");
  template = confined (sandbox);
  assert_fails (template, G_FORK_ERROR_FAILED, "/nowhere/at/all");
}

static void
test_relative_path (void)
{
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GForkTemplate) template = NULL;

  g_fork_sandbox_allow_write (sandbox, "some/where");
  template = confined (sandbox);
  assert_fails (template, G_FORK_ERROR_FAILED, "some/where");
}

static void
test_unknown_system_call (void)
{
  static const char *const names[] = { "getpid", "no_such_call", NULL };
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GForkTemplate) template = NULL;

  g_fork_sandbox_allow_system_calls (sandbox, names);
  template = confined (sandbox);
  assert_fails (template, G_FORK_ERROR_FAILED, "no_such_call");
}

/* Only one thread can be confined. */
static void
test_threads (void)
{
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GForkTemplate) template = g_fork_template_new ();

  g_fork_template_call (template, "test-confined:start_thread", NULL);
  g_fork_template_confine (template, sandbox);
  assert_fails (template, G_FORK_ERROR_THREADED, "confined");
}

/* Those of a confined template cannot be named, but are noticed. */
static void
test_threads_inside (void)
{
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GForkTemplate) template = confined (sandbox);
  g_autoptr (GForkTemplate) fork = NULL;

  g_fork_template_call (template, "start_thread", NULL);
  fork = g_fork_template_fork (template);
  assert_fails (fork, G_FORK_ERROR_THREADED, "names cannot be read");
}

/* ——— The object ——— */

static void
on_notify (GObject    *object,
           GParamSpec *pspec,
           gpointer    count)
{
  ++*(guint *) count;
}

static void
test_required (void)
{
  g_autoptr (GForkSandbox) sandbox = g_object_new (G_FORK_TYPE_SANDBOX, NULL);
  guint n_notified = 0;
  gboolean required;

  g_signal_connect (sandbox, "notify::required", G_CALLBACK (on_notify), &n_notified);
  g_assert_true (g_fork_sandbox_get_required (sandbox));
  g_fork_sandbox_set_required (sandbox, TRUE);
  g_assert_cmpuint (n_notified, ==, 0);
  g_object_set (sandbox, "required", FALSE, NULL);
  g_assert_cmpuint (n_notified, ==, 1);
  g_object_get (sandbox, "required", &required, NULL);
  g_assert_false (required);
}

/* Where the kernel lacks something, or the library was built without libseccomp */
static void
test_not_supported (void)
{
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GError) error = NULL;

  g_fork_template_confine (template, sandbox);
  g_assert_false (g_fork_template_prepare (template, NULL, &error));
  g_assert_error (error, G_FORK_ERROR, G_FORK_ERROR_NOT_SUPPORTED);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  if (test_under_sanitizer ())
    {
      g_print ("1..0 # SKIP what a sanitizer does at the end of a process is not allowed\n");
      return 0;
    }

  g_test_add_func ("/sandbox/required", test_required);
  if (g_fork_sandbox_get_features () != ALL_FEATURES)
    {
      g_test_add_func ("/sandbox/not-supported", test_not_supported);
      return g_test_run ();
    }

  g_test_add_func ("/sandbox/allow/nothing", test_nothing);
  g_test_add_func ("/sandbox/allow/read", test_read);
  g_test_add_func ("/sandbox/allow/read-one-file", test_read_one_file);
  g_test_add_func ("/sandbox/allow/write", test_write);
  g_test_add_func ("/sandbox/allow/write-no-setuid", test_write_no_setuid);
  g_test_add_func ("/sandbox/allow/execute", test_execute);
  g_test_add_func ("/sandbox/allow/execv", test_execv);
  g_test_add_func ("/sandbox/allow/network", test_network);
  g_test_add_func ("/sandbox/allow/accept", test_accept);
  g_test_add_func ("/sandbox/allow/system-calls", test_system_calls);
  g_test_add_func ("/sandbox/allow/system-calls-of-the-table", test_system_calls_of_the_table);
  g_test_add_func ("/sandbox/confine/order", test_order);
  g_test_add_func ("/sandbox/confine/require", test_require_inside);
  g_test_add_func ("/sandbox/confine/directory", test_directory_inside);
  g_test_add_func ("/sandbox/confine/others-are-free", test_others_are_free);
  g_test_add_func ("/sandbox/confine/copied", test_sandbox_is_copied);
  g_test_add_func ("/sandbox/confine/again-narrows", test_again_narrows);
  g_test_add_func ("/sandbox/confine/again-and-again", test_again_and_again);
  g_test_add_func ("/sandbox/confine/signals-from-outside", test_signals_from_outside);
  g_test_add_func ("/sandbox/confine/descriptors", test_descriptors_are_placed);
  g_test_add_func ("/sandbox/confine/own-clocks", test_own_clocks);
  g_test_add_data_func ("/sandbox/confine/terminal", make_c, test_terminal);
  g_test_add_data_func ("/sandbox/confine/terminal-python", make_python, test_terminal);
  g_test_add_func ("/sandbox/errors/missing-path", test_missing_path);
  g_test_add_func ("/sandbox/errors/relative-path", test_relative_path);
  g_test_add_func ("/sandbox/errors/unknown-system-call", test_unknown_system_call);
  g_test_add_func ("/sandbox/errors/threads", test_threads);
  g_test_add_func ("/sandbox/errors/threads-inside", test_threads_inside);

  return g_test_run ();
}
