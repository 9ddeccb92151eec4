/* channel.c: one control socket: its life, its sources, its lock
 *
 * Nothing here waits. What the socket does not take at once is queued, and
 * whoever awaits an answer has a source in a main context that goes on with it.
 * Every decision is made under the lock of the channel; whatever calls out of
 * the channel's reach is collected meanwhile and done after it.
 *
 * Locks are taken in this order: a child's, a channel's, a main context's.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "channel/internal.h"

#include "base/context.h"
#include "gforkerror-private.h"
#include "base/generation.h"

#include <errno.h>
#include <glib/gi18n-lib.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Commands that do nothing by themselves are sent together with the next one
 * that does, unless they become as many as this. */
#define MAX_HELD_BYTES (32 * 1024)
#define MAX_HELD_FDS 64

/* What the kernel has no room for, or too many descriptors under way, is tried
 * again after this. */
#define RETRY_AFTER (5 * G_TIME_SPAN_MILLISECOND)

/* So many of the commands that are not known to be done are kept for messages. */
#define MAX_TOLD 8

/* Guarded by the globals' lock. */
static GQueue all_channels = G_QUEUE_INIT;

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

gboolean
g_fork_channel_is_ours (GForkChannel *channel)
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
  channel->reader.can_lose_fds = true;
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

/* To be called before there is anything to read. */
void
g_fork_channel_set_program (GForkChannel *channel,
                            const char   *program)
{
  channel->program = g_filename_display_name (program);
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

  if (g_fork_channel_is_ours (channel))
    {
      g_fork_globals_lock ();
      g_queue_unlink (&all_channels, &channel->link);
      g_fork_globals_unlock ();

      if (channel->child != NULL && !channel->released)
        g_fork_child_release (channel->child);
      if (channel->fd >= 0)
        close (channel->fd);
      g_fork_queue_clear (&channel->queue);
    }

  gfork_reader_clear (&channel->reader);
  g_free (channel->large_memory);
  g_fork_queue_free (&channel->queue);
  g_clear_pointer (&channel->children, g_hash_table_unref);
  g_clear_pointer (&channel->child, g_fork_child_unref);
  g_clear_pointer (&channel->parent, g_fork_channel_unref);
  g_free (channel->hint);
  g_free (channel->program);
  g_queue_clear_full (&channel->told, g_free);
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

  if (!g_fork_channel_is_ours (channel))
    return channel->pid;

  g_mutex_lock (&channel->lock);
  pid = channel->pid;
  g_mutex_unlock (&channel->lock);
  return pid;
}

/* ——— The queue out ——— */

/* Lets the sources wait for what there is to wait for. */
void
g_fork_channel_update_watches (GForkChannel *channel)
{
  GIOCondition condition = G_IO_IN;

  if (!g_fork_queue_is_empty (&channel->queue) && !channel->retry)
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

/* What was to be sent got lost, so whatever would follow must not be done. The end of
 * file tells both ends; what has come in can still be read. */
static void
break_off (GForkChannel *channel,
           int           error_number)
{
  /* The other end is gone: it may have said why. */
  if (channel->error == NULL && error_number != EPIPE && error_number != ECONNRESET)
    channel->error = g_fork_reason_new (G_FORK_ERROR_FAILED,
                                        _("could not send to the process: %s"),
                                        g_strerror (error_number));
  shutdown (channel->fd, SHUT_RDWR);
}

void
g_fork_channel_flush (GForkChannel *channel)
{
  GForkFlush result = g_fork_queue_flush (&channel->queue, channel->fd);

  channel->retry = result == G_FORK_FLUSH_LATER;
  if (result == G_FORK_FLUSH_BROKEN)
    break_off (channel, errno);
}

/* Flushes, and makes sure that somebody goes on if the socket is full. */
void
g_fork_channel_flush_and_watch (GForkChannel *channel)
{
  g_autoptr (GMainContext) context = NULL;

  g_fork_channel_flush (channel);
  g_fork_channel_update_watches (channel);
  if (g_fork_queue_is_empty (&channel->queue) || channel->out_watch != NULL)
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

GError *
g_fork_channel_too_long_error (gsize length)
{
  return g_fork_reason_new (G_FORK_ERROR_FAILED,
                            _("%zu bytes are more than the %d that a command may have"), length,
                            GFORK_MAX_PAYLOAD);
}

/* Remembers a command that the process may not survive. Here @payload begins with what
 * it is about. */
static void
remember_told (GForkChannel *channel,
               guint8        verb,
               const char   *payload)
{
  if (verb != GFORK_REQUIRE && verb != GFORK_CALL && verb != GFORK_EVAL)
    return;

  g_queue_push_tail (&channel->told, g_fork_command_describe (verb, payload));
  channel->n_told++;
  if (channel->told.length > MAX_TOLD)
    g_free (g_queue_pop_head (&channel->told));
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
  if (!g_fork_channel_is_ours (channel))
    {
      close_fds (fds, n_fds);
      return;
    }

  if (length > GFORK_MAX_PAYLOAD)
    {
      close_fds (fds, n_fds);
      g_fork_channel_fail (channel, g_fork_reason_complete (g_fork_channel_too_long_error (length),
                                                            verb, payload));
      return;
    }

  if (verb != GFORK_KILL)
    g_fork_channel_discard_spares (channel);

  g_mutex_lock (&channel->lock);
  if (channel->state == OPEN || (channel->state == CLOSED && verb == GFORK_KILL))
    {
      if (channel->log != NULL && verb != GFORK_KILL)
        g_fork_log_append (channel->log, verb, payload, length, fds, n_fds);
      g_fork_queue_append (&channel->queue, verb, payload, length, fds, n_fds);
      remember_told (channel, verb, payload);
      if (does_something (verb) || channel->queue.bytes->len > MAX_HELD_BYTES
          || channel->queue.fds->len > MAX_HELD_FDS)
        g_fork_channel_flush_and_watch (channel);
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

/* Remembers which standard streams were given away by MAP_FD, so that the flags of an
 * execution can be checked against it. */
void
g_fork_channel_add_mapped (GForkChannel *channel,
                           int           target)
{
  if (target <= 2)
    g_atomic_int_or (&channel->mapped, 1u << target);
}

guint
g_fork_channel_get_mapped (GForkChannel *channel)
{
  return g_atomic_int_get (&channel->mapped);
}

/* What went wrong on this side is reported like what goes wrong on the other.
 * Takes @error. */
void
g_fork_channel_fail (GForkChannel *channel,
                     GError       *error)
{
  if (g_fork_channel_is_ours (channel))
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

  if (!g_fork_channel_is_ours (channel))
    return G_SOURCE_REMOVE;

  if (g_source_get_ready_time (source) >= 0)
    g_source_set_ready_time (source, -1);
  outer = g_fork_dispatch_begin (g_source_get_context (source));
  g_fork_channel_pump (channel, FALSE);
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

  if (!g_fork_channel_is_ours (channel))
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
  /* A callback may iterate the context until something else comes from the same process.
   * GLib takes the descriptor of a source that must not recurse out of the poll and puts it
   * back, too, which takes two system calls. */
  g_source_set_can_recurse (watch->source, TRUE);
  watch->tag = g_source_add_unix_fd (watch->source, channel->fd, watch->condition);
  channel->watches = g_slist_prepend (channel->watches, watch);
  g_fork_channel_update_watches (channel);
  g_source_attach (watch->source, context);
  g_mutex_unlock (&channel->lock);

  return watch;
}

void
g_fork_watch_release (GForkWatch *watch)
{
  GForkChannel *channel = watch->channel;
  gboolean last;

  if (!g_fork_channel_is_ours (channel))
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
  return g_fork_reason_new (G_FORK_ERROR_CLOSED,
                            _("the template was closed, run, executed or detached before"));
}

GError *
g_fork_channel_inherited_error (void)
{
  return g_fork_reason_new (G_FORK_ERROR_LOST,
                            _("the template belongs to the process that this one was forked from"));
}

/* Why nothing can be asked of it any more; %NULL if something can. */
GError *
g_fork_channel_refusal (GForkChannel *channel)
{
  if (channel->closed)
    return g_fork_channel_closed_error ();
  if (channel->error != NULL)
    return g_error_copy (channel->error);
  return channel->state == OPEN || channel->ended_at != 0 ? NULL : g_fork_channel_closed_error ();
}

/* From here on it is not forked any more. */
void
g_fork_channel_end (GForkChannel *channel,
                    State         state)
{
  channel->state = state;
  if (channel->log != NULL)
    g_fork_log_clear (channel->log);
}

/* Takes the socket away; the caller closes it or hands it on. */
int
g_fork_channel_take_fd (GForkChannel *channel,
                        Actions      *actions)
{
  int fd = channel->fd;

  /* The sources go first, so that none is left with a number that somebody else
   * may get. */
  for (GSList *l = channel->watches; l != NULL; l = l->next)
    g_source_destroy (((GForkWatch *) l->data)->source);

  channel->fd = -1;
  g_fork_channel_end (channel, GONE);
  g_fork_queue_clear (&channel->queue);

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
  actions->released = channel->child != NULL && !channel->released;
  channel->released = TRUE;
  actions->out_watch = g_steal_pointer (&channel->out_watch);
  return fd;
}

/* Will the end of file mean that the process has become another program? */
gboolean
g_fork_channel_is_executed (GForkChannel *channel)
{
  Operation *operation = g_queue_peek_head (&channel->operations);

  return !channel->given_up
         && operation != NULL && operation->await == G_FORK_AWAIT_EXECUTED && operation->ready;
}

/* Everything under way ends with @error, which is taken; or with success if @executed. */
void
g_fork_channel_end_operations (GForkChannel *channel,
                               GError       *error,
                               gboolean      executed,
                               Actions      *actions)
{
  Operation *operation;

  channel->ended_at = 0;
  if (channel->error == NULL)
    channel->error = executed ? g_fork_channel_closed_error () : g_error_copy (error);

  while ((operation = g_queue_pop_head (&channel->operations)) != NULL)
    {
      if (executed)
        {
          operation->launch = g_fork_launch_new (operation->user_fd, channel->child);
          operation->user_fd = -1;
          g_fork_operation_take (operation, NULL, actions);
        }
      else
        g_fork_operation_take (operation, g_error_copy (channel->error), actions);
    }

  g_error_free (error);
}

/* Ends the channel. Everything under way ends with @error, which is taken, but for
 * a program that has been executed: that its end of the socket is gone is the
 * sign of it. */
void
g_fork_channel_die (GForkChannel *channel,
                    GError       *error,
                    gboolean      other_end_gone,
                    Actions      *actions)
{
  gboolean executed = other_end_gone && g_fork_channel_is_executed (channel);
  int fd;

  g_fork_channel_end_operations (channel, error, executed, actions);
  fd = g_fork_channel_take_fd (channel, actions);
  if (fd >= 0)
    close (fd);
}

/* ——— Actions ——— */

/* Does what was decided. The channel's lock must not be held. */
void
g_fork_channel_take_actions (GForkChannel *channel,
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
    g_fork_operation_finish (l->data);
  g_slist_free (actions->operations);

  if (actions->released)
    {
      g_fork_child_set_unattended (channel->child);
      g_fork_child_release (channel->child);
    }

  g_clear_pointer (&actions->out_watch, g_fork_watch_release);
  if (actions->gone)
    {
      /* It may hold descriptors that nobody has asked for. */
      g_mutex_lock (&channel->lock);
      gfork_reader_clear (&channel->reader);
      g_mutex_unlock (&channel->lock);
      g_fork_channel_end_spares (channel);
    }

  if (actions->end_of_file)
    g_fork_channel_end_of_file (channel);
}

/* Writes what can be written and reads what can be read. */
void
g_fork_channel_pump (GForkChannel *channel,
                     gboolean      to_the_end)
{
  Actions actions = { 0 };

  g_fork_channel_ref (channel);
  g_mutex_lock (&channel->lock);
  if (channel->fd >= 0)
    {
      g_fork_channel_flush (channel);
      g_fork_channel_read (channel, to_the_end, &actions);
    }
  if (channel->fd >= 0)
    g_fork_channel_update_watches (channel);
  if (channel->out_watch != NULL && g_fork_queue_is_empty (&channel->queue))
    actions.out_watch = g_steal_pointer (&channel->out_watch);
  g_mutex_unlock (&channel->lock);

  g_fork_channel_take_actions (channel, &actions);
  g_fork_channel_settle (channel);
  g_fork_channel_unref (channel);
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

  if (!g_fork_channel_is_ours (channel))
    return;

  g_mutex_lock (&channel->lock);
  if (--channel->uses == 0 && channel->fd >= 0)
    g_fork_channel_die (channel, g_fork_channel_closed_error (), FALSE, &actions);
  g_mutex_unlock (&channel->lock);
  g_fork_channel_take_actions (channel, &actions);
}

/* Ends the template at the user's wish, unless it has become something else. It stays
 * behind as long as somebody wants to know how its children end. */
void
g_fork_channel_close (GForkChannel *channel)
{
  Condemned condemned = { NULL };
  Actions actions = { 0 };
  Operation *operation;

  if (!g_fork_channel_is_ours (channel))
    return;

  g_fork_channel_end_spares (channel);

  g_mutex_lock (&channel->lock);
  if (channel->state == OPEN)
    {
      while ((operation = g_queue_pop_head (&channel->operations)) != NULL)
        g_fork_operation_take (operation, g_fork_channel_closed_error (), &actions);
      g_fork_channel_end (channel, CLOSED);
      channel->closed = TRUE;
      g_fork_queue_append (&channel->queue, GFORK_CLOSE, NULL, 0, NULL, 0);
      g_fork_channel_flush_and_watch (channel);
    }
  else if (channel->state == FINAL && !g_queue_is_empty (&channel->operations))
    {
      g_fork_channel_condemn (channel, &condemned);
      g_fork_channel_die (channel, g_fork_channel_closed_error (), FALSE, &actions);
    }
  g_mutex_unlock (&channel->lock);

  g_fork_condemned_kill (&condemned);
  g_fork_channel_take_actions (channel, &actions);
}

/* Reads what there is, to the end of file. */
void
g_fork_channel_check (GForkChannel *channel)
{
  if (g_fork_channel_is_ours (channel))
    g_fork_channel_pump (channel, TRUE);
}

/* Is the process at the other end gone? Its socket alone does not tell at once: its
 * template may not have come to closing its own copy. */
gboolean
g_fork_channel_is_doomed (GForkChannel *channel)
{
  struct pollfd poll_fd = { 0 };
  g_autoptr (GForkChild) child = NULL;

  if (!g_fork_channel_is_ours (channel))
    return TRUE;

  g_mutex_lock (&channel->lock);
  poll_fd.fd = channel->fd;
  if (channel->child != NULL)
    child = g_fork_child_ref (channel->child);
  g_mutex_unlock (&channel->lock);

  if (poll_fd.fd < 0 || (child != NULL && g_fork_child_has_ended (child)))
    return TRUE;

  return poll (&poll_fd, 1, 0) > 0;
}

/* Whether the template is no longer able to serve. */
gboolean
g_fork_channel_is_dying (GForkChannel *channel)
{
  gboolean open;

  if (!g_fork_channel_is_ours (channel))
    return TRUE;

  g_mutex_lock (&channel->lock);
  open = channel->state == OPEN;
  g_mutex_unlock (&channel->lock);
  return !open || g_fork_channel_is_doomed (channel);
}
