/* gforktemplate.h: a process that can be prepared, forked and run
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#if !defined(GFORK_INSIDE) && !defined(GFORK_COMPILATION)
#error "Only <gspawnfork/gspawnfork.h> can be included directly."
#endif

#include <gio/gio.h>
#include <gio/gunixfdlist.h>
#include <gspawnfork/gforkprocess.h>
#include <gspawnfork/gforksandbox.h>
#include <gspawnfork/gforkversion.h>

G_BEGIN_DECLS

/**
 * GForkExecFlags:
 * @G_FORK_EXEC_NONE: standard input is `/dev/null`; standard output and standard error are
 *   those of the template, which has those of the application
 * @G_FORK_EXEC_SOCKET_STDIN: standard input is the communication socket
 * @G_FORK_EXEC_SOCKET_STDOUT: standard output is the communication socket
 * @G_FORK_EXEC_SOCKET_STDERR: standard error is the communication socket
 * @G_FORK_EXEC_SEARCH_PATH: look the program up in the `PATH` of the template's environment
 * @G_FORK_EXEC_STDIN_PIPE: standard input is a pipe, which is written to by
 *   [method@GFork.Process.get_stdin_pipe]
 * @G_FORK_EXEC_STDOUT_PIPE: standard output is a pipe, which is read by
 *   [method@GFork.Process.get_stdout_pipe]
 * @G_FORK_EXEC_STDERR_PIPE: standard error is a pipe, which is read by
 *   [method@GFork.Process.get_stderr_pipe]
 * @G_FORK_EXEC_STDOUT_SILENCE: standard output is `/dev/null`
 * @G_FORK_EXEC_STDERR_SILENCE: standard error is `/dev/null`
 * @G_FORK_EXEC_STDERR_MERGE: standard error goes where standard output goes
 *
 * How [method@GFork.Template.execv] executes a program.
 *
 * Flags for different streams can be combined. Two flags for the same stream contradict each
 * other, and executing fails with %G_FORK_ERROR_FAILED.
 *
 * Since: 1.0
 */
typedef enum
{
  G_FORK_EXEC_NONE = 0,
  G_FORK_EXEC_SOCKET_STDIN = 1 << 0,
  G_FORK_EXEC_SOCKET_STDOUT = 1 << 1,
  G_FORK_EXEC_SOCKET_STDERR = 1 << 2,
  G_FORK_EXEC_SEARCH_PATH = 1 << 3,
  G_FORK_EXEC_STDIN_PIPE = 1 << 4,
  G_FORK_EXEC_STDOUT_PIPE = 1 << 5,
  G_FORK_EXEC_STDERR_PIPE = 1 << 6,
  G_FORK_EXEC_STDOUT_SILENCE = 1 << 7,
  G_FORK_EXEC_STDERR_SILENCE = 1 << 8,
  G_FORK_EXEC_STDERR_MERGE = 1 << 9
} GForkExecFlags;

/**
 * GForkLimit:
 * @G_FORK_LIMIT_CPU_TIME: the processor time, in seconds (`RLIMIT_CPU`)
 * @G_FORK_LIMIT_MEMORY: the size of the address space, in bytes (`RLIMIT_AS`)
 * @G_FORK_LIMIT_FILE_SIZE: the size of a file that is written, in bytes (`RLIMIT_FSIZE`)
 * @G_FORK_LIMIT_OPEN_FILES: one more than the highest descriptor number (`RLIMIT_NOFILE`)
 * @G_FORK_LIMIT_PROCESSES: the number of processes and threads of the user
 *   (`RLIMIT_NPROC`), which the kernel does not enforce for root
 * @G_FORK_LIMIT_CORE: the size of a core dump, in bytes (`RLIMIT_CORE`)
 *
 * The resources that [method@GFork.Template.set_limit] can limit; see `setrlimit(2)`.
 *
 * Since: 1.0
 */
typedef enum
{
  G_FORK_LIMIT_CPU_TIME,
  G_FORK_LIMIT_MEMORY,
  G_FORK_LIMIT_FILE_SIZE,
  G_FORK_LIMIT_OPEN_FILES,
  G_FORK_LIMIT_PROCESSES,
  G_FORK_LIMIT_CORE
} GForkLimit;

#define G_FORK_TYPE_TEMPLATE (g_fork_template_get_type ())

GFORK_AVAILABLE_IN_1_0
G_DECLARE_FINAL_TYPE (GForkTemplate, g_fork_template, G_FORK, TEMPLATE, GObject)

/* Making one */

/**
 * GForkMainFunc:
 * @socket: the control socket of the fork; in the calling process, the library closes it
 *   afterwards
 * @user_data: the data given to [ctor@GFork.Template.new_from_main_with] or to
 *   [func@GFork.init_early_with]
 *
 * The type of functions that fork the calling program.
 *
 * In the fork, the function carries out the commands that arrive on @socket, and does not
 * return. It is called with all signals blocked.
 *
 * Returns: the process ID of the fork, or a negative error number, such as `-EAGAIN`
 *
 * Since: 1.0
 */
typedef GPid (*GForkMainFunc) (int      socket,
                               gpointer user_data);

GFORK_AVAILABLE_IN_1_0
GForkTemplate *g_fork_template_new             (void);
GFORK_AVAILABLE_IN_1_0
GForkTemplate *g_fork_template_new_exec        (void);
GFORK_AVAILABLE_IN_1_0
GForkTemplate *g_fork_template_new_for_runtime (const char     *runtime);
GFORK_AVAILABLE_IN_1_0
GForkTemplate *g_fork_template_new_exec_for_runtime    (const char *runtime);
GFORK_AVAILABLE_IN_1_0
GForkTemplate *g_fork_template_dup_default_for_runtime (const char *runtime);
GFORK_AVAILABLE_IN_1_0
GForkTemplate *g_fork_template_new_from_main   (GError        **error);
GFORK_AVAILABLE_IN_1_0
GForkTemplate *g_fork_template_new_from_main_with (const char     *runtime,
                                                   GForkMainFunc   func,
                                                   gpointer        user_data,
                                                   GError        **error);
GFORK_AVAILABLE_IN_1_0
GForkTemplate *g_fork_template_new_from_socket (GSocket        *socket);
GFORK_AVAILABLE_IN_1_0
GForkTemplate *g_fork_template_fork            (GForkTemplate  *self);
GFORK_AVAILABLE_IN_1_0
GForkTemplate *g_fork_template_dup_default     (void);
GFORK_AVAILABLE_IN_1_0
void           g_fork_template_set_default     (GForkTemplate  *template_);

/* Preparing it */

GFORK_AVAILABLE_IN_1_0
void     g_fork_template_require        (GForkTemplate         *self,
                                         const char            *module);
GFORK_AVAILABLE_IN_1_0
void     g_fork_template_call           (GForkTemplate         *self,
                                         const char            *function,
                                         const char * const    *args);
GFORK_AVAILABLE_IN_1_0
void     g_fork_template_eval           (GForkTemplate         *self,
                                         const char            *code,
                                         const char * const    *args);
GFORK_AVAILABLE_IN_1_0
void     g_fork_template_send_arg       (GForkTemplate         *self,
                                         const char            *arg);
GFORK_AVAILABLE_IN_1_0
void     g_fork_template_send_bytes     (GForkTemplate         *self,
                                         GBytes                *bytes);
GFORK_AVAILABLE_IN_1_0
void     g_fork_template_send_fd        (GForkTemplate         *self,
                                         int                    fd);
GFORK_AVAILABLE_IN_1_0
void     g_fork_template_take_fd        (GForkTemplate         *self,
                                         int                    fd);
GFORK_AVAILABLE_IN_1_0
void     g_fork_template_send_socket    (GForkTemplate         *self,
                                         GSocket               *socket);
GFORK_AVAILABLE_IN_1_0
void     g_fork_template_send_fd_list   (GForkTemplate         *self,
                                         GUnixFDList           *list);
GFORK_AVAILABLE_IN_1_0
void     g_fork_template_map_fd         (GForkTemplate         *self,
                                         int                    fd,
                                         int                    target);
GFORK_AVAILABLE_IN_1_0
void     g_fork_template_setenv         (GForkTemplate         *self,
                                         const char            *variable,
                                         const char            *value);
GFORK_AVAILABLE_IN_1_0
void     g_fork_template_unsetenv       (GForkTemplate         *self,
                                         const char            *variable);
GFORK_AVAILABLE_IN_1_0
void     g_fork_template_set_environ    (GForkTemplate         *self,
                                         const char * const    *envp);
GFORK_AVAILABLE_IN_1_0
void     g_fork_template_setsid         (GForkTemplate         *self);
GFORK_AVAILABLE_IN_1_0
void     g_fork_template_set_limit      (GForkTemplate         *self,
                                         GForkLimit             limit,
                                         guint64                value);
GFORK_AVAILABLE_IN_1_0
void     g_fork_template_die_with_application (GForkTemplate   *self);
GFORK_AVAILABLE_IN_1_0
void     g_fork_template_set_cwd        (GForkTemplate         *self,
                                         const char            *directory);
GFORK_AVAILABLE_IN_1_0
void     g_fork_template_confine        (GForkTemplate         *self,
                                         GForkSandbox          *sandbox);

GFORK_AVAILABLE_IN_1_0
void     g_fork_template_prepare_async  (GForkTemplate         *self,
                                         GCancellable          *cancellable,
                                         GAsyncReadyCallback    callback,
                                         gpointer               user_data);
GFORK_AVAILABLE_IN_1_0
gboolean g_fork_template_prepare_finish (GForkTemplate         *self,
                                         GAsyncResult          *result,
                                         GError               **error);
GFORK_AVAILABLE_IN_1_0
gboolean g_fork_template_prepare        (GForkTemplate         *self,
                                         GCancellable          *cancellable,
                                         GError               **error);

GFORK_AVAILABLE_IN_1_0
void     g_fork_template_wait_async     (GForkTemplate         *self,
                                         GCancellable          *cancellable,
                                         GAsyncReadyCallback    callback,
                                         gpointer               user_data);
GFORK_AVAILABLE_IN_1_0
gboolean g_fork_template_wait_finish    (GForkTemplate         *self,
                                         GAsyncResult          *result,
                                         GError               **error);
GFORK_AVAILABLE_IN_1_0
gboolean g_fork_template_wait           (GForkTemplate         *self,
                                         GCancellable          *cancellable,
                                         GError               **error);

/* Ending the preparation */

GFORK_AVAILABLE_IN_1_0
void     g_fork_template_run_async      (GForkTemplate         *self,
                                         const char            *function,
                                         GCancellable          *cancellable,
                                         GAsyncReadyCallback    callback,
                                         gpointer               user_data);
GFORK_AVAILABLE_IN_1_0
GSocket *g_fork_template_run_finish     (GForkTemplate         *self,
                                         GAsyncResult          *result,
                                         GForkProcess         **process,
                                         GError               **error);
GFORK_AVAILABLE_IN_1_0
GSocket *g_fork_template_run            (GForkTemplate         *self,
                                         const char            *function,
                                         GForkProcess         **process,
                                         GCancellable          *cancellable,
                                         GError               **error);

GFORK_AVAILABLE_IN_1_0
void     g_fork_template_execv_async    (GForkTemplate         *self,
                                         const char * const    *argv,
                                         GForkExecFlags         flags,
                                         GCancellable          *cancellable,
                                         GAsyncReadyCallback    callback,
                                         gpointer               user_data);
GFORK_AVAILABLE_IN_1_0
GSocket *g_fork_template_execv_finish   (GForkTemplate         *self,
                                         GAsyncResult          *result,
                                         GForkProcess         **process,
                                         GError               **error);
GFORK_AVAILABLE_IN_1_0
GSocket *g_fork_template_execv          (GForkTemplate         *self,
                                         const char * const    *argv,
                                         GForkExecFlags         flags,
                                         GForkProcess         **process,
                                         GCancellable          *cancellable,
                                         GError               **error);

GFORK_AVAILABLE_IN_1_0
void     g_fork_template_detach_async   (GForkTemplate         *self,
                                         GCancellable          *cancellable,
                                         GAsyncReadyCallback    callback,
                                         gpointer               user_data);
GFORK_AVAILABLE_IN_1_0
GSocket *g_fork_template_detach_finish  (GForkTemplate         *self,
                                         GAsyncResult          *result,
                                         GError               **error);
GFORK_AVAILABLE_IN_1_0
GSocket *g_fork_template_detach         (GForkTemplate         *self,
                                         GCancellable          *cancellable,
                                         GError               **error);

GFORK_AVAILABLE_IN_1_0
void     g_fork_template_close          (GForkTemplate         *self);

/* About it */

GFORK_AVAILABLE_IN_1_0
GPid         g_fork_template_get_pid              (GForkTemplate *self);
GFORK_AVAILABLE_IN_1_0
const char  *g_fork_template_get_runtime          (GForkTemplate *self);
GFORK_AVAILABLE_IN_1_0
guint        g_fork_template_get_spare_processes  (GForkTemplate *self);
GFORK_AVAILABLE_IN_1_0
void         g_fork_template_set_spare_processes  (GForkTemplate *self,
                                                   guint          spare_processes);

/* For the whole program */

GFORK_AVAILABLE_IN_1_0
void     g_fork_add_module_path (const char  *directory);
GFORK_AVAILABLE_IN_1_0
void     g_fork_set_interpreter (const char  *runtime,
                                 const char  *interpreter);
GFORK_AVAILABLE_IN_1_0
void     g_fork_set_interpreter_argv (const char         *runtime,
                                      const char * const *argv);
GFORK_AVAILABLE_IN_1_0
void     g_fork_embed_helper    (int          argc,
                                 char       **argv);
GFORK_AVAILABLE_IN_1_0
gboolean g_fork_init_early      (GError     **error);
GFORK_AVAILABLE_IN_1_0
gboolean g_fork_init_early_with (const char     *runtime,
                                 GForkMainFunc   func,
                                 gpointer        user_data,
                                 GError        **error);

G_END_DECLS
