/* jobs.c: which worker does which job, and what becomes of it
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "pool/crew.h"

#include "base/generation.h"
#include "gforkerror.h"
#include "wire/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n-lib.h>
#include <unistd.h>

/* ——— Who is idle ——— */

static gboolean
is_in_idle (GForkCrew   *self,
            GForkMember *member)
{
  return member->idle_link.prev != NULL || self->idle.head == &member->idle_link;
}

void
g_fork_crew_not_idle (GForkCrew   *self,
                      GForkMember *member)
{
  if (is_in_idle (self, member))
    g_queue_unlink (&self->idle, &member->idle_link);
}

static gboolean
may_be_given_more (GForkMember *member)
{
  return member->is_ready && !member->is_leaving && !member->is_lent && !member->is_over
         && !member->is_killed && !member->is_full && !member->is_fresh;
}

/* A worker has got ready, or has finished what it had. */
void
g_fork_crew_on_free (GForkCrew   *self,
                     GForkMember *member)
{
  gboolean is_idle = g_queue_is_empty (&member->jobs) && !member->is_lent;

  g_fork_worker_set (member->worker, member->is_ready, is_idle, member->n_done);
  if (!is_idle)
    return;

  if (member->is_leaving)
    g_fork_member_signal (self, member);
  else if (member->is_full)
    {
      member->is_excused = TRUE;
      g_fork_member_go (self, member);
    }
  else if (may_be_given_more (member) && !is_in_idle (self, member))
    {
      g_queue_push_head_link (&self->idle, &member->idle_link);
      if (self->settings[G_FORK_SETTING_IDLE_TIMEOUT] != 0)
        {
          member->idle_since = g_get_monotonic_time ();
          self->is_dirty = TRUE;
        }
    }
}

/* ——— Giving ——— */

/* Counts what the worker was given. */
static void
on_given (GForkCrew   *self,
          GForkMember *member)
{
  g_fork_crew_not_idle (self, member);
  member->n_given++;
  if (self->settings[G_FORK_SETTING_MAX_JOBS] != 0 && member->n_given >= self->settings[G_FORK_SETTING_MAX_JOBS])
    member->is_full = TRUE;
  g_fork_worker_set (member->worker, TRUE, FALSE, member->n_done);
}

/* Each borrower gets a socket of its own, which it may close. */
static GSocket *
open_socket (GForkMember  *member,
             GError      **error)
{
  int fd = fcntl (member->fd, F_DUPFD_CLOEXEC, 3);
  GSocket *socket;

  if (fd < 0)
    {
      g_set_error (error, G_FORK_ERROR, G_FORK_ERROR_FAILED, _("Could not lend a worker: %s"),
                   g_strerror (errno));
      return NULL;
    }

  socket = g_socket_new_from_fd (fd, error);
  if (socket == NULL)
    close (fd);
  return socket;
}

static void
lend (GForkCrew    *self,
      GForkMember  *member,
      GForkPending *pending)
{
  GError *error = NULL;
  GSocket *socket = open_socket (member, &error);

  if (socket == NULL)
    {
      g_fork_pending_finish (pending, error);
      return;
    }

  member->is_lent = TRUE;
  g_fork_member_expect (self, member);
  on_given (self, member);

  pending->lease = g_new0 (GForkLease, 1);
  pending->lease->crew = g_fork_crew_ref (self);
  pending->lease->serial = member->serial;
  pending->lease->worker = g_object_ref (member->worker);
  pending->lease->socket = socket;
  g_fork_pending_finish (pending, NULL);
}

/* The idle one that was used last. One that has closed its socket may be on the list
 * still. */
static GForkMember *
find_idle (GForkCrew          *self,
           const GForkPending *pending)
{
  while (self->idle.head != NULL)
    {
      GForkMember *member = self->idle.head->data;

      if (pending->kind == G_FORK_PENDING_ACQUIRE)
        g_fork_member_look (self, member);
      if (may_be_given_more (member))
        return member;
      g_fork_crew_not_idle (self, member);
    }

  return NULL;
}

/* The one that has the fewest jobs before it. */
static GForkMember *
find_least_busy (GForkCrew *self)
{
  GForkMember *best = NULL;

  for (guint i = 0; i < self->slots->len; i++)
    {
      GForkMember *member = g_array_index (self->slots, GForkSlot, i).member;

      if (member != NULL && may_be_given_more (member)
          && member->jobs.length < self->settings[G_FORK_SETTING_JOBS_IN_FLIGHT]
          && (best == NULL || member->jobs.length < best->jobs.length))
        best = member;
    }

  return best;
}

/* Gives what waits to workers: to idle ones, else to new ones, else to those that can
 * be sent something ahead. */
void
g_fork_crew_assign (GForkCrew *self)
{
  if (self->state != G_FORK_POOL_STATE_RUNNING)
    return;

  while (self->waiting.head != NULL)
    {
      GForkPending *pending = self->waiting.head->data;
      GForkMember *member = find_idle (self, pending);

      if (member == NULL)
        {
          /* As many new ones as there are who wait. */
          while (g_fork_crew_count_coming (self) < self->waiting.length
                 && g_fork_crew_start_one (self))
            ;
          if (pending->kind != G_FORK_PENDING_CALL || self->settings[G_FORK_SETTING_JOBS_IN_FLIGHT] < 2
              || g_fork_crew_count_coming (self) >= self->waiting.length)
            return;
          member = find_least_busy (self);
          if (member == NULL)
            return;
        }

      g_fork_pending_dequeue (pending);
      if (pending->kind == G_FORK_PENDING_ACQUIRE)
        lend (self, member, pending);
      else
        {
          on_given (self, member);
          g_fork_member_send (self, member, pending);
        }
    }
}

/* ——— Answers ——— */

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

static GForkPending *
find_job (GForkMember *member,
          guint32      id)
{
  for (GList *l = member->jobs.head; l != NULL; l = l->next)
    if (((GForkPending *) l->data)->id == id)
      return l->data;
  return NULL;
}

/* Returns %FALSE if the worker must not send such a frame. */
gboolean
g_fork_crew_on_reply (GForkCrew          *self,
                      GForkMember        *member,
                      struct gfork_frame *frame)
{
  g_autoptr (GBytes) bytes = NULL;
  GForkPending *pending;
  struct gfork_job job;
  GError *error = NULL;
  int saved_errno;

  if (frame->verb == GFORK_WORKER_READY)
    return frame->length == sizeof (struct gfork_pid) && frame->n_fds == 0;
  if ((frame->verb != GFORK_REPLY && frame->verb != GFORK_FAILED) || !gfork_job_parse (frame, &job))
    return FALSE;
  pending = find_job (member, job.id);
  if (pending == NULL)
    return FALSE;

  bytes = read_bytes (frame, &job);
  saved_errno = errno;
  if (bytes == NULL)
    g_set_error (&error, G_FORK_ERROR, G_FORK_ERROR_FAILED,
                 _("Could not take the reply of %zu bytes: %s"), (gsize) job.length,
                 g_strerror (saved_errno));
  else if (frame->verb == GFORK_FAILED)
    {
      g_autofree char *message = g_utf8_make_valid (g_bytes_get_data (bytes, NULL),
                                                    g_bytes_get_size (bytes));

      g_set_error_literal (&error, G_FORK_ERROR, G_FORK_ERROR_JOB, message);
    }
  else
    pending->reply = g_steal_pointer (&bytes);

  member->n_done++;
  pending->member = NULL;
  g_fork_pending_finish (pending, error);
  g_fork_crew_on_free (self, member);
  return TRUE;
}

/* ——— Losses ——— */

/* Puts a job that a worker has not done where it is the next. */
static void
requeue (GForkCrew    *self,
         GForkPending *pending)
{
  g_fork_pending_dequeue (pending);
  pending->member = NULL;
  pending->queue = &self->waiting;
  g_queue_push_head_link (&self->waiting, &pending->link);
}

/* A worker has ended with jobs in flight. */
void
g_fork_crew_lose_jobs (GForkCrew   *self,
                       GForkMember *member,
                       gboolean     is_known)
{
  g_autofree char *end = NULL;

  while (member->jobs.tail != NULL)
    {
      GForkPending *pending = member->jobs.tail->data;

      if (member->misbehaviour == NULL && self->state == G_FORK_POOL_STATE_RUNNING
          && pending->n_lost < self->settings[G_FORK_SETTING_RETRY_LOST])
        {
          pending->n_lost++;
          requeue (self, pending);
          continue;
        }

      if (end == NULL)
        end = g_fork_member_describe_end (self, member, is_known);
      pending->member = NULL;
      g_fork_pending_finish (pending, member->misbehaviour != NULL
                                          ? g_error_copy (member->misbehaviour)
                                          : g_error_new (G_FORK_ERROR, G_FORK_ERROR_LOST,
                                                         _("The job is lost: %s"), end));
    }
}

/* Kills the worker of a job. Its neighbours, which are not to blame, are given to
 * another worker, once. The caller finishes the job. */
void
g_fork_crew_cancel_job (GForkCrew    *self,
                        GForkPending *pending)
{
  GForkMember *member = pending->member;
  GList *previous;

  pending->member = NULL;
  for (GList *l = member->jobs.tail; l != NULL; l = previous)
    {
      GForkPending *neighbour = l->data;

      previous = l->prev;
      if (neighbour == pending || neighbour->was_moved)
        continue;
      neighbour->was_moved = TRUE;
      requeue (self, neighbour);
    }

  member->is_excused = TRUE;
  g_fork_member_kill (self, member);
}

/* ——— Loans ——— */

/* Frees the lease, and gives the worker back or ends it. */
void
g_fork_lease_end (GForkLease *self,
                  gboolean    is_good)
{
  GForkCrew *crew = self->crew;
  GForkMember *member = NULL;

  if (crew->generation == g_fork_generation ())
    {
      g_fork_crew_lock (crew);
      member = g_fork_crew_lookup (crew, self->serial);
      if (member != NULL)
        {
          member->is_lent = FALSE;
          member->n_done++;
          if (is_good && !g_socket_is_closed (self->socket))
            g_fork_member_look (crew, member);
          else
            {
              member->is_excused = TRUE;
              g_fork_member_go (crew, member);
            }
          g_fork_member_expect (crew, member);
          g_fork_crew_on_free (crew, member);
        }
      g_fork_crew_unlock (crew);
    }

  g_object_unref (self->socket);
  g_object_unref (self->worker);
  g_fork_crew_unref (crew);
  g_free (self);
}
