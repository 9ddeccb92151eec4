/* gforkchannel.c: one control socket: queue out, frames in, sources, one lock
 *
 * Nothing here waits. What the socket does not take at once is queued, and
 * whoever awaits an answer has a source in a main context that goes on with it.
 * Every decision is made under the lock of the channel; whatever calls out of
 * this file's reach is collected meanwhile and done after it.
 *
 * Locks are taken in this order: a child's, a channel's, a main context's.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "gforkchannel-private.h"

#include "gforkchild-private.h"
#include "gforkcontext-private.h"
#include "gforkerror-private.h"
#include "gforkgeneration-private.h"
#include "gforkspares-private.h"
#include "gforkreplay-private.h"

#include <errno.h>
#include <glib-unix.h>
#include <glib/gi18n-lib.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Commands that do nothing by themselves are sent together with the next one
 * that does, unless they become as many as this. */
#define MAX_HELD_OCTETS (32 * 1024)
#define MAX_HELD_FDS 64

/* After so many forks the ends that were reported are read, so that the reports
 * do not pile up in the template if nobody waits for any. */
#define FORKS_BETWEEN_READS 32

/* What the kernel has no room for, or too many descriptors under way, is tried
 * again after this. */
#define RETRY_AFTER (5 * G_TIME_SPAN_MILLISECOND)

/* No answer has more than one; a hostile one is cut off. */
#define MAX_ANSWER_FDS 8

/* Longer names of functions are looked for by every fork. */
#define MAX_HINT 64

/* Room for the reports of a hundred ends. */
#define READER_SIZE 4096

typedef enum
{
  OPEN,
  FINAL,  /* run, executed or detached: nothing may follow on the socket */
  CLOSED, /* by the user; still there for the sake of the children */
  GONE,
} State;

typedef struct
{
  gsize offset; /* in the queue, of the frame that they belong to */
  int fd;
} QueuedFd;

/* A socket handed to whoever gets the answer, or the reason why not. */
typedef struct
{
  GForkAwait await;
  GTask *task; /* %NULL once cancelled: the answer is still to come */
  GSource *cancel_source;
  GSList *watches;

  int user_fd; /* EXECUTED: the communication socket */
  gboolean ready;
  pid_t pid;
  int pidfd;

  GForkLaunch *launch;
  GError *error;
} Operation;

struct _GForkWatch
{
  GForkChannel *channel;
  GMainContext *context;
  GSource *source;
  gpointer tag;
  guint holds;
  GIOCondition condition;
};

struct _GForkChannel
{
  gatomicrefcount ref_count;
  guint generation;

  GMutex lock;
  State state;
  int fd;
  GError *error;    /* why it is GONE, or what went wrong on this side */
  GError *reported; /* the last thing that went wrong on the other */
  guint uses;
  gboolean answered;

  pid_t pid;
  GForkChild *child;    /* the process at the other end */
  GForkChannel *parent; /* the one of the template that it is a fork of */

  GByteArray *out;
  gsize out_sent;
  GArray *out_fds;
  gboolean retry;
  GForkWatch *out_watch;

  struct gfork_reader reader;
  guint8 memory[64];
  guint8 *large_memory;
  _Alignas (struct cmsghdr) char control[GFORK_CONTROL_SIZE (MAX_ANSWER_FDS)];

  GQueue operations;
  GSList *watches;

  GForkSpares *spares;  /* made when some are first wanted, and never replaced */
  GHashTable *children; /* id → GForkChild, of those not known to have ended */
  guint32 next_id;
  char *hint;              /* the function that the last fork was run with */
  gboolean hint_is_news;
  int module_path; /* which of the application's it has been told, or inherited */
  GForkLog *log;   /* what it has been told, if it cannot be forked */

  GList link; /* in all_channels */
};

/* What has been decided under the lock and is done after it. */
typedef struct
{
  GSList *operations;
  GSList *exited; /* Exit */
  GSList *orphans;
  GForkChild *released;
  GForkWatch *out_watch;
  gboolean end_of_file;
  gboolean gone;
} Actions;

typedef struct
{
  GForkChild *child;
  struct gfork_exited exited;
} Exit;

/* Guarded by the globals' lock. */
static GQueue all_channels = G_QUEUE_INIT;

static void pump (GForkChannel *channel, gboolean to_the_end);
static void take_actions (GForkChannel *channel, Actions *actions);
static void discard_spares (GForkChannel *channel);
static void end_spares (GForkChannel *channel);

/* ——— Coming and going ——— */

/* In a fork of the application. Without this it would keep the templates alive,
 * and could talk to them. */
static void
close_all_channels (void)
{
  for (GList *l = all_channels.head; l != NULL; l = l->next)
    {
      GForkChannel *channel = l->data;

      if (channel->fd >= 0)
        close (channel->fd);
      channel->fd = -1;
    }
  g_queue_init (&all_channels);
}

static gboolean
is_ours (GForkChannel *channel)
{
  return channel->generation == g_fork_generation ();
}

/* Takes the socket. @child is the process at its other end. The first use, like the
 * first reference, is the caller's. */
GForkChannel *
g_fork_channel_new (int         fd,
                    GForkChild *child)
{
  static gsize hooked;
  GForkChannel *channel = g_new0 (GForkChannel, 1);

  if (g_once_init_enter (&hooked))
    {
      g_fork_add_child_hook (close_all_channels);
      g_once_init_leave (&hooked, 1);
    }

  g_atomic_ref_count_init (&channel->ref_count);
  channel->generation = g_fork_generation ();
  g_mutex_init (&channel->lock);
  channel->state = OPEN;
  channel->uses = 1;
  channel->fd = fd;
  gfork_reader_init (&channel->reader, channel->memory, sizeof channel->memory,
                     channel->control, sizeof channel->control);
  channel->link.data = channel;

  if (child != NULL)
    {
      g_fork_child_hold (child);
      channel->child = g_fork_child_ref (child);
      channel->pid = g_fork_child_get_pid (child);
    }

  g_fork_globals_lock ();
  g_queue_push_tail_link (&all_channels, &channel->link);
  g_fork_globals_unlock ();

  return channel;
}

/* One that answers everything with @error, which it takes. */
GForkChannel *
g_fork_channel_new_failed (GError *error)
{
  GForkChannel *channel = g_fork_channel_new (-1, NULL);

  channel->state = GONE;
  channel->error = error;

  return channel;
}

GForkChannel *
g_fork_channel_ref (GForkChannel *channel)
{
  g_atomic_ref_count_inc (&channel->ref_count);
  return channel;
}

void
g_fork_channel_unref (GForkChannel *channel)
{
  if (!g_atomic_ref_count_dec (&channel->ref_count))
    return;

  if (is_ours (channel))
    {
      g_fork_globals_lock ();
      g_queue_unlink (&all_channels, &channel->link);
      g_fork_globals_unlock ();

      if (channel->child != NULL)
        g_fork_child_release (channel->child);
      if (channel->fd >= 0)
        close (channel->fd);
      for (guint i = 0; channel->out_fds != NULL && i < channel->out_fds->len; i++)
        close (g_array_index (channel->out_fds, QueuedFd, i).fd);
    }

  gfork_reader_clear (&channel->reader);
  g_free (channel->large_memory);
  g_clear_pointer (&channel->out, g_byte_array_unref);
  g_clear_pointer (&channel->out_fds, g_array_unref);
  g_clear_pointer (&channel->children, g_hash_table_unref);
  g_clear_pointer (&channel->child, g_fork_child_unref);
  g_clear_pointer (&channel->parent, g_fork_channel_unref);
  g_free (channel->hint);
  g_clear_pointer (&channel->spares, g_fork_spares_free);
  g_clear_pointer (&channel->log, g_fork_log_free);
  g_clear_error (&channel->error);
  g_clear_error (&channel->reported);
  g_mutex_clear (&channel->lock);
  g_free (channel);
}

/* 0 if it is not known yet. It stays when the process was run or is gone. */
pid_t
g_fork_channel_get_pid (GForkChannel *channel)
{
  pid_t pid;

  if (!is_ours (channel))
    return channel->pid;

  g_mutex_lock (&channel->lock);
  pid = channel->pid;
  g_mutex_unlock (&channel->lock);
  return pid;
}

void
g_fork_launch_free (GForkLaunch *launch)
{
  if (launch->fd >= 0)
    close (launch->fd);
  if (launch->child != NULL)
    {
      g_fork_child_release (launch->child);
      g_fork_child_unref (launch->child);
    }
  g_free (launch);
}

static GForkLaunch *
launch_new (int         fd,
            GForkChild *child)
{
  GForkLaunch *launch = g_new (GForkLaunch, 1);

  launch->fd = fd;
  launch->child = child != NULL ? g_fork_child_ref (child) : NULL;
  return launch;
}

/* ——— The queue out ——— */

static gboolean
is_drained (GForkChannel *channel)
{
  return channel->out == NULL || channel->out_sent == channel->out->len;
}

static void
discard_queue (GForkChannel *channel)
{
  if (channel->out == NULL)
    return;

  for (guint i = 0; i < channel->out_fds->len; i++)
    close (g_array_index (channel->out_fds, QueuedFd, i).fd);
  g_array_set_size (channel->out_fds, 0);
  g_byte_array_set_size (channel->out, 0);
  channel->out_sent = 0;
}

/* Lets the sources wait for what there is to wait for. */
static void
update_watches (GForkChannel *channel)
{
  GIOCondition condition = G_IO_IN;

  if (!is_drained (channel) && !channel->retry)
    condition |= G_IO_OUT;

  for (GSList *l = channel->watches; l != NULL; l = l->next)
    {
      GForkWatch *watch = l->data;

      if (watch->condition != condition)
        g_source_modify_unix_fd (watch->source, watch->tag, condition);
      watch->condition = condition;
      if (channel->retry)
        g_source_set_ready_time (watch->source, g_get_monotonic_time () + RETRY_AFTER);
    }
}

/* The octets and descriptors that go with one message: no more descriptors than
 * it can carry, and no octet of a frame whose descriptors it does not. */
static gsize
next_message (GForkChannel *channel,
              int          *fds,
              gsize        *n_fds)
{
  GArray *queued = channel->out_fds;
  guint n = MIN (queued->len, GFORK_MAX_FDS);
  gsize end = channel->out->len;

  if (queued->len > n)
    {
      end = g_array_index (queued, QueuedFd, n).offset;
      while (n > 0 && g_array_index (queued, QueuedFd, n - 1).offset == end)
        n--;
    }

  for (guint i = 0; i < n; i++)
    fds[i] = g_array_index (queued, QueuedFd, i).fd;
  *n_fds = n;
  return end - channel->out_sent;
}

static void
flush (GForkChannel *channel)
{
  channel->retry = FALSE;

  while (!is_drained (channel))
    {
      int fds[GFORK_MAX_FDS];
      gsize n_fds;
      gsize length = next_message (channel, fds, &n_fds);
      gssize sent = gfork_send (channel->fd, channel->out->data + channel->out_sent, length, fds,
                                n_fds, MSG_DONTWAIT);

      if (sent < 0)
        {
          if (errno == ENOBUFS || errno == ENOMEM || errno == ETOOMANYREFS)
            channel->retry = TRUE;
          else if (errno != EAGAIN)
            discard_queue (channel); /* the end of file says what there is to say */
          break;
        }

      /* They go with the first octet, so they are all gone. */
      for (gsize i = 0; i < n_fds; i++)
        close (fds[i]);
      if (n_fds > 0)
        g_array_remove_range (channel->out_fds, 0, n_fds);
      channel->out_sent += sent;
    }

  if (is_drained (channel) && channel->out != NULL)
    {
      discard_queue (channel);
      if (channel->state == CLOSED)
        shutdown (channel->fd, SHUT_WR);
    }
}

/* Flushes, and makes sure that somebody goes on if the socket is full. */
static void
flush_and_watch (GForkChannel *channel)
{
  g_autoptr (GMainContext) context = NULL;

  flush (channel);
  update_watches (channel);
  if (is_drained (channel) || channel->out_watch != NULL)
    return;

  context = g_fork_ref_background_context ();
  g_mutex_unlock (&channel->lock);
  {
    GForkWatch *watch = g_fork_channel_watch (channel, context);

    g_mutex_lock (&channel->lock);
    if (channel->out_watch == NULL)
      channel->out_watch = g_steal_pointer (&watch);
    g_mutex_unlock (&channel->lock);
    g_clear_pointer (&watch, g_fork_watch_release);
  }
  g_mutex_lock (&channel->lock);
}

static void
append (GForkChannel *channel,
        guint8        verb,
        const void   *payload,
        gsize         length,
        const int    *fds,
        gsize         n_fds)
{
  struct gfork_header header;

  if (channel->out == NULL)
    {
      channel->out = g_byte_array_sized_new (256);
      channel->out_fds = g_array_new (FALSE, FALSE, sizeof (QueuedFd));
    }

  for (gsize i = 0; i < n_fds; i++)
    {
      QueuedFd queued = { channel->out->len, fds[i] };

      g_array_append_val (channel->out_fds, queued);
    }

  gfork_header_set (&header, verb, length, n_fds);
  g_byte_array_append (channel->out, (const guint8 *) &header, sizeof header);
  g_byte_array_append (channel->out, payload, length);
}

static gboolean
does_something (guint8 verb)
{
  switch (verb)
    {
    case GFORK_ARG:
    case GFORK_ARG_FD:
    case GFORK_ARG_MEMFD:
    case GFORK_SETENV:
    case GFORK_UNSETENV:
    case GFORK_CHDIR:
    case GFORK_MAP_FD:
    case GFORK_MODULE_PATH:
      return FALSE;

    default:
      return TRUE;
    }
}

static void
close_fds (const int *fds,
           gsize      n_fds)
{
  for (gsize i = 0; i < n_fds; i++)
    close (fds[i]);
}

static GError *
too_long_error (gsize length)
{
  return g_error_new (G_FORK_ERROR, G_FORK_ERROR_FAILED,
                      _("A command of %zu octets is too long"), length);
}

/* Queues a command. Takes the descriptors, in any case. */
void
g_fork_channel_send (GForkChannel *channel,
                     guint8        verb,
                     const void   *payload,
                     gsize         length,
                     const int    *fds,
                     gsize         n_fds)
{
  if (!is_ours (channel))
    {
      close_fds (fds, n_fds);
      return;
    }

  if (length > GFORK_MAX_PAYLOAD)
    {
      close_fds (fds, n_fds);
      g_fork_channel_fail (channel, too_long_error (length));
      return;
    }

  if (verb != GFORK_KILL)
    discard_spares (channel);

  g_mutex_lock (&channel->lock);
  if (channel->state == OPEN || (channel->state == CLOSED && verb == GFORK_KILL))
    {
      if (channel->log != NULL && verb != GFORK_KILL)
        g_fork_log_append (channel->log, verb, payload, length, fds, n_fds);
      append (channel, verb, payload, length, fds, n_fds);
      if (does_something (verb) || channel->out->len > MAX_HELD_OCTETS
          || channel->out_fds->len > MAX_HELD_FDS)
        flush_and_watch (channel);
    }
  else
    close_fds (fds, n_fds);
  g_mutex_unlock (&channel->lock);
}

/* Queues a command whose payload is strings, @rest being nullable. */
void
g_fork_channel_send_strings (GForkChannel       *channel,
                             guint8              verb,
                             const char         *first,
                             const char * const *rest)
{
  g_autoptr (GByteArray) payload = g_byte_array_new ();

  g_byte_array_append (payload, (const guint8 *) first, strlen (first) + 1);
  for (; rest != NULL && *rest != NULL; rest++)
    g_byte_array_append (payload, (const guint8 *) *rest, strlen (*rest) + 1);
  g_fork_channel_send (channel, verb, payload->data, payload->len, NULL, 0);
}

/* Remembers that the process has been told the module path numbered @serial, and
 * returns whether that was news. */
gboolean
g_fork_channel_update_module_path (GForkChannel *channel,
                                   int           serial)
{
  int told = g_atomic_int_get (&channel->module_path);

  return told != serial && g_atomic_int_compare_and_exchange (&channel->module_path, told, serial);
}

/* What went wrong on this side is reported like what goes wrong on the other.
 * Takes @error. */
void
g_fork_channel_fail (GForkChannel *channel,
                     GError       *error)
{
  if (is_ours (channel))
    {
      g_mutex_lock (&channel->lock);
      if (channel->error == NULL)
        channel->error = g_steal_pointer (&error);
      g_mutex_unlock (&channel->lock);
    }
  g_clear_error (&error);
}

/* ——— Watching ——— */

static gboolean
watch_dispatch (GSource     *source,
                GSourceFunc  callback,
                gpointer     user_data)
{
  GForkChannel *channel = user_data;
  GMainContext *outer;

  if (!is_ours (channel))
    return G_SOURCE_REMOVE;

  if (g_source_get_ready_time (source) >= 0)
    g_source_set_ready_time (source, -1);
  outer = g_fork_dispatch_begin (g_source_get_context (source));
  pump (channel, FALSE);
  g_fork_dispatch_end (outer);
  return G_SOURCE_CONTINUE;
}

static gboolean
watch_callback (gpointer user_data)
{
  g_assert_not_reached ();
}

static GSourceFuncs watch_funcs = {
  .dispatch = watch_dispatch,
};

/* Has the socket read and written whenever @context is iterated. %NULL if the
 * socket is gone. */
GForkWatch *
g_fork_channel_watch (GForkChannel *channel,
                      GMainContext *context)
{
  GForkWatch *watch;

  if (!is_ours (channel))
    return NULL;

  g_mutex_lock (&channel->lock);
  if (channel->fd < 0)
    {
      g_mutex_unlock (&channel->lock);
      return NULL;
    }

  for (GSList *l = channel->watches; l != NULL; l = l->next)
    {
      watch = l->data;
      if (watch->context == context)
        {
          watch->holds++;
          g_mutex_unlock (&channel->lock);
          return watch;
        }
    }

  watch = g_new0 (GForkWatch, 1);
  watch->channel = g_fork_channel_ref (channel);
  watch->context = g_main_context_ref (context);
  watch->holds = 1;
  watch->condition = G_IO_IN;
  watch->source = g_source_new (&watch_funcs, sizeof (GSource));
  g_source_set_static_name (watch->source, "[gspawnfork] control socket");
  g_source_set_callback (watch->source, watch_callback, g_fork_channel_ref (channel),
                         (GDestroyNotify) g_fork_channel_unref);
  watch->tag = g_source_add_unix_fd (watch->source, channel->fd, watch->condition);
  channel->watches = g_slist_prepend (channel->watches, watch);
  update_watches (channel);
  g_source_attach (watch->source, context);
  g_mutex_unlock (&channel->lock);

  return watch;
}

void
g_fork_watch_release (GForkWatch *watch)
{
  GForkChannel *channel = watch->channel;
  gboolean last;

  if (!is_ours (channel))
    return;

  g_mutex_lock (&channel->lock);
  last = --watch->holds == 0;
  if (last)
    channel->watches = g_slist_remove (channel->watches, watch);
  g_mutex_unlock (&channel->lock);

  if (!last)
    return;

  g_source_destroy (watch->source);
  g_source_unref (watch->source);
  g_main_context_unref (watch->context);
  g_free (watch);
  g_fork_channel_unref (channel);
}

/* ——— The end ——— */

GError *
g_fork_channel_closed_error (void)
{
  return g_error_new (G_FORK_ERROR, G_FORK_ERROR_CLOSED,
                      _("The template was closed, run, executed or detached before"));
}

static GError *
cancelled_error (void)
{
  return g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED, _("Operation was cancelled"));
}

static GError *
inherited_error (void)
{
  return g_error_new (G_FORK_ERROR, G_FORK_ERROR_LOST,
                      _("The template belongs to the process that this one was forked from"));
}

static void
operation_take (Operation *operation,
                GError    *error,
                Actions   *actions)
{
  if (operation->error == NULL)
    operation->error = error;
  else
    g_clear_error (&error);
  actions->operations = g_slist_prepend (actions->operations, operation);
}

/* Takes the socket away; the caller closes it or hands it on. */
static int
take_fd (GForkChannel *channel,
         Actions      *actions)
{
  int fd = channel->fd;

  /* The sources go first, so that none is left with a number that somebody else
   * may get. */
  for (GSList *l = channel->watches; l != NULL; l = l->next)
    g_source_destroy (((GForkWatch *) l->data)->source);

  channel->fd = -1;
  channel->state = GONE;
  discard_queue (channel);

  if (channel->children != NULL)
    {
      GHashTableIter iter;
      gpointer child;

      g_hash_table_iter_init (&iter, channel->children);
      while (g_hash_table_iter_next (&iter, NULL, &child))
        {
          g_hash_table_iter_steal (&iter);
          actions->orphans = g_slist_prepend (actions->orphans, child);
        }
    }

  actions->gone = TRUE;
  actions->released = g_steal_pointer (&channel->child);
  actions->out_watch = g_steal_pointer (&channel->out_watch);
  return fd;
}

/* Ends the channel. Everything under way ends with @error, which is taken, but for
 * a program that has been executed: that its end of the socket is gone is the
 * sign of it. */
static void
die (GForkChannel *channel,
     GError       *error,
     gboolean      other_end_gone,
     Actions      *actions)
{
  Operation *operation;

  if (channel->error == NULL)
    channel->error = g_error_copy (error);

  while ((operation = g_queue_pop_head (&channel->operations)) != NULL)
    {
      if (operation->await == G_FORK_AWAIT_EXECUTED && operation->ready && other_end_gone)
        {
          operation->launch = launch_new (operation->user_fd, channel->child);
          operation->user_fd = -1;
          operation_take (operation, NULL, actions);
        }
      else
        operation_take (operation, g_error_copy (channel->error), actions);
    }

  close (take_fd (channel, actions));
  g_error_free (error);
}

/* The error of a process that is gone. @status may be %NULL. */
static GError *
lost_error (const struct gfork_exited *exited,
            gboolean                   answered)
{
  if (exited == NULL || exited->wait_status == -1)
    return g_error_new (G_FORK_ERROR, G_FORK_ERROR_LOST, _("The process has ended unexpectedly"));

  if (WIFSIGNALED (exited->wait_status))
    return g_error_new (G_FORK_ERROR, G_FORK_ERROR_LOST, _("The process was killed by signal %d (%s)"),
                        WTERMSIG (exited->wait_status),
                        g_strsignal (WTERMSIG (exited->wait_status)));

  /* The C library, too, uses this status if it could not execute a program. */
  if (!answered && WEXITSTATUS (exited->wait_status) == 127)
    return g_error_new (G_FORK_ERROR, G_FORK_ERROR_SPAWN, _("The helper could not be executed"));

  return g_error_new (G_FORK_ERROR, G_FORK_ERROR_LOST,
                      _("The process has ended unexpectedly, with exit status %d"),
                      WEXITSTATUS (exited->wait_status));
}

/* A process whose template has died under it takes over its error. */
static GError *
error_of_parent (GForkChannel *parent)
{
  GError *error = NULL;

  if (parent == NULL || !is_ours (parent))
    return NULL;

  pump (parent, TRUE);
  g_mutex_lock (&parent->lock);
  if (parent->reported != NULL)
    error = g_error_copy (parent->reported);
  else if (parent->state == GONE && parent->error != NULL)
    error = g_error_copy (parent->error);
  g_mutex_unlock (&parent->lock);
  return error;
}

static void
end_of_file (GForkChannel *channel)
{
  g_autoptr (GForkChild) child = NULL;
  g_autoptr (GForkChannel) parent = NULL;
  GError *error;
  Actions actions = { 0 };
  gboolean answered;

  g_mutex_lock (&channel->lock);
  answered = channel->answered;
  if (channel->child != NULL)
    child = g_fork_child_ref (channel->child);
  if (channel->parent != NULL)
    parent = g_fork_channel_ref (channel->parent);
  g_mutex_unlock (&channel->lock);

  g_mutex_lock (&channel->lock);
  error = channel->reported != NULL ? g_error_copy (channel->reported) : NULL;
  g_mutex_unlock (&channel->lock);

  if (error == NULL)
    error = error_of_parent (parent);
  if (error == NULL)
    {
      if (child != NULL)
        g_fork_child_check (child);
      error = lost_error (child != NULL ? g_fork_child_get_exited (child) : NULL, answered);
    }

  g_mutex_lock (&channel->lock);
  if (channel->state != GONE)
    die (channel, g_steal_pointer (&error), TRUE, &actions);
  g_mutex_unlock (&channel->lock);
  g_clear_error (&error);

  take_actions (channel, &actions);
}

/* ——— Frames in ——— */

static void
on_ready (GForkChannel       *channel,
          struct gfork_frame *frame,
          Actions            *actions)
{
  Operation *operation = g_queue_peek_head (&channel->operations);
  struct gfork_pid pid;

  if (operation == NULL || operation->await < G_FORK_AWAIT_READY || operation->ready
      || frame->length != sizeof pid || frame->n_fds > 1)
    {
      actions->end_of_file = TRUE;
      return;
    }

  memcpy (&pid, frame->payload, sizeof pid);
  operation->ready = TRUE;
  operation->pid = channel->pid = pid.pid;
  operation->pidfd = frame->n_fds > 0 ? frame->fds[0] : -1;
  frame->n_fds = 0;

  if (operation->await == G_FORK_AWAIT_READY)
    {
      g_queue_pop_head (&channel->operations);
      operation->launch = launch_new (-1, channel->child);
      operation->launch->fd = take_fd (channel, actions);
      operation_take (operation, NULL, actions);
    }
}

static void
on_synced (GForkChannel       *channel,
           struct gfork_frame *frame,
           Actions            *actions)
{
  Operation *operation = g_queue_peek_head (&channel->operations);
  struct gfork_pid pid;

  if (operation == NULL || operation->await > G_FORK_AWAIT_DETACHED || frame->length != sizeof pid)
    {
      actions->end_of_file = TRUE;
      return;
    }

  memcpy (&pid, frame->payload, sizeof pid);
  operation->pid = channel->pid = pid.pid;
  g_queue_pop_head (&channel->operations);
  if (operation->await == G_FORK_AWAIT_DETACHED)
    {
      operation->launch = launch_new (-1, channel->child);
      operation->launch->fd = take_fd (channel, actions);
    }
  else
    operation->launch = launch_new (-1, channel->child);
  operation_take (operation, NULL, actions);
}

static void
on_error (GForkChannel       *channel,
          struct gfork_frame *frame,
          Actions            *actions)
{
  Operation *operation = g_queue_pop_head (&channel->operations);

  /* It may also be the last word of a process that has given up, or of a template
   * that refused to fork: for whoever asks later. */
  g_clear_error (&channel->reported);
  channel->reported = g_fork_error_new_from_frame (frame);
  if (operation == NULL)
    return;

  operation_take (operation, g_error_copy (channel->reported), actions);
  if (operation->await != G_FORK_AWAIT_SYNCED)
    die (channel, g_fork_channel_closed_error (), FALSE, actions);
}

static void
on_exited (GForkChannel       *channel,
           struct gfork_frame *frame,
           Actions            *actions)
{
  Exit *ended = g_new (Exit, 1);
  gpointer child = NULL;

  if (frame->length == sizeof ended->exited)
    {
      memcpy (&ended->exited, frame->payload, sizeof ended->exited);
      if (channel->children != NULL)
        g_hash_table_steal_extended (channel->children, GUINT_TO_POINTER (ended->exited.id), NULL,
                                     &child);
    }

  /* After detach and new_from_socket there may be some that are not ours. */
  if (child == NULL)
    {
      g_free (ended);
      return;
    }

  ended->child = child;
  actions->exited = g_slist_prepend (actions->exited, ended);
}

static void
handle_frame (GForkChannel       *channel,
              struct gfork_frame *frame,
              Actions            *actions)
{
  channel->answered = TRUE;

  /* Whoever has closed the template does not await answers any more. */
  if (channel->state == CLOSED && frame->verb != GFORK_EXITED && frame->verb != GFORK_ERROR)
    {
      gfork_frame_close_fds (frame);
      return;
    }

  switch (frame->verb)
    {
    case GFORK_READY:
      on_ready (channel, frame, actions);
      break;
    case GFORK_SYNCED:
      on_synced (channel, frame, actions);
      break;
    case GFORK_ERROR:
      on_error (channel, frame, actions);
      break;
    case GFORK_EXITED:
      on_exited (channel, frame, actions);
      break;
    default:
      actions->end_of_file = TRUE;
    }

  if (actions->end_of_file && channel->error == NULL)
    channel->error = g_error_new (G_FORK_ERROR, G_FORK_ERROR_PROTOCOL,
                                  _("The process does not speak the protocol: "
                                    "unexpected answer of type %u"),
                                  frame->verb);
  gfork_frame_close_fds (frame);
}

static void
handle_frames (GForkChannel *channel,
               Actions      *actions)
{
  struct gfork_frame frame;

  while (channel->fd >= 0 && !actions->end_of_file)
    switch (gfork_reader_next (&channel->reader, &frame))
      {
      case GFORK_NEXT_FRAME:
        handle_frame (channel, &frame, actions);
        break;

      case GFORK_NEXT_MORE:
        return;

      case GFORK_NEXT_BAD:
        if (channel->error == NULL)
          channel->error = g_error_new (G_FORK_ERROR, G_FORK_ERROR_PROTOCOL,
                                        _("The process does not speak the protocol: "
                                          "malformed answer"));
        actions->end_of_file = TRUE;
        break;
      }
}

/* Reads what there is. A read that did not fill the buffer was most likely the last
 * one, and is taken for it unless it is important to see the end of file. */
static void
read_frames (GForkChannel *channel,
             gboolean      to_the_end,
             Actions      *actions)
{
  while (channel->fd >= 0 && !actions->end_of_file)
    {
      gboolean exact = channel->state == FINAL;

      switch (gfork_reader_fill (&channel->reader, channel->fd, exact, MSG_DONTWAIT))
        {
        case GFORK_FILL_DATA:
          {
            gboolean more = exact || to_the_end || channel->reader.full;

            handle_frames (channel, actions);
            if (!more)
              return;
          }
          break;

        case GFORK_FILL_AGAIN:
          return;

        case GFORK_FILL_EOF:
        case GFORK_FILL_RESET:
        case GFORK_FILL_NO_MEMORY:
          actions->end_of_file = TRUE;
          break;

        case GFORK_FILL_TRUNCATED:
          if (channel->error == NULL)
            channel->error = g_error_new (G_FORK_ERROR, G_FORK_ERROR_FAILED,
                                          _("A descriptor got lost: too many are open in this "
                                            "process (see RLIMIT_NOFILE)"));
          actions->end_of_file = TRUE;
          break;
        }
    }
}

/* ——— Spares ——— */

static GForkSpares *
get_spares (GForkChannel *channel)
{
  return g_atomic_pointer_get (&channel->spares);
}

static void
discard_spares (GForkChannel *channel)
{
  GForkSpares *spares = get_spares (channel);

  if (spares != NULL)
    g_fork_spares_discard (spares);
}

static void
end_spares (GForkChannel *channel)
{
  GForkSpares *spares = get_spares (channel);

  if (spares != NULL)
    g_fork_spares_end (spares);
}

static void
refill_spares (GForkChannel *channel)
{
  GForkSpares *spares = channel != NULL ? get_spares (channel) : NULL;

  if (spares != NULL && is_ours (channel))
    g_fork_spares_refill (spares, channel);
}

/* ——— Actions ——— */

static gboolean
operation_return (gpointer user_data)
{
  Operation *operation = user_data;
  g_autoptr (GForkChannel) channel = NULL;

  if (g_task_get_task_data (operation->task) != NULL)
    channel = g_fork_channel_ref (g_task_get_task_data (operation->task));

  if (operation->error != NULL)
    g_task_return_error (operation->task, operation->error);
  else
    g_task_return_pointer (operation->task, operation->launch,
                           (GDestroyNotify) g_fork_launch_free);
  g_object_unref (operation->task);
  g_free (operation);

  if (channel != NULL)
    {
      refill_spares (channel);
      refill_spares (channel->parent);
    }
  return G_SOURCE_REMOVE;
}

static void
operation_finish (Operation *operation)
{
  GTask *task = operation->task;
  GForkLaunch *launch = operation->launch;

  if (operation->cancel_source != NULL)
    {
      g_source_destroy (operation->cancel_source);
      g_source_unref (operation->cancel_source);
    }
  g_slist_free_full (operation->watches, (GDestroyNotify) g_fork_watch_release);
  if (operation->user_fd >= 0)
    close (operation->user_fd);

  if (launch != NULL && launch->child != NULL)
    {
      g_fork_child_set_pid (launch->child, operation->pid, operation->pidfd);
      operation->pidfd = -1;
      g_fork_child_hold (launch->child);
    }
  if (operation->pidfd >= 0)
    close (operation->pidfd);

  if (task != NULL)
    g_fork_call_in (g_task_get_context (task), operation_return, operation);
  else
    {
      g_clear_error (&operation->error);
      g_clear_pointer (&operation->launch, g_fork_launch_free);
      g_free (operation);
    }
}

/* Does what was decided. The channel's lock must not be held. */
static void
take_actions (GForkChannel *channel,
              Actions      *actions)
{
  actions->exited = g_slist_reverse (actions->exited);
  for (GSList *l = actions->exited; l != NULL; l = l->next)
    {
      Exit *ended = l->data;

      g_fork_child_set_exited (ended->child, &ended->exited);
      g_fork_child_unref (ended->child);
      g_free (ended);
    }
  g_slist_free (actions->exited);

  for (GSList *l = actions->orphans; l != NULL; l = l->next)
    {
      g_fork_child_set_orphan (l->data);
      g_fork_child_unref (l->data);
    }
  g_slist_free (actions->orphans);

  actions->operations = g_slist_reverse (actions->operations);
  for (GSList *l = actions->operations; l != NULL; l = l->next)
    operation_finish (l->data);
  g_slist_free (actions->operations);

  if (actions->released != NULL)
    {
      g_fork_child_set_unattended (actions->released);
      g_fork_child_release (actions->released);
      g_fork_child_unref (actions->released);
    }

  g_clear_pointer (&actions->out_watch, g_fork_watch_release);
  if (actions->gone)
    end_spares (channel);

  if (actions->end_of_file)
    end_of_file (channel);
}

/* Writes what can be written and reads what can be read. */
static void
pump (GForkChannel *channel,
      gboolean      to_the_end)
{
  Actions actions = { 0 };

  g_fork_channel_ref (channel);
  g_mutex_lock (&channel->lock);
  if (channel->fd >= 0)
    {
      flush (channel);
      read_frames (channel, to_the_end, &actions);
    }
  if (channel->fd >= 0)
    update_watches (channel);
  if (channel->out_watch != NULL && is_drained (channel))
    actions.out_watch = g_steal_pointer (&channel->out_watch);
  g_mutex_unlock (&channel->lock);

  take_actions (channel, &actions);
  g_fork_channel_unref (channel);
}

/* ——— Forking ——— */

/* Why nothing can be asked of it any more; %NULL if something can. */
static GError *
refusal (GForkChannel *channel)
{
  if (channel->error != NULL)
    return g_error_copy (channel->error);
  return channel->state == OPEN ? NULL : g_fork_channel_closed_error ();
}

/* Templates are mostly forked to run the same function again and again. Told its
 * name, they look for it once, and not in every fork. */
static void
append_fork (GForkChannel *parent,
             guint32       id,
             int           fd)
{
  char payload[sizeof id + MAX_HINT];
  gsize length = sizeof id;

  memcpy (payload, &id, sizeof id);
  if (parent->hint_is_news)
    {
      length += g_strlcpy (payload + sizeof id, parent->hint, MAX_HINT) + 1;
      parent->hint_is_news = FALSE;
    }
  append (parent, GFORK_FORK, payload, length, &fd, 1);
}

static void
take_hint (GForkChannel *parent,
           const char   *function)
{
  g_mutex_lock (&parent->lock);
  if (g_strcmp0 (parent->hint, function) != 0 && strlen (function) < MAX_HINT)
    {
      g_free (parent->hint);
      parent->hint = g_strdup (function);
      parent->hint_is_news = TRUE;
    }
  g_mutex_unlock (&parent->lock);
}

/* The process cannot be forked: keep what it is told, from now on in @log, which is
 * taken, so that another can be told the same. */
void
g_fork_channel_set_log (GForkChannel *channel,
                        GForkLog     *log)
{
  g_mutex_lock (&channel->lock);
  channel->log = log;
  g_mutex_unlock (&channel->lock);
}

/* The channel of a new process that is told what the one of @parent was told. */
static GForkChannel *
new_replayed (GForkChannel *parent)
{
  GForkLog *log = NULL;
  GForkChannel *channel;
  GError *error;

  g_mutex_lock (&parent->lock);
  error = refusal (parent);
  if (error == NULL)
    log = g_fork_log_copy (parent->log);
  g_mutex_unlock (&parent->lock);

  if (error != NULL)
    return g_fork_channel_new_failed (error);

  channel = g_fork_log_replay (log);
  channel->module_path = g_atomic_int_get (&parent->module_path);
  return channel;
}

/* The channel of a new process, which the template at the other end of @parent is
 * told to fork. It can be written to at once. */
GForkChannel *
g_fork_channel_new_child (GForkChannel *parent)
{
  GForkChannel *channel;
  GForkChild *child;
  Actions actions = { 0 };
  GError *error = NULL;
  guint32 id;
  int fds[2];

  if (!is_ours (parent))
    return g_fork_channel_new_failed (inherited_error ());
  if (parent->log != NULL)
    return new_replayed (parent);

  g_fork_child_sweep ();

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
    return g_fork_channel_new_failed (g_error_new (G_FORK_ERROR, G_FORK_ERROR_FORK,
                                                   _("Could not create a socket pair: %s"),
                                                   g_strerror (errno)));

  g_mutex_lock (&parent->lock);
  error = refusal (parent);
  if (error != NULL)
    {
      g_mutex_unlock (&parent->lock);
      close_fds (fds, 2);
      return g_fork_channel_new_failed (error);
    }

  if (parent->children == NULL)
    {
      parent->children = g_hash_table_new_full (NULL, NULL, NULL,
                                                (GDestroyNotify) g_fork_child_unref);
      if (parent->reader.start == parent->reader.end)
        {
          gfork_reader_clear (&parent->reader);
          parent->large_memory = g_malloc (READER_SIZE);
          gfork_reader_init (&parent->reader, parent->large_memory, READER_SIZE,
                             parent->control, sizeof parent->control);
        }
    }

  id = parent->next_id++;
  child = g_fork_child_new_forked (parent, id);
  g_hash_table_insert (parent->children, GUINT_TO_POINTER (id), g_fork_child_ref (child));
  append_fork (parent, id, fds[1]);
  if (id % FORKS_BETWEEN_READS == FORKS_BETWEEN_READS - 1)
    read_frames (parent, FALSE, &actions);
  flush_and_watch (parent);
  g_mutex_unlock (&parent->lock);

  take_actions (parent, &actions);

  channel = g_fork_channel_new (fds[0], child);
  channel->parent = g_fork_channel_ref (parent);
  channel->module_path = g_atomic_int_get (&parent->module_path);
  g_fork_child_unref (child);
  return channel;
}

/* The channel of a process that is as if it were forked now: a spare or a new one. */
GForkChannel *
g_fork_channel_fork (GForkChannel *parent)
{
  GForkSpares *spares = get_spares (parent);
  GForkChannel *channel;

  if (spares == NULL || !is_ours (parent) || (channel = g_fork_spares_take (spares)) == NULL)
    channel = g_fork_channel_new_child (parent);

  return channel;
}

void
g_fork_channel_set_spares (GForkChannel *channel,
                           guint         wanted)
{
  if (!is_ours (channel))
    return;

  if (get_spares (channel) == NULL)
    {
      GForkSpares *spares = g_fork_spares_new ();

      if (!g_atomic_pointer_compare_and_exchange (&channel->spares, NULL, spares))
        g_fork_spares_free (spares);
    }

  g_fork_spares_set_wanted (get_spares (channel), wanted);
  refill_spares (channel);
}

/* Are there processes that only this template can reap? */
gboolean
g_fork_channel_has_children (GForkChannel *channel)
{
  gboolean has;

  if (!is_ours (channel))
    return FALSE;

  /* Some may have ended meanwhile. */
  if (channel->children != NULL)
    pump (channel, FALSE);

  g_mutex_lock (&channel->lock);
  has = channel->children != NULL && g_hash_table_size (channel->children) > 0;
  g_mutex_unlock (&channel->lock);
  return has;
}

/* ——— Operations ——— */

static gboolean
on_cancelled (GCancellable *cancellable,
              gpointer      user_data)
{
  GTask *task = user_data;
  GForkChannel *channel = g_task_get_task_data (task);
  g_autoptr (GForkChild) killed = NULL;
  Operation *operation = NULL;
  Actions actions = { 0 };
  GMainContext *outer = g_fork_dispatch_begin (g_task_get_context (task));

  g_mutex_lock (&channel->lock);
  for (GList *l = channel->operations.head; l != NULL; l = l->next)
    if (((Operation *) l->data)->task == task)
      operation = l->data;

  if (operation != NULL && operation->await == G_FORK_AWAIT_SYNCED)
    {
      /* Its answer comes all the same, in its turn. */
      Operation *remains = g_new0 (Operation, 1);

      *remains = *operation;
      remains->task = NULL;
      remains->cancel_source = NULL;
      remains->watches = NULL;
      g_queue_find (&channel->operations, operation)->data = remains;
      operation_take (operation, cancelled_error (), &actions);
    }
  else if (operation != NULL)
    {
      if (channel->child != NULL)
        killed = g_fork_child_ref (channel->child);
      die (channel, cancelled_error (), FALSE, &actions);
    }
  g_mutex_unlock (&channel->lock);

  /* It may be in the function already, with the answer still under way. */
  if (killed != NULL)
    g_fork_child_kill (killed, SIGKILL, NULL);
  take_actions (channel, &actions);
  g_fork_dispatch_end (outer);
  return G_SOURCE_REMOVE;
}

/* Operations have to go on with the parent's queue too: the command that makes
 * this process may be in it. */
static GSList *
watch_ancestors (GForkChannel *channel,
                 GMainContext *context)
{
  GSList *watches = NULL;

  for (GForkChannel *parent = channel->parent; parent != NULL; parent = parent->parent)
    {
      gboolean drained;
      GForkWatch *watch;

      g_mutex_lock (&parent->lock);
      drained = is_drained (parent);
      g_mutex_unlock (&parent->lock);

      if (!drained && (watch = g_fork_channel_watch (parent, context)) != NULL)
        watches = g_slist_prepend (watches, watch);
    }

  return watches;
}

static int
make_communication_socket (int      *user_fd,
                           GError **error)
{
  int fds[2];

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
    {
      g_set_error (error, G_FORK_ERROR, G_FORK_ERROR_FAILED,
                   _("Could not create a socket pair: %s"), g_strerror (errno));
      return -1;
    }

  *user_fd = fds[0];
  return fds[1];
}

/* Sends the command that @await says, and returns @task, which it takes, when the
 * answer has come. Returns %FALSE, with nothing done and nothing taken, if the
 * template must not end because it has children to reap. */
gboolean
g_fork_channel_await (GForkChannel *channel,
                      GForkAwait    await,
                      const void   *payload,
                      gsize         length,
                      GTask        *task)
{
  static const guint8 verbs[] = {
    [G_FORK_AWAIT_SYNCED] = GFORK_SYNC,
    [G_FORK_AWAIT_DETACHED] = GFORK_SYNC,
    [G_FORK_AWAIT_READY] = GFORK_RUN,
    [G_FORK_AWAIT_EXECUTED] = GFORK_EXEC,
  };
  GCancellable *cancellable = g_task_get_cancellable (task);
  GMainContext *context = g_task_get_context (task);
  Operation *operation;
  GError *error = NULL;
  GForkWatch *watch;
  Actions actions = { 0 };
  int sent_fd = -1;

  if (!is_ours (channel))
    {
      g_task_return_error (task, inherited_error ());
      g_object_unref (task);
      return TRUE;
    }

  operation = g_new0 (Operation, 1);
  operation->await = await;
  operation->user_fd = operation->pidfd = -1;
  if (await == G_FORK_AWAIT_EXECUTED)
    sent_fd = make_communication_socket (&operation->user_fd, &error);

  g_task_set_task_data (task, g_fork_channel_ref (channel), (GDestroyNotify) g_fork_channel_unref);
  if (await == G_FORK_AWAIT_READY && channel->parent != NULL)
    take_hint (channel->parent, payload);
  operation->watches = watch_ancestors (channel, context);
  watch = g_fork_channel_watch (channel, context);
  if (watch != NULL)
    operation->watches = g_slist_prepend (operation->watches, watch);

  g_mutex_lock (&channel->lock);
  if (await >= G_FORK_AWAIT_READY && channel->state == OPEN && channel->children != NULL
      && g_hash_table_size (channel->children) > 0)
    {
      g_mutex_unlock (&channel->lock);
      if (sent_fd >= 0)
        close (sent_fd);
      g_clear_error (&error);
      operation_finish (operation);
      return FALSE;
    }

  operation->task = task;
  if (error == NULL)
    error = refusal (channel);
  if (error == NULL && length > GFORK_MAX_PAYLOAD)
    error = too_long_error (length);
  if (error == NULL && g_cancellable_is_cancelled (cancellable))
    {
      error = cancelled_error ();
      if (await != G_FORK_AWAIT_SYNCED)
        die (channel, g_fork_channel_closed_error (), FALSE, &actions);
    }
  if (error != NULL)
    {
      operation_take (operation, error, &actions);
      g_mutex_unlock (&channel->lock);
      if (sent_fd >= 0)
        close (sent_fd);
      take_actions (channel, &actions);
      return TRUE;
    }

  if (cancellable != NULL)
    {
      operation->cancel_source = g_cancellable_source_new (cancellable);
      g_task_attach_source (task, operation->cancel_source, G_SOURCE_FUNC (on_cancelled));
    }

  g_queue_push_tail (&channel->operations, operation);
  append (channel, verbs[await], payload, length, &sent_fd, sent_fd >= 0);
  if (await != G_FORK_AWAIT_SYNCED)
    channel->state = FINAL;
  flush (channel);
  update_watches (channel);
  g_mutex_unlock (&channel->lock);
  return TRUE;
}

/* ——— Use ——— */

void
g_fork_channel_use (GForkChannel *channel)
{
  g_mutex_lock (&channel->lock);
  channel->uses++;
  g_mutex_unlock (&channel->lock);
}

void
g_fork_channel_unuse (GForkChannel *channel)
{
  Actions actions = { 0 };

  if (!is_ours (channel))
    return;

  g_mutex_lock (&channel->lock);
  if (--channel->uses == 0 && channel->fd >= 0)
    die (channel, g_fork_channel_closed_error (), FALSE, &actions);
  g_mutex_unlock (&channel->lock);
  take_actions (channel, &actions);
}

/* Ends the template at the user's wish, unless it has been run. It stays behind
 * as long as somebody wants to know how its children end. */
void
g_fork_channel_close (GForkChannel *channel)
{
  Actions actions = { 0 };
  Operation *operation;

  if (!is_ours (channel))
    return;

  end_spares (channel);

  g_mutex_lock (&channel->lock);
  if (channel->state == OPEN)
    {
      while ((operation = g_queue_pop_head (&channel->operations)) != NULL)
        operation_take (operation, g_fork_channel_closed_error (), &actions);
      channel->state = CLOSED;
      flush_and_watch (channel);
      if (channel->fd >= 0 && is_drained (channel))
        shutdown (channel->fd, SHUT_WR);
    }
  g_mutex_unlock (&channel->lock);
  take_actions (channel, &actions);
}

/* Is the template no longer able to serve, or about to be? */
gboolean
g_fork_channel_is_dying (GForkChannel *channel)
{
  struct pollfd poll_fd = { 0 };
  g_autoptr (GForkChild) child = NULL;

  if (!is_ours (channel))
    return TRUE;

  g_mutex_lock (&channel->lock);
  poll_fd.fd = channel->state == OPEN ? channel->fd : -1;
  if (channel->child != NULL)
    child = g_fork_child_ref (channel->child);
  g_mutex_unlock (&channel->lock);

  if (poll_fd.fd < 0 || (child != NULL && g_fork_child_is_dying (child)))
    return TRUE;

  /* Only of a direct child is more known than what the socket says. */
  return (child == NULL || g_fork_child_get_pid (child) == 0) && poll (&poll_fd, 1, 0) > 0;
}
