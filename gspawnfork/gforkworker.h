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
 * G_FORK_EXPORT:
 *
 * Marks a function of a module that is to be found by its name: it has C linkage,
 * also in C++, and is visible whatever the compiler's default is.
 *
 * ```c
 * G_FORK_EXPORT int
 * worker (int socket, const GForkArg *args, size_t n_args)
 * ```
 *
 * Since: 1.0
 */
#if defined(__GNUC__)
#define _G_FORK_VISIBLE __attribute__ ((visibility ("default")))
#else
#define _G_FORK_VISIBLE
#endif
#ifdef __cplusplus
#define G_FORK_EXPORT extern "C" _G_FORK_VISIBLE
#else
#define G_FORK_EXPORT _G_FORK_VISIBLE
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
 * modules are run, and the buffers of stdio are written out. A function that needs none of
 * that can call `_exit()`, which takes less time.
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
 * Takes the arguments that have been sent for the run so far. They are not passed to the
 * function that is run then. This is for use inside a [callback@GFork.CallFunc].
 *
 * The array and its strings stay valid as long as the process and its forks
 * live. The descriptors belong to the caller.
 *
 * Returns: the number of arguments
 *
 * Since: 1.0
 */
_G_FORK_VISIBLE
size_t g_fork_take_args (const GForkArg **args);

/**
 * GForkReply: (skip)
 *
 * The reply to one job; see [callback@GFork.JobFunc].
 *
 * Since: 1.0
 */
typedef struct _GForkReply GForkReply;

/**
 * GForkJobFunc: (skip)
 * @request: (array length=length): the bytes that were given to
 *   [method@GFork.Pool.call], followed by a NUL that @length does not count, and
 *   aligned as `malloc()` aligns
 * @length: the number of bytes in @request
 * @reply: takes the reply, or the reason of the failure
 * @user_data: the data given to [func@GFork.serve_jobs]
 *
 * The type of functions that do one job, in a worker of a [class@GFork.Pool].
 *
 * The request is valid until the function returns.
 *
 * Returns: 0 if the job succeeded; an empty reply is sent if none was set. Anything
 *   else if it failed; a general message is sent if `g_fork_reply_fail()` was not
 *   called
 *
 * Since: 1.0
 */
typedef int (*GForkJobFunc) (const void *request,
                             size_t      length,
                             GForkReply *reply,
                             void       *user_data);

/**
 * g_fork_reply_set: (skip)
 * @reply: the reply to a job
 * @data: (array length=length): bytes, which are copied
 * @length: the number of bytes in @data
 *
 * Sets what [method@GFork.Pool.call] returns. The last call counts.
 *
 * If there is no memory for the copy, the job fails and says so.
 *
 * Since: 1.0
 */
_G_FORK_VISIBLE
void g_fork_reply_set (GForkReply *reply,
                       const void *data,
                       size_t      length);

/**
 * g_fork_reply_fail: (skip)
 * @reply: the reply to a job
 * @message: why the job fails, UTF-8
 *
 * Makes the job fail: [method@GFork.Pool.call] fails with %G_FORK_ERROR_JOB and this
 * message, whatever the function returns. The last call counts.
 *
 * Since: 1.0
 */
_G_FORK_VISIBLE
void g_fork_reply_fail (GForkReply *reply,
                        const char *message);

/**
 * g_fork_serve_jobs: (skip)
 * @socket: the communication socket
 * @func: does one job
 * @user_data: data for @func
 *
 * Does the jobs of a [class@GFork.Pool], one after another, until the pool has no more
 * for this worker. Says first that the worker is ready, as
 * [func@GFork.Worker.ready] does.
 *
 * ```c
 * static int
 * count_bytes (const void *request, size_t length, GForkReply *reply, void *user_data)
 * {
 *   char text[32];
 *
 *   g_fork_reply_set (reply, text, snprintf (text, sizeof text, "%zu", length));
 *   return 0;
 * }
 *
 * int
 * worker (int socket, const GForkArg *args, size_t n_args)
 * {
 *   return g_fork_serve_jobs (socket, count_bytes, NULL);
 * }
 * ```
 *
 * Returns: the exit status for the worker to return: 0 if the pool, or the
 *   application, has closed the connection; 1 if the connection cannot be used
 *
 * Since: 1.0
 */
_G_FORK_VISIBLE
int g_fork_serve_jobs (int          socket,
                       GForkJobFunc func,
                       void        *user_data);

/**
 * g_fork_worker_ready:
 * @socket: the descriptor of the communication socket
 *
 * Says that this worker is ready: for workers of pools of which
 * [property@GFork.Pool:wait-for-ready] is set. A pool without it leaves the message in
 * the socket, where the first borrower of the worker would find it.
 *
 * Since: 1.0
 */
_G_FORK_VISIBLE
void g_fork_worker_ready (int socket);

#ifdef __cplusplus
}
#endif
