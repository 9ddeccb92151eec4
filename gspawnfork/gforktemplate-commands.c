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
 * @module: (type filename): a module; for the runtime "c", the absolute path of a shared
 *   object, or the name of one in the module path (see [func@GFork.add_module_path])
 *
 * Loads a module, unless it is loaded already. If the module cannot be loaded, the next
 * operation fails with %G_FORK_ERROR_MODULE and the reason.
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
 *
 * If the function reports a failure, the next operation fails with %G_FORK_ERROR_CALL and the
 * message of the function. If the module cannot be loaded, it fails with
 * %G_FORK_ERROR_MODULE; if there is no such function, with %G_FORK_ERROR_FUNCTION.
 *
 * The name and the strings may have up to 16 MiB together. If they have more, the next
 * operation fails with %G_FORK_ERROR_FAILED. Longer data can be sent by
 * [method@GFork.Template.send_bytes]; the function takes it with `g_fork_take_args()`.
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
 * Evaluates code in the template, so that what it sets up is there in all forks.
 *
 * If the code fails, the next operation fails with %G_FORK_ERROR_CALL. If the runtime cannot
 * evaluate code, like the runtime "c", it fails with %G_FORK_ERROR_NOT_SUPPORTED. If the code
 * and the strings have more than 16 MiB together, it fails with %G_FORK_ERROR_FAILED.
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
 * @arg: (type filename): a string, usually in UTF-8
 *
 * Sends a string. It is passed to the function that is run, or appended to the arguments of
 * the program that is executed.
 *
 * A string of 64 KiB or more is sent like [method@GFork.Template.send_bytes] sends bytes, and
 * fails in the same way.
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
 * If there are 64 KiB or more, they are copied into memory that the template and all of its
 * forks share. A process maps that memory when it runs a function. If there is no memory or
 * descriptor for the copy, the next operation fails with %G_FORK_ERROR_FAILED.
 *
 * A program that is executed gets the bytes as an argument. If they contain a NUL, executing
 * it fails with %G_FORK_ERROR_EXEC.
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
 * Sends a descriptor. It is passed to the function that is run. In a program that is
 * executed, it has the lowest number from 3 on that is free.
 *
 * The descriptor is duplicated at once, so the caller may close its own. If that fails, for
 * instance because @fd is not open, the next operation fails with %G_FORK_ERROR_FAILED.
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
 * @fd: a descriptor, of which the template takes ownership
 *
 * Sends a descriptor as [method@GFork.Template.send_fd] does, but without duplicating it. It
 * is closed in the application when it was sent.
 *
 * If @fd is not open, the next operation fails with %G_FORK_ERROR_FAILED.
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
 * Sends the descriptor of a socket, as [method@GFork.Template.send_fd] does.
 *
 * The application and the worker share the open socket, and so its flag `O_NONBLOCK`, which
 * GIO sets on all of its sockets. A worker that reads from the descriptor itself has to
 * expect that. A [class@Gio.Socket] that the worker makes of the descriptor is not affected by
 * the flag: it blocks according to its own property, see [method@Gio.Socket.set_blocking].
 *
 * Several workers may accept connections on one listening socket. The sockets of a
 * [class@Gio.SocketListener] are passed to its signal [signal@Gio.SocketListener::event] with
 * the event %G_SOCKET_LISTENER_LISTENED.
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
 * Sends each descriptor of the list, in its order, as [method@GFork.Template.send_fd] does.
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
 * @fd: a descriptor; it is duplicated at once, so the caller may close its own
 * @target: the number that it is to have, at least 0
 *
 * Places a descriptor at an exact number in the worker or in the program that is executed. It
 * is not passed as an argument, and does not have the close-on-exec flag.
 *
 * If @fd cannot be duplicated, or if @target is not below the limit of open files or was
 * given to another descriptor before, the next operation fails with %G_FORK_ERROR_FAILED.
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
 * Sets an environment variable in the template. If @variable is empty or contains `=`, the
 * next operation fails with %G_FORK_ERROR_FAILED.
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
 * Removes an environment variable from the template. If @variable is empty or contains `=`,
 * the next operation fails with %G_FORK_ERROR_FAILED.
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
 * @directory: (type filename): a directory; a relative path starts from the present
 *   working directory of the template
 *
 * Changes the working directory of the template. At first it is the one that the application
 * had when the helper was executed.
 *
 * If the directory cannot be changed, the next operation fails with %G_FORK_ERROR_FAILED.
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
 * Replaces the whole environment of the template. Variables that
 * [method@GFork.Template.setenv] has set before are removed. Variables that it sets
 * afterwards are added. If @envp has a variable twice, the first string counts.
 *
 * If a string has another form, or the strings have more than 16 MiB together, the next
 * operation fails with %G_FORK_ERROR_FAILED.
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
 * `setsid(2)`.
 *
 * It then has no controlling terminal, and receives no signals that are sent to the process
 * group of the application. [method@GFork.Process.send_signal_to_group] and
 * [method@GFork.Process.force_exit] reach all that it has started.
 *
 * The template itself is not affected. Its forks inherit the setting. If the session cannot
 * be made, running or executing fails with %G_FORK_ERROR_FAILED.
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
 * for itself. @value becomes both the soft and the hard limit of `setrlimit(2)`. It does not
 * matter whether the template is confined before or after.
 *
 * The template itself is not limited. Its forks inherit the setting. If the limit cannot be
 * set, running or executing fails with %G_FORK_ERROR_FAILED, and the message names the limit.
 * An unprivileged application, for instance, cannot raise a hard limit.
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
 * Has the worker or program killed with `SIGKILL` when the application ends, or when the
 * template ends that it was forked from, however these end. Without this, a worker only reads
 * the end of file from its socket when the application has ended, and a program is not
 * affected.
 *
 * A set-user-ID program is not killed. Processes that the worker or program has started are
 * not killed either. The template itself is not affected. Its forks inherit the setting. If
 * the setting cannot be applied, running or executing fails with %G_FORK_ERROR_FAILED.
 *
 * The kernel kills the fork of a template when the template ends. A template that the
 * application has started itself may be run or executed, too. Then a small process is started
 * that watches the application: the kernel would kill the worker already when the thread of the
 * application ends that has started the template.
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
 * @sandbox: (transfer none): what the template may still do; it is copied
 *
 * Confines the template to what @sandbox allows. Its forks, their workers and the programs
 * that they execute are confined in the same way.
 *
 * This is a command like the others. Commands that the template was sent before, for
 * instance to load modules, are carried out outside the sandbox. Commands after it are
 * carried out inside. It cannot be undone. A template, or a fork of it, can be confined
 * again, about fifteen times. It may then do only what each of its sandboxes allows.
 *
 * Each worker is also separated from the others. It can signal and trace what it has
 * started itself, but not its template, other forks of its template, or the application.
 *
 * If the template cannot be confined, the next operation fails:
 *
 * - with %G_FORK_ERROR_NOT_SUPPORTED if the kernel lacks a required feature (see
 *   [method@GFork.Sandbox.set_required]), or if the library was built without libseccomp;
 * - with %G_FORK_ERROR_THREADED if the template process has more than one thread, as
 *   interpreters of JavaScript always have; the message names the threads;
 * - with %G_FORK_ERROR_FAILED if a path is not absolute or cannot be found, if there is no
 *   system call of a name, or if the kernel refuses.
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
