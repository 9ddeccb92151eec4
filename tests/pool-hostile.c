/* pool-hostile.c: tests of pools whose workers do not keep to the protocol
 *
 * The job of such a worker fails with PROTOCOL, or with LOST if the worker has ended before that
 * was seen, and the pool goes on.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "pools.h"

#include <string.h>

/* As in docs/runtimes.md */
enum
{
  JOB = 96,
  READY = 112,
  REPLY = 113,
  FAILED = 114,
};

typedef struct
{
  guint32 length;
  guint8 verb;
  guint8 n_fds;
  guint16 zero;
  guint32 id;
  guint32 job_zero;
  guint64 job_length;
} Head;

G_STATIC_ASSERT (sizeof (Head) == 24);

static GForkPool *
pool_of_parrots (void)
{
  GForkPool *pool = pool_new ("test-jobs:parrot");

  g_fork_pool_set_max_workers (pool, 1);
  g_fork_pool_set_max_restarts (pool, G_MAXUINT);
  start (pool);
  return pool;
}

/* Has a worker write the bytes, which is its first job. */
static GBytes *
have_written (GForkPool      *pool,
              char            fds,
              char            then,
              gconstpointer   bytes,
              gsize           length,
              GError        **error)
{
  g_autoptr (GByteArray) request = g_byte_array_new ();
  g_autoptr (GBytes) sent = NULL;

  g_byte_array_append (request, (const guint8 *) &fds, 1);
  g_byte_array_append (request, (const guint8 *) &then, 1);
  g_byte_array_append (request, bytes, length);
  sent = g_byte_array_free_to_bytes (g_steal_pointer (&request));
  return g_fork_pool_call (pool, sent, NULL, error);
}

/* A well-formed frame is a reply: the pool has gone on. The worker that is asked first may be
 * about to leave. */
static void
assert_goes_on (GForkPool *pool)
{
  struct
  {
    Head head;
    char text[4];
  } good = { { 20, REPLY, 0, 0, 1, 0, 4 }, { 'g', 'o', 'o', 'd' } };
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) reply = NULL;

  g_fork_pool_set_retry_lost (pool, 1);
  reply = have_written (pool, '-', 'l', &good, sizeof good.head + sizeof good.text, &error);
  g_assert_no_error (error);
  g_assert_cmpmem (g_bytes_get_data (reply, NULL), g_bytes_get_size (reply), "good", 4);
}

static const struct
{
  const char *name;
  char fds;
  Head head;
  gsize n_written; /* of the head and 100 bytes; those that are no whole frame are followed by the end */
} cases[] = {
  { "unknown-verb", '-', { 16, 7, 0, 0, 1, 0, 0 }, 24 },
  { "job", '-', { 16, JOB, 0, 0, 1, 0, 0 }, 24 },
  { "ready", '-', { 16, READY, 0, 0, 1, 0, 0 }, 24 },
  { "too-long", '-', { 1 << 30, REPLY, 0, 0, 1, 0, 1 << 30 }, 124 },
  { "longest", '-', { G_MAXUINT32, REPLY, 0, 0, 1, 0, G_MAXUINT64 }, 124 },
  { "too-short", '-', { 8, REPLY, 0, 0, 1, 0, 0 }, 16 },
  { "empty", '-', { 0, REPLY, 0, 0, 0, 0, 0 }, 8 },
  { "not-zero", '-', { 16, REPLY, 0, 1, 1, 0, 0 }, 24 },
  { "job-not-zero", '-', { 16, REPLY, 0, 0, 1, 1, 0 }, 24 },
  { "another-number", '-', { 16, REPLY, 0, 0, 2, 0, 0 }, 24 },
  { "number-0", '-', { 16, REPLY, 0, 0, 0, 0, 0 }, 24 },
  { "shorter-than-it-says", '-', { 116, REPLY, 0, 0, 1, 0, 99 }, 124 },
  { "longer-than-it-says", '-', { 116, FAILED, 0, 0, 1, 0, 101 }, 124 },
  { "descriptor-with-a-short-one", 'f', { 16, REPLY, 1, 0, 1, 0, 0 }, 24 },
  { "more-descriptors-than-it-has", '-', { 16, REPLY, 200, 0, 1, 0, 0 }, 24 },
  { "very-many-descriptors", 'm', { 16, REPLY, 200, 0, 1, 0, 0 }, 24 },
  { "large-with-bytes", 'f', { 116, REPLY, 1, 0, 1, 0, 100000 }, 124 },
};

static void
test_frame (gconstpointer data)
{
  gsize i = GPOINTER_TO_SIZE (data);
  g_autoptr (GForkPool) pool = pool_of_parrots ();
  g_autoptr (GBytes) reply = NULL;
  g_autoptr (GError) error = NULL;
  char bytes[124] = "";

  memcpy (bytes, &cases[i].head, sizeof (Head));
  reply = have_written (pool, cases[i].fds, 's', bytes, cases[i].n_written, &error);
  g_assert_null (reply);
  test_assert_error (error, G_FORK_ERROR_PROTOCOL, "test-jobs:parrot");
  assert_goes_on (pool);
}

/* The frame is one, but there is nothing in what it comes with. The worker may be honest, and
 * is kept. */
static void
test_large (gconstpointer data)
{
  static const Head head = { 16, REPLY, 1, 0, 1, 0, 100000 };
  g_autoptr (GForkPool) pool = pool_of_parrots ();
  g_autoptr (GBytes) reply = NULL;
  g_autoptr (GError) error = NULL;

  reply = have_written (pool, *(const char *) data, 'l', &head, sizeof head, &error);
  g_assert_null (reply);
  g_assert_nonnull (error);
  g_assert_cmpint (error->domain, ==, G_FORK_ERROR);
  assert_goes_on (pool);
}

/* Part of a frame, and then the end. */
static void
test_cut (void)
{
  static const Head head = { 20, REPLY, 0, 0, 1, 0, 4 };
  g_autoptr (GForkPool) pool = pool_of_parrots ();

  for (gsize i = 0; i < sizeof head; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GBytes) reply = have_written (pool, '-', 'l', &head, i, &error);

      g_assert_null (reply);
      test_assert_error (error, G_FORK_ERROR_LOST, "test-jobs:parrot", "status 0");
    }
  assert_goes_on (pool);
}

/* Bytes at random, of which some are like a good frame. */
static void
test_random (void)
{
  g_autoptr (GForkPool) pool = pool_of_parrots ();

  for (guint i = 0; i < (test_under_valgrind () ? 20 : 300); i++)
    {
      Head good = { 116, REPLY, 0, 0, 1, 0, 100 };
      g_autoptr (GBytes) reply = NULL;
      g_autoptr (GError) error = NULL;
      guint8 bytes[256];
      gsize length = g_test_rand_int_range (0, sizeof bytes);

      for (gsize j = 0; j < sizeof bytes; j++)
        bytes[j] = g_test_rand_int ();
      if (i % 2 == 0)
        memcpy (bytes, &good, sizeof good);
      for (gsize j = 0; j < i % 4; j++)
        bytes[g_test_rand_int_range (0, sizeof good)] = g_test_rand_int ();

      reply = have_written (pool, "-fpm"[g_test_rand_int_range (0, 4)], 'l', bytes, length, &error);
      g_assert_true ((reply == NULL) != (error == NULL));
      if (error != NULL)
        g_assert_cmpint (error->domain, ==, G_FORK_ERROR);
    }
  assert_goes_on (pool);
}

/* What is not asked for, to a pool of which nobody wants anything. */
static void
test_unasked (void)
{
  g_autoptr (GForkPool) pool = pool_new ("test-jobs:jobs");
  g_autoptr (GBytes) request = g_bytes_new_static ("rubbish", 7);
  g_autoptr (GBytes) other = g_bytes_new_static ("echo x", 6);
  guint n_fds;

  g_fork_pool_set_max_restarts (pool, G_MAXUINT);
  start (pool);
  n_fds = test_count_fds (0);
  for (guint i = 0; i < 20; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GBytes) reply = g_fork_pool_call (pool, request, NULL, &error);

      g_assert_null (reply);
      g_assert_error (error, G_FORK_ERROR, G_FORK_ERROR_PROTOCOL);
      g_clear_error (&error);
      reply = g_fork_pool_call (pool, other, NULL, &error);
      g_assert_no_error (error);
    }
  g_assert_cmpuint (test_count_fds (0), <=, n_fds + 4);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *path = g_strconcat ("/pool-hostile/", cases[i].name, NULL);

      g_test_add_data_func (path, GSIZE_TO_POINTER (i), test_frame);
    }
  g_test_add_data_func ("/pool-hostile/large/empty-file", "f", test_large);
  g_test_add_data_func ("/pool-hostile/large/no-file", "p", test_large);
  g_test_add_func ("/pool-hostile/cut", test_cut);
  g_test_add_func ("/pool-hostile/random", test_random);
  g_test_add_func ("/pool-hostile/again-and-again", test_unasked);

  return g_test_run ();
}
