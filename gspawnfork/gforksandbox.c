/* gforksandbox.c: what a template and its workers may still do
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "gforksandbox.h"

#include "gforkerror.h"
#include "gforksandbox-private.h"
#include "sandbox/filter.h"
#include "sandbox/landlock.h"
#include "wire/frame.h"

#include <errno.h>
#include <glib/gi18n-lib.h>
#include <unistd.h>

/**
 * GForkSandbox:
 *
 * What a confined template, its forks, and their workers and programs may still do.
 *
 * A new sandbox lets a process compute, and use what it has open: its standard streams, its
 * communication socket, the descriptors that it was sent, and what the template opened before
 * it was confined. The process cannot open any file except `/dev/null` and `/dev/urandom`, and
 * cannot reach the network. It cannot send signals to a process that it has not started
 * itself, trace it, or read its memory. The methods here allow more.
 *
 * ```c
 * static GForkTemplate *
 * new_decoder (void)
 * {
 *   g_autoptr (GForkTemplate) template = g_fork_template_new ();
 *   g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
 *
 *   g_fork_template_require (template, "decoder");    // still unconfined
 *   g_fork_template_confine (template, sandbox);
 *
 *   return g_steal_pointer (&template);               // to be forked for each picture
 * }
 * ```
 *
 * [method@GFork.Template.confine] confines a template once, and all of its forks are confined
 * with it. So a confined worker starts as fast as any other. Load the modules that it needs
 * before.
 *
 * The kernel enforces the sandbox with Landlock, a filter of system calls and `no_new_privs`.
 * That needs no privileges and no namespaces. A system call that is refused fails, mostly with
 * `EPERM` or `EACCES`. No process is killed for it. [Confined workers](confined-workers.html)
 * has the limits of the protection, and recipes.
 *
 * A template gets a copy of the sandbox, so later changes of the sandbox do not affect it. All
 * methods may be called from any thread.
 *
 * Since: 1.0
 */

/* A path, and what is allowed there. */
typedef struct
{
  char *path;
  GForkAllow allow;
} Rule;

struct _GForkSandbox
{
  GObject parent_instance;

  GMutex lock;
  GArray *rules;
  GPtrArray *names;
  gboolean network;
  gboolean required;

  GBytes *filter; /* for the options that there are now; %NULL if it was not built yet */
};

G_DEFINE_FINAL_TYPE (GForkSandbox, g_fork_sandbox, G_TYPE_OBJECT)

enum
{
  PROP_0,
  PROP_REQUIRED,
  N_PROPS
};

static GParamSpec *props[N_PROPS];

static void
g_fork_sandbox_get_property (GObject    *object,
                             guint       prop_id,
                             GValue     *value,
                             GParamSpec *pspec)
{
  GForkSandbox *self = G_FORK_SANDBOX (object);

  switch (prop_id)
    {
    case PROP_REQUIRED:
      g_value_set_boolean (value, g_fork_sandbox_get_required (self));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
g_fork_sandbox_set_property (GObject      *object,
                             guint         prop_id,
                             const GValue *value,
                             GParamSpec   *pspec)
{
  GForkSandbox *self = G_FORK_SANDBOX (object);

  switch (prop_id)
    {
    case PROP_REQUIRED:
      g_fork_sandbox_set_required (self, g_value_get_boolean (value));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, prop_id, pspec);
    }
}

static void
g_fork_sandbox_finalize (GObject *object)
{
  GForkSandbox *self = G_FORK_SANDBOX (object);

  g_array_unref (self->rules);
  g_ptr_array_unref (self->names);
  g_clear_pointer (&self->filter, g_bytes_unref);
  g_mutex_clear (&self->lock);

  G_OBJECT_CLASS (g_fork_sandbox_parent_class)->finalize (object);
}

static void
g_fork_sandbox_class_init (GForkSandboxClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = g_fork_sandbox_get_property;
  object_class->set_property = g_fork_sandbox_set_property;
  object_class->finalize = g_fork_sandbox_finalize;

  /**
   * GForkSandbox:required:
   *
   * Whether confining a template fails if the kernel cannot enforce all of
   * [flags@GFork.SandboxFeatures]. The default is %TRUE.
   *
   * Since: 1.0
   */
  props[PROP_REQUIRED] =
    g_param_spec_boolean ("required", NULL, NULL, TRUE,
                          G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS);

  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
rule_clear (gpointer rule)
{
  g_free (((Rule *) rule)->path);
}

static void
g_fork_sandbox_init (GForkSandbox *self)
{
  g_mutex_init (&self->lock);
  self->rules = g_array_new (FALSE, FALSE, sizeof (Rule));
  g_array_set_clear_func (self->rules, rule_clear);
  self->names = g_ptr_array_new_null_terminated (0, g_free, TRUE);
  self->required = TRUE;
}

/**
 * g_fork_sandbox_new:
 *
 * Creates a sandbox in which a process may only compute, and use what it has open.
 *
 * Returns: (transfer full): a new sandbox
 *
 * Since: 1.0
 */
GForkSandbox *
g_fork_sandbox_new (void)
{
  return g_object_new (G_FORK_TYPE_SANDBOX, NULL);
}

static void
allow (GForkSandbox *self,
       const char   *path,
       GForkAllow    what)
{
  Rule rule = { g_strdup (path), what };

  g_mutex_lock (&self->lock);
  g_array_append_val (self->rules, rule);
  if (what == G_FORK_ALLOW_EXECUTE)
    g_clear_pointer (&self->filter, g_bytes_unref);
  g_mutex_unlock (&self->lock);
}

/**
 * g_fork_sandbox_allow_read:
 * @self: a sandbox
 * @path: (type filename): an absolute path
 *
 * Allows reading a file, or a directory and everything beneath it: the contents of files and
 * the lists of directories. Files may also be mapped executable, so that modules can be
 * loaded.
 *
 * The path is resolved, and symbolic links are followed, when a template is confined. If the
 * path is not absolute or does not exist then, the next operation of the template fails with
 * %G_FORK_ERROR_FAILED, and the message names the path.
 *
 * Since: 1.0
 */
void
g_fork_sandbox_allow_read (GForkSandbox *self,
                           const char   *path)
{
  g_return_if_fail (G_FORK_IS_SANDBOX (self));
  g_return_if_fail (path != NULL);

  allow (self, path, G_FORK_ALLOW_READ);
}

/**
 * g_fork_sandbox_allow_write:
 * @self: a sandbox
 * @path: (type filename): an absolute path
 *
 * Allows writing to a file, or to a directory and everything beneath it. Files, directories
 * and symbolic links can be created, changed, truncated, renamed, linked and removed. This
 * does not allow reading them.
 *
 * Devices cannot be made. Modes, owners, times and extended attributes cannot be changed.
 *
 * A symbolic link that a worker makes there may point anywhere. An application that follows it
 * may reach what the worker could not.
 *
 * The path is resolved as for [method@GFork.Sandbox.allow_read], with the same errors.
 *
 * Since: 1.0
 */
void
g_fork_sandbox_allow_write (GForkSandbox *self,
                            const char   *path)
{
  g_return_if_fail (G_FORK_IS_SANDBOX (self));
  g_return_if_fail (path != NULL);

  allow (self, path, G_FORK_ALLOW_WRITE);
}

/**
 * g_fork_sandbox_allow_execute:
 * @self: a sandbox
 * @path: (type filename): an absolute path
 *
 * Allows executing and reading a program, or all programs beneath a directory. The programs
 * are confined as well. If this is not called, no program can be executed.
 *
 * A program that is linked dynamically also needs its loader to be executable
 * (`/lib64/ld-linux-x86-64.so.2` on x86-64), and its libraries to be readable.
 *
 * In a sandbox that allows any program, memory that could be executed like a file is refused:
 * `memfd_create()` fails without `MFD_NOEXEC_SEAL`, and `mmap()` fails with `MAP_SHARED` and
 * `MAP_ANONYMOUS` together.
 *
 * The path is resolved as for [method@GFork.Sandbox.allow_read], with the same errors.
 *
 * Since: 1.0
 */
void
g_fork_sandbox_allow_execute (GForkSandbox *self,
                              const char   *path)
{
  g_return_if_fail (G_FORK_IS_SANDBOX (self));
  g_return_if_fail (path != NULL);

  allow (self, path, G_FORK_ALLOW_EXECUTE);
}

/**
 * g_fork_sandbox_allow_network:
 * @self: a sandbox
 *
 * Allows TCP connections and UDP datagrams, over IPv4 and IPv6, to any address. Binding to an
 * address and listening are still refused.
 *
 * A worker can accept connections on a listening socket that it was sent without this.
 *
 * To resolve names, a worker needs to read `/etc/resolv.conf`, `/etc/hosts`,
 * `/etc/nsswitch.conf` and `/etc/gai.conf`, and the libraries that these name.
 *
 * Since: 1.0
 */
void
g_fork_sandbox_allow_network (GForkSandbox *self)
{
  g_return_if_fail (G_FORK_IS_SANDBOX (self));

  g_mutex_lock (&self->lock);
  self->network = TRUE;
  g_clear_pointer (&self->filter, g_bytes_unref);
  g_mutex_unlock (&self->lock);
}

/**
 * g_fork_sandbox_allow_system_calls:
 * @self: a sandbox
 * @names: (array zero-terminated=1): names of system calls, like `mlock`
 *
 * Allows system calls that the sandbox would refuse, with any arguments.
 *
 * Landlock still decides about files, TCP connections, signals and tracing. Some system calls
 * give access to more:
 *
 * - `socket`, `connect` and `bind`: all services that listen on a socket with a path
 * - `chmod`, `chown`, `setxattr` and `utimensat`: all files of the user
 * - `inotify_add_watch`: who uses which file
 * - `prlimit64`, `setpriority` and `ioprio_set`: other processes of the user
 * - `unshare`, `setns`, `clone` and `clone3`: new namespaces
 * - `mount` and `open_by_handle_at`: all files
 * - `io_uring_setup`, `bpf`, `userfaultfd` and `perf_event_open`: large parts of the kernel
 * - `setpgid`: the application's process group, to which the kernel can be made to send SIGHUP
 * - `sched_setattr`, if the worker is root's: all of the processor
 * - `setsockopt`, if the worker is root's: firewalls
 *
 * If there is no system call of a name, the next operation of a template that was confined
 * fails with %G_FORK_ERROR_FAILED, and the message has the name.
 *
 * Since: 1.0
 */
void
g_fork_sandbox_allow_system_calls (GForkSandbox       *self,
                                   const char * const *names)
{
  g_return_if_fail (G_FORK_IS_SANDBOX (self));
  g_return_if_fail (names != NULL);

  g_mutex_lock (&self->lock);
  for (; *names != NULL; names++)
    g_ptr_array_add (self->names, g_strdup (*names));
  g_clear_pointer (&self->filter, g_bytes_unref);
  g_mutex_unlock (&self->lock);
}

/**
 * g_fork_sandbox_get_required:
 * @self: a sandbox
 *
 * Whether confining a template fails if the kernel cannot enforce all of
 * [flags@GFork.SandboxFeatures].
 *
 * Returns: %TRUE if all features are required
 *
 * Since: 1.0
 */
gboolean
g_fork_sandbox_get_required (GForkSandbox *self)
{
  gboolean required;

  g_return_val_if_fail (G_FORK_IS_SANDBOX (self), TRUE);

  g_mutex_lock (&self->lock);
  required = self->required;
  g_mutex_unlock (&self->lock);
  return required;
}

/**
 * g_fork_sandbox_set_required:
 * @self: a sandbox
 * @required: %TRUE if all features are required, %FALSE to enforce as many as the kernel can
 *
 * Sets whether all of [flags@GFork.SandboxFeatures] are required. %TRUE is the default.
 *
 * If they are required and the kernel cannot enforce all of them, the next operation of a
 * template that was confined fails with %G_FORK_ERROR_NOT_SUPPORTED, and the message names the
 * missing features. A library that was built without libseccomp always fails in this way.
 *
 * Since: 1.0
 */
void
g_fork_sandbox_set_required (GForkSandbox *self,
                             gboolean      required)
{
  gboolean changed;

  g_return_if_fail (G_FORK_IS_SANDBOX (self));

  required = !!required;
  g_mutex_lock (&self->lock);
  changed = self->required != required;
  self->required = required;
  g_mutex_unlock (&self->lock);

  if (changed)
    g_object_notify_by_pspec (G_OBJECT (self), props[PROP_REQUIRED]);
}

/**
 * g_fork_sandbox_get_features:
 *
 * Gets the features that the kernel can enforce for processes that this one starts.
 *
 * Returns: the features
 *
 * Since: 1.0
 */
GForkSandboxFeatures
g_fork_sandbox_get_features (void)
{
  GForkSandboxFeatures features = G_FORK_SANDBOX_NONE;
  int version = g_fork_landlock_get_version ();

  if (version >= G_FORK_LANDLOCK_FILES)
    features |= G_FORK_SANDBOX_FILES;
  if (version >= G_FORK_LANDLOCK_NETWORK)
    features |= G_FORK_SANDBOX_NETWORK;
  if (version >= G_FORK_LANDLOCK_SIGNALS)
    features |= G_FORK_SANDBOX_SIGNALS;
  if (g_fork_filter_is_available ())
    features |= G_FORK_SANDBOX_SYSTEM_CALLS;

  return features;
}

/* ——— For a template process ——— */

static gboolean
check_features (GForkSandboxFeatures   features,
                GError               **error)
{
  static const struct
  {
    GForkSandboxFeatures feature;
    const char *name;
  } all[] = {
    { G_FORK_SANDBOX_FILES, N_("files (Landlock 3)") },
    { G_FORK_SANDBOX_NETWORK, N_("network (Landlock 4)") },
    { G_FORK_SANDBOX_SIGNALS, N_("signals (Landlock 6)") },
    { G_FORK_SANDBOX_SYSTEM_CALLS, N_("system calls (seccomp)") },
  };
  g_autoptr (GString) missing = g_string_new (NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (all); i++)
    if ((features & all[i].feature) == 0)
      g_string_append_printf (missing, "%s%s", missing->len > 0 ? ", " : "", _(all[i].name));
  if (missing->len == 0)
    return TRUE;

  g_set_error (error, G_FORK_ERROR, G_FORK_ERROR_NOT_SUPPORTED,
               /* Translators: a list of features */
               _("Could not confine the template, as the kernel does not enforce: %s"),
               missing->str);
  return FALSE;
}

static gboolean
add_rule (int          ruleset,
          const Rule  *rule,
          GError     **error)
{
  if (!g_path_is_absolute (rule->path))
    {
      g_set_error (error, G_FORK_ERROR, G_FORK_ERROR_FAILED,
                   _("Could not confine the template, as the path “%s” is not absolute"),
                   rule->path);
      return FALSE;
    }

  if (!g_fork_landlock_allow_path (ruleset, rule->path, rule->allow))
    {
      g_set_error (error, G_FORK_ERROR, G_FORK_ERROR_FAILED,
                   _("Could not confine the template, as “%s” cannot be allowed: %s"), rule->path,
                   g_strerror (errno));
      return FALSE;
    }

  return TRUE;
}

static gboolean
add_rules (GForkSandbox  *self,
           int            ruleset,
           GError       **error)
{
  /* Where there are no such devices, there is nothing to allow. */
  g_fork_landlock_allow_path (ruleset, "/dev/null", G_FORK_ALLOW_READ | G_FORK_ALLOW_WRITE);
  g_fork_landlock_allow_path (ruleset, "/dev/urandom", G_FORK_ALLOW_READ);

  for (guint i = 0; i < self->rules->len; i++)
    if (!add_rule (ruleset, &g_array_index (self->rules, Rule, i), error))
      return FALSE;

  return TRUE;
}

static gboolean
may_execute (GForkSandbox *self)
{
  for (guint i = 0; i < self->rules->len; i++)
    if (g_array_index (self->rules, Rule, i).allow == G_FORK_ALLOW_EXECUTE)
      return TRUE;

  return FALSE;
}

static gboolean
build_filter (GForkSandbox  *self,
              GError       **error)
{
  GForkFilterOptions options = {
    .network = self->network,
    .execute = may_execute (self),
    .names = (const char *const *) self->names->pdata,
  };

  if (self->filter == NULL)
    self->filter = g_fork_filter_new (&options, error);
  return self->filter != NULL;
}

static gboolean
take_ruleset (GForkConfinement  *confinement,
              int                ruleset,
              GError           **error)
{
  if (ruleset < 0)
    {
      g_set_error (error, G_FORK_ERROR, G_FORK_ERROR_FAILED,
                   _("Could not confine the template, as Landlock refused: %s"),
                   g_strerror (errno));
      return FALSE;
    }

  confinement->fds[confinement->n_fds++] = ruleset;
  return TRUE;
}

static gboolean
compile (GForkSandbox      *self,
         GForkConfinement  *confinement,
         GError           **error)
{
  struct gfork_confine head = { 0 };
  GForkSandboxFeatures features;

#ifndef HAVE_SECCOMP
  return g_fork_filter_new (NULL, error) != NULL;
#endif

  features = g_fork_sandbox_get_features ();
  if (self->required && !check_features (features, error))
    return FALSE;

  if (g_fork_landlock_get_version () > 0)
    {
      head.has |= GFORK_CONFINE_ACCESS;
      if (!take_ruleset (confinement, g_fork_landlock_new_access (self->network), error)
          || !add_rules (self, confinement->fds[0], error))
        return FALSE;
    }
  if ((features & G_FORK_SANDBOX_SIGNALS) != 0)
    {
      head.has |= GFORK_CONFINE_SCOPE;
      if (!take_ruleset (confinement, g_fork_landlock_new_scope (), error))
        return FALSE;
    }

  confinement->payload = g_byte_array_new ();
  g_byte_array_append (confinement->payload, (const guint8 *) &head, sizeof head);
  if ((features & G_FORK_SANDBOX_SYSTEM_CALLS) != 0)
    {
      if (!build_filter (self, error))
        return FALSE;
      g_byte_array_append (confinement->payload, g_bytes_get_data (self->filter, NULL),
                           g_bytes_get_size (self->filter));
    }

  return TRUE;
}

/* Makes what a template process needs, which can do without files and libraries then. */
gboolean
g_fork_sandbox_compile (GForkSandbox      *self,
                        GForkConfinement  *confinement,
                        GError           **error)
{
  gboolean compiled;

  g_mutex_lock (&self->lock);
  compiled = compile (self, confinement, error);
  g_mutex_unlock (&self->lock);
  return compiled;
}

void
g_fork_confinement_clear (GForkConfinement *confinement)
{
  g_clear_pointer (&confinement->payload, g_byte_array_unref);
  while (confinement->n_fds > 0)
    close (confinement->fds[--confinement->n_fds]);
}
