/* batch.c: many jobs in one operation
 *
 * Each of them waits, runs and fails like any other, and the operation is finished with the
 * last of them.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "pool/batch.h"

#include "gforkerror.h"

#include <string.h>

/* In the place of an error code. */
#define SUCCESS (-1)

struct _GForkBatch
{
  GPtrArray *jobs;
  guint n_unfinished;
  GForkPending *pending;
};

/* The number says whether the bytes are a reply. */
static GVariant *
new_reply (const GForkJob *job)
{
  const GError *error = job->error;
  GVariant *content;
  int code = SUCCESS;

  if (error == NULL)
    content = g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, job->reply, TRUE);
  else
    {
      code = error->domain == G_FORK_ERROR ? error->code : G_FORK_ERROR_FAILED;
      content = g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, error->message,
                                           strlen (error->message), 1);
    }
  return g_variant_new ("(i@ay)", code, content);
}

/* With what has become of the jobs, in the order of the requests. */
static void
finish (GForkBatch *self)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a(iay)"));
  for (guint i = 0; i < self->jobs->len; i++)
    g_variant_builder_add_value (&builder, new_reply (g_ptr_array_index (self->jobs, i)));
  g_fork_pending_finish_with (self->pending, g_variant_ref_sink (g_variant_builder_end (&builder)),
                              (GDestroyNotify) g_variant_unref);
}

static void
on_done (GForkJob *job,
         gpointer  data)
{
  GForkBatch *self = data;

  if (--self->n_unfinished == 0)
    finish (self);
}

GForkBatch *
g_fork_batch_new (GVariant *requests)
{
  gsize n = g_variant_n_children (requests);
  GForkBatch *self = g_new0 (GForkBatch, 1);

  self->jobs = g_ptr_array_new_full (n, (GDestroyNotify) g_fork_job_free);
  for (gsize i = 0; i < n; i++)
    {
      g_autoptr (GVariant) child = g_variant_get_child_value (requests, i);

      g_ptr_array_add (self->jobs, g_fork_job_new (g_variant_get_data_as_bytes (child), on_done,
                                                   self));
    }
  return self;
}

void
g_fork_batch_free (GForkBatch *self)
{
  g_ptr_array_unref (self->jobs);
  g_free (self);
}

void
g_fork_batch_submit (GForkBatch   *self,
                     GForkPending *pending,
                     GForkJobs    *jobs)
{
  self->pending = pending;
  self->n_unfinished = self->jobs->len;
  for (guint i = 0; i < self->jobs->len; i++)
    g_fork_jobs_add (jobs, g_ptr_array_index (self->jobs, i));
  if (self->n_unfinished == 0)
    finish (self);
}

/* Takes away those that are not finished. */
void
g_fork_batch_cancel (GForkBatch *self,
                     GForkJobs  *jobs)
{
  for (guint i = 0; i < self->jobs->len; i++)
    {
      GForkJob *job = g_ptr_array_index (self->jobs, i);

      if (job->queue != NULL)
        g_fork_jobs_cancel (jobs, job);
    }
}
