/* member.c: one worker of a pool, from the fork to the end of its process
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "pool/member.h"

#include "base/memory.h"
#include "gforkerror.h"

#include <errno.h>
#include <glib/gi18n-lib.h>
#include <unistd.h>

/* A process that ends closes its socket a moment before it can be reaped. One that has
 * closed it and does not end is killed after this, and one that was killed and is not
 * reported after the other. */
#define CLOSING_PATIENCE (1 * G_USEC_PER_SEC)
#define KILLING_PATIENCE (5 * G_USEC_PER_SEC)

static void signal_end (GForkMember *self);
static void end_by_force (GForkMember *self);
static void on_free (GForkMember *self);
static void await_end (gpointer member,
                       guint    number);
static void run (gpointer member,
                 guint    number);

/* Asynchronous operations, and actions, keep a worker that may be removed when they end. */
GForkMember *
g_fork_member_ref (GForkMember *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

void
g_fork_member_unref (GForkMember *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  g_clear_object (&self->template);
  g_clear_object (&self->fork);
  g_clear_object (&self->cancellable);
  g_clear_object (&self->process);
  g_clear_object (&self->worker);
  g_clear_error (&self->fault);
  g_fork_driver_unref (self->driver);
  g_free (self);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GForkMember, g_fork_member_unref)

/* ——— Actions ——— */

static void
act (GForkMember     *self,
     GForkActionFunc  func)
{
  g_fork_driver_act (self->driver, func, g_fork_member_ref (self), 0,
                     (GDestroyNotify) g_fork_member_unref);
}

static void
cancel (gpointer cancellable,
        guint    number)
{
  g_cancellable_cancel (cancellable);
}

static void
force_exit (gpointer process,
            guint    number)
{
  g_fork_process_force_exit (process);
}

static void
send_signal (gpointer process,
             guint    signum)
{
  g_fork_process_send_signal (process, signum, NULL);
}

/* Has the process ended at once, whatever it is doing. */
static void
end (GForkMember *self)
{
  if (self->process != NULL)
    g_fork_driver_act (self->driver, force_exit, g_object_ref (self->process), 0, g_object_unref);
  else
    g_fork_driver_act (self->driver, cancel, g_object_ref (self->cancellable), 0, g_object_unref);
}

/* ——— The socket ——— */

/* Reads what is for the pool now. */
static void
update_line (GForkMember *self)
{
  if (self->line == NULL)
    return;
  if (self->is_killed)
    g_fork_line_set_mode (self->line, G_FORK_READ_NOTHING);
  else if (self->is_lent)
    g_fork_line_set_mode (self->line, G_FORK_READ_END);
  else if (!self->is_ready)
    g_fork_line_set_mode (self->line, G_FORK_READ_FIRST);
  else
    g_fork_line_set_mode (self->line, self->does_jobs ? G_FORK_READ_FRAMES : G_FORK_READ_END);
}

/* The end of the conversation is said by no one but the borrower as long as there is one. */
static void
end_writing (GForkMember *self)
{
  if (!self->is_lent && self->line != NULL)
    g_fork_line_end_writing (self->line);
}

/* What it writes is not an answer, or cannot be read or awaited here. Takes the error. */
static void
on_fault (GForkMember *self,
          GError      *error)
{
  if (self->fault == NULL)
    self->fault = g_steal_pointer (&error);
  g_clear_error (&error);
  end_by_force (self);
}

static void
on_line_fault (gpointer       data,
               GForkLineFault fault,
               int            error_number)
{
  GForkMember *self = data;
  int pid = g_fork_process_get_pid (self->process);

  switch (fault)
    {
    case G_FORK_LINE_ENDED:
      /* A server that does not need its socket may close it and go on. */
      if (!self->is_killed && (self->n_given > 0 || !self->is_ready))
        g_fork_member_limit (self, g_get_monotonic_time () + CLOSING_PATIENCE);
      g_fork_driver_touch (self->driver);
      break;

    case G_FORK_LINE_MALFORMED:
      on_fault (self, g_error_new (G_FORK_ERROR, G_FORK_ERROR_PROTOCOL,
                                   _("Process %d, which runs the function “%s”, writes to its "
                                     "socket what is not an answer"),
                                   pid, self->employer->function));
      break;

    case G_FORK_LINE_UNREADABLE:
      on_fault (self, g_error_new (G_FORK_ERROR, G_FORK_ERROR_FAILED,
                                   _("Could not read from process %d, which runs the function "
                                     "“%s”: %s"),
                                   pid, self->employer->function, g_strerror (error_number)));
      break;

    case G_FORK_LINE_UNWRITABLE:
      /* What it has answered is still to be read, and that tells of its end; if it does not,
       * the worker is killed. */
      self->is_full = TRUE;
      if (!self->is_killed)
        g_fork_member_limit (self, g_get_monotonic_time () + CLOSING_PATIENCE);
      break;
    }
}

static void
on_ready (GForkMember *self)
{
  self->is_ready = TRUE;
  self->ready_at = g_get_monotonic_time ();
  g_fork_driver_touch (self->driver);
  g_fork_news_tell (self->employer->news, G_FORK_NEWS_STARTED, self->worker, NULL);
  update_line (self);
  self->employer->on_ready (self->employer->jobs, self);
  on_free (self);
}

static gboolean
on_frame (gpointer                  data,
          const struct gfork_frame *frame)
{
  GForkMember *self = data;
  gboolean says_ready = frame->verb == GFORK_WORKER_READY
                        && frame->length == sizeof (struct gfork_pid);

  if (!self->is_ready)
    {
      if (says_ready && !self->is_leaving)
        on_ready (self);
      return says_ready;
    }
  if (says_ready)
    return frame->n_fds == 0;
  if (!g_fork_jobs_answer (&self->jobs, frame))
    return FALSE;

  self->n_done++;
  on_free (self);
  return TRUE;
}

static const GForkLineFuncs line_funcs = { on_frame, on_line_fault };

/* ——— Starting ——— */

/* The fork has been prepared by the handlers of a signal. */
static void
on_prepared (gpointer       member,
             GForkTemplate *template)
{
  act (member, run);
}

static void
fork_template (gpointer member,
               guint    number)
{
  GForkMember *self = member;
  GForkNews *news = self->employer->news;
  GForkTemplate *fork = g_fork_template_fork (self->template);

  g_fork_driver_lock (self->driver);
  g_fork_driver_discard (self->driver, g_steal_pointer (&self->template), g_object_unref);
  if (self->is_removed || self->is_leaving)
    g_fork_driver_discard (self->driver, fork, g_object_unref);
  else
    {
      self->fork = fork;
      if (g_fork_news_has_handler (news, "prepare"))
        g_fork_news_ask (news, G_FORK_NEWS_PREPARE, fork, self->index, on_prepared,
                         g_fork_member_ref (self), (GDestroyNotify) g_fork_member_unref);
      else
        act (self, run);
    }
  g_fork_driver_unlock (self->driver);
}

/* Starts a worker. */
GForkMember *
g_fork_member_new (const GForkEmployer *employer,
                   GForkTemplate       *template,
                   guint                index,
                   gboolean             is_fresh)
{
  GForkMember *self = g_new0 (GForkMember, 1);

  g_atomic_ref_count_init (&self->ref_count);
  self->employer = employer;
  self->driver = g_fork_driver_ref (employer->driver);
  self->index = index;
  self->is_fresh = is_fresh;
  self->forked_at = g_get_monotonic_time ();
  self->link.data = self;
  self->template = g_object_ref (template);
  self->cancellable = g_cancellable_new ();

  act (self, fork_template);
  return self;
}

/* The function is being entered. */
static void
on_running (GForkMember  *self,
            GSocket      *socket,
            GForkProcess *process)
{
  self->process = g_object_ref (process);
  self->line = g_fork_line_new (self->driver, socket, &line_funcs, self);
  if (self->line == NULL)
    {
      g_autoptr (GError) error = g_error_new (G_FORK_ERROR, G_FORK_ERROR_FAILED,
                                              _("Could not keep a worker: %s"),
                                              g_strerror (errno));

      end (self);
      self->employer->on_not_run (self->employer->staff, self, error);
      return;
    }

  self->worker = g_fork_worker_new (self->index, process);
  act (self, await_end);
  if (self->is_leaving)
    signal_end (self);
  if (self->employer->settings[G_FORK_SETTING_WAIT_FOR_READY])
    update_line (self);
  else if (!self->is_leaving)
    on_ready (self);
}

static void
on_run (GObject      *source,
        GAsyncResult *result,
        gpointer      data)
{
  g_autoptr (GForkMember) self = data;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  socket = g_fork_template_run_finish (G_FORK_TEMPLATE (source), result, &process, &error);

  g_fork_driver_lock (self->driver);
  if (self->is_removed && process != NULL)
    g_fork_driver_act (self->driver, force_exit, g_steal_pointer (&process), 0, g_object_unref);
  else if (!self->is_removed && socket == NULL)
    self->employer->on_not_run (self->employer->staff, self, error);
  else if (!self->is_removed)
    on_running (self, socket, process);
  g_fork_driver_unlock (self->driver);
}

static void
run (gpointer member,
     guint    number)
{
  GForkMember *self = member;
  g_autoptr (GForkTemplate) fork = NULL;

  g_fork_driver_lock (self->driver);
  if (!self->is_removed && !self->is_leaving)
    {
      fork = g_steal_pointer (&self->fork);
      self->is_run = TRUE;
    }
  g_fork_driver_unlock (self->driver);

  if (fork != NULL)
    g_fork_template_run_async (fork, self->employer->function, self->cancellable, on_run,
                               g_fork_member_ref (self));
}

/* ——— Ending ——— */

/* Has it killed at that time, if it lives so long. */
void
g_fork_member_limit (GForkMember *self,
                     gint64       deadline)
{
  if (self->kill_at == 0 || self->kill_at > deadline)
    self->kill_at = deadline;
  g_fork_driver_touch (self->driver);
}

/* Asks a worker that has to end, and has nothing to do any more, to do so. */
static void
signal_end (GForkMember *self)
{
  GForkSettings settings = self->employer->settings;

  if (self->is_signalled || self->is_killed)
    return;

  end_writing (self);
  self->is_signalled = TRUE;
  if (settings[G_FORK_SETTING_STOP_SIGNAL] != 0)
    g_fork_driver_act (self->driver, send_signal, g_object_ref (self->process),
                       settings[G_FORK_SETTING_STOP_SIGNAL], g_object_unref);
  g_fork_member_limit (self, g_get_monotonic_time ()
                                 + g_fork_settings_get_time (settings,
                                                             G_FORK_SETTING_STOP_TIMEOUT));
}

/* Tells a worker to go, when it has finished what it has. */
void
g_fork_member_go (GForkMember *self)
{
  if (self->is_leaving)
    return;

  self->is_leaving = TRUE;
  g_fork_driver_touch (self->driver);
  if (self->process == NULL && self->is_run)
    g_fork_driver_act (self->driver, cancel, g_object_ref (self->cancellable), 0, g_object_unref);
  else if (self->process == NULL)
    self->kill_at = 1;
  else
    {
      end_writing (self);
      if (g_fork_member_is_idle (self))
        signal_end (self);
    }
}

void
g_fork_member_dismiss (GForkMember *self)
{
  self->is_excused = TRUE;
  g_fork_member_go (self);
}

static void
end_by_force (GForkMember *self)
{
  if (self->is_killed)
    return;

  self->is_killed = TRUE;
  update_line (self);
  end (self);
  self->kill_at = g_get_monotonic_time () + KILLING_PATIENCE;
  g_fork_driver_touch (self->driver);
}

/* Kills a worker that has done nothing wrong. */
void
g_fork_member_kill (GForkMember *self)
{
  self->is_excused = TRUE;
  end_by_force (self);
}

/* If the worker has closed its socket, and can be given nothing, its place is needed. */
void
g_fork_member_end_if_mute (GForkMember *self)
{
  if (self->line != NULL && g_fork_line_is_at_end (self->line) && self->kill_at == 0)
    g_fork_member_limit (self, g_get_monotonic_time () + CLOSING_PATIENCE);
}

static void
on_waited (GObject      *source,
           GAsyncResult *result,
           gpointer      data)
{
  g_autoptr (GForkMember) self = data;
  gboolean is_known = g_fork_process_wait_finish (G_FORK_PROCESS (source), result, NULL);

  g_fork_driver_lock (self->driver);
  if (!self->is_removed)
    {
      /* What it has answered before it ended counts. */
      g_fork_line_read_rest (self->line);
      self->employer->on_ended (self->employer->staff, self, is_known);
    }
  g_fork_driver_unlock (self->driver);
}

static void
await_end (gpointer member,
           guint    number)
{
  GForkMember *self = member;

  g_fork_process_wait_async (self->process, self->employer->closing, on_waited,
                             g_fork_member_ref (self));
}

gint64
g_fork_member_get_deadline (GForkMember *self)
{
  gint64 deadline = self->line != NULL ? g_fork_line_get_deadline (self->line) : G_MAXINT64;

  return self->kill_at != 0 ? MIN (self->kill_at, deadline) : deadline;
}

/* Does what is due. */
void
g_fork_member_expire (GForkMember *self,
                      gint64       now)
{
  if (self->line != NULL)
    g_fork_line_expire (self->line, now);
  if (self->kill_at == 0 || self->kill_at > now)
    return;

  if (self->process != NULL && !self->is_killed)
    end_by_force (self);
  else if (self->process != NULL || !self->is_run)
    self->employer->on_ended (self->employer->staff, self, FALSE);
  else
    self->kill_at = 0;
}

/* Forgets a worker, which has no jobs any more. Takes the reference. */
void
g_fork_member_remove (GForkMember *self)
{
  if (self->is_ready)
    g_fork_news_tell (self->employer->news, G_FORK_NEWS_ENDED, self->worker, NULL);

  self->is_removed = TRUE;
  g_clear_pointer (&self->line, g_fork_line_free);
  g_fork_driver_discard (self->driver, self, (GDestroyNotify) g_fork_member_unref);
}

/* Likewise, and ends it. */
void
g_fork_member_remove_and_end (GForkMember *self)
{
  end (self);
  g_fork_member_remove (self);
}

/* How it ended, in words. */
char *
g_fork_member_describe_end (GForkMember *self,
                            gboolean     is_known)
{
  const char *function = self->employer->function;
  int pid = g_fork_process_get_pid (self->process);

  if (!is_known)
    return g_strdup_printf (_("process %d, which ran the function “%s”, has ended, and how cannot "
                              "be known"),
                            pid, function);
  if (g_fork_process_get_if_signaled (self->process))
    return g_strdup_printf (_("process %d, which ran the function “%s”, was killed by signal %d "
                              "(%s)"),
                            pid, function, g_fork_process_get_term_sig (self->process),
                            g_strsignal (g_fork_process_get_term_sig (self->process)));
  return g_strdup_printf (_("process %d, which ran the function “%s”, exited with status %d"), pid,
                          function, g_fork_process_get_exit_status (self->process));
}

/* ——— About it ——— */

/* Whether it is one of a replacement, and wanted still. */
gboolean
g_fork_member_is_fresh (GForkMember *self)
{
  return self->is_fresh && !self->is_leaving;
}

/* Whether it still has its place in the pool: another one may be started while one ends. */
gboolean
g_fork_member_has_place (GForkMember *self)
{
  return !self->is_leaving && !(self->is_killed && self->is_excused);
}

/* What there is to say of its life when it has ended. */
GForkLife
g_fork_member_get_life (GForkMember *self,
                        gboolean     is_known)
{
  gboolean has_succeeded = is_known && g_fork_process_get_if_exited (self->process)
                           && g_fork_process_get_exit_status (self->process) == 0;

  return (GForkLife){ self->forked_at, self->ready_at, self->n_done > 0, has_succeeded };
}

/* ——— Its work ——— */

/* Whether it has nothing to do. */
gboolean
g_fork_member_is_idle (GForkMember *self)
{
  return g_queue_is_empty (&self->jobs) && !self->is_lent;
}

gboolean
g_fork_member_is_available (GForkMember *self)
{
  return self->is_ready && !self->is_leaving && !self->is_lent && !self->is_killed
         && !self->is_full && !self->is_fresh && !g_fork_line_is_at_end (self->line);
}

/* It has got ready, or has finished something. */
static void
on_free (GForkMember *self)
{
  gboolean is_idle = g_fork_member_is_idle (self);

  g_fork_worker_set (self->worker, self->is_ready, is_idle, self->n_done);
  if (!is_idle)
    return;

  if (self->is_leaving)
    signal_end (self);
  else if (self->is_full)
    g_fork_member_dismiss (self);
  else if (g_fork_member_is_available (self))
    {
      self->idle_since = g_get_monotonic_time ();
      if (self->employer->settings[G_FORK_SETTING_IDLE_TIMEOUT] != 0)
        g_fork_driver_touch (self->driver);
      self->employer->on_free (self->employer->jobs, self);
    }
}

/* The workers of a replacement begin to work. */
void
g_fork_member_take_over (GForkMember *self)
{
  self->is_fresh = FALSE;
  on_free (self);
}

/* Counts what it was given. */
static void
on_given (GForkMember *self)
{
  guint max_jobs = self->employer->settings[G_FORK_SETTING_MAX_JOBS];

  self->n_given++;
  if (max_jobs != 0 && self->n_given >= max_jobs)
    self->is_full = TRUE;
  g_fork_worker_set (self->worker, TRUE, FALSE, self->n_done);
}

static GForkJob *
find_long (GForkMember *self)
{
  for (GList *l = self->jobs.head; l != NULL; l = l->next)
    if (((GForkJob *) l->data)->needs_memory)
      return l->data;
  return NULL;
}

/* Copies a long request to memory that is shared, which takes its time. */
static void
share_request (gpointer member,
               guint    number)
{
  GForkMember *self = member;
  g_autoptr (GBytes) request = NULL;
  struct gfork_job_head head;
  GError *error = NULL;
  GForkJob *job;
  guint32 id = 0;
  int fd;

  g_fork_driver_lock (self->driver);
  job = find_long (self);
  if (job != NULL)
    {
      job->needs_memory = FALSE;
      id = job->id;
      request = g_bytes_ref (job->request);
    }
  g_fork_driver_unlock (self->driver);
  if (request == NULL)
    return;

  fd = g_fork_memory_new (g_bytes_get_data (request, NULL), g_bytes_get_size (request), &error);

  g_fork_driver_lock (self->driver);
  job = g_fork_jobs_find (&self->jobs, id);
  if (job != NULL && fd >= 0)
    {
      gfork_job_head_set (&head, GFORK_JOB, id, g_bytes_get_size (request));
      g_fork_line_send (self->line, &head, NULL, g_steal_fd (&fd));
    }
  else if (job != NULL)
    {
      g_fork_job_finish (job, g_steal_pointer (&error));
      on_free (self);
    }
  g_fork_driver_unlock (self->driver);

  if (fd >= 0)
    close (fd);
  g_clear_error (&error);
}

/* Sends a job. */
void
g_fork_member_give (GForkMember *self,
                    GForkJob    *job)
{
  gsize length = g_bytes_get_size (job->request);
  struct gfork_job_head head;

  on_given (self);
  job->id = ++self->last_job;
  job->worker = self;
  g_fork_job_enqueue (job, &self->jobs);
  if (!self->does_jobs)
    {
      self->does_jobs = TRUE;
      update_line (self);
    }

  if (gfork_job_is_long (length))
    {
      job->needs_memory = TRUE;
      act (self, share_request);
    }
  else
    {
      gfork_job_head_set (&head, GFORK_JOB, job->id, length);
      g_fork_line_send (self->line, &head, job->request, -1);
    }
}

/* ——— Loans ——— */

/* Looks whether it can be lent. What a borrower has left unread is not for the next one, so
 * that worker is ended; what a worker writes before its first loan is. */
void
g_fork_member_check (GForkMember *self)
{
  if (!self->is_killed && g_fork_line_has_unread (self->line) && self->n_given > 0
      && !self->does_jobs)
    g_fork_member_dismiss (self);
}

/* %NULL with an error if there is no descriptor for the borrower. */
GForkLease *
g_fork_member_lend (GForkMember  *self,
                    GError      **error)
{
  GSocket *socket = g_fork_line_open_socket (self->line, error);
  GForkLease *lease;

  if (socket == NULL)
    return NULL;

  self->is_lent = TRUE;
  update_line (self);
  on_given (self);

  lease = g_new (GForkLease, 1);
  *lease = (GForkLease){ g_fork_member_ref (self), socket };
  return lease;
}

static void
take_back (GForkMember *self,
           gboolean     is_good)
{
  self->is_lent = FALSE;
  self->n_done++;
  if (is_good)
    g_fork_member_check (self);
  else
    g_fork_member_dismiss (self);
  update_line (self);
  on_free (self);
}

/* Called without the lock. */
void
g_fork_lease_end (GForkLease *self,
                  gboolean    is_good)
{
  GForkMember *member = self->member;

  if (g_fork_driver_is_ours (member->driver))
    {
      g_fork_driver_lock (member->driver);
      if (!member->is_removed)
        take_back (member, is_good && !g_socket_is_closed (self->socket));
      g_fork_driver_unlock (member->driver);
    }

  g_object_unref (self->socket);
  g_fork_member_unref (member);
  g_free (self);
}
