/* wire.c: tests of the two functions that read frames
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "wire/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

typedef struct
{
  int ends[2];
  struct gfork_reader reader;
  uint8_t memory[32]; /* less than most frames, so that it has to grow */
  _Alignas (struct cmsghdr) char control[GFORK_CONTROL_SIZE (GFORK_MAX_FDS)];
} Fixture;

static void
set_up (Fixture       *fixture,
        gconstpointer  data)
{
  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fixture->ends));
  gfork_reader_init (&fixture->reader, fixture->memory, sizeof fixture->memory, fixture->control,
                     sizeof fixture->control);
}

static void
tear_down (Fixture       *fixture,
           gconstpointer  data)
{
  gfork_reader_clear (&fixture->reader);
  if (fixture->ends[0] >= 0)
    close (fixture->ends[0]);
  close (fixture->ends[1]);
}

static GByteArray *
frame_new (uint8_t     verb,
           const char *payload,
           size_t      length,
           size_t      n_fds)
{
  GByteArray *bytes = g_byte_array_new ();
  struct gfork_header header;

  gfork_header_set (&header, verb, length, n_fds);
  g_byte_array_append (bytes, (const guint8 *) &header, sizeof header);
  g_byte_array_append (bytes, (const guint8 *) payload, length);
  return bytes;
}

static void
send_bytes (Fixture      *fixture,
            const guint8 *data,
            size_t        length)
{
  g_assert_cmpint (gfork_send (fixture->ends[0], data, length, NULL, 0, 0), ==, length);
}

static enum gfork_fill
fill (Fixture *fixture)
{
  return gfork_reader_fill (&fixture->reader, fixture->ends[1], false, MSG_DONTWAIT);
}

/* However the stream is cut, a frame comes out whole, and not before it is. */
static void
test_byte_by_byte (Fixture       *fixture,
                   gconstpointer  data)
{
  static const char text[] = "a payload that is longer than the first memory of the reader";
  g_autoptr (GByteArray) bytes = frame_new (GFORK_REQUIRE, text, sizeof text, 0);
  struct gfork_frame frame;

  for (guint i = 0; i < bytes->len; i++)
    {
      g_assert_cmpint (gfork_reader_next (&fixture->reader, &frame), ==, GFORK_NEXT_MORE);
      send_bytes (fixture, bytes->data + i, 1);
      g_assert_cmpint (fill (fixture), ==, GFORK_FILL_DATA);
    }

  g_assert_cmpint (gfork_reader_next (&fixture->reader, &frame), ==, GFORK_NEXT_FRAME);
  g_assert_cmpint (frame.verb, ==, GFORK_REQUIRE);
  g_assert_cmpmem (frame.payload, frame.length, text, sizeof text);
  g_assert_cmpint (gfork_reader_next (&fixture->reader, &frame), ==, GFORK_NEXT_MORE);
  g_assert_cmpint (fill (fixture), ==, GFORK_FILL_AGAIN);
}

/* Descriptors that arrive in one lump go to the frames that count them, in order. */
static void
test_descriptors_in_order (Fixture       *fixture,
                           gconstpointer  data)
{
  g_autoptr (GByteArray) first = frame_new (GFORK_ARG_FD, NULL, 0, 9);
  g_autoptr (GByteArray) second = frame_new (GFORK_ARG_FD, NULL, 0, 3);
  struct gfork_frame frame;
  int pipes[12][2], fds[12];

  for (int i = 0; i < 12; i++)
    {
      g_assert_no_errno (pipe2 (pipes[i], O_CLOEXEC));
      fds[i] = pipes[i][1];
    }
  g_byte_array_append (first, second->data, second->len);
  g_assert_cmpint (gfork_send (fixture->ends[0], first->data, first->len, fds, 12, 0), ==,
                   first->len);

  g_assert_cmpint (fill (fixture), ==, GFORK_FILL_DATA);
  for (int i = 0; i < 12;)
    {
      g_assert_cmpint (gfork_reader_next (&fixture->reader, &frame), ==, GFORK_NEXT_FRAME);
      g_assert_cmpint (frame.n_fds, ==, i == 0 ? 9 : 3);
      for (int j = 0; j < frame.n_fds; j++, i++)
        {
          char byte = 'a' + i, got;

          g_assert_cmpint (write (frame.fds[j], &byte, 1), ==, 1);
          g_assert_cmpint (read (pipes[i][0], &got, 1), ==, 1);
          g_assert_cmpint (got, ==, byte);
          g_assert_cmpint (fcntl (frame.fds[j], F_GETFD), ==, FD_CLOEXEC);
        }
      gfork_frame_close_fds (&frame);
    }

  for (int i = 0; i < 12; i++)
    {
      close (pipes[i][0]);
      close (pipes[i][1]);
    }
}

/* What was received and not taken is closed by clearing. */
static void
test_clear_closes (Fixture       *fixture,
                   gconstpointer  data)
{
  g_autoptr (GByteArray) bytes = frame_new (GFORK_ARG_FD, NULL, 0, 1);
  int ends[2];
  char byte;

  g_assert_no_errno (pipe2 (ends, O_CLOEXEC));
  g_assert_cmpint (gfork_send (fixture->ends[0], bytes->data, bytes->len, &ends[1], 1, 0), ==,
                   bytes->len);
  close (ends[1]);
  g_assert_cmpint (fill (fixture), ==, GFORK_FILL_DATA);
  gfork_reader_clear (&fixture->reader);
  g_assert_cmpint (read (ends[0], &byte, 1), ==, 0);
  close (ends[0]);
}

/* After READY comes the user's conversation, of which nothing may be read. */
static void
test_exact (Fixture       *fixture,
            gconstpointer  data)
{
  struct gfork_pid pid = { .pid = 42 };
  g_autoptr (GByteArray) bytes = frame_new (GFORK_READY, (const char *) &pid, sizeof pid, 0);
  struct gfork_frame frame;
  char rest[16];

  g_assert_cmpint (bytes->len, ==, GFORK_MIN_ANSWER);
  g_byte_array_append (bytes, (const guint8 *) "hello", 5);
  send_bytes (fixture, bytes->data, bytes->len);

  g_assert_cmpint (gfork_reader_fill (&fixture->reader, fixture->ends[1], true, MSG_DONTWAIT), ==,
                   GFORK_FILL_DATA);
  g_assert_cmpint (gfork_reader_next (&fixture->reader, &frame), ==, GFORK_NEXT_FRAME);
  g_assert_cmpint (frame.verb, ==, GFORK_READY);
  g_assert_cmpint (read (fixture->ends[1], rest, sizeof rest), ==, 5);
  g_assert_cmpmem (rest, 5, "hello", 5);
}

/* A frame longer than the shortest is read exactly too. */
static void
test_exact_long (Fixture       *fixture,
                 gconstpointer  data)
{
  static const char text[100] = "long";
  g_autoptr (GByteArray) bytes = frame_new (GFORK_ERROR, text, sizeof text, 0);
  struct gfork_frame frame;
  char rest[16];

  g_byte_array_append (bytes, (const guint8 *) "hello", 5);
  send_bytes (fixture, bytes->data, bytes->len);
  while (gfork_reader_next (&fixture->reader, &frame) == GFORK_NEXT_MORE)
    g_assert_cmpint (gfork_reader_fill (&fixture->reader, fixture->ends[1], true, MSG_DONTWAIT),
                     ==, GFORK_FILL_DATA);

  g_assert_cmpmem (frame.payload, frame.length, text, sizeof text);
  g_assert_cmpint (read (fixture->ends[1], rest, sizeof rest), ==, 5);
}

/* What is no frame is known for that at once, and nothing is allocated for it. */
static void
test_rubbish (Fixture       *fixture,
              gconstpointer  data)
{
  struct gfork_header header = { .length = GFORK_MAX_PAYLOAD + 1, .verb = GFORK_ARG };
  struct gfork_frame frame;

  send_bytes (fixture, (const guint8 *) &header, sizeof header);
  g_assert_cmpint (fill (fixture), ==, GFORK_FILL_DATA);
  g_assert_cmpint (gfork_reader_next (&fixture->reader, &frame), ==, GFORK_NEXT_BAD);
  g_assert_cmpuint (fixture->reader.size, ==, sizeof fixture->memory);
}

static void
test_reserved (Fixture       *fixture,
               gconstpointer  data)
{
  struct gfork_header header = { .verb = GFORK_SYNC, .zero = 1 };
  struct gfork_frame frame;

  send_bytes (fixture, (const guint8 *) &header, sizeof header);
  g_assert_cmpint (fill (fixture), ==, GFORK_FILL_DATA);
  g_assert_cmpint (gfork_reader_next (&fixture->reader, &frame), ==, GFORK_NEXT_BAD);
}

/* A frame that claims descriptors which did not come is none. */
static void
test_missing_descriptors (Fixture       *fixture,
                          gconstpointer  data)
{
  g_autoptr (GByteArray) bytes = frame_new (GFORK_FORK, "1234", 4, 1);
  struct gfork_frame frame;

  send_bytes (fixture, bytes->data, bytes->len);
  g_assert_cmpint (fill (fixture), ==, GFORK_FILL_DATA);
  g_assert_cmpint (gfork_reader_next (&fixture->reader, &frame), ==, GFORK_NEXT_BAD);
}

static void
test_end (Fixture       *fixture,
          gconstpointer  data)
{
  close (fixture->ends[0]);
  fixture->ends[0] = -1;
  g_assert_cmpint (fill (fixture), ==, GFORK_FILL_EOF);
}

/* Strings come out one by one; what is not terminated does not. */
static void
test_strings (void)
{
  const uint8_t *payload = (const uint8_t *) "one\0\0three\0open";
  uint32_t length = 15;

  g_assert_cmpstr (gfork_next_string (&payload, &length), ==, "one");
  g_assert_cmpstr (gfork_next_string (&payload, &length), ==, "");
  g_assert_cmpstr (gfork_next_string (&payload, &length), ==, "three");
  g_assert_null (gfork_next_string (&payload, &length));
}

/* What was cut off is the end, but not for those whose frames are good without. Frames
 * after it have their own. */
static void
test_descriptors_cut_off (Fixture       *fixture,
                          gconstpointer  can_lose_fds)
{
  g_autoptr (GByteArray) two = frame_new (GFORK_READY, "two", 3, 2);
  g_autoptr (GByteArray) one = frame_new (GFORK_READY, "one", 3, 1);
  struct gfork_frame frame;
  const int fds[2] = { 1, 2 };
  struct rlimit limit, lower;
  int next, filled;

  if (g_getenv ("GFORK_TEST_VALGRIND") != NULL)
    {
      g_test_skip ("under valgrind the system does not know the limit");
      return;
    }

  fixture->reader.can_lose_fds = can_lose_fds != NULL;
  g_assert_cmpint (gfork_send (fixture->ends[0], two->data, two->len, fds, 2, 0), >, 0);

  /* One more descriptor may be open. */
  g_assert_no_errno (getrlimit (RLIMIT_NOFILE, &limit));
  next = fcntl (2, F_DUPFD_CLOEXEC, 3);
  close (next);
  lower = (struct rlimit){ next + 1, limit.rlim_max };
  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &lower));
  filled = fill (fixture);
  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &limit));

  if (can_lose_fds == NULL)
    {
      g_assert_cmpint (filled, ==, GFORK_FILL_TRUNCATED);
      return;
    }

  g_assert_cmpint (filled, ==, GFORK_FILL_DATA);
  g_assert_cmpint (gfork_reader_next (&fixture->reader, &frame), ==, GFORK_NEXT_FRAME);
  g_assert_cmpmem (frame.payload, frame.length, "two", 3);
  g_assert_cmpint (frame.n_fds, ==, 1);
  gfork_frame_close_fds (&frame);

  g_assert_cmpint (gfork_send (fixture->ends[0], one->data, one->len, fds, 1, 0), >, 0);
  g_assert_cmpint (fill (fixture), ==, GFORK_FILL_DATA);
  g_assert_cmpint (gfork_reader_next (&fixture->reader, &frame), ==, GFORK_NEXT_FRAME);
  g_assert_cmpmem (frame.payload, frame.length, "one", 3);
  g_assert_cmpint (frame.n_fds, ==, 1);
  gfork_frame_close_fds (&frame);
}

#define ADD(name, function) g_test_add ("/wire/" name, Fixture, NULL, set_up, function, tear_down)

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  ADD ("byte-by-byte", test_byte_by_byte);
  ADD ("descriptors-in-order", test_descriptors_in_order);
  ADD ("clear-closes", test_clear_closes);
  ADD ("exact", test_exact);
  ADD ("exact-long", test_exact_long);
  ADD ("rubbish", test_rubbish);
  ADD ("reserved", test_reserved);
  ADD ("missing-descriptors", test_missing_descriptors);
  ADD ("end", test_end);
  ADD ("descriptors-cut-off/needed", test_descriptors_cut_off);
  g_test_add ("/wire/descriptors-cut-off/not-needed", Fixture, "", set_up,
              test_descriptors_cut_off, tear_down);
  g_test_add_func ("/wire/strings", test_strings);

  return g_test_run ();
}
