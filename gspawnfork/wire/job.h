/* job.h: the frames of jobs, which a pool and a worker exchange
 *
 * They travel on the communication socket, once the function of the worker serves
 * jobs. The pool sends JOB; the worker sends READY once, and for each job REPLY or
 * FAILED with the same number, in any order.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "wire/frame.h"

/* No number is also one of enum gfork_verb, so that frames of a control socket cannot be taken
 * for these. */
enum gfork_job_verb
{
  GFORK_JOB = 96,           /* struct gfork_job, request */
  GFORK_WORKER_READY = 112, /* struct gfork_pid */
  GFORK_REPLY = 113,        /* struct gfork_job, reply */
  GFORK_FAILED = 114,       /* struct gfork_job, message */
};

/* Up to GFORK_MAX_INLINE bytes follow it in the payload. More are in a file, followed by a NUL,
 * whose descriptor comes with the frame. */
struct gfork_job
{
  uint32_t id;
  uint32_t zero;
  uint64_t length; /* of the request, the reply or the message */
};

/* What comes before the bytes. */
struct gfork_job_head
{
  struct gfork_header header;
  struct gfork_job job;
};

void gfork_job_head_set (struct gfork_job_head *head,
                         enum gfork_job_verb    verb,
                         uint32_t               id,
                         size_t                 length);

/* Whether so many bytes travel as a file. */
static inline bool
gfork_job_is_long (size_t length)
{
  return length > GFORK_MAX_INLINE;
}

/* Takes the head of a frame apart. Returns false if it is not well-formed. The
 * bytes are in the payload behind it, or in the frame's one descriptor. */
bool gfork_job_parse (const struct gfork_frame *frame,
                      struct gfork_job         *job);
