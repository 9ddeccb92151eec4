/* gforkerror.h: what can go wrong
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
 * G_FORK_ERROR:
 *
 * The error domain of the library. Its codes are [error@GFork.Error].
 *
 * Since: 1.0
 */
#define G_FORK_ERROR (g_fork_error_quark ())

/**
 * GForkError:
 * @G_FORK_ERROR_FAILED: something failed that no other code describes
 * @G_FORK_ERROR_SPAWN: the helper or the interpreter could not be executed, or the program
 *   that was executed is not one
 * @G_FORK_ERROR_FORK: the system could not make another process
 * @G_FORK_ERROR_THREADED: the process has more than one thread, and therefore cannot be
 *   forked or confined; the message names the threads with their IDs. If it cannot be forked,
 *   the message also names the last module or function that was loaded or called before. An
 *   emulator such as qemu-user has a thread of its own in each process
 * @G_FORK_ERROR_MODULE: a module could not be found or loaded
 * @G_FORK_ERROR_FUNCTION: no loaded module has the function
 * @G_FORK_ERROR_CALL: a called function reported a failure
 * @G_FORK_ERROR_EXEC: the program could not be executed
 * @G_FORK_ERROR_LOST: the process ended unexpectedly, or it cannot be known how it ended
 * @G_FORK_ERROR_PROTOCOL: the template process or the worker does not speak the protocol, or
 *   not this version of it
 * @G_FORK_ERROR_NOT_SUPPORTED: the runtime or the system cannot do this
 * @G_FORK_ERROR_CLOSED: the template was closed, run, executed or detached before; the process
 *   has ended before; or the pool is not running
 * @G_FORK_ERROR_JOB: the function of a worker reported that it could not do a job
 *
 * Error codes of templates, processes and pools.
 *
 * An operation that was cancelled fails with %G_IO_ERROR_CANCELLED instead.
 *
 * Since: 1.0
 */
typedef enum
{
  G_FORK_ERROR_FAILED,
  G_FORK_ERROR_SPAWN,
  G_FORK_ERROR_FORK,
  G_FORK_ERROR_THREADED,
  G_FORK_ERROR_MODULE,
  G_FORK_ERROR_FUNCTION,
  G_FORK_ERROR_CALL,
  G_FORK_ERROR_EXEC,
  G_FORK_ERROR_LOST,
  G_FORK_ERROR_PROTOCOL,
  G_FORK_ERROR_NOT_SUPPORTED,
  G_FORK_ERROR_CLOSED,
  G_FORK_ERROR_JOB
} GForkError;

GFORK_AVAILABLE_IN_1_0
GQuark g_fork_error_quark (void);

G_END_DECLS
