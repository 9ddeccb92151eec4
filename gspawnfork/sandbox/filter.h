/* filter.h: the filter of system calls
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What is allowed in addition to what all sandboxes allow. */
typedef struct
{
  gboolean network;
  gboolean execute;
  const char * const *names; /* of system calls, whatever their arguments */
  guint32 architecture;      /* libseccomp's number of it; 0 is that of this program */
} GForkFilterOptions;

gboolean g_fork_filter_is_available (void);
GBytes  *g_fork_filter_new          (const GForkFilterOptions  *options,
                                     GError                   **error);

G_END_DECLS
