/* pool.h: what the classes of a pool use of its inside
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gforkpool.h"
#include "pool/member.h"
#include "pool/news.h"
#include "pool/pending.h"
#include "pool/settings.h"

G_BEGIN_DECLS

typedef struct _GForkCrew GForkCrew;

/* What can be asked of it: about what, and with which result. */
typedef enum
{
  G_FORK_ASK_START,
  G_FORK_ASK_STOP,
  G_FORK_ASK_REPLACE,   /* a GForkTemplate */
  G_FORK_ASK_CALL,      /* a GBytes; a GBytes */
  G_FORK_ASK_CALL_MANY, /* a GVariant; a GVariant */
  G_FORK_ASK_ACQUIRE,   /* nothing; a GForkLease */
} GForkAsk;

GForkCrew     *g_fork_crew_new             (GForkPool     *pool,
                                            GForkTemplate *template,
                                            const char    *function,
                                            GForkNewsFunc  on_news);
void           g_fork_crew_close           (GForkCrew     *self);

GForkTemplate *g_fork_crew_dup_template    (GForkCrew     *self);
GForkPoolState g_fork_crew_get_state       (GForkCrew     *self);
guint          g_fork_crew_get_n_waiting   (GForkCrew     *self);
guint          g_fork_crew_get_setting     (GForkCrew     *self,
                                            GForkSetting   setting);
gboolean       g_fork_crew_set_setting     (GForkCrew     *self,
                                            GForkSetting   setting,
                                            guint          value);

GForkPending  *g_fork_crew_ask             (GForkCrew     *self,
                                            GForkAsk       what,
                                            gpointer       about,
                                            GCancellable  *cancellable);

/* gforkloan.c */
GForkLoan     *g_fork_loan_new             (GForkLease    *lease);

G_END_DECLS
