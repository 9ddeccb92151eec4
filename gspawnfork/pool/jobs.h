/* jobs.h: which worker does which job, and what becomes of it
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "pool/member.h"

G_BEGIN_DECLS

typedef struct _GForkJobs GForkJobs;

GForkJobs *g_fork_jobs_new           (GForkSettings  settings);
void       g_fork_jobs_free          (GForkJobs     *self);

/* The workers */
void       g_fork_jobs_add_worker    (gpointer       jobs,
                                      GForkMember   *member);
void       g_fork_jobs_remove_worker (GForkJobs     *self,
                                      GForkMember   *member);
void       g_fork_jobs_on_free       (gpointer       jobs,
                                      GForkMember   *member);
void       g_fork_jobs_lose          (GForkJobs     *self,
                                      GForkMember   *member,
                                      gboolean       is_known,
                                      gboolean       may_retry);

/* The jobs */
void       g_fork_jobs_add           (GForkJobs     *self,
                                      GForkJob      *job);
void       g_fork_jobs_cancel        (GForkJobs     *self,
                                      GForkJob      *job);
void       g_fork_jobs_fail          (GForkJobs     *self,
                                      const GError  *error);
guint      g_fork_jobs_get_n_waiting (GForkJobs     *self);
void       g_fork_jobs_give          (GForkJobs     *self);
void       g_fork_jobs_give_ahead    (GForkJobs     *self,
                                      guint          n_coming);

G_END_DECLS
