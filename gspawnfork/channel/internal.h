/* internal.h: the inside of a channel, for the four rooms it has
 *
 * channel/channel.c has its life, channel/answers.c what comes in, channel/operation.c those who
 * await it, and channel/forks.c the forks of what is at the other end. Functions that are
 * given Actions are called with the lock held, and what they add is done after it by
 * g_fork_channel_take_actions().
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "channel/channel.h"
#include "process/child.h"
#include "channel/queue.h"
#include "channel/replay.h"
#include "channel/spares.h"

G_BEGIN_DECLS

/* No answer has more than one; a hostile one is cut off. */
#define MAX_ANSWER_FDS 8

typedef enum
{
  OPEN,
  FINAL,  /* run, executed or detached: nothing may follow on the socket */
  CLOSED, /* by the user; still there for the sake of the children */
  GONE,
} State;

/* A socket handed to whoever gets the answer, or the reason why not. */
typedef struct
{
  GForkAwait await;
  GTask *task; /* %NULL once cancelled: the answer is still to come */
  GSource *cancel_source;
  GSource *start_source; /* limits the time that a program has to say HELLO */
  GSource *cause_source; /* once the socket is at its end */
  GSList *watches;

  char *subject; /* what it runs or executes, for messages */
  guint n_told;  /* of the channel's, when the command was sent */
  int user_fd;   /* EXECUTED: the communication socket */
  gboolean ready;
  struct gfork_pid pid;
  int pidfd;

  GForkLaunch *launch;
  GError *error;
} Operation;

struct _GForkWatch
{
  GForkChannel *channel;
  GMainContext *context;
  GSource *source;
  gpointer tag;
  guint holds;
  GIOCondition condition;
};

struct _GForkChannel
{
  gatomicrefcount ref_count;
  guint generation;

  GMutex lock;
  State state;
  int fd;
  GError *error;    /* why it is GONE, or what went wrong on this side */
  GError *reported; /* the last thing that went wrong on the other */
  guint uses;
  gboolean answered;
  gboolean closed; /* whatever else has become of it since */
  gboolean given_up; /* by this side, because of what has come in */
  gboolean released; /* the child, with the socket */
  gint64 ended_at; /* when the socket came to its end, while the cause is not known; or 0 */

  pid_t pid;
  char *program;        /* that was executed to become it, for messages, or NULL; never changes */
  GForkChild *child;    /* the process at the other end */
  GForkChannel *parent; /* the one of the template that it is a fork of */

  GForkQueue queue;
  gboolean retry; /* after a while: the system has no room */
  GForkWatch *out_watch;

  struct gfork_reader reader;
  guint8 memory[64];
  guint8 *large_memory;
  _Alignas (struct cmsghdr) char control[GFORK_CONTROL_SIZE (MAX_ANSWER_FDS)];

  GQueue operations;
  GSList *watches;

  /* For messages: the commands that run code which is not ours. */
  GQueue told;  /* those of which no answer says that they are done; the last few */
  guint n_told; /* how many there were in all */
  guint n_done; /* how many of these are done */

  GForkSpares *spares;  /* made when some are first wanted, and never replaced */
  GHashTable *children; /* id → GForkChild, of those not known to have ended */
  guint32 next_id;
  char *hint;              /* the function that the last fork was run with */
  gboolean hint_is_news;
  guint mapped; /* a bit for each standard stream that has a descriptor mapped to it */
  int module_path; /* which of the application's it has been told, or inherited */
  GForkLog *log;   /* what it has been told, if it cannot be forked */

  GList link; /* in all_channels */
};

/* What has been decided under the lock and is done after it. */
typedef struct
{
  GSList *operations;
  GSList *exited; /* Exit */
  GSList *orphans;
  gboolean released;
  GForkWatch *out_watch;
  gboolean end_of_file;
  gboolean gone;
} Actions;

typedef struct
{
  GForkChild *child;
  struct gfork_exited exited;
} Exit;

/* A process that is to be killed once the lock is not held. */
typedef struct
{
  GForkChild *child;
  struct gfork_pid pid;
  int pidfd;
} Condemned;

/* channel/channel.c */
gboolean     g_fork_channel_is_ours         (GForkChannel *channel);
void         g_fork_channel_flush           (GForkChannel *channel);
void         g_fork_channel_flush_and_watch (GForkChannel *channel);
void         g_fork_channel_update_watches  (GForkChannel *channel);
gboolean     g_fork_channel_is_executed     (GForkChannel *channel);
void         g_fork_channel_end             (GForkChannel *channel,
                                             State         state);
int          g_fork_channel_take_fd         (GForkChannel *channel,
                                             Actions      *actions);
void         g_fork_channel_end_operations  (GForkChannel *channel,
                                             GError       *error,
                                             gboolean      executed,
                                             Actions      *actions);
void         g_fork_channel_die             (GForkChannel *channel,
                                             GError       *error,
                                             gboolean      other_end_gone,
                                             Actions      *actions);
void         g_fork_channel_take_actions    (GForkChannel *channel,
                                             Actions      *actions);
void         g_fork_channel_pump            (GForkChannel *channel,
                                             gboolean      to_the_end);
GError      *g_fork_channel_refusal         (GForkChannel *channel);
GError      *g_fork_channel_inherited_error (void);
GError      *g_fork_channel_too_long_error  (gsize         length);

/* channel/forks.c */
void         g_fork_channel_take_hint       (GForkChannel *parent,
                                             const char   *function);
void         g_fork_channel_refill_spares   (GForkChannel *channel);
void         g_fork_channel_discard_spares  (GForkChannel *channel);
void         g_fork_channel_end_spares      (GForkChannel *channel);

/* channel/answers.c */
char        *g_fork_channel_name_process    (GForkChannel *channel);
void         g_fork_channel_read            (GForkChannel *channel,
                                             gboolean      to_the_end,
                                             Actions      *actions);
void         g_fork_channel_end_of_file     (GForkChannel *channel);
gboolean     g_fork_channel_settle          (GForkChannel *channel);

/* channel/operation.c */
GForkLaunch *g_fork_launch_new              (int           fd,
                                             GForkChild   *child);
void         g_fork_operation_take          (Operation    *operation,
                                             GError       *error,
                                             Actions      *actions);
void         g_fork_operation_finish        (Operation    *operation);
void         g_fork_operation_await_cause   (Operation    *operation);
void         g_fork_channel_condemn         (GForkChannel *channel,
                                             Condemned    *condemned);
void         g_fork_condemned_kill          (Condemned    *condemned);

G_END_DECLS
