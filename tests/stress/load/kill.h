/* kill.h: declarations that the driver and the application of load-kill share
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  APPLICATION,
  DEFAULT,
  SUB,
  WORKER,
  SUB_WORKER,
  N_ROLES
} Role;

typedef enum
{
  KILL,
  STOP, /* and let it go on after a while */
  STOP_AND_KILL,
  N_BLOWS
} Blow;

extern const char *const role_names[N_ROLES];
extern const char *const blow_names[N_BLOWS];

/* What the application has just done. */
enum
{
  BEGUN,
  DEFAULT_PREPARED,
  SUB_MADE,
  SUB_PREPARED,
  WORKER_MADE,
  SUB_WORKER_MADE,
  TOLD_TO_RUN,
  CANCELLED,
  ONE_RUNS,
  ALL_RUN,
  TALKED,
  WAITING,
  TOLD_TO_LEAVE,
  ONE_HAS_LEFT,
  SUB_CLOSED,
  ABOUT_TO_GO,
  N_STAGES,
  ANY_MOMENT = N_STAGES
};

/* For each stage there are so many rounds at random moments. */
#define MOMENTS 5

typedef enum
{
  FIRST,     /* off the default template */
  SECOND,    /* off the sub-template */
  UNWANTED,  /* cancelled */
  N_LAUNCHES
} LaunchId;

/* The exit status of each worker. */
#define STATUS(launch) (11 + (launch))

/* The state in memory that the two processes share. */
typedef struct
{
  int pids[N_ROLES]; /* as far as known; of the workers, see there */
  int struck;        /* the process, before it is */
  int struck_role;
  int stage;
  int told[N_LAUNCHES]; /* to leave, or that it is not wanted */
  int failed[N_LAUNCHES];
  int n_lost;
} Board;

#define LIFE_FD 10
#define LOG_FD 11
#define BOARD_FD 12

extern Board *board;

/* Signals the process that has a role, if there is one. Returns a pidfd for more signals, or -1. */
int  strike         (Role         role,
                     Blow         blow);
void follow_up      (int          pidfd,
                     Blow         blow);

/* Returns the exit status. */
int  be_application (const char  *program,
                     char       **args);

G_END_DECLS
