/* job.h: what a worker is wanted for: a request to answer, or a loan
 *
 * All of it is guarded by the driver's lock.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

#include "wire/job.h"

G_BEGIN_DECLS

typedef struct _GForkJob GForkJob;

/* Called when the job has its reply, its lease or its error. It is the last use of the job. */
typedef void (*GForkJobDone) (GForkJob *job,
                              gpointer  data);

struct _GForkJob
{
  GQueue *queue; /* that it stands in: of those that wait, or of a worker's */
  GList link;
  GForkJobDone done;
  gpointer data;

  GBytes *request;      /* %NULL if a worker is wanted on loan */
  gboolean needs_memory; /* the request is long, and not sent yet */
  gpointer worker;      /* that has it: a GForkMember */
  guint32 id;           /* among that worker's */
  guint n_lost;
  gboolean was_moved;

  GBytes *reply;
  gpointer lease;
  GError *error;
};

GForkJob *g_fork_job_new      (GBytes                   *request,
                               GForkJobDone              done,
                               gpointer                  data);
void      g_fork_job_free     (GForkJob                 *self);
void      g_fork_job_enqueue  (GForkJob                 *self,
                               GQueue                   *queue);
void      g_fork_job_put_back (GForkJob                 *self,
                               GQueue                   *queue);
void      g_fork_job_dequeue  (GForkJob                 *self);
void      g_fork_job_finish   (GForkJob                 *self,
                               GError                   *error);

/* Those of one worker */
GForkJob *g_fork_jobs_find    (GQueue                   *queue,
                               guint32                   id);
gboolean  g_fork_jobs_answer  (GQueue                   *queue,
                               const struct gfork_frame *frame);

G_END_DECLS
