/* gforkserve.c: the template process, for interpreters of other languages
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "gforkserve.h"

#include "gforkerror.h"
#include "gforkworker.h"
#include "serve/serve.h"

#include <glib/gi18n-lib.h>

G_STATIC_ASSERT ((int) G_FORK_REQUEST_REQUIRE == (int) GFORK_REQUEST_REQUIRE);
G_STATIC_ASSERT ((int) G_FORK_REQUEST_CALL == (int) GFORK_REQUEST_CALL);
G_STATIC_ASSERT ((int) G_FORK_REQUEST_EVAL == (int) GFORK_REQUEST_EVAL);
G_STATIC_ASSERT ((int) G_FORK_REQUEST_MODULE_PATH == (int) GFORK_REQUEST_MODULE_PATH);
G_STATIC_ASSERT ((int) G_FORK_REQUEST_FIND == (int) GFORK_REQUEST_FIND);
G_STATIC_ASSERT ((int) G_FORK_REQUEST_RUN == (int) GFORK_REQUEST_RUN);

typedef struct
{
  GForkRequestFunc func;
  gpointer user_data;
} Server;

static GVariant *
value_to_variant (const struct gfork_value *value)
{
  g_autoptr (GBytes) bytes = NULL;

  if (value->fd >= 0)
    return g_variant_new_handle (value->fd);
  if (value->is_string)
    return g_variant_new_take_string (g_utf8_make_valid (value->data, value->length));

  /* It stays where it is, perhaps in memory that is shared, as long as the process. */
  bytes = g_bytes_new_static (value->data, value->length);
  return g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, bytes, TRUE);
}

static int
on_request (enum gfork_request        request,
            const char               *name,
            const struct gfork_value *values,
            size_t                    n_values,
            int                       socket,
            char                     *reason,
            size_t                    reason_size,
            void                     *data)
{
  Server *server = data;
  g_autoptr (GVariant) variant = NULL;
  g_autofree char *valid_name = g_utf8_make_valid (name, -1);
  g_autofree char *text = NULL;
  GVariantBuilder builder;
  int result;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("av"));
  for (size_t i = 0; i < n_values; i++)
    g_variant_builder_add (&builder, "v", value_to_variant (&values[i]));
  variant = g_variant_ref_sink (g_variant_builder_end (&builder));

  result = server->func ((GForkRequest) request, valid_name, variant, socket, &text,
                         server->user_data);
  g_strlcpy (reason, text != NULL ? text : "", reason_size);
  return result;
}

/**
 * g_fork_serve:
 * @arguments: (array zero-terminated=1): the arguments of the program, after its name
 * @func: (scope call) (closure user_data): carries out requests in the interpreter
 * @user_data: data for @func
 * @error: return location for an error
 *
 * Makes this process a template whose modules are in the language of an interpreter. The
 * program that the key file of a runtime names calls it.
 *
 * It carries out the commands that the process is sent. For the commands that depend on the
 * language, it calls @func. When a function has been run, it ends the process with its exit
 * status.
 *
 * The process is never forked, so the key file has to contain `Forks=false`.
 *
 * Descriptors above 2 without the close-on-exec flag are closed, because the process has
 * inherited them. Descriptors that it has opened itself must have the flag.
 *
 * This fails with %G_FORK_ERROR_NOT_SUPPORTED if the program was not started by the library.
 *
 * Returns: %FALSE with @error set; it does not return if the library has started the program
 *
 * Since: 1.0
 */
gboolean
g_fork_serve (const char * const  *arguments,
              GForkRequestFunc     func,
              gpointer             user_data,
              GError             **error)
{
  g_autoptr (GPtrArray) argv = NULL;
  Server server = { func, user_data };
  struct gfork_language language = { on_request, &server };

  g_return_val_if_fail (arguments != NULL, FALSE);
  g_return_val_if_fail (func != NULL, FALSE);

  argv = g_ptr_array_new ();
  g_ptr_array_add (argv, (gpointer) g_get_prgname ());
  for (; *arguments != NULL; arguments++)
    g_ptr_array_add (argv, (gpointer) *arguments);

  gfork_serve_language (argv->len, (char **) argv->pdata, &language);

  g_set_error (error, G_FORK_ERROR, G_FORK_ERROR_NOT_SUPPORTED,
               _("This program is started by the gspawnfork library"));
  return FALSE;
}

/* ——— Jobs ——— */

typedef struct
{
  GForkBytesFunc func;
  gpointer user_data;
} Jobs;

static int
on_job (const void *request,
        size_t      length,
        GForkReply *reply,
        void       *data)
{
  Jobs *jobs = data;
  g_autoptr (GBytes) bytes = g_bytes_new (request, length);
  g_autoptr (GBytes) answer = NULL;
  g_autofree char *message = NULL;

  answer = jobs->func (bytes, &message, jobs->user_data);
  if (message != NULL)
    g_fork_reply_fail (reply, message);
  else if (answer != NULL)
    g_fork_reply_set (reply, g_bytes_get_data (answer, NULL), g_bytes_get_size (answer));
  return 0;
}

/**
 * g_fork_serve_bytes:
 * @socket: the descriptor of the communication socket
 * @func: (scope call) (closure user_data): does one job
 * @user_data: data for @func
 *
 * Does the jobs of a [class@GFork.Pool], one after another, until the pool has no more for
 * this worker. This is for language bindings; modules in C use [func@GFork.serve_jobs].
 *
 * Returns: the exit status for the worker: 0 if the pool or the application has closed the
 *   connection; 1 if the connection cannot be used any more
 *
 * Since: 1.0
 */
int
g_fork_serve_bytes (int            socket,
                    GForkBytesFunc func,
                    gpointer       user_data)
{
  Jobs jobs = { func, user_data };

  g_return_val_if_fail (socket >= 0, 1);
  g_return_val_if_fail (func != NULL, 1);

  return g_fork_serve_jobs (socket, on_job, &jobs);
}
