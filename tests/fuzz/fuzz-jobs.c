/* fuzz-jobs.c: fuzzes the frames of jobs, as a worker reads them
 *
 * For every input: the worker takes only whole jobs, answers each once with its own id, reads no
 * byte past what was sent, and closes every descriptor.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "fuzz.h"

#include "gforkworker.h"
#include "wire/job.h"
#include "wire/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* All answers have to fit into the socket, as nothing reads them before the end. */
#define MAX_SENT 2048

static unsigned n_done;

static int
do_job (const void *request,
        size_t      length,
        GForkReply *reply,
        void       *user_data)
{
  const uint8_t *bytes = request;
  unsigned sum = 0;

  for (size_t i = 0; i < length; i++)
    sum += bytes[i];
  fuzz_check (bytes[length] == 0);

  n_done++;
  if (length > 0 && bytes[0] == 'f')
    g_fork_reply_fail (reply, "failed");
  else if (length > 0 && bytes[0] == 'l')
    {
      char *large = calloc (1, FUZZ_MEMORY);

      g_fork_reply_set (reply, large, FUZZ_MEMORY);
      free (large);
    }
  else
    g_fork_reply_set (reply, &sum, sizeof sum);
  return length > 0 && bytes[0] == 'x';
}

/* Checks an answer as the pool does. */
static void
check_answer (struct gfork_frame *frame)
{
  struct gfork_memory memory;
  struct gfork_job job;

  fuzz_check (frame->verb == GFORK_REPLY || frame->verb == GFORK_FAILED);
  fuzz_check (gfork_job_parse (frame, &job));
  if (gfork_job_is_long (job.length))
    {
      fuzz_check (frame->n_fds == 1 && job.length == FUZZ_MEMORY);
      fuzz_check (gfork_memory_open (&memory, frame->fds[0], job.length));
      /* Without seals it would have been copied. */
#ifndef GFORK_PORTABLE
      fuzz_check (memory.is_mapped);
#endif
      fuzz_check (memory.data[memory.length] == '\0');
      gfork_memory_close (&memory);
    }
}

static unsigned
read_answers (int socket)
{
  static _Alignas (struct cmsghdr) char control[GFORK_CONTROL_SIZE (8)];
  uint8_t memory[4096];
  struct gfork_reader reader;
  struct gfork_frame frame;
  unsigned n = 0;

  gfork_reader_init (&reader, memory, sizeof memory, control, sizeof control);
  while (gfork_reader_fill (&reader, socket, false, MSG_DONTWAIT) == GFORK_FILL_DATA)
    {
      enum gfork_next next;

      while ((next = gfork_reader_next (&reader, &frame)) == GFORK_NEXT_FRAME)
        {
          if (n++ == 0)
            fuzz_check (frame.verb == GFORK_WORKER_READY && frame.length == sizeof (struct gfork_pid));
          else
            check_answer (&frame);
          gfork_frame_close_fds (&frame);
        }
      fuzz_check (next == GFORK_NEXT_MORE);
    }
  fuzz_check (reader.start == reader.end);
  gfork_reader_clear (&reader);
  return n;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data,
                        size_t         size)
{
  struct fuzz_input input = { data, size < MAX_SENT ? size : MAX_SENT };
  unsigned n_fds = fuzz_count_fds ();
  int ends[2];
  int status;

  fuzz_check (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  while (input.size > 4)
    fuzz_check (fuzz_send (&input, ends[0], -1));
  fuzz_check (shutdown (ends[0], SHUT_WR) == 0);

  n_done = 0;
  status = g_fork_serve_jobs (ends[1], do_job, NULL);
  fuzz_check (status == 0 || status == 1);
  close (ends[1]);
  fuzz_check (read_answers (ends[0]) >= 1 + n_done);

  close (ends[0]);
  fuzz_check (fuzz_count_fds () == n_fds);
  return 0;
}
