/* test-glib.c: a module that links GLib and GObject
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "test-module.h"

#include <gio/gio.h>
#include <string.h>

EXPORT int use_glib (int socket, const GForkArg *args, size_t n_args);
EXPORT int prepare_glib (const GForkArg *args, size_t n_args, char *error, size_t error_size);

static GHashTable *prepared;

/* Fills a table in the template, for the workers to find. */
EXPORT int
prepare_glib (const GForkArg *args,
              size_t          n_args,
              char           *error,
              size_t          error_size)
{
  prepared = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  for (size_t i = 0; i < n_args; i++)
    g_hash_table_add (prepared, g_strdup (args[i].data));

  return 0;
}

/* Answers each string that comes with whether it was prepared, through a
 * GSocket and a main loop. */
static gboolean
on_readable (GSocket     *socket,
             GIOCondition condition,
             gpointer     user_data)
{
  GMainLoop *loop = user_data;
  char buffer[256];
  gssize got = g_socket_receive (socket, buffer, sizeof (buffer) - 1, NULL, NULL);
  const char *reply;

  if (got <= 0)
    {
      g_main_loop_quit (loop);
      return G_SOURCE_REMOVE;
    }

  buffer[got] = '\0';
  g_strchomp (buffer);
  reply = g_hash_table_contains (prepared, buffer) ? "known\n" : "unknown\n";
  g_socket_send (socket, reply, strlen (reply), NULL, NULL);

  return G_SOURCE_CONTINUE;
}

EXPORT int
use_glib (int             socket,
          const GForkArg *args,
          size_t          n_args)
{
  g_autoptr (GSocket) gsocket = g_socket_new_from_fd (socket, NULL);
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (GSource) source = g_socket_create_source (gsocket, G_IO_IN | G_IO_HUP, NULL);

  g_source_set_callback (source, G_SOURCE_FUNC (on_readable), loop, NULL);
  g_source_attach (source, NULL);
  g_main_loop_run (loop);
  g_source_destroy (source);
  g_clear_pointer (&prepared, g_hash_table_unref);

  return 0;
}

/* Uses the generator in the template, and seeds it, too. */
EXPORT int draw_glib (const GForkArg *args, size_t n_args, char *error, size_t error_size);

int
draw_glib (const GForkArg *args,
           size_t          n_args,
           char           *error,
           size_t          error_size)
{
  g_random_set_seed (1);
  g_random_int ();
  return 0;
}

/* Says what the generator has next. */
EXPORT int tell_glib (int socket, const GForkArg *args, size_t n_args);

int
tell_glib (int             socket,
           const GForkArg *args,
           size_t          n_args)
{
  g_autofree char *number = g_strdup_printf ("%u", g_random_int ());

  return write (socket, number, strlen (number)) < 0;
}
