/* member.c: one worker of a pool: its start, its socket, its end
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "pool/crew.h"

#include "base/memory.h"
#include "gforkerror.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n-lib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What a first read takes, and the descriptors of a few replies. */
#define READ_SIZE 4096
#define CONTROL_SIZE GFORK_CONTROL_SIZE (8)

/* A process that ends closes its socket a moment before it can be reaped. One that has
 * closed it and does not end is killed after this, and one that was killed and is not
 * reported after the other. */
#define CLOSING_PATIENCE (1 * G_USEC_PER_SEC)
#define KILLING_PATIENCE (5 * G_USEC_PER_SEC)

/* When too many descriptors are in flight, nothing tells when fewer are. */
#define RETRY_DELAY (10 * G_TIME_SPAN_MILLISECOND)

/* The serials are keys of events, of which the first are the driver's. */
#define FIRST_SERIAL 16

/* Frames that are sent together, the first with the descriptor if there is one. */
typedef struct
{
  GByteArray *data;
  gsize n_sent;
  int fd;
} Chunk;

static void
chunk_free (Chunk *self)
{
  g_byte_array_unref (self->data);
  if (self->fd >= 0)
    close (self->fd);
  g_free (self);
}

/* What asynchronous operations about a worker have: it may be gone when they end. */
typedef struct
{
  GForkCrew *crew;
  guint64 serial;
} Reference;

static Reference *
reference_new (GForkCrew *crew,
               guint64    serial)
{
  Reference *self = g_new (Reference, 1);

  *self = (Reference){ g_fork_crew_ref (crew), serial };
  return self;
}

static void
reference_free (Reference *self)
{
  g_fork_crew_unref (self->crew);
  g_free (self);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Reference, reference_free)

/* ——— Actions ——— */

static void
cancel (GForkCrew *crew,
        gpointer   cancellable,
        guint64    number)
{
  g_cancellable_cancel (cancellable);
}

static void
force_exit (GForkCrew *crew,
            gpointer   process,
            guint64    number)
{
  g_fork_process_force_exit (process);
}

static void
send_signal (GForkCrew *crew,
             gpointer   process,
             guint64    signum)
{
  g_fork_process_send_signal (process, signum, NULL);
}

static void fork_template (GForkCrew *crew,
                           gpointer   template,
                           guint64    serial);
static void await_end (GForkCrew *crew,
                       gpointer   process,
                       guint64    serial);

/* ——— Beginning and end ——— */

GForkMember *
g_fork_crew_lookup (GForkCrew *self,
                    guint64    serial)
{
  return g_hash_table_lookup (self->by_serial, &serial);
}

/* Starts a worker. */
GForkMember *
g_fork_member_new (GForkCrew *crew,
                   guint      index,
                   gboolean   is_fresh)
{
  GForkMember *self = g_new0 (GForkMember, 1);
  GForkTemplate *template = is_fresh ? crew->replacement->template : crew->template;

  self->serial = FIRST_SERIAL + crew->last_serial++;
  self->index = index;
  self->is_fresh = is_fresh;
  self->forked_at = g_get_monotonic_time ();
  self->fd = -1;
  self->idle_link.data = self;
  self->cancellable = g_cancellable_new ();

  g_hash_table_insert (crew->by_serial, &self->serial, self);
  g_ptr_array_add (crew->members, self);
  g_fork_crew_act (crew, fork_template, g_object_ref (template), self->serial);
  return self;
}

static void
clear_slot (GForkCrew   *crew,
            GForkMember *self)
{
  GForkSlot *slot = g_fork_crew_get_slot (crew, self->index);

  if (slot->member == self)
    slot->member = NULL;
  crew->is_dirty = TRUE;
}

static void
close_socket (GForkCrew   *crew,
              GForkMember *self)
{
  if (self->fd < 0)
    return;

  g_fork_crew_watch_fd (crew, self, 0);
  close (self->fd);
  self->fd = -1;
  gfork_reader_clear (&self->reader);
}

/* Has the process ended at once, whatever it is doing. */
void
g_fork_member_end (GForkCrew   *crew,
                   GForkMember *self)
{
  if (self->process != NULL)
    g_fork_crew_act (crew, force_exit, g_object_ref (self->process), 0);
  else
    g_fork_crew_act (crew, cancel, g_object_ref (self->cancellable), 0);
}

/* Forgets a worker, which has no jobs any more. */
void
g_fork_member_remove (GForkCrew   *crew,
                      GForkMember *self)
{
  if (self->is_ready)
    g_fork_crew_tell (crew, G_FORK_NEWS_ENDED, self->worker, 0, NULL);

  clear_slot (crew, self);
  g_fork_crew_not_idle (crew, self);
  g_ptr_array_remove_fast (crew->unsent, self);
  g_ptr_array_remove_fast (crew->members, self);
  g_hash_table_remove (crew->by_serial, &self->serial);

  close_socket (crew, self);
  g_queue_clear_full (&self->unsent, (GDestroyNotify) chunk_free);
  g_fork_crew_discard (crew, self->fork);
  g_fork_crew_discard (crew, self->process);
  g_fork_crew_discard (crew, self->worker);
  g_fork_crew_discard (crew, self->cancellable);
  g_clear_error (&self->misbehaviour);
  g_free (self->memory);
  g_free (self->control);
  g_free (self);
}

/* ——— Starting ——— */

static void
fork_template (GForkCrew *crew,
               gpointer   template,
               guint64    serial)
{
  GForkTemplate *fork = g_fork_template_fork (template);
  GForkMember *self;

  g_fork_crew_lock (crew);
  self = g_fork_crew_lookup (crew, serial);
  if (self == NULL || self->is_leaving)
    g_fork_crew_discard (crew, fork);
  else
    {
      self->fork = fork;
      if (g_fork_crew_has_handler (crew, "prepare"))
        g_fork_crew_tell (crew, G_FORK_NEWS_PREPARE, fork, serial, NULL);
      else
        g_fork_crew_act (crew, g_fork_member_run, NULL, serial);
    }
  g_fork_crew_unlock (crew);
}

static void
on_ready (GForkCrew   *crew,
          GForkMember *self)
{
  self->is_ready = TRUE;
  self->ready_at = g_get_monotonic_time ();
  crew->is_dirty = TRUE;
  g_fork_crew_tell (crew, G_FORK_NEWS_STARTED, self->worker, 0, NULL);
  g_fork_member_expect (crew, self);
  g_fork_crew_on_free (crew, self);
}

/* The function is being entered. */
static void
on_running (GForkCrew    *crew,
            GForkMember  *self,
            GSocket      *socket,
            GForkProcess *process)
{
  self->process = g_object_ref (process);
  self->fd = fcntl (g_socket_get_fd (socket), F_DUPFD_CLOEXEC, 3);
  if (self->fd < 0)
    {
      g_autoptr (GError) error = g_error_new (G_FORK_ERROR, G_FORK_ERROR_FAILED,
                                              _("Could not keep a worker: %s"),
                                              g_strerror (errno));

      g_fork_crew_act (crew, force_exit, g_object_ref (process), 0);
      g_fork_crew_on_not_run (crew, self, error);
      return;
    }

  self->worker = g_fork_worker_new (self->index, process);
  self->memory = g_malloc (READ_SIZE);
  self->control = g_malloc (CONTROL_SIZE);
  gfork_reader_init (&self->reader, self->memory, READ_SIZE, self->control, CONTROL_SIZE);
  self->reader.can_lose_fds = true;
  g_fork_crew_act (crew, await_end, g_object_ref (process), self->serial);

  if (self->is_leaving)
    g_fork_member_signal (crew, self);
  if (crew->settings[G_FORK_SETTING_WAIT_FOR_READY])
    g_fork_member_expect (crew, self);
  else if (!self->is_leaving)
    on_ready (crew, self);
}

static void
on_run (GObject      *source,
        GAsyncResult *result,
        gpointer      data)
{
  g_autoptr (Reference) reference = data;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  GForkCrew *crew = reference->crew;
  GForkMember *self;

  socket = g_fork_template_run_finish (G_FORK_TEMPLATE (source), result, &process, &error);

  g_fork_crew_lock (crew);
  self = g_fork_crew_lookup (crew, reference->serial);
  if (self == NULL && process != NULL)
    g_fork_crew_act (crew, force_exit, g_steal_pointer (&process), 0);
  else if (self != NULL && socket == NULL)
    g_fork_crew_on_not_run (crew, self, error);
  else if (self != NULL)
    on_running (crew, self, socket, process);
  g_fork_crew_unlock (crew);
}

/* An action: the fork has been prepared. */
void
g_fork_member_run (GForkCrew *crew,
                   gpointer   object,
                   guint64    serial)
{
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GCancellable) cancellable = NULL;
  GForkMember *self;

  g_fork_crew_lock (crew);
  self = g_fork_crew_lookup (crew, serial);
  if (self != NULL && !self->is_leaving)
    {
      fork = g_steal_pointer (&self->fork);
      cancellable = g_object_ref (self->cancellable);
      self->is_run = TRUE;
    }
  g_fork_crew_unlock (crew);

  if (fork != NULL)
    g_fork_template_run_async (fork, crew->function, cancellable, on_run,
                               reference_new (crew, serial));
}

/* ——— Ending ——— */

/* The end of the conversation is said when all of it was sent, and by no one but the
 * borrower as long as there is one. */
static void
end_writing (GForkMember *self)
{
  if (self->is_leaving && !self->is_lent && self->fd >= 0 && g_queue_is_empty (&self->unsent))
    shutdown (self->fd, SHUT_WR);
}

/* Tells a worker to go, when it has finished what it has. */
void
g_fork_member_go (GForkCrew   *crew,
                  GForkMember *self)
{
  if (self->is_leaving)
    return;

  self->is_leaving = TRUE;
  clear_slot (crew, self);
  g_fork_crew_not_idle (crew, self);

  if (self->process == NULL && self->is_run)
    g_fork_crew_act (crew, cancel, g_object_ref (self->cancellable), 0);
  else if (self->process == NULL)
    self->kill_at = 1;
  else
    {
      end_writing (self);
      if (g_queue_is_empty (&self->jobs) && !self->is_lent)
        g_fork_member_signal (crew, self);
    }
}

/* Asks a worker that has to end, and has nothing to do any more, to do so. */
void
g_fork_member_signal (GForkCrew   *crew,
                      GForkMember *self)
{
  gint64 deadline = g_get_monotonic_time () + crew->settings[G_FORK_SETTING_STOP_TIMEOUT] * 1000LL;

  if (self->is_signalled || self->is_killed)
    return;

  end_writing (self);
  self->is_signalled = TRUE;
  if (crew->settings[G_FORK_SETTING_STOP_SIGNAL] != 0)
    g_fork_crew_act (crew, send_signal, g_object_ref (self->process), crew->settings[G_FORK_SETTING_STOP_SIGNAL]);
  if (self->kill_at == 0 || self->kill_at > deadline)
    self->kill_at = deadline;
  crew->is_dirty = TRUE;
}

void
g_fork_member_kill (GForkCrew   *crew,
                    GForkMember *self)
{
  if (self->is_killed)
    return;

  self->is_killed = TRUE;
  g_fork_crew_not_idle (crew, self);
  g_fork_member_expect (crew, self);
  g_fork_crew_act (crew, force_exit, g_object_ref (self->process), 0);
  self->kill_at = g_get_monotonic_time () + KILLING_PATIENCE;
  if (self->is_excused)
    clear_slot (crew, self);
  crew->is_dirty = TRUE;
}

/* The worker, or another process that has its socket, has closed it. A server that does not need its
 * socket may do so and go on. */
static void
on_over (GForkCrew   *crew,
         GForkMember *self)
{
  gint64 deadline = g_get_monotonic_time () + CLOSING_PATIENCE;

  if (self->is_over)
    return;

  self->is_over = TRUE;
  g_fork_crew_not_idle (crew, self);
  g_fork_member_expect (crew, self);
  if (!self->is_killed && (self->n_given > 0 || !self->is_ready)
      && (self->kill_at == 0 || self->kill_at > deadline))
    self->kill_at = deadline;
  crew->is_dirty = TRUE;
}

/* How it ended, in words. */
char *
g_fork_member_describe_end (GForkCrew   *crew,
                            GForkMember *self,
                            gboolean     is_known)
{
  int pid = g_fork_process_get_pid (self->process);

  if (!is_known)
    return g_strdup_printf (_("process %d, which ran the function “%s”, has ended, and how cannot "
                              "be known"),
                            pid, crew->function);
  if (g_fork_process_get_if_signaled (self->process))
    return g_strdup_printf (_("process %d, which ran the function “%s”, was killed by signal %d "
                              "(%s)"),
                            pid, crew->function, g_fork_process_get_term_sig (self->process),
                            g_strsignal (g_fork_process_get_term_sig (self->process)));
  return g_strdup_printf (_("process %d, which ran the function “%s”, exited with status %d"), pid,
                          crew->function, g_fork_process_get_exit_status (self->process));
}

/* ——— Reading ——— */

/* Whether what the worker writes is for the pool. */
static gboolean
reads (const GForkMember *self)
{
  return !self->is_killed && !self->is_lent && (!self->is_ready || self->does_jobs);
}

/* What the worker writes cannot be read or awaited here, for want of memory or descriptors. */
static void
on_unusable (GForkCrew   *crew,
             GForkMember *self,
             int          reason)
{
  if (self->misbehaviour == NULL)
    self->misbehaviour = g_error_new (G_FORK_ERROR, G_FORK_ERROR_FAILED,
                                      _("Could not read from process %d, which runs the function "
                                        "“%s”: %s"),
                                      (int) g_fork_process_get_pid (self->process),
                                      crew->function, g_strerror (reason));
  g_fork_member_kill (crew, self);
}

/* Awaits what is to be awaited on the socket now. */
void
g_fork_member_expect (GForkCrew   *crew,
                      GForkMember *self)
{
  guint32 events = 0;

  if (self->fd < 0)
    return;

  if (!self->is_over && !self->is_killed)
    {
      events = EPOLLRDHUP;
      if (reads (self))
        events |= EPOLLIN;
      /* What was never tried to be sent will be, at the end of the decisions. */
      if (!g_queue_is_empty (&self->unsent) && !self->is_unsent && self->retry_at == 0)
        events |= EPOLLOUT;
    }
  if (!g_fork_crew_watch_fd (crew, self, events))
    on_unusable (crew, self, errno);
}

static void
on_misbehaviour (GForkCrew   *crew,
                 GForkMember *self)
{
  if (self->misbehaviour == NULL)
    self->misbehaviour = g_error_new (G_FORK_ERROR, G_FORK_ERROR_PROTOCOL,
                                      _("Process %d, which runs the function “%s”, writes to its "
                                        "socket what is not an answer"),
                                      (int) g_fork_process_get_pid (self->process),
                                      crew->function);
  g_fork_member_kill (crew, self);
}

static gboolean
on_frame (GForkCrew          *crew,
          GForkMember        *self,
          struct gfork_frame *frame)
{
  if (self->is_ready)
    return g_fork_crew_on_reply (crew, self, frame);
  if (frame->verb != GFORK_WORKER_READY || frame->length != sizeof (struct gfork_pid))
    return FALSE;

  if (!self->is_leaving)
    on_ready (crew, self);
  else
    self->does_jobs = TRUE;
  return TRUE;
}

static gboolean
take_frames (GForkCrew   *crew,
             GForkMember *self)
{
  enum gfork_next next = GFORK_NEXT_MORE;
  struct gfork_frame frame;

  while (!self->is_killed && (next = gfork_reader_next (&self->reader, &frame)) == GFORK_NEXT_FRAME)
    {
      gboolean is_good = on_frame (crew, self, &frame);

      gfork_frame_close_fds (&frame);
      if (!is_good)
        return FALSE;
    }

  return next != GFORK_NEXT_BAD;
}

/* Reads what there is: the first frame, which says that the worker is ready, to its exact
 * length, as what follows may be for a borrower. */
static void
read_frames (GForkCrew   *crew,
             GForkMember *self,
             gboolean     all)
{
  while (reads (self) && !self->is_over)
    {
      gboolean exact = !self->is_ready;

      switch (gfork_reader_fill (&self->reader, self->fd, exact, MSG_DONTWAIT))
        {
        case GFORK_FILL_DATA:
          if (!take_frames (crew, self))
            on_misbehaviour (crew, self);
          else if (!self->reader.full && !exact && !all)
            return;
          break;

        case GFORK_FILL_AGAIN:
          return;

        case GFORK_FILL_EOF:
        case GFORK_FILL_RESET:
          on_over (crew, self);
          return;

        case GFORK_FILL_NO_MEMORY:
          on_unusable (crew, self, ENOMEM);
          return;

        default:
          on_misbehaviour (crew, self);
          return;
        }
    }
}

void
g_fork_member_on_event (GForkCrew   *crew,
                        GForkMember *self,
                        guint32      events)
{
  if (self->fd < 0 || self->is_over || self->is_killed)
    return;

  if ((events & EPOLLOUT) != 0)
    g_fork_member_flush (crew, self);
  if (reads (self))
    read_frames (crew, self, FALSE);
  else if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
    on_over (crew, self);
}

/* Looks whether a worker can be lent. What a borrower has left unread is not for the
 * next one, so that worker is ended; what a worker writes before its first loan is. */
void
g_fork_member_look (GForkCrew   *crew,
                    GForkMember *self)
{
  char byte;
  ssize_t n;

  if (self->is_over || self->is_killed)
    return;

  do
    n = recv (self->fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);

  if (n == 0 || (n < 0 && errno != EAGAIN))
    on_over (crew, self);
  else if (n > 0 && self->n_given > 0 && !self->does_jobs)
    {
      self->is_excused = TRUE;
      g_fork_member_go (crew, self);
    }
}

static void
on_waited (GObject      *source,
           GAsyncResult *result,
           gpointer      data)
{
  g_autoptr (Reference) reference = data;
  gboolean is_known = g_fork_process_wait_finish (G_FORK_PROCESS (source), result, NULL);
  GForkCrew *crew = reference->crew;
  GForkMember *self;

  g_fork_crew_lock (crew);
  self = g_fork_crew_lookup (crew, reference->serial);
  if (self != NULL)
    {
      /* What it has answered before it ended counts. */
      read_frames (crew, self, TRUE);
      g_fork_crew_on_ended (crew, self, is_known);
    }
  g_fork_crew_unlock (crew);
}

static void
await_end (GForkCrew *crew,
           gpointer   process,
           guint64    serial)
{
  g_fork_process_wait_async (process, crew->closing, on_waited, reference_new (crew, serial));
}

/* ——— Writing ——— */

static void
append (GForkCrew                   *crew,
        GForkMember                 *self,
        const struct gfork_job_head *head,
        GBytes                      *bytes,
        int                          fd)
{
  Chunk *chunk = g_queue_peek_tail (&self->unsent);

  if (chunk == NULL || fd >= 0)
    {
      chunk = g_new (Chunk, 1);
      *chunk = (Chunk){ g_byte_array_new (), 0, fd };
      g_queue_push_tail (&self->unsent, chunk);
    }
  g_byte_array_append (chunk->data, (const guint8 *) head, sizeof *head);
  if (bytes != NULL)
    g_byte_array_append (chunk->data, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));

  if (!self->is_unsent && self->retry_at == 0)
    {
      self->is_unsent = TRUE;
      g_ptr_array_add (crew->unsent, self);
    }
}

static GForkPending *
find_long (GForkMember *self)
{
  for (GList *l = self->jobs.head; l != NULL; l = l->next)
    if (((GForkPending *) l->data)->needs_memory)
      return l->data;
  return NULL;
}

/* An action: copies a long request to memory that is shared, which takes its time. */
static void
share_request (GForkCrew *crew,
               gpointer   object,
               guint64    serial)
{
  g_autoptr (GBytes) request = NULL;
  struct gfork_job_head head;
  GForkMember *self;
  GForkPending *job;
  guint32 id = 0;
  GError *error = NULL;
  int fd;

  g_fork_crew_lock (crew);
  self = g_fork_crew_lookup (crew, serial);
  job = self != NULL ? find_long (self) : NULL;
  if (job != NULL)
    {
      job->needs_memory = FALSE;
      id = job->id;
      request = g_bytes_ref (job->request);
    }
  g_fork_crew_unlock (crew);
  if (request == NULL)
    return;

  fd = g_fork_memory_new (g_bytes_get_data (request, NULL), g_bytes_get_size (request), &error);

  g_fork_crew_lock (crew);
  self = g_fork_crew_lookup (crew, serial);
  job = NULL;
  for (GList *l = self != NULL ? self->jobs.head : NULL; l != NULL && job == NULL; l = l->next)
    if (((GForkPending *) l->data)->id == id)
      job = l->data;

  if (job != NULL && fd >= 0)
    {
      gfork_job_head_set (&head, GFORK_JOB, id, g_bytes_get_size (request));
      append (crew, self, &head, NULL, fd);
      fd = -1;
    }
  else if (job != NULL)
    {
      job->member = NULL;
      g_fork_pending_finish (job, g_steal_pointer (&error));
      g_fork_crew_on_free (crew, self);
    }
  g_fork_crew_unlock (crew);

  if (fd >= 0)
    close (fd);
  g_clear_error (&error);
}

/* Sends a job, with what else there is to send, at the end of the decisions. */
void
g_fork_member_send (GForkCrew    *crew,
                    GForkMember  *self,
                    GForkPending *job)
{
  struct gfork_job_head head;

  job->id = ++self->last_job;
  job->member = self;
  g_fork_pending_enqueue (job, &self->jobs);
  self->does_jobs = TRUE;

  if (gfork_job_is_long (g_bytes_get_size (job->request)))
    {
      job->needs_memory = TRUE;
      g_fork_crew_act (crew, share_request, NULL, self->serial);
    }
  else
    {
      gfork_job_head_set (&head, GFORK_JOB, job->id, g_bytes_get_size (job->request));
      append (crew, self, &head, job->request, -1);
    }
  g_fork_member_expect (crew, self);
}

/* The worker has ended, or cannot be sent anything. What it has answered is still to be read,
 * and that tells of its end; if it does not, the worker is killed. */
static void
on_unsendable (GForkCrew   *crew,
               GForkMember *self)
{
  gint64 deadline = g_get_monotonic_time () + CLOSING_PATIENCE;

  self->is_full = TRUE;
  g_fork_crew_not_idle (crew, self);
  if (!self->is_killed && (self->kill_at == 0 || self->kill_at > deadline))
    self->kill_at = deadline;
  crew->is_dirty = TRUE;
}

/* Sends what the kernel takes. */
void
g_fork_member_flush (GForkCrew   *crew,
                     GForkMember *self)
{
  Chunk *chunk;

  if (self->is_unsent)
    g_ptr_array_remove_fast (crew->unsent, self);
  self->is_unsent = FALSE;
  self->retry_at = 0;

  while ((chunk = g_queue_peek_head (&self->unsent)) != NULL)
    {
      ssize_t n = gfork_send (self->fd, chunk->data->data + chunk->n_sent,
                              chunk->data->len - chunk->n_sent, &chunk->fd, chunk->fd >= 0,
                              MSG_DONTWAIT);

      if (n < 0 && errno == EAGAIN)
        break;
      if (n < 0 && (errno == ETOOMANYREFS || errno == ENOBUFS || errno == ENOMEM))
        {
          self->retry_at = g_get_monotonic_time () + RETRY_DELAY;
          crew->is_dirty = TRUE;
          break;
        }

      if (chunk->fd >= 0)
        close (chunk->fd);
      chunk->fd = -1;
      if (n >= 0)
        chunk->n_sent += n;
      else
        on_unsendable (crew, self);
      if (n < 0 || chunk->n_sent == chunk->data->len)
        chunk_free (g_queue_pop_head (&self->unsent));
    }

  end_writing (self);
  g_fork_member_expect (crew, self);
}
