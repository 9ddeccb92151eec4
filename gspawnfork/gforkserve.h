/* gforkserve.h: for those who write a runtime
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#if !defined(GFORK_INSIDE) && !defined(GFORK_COMPILATION)
#error "Only <gspawnfork/gspawnfork.h> can be included directly."
#endif

#include <gio/gio.h>
#include <gspawnfork/gforkversion.h>

G_BEGIN_DECLS

/**
 * GForkRequest:
 * @G_FORK_REQUEST_REQUIRE: load the module, unless it is loaded already
 * @G_FORK_REQUEST_CALL: call the function with the strings
 * @G_FORK_REQUEST_EVAL: evaluate the code with the strings
 * @G_FORK_REQUEST_MODULE_PATH: from now on, look for modules in these directories, which are
 *   separated by colons, before all others
 * @G_FORK_REQUEST_FIND: find the function that is about to be run, `name` or `module:name`,
 *   and load its module if need be
 * @G_FORK_REQUEST_RUN: run the function that was found
 *
 * What an interpreter is asked to do; see [func@GFork.serve].
 *
 * Since: 1.0
 */
typedef enum
{
  G_FORK_REQUEST_REQUIRE,
  G_FORK_REQUEST_CALL,
  G_FORK_REQUEST_EVAL,
  G_FORK_REQUEST_MODULE_PATH,
  G_FORK_REQUEST_FIND,
  G_FORK_REQUEST_RUN
} GForkRequest;

/**
 * GForkRequestFunc:
 * @request: what to do
 * @name: the module, the function, the code or the directories, according to @request
 * @values: a variant of the type `av`. For %G_FORK_REQUEST_RUN it has the arguments that were
 *   sent: strings (`s`), bytes (`ay`) and descriptors (`h`, the number itself), of which the
 *   function takes ownership. For %G_FORK_REQUEST_CALL and %G_FORK_REQUEST_EVAL it has
 *   strings. For other requests it is empty
 * @socket: for %G_FORK_REQUEST_RUN, the communication socket, of which the function takes
 *   ownership
 * @reason: (out) (optional) (nullable) (transfer full): return location for the reason of a
 *   failure
 * @user_data: the data given to [func@GFork.serve]
 *
 * The type of functions that carry out a request in an interpreter.
 *
 * Returns: for %G_FORK_REQUEST_RUN, the exit status of the worker; for other requests, -1 on
 *   success, or a code of [error@GFork.Error]
 *
 * Since: 1.0
 */
typedef int (*GForkRequestFunc) (GForkRequest   request,
                                 const char    *name,
                                 GVariant      *values,
                                 int            socket,
                                 char         **reason,
                                 gpointer       user_data);

/**
 * GForkBytesFunc:
 * @request: the bytes that were given to [method@GFork.Pool.call]
 * @message: (out) (optional) (nullable) (transfer full): return location for the reason of a
 *   failure; if it is set, the job fails
 * @user_data: the data given to [func@GFork.serve_bytes]
 *
 * The type of functions that do one job in an interpreter.
 *
 * Returns: (transfer full) (nullable): the reply; %NULL for an empty one, or if @message is
 *   set
 *
 * Since: 1.0
 */
typedef GBytes *(*GForkBytesFunc) (GBytes    *request,
                                   char     **message,
                                   gpointer   user_data);

GFORK_AVAILABLE_IN_1_0
int      g_fork_serve_bytes (int              socket,
                             GForkBytesFunc   func,
                             gpointer         user_data);

GFORK_AVAILABLE_IN_1_0
gboolean g_fork_serve (const char * const  *arguments,
                       GForkRequestFunc     func,
                       gpointer             user_data,
                       GError             **error);

G_END_DECLS
