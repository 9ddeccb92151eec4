/* memory.c: long strings in memory that processes share
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "base/memory.h"

#include "gforkerror.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* To exceed the limit would not only fail, but end the process by SIGXFSZ. */
static gboolean
is_too_large (gsize length)
{
  struct rlimit limit;

  return getrlimit (RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY
         && length > limit.rlim_cur;
}

/* A file without a name. Sealed, it is mapped by whoever gets it; where there is
 * no such thing it is a temporary file, which the receiver copies. */
static int
create (gboolean  *sealable,
        GError   **error)
{
  g_autofree char *name = NULL;
  int fd = -1;

#ifdef HAVE_MEMFD_CREATE
  fd = memfd_create ("gspawnfork", MFD_CLOEXEC | MFD_ALLOW_SEALING);
#endif
  *sealable = fd >= 0;
  if (fd < 0)
    {
      fd = g_file_open_tmp ("gspawnfork-XXXXXX", &name, error);
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
  int result;

  /* One more byte, for the NUL that follows. */
  if (is_too_large (length + 1))
    {
      errno = EFBIG;
      return FALSE;
    }
  do
    result = ftruncate (fd, length + 1);
  while (result != 0 && errno == EINTR);
  if (result != 0)
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
  g_autoptr (GError) not_created = NULL;
  gboolean sealable;
  int fd = create (&sealable, &not_created);
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
                   _("Could not send %zu bytes: %s"), length,
                   not_created != NULL ? not_created->message : g_strerror (saved_errno));
      return -1;
    }

  return fd;
}
