/* arguments.c: the strings and descriptors that were sent for the run
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/arguments.h"
#include "serve/messages.h"
#include "wire/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What g_fork_take_args() may take, while a function is being called. */
static struct gfork_arguments *offered;

static struct gfork_sent *
add (struct gfork_arguments *arguments)
{
  if (arguments->n == arguments->size)
    {
      size_t size = arguments->size > 0 ? arguments->size * 2 : 8;
      struct gfork_sent *sent = realloc (arguments->sent, size * sizeof *sent);

      if (sent == NULL)
        return NULL;
      arguments->sent = sent;
      arguments->size = size;
    }

  return &arguments->sent[arguments->n];
}

bool
gfork_arguments_add_bytes (struct gfork_arguments *arguments,
                           bool                    is_string,
                           const uint8_t          *data,
                           size_t                  length)
{
  struct gfork_sent *sent = add (arguments);
  char *copy = malloc (length + 1);

  if (sent == NULL || copy == NULL)
    {
      free (copy);
      return false;
    }

  memcpy (copy, data, length);
  copy[length] = '\0';
  *sent = (struct gfork_sent){ SENT_INLINE, is_string, -1, copy, length };
  arguments->n++;
  /* cppcheck-suppress memleak; the table has it now */
  return true;
}

bool
gfork_arguments_add_fd (struct gfork_arguments *arguments,
                        int                     fd)
{
  struct gfork_sent *sent = add (arguments);

  if (sent == NULL)
    return false;

  *sent = (struct gfork_sent){ .type = SENT_FD, .fd = fd };
  arguments->n++;
  return true;
}

/* A sealed file is mapped when the run begins, so that all processes that have it share its
 * memory, and forks need not copy page tables. A file that can still be written to is copied
 * now. */
bool
gfork_arguments_add_memfd (struct gfork_arguments *arguments,
                           bool                    is_string,
                           int                     fd,
                           uint64_t                length,
                           char                   *reason,
                           size_t                  reason_size)
{
  struct gfork_sent *sent = add (arguments);
  char *copy;

  if (!gfork_memory_is_long_enough (fd, length))
    {
      snprintf (reason, reason_size, "%s" GFORK_DETAIL "%llu",
                N_("the shared memory is shorter than it should be"),
                (unsigned long long) length);
      close (fd);
      return false;
    }

  if (sent != NULL && gfork_memory_is_sealed (fd, length))
    {
      *sent = (struct gfork_sent){ SENT_MEMFD, is_string, fd, NULL, length };
      arguments->n++;
      return true;
    }

  copy = sent != NULL ? gfork_memory_copy (fd, length) : NULL;
  if (copy == NULL)
    snprintf (reason, reason_size, "%s", strerror (errno));
  close (fd);
  if (copy == NULL)
    return false;

  *sent = (struct gfork_sent){ SENT_INLINE, is_string, -1, copy, length };
  arguments->n++;
  return true;
}

/* The arguments of a function to which nothing was sent. */
static GForkArg no_arguments[1];

/* Makes the arguments of the function of what was sent. Sealed files are mapped privately:
 * kernels before 6.7 refuse a shared mapping, and a private one that is never written to shares
 * the same pages. */
GForkArg *
gfork_arguments_open (struct gfork_arguments *arguments,
                      char                   *reason,
                      size_t                  reason_size)
{
  GForkArg *args;

  if (arguments->n == 0)
    return no_arguments;

  args = calloc (arguments->n, sizeof *args);
  if (args == NULL)
    {
      snprintf (reason, reason_size, "%s", strerror (errno));
      return NULL;
    }

  for (size_t i = 0; i < arguments->n; i++)
    {
      struct gfork_sent *sent = &arguments->sent[i];

      if (sent->type == SENT_MEMFD)
        {
          void *data = mmap (NULL, sent->length + 1, PROT_READ, MAP_PRIVATE, sent->fd, 0);

          if (data == MAP_FAILED)
            {
              snprintf (reason, reason_size, "%s", strerror (errno));
              free (args);
              return NULL;
            }
          close (sent->fd);
          *sent = (struct gfork_sent){ SENT_INLINE, sent->is_string, -1, data, sent->length };
        }

      args[i] = (GForkArg){ .fd = sent->fd, .data = sent->data, .length = sent->length };
    }

  return args;
}

/* Closes descriptors that no function will be given. */
void
gfork_arguments_close (struct gfork_arguments *arguments)
{
  for (size_t i = 0; i < arguments->n; i++)
    if (arguments->sent[i].fd >= 0)
      close (arguments->sent[i].fd);
  arguments->n = 0;
}

/* Has g_fork_take_args() return these arguments; NULL ends that. */
void
gfork_arguments_offer (struct gfork_arguments *arguments)
{
  offered = arguments;
}

/* What was taken is valid as long as the process lives, so it is never freed. The list is for
 * leak checkers. */
static struct taken
{
  struct taken *earlier;
  GForkArg *args;
} *last_taken;

size_t
g_fork_take_args (const GForkArg **args)
{
  char reason[128];
  struct taken *taken;
  size_t n;

  *args = NULL;
  if (offered == NULL || offered->n == 0)
    return 0;

  taken = malloc (sizeof *taken);
  if (taken == NULL)
    return 0;
  taken->args = gfork_arguments_open (offered, reason, sizeof reason);
  if (taken->args == NULL)
    {
      free (taken);
      return 0;
    }
  taken->earlier = last_taken;
  last_taken = taken;

  n = offered->n;
  offered->n = 0;
  *args = taken->args;
  return n;
}
