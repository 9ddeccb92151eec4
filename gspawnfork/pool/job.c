/* job.c: what a worker is wanted for: a request to answer, or a loan
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "pool/job.h"

#include "gforkerror.h"
#include "wire/memory.h"

#include <errno.h>
#include <glib/gi18n-lib.h>

/* Takes the request. */
GForkJob *
g_fork_job_new (GBytes       *request,
                GForkJobDone  done,
                gpointer      data)
{
  GForkJob *self = g_new0 (GForkJob, 1);

  self->link.data = self;
  self->request = request;
  self->done = done;
  self->data = data;
  return self;
}

void
g_fork_job_free (GForkJob *self)
{
  g_clear_pointer (&self->request, g_bytes_unref);
  g_clear_pointer (&self->reply, g_bytes_unref);
  g_clear_error (&self->error);
  g_free (self);
}

void
g_fork_job_enqueue (GForkJob *self,
                    GQueue   *queue)
{
  self->queue = queue;
  g_queue_push_tail_link (queue, &self->link);
}

void
g_fork_job_dequeue (GForkJob *self)
{
  if (self->queue != NULL)
    g_queue_unlink (self->queue, &self->link);
  self->queue = NULL;
}

/* A worker has not done the job: it is to be the next that is given to another one. */
void
g_fork_job_put_back (GForkJob *self,
                     GQueue   *queue)
{
  g_fork_job_dequeue (self);
  self->worker = NULL;
  self->queue = queue;
  g_queue_push_head_link (queue, &self->link);
}

/* Takes the error; without one the job was done. */
void
g_fork_job_finish (GForkJob *self,
                   GError   *error)
{
  g_fork_job_dequeue (self);
  self->worker = NULL;
  self->error = error;
  self->done (self, self->data);
}

/* ——— Answers ——— */

GForkJob *
g_fork_jobs_find (GQueue  *queue,
                  guint32  id)
{
  for (GList *l = queue->head; l != NULL; l = l->next)
    if (((GForkJob *) l->data)->id == id)
      return l->data;
  return NULL;
}

static void
free_memory (gpointer memory)
{
  gfork_memory_close (memory);
  g_free (memory);
}

/* The bytes of an answer, shared if they are many. %NULL with errno set if they cannot
 * be had. */
static GBytes *
read_bytes (const struct gfork_frame *frame,
            const struct gfork_job   *job)
{
  struct gfork_memory *memory;

  if (!gfork_job_is_long (job->length))
    return g_bytes_new (frame->payload + sizeof *job, job->length);

  errno = EMFILE;
  if (frame->n_fds == 0)
    return NULL;
  memory = g_new0 (struct gfork_memory, 1);
  if (!gfork_memory_open (memory, frame->fds[0], job->length))
    {
      g_free (memory);
      return NULL;
    }
  return g_bytes_new_with_free_func (memory->data, memory->length, free_memory, memory);
}

/* Finishes the job that a frame of its worker's answers. Returns %FALSE if a worker must not
 * send such a frame. */
gboolean
g_fork_jobs_answer (GQueue                   *queue,
                    const struct gfork_frame *frame)
{
  g_autoptr (GBytes) bytes = NULL;
  struct gfork_job answer;
  GError *error = NULL;
  GForkJob *job;
  int saved_errno;

  if ((frame->verb != GFORK_REPLY && frame->verb != GFORK_FAILED)
      || !gfork_job_parse (frame, &answer))
    return FALSE;
  job = g_fork_jobs_find (queue, answer.id);
  if (job == NULL)
    return FALSE;

  bytes = read_bytes (frame, &answer);
  saved_errno = errno;
  if (bytes == NULL)
    g_set_error (&error, G_FORK_ERROR, G_FORK_ERROR_FAILED,
                 _("Could not take the reply of %zu bytes: %s"), (gsize) answer.length,
                 g_strerror (saved_errno));
  else if (frame->verb == GFORK_FAILED)
    {
      g_autofree char *message = g_utf8_make_valid (g_bytes_get_data (bytes, NULL),
                                                    g_bytes_get_size (bytes));

      g_set_error_literal (&error, G_FORK_ERROR, G_FORK_ERROR_JOB, message);
    }
  else
    job->reply = g_steal_pointer (&bytes);

  g_fork_job_finish (job, error);
  return TRUE;
}
