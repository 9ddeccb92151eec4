/* errors-protocol.c: tests of helpers and template processes that do not keep to the protocol
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* PROTOCOL: the helper is another version's, and says so first. */
static void
test_wrong_version (void)
{
#if G_BYTE_ORDER == G_LITTLE_ENDIAN
#define NUMBER(digit) "\\00" digit "\\000\\000\\000"
#else
#define NUMBER(digit) "\\000\\000\\000\\00" digit
#endif
  /* A frame of 4 bytes that says HELLO, and the version 7. */
  const char *script = "#!/bin/sh\n"
                       "printf '" NUMBER ("4") "\\104\\000\\000\\000" NUMBER ("7") "' >&3\n"
                       "exec cat <&3 >/dev/null\n";
#undef NUMBER
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;
  gssize length = strlen (script);
  int fd;

  if (!test_in_subprocess ())
    return;

  fd = g_file_open_tmp ("gspawnfork-XXXXXX", &path, &error);
  g_assert_no_error (error);
  g_assert_cmpint (write (fd, script, length), ==, length);
  g_assert_no_errno (fchmod (fd, 0700));
  g_assert_no_errno (close (fd));

  g_setenv ("GSPAWNFORK_HELPER", path, TRUE);
  template = g_fork_template_new_exec ();
  error = test_fail_to_prepare (template);
  test_assert_error (error, G_FORK_ERROR_PROTOCOL, path, "version 7", "version 1");
  g_assert_no_errno (unlink (path));
}

/* A helper that is started by hand says what it is, and ends. */
static void
test_helper_by_hand (void)
{
  const char *helper = g_getenv ("GSPAWNFORK_HELPER");
  const char *const options[][3] = { { NULL }, { "--help" }, { "--gspawnfork-serve", "1", "77" } };

  if (helper == NULL)
    {
      g_test_skip ("nothing tells where the helper is");
      return;
    }

  for (gsize i = 0; i < G_N_ELEMENTS (options); i++)
    {
      const char *const argv[] = { helper, options[i][0], options[i][1], options[i][2], NULL };
      g_autofree char *said = NULL;
      g_autoptr (GError) error = NULL;
      int wait_status;

      g_assert_true (g_spawn_sync (NULL, (char **) argv, NULL, 0, NULL, NULL, NULL, &said,
                                   &wait_status, &error));
      g_assert_no_error (error);
      g_assert_true (WIFEXITED (wait_status));
      g_assert_cmpint (WEXITSTATUS (wait_status), ==, 2);
      g_assert_nonnull (strstr (said, "gspawnfork library"));
    }
}

/* A socket with nobody behind it, or rubbish. */
static GForkTemplate *
new_from_rubbish (gconstpointer data,
                  gsize         length)
{
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  GForkTemplate *template;
  int fds[2];

  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  socket = g_socket_new_from_fd (fds[0], &error);
  g_assert_no_error (error);
  if (length > 0)
    g_assert_cmpint (write (fds[1], data, length), ==, length);
  g_assert_no_errno (shutdown (fds[1], SHUT_WR));

  template = g_fork_template_new_from_socket (socket);
  g_object_set_data (G_OBJECT (template), "other-end", GINT_TO_POINTER (fds[1]));

  return template;
}

static void
close_other_end (GForkTemplate *template)
{
  g_assert_no_errno (close (GPOINTER_TO_INT (g_object_get_data (G_OBJECT (template), "other-end"))));
}

/* LOST: a socket that is at its end already. */
static void
test_lost_socket (void)
{
  g_autoptr (GForkTemplate) template = new_from_rubbish (NULL, 0);
  g_autoptr (GError) error = test_fail_to_prepare (template);

  test_assert_error (error, G_FORK_ERROR_LOST, "prepare");
  close_other_end (template);
}

/* PROTOCOL: what answers does not speak the protocol. It is not a crash, nor is
 * memory asked for by what it says. */
static void
test_protocol (void)
{
  const char rubbish[][17] = {
    "GET / HTTP/1.1\r\n",
    "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    "\0\0\0\0\xc8\0\0\0\0\0\0\0\xc8\0\0",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rubbish); i++)
    {
      g_autoptr (GForkTemplate) template = new_from_rubbish (rubbish[i], 16);
      g_autoptr (GError) error = test_fail_to_prepare (template);

      test_assert_error (error, G_FORK_ERROR_PROTOCOL, "prepare", "protocol");
      close_other_end (template);
    }
}

/* An answer, as it is on the wire: to a question that nobody has asked, or malformed. */
static GByteArray *
answer_new (guint8        verb,
            gconstpointer payload,
            guint32       length)
{
  GByteArray *answer = g_byte_array_new ();

  g_byte_array_append (answer, (const guint8 *) &length, sizeof length);
  g_byte_array_append (answer, (const guint8[]){ verb, 0, 0, 0 }, 4);
  g_byte_array_append (answer, payload, length);
  return answer;
}

enum
{
  READY = 64,
  SYNCED,
  ERROR,
  EXITED
};

static void
test_protocol_answers (void)
{
  const struct
  {
    guint8 verb;
    guint32 length;
  } answers[] = { { READY, 8 }, { SYNCED, 9 }, { ERROR, 4 }, { ERROR, 32 }, { 99, 0 } };
  const guint8 payload[32] = { [8] = 'x', [9 ... 31] = 'x' };

  for (gsize i = 0; i < G_N_ELEMENTS (answers); i++)
    {
      g_autoptr (GByteArray) answer = answer_new (answers[i].verb, payload, answers[i].length);
      g_autoptr (GForkTemplate) template = new_from_rubbish (answer->data, answer->len);
      g_autoptr (GError) error = test_fail_to_prepare (template);

      test_assert_error (error, G_FORK_ERROR_PROTOCOL);
      close_other_end (template);
    }
}

/* That somebody has ended who was never there is no news, if it is well formed. */
static void
test_protocol_unknown_end (void)
{
  const guint32 lengths[] = { 0, 5, 32 };
  const guint8 payload[32] = { 1, 2, 3, 4 };

  for (gsize i = 0; i < G_N_ELEMENTS (lengths); i++)
    {
      g_autoptr (GByteArray) answer = answer_new (EXITED, payload, lengths[i]);
      g_autoptr (GForkTemplate) template = new_from_rubbish (answer->data, answer->len);
      g_autoptr (GError) error = test_fail_to_prepare (template);

      test_assert_error (error, lengths[i] == 32 ? G_FORK_ERROR_LOST : G_FORK_ERROR_PROTOCOL);
      close_other_end (template);
    }
}

/* There is a sentence for each command that a template process can report as failed. */
static void
test_sentences (void)
{
  for (guint32 verb = 0; verb < 20; verb++)
    {
      const guint32 numbers[] = { G_FORK_ERROR_FAILED, verb };
      g_autoptr (GByteArray) payload = g_byte_array_new ();
      g_autoptr (GByteArray) answer = NULL;
      g_autoptr (GForkTemplate) template = NULL;
      g_autoptr (GError) error = NULL;

      g_byte_array_append (payload, (const guint8 *) numbers, sizeof numbers);
      g_byte_array_append (payload, (const guint8 *) "", 1);
      g_byte_array_append (payload, (const guint8 *) "the reason", 11);
      answer = answer_new (ERROR, payload->data, payload->len);
      template = new_from_rubbish (answer->data, answer->len);
      error = test_fail_to_prepare (template);
      test_assert_error (error, G_FORK_ERROR_FAILED, "the reason");
      g_assert_null (strchr (error->message, '%'));
      close_other_end (template);
    }
}

int
main (int    argc,
      char **argv)
{
  test_adopt_orphans ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/errors/lost/socket", test_lost_socket);
  g_test_add_func ("/errors/protocol/rubbish", test_protocol);
  g_test_add_func ("/errors/protocol/answers", test_protocol_answers);
  g_test_add_func ("/errors/protocol/unknown-end", test_protocol_unknown_end);
  g_test_add_func ("/errors/sentences", test_sentences);
  g_test_add_func ("/errors/wrong-version", test_wrong_version);
  g_test_add_func ("/errors/helper-by-hand", test_helper_by_hand);

  return g_test_run ();
}
