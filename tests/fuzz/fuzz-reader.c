/* fuzz-reader.c: fuzzes the reader of frames, as either end uses it
 *
 * For every input: each frame is a piece of what was sent, in order; no frame and no buffer is
 * larger than its limit; with exact reading nothing past the frame is read; and every descriptor
 * is closed in the end.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "fuzz.h"

#include "wire/frame.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The flags in the first byte of an input. */
enum
{
  SERVES = 1 << 0, /* with buffers as the template process has them, not the application */
  EXACT = 1 << 1,
};

static size_t
bytes_left (int socket)
{
  int n = 0;

  fuzz_check (ioctl (socket, FIONREAD, &n) == 0);
  return n;
}

/* Checks that the frame is what was sent. */
static void
check_frame (struct gfork_frame *frame,
             const uint8_t      *sent,
             size_t             *position)
{
  struct gfork_header header;

  memcpy (&header, sent + *position, sizeof header);
  *position += sizeof header;
  fuzz_check (frame->verb == header.verb);
  fuzz_check (frame->n_fds == header.n_fds);
  fuzz_check (frame->length == header.length && frame->length <= GFORK_MAX_PAYLOAD);
  fuzz_check (memcmp (frame->payload, sent + *position, frame->length) == 0);
  *position += frame->length;

  for (size_t i = 0; i < frame->n_fds; i++)
    fuzz_check (fcntl (frame->fds[i], F_GETFD) == FD_CLOEXEC);
}

/* Reads a payload as the library and modules do. */
static void
read_strings (const struct gfork_frame *frame)
{
  const uint8_t *rest = frame->payload;
  uint32_t length = frame->length;
  const char *string;
  size_t total = 0;

  while ((string = gfork_next_string (&rest, &length)) != NULL)
    total += strlen (string) + 1;
  fuzz_check (total + length == frame->length);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data,
                        size_t         size)
{
  static _Alignas (struct cmsghdr) char control[GFORK_CONTROL_SIZE (GFORK_MAX_FDS)];
  struct fuzz_input input = { data, size };
  uint8_t flags = fuzz_take (&input);
  bool exact = (flags & EXACT) != 0;
  uint8_t memory[1024];
  size_t memory_size = (flags & SERVES) != 0 ? sizeof memory : 64;
  uint8_t *sent = malloc (size + 1);
  size_t n_sent = 0, position = 0;
  struct gfork_reader reader;
  bool good = true;
  unsigned n_fds;
  int ends[2];

  n_fds = fuzz_count_fds ();
  fuzz_check (sent != NULL && socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  gfork_reader_init (&reader, memory, memory_size, control,
                     (flags & SERVES) != 0 ? sizeof control : GFORK_CONTROL_SIZE (8));

  while (good)
    {
      enum gfork_fill filled;

      /* The bytes come after the four that describe the message. */
      if (input.size > 4)
        {
          size_t length = input.data[2] | input.data[3] << 8;

          if (length > input.size - 4)
            length = input.size - 4;
          memcpy (sent + n_sent, input.data + 4, length);
          n_sent += length;
          fuzz_check (fuzz_send (&input, ends[0], -1));
        }
      else if (ends[0] >= 0)
        {
          close (ends[0]);
          ends[0] = -1;
        }

      for (bool more = true; more && good;)
        {
          size_t before = bytes_left (ends[1]);

          filled = gfork_reader_fill (&reader, ends[1], exact, MSG_DONTWAIT);
          good = filled == GFORK_FILL_DATA || filled == GFORK_FILL_AGAIN;
          more = filled == GFORK_FILL_DATA;
          fuzz_check (reader.end <= reader.size && reader.start <= reader.end);
          fuzz_check (reader.size <= memory_size || reader.size < 2 * 65536
                      || reader.size <= 2 * (n_sent + 1));

          for (bool frames = more; frames;)
            {
              struct gfork_frame frame;

              switch (gfork_reader_next (&reader, &frame))
                {
                case GFORK_NEXT_FRAME:
                  check_frame (&frame, sent, &position);
                  read_strings (&frame);
                  gfork_frame_close_fds (&frame);
                  /* READY is the shortest answer. A shorter frame may be read too far. */
                  if (exact && frame.length >= GFORK_MIN_ANSWER - sizeof (struct gfork_header))
                    fuzz_check (reader.start == reader.end);
                  break;
                case GFORK_NEXT_MORE:
                  frames = false;
                  break;
                case GFORK_NEXT_BAD:
                  frames = good = false;
                  break;
                }
            }
          fuzz_check (!more || bytes_left (ends[1]) < before);
        }
    }

  gfork_reader_clear (&reader);
  close (ends[1]);
  if (ends[0] >= 0)
    close (ends[0]);
  free (sent);
  fuzz_check (fuzz_count_fds () == n_fds);
  return 0;
}
