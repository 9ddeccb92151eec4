/* proc.h: what /proc says about processes
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>
#include <sys/types.h>

G_BEGIN_DECLS

/* Of what /proc/PID/stat says, by proc_pid_stat(5). */
enum
{
  G_FORK_STAT_STATE = 3,
  G_FORK_STAT_PARENT,
  G_FORK_STAT_FLAGS = 9, /* 0x4 is PF_EXITING */
  G_FORK_STAT_UTIME = 14,
  G_FORK_STAT_STIME,
  G_FORK_STAT_CUTIME,
  G_FORK_STAT_CSTIME,
  G_FORK_STAT_PENDING = 31,   /* signals */
  G_FORK_STAT_EXIT_CODE = 52, /* since Linux 5.17 there as soon as a signal has decided it */
  G_FORK_STAT_N_FIELDS = 52,
};

/* What a process and all those that it has started, and they, are doing. */
typedef struct
{
  gboolean known;    /* FALSE if /proc could not be read */
  gboolean asleep;   /* every thread waits for something to happen, or has ended */
  gboolean stopped;  /* somebody, like a debugger, has stopped one */
  guint64 cpu_time;  /* microseconds */
  guint64 activity;  /* differs once any of them has run */
} GForkDoings;

char   **g_fork_proc_read_stat (const char  *path);
guint64  g_fork_proc_number    (char       **stat,
                                guint        field);
void     g_fork_proc_look      (pid_t        pid,
                                GForkDoings *doings);

G_END_DECLS
