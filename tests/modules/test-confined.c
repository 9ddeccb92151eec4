/* test-confined.c: a worker that does what tests/sandbox.c asks, and reports the result
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-module.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

EXPORT int do_things (int socket, const GForkArg *args, size_t n_args);
EXPORT int start_thread (const GForkArg *args, size_t n_args, char *error, size_t error_size);
EXPORT int read_in_template (const GForkArg *args, size_t n_args, char *error, size_t error_size);

static int
list (const char *path)
{
  DIR *directory = opendir (path);

  return directory != NULL && readdir (directory) != NULL ? closedir (directory) : -1;
}

static int
execute (const char *path)
{
  int status;
  pid_t pid = fork ();

  if (pid == 0)
    {
      execl (path, path, "1", "exit", "0", (char *) NULL); /* as show does it */
      _exit (errno);
    }
  if (pid < 0 || waitpid (pid, &status, 0) != pid)
    return -1;
  errno = WIFEXITED (status) ? WEXITSTATUS (status) : EINTR;
  return errno == 0 ? 0 : -1;
}

static int
connect_ip (int type,
            int port)
{
  struct sockaddr_in address = { AF_INET, htons (port), { htonl (INADDR_LOOPBACK) }, { 0 } };
  int fd = socket (AF_INET, type, 0);

  if (connect (fd, (struct sockaddr *) &address, sizeof address) != 0)
    return -1;
  return send (fd, "x", 1, 0) == 1 ? close (fd) : -1;
}

static int
bind_ip (int type)
{
  struct sockaddr_in address = { AF_INET, 0, { htonl (INADDR_LOOPBACK) }, { 0 } };

  return bind (socket (AF_INET, type, 0), (struct sockaddr *) &address, sizeof address);
}

static int
connect_unix (const char *path)
{
  struct sockaddr_un address = { AF_UNIX, "" };

  int fd = socket (AF_UNIX, SOCK_STREAM, 0);

  snprintf (address.sun_path, sizeof address.sun_path, "%s", path);
  return fd < 0 ? -1 : connect (fd, (struct sockaddr *) &address, sizeof address);
}

static int
signal_own_child (void)
{
  int status;
  pid_t pid = fork ();

  if (pid == 0)
    for (;;)
      pause ();
  if (pid < 0 || kill (pid, SIGTERM) != 0 || waitpid (pid, &status, 0) != pid)
    return -1;
  return WIFSIGNALED (status) ? 0 : -1;
}

static void *
nothing (void *data)
{
  return data;
}

static int
run_thread (void)
{
  pthread_t thread;

  return pthread_create (&thread, NULL, nothing, NULL) == 0 ? pthread_join (thread, NULL) : -1;
}

/* Its own clocks, by the numbers that the C library makes up, and a timer by one. */
static int
use_own_clocks (void)
{
  struct sigevent event = { .sigev_notify = SIGEV_NONE };
  struct timespec now;
  clockid_t process, thread;
  timer_t timer;

  if (clock_getcpuclockid (0, &process) != 0 || pthread_getcpuclockid (pthread_self (), &thread) != 0)
    return -1;
  return clock_gettime (process, &now) != 0 || clock_gettime (thread, &now) != 0
                 || clock_gettime (CLOCK_TAI, &now) != 0 || clock_gettime (CLOCK_BOOTTIME, &now) != 0
                 || timer_create (process, &event, &timer) != 0
                 || timer_create (CLOCK_THREAD_CPUTIME_ID, &event, &timer) != 0
             ? -1
             : timer_create (CLOCK_MONOTONIC, &event, &timer);
}

/* Returns what the call returns. */
static int
do_thing (const char *what,
          const char *a,
          const char *b,
          int         fd)
{
#define IS(name) (strcmp (what, name) == 0)
  if (IS ("read"))
    return open (a, O_RDONLY);
  if (IS ("read-byte"))
    return (int) read (open (a, O_RDONLY), (char[1]){ 0 }, 1);
  if (IS ("read-standard-error"))
    return (int) read (2, (char[1]){ 0 }, 1);
  if (IS ("write"))
    return open (a, O_WRONLY);
  if (IS ("write-byte"))
    return (int) write (open (a, O_WRONLY), "x", 1);
  if (IS ("truncate"))
    return truncate (a, 0);
  if (IS ("list"))
    return list (a);
  if (IS ("stat"))
    return stat (a, &(struct stat){ 0 });
  if (IS ("create"))
    return open (a, O_WRONLY | O_CREAT | O_EXCL, strtol (b, NULL, 8));
  if (IS ("creat"))
    return creat (a, strtol (b, NULL, 8));
  if (IS ("create-unnamed"))
    return open (a, O_WRONLY | O_TMPFILE, strtol (b, NULL, 8));
  if (IS ("mkdir"))
    return mkdir (a, 0700);
  if (IS ("rmdir"))
    return rmdir (a);
  if (IS ("unlink"))
    return unlink (a);
  if (IS ("rename"))
    return rename (a, b);
  if (IS ("link"))
    return link (a, b);
  if (IS ("symlink"))
    return symlink (a, b);
  if (IS ("chmod"))
    return chmod (a, 0600);
  if (IS ("mkfifo"))
    return mkfifo (a, 0600);
  if (IS ("mknod"))
    return mknod (a, S_IFCHR | 0600, 0x103);
  if (IS ("execute"))
    return execute (a);
  if (IS ("tcp"))
    return connect_ip (SOCK_STREAM, atoi (a));
  if (IS ("udp"))
    return connect_ip (SOCK_DGRAM, atoi (a));
  if (IS ("bind-tcp"))
    return bind_ip (SOCK_STREAM);
  if (IS ("bind-udp"))
    return bind_ip (SOCK_DGRAM);
  if (IS ("listen-tcp"))
    return listen (socket (AF_INET, SOCK_STREAM, 0), 1);
  if (IS ("unix"))
    return connect_unix (a);
  if (IS ("socket"))
    return socket (AF_INET, atoi (a), atoi (b));
  if (IS ("netlink"))
    return socket (AF_NETLINK, SOCK_RAW, 0);
  if (IS ("accept"))
    return accept (fd, NULL, NULL);
  if (IS ("watch"))
    return inotify_add_watch (inotify_init1 (0), a, IN_ALL_EVENTS);
  if (IS ("lock"))
    return mlock (&fd, sizeof fd);
  if (IS ("kill"))
    return kill (atoi (a), atoi (b));
  if (IS ("kill-own-child"))
    return signal_own_child ();
  if (IS ("thread"))
    return run_thread ();
  if (IS ("own-clocks"))
    return use_own_clocks ();
  if (IS ("memory"))
    return memfd_create ("memory", strtol (a, NULL, 0));
  if (IS ("call"))
    return (int) syscall (strtol (a, NULL, 0), 0, 0, 0, 0);
  if (IS ("privileges"))
    return prctl (PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) - 1;
  if (IS ("print"))
    return fprintf (stderr, "# %s\n", a) > 0 && fflush (stderr) == 0 ? 0 : -1;
#undef IS
  return -1;
}

static int
read_line (int    socket,
           char  *line,
           size_t size)
{
  for (size_t n = 0; n < size && read (socket, line + n, 1) == 1; n++)
    if (line[n] == '\n')
      {
        line[n] = '\0';
        return 1;
      }
  return 0;
}

/* Answers each line, `WHAT A B`, by its errno, and 0 for what could be done. */
int
do_things (int             socket,
           const GForkArg *args,
           size_t          n_args)
{
  char line[1024];
  int sent = -1;

  for (size_t i = 0; i < n_args; i++)
    if (args[i].fd >= 0)
      sent = args[i].fd;

  while (read_line (socket, line, sizeof line))
    {
      char *what = strtok (line, " ");
      char *a = strtok (NULL, " "), *b = strtok (NULL, " ");
      int result;

      errno = 0;
      result = do_thing (what != NULL ? what : "", a != NULL ? a : "", b != NULL ? b : "", sent);
      dprintf (socket, "%d\n", result >= 0 ? 0 : errno != 0 ? errno : -1);
    }
  return 0;
}

static void *
wait_for_ever (void *data)
{
  prctl (PR_SET_NAME, "for-ever");
  for (;;)
    pause ();
  return data;
}

/* Leaves a thread behind. */
int
start_thread (const GForkArg *args,
              size_t          n_args,
              char           *error,
              size_t          error_size)
{
  pthread_t thread;

  (void) args;
  (void) n_args;
  snprintf (error, error_size, "no thread");
  return pthread_create (&thread, NULL, wait_for_ever, NULL);
}

/* Fails, with the reason, if the file cannot be read. */
int
read_in_template (const GForkArg *args,
                  size_t          n_args,
                  char           *error,
                  size_t          error_size)
{
  int fd = n_args > 0 ? open (args[0].data, O_RDONLY | O_CLOEXEC) : -1;

  if (fd >= 0)
    return close (fd);
  snprintf (error, error_size, "%s", strerror (errno));
  return 1;
}
