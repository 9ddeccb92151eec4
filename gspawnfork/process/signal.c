/* signal.c: signals to a process, or to the group that it leads, and to no other
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "process/child-private.h"

#include "base/generation.h"
#include "gforkerror.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n-lib.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From linux/pidfd.h of Linux 6.9. */
#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1u << 2)
#endif

/* Sets errno to ENOSYS if no signal can be sent in this way. */
static int
send_signal_by_pidfd (int      pidfd,
                      int      signum,
                      unsigned flags)
{
  int result = -1;

  errno = ENOSYS;
#if defined(SYS_pidfd_send_signal) && !defined(GFORK_PORTABLE)
  result = syscall (SYS_pidfd_send_signal, pidfd, signum, NULL, flags);
  /* The kernel does not know the flag. */
  if (result != 0 && errno == EINVAL && flags != 0)
    errno = ENOSYS;
  /* A seccomp filter that is older than this call refuses it, often with EPERM. So does the
   * kernel if the user may not signal the process. For the descriptor -1 only a filter does. */
  if (result != 0 && errno == EPERM && syscall (SYS_pidfd_send_signal, -1, 0, NULL, 0) != 0)
    errno = errno == EPERM ? ENOSYS : EPERM;
#endif

  return result;
}

/* EOWNERDEAD stands for a process that only its template could signal, which has died. */
static gboolean
set_kill_error (GForkChild  *child,
                gboolean     to_group,
                int          signum,
                int          error_number,
                GError     **error)
{
  GForkError code = G_FORK_ERROR_FAILED;

  if (error_number == EOWNERDEAD)
    code = G_FORK_ERROR_LOST;
  else if (error_number == ESRCH)
    code = g_fork_child_is_lost (child) ? G_FORK_ERROR_LOST : G_FORK_ERROR_CLOSED;
  else if (error_number == ENOSYS)
    code = G_FORK_ERROR_NOT_SUPPORTED;

  g_set_error (error, G_FORK_ERROR, code,
               to_group ? _("Could not send signal %d to the group of process %d: %s")
                        : _("Could not send signal %d to process %d: %s"),
               signum, (int) child->pid,
               code == G_FORK_ERROR_LOST ? _("the template that it was forked from is gone")
                                         : g_strerror (error_number));
  return FALSE;
}

/* Sends a signal to this process, or to the group that it leads, and to no other, even if its ID
 * is in use again. Either the pidfd names it, or the signal is sent by the process that will
 * reap it: the ID is not free before that. */
static gboolean
send_signal (GForkChild  *child,
             gboolean     to_group,
             int          signum,
             GError     **error)
{
  gpointer reaper = NULL;
  int result = -1, saved_errno;

  g_mutex_lock (&child->lock);
  errno = ESRCH;
  if (signum < 0 || signum >= NSIG)
    errno = EINVAL;
  else if (child->pidfd >= 0 || child->state == ALIVE)
    {
      errno = ENOSYS;
      if (child->pidfd >= 0)
        result = send_signal_by_pidfd (child->pidfd, signum,
                                       to_group ? PIDFD_SIGNAL_PROCESS_GROUP : 0);
      if (result != 0 && errno == ENOSYS && child->state != ALIVE)
        errno = ESRCH;
      else if (result != 0 && errno == ENOSYS && child->origin == DIRECT)
        result = kill (to_group ? -child->pid : child->pid, signum);
      else if (result != 0 && errno == ENOSYS && child->reaper != NULL)
        reaper = child->funcs->ref (child->reaper);
    }
  saved_errno = errno;
  g_mutex_unlock (&child->lock);

  if (reaper != NULL)
    {
      gboolean sent = child->funcs->kill (reaper, child->id, to_group ? -signum : signum);

      child->funcs->unref (reaper);
      if (sent && !g_fork_child_check (child))
        return TRUE;
      /* Only the template can do it. If that has died, nobody can. */
      saved_errno = g_fork_child_check (child) ? ESRCH : EOWNERDEAD;
    }

  return result == 0 || set_kill_error (child, to_group, signum, saved_errno, error);
}

gboolean
g_fork_child_kill (GForkChild  *child,
                   int          signum,
                   GError     **error)
{
  if (g_fork_child_check (child))
    return set_kill_error (child, FALSE, signum, ESRCH, error);

  return send_signal (child, FALSE, signum, error);
}

/* Also works when the process has ended, as long as it has a pidfd and the kernel knows
 * PIDFD_SIGNAL_PROCESS_GROUP. */
gboolean
g_fork_child_kill_group (GForkChild  *child,
                         int          signum,
                         GError     **error)
{
  g_fork_child_check (child);
  if (child->generation != g_fork_generation ())
    return set_kill_error (child, TRUE, signum, ESRCH, error);

  if (!child->leads_group)
    {
      g_set_error (error, G_FORK_ERROR, G_FORK_ERROR_FAILED,
                   _("Could not send signal %d to the group of process %d: it leads none, as "
                     "“setsid” would have made it do"),
                   signum, (int) child->pid);
      return FALSE;
    }

  return send_signal (child, TRUE, signum, error);
}

/* The group comes first: it cannot be signalled any more if the process is reaped and the kernel
 * is old. */
void
g_fork_child_force_exit (GForkChild *child)
{
  if (child->leads_group)
    g_fork_child_kill_group (child, SIGKILL, NULL);
  g_fork_child_kill (child, SIGKILL, NULL);
}

int
g_fork_child_dup_pidfd (GForkChild  *child,
                        GError     **error)
{
  GForkError code = G_FORK_ERROR_FAILED;
  int copy = -1;

  g_fork_child_check (child);
  g_mutex_lock (&child->lock);
  if (child->generation != g_fork_generation () || child->state == LOST)
    {
      code = G_FORK_ERROR_LOST;
      errno = ESRCH;
    }
  else if (child->pidfd < 0)
    {
      code = child->state == ALIVE ? G_FORK_ERROR_NOT_SUPPORTED : G_FORK_ERROR_CLOSED;
      errno = child->state == ALIVE ? ENOSYS : ESRCH;
    }
  else
    copy = fcntl (child->pidfd, F_DUPFD_CLOEXEC, 3);
  g_mutex_unlock (&child->lock);

  if (copy < 0)
    g_set_error (error, G_FORK_ERROR, code, _("There is no pidfd of process %d: %s"),
                 (int) child->pid, g_strerror (errno));
  return copy;
}
