/* context.h: the main contexts in which callbacks are called, and synchronous calls
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Work that belongs to no operation is done in this context. */
GMainContext *g_fork_ref_background_context (void);
GMainContext *g_fork_ref_result_context     (GTask        *task);

/* To be called at the beginning and at the end of each dispatch of a source of the library. */
GMainContext *g_fork_dispatch_begin         (GMainContext *context);
void          g_fork_dispatch_end           (GMainContext *outer);
gboolean      g_fork_is_dispatching         (GMainContext *context);

void          g_fork_call_in                (GMainContext *context,
                                             GSourceFunc   func,
                                             gpointer      data);
void          g_fork_call_later             (GMainContext *context,
                                             GSourceFunc   func,
                                             gpointer      data);

/* Synchronous calls are the asynchronous ones in a context of their own. */
typedef struct
{
  GMainContext *context;
  GMainContext *outer;
  GAsyncResult *result;
} GForkSync;

gboolean      g_fork_sync_begin             (GForkSync    *sync,
                                             GError      **error);
void          g_fork_sync_done              (GObject      *source,
                                             GAsyncResult *result,
                                             gpointer      sync);
GAsyncResult *g_fork_sync_wait              (GForkSync    *sync);
void          g_fork_sync_end               (GForkSync    *sync);

G_END_DECLS
