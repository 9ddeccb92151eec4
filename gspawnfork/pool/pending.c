/* pending.c: an operation that was asked of a pool, until its result is fetched
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "pool/crew.h"

#include "base/context.h"
#include "base/generation.h"
#include "gforkerror.h"

#include <glib/gi18n-lib.h>

void
g_fork_pending_free (GForkPending *self)
{
  g_clear_object (&self->task);
  g_clear_object (&self->cancellable);
  g_clear_object (&self->template);
  g_clear_pointer (&self->request, g_bytes_unref);
  g_clear_pointer (&self->parts, g_ptr_array_unref);
  g_clear_pointer (&self->reply, g_bytes_unref);
  g_clear_error (&self->error);
  g_cond_clear (&self->cond);
  g_fork_crew_unref (self->crew);
  g_free (self);
}

GForkPending *
g_fork_pending_new (GForkCrew        *crew,
                    GForkPendingKind  kind,
                    GCancellable     *cancellable)
{
  GForkPending *self = g_new0 (GForkPending, 1);

  self->kind = kind;
  self->crew = g_fork_crew_ref (crew);
  self->link.data = self;
  g_cond_init (&self->cond);
  if (cancellable != NULL)
    self->cancellable = g_object_ref (cancellable);
  return self;
}

void
g_fork_pending_set_request (GForkPending *self,
                            GBytes       *request)
{
  self->request = g_bytes_ref (request);
}

void
g_fork_pending_set_template (GForkPending  *self,
                             GForkTemplate *template)
{
  self->template = g_object_ref (template);
}

/* ——— Queues ——— */

void
g_fork_pending_enqueue (GForkPending *self,
                        GQueue       *queue)
{
  self->queue = queue;
  g_queue_push_tail_link (queue, &self->link);
}

void
g_fork_pending_dequeue (GForkPending *self)
{
  if (self->queue != NULL)
    g_queue_unlink (self->queue, &self->link);
  self->queue = NULL;
}

/* Takes the operation out of its queue, with its result or the error. Takes @error. */
void
g_fork_pending_finish (GForkPending *self,
                       GError       *error)
{
  GForkCrew *crew = self->crew;

  g_fork_pending_dequeue (self);
  self->error = error;
  self->is_done = TRUE;
  if (self->whole != NULL)
    {
      if (--self->whole->n_unfinished == 0)
        g_fork_pending_finish (self->whole, NULL);
    }
  else if (self->task != NULL)
    g_queue_push_tail (&crew->finished, self);
  else
    g_fork_crew_wake (crew, self);
}

void
g_fork_crew_fail_all (GForkCrew    *self,
                      GQueue       *queue,
                      const GError *error)
{
  while (queue->head != NULL)
    g_fork_pending_finish (queue->head->data, error != NULL ? g_error_copy (error) : NULL);
}

/* ——— Submitting ——— */

/* May be called by any thread, and while the cancellable is locked. */
static void
on_cancelled (GCancellable *cancellable,
              gpointer      data)
{
  GForkPending *self = data;
  GForkCrew *crew = self->crew;
  GError *error = NULL;

  g_fork_crew_lock (crew);
  if (!self->is_submitted)
    {
      self->is_cancelled = TRUE;
      g_mutex_unlock (&crew->lock);
      return;
    }

  if (!self->is_done)
    {
      g_cancellable_set_error_if_cancelled (cancellable, &error);
      if (self->kind == G_FORK_PENDING_REPLACE)
        g_fork_crew_end_replacement (crew, error);
      else
        {
          if (self->member != NULL)
            g_fork_crew_cancel_job (crew, self);
          else if (self->parts != NULL)
            g_fork_crew_cancel_many (crew, self);
          g_fork_pending_finish (self, error);
        }
    }
  g_fork_crew_unlock (crew);
}

static void
submit (GForkPending *self)
{
  GForkCrew *crew = self->crew;
  GError *error = NULL;

  self->is_submitted = TRUE;
  if (self->is_cancelled)
    g_cancellable_set_error_if_cancelled (self->cancellable, &error);
  else if (crew->defect != NULL && self->kind != G_FORK_PENDING_STOP)
    error = g_error_copy (crew->defect);
  else if (self->kind != G_FORK_PENDING_START && self->kind != G_FORK_PENDING_STOP
           && crew->state != G_FORK_POOL_STATE_RUNNING)
    error = g_fork_crew_closed_error (crew);

  if (error != NULL)
    {
      g_fork_pending_finish (self, error);
      return;
    }

  switch (self->kind)
    {
    case G_FORK_PENDING_START:
      g_fork_crew_submit_start (crew, self);
      break;
    case G_FORK_PENDING_STOP:
      g_fork_crew_submit_stop (crew, self);
      break;
    case G_FORK_PENDING_REPLACE:
      g_fork_crew_submit_replace (crew, self);
      break;
    case G_FORK_PENDING_CALL_MANY:
      g_fork_crew_submit_many (crew, self);
      break;
    case G_FORK_PENDING_CALL:
    case G_FORK_PENDING_ACQUIRE:
      g_fork_pending_enqueue (self, &crew->waiting);
      break;
    }
}

/* The locks of a pool that was made before the application has forked may be held by
 * threads that this process does not have. */
static gboolean
check_generation (GForkPending  *self,
                  GError       **error)
{
  if (self->crew->generation == g_fork_generation ())
    return TRUE;

  g_set_error (error, G_FORK_ERROR, G_FORK_ERROR_CLOSED,
               _("The pool belongs to the process that has forked this one"));
  return FALSE;
}

static void
connect_cancellable (GForkPending *self)
{
  /* It may be cancelled already, and then this calls back. */
  if (self->cancellable != NULL)
    self->cancel_id = g_cancellable_connect (self->cancellable, G_CALLBACK (on_cancelled), self,
                                             NULL);
}

static void
disconnect_cancellable (GForkPending *self)
{
  if (self->cancel_id != 0)
    g_cancellable_disconnect (self->cancellable, self->cancel_id);
}

/* Takes the operation, and the task, which returns its result. */
void
g_fork_pending_submit (GForkPending *self,
                       GTask        *task)
{
  GForkCrew *crew = self->crew;
  GError *error = NULL;

  self->task = task;
  g_task_set_check_cancellable (task, FALSE);
  if (!check_generation (self, &error))
    {
      g_task_return_error (task, error);
      g_fork_pending_free (self);
      return;
    }

  connect_cancellable (self);
  g_fork_crew_lock (crew);
  g_fork_crew_use_drive (crew, self);
  submit (self);
  g_fork_crew_unlock (crew);
}

static gpointer
steal_result (GForkPending *self)
{
  if (self->parts != NULL)
    return g_fork_pending_steal_replies (self);
  if (self->reply != NULL)
    return g_steal_pointer (&self->reply);
  if (self->lease != NULL)
    return g_steal_pointer (&self->lease);
  return GINT_TO_POINTER (TRUE);
}

/* Takes the operation, and blocks until it has its result: the reply, the replies, the
 * lease, or for other operations anything but %NULL. */
gpointer
g_fork_pending_wait (GForkPending  *self,
                     GError       **error)
{
  GForkCrew *crew = self->crew;
  gpointer result = NULL;

  if (!check_generation (self, error))
    {
      g_fork_pending_free (self);
      return NULL;
    }

  self->thread = g_thread_self ();
  connect_cancellable (self);
  g_fork_crew_lock (crew);
  submit (self);
  g_fork_crew_wait (crew, self);
  disconnect_cancellable (self);

  if (self->error != NULL)
    g_propagate_error (error, g_steal_pointer (&self->error));
  else
    result = steal_result (self);
  g_fork_pending_free (self);
  return result;
}

/* ——— Returning ——— */

static void
drop_lease (gpointer lease)
{
  g_fork_lease_end (lease, FALSE);
}

static gboolean
return_task (gpointer data)
{
  GForkPending *self = data;
  GForkCrew *crew = g_fork_crew_ref (self->crew);
  g_autoptr (GTask) task = g_steal_pointer (&self->task);

  disconnect_cancellable (self);
  if (self->drive != NULL)
    {
      g_fork_crew_lock (crew);
      g_fork_crew_unuse_drive (crew, self);
      g_fork_crew_unlock (crew);
    }

  if (self->error != NULL)
    g_task_return_error (task, g_steal_pointer (&self->error));
  else if (self->parts != NULL)
    g_task_return_pointer (task, steal_result (self), (GDestroyNotify) g_variant_unref);
  else if (self->reply != NULL)
    g_task_return_pointer (task, steal_result (self), (GDestroyNotify) g_bytes_unref);
  else if (self->lease != NULL)
    g_task_return_pointer (task, steal_result (self), drop_lease);
  else
    g_task_return_boolean (task, TRUE);

  g_fork_pending_free (self);
  g_fork_crew_unref (crew);
  return G_SOURCE_REMOVE;
}

void
g_fork_pending_return (GForkPending *self)
{
  g_fork_call_in (g_task_get_context (self->task), return_task, self);
}
