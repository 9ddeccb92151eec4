/* kill-strike.c: kills and stops processes of load-kill's application
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "kill.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

Board *board;

const char *const role_names[N_ROLES] = {
  "application", "default template", "sub-template", "worker", "worker of sub-template",
};
const char *const blow_names[N_BLOWS] = { "SIGKILL", "SIGSTOP, SIGCONT", "SIGSTOP, SIGKILL" };

/* Returns the last child in the list of /proc that is not the sub-template. */
static int
last_child (int pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/task/%d/children", pid, pid);
  g_autofree char *list = NULL;
  g_auto (GStrv) numbers = NULL;
  int last = 0;

  if (pid == 0 || !g_file_get_contents (path, &list, NULL, NULL))
    return 0;

  numbers = g_strsplit (list, " ", -1);
  for (char **number = numbers; *number != NULL; number++)
    if (atoi (*number) != 0 && atoi (*number) != board->pids[SUB])
      last = atoi (*number);
  return last;
}

static int
find (Role role)
{
  switch (role)
    {
    case WORKER:
      return last_child (g_atomic_int_get (&board->pids[DEFAULT]));
    case SUB_WORKER:
      return last_child (g_atomic_int_get (&board->pids[SUB]));
    default:
      return g_atomic_int_get (&board->pids[role]);
    }
}

/* Signals by a pidfd, and only within the process group of the application, so that no other
 * process with the same ID is hit. Returns the pidfd for more signals; -1 if there is no such
 * process. */
int
strike (Role role,
        Blow blow)
{
  int pid = find (role);
  int pidfd = pid > 0 ? syscall (SYS_pidfd_open, pid, 0) : -1;

  if (pidfd < 0 || getpgid (pid) != board->pids[APPLICATION])
    {
      if (pidfd >= 0)
        close (pidfd);
      return -1;
    }

  board->struck_role = role;
  g_atomic_int_set (&board->struck, pid);
  syscall (SYS_pidfd_send_signal, pidfd, blow == KILL ? SIGKILL : SIGSTOP, NULL, 0);
  return pidfd;
}

void
follow_up (int  pidfd,
           Blow blow)
{
  if (pidfd < 0)
    return;
  if (blow != KILL)
    syscall (SYS_pidfd_send_signal, pidfd, blow == STOP ? SIGCONT : SIGKILL, NULL, 0);
  close (pidfd);
}
