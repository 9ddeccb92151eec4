/* batch.h: many jobs in one operation
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "pool/jobs.h"
#include "pool/pending.h"

G_BEGIN_DECLS

typedef struct _GForkBatch GForkBatch;

GForkBatch *g_fork_batch_new    (GVariant     *requests);
void        g_fork_batch_free   (GForkBatch   *self);
void        g_fork_batch_submit (GForkBatch   *self,
                                 GForkPending *pending,
                                 GForkJobs    *jobs);
void        g_fork_batch_cancel (GForkBatch   *self,
                                 GForkJobs    *jobs);

G_END_DECLS
