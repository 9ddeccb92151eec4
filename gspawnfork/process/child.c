/* child.c: one process, whoever reaps it: whether and how it has ended
 *
 * A process that the application executed is reaped here. One that a template
 * forked is reaped by the template, which reports it on its channel. If that
 * template is gone, or was somebody else's all along, the pidfd tells when the
 * process ends and, on recent kernels, how.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "process/child.h"

#include "base/context.h"
#include "gforkerror.h"
#include "base/generation.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n-lib.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where there is no pidfd, direct children are looked after this often. */
#define LOOK_AGAIN_MS 10

/* A process whose template is gone is reaped by the system's init, or by a
 * subreaper that may never do it. Nobody waits for that longer than this. */
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

/* From linux/pidfd.h of Linux 6.9. */
#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1u << 2)
#endif

typedef enum
{
  DIRECT,  /* ours to reap */
  FORKED,  /* a template's to reap, which reports it */
  FOREIGN, /* somebody's */
} Origin;

typedef enum
{
  ALIVE,
  ENDED,
  LOST,
} State;

typedef struct
{
  GMainContext *context;
  GForkListenerFunc func;
  gpointer data;
  GForkWatch *watch; /* on the channel of the template that reaps, or */
  GSource *source;   /* on the process itself */
} GForkListener;

struct _GForkChild
{
  gatomicrefcount ref_count;
  guint generation;

  GMutex lock;
  Origin origin;
  State state; /* written under the lock, read anywhere */
  pid_t pid;
  int pidfd;
  GForkChannel *reaper;
  guint32 id;
  gboolean leads_group; /* a process group of its own, and a session */
  gint64 unreaped_since; /* when it was first seen to have ended, or 0 */
  guint holds;
  gboolean unattended;
  struct gfork_exited exited;
  GSList *listeners;

  GList link; /* in direct_children */
};

/* Guarded by the globals' lock. */
static GQueue direct_children = G_QUEUE_INIT;

/* How many of them are no templates any more, and may end whenever they like. */
static int n_unattended;

static GSource *child_source_new (GForkChild *child);

/* ——— Coming and going ——— */

static void
forget_direct_children (void)
{
  g_queue_init (&direct_children);
  n_unattended = 0;
}

static GForkChild *
child_new (Origin origin)
{
  GForkChild *child = g_new0 (GForkChild, 1);

  g_atomic_ref_count_init (&child->ref_count);
  child->generation = g_fork_generation ();
  g_mutex_init (&child->lock);
  child->origin = origin;
  child->pidfd = -1;
  child->link.data = child;

  return child;
}

/* A child of this process that nobody else may reap. */
GForkChild *
g_fork_child_new_direct (pid_t pid)
{
  static gsize hooked;
  GForkChild *child = child_new (DIRECT);

  if (g_once_init_enter (&hooked))
    {
      g_fork_add_child_hook (forget_direct_children);
      g_once_init_leave (&hooked, 1);
    }

  child->pid = pid;
#if defined(SYS_pidfd_open) && !defined(GFORK_PORTABLE)
  child->pidfd = syscall (SYS_pidfd_open, pid, 0);
#endif

  g_fork_globals_lock ();
  g_queue_push_tail_link (&direct_children, &g_fork_child_ref (child)->link);
  g_fork_globals_unlock ();

  return child;
}

GForkChild *
g_fork_child_new_forked (GForkChannel *reaper,
                         guint32       id)
{
  GForkChild *child = child_new (FORKED);

  child->reaper = g_fork_channel_ref (reaper);
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

  if (child->pidfd >= 0)
    close (child->pidfd);
  g_clear_pointer (&child->reaper, g_fork_channel_unref);
  g_mutex_clear (&child->lock);
  g_free (child);
}

static void
ignore_end (GForkChild   *child,
            GMainContext *context,
            gpointer      data)
{
}

/* From here on no control socket tells when the process ends. */
void
g_fork_child_set_unattended (GForkChild *child)
{
  g_mutex_lock (&child->lock);
  if (child->origin == DIRECT && child->state == ALIVE && !child->unattended)
    {
      child->unattended = TRUE;
      g_atomic_int_inc (&n_unattended);
    }
  g_mutex_unlock (&child->lock);
}

/* As long as somebody holds a process that a template reaps, the template is
 * needed. One that nobody holds is still reaped. */
void
g_fork_child_hold (GForkChild *child)
{
  g_mutex_lock (&child->lock);
  if (child->holds++ == 0 && child->origin == FORKED && child->state == ALIVE)
    g_fork_channel_use (child->reaper);
  g_mutex_unlock (&child->lock);
}

void
g_fork_child_release (GForkChild *child)
{
  g_autoptr (GForkChannel) unused = NULL;
  gboolean abandoned = FALSE;

  if (child->generation != g_fork_generation ())
    return;

  g_mutex_lock (&child->lock);
  child->holds--;
  if (child->holds == 0 && child->state != ALIVE && child->pidfd >= 0)
    {
      close (child->pidfd);
      child->pidfd = -1;
    }
  if (child->holds == 0 && child->state == ALIVE)
    {
      if (child->origin == FORKED)
        unused = g_fork_channel_ref (child->reaper);
      abandoned = child->origin == DIRECT;
      /* Its template reaps it, and nobody will ask how it ended. */
      if (!abandoned && child->pidfd >= 0 && child->listeners == NULL)
        {
          close (child->pidfd);
          child->pidfd = -1;
        }
    }
  g_mutex_unlock (&child->lock);

  if (unused != NULL)
    g_fork_channel_unuse (unused);
  if (abandoned && !g_fork_child_check (child))
    {
      g_autoptr (GMainContext) context = g_fork_ref_background_context ();

      g_fork_child_listen (child, context, ignore_end, NULL);
    }
}

/* ——— Its end ——— */

static void
listener_free (GForkListener *listener)
{
  g_clear_pointer (&listener->watch, g_fork_watch_release);
  if (listener->source != NULL)
    {
      g_source_destroy (listener->source);
      g_source_unref (listener->source);
    }
  g_main_context_unref (listener->context);
  g_free (listener);
}

/* To be called with the lock held, which it releases: what is told to others
 * must not be told under a lock. */
static void
end_and_unlock (GForkChild                *child,
                State                      state,
                const struct gfork_exited *exited)
{
  g_autoptr (GForkChannel) reaper = NULL;
  GSList *listeners;
  gboolean unused, direct;

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
  listeners = g_slist_reverse (g_steal_pointer (&child->listeners));
  reaper = g_steal_pointer (&child->reaper);
  unused = child->origin == FORKED && child->holds > 0;
  direct = child->origin == DIRECT;
  if (child->unattended)
    g_atomic_int_add (&n_unattended, -1);
  /* Of a group that it led there may be others, which are signalled by this. */
  if (child->pidfd >= 0 && !(child->leads_group && child->holds > 0))
    {
      close (child->pidfd);
      child->pidfd = -1;
    }
  g_mutex_unlock (&child->lock);

  if (direct)
    {
      g_fork_globals_lock ();
      g_queue_unlink (&direct_children, &child->link);
      g_fork_globals_unlock ();
    }

  for (GSList *l = listeners; l != NULL; l = l->next)
    {
      GForkListener *listener = l->data;

      listener->func (child, listener->context, listener->data);
      listener_free (listener);
    }
  g_slist_free (listeners);

  if (unused)
    g_fork_channel_unuse (reaper);
  if (direct)
    g_fork_child_unref (child);
}

/* What the kernel remembers of a process that somebody else has reaped. */
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

/* What READY or SYNCED has told. Takes @pidfd, which may be -1. */
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

/* The template that would have reported is gone. A process that has not said yet who it
 * is may still come, and with a pidfd. */
void
g_fork_child_set_orphan (GForkChild *child)
{
  g_autoptr (GForkChannel) reaper = NULL;
  GSList *watches = NULL;

  g_mutex_lock (&child->lock);
  if (child->state == ALIVE && child->origin == FORKED && child->pidfd < 0
      && (child->pid != 0 || child->listeners != NULL))
    {
      end_and_unlock (child, LOST, NULL);
      return;
    }

  if (child->state == ALIVE && child->origin == FORKED)
    {
      child->origin = FOREIGN;
      /* NOLINTNEXTLINE(clang-analyzer-deadcode.DeadStores): dropped at the end */
      reaper = g_steal_pointer (&child->reaper);
      for (GSList *l = child->listeners; l != NULL; l = l->next)
        {
          GForkListener *listener = l->data;

          watches = g_slist_prepend (watches, g_steal_pointer (&listener->watch));
          listener->source = child_source_new (child);
          g_source_attach (listener->source, listener->context);
        }
    }
  g_mutex_unlock (&child->lock);

  for (GSList *l = watches; l != NULL; l = l->next)
    if (l->data != NULL)
      g_fork_watch_release (l->data);
  g_slist_free (watches);
}

static gint64
microseconds (const struct timeval *time)
{
  return (gint64) time->tv_sec * G_USEC_PER_SEC + time->tv_usec;
}

typedef enum
{
  LOOK_ALIVE,
  LOOK_UNREAPED, /* it has ended, and how will be known once it was reaped */
  LOOK_OVER,
} Look;

/* Looks whether the process has ended, without waiting. With @give_up, an end of
 * which nothing more is known yet counts as lost. */
static Look
look (GForkChild *child,
      gboolean    give_up)
{
  struct gfork_exited exited = { 0 };
  struct pollfd poll_fd = { .events = POLLIN };

  g_mutex_lock (&child->lock);

  if (child->state != ALIVE)
    {
      g_mutex_unlock (&child->lock);
      return LOOK_OVER;
    }

  if (child->origin == DIRECT)
    {
      struct rusage usage;
      pid_t pid;

      do
        pid = wait4 (child->pid, &exited.wait_status, WNOHANG, &usage);
      while (pid < 0 && errno == EINTR);

      if (pid == 0)
        {
          g_mutex_unlock (&child->lock);
          return LOOK_ALIVE;
        }
      if (pid > 0)
        {
          exited.user_time = microseconds (&usage.ru_utime);
          exited.system_time = microseconds (&usage.ru_stime);
          exited.max_rss = (guint64) usage.ru_maxrss * 1024;
          end_and_unlock (child, ENDED, &exited);
          return LOOK_OVER;
        }
      /* Somebody else has reaped it, or the application ignores SIGCHLD. */
      if (child->pidfd < 0)
        {
          end_and_unlock (child, LOST, NULL);
          return LOOK_OVER;
        }
    }

  poll_fd.fd = child->pidfd;
  if (child->origin == FORKED || child->pidfd < 0 || poll (&poll_fd, 1, 0) <= 0)
    {
      g_mutex_unlock (&child->lock);
      return LOOK_ALIVE;
    }

  /* Orphans come to the next subreaper above them, which may be this process. */
  if ((poll_fd.revents & POLLHUP) == 0 && child->pid > 0 && child->origin == FOREIGN
      && wait4 (child->pid, &exited.wait_status, WNOHANG, NULL) == child->pid)
    end_and_unlock (child, ENDED, &exited); /* NOLINT(bugprone-branch-clone): as below */
  else if (get_exit_code (child->pidfd, &exited))
    end_and_unlock (child, ENDED, &exited);
  else if (give_up || (poll_fd.revents & POLLHUP) != 0 || child->origin == DIRECT)
    end_and_unlock (child, LOST, NULL);
  else
    {
      if (child->unreaped_since == 0)
        child->unreaped_since = g_get_monotonic_time ();
      g_mutex_unlock (&child->lock);
      return LOOK_UNREAPED;
    }

  return LOOK_OVER;
}

/* Returns whether it is known to have ended. */
gboolean
g_fork_child_check (GForkChild *child)
{
  if (child->generation != g_fork_generation ())
    return TRUE;

  return look (child, FALSE) == LOOK_OVER;
}

/* Like g_fork_child_check(), for those who do not wait otherwise: reads what the template
 * that reaps it has said. */
gboolean
g_fork_child_is_running (GForkChild *child)
{
  g_autoptr (GForkChannel) reaper = NULL;
  gboolean give_up, unknowable;

  if (g_fork_child_check (child))
    return FALSE;

  g_mutex_lock (&child->lock);
  if (child->reaper != NULL)
    reaper = g_fork_channel_ref (child->reaper);
  unknowable = child->origin == FOREIGN && child->pidfd < 0;
  give_up = child->unreaped_since != 0
            && g_get_monotonic_time () - child->unreaped_since >= REAPING_PATIENCE;
  if (unknowable)
    end_and_unlock (child, LOST, NULL);
  else
    g_mutex_unlock (&child->lock);

  if (reaper != NULL)
    g_fork_channel_check (reaper);
  return look (child, give_up) != LOOK_OVER;
}

/* Reaps whichever direct children have ended, for programs that iterate no main
 * context. One system call if none of them has; none if there are only templates. */
void
g_fork_child_sweep (void)
{
  siginfo_t info = { 0 };
  GSList *children = NULL;

  if (g_atomic_int_get (&n_unattended) == 0)
    return;
  if (waitid (P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
    return;

  g_fork_globals_lock ();
  for (GList *l = direct_children.head; l != NULL; l = l->next)
    children = g_slist_prepend (children, g_fork_child_ref (l->data));
  g_fork_globals_unlock ();

  for (GSList *l = children; l != NULL; l = l->next)
    g_fork_child_check (l->data);
  g_slist_free_full (children, (GDestroyNotify) g_fork_child_unref);
}

/* ——— Listening ——— */

typedef struct
{
  GSource source;
  GForkChild *child;
  gpointer tag;
} ChildSource;

static gboolean
child_source_dispatch (GSource     *source,
                       GSourceFunc  callback,
                       gpointer     user_data)
{
  ChildSource *self = (ChildSource *) source;
  gint64 deadline = g_source_get_ready_time (source);
  gint64 now = g_source_get_time (source);
  GMainContext *outer;
  Look seen;

  if (self->child->generation != g_fork_generation ())
    return G_SOURCE_REMOVE;

  outer = g_fork_dispatch_begin (g_source_get_context (source));
  seen = look (self->child, self->tag != NULL && deadline >= 0 && now >= deadline);
  g_fork_dispatch_end (outer);

  switch (seen)
    {
    case LOOK_OVER:
      return G_SOURCE_REMOVE;

    case LOOK_UNREAPED:
      /* It may be a child of this very process, which has detached it. */
      g_fork_child_sweep ();
      /* The end of the reaping is a hang-up, which is always waited for. */
      if (deadline < 0)
        {
          g_source_modify_unix_fd (source, self->tag, 0);
          g_source_set_ready_time (source, now + REAPING_PATIENCE);
        }
      break;

    case LOOK_ALIVE:
      if (self->tag == NULL)
        g_source_set_ready_time (source, now + LOOK_AGAIN_MS * 1000);
      break;
    }

  return G_SOURCE_CONTINUE;
}

static void
child_source_finalize (GSource *source)
{
  g_fork_child_unref (((ChildSource *) source)->child);
}

static GSourceFuncs child_source_funcs = {
  .dispatch = child_source_dispatch,
  .finalize = child_source_finalize,
};

static GSource *
child_source_new (GForkChild *child)
{
  GSource *source = g_source_new (&child_source_funcs, sizeof (ChildSource));
  ChildSource *self = (ChildSource *) source;

  g_source_set_static_name (source, "[gspawnfork] process");
  self->child = g_fork_child_ref (child);
  if (child->pidfd >= 0)
    self->tag = g_source_add_unix_fd (source, child->pidfd, G_IO_IN);
  else
    g_source_set_ready_time (source, g_get_monotonic_time () + LOOK_AGAIN_MS * 1000);

  return source;
}

/* Calls @func when the process has ended, which is noticed at the latest when
 * @context is iterated. Returns %FALSE if it has ended already. @data, if somebody is to
 * stop listening, is nobody else's. */
gboolean
g_fork_child_listen (GForkChild        *child,
                     GMainContext      *context,
                     GForkListenerFunc  func,
                     gpointer           data)
{
  GForkListener *listener = NULL;

  if (g_fork_child_check (child))
    return FALSE;

  g_mutex_lock (&child->lock);
  if (child->origin == FOREIGN && child->pidfd < 0)
    {
      /* Nothing will tell when it ends. */
      end_and_unlock (child, LOST, NULL);
      return FALSE;
    }
  if (child->state == ALIVE)
    {
      listener = g_new0 (GForkListener, 1);
      listener->context = g_main_context_ref (context);
      listener->func = func;
      listener->data = data;
      if (child->origin == FORKED)
        listener->watch = g_fork_channel_watch (child->reaper, context);
      else
        {
          listener->source = child_source_new (child);
          g_source_attach (listener->source, context);
        }
      child->listeners = g_slist_prepend (child->listeners, listener);
    }
  g_mutex_unlock (&child->lock);

  return listener != NULL;
}

/* Returns whether somebody was still listening with @data; if not, the function was called,
 * or will be at once. */
gboolean
g_fork_child_unlisten (GForkChild    *child,
                       gconstpointer  data)
{
  GForkListener *listener = NULL;

  if (child->generation != g_fork_generation ())
    return FALSE;

  g_mutex_lock (&child->lock);
  for (GSList *l = child->listeners; l != NULL && listener == NULL; l = l->next)
    if (((GForkListener *) l->data)->data == data)
      listener = l->data;
  child->listeners = g_slist_remove (child->listeners, listener);
  g_mutex_unlock (&child->lock);

  if (listener != NULL)
    listener_free (listener);
  return listener != NULL;
}

/* ——— About it ——— */

pid_t
g_fork_child_get_pid (GForkChild *child)
{
  return child->pid;
}

gboolean
g_fork_child_is_lost (GForkChild *child)
{
  return child->generation != g_fork_generation ()
         || g_atomic_int_get ((int *) &child->state) == LOST;
}

/* %NULL as long as it is not known to have ended. */
const struct gfork_exited *
g_fork_child_get_exited (GForkChild *child)
{
  return g_atomic_int_get ((int *) &child->state) == ALIVE ? NULL : &child->exited;
}

/* Whether it has ended, reaped or not. */
gboolean
g_fork_child_has_ended (GForkChild *child)
{
  struct pollfd poll_fd = { .events = POLLIN };
  gboolean ended;

  if (child->generation != g_fork_generation ())
    return TRUE;

  g_mutex_lock (&child->lock);
  poll_fd.fd = child->pidfd;
  ended = child->state != ALIVE || (child->pidfd >= 0 && poll (&poll_fd, 1, 0) > 0);
  g_mutex_unlock (&child->lock);
  return ended;
}

/* Whether its end will be seen when it comes. */
gboolean
g_fork_child_will_tell (GForkChild *child)
{
  gboolean will;

  g_mutex_lock (&child->lock);
  will = child->origin != FOREIGN || child->pidfd >= 0;
  g_mutex_unlock (&child->lock);
  return will;
}

/* Where that cannot be done at all, errno is ENOSYS. */
static int
send_signal_by_pidfd (int      pidfd,
                      int      signum,
                      unsigned flags)
{
  int result = -1;

  errno = ENOSYS;
#if defined(SYS_pidfd_send_signal) && !defined(GFORK_PORTABLE)
  result = syscall (SYS_pidfd_send_signal, pidfd, signum, NULL, flags);
  /* Kernels that do not know a flag. */
  if (result != 0 && errno == EINVAL && flags != 0)
    errno = ENOSYS;
  /* Filters that are older than a call refuse it, many of them with EPERM, which may
   * also be true. Of a pidfd that nobody has it is not. */
  if (result != 0 && errno == EPERM && syscall (SYS_pidfd_send_signal, -1, 0, NULL, 0) != 0)
    errno = errno == EPERM ? ENOSYS : EPERM;
#endif

  return result;
}

/* EOWNERDEAD stands for a process whose template is gone. */
static gboolean
set_kill_error (GForkChild  *child,
                gboolean     to_group,
                int          signum,
                int          error_number,
                GError     **error)
{
  GForkError code = G_FORK_ERROR_FAILED;

  if (error_number == EOWNERDEAD)
    code = G_FORK_ERROR_LOST;
  else if (error_number == ESRCH)
    code = g_fork_child_is_lost (child) ? G_FORK_ERROR_LOST : G_FORK_ERROR_CLOSED;
  else if (error_number == ENOSYS)
    code = G_FORK_ERROR_NOT_SUPPORTED;

  g_set_error (error, G_FORK_ERROR, code,
               to_group ? _("Could not send signal %d to the group of process %d: %s")
                        : _("Could not send signal %d to process %d: %s"),
               signum, (int) child->pid,
               code == G_FORK_ERROR_LOST ? _("the template that it was forked from is gone")
                                         : g_strerror (error_number));
  return FALSE;
}

/* Sends a signal to this process, or to the group that it leads, and to no other, even if
 * its number is in use again: by its pidfd; or, since a number is free only after it was
 * reaped, from the process that has not reaped it. */
static gboolean
send_signal (GForkChild  *child,
             gboolean     to_group,
             int          signum,
             GError     **error)
{
  g_autoptr (GForkChannel) reaper = NULL;
  int result = -1;

  g_mutex_lock (&child->lock);
  errno = ESRCH;
  if (signum < 0 || signum >= NSIG)
    errno = EINVAL;
  else if (child->pidfd >= 0 || child->state == ALIVE)
    {
      errno = ENOSYS;
      if (child->pidfd >= 0)
        result = send_signal_by_pidfd (child->pidfd, signum,
                                       to_group ? PIDFD_SIGNAL_PROCESS_GROUP : 0);
      if (result != 0 && errno == ENOSYS && child->state != ALIVE)
        errno = ESRCH;
      else if (result != 0 && errno == ENOSYS && child->origin == DIRECT)
        result = kill (to_group ? -child->pid : child->pid, signum);
      else if (result != 0 && errno == ENOSYS && child->origin == FORKED)
        reaper = g_fork_channel_ref (child->reaper);
    }
  g_mutex_unlock (&child->lock);

  if (reaper != NULL)
    {
      struct gfork_kill frame = { .id = child->id, .signum = to_group ? -signum : signum };

      /* Only a template that lives can do it. If it does not, nobody can. */
      g_fork_channel_check (reaper);
      if (g_fork_child_check (child))
        errno = ESRCH;
      else if (g_fork_channel_is_doomed (reaper))
        errno = EOWNERDEAD;
      else
        {
          g_fork_channel_send (reaper, GFORK_KILL, &frame, sizeof frame, NULL, 0);
          return TRUE;
        }
    }

  return result == 0 || set_kill_error (child, to_group, signum, errno, error);
}

gboolean
g_fork_child_kill (GForkChild  *child,
                   int          signum,
                   GError     **error)
{
  if (g_fork_child_check (child))
    return set_kill_error (child, FALSE, signum, ESRCH, error);

  return send_signal (child, FALSE, signum, error);
}

/* Also after the end of the process itself, as long as somebody holds it and the kernel
 * can do it. */
gboolean
g_fork_child_kill_group (GForkChild  *child,
                         int          signum,
                         GError     **error)
{
  g_fork_child_check (child);
  if (child->generation != g_fork_generation ())
    return set_kill_error (child, TRUE, signum, ESRCH, error);

  if (!child->leads_group)
    {
      g_set_error (error, G_FORK_ERROR, G_FORK_ERROR_FAILED,
                   _("Could not send signal %d to the group of process %d: it leads none, as "
                     "“setsid” would have made it do"),
                   signum, (int) child->pid);
      return FALSE;
    }

  return send_signal (child, TRUE, signum, error);
}

/* The group first: a process that has been reaped may not tell its group any more. */
void
g_fork_child_force_exit (GForkChild *child)
{
  if (child->leads_group)
    g_fork_child_kill_group (child, SIGKILL, NULL);
  g_fork_child_kill (child, SIGKILL, NULL);
}

int
g_fork_child_dup_pidfd (GForkChild  *child,
                        GError     **error)
{
  GForkError code = G_FORK_ERROR_FAILED;
  int copy = -1;

  g_fork_child_check (child);
  g_mutex_lock (&child->lock);
  if (child->generation != g_fork_generation () || child->state == LOST)
    {
      code = G_FORK_ERROR_LOST;
      errno = ESRCH;
    }
  else if (child->pidfd < 0)
    {
      code = child->state == ALIVE ? G_FORK_ERROR_NOT_SUPPORTED : G_FORK_ERROR_CLOSED;
      errno = child->state == ALIVE ? ENOSYS : ESRCH;
    }
  else
    copy = fcntl (child->pidfd, F_DUPFD_CLOEXEC, 3);
  g_mutex_unlock (&child->lock);

  if (copy < 0)
    g_set_error (error, G_FORK_ERROR, code, _("There is no pidfd of process %d: %s"),
                 (int) child->pid, g_strerror (errno));
  return copy;
}
