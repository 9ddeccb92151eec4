/* streams.c: pipes and /dev/null as the standard streams of a program
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "process/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixoutputstream.h>
#include <glib-unix.h>
#include <glib/gi18n-lib.h>
#include <unistd.h>

/* What a stream can be, and the flags that ask for it. */
static const struct
{
  GForkExecFlags flags[3];
  const char *name;
} kinds[] = {
  { { G_FORK_EXEC_SOCKET_STDIN, G_FORK_EXEC_SOCKET_STDOUT, G_FORK_EXEC_SOCKET_STDERR },
    N_("the communication socket") },
  { { G_FORK_EXEC_STDIN_PIPE, G_FORK_EXEC_STDOUT_PIPE, G_FORK_EXEC_STDERR_PIPE }, N_("a pipe") },
  { { 0, G_FORK_EXEC_STDOUT_SILENCE, G_FORK_EXEC_STDERR_SILENCE }, N_("/dev/null") },
  { { 0, 0, G_FORK_EXEC_STDERR_MERGE }, N_("what standard output is") },
};

static const char *const names[] = {
  N_("standard input"),
  N_("standard output"),
  N_("standard error"),
};

/* Returns why no program can be executed with these flags; %NULL if one can. A bit of @mapped is
 * set for each stream that a descriptor was mapped to. */
char *
g_fork_streams_find_conflict (GForkExecFlags flags,
                              guint          mapped)
{
  for (int stream = 0; stream <= 2; stream++)
    {
      const char *found = (mapped & (1u << stream)) != 0 ? N_("a descriptor that was mapped") : NULL;

      for (gsize i = 0; i < G_N_ELEMENTS (kinds); i++)
        {
          if ((flags & kinds[i].flags[stream]) == 0)
            continue;
          if (found != NULL)
            /* Translators: a stream, and two things that it is to be */
            return g_strdup_printf (_("%s cannot be both %s and %s"), _(names[stream]), _(found),
                                    _(kinds[i].name));
          found = kinds[i].name;
        }
    }

  return NULL;
}

static gboolean
open_pipe (GForkStreams  *streams,
           int            stream,
           GError       **error)
{
  int ends[2];

  if (!g_unix_open_pipe (ends, FD_CLOEXEC, error))
    return FALSE;

  streams->ours[stream] = ends[stream == 0 ? 1 : 0];
  streams->theirs[stream] = ends[stream == 0 ? 0 : 1];
  return g_unix_set_fd_nonblocking (streams->ours[stream], TRUE, error);
}

static gboolean
open_null (GForkStreams  *streams,
           int            stream,
           GError       **error)
{
  streams->theirs[stream] = open ("/dev/null", O_WRONLY | O_CLOEXEC);
  if (streams->theirs[stream] < 0)
    {
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "/dev/null: %s",
                   g_strerror (errno));
      return FALSE;
    }

  return TRUE;
}

/* Opens what the flags ask for. Returns %NULL if that fails. The message of @error is the
 * system's, and no sentence for the user. */
GForkStreams *
g_fork_streams_new (GForkExecFlags   flags,
                    GError         **error)
{
  g_autoptr (GForkStreams) streams = g_new (GForkStreams, 1);

  for (int stream = 0; stream <= 2; stream++)
    streams->ours[stream] = streams->theirs[stream] = -1;

  for (int stream = 0; stream <= 2; stream++)
    if (((flags & kinds[1].flags[stream]) != 0 && !open_pipe (streams, stream, error))
        || ((flags & kinds[2].flags[stream]) != 0 && !open_null (streams, stream, error)))
      return NULL; /* NOLINT(clang-analyzer-unix.Malloc): g_autoptr frees them */

  return g_steal_pointer (&streams);
}

void
g_fork_streams_free (GForkStreams *streams)
{
  for (int stream = 0; stream <= 2; stream++)
    {
      if (streams->ours[stream] >= 0)
        close (streams->ours[stream]);
      if (streams->theirs[stream] >= 0)
        close (streams->theirs[stream]);
    }
  g_free (streams);
}
