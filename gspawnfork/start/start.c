/* start.c: programs that were executed and have not said anything yet
 *
 * A helper says HELLO as soon as it can. A program that is none may never say anything,
 * and whoever waits for it should be told soon. How long a helper takes to get there is
 * no sign of it: interpreters are slow under valgrind, and on a machine that has a
 * lot to do. But they are at work meanwhile. So it is not the time that is looked at but
 * what the program does: one that only sleeps waits for something else than commands.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "start/start.h"

#include "process/proc.h"

/* So long a program may do nothing at all, if nobody has stopped it, … */
#define MAX_STILL (700 * G_TIME_SPAN_MILLISECOND)

/* … and so long it may sleep and wake up, or use the processor. */
#define MAX_TRIES G_TIME_SPAN_MINUTE

/* Two looks that follow each other more closely are one, if several await an answer. */
#define LOOK_INTERVAL (G_FORK_START_LOOK_MS * G_TIME_SPAN_MILLISECOND)

struct _GForkStart
{
  pid_t pid;
  gint64 last_look;
  guint64 activity;
  gint64 still; /* for how long it has done nothing, */
  gint64 slept; /* and for how long it was seen asleep altogether, both in looks */
  gboolean silent;
};

/* @pid is a child of this process that was made to execute a program. */
GForkStart *
g_fork_start_new (pid_t pid)
{
  GForkStart *start = g_new0 (GForkStart, 1);

  start->pid = pid;

  return start;
}

void
g_fork_start_free (GForkStart *start)
{
  g_free (start);
}

/* Returns whether it is to be waited for no longer. Time counts only as far as
 * somebody has looked: this process may have been stopped as well. */
gboolean
g_fork_start_look (GForkStart *start)
{
  gint64 now = g_get_monotonic_time ();
  GForkDoings doings;

  if (start->silent || now - start->last_look < LOOK_INTERVAL / 2)
    return start->silent;
  start->last_look = now;

  g_fork_proc_look (start->pid, &doings);
  if (doings.stopped)
    return FALSE;

  if (doings.asleep || !doings.known)
    start->slept += LOOK_INTERVAL;
  if (doings.asleep && doings.activity == start->activity)
    start->still += LOOK_INTERVAL;
  else
    start->still = 0;
  start->activity = doings.activity;

  start->silent = start->still >= MAX_STILL
                  || start->slept + (gint64) doings.cpu_time >= MAX_TRIES;
  return start->silent;
}
