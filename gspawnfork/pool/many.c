/* many.c: many jobs in one operation
 *
 * Each of them is an operation of its own, which is a part of the whole: it waits in the
 * queue like any other, and the whole is finished with the last of its parts.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "pool/crew.h"

#include "gforkerror.h"

#include <string.h>

/* In the place of an error code. */
#define SUCCESS (-1)

void
g_fork_pending_set_requests (GForkPending *self,
                             GVariant     *requests)
{
  gsize n = g_variant_n_children (requests);

  self->parts = g_ptr_array_new_full (n, (GDestroyNotify) g_fork_pending_free);
  for (gsize i = 0; i < n; i++)
    {
      g_autoptr (GVariant) child = g_variant_get_child_value (requests, i);
      GForkPending *part = g_fork_pending_new (self->crew, G_FORK_PENDING_CALL, NULL);

      part->request = g_variant_get_data_as_bytes (child);
      part->whole = self;
      g_ptr_array_add (self->parts, part);
    }
}

void
g_fork_crew_submit_many (GForkCrew    *self,
                         GForkPending *pending)
{
  pending->n_unfinished = pending->parts->len;
  for (guint i = 0; i < pending->parts->len; i++)
    g_fork_pending_enqueue (g_ptr_array_index (pending->parts, i), &self->waiting);
  if (pending->n_unfinished == 0)
    g_fork_pending_finish (pending, NULL);
}

/* Kills the workers of those that run. The caller finishes the whole. */
void
g_fork_crew_cancel_many (GForkCrew    *self,
                         GForkPending *pending)
{
  for (guint i = 0; i < pending->parts->len; i++)
    {
      GForkPending *part = g_ptr_array_index (pending->parts, i);

      if (part->is_done)
        continue;
      part->is_done = TRUE;
      if (part->member != NULL)
        g_fork_crew_cancel_job (self, part);
      g_fork_pending_dequeue (part);
    }
}

/* The number says whether the bytes are a reply. */
static GVariant *
new_reply (const GForkPending *part)
{
  const GError *error = part->error;
  GVariant *content;
  int code = SUCCESS;

  if (error == NULL)
    content = g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, part->reply, TRUE);
  else
    {
      code = error->domain == G_FORK_ERROR ? error->code : G_FORK_ERROR_FAILED;
      content = g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, error->message,
                                           strlen (error->message), 1);
    }
  return g_variant_new ("(i@ay)", code, content);
}

/* What has become of the parts, in the order of the requests. */
GVariant *
g_fork_pending_steal_replies (GForkPending *self)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a(iay)"));
  for (guint i = 0; i < self->parts->len; i++)
    g_variant_builder_add_value (&builder, new_reply (g_ptr_array_index (self->parts, i)));
  return g_variant_ref_sink (g_variant_builder_end (&builder));
}
