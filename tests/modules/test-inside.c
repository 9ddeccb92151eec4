/* test-inside.c: uses what has to work in a sandbox: GLib's main loop, threads and tasks, and
 * gdk-pixbuf
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-module.h"

#include <gio/gio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef WITH_PIXBUF
#include <gdk-pixbuf/gdk-pixbuf.h>
#endif

EXPORT int use_main_loop (int socket, const GForkArg *args, size_t n_args);

/* What is still to come before the loop ends */
typedef struct
{
  GMainLoop *loop;
  guint n_expected;
  GString *seen;
} Progress;

static void
note (Progress   *progress,
      const char *what)
{
  g_string_append_printf (progress->seen, " %s", what);
  if (--progress->n_expected == 0)
    g_main_loop_quit (progress->loop);
}

static gboolean
on_timeout (gpointer progress)
{
  note (progress, "timeout");
  return G_SOURCE_REMOVE;
}

static gboolean
on_idle (gpointer progress)
{
  note (progress, "idle");
  return G_SOURCE_REMOVE;
}

static gboolean
on_readable (GSocket      *socket,
             GIOCondition  condition,
             gpointer      progress)
{
  char byte;

  if (g_socket_receive (socket, &byte, 1, NULL, NULL) == 1)
    note (progress, "socket");
  return G_SOURCE_REMOVE;
}

static gpointer
invoke_from_thread (gpointer progress)
{
  g_main_context_invoke (NULL, on_idle, progress);
  return NULL;
}

static void
on_child (GPid     pid,
          int      wait_status,
          gpointer progress)
{
  if (WIFEXITED (wait_status) && WEXITSTATUS (wait_status) == 7)
    note (progress, "child");
}

static void
work_in_thread (GTask        *task,
                gpointer      source,
                gpointer      data,
                GCancellable *cancellable)
{
  g_task_return_int (task, 42);
}

static void
on_task (GObject      *source,
         GAsyncResult *result,
         gpointer      progress)
{
  if (g_task_propagate_int (G_TASK (result), NULL) == 42)
    note (progress, "task");
}

static int
compare_words (const void *a,
               const void *b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

/* Answers a byte with what came about by a timeout, a thread, a task, a child and the socket, in the
 * order of the alphabet. */
int
use_main_loop (int             fd,
               const GForkArg *args,
               size_t          n_args)
{
  Progress progress = { g_main_loop_new (NULL, FALSE), 5, g_string_new (NULL) };
  g_autoptr (GSocket) socket = g_socket_new_from_fd (fd, NULL);
  g_autoptr (GSource) source = g_socket_create_source (socket, G_IO_IN, NULL);
  g_autoptr (GTask) task = g_task_new (NULL, NULL, on_task, &progress);
  g_auto (GStrv) words = NULL;
  g_autofree char *answer = NULL;
  GThread *thread = g_thread_new ("inside", invoke_from_thread, &progress);
  GPid pid = fork ();

  if (pid == 0)
    _exit (7);
  g_child_watch_add (pid, on_child, &progress);
  g_timeout_add (1, on_timeout, &progress);
  g_source_set_callback (source, G_SOURCE_FUNC (on_readable), &progress, NULL);
  g_source_attach (source, NULL);
  g_task_run_in_thread (task, work_in_thread);
  g_main_loop_run (progress.loop);
  g_thread_join (thread);

  words = g_strsplit (progress.seen->str + 1, " ", -1);
  qsort (words, g_strv_length (words), sizeof *words, compare_words);
  answer = g_strjoinv (" ", words);
  g_printerr ("# a confined worker has seen: %s\n", answer);
  dprintf (fd, "%s\n", answer);
  return 0;
}

#ifdef WITH_PIXBUF

EXPORT int load_pixbuf (const GForkArg *args, size_t n_args, char *error, size_t error_size);
EXPORT int decode_pixbuf (int socket, const GForkArg *args, size_t n_args);

/* One pixel, which is red. */
static const guint8 picture[] = {
  'G', 'I', 'F', '8', '9', 'a', 1, 0, 1, 0, 0x80, 0, 0, 255, 0, 0, 255, 0, 0,
  0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0, 0x3b,
};

static GdkPixbuf *
decode (GError **error)
{
  g_autoptr (GdkPixbufLoader) loader = gdk_pixbuf_loader_new ();
  gboolean written = gdk_pixbuf_loader_write (loader, picture, sizeof picture, error);

  if (!gdk_pixbuf_loader_close (loader, written ? error : NULL) || !written)
    return NULL;
  return g_object_ref (gdk_pixbuf_loader_get_pixbuf (loader));
}

/* Has gdk-pixbuf read its modules and databases. */
int
load_pixbuf (const GForkArg *args,
             size_t          n_args,
             char           *error,
             size_t          error_size)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (GdkPixbuf) pixbuf = decode (&failure);

  if (pixbuf == NULL)
    g_strlcpy (error, failure->message, error_size);
  return pixbuf == NULL;
}

/* Answers a byte with what the picture is. */
int
decode_pixbuf (int             fd,
               const GForkArg *args,
               size_t          n_args)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GdkPixbuf) pixbuf = decode (&error);
  char byte;

  if (read (fd, &byte, 1) != 1)
    return 1;
  if (pixbuf == NULL)
    dprintf (fd, "%s\n", error->message);
  else
    dprintf (fd, "%d x %d, %02x\n", gdk_pixbuf_get_width (pixbuf), gdk_pixbuf_get_height (pixbuf),
             gdk_pixbuf_read_pixels (pixbuf)[0]);
  return 0;
}

#endif
