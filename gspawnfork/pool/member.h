/* member.h: one worker of a pool, from the fork to the end of its process
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gforkpool.h"
#include "pool/driver.h"
#include "pool/job.h"
#include "pool/line.h"
#include "pool/news.h"
#include "pool/restarts.h"
#include "pool/settings.h"

G_BEGIN_DECLS

typedef struct _GForkMember GForkMember;

/* What the workers of a pool have in common, and who is called when. The lock is held. */
typedef struct
{
  GForkDriver *driver;
  GForkNews *news;
  GForkSettings settings;
  const char *function;
  GCancellable *closing;

  gpointer jobs;
  /* It is ready. */
  void (*on_ready)   (gpointer      jobs,
                      GForkMember  *member);
  /* It has nothing to do, and may be given something. */
  void (*on_free)    (gpointer      jobs,
                      GForkMember  *member);

  gpointer staff;
  /* It could not be started. */
  void (*on_not_run) (gpointer      staff,
                      GForkMember  *member,
                      const GError *error);
  /* It has ended; or it must have, and how is not known. */
  void (*on_ended)   (gpointer      staff,
                      GForkMember  *member,
                      gboolean      is_known);
} GForkEmployer;

/* What is done with it is done by the functions below; what is so may be looked at. */
struct _GForkMember
{
  gatomicrefcount ref_count;
  const GForkEmployer *employer;
  GForkDriver *driver;
  guint index;
  gint64 forked_at;
  gint64 ready_at;
  gint64 idle_since;
  gint64 kill_at; /* 0: never */

  GForkTemplate *template; /* until it is forked */
  GForkTemplate *fork;     /* until it is run */
  GCancellable *cancellable;
  GForkProcess *process;
  GForkWorker *worker;
  GForkLine *line;

  gboolean is_fresh;      /* one of a replacement, which works later */
  gboolean is_run;        /* run_async was called */
  gboolean is_ready;
  gboolean is_lent;
  gboolean is_leaving;    /* told to go */
  gboolean is_excused;    /* its end is the pool's doing */
  gboolean is_signalled;
  gboolean is_killed;
  gboolean is_full;       /* it is given nothing more */
  gboolean is_removed;
  gboolean does_jobs;     /* what it writes are frames */
  GError *fault;          /* what it has done that it must not */

  GList link; /* for its owner */
  GQueue jobs; /* in flight */
  guint32 last_job;
  guint64 n_given;
  guint64 n_done;
};

GForkMember *g_fork_member_new             (const GForkEmployer *employer,
                                            GForkTemplate       *template,
                                            guint                index,
                                            gboolean             is_fresh);
GForkMember *g_fork_member_ref             (GForkMember         *self);
void         g_fork_member_unref           (GForkMember         *self);
void         g_fork_member_remove          (GForkMember         *self);
void         g_fork_member_remove_and_end  (GForkMember         *self);

/* Its life */
void         g_fork_member_go              (GForkMember         *self);
void         g_fork_member_limit           (GForkMember         *self,
                                            gint64               deadline);
void         g_fork_member_end_if_mute     (GForkMember         *self);
gint64       g_fork_member_get_deadline    (GForkMember         *self);
void         g_fork_member_expire          (GForkMember         *self,
                                            gint64               now);
gboolean     g_fork_member_is_fresh        (GForkMember         *self);
gboolean     g_fork_member_has_place       (GForkMember         *self);
GForkLife    g_fork_member_get_life        (GForkMember         *self,
                                            gboolean             is_known);
char        *g_fork_member_describe_end    (GForkMember         *self,
                                            gboolean             is_known);

/* An end that is the pool's doing counts for nothing. */
void         g_fork_member_dismiss         (GForkMember         *self);
void         g_fork_member_kill            (GForkMember         *self);

/* Its work */
void         g_fork_member_take_over       (GForkMember         *self);
gboolean     g_fork_member_is_available    (GForkMember         *self);
gboolean     g_fork_member_is_idle         (GForkMember         *self);
void         g_fork_member_give            (GForkMember         *self,
                                            GForkJob            *job);
void         g_fork_member_check           (GForkMember         *self);

/* A worker that was lent. Ending it frees it, and gives the worker back or ends it. */
typedef struct
{
  GForkMember *member;
  GSocket *socket;
} GForkLease;

GForkLease  *g_fork_member_lend            (GForkMember         *self,
                                            GError             **error);
void         g_fork_lease_end              (GForkLease          *self,
                                            gboolean             is_good);

/* gforkworker.c */
GForkWorker *g_fork_worker_new             (guint                index,
                                            GForkProcess        *process);
void         g_fork_worker_set             (GForkWorker         *worker,
                                            gboolean             is_ready,
                                            gboolean             is_idle,
                                            guint64              n_jobs);

G_END_DECLS
