/* child.c: one process: whether and how it has ended
 *
 * A process that the application executed is reaped here. One that a template forked is reaped
 * by the template, which reports it. If that template has died, or belongs to another
 * application, the pidfd tells when the process ends and, on recent kernels, how.
 *
 * The thread that sees first that the process has ended records that, in end_and_unlock(), and
 * wakes up the listeners, each in its own context. While the lock of a process is held only the
 * globals' lock is taken, and those of GLib.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "process/child-private.h"

#include "base/context.h"
#include "base/debug.h"
#include "base/generation.h"
#include "base/source.h"
#include "gforkerror.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Direct children that have no pidfd are looked at this often. */
#define LOOK_AGAIN_MS 10

/* A process whose template has died is reaped by the system's init, or by a subreaper that may
 * never do it. Nobody waits for that longer than this. */
#define REAPING_PATIENCE (G_USEC_PER_SEC)

/* From linux/pidfd.h of Linux 6.15, which the headers here are older than. */
struct pidfd_info_v0
{
  guint64 mask;
  guint64 cgroupid;
  guint32 ids[11];
  gint32 exit_code;
};
#define PIDFD_INFO_EXIT (1u << 3)
#define PIDFD_GET_INFO _IOWR (0xFF, 11, struct pidfd_info_v0)

/* waitid() by pidfd, since Linux 5.4. */
#define WAIT_BY_PIDFD 3

/* A source that is dispatched when the process has ended. */
struct _GForkListener
{
  GForkSource base;
  GForkChild *child;
  GForkListenerFunc func;
  gpointer data;
  gpointer watch; /* of the socket of the template that reaps it, or NULL */
  gpointer tag;   /* of the pidfd, or NULL */
  GDestroyNotify free_data;
  gboolean waits; /* it is in the list of the process */
  gboolean called;
  gboolean stopped;
  gboolean is_inherited; /* the child belongs to the process that this one was forked from */
};

/* ——— Coming and going ——— */

static GForkChild *
child_new (Origin origin)
{
  GForkChild *child = g_new0 (GForkChild, 1);

  g_atomic_ref_count_init (&child->ref_count);
  child->generation = g_fork_generation ();
  g_mutex_init (&child->lock);
  child->origin = origin;
  child->pidfd = -1;

  return child;
}

static void reap_in (GForkChild   *child,
                     GMainContext *context);

/* A child of this process that nobody else may reap. */
GForkChild *
g_fork_child_new_direct (pid_t pid)
{
  g_autoptr (GMainContext) context = g_fork_ref_background_context ();
  GForkChild *child = child_new (DIRECT);

  child->pid = pid;
#if defined(SYS_pidfd_open) && !defined(GFORK_PORTABLE)
  child->pidfd = syscall (SYS_pidfd_open, pid, 0);
#endif
  reap_in (child, context);
  return child;
}

/* A process that a template is asked to fork, and to report by this @id. */
GForkChild *
g_fork_child_new_forked (const GForkReaper *funcs,
                         gpointer           reaper,
                         guint32            id)
{
  GForkChild *child = child_new (FORKED);

  child->funcs = funcs;
  child->reaper = funcs->ref (reaper);
  child->id = id;
  return child;
}

GForkChild *
g_fork_child_new_foreign (void)
{
  return child_new (FOREIGN);
}

GForkChild *
g_fork_child_ref (GForkChild *child)
{
  g_atomic_ref_count_inc (&child->ref_count);
  return child;
}

void
g_fork_child_unref (GForkChild *child)
{
  if (!g_atomic_ref_count_dec (&child->ref_count))
    return;

#ifdef __clang_analyzer__
  return; /* It takes each reference for the last one. */
#endif

  /* Another thread may have held the lock when the application was forked. */
  if (child->generation != g_fork_generation ())
    return;

  if (child->pidfd >= 0)
    close (child->pidfd);
  if (child->reaper != NULL)
    child->funcs->unref (child->reaper);
  g_mutex_clear (&child->lock);
  g_free (child->name);
  g_free (child);
}

/* ——— Its end ——— */

static void
debug_end (GForkChild *child)
{
  const int wait_status = child->exited.wait_status;
  g_autofree char *name = child->name != NULL
                              ? g_strdup_printf ("process %d, “%s”,", (int) child->pid, child->name)
                              : g_strdup_printf ("process %d", (int) child->pid);

  if (wait_status == -1)
    g_fork_debug ("%s has ended, and how cannot be known", name);
  else if (WIFSIGNALED (wait_status))
    g_fork_debug ("%s was killed by signal %d (%s)", name, WTERMSIG (wait_status),
                  g_strsignal (WTERMSIG (wait_status)));
  else
    g_fork_debug ("%s has exited with status %d", name, WEXITSTATUS (wait_status));
}

/* Records the end, and wakes up the listeners. To be called with the lock held, which it
 * releases, as it takes other locks to drop the reaper and to end the upkeep. */
static void
end_and_unlock (GForkChild                *child,
                State                      state,
                const struct gfork_exited *exited)
{
  GDestroyNotify end_func;
  gpointer reaper, end_data;
  int pidfd;

  if (child->state != ALIVE)
    {
      g_mutex_unlock (&child->lock);
      return;
    }

  if (exited != NULL)
    child->exited = *exited;
  else
    child->exited.wait_status = -1;
  g_atomic_int_set ((int *) &child->state, state);
  for (GSList *l = child->listeners; l != NULL; l = l->next)
    g_source_set_ready_time (l->data, 0);
  reaper = g_steal_pointer (&child->reaper);
  end_func = g_steal_pointer (&child->end_func);
  end_data = g_steal_pointer (&child->end_data);
  /* The pidfd of a process that led a group is kept, as it is needed to signal the others of the
   * group. */
  pidfd = child->leads_group && !child->forgotten ? -1 : child->pidfd;
  if (pidfd >= 0)
    child->pidfd = -1;
  g_mutex_unlock (&child->lock);

  if (g_fork_debug_is_enabled ())
    debug_end (child);
  if (reaper != NULL)
    child->funcs->unref (reaper);
  if (child->origin == DIRECT)
    g_fork_upkeep_remove (&child->upkeep);
  if (pidfd >= 0)
    close (pidfd);
  if (end_func != NULL)
    end_func (end_data);
}

/* Asks the kernel how a process has ended that another one has reaped. */
static gboolean
get_exit_code (int                  pidfd,
               struct gfork_exited *exited)
{
  struct pidfd_info_v0 info = { .mask = PIDFD_INFO_EXIT };

#ifdef GFORK_PORTABLE
  return FALSE;
#endif
  if (ioctl (pidfd, PIDFD_GET_INFO, &info) != 0 || (info.mask & PIDFD_INFO_EXIT) == 0)
    return FALSE;

  memset (exited, 0, sizeof *exited);
  exited->wait_status = info.exit_code;
  return TRUE;
}

/* Sets what READY or SYNCED says. Takes @pidfd, which may be -1. */
void
g_fork_child_set_pid (GForkChild             *child,
                      const struct gfork_pid *pid,
                      int                     pidfd)
{
  g_mutex_lock (&child->lock);
  if (child->pid == 0)
    child->pid = pid->pid;
  if ((pid->flags & GFORK_PID_LEADS_GROUP) != 0)
    child->leads_group = TRUE;
  if (child->pidfd < 0 && child->state == ALIVE)
    child->pidfd = pidfd;
  else if (pidfd >= 0)
    close (pidfd);
  g_mutex_unlock (&child->lock);
}

/* Sets the name of the function or program that the process runs now that it is no template any
 * more. */
void
g_fork_child_set_name (GForkChild *child,
                       const char *name)
{
  g_autofree char *valid = g_filename_display_name (name);

  g_mutex_lock (&child->lock);
  if (child->name == NULL)
    g_atomic_pointer_set (&child->name, g_steal_pointer (&valid));
  g_mutex_unlock (&child->lock);
}

/* Sets what its template has reported. */
void
g_fork_child_set_exited (GForkChild                *child,
                         const struct gfork_exited *exited)
{
  struct gfork_exited known;

  g_mutex_lock (&child->lock);
  if (exited->wait_status != -1)
    end_and_unlock (child, ENDED, exited);
  else if (child->pidfd >= 0 && get_exit_code (child->pidfd, &known))
    end_and_unlock (child, ENDED, &known);
  else
    end_and_unlock (child, LOST, NULL);
}

/* To be called when the template that would have reported the end has died. If READY has not
 * come yet, the process may still send it, with a pidfd. */
void
g_fork_child_set_orphan (GForkChild *child)
{
  gpointer reaper = NULL;

  g_mutex_lock (&child->lock);
  if (child->state == ALIVE && child->origin == FORKED)
    {
      child->origin = ORPHAN;
      if (child->pidfd < 0 && (child->pid != 0 || child->listeners != NULL))
        {
          end_and_unlock (child, LOST, NULL);
          return;
        }

      reaper = g_steal_pointer (&child->reaper);
      /* From now on they look at the process itself. */
      for (GSList *l = child->listeners; l != NULL; l = l->next)
        g_source_set_ready_time (l->data, 0);
    }
  g_mutex_unlock (&child->lock);

  if (reaper != NULL)
    child->funcs->unref (reaper);
}

static gint64
microseconds (const struct timeval *time)
{
  return (gint64) time->tv_sec * G_USEC_PER_SEC + time->tv_usec;
}

typedef enum
{
  LOOK_ALIVE,
  LOOK_UNREAPED, /* it has ended; how is known when it was reaped */
  LOOK_OVER,
} Look;

/* Reaps a direct child, if it has ended. */
static Look
look_at_direct (GForkChild          *child,
                struct gfork_exited *exited)
{
  struct rusage usage;
  pid_t pid;

  do
    pid = wait4 (child->pid, &exited->wait_status, WNOHANG, &usage);
  while (pid < 0 && errno == EINTR);

  /* One that asks to be traced (PTRACE_TRACEME) has its stops reported here as well. */
  if (pid == 0 || (pid > 0 && WIFSTOPPED (exited->wait_status)))
    return LOOK_ALIVE;
  if (pid > 0)
    {
      exited->user_time = microseconds (&usage.ru_utime);
      exited->system_time = microseconds (&usage.ru_stime);
      exited->max_rss = (guint64) usage.ru_maxrss * 1024;
      return LOOK_OVER;
    }

  /* Something else has reaped it, or the application ignores SIGCHLD. */
  if (child->pidfd < 0 || !get_exit_code (child->pidfd, exited))
    exited->wait_status = -1;
  return LOOK_OVER;
}

static gboolean
is_end (const siginfo_t *info)
{
  return info->si_pid != 0 && info->si_code != CLD_TRAPPED && info->si_code != CLD_STOPPED;
}

/* Reaps an orphan, if this process is the subreaper that is its parent now. It uses the pidfd,
 * since the process ID came from the process itself, and may be another process's here. */
static gboolean
reap_orphan (GForkChild          *child,
             struct gfork_exited *exited)
{
  siginfo_t info = { 0 };

  if (waitid (WAIT_BY_PIDFD, child->pidfd, &info, WEXITED | WNOHANG) != 0 || !is_end (&info))
    return FALSE;

  if (info.si_code == CLD_EXITED)
    exited->wait_status = (info.si_status & 0xff) << 8;
  else
    exited->wait_status = info.si_status | (info.si_code == CLD_DUMPED ? 0x80 : 0);
  return TRUE;
}

/* Looks at a process that is no child of this one, by its pidfd. With @give_up, one that has
 * ended and was not reaped is LOST. */
static Look
look_by_pidfd (GForkChild          *child,
               struct gfork_exited *exited,
               gboolean             give_up)
{
  struct pollfd poll_fd = { .fd = child->pidfd, .events = POLLIN };
  gboolean reaped;

  if (child->pidfd < 0 || poll (&poll_fd, 1, 0) <= 0)
    return LOOK_ALIVE;

  reaped = (poll_fd.revents & POLLHUP) != 0;
  if (!reaped && child->origin == ORPHAN && reap_orphan (child, exited))
    return LOOK_OVER;
  if (get_exit_code (child->pidfd, exited))
    return LOOK_OVER;
  if (!reaped && !give_up)
    return LOOK_UNREAPED;

  exited->wait_status = -1;
  return LOOK_OVER;
}

/* Looks whether the process has ended, without waiting. */
static Look
look (GForkChild *child,
      gboolean    give_up)
{
  struct gfork_exited exited = { 0 };
  Look seen;

  g_mutex_lock (&child->lock);
  if (child->state != ALIVE)
    seen = LOOK_OVER;
  else if (child->origin == DIRECT)
    seen = look_at_direct (child, &exited);
  else if (child->origin == FORKED)
    seen = LOOK_ALIVE;
  else
    seen = look_by_pidfd (child, &exited, give_up);

  if (seen == LOOK_OVER && child->state == ALIVE)
    end_and_unlock (child, exited.wait_status == -1 ? LOST : ENDED, &exited);
  else
    {
      if (seen == LOOK_UNREAPED && child->unreaped_since == 0)
        child->unreaped_since = g_get_monotonic_time ();
      g_mutex_unlock (&child->lock);
    }
  return seen;
}

/* Whether its end can never be seen. */
static gboolean
is_unknowable (GForkChild *child)
{
  return child->state == ALIVE && child->pidfd < 0
         && (child->origin == FOREIGN || child->origin == ORPHAN);
}

/* Looks at the process. Returns whether it is known to have ended. */
gboolean
g_fork_child_check (GForkChild *child)
{
  return child->generation != g_fork_generation () || look (child, FALSE) == LOOK_OVER;
}

/* Like g_fork_child_check(), but does what a listener would do as well: it reads the reports,
 * and gives up waiting for an orphan to be reaped. */
gboolean
g_fork_child_is_running (GForkChild *child)
{
  gpointer reaper = NULL;
  gboolean give_up;

  if (g_fork_child_check (child))
    return FALSE;

  g_mutex_lock (&child->lock);
  if (child->reaper != NULL)
    reaper = child->funcs->ref (child->reaper);
  give_up = child->unreaped_since != 0
            && g_get_monotonic_time () - child->unreaped_since >= REAPING_PATIENCE;
  if (is_unknowable (child))
    end_and_unlock (child, LOST, NULL);
  else
    g_mutex_unlock (&child->lock);

  if (reaper != NULL)
    {
      child->funcs->read (reaper);
      child->funcs->unref (reaper);
    }
  return look (child, give_up) != LOOK_OVER;
}

/* ——— Listening ——— */

/* The lock is held. */
static void
remove_listener (GForkListener *listener)
{
  listener->child->listeners = g_slist_remove (listener->child->listeners, listener);
  listener->waits = FALSE;
}

/* The listener has reaped a direct child, which is all that it is for. */
static void
on_reaped (GForkChild *child,
           gpointer    data)
{
}

/* The context of a listener is being freed. */
static void
on_listener_gone (gpointer source)
{
  GForkListener *self = source;
  gboolean waited;

  if (self->child->generation != g_fork_generation ())
    return;

  g_mutex_lock (&self->child->lock);
  waited = self->waits;
  if (waited)
    remove_listener (self);
  g_mutex_unlock (&self->child->lock);

  if (waited && self->func == on_reaped)
    reap_in (self->child, g_main_context_default ());
}

/* Has the source watch the process itself, if no template reports its end. */
static void
watch_process (GForkListener *self)
{
  GSource *source = &self->base.source;

  if (self->child->pidfd >= 0)
    self->tag = g_source_add_unix_fd (source, self->child->pidfd, G_IO_IN);
  else
    g_source_set_ready_time (source, g_get_monotonic_time () + LOOK_AGAIN_MS * 1000);
}

static gboolean
listener_dispatch (GSource     *source,
                   GSourceFunc  callback,
                   gpointer     user_data)
{
  GForkListener *self = (GForkListener *) source;
  GForkChild *child = self->child;
  gint64 deadline = g_source_get_ready_time (source);
  gint64 now = g_source_get_time (source);
  gboolean waited;
  GMainContext *outer;

  if (child->generation != g_fork_generation ())
    {
      if (self->is_inherited)
        self->func (child, self->data);
      return G_SOURCE_REMOVE;
    }

  switch (look (child, self->tag != NULL && deadline > 0 && now >= deadline))
    {
    case LOOK_OVER:
      break;

    case LOOK_UNREAPED:
      /* It may be a child of this process that was detached as a template, and taken over again. */
      g_fork_upkeep ();
      /* The pidfd hangs up when the process was reaped. That is waited for without any condition
       * being set. */
      if (deadline <= 0)
        {
          if (self->tag == NULL)
            watch_process (self);
          g_source_modify_unix_fd (source, self->tag, 0);
          g_source_set_ready_time (source, now + REAPING_PATIENCE);
        }
      return G_SOURCE_CONTINUE;

    case LOOK_ALIVE:
      g_source_set_ready_time (source, -1);
      g_mutex_lock (&child->lock);
      if (child->origin != FORKED && self->tag == NULL)
        watch_process (self);
      waited = child->state != ALIVE;
      g_mutex_unlock (&child->lock);
      if (waited)
        g_source_set_ready_time (source, 0);
      return G_SOURCE_CONTINUE;
    }

  g_mutex_lock (&child->lock);
  waited = self->waits;
  self->called = waited;
  if (waited)
    remove_listener (self);
  g_mutex_unlock (&child->lock);
  if (!waited)
    return G_SOURCE_REMOVE;

  outer = g_fork_dispatch_begin (g_source_get_context (source));
  self->func (child, self->data);
  g_fork_dispatch_end (outer);
  return G_SOURCE_REMOVE;
}

static void
listener_finalize (GSource *source)
{
  GForkListener *self = (GForkListener *) source;

  if (self->watch != NULL)
    self->child->funcs->unwatch (self->watch);
  if (self->free_data != NULL)
    self->free_data (self->data);
  g_fork_child_unref (self->child);
}

static GSourceFuncs listener_funcs = {
  .dispatch = listener_dispatch,
  .finalize = listener_finalize,
};

/* Calls @func with @data, which is freed with the listener, when the process has ended. */
GForkListener *
g_fork_listener_new (GForkChild        *child,
                     GForkListenerFunc  func,
                     gpointer           data,
                     GDestroyNotify     free_data)
{
  GForkListener *self = (GForkListener *) g_source_new (&listener_funcs, sizeof *self);

  self->child = g_fork_child_ref (child);
  self->func = func;
  self->data = data;
  self->free_data = free_data;
  return self;
}

GForkListener *
g_fork_listener_ref (GForkListener *self)
{
  g_source_ref (&self->base.source);
  return self;
}

void
g_fork_listener_unref (GForkListener *self)
{
  g_source_unref (&self->base.source);
}

/* Has the function called in @context, also if the process has ended already. The listener holds
 * no reference to the context: if that is freed, the function is not called. */
void
g_fork_listener_start (GForkListener *self,
                       GMainContext  *context)
{
  GForkChild *child = self->child;
  GSource *source = &self->base.source;
  gpointer reaper = NULL;

  if (child->generation != g_fork_generation ())
    {
      /* The child belongs to the process that this one was forked from, so here it counts as
       * lost. */
      self->is_inherited = TRUE;
      g_source_set_ready_time (source, 0);
      g_source_attach (source, context);
      return;
    }

  /* Not under the lock of the child, since this takes the reaper's. */
  g_mutex_lock (&child->lock);
  if (child->reaper != NULL)
    reaper = child->funcs->ref (child->reaper);
  g_mutex_unlock (&child->lock);
  if (reaper != NULL)
    {
      self->watch = child->funcs->watch (reaper, context);
      child->funcs->unref (reaper);
    }

  g_mutex_lock (&child->lock);
  if (is_unknowable (child))
    {
      end_and_unlock (child, LOST, NULL);
      g_mutex_lock (&child->lock);
    }
  if (!self->stopped)
    {
      self->waits = TRUE;
      child->listeners = g_slist_append (child->listeners, self);
      if (child->state != ALIVE)
        g_source_set_ready_time (source, 0);
      else if (child->origin != FORKED)
        watch_process (self);
      g_fork_source_attach (&self->base, "[gspawnfork] process", on_listener_gone, context);
    }
  g_mutex_unlock (&child->lock);
}

/* Takes the listener. Returns %TRUE if this has kept its function from being called. */
gboolean
g_fork_listener_stop (GForkListener *self)
{
  GForkChild *child = self->child;
  gboolean waited = FALSE;

  if (child->generation == g_fork_generation ())
    {
      g_mutex_lock (&child->lock);
      waited = self->waits || (!self->stopped && !self->called);
      self->stopped = TRUE;
      if (self->waits)
        remove_listener (self);
      g_fork_source_drop (&self->base);
      g_mutex_unlock (&child->lock);
    }
  else if (self->is_inherited)
    g_source_destroy (&self->base.source);

  g_fork_listener_unref (self);
  return waited;
}

/* ——— Reaping it ——— */

/* Has a direct child reaped when @context is iterated. If that is freed, the default context
 * takes over. */
static void
reap_in (GForkChild   *child,
         GMainContext *context)
{
  GForkListener *listener = g_fork_listener_new (child, on_reaped, NULL, NULL);

  g_fork_listener_start (listener, context);
  g_fork_listener_unref (listener);
}

/* Has @func called with @data, which it takes, when a direct child has ended, by the thread that
 * sees it. Returns the data of the function that this replaces. */
gpointer
g_fork_child_set_end_func (GForkChild     *child,
                           GDestroyNotify  func,
                           gpointer        data)
{
  gpointer old;

  g_mutex_lock (&child->lock);
  old = child->end_data;
  child->end_func = func;
  child->end_data = data;
  g_mutex_unlock (&child->lock);
  return old;
}

static void
look_after (gpointer child)
{
  g_fork_child_check (child);
}

static gpointer
upkeep_ref (gpointer child)
{
  return g_fork_child_ref (child);
}

static void
upkeep_unref (gpointer child)
{
  g_fork_child_unref (child);
}

/* To be called when the process has no control socket any more, which would show its end. If no
 * main loop runs, the upkeep reaps a direct child. */
void
g_fork_child_leave (GForkChild *child)
{
  if (child->origin != DIRECT || g_fork_child_check (child))
    return;

  g_mutex_lock (&child->lock);
  if (child->state == ALIVE)
    {
      child->upkeep = (GForkUpkeep){ upkeep_ref, upkeep_unref, look_after, child, child->pidfd };
      g_fork_upkeep_add (&child->upkeep);
    }
  g_mutex_unlock (&child->lock);
}

/* To be called when nobody will ask how the process has ended, or signal it. */
void
g_fork_child_forget (GForkChild *child)
{
  int pidfd = -1;

  if (child->generation != g_fork_generation ())
    return;

  g_mutex_lock (&child->lock);
  child->forgotten = TRUE;
  if (child->state != ALIVE || (child->origin != DIRECT && child->listeners == NULL))
    {
      pidfd = child->pidfd;
      child->pidfd = -1;
    }
  g_mutex_unlock (&child->lock);
  if (pidfd >= 0)
    close (pidfd);
}

/* ——— About it ——— */

pid_t
g_fork_child_get_pid (GForkChild *child)
{
  return child->pid;
}

/* Returns %NULL if it runs nothing yet. */
const char *
g_fork_child_get_name (GForkChild *child)
{
  return g_atomic_pointer_get (&child->name);
}

gboolean
g_fork_child_is_direct (GForkChild *child)
{
  return child->origin == DIRECT;
}

gboolean
g_fork_child_is_lost (GForkChild *child)
{
  return child->generation != g_fork_generation ()
         || g_atomic_int_get ((int *) &child->state) == LOST;
}

/* Returns %NULL as long as the process is not known to have ended. In a fork of the
 * application it is lost. */
const struct gfork_exited *
g_fork_child_get_exited (GForkChild *child)
{
  static const struct gfork_exited unknown = { .wait_status = -1 };

  if (g_atomic_int_get ((int *) &child->state) != ALIVE)
    return &child->exited;
  return child->generation != g_fork_generation () ? &unknown : NULL;
}

/* Whether it has ended, even if it was not reaped yet. */
gboolean
g_fork_child_has_ended (GForkChild *child)
{
  struct pollfd poll_fd = { .events = POLLIN };
  siginfo_t info = { 0 };
  gboolean ended;

  if (child->generation != g_fork_generation ())
    return TRUE;

  g_mutex_lock (&child->lock);
  poll_fd.fd = child->pidfd;
  if (child->state != ALIVE)
    ended = TRUE;
  else if (child->pidfd >= 0)
    ended = poll (&poll_fd, 1, 0) > 0;
  else if (child->origin == DIRECT)
    ended = waitid (P_PID, child->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0
            || is_end (&info);
  else
    ended = FALSE;
  g_mutex_unlock (&child->lock);
  return ended;
}

/* Whether its end can be seen. */
gboolean
g_fork_child_will_tell (GForkChild *child)
{
  gboolean will;

  g_mutex_lock (&child->lock);
  will = !is_unknowable (child);
  g_mutex_unlock (&child->lock);
  return will;
}
