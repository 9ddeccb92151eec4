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

#include "pool/driver.h"

#include "base/context.h"
#include "base/generation.h"
#include "gforkerror.h"

#include <errno.h>
#include <glib/gi18n-lib.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* What an event is about. */
enum
{
  KEY_WORK,
  KEY_TIMER,
  KEY_WAKE,
  FIRST_POLL, /* the number of the first descriptor that somebody else awaits */
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
  guint number;
  GDestroyNotify release;
} Action;

struct _GForkDriver
{
  gatomicrefcount ref_count;
  guint generation; /* of the application, see base/generation.h */
  const GForkDriverFuncs *funcs;
  gpointer owner;

  GMutex lock; /* guards what follows */
  GError *defect; /* why nothing can be awaited */
  gboolean is_closed;
  gboolean is_dirty; /* more than jobs has changed */
  gboolean is_acting;
  GQueue actions, trash;

  int epoll_fd, timer_fd, wake_fd;
  gint64 armed_for;
  guint64 last_key;
  GHashTable *polls;  /* by key, as an event may be old */
  GPtrArray *written; /* those to be written to, at the end of the decisions */

  GMainContext *work; /* what is done without the lock is done in it */
  int work_fd;        /* an epoll descriptor of what it waits for */
  GArray *work_fds;
  gint64 work_due;
  gboolean work_pending;

  GList *drives;
  GForkDrive *home;
  GThread *home_thread;
  gboolean must_emit;
  GForkBlocked *leader; /* the one that waits for all of them */
  GQueue blocked;
};

struct _GForkDrive
{
  GMainContext *context;
  GSource *source;
  guint n_users;
};

struct _GForkBlocked
{
  GThread *thread;
  GCond cond;
  gboolean is_done;
};

struct _GForkPoll
{
  GForkDriver *driver;
  guint64 key;
  int fd;
  guint32 events;
  gboolean is_written; /* listed in the driver's */
  GForkPollFunc func;
  gpointer data;
};

static void settle (GForkDriver *self);

static Action *
action_new (GForkActionFunc func,
            gpointer        object,
            guint           number,
            GDestroyNotify  release)
{
  Action *self = g_new (Action, 1);

  *self = (Action){ func, object, number, release };
  return self;
}

static void
action_free (Action *self)
{
  if (self->release != NULL)
    self->release (self->object);
  g_free (self);
}

/* In a fork of the application, the lock may be held by a thread that is not there, and the
 * descriptors are shared. */
gboolean
g_fork_driver_is_ours (GForkDriver *self)
{
  return self->generation == g_fork_generation ();
}

gboolean
g_fork_driver_is_closed (GForkDriver *self)
{
  return self->is_closed;
}

const GError *
g_fork_driver_get_defect (GForkDriver *self)
{
  return self->defect;
}

/* ——— The lock ——— */

void
g_fork_driver_lock (GForkDriver *self)
{
  g_mutex_lock (&self->lock);
}

/* Has done what follows from what has changed, and unlocks. */
void
g_fork_driver_unlock (GForkDriver *self)
{
  GQueue trash;

  g_fork_driver_ref (self);
  settle (self);
  trash = self->trash;
  g_queue_init (&self->trash);
  g_mutex_unlock (&self->lock);

  g_queue_clear_full (&trash, (GDestroyNotify) action_free);
  g_fork_driver_unref (self);
}

void
g_fork_driver_unlock_unchanged (GForkDriver *self)
{
  g_mutex_unlock (&self->lock);
}

/* Has an object released without the lock, as that may call anything. */
void
g_fork_driver_discard (GForkDriver    *self,
                       gpointer        object,
                       GDestroyNotify  release)
{
  g_queue_push_tail (&self->trash, action_new (NULL, object, 0, release));
}

/* More than jobs has changed. */
void
g_fork_driver_touch (GForkDriver *self)
{
  self->is_dirty = TRUE;
}

/* ——— Actions ——— */

static gboolean
add_fd (GForkDriver *self,
        int          fd,
        guint64      key)
{
  struct epoll_event event = { .events = EPOLLIN, .data.u64 = key };

  return fd >= 0 && epoll_ctl (self->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Has a function called without the lock, in the work context. Takes the object. */
void
g_fork_driver_act (GForkDriver     *self,
                   GForkActionFunc  func,
                   gpointer         object,
                   guint            number,
                   GDestroyNotify   release)
{
  g_queue_push_tail (&self->actions, action_new (func, object, number, release));
}

/* Has the epoll descriptor wait for what the work context waits for, by another one. That is
 * made anew each time: an entry of a descriptor that was closed stays as long as there is a
 * duplicate, and cannot be removed any more. */
static void
sync_work (GForkDriver *self)
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
act (GForkDriver *self)
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
      action->func (action->object, action->number);
      action_free (action);
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
arm_timer (GForkDriver *self)
{
  gint64 deadline = MIN (self->funcs->get_deadline (self->owner), self->work_due);
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
decide (GForkDriver *self)
{
  gboolean was_dirty = FALSE;

  for (guint i = 0; i < MAX_ROUNDS; i++)
    {
      gboolean is_dirty = self->is_dirty;

      was_dirty = was_dirty || is_dirty;
      self->is_dirty = FALSE;
      self->funcs->decide (self->owner, is_dirty);

      while (self->written->len > 0)
        {
          GForkPoll *poll = g_ptr_array_remove_index_fast (self->written, self->written->len - 1);

          poll->is_written = FALSE;
          poll->func (poll->data, EPOLLOUT);
        }
      if (!self->is_dirty)
        break;
    }

  if (was_dirty)
    arm_timer (self);
}

static void
settle (GForkDriver *self)
{
  decide (self);
  while (!self->is_acting && (self->work_pending || !g_queue_is_empty (&self->actions)))
    {
      act (self);
      decide (self);
    }
}

/* ——— Events ——— */

/* Takes notice of what has happened. */
static void
turn (GForkDriver              *self,
      const struct epoll_event *events,
      int                       n_events)
{
  for (int i = 0; i < n_events; i++)
    {
      guint64 key = events[i].data.u64;
      GForkPoll *poll;
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
          poll = g_hash_table_lookup (self->polls, &key);
          if (poll != NULL)
            poll->func (poll->data, events[i].events);
        }
    }
}

/* Nothing is awaited on the descriptor yet. */
GForkPoll *
g_fork_poll_new (GForkDriver   *driver,
                 int            fd,
                 GForkPollFunc  func,
                 gpointer       data)
{
  GForkPoll *self = g_new0 (GForkPoll, 1);

  self->driver = driver;
  self->key = FIRST_POLL + driver->last_key++;
  self->fd = fd;
  self->func = func;
  self->data = data;
  g_hash_table_insert (driver->polls, &self->key, self);
  return self;
}

/* Sets what is awaited; 0 is nothing. Returns %FALSE with errno set if the kernel has no
 * memory for it. */
gboolean
g_fork_poll_set (GForkPoll *self,
                 guint32    events)
{
  struct epoll_event event = { .events = events, .data.u64 = self->key };

  if (events == self->events)
    return TRUE;

  if (events == 0)
    epoll_ctl (self->driver->epoll_fd, EPOLL_CTL_DEL, self->fd, NULL);
  else if (epoll_ctl (self->driver->epoll_fd, self->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD,
                      self->fd, &event)
           != 0)
    return FALSE;
  self->events = events;
  return TRUE;
}

/* Has the function called with EPOLLOUT when all is decided, so that what was decided is
 * sent together. */
void
g_fork_poll_write_soon (GForkPoll *self)
{
  if (!self->is_written)
    g_ptr_array_add (self->driver->written, self);
  self->is_written = TRUE;
}

/* The descriptor must still be open. */
void
g_fork_poll_free (GForkPoll *self)
{
  g_fork_poll_set (self, 0);
  g_ptr_array_remove_fast (self->driver->written, self);
  g_hash_table_remove (self->driver->polls, &self->key);
  g_free (self);
}

/* ——— Main contexts ——— */

typedef struct
{
  GSource source;
  GForkDriver *driver;
} DriveSource;

/* In the driver's own context. */
static void
emit (GForkDriver *self)
{
  gboolean must_emit;

  g_mutex_lock (&self->lock);
  must_emit = self->must_emit;
  self->must_emit = FALSE;
  g_mutex_unlock (&self->lock);

  if (must_emit)
    self->funcs->emit (self->owner);
}

static gboolean
drive_source_dispatch (GSource     *source,
                       GSourceFunc  callback,
                       gpointer     user_data)
{
  GForkDriver *self = ((DriveSource *) source)->driver;
  struct epoll_event events[MAX_EVENTS];
  GMainContext *outer;
  gboolean is_home;
  int n;

  if (!g_fork_driver_is_ours (self))
    return G_SOURCE_REMOVE;

  outer = g_fork_dispatch_begin (g_source_get_context (source));
  g_source_set_ready_time (source, -1);
  g_mutex_lock (&self->lock);
  is_home = self->home != NULL && self->home->source == source;
  n = self->is_closed ? 0 : epoll_wait (self->epoll_fd, events, MAX_EVENTS, 0);
  turn (self, events, n);
  g_fork_driver_unlock (self);
  g_fork_dispatch_end (outer);

  if (is_home)
    emit (self);
  return G_SOURCE_CONTINUE;
}

static void
drive_source_finalize (GSource *source)
{
  g_fork_driver_unref (((DriveSource *) source)->driver);
}

static GSourceFuncs drive_source_funcs = {
  .dispatch = drive_source_dispatch,
  .finalize = drive_source_finalize,
};

static GForkDrive *
drive_new (GForkDriver  *driver,
           GMainContext *context)
{
  GForkDrive *self = g_new0 (GForkDrive, 1);

  self->context = g_main_context_ref (context);
  self->source = g_source_new (&drive_source_funcs, sizeof (DriveSource));
  ((DriveSource *) self->source)->driver = g_fork_driver_ref (driver);
  g_source_set_static_name (self->source, "[gspawnfork] pool");
  /* A callback may iterate the context, and the pool goes on meanwhile. */
  g_source_set_can_recurse (self->source, TRUE);
  if (driver->epoll_fd >= 0)
    g_source_add_unix_fd (self->source, driver->epoll_fd, G_IO_IN);
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

/* Has the work done in a context, too. Returns %NULL if it is done there anyway. */
GForkDrive *
g_fork_driver_use (GForkDriver  *self,
                   GMainContext *context)
{
  GForkDrive *drive = NULL;

  if (context == self->home->context)
    return NULL;

  for (GList *l = self->drives; l != NULL && drive == NULL; l = l->next)
    if (((GForkDrive *) l->data)->context == context)
      drive = l->data;
  if (drive == NULL)
    {
      drive = drive_new (self, context);
      self->drives = g_list_prepend (self->drives, drive);
    }
  drive->n_users++;
  return drive;
}

void
g_fork_driver_unuse (GForkDriver *self,
                     GForkDrive  *drive)
{
  if (--drive->n_users > 0)
    return;

  self->drives = g_list_remove (self->drives, drive);
  drive_free (drive);
}

/* ——— Blocked threads ——— */

GForkBlocked *
g_fork_blocked_new (void)
{
  GForkBlocked *self = g_new0 (GForkBlocked, 1);

  self->thread = g_thread_self ();
  g_cond_init (&self->cond);
  return self;
}

void
g_fork_blocked_free (GForkBlocked *self)
{
  g_cond_clear (&self->cond);
  g_free (self);
}

/* Has a blocked thread look again. The one that waits for events is woken by a
 * descriptor of its own, which nobody else resets. */
static void
rouse (GForkDriver  *self,
       GForkBlocked *blocked)
{
  if (blocked == self->leader)
    eventfd_write (self->wake_fd, 1);
  else
    g_cond_signal (&blocked->cond);
}

/* What the thread waits for is there. */
void
g_fork_driver_wake (GForkDriver  *self,
                    GForkBlocked *blocked)
{
  blocked->is_done = TRUE;
  rouse (self, blocked);
}

/* Waits for events on behalf of all blocked threads. */
static void
lead (GForkDriver  *self,
      GForkBlocked *blocked)
{
  struct epoll_event events[MAX_EVENTS];
  eventfd_t value;
  int n;

  self->leader = blocked;
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
may_emit (GForkDriver  *self,
          GForkBlocked *blocked)
{
  if (blocked->thread != self->home_thread || !self->must_emit
      || !g_main_context_acquire (self->home->context))
    return FALSE;

  g_main_context_release (self->home->context);
  return TRUE;
}

/* Blocks until the thread is woken. Called with the lock, returns without. */
void
g_fork_driver_wait (GForkDriver  *self,
                    GForkBlocked *blocked)
{
  gboolean is_ours_to_emit;

  g_queue_push_tail (&self->blocked, blocked);
  settle (self);

  while (!blocked->is_done)
    {
      if (may_emit (self, blocked))
        {
          g_mutex_unlock (&self->lock);
          emit (self);
          g_mutex_lock (&self->lock);
        }
      else if (self->leader != NULL)
        g_cond_wait (&blocked->cond, &self->lock);
      else
        {
          lead (self, blocked);
          g_fork_driver_unlock (self);
          g_mutex_lock (&self->lock);
        }
    }

  g_queue_remove (&self->blocked, blocked);
  if (self->leader == NULL && self->blocked.head != NULL)
    rouse (self, self->blocked.head->data);
  is_ours_to_emit = may_emit (self, blocked);
  g_fork_driver_unlock (self);

  /* What was to be told together with the result: the caller sees both. */
  if (is_ours_to_emit)
    emit (self);
}

/* Has something emitted in the driver's own context. */
void
g_fork_driver_emit_soon (GForkDriver *self)
{
  self->must_emit = TRUE;
  g_source_set_ready_time (self->home->source, 0);
  for (GList *l = self->blocked.head; l != NULL; l = l->next)
    if (((GForkBlocked *) l->data)->thread == self->home_thread)
      rouse (self, l->data);
}

/* ——— Beginning and end ——— */

/* If it has a defect, nothing can be awaited. The last reference frees the owner. */
GForkDriver *
g_fork_driver_new (const GForkDriverFuncs *funcs,
                   gpointer                owner)
{
  g_autoptr (GMainContext) context = g_main_context_ref_thread_default ();
  GForkDriver *self = g_new0 (GForkDriver, 1);

  g_atomic_ref_count_init (&self->ref_count);
  g_mutex_init (&self->lock);
  self->generation = g_fork_generation ();
  self->funcs = funcs;
  self->owner = owner;
  self->armed_for = self->work_due = G_MAXINT64;
  self->work_fd = -1;
  self->polls = g_hash_table_new (g_int64_hash, g_int64_equal);
  self->written = g_ptr_array_new ();
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
  return self;
}

GForkDriver *
g_fork_driver_ref (GForkDriver *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

static void
close_fd (int fd)
{
  if (fd >= 0)
    close (fd);
}

void
g_fork_driver_unref (GForkDriver *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  self->funcs->free (self->owner);
  g_clear_pointer (&self->work, g_main_context_unref);
  g_array_unref (self->work_fds);
  g_ptr_array_unref (self->written);
  g_hash_table_unref (self->polls);
  close_fd (self->work_fd);
  close_fd (self->epoll_fd);
  close_fd (self->timer_fd);
  close_fd (self->wake_fd);
  g_clear_error (&self->defect);
  g_mutex_clear (&self->lock);
  g_free (self);
}

/* Called with the lock, returns without. Lets go of all main contexts. What was cancelled is
 * called back before, in this thread or in the one that is at work just now. */
void
g_fork_driver_close (GForkDriver *self)
{
  GForkDrive *home = g_steal_pointer (&self->home);

  self->is_closed = TRUE;
  self->work_pending = TRUE;
  g_fork_driver_unlock (self);

  drive_free (home);
}
