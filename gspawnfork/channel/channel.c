/* channel.c: frames over a control socket: its lock, its sources, its life
 *
 * Nothing here blocks. What the socket does not take at once is queued. Each context in which an
 * answer is awaited has a source that reads and writes. If none is awaited, the queue is sent by
 * the keeper, a source in the context of the last call. A channel knows no verb: it hands frames
 * to its owner.
 *
 * Locks are taken in this order: the channel's of a fork, that of its template, a process's,
 * the globals', a main context's.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "channel/channel.h"

#include "base/context.h"
#include "base/generation.h"
#include "base/source.h"
#include "base/upkeep.h"
#include "channel/queue.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* If the kernel has no memory for what is sent, or too many descriptors are in flight,
 * sending is tried again after this time. */
#define RETRY_AFTER (5 * G_TIME_SPAN_MILLISECOND)

/* No answer has more descriptors. A frame that has is malformed. */
#define MAX_ANSWER_FDS 8

/* The sizes of the buffer to read into: one is enough for the first answers, the other for a
 * hundred EXITED frames. */
#define SMALL_READER 64
#define LARGE_READER 4096

/* With so many reads a socket is empty, unless the process sends without a pause. Such a process
 * must not keep the application from everything else. */
#define MAX_READS 1024

/* A source for the socket in one context. */
struct _GForkWatch
{
  GForkSource base;
  GForkChannel *channel;
  GMainContext *context; /* no reference; only compared, while the watch is listed */
  gpointer tag;
  guint holds;
  gboolean listed;
  GIOCondition condition;
};

typedef struct
{
  GDestroyNotify func;
  gpointer data;
} Deferred;

struct _GForkChannel
{
  guint generation;
  const GForkChannelFuncs *funcs;
  gpointer owner;

  GMutex lock;
  GArray *deferred; /* Deferred; %NULL before the first */
  int fd;

  GForkQueue queue;
  gboolean retry; /* after a while: the system is short of memory or descriptors */
  gboolean exact; /* what follows the next frame is not ours to read */
  struct gfork_reader reader;
  guint8 memory[SMALL_READER];
  guint8 *large_memory;
  _Alignas (struct cmsghdr) char control[GFORK_CONTROL_SIZE (MAX_ANSWER_FDS)];

  GSList *watches;
  GForkWatch *keeper; /* the watch that goes on with the queue, or waits for the end */
  gboolean lingers;
  GForkUpkeep upkeep; /* likewise, where no main loop runs */

  GList link; /* in all_channels */
};

/* Guarded by the globals' lock. */
static GQueue all_channels = G_QUEUE_INIT;

/* ——— Coming and going ——— */

/* In a fork of the application, which would otherwise keep the templates alive, and could write
 * to them. */
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

gboolean
g_fork_channel_is_ours (GForkChannel *channel)
{
  return channel->generation == g_fork_generation ();
}

/* Takes the socket, which may be -1. */
GForkChannel *
g_fork_channel_new (int                      fd,
                    const GForkChannelFuncs *funcs,
                    gpointer                 owner)
{
  static gsize hooked;
  GForkChannel *channel = g_new0 (GForkChannel, 1);

  if (g_once_init_enter (&hooked))
    {
      g_fork_add_child_hook (close_all_channels);
      g_once_init_leave (&hooked, 1);
    }

  channel->generation = g_fork_generation ();
  channel->funcs = funcs;
  channel->owner = owner;
  g_mutex_init (&channel->lock);
  channel->fd = fd;
  gfork_reader_init (&channel->reader, channel->memory, sizeof channel->memory,
                     channel->control, sizeof channel->control);
  channel->reader.can_lose_fds = true;
  channel->link.data = channel;

  g_fork_globals_lock ();
  g_queue_push_tail_link (&all_channels, &channel->link);
  g_fork_globals_unlock ();

  return channel;
}

void
g_fork_channel_free (GForkChannel *channel)
{
  /* Another thread may have held the lock when the application was forked. */
  if (!g_fork_channel_is_ours (channel))
    return;

  g_fork_globals_lock ();
  g_queue_unlink (&all_channels, &channel->link);
  g_fork_globals_unlock ();

  if (channel->fd >= 0)
    close (channel->fd);
  g_fork_queue_clear (&channel->queue);
  g_fork_queue_free (&channel->queue);
  gfork_reader_clear (&channel->reader);
  g_free (channel->large_memory);
  g_clear_pointer (&channel->deferred, g_array_unref);
  g_mutex_clear (&channel->lock);
  g_free (channel);
}

/* ——— The lock ——— */

void
g_fork_channel_lock (GForkChannel *channel)
{
  g_mutex_lock (&channel->lock);
}

void
g_fork_channel_unlock (GForkChannel *channel)
{
  GArray *deferred = g_steal_pointer (&channel->deferred);

  g_mutex_unlock (&channel->lock);
  if (G_LIKELY (deferred == NULL))
    return;

  for (guint i = 0; i < deferred->len; i++)
    {
      Deferred *call = &g_array_index (deferred, Deferred, i);

      call->func (call->data);
    }
  g_array_unref (deferred);
}

void
g_fork_channel_defer (GForkChannel   *channel,
                      GDestroyNotify  func,
                      gpointer        data)
{
  Deferred call = { func, data };

  if (channel->deferred == NULL)
    channel->deferred = g_array_new (FALSE, FALSE, sizeof call);
  g_array_append_val (channel->deferred, call);
}

gboolean
g_fork_channel_is_open (GForkChannel *channel)
{
  return channel->fd >= 0;
}

/* ——— Watching ——— */

static gboolean
watch_dispatch (GSource     *source,
                GSourceFunc  callback,
                gpointer     user_data)
{
  GForkChannel *channel = ((GForkWatch *) source)->channel;
  GMainContext *outer;

  if (!g_fork_channel_is_ours (channel))
    return G_SOURCE_REMOVE;

  if (g_source_get_ready_time (source) >= 0)
    g_source_set_ready_time (source, -1);
  outer = g_fork_dispatch_begin (g_source_get_context (source));
  g_fork_channel_pump (channel, FALSE);
  g_fork_dispatch_end (outer);
  return G_SOURCE_CONTINUE;
}

static void
watch_finalize (GSource *source)
{
  GForkChannel *channel = ((GForkWatch *) source)->channel;

  if (g_fork_channel_is_ours (channel))
    channel->funcs->unref (channel->owner);
}

static GSourceFuncs watch_funcs = {
  .dispatch = watch_dispatch,
  .finalize = watch_finalize,
};

static void keep_in (GForkChannel *channel,
                     GMainContext *context);

/* The context of a source is being freed. If it was the keeper's, the default context gets
 * another one. */
static void
on_watch_gone (gpointer source)
{
  GForkWatch *watch = source;
  GForkChannel *channel = watch->channel;

  if (!g_fork_channel_is_ours (channel))
    return;

  g_fork_channel_lock (channel);
  if (watch->listed)
    channel->watches = g_slist_remove (channel->watches, watch);
  watch->listed = FALSE;
  if (channel->keeper == watch)
    keep_in (channel, g_main_context_default ());
  g_fork_channel_unlock (channel);
}

/* The condition that the sources wait for. */
static GIOCondition
get_condition (GForkChannel *channel)
{
  if (g_fork_queue_length (&channel->queue) > 0 && !channel->retry)
    return G_IO_IN | G_IO_OUT;
  return G_IO_IN;
}

static void
update_watches (GForkChannel *channel)
{
  GIOCondition condition = get_condition (channel);

  for (GSList *l = channel->watches; l != NULL; l = l->next)
    {
      GForkWatch *watch = l->data;

      if (watch->condition != condition)
        g_source_modify_unix_fd (&watch->base.source, watch->tag, condition);
      watch->condition = condition;
      if (channel->retry)
        g_source_set_ready_time (&watch->base.source, g_get_monotonic_time () + RETRY_AFTER);
    }
}

static GForkWatch *
watch_locked (GForkChannel *channel,
              GMainContext *context)
{
  GForkWatch *watch;
  GSource *source;

  if (channel->fd < 0)
    return NULL;

  for (GSList *l = channel->watches; l != NULL; l = l->next)
    {
      watch = l->data;
      if (watch->context == context)
        {
          watch->holds++;
          return watch;
        }
    }

  watch = (GForkWatch *) g_source_new (&watch_funcs, sizeof *watch);
  source = &watch->base.source;
  watch->channel = channel;
  channel->funcs->ref (channel->owner);
  watch->context = context;
  watch->holds = 1;
  watch->condition = get_condition (channel);
  /* A callback may iterate the context until something else comes from the same process.
   * Besides, a source that cannot recurse costs two system calls a dispatch, as GLib takes its
   * descriptor out of the poll and puts it back. */
  g_source_set_can_recurse (source, TRUE);
  watch->tag = g_source_add_unix_fd (source, channel->fd, watch->condition);
  if (channel->retry)
    g_source_set_ready_time (source, g_get_monotonic_time () + RETRY_AFTER);
  watch->listed = TRUE;
  channel->watches = g_slist_prepend (channel->watches, watch);
  g_fork_source_attach (&watch->base, "[gspawnfork] control socket", on_watch_gone, context);
  return watch;
}

static void
unref_source (gpointer source)
{
  g_source_unref (source);
}

static void
release_locked (GForkWatch *watch)
{
  if (--watch->holds > 0)
    return;

  if (watch->listed)
    watch->channel->watches = g_slist_remove (watch->channel->watches, watch);
  watch->listed = FALSE;
  g_fork_source_drop (&watch->base);
  g_fork_channel_defer (watch->channel, unref_source, watch);
}

/* Has the socket read and written when @context is iterated. Returns %NULL if the socket is
 * closed. */
GForkWatch *
g_fork_channel_watch (GForkChannel *channel,
                      GMainContext *context)
{
  GForkWatch *watch;

  if (!g_fork_channel_is_ours (channel))
    return NULL;

  g_fork_channel_lock (channel);
  watch = watch_locked (channel, context);
  g_fork_channel_unlock (channel);
  return watch;
}

void
g_fork_watch_release (GForkWatch *watch)
{
  GForkChannel *channel = watch->channel;

  if (!g_fork_channel_is_ours (channel))
    return;

  g_fork_channel_lock (channel);
  release_locked (watch);
  g_fork_channel_unlock (channel);
}

/* ——— The queue out ——— */

static void
let_go (GForkChannel *channel)
{
  GForkWatch *keeper = g_steal_pointer (&channel->keeper);

  if (keeper != NULL)
    release_locked (keeper);
}

static void
keep_in (GForkChannel *channel,
         GMainContext *context)
{
  GForkWatch *watch;

  if (channel->keeper != NULL && channel->keeper->listed && channel->keeper->context == context)
    return;

  watch = watch_locked (channel, context);
  let_go (channel);
  channel->keeper = watch;
}

/* Has what is left sent in the context of the call that is under way. */
static void
keep (GForkChannel *channel)
{
  g_autoptr (GMainContext) context = g_fork_ref_background_context ();

  keep_in (channel, context);
}

static void
flush (GForkChannel *channel)
{
  GForkFlush result = g_fork_queue_flush (&channel->queue, channel->fd);

  channel->retry = result == G_FORK_FLUSH_LATER;
  if (result == G_FORK_FLUSH_BROKEN)
    {
      /* Commands got lost, so none that come after them may be carried out. */
      int error_number = errno;

      shutdown (channel->fd, SHUT_RDWR);
      channel->funcs->end (channel->owner, G_FORK_END_UNWRITABLE, error_number);
    }
}

gsize
g_fork_channel_n_unsent (GForkChannel *channel,
                         gsize        *n_fds)
{
  *n_fds = g_fork_queue_n_fds (&channel->queue);
  return g_fork_queue_length (&channel->queue);
}

/* Whether the socket has not taken all that was written to it. Commands that are held back do
 * not count. */
gboolean
g_fork_channel_is_blocked (GForkChannel *channel)
{
  return g_fork_queue_length (&channel->queue) > 0 && channel->keeper != NULL;
}

/* Queues a frame. Takes the descriptors. */
void
g_fork_channel_append (GForkChannel *channel,
                       guint8        verb,
                       const void   *payload,
                       gsize         length,
                       const int    *fds,
                       gsize         n_fds)
{
  g_fork_queue_append (&channel->queue, verb, payload, length, fds, n_fds);
}

/* Writes what the socket takes, and has a source write the rest. */
void
g_fork_channel_flush (GForkChannel *channel)
{
  if (channel->fd < 0)
    return;

  flush (channel);
  update_watches (channel);
  if (g_fork_queue_length (&channel->queue) > 0)
    keep (channel);
}

/* ——— Reading ——— */

static void
end (GForkChannel *channel,
     GForkEnd      how,
     int           error_number)
{
  channel->funcs->end (channel->owner, how, error_number);
}

/* Hands the frames that are complete to the owner. It may read more meanwhile, by
 * g_fork_channel_stop(), so the frame has its descriptors in memory of its own. */
static void
hand_on (GForkChannel *channel)
{
  struct gfork_frame frame;
  int fds[GFORK_MAX_FDS];

  while (channel->fd >= 0)
    switch (gfork_reader_next (&channel->reader, &frame))
      {
      case GFORK_NEXT_FRAME:
        if (frame.n_fds > 0)
          frame.fds = memcpy (fds, frame.fds, frame.n_fds * sizeof *fds);
        channel->funcs->frame (channel->owner, &frame);
        gfork_frame_close_fds (&frame);
        break;

      case GFORK_NEXT_MORE:
        return;

      case GFORK_NEXT_BAD:
        end (channel, G_FORK_END_MALFORMED, 0);
        return;
      }
}

/* Reads until the socket is empty. A read that did not fill the buffer has most likely emptied
 * it, so there is no other one, unless the end of file must not be missed. */
static void
read_frames (GForkChannel *channel,
             gboolean      to_the_end)
{
  for (guint i = 0; i < MAX_READS && channel->fd >= 0; i++)
    {
      gboolean exact = channel->exact;

      switch (gfork_reader_fill (&channel->reader, channel->fd, exact, MSG_DONTWAIT))
        {
        case GFORK_FILL_DATA:
          {
            gboolean more = exact || to_the_end || channel->reader.full;

            hand_on (channel);
            if (!more)
              return;
          }
          break;

        case GFORK_FILL_AGAIN:
          return;

        case GFORK_FILL_NO_MEMORY:
          end (channel, G_FORK_END_UNREADABLE, ENOMEM);
          return;

        case GFORK_FILL_RESET:
          /* A process that has left something unread resets the connection when it ends. */
          if (errno == ECONNRESET)
            end (channel, G_FORK_END_OF_FILE, 0);
          else
            end (channel, G_FORK_END_UNREADABLE, errno);
          return;

        case GFORK_FILL_EOF:
          end (channel, G_FORK_END_OF_FILE, 0);
          return;

        case GFORK_FILL_TRUNCATED:
          /* Not with can_lose_fds, which is set for answers. */
          g_assert_not_reached ();

        case GFORK_FILL_FLOODED:
          end (channel, G_FORK_END_MALFORMED, 0);
          return;
        }
    }
}

/* Reads what has come in. */
void
g_fork_channel_read (GForkChannel *channel)
{
  read_frames (channel, FALSE);
}

/* From now on nothing is read beyond the next frame. */
void
g_fork_channel_read_exactly (GForkChannel *channel)
{
  channel->exact = TRUE;
}

/* From now on many frames may come at a time, so the buffer grows. */
void
g_fork_channel_read_more (GForkChannel *channel)
{
  if (channel->large_memory != NULL || channel->reader.start != channel->reader.end)
    return;

  gfork_reader_clear (&channel->reader);
  channel->large_memory = g_malloc (LARGE_READER);
  gfork_reader_init (&channel->reader, channel->large_memory, LARGE_READER, channel->control,
                     sizeof channel->control);
  channel->reader.can_lose_fds = true;
}

/* Shuts the socket down for reading. What has come in before is still read and handed on. */
void
g_fork_channel_stop (GForkChannel *channel)
{
  shutdown (channel->fd, SHUT_RD);
  channel->exact = TRUE;
  read_frames (channel, TRUE);
}

/* Writes what can be written and reads what can be read. */
void
g_fork_channel_pump (GForkChannel *channel,
                     gboolean      to_the_end)
{
  if (!g_fork_channel_is_ours (channel))
    return;

  channel->funcs->ref (channel->owner);
  g_fork_channel_lock (channel);
  if (channel->fd >= 0)
    flush (channel);
  if (channel->fd >= 0)
    read_frames (channel, to_the_end);
  if (channel->fd >= 0)
    update_watches (channel);
  if (g_fork_queue_length (&channel->queue) == 0 && !channel->lingers)
    let_go (channel);
  g_fork_channel_unlock (channel);
  channel->funcs->unref (channel->owner);
}

/* ——— Its end ——— */

static gpointer
upkeep_ref (gpointer item)
{
  GForkChannel *channel = item;

  channel->funcs->ref (channel->owner);
  return channel;
}

static void
upkeep_unref (gpointer item)
{
  GForkChannel *channel = item;

  channel->funcs->unref (channel->owner);
}

static void
look_after (gpointer channel)
{
  g_fork_channel_pump (channel, TRUE);
}

/* From now on only the end of file is awaited. The keeper sees it, or the upkeep if no main loop
 * runs. */
void
g_fork_channel_linger (GForkChannel *channel)
{
  if (channel->fd < 0 || channel->lingers)
    return;

  channel->lingers = TRUE;
  channel->upkeep = (GForkUpkeep){ upkeep_ref, upkeep_unref, look_after, channel, channel->fd };
  g_fork_upkeep_add (&channel->upkeep);
  keep (channel);
}

/* Closes descriptors that came with incomplete frames. Deferred, since a frame that is being
 * handled is in the memory of the reader. */
static void
clear_reader (gpointer data)
{
  GForkChannel *channel = data;

  g_fork_channel_lock (channel);
  gfork_reader_clear (&channel->reader);
  g_fork_channel_unlock (channel);
}

/* Takes the socket out of the channel. The caller closes it or hands it on. */
int
g_fork_channel_take_fd (GForkChannel *channel)
{
  int fd = channel->fd;

  /* The sources are dropped first: the number of the socket may soon be that of another
   * descriptor. */
  for (GSList *l = channel->watches; l != NULL; l = l->next)
    {
      GForkWatch *watch = l->data;

      watch->listed = FALSE;
      g_fork_source_drop (&watch->base);
    }
  g_clear_pointer (&channel->watches, g_slist_free);
  let_go (channel);
  if (channel->lingers)
    g_fork_upkeep_remove (&channel->upkeep);

  channel->fd = -1;
  g_fork_queue_clear (&channel->queue);
  g_fork_channel_defer (channel, clear_reader, channel);
  return fd;
}

/* Whether every process that had the other end has closed it. Something may still be left to
 * read. */
gboolean
g_fork_channel_has_ended (GForkChannel *channel)
{
  struct pollfd poll_fd = { 0 };

  if (!g_fork_channel_is_ours (channel))
    return TRUE;

  g_fork_channel_lock (channel);
  poll_fd.fd = channel->fd;
  g_fork_channel_unlock (channel);
  return poll_fd.fd < 0 || poll (&poll_fd, 1, 0) > 0;
}
