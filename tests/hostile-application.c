/* hostile-application.c: tests of the helper with an application that does not keep to the
 * protocol
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "frames.h"
#include "testutils.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

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

#define NONE (-1)

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

/* The helper answers what is wrong and ends, or it goes on. */
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

          /* The end of a process that has left at once is reported in between. */
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

  test_add_table ("/hostile/application", commands, test_command);
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
