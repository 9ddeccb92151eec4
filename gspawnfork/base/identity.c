/* identity.c: the user and the groups that a process has the privileges of
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "base/identity.h"

#include <string.h>
#include <unistd.h>

/* As many as the kernel allows. To ask for the number first would leave time for it to change. */
#define MAX_GROUPS 65536

/* Up to this number they are compared without allocating memory. */
#define FEW_GROUPS 64

struct _GForkIdentity
{
  uid_t user;
  gid_t group;
  int n_groups;
  gid_t *groups; /* the supplementary ones, as the kernel sorts them */
};

/* Returns the number of groups. They are in @few, or, if @many is set, in that, which the caller
 * frees. */
static int
get_groups (gid_t   few[FEW_GROUPS],
            gid_t **many)
{
  int n = getgroups (FEW_GROUPS, few);

  if (n >= 0)
    return n;

  *many = g_new (gid_t, MAX_GROUPS);
  n = getgroups (MAX_GROUPS, *many);
  return MAX (n, 0);
}

GForkIdentity *
g_fork_identity_new_current (void)
{
  GForkIdentity *identity = g_new0 (GForkIdentity, 1);
  gid_t few[FEW_GROUPS];
  g_autofree gid_t *many = NULL;

  identity->user = geteuid ();
  identity->group = getegid ();
  identity->n_groups = get_groups (few, &many);
  /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): g_autofree frees many */
  identity->groups = g_memdup2 (many != NULL ? many : few,
                                identity->n_groups * sizeof *identity->groups);
  return identity;
}

void
g_fork_identity_free (GForkIdentity *identity)
{
  g_free (identity->groups);
  g_free (identity);
}

/* Whether this process still has this identity. */
gboolean
g_fork_identity_is_current (const GForkIdentity *identity)
{
  gid_t few[FEW_GROUPS];
  g_autofree gid_t *many = NULL;

  if (identity->user != geteuid () || identity->group != getegid ()
      || identity->n_groups != get_groups (few, &many))
    return FALSE; /* NOLINT(clang-analyzer-unix.Malloc): g_autofree frees many */

  return identity->n_groups == 0
         || memcmp (identity->groups, many != NULL ? many : few,
                    identity->n_groups * sizeof *identity->groups) == 0;
}
