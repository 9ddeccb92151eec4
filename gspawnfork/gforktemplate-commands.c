/* gforktemplate-commands.c: what a template is sent before it is run
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "gforktemplate-private.h"

#include "base/error.h"
#include "base/memory.h"
#include "gforksandbox-private.h"
#include "start/modulepath.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n-lib.h>
#include <string.h>

/* ——— Preparing ——— */

/**
 * g_fork_template_require:
 * @self: a template
 * @module: (type filename): for the runtime "c" a shared object: an absolute path,
 *   or the name of one in the module path, see [func@GFork.add_module_path]; for
 *   other runtimes what they call a module
 *
 * Loads a module, unless it is loaded already. If that fails, the next operation fails with
 * %G_FORK_ERROR_MODULE and the reason.
 *
 * Since: 1.0
 */
void
g_fork_template_require (GForkTemplate *self,
                         const char    *module)
{
  g_return_if_fail (G_FORK_IS_TEMPLATE (self));
  g_return_if_fail (module != NULL);

  g_fork_module_path_send (g_fork_template_get_remote (self));
  g_fork_remote_send_strings (g_fork_template_get_remote (self), GFORK_REQUIRE, module, NULL);
}

/**
 * g_fork_template_call:
 * @self: a template
 * @function: (type filename): the name of a function, `name` or `module:name`, of the type
 *   [callback@GFork.CallFunc]
 * @args: (array zero-terminated=1) (element-type filename) (nullable): strings for the function
 *
 * Calls a function in the template, so that what it sets up is there in all forks.
 * Its name and the strings may have up to 16 MiB together; what is longer can be
 * sent, and taken by the function with `g_fork_take_args()`.
 *
 * If the function reports a failure, the next operation fails with
 * %G_FORK_ERROR_CALL and its message; if it does not exist, with
 * %G_FORK_ERROR_FUNCTION or %G_FORK_ERROR_MODULE.
 *
 * Since: 1.0
 */
void
g_fork_template_call (GForkTemplate      *self,
                      const char         *function,
                      const char * const *args)
{
  g_return_if_fail (G_FORK_IS_TEMPLATE (self));
  g_return_if_fail (function != NULL);

  g_fork_module_path_send (g_fork_template_get_remote (self));
  g_fork_remote_send_strings (g_fork_template_get_remote (self), GFORK_CALL, function, args);
}

/**
 * g_fork_template_eval:
 * @self: a template
 * @code: (type filename): code in the language of the runtime
 * @args: (array zero-terminated=1) (element-type filename) (nullable): strings for the code
 *
 * Evaluates code in the template.
 *
 * If the code fails, the next operation fails with %G_FORK_ERROR_CALL; if the runtime
 * cannot evaluate code, as "c" cannot, with %G_FORK_ERROR_NOT_SUPPORTED.
 *
 * Since: 1.0
 */
void
g_fork_template_eval (GForkTemplate      *self,
                      const char         *code,
                      const char * const *args)
{
  g_return_if_fail (G_FORK_IS_TEMPLATE (self));
  g_return_if_fail (code != NULL);

  g_fork_module_path_send (g_fork_template_get_remote (self));
  g_fork_remote_send_strings (g_fork_template_get_remote (self), GFORK_EVAL, code, args);
}

/* A string or bytes: within a frame, or in memory that is shared. */
static void
send_bytes (GForkTemplate       *self,
            gconstpointer        data,
            gsize                length,
            enum gfork_arg_kind  kind)
{
  GForkRemote *remote = g_fork_template_get_remote (self);

  if (length < GFORK_MAX_INLINE)
    {
      guint8 small[256];
      g_autofree guint8 *large = length < sizeof small ? NULL : g_malloc (length + 1);
      guint8 *payload = large != NULL ? large : small;

      payload[0] = kind;
      if (length > 0)
        memcpy (payload + 1, data, length);
      g_fork_remote_send (remote, GFORK_ARG, payload, length + 1, NULL, 0);
    }
  else
    {
      struct gfork_memfd memfd = { .length = length, .kind = kind };
      GError *error = NULL;
      int fd = g_fork_memory_new (data, length, &error);

      if (fd < 0)
        g_fork_remote_fail (remote, error);
      else
        g_fork_remote_send (remote, GFORK_ARG_MEMFD, &memfd, sizeof memfd, &fd, 1);
    }
  /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): g_autofree has freed it */
}

/**
 * g_fork_template_send_arg:
 * @self: a template
 * @arg: (type filename): a string, in UTF-8 unless the function is to have other bytes
 *
 * Sends a string, which is passed to the function that is run, or appended to the
 * arguments of the program that is executed.
 *
 * Since: 1.0
 */
void
g_fork_template_send_arg (GForkTemplate *self,
                          const char    *arg)
{
  g_return_if_fail (G_FORK_IS_TEMPLATE (self));
  g_return_if_fail (arg != NULL);

  send_bytes (self, arg, strlen (arg), GFORK_ARG_STRING);
}

/**
 * g_fork_template_send_bytes:
 * @self: a template
 * @bytes: (transfer none): bytes, up to 4 GiB of them
 *
 * Sends bytes, as [method@GFork.Template.send_arg] sends a string. They are copied at once,
 * so the memory that @bytes was made of may be changed or freed afterwards.
 *
 * Bytes from 64 KiB on are copied into memory that the template and all of its forks share.
 * A process maps it when it runs a function.
 *
 * Since: 1.0
 */
void
g_fork_template_send_bytes (GForkTemplate *self,
                            GBytes        *bytes)
{
  gconstpointer data;
  gsize length;

  g_return_if_fail (G_FORK_IS_TEMPLATE (self));
  g_return_if_fail (bytes != NULL);

  data = g_bytes_get_data (bytes, &length);
  send_bytes (self, data, length, GFORK_ARG_BYTES);
}

/* Has the next operation tell why a descriptor could not be sent. */
static void
fail_to_send (GForkTemplate *self,
              int            fd)
{
  g_fork_remote_fail (g_fork_template_get_remote (self),
                      g_error_new (G_FORK_ERROR, G_FORK_ERROR_FAILED,
                                   _("Could not send descriptor %d: %s"), fd, g_strerror (errno)));
}

static int
duplicate (GForkTemplate *self,
           int            fd)
{
  int copy = fcntl (fd, F_DUPFD_CLOEXEC, 3);

  if (copy < 0)
    fail_to_send (self, fd);
  return copy;
}

/**
 * g_fork_template_send_fd:
 * @self: a template
 * @fd: a descriptor
 *
 * Sends a descriptor, which is passed to the function that is run, or becomes the
 * lowest number from 3 on that is free in the program that is executed. It is
 * duplicated at once: the caller may close its own.
 *
 * Since: 1.0
 */
void
g_fork_template_send_fd (GForkTemplate *self,
                         int            fd)
{
  int copy;

  g_return_if_fail (G_FORK_IS_TEMPLATE (self));

  copy = duplicate (self, fd);
  if (copy >= 0)
    g_fork_remote_send (g_fork_template_get_remote (self), GFORK_ARG_FD, NULL, 0, &copy, 1);
}

/**
 * g_fork_template_take_fd:
 * @self: a template
 * @fd: a descriptor, which becomes the template's
 *
 * Like [method@GFork.Template.send_fd], but takes the descriptor, which is closed
 * once it was sent.
 *
 * Since: 1.0
 */
void
g_fork_template_take_fd (GForkTemplate *self,
                         int            fd)
{
  g_return_if_fail (G_FORK_IS_TEMPLATE (self));

  if (fcntl (fd, F_SETFD, FD_CLOEXEC) != 0)
    fail_to_send (self, fd);
  else
    g_fork_remote_send (g_fork_template_get_remote (self), GFORK_ARG_FD, NULL, 0, &fd, 1);
}

/**
 * g_fork_template_send_socket:
 * @self: a template
 * @socket: (transfer none): a socket
 *
 * Like [method@GFork.Template.send_fd], for a socket. A socket that was made non-blocking,
 * as GIO makes all of its sockets, is non-blocking in the worker too: the flag belongs to
 * the open socket, which both share. A [class@Gio.Socket] that a worker makes of the
 * descriptor blocks or not according to its own property, see
 * [method@Gio.Socket.set_blocking], whatever the flag is.
 *
 * Several workers may accept connections on one listening socket. A
 * [class@Gio.SocketListener] hands out its sockets by its signal `event`, with
 * %G_SOCKET_LISTENER_LISTENED.
 *
 * Since: 1.0
 */
void
g_fork_template_send_socket (GForkTemplate *self,
                             GSocket       *socket)
{
  g_return_if_fail (G_FORK_IS_TEMPLATE (self));
  g_return_if_fail (G_IS_SOCKET (socket));

  g_fork_template_send_fd (self, g_socket_get_fd (socket));
}

/**
 * g_fork_template_send_fd_list:
 * @self: a template
 * @list: (transfer none): descriptors
 *
 * Like [method@GFork.Template.send_fd] for each of them, in the order of the list.
 *
 * Since: 1.0
 */
void
g_fork_template_send_fd_list (GForkTemplate *self,
                              GUnixFDList   *list)
{
  const int *fds;
  int n, copies[GFORK_MAX_FDS], n_copies = 0;

  g_return_if_fail (G_FORK_IS_TEMPLATE (self));
  g_return_if_fail (G_IS_UNIX_FD_LIST (list));

  fds = g_unix_fd_list_peek_fds (list, &n);
  for (int i = 0; i < n; i++)
    {
      copies[n_copies] = duplicate (self, fds[i]);
      n_copies += copies[n_copies] >= 0;

      if (n_copies == GFORK_MAX_FDS || (i == n - 1 && n_copies > 0))
        {
          g_fork_remote_send (g_fork_template_get_remote (self), GFORK_ARG_FD, NULL, 0, copies,
                              n_copies);
          n_copies = 0;
        }
    }
}

/**
 * g_fork_template_map_fd:
 * @self: a template
 * @fd: a descriptor; it is duplicated at once
 * @target: the number that it is to have, at least 0
 *
 * Places a descriptor at an exact number in the worker or in the program that is
 * executed. It is not passed as an argument, and not close-on-exec.
 *
 * If the number is beyond the limit of open files, or was given to another descriptor
 * before, the next operation fails with %G_FORK_ERROR_FAILED.
 *
 * Since: 1.0
 */
void
g_fork_template_map_fd (GForkTemplate *self,
                        int            fd,
                        int            target)
{
  gint32 payload = target;
  int copy;

  g_return_if_fail (G_FORK_IS_TEMPLATE (self));
  g_return_if_fail (target >= 0);

  g_fork_remote_add_mapped (g_fork_template_get_remote (self), target);
  copy = fcntl (fd, F_DUPFD_CLOEXEC, 3);
  if (copy < 0)
    g_fork_remote_fail (g_fork_template_get_remote (self),
                        g_error_new (G_FORK_ERROR, G_FORK_ERROR_FAILED,
                                     _("Could not place descriptor %d at %d: %s"), fd, target,
                                     g_strerror (errno)));
  else
    g_fork_remote_send (g_fork_template_get_remote (self), GFORK_MAP_FD, &payload, sizeof payload,
                        &copy, 1);
}

/**
 * g_fork_template_setenv:
 * @self: a template
 * @variable: (type filename): the name of an environment variable
 * @value: (type filename): its new value
 *
 * Sets an environment variable in the template.
 *
 * Since: 1.0
 */
void
g_fork_template_setenv (GForkTemplate *self,
                        const char    *variable,
                        const char    *value)
{
  const char *rest[] = { value, NULL };

  g_return_if_fail (G_FORK_IS_TEMPLATE (self));
  g_return_if_fail (variable != NULL);
  g_return_if_fail (value != NULL);

  g_fork_remote_send_strings (g_fork_template_get_remote (self), GFORK_SETENV, variable, rest);
}

/**
 * g_fork_template_unsetenv:
 * @self: a template
 * @variable: (type filename): the name of an environment variable
 *
 * Removes an environment variable from the template.
 *
 * Since: 1.0
 */
void
g_fork_template_unsetenv (GForkTemplate *self,
                          const char    *variable)
{
  g_return_if_fail (G_FORK_IS_TEMPLATE (self));
  g_return_if_fail (variable != NULL);

  g_fork_remote_send_strings (g_fork_template_get_remote (self), GFORK_UNSETENV, variable, NULL);
}

/**
 * g_fork_template_set_cwd:
 * @self: a template
 * @directory: (type filename): a directory; a relative one starts from the
 *   template's present one
 *
 * Changes the template's working directory, which at first is the one that the
 * application had when the helper was executed.
 *
 * Since: 1.0
 */
void
g_fork_template_set_cwd (GForkTemplate *self,
                         const char    *directory)
{
  g_return_if_fail (G_FORK_IS_TEMPLATE (self));
  g_return_if_fail (directory != NULL);

  g_fork_remote_send_strings (g_fork_template_get_remote (self), GFORK_CHDIR, directory, NULL);
}

/**
 * g_fork_template_set_environ:
 * @self: a template
 * @envp: (array zero-terminated=1) (element-type filename): the new environment, strings
 *   of the form `NAME=value`
 *
 * Replaces the whole environment of the template. What [method@GFork.Template.setenv] has
 * set before is removed, and what it sets afterwards is added.
 *
 * If a string has another form, the next operation fails with %G_FORK_ERROR_FAILED.
 *
 * Since: 1.0
 */
void
g_fork_template_set_environ (GForkTemplate      *self,
                             const char * const *envp)
{
  g_autoptr (GByteArray) payload = NULL;

  g_return_if_fail (G_FORK_IS_TEMPLATE (self));
  g_return_if_fail (envp != NULL);

  payload = g_byte_array_new ();
  for (; *envp != NULL; envp++)
    g_byte_array_append (payload, (const guint8 *) *envp, strlen (*envp) + 1);
  g_fork_remote_send (g_fork_template_get_remote (self), GFORK_ENVIRON, payload->data,
                      payload->len, NULL, 0);
}

/* ——— What applies to the worker or program ——— */

/**
 * g_fork_template_setsid:
 * @self: a template
 *
 * Makes the worker or program the leader of a new session and process group, by
 * `setsid(2)`. It has no terminal then, and gets no signals that are sent to the
 * application's group. It can be ended together with all that it has started, by
 * [method@GFork.Process.send_signal_to_group] and [method@GFork.Process.force_exit].
 *
 * The template itself is not affected. Its forks inherit this. If it cannot be done, the
 * run fails with %G_FORK_ERROR_FAILED.
 *
 * Since: 1.0
 */
void
g_fork_template_setsid (GForkTemplate *self)
{
  g_return_if_fail (G_FORK_IS_TEMPLATE (self));

  g_fork_remote_send (g_fork_template_get_remote (self), GFORK_SETSID, NULL, 0, NULL, 0);
}

/**
 * g_fork_template_set_limit:
 * @self: a template
 * @limit: what is limited
 * @value: the limit, in the unit that [enum@GFork.Limit] says; %G_MAXUINT64 for none
 *
 * Limits what the worker or program may use. Each process that it starts has the same limit
 * for itself. @value becomes both the soft and the hard limit of `setrlimit(2)`.
 *
 * The template itself is not limited. Its forks inherit this. If the limit cannot be set,
 * for instance because it is above the present one and the application is unprivileged, the
 * run fails with %G_FORK_ERROR_FAILED and names the limit.
 *
 * Since: 1.0
 */
void
g_fork_template_set_limit (GForkTemplate *self,
                           GForkLimit     limit,
                           guint64        value)
{
  struct gfork_limit frame = { .resource = limit, .value = value };

  g_return_if_fail (G_FORK_IS_TEMPLATE (self));

  g_fork_remote_send (g_fork_template_get_remote (self), GFORK_LIMIT, &frame, sizeof frame, NULL,
                      0);
}

/**
 * g_fork_template_die_with_application:
 * @self: a template
 *
 * Has the kernel kill the worker or program, with `SIGKILL`, when the application ends, or
 * the template that it was forked from does, however they end. Without this, a worker reads
 * the end of file from its socket when the application has ended, and a program goes on.
 *
 * A set-user-ID program is not killed, and neither are processes that the worker or program
 * has started. The template itself is not affected. Its forks inherit this. If it cannot be
 * done, the run fails with %G_FORK_ERROR_FAILED.
 *
 * In a template that is a child of the application, and not a fork of another template,
 * this starts a small process that watches the application. The kernel's own mechanism
 * would kill the worker when the thread that has started it ends. A fork needs no such
 * process.
 *
 * Since: 1.0
 */
void
g_fork_template_die_with_application (GForkTemplate *self)
{
  g_return_if_fail (G_FORK_IS_TEMPLATE (self));

  g_fork_remote_send (g_fork_template_get_remote (self), GFORK_DIE, NULL, 0, NULL, 0);
}

/**
 * g_fork_template_confine:
 * @self: a template
 * @sandbox: (transfer none): what it may still do
 *
 * Confines the template, and all that is forked from it, their workers and the programs
 * that they execute, to what @sandbox allows.
 *
 * This is a command like others: what the template was sent before, like commands to load
 * modules, is done outside the sandbox, and what comes after it inside. It cannot be undone.
 * Confining a template, or a fork of it, again allows what both sandboxes allow; that
 * can be done about fifteen times.
 *
 * Each worker is also separated from the others. It can signal and trace what it has
 * started itself, but not its template, other forks of its template, or the application.
 *
 * @sandbox is copied. If the template cannot be confined, the next operation fails: with
 * %G_FORK_ERROR_NOT_SUPPORTED if the kernel lacks something that is required, or if the
 * library was built without libseccomp; with %G_FORK_ERROR_THREADED if the process has more
 * than one thread, as interpreters of JavaScript always do; with %G_FORK_ERROR_FAILED if a
 * path cannot be found, a system call has no such name, or the kernel refuses.
 *
 * Since: 1.0
 */
void
g_fork_template_confine (GForkTemplate *self,
                         GForkSandbox  *sandbox)
{
  g_auto (GForkConfinement) confinement = { 0 };
  GError *error = NULL;

  g_return_if_fail (G_FORK_IS_TEMPLATE (self));
  g_return_if_fail (G_FORK_IS_SANDBOX (sandbox));

  if (!g_fork_sandbox_compile (sandbox, &confinement, &error))
    {
      g_fork_remote_fail (g_fork_template_get_remote (self), error);
      return;
    }

  /* The descriptors belong to the remote from here on. */
  g_fork_remote_send (g_fork_template_get_remote (self), GFORK_CONFINE, confinement.payload->data,
                      confinement.payload->len, confinement.fds, confinement.n_fds);
  confinement.n_fds = 0;
}
