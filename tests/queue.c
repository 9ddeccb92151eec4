/* queue.c: tests of commands that the socket does not take at once
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* More than a socket holds, if each of them is so long. */
#define N_CALLS 100
#define LENGTH 10000

/* A file in which each call of a template leaves a byte. */
typedef struct
{
  char *path;
  char *padding;
} Notes;

static void
notes_init (Notes *notes)
{
  g_autoptr (GError) error = NULL;
  int fd = g_file_open_tmp ("gspawnfork-XXXXXX", &notes->path, &error);

  g_assert_no_error (error);
  g_assert_no_errno (close (fd));
  notes->padding = g_strnfill (LENGTH, 'x');
}

static guint
notes_count (Notes *notes)
{
  struct stat st;

  g_assert_no_errno (stat (notes->path, &st));
  return st.st_size;
}

static void
notes_clear (Notes *notes)
{
  g_unlink (notes->path);
  g_free (notes->path);
  g_free (notes->padding);
}

/* A template that reads no command before the other end of the pipe is closed. */
static GForkTemplate *
make_blocked (TestFd *unblock)
{
  GForkTemplate *template = g_fork_template_new_exec ();

  g_fork_template_require (template, "test-worker");
  g_fork_template_require (template, "test-note");
  test_block (template, unblock);
  return template;
}

static void
queue_calls (GForkTemplate *template,
             Notes         *notes)
{
  const char *const args[] = { notes->path, notes->padding, NULL };

  for (guint i = 0; i < N_CALLS; i++)
    g_fork_template_call (template, "test-note:note", args);
}

static gboolean
on_too_late (gpointer data)
{
  g_error ("It does not come to an end");
  return G_SOURCE_REMOVE;
}

/* Iterates the default context until all of them are done. */
static void
iterate_until_done (Notes *notes)
{
  guint source = g_timeout_add_seconds (60, on_too_late, NULL);

  while (notes_count (notes) < N_CALLS)
    {
      g_main_context_iteration (NULL, FALSE);
      g_thread_yield ();
    }
  g_source_remove (source);
}

/* ——— Memory ——— */

static guint64
get_memory (void)
{
  g_autofree char *status = test_read_proc (getpid (), "status");
  const char *line = strstr (status, "VmData:");

  g_assert_nonnull (line);
  return g_ascii_strtoull (line + strlen ("VmData:"), NULL, 10) * 1024;
}

static void
count_prepared (GObject      *source,
                GAsyncResult *result,
                gpointer      under_way)
{
  g_autoptr (GError) error = NULL;

  g_fork_template_prepare_finish (G_FORK_TEMPLATE (source), result, &error);
  g_assert_no_error (error);
  --*(guint *) under_way;
}

/* The queue never runs empty, and yet what was sent is not kept. */
static void
test_memory (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autofree char *value = g_strnfill (32 * 1024, 'x');
  guint64 before = 0;
  guint under_way = 0;

  if (test_under_valgrind () || test_under_sanitizer ())
    {
      g_test_skip ("memory is used in another way");
      return;
    }

  for (guint i = 0; i < 8192; i++)
    {
      g_fork_template_setenv (template, "GFORK_TEST", value);
      if (i % 16 != 15)
        continue;

      /* The template is slower than this process. */
      g_fork_template_call (template, "test-worker:sleep_for", (const char *[]){ "2", NULL });
      under_way++;
      g_fork_template_prepare_async (template, NULL, count_prepared, &under_way);
      while (under_way > 32)
        g_main_context_iteration (NULL, TRUE);
      if (i == 1023)
        before = get_memory ();
    }

  /* 224 MiB were sent since, of which 16 may be under way. As much may have been sent of the
   * queue's memory, which is doubled when it is full. */
  g_assert_cmpuint (get_memory (), <, before + (64 + 16) * 1024 * 1024);
  while (under_way > 0)
    g_main_context_iteration (NULL, TRUE);
}

/* ——— Who goes on with it ——— */

/* A template that is dropped or closed does what it was sent before. */
static void
check_what_is_left (gboolean is_dropped)
{
  g_autoptr (GForkTemplate) template = NULL;
  Notes notes;
  TestFd unblock = -1;

  notes_init (&notes);
  template = make_blocked (&unblock);
  queue_calls (template, &notes);
  if (is_dropped)
    g_clear_object (&template);
  else
    g_fork_template_close (template);
  test_close_fd (&unblock);
  iterate_until_done (&notes);
  notes_clear (&notes);
}

static void
test_dropped (void)
{
  check_what_is_left (TRUE);
}

static void
test_closed (void)
{
  check_what_is_left (FALSE);
}

typedef struct
{
  GForkTemplate *template;
  Notes *notes;
} Stranded;

static gpointer
queue_in_thread (gpointer data)
{
  Stranded *stranded = data;
  g_autoptr (GMainContext) context = g_main_context_new ();

  g_main_context_push_thread_default (context);
  queue_calls (stranded->template, stranded->notes);
  g_main_context_pop_thread_default (context);
  return NULL;
}

/* If the context that was to go on with it goes away, the default one does, … */
static void
test_stranded (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  Notes notes;
  TestFd unblock = -1;

  notes_init (&notes);
  template = make_blocked (&unblock);
  g_thread_join (g_thread_new ("queue", queue_in_thread, &(Stranded){ template, &notes }));
  test_close_fd (&unblock);
  iterate_until_done (&notes);
  notes_clear (&notes);
}

/* … or the next call, also of a thread whose context is not the one that was to. */
static void
test_taken_over (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GMainContext) idle = g_main_context_new ();
  g_autoptr (GError) error G_GNUC_UNUSED = NULL;
  Notes notes;
  TestFd unblock = -1;

  notes_init (&notes);
  template = make_blocked (&unblock);
  g_main_context_push_thread_default (idle);
  queue_calls (template, &notes);
  g_main_context_pop_thread_default (idle);
  test_close_fd (&unblock);

  /* Nobody iterates the context of the calls. */
  g_fork_template_setenv (template, "GFORK_TEST", "value");
  g_fork_template_close (template);
  iterate_until_done (&notes);
  notes_clear (&notes);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/queue/memory", test_memory);
  g_test_add_func ("/queue/dropped", test_dropped);
  g_test_add_func ("/queue/closed", test_closed);
  g_test_add_func ("/queue/stranded", test_stranded);
  g_test_add_func ("/queue/taken-over", test_taken_over);

  return g_test_run ();
}
