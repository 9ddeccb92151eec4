/* escapes.c: tests that none of the ways out of a sandbox that modules/test-escape.c tries
 * succeeds
 *
 * Each way has to succeed in a process that is not confined first. One that does not proves
 * nothing on this machine, and is named. The tests do not rely on what a confined process
 * reports: they look at files, sockets, signals and siblings themselves.
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
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Outcomes of attempts that are no errno. */
#define FOR_NO_REASON 254
#define KILLED 255

/* What is there to be reached. */
typedef struct
{
  char *dir;
  char *abstract_name;
  TestFd path_listener, path_datagram, abstract, tcp, tcp6, udp;
  TestFd terminal, terminal_end;
  TestFd secret, dir_fd, tcp_client, tcp_listener, unix_client;
  char *before; /* what the directory was like */
} Scene;

static volatile sig_atomic_t n_signals;

static void
count_signal (int signum)
{
  n_signals = n_signals + 1;
}

/* ——— The scene ——— */

static int
listen_unix (const char *path,
             gboolean    is_abstract,
             int         type)
{
  struct sockaddr_un address = { AF_UNIX, "" };
  int fd = socket (AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  socklen_t length = sizeof address;

  if (is_abstract)
    length = offsetof (struct sockaddr_un, sun_path) + 1 + strlen (path);
  g_strlcpy (address.sun_path + is_abstract, path, sizeof address.sun_path - 1);
  g_assert_cmpint (bind (fd, (struct sockaddr *) &address, length), ==, 0);
  if (type == SOCK_STREAM)
    g_assert_cmpint (listen (fd, 200), ==, 0);
  return fd;
}

/* Returns -1 where there is no such protocol. */
static int
listen_ip (int family,
           int type)
{
  struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
  struct sockaddr_in address4 = { .sin_family = AF_INET, .sin_addr = { htonl (INADDR_LOOPBACK) } };
  int fd = socket (family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  if (fd < 0
      || bind (fd, family == AF_INET ? (struct sockaddr *) &address4 : (struct sockaddr *) &address,
               family == AF_INET ? sizeof address4 : sizeof address) != 0)
    return -1;
  if (type == SOCK_STREAM)
    g_assert_cmpint (listen (fd, 200), ==, 0);
  return fd;
}

static int
port_of (int fd)
{
  struct sockaddr_in6 address = { 0 };
  socklen_t length = sizeof address;

  if (fd < 0)
    return 1;
  g_assert_cmpint (getsockname (fd, (struct sockaddr *) &address, &length), ==, 0);
  return ntohs (address.sin6_port);
}

static int
compare_lines (gconstpointer a,
               gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

/* Everything about the files that somebody could have changed. */
static char *
describe_dir (const char *dir)
{
  g_autoptr (GPtrArray) lines = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) entries = g_dir_open (dir, 0, NULL);
  const char *name;

  g_assert_nonnull (entries);
  while ((name = g_dir_read_name (entries)) != NULL)
    {
      g_autofree char *path = g_build_filename (dir, name, NULL);
      char attributes[256] = "";
      struct stat st;

      g_assert_cmpint (lstat (path, &st), ==, 0);
      if (S_ISREG (st.st_mode))
        (void) !listxattr (path, attributes, sizeof attributes - 1);
      g_ptr_array_add (lines, g_strdup_printf ("%s %o %d %ld %ld %ld %ld %s", name, st.st_mode, st.st_uid,
                                               (long) st.st_size, (long) st.st_mtim.tv_sec,
                                               (long) st.st_mtim.tv_nsec, (long) st.st_nlink, attributes));
    }
  g_ptr_array_sort (lines, compare_lines);
  g_ptr_array_add (lines, NULL);
  return g_strjoinv ("\n", (char **) lines->pdata);
}

static void
write_file (const char *dir,
            const char *name,
            const char *text)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  g_assert_cmpint (g_chmod (path, 0755), ==, 0);
}

static void
make_files (Scene *scene)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *secret = NULL;
  g_autofree char *link = NULL;
  g_autofree char *path = NULL;
  g_autofree char *module = NULL;
  g_autofree char *copy = NULL;
  g_autoptr (GMappedFile) bytes = NULL;

  scene->dir = g_dir_make_tmp ("escape-XXXXXX", &error);
  g_assert_no_error (error);
  write_file (scene->dir, "secret", "#!/bin/sh\nexit 0\n");
  write_file (scene->dir, "victim", "not empty");
  secret = g_build_filename (scene->dir, "secret", NULL);
  (void) !setxattr (secret, "user.a", "a", 1, 0);
  link = g_build_filename (scene->dir, "link", NULL);
  g_assert_cmpint (symlink (secret, link), ==, 0);
  path = g_build_filename (scene->dir, "subdirectory", NULL);
  g_assert_cmpint (g_mkdir (path, 0700), ==, 0);
  g_free (path);
  path = g_build_filename (scene->dir, "empty", NULL);
  g_assert_cmpint (g_mkdir (path, 0700), ==, 0);

  module = test_build_path ("modules/test-other.so");
  copy = g_build_filename (scene->dir, "module.so", NULL);
  bytes = g_mapped_file_new (module, FALSE, &error);
  g_assert_no_error (error);
  g_assert_true (g_file_set_contents (copy, g_mapped_file_get_contents (bytes),
                                      g_mapped_file_get_length (bytes), NULL));

  scene->secret = open (secret, O_RDONLY | O_CLOEXEC);
  scene->dir_fd = open (scene->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void
scene_set (Scene *scene)
{
  static guint n;
  g_autofree char *path = NULL;
  g_autofree char *datagram = NULL;

  make_files (scene);

  path = g_build_filename (scene->dir, "listener", NULL);
  datagram = g_build_filename (scene->dir, "datagram", NULL);
  scene->abstract_name = g_strdup_printf ("gspawnfork-escapes-%d-%u", getpid (), n++);
  scene->path_listener = listen_unix (path, FALSE, SOCK_STREAM);
  scene->path_datagram = listen_unix (datagram, FALSE, SOCK_DGRAM);
  scene->abstract = listen_unix (scene->abstract_name, TRUE, SOCK_STREAM);
  scene->tcp = listen_ip (AF_INET, SOCK_STREAM);
  scene->tcp6 = listen_ip (AF_INET6, SOCK_STREAM);
  scene->udp = listen_ip (AF_INET, SOCK_DGRAM);
  scene->tcp_client = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  scene->tcp_listener = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  scene->unix_client = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  scene->terminal = posix_openpt (O_RDWR | O_NOCTTY | O_CLOEXEC);
  g_assert_cmpint (grantpt (scene->terminal), ==, 0);
  g_assert_cmpint (unlockpt (scene->terminal), ==, 0);
  scene->terminal_end = open (ptsname (scene->terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
  g_assert_cmpint (scene->terminal_end, >=, 0);

  scene->before = describe_dir (scene->dir);
  n_signals = 0;
}

static gboolean
was_connected_to (int listener)
{
  TestFd fd G_GNUC_UNUSED = accept4 (listener, NULL, NULL, SOCK_CLOEXEC);

  return fd >= 0;
}

static gboolean
was_sent_to (int fd)
{
  char byte;

  return recv (fd, &byte, 1, MSG_DONTWAIT) >= 0;
}

static void
scene_clear (Scene *scene)
{
  const char *argv[] = { "rm", "-rf", scene->dir, NULL };

  g_assert_true (g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
                               NULL, NULL, NULL));
  g_free (scene->dir);
  g_free (scene->abstract_name);
  g_free (scene->before);
  for (int *fd = &scene->path_listener; fd <= &scene->unix_client; fd++)
    test_close_fd (fd);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Scene, scene_clear)

/* ——— The ways in which a process can come to be ——— */

typedef enum
{
  A_FORK,
  A_FORK_OF_A_FORK,
  A_SPARE,
  A_PROGRAM
} Kind;

typedef struct
{
  GForkTemplate *(*make) (void);
  Kind kind;
} Way;

static GForkTemplate *
make_c (void)
{
  GForkTemplate *template = g_fork_template_new_exec ();

  g_fork_template_require (template, "test-escape");
  return template;
}

static GForkTemplate *
make_python (void)
{
  g_autofree char *module = test_build_path ("modules/test-escape.so");
  const char *args[] = { module, NULL };
  GForkTemplate *template = g_fork_template_new_for_runtime ("python3");

  g_fork_template_eval (template,
                        "import ctypes\n"
                        "library = ctypes.CDLL (args[0])\n"
                        "def escape_tries (sock, *sent):\n"
                        "  names = iter (['secret_fd', 'dir_fd', 'tcp_fd', 'unix_fd', 'terminal_fd',"
                        "                 'listen_fd'])\n"
                        "  def number (fd):\n"
                        "    return fd if isinstance (fd, int) else fd.fileno ()\n"
                        "  words = [value if isinstance (value, str) else\n"
                        "           f'{next (names)}={number (value)}' for value in sent]\n"
                        "  words = [word.encode () for word in words]\n"
                        "  argv = (ctypes.c_char_p * len (words)) (*words)\n"
                        "  library.escape_main (sock.fileno (), len (words), argv)\n"
                        "def escape_sibling (sock, *sent):\n"
                        "  library.escape_sibling (sock.fileno (), None, 0)\n",
                        args);
  return template;
}

static GForkTemplate *
make_from_main (void)
{
  g_autoptr (GError) error = NULL;
  GForkTemplate *template = g_fork_template_new_from_main (&error);

  g_assert_no_error (error);
  return template;
}

static const Way in_c = { make_c, A_FORK };
static const Way in_fork_of_fork = { make_c, A_FORK_OF_A_FORK };
static const Way in_spare = { make_c, A_SPARE };
static const Way in_program = { make_c, A_PROGRAM };
static const Way in_python = { make_python, A_FORK };
static const Way from_main = { make_from_main, A_FORK };

static GForkTemplate *
fork_template (GForkTemplate *template,
               const Way     *way)
{
  g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);

  return way->kind == A_FORK_OF_A_FORK ? g_fork_template_fork (fork) : g_steal_pointer (&fork);
}

/* ——— Trying ——— */

/* Outcomes by name: 0 for an attempt that succeeded, else its errno. */
static GHashTable *
read_outcomes (GSocket *socket)
{
  g_autoptr (GString) text = test_read_all (socket);
  g_auto (GStrv) lines = g_strsplit (text->str, "\n", -1);
  GHashTable *outcomes = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; lines[i] != NULL; i++)
    {
      char **words = g_strsplit (lines[i], " ", 2);

      if (words[0] != NULL && words[1] != NULL)
        g_hash_table_insert (outcomes, g_strdup (words[0]), GINT_TO_POINTER (atoi (words[1])));
      g_strfreev (words);
    }

  return outcomes;
}

static void
send_word (GForkTemplate *template,
           const char    *format,
           ...) G_GNUC_PRINTF (2, 3);

static void
send_word (GForkTemplate *template,
           const char    *format,
           ...)
{
  g_autofree char *word = NULL;
  va_list args;

  va_start (args, format);
  word = g_strdup_vprintf (format, args);
  va_end (args);
  g_fork_template_send_arg (template, word);
}

static void
send_scene (GForkTemplate *template,
            const Scene   *scene,
            GPid           template_pid,
            GPid           sibling,
            gboolean       as_program)
{
  static const char *const names[] = { "secret_fd", "dir_fd", "tcp_fd", "unix_fd", "terminal_fd",
                                       "listen_fd" };
  const int fds[] = { scene->secret, scene->dir_fd, scene->tcp_client, scene->unix_client,
                      scene->terminal_end, scene->tcp_listener };

  send_word (template, "dir=%s", scene->dir);
  send_word (template, "path_listener=%s/listener", scene->dir);
  send_word (template, "path_datagram=%s/datagram", scene->dir);
  send_word (template, "abstract_name=%s", scene->abstract_name);
  send_word (template, "tcp_port=%d", port_of (scene->tcp));
  send_word (template, "tcp6_port=%d", port_of (scene->tcp6));
  send_word (template, "udp_port=%d", port_of (scene->udp));
  send_word (template, "template_pid=%d", template_pid);
  send_word (template, "sibling=%d", sibling);
  send_word (template, "application=%d", getpid ());

  for (guint i = 0; i < G_N_ELEMENTS (fds); i++)
    {
      /* A program gets them from 3 on. */
      if (as_program)
        send_word (template, "%s=%u", names[i], 3 + i);
      g_fork_template_send_fd (template, fds[i]);
    }
}

/* What the test itself sees of what was done. */
typedef struct
{
  gboolean files_changed;
  gboolean connected;
  gboolean signalled;      /* this process */
  char *sibling;           /* what it says */
} Damage;

static GHashTable *
try_all (GForkTemplate *template,
         const Way     *way,
         Damage        *damage)
{
  g_auto (Scene) scene = { 0 };
  g_autoptr (GForkTemplate) for_sibling = NULL;
  g_autoptr (GForkTemplate) for_worker = NULL;
  g_autoptr (GForkTemplate) after = NULL;
  g_autoptr (GForkProcess) sibling = NULL;
  g_autoptr (GForkProcess) worker = NULL;
  g_autoptr (GSocket) sibling_socket = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocket) after_socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *first = NULL;
  g_autofree char *files = NULL;
  GHashTable *outcomes;
  GPid pid;

  if (way->kind == A_SPARE)
    g_fork_template_set_spare_processes (template, 3);
  test_prepare (template);
  for_sibling = fork_template (template, way);
  for_worker = fork_template (template, way);
  g_object_get (template, "pid", &pid, NULL);
  scene_set (&scene);

  g_fork_template_setsid (for_sibling); /* and so leads a group that a signal can be sent to */
  sibling_socket = test_run (for_sibling, "escape_sibling", &sibling);
  first = test_ask (sibling_socket, "%s", "");

  send_scene (for_worker, &scene, pid, g_fork_process_get_pid (sibling), way->kind == A_PROGRAM);
  if (way->kind == A_PROGRAM)
    {
      g_autofree char *program = test_build_path ("escape");

      socket = g_fork_template_execv (for_worker, (const char *[]){ program, NULL },
                                      G_FORK_EXEC_SOCKET_STDOUT, &worker, NULL, &error);
      g_assert_no_error (error);
    }
  else
    socket = test_run (for_worker, "escape_tries", &worker);
  outcomes = read_outcomes (socket);
  g_assert_true (g_fork_process_wait_check (worker, NULL, &error));
  g_assert_no_error (error);

  damage->connected = was_connected_to (scene.path_listener) || was_connected_to (scene.abstract)
                      || was_connected_to (scene.tcp) || was_sent_to (scene.path_datagram)
                      || was_sent_to (scene.udp);
  if (scene.tcp6 >= 0)
    damage->connected |= was_connected_to (scene.tcp6);
  files = describe_dir (scene.dir);
  damage->files_changed = !g_str_equal (files, scene.before);
  damage->signalled = n_signals > 0;
  damage->sibling = test_ask (sibling_socket, "%s", "");

  /* The template serves as before. */
  after = g_fork_template_fork (template);
  after_socket = test_run (after, "escape_sibling", NULL);
  return outcomes;
}

static void
test_way (gconstpointer data)
{
  static const char *const loaders[] = { "/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1",
                                         "/lib/ld-linux.so.2" };
  const Way *way = data;
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GForkTemplate) open_template = way->make ();
  g_autoptr (GForkTemplate) confined_template = way->make ();
  g_autoptr (GHashTable) open_outcomes = NULL;
  g_autoptr (GHashTable) confined_outcomes = NULL;
  g_autoptr (GString) unproved = g_string_new (NULL);
  g_autoptr (GString) escaped = g_string_new (NULL);
  Damage done = { 0 }, damage = { 0 };
  GHashTableIter iter;
  gpointer name, outcome;
  guint n_proved = 0;

  if (way->kind == A_PROGRAM)
    {
      g_autofree char *program = test_build_path ("escape");

      g_fork_sandbox_allow_execute (sandbox, program);
      for (guint i = 0; i < G_N_ELEMENTS (loaders); i++)
        if (g_file_test (loaders[i], G_FILE_TEST_EXISTS))
          g_fork_sandbox_allow_execute (sandbox, loaders[i]);
      g_fork_sandbox_allow_read (sandbox, "/lib");
    }

  open_outcomes = try_all (open_template, way, &done);
  g_fork_template_confine (confined_template, sandbox);
  confined_outcomes = try_all (confined_template, way, &damage);

  g_hash_table_iter_init (&iter, confined_outcomes);
  while (g_hash_table_iter_next (&iter, &name, &outcome))
    {
      int refused = GPOINTER_TO_INT (outcome);
      int refused_open = GPOINTER_TO_INT (g_hash_table_lookup (open_outcomes, name));

      /* Neither is anything killed for what it tries. */
      if (refused == 0 || (refused >= FOR_NO_REASON && refused_open == 0))
        g_string_append_printf (escaped, " %s (%d)", (char *) name, refused);
      else if (refused_open == 0)
        n_proved++;
      else
        g_string_append_printf (unproved, " %s (%s)", (char *) name,
                                refused_open == KILLED ? "killed" : g_strerror (refused_open));
    }

  g_test_message ("%u attempts, of which %u succeed unconfined", g_hash_table_size (confined_outcomes), n_proved);
  g_test_message ("prove nothing here:%s", unproved->str);
  g_assert_cmpstr (escaped->str, ==, "");
  g_assert_cmpuint (n_proved, >=, 100);

  /* What is looked at would show it, as it does here. */
  g_assert_true (done.files_changed);
  g_assert_true (done.connected);
  g_assert_true (done.signalled);
  g_assert_cmpstr (done.sibling, !=, "0 unchanged");

  g_assert_false (damage.files_changed);
  g_assert_false (damage.connected);
  g_assert_false (damage.signalled);
  g_assert_cmpstr (damage.sibling, ==, "0 unchanged");
  g_free (done.sibling);
  g_free (damage.sibling);
}

/* Goes on in a session, and so in a process group, of its own, as some attempts send signals to
 * the group, and this one's parent, which may be in the same group, is not to receive any. */
static void
become_session (void)
{
  pid_t pid = fork ();
  int status;

  if (pid == 0)
    {
      prctl (PR_SET_PDEATHSIG, SIGKILL);
      setsid ();
      return;
    }
  while (waitpid (pid, &status, 0) < 0 && errno == EINTR)
    ;
  exit (WIFEXITED (status) ? WEXITSTATUS (status) : EXIT_FAILURE);
}

int
main (int    argc,
      char **argv)
{
  become_session ();
  g_test_init (&argc, &argv, NULL);

  if (test_under_sanitizer ())
    {
      g_print ("1..0 # SKIP what a sanitizer does at the end of a process is not allowed\n");
      return 0;
    }

  if (g_fork_sandbox_get_features () != (G_FORK_SANDBOX_FILES | G_FORK_SANDBOX_NETWORK
                                         | G_FORK_SANDBOX_SIGNALS | G_FORK_SANDBOX_SYSTEM_CALLS))
    {
      g_print ("1..0 # SKIP the kernel cannot confine\n");
      return 0;
    }

  signal (SIGURG, count_signal);
  signal (SIGHUP, count_signal);

  /* The first, as long as there is one thread. */
  g_test_add_data_func ("/escapes/from-main", &from_main, test_way);
  g_test_add_data_func ("/escapes/c", &in_c, test_way);
  g_test_add_data_func ("/escapes/fork-of-fork", &in_fork_of_fork, test_way);
  g_test_add_data_func ("/escapes/spare", &in_spare, test_way);
  g_test_add_data_func ("/escapes/program", &in_program, test_way);

  g_test_add_data_func ("/escapes/python", &in_python, test_way);

  return g_test_run ();
}
