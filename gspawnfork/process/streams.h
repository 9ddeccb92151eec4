/* streams.h: pipes and /dev/null as the standard streams of a program
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

#include "gforktemplate.h"

G_BEGIN_DECLS

/* The index is the number of the stream, 0 to 2. -1 stands for none. */
typedef struct
{
  int ours[3];   /* the application's ends of pipes, non-blocking */
  int theirs[3]; /* what the program gets */
} GForkStreams;

char         *g_fork_streams_find_conflict (GForkExecFlags   flags,
                                            guint            mapped);
GForkStreams *g_fork_streams_new           (GForkExecFlags   flags,
                                            GError         **error);
void          g_fork_streams_free          (GForkStreams    *streams);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GForkStreams, g_fork_streams_free)

G_END_DECLS
