/* memory.h: long strings in memory that processes share
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

int g_fork_memory_new (gconstpointer   data,
                       gsize           length,
                       GError        **error);

G_END_DECLS
