/* remote-commands.c: what a template process is sent
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "channel/remote-private.h"

#include "base/error.h"
#include "channel/log.h"
#include "channel/spares.h"

#include <string.h>
#include <unistd.h>

/* Commands that do nothing by themselves are sent together with the next one
 * that does, unless they become as many as this. */
#define MAX_HELD_BYTES (32 * 1024)
#define MAX_HELD_FDS 64

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
    case GFORK_ENVIRON:
    case GFORK_SETSID:
    case GFORK_LIMIT:
    case GFORK_DIE:
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

/* Whether what is queued cannot be held back any longer. @verb is the last command. */
static gboolean
is_held_long_enough (GForkRemote *remote,
                     guint8       verb)
{
  gsize n_fds, length = g_fork_channel_n_unsent (remote->channel, &n_fds);

  return does_something (verb) || length > MAX_HELD_BYTES || n_fds > MAX_HELD_FDS;
}

/* Sends a command. Takes the descriptors, also if it is not sent. */
void
g_fork_remote_send (GForkRemote *remote,
                    guint8       verb,
                    const void  *payload,
                    gsize        length,
                    const int   *fds,
                    gsize        n_fds)
{
  gboolean flushed = FALSE;
  GForkSpares *spares;

  if (!g_fork_channel_is_ours (remote->channel))
    {
      close_fds (fds, n_fds);
      return;
    }

  if (length > GFORK_MAX_PAYLOAD)
    {
      close_fds (fds, n_fds);
      g_fork_remote_fail (remote,
                          g_fork_reason_complete (g_fork_remote_too_long_error (length), verb,
                                                  payload));
      return;
    }

  if (verb == GFORK_CONFINE)
    g_atomic_int_set (&remote->confined, TRUE);
  spares = g_atomic_pointer_get (&remote->spares);
  if (spares != NULL && verb != GFORK_KILL)
    g_fork_spares_discard (spares);

  g_fork_remote_lock (remote);
  if (remote->state == OPEN || (remote->state == CLOSED && verb == GFORK_KILL))
    {
      if (remote->log != NULL && verb != GFORK_KILL)
        g_fork_log_append (remote->log, verb, payload, length, fds, n_fds);
      g_fork_channel_append (remote->channel, verb, payload, length, fds, n_fds);
      g_fork_trace_sent (&remote->trace, verb, payload);
      remote->unchecked |= verb != GFORK_KILL;
      flushed = is_held_long_enough (remote, verb);
      if (flushed)
        g_fork_channel_flush (remote->channel);
    }
  else
    {
      close_fds (fds, n_fds);
      if (remote->error != NULL && remote->error->domain == G_FORK_ERROR)
        g_fork_remote_set_untold (remote, remote->error);
    }
  g_fork_remote_unlock (remote);

  if (flushed)
    g_fork_remote_release (remote);
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

gboolean
g_fork_remote_is_confined (GForkRemote *remote)
{
  return g_atomic_int_get (&remote->confined);
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

/* Has the operations fail with what went wrong on this side, as with what goes wrong in the
 * process. Takes @error. */
void
g_fork_remote_fail (GForkRemote *remote,
                    GError      *error)
{
  if (g_fork_channel_is_ours (remote->channel))
    {
      g_fork_remote_lock (remote);
      if (remote->error == NULL)
        {
          /* In the other states the template has been used or closed, and nobody needs the
           * error. */
          if (remote->state == OPEN)
            g_fork_remote_set_untold (remote, error);
          remote->error = g_steal_pointer (&error);
        }
      g_fork_remote_unlock (remote);
    }
  g_clear_error (&error);
}
