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
#include <sys/wait.h>

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

static void
on_child (int signum)
{
  (void) signum; /* it is there to interrupt the wait */
}

/* To be called before a fork, so that nothing can fail after it. */
bool
gfork_children_reserve (struct gfork_template *template)
{
  struct gfork_children *children = &template->children;

  if (!template->reaping)
    {
      struct sigaction action = { .sa_handler = on_child, .sa_flags = SA_NOCLDSTOP };

      sigemptyset (&action.sa_mask);
      sigaction (SIGCHLD, &action, NULL);
      template->reaping = true;
    }

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

/* In a fork: they are the parent's. The table is not touched before there is
 * something to put into it, since most forks never fork and every page that is
 * written to costs them a fault. */
void
gfork_children_forget (struct gfork_children *children)
{
  children->n = 0;
  children->inherited = true;
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

      /* May it move to the hole, or would that put it before its home? */
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

/* Collects whoever has ended and tells the application. Processes that a module
 * started in the template are collected as well: a template has no business
 * with zombies. */
void
gfork_children_reap (struct gfork_template *template)
{
  struct gfork_children *children = &template->children;

  template->unreaped_rounds = 0;
  while (children->n > 0)
    {
      struct
      {
        struct gfork_header header;
        struct gfork_exited exited;
      } frame;
      struct rusage usage;
      int wait_status;
      pid_t pid = wait4 (-1, &wait_status, WNOHANG, &usage);
      size_t i;

      if (pid < 0 && errno == EINTR)
        continue;
      if (pid <= 0)
        return;

      i = slot (children, pid);
      if (children->table[i].pid == 0)
        continue;

      gfork_header_set (&frame.header, GFORK_EXITED, sizeof frame.exited, 0);
      frame.exited = (struct gfork_exited){
        .id = children->table[i].id,
        .wait_status = wait_status,
        .user_time = microseconds (&usage.ru_utime),
        .system_time = microseconds (&usage.ru_stime),
        .max_rss = (uint64_t) usage.ru_maxrss * 1024,
      };
      take_out (children, i);
      gfork_answer (template, &frame, sizeof frame);
    }
}

/* A child that was not collected yet keeps its pid, so this hits no other. */
void
gfork_children_kill (const struct gfork_children *children,
                     uint32_t                     id,
                     int                          signum)
{
  for (size_t i = 0; children->n > 0 && i < children->size; i++)
    if (children->table[i].pid != 0 && children->table[i].id == id)
      {
        kill (children->table[i].pid, signum);
        return;
      }
}
