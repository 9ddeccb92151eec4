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
 * Marks a function of a module that is to be found by its name. It has C linkage, also in
 * C++, and default visibility, whatever the options of the compiler are.
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
 * @fd: a descriptor; -1 if the argument is a string or bytes
 * @data: (array length=length) (element-type guint8) (nullable): the bytes, followed by a NUL
 *   that @length does not count; %NULL if the argument is a descriptor
 * @length: the number of bytes in @data
 *
 * An argument that was sent to a template: a descriptor, or a string or bytes.
 *
 * The function that receives it owns the descriptor, which has the close-on-exec flag. The
 * bytes are valid as long as the process lives. They must not be written to: 64 KiB or more
 * are memory that other processes share.
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
 * @socket: the communication socket: a connected, blocking Unix stream socket with the
 *   close-on-exec flag, which the function owns
 * @args: (array length=n_args): the arguments that were sent, in the order in which they were
 *   sent
 * @n_args: the number of elements in @args
 *
 * The type of functions for [method@GFork.Template.run].
 *
 * When the function returns, the worker calls `exit()`. This runs the exit handlers and
 * destructors of modules, and writes out the buffers of stdio. A function that needs none of
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
 * The function runs in the template, so everything that it sets up is there in every fork of
 * the template. It must not leave threads behind, because a process with more than one thread
 * cannot be forked.
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
 * Takes the arguments that the template was sent so far. They are then not passed to the
 * function that is run. This is for use inside a [callback@GFork.CallFunc].
 *
 * The array and its strings are valid as long as the process and its forks live. The caller
 * owns the descriptors.
 *
 * Returns: the number of arguments; 0 outside a [callback@GFork.CallFunc], or if there is no
 *   memory
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
 * @request: (array length=length): the bytes that were given to [method@GFork.Pool.call],
 *   followed by a NUL that @length does not count, and aligned like memory from `malloc()`
 * @length: the number of bytes in @request
 * @reply: receives the reply, or the reason of the failure
 * @user_data: the data given to [func@GFork.serve_jobs]
 *
 * The type of functions that do one job, in a worker of a [class@GFork.Pool].
 *
 * The request is valid until the function returns. If the function succeeds without
 * `g_fork_reply_set()`, the reply is empty. If it fails without `g_fork_reply_fail()`, the
 * job fails with a general message.
 *
 * Returns: 0 if the job succeeded, anything else if it failed
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
 * @data: (array length=length): the bytes of the reply, which are copied
 * @length: the number of bytes in @data
 *
 * Sets the reply, which [method@GFork.Pool.call] returns. It replaces a reply or a failure
 * that was set before.
 *
 * If there is no memory for the copy, the job fails with a message that says so.
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
 * @message: why the job fails, in UTF-8; it is copied
 *
 * Makes the job fail: [method@GFork.Pool.call] fails with %G_FORK_ERROR_JOB and this message,
 * even if the function returns 0. It replaces a reply or a failure that was set before.
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
 * Does the jobs of a [class@GFork.Pool], one after another, until the pool has no more for
 * this worker. It begins with [func@GFork.Worker.ready].
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
 * Returns: the exit status for the worker: 0 if the pool or the application has closed the
 *   connection; 1 if the connection cannot be used any more
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
 * Tells the pool that this worker is ready. This is for workers of pools that have
 * [property@GFork.Pool:wait-for-ready] set. A pool without it does not read the message, and
 * the first borrower of the worker would find it in the socket.
 *
 * Since: 1.0
 */
_G_FORK_VISIBLE
void g_fork_worker_ready (int socket);

#ifdef __cplusplus
}
#endif
