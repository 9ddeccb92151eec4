/* fuzz.c: functions that the fuzz targets share
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "fuzz.h"

#include "wire/frame.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

_Noreturn void
fuzz_fail (const char *what,
           const char *file,
           int         line)
{
  fprintf (stderr, "%s:%d: not so: %s\n", file, line, what);
  abort ();
}

uint8_t
fuzz_take (struct fuzz_input *input)
{
  if (input->size == 0)
    return 0;

  input->size--;
  return *input->data++;
}

uint16_t
fuzz_take_16 (struct fuzz_input *input)
{
  uint16_t low = fuzz_take (input);

  return low | fuzz_take (input) << 8;
}

/* Takes up to @size bytes, and sets it to how many there were. */
const uint8_t *
fuzz_take_bytes (struct fuzz_input *input,
                 size_t            *size)
{
  const uint8_t *bytes = input->data;

  if (*size > input->size)
    *size = input->size;
  if (*size > 0)
    input->data += *size;
  input->size -= *size;
  return bytes;
}

static int
make_memory (bool sealed,
             bool terminated)
{
  int fd = memfd_create ("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

  fuzz_check (fd >= 0 && ftruncate (fd, FUZZ_MEMORY + 1) == 0);
  if (!terminated)
    fuzz_check (pwrite (fd, "x", 1, FUZZ_MEMORY) == 1);
  if (sealed)
    fuzz_check (fcntl (fd, F_ADD_SEALS,
                       F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0);
  return fd;
}

/* Returns the pidfd of a process that has ended; another descriptor if there are no pidfds. */
static int
make_process (bool reaped)
{
  siginfo_t info;
  pid_t pid = fork ();
  int fd = -1;

  if (pid == 0)
    _exit (0);
  fuzz_check (pid > 0);
#ifdef SYS_pidfd_open
  fd = syscall (SYS_pidfd_open, pid, 0);
#endif
  waitid (P_PID, pid, &info, WEXITED | (reaped ? 0 : WNOWAIT));
  return fd >= 0 ? fd : open ("/dev/null", O_RDWR | O_CLOEXEC);
}

/* Makes the descriptors that are sent. They are made once, as the receiver gets duplicates. */
static const int *
get_kinds (void)
{
  static int kinds[FUZZ_N_KINDS];
  static bool made;
  int ends[2];

  if (made)
    return kinds;

  kinds[FUZZ_NULL] = open ("/dev/null", O_RDWR | O_CLOEXEC);
  kinds[FUZZ_SEALED] = make_memory (true, true);
  kinds[FUZZ_OPEN] = make_memory (false, true);
  kinds[FUZZ_NO_NUL] = make_memory (true, false);
  fuzz_check (pipe2 (ends, O_CLOEXEC) == 0);
  kinds[FUZZ_PIPE] = ends[1];
  kinds[FUZZ_REAPED] = make_process (true);
  kinds[FUZZ_UNREAPED] = make_process (false);
  made = true;
  return kinds;
}

bool
fuzz_send (struct fuzz_input *input,
           int                to,
           int                socket)
{
  const int *kinds = get_kinds ();
  size_t n_fds = fuzz_take (input);
  unsigned kind = fuzz_take (input);
  size_t size = fuzz_take_16 (input);
  const uint8_t *bytes = fuzz_take_bytes (input, &size);
  int fds[GFORK_MAX_FDS];

  if (n_fds > GFORK_MAX_FDS)
    n_fds = GFORK_MAX_FDS;
  for (size_t i = 0; i < n_fds; i++)
    {
      unsigned this = (kind & 0x80) != 0 ? kind : kind + i;

      this = (this & 0x7f) % FUZZ_N_KINDS;
      fds[i] = this != FUZZ_SOCKET ? kinds[this] : socket >= 0 ? socket : kinds[FUZZ_NULL];
    }

  return size == 0 || gfork_send (to, bytes, size, fds, n_fds, MSG_DONTWAIT) == (ssize_t) size;
}

unsigned
fuzz_count_fds (void)
{
  DIR *directory;
  unsigned n = 0;

  get_kinds ();
  directory = opendir ("/proc/self/fd");
  fuzz_check (directory != NULL);
  while (readdir (directory) != NULL)
    n++;
  closedir (directory);
  return n;
}
