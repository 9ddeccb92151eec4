/* hostile-answers.c: tests of the application with a template process that sends wrong answers
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "frames.h"
#include "operations.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct
{
  const char *name;
  Operation operation;
  void (*say) (GByteArray *bytes);
  int code;    /* of the error, -1 if there is to be none */
  gsize n_fds; /* that come with it */
  gboolean unasked; /* it is said before the operation begins */
} Answer;

#define NONE (-1)

static void
say_command (GByteArray *bytes)
{
  append_frame (bytes, GFORK_SYNC, NULL, 0, 0);
}

static void
say_synced_twice (GByteArray *bytes)
{
  say_synced (bytes);
  say_synced (bytes);
}

static void
say_ready_twice (GByteArray *bytes)
{
  say_ready (bytes);
  say_ready (bytes);
}

static void
say_ready_empty (GByteArray *bytes)
{
  append_frame (bytes, GFORK_READY, NULL, 0, 0);
  say_zeros (bytes);
}

static void
say_synced_too_long (GByteArray *bytes)
{
  append_frame (bytes, GFORK_SYNCED, "123456789", 9, 0);
}

static void
say_pid_0 (GByteArray *bytes)
{
  append_pid (bytes, GFORK_SYNCED, 0, 0);
}

static void
say_pid_minus_1 (GByteArray *bytes)
{
  append_pid (bytes, GFORK_READY, -1, 0);
}

static void
say_synced_with_1 (GByteArray *bytes)
{
  append_pid (bytes, GFORK_SYNCED, 1234, 1);
}

static void
say_synced_with_2 (GByteArray *bytes)
{
  append_pid (bytes, GFORK_SYNCED, 1234, 2);
}

static void
say_synced_with_200 (GByteArray *bytes)
{
  append_pid (bytes, GFORK_SYNCED, 1234, 200);
}

static void
say_too_much_with_255 (GByteArray *bytes)
{
  append_pid (bytes, GFORK_SYNCED, 1234, 255);
}

static void
say_exited_too_short (GByteArray *bytes)
{
  append_frame (bytes, GFORK_EXITED, "1234", 4, 0);
  say_synced (bytes);
}

/* WIFSTOPPED: it has not ended at all. */
static void
say_exited_stopped (GByteArray *bytes)
{
  append_exited (bytes, 0, 0x137f);
  say_synced (bytes);
}

static void
say_error_bad_code (GByteArray *bytes)
{
  append_error (bytes, 99, "subject\0reason", 15);
}

static void
say_error_unterminated (GByteArray *bytes)
{
  append_error (bytes, GFORK_CODE_FAILED, "subject\0reason", 14);
}

static void
say_error_one_string (GByteArray *bytes)
{
  append_error (bytes, GFORK_CODE_FAILED, "subject", 8);
}

static void
say_error_empty (GByteArray *bytes)
{
  append_frame (bytes, GFORK_ERROR, NULL, 0, 0);
  say_zeros (bytes);
}

static void
say_error_strange (GByteArray *bytes)
{
  static const char strings[] = "\xff%s%n\xc3\0\xfe%d\x1f\x80%s\x1f\x1f";

  append_error (bytes, GFORK_CODE_CALL, strings, sizeof strings);
}

/* The longest that is allowed at all. */
static void
say_error_longest (GByteArray *bytes)
{
  g_autofree char *strings = g_malloc (GFORK_MAX_PAYLOAD);
  gsize length = GFORK_MAX_PAYLOAD - sizeof (struct gfork_error);

  memset (strings, 0xff, length);
  strings[length / 2] = '\0';
  strings[length - 1] = '\0';
  append_error (bytes, GFORK_CODE_CALL, strings, length);
}

static void
say_a_half (GByteArray *bytes)
{
  say_ready (bytes);
  g_byte_array_set_size (bytes, 11);
}

static void
say_a_half_header (GByteArray *bytes)
{
  say_ready (bytes);
  g_byte_array_set_size (bytes, 3);
}

static void
say_nothing (GByteArray *bytes)
{
}

static const Answer answers[] = {
  { "rubbish", PREPARE, say_rubbish, G_FORK_ERROR_PROTOCOL },
  { "rubbish-to-run", RUN, say_rubbish, G_FORK_ERROR_PROTOCOL },
  { "rubbish-to-exec", EXEC, say_rubbish, G_FORK_ERROR_PROTOCOL },
  { "rubbish-to-detach", DETACH, say_rubbish, G_FORK_ERROR_PROTOCOL },
  { "rubbish-unasked", PREPARE, say_rubbish, G_FORK_ERROR_PROTOCOL, .unasked = TRUE },
  { "another-protocol", PREPARE, say_http, G_FORK_ERROR_PROTOCOL },
  { "zeros", RUN, say_zeros, G_FORK_ERROR_PROTOCOL },
  { "huge-length", PREPARE, say_huge, G_FORK_ERROR_PROTOCOL },
  { "reserved", PREPARE, say_reserved, G_FORK_ERROR_PROTOCOL },
  { "command", PREPARE, say_command, G_FORK_ERROR_PROTOCOL },

  { "ready-for-prepare", PREPARE, say_ready, G_FORK_ERROR_PROTOCOL },
  { "ready-for-detach", DETACH, say_ready, G_FORK_ERROR_PROTOCOL },
  { "ready-unasked", PREPARE, say_ready, G_FORK_ERROR_PROTOCOL, .unasked = TRUE },
  { "ready-twice", EXEC, say_ready_twice, G_FORK_ERROR_PROTOCOL },
  { "ready-empty", RUN, say_ready_empty, G_FORK_ERROR_PROTOCOL },
  { "synced-for-run", RUN, say_synced, G_FORK_ERROR_PROTOCOL },
  { "synced-for-exec", EXEC, say_synced, G_FORK_ERROR_PROTOCOL },
  { "synced-too-early", PREPARE, say_synced, NONE, .unasked = TRUE },
  { "synced-twice", PREPARE, say_synced_twice, NONE },
  { "synced-twice-too-early", RUN, say_synced_twice, G_FORK_ERROR_PROTOCOL, .unasked = TRUE },
  { "synced-too-long", PREPARE, say_synced_too_long, G_FORK_ERROR_PROTOCOL },
  { "pid-0", PREPARE, say_pid_0, G_FORK_ERROR_PROTOCOL },
  { "pid-minus-1", RUN, say_pid_minus_1, G_FORK_ERROR_PROTOCOL },

  { "too-few-descriptors", PREPARE, say_synced_with_1, G_FORK_ERROR_PROTOCOL },
  { "two-descriptors", PREPARE, say_synced_with_2, G_FORK_ERROR_PROTOCOL, .n_fds = 2 },
  { "200-descriptors", PREPARE, say_synced_with_200, G_FORK_ERROR_PROTOCOL, .n_fds = 200 },
  { "255-descriptors", PREPARE, say_too_much_with_255, G_FORK_ERROR_PROTOCOL, .n_fds = 253 },
  { "stray-descriptors", PREPARE, say_synced, NONE, .n_fds = 8 },
  { "too-many-stray-descriptors", PREPARE, say_synced, G_FORK_ERROR_PROTOCOL, .n_fds = 253 },

  { "exited-unknown", PREPARE, say_exited_unknown, NONE },
  { "exited-too-short", PREPARE, say_exited_too_short, G_FORK_ERROR_PROTOCOL },
  { "exited-stopped", PREPARE, say_exited_stopped, G_FORK_ERROR_PROTOCOL },

  { "error-bad-code", PREPARE, say_error_bad_code, G_FORK_ERROR_PROTOCOL },
  { "error-unterminated", RUN, say_error_unterminated, G_FORK_ERROR_PROTOCOL },
  { "error-one-string", PREPARE, say_error_one_string, G_FORK_ERROR_PROTOCOL },
  { "error-empty", PREPARE, say_error_empty, G_FORK_ERROR_PROTOCOL },
  { "error-strange", PREPARE, say_error_strange, G_FORK_ERROR_CALL },
  { "error-longest", RUN, say_error_longest, G_FORK_ERROR_CALL },

  { "cut", RUN, say_a_half, G_FORK_ERROR_LOST },
  { "cut-in-header", PREPARE, say_a_half_header, G_FORK_ERROR_LOST },
  { "nothing", PREPARE, say_nothing, G_FORK_ERROR_LOST },
  { "nothing-to-run", RUN, say_nothing, G_FORK_ERROR_LOST },
  { "nothing-to-exec", EXEC, say_nothing, G_FORK_ERROR_LOST },
  { "nothing-to-detach", DETACH, say_nothing, G_FORK_ERROR_LOST },
};

/* The socket that the answer comes from may be full. */
typedef struct
{
  int fd;
  GByteArray *bytes;
  gsize n_fds;
} Speaker;

static gpointer
speak (gpointer user_data)
{
  Speaker *speaker = user_data;

  send_bytes (speaker->fd, speaker->bytes, 2, speaker->n_fds);
  g_assert_no_errno (shutdown (speaker->fd, SHUT_WR));
  return NULL;
}

static void
converse (const Answer *answer)
{
  g_auto (TestFd) other_end = -1;
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GThread) thread = NULL;
  Speaker speaker;

  template = new_played_by_test (&other_end);

  answer->say (bytes);
  speaker = (Speaker){ other_end, bytes, answer->n_fds };
  if (!answer->unasked)
    operation_begin (template, answer->operation, NULL, &result);
  thread = g_thread_new ("peer", speak, &speaker);
  if (answer->unasked)
    {
      g_thread_join (g_steal_pointer (&thread));
      operation_begin (template, answer->operation, NULL, &result);
    }

  error = operation_end (template, answer->operation, &result, NULL);
  if (answer->code == NONE)
    g_assert_no_error (error);
  else
    {
      g_autoptr (GError) later = NULL;

      test_assert_error (error, (GForkError) answer->code);

      /* It stays so, and the template process sees that nobody listens any more. */
      operation_begin (template, PREPARE, NULL, &result);
      later = operation_end (template, PREPARE, &result, NULL);
      g_assert_nonnull (later);
    }
  if (thread != NULL)
    g_thread_join (g_steal_pointer (&thread));

  g_clear_object (&template);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  {
    char byte[4096];
    gssize n;

    while ((n = read (other_end, byte, sizeof byte)) > 0)
      ;
    g_assert_true (n == 0 || errno == ECONNRESET);
  }
}

/* The first time, GLib opens something of its own. */
static void
test_answer (gconstpointer data)
{
  guint n_fds;

  converse (data);
  n_fds = test_count_fds (0);
  converse (data);
  g_assert_cmpuint (test_count_fds (0), ==, n_fds);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  test_add_table ("/hostile/template", answers, test_answer);

  return g_test_run ();
}
