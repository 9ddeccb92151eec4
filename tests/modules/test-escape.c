/* test-escape.c: tries ways out of a sandbox, for tests/escapes.c
 *
 * This is a module, a program of its own, a part of a program that forks itself, and a library
 * that Python loads by ctypes. Each attempt is made in a fork of the worker, so that it has a
 * process for itself.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-escape.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

EXPORT int escape_tries (int socket, const GForkArg *args, size_t n_args);
EXPORT int escape_sibling (int socket, const GForkArg *args, size_t n_args);
EXPORT int escape_main (int out, int argc, char **argv);

/* Where what there is to reach is: `key=value`, from the test. */
const char *dir = "";
const char *path_listener = "", *path_datagram = "", *abstract_name = "";
int tcp_port, tcp6_port, udp_port;
pid_t template_pid, sibling, application;
int secret_fd = -1, dir_fd = -1, tcp_fd = -1, unix_fd = -1, terminal_fd = -1, listen_fd = -1;
int conversation = -1;

/* What siblings see of each other. */
volatile char memory[16] = "unchanged";
static volatile sig_atomic_t n_signals;

/* A path beneath the directory, in one of a few places. */
const char *
in_dir (const char *name)
{
  static char paths[4][512];
  static unsigned next;

  next = (next + 1) % 4;
  snprintf (paths[next], sizeof paths[next], "%s/%s", dir, name);
  return paths[next];
}

const char *
of_process (pid_t       pid,
            const char *file)
{
  static char path[64];

  snprintf (path, sizeof path, "/proc/%d/%s", pid, file);
  return path;
}

int
process_descriptor (pid_t pid)
{
  return (int) syscall (SYS_pidfd_open, pid, 0);
}

int
wait_for (pid_t pid)
{
  int status;

  if (pid < 0 || waitpid (pid, &status, 0) != pid)
    return -1;
  errno = WIFEXITED (status) ? WEXITSTATUS (status) : EINTR;
  return errno == 0 ? 0 : -1;
}

/* ——— Sockets ——— */

socklen_t
path_address (struct sockaddr_un *address,
              const char         *path)
{
  memset (address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  snprintf (address->sun_path, sizeof address->sun_path, "%s", path);
  return sizeof *address;
}

socklen_t
abstract_address (struct sockaddr_un *address,
                  const char         *name)
{
  memset (address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  snprintf (address->sun_path + 1, sizeof address->sun_path - 1, "%s", name);
  return (socklen_t) (offsetof (struct sockaddr_un, sun_path) + 1 + strlen (name));
}

int
bind_unix (const char *path,
           int         is_abstract)
{
  struct sockaddr_un address;
  socklen_t length = is_abstract ? abstract_address (&address, path)
                                 : path_address (&address, path);

  return bind (socket (AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *) &address, length);
}

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
make_attempt (const struct escape_attempt *attempt)
{
  int status;
  pid_t pid = fork ();

  if (pid == 0)
    {
      alarm (20);
      signal (SIGURG, SIG_IGN);
      errno = 0;
      if (attempt->attempt () >= 0)
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
  const struct escape_attempt *const tables[] = { escape_files, escape_processes, escape_kernel,
                                                 escape_corners };

  conversation = out;
  signal (SIGHUP, SIG_IGN); /* one attempt has it sent to the whole group */
  for (int i = 0; i < argc; i++)
    learn (argv[i]);

  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
    for (const struct escape_attempt *attempt = tables[i]; attempt->name != NULL; attempt++)
      dprintf (out, "%s %d\n", attempt->name, make_attempt (attempt));
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
