/* gforktemplate.c: the class: making, running and ending a template
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "gforktemplate-private.h"

#include "base/context.h"
#include "base/error.h"
#include "base/generation.h"
#include "gforkprocess-private.h"
#include "process/streams.h"
#include "start/default.h"
#include "start/modulepath.h"
#include "start/program.h"
#include "start/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n-lib.h>
#include <string.h>

/**
 * GForkTemplate:
 *
 * A process that waits for commands and can be forked.
 *
 * A template is prepared: modules are loaded into it, functions are called in it, and
 * strings and descriptors are sent to it. Then it is forked, any number of times, and each
 * fork runs a function. Running a function makes the fork a *worker*. The callback receives
 * the *communication socket*, a [class@Gio.Socket] that is connected to the worker. The
 * [Glossary](glossary.html) explains these words.
 *
 * ```c
 * static void
 * on_running (GObject      *source,
 *             GAsyncResult *result,
 *             gpointer      user_data)
 * {
 *   g_autoptr (GError) error = NULL;
 *   g_autoptr (GForkProcess) process = NULL;
 *   g_autoptr (GSocket) socket = NULL;
 *
 *   socket = g_fork_template_run_finish (G_FORK_TEMPLATE (source), result,
 *                                        &process, &error);
 *   if (socket == NULL)
 *     {
 *       g_warning ("No worker: %s", error->message);
 *       return;
 *     }
 *   …
 * }
 *
 * static void
 * start_worker (const char *language)
 * {
 *   g_autoptr (GForkTemplate) template = g_fork_template_new ();
 *
 *   g_fork_template_send_arg (template, language);
 *   g_fork_template_run_async (template, "spellcheck:serve", NULL, on_running, NULL);
 * }
 * ```
 *
 * The application itself is not forked, except by [ctor@GFork.Template.new_from_main] and
 * [func@GFork.init_early]. It executes one small program, the *helper*, and for other
 * languages an interpreter. All further processes are forks of these. So the size, the
 * threads and the open files of the application do not matter.
 *
 * A worker inherits only standard output and standard error from the application. Its
 * standard input is `/dev/null`. It also has its socket, the descriptors that were sent to
 * it, and those that the modules in its template have opened. No signal is blocked in it.
 * Each signal has its default action, except that SIGHUP, SIGINT and SIGQUIT stay ignored if
 * the application ignored them when the helper was started.
 *
 * ## Commands
 *
 * The methods that create and prepare a template return at once. Their commands are queued,
 * and the template process carries them out in order. These methods report no errors. If a
 * command fails, the next *operation* fails with an error that says which command failed and
 * why. The operations are [method@GFork.Template.prepare], [method@GFork.Template.run],
 * [method@GFork.Template.execv] and [method@GFork.Template.detach].
 *
 * A template in which a command has failed carries out no further commands, and its forks
 * fail with the same error. Workers that were forked from it before are not affected.
 *
 * A command that only prepares something, such as a string to send, is held back. It is sent
 * together with the next command that has an effect.
 *
 * If the process has ended, all operations fail with %G_FORK_ERROR_LOST.
 *
 * ## Threads
 *
 * All methods may be called from any thread. The library has no threads of its own. The
 * result of an asynchronous method arrives in the thread-default main context of the call,
 * and the work is done in that context, too.
 *
 * A synchronous method blocks until the operation is complete, and does not iterate the
 * thread's own main context. Besides the errors of the asynchronous form, it fails with
 * %G_FORK_ERROR_FAILED if there are no descriptors left for a main context in which to wait.
 *
 * ## Lifetime
 *
 * If the last reference is dropped before a run, the process carries out the commands that
 * are queued, and then ends. An operation under way keeps the object alive, so a template can
 * be prepared, run and dropped at once. If a command has failed and no operation has reported
 * that, dropping the last reference prints a warning.
 *
 * A template process is the parent of the workers that were forked from it, and reports how
 * they end. So it lives until all of them have ended. If a template that has such workers is
 * run, its process cannot become a worker itself. The library then forks it once more, and the
 * new fork runs the function.
 *
 * Since: 1.0
 */

struct _GForkTemplate
{
  GObject parent_instance;

  GForkRemote *remote;   /* the process; made on first use, see get_remote() */
  GForkRemote *runner;   /* the fork that was run instead of it, because it has children */
  int ended;             /* run, executed or detached: only once */
  char *runtime;
};

enum
{
  PROP_PID = 1,
  PROP_RUNTIME,
  PROP_SPARE_PROCESSES,
  N_PROPS
};

static GParamSpec *props[N_PROPS];

G_DEFINE_FINAL_TYPE (GForkTemplate, g_fork_template, G_TYPE_OBJECT)

/* ——— The process ——— */

static void
set_remote (GForkTemplate *self,
            GForkRemote   *remote)
{
  /* Another thread may be faster. */
  if (!g_atomic_pointer_compare_and_exchange (&self->remote, NULL, remote))
    g_fork_remote_disown (remote);
}

static const char *
get_runtime (GForkTemplate *self)
{
  return self->runtime != NULL ? self->runtime : "c";
}

/* A fork of the runtime's default template; for a runtime that cannot be forked, if there is
 * no such template, a new process. */
static GForkRemote *
fork_default (const char *runtime)
{
  GForkRemote *parent = g_fork_default_own (runtime, FALSE);
  GForkRemote *remote;

  if (parent == NULL && !g_fork_runtime_forks (runtime))
    return g_fork_runtime_start (runtime);
  if (parent == NULL)
    parent = g_fork_default_own (runtime, TRUE);
  remote = g_fork_remote_fork (parent);

  g_fork_remote_disown (parent);
  return remote;
}

/* What g_object_new() has made gets its process when it is first used. */
GForkRemote *
g_fork_template_get_remote (GForkTemplate *self)
{
  GForkRemote *remote = g_atomic_pointer_get (&self->remote);

  if (G_LIKELY (remote != NULL))
    return remote;

  set_remote (self, fork_default (get_runtime (self)));
  return g_atomic_pointer_get (&self->remote);
}

/* Takes the process, which the caller owns. */
static GForkTemplate *
new_for_remote (GForkRemote *remote,
                const char  *runtime)
{
  GForkTemplate *self = runtime == NULL
                            ? g_object_new (G_FORK_TYPE_TEMPLATE, NULL)
                            : g_object_new (G_FORK_TYPE_TEMPLATE, "runtime", runtime, NULL);

  set_remote (self, remote);
  return self;
}

/* ——— The object ——— */

static void
g_fork_template_get_property (GObject    *object,
                              guint       prop_id,
                              GValue     *value,
                              GParamSpec *pspec)
{
  GForkTemplate *self = G_FORK_TEMPLATE (object);

  switch (prop_id)
    {
    case PROP_PID:
      g_value_set_int (value, g_fork_template_get_pid (self));
      break;
    case PROP_RUNTIME:
      g_value_set_string (value, g_fork_template_get_runtime (self));
      break;
    case PROP_SPARE_PROCESSES:
      g_value_set_uint (value, g_fork_template_get_spare_processes (self));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
g_fork_template_set_property (GObject      *object,
                              guint         prop_id,
                              const GValue *value,
                              GParamSpec   *pspec)
{
  GForkTemplate *self = G_FORK_TEMPLATE (object);

  switch (prop_id)
    {
    case PROP_RUNTIME:
      self->runtime = g_value_dup_string (value);
      break;
    case PROP_SPARE_PROCESSES:
      g_fork_template_set_spare_processes (self, g_value_get_uint (value));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
g_fork_template_finalize (GObject *object)
{
  GForkTemplate *self = G_FORK_TEMPLATE (object);

  g_clear_pointer (&self->runner, g_fork_remote_disown);
  g_clear_pointer (&self->remote, g_fork_remote_disown);
  g_free (self->runtime);

  G_OBJECT_CLASS (g_fork_template_parent_class)->finalize (object);
}

static void
g_fork_template_class_init (GForkTemplateClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = g_fork_template_get_property;
  object_class->set_property = g_fork_template_set_property;
  object_class->finalize = g_fork_template_finalize;

  /**
   * GForkTemplate:pid: (getter get_pid)
   *
   * The process ID.
   *
   * It is known at once if the application has executed or forked the process itself. For
   * any other process, such as the fork of a template, it is 0 until the first
   * [method@GFork.Template.prepare] or [method@GFork.Template.run] has succeeded. So it stays 0
   * for most templates of pools, which are neither prepared nor run.
   *
   * Since: 1.0
   */
  props[PROP_PID] = g_param_spec_int ("pid", NULL, NULL, 0, G_MAXINT, 0,
                                      G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);

  /**
   * GForkTemplate:runtime: (getter get_runtime)
   *
   * The name of the template's runtime, which is for modules of one language.
   *
   * Since: 1.0
   */
  props[PROP_RUNTIME] = g_param_spec_string ("runtime", NULL, NULL, NULL,
                                             G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY
                                                 | G_PARAM_STATIC_STRINGS);

  /**
   * GForkTemplate:spare-processes: (getter get_spare_processes) (setter set_spare_processes)
   *
   * The number of forks that are kept ready for [method@GFork.Template.fork].
   *
   * A spare fork is exactly what a new fork would be. So all spares are discarded when the
   * template is sent a command. New ones are made after the next operation of the template,
   * or of a fork of it, when the callback of that operation has returned. If they were made
   * earlier, they would slow down the launch that has taken the last one.
   *
   * A spare costs what an idle process costs. Spares end with the template.
   *
   * Since: 1.0
   */
  props[PROP_SPARE_PROCESSES] = g_param_spec_uint ("spare-processes", NULL, NULL, 0, G_MAXUINT, 0,
                                                   G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY
                                                       | G_PARAM_STATIC_STRINGS);

  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
g_fork_template_init (GForkTemplate *self)
{
}

/**
 * g_fork_template_get_pid: (get-property pid)
 * @self: a template
 *
 * Gets the process ID.
 *
 * Returns: the process ID; 0 if it is not known yet
 *
 * Since: 1.0
 */
GPid
g_fork_template_get_pid (GForkTemplate *self)
{
  g_return_val_if_fail (G_FORK_IS_TEMPLATE (self), 0);

  return g_fork_remote_get_pid (g_fork_template_get_remote (self));
}

/**
 * g_fork_template_get_runtime: (get-property runtime)
 * @self: a template
 *
 * Gets the name of the template's runtime, which is for modules of one language.
 *
 * Returns: (transfer none): the name of the runtime; "c" unless another one was asked for
 *
 * Since: 1.0
 */
const char *
g_fork_template_get_runtime (GForkTemplate *self)
{
  g_return_val_if_fail (G_FORK_IS_TEMPLATE (self), NULL);

  return self->runtime != NULL ? self->runtime : "c";
}

/**
 * g_fork_template_get_spare_processes: (get-property spare-processes)
 * @self: a template
 *
 * Gets the number of forks that are kept ready; see
 * [property@GFork.Template:spare-processes].
 *
 * Returns: the number of processes
 *
 * Since: 1.0
 */
guint
g_fork_template_get_spare_processes (GForkTemplate *self)
{
  g_return_val_if_fail (G_FORK_IS_TEMPLATE (self), 0);

  return g_fork_remote_get_spares (g_fork_template_get_remote (self));
}

/**
 * g_fork_template_set_spare_processes: (set-property spare-processes)
 * @self: a template
 * @spare_processes: the number of processes
 *
 * Sets the number of forks that are kept ready; see
 * [property@GFork.Template:spare-processes]. The first spares are forked at once, so call
 * this after the template was sent all of its commands.
 *
 * Since: 1.0
 */
void
g_fork_template_set_spare_processes (GForkTemplate *self,
                                     guint          spare_processes)
{
  g_return_if_fail (G_FORK_IS_TEMPLATE (self));

  if (g_fork_remote_get_spares (g_fork_template_get_remote (self)) == spare_processes)
    return;

  g_fork_remote_set_spares (g_fork_template_get_remote (self), spare_processes);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_SPARE_PROCESSES]);
}

/* ——— Making one ——— */

/**
 * g_fork_template_new:
 *
 * Creates a template as a fork of the default one; see [func@GFork.Template.dup_default].
 *
 * The new template inherits the modules and everything else that was prepared in the default
 * one. Its environment, working directory, umask, nice value and limits are those that the
 * application had when the default template was started. Its CPU affinity is that of the
 * thread that started it. In most programs, the first call of this function starts the
 * default template.
 *
 * If the helper cannot be executed, the first operation of the template fails with
 * %G_FORK_ERROR_SPAWN.
 *
 * Returns: (transfer full): a new template
 *
 * Since: 1.0
 */
GForkTemplate *
g_fork_template_new (void)
{
  return new_for_remote (fork_default ("c"), NULL);
}

/**
 * g_fork_template_new_exec:
 *
 * Creates a template by executing a new helper with `posix_spawn()`. It inherits nothing from
 * another template. After [func@GFork.init_early], no helper is executed: the template is a
 * new fork of the process that was forked then.
 *
 * If the helper cannot be executed, the first operation of the template fails with
 * %G_FORK_ERROR_SPAWN.
 *
 * Returns: (transfer full): a new template
 *
 * Since: 1.0
 */
GForkTemplate *
g_fork_template_new_exec (void)
{
  return new_for_remote (g_fork_runtime_start (NULL), NULL);
}

/**
 * g_fork_template_new_for_runtime:
 * @runtime: the name of a runtime: "c", "python3", "gjs" or another one that is
 *   installed
 *
 * Creates a template for modules of another language, as a fork of the default template of
 * the runtime; see [func@GFork.Template.dup_default_for_runtime].
 *
 * A runtime that cannot be forked, such as "gjs", starts a new interpreter instead. If the
 * runtime has a default template, the new interpreter is sent the commands that the default
 * template was sent.
 *
 * If there is no such runtime, or its interpreter is too old, the first operation of the
 * template fails with %G_FORK_ERROR_NOT_SUPPORTED. If the interpreter cannot be executed, the
 * operation fails with %G_FORK_ERROR_SPAWN.
 *
 * Returns: (transfer full): a new template
 *
 * Since: 1.0
 */
GForkTemplate *
g_fork_template_new_for_runtime (const char *runtime)
{
  g_return_val_if_fail (runtime != NULL, NULL);

  return new_for_remote (fork_default (runtime), runtime);
}

/**
 * g_fork_template_new_exec_for_runtime:
 * @runtime: the name of a runtime, as for [ctor@GFork.Template.new_for_runtime]
 *
 * Creates a template by executing a new interpreter of the runtime. It inherits nothing from
 * another template. For the runtime "c", this is [ctor@GFork.Template.new_exec].
 *
 * If there is no such runtime, or its interpreter is too old, the first operation of the
 * template fails with %G_FORK_ERROR_NOT_SUPPORTED. If the interpreter cannot be executed, the
 * operation fails with %G_FORK_ERROR_SPAWN.
 *
 * Returns: (transfer full): a new template
 *
 * Since: 1.0
 */
GForkTemplate *
g_fork_template_new_exec_for_runtime (const char *runtime)
{
  g_return_val_if_fail (runtime != NULL, NULL);

  return new_for_remote (g_fork_runtime_start (runtime), runtime);
}

/**
 * g_fork_template_new_from_main:
 * @error: return location for an error
 *
 * Creates a template by forking the calling program at once. The template has everything that
 * the program has loaded and computed so far. Functions that the program itself exports can
 * be run and called in it.
 *
 * The program must have no other thread. GLib starts threads of its own for D-Bus, file
 * monitors and [class@Gio.Application], and with the first [class@Gio.Task]. Every
 * asynchronous operation of GIO or of this library makes a task, and so does its synchronous
 * form. So call this function near the beginning of `main()`.
 *
 * In the fork, everything that the program has open is closed, except standard output and
 * standard error. Neither the `atexit()` handlers nor the destructors of the program are run
 * in workers.
 *
 * This fails with %G_FORK_ERROR_THREADED, with the names of the threads, if the program has
 * more than one thread, or with %G_FORK_ERROR_FORK, with the system's reason.
 *
 * Returns: (transfer full): a new template; %NULL with @error set
 *
 * Since: 1.0
 */
GForkTemplate *
g_fork_template_new_from_main (GError **error)
{
  GForkRemote *remote;

  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  remote = g_fork_main_fork (NULL, NULL, error);
  return remote != NULL ? new_for_remote (remote, NULL) : NULL;
}

/**
 * g_fork_template_new_from_main_with: (constructor)
 * @runtime: the name of the runtime that the fork serves
 * @func: (scope call) (closure user_data): forks the calling program
 * @user_data: data for @func
 * @error: return location for an error
 *
 * Creates a template by having @func fork the calling program at once.
 *
 * This is for language bindings. @func can do what an interpreter has to do before and after
 * a fork. In the fork, it carries out the commands of the template itself.
 *
 * This fails with the errors of [ctor@GFork.Template.new_from_main].
 *
 * Returns: (transfer full): a new template; %NULL with @error set
 *
 * Since: 1.0
 */
GForkTemplate *
g_fork_template_new_from_main_with (const char     *runtime,
                                    GForkMainFunc   func,
                                    gpointer        user_data,
                                    GError        **error)
{
  GForkRemote *remote;

  g_return_val_if_fail (runtime != NULL, NULL);
  g_return_val_if_fail (func != NULL, NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  remote = g_fork_main_fork (func, user_data, error);
  return remote != NULL ? new_for_remote (remote, runtime) : NULL;
}

/**
 * g_fork_template_new_from_socket:
 * @socket: the control socket of a template, from
 *   [method@GFork.Template.detach] in this or in another process
 *
 * Takes over a template that was detached. The template uses a duplicate of @socket's
 * descriptor, and @socket is closed.
 *
 * The process is not a child of this application, so how it ends is known only on Linux
 * 6.15 and later. How its forks end is known everywhere.
 *
 * If the descriptor cannot be duplicated, @socket is not closed, and the first operation of
 * the template fails with %G_FORK_ERROR_FAILED.
 *
 * Returns: (transfer full): a new template
 *
 * Since: 1.0
 */
GForkTemplate *
g_fork_template_new_from_socket (GSocket *socket)
{
  g_autoptr (GForkChild) child = NULL;
  GForkRemote *remote;
  int fd;

  g_return_val_if_fail (G_IS_SOCKET (socket), NULL);

  fd = fcntl (g_socket_get_fd (socket), F_DUPFD_CLOEXEC, 3);
  if (fd < 0)
    remote = g_fork_remote_new_failed (g_error_new (G_FORK_ERROR, G_FORK_ERROR_FAILED,
                                                    _("Could not duplicate descriptor %d: %s"),
                                                    g_socket_get_fd (socket), g_strerror (errno)));
  else
    {
      child = g_fork_child_new_foreign ();
      remote = g_fork_remote_new (fd, child);
      g_socket_close (socket, NULL);
    }

  return new_for_remote (remote, NULL);
}

/**
 * g_fork_template_fork:
 * @self: a template
 *
 * Forks the template. The new one has everything that this one has: loaded modules,
 * environment and working directory, and the strings and descriptors sent so far.
 *
 * A process with more than one thread cannot be forked. If something that was loaded or
 * called has started threads, the first operation of the new template fails with
 * %G_FORK_ERROR_THREADED and the names of the threads. If the system cannot make another
 * process, it fails with %G_FORK_ERROR_FORK.
 *
 * A template of a runtime that cannot be forked, such as "gjs", starts a new interpreter
 * instead, and sends it the same commands again.
 *
 * Returns: (transfer full): a new template
 *
 * Since: 1.0
 */
GForkTemplate *
g_fork_template_fork (GForkTemplate *self)
{
  g_return_val_if_fail (G_FORK_IS_TEMPLATE (self), NULL);

  return new_for_remote (g_fork_remote_fork (g_fork_template_get_remote (self)), self->runtime);
}

/* The object of the runtime's default template process, if there is one. */
static GWeakRef *
get_default_object (const char *runtime)
{
  static GHashTable *objects;
  GWeakRef *object;

  g_fork_globals_lock ();
  if (objects == NULL)
    objects = g_hash_table_new (g_str_hash, g_str_equal);
  object = g_hash_table_lookup (objects, runtime);
  if (object == NULL)
    {
      object = g_new0 (GWeakRef, 1);
      g_weak_ref_init (object, NULL);
      g_hash_table_insert (objects, g_strdup (runtime), object);
    }
  g_fork_globals_unlock ();

  return object;
}

/**
 * g_fork_template_dup_default:
 *
 * Gets the default template, which [ctor@GFork.Template.new] forks. Modules that are loaded
 * into it are there in every template that is made afterwards.
 *
 * The default template is started on first use. Another one is started if it has died or was
 * run, or if the application has changed its effective user, its effective group or its
 * supplementary groups. So no new worker has privileges that the application has dropped. For
 * a default template that was set, see [func@GFork.Template.set_default]. A process that was
 * forked from the application has a default template of its own.
 *
 * A template to which the program keeps a reference does not change. Its forks have the
 * privileges with which it was started.
 *
 * Returns: (transfer full): the default template
 *
 * Since: 1.0
 */
GForkTemplate *
g_fork_template_dup_default (void)
{
  return g_fork_template_dup_default_for_runtime ("c");
}

/**
 * g_fork_template_dup_default_for_runtime:
 * @runtime: the name of a runtime
 *
 * Gets the template that [ctor@GFork.Template.new_for_runtime] forks for this runtime, as
 * [func@GFork.Template.dup_default] does for "c".
 *
 * Returns: (transfer full): the default template of the runtime
 *
 * Since: 1.0
 */
GForkTemplate *
g_fork_template_dup_default_for_runtime (const char *runtime)
{
  GForkRemote *remote;
  GForkTemplate *self;
  GWeakRef *object;

  g_return_val_if_fail (runtime != NULL, NULL);

  remote = g_fork_default_own (runtime, TRUE);
  object = get_default_object (runtime);
  self = g_weak_ref_get (object);
  if (self != NULL && self->remote == remote)
    {
      g_fork_remote_disown (remote);
      return self;
    }

  g_clear_object (&self);
  self = new_for_remote (remote, strcmp (runtime, "c") != 0 ? runtime : NULL);
  g_weak_ref_set (object, self);
  return self;
}

/**
 * g_fork_template_set_default:
 * @template_: (nullable) (type GObject.Object): a [class@GFork.Template]; %NULL forgets the
 *   default templates of all runtimes, so that the next use of each starts a new one
 *
 * Sets the default template of the template's runtime. For the runtime "c" that is the
 * template that [ctor@GFork.Template.new] forks, for another runtime the one that
 * [ctor@GFork.Template.new_for_runtime] forks.
 *
 * If the template dies, a new process, in which nothing is loaded, takes its place. But a
 * template that was confined is not replaced: forks of it fail with %G_FORK_ERROR_LOST until
 * another template, or %NULL, is set. It also stays the default template when
 * [func@GFork.set_interpreter] names another interpreter for its runtime.
 *
 * If the application changes its effective user, its effective group or its supplementary
 * groups, the template is not replaced either: new templates fail with %G_FORK_ERROR_FAILED
 * until another template, or %NULL, is set. So what was prepared is not lost unnoticed, and no
 * worker has privileges that the application has dropped.
 *
 * A template from [ctor@GFork.Template.new_from_socket], or a fork of one, is refused with a
 * critical warning, because it has the privileges of another application.
 *
 * In other languages this is a function of the class and not a method, so that there need
 * not be a template.
 *
 * Since: 1.0
 */
void
g_fork_template_set_default (GForkTemplate *template_)
{
  g_return_if_fail (template_ == NULL || G_FORK_IS_TEMPLATE (template_));

  if (template_ == NULL)
    {
      g_fork_default_forget_all ();
      return;
    }

  if (!g_fork_remote_is_own (g_fork_template_get_remote (template_)))
    {
      g_critical ("A template that another process has started cannot be the default one");
      return;
    }

  /* One that g_object_new() has made is forked off the default template now, not
   * when it is that itself. */
  g_fork_default_set (get_runtime (template_), g_fork_template_get_remote (template_));
  g_weak_ref_set (get_default_object (get_runtime (template_)), template_);
}

/* ——— Awaiting an answer ——— */

static GTask *
task_new (GForkTemplate       *self,
          GCancellable        *cancellable,
          GAsyncReadyCallback  callback,
          gpointer             user_data,
          gpointer             source_tag)
{
  GTask *task = g_task_new (self, cancellable, callback, user_data);

  g_task_set_source_tag (task, source_tag);
  /* An answer that has come is the answer, whatever is cancelled afterwards: the
   * process has been made, and somebody must get it. */
  g_task_set_check_cancellable (task, FALSE);
  return task;
}

static GForkLaunch *
propagate (GForkTemplate  *self,
           GAsyncResult   *result,
           gpointer        source_tag,
           GError        **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  g_return_val_if_fail (g_async_result_is_tagged (result, source_tag), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

static gboolean
propagate_success (GForkTemplate  *self,
                   GAsyncResult   *result,
                   gpointer        source_tag,
                   GError        **error)
{
  GForkLaunch *launch = propagate (self, result, source_tag, error);

  if (launch == NULL)
    return FALSE;

  g_fork_launch_free (launch);
  return TRUE;
}

/* The pipes of an execution are its task's until the process takes them. */
static G_DEFINE_QUARK (g-fork-streams-quark, streams)

static GSocket *
launch_to_socket (GForkLaunch   *launch,
                  GAsyncResult  *result,
                  GForkProcess **process,
                  GError       **error)
{
  GSocket *socket;

  if (launch == NULL)
    return NULL;

  socket = g_socket_new_from_fd (launch->fd, error);
  if (socket != NULL)
    {
      launch->fd = -1;
      g_socket_set_blocking (socket, FALSE);
      if (process != NULL)
        {
          g_autoptr (GMainContext) context = g_fork_ref_result_context (G_TASK (result));

          *process = g_fork_process_new_for_child (
              launch->child, context, g_object_get_qdata (G_OBJECT (result), streams_quark ()));
        }
      else
        g_fork_child_forget (launch->child);
    }

  g_fork_launch_free (launch);
  return socket;
}

/* Ends the template by @await, once. If it has children, it stays to reap them, and a fork
 * of it is what ends. */
static void
end_by (GForkTemplate *self,
        GForkAwait     await,
        gconstpointer  payload,
        gsize          length,
        int           *streams,
        GTask         *task)
{
  GForkRemote *remote = g_fork_template_get_remote (self);

  if (!g_atomic_int_compare_and_exchange (&self->ended, FALSE, TRUE))
    {
      g_task_return_error (task, g_fork_await_complete_error (await, payload,
                                                              g_fork_remote_ended_error (remote)));
      g_object_unref (task);
      return;
    }

  if (!g_fork_remote_claim (remote, await))
    {
      GForkRemote *runner = g_fork_remote_fork (remote);

      g_fork_remote_close (remote);
      g_fork_remote_claim (runner, await);
      g_atomic_pointer_set (&self->runner, runner);
      remote = runner;
    }
  g_fork_remote_await (remote, await, payload, length, streams, task);
}

/**
 * g_fork_template_prepare_async:
 * @self: a template
 * @cancellable: (nullable): a cancellable; it ends the waiting, not the template
 * @callback: (scope async) (closure user_data): called when all commands have been
 *   carried out, or one has failed
 * @user_data: data for @callback
 *
 * Waits until all commands so far have been carried out. This is the asynchronous form of
 * [method@GFork.Template.prepare].
 *
 * Since: 1.0
 */
void
g_fork_template_prepare_async (GForkTemplate       *self,
                               GCancellable        *cancellable,
                               GAsyncReadyCallback  callback,
                               gpointer             user_data)
{
  g_return_if_fail (G_FORK_IS_TEMPLATE (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  g_fork_remote_await (g_fork_template_get_remote (self), G_FORK_AWAIT_SYNCED, NULL, 0, NULL,
                       task_new (self, cancellable, callback, user_data,
                                 g_fork_template_prepare_async));
}

/**
 * g_fork_template_prepare_finish:
 * @self: a template
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Finishes an operation started with [method@GFork.Template.prepare_async].
 *
 * This fails with any of [error@GFork.Error] if a command has failed or the process does not
 * answer, or with %G_IO_ERROR_CANCELLED. The message says which command failed and why.
 *
 * Returns: %TRUE if every command has succeeded; %FALSE with @error set
 *
 * Since: 1.0
 */
gboolean
g_fork_template_prepare_finish (GForkTemplate  *self,
                                GAsyncResult   *result,
                                GError        **error)
{
  g_return_val_if_fail (G_FORK_IS_TEMPLATE (self), FALSE);

  return propagate_success (self, result, g_fork_template_prepare_async, error);
}

/**
 * g_fork_template_prepare:
 * @self: a template
 * @cancellable: (nullable): a cancellable; it ends the waiting, not the template
 * @error: return location for an error
 *
 * Blocks until all commands so far have been carried out.
 *
 * This fails with the errors of [method@GFork.Template.prepare_finish].
 *
 * Returns: %TRUE if every command has succeeded; %FALSE with @error set
 *
 * Since: 1.0
 */
gboolean
g_fork_template_prepare (GForkTemplate  *self,
                         GCancellable   *cancellable,
                         GError        **error)
{
  GForkSync sync;
  gboolean prepared;

  g_return_val_if_fail (G_FORK_IS_TEMPLATE (self), FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);

  if (!g_fork_sync_begin (&sync, error))
    return FALSE;
  g_fork_template_prepare_async (self, cancellable, g_fork_sync_done, &sync);
  prepared = g_fork_template_prepare_finish (self, g_fork_sync_wait (&sync), error);
  g_fork_sync_end (&sync);

  return prepared;
}

/**
 * g_fork_template_wait_async:
 * @self: a template
 * @cancellable: (nullable): a cancellable; it ends the waiting, not the template
 * @callback: (scope async) (closure user_data): called when it is no template any more
 * @user_data: data for @callback
 *
 * Waits for the end of the template, so that another one can be made as soon as its process
 * has died, rather than when it is needed next.
 *
 * The template also ends when it is closed, run, executed or detached. The operation keeps
 * the object alive, so it does not end by dropping the last reference meanwhile.
 *
 * Since: 1.0
 */
void
g_fork_template_wait_async (GForkTemplate       *self,
                            GCancellable        *cancellable,
                            GAsyncReadyCallback  callback,
                            gpointer             user_data)
{
  g_return_if_fail (G_FORK_IS_TEMPLATE (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  g_fork_remote_await_end (g_fork_template_get_remote (self),
                           task_new (self, cancellable, callback, user_data,
                                     g_fork_template_wait_async));
}

/**
 * g_fork_template_wait_finish:
 * @self: a template
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Finishes an operation started with [method@GFork.Template.wait_async].
 *
 * If the process has died, this fails with %G_FORK_ERROR_LOST, and the message says how it has
 * ended. If it could not be started, this fails with %G_FORK_ERROR_SPAWN. Otherwise it fails
 * with that [error@GFork.Error] with which operations of the template fail from now on, or with
 * %G_IO_ERROR_CANCELLED.
 *
 * Returns: %TRUE if the template was closed, run, executed or detached; %FALSE with @error set
 *
 * Since: 1.0
 */
gboolean
g_fork_template_wait_finish (GForkTemplate  *self,
                             GAsyncResult   *result,
                             GError        **error)
{
  g_return_val_if_fail (G_FORK_IS_TEMPLATE (self), FALSE);

  return propagate_success (self, result, g_fork_template_wait_async, error);
}

/**
 * g_fork_template_wait:
 * @self: a template
 * @cancellable: (nullable): a cancellable; it ends the waiting, not the template
 * @error: return location for an error
 *
 * Waits for the end of the template, as [method@GFork.Template.wait_async] does, and blocks
 * meanwhile. The thread's own main context is not iterated.
 *
 * This fails with the errors of [method@GFork.Template.wait_finish], and with
 * %G_FORK_ERROR_FAILED if there are no descriptors for a main context.
 *
 * Returns: %TRUE if the template was closed, run, executed or detached; %FALSE with @error set
 *
 * Since: 1.0
 */
gboolean
g_fork_template_wait (GForkTemplate  *self,
                      GCancellable   *cancellable,
                      GError        **error)
{
  GForkSync sync;
  gboolean has_ended;

  g_return_val_if_fail (G_FORK_IS_TEMPLATE (self), FALSE);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), FALSE);

  if (!g_fork_sync_begin (&sync, error))
    return FALSE;
  g_fork_template_wait_async (self, cancellable, g_fork_sync_done, &sync);
  has_ended = g_fork_template_wait_finish (self, g_fork_sync_wait (&sync), error);
  g_fork_sync_end (&sync);

  return has_ended;
}

/**
 * g_fork_template_run_async:
 * @self: a template
 * @function: (type filename): the name of a function, `name` or `module:name`, of the type
 *   [callback@GFork.RunFunc]; the second form loads the module if need be
 * @cancellable: (nullable): a cancellable; it ends the process
 * @callback: (scope async) (closure user_data): called when the process is about to
 *   enter the function, or something has failed
 * @user_data: data for @callback
 *
 * Runs a function, which makes the template a worker. This is the asynchronous form of
 * [method@GFork.Template.run].
 *
 * The template must not be used afterwards. Another operation of it fails with
 * %G_FORK_ERROR_CLOSED.
 *
 * Since: 1.0
 */
void
g_fork_template_run_async (GForkTemplate       *self,
                           const char          *function,
                           GCancellable        *cancellable,
                           GAsyncReadyCallback  callback,
                           gpointer             user_data)
{
  g_return_if_fail (G_FORK_IS_TEMPLATE (self));
  g_return_if_fail (function != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  if (strchr (function, ':') != NULL)
    g_fork_module_path_send (g_fork_template_get_remote (self));
  end_by (self, G_FORK_AWAIT_READY, function, strlen (function) + 1, NULL,
          task_new (self, cancellable, callback, user_data, g_fork_template_run_async));
}

/**
 * g_fork_template_run_finish:
 * @self: a template
 * @result: what the callback was given
 * @process: (out) (optional) (transfer full): return location for the process
 * @error: return location for an error
 *
 * Finishes an operation started with [method@GFork.Template.run_async].
 *
 * The socket is a connected, non-blocking Unix stream socket. After what the worker has
 * written, it has the end of file when the worker has ended. If the worker has left something
 * unread, the connection is reset instead (%G_IO_ERROR_CONNECTION_CLOSED).
 *
 * This fails with:
 *
 * - any of [error@GFork.Error] if a command or the run has failed or the process does not
 *   answer; the message says which command failed and why
 * - %G_IO_ERROR_CANCELLED
 * - another of [error@Gio.IOErrorEnum] if no [class@Gio.Socket] can be made
 *
 * Returns: (transfer full): the communication socket; %NULL with @error set
 *
 * Since: 1.0
 */
GSocket *
g_fork_template_run_finish (GForkTemplate  *self,
                            GAsyncResult   *result,
                            GForkProcess  **process,
                            GError        **error)
{
  g_return_val_if_fail (G_FORK_IS_TEMPLATE (self), NULL);

  return launch_to_socket (propagate (self, result, g_fork_template_run_async, error), result,
                           process, error);
}

/**
 * g_fork_template_run:
 * @self: a template
 * @function: (type filename): the name of a function, `name` or `module:name`, of the type
 *   [callback@GFork.RunFunc]; the second form loads the module if need be
 * @process: (out) (optional) (transfer full): return location for the process
 * @cancellable: (nullable): a cancellable; it ends the process
 * @error: return location for an error
 *
 * Runs a function, which makes the template a worker, and blocks until the process is about
 * to enter it.
 *
 * The template must not be used afterwards. Another operation of it fails with
 * %G_FORK_ERROR_CLOSED.
 *
 * This fails with the errors of [method@GFork.Template.run_finish].
 *
 * Returns: (transfer full): the communication socket; %NULL with @error set
 *
 * Since: 1.0
 */
GSocket *
g_fork_template_run (GForkTemplate  *self,
                     const char     *function,
                     GForkProcess  **process,
                     GCancellable   *cancellable,
                     GError        **error)
{
  GForkSync sync;
  GSocket *socket;

  g_return_val_if_fail (G_FORK_IS_TEMPLATE (self), NULL);
  g_return_val_if_fail (function != NULL, NULL);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);

  if (!g_fork_sync_begin (&sync, error))
    return NULL;
  g_fork_template_run_async (self, function, cancellable, g_fork_sync_done, &sync);
  socket = g_fork_template_run_finish (self, g_fork_sync_wait (&sync), process, error);
  g_fork_sync_end (&sync);

  return socket;
}

/**
 * g_fork_template_execv_async:
 * @self: a template
 * @argv: (array zero-terminated=1) (element-type filename): the program and its
 *   arguments; the strings sent before are appended
 * @flags: how to execute it
 * @cancellable: (nullable): a cancellable; it ends the process
 * @callback: (scope async) (closure user_data): called when the program has been
 *   executed, or something has failed
 * @user_data: data for @callback
 *
 * Executes a program in the process. This is the asynchronous form of
 * [method@GFork.Template.execv].
 *
 * The template must not be used afterwards. Another operation of it fails with
 * %G_FORK_ERROR_CLOSED.
 *
 * Each descriptor of [method@GFork.Template.map_fd] has its number in the program. The
 * descriptors that were sent have the lowest numbers from 3 on that are free, in the order in
 * which they were sent. Besides these, only the standard streams are open.
 *
 * A script without `#!` in its first line is run by `/bin/sh`, as a shell would do it.
 *
 * If the flags contradict each other or [method@GFork.Template.map_fd], the operation fails
 * with %G_FORK_ERROR_FAILED, and the message says which do. It also fails in this way if a
 * pipe cannot be made. The template can still be used in these cases.
 *
 * Since: 1.0
 */
void
g_fork_template_execv_async (GForkTemplate       *self,
                             const char * const  *argv,
                             GForkExecFlags       flags,
                             GCancellable        *cancellable,
                             GAsyncReadyCallback  callback,
                             gpointer             user_data)
{
  const GForkExecFlags wire_flags = G_FORK_EXEC_SOCKET_STDIN | G_FORK_EXEC_SOCKET_STDOUT
                                    | G_FORK_EXEC_SOCKET_STDERR | G_FORK_EXEC_SEARCH_PATH
                                    | G_FORK_EXEC_STDERR_MERGE;
  g_autoptr (GByteArray) payload = NULL;
  g_autofree char *conflict = NULL;
  GForkStreams *streams = NULL;
  guint32 sent_flags = flags & wire_flags;
  GError *error = NULL;
  GTask *task;

  g_return_if_fail (G_FORK_IS_TEMPLATE (self));
  g_return_if_fail (argv != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = task_new (self, cancellable, callback, user_data, g_fork_template_execv_async);
  /* Other languages call this with any list, and would wait for ever. */
  if (argv[0] == NULL)
    {
      error = g_fork_reason_new (G_FORK_ERROR_EXEC, _("the list of arguments is empty"));
      g_task_return_error (task, g_fork_reason_complete (error, GFORK_EXEC, ""));
      g_object_unref (task);
      return;
    }

  conflict = g_fork_streams_find_conflict (
      flags, g_fork_remote_get_mapped (g_fork_template_get_remote (self)));
  if (conflict != NULL)
    error = g_fork_reason_new (G_FORK_ERROR_FAILED, "%s", conflict);
  else if ((streams = g_fork_streams_new (flags, &error)) == NULL)
    {
      g_autoptr (GError) reason = g_steal_pointer (&error);

      error = g_fork_reason_new (G_FORK_ERROR_FAILED, "%s", reason->message);
    }
  if (error != NULL)
    {
      g_task_return_error (task, g_fork_reason_complete (error, GFORK_EXEC, argv[0]));
      g_object_unref (task);
      return;
    }
  g_object_set_qdata_full (G_OBJECT (task), streams_quark (), streams,
                           (GDestroyNotify) g_fork_streams_free);

  payload = g_byte_array_new ();
  g_byte_array_append (payload, (const guint8 *) &sent_flags, sizeof sent_flags);
  for (; *argv != NULL; argv++)
    g_byte_array_append (payload, (const guint8 *) *argv, strlen (*argv) + 1);

  end_by (self, G_FORK_AWAIT_EXECUTED, payload->data, payload->len, streams->theirs, task);
}

/**
 * g_fork_template_execv_finish:
 * @self: a template
 * @result: what the callback was given
 * @process: (out) (optional) (transfer full): return location for the process
 * @error: return location for an error
 *
 * Finishes an operation started with [method@GFork.Template.execv_async].
 *
 * The program has the other end of the socket only as the standard streams that the flags
 * name. If they name none, the socket is at its end of file at once.
 *
 * This fails with %G_FORK_ERROR_EXEC, with the reason, if the program could not be executed.
 * Otherwise, it fails with the errors of [method@GFork.Template.run_finish].
 *
 * Returns: (transfer full): the communication socket; %NULL with @error set
 *
 * Since: 1.0
 */
GSocket *
g_fork_template_execv_finish (GForkTemplate  *self,
                              GAsyncResult   *result,
                              GForkProcess  **process,
                              GError        **error)
{
  g_return_val_if_fail (G_FORK_IS_TEMPLATE (self), NULL);

  return launch_to_socket (propagate (self, result, g_fork_template_execv_async, error), result,
                           process, error);
}

/**
 * g_fork_template_execv:
 * @self: a template
 * @argv: (array zero-terminated=1) (element-type filename): the program and its
 *   arguments; the strings sent before are appended
 * @flags: how to execute it
 * @process: (out) (optional) (transfer full): return location for the process
 * @cancellable: (nullable): a cancellable; it ends the process
 * @error: return location for an error
 *
 * Executes a program in the process, and blocks until it was executed or that has failed.
 * [method@GFork.Template.execv_async] has the details.
 *
 * This fails with the errors of [method@GFork.Template.execv_finish].
 *
 * Returns: (transfer full): the communication socket; %NULL with @error set
 *
 * Since: 1.0
 */
GSocket *
g_fork_template_execv (GForkTemplate       *self,
                       const char * const  *argv,
                       GForkExecFlags       flags,
                       GForkProcess       **process,
                       GCancellable        *cancellable,
                       GError             **error)
{
  GForkSync sync;
  GSocket *socket;

  g_return_val_if_fail (G_FORK_IS_TEMPLATE (self), NULL);
  g_return_val_if_fail (argv != NULL, NULL);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);

  if (!g_fork_sync_begin (&sync, error))
    return NULL;
  g_fork_template_execv_async (self, argv, flags, cancellable, g_fork_sync_done, &sync);
  socket = g_fork_template_execv_finish (self, g_fork_sync_wait (&sync), process, error);
  g_fork_sync_end (&sync);

  return socket;
}

/**
 * g_fork_template_detach_async:
 * @self: a template
 * @cancellable: (nullable): a cancellable; it ends the process
 * @callback: (scope async) (closure user_data): called when all commands have been
 *   carried out, or one has failed
 * @user_data: data for @callback
 *
 * Hands out the *control socket*, over which the template is sent its commands. Another
 * process can then take the template over by [ctor@GFork.Template.new_from_socket]. This is
 * the asynchronous form of [method@GFork.Template.detach].
 *
 * The template must not be used afterwards. Another operation of it fails with
 * %G_FORK_ERROR_CLOSED.
 *
 * Since: 1.0
 */
void
g_fork_template_detach_async (GForkTemplate       *self,
                              GCancellable        *cancellable,
                              GAsyncReadyCallback  callback,
                              gpointer             user_data)
{
  g_return_if_fail (G_FORK_IS_TEMPLATE (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  end_by (self, G_FORK_AWAIT_DETACHED, "", 1, NULL,
          task_new (self, cancellable, callback, user_data, g_fork_template_detach_async));
}

/**
 * g_fork_template_detach_finish:
 * @self: a template
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Finishes an operation started with [method@GFork.Template.detach_async].
 *
 * If the socket is closed and no process has taken the template over, the template process
 * ends.
 *
 * This fails with the errors of [method@GFork.Template.run_finish].
 *
 * Returns: (transfer full): the control socket; %NULL with @error set
 *
 * Since: 1.0
 */
GSocket *
g_fork_template_detach_finish (GForkTemplate  *self,
                               GAsyncResult   *result,
                               GError        **error)
{
  g_return_val_if_fail (G_FORK_IS_TEMPLATE (self), NULL);

  return launch_to_socket (propagate (self, result, g_fork_template_detach_async, error), result,
                           NULL, error);
}

/**
 * g_fork_template_detach:
 * @self: a template
 * @cancellable: (nullable): a cancellable; it ends the process
 * @error: return location for an error
 *
 * Hands out the control socket, and blocks until all commands have been carried out.
 * [method@GFork.Template.detach_async] has the details.
 *
 * This fails with the errors of [method@GFork.Template.detach_finish].
 *
 * Returns: (transfer full): the control socket; %NULL with @error set
 *
 * Since: 1.0
 */
GSocket *
g_fork_template_detach (GForkTemplate  *self,
                        GCancellable   *cancellable,
                        GError        **error)
{
  GForkSync sync;
  GSocket *socket;

  g_return_val_if_fail (G_FORK_IS_TEMPLATE (self), NULL);
  g_return_val_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable), NULL);

  if (!g_fork_sync_begin (&sync, error))
    return NULL;
  g_fork_template_detach_async (self, cancellable, g_fork_sync_done, &sync);
  socket = g_fork_template_detach_finish (self, g_fork_sync_wait (&sync), error);
  g_fork_sync_end (&sync);

  return socket;
}

/**
 * g_fork_template_close:
 * @self: a template
 *
 * Ends the process, as dropping the last reference does. Commands that were queued before
 * are still carried out. Operations under way fail with %G_FORK_ERROR_CLOSED. If one of these
 * is to run, execute or detach the template, the process is killed.
 *
 * Does nothing if the template was closed, run, executed or detached before.
 *
 * Since: 1.0
 */
void
g_fork_template_close (GForkTemplate *self)
{
  g_return_if_fail (G_FORK_IS_TEMPLATE (self));

  g_fork_remote_close (g_fork_template_get_remote (self));
  if (g_atomic_pointer_get (&self->runner) != NULL)
    g_fork_remote_close (self->runner);
}
