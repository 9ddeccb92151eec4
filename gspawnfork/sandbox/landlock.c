/* landlock.c: rulesets of Landlock, by which the kernel restricts processes
 *
 * The kernel's headers of some systems are older than its interface, which is stable,
 * so the structures and numbers are here.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* These numbers are the same on all architectures. */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#endif

#define CREATE_RULESET_VERSION (1u << 0)
#define RULE_PATH_BENEATH 1

enum
{
  EXECUTE = 1 << 0,
  WRITE_FILE = 1 << 1,
  READ_FILE = 1 << 2,
  READ_DIR = 1 << 3,
  REMOVE_DIR = 1 << 4,
  REMOVE_FILE = 1 << 5,
  MAKE_CHAR = 1 << 6,
  MAKE_DIR = 1 << 7,
  MAKE_REG = 1 << 8,
  MAKE_SOCK = 1 << 9,
  MAKE_FIFO = 1 << 10,
  MAKE_BLOCK = 1 << 11,
  MAKE_SYM = 1 << 12,
  REFER = 1 << 13,     /* version 2 */
  TRUNCATE = 1 << 14,  /* version 3 */
  IOCTL_DEV = 1 << 15, /* version 5 */

  ALL_FIRST = REFER - 1,
  FOR_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV,
};

enum
{
  BIND_TCP = 1 << 0,
  CONNECT_TCP = 1 << 1,
};

enum
{
  ABSTRACT_SOCKETS = 1 << 0,
  SIGNALS = 1 << 1,
};

/* It grows with the versions, and a kernel refuses one that is longer than it knows. */
struct ruleset
{
  guint64 access_fs;
  guint64 access_net; /* version 4 */
  guint64 scoped;     /* version 6 */
};

struct path_beneath
{
  guint64 allowed_access;
  gint32 parent_fd;
} __attribute__ ((packed));

/* Returns 0 if the kernel has no Landlock, or it is not enabled. */
int
g_fork_landlock_get_version (void)
{
  long version = syscall (SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);

  return version > 0 ? (int) version : 0;
}

static guint64
known_access (int version)
{
  guint64 access = ALL_FIRST;

  if (version >= 2)
    access |= REFER;
  if (version >= 3)
    access |= TRUNCATE;
  if (version >= 5)
    access |= IOCTL_DEV;
  return access;
}

static int
create (struct ruleset *ruleset)
{
  int version = g_fork_landlock_get_version ();
  size_t size = version >= 6 ? sizeof *ruleset
                : version >= 4 ? offsetof (struct ruleset, scoped)
                               : offsetof (struct ruleset, access_net);

  return (int) syscall (SYS_landlock_create_ruleset, ruleset, size, 0);
}

/* Returns a descriptor of a ruleset under which no file can be opened and no signal sent
 * to others; -1 with errno set. */
int
g_fork_landlock_new_access (gboolean may_connect)
{
  struct ruleset ruleset = {
    .access_fs = known_access (g_fork_landlock_get_version ()),
    .access_net = BIND_TCP | (may_connect ? 0 : CONNECT_TCP),
    .scoped = ABSTRACT_SOCKETS | SIGNALS,
  };

  return create (&ruleset);
}

static guint64
access_for (GForkAllow allow)
{
  guint64 access = 0;

  if ((allow & (G_FORK_ALLOW_READ | G_FORK_ALLOW_EXECUTE)) != 0)
    access |= READ_FILE | READ_DIR;
  if ((allow & G_FORK_ALLOW_EXECUTE) != 0)
    access |= EXECUTE;
  if ((allow & G_FORK_ALLOW_WRITE) != 0)
    access |= WRITE_FILE | TRUNCATE | MAKE_DIR | MAKE_REG | MAKE_SYM | REMOVE_DIR | REMOVE_FILE
              | REFER;
  return access;
}

static gboolean
add_rule (int         ruleset,
          const char *path,
          guint64     access)
{
  struct path_beneath rule = { access & known_access (g_fork_landlock_get_version ()),
                               open (path, O_PATH | O_CLOEXEC) };
  struct stat st;
  gboolean added;
  int saved_errno;

  if (rule.parent_fd < 0)
    return FALSE;

  added = fstat (rule.parent_fd, &st) == 0;
  if (added && !S_ISDIR (st.st_mode))
    rule.allowed_access &= FOR_FILES;
  added = added && syscall (SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) == 0;

  saved_errno = errno;
  close (rule.parent_fd);
  errno = saved_errno;
  return added;
}

/* Allows what is at @path now, and all beneath it. Returns %FALSE with errno set. */
gboolean
g_fork_landlock_allow_path (int         ruleset,
                            const char *path,
                            GForkAllow  allow)
{
  return add_rule (ruleset, path, access_for (allow));
}

/* Returns a descriptor of a ruleset that only keeps processes under it from reaching others; -1
 * with errno set. Every ruleset refuses that a file is moved to another directory unless it
 * allows that, also one that is not about files. So this one allows it. */
int
g_fork_landlock_new_scope (void)
{
  struct ruleset ruleset = { .access_fs = REFER, .scoped = ABSTRACT_SOCKETS | SIGNALS };
  int fd = create (&ruleset);

  if (fd >= 0 && !add_rule (fd, "/", REFER))
    {
      int saved_errno = errno;

      close (fd);
      errno = saved_errno;
      return -1;
    }
  return fd;
}
