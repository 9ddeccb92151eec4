/* frames.c: writes and reads frames of the protocol for the tests
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "frames.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void
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

void
append_string (GByteArray *bytes,
               guint8      verb,
               const char *string)
{
  append_frame (bytes, verb, string, strlen (string) + 1, 0);
}

void
append_pid (GByteArray *bytes,
            guint8      verb,
            gint32      pid,
            guint8      n_fds)
{
  struct gfork_pid payload = { .pid = pid };

  append_frame (bytes, verb, &payload, sizeof payload, n_fds);
}

void
append_exited (GByteArray *bytes,
               guint32     id,
               gint32      wait_status)
{
  struct gfork_exited exited = { .id = id, .wait_status = wait_status };

  append_frame (bytes, GFORK_EXITED, &exited, sizeof exited, 0);
}

void
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
gssize
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

/* As above, but waits until more descriptors may be in flight. An unprivileged user may have as
 * many of them as this process may have open, those of tests that run at the same time
 * included. */
gssize
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
void
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

void
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

void
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
guint8
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

void
assert_synced (int fd)
{
  g_autoptr (GByteArray) payload = NULL;

  g_assert_cmpuint (receive_frame (fd, &payload, NULL), ==, GFORK_SYNCED);
  g_assert_cmpuint (payload->len, ==, sizeof (struct gfork_pid));
}

void
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

void
assert_end (int fd)
{
  g_autoptr (GByteArray) payload = NULL;

  g_assert_cmpuint (receive_frame (fd, &payload, NULL), ==, 0);
}

/* What no reader of the protocol takes, or not here */

void
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

void
say_http (GByteArray *bytes)
{
  static const char text[] = "HTTP/1.1 400 Bad Request\r\n\r\n";

  g_byte_array_append (bytes, (const guint8 *) text, strlen (text));
}

void
say_zeros (GByteArray *bytes)
{
  g_byte_array_set_size (bytes, 4096);
  memset (bytes->data, 0, bytes->len);
}

void
say_huge (GByteArray *bytes)
{
  struct gfork_header header = { .length = G_MAXUINT32, .verb = GFORK_ERROR };

  g_byte_array_append (bytes, (const guint8 *) &header, sizeof header);
}

void
say_reserved (GByteArray *bytes)
{
  append_pid (bytes, GFORK_SYNCED, 1234, 0);
  ((struct gfork_header *) bytes->data)->zero = 1;
}

void
say_synced (GByteArray *bytes)
{
  append_pid (bytes, GFORK_SYNCED, 1234, 0);
}

void
say_ready (GByteArray *bytes)
{
  append_pid (bytes, GFORK_READY, 1234, 0);
}

void
say_exited_unknown (GByteArray *bytes)
{
  append_exited (bytes, 77, 0);
  append_exited (bytes, G_MAXUINT32, -1);
  say_synced (bytes);
}
