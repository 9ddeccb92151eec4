/* thumbnails-worker.c: decodes pictures, for thumbnails.c
 *
 * It has faults, to show what becomes of them: a file that begins with "CRASH" makes it crash, one
 * that begins with "HANG" makes it hang, and one that begins with "STEAL" takes it over and reads
 * a file of the system.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "thumbnails-job.h"

#include <gdk-pixbuf/gdk-pixbuf.h>
#include <gspawnfork/gforkworker.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A first picture has gdk-pixbuf load its modules and databases, which are files. */
G_FORK_EXPORT int
load_decoders (const GForkArg *args,
               size_t          n_args,
               char           *error,
               size_t          error_size)
{
  static const char *const formats[] = { "png", "jpeg", "gif" };
  /* One pixel. */
  static const guint8 sample[] = {
    'G', 'I', 'F', '8', '9', 'a', 1, 0, 1, 0, 0x80, 0, 0, 0, 0, 0, 255, 255, 255, 0x2c, 0, 0, 0,
    0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0, 0x3b,
  };
  g_autoptr (GdkPixbufLoader) any = gdk_pixbuf_loader_new ();

  for (gsize i = 0; i < G_N_ELEMENTS (formats); i++)
    {
      g_autoptr (GdkPixbufLoader) loader = gdk_pixbuf_loader_new_with_type (formats[i], NULL);

      if (loader != NULL)
        gdk_pixbuf_loader_close (loader, NULL);
    }
  /* This format has to be guessed. */
  gdk_pixbuf_loader_write (any, sample, sizeof sample, NULL);
  gdk_pixbuf_loader_close (any, NULL);
  return 0;
}

static void
on_size_prepared (GdkPixbufLoader *loader,
                  int              width,
                  int              height,
                  gpointer         data)
{
  double scale = (double) THUMBNAIL_SIZE / MAX (width, height);

  if (scale < 1)
    gdk_pixbuf_loader_set_size (loader, MAX (1, width * scale), MAX (1, height * scale));
}

static void
reply_with (GForkReply *reply,
            GdkPixbuf  *picture)
{
  g_autoptr (GdkPixbuf) with_alpha = gdk_pixbuf_add_alpha (picture, FALSE, 0, 0, 0);
  struct thumbnail head = {
    .width = gdk_pixbuf_get_width (with_alpha),
    .height = gdk_pixbuf_get_height (with_alpha),
  };
  gsize row = head.width * 4;
  gsize rowstride = gdk_pixbuf_get_rowstride (with_alpha);
  const guint8 *pixels = gdk_pixbuf_read_pixels (with_alpha);
  g_autoptr (GByteArray) bytes = g_byte_array_new ();

  g_byte_array_append (bytes, (const guint8 *) &head, sizeof head);
  for (guint y = 0; y < head.height; y++)
    g_byte_array_append (bytes, pixels + y * rowstride, row);
  g_fork_reply_set (reply, bytes->data, bytes->len);
}

/* What an attacker who has taken the decoder over would do. */
static int
steal (GForkReply *reply)
{
  g_autofree char *secrets = NULL;
  g_autoptr (GError) error = NULL;

  if (!g_file_get_contents ("/etc/passwd", &secrets, NULL, &error))
    {
      g_fork_reply_fail (reply, error->message);
      return 1;
    }

  g_fork_reply_set (reply, secrets, strlen (secrets));
  return 0;
}

static gboolean
begins_with (const void *request,
             size_t      length,
             const char *word)
{
  return length >= strlen (word) && memcmp (request, word, strlen (word)) == 0;
}

static int
decode_one (const void *request,
            size_t      length,
            GForkReply *reply,
            void       *user_data)
{
  g_autoptr (GdkPixbufLoader) loader = NULL;
  g_autoptr (GError) error = NULL;
  gboolean written, closed;

  if (begins_with (request, length, "CRASH"))
    abort ();
  if (begins_with (request, length, "HANG"))
    pause ();
  if (begins_with (request, length, "STEAL"))
    return steal (reply);

  loader = gdk_pixbuf_loader_new ();
  g_signal_connect (loader, "size-prepared", G_CALLBACK (on_size_prepared), NULL);
  written = gdk_pixbuf_loader_write (loader, request, length, &error);
  closed = gdk_pixbuf_loader_close (loader, written ? &error : NULL);
  if (!written || !closed)
    {
      g_fork_reply_fail (reply, error->message);
      return 1;
    }

  reply_with (reply, gdk_pixbuf_loader_get_pixbuf (loader));
  return 0;
}

G_FORK_EXPORT int
decode (int             socket,
        const GForkArg *args,
        size_t          n_args)
{
  return g_fork_serve_jobs (socket, decode_one, NULL);
}
