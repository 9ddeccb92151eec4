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
 * @G_FORK_REQUEST_REQUIRE: load the module, unless it is there
 * @G_FORK_REQUEST_CALL: call the function with the strings
 * @G_FORK_REQUEST_EVAL: evaluate the code with the strings
 * @G_FORK_REQUEST_MODULE_PATH: look for modules in these directories, separated by
 *   colons, before all others
 * @G_FORK_REQUEST_FIND: find the function, `name` or `module:name`, which is about to
 *   be run, and load its module if need be
 * @G_FORK_REQUEST_RUN: run the function that was found
 *
 * What an interpreter is asked to do. See [func@GFork.serve].
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
 * @name: a module, a function, a piece of code or directories
 * @values: what was sent, an array of type `av`: of strings (`s`), bytes (`ay`) and
 *   descriptors (`h`), which belong to the function; with every request but
 *   %G_FORK_REQUEST_RUN, these are strings
 * @socket: for %G_FORK_REQUEST_RUN the communication socket, which belongs to the
 *   function
 * @reason: (out) (optional) (nullable) (transfer full): return location for the reason of a
 *   failure
 * @user_data: what was given to [func@GFork.serve]
 *
 * Does one thing in an interpreter.
 *
 * Returns: for %G_FORK_REQUEST_RUN the exit status of the worker; for others -1 on
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
 * @request: what was given to [method@GFork.Pool.call]
 * @message: (out) (optional) (nullable) (transfer full): return location for the reason of a
 *   failure
 * @user_data: what was given to [func@GFork.serve_bytes]
 *
 * Does one job in an interpreter.
 *
 * Returns: (transfer full) (nullable): the reply; %NULL for an empty one, or if there is a
 *   message
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
