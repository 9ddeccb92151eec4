/* log.c: what a template was sent, to send it to another
 *
 * An interpreter that has threads from the beginning cannot be forked. What its
 * template was sent is kept here, and a fork of it is a new interpreter that is sent
 * the same. The frames are shared between the logs of all those forks; what is
 * copied is the list of them.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "channel/log.h"

#include "gforkerror.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n-lib.h>
#include <string.h>
#include <unistd.h>

typedef struct
{
  gatomicrefcount ref_count;
  guint8 verb;
  int error; /* why the descriptors could not be kept, or 0 */
  GBytes *payload;
  gsize n_fds;
  int fds[];
} Frame;

struct _GForkLog
{
  GPtrArray *frames;
};

static gpointer
frame_ref (gconstpointer frame,
           gpointer      user_data)
{
  g_atomic_ref_count_inc (&((Frame *) frame)->ref_count);
  return (gpointer) frame;
}

static void
frame_unref (gpointer data)
{
  Frame *frame = data;

  if (!g_atomic_ref_count_dec (&frame->ref_count))
    return;

  for (gsize i = 0; i < frame->n_fds; i++)
    close (frame->fds[i]);
  g_bytes_unref (frame->payload);
  g_free (frame);
}

/* Duplicates all or none. Returns 0 or an errno. */
static int
duplicate (int       *copies,
           const int *fds,
           gsize      n_fds)
{
  for (gsize i = 0; i < n_fds; i++)
    {
      copies[i] = fcntl (fds[i], F_DUPFD_CLOEXEC, 3);
      if (copies[i] < 0)
        {
          int saved_errno = errno;

          while (i > 0)
            close (copies[--i]);
          return saved_errno;
        }
    }

  return 0;
}

GForkLog *
g_fork_log_new (void)
{
  GForkLog *log = g_new (GForkLog, 1);

  log->frames = g_ptr_array_new_with_free_func (frame_unref);

  return log;
}

GForkLog *
g_fork_log_copy (const GForkLog *log)
{
  GForkLog *copy = g_new (GForkLog, 1);

  copy->frames = g_ptr_array_copy (log->frames, frame_ref, NULL);

  return copy;
}

void
g_fork_log_free (GForkLog *log)
{
  g_ptr_array_unref (log->frames);
  g_free (log);
}

/* To be called when the template will not be forked any more. */
void
g_fork_log_clear (GForkLog *log)
{
  g_ptr_array_set_size (log->frames, 0);
}

/* Keeps a command. The descriptors remain the caller's. */
void
g_fork_log_append (GForkLog   *log,
                   guint8      verb,
                   const void *payload,
                   gsize       length,
                   const int  *fds,
                   gsize       n_fds)
{
  Frame *frame = g_malloc (sizeof *frame + n_fds * sizeof *fds);

  g_atomic_ref_count_init (&frame->ref_count);
  frame->verb = verb;
  frame->payload = g_bytes_new (payload, length);
  frame->error = duplicate (frame->fds, fds, n_fds);
  frame->n_fds = frame->error == 0 ? n_fds : 0;
  g_ptr_array_add (log->frames, frame);
}

static void
replay_frame (const Frame  *frame,
              GForkLogFunc  send,
              gpointer      receiver)
{
  int error_number = frame->error, fds[GFORK_MAX_FDS];
  gsize length;
  gconstpointer payload = g_bytes_get_data (frame->payload, &length);
  GError *error = NULL;

  if (error_number == 0)
    error_number = duplicate (fds, frame->fds, frame->n_fds);
  if (error_number != 0)
    error = g_error_new (G_FORK_ERROR, G_FORK_ERROR_FORK,
                         _("Could not fork, as what was sent could not be kept: %s"),
                         g_strerror (error_number));

  send (receiver, frame->verb, payload, length, fds, error == NULL ? frame->n_fds : 0, error);
}

/* Sends everything again. */
void
g_fork_log_replay (const GForkLog *log,
                   GForkLogFunc    send,
                   gpointer        receiver)
{
  for (guint i = 0; i < log->frames->len; i++)
    replay_frame (g_ptr_array_index (log->frames, i), send, receiver);
}
