/* errors-limits.c: tests of what is too long, too many, or not available
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* A command that is longer than what goes over the socket names itself. */
static void
test_too_long (gconstpointer kind)
{
  g_autofree char *string = g_strnfill (17 * 1024 * 1024, 'x');
  g_autoptr (GForkTemplate) caller = test_make (kind);
  g_autoptr (GForkTemplate) evaluator = test_make (kind);
  g_autoptr (GForkTemplate) setter = test_make (kind);
  g_autoptr (GForkTemplate) executor = test_make (kind);
  g_autoptr (GForkTemplate) runner = test_make (kind);
  g_autoptr (GError) eval_error = NULL;

  g_fork_template_call (caller, "remember", (const char *[]){ string, NULL });
  test_assert_prepare_fails (caller, G_FORK_ERROR_FAILED, "remember", "16777216");

  g_fork_template_eval (evaluator, string, NULL);
  eval_error = test_fail_to_prepare (evaluator);
  test_assert_error (eval_error, G_FORK_ERROR_FAILED, "Evaluating", "“xxx", "16777216");
  g_assert_cmpuint (strlen (eval_error->message), <, 1000);

  g_fork_template_setenv (setter, "A_VARIABLE", string);
  test_assert_prepare_fails (setter, G_FORK_ERROR_FAILED, "A_VARIABLE", "16777216");

  test_assert_exec_fails (executor, ((const char *[]){ "/bin/echo", string, NULL }),
                          G_FORK_ERROR_FAILED, "/bin/echo", "16777216");

  test_assert_run_fails (runner, string, G_FORK_ERROR_FAILED, "“xxx", "16777216");
}

/* A descriptor that is none is named, and the number that it was meant for. */
static void
test_bad_descriptors (gconstpointer kind)
{
  g_autoptr (GForkTemplate) sender = test_make (kind);
  g_autoptr (GForkTemplate) giver = test_make (kind);
  g_autoptr (GForkTemplate) mapper = test_make (kind);

  g_fork_template_send_fd (sender, 777777);
  test_assert_prepare_fails (sender, G_FORK_ERROR_FAILED, "send", "777777", g_strerror (EBADF));

  g_fork_template_take_fd (giver, 777777);
  test_assert_run_fails (giver, "answer", G_FORK_ERROR_FAILED, "send", "777777",
                         g_strerror (EBADF));

  g_fork_template_map_fd (mapper, 777777, 55);
  test_assert_prepare_fails (mapper, G_FORK_ERROR_FAILED, "777777 at 55", g_strerror (EBADF));
}

/* A template whose run was refused is let go of, and ends. */
static void
test_refused_and_dropped (gconstpointer kind)
{
  GForkTemplate *template = test_make (kind);
  GPid pid;

  test_prepare (template);
  pid = g_fork_template_get_pid (template);
  g_fork_template_send_fd (template, 777777);
  test_assert_run_fails (template, "answer", G_FORK_ERROR_FAILED, "send", "777777");
  g_object_unref (template);
  test_wait_for_end (pid);
}

/* FAILED: more descriptors than the template may have open. This process has as many as
 * before: a user who is not privileged keeps those that cannot be in flight. */
static void
test_too_many_descriptors (void)
{
  const struct rlimit few = { 60, 60 };
  g_autoptr (GForkTemplate) template = NULL;

  if (test_under_valgrind () || test_under_sanitizer ())
    {
      g_test_skip ("valgrind and sanitizers need descriptors themselves");
      return;
    }

  template = g_fork_template_new_exec ();
  g_fork_template_require (template, "test-worker");
  test_prepare (template);
  g_assert_no_errno (prlimit (g_fork_template_get_pid (template), RLIMIT_NOFILE, &few, NULL));
  for (int i = 0; i < 100; i++)
    {
      g_fork_template_send_fd (template, 2);
      if (i % 20 == 0)
        g_fork_template_call (template, "remember", (const char *[]){ "x", NULL });
    }
  test_assert_run_fails (template, "answer", G_FORK_ERROR_FAILED, "the function “answer”",
                         "RLIMIT_NOFILE");
}

/* FAILED: there is no memory or disk space for what was sent, here or where it is used. */
static void
test_failed_no_space (void)
{
  struct rlimit limit;
  rlim_t size;
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) limited = NULL;
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (GError) limited_error = NULL;

  if (test_under_valgrind () || test_under_sanitizer ())
    {
      g_test_skip ("what looks on needs address space itself");
      return;
    }
  if (!test_in_subprocess ())
    return;

  bytes = g_bytes_new_take (g_malloc0 (256 << 20), 256 << 20);
  limited = test_template_new ();
  g_fork_template_require (limited, "test-trouble");
  g_fork_template_call (limited, "limit_memory", (const char *[]){ "128", NULL });
  g_fork_template_send_bytes (limited, bytes);
  if (!g_fork_template_prepare (limited, NULL, &limited_error))
    test_assert_error (limited_error, G_FORK_ERROR_FAILED, g_strerror (ENOMEM));
  else
    {
      limited_error = test_fail_to_run (limited, "answer");
      test_assert_error (limited_error, G_FORK_ERROR_FAILED, g_strerror (ENOMEM));
    }

  signal (SIGXFSZ, SIG_IGN);
  template = test_template_new ();
  g_assert_no_errno (getrlimit (RLIMIT_FSIZE, &limit));
  size = limit.rlim_cur;
  limit.rlim_cur = 4096;
  g_assert_no_errno (setrlimit (RLIMIT_FSIZE, &limit));
  g_fork_template_send_bytes (template, bytes);
  limit.rlim_cur = size;
  g_assert_no_errno (setrlimit (RLIMIT_FSIZE, &limit));
  test_assert_run_fails (template, "answer", G_FORK_ERROR_FAILED, "268435456", g_strerror (EFBIG));
}

/* FAILED, EXEC: the template has no number left to place a descriptor. PROTOCOL: nor
 * for one that it is sent. */
static void
test_failed_no_number (void)
{
  for (int i = 0; i < 3; i++)
    {
      g_autoptr (GForkTemplate) template = NULL;
      g_autoptr (GSocket) socket = NULL;
      g_autoptr (GError) error = NULL;

      if (test_under_valgrind () || test_under_sanitizer ())
        {
          g_test_skip ("what looks on needs descriptors itself");
          return;
        }

      /* It has 0 to 3, of which the last is the socket. */
      template = g_fork_template_new_exec ();
      g_fork_template_require (template, "test-worker");
      g_fork_template_require (template, "test-trouble");
      g_fork_template_call (template, "limit_descriptors", (const char *[]){ "8", NULL });
      test_prepare (template);
      if (i < 2)
        g_fork_template_map_fd (template, 2, 6);
      for (int fd = 0; fd < (const int[]){ 3, 2, 10 }[i]; fd++)
        g_fork_template_send_fd (template, 2);

      if (i == 1)
        socket = g_fork_template_execv (template, (const char *[]){ "/bin/true", NULL },
                                        G_FORK_EXEC_SOCKET_STDOUT, NULL, NULL, &error);
      else
        socket = g_fork_template_run (template, "answer", NULL, NULL, &error);
      g_assert_null (socket);
      if (i == 0)
        test_assert_error (error, G_FORK_ERROR_FAILED, "answer", g_strerror (EMFILE));
      else if (i == 1)
        test_assert_error (error, G_FORK_ERROR_EXEC, "/bin/true", g_strerror (EMFILE));
      else
        test_assert_error (error, G_FORK_ERROR_FAILED, "RLIMIT_NOFILE");
    }
}

/* No descriptors left */

/* Uses up all descriptors but for so many. */
static GArray *
use_up_descriptors (guint left)
{
  GArray *used = g_array_new (FALSE, FALSE, sizeof (int));
  int fd;

  while ((fd = open ("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
    g_array_append_val (used, fd);
  g_assert_cmpint (errno, ==, EMFILE);
  g_assert_cmpuint (used->len, >=, left);
  for (guint i = 0; i < left; i++)
    close (g_array_index (used, int, --used->len));

  return used;
}

static void
give_back_descriptors (GArray *used)
{
  for (guint i = 0; i < used->len; i++)
    close (g_array_index (used, int, i));
  g_array_unref (used);
}

static gpointer
run_in_thread (gpointer data)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  GError *error = NULL;

  socket = g_fork_template_run (data, "answer", &process, NULL, &error);
  g_assert_true ((socket == NULL) == (error != NULL));
  g_assert_true ((process == NULL) == (error != NULL));

  return error;
}

static gpointer
call_all_in_thread (gpointer data)
{
  GForkProcess *process = data;
  g_autoptr (GForkTemplate) template = g_object_ref (g_object_get_data (data, "template"));
  GError *errors[4] = { NULL };

  g_assert_false (g_fork_template_prepare (template, NULL, &errors[0]));
  g_assert_null (g_fork_template_detach (template, NULL, &errors[1]));
  g_assert_null (g_fork_template_execv (template, (const char *[]){ "/bin/true", NULL }, 0, NULL,
                                        NULL, &errors[2]));
  g_assert_false (g_fork_process_wait (process, NULL, &errors[3]));
  for (gsize i = 0; i < G_N_ELEMENTS (errors); i++)
    {
      test_assert_error (errors[i], G_FORK_ERROR_FAILED, g_strerror (EMFILE));
      g_error_free (errors[i]);
    }

  return NULL;
}

/* Every other call fails like that, too. Nothing has happened, so it can be repeated. */
static void
test_no_descriptors_to_call (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) child = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  GArray *used;

  if (!test_limit_descriptors (100))
    return;

  template = test_template_new ();
  child = g_fork_template_fork (template);
  socket = test_run (child, "answer", &process);
  g_object_set_data (G_OBJECT (process), "template", template);

  used = use_up_descriptors (0);
  g_thread_join (g_thread_new ("caller", call_all_in_thread, process));
  give_back_descriptors (used);

  test_prepare (template);
  test_send (socket, "exit 4\n");
  test_assert_exits (process, 4);
}

/* A synchronous call, also the first one of a thread, ends with an error that says
 * what is missing, however many descriptors are. */
static void
test_no_descriptors_to_wait (gconstpointer in_thread)
{
  gboolean succeeded = FALSE;

  if (!test_limit_descriptors (100))
    return;

  for (guint left = 0; !succeeded; left++)
    {
      g_autoptr (GForkTemplate) template = test_template_new ();
      g_autoptr (GError) error = NULL;
      GArray *used;

      /* What the default template is used for is no question of descriptors. */
      if (in_thread == NULL && left == 0)
        test_prepare (template);

      used = use_up_descriptors (left);
      if (in_thread != NULL)
        error = g_thread_join (g_thread_new ("caller", run_in_thread, template));
      else
        error = run_in_thread (template);
      give_back_descriptors (used);

      succeeded = error == NULL;
      if (error != NULL)
        test_assert_error (error, G_FORK_ERROR_FAILED);
      g_assert_cmpuint (left, <, 20);
    }
}

/* A command that needs a descriptor and gets none fails with the next operation. */
static void
send_fd (GForkTemplate *template)
{
  g_fork_template_send_fd (template, 2);
}

static void
send_long (GForkTemplate *template)
{
  g_autoptr (GBytes) bytes = g_bytes_new_take (g_malloc0 (1 << 20), 1 << 20);

  g_fork_template_send_bytes (template, bytes);
}

static void
map_fd (GForkTemplate *template)
{
  g_fork_template_map_fd (template, 2, 7);
}

static void
send_fd_list (GForkTemplate *template)
{
  g_autoptr (GUnixFDList) list = g_unix_fd_list_new_from_array ((const int[]){ 2 }, 1);

  g_fork_template_send_fd_list (template, list);
  g_unix_fd_list_steal_fds (list, NULL);
}

static void
test_no_descriptors_to_send (void)
{
  void (*const functions[]) (GForkTemplate *) = { send_fd, send_long, map_fd, send_fd_list };

  if (!test_limit_descriptors (100))
    return;

  for (gsize i = 0; i < G_N_ELEMENTS (functions); i++)
    {
      g_autoptr (GForkTemplate) template = test_template_new ();
      GArray *used;

      test_prepare (template);
      used = use_up_descriptors (0);
      functions[i](template);
      give_back_descriptors (used);
      test_assert_run_fails (template, "answer", G_FORK_ERROR_FAILED, g_strerror (EMFILE));
    }
}

/* So it is with a template that cannot be made. */
static void
test_no_descriptors_to_make (void)
{
  g_autoptr (GForkTemplate) parent = NULL;
  g_autoptr (GForkTemplate) detached = NULL;
  g_autoptr (GForkTemplate) executed = NULL;
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GForkTemplate) adopted = NULL;
  g_autoptr (GForkTemplate) later = NULL;
  g_autoptr (GSocket) control = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) exec_error = NULL;
  GArray *used;

  if (!test_limit_descriptors (100))
    return;

  parent = test_template_new ();
  detached = g_fork_template_fork (parent);
  control = g_fork_template_detach (detached, NULL, &error);
  g_assert_no_error (error);

  used = use_up_descriptors (0);
  executed = g_fork_template_new_exec ();
  fork = g_fork_template_fork (parent);
  adopted = g_fork_template_new_from_socket (control);
  socket = g_fork_template_execv (parent, (const char *[]){ "/bin/true", NULL }, 0, NULL, NULL,
                                  &exec_error);
  g_assert_null (socket);
  give_back_descriptors (used);

  test_assert_prepare_fails (executed, G_FORK_ERROR_SPAWN, g_strerror (EMFILE));
  test_assert_prepare_fails (fork, G_FORK_ERROR_FORK, g_strerror (EMFILE));
  test_assert_prepare_fails (adopted, G_FORK_ERROR_FAILED, g_strerror (EMFILE));
  test_assert_error (exec_error, G_FORK_ERROR_FAILED, g_strerror (EMFILE));

  /* It has not been taken. */
  later = g_fork_template_new_from_socket (control);
  test_prepare (later);
}

int
main (int    argc,
      char **argv)
{
  test_adopt_orphans ();
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/errors/failed/no-space", test_failed_no_space);
  g_test_add_func ("/errors/failed/no-number", test_failed_no_number);
  test_add_kinds ("/errors/too-long", test_too_long);
  test_add_kinds ("/errors/bad-descriptors", test_bad_descriptors);
  test_add_kinds ("/errors/refused-and-dropped", test_refused_and_dropped);
  g_test_add_func ("/errors/too-many-descriptors", test_too_many_descriptors);

  g_test_add_data_func ("/errors/no-descriptors/to-wait", NULL, test_no_descriptors_to_wait);
  g_test_add_data_func ("/errors/no-descriptors/to-wait-first", "first", test_no_descriptors_to_wait);
  g_test_add_func ("/errors/no-descriptors/to-call", test_no_descriptors_to_call);
  g_test_add_func ("/errors/no-descriptors/to-send", test_no_descriptors_to_send);
  g_test_add_func ("/errors/no-descriptors/to-make", test_no_descriptors_to_make);

  return g_test_run ();
}
