/* driver.c: who does a pool's work, and when
 *
 * All that a pool waits for is in one epoll descriptor: the sockets of its workers, a
 * timer, and what the main context waits for in which it forks. Each main context in
 * which a result is awaited has a source that polls the descriptor, and so has the
 * pool's own; of the threads that are blocked in a call, one waits for it. The first to
 * be woken does what there is to do for all of them.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "pool/crew.h"

#include "base/context.h"
#include "base/generation.h"
#include "gforkerror.h"

#include <errno.h>
#include <glib/gi18n-lib.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* What an event is about; workers have their serials, which are larger. */
enum
{
  KEY_WORK,
  KEY_TIMER,
  KEY_WAKE,
};

#define MAX_EVENTS 32

/* More rounds than this mean a fault. */
#define MAX_ROUNDS 1000

/* How often is looked for what no descriptor tells of, as there is none. */
#define LOOK_AGAIN_MS 20

typedef struct
{
  GForkActionFunc func;
  gpointer object;
  guint64 number;
} Action;

typedef struct
{
  GForkNewsKind kind;
  gpointer object;
  guint64 number;
  GError *error;
} News;

struct _GForkDrive
{
  GMainContext *context;
  GSource *source;
  guint n_users;
};

static void settle (GForkCrew *self);

void
g_fork_crew_lock (GForkCrew *self)
{
  g_mutex_lock (&self->lock);
}

/* Has done what follows from what has changed, and unlocks. */
void
g_fork_crew_unlock (GForkCrew *self)
{
  g_autoptr (GPtrArray) trash = NULL;
  GForkPending *pending;

  g_fork_crew_ref (self);
  settle (self);

  /* Not while somebody carries out actions: that thread comes by here later. */
  while ((pending = g_queue_pop_head (&self->finished)) != NULL)
    {
      g_mutex_unlock (&self->lock);
      g_fork_pending_return (pending);
      g_mutex_lock (&self->lock);
    }

  if (self->trash->len > 0)
    {
      trash = self->trash;
      self->trash = g_ptr_array_new_with_free_func (g_object_unref);
    }
  g_mutex_unlock (&self->lock);

  g_clear_pointer (&trash, g_ptr_array_unref);
  g_fork_crew_unref (self);
}

/* Has an object unreferenced without the lock, as that may call anything. */
void
g_fork_crew_discard (GForkCrew *self,
                     gpointer   object)
{
  if (object != NULL)
    g_ptr_array_add (self->trash, object);
}

/* ——— Actions ——— */

static gboolean
add_fd (GForkCrew *self,
        int        fd,
        guint64    key)
{
  struct epoll_event event = { .events = EPOLLIN, .data.u64 = key };

  return fd >= 0 && epoll_ctl (self->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Has a function called without the lock. Takes the object. */
void
g_fork_crew_act (GForkCrew       *self,
                 GForkActionFunc  func,
                 gpointer         object,
                 guint64          number)
{
  Action *action = g_new (Action, 1);

  *action = (Action){ func, object, number };
  g_queue_push_tail (&self->actions, action);
}

/* Has the epoll descriptor wait for what the work context waits for, by another one. That is
 * made anew each time: an entry of a descriptor that was closed stays as long as there is a
 * duplicate, and cannot be removed any more. */
static void
sync_work (GForkCrew *self)
{
  int priority, timeout, n;
  gboolean is_ready = g_main_context_prepare (self->work, &priority);
  int epoll_fd = epoll_create1 (EPOLL_CLOEXEC);
  gboolean is_good = epoll_fd >= 0;

  while ((n = g_main_context_query (self->work, G_MAXINT, &timeout,
                                    (GPollFD *) self->work_fds->data, self->work_fds->len))
         > (int) self->work_fds->len)
    g_array_set_size (self->work_fds, n);

  for (int i = 0; i < n && is_good; i++)
    {
      GPollFD *fd = &g_array_index (self->work_fds, GPollFD, i);
      struct epoll_event event = { .events = fd->events, .data.u64 = KEY_WORK };

      for (int j = 0; j < i; j++)
        if (g_array_index (self->work_fds, GPollFD, j).fd == fd->fd)
          event.events |= g_array_index (self->work_fds, GPollFD, j).events;
      is_good = epoll_ctl (epoll_fd, EPOLL_CTL_ADD, fd->fd, &event) == 0
                || epoll_ctl (epoll_fd, EPOLL_CTL_MOD, fd->fd, &event) == 0;
    }

  /* Without a descriptor for it, the time has to tell when to look. */
  if (is_good && add_fd (self, epoll_fd, KEY_WORK))
    {
      if (self->work_fd >= 0)
        close (self->work_fd);
      self->work_fd = epoll_fd;
    }
  else
    {
      if (epoll_fd >= 0)
        close (epoll_fd);
      timeout = timeout < 0 ? LOOK_AGAIN_MS : MIN (timeout, LOOK_AGAIN_MS);
    }

  g_mutex_lock (&self->lock);
  self->work_pending = self->work_pending || is_ready;
  self->work_due = timeout < 0 ? G_MAXINT64 : g_get_monotonic_time () + timeout * 1000;
  self->is_dirty = TRUE;
  g_mutex_unlock (&self->lock);
}

/* Carries out what was decided. One thread does so at a time, and it has the work
 * context. */
static void
act (GForkCrew *self)
{
  Action *action;
  gboolean has_work;

  self->is_acting = TRUE;
  has_work = self->work_pending;
  self->work_pending = FALSE;
  g_mutex_unlock (&self->lock);

  g_main_context_push_thread_default (self->work);
  for (guint i = 0; has_work && i < MAX_ROUNDS && g_main_context_iteration (self->work, FALSE); i++)
    ;

  g_mutex_lock (&self->lock);
  while ((action = g_queue_pop_head (&self->actions)) != NULL)
    {
      g_mutex_unlock (&self->lock);
      action->func (self, action->object, action->number);
      g_clear_object (&action->object);
      g_free (action);
      g_mutex_lock (&self->lock);
    }
  g_mutex_unlock (&self->lock);

  sync_work (self);
  g_main_context_pop_thread_default (self->work);

  g_mutex_lock (&self->lock);
  self->is_acting = FALSE;
}

/* The timer is only ever set earlier. If there is nothing to do when it expires, it is
 * set anew. */
static void
arm_timer (GForkCrew *self)
{
  gint64 deadline = MIN (g_fork_crew_next_deadline (self), self->work_due);
  struct itimerspec timer = { 0 };

  if (deadline >= self->armed_for)
    return;

  deadline = MAX (deadline, 1);
  timer.it_value.tv_sec = deadline / G_USEC_PER_SEC;
  timer.it_value.tv_nsec = deadline % G_USEC_PER_SEC * 1000;
  timerfd_settime (self->timer_fd, TFD_TIMER_ABSTIME, &timer, NULL);
  self->armed_for = deadline;
}

/* Decides, until nothing follows from what was decided. */
static void
decide (GForkCrew *self)
{
  gboolean was_dirty = FALSE;

  for (guint i = 0; i < MAX_ROUNDS; i++)
    {
      if (self->is_dirty)
        {
          was_dirty = TRUE;
          self->is_dirty = FALSE;
          g_fork_crew_supervise (self, g_get_monotonic_time ());
        }
      g_fork_crew_assign (self);

      while (self->unsent->len > 0)
        g_fork_member_flush (self, g_ptr_array_index (self->unsent, self->unsent->len - 1));
      if (!self->is_dirty)
        break;
    }

  if (was_dirty)
    arm_timer (self);
}

static void
settle (GForkCrew *self)
{
  decide (self);
  while (!self->is_acting && (self->work_pending || !g_queue_is_empty (&self->actions)))
    {
      act (self);
      decide (self);
    }
}

/* Takes notice of what has happened. */
static void
turn (GForkCrew                *self,
      const struct epoll_event *events,
      int                       n_events)
{
  for (int i = 0; i < n_events; i++)
    {
      guint64 key = events[i].data.u64;
      GForkMember *member;
      guint64 expirations;

      switch (key)
        {
        case KEY_WORK:
          self->work_pending = TRUE;
          break;

        case KEY_TIMER:
          if (read (self->timer_fd, &expirations, sizeof expirations) > 0)
            {
              self->armed_for = G_MAXINT64;
              self->work_pending = self->work_pending || self->work_due <= g_get_monotonic_time ();
              self->is_dirty = TRUE;
            }
          break;

        case KEY_WAKE:
          break;

        default:
          member = g_fork_crew_lookup (self, key);
          if (member != NULL)
            g_fork_member_on_event (self, member, events[i].events);
        }
    }
}

/* Sets what is awaited on the socket of a worker; 0 ends that. Returns %FALSE with errno set
 * if the kernel has no memory for it. */
gboolean
g_fork_crew_watch_fd (GForkCrew   *self,
                      GForkMember *member,
                      guint32      events)
{
  struct epoll_event event = { .events = events, .data.u64 = member->serial };

  if (events == member->events)
    return TRUE;

  if (events == 0)
    epoll_ctl (self->epoll_fd, EPOLL_CTL_DEL, member->fd, NULL);
  else if (epoll_ctl (self->epoll_fd, member->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD,
                      member->fd, &event)
           != 0)
    return FALSE;
  member->events = events;
  return TRUE;
}

/* ——— News for the pool's own context ——— */

void
g_fork_crew_tell (GForkCrew    *self,
                  GForkNewsKind kind,
                  gpointer      object,
                  guint64       number,
                  const GError *error)
{
  News *news;

  if (self->is_closed)
    return;

  news = g_new (News, 1);
  *news = (News){ kind, object != NULL ? g_object_ref (object) : NULL, number,
                  error != NULL ? g_error_copy (error) : NULL };
  g_queue_push_tail (&self->news, news);

  g_source_set_ready_time (self->home->source, 0);
  for (GList *l = self->blocked.head; l != NULL; l = l->next)
    if (((GForkPending *) l->data)->thread == self->home_thread)
      g_fork_crew_wake (self, l->data);
}

static void
news_free (News *news)
{
  g_clear_object (&news->object);
  g_clear_error (&news->error);
  g_free (news);
}

/* Whether somebody wants to be asked. The object may be on its way out. */
gboolean
g_fork_crew_has_handler (GForkCrew  *self,
                         const char *signal)
{
  GForkPool *pool = g_weak_ref_get (&self->pool);
  gboolean has_handler;

  if (pool == NULL)
    return FALSE;

  has_handler = g_signal_has_handler_pending (pool, g_signal_lookup (signal, G_OBJECT_TYPE (pool)), 0,
                                              FALSE);
  g_fork_crew_discard (self, pool);
  return has_handler;
}

/* Has the pool emit what there is, in its context. */
static void
emit_news (GForkCrew *self)
{
  g_autoptr (GForkPool) pool = g_weak_ref_get (&self->pool);
  News *news;

  if (pool == NULL)
    return;

  g_mutex_lock (&self->lock);
  while ((news = g_queue_pop_head (&self->news)) != NULL)
    {
      GForkTemplate *template;
      guint index = 0;

      if (news->kind == G_FORK_NEWS_PREPARE)
        {
          GForkMember *member = g_fork_crew_lookup (self, news->number);

          index = member != NULL ? member->index : 0;
        }
      g_mutex_unlock (&self->lock);
      template = self->on_news (pool, news->kind, news->object, index, news->error);
      g_mutex_lock (&self->lock);

      if (news->kind == G_FORK_NEWS_PREPARE)
        g_fork_crew_act (self, g_fork_member_run, NULL, news->number);
      else if (news->kind == G_FORK_NEWS_TEMPLATE_LOST)
        g_fork_crew_on_template (self, template);
      g_fork_crew_unlock (self);

      news_free (news);
      g_mutex_lock (&self->lock);
    }
  g_mutex_unlock (&self->lock);
}

/* ——— Main contexts ——— */

typedef struct
{
  GSource source;
  GForkCrew *crew;
} DriveSource;

static gboolean
drive_source_dispatch (GSource     *source,
                       GSourceFunc  callback,
                       gpointer     user_data)
{
  GForkCrew *self = ((DriveSource *) source)->crew;
  struct epoll_event events[MAX_EVENTS];
  GMainContext *outer;
  gboolean is_home;
  int n;

  if (self->generation != g_fork_generation ())
    return G_SOURCE_REMOVE;

  outer = g_fork_dispatch_begin (g_source_get_context (source));
  g_source_set_ready_time (source, -1);
  g_mutex_lock (&self->lock);
  is_home = self->home != NULL && self->home->source == source;
  n = self->is_closed ? 0 : epoll_wait (self->epoll_fd, events, MAX_EVENTS, 0);
  turn (self, events, n);
  g_fork_crew_unlock (self);
  g_fork_dispatch_end (outer);

  if (is_home)
    emit_news (self);
  return G_SOURCE_CONTINUE;
}

static void
drive_source_finalize (GSource *source)
{
  g_fork_crew_unref (((DriveSource *) source)->crew);
}

static GSourceFuncs drive_source_funcs = {
  .dispatch = drive_source_dispatch,
  .finalize = drive_source_finalize,
};

static GForkDrive *
drive_new (GForkCrew    *crew,
           GMainContext *context)
{
  GForkDrive *self = g_new0 (GForkDrive, 1);

  self->context = g_main_context_ref (context);
  self->source = g_source_new (&drive_source_funcs, sizeof (DriveSource));
  ((DriveSource *) self->source)->crew = g_fork_crew_ref (crew);
  g_source_set_static_name (self->source, "[gspawnfork] pool");
  /* A callback may iterate the context, and the pool goes on meanwhile. */
  g_source_set_can_recurse (self->source, TRUE);
  if (crew->epoll_fd >= 0)
    g_source_add_unix_fd (self->source, crew->epoll_fd, G_IO_IN);
  g_source_attach (self->source, context);
  return self;
}

static void
drive_free (GForkDrive *self)
{
  g_source_destroy (self->source);
  g_source_unref (self->source);
  g_main_context_unref (self->context);
  g_free (self);
}

/* Has the pool's work done in the context of the task, too, until the task returns. */
void
g_fork_crew_use_drive (GForkCrew    *self,
                       GForkPending *pending)
{
  GMainContext *context = g_task_get_context (pending->task);

  if (context == self->home->context)
    return;

  for (GList *l = self->drives; l != NULL && pending->drive == NULL; l = l->next)
    if (((GForkDrive *) l->data)->context == context)
      pending->drive = l->data;
  if (pending->drive == NULL)
    {
      pending->drive = drive_new (self, context);
      self->drives = g_list_prepend (self->drives, pending->drive);
    }
  pending->drive->n_users++;
}

void
g_fork_crew_unuse_drive (GForkCrew    *self,
                         GForkPending *pending)
{
  GForkDrive *drive = g_steal_pointer (&pending->drive);

  if (drive == NULL || --drive->n_users > 0)
    return;

  self->drives = g_list_remove (self->drives, drive);
  drive_free (drive);
}

/* ——— Blocked threads ——— */

/* Has a blocked thread look again. The one that waits for events is woken by a
 * descriptor of its own, which nobody else resets. */
void
g_fork_crew_wake (GForkCrew    *self,
                  GForkPending *pending)
{
  if (pending == self->leader)
    eventfd_write (self->wake_fd, 1);
  else
    g_cond_signal (&pending->cond);
}

/* Waits for events on behalf of all blocked threads. */
static void
lead (GForkCrew    *self,
      GForkPending *pending)
{
  struct epoll_event events[MAX_EVENTS];
  eventfd_t value;
  int n;

  self->leader = pending;
  g_mutex_unlock (&self->lock);
  n = epoll_wait (self->epoll_fd, events, MAX_EVENTS, -1);
  g_mutex_lock (&self->lock);
  self->leader = NULL;

  for (int i = 0; i < n; i++)
    if (events[i].data.u64 == KEY_WAKE)
      eventfd_read (self->wake_fd, &value);
  turn (self, events, n);
}

static gboolean
may_emit (GForkCrew    *self,
          GForkPending *pending)
{
  if (pending->thread != self->home_thread || g_queue_is_empty (&self->news)
      || !g_main_context_acquire (self->home->context))
    return FALSE;

  g_main_context_release (self->home->context);
  return TRUE;
}

/* Blocks until the operation has its result. Called with the lock, returns without. */
void
g_fork_crew_wait (GForkCrew    *self,
                  GForkPending *pending)
{
  g_queue_push_tail (&self->blocked, pending);
  settle (self);

  while (!pending->is_done)
    {
      if (may_emit (self, pending))
        {
          g_mutex_unlock (&self->lock);
          emit_news (self);
          g_mutex_lock (&self->lock);
        }
      else if (self->leader != NULL)
        g_cond_wait (&pending->cond, &self->lock);
      else
        {
          lead (self, pending);
          g_fork_crew_unlock (self);
          g_mutex_lock (&self->lock);
        }
    }

  g_queue_remove (&self->blocked, pending);
  if (self->leader == NULL && self->blocked.head != NULL)
    g_fork_crew_wake (self, self->blocked.head->data);
  g_fork_crew_unlock (self);
}

/* ——— Beginning and end ——— */

/* If that fails, every operation fails with the reason. */
void
g_fork_crew_open_driver (GForkCrew *self)
{
  g_autoptr (GMainContext) context = g_main_context_ref_thread_default ();

  self->armed_for = self->work_due = G_MAXINT64;
  self->work_fd = -1;
  self->trash = g_ptr_array_new_with_free_func (g_object_unref);
  self->work_fds = g_array_new (FALSE, FALSE, sizeof (GPollFD));
  self->home_thread = g_thread_self ();

  self->epoll_fd = epoll_create1 (EPOLL_CLOEXEC);
  self->timer_fd = timerfd_create (CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  self->wake_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (self->epoll_fd < 0 || !add_fd (self, self->timer_fd, KEY_TIMER)
      || !add_fd (self, self->wake_fd, KEY_WAKE))
    g_set_error (&self->defect, G_FORK_ERROR, G_FORK_ERROR_FAILED, _("Could not make a pool: %s"),
                 g_strerror (errno));

  /* Its descriptors are polled by the thread that is there, without owning it. */
  self->work = g_main_context_new_with_flags (G_MAIN_CONTEXT_FLAGS_OWNERLESS_POLLING);
  self->home = drive_new (self, context);
}

/* Lets go of all main contexts. What was cancelled is called back before, in this thread
 * or in the one that is at work just now. */
void
g_fork_crew_close_driver (GForkCrew *self)
{
  GForkDrive *home;

  g_mutex_lock (&self->lock);
  home = g_steal_pointer (&self->home);
  self->work_pending = TRUE;
  g_fork_crew_unlock (self);

  drive_free (home);
}

static void
close_fd (int fd)
{
  if (fd >= 0)
    close (fd);
}

void
g_fork_crew_free_driver (GForkCrew *self)
{
  g_queue_clear_full (&self->news, (GDestroyNotify) news_free);
  g_clear_pointer (&self->work, g_main_context_unref);
  g_array_unref (self->work_fds);
  g_ptr_array_unref (self->trash);
  close_fd (self->work_fd);
  close_fd (self->epoll_fd);
  close_fd (self->timer_fd);
  close_fd (self->wake_fd);
}
