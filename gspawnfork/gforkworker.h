/* gforkworker.h: what a module that runs in a worker includes
 *
 * Nothing but the C library is needed, so that workers stay small.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * GForkArg:
 * @fd: a file descriptor, or -1 if this is a string
 * @data: (array length=length) (element-type guint8) (nullable): the bytes,
 *   followed by a NUL that @length does not count; %NULL if this is a
 *   descriptor
 * @length: the number of bytes in @data
 *
 * One thing that was sent to a template: a descriptor or a string of bytes.
 *
 * The worker owns the descriptor, which is close-on-exec, and may close it. The
 * bytes stay valid as long as the process lives and must not be written to:
 * long ones are memory that is shared with other processes.
 *
 * Since: 1.0
 */
typedef struct
{
  int fd;
  const char *data;
  size_t length;
} GForkArg;

/**
 * GForkRunFunc:
 * @socket: the communication socket: a connected, blocking, close-on-exec Unix
 *   stream socket, owned by the function
 * @args: (array length=n_args): what was sent, in the order sent
 * @n_args: the number of elements in @args
 *
 * The type of functions for [method@GFork.Template.run].
 *
 * When the function returns, the worker leaves by `exit()`: handlers and destructors of
 * modules are run, and the buffers of stdio are written out. A function that has nothing
 * to do there can call `_exit()`, which makes a short worker's life shorter.
 *
 * Returns: the exit status, of which the system keeps the lowest eight bits
 *
 * Since: 1.0
 */
typedef int (*GForkRunFunc) (int             socket,
                             const GForkArg *args,
                             size_t          n_args);

/**
 * GForkCallFunc:
 * @args: (array length=n_args): the strings given to the call
 * @n_args: the number of elements in @args
 * @error: (array length=error_size): where to write a message, a NUL-terminated
 *   string, when the function fails
 * @error_size: the size of @error in bytes
 *
 * The type of functions for [method@GFork.Template.call].
 *
 * The function runs in the template, so everything that it sets up is there in
 * every fork of it. It must not leave threads behind: a process with more
 * than one thread cannot be forked.
 *
 * Returns: 0 on success, anything else on failure
 *
 * Since: 1.0
 */
typedef int (*GForkCallFunc) (const GForkArg *args,
                              size_t          n_args,
                              char           *error,
                              size_t          error_size);

/**
 * g_fork_take_args: (skip)
 * @args: (out) (transfer none): where to store the arguments
 *
 * Takes the arguments that have been sent for the run so far, which are then no
 * longer passed to it. To be used inside a [callback@GFork.CallFunc].
 *
 * The array and its strings stay valid as long as the process and its forks
 * live. The descriptors belong to the caller.
 *
 * Returns: the number of arguments
 *
 * Since: 1.0
 */
#if defined(__GNUC__)
__attribute__ ((visibility ("default")))
#endif
size_t g_fork_take_args (const GForkArg **args);

#ifdef __cplusplus
}
#endif
