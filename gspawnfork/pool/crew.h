/* crew.h: the workers of a pool and what is asked of them: what the files of pool/ share
 *
 * All fields are guarded by the crew's lock. What could call back, or takes long, is
 * an action: it is decided on under the lock and carried out without it.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gforkpool.h"
#include "pool/pool.h"
#include "wire/job.h"

#include <sys/epoll.h>

G_BEGIN_DECLS

typedef struct _GForkMember GForkMember;
typedef struct _GForkDrive GForkDrive;

/* A place for a worker. The worker that replaces one has its place. */
typedef struct
{
  GForkMember *member; /* of the current template, and not told to go */
  gint64 start_at;     /* no worker is started here before that */
  guint delay;         /* of the last restart after an early end, in milliseconds */
  gboolean is_spent;   /* the restart policy wants no other worker here */
} GForkSlot;

/* A new generation of workers, which get their slots when all of them are ready. */
typedef struct
{
  GForkPending *pending;
  GForkTemplate *template;
  GPtrArray *members; /* by slot */
} GForkReplacement;

struct _GForkCrew
{
  int ref_count;
  guint generation; /* of the application, see base/generation.h */
  gboolean is_closed;
  GMutex lock;

  /* driver.c */
  GError *defect; /* why the pool can do nothing */
  int epoll_fd, timer_fd, wake_fd;
  int work_fd; /* an epoll descriptor of what the work context waits for */
  gint64 armed_for;
  GMainContext *work;
  GArray *work_fds;
  gint64 work_due;
  gboolean work_pending;
  gboolean is_acting;
  GQueue actions;
  GQueue finished; /* asynchronous operations to return */
  GPtrArray *trash;
  GForkPending *leader; /* the blocked call that waits for all of them */
  GQueue blocked;
  GList *drives;
  GForkDrive *home;
  GThread *home_thread;
  GQueue news;
  GForkNewsFunc on_news;
  GWeakRef pool;

  /* supervise.c */
  guint settings[G_FORK_N_SETTINGS];
  GForkPoolState state;
  GError *reason; /* of FAILED */
  char *function;
  GForkTemplate *template;
  enum
  {
    TEMPLATE_GOOD,
    TEMPLATE_DOUBTED, /* a run was lost: is it the template? */
    TEMPLATE_LOST,    /* a new one was asked for */
  } template_state;
  gboolean is_dirty; /* more than jobs has changed */
  GArray *slots;
  GArray *early_ends; /* times, of the restart window */
  GQueue starts;
  GQueue stops;
  GForkReplacement *replacement;
  GCancellable *closing;

  /* member.c */
  guint64 last_serial;
  GHashTable *by_serial;
  GPtrArray *members;
  GPtrArray *unsent;

  /* jobs.c */
  GQueue waiting;
  GQueue idle; /* the one used last is the first */
};

/* One worker, from the fork to the end of its process. */
struct _GForkMember
{
  guint64 serial;
  guint index;
  gboolean is_fresh; /* one of a replacement */
  gint64 forked_at;
  gint64 ready_at;
  gint64 idle_since;
  gint64 kill_at;  /* 0: never */
  gint64 retry_at; /* when to send again what the kernel did not take; 0: when it does */

  GForkTemplate *fork; /* until it is run */
  GCancellable *cancellable;
  GForkProcess *process;
  GForkWorker *worker;
  int fd;
  guint32 events; /* that are awaited on it */

  gboolean is_run;      /* run_async was called */
  gboolean is_ready;
  gboolean is_lent;
  gboolean is_leaving;  /* told to go */
  gboolean is_excused;  /* its end is the pool's doing */
  gboolean is_signalled;
  gboolean is_killed;
  gboolean is_over;     /* its socket is at the end */
  gboolean is_full;     /* it has had max-jobs */
  gboolean does_jobs;   /* what it writes are frames */
  GError *misbehaviour;

  struct gfork_reader reader;
  guint8 *memory;
  guint8 *control;
  GQueue unsent;
  gboolean is_unsent; /* listed in the crew's */

  GList idle_link;
  GQueue jobs; /* in flight */
  guint32 last_job;
  guint64 n_given;
  guint64 n_done;
};

/* An operation that was asked of the pool, and whose result is not yet known or fetched. */
struct _GForkPending
{
  GForkPendingKind kind;
  GForkCrew *crew;
  GList link;
  GQueue *queue; /* that it stands in */

  GTask *task; /* %NULL if a thread is blocked */
  GForkDrive *drive;
  GThread *thread;
  GCond cond;

  GCancellable *cancellable;
  gulong cancel_id;
  gboolean is_submitted, is_cancelled, is_done;

  GBytes *request;
  GPtrArray *parts;    /* the jobs of CALL_MANY */
  guint n_unfinished;  /* of them */
  GForkPending *whole; /* the operation that this job is a part of */
  GForkTemplate *template;
  GForkMember *member;
  guint32 id;
  guint n_lost;
  gboolean was_moved;
  gboolean needs_memory; /* the request is long, and not sent yet */

  GBytes *reply;
  GForkLease *lease;
  GError *error;
};

/* driver.c */
typedef void (*GForkActionFunc) (GForkCrew *crew,
                                 gpointer   object,
                                 guint64    number);

void      g_fork_crew_open_driver  (GForkCrew        *self);
void      g_fork_crew_close_driver (GForkCrew        *self);
void      g_fork_crew_free_driver  (GForkCrew        *self);
void      g_fork_crew_lock         (GForkCrew        *self);
void      g_fork_crew_unlock       (GForkCrew        *self);
void      g_fork_crew_act          (GForkCrew        *self,
                                    GForkActionFunc   func,
                                    gpointer          object,
                                    guint64           number);
void      g_fork_crew_discard      (GForkCrew        *self,
                                    gpointer          object);
void      g_fork_crew_tell         (GForkCrew        *self,
                                    GForkNewsKind     kind,
                                    gpointer          object,
                                    guint64           number,
                                    const GError     *error);
gboolean  g_fork_crew_has_handler  (GForkCrew        *self,
                                    const char       *signal);
void      g_fork_crew_wait         (GForkCrew        *self,
                                    GForkPending     *pending);
void      g_fork_crew_use_drive    (GForkCrew        *self,
                                    GForkPending     *pending);
void      g_fork_crew_unuse_drive  (GForkCrew        *self,
                                    GForkPending     *pending);
void      g_fork_crew_wake         (GForkCrew        *self,
                                    GForkPending     *pending);
gboolean  g_fork_crew_watch_fd     (GForkCrew        *self,
                                    GForkMember      *member,
                                    guint32           events);

/* pending.c */
void      g_fork_pending_enqueue   (GForkPending     *self,
                                    GQueue           *queue);
void      g_fork_pending_dequeue   (GForkPending     *self);
void      g_fork_pending_finish    (GForkPending     *self,
                                    GError           *error);
void      g_fork_pending_return    (GForkPending     *self);
void      g_fork_pending_free      (GForkPending     *self);
void      g_fork_crew_fail_all     (GForkCrew        *self,
                                    GQueue           *queue,
                                    const GError     *error);

/* many.c */
void      g_fork_crew_submit_many  (GForkCrew        *self,
                                    GForkPending     *pending);
void      g_fork_crew_cancel_many  (GForkCrew        *self,
                                    GForkPending     *pending);
GVariant *g_fork_pending_steal_replies (GForkPending *self);

/* supervise.c */
void      g_fork_crew_supervise    (GForkCrew        *self,
                                    gint64            now);
gint64    g_fork_crew_next_deadline(GForkCrew        *self);
GForkSlot *g_fork_crew_get_slot    (GForkCrew        *self,
                                    guint             index);
gboolean  g_fork_crew_start_one    (GForkCrew        *self);
guint     g_fork_crew_count_coming (GForkCrew        *self);
void      g_fork_crew_on_not_run   (GForkCrew        *self,
                                    GForkMember      *member,
                                    const GError     *error);
void      g_fork_crew_on_ended     (GForkCrew        *self,
                                    GForkMember      *member,
                                    gboolean          is_known);
void      g_fork_crew_on_template  (GForkCrew        *self,
                                    GForkTemplate    *template);
GError   *g_fork_crew_closed_error (GForkCrew        *self);
void      g_fork_crew_submit_start (GForkCrew        *self,
                                    GForkPending     *pending);
void      g_fork_crew_submit_stop  (GForkCrew        *self,
                                    GForkPending     *pending);
void      g_fork_crew_submit_replace (GForkCrew      *self,
                                    GForkPending     *pending);
void      g_fork_crew_end_replacement (GForkCrew     *self,
                                    GError           *error);

/* member.c */
GForkMember *g_fork_member_new     (GForkCrew        *crew,
                                    guint             index,
                                    gboolean          is_fresh);
GForkMember *g_fork_crew_lookup    (GForkCrew        *self,
                                    guint64           serial);
void      g_fork_member_run        (GForkCrew        *crew,
                                    gpointer          object,
                                    guint64           serial);
void      g_fork_member_go         (GForkCrew        *crew,
                                    GForkMember      *self);
void      g_fork_member_signal     (GForkCrew        *crew,
                                    GForkMember      *self);
void      g_fork_member_kill       (GForkCrew        *crew,
                                    GForkMember      *self);
void      g_fork_member_end        (GForkCrew        *crew,
                                    GForkMember      *self);
void      g_fork_member_remove     (GForkCrew        *crew,
                                    GForkMember      *self);
void      g_fork_member_send       (GForkCrew        *crew,
                                    GForkMember      *self,
                                    GForkPending     *job);
void      g_fork_member_flush      (GForkCrew        *crew,
                                    GForkMember      *self);
void      g_fork_member_on_event   (GForkCrew        *crew,
                                    GForkMember      *self,
                                    guint32           events);
void      g_fork_member_expect     (GForkCrew        *crew,
                                    GForkMember      *self);
void      g_fork_member_look       (GForkCrew        *crew,
                                    GForkMember      *self);
char     *g_fork_member_describe_end (GForkCrew      *crew,
                                    GForkMember      *self,
                                    gboolean          is_known);

/* jobs.c */
void      g_fork_crew_assign       (GForkCrew        *self);
void      g_fork_crew_on_free      (GForkCrew        *self,
                                    GForkMember      *member);
gboolean  g_fork_crew_on_reply     (GForkCrew        *self,
                                    GForkMember      *member,
                                    struct gfork_frame *frame);
void      g_fork_crew_lose_jobs    (GForkCrew        *self,
                                    GForkMember      *member,
                                    gboolean          is_known);
void      g_fork_crew_cancel_job   (GForkCrew        *self,
                                    GForkPending     *pending);
void      g_fork_crew_not_idle     (GForkCrew        *self,
                                    GForkMember      *member);

G_END_DECLS
