/* remote-private.h: the struct of a template process, and what its files call of each other
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "base/identity.h"
#include "channel/channel.h"
#include "channel/log.h"
#include "channel/operation.h"
#include "channel/remote.h"
#include "channel/spares.h"
#include "channel/trace.h"

G_BEGIN_DECLS

typedef enum
{
  OPEN,
  FINAL,  /* run, executed or detached: nothing may follow on the socket */
  CLOSED, /* by the user; it stays as long as it has children */
  GONE,   /* the socket was handed out, or is at its end */
} State;

struct _GForkRemote
{
  gatomicrefcount ref_count;
  GForkChannel *channel;
  GForkChild *child;   /* the process at the other end */
  GForkRemote *parent; /* the template that it is a fork of */
  GForkIdentity *identity; /* of the application when it started the process, or NULL */
  char *program;       /* that was executed to become it, for messages, or NULL */
  guint start_timeout; /* how many seconds it has to say HELLO; 0: any number */
  int module_path;     /* the serial of the one that it was sent, or has inherited */
  guint mapped;        /* a bit for each standard stream that has a descriptor mapped to it */
  gboolean confined;   /* it, or a template above it, was sent CONFINE */
  GForkSpares *spares; /* made when some are first wanted, and never replaced */

  /* Guarded by the channel's lock. */
  State state;
  guint owners;
  gboolean answered;
  gboolean closed;    /* by the user, whatever else has become of it since */
  gboolean claimed;   /* by an operation that ends the template: this one */
  GForkAwait claim;
  gboolean unchecked; /* it was sent commands, and no answer says that all have succeeded */
  gboolean told;      /* an operation has ended with what went wrong in a command */
  GError *untold;     /* what went wrong in a command, as long as no operation has */
  GError *heard;      /* what the user has heard from a fork, which may be of this one */
  gboolean given_up;  /* by this side, because of what it has read */
  gboolean condemned; /* it is about to be killed: of its answers only its pid counts */
  gint64 ended_at;    /* when the socket came to its end, as long as the cause is not known */
  GError *error;      /* why it is GONE, or what went wrong on this side */
  GError *reported;   /* the last thing that went wrong on the other */
  pid_t pid;
  GQueue operations; /* in the order of the answers */
  GQueue waiting;    /* operations that wait for its end as a template */
  GForkTrace trace;

  GHashTable *children; /* id → GForkChild, of those not known to have ended */
  guint32 next_id;
  char *hint; /* the function that the last fork was run with */
  gboolean hint_is_news;
  gboolean holds_forks; /* until they are used, as the last one has executed a program */

  /* If it cannot be forked. */
  GForkStarter start;
  GStrv words;
  GForkLog *log;
};

/* remote-state.c */
gpointer     g_fork_remote_ref_owner       (gpointer            remote);
void         g_fork_remote_unref_owner     (gpointer            remote);
void         g_fork_remote_lock            (GForkRemote        *remote);
void         g_fork_remote_unlock          (GForkRemote        *remote);
GError      *g_fork_remote_inherited_error (void);
GForkRemote *g_fork_remote_get_root        (GForkRemote        *remote);
GError      *g_fork_remote_too_long_error  (gsize               length);
void         g_fork_remote_end_spares      (gpointer            data);

/* The same, with the lock held */
void         g_fork_remote_defer           (GForkRemote        *remote,
                                            GDestroyNotify      func);
GError      *g_fork_remote_refusal         (GForkRemote        *remote,
                                            State               state);
void         g_fork_remote_set_untold      (GForkRemote        *remote,
                                            const GError       *error);
void         g_fork_remote_set_told        (GForkRemote        *remote);
char        *g_fork_remote_name_process    (GForkRemote        *remote);
void         g_fork_remote_set_state       (GForkRemote        *remote,
                                            State               state);
int          g_fork_remote_take_socket     (GForkRemote        *remote);
void         g_fork_remote_close_socket    (GForkRemote        *remote);
void         g_fork_remote_finish          (GForkRemote        *remote,
                                            GForkOperation     *operation);
void         g_fork_remote_fail_operations (GForkRemote        *remote,
                                            GError             *error);
void         g_fork_remote_end             (GForkRemote        *remote,
                                            GError             *error);
void         g_fork_remote_die             (GForkRemote        *remote,
                                            GError             *error);
void         g_fork_remote_condemn         (GForkRemote        *remote);

/* remote-end.c; all but the first with the lock held */
gboolean     g_fork_remote_settle          (GForkRemote        *remote);
GError      *g_fork_remote_lost_error      (GForkRemote        *remote);
void         g_fork_remote_await_cause     (gpointer            data,
                                            gpointer            user_data);
void         g_fork_remote_give_up         (GForkRemote        *remote,
                                            GError             *error);
void         g_fork_remote_on_end          (gpointer            owner,
                                            GForkEnd            how,
                                            int                 error_number);

/* remote-answers.c */
extern const GForkChannelFuncs g_fork_remote_channel_funcs;

/* remote-forks.c */
void         g_fork_remote_refill_later    (gpointer            data);
void         g_fork_remote_expect_forks    (GForkRemote        *parent,
                                            GForkAwait          await);
void         g_fork_remote_release         (GForkRemote        *remote);
void         g_fork_remote_take_hint       (GForkRemote        *parent,
                                            const char         *function);

G_END_DECLS
