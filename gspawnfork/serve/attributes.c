/* attributes.c: a session, limits and an end with the application, for what is run or executed
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/template.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct
{
  int resource;
  const char *name;
} limits[GFORK_N_RESOURCES] = {
  [GFORK_RESOURCE_CPU_TIME] = { RLIMIT_CPU, "cpu-time" },
  [GFORK_RESOURCE_MEMORY] = { RLIMIT_AS, "memory" },
  [GFORK_RESOURCE_FILE_SIZE] = { RLIMIT_FSIZE, "file-size" },
  [GFORK_RESOURCE_OPEN_FILES] = { RLIMIT_NOFILE, "open-files" },
  [GFORK_RESOURCE_PROCESSES] = { RLIMIT_NPROC, "processes" },
  [GFORK_RESOURCE_CORE] = { RLIMIT_CORE, "core" },
};

/* Returns whether there is such a limit. */
bool
gfork_attributes_set_limit (struct gfork_attributes *attributes,
                            uint32_t                 resource,
                            uint64_t                 value)
{
  if (resource >= GFORK_N_RESOURCES)
    return false;

  attributes->limited[resource] = true;
  attributes->limits[resource] = value;
  return true;
}

/* ——— The end with the application ——— */

static void
kill_by_pidfd (int pidfd)
{
#if defined(SYS_pidfd_send_signal) && !defined(GFORK_PORTABLE)
  syscall (SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
#else
  (void) pidfd;
#endif
}

/* Kills @process when @application has ended, and leaves when the process has. Both are
 * pidfds. Nothing else stays open, since somebody may wait for the end of a pipe, and no
 * signal to a group or from a terminal ends this. Only functions that are safe in the fork
 * of a process with threads are called. */
static _Noreturn void
guard (int application,
       int process)
{
  struct pollfd polls[] = {
    { .fd = application, .events = POLLIN },
    { .fd = process, .events = POLLIN },
  };
  int low = application < process ? application : process;
  int high = application < process ? process : application;
  sigset_t all;

  sigfillset (&all);
  sigprocmask (SIG_SETMASK, &all, NULL);
  setsid ();
  if (chdir ("/") != 0)
    _exit (0);
  for (int fd = 0; fd < low; fd++)
    close (fd);
  for (int fd = low + 1; fd < high; fd++)
    close (fd);
  gfork_close_from (high + 1);
  prctl (PR_SET_NAME, "gforkguard");

  while (poll (polls, 2, -1) < 0 && errno == EINTR)
    ;
  if (polls[0].revents != 0 && polls[1].revents == 0)
    kill_by_pidfd (process);
  _exit (0);
}

/* For a process whose parent is the application. The kernel would send it a signal
 * (PR_SET_PDEATHSIG) when the *thread* ends that has forked it, so another process watches the
 * application. That is not a child of this process, which may wait for all of its children. */
static bool
start_guard (pid_t application,
             pid_t process)
{
  int fds[2] = { -1, -1 }, status = 0;
  pid_t pid = -1;
  bool started = false;

  fds[0] = gfork_open_pidfd (application);
  fds[1] = gfork_open_pidfd (process);
  /* If the application has ended before, its process ID may be another process's. */
  if (fds[0] >= 0 && fds[1] >= 0 && getppid () != application)
    raise (SIGKILL);
  if (fds[0] >= 0 && fds[1] >= 0)
    pid = fork ();
  if (pid == 0)
    {
      pid = fork ();
      if (pid == 0)
        guard (fds[0], fds[1]);
      _exit (pid < 0 ? errno : 0);
    }
  if (pid > 0)
    {
      while ((started = waitpid (pid, &status, 0) == pid) == false && errno == EINTR)
        ;
      if (started && status != 0)
        {
          started = false;
          errno = WIFEXITED (status) ? WEXITSTATUS (status) : ECHILD;
        }
    }

  for (int i = 0; i < 2; i++)
    if (fds[i] >= 0)
      {
        int saved_errno = errno;

        close (fds[i]);
        errno = saved_errno;
      }
  return started;
}

/* For a fork of a template, which has only one thread, so that PR_SET_PDEATHSIG does what it
 * should. */
static bool
die_with_parent (pid_t parent)
{
  if (prctl (PR_SET_PDEATHSIG, SIGKILL) != 0)
    return false;
  if (getppid () != parent)
    raise (SIGKILL);
  return true;
}

/* ——— Applying them ——— */

static bool
apply_limits (const struct gfork_attributes *attributes,
              const char                   **subject)
{
  for (size_t i = 0; i < GFORK_N_RESOURCES; i++)
    if (attributes->limited[i])
      {
        const struct rlimit limit = { attributes->limits[i], attributes->limits[i] };

        *subject = limits[i].name;
        if (setrlimit (limits[i].resource, &limit) != 0)
          return false;
      }

  return true;
}

/* Applies all of them to this process, immediately before it answers READY. If one cannot be
 * applied, records that and returns false. */
bool
gfork_attributes_apply (struct gfork_template *template)
{
  const struct gfork_attributes *attributes = &template->attributes;
  const char *subject = "";
  uint8_t verb = 0;

  if (attributes->leads_session && getsid (0) != template->pid && setsid () < 0)
    verb = GFORK_SETSID;
  else if (attributes->dies
           && !(template->is_fork_of_template ? die_with_parent (template->parent)
                                              : start_guard (template->parent, template->pid)))
    verb = GFORK_DIE;
  else if (!apply_limits (attributes, &subject))
    verb = GFORK_LIMIT;

  if (verb != 0)
    gfork_fail (template, GFORK_CODE_FAILED, verb, subject, strerror (errno));
  return verb == 0;
}

/* Answers with the failure, and ends the process. It cannot go on as a template, since some of
 * the attributes may have been applied. */
_Noreturn void
gfork_attributes_give_up (struct gfork_template *template)
{
  gfork_answer_failure (template);
  gfork_leave (template, 1);
}
