/* memory.c: long strings in memory that processes share
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "wire/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#define F_SEAL_SEAL 1
#define F_SEAL_SHRINK 2
#define F_SEAL_GROW 4
#define F_SEAL_WRITE 8
#endif

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x8
#endif

#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* A file without a name. It can be sealed where the system has memfd_create();
 * elsewhere it is a temporary file, which the receiver copies. */
static int
create_file (bool  *can_be_sealed,
             char  *reason,
             size_t reason_size)
{
  const char *directory = secure_getenv ("TMPDIR");
  char path[4096];
  int fd = -1;

#ifdef HAVE_MEMFD_CREATE
  /* A sandbox in which programs may be executed, and vm.memfd_noexec, refuse a file that could
   * be executed. Kernels before 6.3 do not know the flag. */
  fd = memfd_create ("gspawnfork", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL)
    fd = memfd_create ("gspawnfork", MFD_CLOEXEC | MFD_ALLOW_SEALING);
#endif
  *can_be_sealed = fd >= 0;
  if (fd >= 0)
    return fd;

  if (directory == NULL || *directory == '\0')
    directory = "/tmp";
  errno = ENAMETOOLONG;
  if (snprintf (path, sizeof path, "%s/gspawnfork-XXXXXX", directory) < (int) sizeof path)
    fd = mkostemp (path, O_CLOEXEC);
  if (fd >= 0)
    unlink (path);
  else
    snprintf (reason, reason_size, "%s: %m", directory);
  return fd;
}

/* Exceeding the limit would not only fail but end the process by SIGXFSZ. */
static bool
is_too_large (size_t length)
{
  struct rlimit limit;

  return getrlimit (RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY
         && length > limit.rlim_cur;
}

static bool
fill_file (int         fd,
           const char *data,
           size_t      length)
{
  size_t done = 0;
  int result;

  /* The file is one byte longer than what is written to it, so a NUL follows that. */
  if (is_too_large (length + 1))
    {
      errno = EFBIG;
      return false;
    }
  do
    result = ftruncate (fd, length + 1);
  while (result != 0 && errno == EINTR);
  if (result != 0)
    return false;

  while (done < length)
    {
      ssize_t n = write (fd, data + done, length - done);

      if (n < 0 && errno != EINTR)
        return false;
      if (n > 0)
        done += n;
    }

  return true;
}

int
gfork_memory_new (const void *data,
                  size_t      length,
                  char       *reason,
                  size_t      reason_size)
{
  bool can_be_sealed;
  int fd = create_file (&can_be_sealed, reason, reason_size);

  if (fd < 0)
    return -1;

  if (!fill_file (fd, data, length)
      || (can_be_sealed && fcntl (fd, F_ADD_SEALS, ALL_SEALS) != 0))
    {
      snprintf (reason, reason_size, "%m");
      close (fd);
      return -1;
    }

  return fd;
}

bool
gfork_memory_is_long_enough (int      fd,
                             uint64_t length)
{
  struct stat st;

  return fstat (fd, &st) == 0 && S_ISREG (st.st_mode) && (uint64_t) st.st_size > length
         && length < SIZE_MAX;
}

bool
gfork_memory_is_sealed (int      fd,
                        uint64_t length)
{
  int seals = fcntl (fd, F_GET_SEALS);
  char last;

  return seals >= 0 && (seals & ALL_SEALS) == ALL_SEALS
         && pread (fd, &last, 1, length) == 1 && last == '\0';
}

char *
gfork_memory_copy (int    fd,
                   size_t length)
{
  char *data = malloc (length + 1);
  size_t done = 0;

  if (data == NULL)
    return NULL;

  while (done < length)
    {
      ssize_t n = pread (fd, data + done, length - done, done);

      if (n > 0)
        done += n;
      else if (n == 0 || errno != EINTR)
        {
          int saved_errno = n == 0 ? ENODATA : errno;

          free (data);
          errno = saved_errno;
          return NULL;
        }
    }

  data[length] = '\0';
  return data;
}

bool
gfork_memory_open (struct gfork_memory *memory,
                   int                  fd,
                   uint64_t             length)
{
  void *data;

  if (!gfork_memory_is_long_enough (fd, length))
    {
      errno = ENODATA;
      return false;
    }

  memory->length = length;
  memory->is_mapped = gfork_memory_is_sealed (fd, length);
  if (!memory->is_mapped)
    {
      memory->data = gfork_memory_copy (fd, length);
      return memory->data != NULL;
    }

  /* Private, as kernels before 6.7 refuse a shared mapping of a sealed file. What
   * is never written to shares the file's pages all the same. */
  data = mmap (NULL, memory->length + 1, PROT_READ, MAP_PRIVATE, fd, 0);
  memory->data = data;
  return data != MAP_FAILED;
}

void
gfork_memory_close (struct gfork_memory *memory)
{
  if (memory->is_mapped)
    munmap (memory->data, memory->length + 1);
  else
    free (memory->data);
}
