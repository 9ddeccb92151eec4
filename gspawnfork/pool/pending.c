/* pending.c: an operation that was asked of a pool, until its result is fetched
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "pool/pending.h"

#include "base/context.h"
#include "gforkerror.h"

#include <glib/gi18n-lib.h>

struct _GForkPending
{
  GForkDriver *driver;
  const GForkPendingKind *kind;
  gpointer owner;
  gpointer subject;

  GTask *task; /* %NULL if a thread is blocked */
  GForkDrive *drive;
  GForkBlocked *blocked;

  GCancellable *cancellable;
  gulong cancel_id;
  gboolean is_submitted, is_cancelled, is_done;

  gpointer result; /* of an operation that has another one than to succeed */
  GDestroyNotify free_result;
  GError *error;
};

/* Takes the subject. */
GForkPending *
g_fork_pending_new (GForkDriver            *driver,
                    const GForkPendingKind *kind,
                    gpointer                owner,
                    gpointer                subject,
                    GCancellable           *cancellable)
{
  GForkPending *self = g_new0 (GForkPending, 1);

  self->driver = g_fork_driver_ref (driver);
  self->kind = kind;
  self->owner = owner;
  self->subject = subject;
  if (cancellable != NULL)
    self->cancellable = g_object_ref (cancellable);
  return self;
}

static void
pending_free (GForkPending *self)
{
  if (self->kind->free != NULL)
    self->kind->free (self->subject);
  g_clear_object (&self->task);
  g_clear_object (&self->cancellable);
  g_clear_pointer (&self->blocked, g_fork_blocked_free);
  g_clear_error (&self->error);
  g_fork_driver_unref (self->driver);
  g_free (self);
}

/* ——— The result ——— */

static gpointer
steal_result (GForkPending *self)
{
  return self->result != NULL ? g_steal_pointer (&self->result) : GINT_TO_POINTER (TRUE);
}

static gboolean
return_task (gpointer data)
{
  GForkPending *self = data;
  g_autoptr (GTask) task = g_steal_pointer (&self->task);

  if (self->cancel_id != 0)
    g_cancellable_disconnect (self->cancellable, self->cancel_id);
  if (self->drive != NULL)
    {
      g_fork_driver_lock (self->driver);
      g_fork_driver_unuse (self->driver, self->drive);
      g_fork_driver_unlock (self->driver);
    }

  if (self->error != NULL)
    g_task_return_error (task, g_steal_pointer (&self->error));
  else if (self->result != NULL)
    g_task_return_pointer (task, steal_result (self), self->free_result);
  else
    g_task_return_boolean (task, TRUE);

  pending_free (self);
  return G_SOURCE_REMOVE;
}

/* With the lock. Takes the error; without one the operation has succeeded. */
void
g_fork_pending_finish (GForkPending *self,
                       GError       *error)
{
  self->error = error;
  self->is_done = TRUE;
  if (self->task != NULL)
    g_fork_call_in (g_task_get_context (self->task), return_task, self);
  else
    g_fork_driver_wake (self->driver, self->blocked);
}

/* With the lock. Takes the result. */
void
g_fork_pending_finish_with (GForkPending   *self,
                            gpointer        result,
                            GDestroyNotify  free_result)
{
  self->result = result;
  self->free_result = free_result;
  g_fork_pending_finish (self, NULL);
}

/* ——— Submitting ——— */

/* May be called by any thread, and while the cancellable is locked. */
static void
on_cancelled (GCancellable *cancellable,
              gpointer      data)
{
  GForkPending *self = data;
  GError *error = NULL;

  g_fork_driver_lock (self->driver);
  if (!self->is_submitted)
    {
      self->is_cancelled = TRUE;
      g_fork_driver_unlock_unchanged (self->driver);
      return;
    }

  if (!self->is_done)
    {
      self->kind->cancel (self->owner, self, self->subject);
      g_cancellable_set_error_if_cancelled (cancellable, &error);
      g_fork_pending_finish (self, error);
    }
  g_fork_driver_unlock (self->driver);
}

static void
submit (GForkPending *self)
{
  GError *error = NULL;

  self->is_submitted = TRUE;
  if (!self->is_cancelled)
    self->kind->submit (self->owner, self, self->subject);
  else
    {
      g_cancellable_set_error_if_cancelled (self->cancellable, &error);
      g_fork_pending_finish (self, error);
    }
}

/* The locks of a pool that was made before the application has forked may be held by
 * threads that this process does not have. */
static gboolean
check_generation (GForkPending  *self,
                  GError       **error)
{
  if (g_fork_driver_is_ours (self->driver))
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

/* Takes the operation, and the task, which returns its result. */
void
g_fork_pending_submit (GForkPending *self,
                       GTask        *task)
{
  g_autoptr (GForkDriver) driver = g_fork_driver_ref (self->driver);
  GError *error = NULL;

  self->task = task;
  g_task_set_check_cancellable (task, FALSE);
  if (!check_generation (self, &error))
    {
      g_task_return_error (task, error);
      pending_free (self);
      return;
    }

  connect_cancellable (self);
  g_fork_driver_lock (driver);
  self->drive = g_fork_driver_use (driver, g_task_get_context (task));
  submit (self);
  g_fork_driver_unlock (driver);
}

/* Takes the operation, and blocks until it has its result: what it was finished with, or
 * anything but %NULL. */
gpointer
g_fork_pending_wait (GForkPending  *self,
                     GError       **error)
{
  gpointer result = NULL;

  if (!check_generation (self, error))
    {
      pending_free (self);
      return NULL;
    }

  self->blocked = g_fork_blocked_new ();
  connect_cancellable (self);
  g_fork_driver_lock (self->driver);
  submit (self);
  g_fork_driver_wait (self->driver, self->blocked);
  if (self->cancel_id != 0)
    g_cancellable_disconnect (self->cancellable, self->cancel_id);

  if (self->error != NULL)
    g_propagate_error (error, g_steal_pointer (&self->error));
  else
    result = steal_result (self);
  pending_free (self);
  return result;
}
