/* test-worker.c: the worker that most tests run, which reports what it was given
 *
 * It is also compiled into test programs that fork themselves.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-module.h"
#include "test-signals.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

EXPORT int echo (int socket, const GForkArg *args, size_t n_args);
EXPORT int answer (int socket, const GForkArg *args, size_t n_args);
EXPORT int dump_args (int socket, const GForkArg *args, size_t n_args);
EXPORT int fd_positions (int socket, const GForkArg *args, size_t n_args);
EXPORT int check_pattern (int socket, const GForkArg *args, size_t n_args);
EXPORT int write_to_args (int socket, const GForkArg *args, size_t n_args);
EXPORT int write_and_wait (int socket, const GForkArg *args, size_t n_args);
EXPORT int send_back (int socket, const GForkArg *args, size_t n_args);
EXPORT int hang_up_and_wait (int socket, const GForkArg *args, size_t n_args);
EXPORT int ignore_all (int socket, const GForkArg *args, size_t n_args);
EXPORT int leave_with (int socket, const GForkArg *args, size_t n_args);
EXPORT int whoami (int socket, const GForkArg *args, size_t n_args);

EXPORT int remember (const GForkArg *args, size_t n_args, char *error, size_t error_size);
EXPORT int remember_environment (const GForkArg *args, size_t n_args, char *error, size_t error_size);
EXPORT int keep_args (const GForkArg *args, size_t n_args, char *error, size_t error_size);
EXPORT int sleep_for (const GForkArg *args, size_t n_args, char *error, size_t error_size);
EXPORT int free_much (const GForkArg *args, size_t n_args, char *error, size_t error_size);
EXPORT int block_until_eof (const GForkArg *args, size_t n_args, char *error, size_t error_size);
EXPORT int whoami_call (const GForkArg *args, size_t n_args, char *error, size_t error_size);

static char memory[4096] = "nothing";
static pid_t loaded_by;

__attribute__ ((constructor)) static void
note_loader (void)
{
  loaded_by = getpid ();
}

/* Talking */

static void
write_all (int         fd,
           const char *data,
           size_t      length)
{
  while (length > 0)
    {
      ssize_t written = write (fd, data, length);

      if (written < 0 && errno == EINTR)
        continue;
      if (written < 0)
        _exit (100);

      data += written;
      length -= written;
    }
}

static void
write_string (int         fd,
              const char *string)
{
  write_all (fd, string, strlen (string));
}

/* Reads byte by byte, so that what follows the line stays in the socket. */
static bool
read_line (int     fd,
           char   *line,
           size_t  size)
{
  size_t length = 0;

  for (;;)
    {
      ssize_t got = read (fd, &line[length], 1);

      if (got < 0 && errno == EINTR)
        continue;
      if (got <= 0)
        return false;

      if (line[length] == '\n')
        {
          line[length] = '\0';
          return true;
        }

      if (++length == size)
        _exit (101);
    }
}

/* What a worker can say about itself */

static bool
is_argument (int             fd,
             const GForkArg *args,
             size_t          n_args)
{
  for (size_t i = 0; i < n_args; i++)
    {
      if (args[i].fd == fd)
        return true;
    }

  return false;
}

/* Answers "none" if exactly 0, 1, 2, the socket and the descriptors sent are
 * open, else what is there besides (+) and what is missing (-). */
static void
answer_strays (int             socket,
               const GForkArg *args,
               size_t          n_args)
{
  struct rlimit limit = { 0 };
  char text[1024] = "";
  size_t length = 0;
  DIR *directory;
  struct dirent *entry;

  directory = opendir ("/proc/self/fd");
  if (directory == NULL)
    _exit (102);

  /* valgrind keeps its own descriptors above the limit that it shows. */
  getrlimit (RLIMIT_NOFILE, &limit);

  while ((entry = readdir (directory)) != NULL)
    {
      int fd = atoi (entry->d_name);
      char path[64];
      char target[64];
      ssize_t target_length;

      if (entry->d_name[0] == '.' || fd == dirfd (directory) || (rlim_t) fd >= limit.rlim_cur)
        continue;
      if (fd <= 2 || fd == socket || is_argument (fd, args, n_args))
        continue;
      if (length > sizeof (text) - 128)
        break;

      snprintf (path, sizeof (path), "/proc/self/fd/%d", fd);
      target_length = readlink (path, target, sizeof (target) - 1);
      target[target_length < 0 ? 0 : target_length] = '\0';
      length += snprintf (text + length, sizeof (text) - length, " +%d:%s", fd, target);
    }
  closedir (directory);

  for (int fd = 0; fd <= 2; fd++)
    {
      if (fcntl (fd, F_GETFD) == -1)
        length += snprintf (text + length, sizeof (text) - length, " -%d", fd);
    }
  for (size_t i = 0; i < n_args && length < sizeof (text) - 32; i++)
    {
      if (args[i].fd >= 0 && fcntl (args[i].fd, F_GETFD) == -1)
        length += snprintf (text + length, sizeof (text) - length, " -arg%zu", i);
    }

  dprintf (socket, "%s\n", length == 0 ? "none" : text + 1);
}

static void
answer_fd (int socket,
           int fd)
{
  char path[64];
  char target[256];
  ssize_t length;

  snprintf (path, sizeof (path), "/proc/self/fd/%d", fd);
  length = readlink (path, target, sizeof (target) - 1);
  if (length < 0)
    {
      write_string (socket, "closed\n");
      return;
    }

  target[length] = '\0';
  dprintf (socket, "%s\n", target);
}

/* Answers "clean" if no signal is blocked and none is ignored or handled. */
static void
answer_signals (int socket)
{
  char text[1024] = "";
  size_t length = 0;
  sigset_t mask;

  sigprocmask (SIG_BLOCK, NULL, &mask);

  for (int signum = 1; signum <= SIGRTMAX; signum++)
    {
      struct sigaction action;

      /* The C library keeps two signals to itself. */
      if (signal_is_reserved (signum) || sigaction (signum, NULL, &action) != 0)
        continue;

      if (sigismember (&mask, signum) == 1)
        length += snprintf (text + length, sizeof (text) - length, " %d:blocked", signum);
      if (action.sa_handler == SIG_IGN)
        length += snprintf (text + length, sizeof (text) - length, " %d:ignored", signum);
      else if (action.sa_handler != SIG_DFL)
        length += snprintf (text + length, sizeof (text) - length, " %d:handled", signum);
      if (length > sizeof (text) - 64)
        break;
    }

  dprintf (socket, "%s\n", length == 0 ? "clean" : text + 1);
}

static void
answer_title (int socket)
{
  char title[256];
  int fd = open ("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  ssize_t length = read (fd, title, sizeof (title) - 1);

  close (fd);
  title[length < 0 ? 0 : length] = '\0';
  dprintf (socket, "%s\n", title);
}

/* Says how descriptors came: they must be blocking or not, close-on-exec or
 * not. */
static void
answer_flags (int socket,
              int fd)
{
  int type = 0;
  socklen_t length = sizeof (type);
  bool is_stream = getsockopt (fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM;

  dprintf (socket, "%s%s%s\n",
           fcntl (fd, F_GETFL) & O_NONBLOCK ? "nonblocking" : "blocking",
           fcntl (fd, F_GETFD) & FD_CLOEXEC ? " cloexec" : "",
           is_stream ? " stream" : "");
}

/* Uses the processor until the system has noticed it, both in this program and
 * in the kernel, and some memory; then says what the system has counted. */
static void
answer_burn (int    socket,
             size_t megabytes)
{
  struct rusage usage;
  volatile unsigned int waste = 0;
  long user;
  long system;
  char *block = mmap (NULL, megabytes << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

  if (block == MAP_FAILED)
    _exit (103);
  memset (block, 0xa5, megabytes << 20);

  do
    {
      for (int i = 0; i < 100000; i++)
        waste += i;
      for (int i = 0; i < 1000; i++)
        {
          int fd = open ("/proc/self/stat", O_RDONLY | O_CLOEXEC);
          char stat[512];

          waste += read (fd, stat, sizeof (stat));
          close (fd);
        }

      getrusage (RUSAGE_SELF, &usage);
      user = usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec;
      system = usage.ru_stime.tv_sec * 1000000 + usage.ru_stime.tv_usec;
    }
  while (user < 20000 || system < 20000);
  (void) waste;

  dprintf (socket, "%ld %ld\n", user, system);
}

/* Says which object is mapped at @data, and how much of it counts as this
 * process's, in kilobytes. */
static void
answer_mapping (int         socket,
                const char *data)
{
  FILE *file = fopen ("/proc/self/smaps", "re");
  char line[512];
  bool inside = false;
  unsigned long inode = 0;
  unsigned long pss = 0;

  while (fgets (line, sizeof (line), file) != NULL)
    {
      uintptr_t start;
      uintptr_t end;
      unsigned long number;

      if (sscanf (line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %lu", &start, &end, &number) == 3)
        {
          inside = start <= (uintptr_t) data && (uintptr_t) data < end;
          if (inside)
            inode = number;
        }
      else if (inside && sscanf (line, "Pss: %lu kB", &number) == 1)
        pss = number;
    }
  fclose (file);

  dprintf (socket, "%lu %lu\n", inode, pss);
}

/* What is mapped larger is reserved, by a sanitizer, and not really there. */
#define MOST_MEMORY ((uintptr_t) 1 << 28)

static bool
is_in_range (int                  mem,
             uintptr_t            start,
             uintptr_t            end,
             const unsigned char *inverted,
             size_t               length)
{
  static unsigned char piece[1 << 16];
  size_t kept = 0;

  while (start < end)
    {
      size_t wanted = end - start < sizeof (piece) - kept ? end - start : sizeof (piece) - kept;
      ssize_t got = pread (mem, piece + kept, wanted, (off_t) start);

      if (got <= 0)
        return false;

      start += got;
      kept += got;
      for (unsigned char *at = piece;
           (at = memchr (at, (unsigned char) ~inverted[0], piece + kept - at)) != NULL; at++)
        {
          size_t same = 0;

          while (same < length && at + same < piece + kept
                 && at[same] == (unsigned char) ~inverted[same])
            same++;
          if (same == length)
            return true;
        }

      /* The beginning of it may stand at the end. */
      if (kept >= length)
        {
          memmove (piece, piece + kept - (length - 1), length - 1);
          kept = length - 1;
        }
    }

  return false;
}

/* Says whether a string is anywhere in the memory of this process. It is given as the
 * hexadecimal digits of the inverted bytes, so as not to be there for being asked. */
static void
answer_find (int         socket,
             const char *digits)
{
  FILE *maps = fopen ("/proc/self/maps", "re");
  int mem = open ("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  unsigned char inverted[128];
  size_t length = 0;
  char line[512];
  bool found = false;

  for (; length < sizeof (inverted) && sscanf (digits, "%2hhx", &inverted[length]) == 1; length++)
    digits += 2;
  if (maps == NULL || mem < 0 || length == 0)
    _exit (104);

  while (!found && fgets (line, sizeof (line), maps) != NULL)
    {
      uintptr_t start;
      uintptr_t end;

      if (sscanf (line, "%" SCNxPTR "-%" SCNxPTR " r", &start, &end) == 2
          && end - start < MOST_MEMORY && strstr (line, "[v") == NULL)
        found = is_in_range (mem, start, end, inverted, length);
    }
  fclose (maps);
  close (mem);

  write_string (socket, found ? "found\n" : "not found\n");
}

/* Functions to run */

/* Sends back what comes, until the other end closes. */
EXPORT int
echo (int             socket,
      const GForkArg *args,
      size_t          n_args)
{
  char buffer[4096];
  ssize_t got;

  while ((got = read (socket, buffer, sizeof (buffer))) > 0)
    write_all (socket, buffer, got);

  return got == 0 ? 0 : 1;
}

/* Answers one question a line, each with one line, until the other end closes
 * or tells it to leave. */
EXPORT int
answer (int             socket,
        const GForkArg *args,
        size_t          n_args)
{
  char question[512];

  while (read_line (socket, question, sizeof (question)))
    {
      char *word = strchr (question, ' ');

      if (word != NULL)
        *word++ = '\0';
      else
        word = (char *) "";

      if (strcmp (question, "pid") == 0)
        dprintf (socket, "%d\n", (int) getpid ());
      else if (strcmp (question, "ppid") == 0)
        dprintf (socket, "%d\n", (int) getppid ());
      else if (strcmp (question, "loaded-by") == 0)
        dprintf (socket, "%d\n", (int) loaded_by);
      else if (strcmp (question, "env") == 0)
        dprintf (socket, "%s\n", getenv (word) != NULL ? getenv (word) : "(unset)");
      else if (strcmp (question, "cwd") == 0)
        {
          char path[4096];

          dprintf (socket, "%s\n", getcwd (path, sizeof (path)) != NULL ? path : strerror (errno));
        }
      else if (strcmp (question, "memory") == 0)
        dprintf (socket, "%s\n", memory);
      else if (strcmp (question, "n-args") == 0)
        dprintf (socket, "%zu\n", n_args);
      else if (strcmp (question, "arg") == 0)
        dprintf (socket, "%s\n", args[atoi (word)].data);
      else if (strcmp (question, "arg-fd") == 0)
        answer_fd (socket, args[atoi (word)].fd);
      else if (strcmp (question, "arg-flags") == 0)
        answer_flags (socket, args[atoi (word)].fd);
      else if (strcmp (question, "arg-write") == 0)
        {
          write_string (args[atoi (word)].fd, "written by the worker");
          write_string (socket, "done\n");
        }
      else if (strcmp (question, "socket-flags") == 0)
        answer_flags (socket, socket);
      else if (strcmp (question, "fd") == 0)
        answer_fd (socket, atoi (word));
      else if (strcmp (question, "socket-above-stdio") == 0)
        dprintf (socket, "%s\n", socket > 2 ? "yes" : "no");
      else if (strcmp (question, "strays") == 0)
        answer_strays (socket, args, n_args);
      else if (strcmp (question, "signals") == 0)
        answer_signals (socket);
      else if (strcmp (question, "title") == 0)
        answer_title (socket);
      else if (strcmp (question, "burn") == 0)
        answer_burn (socket, strtoul (word, NULL, 10));
      else if (strcmp (question, "mapping") == 0)
        answer_mapping (socket, args[atoi (word)].data);
      else if (strcmp (question, "find") == 0)
        answer_find (socket, word);
      else if (strcmp (question, "exit") == 0)
        return atoi (word);
      else if (strcmp (question, "raise") == 0)
        raise (atoi (word));
      else
        dprintf (socket, "what is %s?\n", question);
    }

  return 0;
}

/* Sends back all arguments: "fd" or the length and the bytes. */
EXPORT int
dump_args (int             socket,
           const GForkArg *args,
           size_t          n_args)
{
  for (size_t i = 0; i < n_args; i++)
    {
      if (args[i].fd >= 0)
        {
          write_string (socket, args[i].data == NULL ? "fd\n" : "fd with data\n");
          continue;
        }

      dprintf (socket, "%zu:", args[i].length);
      write_all (socket, args[i].data, args[i].length);
      if (args[i].fd != -1 || args[i].data[args[i].length] != '\0')
        write_string (socket, " is malformed");
      write_string (socket, "\n");
    }

  return 0;
}

/* The position of a file shows which one a descriptor is. */
EXPORT int
fd_positions (int             socket,
              const GForkArg *args,
              size_t          n_args)
{
  for (size_t i = 0; i < n_args; i++)
    dprintf (socket, "%lld\n", (long long) lseek (args[i].fd, 0, SEEK_CUR));

  return 0;
}

/* Checks that the first argument is the pattern of test_pattern_new(), then
 * answers questions. */
EXPORT int
check_pattern (int             socket,
               const GForkArg *args,
               size_t          n_args)
{
  const uint64_t *words = (const uint64_t *) args[0].data;
  size_t n_words = args[0].length / sizeof (uint64_t);
  size_t good = 0;

  while (good < n_words && words[good] == good * UINT64_C (0x9e3779b97f4a7c15))
    good++;

  dprintf (socket, "%zu of %zu\n", good * sizeof (uint64_t), args[0].length);

  return answer (socket, args, n_args);
}

/* Leaves a trace in each descriptor sent, without a look at the socket. */
EXPORT int
write_to_args (int             socket,
               const GForkArg *args,
               size_t          n_args)
{
  for (size_t i = 0; i < n_args; i++)
    {
      if (args[i].fd >= 0)
        write_string (args[i].fd, "written by the worker");
    }

  return 0;
}

/* Leaves a trace in the first descriptor sent, waits for the end of the second, and then
 * leaves another. */
EXPORT int
write_and_wait (int             socket,
                const GForkArg *args,
                size_t          n_args)
{
  char byte;

  write_string (args[0].fd, "E");
  while (read (args[1].fd, &byte, 1) < 0 && errno == EINTR)
    ;
  write_string (args[0].fd, "L");

  return 0;
}

/* Opens something and sends it to the application. */
EXPORT int
send_back (int             socket,
           const GForkArg *args,
           size_t          n_args)
{
  char byte = '!';
  struct iovec vector = { &byte, 1 };
  _Alignas (struct cmsghdr) char control[CMSG_SPACE (sizeof (int))] = { 0 };
  struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control,
                            .msg_controllen = sizeof control };
  struct cmsghdr *rights = CMSG_FIRSTHDR (&message);
  int ends[2];

  if (pipe (ends) != 0)
    return 1;
  write_string (ends[1], "from the worker");

  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN (sizeof ends[0]);
  memcpy (CMSG_DATA (rights), &ends[0], sizeof ends[0]);
  return sendmsg (socket, &message, 0) == 1 ? 0 : 1;
}

/* Does not end by itself, nor when its socket is at its end. */
EXPORT int
ignore_all (int             socket,
            const GForkArg *args,
            size_t          n_args)
{
  for (;;)
    pause ();
}

/* Closes the socket, and lives on until the descriptor sent is at its end. */
EXPORT int
hang_up_and_wait (int             socket,
                  const GForkArg *args,
                  size_t          n_args)
{
  char byte;

  close (socket);

  return read (args[0].fd, &byte, 1) == 0 ? 25 : 26;
}

/* Returns the number given as first argument. */
EXPORT int
leave_with (int             socket,
            const GForkArg *args,
            size_t          n_args)
{
  return atoi (args[0].data);
}

/* There is another one of that name in test-other.c. */
EXPORT int
whoami (int             socket,
        const GForkArg *args,
        size_t          n_args)
{
  write_string (socket, "test-worker");

  return 0;
}

/* Functions to call */

/* What was taken stays as long as the process, so the pointers must, for those
 * who look for leaks. */
static size_t
take_args (const GForkArg **args)
{
  static const GForkArg *taken[16];
  static size_t n_taken;
  size_t n = g_fork_take_args (args);

  if (n > 0 && n_taken < sizeof (taken) / sizeof (taken[0]))
    taken[n_taken++] = *args;

  return n;
}

/* Allocates 64 MB in small blocks, and frees all but each thousandth. */
EXPORT int
free_much (const GForkArg *args,
           size_t          n_args,
           char           *error,
           size_t          error_size)
{
  static char *blocks[65536];
  const size_t n = sizeof blocks / sizeof *blocks;

  (void) args;
  (void) n_args;
  (void) error;
  (void) error_size;

  for (size_t i = 0; i < n; i++)
    if ((blocks[i] = malloc (1000)) != NULL)
      memset (blocks[i], 1, 1000);

  for (size_t i = 0; i < n; i++)
    if (i % 1000 != 999)
      free (blocks[i]);

  return 0;
}

/* Puts the arguments of the call into the memory of the template, after what is
 * there. */
EXPORT int
remember (const GForkArg *args,
          size_t          n_args,
          char           *error,
          size_t          error_size)
{
  if (strcmp (memory, "nothing") == 0)
    memory[0] = '\0';

  for (size_t i = 0; i < n_args; i++)
    {
      if (args[i].fd != -1 || args[i].data[args[i].length] != '\0')
        {
          snprintf (error, error_size, "argument %zu is malformed", i);
          return 1;
        }

      strncat (memory, "[", sizeof (memory) - strlen (memory) - 1);
      strncat (memory, args[i].data, sizeof (memory) - strlen (memory) - 1);
      strncat (memory, "]", sizeof (memory) - strlen (memory) - 1);
    }

  return 0;
}

/* Does nothing for so many milliseconds. */
EXPORT int
sleep_for (const GForkArg *args,
           size_t          n_args,
           char           *error,
           size_t          error_size)
{
  int milliseconds = atoi (args[0].data);
  struct timespec time = { milliseconds / 1000, milliseconds % 1000 * 1000000 };

  return nanosleep (&time, NULL);
}

/* Remembers the value of a variable and the directory, as they are now. */
EXPORT int
remember_environment (const GForkArg *args,
                      size_t          n_args,
                      char           *error,
                      size_t          error_size)
{
  char path[2048];
  const char *value = getenv (args[0].data);

  if (getcwd (path, sizeof (path)) == NULL)
    {
      snprintf (error, error_size, "%s", strerror (errno));
      return 1;
    }
  snprintf (memory, sizeof (memory), "%s in %s", value != NULL ? value : "(unset)", path);

  return 0;
}

/* Takes what was sent for the run, and puts it into the memory. */
EXPORT int
keep_args (const GForkArg *args,
           size_t          n_args,
           char           *error,
           size_t          error_size)
{
  const GForkArg *taken;
  size_t n_taken = take_args (&taken);

  memory[0] = '\0';
  for (size_t i = 0; i < n_taken; i++)
    {
      char text[256];

      if (taken[i].fd >= 0)
        {
          write_string (taken[i].fd, "written by the template");
          close (taken[i].fd);
          snprintf (text, sizeof (text), "[fd]");
        }
      else
        snprintf (text, sizeof (text), "[%s]", taken[i].data);

      strncat (memory, text, sizeof (memory) - strlen (memory) - 1);
    }

  return 0;
}

/* Takes the one descriptor that was sent and reads from it until its end, so
 * that the tests decide how long the template does not listen. */
EXPORT int
block_until_eof (const GForkArg *args,
                 size_t          n_args,
                 char           *error,
                 size_t          error_size)
{
  const GForkArg *taken;
  size_t n_taken = take_args (&taken);
  char buffer[64];
  ssize_t got;

  if (n_taken != 1 || taken[0].fd < 0)
    {
      snprintf (error, error_size, "expected one descriptor");
      return 1;
    }

  do
    got = read (taken[0].fd, buffer, sizeof (buffer));
  while (got > 0 || (got < 0 && errno == EINTR));

  close (taken[0].fd);

  return 0;
}

EXPORT int
whoami_call (const GForkArg *args,
             size_t          n_args,
             char           *error,
             size_t          error_size)
{
  snprintf (memory, sizeof (memory), "test-worker was called");

  return 0;
}
