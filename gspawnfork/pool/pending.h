/* pending.h: an operation that was asked of a pool, until its result is fetched
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "pool/driver.h"

G_BEGIN_DECLS

typedef struct _GForkPending GForkPending;

/* What is done with an operation of one kind, with the lock. */
typedef struct
{
  void (*submit) (gpointer      owner,
                  GForkPending *pending,
                  gpointer      subject);
  /* It has failed, and nothing more is to be done about it. */
  void (*cancel) (gpointer      owner,
                  GForkPending *pending,
                  gpointer      subject);
  void (*free)   (gpointer      subject); /* or %NULL */
} GForkPendingKind;

GForkPending *g_fork_pending_new    (GForkDriver            *driver,
                                     const GForkPendingKind *kind,
                                     gpointer                owner,
                                     gpointer                subject,
                                     GCancellable           *cancellable);
void          g_fork_pending_finish (GForkPending           *self,
                                     GError                 *error);
void          g_fork_pending_finish_with (GForkPending      *self,
                                     gpointer                result,
                                     GDestroyNotify          free_result);

/* These take it. */
void          g_fork_pending_submit (GForkPending           *self,
                                     GTask                  *task);
gpointer      g_fork_pending_wait   (GForkPending           *self,
                                     GError                **error);

G_END_DECLS
