/* arguments.c: tests of sending many, large and unusual arguments to workers
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MEBIBYTE ((gsize) 1 << 20)

/* Most descriptors that the kernel takes in one message: SCM_MAX_FD. */
#define MOST_FDS 253

/* A pattern that check_pattern() of modules/test-worker.c knows. It is mapped
 * rather than allocated, so that it is gone when it is freed. */
typedef struct
{
  gpointer data;
  gsize length;
} Pattern;

static void
pattern_free (gpointer user_data)
{
  Pattern *pattern = user_data;

  g_assert_no_errno (munmap (pattern->data, pattern->length));
  g_free (pattern);
}

static GBytes *
pattern_new (gsize length)
{
  Pattern *pattern = g_new (Pattern, 1);
  guint64 *words;

  words = mmap (NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  g_assert_true (words != MAP_FAILED);
  for (gsize i = 0; i < length / sizeof (guint64); i++)
    words[i] = i * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);

  pattern->data = words;
  pattern->length = length;

  return g_bytes_new_with_free_func (words, length, pattern_free, pattern);
}

static void
append_dumped (GString    *expected,
               const char *data,
               gsize       length)
{
  g_string_append_printf (expected, "%" G_GSIZE_FORMAT ":", length);
  g_string_append_len (expected, data, length);
  g_string_append_c (expected, '\n');
}

static void
assert_dumps (GForkTemplate *template,
              GString       *expected)
{
  g_autoptr (GSocket) socket = test_run (template, "dump_args", NULL);
  g_autoptr (GString) all = test_read_all (socket);

  g_assert_cmpmem (all->str, all->len, expected->str, expected->len);
}

/* 5,000 strings arrive, each whole, and in order. */
static void
test_many_strings (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GString) expected = g_string_new (NULL);

  for (int i = 0; i < 5000; i++)
    {
      g_autofree char *string = g_strdup_printf ("string number %d: äöü", i);

      g_fork_template_send_arg (template, string);
      append_dumped (expected, string, strlen (string));
    }

  assert_dumps (template, expected);
}

/* 5,000 strings in one call, too. */
static void
test_many_strings_to_call (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GPtrArray) args = g_ptr_array_new ();
  g_autoptr (GString) expected = g_string_new (NULL);

  /* The memory of the module takes the first 4 kB of them. */
  for (int i = 0; i < 5000; i++)
    g_ptr_array_add (args, (gpointer) "x");
  g_ptr_array_add (args, NULL);
  for (int i = 0; i < 1365; i++)
    g_string_append (expected, "[x]");

  g_fork_template_call (template, "remember", (const char *const *) args->pdata);
  test_assert_worker_answers (template, "memory", expected->str);
}

/* Empty strings and no bytes are arguments like others: not NULL, and a NUL
 * follows. */
static void
test_empty (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GBytes) bytes = g_bytes_new (NULL, 0);
  g_autoptr (GString) expected = g_string_new (NULL);

  for (int i = 0; i < 3; i++)
    {
      g_fork_template_send_arg (template, "");
      g_fork_template_send_bytes (template, bytes);
      append_dumped (expected, "", 0);
      append_dumped (expected, "", 0);
    }

  assert_dumps (template, expected);
}

/* A worker that was not sent anything gets nothing. */
static void
test_none (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GSocket) socket = test_run (template, "answer", NULL);

  test_assert_answer (socket, "n-args", "0");
}

/* Bytes may be any: NULs, and what is no UTF-8. */
static void
test_any_bytes (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GString) expected = g_string_new (NULL);
  g_autoptr (GBytes) nuls = g_bytes_new_static ("\0\0\0", 3);
  g_autoptr (GBytes) all = NULL;
  g_autoptr (GByteArray) bytes = g_byte_array_new ();

  for (guint i = 0; i < 1024; i++)
    {
      guint8 byte = i;

      g_byte_array_append (bytes, &byte, 1);
    }
  all = g_byte_array_free_to_bytes (g_steal_pointer (&bytes));

  g_fork_template_send_bytes (template, nuls);
  append_dumped (expected, "\0\0\0", 3);
  g_fork_template_send_bytes (template, all);
  append_dumped (expected, g_bytes_get_data (all, NULL), g_bytes_get_size (all));

  assert_dumps (template, expected);
}

/* Every length is the same to the worker, on either side of where they begin to
 * travel another way. */
static void
test_lengths (void)
{
  const gsize lengths[] = { 1, 255, 4095, 4096, 65535, 65536, 65537, 131072, 200000, MEBIBYTE };
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GString) expected = g_string_new (NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (lengths); i++)
    {
      g_autofree char *data = g_malloc (lengths[i] + 1);
      g_autoptr (GBytes) bytes = NULL;

      for (gsize j = 0; j < lengths[i]; j++)
        data[j] = 'a' + (i + j) % 26;
      data[lengths[i]] = '\0';

      g_fork_template_send_arg (template, data);
      append_dumped (expected, data, lengths[i]);

      data[lengths[i] / 2] = '\0';
      bytes = g_bytes_new (data, lengths[i]);
      g_fork_template_send_bytes (template, bytes);
      append_dumped (expected, data, lengths[i]);
    }

  assert_dumps (template, expected);
}

/* A call gets long strings whole as well. */
static void
test_long_string_to_call (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GSocket) socket = NULL;
  g_autofree char *string = g_strnfill (3 * MEBIBYTE, 'x');
  g_autofree char *memory = NULL;

  g_fork_template_call (template, "remember", (const char *[]){ "short", NULL });
  g_fork_template_call (template, "remember", (const char *[]){ string, NULL });
  socket = test_run (template, "answer", NULL);
  memory = test_ask (socket, "memory");
  g_assert_true (g_str_has_prefix (memory, "[short][xxxxxxxx"));
}

static void
assert_pattern (GSocket *socket,
                gsize    length)
{
  g_autofree char *expected = g_strdup_printf ("%" G_GSIZE_FORMAT " of %" G_GSIZE_FORMAT, length, length);
  g_autoptr (GString) line = g_string_new (NULL);

  for (;;)
    {
      g_autoptr (GError) error = NULL;
      char byte;

      g_assert_cmpint (g_socket_receive_with_blocking (socket, &byte, 1, TRUE, NULL, &error), ==, 1);
      g_assert_no_error (error);
      if (byte == '\n')
        break;

      g_string_append_c (line, byte);
    }

  g_assert_cmpstr (line->str, ==, expected);
}

/* One argument of 64 MiB, in its place between others. */
static void
test_64_mebibytes (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GBytes) bytes = pattern_new (64 * MEBIBYTE);
  g_autoptr (GSocket) socket = NULL;

  g_fork_template_send_bytes (template, bytes);
  g_clear_pointer (&bytes, g_bytes_unref);
  g_fork_template_send_arg (template, "after");

  socket = test_run (template, "check_pattern", NULL);
  assert_pattern (socket, 64 * MEBIBYTE);
  test_assert_answer (socket, "n-args", "2");
  test_assert_answer (socket, "arg 1", "after");
  test_assert_answer (socket, "strays", "none");
}

/* Runs workers that have all read the whole argument, and asserts that together
 * they do not use more memory than one copy of it. */
static void
assert_one_copy (gsize length)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GPtrArray) sockets = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr (GHashTable) inodes = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GBytes) bytes = pattern_new (length);
  guint64 kilobytes = 0;

  g_fork_template_send_bytes (template, bytes);
  g_clear_pointer (&bytes, g_bytes_unref);

  for (int i = 0; i < 8; i++)
    {
      g_autoptr (GForkTemplate) child = g_fork_template_fork (template);
      g_autoptr (GSocket) socket = test_run (child, "check_pattern", NULL);

      assert_pattern (socket, length);
      g_ptr_array_add (sockets, g_steal_pointer (&socket));
    }

  for (guint i = 0; i < sockets->len; i++)
    {
      g_autofree char *mapping = test_ask (g_ptr_array_index (sockets, i), "mapping 0");
      g_auto (GStrv) numbers = g_strsplit (mapping, " ", 2);

      g_hash_table_add (inodes, g_strdup (numbers[0]));
      kilobytes += g_ascii_strtoull (numbers[1], NULL, 10);
    }

  g_test_message ("8 workers use %" G_GUINT64_FORMAT " kB", kilobytes);
  g_assert_cmpuint (g_hash_table_size (inodes), ==, 1);
  g_assert_cmpuint (kilobytes, <=, length / 1024 + 64);
}

static void
test_one_copy (void)
{
  assert_one_copy (64 * MEBIBYTE);
}

/* How many kilobytes can still be had. */
static guint64
available_memory (void)
{
  g_autofree char *info = test_read_proc (0, "../meminfo");
  const char *line = info != NULL ? strstr (info, "MemAvailable:") : NULL;

  return line != NULL ? g_ascii_strtoull (line + strlen ("MemAvailable:"), NULL, 10) : G_MAXUINT64;
}

/* One argument of 1 GiB: there is one copy of it, however many forks. */
static void
test_1_gibibyte (void)
{
  if (available_memory () < 3 * MEBIBYTE)
    {
      g_test_skip ("less than 3 GiB of memory available");
      return;
    }

  assert_one_copy (1024 * MEBIBYTE);
}

/* What the application holds does not grow with what it has sent. */
static void
test_nothing_kept (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GBytes) bytes = pattern_new (64 * MEBIBYTE);
  g_autofree char *before = NULL;
  g_autofree char *after = NULL;
  guint n_fds;

  test_prepare (template);
  n_fds = test_count_fds (0);
  before = test_read_proc (0, "statm");
  g_fork_template_send_bytes (template, bytes);
  test_prepare (template);
  after = test_read_proc (0, "statm");

  /* In pages: the size of the address space. */
  g_assert_cmpuint (g_ascii_strtoull (after, NULL, 10), <,
                    g_ascii_strtoull (before, NULL, 10) + 32 * MEBIBYTE / getpagesize ());
  g_assert_cmpuint (test_count_fds (0), ==, n_fds);
}

/* The position in a file tells the descriptors apart. */
static void
send_positions (GForkTemplate *template,
                int            n,
                GString       *expected)
{
  for (int i = 0; i < n; i++)
    {
      g_autofree char *program = test_build_path ("takeover");
      int fd = open (program, O_RDONLY | O_CLOEXEC);

      g_assert_no_errno (fd);
      g_assert_cmpint (lseek (fd, i, SEEK_SET), ==, i);
      g_fork_template_take_fd (template, fd);
      g_string_append_printf (expected, "%d\n", i);
    }
}

/* 600 descriptors, more than go into one message, arrive in order. */
static void
test_many_descriptors (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GString) expected = g_string_new (NULL);

  send_positions (template, 600, expected);
  child = g_fork_template_fork (template);

  test_assert_writes (template, "fd_positions", expected->str);

  test_assert_writes (child, "fd_positions", expected->str);
}

/* 600 in one list. */
static void
test_many_descriptors_in_a_list (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GString) expected = g_string_new (NULL);
  g_autoptr (GUnixFDList) list = NULL;
  g_autofree char *program = test_build_path ("takeover");
  struct rlimit limit;
  int fds[600];

  /* The list has them, and so has the queue. */
  g_assert_no_errno (getrlimit (RLIMIT_NOFILE, &limit));
  if (limit.rlim_cur < 1500)
    {
      limit.rlim_cur = MIN (limit.rlim_max, 1500);
      g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &limit));
    }

  for (int i = 0; i < 600; i++)
    {
      fds[i] = open (program, O_RDONLY | O_CLOEXEC);
      g_assert_cmpint (lseek (fds[i], i, SEEK_SET), ==, i);
      g_string_append_printf (expected, "%d\n", i);
    }
  list = g_unix_fd_list_new_from_array (fds, 600);

  g_fork_template_send_fd_list (template, list);
  g_clear_object (&list);
  test_assert_writes (template, "fd_positions", expected->str);
}

/* Descriptors and strings alternate, a thousand times. */
static void
test_alternating (void)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autoptr (GString) expected = g_string_new (NULL);

  for (int i = 0; i < 400; i++)
    {
      g_autofree char *string = g_strnfill (i * 20, 'a' + i % 26);

      g_fork_template_send_fd (template, 2);
      g_string_append (expected, "fd\n");
      g_fork_template_send_arg (template, string);
      append_dumped (expected, string, i * 20);
    }

  assert_dumps (template, expected);
}

/* More descriptors than the kernel takes at once */

/* Gives up what exempts a process from the limit. */
static void
drop_capabilities (void)
{
  struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
  struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

  g_assert_no_errno (syscall (SYS_capget, &header, data));
  for (gsize i = 0; i < G_N_ELEMENTS (data); i++)
    {
      for (int capability = 0; capability < 32; capability++)
        {
          if (i * 32 + capability == CAP_SYS_ADMIN || i * 32 + capability == CAP_SYS_RESOURCE)
            {
              data[i].effective &= ~(1u << capability);
              data[i].permitted &= ~(1u << capability);
              data[i].inheritable &= ~(1u << capability);
            }
        }
    }
  g_assert_no_errno (syscall (SYS_capset, &header, data));
}

/* Has descriptors under way, which nobody receives, until the kernel refuses to
 * take more. */
static void
fill_up (int fd)
{
  union
  {
    struct cmsghdr header;
    char buffer[CMSG_SPACE (MOST_FDS * sizeof (int))];
  } control = { 0 };
  struct iovec byte = { .iov_base = (char *) "x", .iov_len = 1 };
  struct msghdr message = {
    .msg_iov = &byte,
    .msg_iovlen = 1,
    .msg_control = &control,
    .msg_controllen = sizeof (control.buffer),
  };
  int fds[MOST_FDS];

  for (gsize i = 0; i < G_N_ELEMENTS (fds); i++)
    fds[i] = 2;
  control.header.cmsg_level = SOL_SOCKET;
  control.header.cmsg_type = SCM_RIGHTS;
  control.header.cmsg_len = CMSG_LEN (sizeof (fds));
  memcpy (CMSG_DATA (&control.header), fds, sizeof (fds));

  while (sendmsg (fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
    ;
  g_assert_cmpint (errno, ==, ETOOMANYREFS);
}

/* Runs the main loop while the kernel does not take descriptors, even if other
 * processes of the user receive theirs. */
static void
iterate_filled_up (int fd)
{
  for (int i = 0; i < 100; i++)
    {
      fill_up (fd);
      g_main_context_iteration (NULL, FALSE);
    }
}

/* The kernel counts what is in flight for all processes of a user, and another one may have
 * received some just in time. So what has not waited is tried again so many times. */
#define ATTEMPTS 20

/* Calls @attempt with @data, in a process that may have but few descriptors in flight,
 * until it says that the library has waited. */
static void
check_waits (gboolean      (*attempt) (gconstpointer data),
             gconstpointer data)
{
  gboolean waited = FALSE;

  if (!test_limit_descriptors (1000))
    return;

  drop_capabilities ();

  for (int i = 0; i < ATTEMPTS && !waited; i++)
    waited = attempt (data);
  g_assert_true (waited);
}

/* When the kernel does not take descriptors, they wait, and so does what follows
 * them; when it does again, everything goes on as if nothing had been. */
static gboolean
wait_to_run (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);
  g_autoptr (GString) expected = g_string_new (NULL);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  gboolean waited;
  int fds[2];

  test_prepare (template);

  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  fill_up (fds[0]);

  send_positions (template, 300, expected);
  g_fork_template_run_async (template, "fd_positions", NULL, test_store_result, &result);
  iterate_filled_up (fds[0]);
  waited = result == NULL;

  /* Closing both ends makes way. */
  g_assert_no_errno (close (fds[0]));
  g_assert_no_errno (close (fds[1]));

  test_await (&result);
  socket = g_fork_template_run_finish (template, result, NULL, &error);
  g_assert_no_error (error);
  test_assert_all_is (socket, expected->str);

  return waited;
}

static void
test_too_many_in_flight (gconstpointer kind)
{
  check_waits (wait_to_run, kind);
}

/* The same while a template is being made and forked, which takes descriptors,
 * too. */
static gboolean
wait_to_fork (gconstpointer data)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  gboolean waited;
  int fds[2];

  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  fill_up (fds[0]);

  template = test_template_new ();
  child = g_fork_template_fork (template);
  g_fork_template_run_async (child, "answer", NULL, test_store_result, &result);
  iterate_filled_up (fds[0]);
  waited = result == NULL;

  g_assert_no_errno (close (fds[0]));
  g_assert_no_errno (close (fds[1]));

  test_await (&result);
  socket = g_fork_template_run_finish (child, result, &process, &error);
  g_assert_no_error (error);
  test_send (socket, "exit 15\n");
  test_assert_exits (process, 15);

  return waited;
}

static void
test_too_many_in_flight_for_fork (void)
{
  check_waits (wait_to_fork, NULL);
}

/* Many templates that do not listen, with more descriptors for them than the
 * kernel takes altogether. */
static void
test_too_many_for_busy_templates (void)
{
  enum
  {
    N_TEMPLATES = 30,
    N_FDS = 50
  };
  GForkTemplate *templates[N_TEMPLATES];
  GAsyncResult *results[N_TEMPLATES] = { NULL };
  TestFd unblock[N_TEMPLATES];

  if (!test_limit_descriptors (1000))
    return;

  drop_capabilities ();

  for (int i = 0; i < N_TEMPLATES; i++)
    {
      templates[i] = test_template_new ();
      test_prepare (templates[i]);
      test_block (templates[i], &unblock[i]);
    }
  for (int i = 0; i < N_TEMPLATES; i++)
    {
      for (int j = 0; j < N_FDS; j++)
        g_fork_template_send_fd (templates[i], 2);
      g_fork_template_run_async (templates[i], "answer", NULL, test_store_result, &results[i]);
    }
  for (int i = 0; i < 100; i++)
    g_main_context_iteration (NULL, FALSE);
  for (int i = 0; i < N_TEMPLATES; i++)
    {
      g_assert_null (results[i]);
      test_close_fd (&unblock[i]);
    }

  for (int i = 0; i < N_TEMPLATES; i++)
    {
      g_autoptr (GAsyncResult) result = test_await (&results[i]);
      g_autoptr (GForkTemplate) template = templates[i];
      g_autoptr (GError) error = NULL;
      g_autoptr (GSocket) socket = g_fork_template_run_finish (template, result, NULL, &error);

      g_assert_no_error (error);
      g_assert_cmpint (test_ask_number (socket, "n-args"), ==, N_FDS);
      test_assert_answer (socket, "strays", "none");
    }
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  test_add_kinds ("/arguments/strings/many", test_many_strings);
  g_test_add_func ("/arguments/strings/many-to-call", test_many_strings_to_call);
  g_test_add_func ("/arguments/strings/long-to-call", test_long_string_to_call);
  g_test_add_func ("/arguments/empty", test_empty);
  g_test_add_func ("/arguments/none", test_none);
  g_test_add_func ("/arguments/any-bytes", test_any_bytes);
  g_test_add_func ("/arguments/lengths", test_lengths);

  test_add_kinds ("/arguments/large/64-mebibytes", test_64_mebibytes);
  g_test_add_func ("/arguments/large/one-copy", test_one_copy);
  g_test_add_func ("/arguments/large/1-gibibyte", test_1_gibibyte);
  g_test_add_func ("/arguments/large/nothing-kept", test_nothing_kept);

  test_add_kinds ("/arguments/descriptors/many", test_many_descriptors);
  g_test_add_func ("/arguments/descriptors/many-in-a-list", test_many_descriptors_in_a_list);
  g_test_add_func ("/arguments/descriptors/alternating", test_alternating);
  test_add_kinds ("/arguments/descriptors/too-many-in-flight", test_too_many_in_flight);
  g_test_add_func ("/arguments/descriptors/too-many-in-flight-for-fork", test_too_many_in_flight_for_fork);
  g_test_add_func ("/arguments/descriptors/too-many-for-busy-templates", test_too_many_for_busy_templates);

  return g_test_run ();
}
