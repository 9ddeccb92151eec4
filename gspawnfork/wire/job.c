/* job.c: the frames of jobs, which a pool and a worker exchange
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "wire/job.h"

#include <string.h>

_Static_assert (sizeof (struct gfork_job_head) == 24, "no padding on the wire");

void
gfork_job_head_set (struct gfork_job_head *head,
                    enum gfork_job_verb    verb,
                    uint32_t               id,
                    size_t                 length)
{
  bool is_long = gfork_job_is_long (length);

  gfork_header_set (&head->header, verb, sizeof head->job + (is_long ? 0 : length), is_long);
  head->job = (struct gfork_job){ .id = id, .length = length };
}

bool
gfork_job_parse (const struct gfork_frame *frame,
                 struct gfork_job         *job)
{
  uint32_t rest;

  if (frame->length < sizeof *job)
    return false;

  memcpy (job, frame->payload, sizeof *job);
  rest = frame->length - sizeof *job;
  if (job->zero != 0)
    return false;
  if (gfork_job_is_long (job->length))
    return rest == 0 && frame->n_fds <= 1;
  return rest == job->length && frame->n_fds == 0;
}
