/* hostile.c: tests of each end against another one that does not keep to the protocol
 *
 * The other end of the socket is the test itself, or a process of its making. Whatever
 * comes from there, the application gets an error, and the helper answers or leaves:
 * none crashes, none waits for ever, and no descriptor is left behind.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "testutils.h"

#include "wire/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ——— Frames ——— */

#define MEBIBYTE ((gsize) 1 << 20)

static void
append_frame (GByteArray   *bytes,
              guint8        verb,
              gconstpointer payload,
              gsize         length,
              guint8        n_fds)
{
  struct gfork_header header = { .length = length, .verb = verb, .n_fds = n_fds };

  g_byte_array_append (bytes, (const guint8 *) &header, sizeof header);
  if (length > 0)
    g_byte_array_append (bytes, payload, length);
}

static void
append_string (GByteArray *bytes,
               guint8      verb,
               const char *string)
{
  append_frame (bytes, verb, string, strlen (string) + 1, 0);
}

static void
append_pid (GByteArray *bytes,
            guint8      verb,
            gint32      pid,
            guint8      n_fds)
{
  struct gfork_pid payload = { .pid = pid };

  append_frame (bytes, verb, &payload, sizeof payload, n_fds);
}

static void
append_exited (GByteArray *bytes,
               guint32     id,
               gint32      wait_status)
{
  struct gfork_exited exited = { .id = id, .wait_status = wait_status };

  append_frame (bytes, GFORK_EXITED, &exited, sizeof exited, 0);
}

static void
append_error (GByteArray *bytes,
              guint32     code,
              const char *strings,
              gsize       length)
{
  g_autoptr (GByteArray) payload = g_byte_array_new ();
  struct gfork_error error = { .code = code };

  g_byte_array_append (payload, (const guint8 *) &error, sizeof error);
  g_byte_array_append (payload, (const guint8 *) strings, length);
  append_frame (bytes, GFORK_ERROR, payload->data, payload->len, 0);
}

/* In one message, as far as the socket takes it. */
static gssize
send_some (int           fd,
           gconstpointer data,
           gsize         length,
           const int    *fds,
           gsize         n_fds,
           int           flags)
{
  union
  {
    struct cmsghdr header;
    char buffer[GFORK_CONTROL_SIZE (GFORK_MAX_FDS)];
  } control = { 0 };
  struct iovec iov = { .iov_base = (gpointer) data, .iov_len = length };
  struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

  if (n_fds > 0)
    {
      message.msg_control = &control;
      message.msg_controllen = GFORK_CONTROL_SIZE (n_fds);
      control.header.cmsg_level = SOL_SOCKET;
      control.header.cmsg_type = SCM_RIGHTS;
      control.header.cmsg_len = CMSG_LEN (n_fds * sizeof (int));
      memcpy (CMSG_DATA (&control.header), fds, n_fds * sizeof (int));
    }

  return sendmsg (fd, &message, flags | MSG_NOSIGNAL);
}

/* As above, but waits until there is room for more descriptors in flight: a user who is not
 * privileged has room for no more than may be open in this process, tests that run at the
 * same time included, until they are received. */
static gssize
send_when_possible (int           fd,
                    gconstpointer data,
                    gsize         length,
                    const int    *fds,
                    gsize         n_fds)
{
  gssize sent;

  while ((sent = send_some (fd, data, length, fds, n_fds, 0)) < 0 && errno == ETOOMANYREFS)
    g_usleep (1000);

  return sent;
}

/* All of it; the other end may be gone. */
static void
send_bytes (int         fd,
             GByteArray *bytes,
             int         sent_fd,
             gsize       n_fds)
{
  int fds[GFORK_MAX_FDS];
  gsize done = 0;

  for (gsize i = 0; i < n_fds; i++)
    fds[i] = sent_fd;

  while (done < bytes->len)
    {
      gssize n = send_when_possible (fd, bytes->data + done, bytes->len - done, fds,
                                     done == 0 ? n_fds : 0);

      if (n < 0)
        {
          g_assert_cmpint (errno, ==, EPIPE);
          return;
        }
      done += n;
    }
}

static void
send_frame (int           fd,
            guint8        verb,
            gconstpointer payload,
            gsize         length,
            int           sent_fd)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();

  append_frame (bytes, verb, payload, length, sent_fd >= 0);
  send_bytes (fd, bytes, sent_fd, sent_fd >= 0);
}

static void
send_string (int         fd,
             guint8      verb,
             const char *string)
{
  send_frame (fd, verb, string, strlen (string) + 1, -1);
}

/* Reads exactly so much; FALSE at the end. Descriptors are closed, but for one. */
static gboolean
receive (int     fd,
         guint8 *data,
         gsize   length,
         int    *received_fd)
{
  while (length > 0)
    {
      _Alignas (struct cmsghdr) char control[GFORK_CONTROL_SIZE (GFORK_MAX_FDS)];
      struct iovec iov = { .iov_base = data, .iov_len = length };
      struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
                                .msg_controllen = sizeof control };
      struct cmsghdr *header;
      gssize n = recvmsg (fd, &message, MSG_CMSG_CLOEXEC);

      if (n < 0 && errno == EINTR)
        continue;
      if (n == 0 || (n < 0 && errno == ECONNRESET))
        return FALSE;
      g_assert_no_errno (n);

      header = CMSG_FIRSTHDR (&message);
      for (gsize i = 0; header != NULL && i < (header->cmsg_len - CMSG_LEN (0)) / sizeof (int); i++)
        {
          int got = ((int *) CMSG_DATA (header))[i];

          if (received_fd != NULL && *received_fd < 0)
            *received_fd = got;
          else
            close (got);
        }
      data += n;
      length -= n;
    }

  return TRUE;
}

/* Returns the verb of the next frame but HELLO, with its payload; 0 at the end. */
static guint8
receive_frame (int          fd,
               GByteArray **payload,
               int         *received_fd)
{
  struct gfork_header header;

  do
    {
      if (!receive (fd, (guint8 *) &header, sizeof header, received_fd))
        return 0;

      g_assert_cmpuint (header.length, <=, GFORK_MAX_PAYLOAD);
      g_assert_cmpuint (header.zero, ==, 0);
      g_clear_pointer (payload, g_byte_array_unref);
      *payload = g_byte_array_new ();
      g_byte_array_set_size (*payload, header.length);
      g_assert_true (receive (fd, (*payload)->data, header.length, received_fd));
    }
  while (header.verb == GFORK_HELLO);

  return header.verb;
}

static void
assert_synced (int fd)
{
  g_autoptr (GByteArray) payload = NULL;

  g_assert_cmpuint (receive_frame (fd, &payload, NULL), ==, GFORK_SYNCED);
  g_assert_cmpuint (payload->len, ==, sizeof (struct gfork_pid));
}

static void
assert_failure (int     fd,
                guint32 code)
{
  g_autoptr (GByteArray) payload = NULL;
  struct gfork_error error;

  g_assert_cmpuint (receive_frame (fd, &payload, NULL), ==, GFORK_ERROR);
  g_assert_cmpuint (payload->len, >=, sizeof error + 2);
  memcpy (&error, payload->data, sizeof error);
  g_assert_cmpuint (error.code, ==, code);
  g_assert_cmpuint (payload->data[payload->len - 1], ==, '\0');
}

static void
assert_end (int fd)
{
  g_autoptr (GByteArray) payload = NULL;

  g_assert_cmpuint (receive_frame (fd, &payload, NULL), ==, 0);
}

/* ——— The application, and a template process that the test plays ——— */

static GForkTemplate *
new_with_far_end (TestFd *far_end)
{
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  int fds[2];

  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  socket = g_socket_new_from_fd (fds[0], &error);
  g_assert_no_error (error);
  *far_end = fds[1];

  return g_fork_template_new_from_socket (socket);
}

typedef enum
{
  PREPARE,
  RUN,
  EXEC,
  DETACH,
} Operation;

static void
begin (GForkTemplate *template,
       Operation      operation,
       GCancellable  *cancellable,
       GAsyncResult **result)
{
  switch (operation)
    {
    case PREPARE:
      g_fork_template_prepare_async (template, cancellable, test_store_result, result);
      break;
    case RUN:
      g_fork_template_run_async (template, "function", cancellable, test_store_result, result);
      break;
    case EXEC:
      g_fork_template_execv_async (template, (const char *[]){ "/bin/true", NULL },
                                   G_FORK_EXEC_NONE, cancellable, test_store_result, result);
      break;
    case DETACH:
      g_fork_template_detach_async (template, cancellable, test_store_result, result);
      break;
    }
}

/* Returns why it failed, NULL if it did not. */
static GError *
end (GForkTemplate  *template,
     Operation       operation,
     GAsyncResult  **result,
     GForkProcess  **process)
{
  g_autoptr (GSocket) socket = NULL;
  GError *error = NULL;
  gboolean good = FALSE;

  test_await (result);
  switch (operation)
    {
    case PREPARE:
      good = g_fork_template_prepare_finish (template, *result, &error);
      break;
    case RUN:
      socket = g_fork_template_run_finish (template, *result, process, &error);
      good = socket != NULL;
      break;
    case EXEC:
      socket = g_fork_template_execv_finish (template, *result, process, &error);
      good = socket != NULL;
      break;
    case DETACH:
      socket = g_fork_template_detach_finish (template, *result, &error);
      good = socket != NULL;
      break;
    }

  g_assert_cmpint (good, ==, error == NULL);
  if (error != NULL)
    g_assert_true (g_utf8_validate (error->message, -1, NULL));
  g_clear_object (result);
  return error;
}

/* What a template process says, and what comes of it. */

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
say_rubbish (GByteArray *bytes)
{
  for (guint32 i = 0, x = 1; i < 1000; i++)
    {
      guint8 byte;

      x = x * 1664525 + 1013904223;
      byte = x >> 24;
      g_byte_array_append (bytes, &byte, 1);
    }
}

static void
say_http (GByteArray *bytes)
{
  static const char text[] = "HTTP/1.1 400 Bad Request\r\n\r\n";

  g_byte_array_append (bytes, (const guint8 *) text, strlen (text));
}

static void
say_zeros (GByteArray *bytes)
{
  g_byte_array_set_size (bytes, 4096);
  memset (bytes->data, 0, bytes->len);
}

static void
say_huge (GByteArray *bytes)
{
  struct gfork_header header = { .length = G_MAXUINT32, .verb = GFORK_ERROR };

  g_byte_array_append (bytes, (const guint8 *) &header, sizeof header);
}

static void
say_reserved (GByteArray *bytes)
{
  append_pid (bytes, GFORK_SYNCED, 1234, 0);
  ((struct gfork_header *) bytes->data)->zero = 1;
}

static void
say_command (GByteArray *bytes)
{
  append_frame (bytes, GFORK_SYNC, NULL, 0, 0);
}

static void
say_synced (GByteArray *bytes)
{
  append_pid (bytes, GFORK_SYNCED, 1234, 0);
}

static void
say_synced_twice (GByteArray *bytes)
{
  say_synced (bytes);
  say_synced (bytes);
}

static void
say_ready (GByteArray *bytes)
{
  append_pid (bytes, GFORK_READY, 1234, 0);
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
say_exited_unknown (GByteArray *bytes)
{
  append_exited (bytes, 77, 0);
  append_exited (bytes, G_MAXUINT32, -1);
  say_synced (bytes);
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
  g_auto (TestFd) far_end = -1;
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GThread) thread = NULL;
  Speaker speaker;

  template = new_with_far_end (&far_end);

  answer->say (bytes);
  speaker = (Speaker){ far_end, bytes, answer->n_fds };
  if (!answer->unasked)
    begin (template, answer->operation, NULL, &result);
  thread = g_thread_new ("far-end", speak, &speaker);
  if (answer->unasked)
    {
      g_thread_join (g_steal_pointer (&thread));
      begin (template, answer->operation, NULL, &result);
    }

  error = end (template, answer->operation, &result, NULL);
  if (answer->code == NONE)
    g_assert_no_error (error);
  else
    {
      g_autoptr (GError) later = NULL;

      test_assert_error (error, (GForkError) answer->code);

      /* It stays so, and the template process is told that nobody listens any more. */
      begin (template, PREPARE, NULL, &result);
      later = end (template, PREPARE, &result, NULL);
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

    while ((n = read (far_end, byte, sizeof byte)) > 0)
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

/* A frame that never comes to its end, and descriptors with each byte of it: the
 * application does not collect them until it has no room for others. */
static void
test_flood_of_descriptors (void)
{
  g_auto (TestFd) far_end = -1;
  g_autoptr (GForkTemplate) template = new_with_far_end (&far_end);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  struct gfork_header header = { .length = GFORK_MAX_PAYLOAD, .verb = GFORK_ERROR };
  const int fds[] = { 2, 2, 2, 2, 2, 2, 2, 2 };
  guint n_fds = test_count_fds (0);
  guint most = 0;

  begin (template, PREPARE, NULL, &result);
  g_assert_cmpint (send_some (far_end, &header, sizeof header, NULL, 0, 0), ==, sizeof header);
  for (int i = 0; i < 2000 && result == NULL; i++)
    {
      if (send_some (far_end, "x", 1, fds, G_N_ELEMENTS (fds), 0) < 0)
        g_assert_cmpint (errno, ==, EPIPE);
      g_main_context_iteration (NULL, FALSE);
      most = MAX (most, test_count_fds (0));
    }

  error = end (template, PREPARE, &result, NULL);
  test_assert_error (error, G_FORK_ERROR_PROTOCOL);
  g_assert_cmpuint (most, <, n_fds + 200);
  g_assert_cmpuint (test_count_fds (0), <, n_fds);
}

/* The application has no room for a descriptor: control data is truncated, and an answer
 * is good without. */
static void
test_no_room_for_descriptors (void)
{
  g_auto (TestFd) far_end = -1;
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  struct rlimit limit;
  int next;

  if (test_under_valgrind ())
    {
      g_test_skip ("under valgrind the system does not know the limit");
      return;
    }
  if (!test_in_subprocess ())
    return;

  template = new_with_far_end (&far_end);
  begin (template, PREPARE, NULL, &result);
  append_pid (bytes, GFORK_SYNCED, 1234, 1);
  send_bytes (far_end, bytes, 2, 1);

  g_assert_no_errno (getrlimit (RLIMIT_NOFILE, &limit));
  next = fcntl (2, F_DUPFD_CLOEXEC, 3);
  limit.rlim_cur = next;
  close (next);
  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &limit));

  error = end (template, PREPARE, &result, NULL);
  g_assert_no_error (error);
}

/* A template process that says nothing, though it lives, holds up nobody else, and whoever does
 * not want to wait any more need not. */
static void
test_silence (void)
{
  static const Operation operations[] = { PREPARE, RUN, EXEC, DETACH };

  for (gsize i = 0; i < G_N_ELEMENTS (operations); i++)
    {
      g_auto (TestFd) far_end = -1;
      g_autoptr (GForkTemplate) template = new_with_far_end (&far_end);
      g_autoptr (GForkTemplate) good = test_template_new ();
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      g_autoptr (GAsyncResult) result = NULL;
      g_autoptr (GAsyncResult) good_result = NULL;
      g_autoptr (GError) error = NULL;
      g_autoptr (GError) good_error = NULL;

      begin (template, operations[i], cancellable, &result);
      begin (good, PREPARE, NULL, &good_result);
      good_error = end (good, PREPARE, &good_result, NULL);
      g_assert_no_error (good_error);
      g_assert_null (result);

      g_cancellable_cancel (cancellable);
      error = end (template, operations[i], &result, NULL);
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    }
}

static void
test_silence_closed (void)
{
  g_auto (TestFd) far_end = -1;
  g_autoptr (GForkTemplate) template = new_with_far_end (&far_end);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GAsyncResult) run_result = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) run_error = NULL;

  begin (template, PREPARE, NULL, &result);
  begin (template, RUN, NULL, &run_result);
  g_fork_template_close (template);
  error = end (template, PREPARE, &result, NULL);
  test_assert_error (error, G_FORK_ERROR_CLOSED);
  run_error = end (template, RUN, &run_result, NULL);
  test_assert_error (run_error, G_FORK_ERROR_CLOSED);
}

/* A template process that never reads does not make the application wait, whatever it sends. */
static void
test_deafness (void)
{
  g_auto (TestFd) far_end = -1;
  g_autoptr (GForkTemplate) template = new_with_far_end (&far_end);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *string = g_strnfill (60000, 'x');

  for (int i = 0; i < 200; i++)
    g_fork_template_send_arg (template, string);
  begin (template, RUN, NULL, &result);
  for (int i = 0; i < 100; i++)
    g_main_context_iteration (NULL, FALSE);
  g_assert_null (result);

  test_close_fd (&far_end);
  error = end (template, RUN, &result, NULL);
  test_assert_error (error, G_FORK_ERROR_LOST);
}

/* Those who never stop saying what is allowed, but of no use. */
#define N_FLOODERS 3

static void
flood (int fd)
{
  static struct
  {
    struct gfork_header header;
    struct gfork_exited exited;
  } frames[800];

  for (gsize i = 0; i < G_N_ELEMENTS (frames); i++)
    {
      frames[i].header.length = sizeof frames[i].exited;
      frames[i].header.verb = GFORK_EXITED;
      frames[i].exited.id = 123456;
    }
  while (send (fd, frames, sizeof frames, MSG_NOSIGNAL) == sizeof frames)
    ;

  /* It is killed: at an end of its own valgrind would look for the leaks of a fork. */
  for (;;)
    pause ();
}

static gboolean
on_tick (gpointer user_data)
{
  guint *n = user_data;

  (*n)++;
  return G_SOURCE_CONTINUE;
}

/* They do not keep the application from everything else. */
static void
test_flood_of_answers (void)
{
  g_auto (TestFd) far_end = -1;
  g_autoptr (GForkTemplate) template = new_with_far_end (&far_end);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  pid_t flooders[N_FLOODERS];
  guint n_ticks = 0;
  guint tick;

  for (gsize i = 0; i < N_FLOODERS; i++)
    {
      flooders[i] = fork ();
      g_assert_no_errno (flooders[i]);
      if (flooders[i] == 0)
        flood (far_end);
    }

  /* While it is run, it is read in small pieces, so they are always faster. */
  tick = g_timeout_add (1, on_tick, &n_ticks);
  begin (template, RUN, cancellable, &result);
  while (n_ticks < 100)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (tick);
  g_assert_null (result);

  g_cancellable_cancel (cancellable);
  error = end (template, RUN, &result, NULL);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);

  g_clear_object (&template);
  for (gsize i = 0; i < N_FLOODERS; i++)
    {
      g_assert_no_errno (kill (flooders[i], SIGKILL));
      g_assert_cmpint (waitpid (flooders[i], NULL, 0), ==, flooders[i]);
    }
}

/* What is no pidfd cannot be used to signal anybody, nor be taken for a status. */
static void
test_false_pidfd (gconstpointer path)
{
  g_auto (TestFd) far_end = -1;
  g_autoptr (GForkTemplate) template = new_with_far_end (&far_end);
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GAsyncResult) wait_result = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) signal_error = NULL;
  g_autoptr (GError) wait_error = NULL;
  g_auto (TestFd) fd = -1;
  g_auto (TestFd) other = -1;

  if (path != NULL)
    fd = open (path, O_RDONLY | O_CLOEXEC);
  else
    test_pipe (&fd, &other);
  g_assert_no_errno (fd);

  /* One that this process may signal, and must not. */
  append_pid (bytes, GFORK_READY, getpid (), 1);
  begin (template, RUN, NULL, &result);
  send_bytes (far_end, bytes, fd, 1);
  error = end (template, RUN, &result, &process);
  g_assert_no_error (error);

  if (!g_fork_process_send_signal (process, SIGKILL, &signal_error))
    g_assert_true (signal_error->domain == G_FORK_ERROR);
  g_fork_process_force_exit (process);
  g_fork_process_wait_async (process, NULL, test_store_result, &wait_result);
  test_close_fd (&other);
  test_await (&wait_result);
  g_assert_false (g_fork_process_wait_finish (process, wait_result, &wait_error));
  test_assert_error (wait_error, G_FORK_ERROR_LOST);
}

/* A long argument is memory without a name, which nobody can change any more. */
static void
test_memory_is_sealed (void)
{
  g_auto (TestFd) far_end = -1;
  g_autoptr (GForkTemplate) template = new_with_far_end (&far_end);
  g_autoptr (GByteArray) payload = NULL;
  g_autofree char *string = g_strnfill (MEBIBYTE, 's');
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) fd = -1;
  struct stat st;
  int seals;

  g_fork_template_send_arg (template, string);
  begin (template, PREPARE, NULL, &result);
  g_assert_cmpuint (receive_frame (far_end, &payload, &fd), ==, GFORK_ARG_MEMFD);
  g_assert_cmpint (fd, >=, 0);
  g_assert_no_errno (fstat (fd, &st));
  g_assert_cmpuint (st.st_nlink, ==, 0);
  g_assert_cmpuint (st.st_size, ==, MEBIBYTE + 1);

  seals = fcntl (fd, F_GET_SEALS);
  if (seals >= 0)
    {
      g_assert_cmpint (seals, ==, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
      g_assert_cmpint (pwrite (fd, "x", 1, 0), ==, -1);
      g_assert_cmpint (errno, ==, EPERM);
      g_assert_cmpint (ftruncate (fd, 0), ==, -1);
      g_assert_cmpint (errno, ==, EPERM);
      g_assert_true (mmap (NULL, 1, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
    }

  test_close_fd (&far_end);
  error = end (template, PREPARE, &result, NULL);
  test_assert_error (error, G_FORK_ERROR_LOST);
}

/* ——— Programs that are no helper ——— */

/* The control socket is at 3. */
typedef struct
{
  const char *name;
  const char *script;
  GForkError code; /* FAILED: it has to be cancelled */
  const char *word;
} Program;

static const Program programs[] = {
  { "rubbish", "head -c 100000 /dev/urandom >&3; exec cat <&3 >/dev/null", G_FORK_ERROR_PROTOCOL },
  { "text", "echo 'usage: program [file]' >&3", G_FORK_ERROR_PROTOCOL },
  { "leaves", "exit 3", G_FORK_ERROR_LOST, "3" },
  { "killed", "kill -9 $$", G_FORK_ERROR_LOST, "9" },
  { "half-an-answer", "printf 12345 >&3; exit 4", G_FORK_ERROR_LOST, "4" },
  { "hangs-up", "exec 3>&-; exec cat <\"$1\"", G_FORK_ERROR_LOST },
  { "silent", "exec cat <&3 >/dev/null", G_FORK_ERROR_FAILED },
  { "deaf", "exec cat <\"$1\"", G_FORK_ERROR_FAILED },
};

static void
test_program (gconstpointer data)
{
  const Program *program = data;
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *directory = NULL;
  g_autofree char *path = NULL;
  g_autofree char *fifo = NULL;
  g_autofree char *script = NULL;
  g_auto (TestFd) fifo_end = -1;
  GPid pid;

  if (!test_in_subprocess ())
    return;

  directory = g_dir_make_tmp ("gspawnfork-XXXXXX", &error);
  g_assert_no_error (error);
  path = g_build_filename (directory, "helper", NULL);
  fifo = g_build_filename (directory, "fifo", NULL);
  g_assert_no_errno (mkfifo (fifo, 0600));
  fifo_end = open (fifo, O_RDWR | O_CLOEXEC);
  script = g_strdup_printf ("#!/bin/sh\nset -- '%s'\n%s\n", fifo, program->script);
  g_file_set_contents_full (path, script, -1, G_FILE_SET_CONTENTS_NONE, 0700, &error);
  g_assert_no_error (error);

  g_setenv ("GSPAWNFORK_HELPER", path, TRUE);
  template = g_fork_template_new_exec ();
  pid = g_fork_template_get_pid (template);
  begin (template, RUN, cancellable, &result);
  if (program->code == G_FORK_ERROR_FAILED)
    {
      g_main_context_iteration (NULL, FALSE);
      g_assert_null (result);
      g_cancellable_cancel (cancellable);
      error = end (template, RUN, &result, NULL);
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    }
  else
    {
      error = end (template, RUN, &result, NULL);
      test_assert_error (error, program->code, program->word != NULL ? program->word : "");
    }

  /* None is left, but for one that does not want to leave. */
  if (strcmp (program->name, "hangs-up") == 0)
    g_assert_no_errno (kill (pid, SIGKILL));
  while (test_process_exists (pid))
    g_main_context_iteration (NULL, TRUE);

  g_unlink (path);
  g_unlink (fifo);
  g_rmdir (directory);
}

/* ——— The helper, and an application that the test plays ——— */

typedef struct
{
  pid_t pid;
  TestFd socket;
} Helper;

static void
start_helper (Helper *helper)
{
  const char *program = g_getenv ("GSPAWNFORK_HELPER");
  const char *argv[] = { "gspawnfork-helper", GFORK_SERVE_OPTION,
                         G_STRINGIFY (GFORK_PROTOCOL_VERSION), "3",
                         "                                ", NULL };
  posix_spawn_file_actions_t actions;
  int fds[2], moved;

  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  moved = fcntl (fds[1], F_DUPFD_CLOEXEC, 10);
  posix_spawn_file_actions_init (&actions);
  posix_spawn_file_actions_adddup2 (&actions, moved, 3);
  g_assert_cmpint (posix_spawn (&helper->pid, program != NULL ? program : GFORK_HELPER, &actions,
                                NULL, (char **) argv, environ), ==, 0);
  posix_spawn_file_actions_destroy (&actions);
  close (moved);
  close (fds[1]);
  helper->socket = fds[0];
}

/* It has ended in an orderly way. */
static void
await_helper (Helper *helper,
              int     exit_status)
{
  int wait_status;

  test_close_fd (&helper->socket);
  g_assert_cmpint (waitpid (helper->pid, &wait_status, 0), ==, helper->pid);
  g_assert_true (WIFEXITED (wait_status));
  g_assert_cmpint (WEXITSTATUS (wait_status), ==, exit_status);
}

typedef struct
{
  const char *name;
  void (*say) (GByteArray *bytes);
  int code;    /* of the error that SYNC is answered with, -1 if SYNCED; PROTOCOL is the end */
  gsize n_fds; /* that come with it */
} Command;

static void
say_no_command (GByteArray *bytes)
{
  append_frame (bytes, 200, "what", 4, 0);
}

static void
say_unterminated (GByteArray *bytes)
{
  append_frame (bytes, GFORK_REQUIRE, "module", 6, 0);
}

static void
say_too_short (GByteArray *bytes)
{
  append_frame (bytes, GFORK_FORK, "123", 3, 1);
}

static void
say_require_empty (GByteArray *bytes)
{
  append_frame (bytes, GFORK_REQUIRE, NULL, 0, 0);
}

static void
say_fds_missing (GByteArray *bytes)
{
  append_frame (bytes, GFORK_ARG_FD, NULL, 0, 3);
}

static void
say_fds_wrong_command (GByteArray *bytes)
{
  append_frame (bytes, GFORK_SYNC, NULL, 0, 1);
}

static void
say_fds (GByteArray *bytes)
{
  append_frame (bytes, GFORK_ARG_FD, NULL, 0, 253);
}

static void
say_fds_stray (GByteArray *bytes)
{
  append_string (bytes, GFORK_UNSETENV, "NAME");
}

static void
append_memfd (GByteArray *bytes,
              guint64     length)
{
  struct gfork_memfd memfd = { .length = length, .kind = GFORK_ARG_BYTES };

  append_frame (bytes, GFORK_ARG_MEMFD, &memfd, sizeof memfd, 1);
}

static void
say_memory_is_none (GByteArray *bytes)
{
  append_memfd (bytes, 10);
}

static void
say_memory_is_huge (GByteArray *bytes)
{
  append_memfd (bytes, G_MAXUINT64);
}

static void
append_map (GByteArray *bytes,
            gint32      target)
{
  append_frame (bytes, GFORK_MAP_FD, &target, sizeof target, 1);
}

static void
say_map_negative (GByteArray *bytes)
{
  append_map (bytes, -1);
}

static void
say_map_far (GByteArray *bytes)
{
  append_map (bytes, G_MAXINT32);
}

static void
say_map_twice (GByteArray *bytes)
{
  append_map (bytes, 20);
  append_map (bytes, 20);
}

static void
say_setenv_cut (GByteArray *bytes)
{
  append_string (bytes, GFORK_SETENV, "A_NAME_WITHOUT_A_VALUE");
}

static void
say_setenv_strange (GByteArray *bytes)
{
  append_frame (bytes, GFORK_SETENV, "A=B\0C", 6, 0);
}

static void
say_chdir_long (GByteArray *bytes)
{
  g_autofree char *path = g_strnfill (MEBIBYTE, 'x');

  append_string (bytes, GFORK_CHDIR, path);
}

static void
say_require_long (GByteArray *bytes)
{
  g_autofree char *path = g_strnfill (8 * MEBIBYTE, 'x');

  append_string (bytes, GFORK_REQUIRE, path);
}

static void
say_many_names (GByteArray *bytes)
{
  for (int i = 0; i < 1000; i++)
    {
      g_autofree char *path = g_strdup_printf ("/%d:relative:", i);

      append_string (bytes, GFORK_MODULE_PATH, path);
    }
  append_string (bytes, GFORK_REQUIRE, "no-such-module");
}

static void
say_kill_unknown (GByteArray *bytes)
{
  struct gfork_kill kill = { .id = 99, .signum = SIGKILL };
  struct gfork_kill nobody = { .id = G_MAXUINT32, .signum = SIGKILL };

  append_frame (bytes, GFORK_KILL, &kill, sizeof kill, 0);
  append_frame (bytes, GFORK_KILL, &nobody, sizeof nobody, 0);
}

/* The new process finds that it has no socket, and leaves. */
static void
say_fork_without_socket (GByteArray *bytes)
{
  append_frame (bytes, GFORK_FORK, "1234", 4, 1);
}

static void
say_run_missing (GByteArray *bytes)
{
  append_string (bytes, GFORK_RUN, "no_such_function");
}

static void
say_run_strange (GByteArray *bytes)
{
  append_string (bytes, GFORK_RUN, ":::");
}

static const Command commands[] = {
  { "rubbish", say_rubbish, G_FORK_ERROR_PROTOCOL },
  { "another-protocol", say_http, G_FORK_ERROR_PROTOCOL },
  { "zeros", say_zeros, G_FORK_ERROR_PROTOCOL },
  { "huge-length", say_huge, G_FORK_ERROR_PROTOCOL },
  { "reserved", say_reserved, G_FORK_ERROR_PROTOCOL },
  { "answer", say_ready, G_FORK_ERROR_PROTOCOL },
  { "exited", say_exited_unknown, G_FORK_ERROR_PROTOCOL },
  { "no-command", say_no_command, G_FORK_ERROR_PROTOCOL },
  { "unterminated", say_unterminated, G_FORK_ERROR_PROTOCOL },
  { "too-short", say_too_short, G_FORK_ERROR_PROTOCOL, .n_fds = 1 },
  { "empty", say_require_empty, G_FORK_ERROR_PROTOCOL },

  { "descriptors/missing", say_fds_missing, G_FORK_ERROR_PROTOCOL, .n_fds = 2 },
  { "descriptors/wrong-command", say_fds_wrong_command, G_FORK_ERROR_PROTOCOL, .n_fds = 1 },
  { "descriptors/most", say_fds, NONE, .n_fds = 253 },
  { "descriptors/stray", say_fds_stray, NONE, .n_fds = 253 },

  { "memory/none", say_memory_is_none, G_FORK_ERROR_FAILED, .n_fds = 1 },
  { "memory/huge", say_memory_is_huge, G_FORK_ERROR_FAILED, .n_fds = 1 },

  { "map/negative", say_map_negative, G_FORK_ERROR_FAILED, .n_fds = 1 },
  { "map/far", say_map_far, G_FORK_ERROR_FAILED, .n_fds = 1 },
  { "map/twice", say_map_twice, G_FORK_ERROR_FAILED, .n_fds = 2 },

  { "setenv/strange", say_setenv_strange, G_FORK_ERROR_FAILED },
  { "chdir/long", say_chdir_long, G_FORK_ERROR_FAILED },
  { "require/long", say_require_long, G_FORK_ERROR_MODULE },
  { "require/many", say_many_names, G_FORK_ERROR_MODULE },
  { "kill/unknown", say_kill_unknown, NONE },
  { "fork/no-socket", say_fork_without_socket, NONE, .n_fds = 1 },
};

/* Whatever it is told, it says what is wrong and leaves, or goes on. */
static void
test_command (gconstpointer data)
{
  const Command *command = data;
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  Helper helper;

  start_helper (&helper);
  command->say (bytes);
  send_bytes (helper.socket, bytes, 2, command->n_fds);
  if (command->code == G_FORK_ERROR_PROTOCOL)
    {
      assert_failure (helper.socket, GFORK_CODE_PROTOCOL);
      assert_end (helper.socket);
      await_helper (&helper, 1);
      return;
    }

  for (int i = 0; i < 2; i++)
    {
      send_frame (helper.socket, GFORK_SYNC, NULL, 0, -1);
      if (command->code == NONE)
        {
          g_autoptr (GByteArray) payload = NULL;
          guint8 verb;

          /* A process that has left at once is told of in between. */
          do
            verb = receive_frame (helper.socket, &payload, NULL);
          while (verb == GFORK_EXITED);
          g_assert_cmpuint (verb, ==, GFORK_SYNCED);
        }
      else
        assert_failure (helper.socket, command->code);
    }
  await_helper (&helper, 0);
}

/* These are about the command itself, but it is still one. */
static void
test_setenv_cut (void)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  Helper helper;

  start_helper (&helper);
  say_setenv_cut (bytes);
  append_frame (bytes, GFORK_SYNC, NULL, 0, 0);
  send_bytes (helper.socket, bytes, -1, 0);
  assert_failure (helper.socket, GFORK_CODE_PROTOCOL);
  await_helper (&helper, 0);
}

static void
test_run_nothing (void)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  Helper helper;

  start_helper (&helper);
  say_run_missing (bytes);
  say_run_strange (bytes);
  append_frame (bytes, GFORK_SYNC, NULL, 0, 0);
  send_bytes (helper.socket, bytes, -1, 0);
  for (int i = 0; i < 3; i++)
    assert_failure (helper.socket, GFORK_CODE_FUNCTION);
  await_helper (&helper, 0);
}

/* A connection that ends anywhere is the end of the helper. */
static void
test_cut (void)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();

  append_string (bytes, GFORK_REQUIRE, "test-worker");
  for (guint length = 0; length < bytes->len; length += test_under_valgrind () ? 8 : 1)
    {
      Helper helper;

      start_helper (&helper);
      if (length > 0)
        g_assert_cmpint (send_some (helper.socket, bytes->data, length, NULL, 0, 0), ==, length);
      await_helper (&helper, 0);
    }
}

/* So it is if nobody has read any of its answers, and whatever they are. */
static void
test_answers_unread (gconstpointer data)
{
  gboolean failed = GPOINTER_TO_INT (data);
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  Helper helper;

  start_helper (&helper);
  if (failed)
    send_string (helper.socket, GFORK_REQUIRE, "no-such-module");
  for (int i = 0; i < 1000; i++)
    append_frame (bytes, GFORK_SYNC, NULL, 0, 0);
  for (int i = 0; i < 100; i++)
    if (send_some (helper.socket, bytes->data, bytes->len, NULL, 0, MSG_DONTWAIT)
        < (gssize) bytes->len)
      break;
  await_helper (&helper, 0);
}

#define FEW_FDS 500
#define MANY_FDS 5000

/* More descriptors than it can have, or than any frames could ask for: it says so and
 * leaves. */
static void
test_flood_of_descriptors_to_helper (gconstpointer data)
{
  rlim_t n_fds = GPOINTER_TO_SIZE (data);
  struct gfork_header header = { .length = GFORK_MAX_PAYLOAD, .verb = GFORK_ARG };
  struct rlimit limit;
  int fds[GFORK_MAX_FDS];
  Helper helper;

  g_assert_no_errno (getrlimit (RLIMIT_NOFILE, &limit));
  if (test_under_valgrind () || test_under_sanitizer () || limit.rlim_max < n_fds)
    {
      g_test_skip ("the number of descriptors cannot be set");
      return;
    }
  if (!test_in_subprocess ())
    return;

  limit.rlim_cur = n_fds;
  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &limit));

  for (gsize i = 0; i < G_N_ELEMENTS (fds); i++)
    fds[i] = 2;

  start_helper (&helper);
  g_assert_cmpint (send_some (helper.socket, &header, sizeof header, NULL, 0, 0), ==,
                   sizeof header);
  while (send_when_possible (helper.socket, "x", 1, fds, G_N_ELEMENTS (fds)) == 1)
    ;
  g_assert_true (errno == EPIPE || errno == ECONNRESET);
  assert_failure (helper.socket, n_fds == FEW_FDS ? GFORK_CODE_FAILED : GFORK_CODE_PROTOCOL);
  await_helper (&helper, 1);
}

/* Memory that somebody can still write to is copied, and what does not end with a
 * NUL is given one: the worker gets what was there when it was sent. */
static void
assert_memory_arrives (int         fd,
                       const char *expected,
                       int         change_fd)
{
  struct gfork_memfd memfd = { .length = strlen (expected), .kind = GFORK_ARG_STRING };
  g_autoptr (GByteArray) payload = NULL;
  g_autofree char *dumped = g_strdup_printf ("%zu:%s\n", strlen (expected), expected);
  g_autofree char *all = NULL;
  Helper helper;

  start_helper (&helper);
  send_frame (helper.socket, GFORK_ARG_MEMFD, &memfd, sizeof memfd, fd);
  send_frame (helper.socket, GFORK_SYNC, NULL, 0, -1);
  assert_synced (helper.socket);
  if (change_fd >= 0)
    {
      g_assert_cmpint (pwrite (change_fd, "changed", 7, 0), ==, 7);
      g_assert_no_errno (ftruncate (change_fd, 0));
    }

  send_string (helper.socket, GFORK_RUN, "test-worker:dump_args");
  g_assert_cmpuint (receive_frame (helper.socket, &payload, NULL), ==, GFORK_READY);
  all = test_read_fd (helper.socket);
  g_assert_cmpstr (all, ==, dumped);
  await_helper (&helper, 0);
}

#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int
make_memory (const char *bytes,
             gsize       length,
             int         seals)
{
  int fd = memfd_create ("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

  g_assert_no_errno (fd);
  g_assert_cmpint (write (fd, bytes, length), ==, length);
  if (seals != 0)
    g_assert_no_errno (fcntl (fd, F_ADD_SEALS, seals));
  return fd;
}

static void
test_memory_unsealed (void)
{
  g_auto (TestFd) fd = make_memory ("original", 9, 0);

  assert_memory_arrives (fd, "original", fd);
}

static void
test_memory_half_sealed (void)
{
  g_auto (TestFd) fd = make_memory ("original", 9, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  g_autofree char *expected = g_strdup ("original");

  assert_memory_arrives (fd, expected, -1);
}

/* A whole page, with no end in sight behind it. */
static void
test_memory_unterminated (void)
{
  gsize page = getpagesize ();
  g_autofree char *bytes = g_strnfill (page, 'x');
  g_auto (TestFd) fd = make_memory (bytes, page, ALL_SEALS);

  bytes[page - 1] = '\0';
  assert_memory_arrives (fd, bytes, -1);
}

/* It is checked to be as long as it is said to be. */
static void
test_memory_short (void)
{
  struct gfork_memfd memfd = { .length = 9, .kind = GFORK_ARG_STRING };
  g_auto (TestFd) fd = make_memory ("original", 9, ALL_SEALS);
  Helper helper;

  start_helper (&helper);
  send_frame (helper.socket, GFORK_ARG_MEMFD, &memfd, sizeof memfd, fd);
  send_frame (helper.socket, GFORK_SYNC, NULL, 0, -1);
  assert_failure (helper.socket, GFORK_CODE_FAILED);
  await_helper (&helper, 0);
}

/* A program that cannot be executed: what was sent for it is closed once, and what
 * somebody waits for is closed at all. */
static void
test_exec_fails_early (void)
{
  g_auto (TestFd) read_end = -1;
  g_auto (TestFd) write_end = -1;
  const char payload[] = "\0\0\0\0/bin/true";
  int ends[2];
  Helper helper;
  char byte;

  test_pipe (&read_end, &write_end);
  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
  start_helper (&helper);
  send_frame (helper.socket, GFORK_ARG_FD, NULL, 0, write_end);
  send_frame (helper.socket, GFORK_ARG, "s\0", 2, -1); /* no argument of a program */
  send_frame (helper.socket, GFORK_EXEC, payload, sizeof payload, ends[1]);
  test_close_fd (&write_end);
  close (ends[1]);
  assert_failure (helper.socket, GFORK_CODE_EXEC);

  /* It lives, and has no use for the other socket. */
  g_assert_cmpint (read (ends[0], &byte, 1), ==, 0);
  close (ends[0]);
  send_frame (helper.socket, GFORK_CLOSE, NULL, 0, -1);
  test_assert_fd_eof (read_end);
  await_helper (&helper, 0);
}

/* ——— Secrets ——— */

/* What is looked for, so that it does not stand in the question. */
static char *
invert (const char *string)
{
  GString *digits = g_string_new (NULL);

  for (; *string != '\0'; string++)
    g_string_append_printf (digits, "%02x", (guchar) ~*string);
  return g_string_free (digits, FALSE);
}

static void
assert_found (int         fd,
              const char *secret,
              const char *expected)
{
  g_autofree char *inverted = invert (secret);
  g_autofree char *question = g_strdup_printf ("find %s\n", inverted);
  g_autoptr (GString) answer = g_string_new (NULL);
  char byte;

  g_assert_cmpint (write (fd, question, strlen (question)), ==, strlen (question));
  while (read (fd, &byte, 1) == 1 && byte != '\n')
    g_string_append_c (answer, byte);
  g_assert_cmpstr (answer->str, ==, expected);
}

/* What the parent had read ahead when it was forked is not in the memory of the
 * child: neither what fits into its first memory, nor what does not. */
static void
test_read_ahead_is_wiped (gconstpointer data)
{
  gsize before = GPOINTER_TO_SIZE (data);
  const char *secret = "the secret of the parent alone";
  g_autofree char *argument = g_strconcat ("s", secret, NULL);
  g_autofree char *padding = g_strnfill (before + 1, 's');
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autoptr (GByteArray) payload = NULL;
  g_autoptr (GByteArray) child_payload = NULL;
  Helper helper;
  int ends[2];

  if (test_under_valgrind ())
    {
      g_test_skip ("all of valgrind's memory would be searched");
      return;
    }

  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
  start_helper (&helper);
  if (before > 0)
    append_frame (bytes, GFORK_ARG, padding, before + 1, 0);
  append_frame (bytes, GFORK_FORK, "1234", 4, 1);
  append_frame (bytes, GFORK_ARG, argument, strlen (argument), 0);
  append_string (bytes, GFORK_RUN, "test-worker:answer");
  send_bytes (helper.socket, bytes, ends[1], 1);
  close (ends[1]);

  send_string (ends[0], GFORK_RUN, "test-worker:answer");
  g_assert_cmpuint (receive_frame (ends[0], &child_payload, NULL), ==, GFORK_READY);
  assert_found (ends[0], secret, "not found");
  close (ends[0]);

  /* And it is found where it is. */
  g_assert_cmpuint (receive_frame (helper.socket, &payload, NULL), ==, GFORK_READY);
  assert_found (helper.socket, secret, "found");
  await_helper (&helper, 0);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (answers); i++)
    {
      g_autofree char *path = g_strconcat ("/hostile/far-end/", answers[i].name, NULL);

      g_test_add_data_func (path, &answers[i], test_answer);
    }
  g_test_add_func ("/hostile/far-end/flood-of-descriptors", test_flood_of_descriptors);
  g_test_add_func ("/hostile/far-end/no-room-for-descriptors", test_no_room_for_descriptors);
  g_test_add_func ("/hostile/far-end/silence", test_silence);
  g_test_add_func ("/hostile/far-end/silence-closed", test_silence_closed);
  g_test_add_func ("/hostile/far-end/deafness", test_deafness);
  g_test_add_func ("/hostile/far-end/flood-of-answers", test_flood_of_answers);
  g_test_add_data_func ("/hostile/far-end/false-pidfd/always-readable", "/dev/zero",
                        test_false_pidfd);
  g_test_add_data_func ("/hostile/far-end/false-pidfd/pipe", NULL, test_false_pidfd);
  g_test_add_func ("/hostile/far-end/memory-is-sealed", test_memory_is_sealed);

  for (gsize i = 0; i < G_N_ELEMENTS (programs); i++)
    {
      g_autofree char *path = g_strconcat ("/hostile/program/", programs[i].name, NULL);

      g_test_add_data_func (path, &programs[i], test_program);
    }

  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++)
    {
      g_autofree char *path = g_strconcat ("/hostile/application/", commands[i].name, NULL);

      g_test_add_data_func (path, &commands[i], test_command);
    }
  g_test_add_func ("/hostile/application/setenv/cut", test_setenv_cut);
  g_test_add_func ("/hostile/application/run/nothing", test_run_nothing);
  g_test_add_func ("/hostile/application/cut", test_cut);
  g_test_add_data_func ("/hostile/application/answers-unread/synced", GINT_TO_POINTER (FALSE),
                        test_answers_unread);
  g_test_add_data_func ("/hostile/application/answers-unread/error", GINT_TO_POINTER (TRUE),
                        test_answers_unread);
  g_test_add_data_func ("/hostile/application/flood-of-descriptors/few",
                        GSIZE_TO_POINTER (FEW_FDS), test_flood_of_descriptors_to_helper);
  g_test_add_data_func ("/hostile/application/flood-of-descriptors/many",
                        GSIZE_TO_POINTER (MANY_FDS), test_flood_of_descriptors_to_helper);
  g_test_add_func ("/hostile/application/memory/unsealed", test_memory_unsealed);
  g_test_add_func ("/hostile/application/memory/half-sealed", test_memory_half_sealed);
  g_test_add_func ("/hostile/application/memory/unterminated", test_memory_unterminated);
  g_test_add_func ("/hostile/application/memory/short", test_memory_short);
  g_test_add_func ("/hostile/application/exec-fails-early", test_exec_fails_early);

  g_test_add_data_func ("/hostile/secrets/read-ahead/short", GSIZE_TO_POINTER (0),
                        test_read_ahead_is_wiped);
  g_test_add_data_func ("/hostile/secrets/read-ahead/long", GSIZE_TO_POINTER (5000),
                        test_read_ahead_is_wiped);

  return g_test_run ();
}
