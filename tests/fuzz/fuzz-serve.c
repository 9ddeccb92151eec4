/* fuzz-serve.c: fuzzes the template process with commands
 *
 * The real template process serves a socket with the commands of the input, until it leaves.
 * Calls that would be dangerous are replaced (see masks.h), and the input says how each of them
 * goes: whether fork() returns in the parent, in the child or fails, for instance. For every
 * input: it answers in frames, and gives functions what they are promised.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "fuzz.h"
#include "served.h"

#include "gforkworker.h"
#include "wire/frame.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* The first bytes of an input say how the system behaves: */
static struct
{
  uint8_t language;    /* odd: modules are not shared objects */
  uint8_t forks;       /* two bits a fork: 0 and 2 the parent, 1 the child, 3 EAGAIN */
  uint8_t waits;       /* a bit each time that it asks which child has ended */
  uint8_t busy;        /* a bit each message: EAGAIN, if it does not block */
  uint8_t failing;     /* so many allocations succeed, and the next fails; 0: all succeed */
  uint16_t for_child;  /* so many bytes of the input are for the first child */
} behaviour;

/* The limit of descriptors. It is so low that it is reached. */
#define LAST_FD 599

static jmp_buf left;
static int first_fd; /* lower ones are not the template process's */
static struct fuzz_input child_input;
static int control, child_control; /* our ends */

static bool
next_bit (uint8_t *bits)
{
  bool bit = *bits & 1;

  *bits = (uint8_t) (*bits >> 1 | bit << 7);
  return bit;
}

/* ——— Memory ——— */

static void *blocks[65536];
static size_t n_blocks;
static struct
{
  void *start;
  size_t length;
} mappings[4096];
static size_t n_mappings;

static bool
is_out_of_memory (void)
{
  if (behaviour.failing == 0 || --behaviour.failing > 0)
    return false;

  errno = ENOMEM;
  return true;
}

static void *
keep (void *block)
{
  if (block == NULL)
    return NULL;
  if (n_blocks == sizeof blocks / sizeof *blocks)
    {
      free (block);
      errno = ENOMEM;
      return NULL;
    }

  return blocks[n_blocks++] = block;
}

static void
forget (void *block)
{
  for (size_t i = n_blocks; i > 0; i--)
    if (blocks[i - 1] == block)
      {
        blocks[i - 1] = blocks[--n_blocks];
        return;
      }

  fuzz_check (!"what is freed was allocated");
}

void *fuzz_malloc (size_t size);
void *fuzz_calloc (size_t n, size_t size);
void *fuzz_realloc (void *block, size_t size);
void fuzz_free (void *block);
char *fuzz_strdup (const char *string);
char *fuzz_strndup (const char *string, size_t length);
int fuzz_asprintf (char **string, const char *format, ...)
  __attribute__ ((format (printf, 2, 3)));
void *fuzz_mmap (void *address, size_t length, int protection, int flags, int fd, off_t offset);

/* Larger allocations fail here, as a sanitizer would report them. */
#define MOST_MEMORY (64 << 20)

void *
fuzz_malloc (size_t size)
{
  if (size > MOST_MEMORY)
    {
      errno = ENOMEM;
      return NULL;
    }

  return is_out_of_memory () ? NULL : keep (malloc (size));
}

void *
fuzz_calloc (size_t n,
             size_t size)
{
  return is_out_of_memory () ? NULL : keep (calloc (n, size));
}

void *
fuzz_realloc (void  *block,
              size_t size)
{
  void *grown;

  if (is_out_of_memory ())
    return NULL;

  if (block != NULL)
    forget (block);
  grown = realloc (block, size);
  return keep (grown);
}

void
fuzz_free (void *block)
{
  if (block != NULL)
    forget (block);
  free (block);
}

char *
fuzz_strdup (const char *string)
{
  return is_out_of_memory () ? NULL : keep (strdup (string));
}

char *
fuzz_strndup (const char *string,
              size_t      length)
{
  return is_out_of_memory () ? NULL : keep (strndup (string, length));
}

int
fuzz_asprintf (char      **string,
               const char *format,
               ...)
{
  va_list args;
  int length;

  if (is_out_of_memory ())
    return -1;

  va_start (args, format);
  length = vasprintf (string, format, args);
  va_end (args);
  if (length >= 0 && keep (*string) == NULL)
    return -1;
  return length;
}

void *
fuzz_mmap (void  *address,
           size_t length,
           int    protection,
           int    flags,
           int    fd,
           off_t  offset)
{
  void *start = MAP_FAILED;

  if (!is_out_of_memory () && n_mappings < sizeof mappings / sizeof *mappings)
    start = mmap (address, length, protection, flags, fd, offset);
  if (start != MAP_FAILED)
    {
      mappings[n_mappings].start = start;
      mappings[n_mappings++].length = length;
    }

  return start;
}

static void
free_all (void)
{
  while (n_blocks > 0)
    free (blocks[--n_blocks]);
  while (n_mappings > 0)
    {
      n_mappings--;
      munmap (mappings[n_mappings].start, mappings[n_mappings].length);
    }
}

/* ——— Processes ——— */

#define FIRST_PID 1000000

static pid_t last_pid, last_ended;
static bool running; /* it is a template no more */

pid_t fuzz_fork (void);
_Noreturn void fuzz_exit (int status);
int fuzz_execv (const char *program, char *const *argv);
int fuzz_execvp (const char *program, char *const *argv);
int fuzz_execve (const char *program, char *const *argv, char *const *envp);
pid_t fuzz_setsid (void);
int fuzz_setrlimit (int resource, const struct rlimit *limit);
int fuzz_prctl (int option, ...);
int fuzz_clearenv (void);
int fuzz_kill (pid_t pid, int signum);
int fuzz_raise (int signum);
pid_t fuzz_wait4 (pid_t pid, int *wait_status, int flags, struct rusage *usage);
int fuzz_waitid (idtype_t type, id_t id, siginfo_t *info, int flags);
int fuzz_signalfd (int fd, const sigset_t *mask, int flags);
int fuzz_on_exit (void (*function) (int, void *), void *data);
long fuzz_syscall (long number, ...);

pid_t
fuzz_fork (void)
{
  unsigned way = next_bit (&behaviour.forks);

  switch (way | next_bit (&behaviour.forks) << 1)
    {
    case 1:
      return 0;
    case 3:
      errno = EAGAIN;
      return -1;
    default:
      return ++last_pid;
    }
}

void
fuzz_exit (int status)
{
  longjmp (left, 1);
}

int
fuzz_execv (const char   *program,
            char *const *argv)
{
  size_t total = strlen (program);

  while (*argv != NULL)
    total += strlen (*argv++);
  errno = total % 2 == 0 ? ENOENT : EACCES;
  return -1;
}

int
fuzz_execvp (const char   *program,
             char *const *argv)
{
  return fuzz_execv (program, argv);
}

int
fuzz_execve (const char  *program,
             char *const *argv,
             char *const *envp)
{
  while (*envp != NULL)
    fuzz_check (*envp++ != NULL);
  return fuzz_execv (program, argv);
}

pid_t
fuzz_setsid (void)
{
  return FIRST_PID;
}

int
fuzz_setrlimit (int                  resource,
                const struct rlimit *limit)
{
  errno = EPERM;
  return limit->rlim_cur % 2 == 0 ? 0 : -1;
}

int
fuzz_prctl (int option,
            ...)
{
  return 0;
}

int
fuzz_clearenv (void)
{
  return 0;
}

/* The process raises a signal only if its parent is not the one that it should be. */
int
fuzz_raise (int signum)
{
  fuzz_check (signum == SIGKILL);
  fuzz_exit (1);
}

/* Only a child that was not reaped may be signalled. */
int
fuzz_kill (pid_t pid,
           int   signum)
{
  fuzz_check (pid > last_ended && pid <= last_pid);
  return 0;
}

pid_t
fuzz_wait4 (pid_t          pid,
            int           *wait_status,
            int            flags,
            struct rusage *usage)
{
  fuzz_check ((flags & WNOHANG) != 0);
  if (last_ended == last_pid)
    {
      errno = ECHILD;
      return -1;
    }
  if (!next_bit (&behaviour.waits) || (pid > 0 && pid != last_ended + 1))
    return 0;

  memset (usage, 0, sizeof *usage);
  *wait_status = behaviour.waits;
  return ++last_ended;
}

int
fuzz_waitid (idtype_t   type,
             id_t       id,
             siginfo_t *info,
             int        flags)
{
  /* The template process asks whether any child has ended, and for each child by its process ID. */
  fuzz_check ((type == P_PID || type == P_ALL) && (flags & WNOWAIT) != 0);
  errno = ECHILD;
  return next_bit (&behaviour.waits) ? -1 : 0;
}

/* There is always a signal to read, which names no process. */
int
fuzz_signalfd (int             fd,
               const sigset_t *mask,
               int             flags)
{
  return fd >= 0 ? fd : open ("/dev/zero", O_RDONLY | O_CLOEXEC);
}

int
fuzz_on_exit (void (*function) (int, void *),
              void *data)
{
  return 0;
}

long
fuzz_syscall (long number,
              ...)
{
#ifdef SYS_pidfd_open
  if (number == SYS_pidfd_open && next_bit (&behaviour.busy))
    return open ("/dev/null", O_RDWR | O_CLOEXEC);
#endif
#ifdef SYS_close_range
  if (number == SYS_close_range)
    return 0;
#endif

  errno = ENOSYS;
  return -1;
}

int fuzz_count_threads (char *names, size_t size);
bool fuzz_can_close_ranges (void);
bool fuzz_vfork_shares_memory (void);
struct gfork_title;
void fuzz_title_use_arguments (struct gfork_title *title, int argc, char **argv);
void fuzz_title_use_proc (struct gfork_title *title);
void fuzz_title_settle (struct gfork_title *title);
void fuzz_title_set (struct gfork_title *title, const char *what, pid_t parent);

int
fuzz_count_threads (char  *names,
                    size_t size)
{
  bool threads = next_bit (&behaviour.forks);

  snprintf (names, size, "a thread");
  return threads ? 2 : 1;
}

/* Programs are started without a fork only if this is true. */
bool
fuzz_can_close_ranges (void)
{
  return true;
}

bool
fuzz_vfork_shares_memory (void)
{
  return true;
}

void
fuzz_title_use_arguments (struct gfork_title *title,
                          int                 argc,
                          char              **argv)
{
}

void
fuzz_title_use_proc (struct gfork_title *title)
{
}

void
fuzz_title_settle (struct gfork_title *title)
{
}

void
fuzz_title_set (struct gfork_title *title,
                const char         *what,
                pid_t               parent)
{
  running = strcmp (what, "template") != 0;
}

/* ——— What a process has ——— */

int fuzz_dup2 (int fd, int target);
int fuzz_close (int fd);
int fuzz_chdir (const char *directory);
int fuzz_setenv (const char *variable, const char *value, int replace);
int fuzz_unsetenv (const char *variable);

/* Duplicates to a number, unless that is the fuzzer's own or too high. */
int
fuzz_dup2 (int fd,
           int target)
{
  fuzz_check (target >= 0 && fcntl (fd, F_GETFD) >= 0);
  if (target < first_fd || target > LAST_FD)
    return target;
  return dup2 (fd, target);
}

/* Checks that no descriptor is closed twice: the number may be another one's by then. */
int
fuzz_close (int fd)
{
  if (fd < first_fd)
    return 0;

  fuzz_check (close (fd) == 0);
  return 0;
}

int
fuzz_chdir (const char *directory)
{
  errno = ENOENT;
  return directory[0] == '/' ? 0 : -1;
}

int
fuzz_setenv (const char *variable,
             const char *value,
             int         replace)
{
  fuzz_check (strlen (value) <= GFORK_MAX_PAYLOAD);
  return fuzz_unsetenv (variable);
}

int
fuzz_unsetenv (const char *variable)
{
  errno = EINVAL;
  return variable[0] == '\0' || strchr (variable, '=') != NULL ? -1 : 0;
}

/* ——— Modules ——— */

int fuzz_access (const char *path, int mode);
void *fuzz_dlopen (const char *file, int flags);
char *fuzz_dlerror (void);
void *fuzz_dlsym (void *handle, const char *name);
int fuzz_dlinfo (void *handle, int request, void *info);

/* Checks that a module is looked for by an absolute path. */
int
fuzz_access (const char *path,
             int         mode)
{
  fuzz_check (mode == X_OK || path[0] == '/');
  errno = ENOENT;
  return strncmp (path, "/directory/", 11) == 0 && strstr (path, ".so") != NULL ? 0 : -1;
}

void *
fuzz_dlopen (const char *file,
             int         flags)
{
  /* With this flag the process asks whether a library is loaded. */
  if ((flags & RTLD_NOLOAD) != 0)
    return NULL;
  fuzz_check (file[0] == '/');
  return strstr (file, ".so") != NULL ? dlopen (NULL, RTLD_NOW) : NULL;
}

char *
fuzz_dlerror (void)
{
  return (char *) "it is no shared object";
}

/* Checks what modules rely on in the arguments. */
static int
check_args (const GForkArg *args,
            size_t          n_args)
{
  size_t total = 0;

  for (size_t i = 0; i < n_args; i++)
    {
      fuzz_check ((args[i].fd >= 0) == (args[i].data == NULL));
      if (args[i].fd >= 0)
        {
          fuzz_check (fcntl (args[i].fd, F_GETFD) >= 0);
          continue;
        }
      for (size_t j = 0; j < args[i].length; j += 512)
        total += args[i].data[j];
      fuzz_check (args[i].data[args[i].length] == '\0');
    }

  return total % 2;
}

/* The function to run may also be called, and the one to call may be run, as the template
 * process cannot know which is which. */
static int
run_function (int             socket,
              const GForkArg *args,
              size_t          n_args)
{
  if (!running)
    return 0;

  fuzz_check (fcntl (socket, F_GETFD) >= 0);
  return check_args (args, n_args);
}

static int
call_function (const GForkArg *args,
               size_t          n_args,
               char           *error,
               size_t          error_size)
{
  const GForkArg *taken;

  if (running)
    return 0;
  if (n_args % 2 == 0)
    {
      size_t n_taken = g_fork_take_args (&taken);

      check_args (taken, n_taken);
    }
  if (n_args % 4 == 3)
    memset (error, 'x', error_size);
  return check_args (args, n_args);
}

void *
fuzz_dlsym (void       *handle,
            const char *name)
{
  switch (name[0])
    {
    case 'r':
      return (void *) run_function;
    case 'c':
      return (void *) call_function;
    default:
      return NULL;
    }
}

int
fuzz_dlinfo (void *handle,
             int   request,
             void *info)
{
  return dlinfo (handle, request, info);
}

static int
serve_request (enum gfork_request        request,
               const char               *name,
               const struct gfork_value *values,
               size_t                    n_values,
               int                       socket,
               char                     *reason,
               size_t                    reason_size,
               void                     *data)
{
  fuzz_check (strlen (name) <= GFORK_MAX_PAYLOAD);
  for (size_t i = 0; i < n_values; i++)
    {
      fuzz_check ((values[i].fd >= 0) == (values[i].data == NULL));
      if (values[i].data != NULL)
        fuzz_check (values[i].data[values[i].length] == '\0');
    }

  snprintf (reason, reason_size, "%s", name);
  return name[0] != 'x' ? -1 : GFORK_CODE_CALL;
}

static const struct gfork_language language = { serve_request, NULL };

/* ——— Answers ——— */

static uint8_t answers[1 << 22];
static size_t n_answered;

/* The kernel never sends a part of what is so short. */
#define MOST_AT_ONCE 16

ssize_t fuzz_sendmsg (int socket, const struct msghdr *message, int flags);

/* Takes what the template process has sent, so that it never blocks. */
static void
drain (int from)
{
  for (;;)
    {
      _Alignas (struct cmsghdr) char fds[GFORK_CONTROL_SIZE (GFORK_MAX_FDS)];
      uint8_t more[65536];
      struct iovec iov = { more, sizeof more };
      struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = fds,
                                .msg_controllen = sizeof fds };
      struct cmsghdr *header;
      ssize_t n = recvmsg (from, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

      if (n <= 0)
        return;
      header = CMSG_FIRSTHDR (&message);
      if (header != NULL)
        for (size_t i = 0; i < (header->cmsg_len - CMSG_LEN (0)) / sizeof (int); i++)
          close (((int *) CMSG_DATA (header))[i]);
      if (from == control && n_answered + n <= sizeof answers)
        {
          memcpy (answers + n_answered, more, n);
          n_answered += n;
        }
    }
}

ssize_t
fuzz_sendmsg (int                  socket,
              const struct msghdr *message,
              int                  flags)
{
  struct iovec first = message->msg_iov[0];
  struct msghdr part = *message;

  if ((flags & MSG_DONTWAIT) != 0 && next_bit (&behaviour.busy))
    {
      /* Either a part of the message is sent, or nothing. */
      first.iov_len /= 2;
      part.msg_iov = &first;
      errno = EAGAIN;
      return next_bit (&behaviour.busy) && first.iov_len > MOST_AT_ONCE
                 ? sendmsg (socket, &part, flags) : -1;
    }

  for (;;)
    {
      ssize_t n = sendmsg (socket, message, flags | MSG_DONTWAIT);

      if (n >= 0 || errno != EAGAIN || (flags & MSG_DONTWAIT) != 0)
        return n;
      drain (control);
      if (child_control >= 0)
        drain (child_control);
    }
}

static void
check_answers (void)
{
  size_t position = 0;

  while (position + sizeof (struct gfork_header) <= n_answered)
    {
      struct gfork_header header;

      memcpy (&header, answers + position, sizeof header);
      fuzz_check (header.verb >= GFORK_READY && header.verb <= GFORK_EXITED);
      fuzz_check (header.zero == 0 && header.n_fds <= 1);
      fuzz_check (header.length <= 8192);
      position += sizeof header + header.length;
      if (header.verb == GFORK_READY)
        return; /* then comes what the function writes */
    }
}

/* ——— The target ——— */

static void
serve_input (struct fuzz_input *input)
{
  int ends[2], child_ends[2];

  fuzz_check (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  fuzz_check (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, child_ends) == 0);
  control = ends[0];
  child_control = child_ends[0];

  /* The whole input is sent at once, so that the template process never waits for more. */
  while (child_input.size > 0 && fuzz_send (&child_input, child_ends[0], -1))
    ;
  shutdown (child_ends[0], SHUT_WR);
  while (input->size > 0 && fuzz_send (input, ends[0], child_ends[1]))
    ;
  shutdown (ends[0], SHUT_WR);
  close (child_ends[1]);

  if (setjmp (left) == 0)
    fuzz_serve (ends[1], behaviour.language % 2 == 1 ? &language : NULL);

  drain (control);
  drain (child_control);
  check_answers ();
}

static void
fill_gaps (void)
{
  struct rlimit limit;
  int highest = 0;

  fuzz_count_fds ();
  for (int fd = 0; fd < 1024; fd++)
    if (fcntl (fd, F_GETFD) >= 0)
      highest = fd;
  do
    first_fd = fcntl (0, F_DUPFD_CLOEXEC, 3);
  while (first_fd >= 0 && first_fd < highest);
  first_fd++;

  fuzz_check (getrlimit (RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max > LAST_FD);
  limit.rlim_cur = LAST_FD + 1;
  fuzz_check (setrlimit (RLIMIT_NOFILE, &limit) == 0);
}

/* Closes what the end of the process would close. */
static void
close_received (void)
{
  for (int fd = first_fd; fd <= LAST_FD; fd++)
    close (fd);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data,
                        size_t         size)
{
  struct fuzz_input input = { data, size };
  size_t child_size;

  if (first_fd == 0)
    fill_gaps ();

  behaviour.language = fuzz_take (&input);
  behaviour.forks = fuzz_take (&input);
  behaviour.waits = fuzz_take (&input);
  behaviour.busy = fuzz_take (&input);
  behaviour.failing = fuzz_take (&input);
  behaviour.for_child = fuzz_take_16 (&input);
  child_size = behaviour.for_child;
  child_input.data = fuzz_take_bytes (&input, &child_size);
  child_input.size = child_size;
  last_pid = last_ended = FIRST_PID;
  running = false;
  n_answered = 0;

  serve_input (&input);
  free_all ();
  close_received ();
  return 0;
}
