/* upkeep.c: reaps and closes what has ended in programs that run no main loop
 *
 * Such a program dispatches no source that would reap processes, or close the sockets of
 * templates that have ended. So each call that makes a process does it. One system call tells
 * what there is to do; none is made if there are no such processes and sockets.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "base/upkeep.h"

#include "base/generation.h"

#include <sys/epoll.h>
#include <unistd.h>

/* At most so many are looked at in one call. The others wait for the next one. */
#define MAX_EVENTS 64

/* Guarded by the globals' lock. */
static int epoll_fd = -1;
static int n_kept; /* read without it */
static GQueue without_fd = G_QUEUE_INIT;

/* In a fork of the application: these are the processes and sockets of the parent. */
static void
forget_all (void)
{
  if (epoll_fd >= 0)
    close (epoll_fd);
  epoll_fd = -1;
  n_kept = 0;
  g_queue_init (&without_fd);
}

void
g_fork_upkeep_add (GForkUpkeep *upkeep)
{
  static gsize hooked;
  struct epoll_event event = { .events = EPOLLIN, .data.ptr = upkeep };

  if (g_once_init_enter (&hooked))
    {
      g_fork_add_child_hook (forget_all);
      g_once_init_leave (&hooked, 1);
    }

  g_fork_globals_lock ();
  if (!upkeep->kept)
    {
      upkeep->kept = TRUE;
      upkeep->ref (upkeep->item);
      g_atomic_int_inc (&n_kept);
      if (epoll_fd < 0 && upkeep->fd >= 0)
        epoll_fd = epoll_create1 (EPOLL_CLOEXEC);
      if (upkeep->fd < 0 || epoll_ctl (epoll_fd, EPOLL_CTL_ADD, upkeep->fd, &event) != 0)
        {
          upkeep->fd = -1;
          upkeep->link.data = upkeep;
          g_queue_push_tail_link (&without_fd, &upkeep->link);
        }
    }
  g_fork_globals_unlock ();
}

/* To be called before the descriptor is closed. */
void
g_fork_upkeep_remove (GForkUpkeep *upkeep)
{
  gboolean kept;

  g_fork_globals_lock ();
  kept = upkeep->kept;
  if (kept)
    {
      upkeep->kept = FALSE;
      g_atomic_int_add (&n_kept, -1);
      if (upkeep->fd >= 0)
        epoll_ctl (epoll_fd, EPOLL_CTL_DEL, upkeep->fd, NULL);
      else
        g_queue_unlink (&without_fd, &upkeep->link);
    }
  g_fork_globals_unlock ();

  if (kept)
    upkeep->unref (upkeep->item);
}

void
g_fork_upkeep (void)
{
  struct epoll_event events[MAX_EVENTS];
  g_autoptr (GPtrArray) found = NULL;
  int n;

  if (g_atomic_int_get (&n_kept) == 0)
    return;

  found = g_ptr_array_new ();
  g_fork_globals_lock ();
  n = epoll_fd >= 0 ? epoll_wait (epoll_fd, events, MAX_EVENTS, 0) : 0;
  for (int i = 0; i < n; i++)
    g_ptr_array_add (found, events[i].data.ptr);
  for (GList *l = without_fd.head; l != NULL; l = l->next)
    g_ptr_array_add (found, l->data);
  for (guint i = 0; i < found->len; i++)
    {
      GForkUpkeep *upkeep = g_ptr_array_index (found, i);

      upkeep->ref (upkeep->item);
    }
  g_fork_globals_unlock ();

  for (guint i = 0; i < found->len; i++)
    {
      GForkUpkeep *upkeep = g_ptr_array_index (found, i);

      upkeep->look (upkeep->item);
      upkeep->unref (upkeep->item);
    }
}
