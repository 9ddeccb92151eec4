/* bench.h: functions that the parts of the benchmark share
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "contenders.h"
#include "results.h"

#include <gspawnfork/gspawnfork.h>

G_BEGIN_DECLS

#define NEW "gspawnfork new"
#define SPARES NEW " with 2 spares"

/* Their workers call _exit(), as the children of plain forks do. */
#define NEW_EXIT NEW ", _exit"
#define SPARES_EXIT SPARES ", _exit"

typedef struct
{
  Results *results;
  gboolean quick;
  guint rounds;
  int warm_up_ms;               /* the load before each measurement */
  guint batch_ms;               /* the length of a measurement */

  char *directory;              /* where this program and its companions are */
  char *module;
  const char *argv[2];          /* the program that does nothing */

  GForkTemplate *helper;
  GForkTemplate *template;      /* has the module; the default one */
  GForkTemplate *spared;        /* the same with two spare processes */
  LaunchPlan plan;
  LaunchPlan spared_plan;
  LaunchPlan exit_plan;         /* leaves as the child of a plain fork loop does */
  LaunchPlan spared_exit_plan;
  Contender *plain;             /* what everything is compared with */
} Bench;

/* Returns the name of a file beside this program. */
char      *beside           (Bench      *self,
                             const char *name);

/* Rounds, in each of which each contender is measured */

GPtrArray *entries_new      (void);
Series    *add_entry        (Bench      *self,
                             GPtrArray  *entries,
                             Contender  *contender,
                             guint       in_flight,
                             gint64      value);
void       measure          (Bench      *self,
                             GPtrArray  *entries);
void       settle           (void);
GPtrArray *contenders_new   (void);
Contender *keep             (GPtrArray  *contenders,
                             Contender  *contender);

/* What the system says */

guint64    read_number      (const char *filename,
                             const char *name);
gboolean   have_memory      (guint       megabytes);
guint      count_fds        (GPid        pid);
void       describe_machine (Bench      *self);

/* Sections */

void       run_cycle        (Bench      *self);
void       run_programs     (Bench      *self);
void       run_flight       (Bench      *self);
void       run_spares       (Bench      *self);
void       run_scale        (Bench      *self);
void       run_memory       (Bench      *self);
void       run_big          (Bench      *self);
void       run_work         (Bench      *self);
void       run_confined     (Bench      *self);

G_END_DECLS
