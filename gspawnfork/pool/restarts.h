/* restarts.h: whether, and when, a worker that has ended is replaced
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "pool/settings.h"

G_BEGIN_DECLS

typedef struct _GForkRestarts GForkRestarts;

/* What there is to say of a worker that has ended. */
typedef struct
{
  gint64 forked_at;
  gint64 ready_at; /* 0: it never was */
  gboolean has_worked; /* has finished a job or a loan */
  gboolean has_succeeded; /* has ended with status 0 */
} GForkLife;

typedef enum
{
  G_FORK_VERDICT_REPLACE, /* when it may be started */
  G_FORK_VERDICT_SPENT,   /* the policy wants no other one */
  G_FORK_VERDICT_FAIL,    /* too many have ended early */
} GForkVerdict;

GForkRestarts *g_fork_restarts_new          (GForkSettings    settings);
void           g_fork_restarts_free         (GForkRestarts   *self);
void           g_fork_restarts_reset        (GForkRestarts   *self);
void           g_fork_restarts_forget       (GForkRestarts   *self);
GForkVerdict   g_fork_restarts_judge        (GForkRestarts   *self,
                                             guint            index,
                                             const GForkLife *life);
GForkVerdict   g_fork_restarts_judge_early  (GForkRestarts   *self,
                                             guint            index,
                                             gint64           forked_at);
gboolean       g_fork_restarts_is_spent     (GForkRestarts   *self,
                                             guint            index);
gint64         g_fork_restarts_get_start_at (GForkRestarts   *self,
                                             guint            index);

G_END_DECLS
