/* hostile-template.c: tests of the application with a template process that does not answer,
 * does not read, or floods it, and with programs that are not helpers
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "frames.h"
#include "operations.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

/* A frame that never comes to its end, and descriptors with each byte of it: the
 * application does not collect them until it can open no more. */
static void
test_flood_of_descriptors (void)
{
  g_auto (TestFd) other_end = -1;
  g_autoptr (GForkTemplate) template = new_played_by_test (&other_end);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  struct gfork_header header = { .length = GFORK_MAX_PAYLOAD, .verb = GFORK_ERROR };
  const int fds[] = { 2, 2, 2, 2, 2, 2, 2, 2 };
  guint n_fds;
  guint most = 0;

  /* What stays open for the main context does not count. */
  test_default_pid ();
  n_fds = test_count_fds (0);

  operation_begin (template, PREPARE, NULL, &result);
  g_assert_cmpint (send_some (other_end, &header, sizeof header, NULL, 0, 0), ==, sizeof header);
  for (int i = 0; i < 2000 && result == NULL; i++)
    {
      if (send_some (other_end, "x", 1, fds, G_N_ELEMENTS (fds), 0) < 0)
        g_assert_cmpint (errno, ==, EPIPE);
      g_main_context_iteration (NULL, FALSE);
      most = MAX (most, test_count_fds (0));
    }

  error = operation_end (template, PREPARE, &result, NULL);
  test_assert_error (error, G_FORK_ERROR_PROTOCOL);
  g_assert_cmpuint (most, <, n_fds + 200);
  g_assert_cmpuint (test_count_fds (0), <, n_fds);
}

/* The application has too many descriptors open: control data is truncated, and an answer
 * is good without its descriptor. */
static void
test_too_many_descriptors (void)
{
  g_auto (TestFd) other_end = -1;
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

  template = new_played_by_test (&other_end);
  operation_begin (template, PREPARE, NULL, &result);
  append_pid (bytes, GFORK_SYNCED, 1234, 1);
  send_bytes (other_end, bytes, 2, 1);

  g_assert_no_errno (getrlimit (RLIMIT_NOFILE, &limit));
  next = fcntl (2, F_DUPFD_CLOEXEC, 3);
  limit.rlim_cur = next;
  close (next);
  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &limit));

  error = operation_end (template, PREPARE, &result, NULL);
  g_assert_no_error (error);
}

/* A template process that lives and says nothing does not delay other templates. Its operations
 * can be cancelled. */
static void
test_silence (void)
{
  static const Operation operations[] = { PREPARE, RUN, EXEC, DETACH };

  for (gsize i = 0; i < G_N_ELEMENTS (operations); i++)
    {
      g_auto (TestFd) other_end = -1;
      g_autoptr (GForkTemplate) template = new_played_by_test (&other_end);
      g_autoptr (GForkTemplate) good = test_template_new ();
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      g_autoptr (GAsyncResult) result = NULL;
      g_autoptr (GAsyncResult) good_result = NULL;
      g_autoptr (GError) error = NULL;
      g_autoptr (GError) good_error = NULL;

      operation_begin (template, operations[i], cancellable, &result);
      operation_begin (good, PREPARE, NULL, &good_result);
      good_error = operation_end (good, PREPARE, &good_result, NULL);
      g_assert_no_error (good_error);
      g_assert_null (result);

      g_cancellable_cancel (cancellable);
      error = operation_end (template, operations[i], &result, NULL);
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    }
}

static void
test_silence_closed (void)
{
  g_auto (TestFd) other_end = -1;
  g_autoptr (GForkTemplate) template = new_played_by_test (&other_end);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GAsyncResult) run_result = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) run_error = NULL;

  operation_begin (template, PREPARE, NULL, &result);
  operation_begin (template, RUN, NULL, &run_result);
  g_fork_template_close (template);
  error = operation_end (template, PREPARE, &result, NULL);
  test_assert_error (error, G_FORK_ERROR_CLOSED);
  run_error = operation_end (template, RUN, &run_result, NULL);
  test_assert_error (run_error, G_FORK_ERROR_CLOSED);
}

/* A template process that never reads does not make the application wait, whatever it sends. */
static void
test_deafness (void)
{
  g_auto (TestFd) other_end = -1;
  g_autoptr (GForkTemplate) template = new_played_by_test (&other_end);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *string = g_strnfill (60000, 'x');

  for (int i = 0; i < 200; i++)
    g_fork_template_send_arg (template, string);
  operation_begin (template, RUN, NULL, &result);
  for (int i = 0; i < 100; i++)
    g_main_context_iteration (NULL, FALSE);
  g_assert_null (result);

  test_close_fd (&other_end);
  error = operation_end (template, RUN, &result, NULL);
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
  g_auto (TestFd) other_end = -1;
  g_autoptr (GForkTemplate) template = new_played_by_test (&other_end);
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
        flood (other_end);
    }

  /* While it is run, it is read in small pieces, so they are always faster. */
  tick = g_timeout_add (1, on_tick, &n_ticks);
  operation_begin (template, RUN, cancellable, &result);
  while (n_ticks < 100)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (tick);
  g_assert_null (result);

  g_cancellable_cancel (cancellable);
  error = operation_end (template, RUN, &result, NULL);
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
  g_auto (TestFd) other_end = -1;
  g_autoptr (GForkTemplate) template = new_played_by_test (&other_end);
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
  operation_begin (template, RUN, NULL, &result);
  send_bytes (other_end, bytes, fd, 1);
  error = operation_end (template, RUN, &result, &process);
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
  g_auto (TestFd) other_end = -1;
  g_autoptr (GForkTemplate) template = new_played_by_test (&other_end);
  g_autoptr (GByteArray) payload = NULL;
  g_autofree char *string = g_strnfill (MEBIBYTE, 's');
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (TestFd) fd = -1;
  struct stat st;
  int seals;

  g_fork_template_send_arg (template, string);
  operation_begin (template, PREPARE, NULL, &result);
  g_assert_cmpuint (receive_frame (other_end, &payload, &fd), ==, GFORK_ARG_MEMFD);
  g_assert_cmpint (fd, >=, 0);
  g_assert_no_errno (fstat (fd, &st));
  g_assert_cmpuint (st.st_nlink, ==, 0);
  g_assert_cmpuint (st.st_size, ==, MEBIBYTE + 1);

  seals = fcntl (fd, F_GET_SEALS);
  if (seals >= 0)
    {
      /* Newer kernels seal besides that it cannot be executed. */
  g_assert_cmpint (seals & ~F_SEAL_EXEC, ==, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
      g_assert_cmpint (pwrite (fd, "x", 1, 0), ==, -1);
      g_assert_cmpint (errno, ==, EPERM);
      g_assert_cmpint (ftruncate (fd, 0), ==, -1);
      g_assert_cmpint (errno, ==, EPERM);
      g_assert_true (mmap (NULL, 1, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
    }

  test_close_fd (&other_end);
  error = operation_end (template, PREPARE, &result, NULL);
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
  { "leaves", "exit 3", G_FORK_ERROR_SPAWN, "3" },
  { "killed", "kill -9 $$", G_FORK_ERROR_SPAWN, "9" },
  { "half-an-answer", "printf 12345 >&3; exit 4", G_FORK_ERROR_SPAWN, "4" },
  { "hangs-up", "exec 3>&-; exec cat <\"$1\"", G_FORK_ERROR_SPAWN },
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
  operation_begin (template, RUN, cancellable, &result);
  if (program->code == G_FORK_ERROR_FAILED)
    {
      g_main_context_iteration (NULL, FALSE);
      g_assert_null (result);
      g_cancellable_cancel (cancellable);
      error = operation_end (template, RUN, &result, NULL);
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    }
  else
    {
      error = operation_end (template, RUN, &result, NULL);
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

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/hostile/template/flood-of-descriptors", test_flood_of_descriptors);
  g_test_add_func ("/hostile/template/too-many-descriptors", test_too_many_descriptors);
  g_test_add_func ("/hostile/template/silence", test_silence);
  g_test_add_func ("/hostile/template/silence-closed", test_silence_closed);
  g_test_add_func ("/hostile/template/deafness", test_deafness);
  g_test_add_func ("/hostile/template/flood-of-answers", test_flood_of_answers);
  g_test_add_data_func ("/hostile/template/false-pidfd/always-readable", "/dev/zero",
                        test_false_pidfd);
  g_test_add_data_func ("/hostile/template/false-pidfd/pipe", NULL, test_false_pidfd);
  g_test_add_func ("/hostile/template/memory-is-sealed", test_memory_is_sealed);

  test_add_table ("/hostile/program", programs, test_program);

  return g_test_run ();
}
