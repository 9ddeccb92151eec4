/* confine.c: confines the template process to what the application has allowed
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/template.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The same on all architectures; older headers lack it. */
#ifndef SYS_landlock_restrict_self
#define SYS_landlock_restrict_self 446
#endif

static const char *
why (void)
{
  return errno == E2BIG ? N_("it was confined too often before") : strerror (errno);
}

static bool
filter_system_calls (const uint8_t *bytes,
                     size_t         length)
{
  struct sock_fprog program = { .len = length / sizeof (struct sock_filter) };
  bool filtered;

  program.filter = malloc (length);
  if (program.filter == NULL)
    return false;

  memcpy (program.filter, bytes, length);
  filtered = prctl (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
  free (program.filter);
  return filtered;
}

/* A terminal is mostly open for reading as well, for standard output and error, too. A confined
 * process could read what its user types then, so it gets one that it can only write to. The
 * kernel opens again what a descriptor refers to by this name. If it is not this user's
 * terminal (after su), or there is no /proc, it stays as it is. */
static void
only_write_to_terminal (int fd)
{
  const int flags = fcntl (fd, F_GETFL);
  char path[32];
  int again;

  if (flags < 0 || (flags & O_ACCMODE) != O_RDWR || !isatty (fd))
    return;

  snprintf (path, sizeof path, "/proc/self/fd/%d", fd);
  again = open (path, O_WRONLY | O_NOCTTY | O_CLOEXEC | (flags & O_APPEND));
  if (again >= 0)
    {
      dup2 (again, fd);
      close (again);
    }
}

/* The payload is a struct gfork_confine and the filter, which may be empty. */
void
gfork_confine (struct gfork_template *template,
               struct gfork_frame    *frame)
{
  const size_t size = sizeof (struct sock_filter);
  struct gfork_confine head;
  const uint8_t *filter = frame->payload + sizeof head;
  size_t length = frame->length - sizeof head;
  char threads[512];
  int fd = 0;

  memcpy (&head, frame->payload, sizeof head);
  if (frame->n_fds != !!(head.has & GFORK_CONFINE_ACCESS) + !!(head.has & GFORK_CONFINE_SCOPE)
      || length % size != 0 || length / size > BPF_MAXINSNS)
    {
      gfork_fail (template, GFORK_CODE_PROTOCOL, GFORK_CONFINE, "", N_("malformed command"));
      return;
    }

  /* Landlock restricts the calling thread alone. */
  if (gfork_count_threads (threads, sizeof threads) != 1)
    {
      gfork_fail (template, GFORK_CODE_THREADED, GFORK_CONFINE, "", threads);
      return;
    }

  only_write_to_terminal (STDOUT_FILENO);
  only_write_to_terminal (STDERR_FILENO);

  if (prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
      || ((head.has & GFORK_CONFINE_ACCESS) != 0
          && syscall (SYS_landlock_restrict_self, frame->fds[fd++], 0) != 0)
      || (length > 0 && !filter_system_calls (filter, length)))
    {
      gfork_fail (template, GFORK_CODE_FAILED, GFORK_CONFINE, "", why ());
      return;
    }

  if ((head.has & GFORK_CONFINE_SCOPE) != 0)
    {
      if (template->scope >= 0)
        close (template->scope);
      template->scope = frame->fds[fd];
      frame->n_fds--;
    }
}

/* Forks are in the Landlock domain of their template, and could signal and trace it and each
 * other. So a process that is about to run gets a domain of its own, within that one. */
bool
gfork_confine_worker (struct gfork_template *template,
                      uint8_t                verb,
                      const char            *subject)
{
  if (template->scope < 0)
    return true;

  if (syscall (SYS_landlock_restrict_self, template->scope, 0) != 0)
    {
      gfork_fail (template, GFORK_CODE_FAILED, verb, subject, why ());
      return false;
    }

  close (template->scope);
  template->scope = -1;
  return true;
}
