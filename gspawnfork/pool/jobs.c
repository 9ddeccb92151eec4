/* jobs.c: which worker does which job, and what becomes of it
 *
 * A job waits here, is given to a worker, which takes it out of the queue, and is finished
 * when the worker has answered. It comes back if the worker has not.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "pool/jobs.h"

#include "gforkerror.h"

#include <glib/gi18n-lib.h>

struct _GForkJobs
{
  GForkSettings settings;
  GQueue waiting;     /* jobs */
  GQueue idle;        /* workers; the one used last is the first */
  GPtrArray *workers; /* those that are, or were, ready */
};

GForkJobs *
g_fork_jobs_new (GForkSettings settings)
{
  GForkJobs *self = g_new0 (GForkJobs, 1);

  self->settings = settings;
  self->workers = g_ptr_array_new ();
  return self;
}

void
g_fork_jobs_free (GForkJobs *self)
{
  g_ptr_array_unref (self->workers);
  g_free (self);
}

/* ——— Who is idle ——— */

static gboolean
is_in_idle (GForkJobs   *self,
            GForkMember *member)
{
  return member->link.prev != NULL || self->idle.head == &member->link;
}

static void
not_idle (GForkJobs   *self,
          GForkMember *member)
{
  if (is_in_idle (self, member))
    g_queue_unlink (&self->idle, &member->link);
}

/* It has got ready. */
void
g_fork_jobs_add_worker (gpointer     jobs,
                        GForkMember *member)
{
  GForkJobs *self = jobs;

  g_ptr_array_add (self->workers, member);
}

void
g_fork_jobs_remove_worker (GForkJobs   *self,
                           GForkMember *member)
{
  not_idle (self, member);
  g_ptr_array_remove_fast (self->workers, member);
}

/* It can be given something. */
void
g_fork_jobs_on_free (gpointer     jobs,
                     GForkMember *member)
{
  GForkJobs *self = jobs;

  if (!is_in_idle (self, member))
    g_queue_push_head_link (&self->idle, &member->link);
}

/* ——— Giving ——— */

void
g_fork_jobs_add (GForkJobs *self,
                 GForkJob  *job)
{
  g_fork_job_enqueue (job, &self->waiting);
}

guint
g_fork_jobs_get_n_waiting (GForkJobs *self)
{
  return self->waiting.length;
}

/* The idle one that was used last. One that has closed its socket, or has to go, may be in
 * the queue still. */
static GForkMember *
find_idle (GForkJobs *self,
           gboolean   to_lend)
{
  while (self->idle.head != NULL)
    {
      GForkMember *member = self->idle.head->data;

      if (to_lend)
        g_fork_member_check (member);
      if (g_fork_member_is_available (member))
        return member;
      not_idle (self, member);
    }

  return NULL;
}

/* The one that has the fewest jobs before it. */
static GForkMember *
find_least_busy (GForkJobs *self)
{
  guint fewest = self->settings[G_FORK_SETTING_JOBS_IN_FLIGHT];
  GForkMember *best = NULL;

  for (guint i = 0; i < self->workers->len; i++)
    {
      GForkMember *member = g_ptr_array_index (self->workers, i);
      guint n = member->jobs.length;

      if (n < fewest && g_fork_member_is_available (member))
        {
          fewest = n;
          best = member;
        }
    }

  return best;
}

static void
give (GForkJobs   *self,
      GForkMember *member,
      GForkJob    *job)
{
  GError *error = NULL;

  g_fork_job_dequeue (job);
  if (job->request != NULL)
    g_fork_member_give (member, job);
  else
    job->lease = g_fork_member_lend (member, &error);

  if (error == NULL)
    not_idle (self, member);
  if (job->request == NULL)
    g_fork_job_finish (job, error);
}

/* Gives what waits to idle workers. */
void
g_fork_jobs_give (GForkJobs *self)
{
  while (self->waiting.head != NULL)
    {
      GForkJob *job = self->waiting.head->data;
      GForkMember *member = find_idle (self, job->request == NULL);

      if (member == NULL)
        return;
      give (self, member, job);
    }
}

/* Sends busy workers ahead what those that are being started will not do. */
void
g_fork_jobs_give_ahead (GForkJobs *self,
                        guint      n_coming)
{
  if (self->settings[G_FORK_SETTING_JOBS_IN_FLIGHT] < 2)
    return;

  while (self->waiting.length > n_coming)
    {
      GForkJob *job = self->waiting.head->data;
      GForkMember *member = job->request != NULL ? find_least_busy (self) : NULL;

      if (member == NULL)
        return;
      give (self, member, job);
    }
}

/* ——— Ends ——— */

/* A worker has ended with jobs in flight. */
void
g_fork_jobs_lose (GForkJobs   *self,
                  GForkMember *member,
                  gboolean     is_known,
                  gboolean     may_retry)
{
  g_autofree char *end = NULL;

  while (member->jobs.tail != NULL)
    {
      GForkJob *job = member->jobs.tail->data;

      if (member->fault != NULL)
        g_fork_job_finish (job, g_error_copy (member->fault));
      else if (may_retry && job->n_lost < self->settings[G_FORK_SETTING_RETRY_LOST])
        {
          job->n_lost++;
          g_fork_job_put_back (job, &self->waiting);
        }
      else
        {
          if (end == NULL)
            end = g_fork_member_describe_end (member, is_known);
          g_fork_job_finish (job, g_error_new (G_FORK_ERROR, G_FORK_ERROR_LOST,
                                               _("The job is lost: %s"), end));
        }
    }
}

/* Takes a job away, which may be said not to be wanted any more. The worker that has it is
 * killed. Its neighbours, which are not to blame, are given to another worker, once. */
void
g_fork_jobs_cancel (GForkJobs *self,
                    GForkJob  *job)
{
  GForkMember *member = job->worker;
  GList *previous;

  g_fork_job_dequeue (job);
  job->worker = NULL;
  if (member == NULL)
    return;

  for (GList *l = member->jobs.tail; l != NULL; l = previous)
    {
      GForkJob *neighbour = l->data;

      previous = l->prev;
      if (neighbour->was_moved)
        continue;
      neighbour->was_moved = TRUE;
      g_fork_job_put_back (neighbour, &self->waiting);
    }

  g_fork_member_kill (member);
}

/* Nothing is given any more. */
void
g_fork_jobs_fail (GForkJobs    *self,
                  const GError *error)
{
  while (self->waiting.head != NULL)
    g_fork_job_finish (self->waiting.head->data, g_error_copy (error));
}
