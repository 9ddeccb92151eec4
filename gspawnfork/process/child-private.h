/* child-private.h: the struct of a process, for the files of this folder
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "base/upkeep.h"
#include "process/child.h"

G_BEGIN_DECLS

typedef enum
{
  DIRECT,  /* a child of this process */
  FORKED,  /* reaped by a template, which reports how it has ended */
  ORPHAN,  /* its template has died */
  FOREIGN, /* of another application */
} Origin;

typedef enum
{
  ALIVE,
  ENDED,
  LOST,
} State;

struct _GForkChild
{
  gatomicrefcount ref_count;
  guint generation;

  GMutex lock;
  Origin origin;
  State state; /* written under the lock, read anywhere */
  pid_t pid;
  char *name; /* the function that it runs or the program that it executes, in UTF-8, or NULL */
  int pidfd;
  const GForkReaper *funcs;
  gpointer reaper;
  guint32 id;
  gboolean leads_group;  /* a process group of its own, and a session */
  gboolean forgotten;    /* nobody will ask how it has ended, nor signal it */
  gint64 unreaped_since; /* when it was first seen to have ended, or 0 */
  struct gfork_exited exited;
  GSList *listeners;

  GDestroyNotify end_func; /* of its remote process, for its end */
  gpointer end_data;
  GForkUpkeep upkeep; /* if it is a direct child and no template any more */
};

G_END_DECLS
