/* children.c: the processes that a template has forked, and how they end
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/template.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Up to so many children are all asked whenever one has ended. */
#define MANY 256

/* If there are many, and more than this have ended together, each is asked: most likely others
 * have ended, too. */
#define FEW 4

/* Without a signalfd the children are asked this often. */
#define LOOK_AGAIN_MS 10

/* The id of children whose ends are not reported. The application gives it to no process. */
#define NOBODYS UINT32_MAX

/* An open hash from process to id, with linear probing: 5,000 children must not
 * make the next one's end slower. */
static size_t
slot (const struct gfork_children *children,
      pid_t                        pid)
{
  size_t i = (size_t) pid & (children->size - 1);

  while (children->table[i].pid != 0 && children->table[i].pid != pid)
    i = (i + 1) & (children->size - 1);

  return i;
}

static bool
grow (struct gfork_children *children)
{
  struct gfork_children old = *children;

  if (old.size == 0)
    {
      memset (children->few, 0, sizeof children->few);
      children->table = children->few;
      children->size = sizeof children->few / sizeof *children->few;
      return true;
    }

  children->size = old.size * 2;
  children->table = calloc (children->size, sizeof *children->table);
  if (children->table == NULL)
    {
      *children = old;
      return false;
    }

  for (size_t i = 0; i < old.size; i++)
    if (old.table[i].pid != 0)
      children->table[slot (children, old.table[i].pid)] = old.table[i];
  if (old.table != children->few)
    free (old.table);
  return true;
}

/* Opens the signalfd that tells of ends of children, or makes sure that it is there: code of a
 * module may have closed it, put another descriptor in its place, or ignored SIGCHLD. Returns
 * whether there is one. */
static bool
listen_to_children (struct gfork_children *children)
{
  struct sigaction action;
  sigset_t child;
  int fd;

  if (sigaction (SIGCHLD, NULL, &action) == 0
      && (action.sa_handler == SIG_IGN || (action.sa_flags & SA_NOCLDWAIT) != 0))
    signal (SIGCHLD, SIG_DFL);
  gfork_signals_block ();

  sigemptyset (&child);
  sigaddset (&child, SIGCHLD);
  fd = signalfd (children->signals, &child, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0 && children->signals >= 0)
    {
      if (errno != EBADF && errno != EINVAL)
        return true; /* there is one, but it cannot be set anew */
      fd = signalfd (-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    }
  children->signals = fd;
  return fd >= 0;
}

/* For a process that is no template any more, or that is a fork, so that the children are its
 * parent's. */
void
gfork_children_ignore (struct gfork_children *children)
{
  if (children->signals >= 0)
    close (children->signals);
  children->signals = -1;
}

/* To be called before a fork, so that nothing can fail after it. Returns false with errno set if
 * something fails now. */
bool
gfork_children_reserve (struct gfork_children *children)
{
  if (children->signals < 0 && !listen_to_children (children))
    return false;

  if (children->inherited)
    {
      if (children->table != children->few)
        free (children->table);
      children->table = NULL;
      children->size = 0;
      children->inherited = false;
    }

  return children->n * 2 < children->size || grow (children);
}

void
gfork_children_add (struct gfork_children *children,
                    pid_t                  pid,
                    uint32_t               id)
{
  children->table[slot (children, pid)] = (struct gfork_child_entry){ pid, id };
  children->n++;
}

/* In a fork, as the children are its parent's. The table is not touched before there is
 * something to put into it: most forks never fork, and each page that is written to costs a page
 * fault. */
void
gfork_children_forget (struct gfork_children *children)
{
  gfork_children_ignore (children);
  children->n = 0;
  children->inherited = true;
  children->ask_all_at = 0;
}

/* Has the ends of the children not reported, but still reaped. The application that takes the
 * template over gives its own ids to new children. */
void
gfork_children_disown (struct gfork_children *children)
{
  for (size_t i = 0; children->n > 0 && i < children->size; i++)
    children->table[i].id = NOBODYS;
}

static void
take_out (struct gfork_children *children,
          size_t                 hole)
{
  size_t mask = children->size - 1;

  children->n--;
  for (size_t i = (hole + 1) & mask; children->table[i].pid != 0; i = (i + 1) & mask)
    {
      size_t home = (size_t) children->table[i].pid & mask;

      /* An entry must not move to before its home. */
      if (((i - home) & mask) >= ((i - hole) & mask))
        {
          children->table[hole] = children->table[i];
          hole = i;
        }
    }
  children->table[hole].pid = 0;
}

static int64_t
microseconds (const struct timeval *time)
{
  return (int64_t) time->tv_sec * 1000000 + time->tv_usec;
}

static void
report (struct gfork_template *template,
        size_t                 i,
        int                    wait_status,
        const struct rusage   *usage)
{
  struct
  {
    struct gfork_header header;
    struct gfork_exited exited;
  } frame;

  gfork_header_set (&frame.header, GFORK_EXITED, sizeof frame.exited, 0);
  frame.exited = (struct gfork_exited){
    .id = template->children.table[i].id,
    .wait_status = wait_status,
    .user_time = microseconds (&usage->ru_utime),
    .system_time = microseconds (&usage->ru_stime),
    .max_rss = (uint64_t) usage->ru_maxrss * 1024,
  };
  take_out (&template->children, i);
  if (frame.exited.id != NOBODYS)
    gfork_answer (template, &frame, sizeof frame);
}

/* Reaps the child in this place of the table, if it has ended. If other code has reaped it, how
 * it has ended is not known. Returns whether it was taken out of the table. */
static bool
reap (struct gfork_template *template,
      size_t                 i)
{
  struct rusage usage = { 0 };
  int wait_status = -1;
  pid_t pid;

  do
    pid = wait4 (template->children.table[i].pid, &wait_status, WNOHANG, &usage);
  while (pid < 0 && errno == EINTR);
  if (pid == 0 || (pid < 0 && errno != ECHILD))
    return false;
  /* One that asks to be traced (PTRACE_TRACEME) has its stops reported here as well. */
  if (pid > 0 && WIFSTOPPED (wait_status))
    return false;

  report (template, i, wait_status, &usage);
  return true;
}

/* Asks each child, by its process ID. */
static void
ask_each (struct gfork_template *template)
{
  struct gfork_children *children = &template->children;

  /* Where one was taken out there may be another one now. */
  for (size_t i = 0; children->n > 0 && i < children->size;)
    if (children->table[i].pid == 0 || !reap (template, i))
      i++;
}

/* Reaps the children that have ended, and no other process: what code of a module starts in the
 * template, that code reaps. So the kernel is asked which process has ended before that is
 * reaped. A process that code of a module has started hides all that ended after it; then each
 * child is asked. */
static void
reap_all (struct gfork_template *template)
{
  struct gfork_children *children = &template->children;

  children->ask_all_at = 0;
  for (unsigned n_ended = 0; children->n > 0; n_ended++)
    {
      siginfo_t info = { 0 };
      size_t i;

      if (n_ended == FEW && children->n > MANY)
        break;
      if (waitid (P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0)
        return;
      i = slot (children, info.si_pid);
      if (info.si_pid == 0 || children->table[i].pid == 0 || !reap (template, i))
        break;
    }
  ask_each (template);
}

static int64_t
milliseconds_now (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* To be called when the signalfd can be read. Reaps children that have ended. Signals that come
 * together are one, so all children have to be asked. But the kernel looks at every one of them
 * for that, which takes 0.3 ms when there are 5,000. If there are many, the one that the signal
 * names is reaped now, and the others after a time that is in proportion to their number. */
void
gfork_children_reap (struct gfork_template *template)
{
  struct gfork_children *children = &template->children;
  struct signalfd_siginfo signal;
  pid_t pid;
  size_t i;

  if (read (children->signals, &signal, sizeof signal) != sizeof signal)
    return;

  if (children->n <= MANY)
    {
      reap_all (template);
      return;
    }

  pid = (pid_t) signal.ssi_pid;
  i = slot (children, pid);
  if (pid > 0 && children->table[i].pid != 0)
    reap (template, i);
  if (children->ask_all_at == 0)
    children->ask_all_at = milliseconds_now () + 1 + (int64_t) children->n / MANY;
}

/* To be called after code of a module, which may have ignored SIGCHLD, or reaped children of the
 * template. */
void
gfork_children_check (struct gfork_template *template)
{
  struct gfork_children *children = &template->children;

  if (children->signals < 0 && children->n == 0)
    return;

  listen_to_children (children);
  ask_each (template);
}

/* Asks all children if it is time for that. Returns the milliseconds until it is; -1 if they
 * need not be asked. */
int
gfork_children_reap_in_time (struct gfork_template *template)
{
  struct gfork_children *children = &template->children;
  int64_t now;

  /* The signalfd was closed, and no other can be opened. */
  if (children->n > 0 && children->signals < 0 && !listen_to_children (children))
    {
      reap_all (template);
      return LOOK_AGAIN_MS;
    }

  if (children->ask_all_at == 0)
    return -1;

  now = milliseconds_now ();
  if (now < children->ask_all_at)
    return (int) (children->ask_all_at - now);

  reap_all (template);
  return -1;
}

/* A child that was not reaped yet keeps its process ID, so this hits no other process. A
 * negative @signum is for the process group that the child leads. */
void
gfork_children_kill (const struct gfork_children *children,
                     uint32_t                     id,
                     int                          signum)
{
  for (size_t i = 0; children->n > 0 && i < children->size; i++)
    if (children->table[i].pid != 0 && children->table[i].id == id && id != NOBODYS)
      {
        pid_t pid = children->table[i].pid;

        if (signum >= 0)
          kill (pid, signum);
        else if (signum > -NSIG)
          kill (-pid, -signum);
        return;
      }
}
