/* remote.c: a template process as the application sees it
 *
 * Its state, the commands that it is sent, the operations that await its answers, and the
 * processes that it has forked and reports the ends of. The channel carries the frames; its
 * lock guards all that can change here.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "channel/remote.h"

#include "base/error.h"
#include "base/generation.h"
#include "base/upkeep.h"
#include "channel/channel.h"
#include "channel/log.h"
#include "channel/spares.h"
#include "channel/trace.h"

#include <errno.h>
#include <glib/gi18n-lib.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Commands that do nothing by themselves are sent together with the next one
 * that does, unless they become as many as this. */
#define MAX_HELD_BYTES (32 * 1024)
#define MAX_HELD_FDS 64

/* After so many forks the ends that were reported are read, so that the reports
 * do not pile up in the template if nobody waits for any. */
#define FORKS_BETWEEN_READS 32

/* Longer names of functions are looked for by every fork. */
#define MAX_HINT 64

/* A process that ends closes its socket a moment before it can be reaped. */
#define CAUSE_PATIENCE_MS 1000

/* The template process has it for one that is not reported. */
#define NO_ID G_MAXUINT32

typedef enum
{
  OPEN,
  FINAL,  /* run, executed or detached: nothing may follow on the socket */
  CLOSED, /* by the user; it stays as long as it has children */
  GONE,   /* the socket was handed out, or is at its end */
} State;

struct _GForkRemote
{
  gatomicrefcount ref_count;
  GForkChannel *channel;
  GForkChild *child;   /* the process at the other end */
  GForkRemote *parent; /* the template that it is a fork of */
  char *program;       /* that was executed to become it, for messages, or NULL */
  guint start_timeout; /* how many seconds it has to say HELLO; 0: any number */
  int module_path;     /* which of the application's it was sent, or has inherited */
  guint mapped;        /* a bit for each standard stream that has a descriptor mapped to it */
  GForkSpares *spares; /* made when some are first wanted, and never replaced */

  /* Guarded by the channel's lock. */
  State state;
  guint owners;
  gboolean answered;
  gboolean closed;    /* by the user, whatever else has become of it since */
  gboolean given_up;  /* by this side, because of what has come in */
  gboolean condemned; /* it is about to be killed: of its answers only its pid counts */
  gint64 ended_at;    /* when the socket came to its end, as long as the cause is not known */
  GError *error;      /* why it is GONE, or what went wrong on this side */
  GError *reported;   /* the last thing that went wrong on the other */
  pid_t pid;
  GQueue operations; /* in the order of the answers */
  GForkTrace trace;

  GHashTable *children; /* id → GForkChild, of those not known to have ended */
  guint32 next_id;
  char *hint; /* the function that the last fork was run with */
  gboolean hint_is_news;

  /* If it cannot be forked. */
  GForkStarter start;
  GStrv words;
  GForkLog *log;
};

static const GForkChannelFuncs channel_funcs;
static const GForkReaper reaper_funcs;

static gboolean settle (GForkRemote *remote);

/* ——— Coming and going ——— */

GForkRemote *
g_fork_remote_ref (GForkRemote *remote)
{
  g_atomic_ref_count_inc (&remote->ref_count);
  return remote;
}

void
g_fork_remote_unref (GForkRemote *remote)
{
  /* What belongs to the process that this one was forked from is not touched. */
  if (!g_atomic_ref_count_dec (&remote->ref_count) || !g_fork_channel_is_ours (remote->channel))
    return;

  g_fork_channel_free (remote->channel);
  g_clear_pointer (&remote->children, g_hash_table_unref);
  g_clear_pointer (&remote->child, g_fork_child_unref);
  g_clear_pointer (&remote->parent, g_fork_remote_unref);
  g_clear_pointer (&remote->spares, g_fork_spares_free);
  g_clear_pointer (&remote->log, g_fork_log_free);
  g_strfreev (remote->words);
  g_fork_trace_clear (&remote->trace);
  g_clear_error (&remote->error);
  g_clear_error (&remote->reported);
  g_free (remote->hint);
  g_free (remote->program);
  g_free (remote);
}

static gpointer
ref_owner (gpointer remote)
{
  return g_fork_remote_ref (remote);
}

static void
unref_owner (gpointer remote)
{
  g_fork_remote_unref (remote);
}

static void
unref_child (gpointer child)
{
  g_fork_child_unref (child);
}

static void
lock (GForkRemote *remote)
{
  g_fork_channel_lock (remote->channel);
}

static void
unlock (GForkRemote *remote)
{
  g_fork_channel_unlock (remote->channel);
}

/* Does @func with the remote process when the lock is released; it takes a reference. */
static void
defer (GForkRemote    *remote,
       GDestroyNotify  func)
{
  g_fork_channel_defer (remote->channel, func, g_fork_remote_ref (remote));
}

/* A direct child has ended: so its socket is at its end, too. */
static void
on_process_ended (gpointer data)
{
  g_autoptr (GForkRemote) remote = data;

  g_fork_channel_pump (remote->channel, TRUE);
  settle (remote);
}

/* Takes the socket. @child is the process at its other end. */
GForkRemote *
g_fork_remote_new (int         fd,
                   GForkChild *child)
{
  GForkRemote *remote = g_new0 (GForkRemote, 1);

  g_atomic_ref_count_init (&remote->ref_count);
  remote->channel = g_fork_channel_new (fd, &channel_funcs, remote);
  remote->owners = 1;

  if (child != NULL)
    {
      remote->child = g_fork_child_ref (child);
      remote->pid = g_fork_child_get_pid (child);
      if (g_fork_child_is_direct (child))
        g_fork_child_set_end_func (child, on_process_ended, g_fork_remote_ref (remote));
    }

  return remote;
}

/* One that answers everything with @error, which it takes. */
GForkRemote *
g_fork_remote_new_failed (GError *error)
{
  GForkRemote *remote = g_fork_remote_new (-1, NULL);

  remote->state = GONE;
  remote->error = error;
  return remote;
}

/* The process is a program that was just executed, which is to say HELLO within so many
 * seconds, unless that is 0. To be called before anything else. */
void
g_fork_remote_set_program (GForkRemote *remote,
                           const char  *program,
                           guint        start_timeout)
{
  remote->program = g_filename_display_name (program);
  remote->start_timeout = start_timeout;
}

/* The process cannot be forked: the program is started again instead, and is sent what this
 * one was sent. */
void
g_fork_remote_set_starter (GForkRemote        *remote,
                           GForkStarter        start,
                           const char * const *words)
{
  lock (remote);
  remote->start = start;
  remote->words = g_strdupv ((char **) words);
  remote->log = g_fork_log_new ();
  unlock (remote);
}

/* 0 if it is not known yet. It stays when the process was run or is gone. */
pid_t
g_fork_remote_get_pid (GForkRemote *remote)
{
  pid_t pid;

  if (!g_fork_channel_is_ours (remote->channel))
    return remote->pid;

  lock (remote);
  pid = remote->pid;
  unlock (remote);
  return pid;
}

/* Whether it is there, and can be prepared and forked. Its socket alone does not tell at once:
 * its template may not have come to closing its own copy. */
gboolean
g_fork_remote_is_usable (GForkRemote *remote)
{
  gboolean open;

  if (!g_fork_channel_is_ours (remote->channel))
    return FALSE;

  lock (remote);
  open = remote->state == OPEN;
  unlock (remote);
  return open && !g_fork_channel_has_ended (remote->channel)
         && (remote->child == NULL || !g_fork_child_has_ended (remote->child));
}

/* ——— Reasons why not ——— */

GError *
g_fork_remote_closed_error (void)
{
  return g_fork_reason_new (G_FORK_ERROR_CLOSED,
                            _("the template was closed, run, executed or detached before"));
}

static GError *
inherited_error (void)
{
  return g_fork_reason_new (G_FORK_ERROR_LOST,
                            _("the template belongs to the process that this one was forked from"));
}

static GError *
too_long_error (gsize length)
{
  return g_fork_reason_new (G_FORK_ERROR_FAILED,
                            _("%zu bytes are more than the %d that a command may have"), length,
                            GFORK_MAX_PAYLOAD);
}

/* Why nothing can be asked of it any more, unless it is in @state; %NULL if something can. */
static GError *
refusal (GForkRemote *remote,
         State        state)
{
  if (remote->closed)
    return g_fork_remote_closed_error ();
  if (remote->error != NULL)
    return g_error_copy (remote->error);
  return remote->state == state || remote->ended_at != 0 ? NULL : g_fork_remote_closed_error ();
}

/* Who is at the other end, in the middle of a sentence. */
static char *
name_process (GForkRemote *remote)
{
  if (remote->program != NULL)
    return g_strdup_printf (_("the helper “%s”"), remote->program);
  return g_strdup (remote->children != NULL ? _("the template") : _("the process"));
}

/* Why nothing comes from a process that is gone. @exited may be %NULL. */
static GError *
lost_error (GForkRemote               *remote,
            const struct gfork_exited *exited)
{
  g_autofree char *process = name_process (remote);
  g_autofree char *commands = g_fork_trace_describe (&remote->trace);
  g_autofree char *fact = NULL;
  gboolean unstarted = remote->program != NULL && !remote->answered;

  if (exited == NULL || exited->wait_status == -1)
    fact = g_strdup_printf (_("%s has ended unexpectedly"), process);
  else if (WIFSIGNALED (exited->wait_status))
    fact = g_strdup_printf (_("%s was killed by signal %d (%s)"), process,
                            WTERMSIG (exited->wait_status),
                            g_strsignal (WTERMSIG (exited->wait_status)));
  /* The C library, too, uses this status if it could not execute a program. */
  else if (unstarted && WEXITSTATUS (exited->wait_status) == 127)
    return g_fork_reason_new (G_FORK_ERROR_SPAWN, _("%s could not be executed"), process);
  else
    fact = g_strdup_printf (_("%s has ended unexpectedly, with exit status %d"), process,
                            WEXITSTATUS (exited->wait_status));

  /* What it was sent has nothing to do with it. */
  if (unstarted)
    return g_fork_reason_new (G_FORK_ERROR_SPAWN, "%s", fact);
  if (commands == NULL)
    return g_fork_reason_new (G_FORK_ERROR_LOST, "%s", fact);
  /* Translators: what has happened to a process, and a list of commands */
  return g_fork_reason_new (G_FORK_ERROR_LOST, _("%s, having been told: %s"), fact, commands);
}

/* ——— Ending: the lock is held ——— */

static void
set_orphan (gpointer data)
{
  g_autoptr (GForkChild) child = data;

  g_fork_child_set_orphan (child);
}

static void
leave_process (gpointer data)
{
  g_autoptr (GForkRemote) remote = data;
  g_autoptr (GForkRemote) listening G_GNUC_UNUSED = NULL;

  listening = g_fork_child_set_end_func (remote->child, NULL, NULL);
  g_fork_child_leave (remote->child);
}

static void
end_spares (gpointer data)
{
  g_autoptr (GForkRemote) remote = data;
  GForkSpares *spares = g_atomic_pointer_get (&remote->spares);

  if (spares != NULL)
    g_fork_spares_end (spares);
}

/* From here on it is not forked any more, so nothing is kept for forks. */
static void
set_state (GForkRemote *remote,
           State        state)
{
  remote->state = state;
  if (remote->log != NULL)
    g_fork_log_clear (remote->log);
}

/* The connection is over. Returns the socket, for the caller to close or to hand out. */
static int
take_socket (GForkRemote *remote)
{
  set_state (remote, GONE);
  if (remote->children != NULL)
    {
      GHashTableIter iter;
      gpointer child;

      g_hash_table_iter_init (&iter, remote->children);
      while (g_hash_table_iter_next (&iter, NULL, &child))
        {
          g_hash_table_iter_steal (&iter);
          g_fork_channel_defer (remote->channel, set_orphan, child);
        }
    }
  if (remote->child != NULL && g_fork_child_is_direct (remote->child))
    defer (remote, leave_process);
  if (g_atomic_pointer_get (&remote->spares) != NULL)
    defer (remote, end_spares);
  return g_fork_channel_take_fd (remote->channel);
}

static void
close_socket (GForkRemote *remote)
{
  int fd = take_socket (remote);

  if (fd >= 0)
    close (fd);
}

static void
finish (GForkRemote    *remote,
        GForkOperation *operation)
{
  g_fork_channel_defer (remote->channel, g_fork_operation_return, operation);
}

/* Takes the error. */
static void
fail_operations (GForkRemote *remote,
                 GError      *error)
{
  GForkOperation *operation;

  while ((operation = g_queue_pop_head (&remote->operations)) != NULL)
    {
      g_fork_operation_fail (operation, g_error_copy (error));
      finish (remote, operation);
    }
  g_error_free (error);
}

/* Everything under way ends with the error that there was before, or else @error, which is
 * taken. */
static void
end (GForkRemote *remote,
     GError      *error)
{
  remote->ended_at = 0;
  if (remote->error == NULL)
    remote->error = g_error_copy (error);
  g_error_free (error);
  fail_operations (remote, g_error_copy (remote->error));
}

static void
die (GForkRemote *remote,
     GError      *error)
{
  close_socket (remote);
  end (remote, error);
}

static void
kill_process (gpointer data)
{
  g_autoptr (GForkChild) child = data;

  g_fork_child_force_exit (child);
}

/* Kills a process that may be in its function already, or on the way. It cannot answer any more,
 * and leaves when it finds that out; if it has answered, the answer says which process to kill.
 * So none remains, even if the template is not there to do it. */
static void
condemn (GForkRemote *remote)
{
  if (remote->child == NULL || !g_fork_channel_is_open (remote->channel))
    return;

  remote->condemned = TRUE;
  g_fork_channel_stop (remote->channel);
  g_fork_channel_defer (remote->channel, kill_process, g_fork_child_ref (remote->child));
}

/* ——— The end of the socket ——— */

/* A process whose template has died before it could be forked takes over its error, unless
 * that has left as it should. */
static GError *
copy_cause (GForkRemote *remote)
{
  GError *error = NULL;

  lock (remote);
  if (remote->reported != NULL)
    error = g_error_copy (remote->reported);
  else if (remote->state == GONE && remote->error != NULL
           && remote->error->code != G_FORK_ERROR_CLOSED)
    error = g_error_copy (remote->error);
  unlock (remote);
  return error;
}

/* Why the socket came to its end: %NULL if that is not known yet. */
static GError *
find_cause (GForkRemote *remote,
            gboolean     answered,
            gboolean     late)
{
  const struct gfork_exited *exited = NULL;
  GForkRemote *parent = remote->parent;
  GError *error;

  if (parent != NULL && g_fork_channel_is_ours (parent->channel))
    {
      /* It reports the ends of its children, or has ended itself. */
      g_fork_channel_pump (parent->channel, TRUE);
      if (!answered)
        {
          if (!settle (parent) && !late)
            return NULL;
          error = copy_cause (parent);
          if (error != NULL)
            return error;
        }
    }

  if (remote->child != NULL)
    {
      if (!g_fork_child_check (remote->child) && g_fork_child_will_tell (remote->child) && !late)
        return NULL;
      exited = g_fork_child_get_exited (remote->child);
    }

  lock (remote);
  if (remote->closed && exited != NULL && exited->wait_status == 0)
    error = g_fork_remote_closed_error ();
  else
    error = lost_error (remote, exited);
  unlock (remote);
  return error;
}

/* Ends the operations when the socket is at its end, if the cause can be known by now, or was
 * looked for long enough. Returns %FALSE if it is still to be looked for. */
static gboolean
settle (GForkRemote *remote)
{
  gint64 ended_at;
  gboolean answered;
  GError *error;

  lock (remote);
  ended_at = remote->ended_at;
  answered = remote->answered;
  unlock (remote);
  if (ended_at == 0)
    return TRUE;

  error = find_cause (remote, answered,
                      g_get_monotonic_time () - ended_at >= CAUSE_PATIENCE_MS * 1000);
  if (error == NULL)
    return FALSE;

  lock (remote);
  if (remote->ended_at != 0)
    end (remote, g_steal_pointer (&error));
  unlock (remote);
  g_clear_error (&error);
  return TRUE;
}

static void
settle_later (gpointer data)
{
  g_autoptr (GForkRemote) remote = data;

  settle (remote);
}

static void
on_cause (GForkChild *child,
          gpointer    data)
{
  settle (data);
}

static gboolean
on_cause_late (gpointer task)
{
  g_autoptr (GForkRemote) remote = g_fork_remote_ref (g_task_get_task_data (task));

  settle (remote);
  return G_SOURCE_REMOVE;
}

static void
stop_listener (gpointer listener)
{
  g_fork_listener_stop (listener);
}

/* The cause is known when the process, or a template above it, is known to have ended. */
static void
await_cause (gpointer data,
             gpointer user_data)
{
  GForkOperation *operation = data;
  GForkRemote *remote = user_data;
  GMainContext *context = g_fork_operation_get_context (operation);

  if (context == NULL)
    return;

  for (GForkRemote *above = remote; above != NULL; above = above->parent)
    if (above->child != NULL)
      {
        GForkListener *listener = g_fork_listener_new (above->child, on_cause,
                                                       g_fork_remote_ref (remote), unref_owner);

        g_fork_listener_start (listener, context);
        g_fork_operation_keep (operation, listener, stop_listener);
      }
  g_fork_operation_call_later (operation, "[gspawnfork] cause of an end", CAUSE_PATIENCE_MS,
                               on_cause_late);
}

/* Whether the end of file means that the process has become another program. */
static gboolean
is_executed (GForkRemote *remote)
{
  GForkOperation *operation = g_queue_peek_head (&remote->operations);

  return operation != NULL && g_fork_operation_get_await (operation) == G_FORK_AWAIT_EXECUTED
         && g_fork_operation_is_ready (operation);
}

static void
end_of_socket (GForkRemote *remote)
{
  GForkOperation *operation;
  GError *error = NULL;

  if (!g_fork_channel_is_open (remote->channel))
    return;

  if (!remote->given_up && is_executed (remote))
    {
      operation = g_queue_pop_head (&remote->operations);
      g_fork_operation_succeed (operation, g_fork_operation_take_socket (operation),
                                remote->child);
      finish (remote, operation);
      error = g_fork_remote_closed_error ();
    }
  else if (remote->reported != NULL)
    error = g_error_copy (remote->reported);
  else if (remote->error != NULL)
    error = g_error_copy (remote->error);

  /* It may be in the function already, and nobody will talk to it. */
  if (remote->given_up && remote->state == FINAL)
    condemn (remote);
  if (error != NULL)
    {
      die (remote, error);
      return;
    }

  remote->ended_at = g_get_monotonic_time ();
  close_socket (remote);
  g_queue_foreach (&remote->operations, await_cause, remote);
  defer (remote, settle_later);
}

/* It is this side that ends it. Takes @error. */
static void
give_up (GForkRemote *remote,
         GError      *error)
{
  if (remote->error == NULL)
    remote->error = g_steal_pointer (&error);
  g_clear_error (&error);
  remote->given_up = TRUE;
  end_of_socket (remote);
}

static void
on_end (gpointer owner,
        GForkEnd how,
        int      error_number)
{
  GForkRemote *remote = owner;
  g_autofree char *process = NULL;

  if (remote->condemned)
    return;

  switch (how)
    {
    case G_FORK_END_OF_FILE:
      end_of_socket (remote);
      break;

    case G_FORK_END_MALFORMED:
      process = name_process (remote);
      give_up (remote,
               g_fork_reason_new (G_FORK_ERROR_PROTOCOL,
                                  _("%s does not speak the protocol: malformed answer"), process));
      break;

    case G_FORK_END_UNREADABLE:
      give_up (remote, g_fork_reason_new (G_FORK_ERROR_FAILED,
                                          _("could not read from the process: %s"),
                                          g_strerror (error_number)));
      break;

    case G_FORK_END_UNWRITABLE:
      /* If the other end is gone it may have said why, which is still to be read. */
      if (remote->error == NULL && error_number != EPIPE && error_number != ECONNRESET)
        remote->error = g_fork_reason_new (G_FORK_ERROR_FAILED,
                                           _("could not send to the process: %s"),
                                           g_strerror (error_number));
      break;
    }
}

/* ——— Answers: the lock is held ——— */

/* Returns %FALSE if it is no process ID: 0 and negative ones would make a signal hit a group, or
 * all. */
static gboolean
take_pid (GForkRemote        *remote,
          struct gfork_frame *frame)
{
  struct gfork_pid pid;

  if (frame->length != sizeof pid || frame->n_fds > 1)
    return FALSE;
  memcpy (&pid, frame->payload, sizeof pid);
  if (pid.pid <= 0)
    return FALSE;

  remote->pid = pid.pid;
  if (remote->child != NULL)
    {
      g_fork_child_set_pid (remote->child, &pid, frame->n_fds > 0 ? frame->fds[0] : -1);
      frame->n_fds = 0;
    }
  return TRUE;
}

static gboolean
on_ready (GForkRemote        *remote,
          struct gfork_frame *frame)
{
  GForkOperation *operation = g_queue_peek_head (&remote->operations);

  if (operation == NULL || g_fork_operation_get_await (operation) < G_FORK_AWAIT_READY
      || g_fork_operation_is_ready (operation) || !take_pid (remote, frame))
    return FALSE;

  g_fork_operation_set_ready (operation);
  if (remote->condemned || g_fork_operation_get_await (operation) == G_FORK_AWAIT_EXECUTED)
    return TRUE;

  g_queue_pop_head (&remote->operations);
  g_fork_operation_succeed (operation, take_socket (remote), remote->child);
  finish (remote, operation);
  return TRUE;
}

static gboolean
on_synced (GForkRemote        *remote,
           struct gfork_frame *frame)
{
  GForkOperation *operation = g_queue_peek_head (&remote->operations);
  int fd = -1;

  if (operation == NULL || g_fork_operation_get_await (operation) > G_FORK_AWAIT_DETACHED
      || !take_pid (remote, frame))
    return FALSE;
  if (remote->condemned)
    return TRUE;

  g_queue_pop_head (&remote->operations);
  g_fork_trace_done (&remote->trace, g_fork_operation_get_n_sent (operation));
  if (g_fork_operation_get_await (operation) == G_FORK_AWAIT_DETACHED)
    fd = take_socket (remote);
  g_fork_operation_succeed (operation, fd, remote->child);
  finish (remote, operation);
  return TRUE;
}

static gboolean
on_error (GForkRemote        *remote,
          struct gfork_frame *frame)
{
  GForkOperation *operation = g_queue_pop_head (&remote->operations);
  g_autofree char *process = name_process (remote);

  /* It may also be the last word of a process that has given up, or of a template that refused
   * to fork: for the operations to come. */
  g_clear_error (&remote->reported);
  remote->reported = g_fork_error_new_from_frame (frame, process);
  if (operation == NULL)
    return TRUE;

  g_fork_operation_fail (operation, g_error_copy (remote->reported));
  finish (remote, operation);
  if (g_fork_operation_get_await (operation) != G_FORK_AWAIT_SYNCED)
    die (remote, g_fork_remote_closed_error ());
  return TRUE;
}

typedef struct
{
  GForkChild *child;
  struct gfork_exited exited;
} Exit;

static void
set_exited (gpointer data)
{
  Exit *ended = data;

  g_fork_child_set_exited (ended->child, &ended->exited);
  g_fork_child_unref (ended->child);
  g_free (ended);
}

static gboolean
on_exited (GForkRemote        *remote,
           struct gfork_frame *frame)
{
  struct gfork_exited exited;
  gpointer child = NULL;
  Exit *ended;

  if (frame->length != sizeof exited)
    return FALSE;
  memcpy (&exited, frame->payload, sizeof exited);
  /* Users are promised that a process either has exited or was killed. */
  if (exited.wait_status != -1 && !WIFEXITED (exited.wait_status)
      && !WIFSIGNALED (exited.wait_status))
    return FALSE;

  /* After detach and new_from_socket there may be some that are not ours. */
  if (remote->children == NULL
      || !g_hash_table_steal_extended (remote->children, GUINT_TO_POINTER (exited.id), NULL,
                                       &child))
    return TRUE;

  ended = g_new (Exit, 1);
  *ended = (Exit){ child, exited };
  g_fork_channel_defer (remote->channel, set_exited, ended);
  return TRUE;
}

static gboolean
on_hello (GForkRemote        *remote,
          struct gfork_frame *frame)
{
  uint32_t version;

  if (frame->length != sizeof version || remote->program == NULL)
    return FALSE;

  memcpy (&version, frame->payload, sizeof version);
  if (version == GFORK_PROTOCOL_VERSION)
    return TRUE;

  if (remote->error == NULL)
    {
      g_autofree char *process = name_process (remote);

      remote->error = g_fork_reason_new (G_FORK_ERROR_PROTOCOL,
                                         _("%s speaks version %u of the protocol, and not "
                                           "version %u"),
                                         process, version, GFORK_PROTOCOL_VERSION);
    }
  return FALSE;
}

/* Returns whether the answer was expected. */
static gboolean
handle_frame (GForkRemote        *remote,
              struct gfork_frame *frame)
{
  switch (frame->verb)
    {
    case GFORK_READY:
      return on_ready (remote, frame);
    case GFORK_SYNCED:
      return on_synced (remote, frame);
    case GFORK_ERROR:
      return on_error (remote, frame);
    case GFORK_EXITED:
      return on_exited (remote, frame);
    case GFORK_HELLO:
      return on_hello (remote, frame);
    default:
      return FALSE;
    }
}

static void
on_frame (gpointer            owner,
          struct gfork_frame *frame)
{
  GForkRemote *remote = owner;

  remote->answered = TRUE;

  /* After the template was closed nobody awaits answers. */
  if (remote->state == CLOSED && frame->verb != GFORK_EXITED && frame->verb != GFORK_ERROR)
    return;
  if (remote->condemned && frame->verb != GFORK_READY)
    return;

  if (!handle_frame (remote, frame) && !remote->condemned)
    {
      g_autofree char *process = name_process (remote);

      give_up (remote,
               g_fork_reason_new (G_FORK_ERROR_PROTOCOL,
                                  _("%s does not speak the protocol: unexpected answer of type %u"),
                                  process, frame->verb));
    }
}

static const GForkChannelFuncs channel_funcs = {
  .ref = ref_owner,
  .unref = unref_owner,
  .frame = on_frame,
  .end = on_end,
};

/* ——— Closing ——— */

/* Ends the template at the user's wish, unless it has become something else. What it was sent
 * before is still done, and it stays as long as it has children to reap. */
void
g_fork_remote_close (GForkRemote *remote)
{
  if (!g_fork_channel_is_ours (remote->channel))
    return;

  end_spares (g_fork_remote_ref (remote));

  lock (remote);
  if (remote->state == OPEN)
    {
      fail_operations (remote, g_fork_remote_closed_error ());
      set_state (remote, CLOSED);
      remote->closed = TRUE;
      g_fork_channel_append (remote->channel, GFORK_CLOSE, NULL, 0, NULL, 0);
      g_fork_channel_flush (remote->channel);
      g_fork_channel_linger (remote->channel);
    }
  else if (remote->state == FINAL && !g_queue_is_empty (&remote->operations))
    {
      condemn (remote);
      die (remote, g_fork_remote_closed_error ());
    }
  unlock (remote);
}

GForkRemote *
g_fork_remote_own (GForkRemote *remote)
{
  if (g_fork_channel_is_ours (remote->channel))
    {
      lock (remote);
      remote->owners++;
      unlock (remote);
    }
  return g_fork_remote_ref (remote);
}

void
g_fork_remote_disown (GForkRemote *remote)
{
  gboolean last = FALSE;

  if (g_fork_channel_is_ours (remote->channel))
    {
      lock (remote);
      last = --remote->owners == 0;
      unlock (remote);
    }
  if (last)
    g_fork_remote_close (remote);
  g_fork_remote_unref (remote);
}

/* ——— Forks ——— */

static gboolean
is_usable_spare (gpointer spare)
{
  return g_fork_remote_is_usable (spare);
}

static gpointer
fork_spare (gpointer remote)
{
  return g_fork_remote_fork_anew (remote);
}

static void
drop_spare (gpointer spare)
{
  g_fork_remote_disown (spare);
}

static const GForkSparesFuncs spares_funcs = {
  .fork = fork_spare,
  .is_usable = is_usable_spare,
  .drop = drop_spare,
};

static void
refill_spares (GForkRemote *remote)
{
  GForkSpares *spares = g_atomic_pointer_get (&remote->spares);

  if (spares != NULL && g_fork_channel_is_ours (remote->channel))
    g_fork_spares_refill (spares, remote);
}

/* It, or its template, may have spares. */
static void
refill_later (gpointer data)
{
  g_autoptr (GForkRemote) remote = data;

  refill_spares (remote);
  if (remote->parent != NULL)
    refill_spares (remote->parent);
}

void
g_fork_remote_set_spares (GForkRemote *remote,
                          guint        wanted)
{
  if (!g_fork_channel_is_ours (remote->channel))
    return;

  if (g_atomic_pointer_get (&remote->spares) == NULL)
    {
      GForkSpares *spares = g_fork_spares_new (&spares_funcs);

      if (!g_atomic_pointer_compare_and_exchange (&remote->spares, NULL, spares))
        g_fork_spares_free (spares);
    }

  g_fork_spares_set_wanted (g_atomic_pointer_get (&remote->spares), wanted);
  refill_spares (remote);
}

guint
g_fork_remote_get_spares (GForkRemote *remote)
{
  GForkSpares *spares = g_atomic_pointer_get (&remote->spares);

  return spares != NULL ? g_fork_spares_get_wanted (spares) : 0;
}

static void
send_again (gpointer     receiver,
            guint8       verb,
            const void  *payload,
            gsize        length,
            const int   *fds,
            gsize        n_fds,
            GError      *error)
{
  if (error != NULL)
    g_fork_remote_fail (receiver, error);
  else
    g_fork_remote_send (receiver, verb, payload, length, fds, n_fds);
}

/* A new process that is sent what @parent was sent, which cannot be forked. */
static GForkRemote *
start_again (GForkRemote *parent)
{
  g_autoptr (GError) error = NULL;
  GForkLog *log = NULL;
  GForkRemote *remote;

  lock (parent);
  error = refusal (parent, OPEN);
  if (error == NULL)
    log = g_fork_log_copy (parent->log);
  unlock (parent);
  if (error != NULL)
    return g_fork_remote_new_failed (g_steal_pointer (&error));

  remote = parent->start ((const char *const *) parent->words);
  g_fork_log_replay (log, send_again, remote);
  remote->module_path = g_atomic_int_get (&parent->module_path);
  remote->mapped = g_fork_remote_get_mapped (parent);
  g_fork_remote_set_starter (remote, parent->start, (const char *const *) parent->words);
  lock (remote);
  g_fork_log_free (remote->log);
  remote->log = log;
  unlock (remote);
  return remote;
}

/* An id that no living child has. */
static guint32
choose_id (GForkRemote *parent)
{
  while (parent->next_id == NO_ID
         || g_hash_table_contains (parent->children, GUINT_TO_POINTER (parent->next_id)))
    parent->next_id++;
  return parent->next_id++;
}

/* Templates are mostly forked to run the same function again and again. With its name they
 * look for it once, and not in every fork. Takes the descriptor. */
static void
append_fork (GForkRemote *parent,
             guint32      id,
             int          fd)
{
  char payload[sizeof id + MAX_HINT];
  gsize length = sizeof id;

  memcpy (payload, &id, sizeof id);
  if (parent->hint_is_news)
    {
      length += g_strlcpy (payload + sizeof id, parent->hint, MAX_HINT) + 1;
      parent->hint_is_news = FALSE;
    }
  g_fork_channel_append (parent->channel, GFORK_FORK, payload, length, &fd, 1);
}

static void
take_hint (GForkRemote *parent,
           const char  *function)
{
  if (!g_fork_channel_is_ours (parent->channel))
    return;

  lock (parent);
  if (g_strcmp0 (parent->hint, function) != 0 && strlen (function) < MAX_HINT)
    {
      g_free (parent->hint);
      parent->hint = g_strdup (function);
      parent->hint_is_news = TRUE;
    }
  unlock (parent);
}

/* Has the template fork a process with this socket as its own, which is taken. */
static GForkChild *
send_fork (GForkRemote  *parent,
           int           socket,
           GError      **error)
{
  GForkChild *child = NULL;
  GError *refused;
  guint32 id;

  lock (parent);
  refused = refusal (parent, OPEN);
  if (refused == NULL && !g_fork_channel_is_open (parent->channel))
    refused = g_fork_remote_closed_error ();
  if (refused == NULL)
    {
      if (parent->children == NULL)
        {
          parent->children = g_hash_table_new_full (NULL, NULL, NULL, unref_child);
          g_fork_channel_read_more (parent->channel);
        }

      id = choose_id (parent);
      child = g_fork_child_new_forked (&reaper_funcs, parent, id);
      g_hash_table_insert (parent->children, GUINT_TO_POINTER (id), g_fork_child_ref (child));
      append_fork (parent, id, socket);
      if (id % FORKS_BETWEEN_READS == FORKS_BETWEEN_READS - 1)
        g_fork_channel_read (parent->channel);
      g_fork_channel_flush (parent->channel);
    }
  unlock (parent);

  if (refused != NULL)
    {
      close (socket);
      g_propagate_error (error, refused);
    }
  return child;
}

/* A new process, which the template is asked to fork. It can be written to at once. */
GForkRemote *
g_fork_remote_fork_anew (GForkRemote *parent)
{
  g_autoptr (GForkChild) child = NULL;
  GForkRemote *remote;
  GError *error = NULL;
  int fds[2];

  if (!g_fork_channel_is_ours (parent->channel))
    return g_fork_remote_new_failed (inherited_error ());
  if (parent->start != NULL)
    return start_again (parent);

  g_fork_upkeep ();
  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
    return g_fork_remote_new_failed (g_fork_error_new_for (G_FORK_ERROR_FORK, GFORK_FORK, "",
                                                           g_strerror (errno)));

  child = send_fork (parent, fds[1], &error);
  if (child == NULL)
    {
      close (fds[0]);
      return g_fork_remote_new_failed (error);
    }

  remote = g_fork_remote_new (fds[0], child);
  remote->parent = g_fork_remote_ref (parent);
  remote->module_path = g_atomic_int_get (&parent->module_path);
  remote->mapped = g_fork_remote_get_mapped (parent);
  return remote;
}

/* A process that is as if it were forked now: a spare or a new one. */
GForkRemote *
g_fork_remote_fork (GForkRemote *parent)
{
  GForkSpares *spares = g_atomic_pointer_get (&parent->spares);
  GForkRemote *remote = NULL;

  if (spares != NULL && g_fork_channel_is_ours (parent->channel))
    remote = g_fork_spares_take (spares);
  return remote != NULL ? remote : g_fork_remote_fork_anew (parent);
}

static gpointer
watch_reports (gpointer      reaper,
               GMainContext *context)
{
  return g_fork_channel_watch (((GForkRemote *) reaper)->channel, context);
}

static void
unwatch_reports (gpointer watch)
{
  g_fork_watch_release (watch);
}

static void
read_reports (gpointer reaper)
{
  g_fork_channel_pump (((GForkRemote *) reaper)->channel, TRUE);
}

static gboolean
kill_child (gpointer reaper,
            guint32  id,
            int      signum)
{
  GForkRemote *remote = reaper;
  struct gfork_kill frame = { .id = id, .signum = signum };

  read_reports (remote);
  if (g_fork_channel_has_ended (remote->channel))
    return FALSE;

  g_fork_remote_send (remote, GFORK_KILL, &frame, sizeof frame, NULL, 0);
  return TRUE;
}

static const GForkReaper reaper_funcs = {
  .ref = ref_owner,
  .unref = unref_owner,
  .watch = watch_reports,
  .unwatch = unwatch_reports,
  .read = read_reports,
  .kill = kill_child,
};

/* ——— Commands ——— */

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

/* What it was sent so far cannot be held back any longer. */
static gboolean
is_held_long_enough (GForkRemote *remote,
                     guint8       verb)
{
  gsize n_fds, length = g_fork_channel_n_unsent (remote->channel, &n_fds);

  return does_something (verb) || length > MAX_HELD_BYTES || n_fds > MAX_HELD_FDS;
}

/* Sends a command. Takes the descriptors, in any case. */
void
g_fork_remote_send (GForkRemote *remote,
                    guint8       verb,
                    const void  *payload,
                    gsize        length,
                    const int   *fds,
                    gsize        n_fds)
{
  GForkSpares *spares;

  if (!g_fork_channel_is_ours (remote->channel))
    {
      close_fds (fds, n_fds);
      return;
    }

  if (length > GFORK_MAX_PAYLOAD)
    {
      close_fds (fds, n_fds);
      g_fork_remote_fail (remote, g_fork_reason_complete (too_long_error (length), verb, payload));
      return;
    }

  spares = g_atomic_pointer_get (&remote->spares);
  if (spares != NULL && verb != GFORK_KILL)
    g_fork_spares_discard (spares);

  lock (remote);
  if (remote->state == OPEN || (remote->state == CLOSED && verb == GFORK_KILL))
    {
      if (remote->log != NULL && verb != GFORK_KILL)
        g_fork_log_append (remote->log, verb, payload, length, fds, n_fds);
      g_fork_channel_append (remote->channel, verb, payload, length, fds, n_fds);
      g_fork_trace_sent (&remote->trace, verb, payload);
      if (is_held_long_enough (remote, verb))
        g_fork_channel_flush (remote->channel);
    }
  else
    close_fds (fds, n_fds);
  unlock (remote);
}

/* Sends a command whose payload is strings, @rest being nullable. */
void
g_fork_remote_send_strings (GForkRemote        *remote,
                            guint8              verb,
                            const char         *first,
                            const char * const *rest)
{
  g_autoptr (GByteArray) payload = g_byte_array_new ();

  g_byte_array_append (payload, (const guint8 *) first, strlen (first) + 1);
  for (; rest != NULL && *rest != NULL; rest++)
    g_byte_array_append (payload, (const guint8 *) *rest, strlen (*rest) + 1);
  g_fork_remote_send (remote, verb, payload->data, payload->len, NULL, 0);
}

/* Remembers that the process was sent the module path numbered @serial, and returns whether
 * that was news. */
gboolean
g_fork_remote_update_module_path (GForkRemote *remote,
                                  int          serial)
{
  int known = g_atomic_int_get (&remote->module_path);

  return known != serial && g_atomic_int_compare_and_exchange (&remote->module_path, known, serial);
}

/* Remembers which standard streams were given away by MAP_FD, so that the flags of an
 * execution can be checked against it. */
void
g_fork_remote_add_mapped (GForkRemote *remote,
                          int          target)
{
  if (target <= 2)
    g_atomic_int_or (&remote->mapped, 1u << target);
}

guint
g_fork_remote_get_mapped (GForkRemote *remote)
{
  return g_atomic_int_get (&remote->mapped);
}

/* What went wrong on this side is reported like what goes wrong on the other. Takes @error. */
void
g_fork_remote_fail (GForkRemote *remote,
                    GError      *error)
{
  if (g_fork_channel_is_ours (remote->channel))
    {
      lock (remote);
      if (remote->error == NULL)
        remote->error = g_steal_pointer (&error);
      unlock (remote);
    }
  g_clear_error (&error);
}

/* ——— Operations ——— */

static GError *
cancelled_error (void)
{
  return g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED, _("Operation was cancelled"));
}

static gboolean
on_cancelled (GCancellable *cancellable,
              gpointer      task)
{
  g_autoptr (GForkRemote) remote = g_fork_remote_ref (g_task_get_task_data (task));
  GForkOperation *operation = NULL;
  GList *link;

  if (!g_fork_channel_is_ours (remote->channel))
    return G_SOURCE_REMOVE;

  lock (remote);
  for (link = remote->operations.head; link != NULL; link = link->next)
    if (g_fork_operation_is_of (link->data, task))
      {
        operation = link->data;
        break;
      }

  if (operation != NULL && g_fork_operation_get_await (operation) == G_FORK_AWAIT_SYNCED)
    {
      /* Its answer comes all the same, in its turn. */
      link->data = g_fork_operation_cancel (operation);
      g_fork_operation_fail (operation, cancelled_error ());
      finish (remote, operation);
    }
  else if (operation != NULL)
    {
      condemn (remote);
      die (remote, cancelled_error ());
    }
  unlock (remote);
  return G_SOURCE_REMOVE;
}

static void
destroy_source (gpointer source)
{
  g_source_destroy (source);
  g_source_unref (source);
}

/* Not under a lock: the cancellable has one of its own, which it may hold while handlers run. */
static void
watch_cancellable (GForkOperation *operation,
                   GTask          *task)
{
  GCancellable *cancellable = g_task_get_cancellable (task);
  GSource *source;

  if (cancellable == NULL)
    return;

  source = g_cancellable_source_new (cancellable);
  g_task_attach_source (task, source, G_SOURCE_FUNC (on_cancelled));
  g_fork_operation_keep (operation, source, destroy_source);
}

/* The program that was executed for this process, or for the first of its templates. */
static GForkRemote *
get_root (GForkRemote *remote)
{
  while (remote->parent != NULL)
    remote = remote->parent;
  return remote;
}

/* Whether it is still unknown if the program is a helper. */
static gboolean
is_starting (GForkRemote *root)
{
  gboolean starting;

  if (root->program == NULL)
    return FALSE;

  lock (root);
  starting = !root->answered;
  unlock (root);
  return starting;
}

/* Ends the program, which has not answered, and the process that waits for it. Commands that it
 * has not read may stay where they are, with the sockets of forks that there will never be. */
static void
end_silent (GForkRemote *root,
            GForkRemote *waiting)
{
  g_autofree char *process = name_process (root);
  GForkRemote *ended[] = { root, waiting };
  g_autoptr (GError) error = NULL;

  error = g_fork_reason_new (G_FORK_ERROR_SPAWN,
                             _("%s has not answered within %u seconds; it may be another "
                               "program (GSPAWNFORK_START_TIMEOUT sets the limit)"),
                             process, root->start_timeout);
  g_fork_child_kill (root->child, SIGKILL, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (ended); i++)
    {
      lock (ended[i]);
      if (ended[i]->state != GONE)
        die (ended[i], g_error_copy (error));
      unlock (ended[i]);
    }
}

static gboolean
on_start_timeout (gpointer task)
{
  g_autoptr (GForkRemote) remote = g_fork_remote_ref (g_task_get_task_data (task));
  GForkRemote *root = get_root (remote);

  if (!g_fork_channel_is_ours (remote->channel))
    return G_SOURCE_REMOVE;

  g_fork_channel_pump (root->channel, FALSE);
  if (is_starting (root))
    end_silent (root, remote);
  return G_SOURCE_REMOVE;
}

static void
release_watch (gpointer watch)
{
  g_fork_watch_release (watch);
}

/* Has the sockets read and written in the operation's context: its own, and those of the
 * templates above that have not yet been sent all of their commands: the one that makes this
 * process may be among them. */
static void
watch_sockets (GForkRemote    *remote,
               GForkOperation *operation)
{
  GMainContext *context = g_fork_operation_get_context (operation);

  for (GForkRemote *above = remote; above != NULL; above = above->parent)
    {
      gsize unsent = 1, n_fds;

      if (above != remote)
        {
          lock (above);
          unsent = g_fork_channel_n_unsent (above->channel, &n_fds);
          unlock (above);
        }
      if (unsent > 0)
        g_fork_operation_keep (operation, g_fork_channel_watch (above->channel, context),
                               release_watch);
    }
}

/* Claims the right to end the template by an operation: nothing may follow on its socket. Returns
 * %FALSE if it has children, which it stays to reap; a template that is detached does that for
 * another application. */
gboolean
g_fork_remote_claim (GForkRemote *remote,
                     GForkAwait   await)
{
  gboolean claimed, has_children;

  if (!g_fork_channel_is_ours (remote->channel))
    return TRUE;

  lock (remote);
  has_children = remote->children != NULL && g_hash_table_size (remote->children) > 0;
  unlock (remote);
  /* Some may have ended meanwhile. */
  if (has_children)
    g_fork_channel_pump (remote->channel, FALSE);

  lock (remote);
  claimed = await == G_FORK_AWAIT_DETACHED || remote->children == NULL
            || g_hash_table_size (remote->children) == 0;
  if (claimed && remote->state == OPEN)
    set_state (remote, FINAL);
  unlock (remote);
  return claimed;
}

/* What the program gets as its standard streams. Takes the descriptors. */
static void
append_streams (GForkRemote *remote,
                int         *streams)
{
  for (gint32 stream = 0; streams != NULL && stream <= 2; stream++)
    if (streams[stream] >= 0)
      {
        g_fork_channel_append (remote->channel, GFORK_MAP_FD, &stream, sizeof stream,
                               &streams[stream], 1);
        streams[stream] = -1;
      }
}

/* Sends the command that @await says, and returns @task, which it takes, when the answer has
 * come. Before it, @streams are placed, which are taken if they are sent; it may be %NULL. */
void
g_fork_remote_await (GForkRemote *remote,
                     GForkAwait   await,
                     const void  *payload,
                     gsize        length,
                     int         *streams,
                     GTask       *task)
{
  GForkOperation *operation = g_fork_operation_new (await, payload, task);
  GForkRemote *root = get_root (remote);
  GError *error = NULL;
  int fd = -1;

  g_task_set_task_data (task, g_fork_remote_ref (remote), unref_owner);
  if (!g_fork_channel_is_ours (remote->channel))
    {
      g_fork_operation_fail (operation, inherited_error ());
      g_fork_operation_return (operation);
      return;
    }

  g_fork_operation_then (operation, refill_later, g_fork_remote_ref (remote));
  if (await == G_FORK_AWAIT_READY && remote->parent != NULL)
    take_hint (remote->parent, payload);
  if (await == G_FORK_AWAIT_EXECUTED)
    g_fork_operation_make_socket (operation, &fd, &error);
  watch_sockets (remote, operation);
  watch_cancellable (operation, task);
  if (root->start_timeout > 0 && is_starting (root))
    g_fork_operation_call_later (operation, "[gspawnfork] start", root->start_timeout * 1000,
                                 on_start_timeout);
  settle (remote);

  lock (remote);
  if (error == NULL)
    error = refusal (remote, await == G_FORK_AWAIT_SYNCED ? OPEN : FINAL);
  if (error == NULL && length > GFORK_MAX_PAYLOAD)
    error = too_long_error (length);
  if (error == NULL && g_cancellable_is_cancelled (g_task_get_cancellable (task)))
    {
      error = cancelled_error ();
      if (await != G_FORK_AWAIT_SYNCED)
        die (remote, g_fork_remote_closed_error ());
    }

  if (error != NULL)
    {
      g_fork_operation_fail (operation, error);
      finish (remote, operation);
    }
  else
    {
      g_fork_operation_set_n_sent (operation, remote->trace.n_sent);
      g_queue_push_tail (&remote->operations, operation);
      if (remote->ended_at != 0)
        await_cause (operation, remote);
      else
        {
          append_streams (remote, streams);
          g_fork_channel_append (remote->channel, g_fork_await_get_verb (await), payload, length,
                                 &fd, fd >= 0);
          fd = -1;
          if (await != G_FORK_AWAIT_SYNCED)
            g_fork_channel_read_exactly (remote->channel);
          g_fork_channel_flush (remote->channel);
        }
    }
  unlock (remote);

  if (fd >= 0)
    close (fd);
}
