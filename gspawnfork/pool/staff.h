/* staff.h: which workers a pool has: starting, stopping, replacing
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "pool/jobs.h"
#include "pool/pending.h"

G_BEGIN_DECLS

typedef struct _GForkStaff GForkStaff;

GForkStaff    *g_fork_staff_new              (const GForkEmployer *employer,
                                              GForkJobs           *jobs,
                                              GForkTemplate       *template);
void           g_fork_staff_free             (GForkStaff          *self);
void           g_fork_staff_close            (GForkStaff          *self);

GForkTemplate *g_fork_staff_get_template     (GForkStaff          *self);
GForkPoolState g_fork_staff_get_state        (GForkStaff          *self);
GError        *g_fork_staff_dup_reason       (GForkStaff          *self);

/* What is asked. The operation is finished when that is so, or cannot be. */
void           g_fork_staff_start            (GForkStaff          *self,
                                              GForkPending        *pending);
void           g_fork_staff_stop             (GForkStaff          *self,
                                              GForkPending        *pending);
void           g_fork_staff_replace          (GForkStaff          *self,
                                              GForkPending        *pending,
                                              GForkTemplate       *template);
void           g_fork_staff_forget           (GForkStaff          *self,
                                              GForkPending        *pending);

/* What has happened. */
void           g_fork_staff_on_not_run       (gpointer             staff,
                                              GForkMember         *member,
                                              const GError        *error);
void           g_fork_staff_on_ended         (gpointer             staff,
                                              GForkMember         *member,
                                              gboolean             is_known);

/* What follows. */
void           g_fork_staff_supervise        (GForkStaff          *self);
guint          g_fork_staff_hire             (GForkStaff          *self,
                                              guint                n_wanted);
gint64         g_fork_staff_get_deadline     (GForkStaff          *self);

G_END_DECLS
