/* gforkmemory.c: long strings in memory that processes share
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "gforkmemory-private.h"

#include "gforkerror.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* A file without a name. Sealed, it is mapped by whoever gets it; where there is
 * no such thing it is a temporary file, which the receiver copies. */
static int
create (gboolean *sealable)
{
  g_autofree char *name = NULL;
  int fd = -1;

#ifdef HAVE_MEMFD_CREATE
  fd = memfd_create ("gspawnfork", MFD_CLOEXEC | MFD_ALLOW_SEALING);
#endif
  *sealable = fd >= 0;
  if (fd < 0)
    {
      fd = g_file_open_tmp ("gspawnfork-XXXXXX", &name, NULL);
      if (fd >= 0)
        {
          g_unlink (name);
          fcntl (fd, F_SETFD, FD_CLOEXEC);
        }
    }

  return fd;
}

static gboolean
fill (int           fd,
      const guint8 *data,
      gsize         length)
{
  gsize done = 0;

  /* One more octet, for the NUL that follows. */
  if (ftruncate (fd, length + 1) != 0)
    return FALSE;

  while (done < length)
    {
      gssize n = write (fd, data + done, length - done);

      if (n < 0 && errno != EINTR)
        return FALSE;
      if (n > 0)
        done += n;
    }

  return TRUE;
}

/* Returns a descriptor of memory that holds @data and a NUL, which nobody can write
 * to any more; -1 with @error set if there is no room. */
int
g_fork_memory_new (gconstpointer   data,
                   gsize           length,
                   GError        **error)
{
  gboolean sealable;
  int fd = create (&sealable);
  gboolean made = fd >= 0 && fill (fd, data, length);

#ifdef HAVE_MEMFD_CREATE
  made = made && (!sealable || fcntl (fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE
                                                           | F_SEAL_SEAL) == 0);
#endif

  if (!made)
    {
      int saved_errno = errno;

      if (fd >= 0)
        close (fd);
      g_set_error (error, G_FORK_ERROR, G_FORK_ERROR_FAILED,
                   _("Could not send %zu octets: %s"), length,
                   g_strerror (saved_errno));
      return -1;
    }

  return fd;
}
