/* filter.c: the filter of system calls, which libseccomp builds
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "sandbox/filter.h"

#include "gforkerror.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n-lib.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifdef HAVE_SECCOMP

#include "sandbox/calls.h"

#include <linux/seccomp.h>

/* Whether the kernel has filters, and lets this process have one. The call gives no filter, so
 * it always fails: with EFAULT if a filter could be had. */
gboolean
g_fork_filter_is_available (void)
{
  return prctl (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL) != 0 && errno == EFAULT;
}

static gboolean
is_among (const char * const *names,
          const char         *name)
{
  return names != NULL && g_strv_contains (names, name);
}

static guint32
architecture_of (const GForkFilterOptions *options)
{
  return options->architecture != 0 ? options->architecture : seccomp_arch_native ();
}

/* Rules are always added by the numbers of this program's architecture, some of which are
 * made up by libseccomp. */
static int
add_rule (scmp_filter_ctx            filter,
          guint32                    action,
          const char                *name,
          unsigned                   n_checks,
          const struct scmp_arg_cmp *checks)
{
  return seccomp_rule_add_array (filter, action, seccomp_syscall_resolve_name (name), n_checks,
                                 checks);
}

/* Whether a filter cannot look at the arguments of the call. A negative number stands for a
 * call that has no number of its own on this architecture: i386 passes the arguments of those
 * of sockets in memory. */
static gboolean
has_arguments_in_memory (guint32     architecture,
                         const char *name,
                         int         number)
{
  return number < 0 || (architecture == SCMP_ARCH_X86 && g_str_equal (name, "mmap"));
}

/* Allows the calls that the table has for these options. Those that this architecture, or
 * this libseccomp, does not know are left out. Returns 0 or a negative errno. */
static int
add_rules (scmp_filter_ctx           filter,
           const GForkFilterOptions *options)
{
  const guint32 architecture = architecture_of (options);
  int result = 0;

  for (gsize i = 0; i < G_N_ELEMENTS (allowed_calls); i++)
    {
      const AllowedCall *call = &allowed_calls[i];
      int number = seccomp_syscall_resolve_name_arch (architecture, call->name);

      if (number == __NR_SCMP_ERROR || is_among (options->names, call->name)
          || (call->when == WITH_NETWORK && !options->network)
          || (call->when == WITH_EXECUTE && !options->execute)
          || (call->when == WITHOUT_EXECUTE && options->execute))
        continue;
      if (call->n_checks > 0 && has_arguments_in_memory (architecture, call->name, number))
        continue;
      result = add_rule (filter, SCMP_ACT_ALLOW, call->name, call->n_checks, call->checks);
      if (result != 0)
        return result;
    }

  for (gsize i = 0; architecture == SCMP_ARCH_X86 && i < G_N_ELEMENTS (i386_calls); i++)
    {
      if (is_among (options->names, i386_calls[i]))
        continue;
      result = add_rule (filter, SCMP_ACT_ALLOW, i386_calls[i], 0, NULL);
      if (result != 0)
        return result;
    }

  for (gsize i = 0; i < G_N_ELEMENTS (missing_calls); i++)
    {
      if (seccomp_syscall_resolve_name (missing_calls[i]) == __NR_SCMP_ERROR
          || is_among (options->names, missing_calls[i]))
        continue;
      result = add_rule (filter, SCMP_ACT_ERRNO (ENOSYS), missing_calls[i], 0, NULL);
      if (result != 0)
        return result;
    }

  for (const char *const *name = options->names; name != NULL && *name != NULL; name++)
    {
      result = add_rule (filter, SCMP_ACT_ALLOW, *name, 0, NULL);
      /* It may be one that only other architectures have. */
      if (result != 0 && result != -EDOM)
        return result;
    }

  return 0;
}

static GBytes *
export_filter (scmp_filter_ctx   filter,
               GError          **error)
{
  FILE *file = tmpfile (); /* libseccomp writes to a file only */
  g_autofree guint8 *program = NULL;
  off_t length = 0;
  int result = file == NULL ? -errno : seccomp_export_bpf (filter, fileno (file));

  if (result == 0)
    {
      length = lseek (fileno (file), 0, SEEK_CUR);
      program = g_malloc (MAX (length, 1));
      if (length <= 0 || pread (fileno (file), program, length, 0) != length)
        result = -EIO;
    }
  if (file != NULL)
    fclose (file);

  if (result != 0)
    {
      g_set_error (error, G_FORK_ERROR, G_FORK_ERROR_FAILED,
                   _("Could not build the filter of system calls: %s"), g_strerror (-result));
      return NULL;
    }
  return g_bytes_new_take (g_steal_pointer (&program), length);
}

/* Returns the filter as the kernel takes it: an array of struct sock_filter. */
GBytes *
g_fork_filter_new (const GForkFilterOptions  *options,
                   GError                   **error)
{
  scmp_filter_ctx filter;
  GBytes *program = NULL;
  int result;

  for (const char *const *name = options->names; name != NULL && *name != NULL; name++)
    if (seccomp_syscall_resolve_name (*name) == __NR_SCMP_ERROR)
      {
        g_set_error (error, G_FORK_ERROR, G_FORK_ERROR_FAILED,
                     _("Could not confine the template, as there is no system call “%s”"), *name);
        return NULL;
      }

  filter = seccomp_init (SCMP_ACT_ERRNO (EPERM));
  if (filter == NULL)
    {
      g_set_error (error, G_FORK_ERROR, G_FORK_ERROR_FAILED,
                   _("Could not build the filter of system calls: %s"), g_strerror (ENOMEM));
      return NULL;
    }

  /* Calls of another architecture that the processor also has are refused, instead of killing
   * the process. */
  result = seccomp_attr_set (filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO (EPERM));
  if (result == 0 && architecture_of (options) != seccomp_arch_native ())
    {
      result = seccomp_arch_add (filter, architecture_of (options));
      if (result == 0)
        result = seccomp_arch_remove (filter, seccomp_arch_native ());
    }
  if (result == 0)
    result = add_rules (filter, options);
  if (result == 0)
    program = export_filter (filter, error);
  else
    g_set_error (error, G_FORK_ERROR, G_FORK_ERROR_FAILED,
                 _("Could not build the filter of system calls: %s"), g_strerror (-result));

  seccomp_release (filter);
  return program;
}

#else

gboolean
g_fork_filter_is_available (void)
{
  return FALSE;
}

GBytes *
g_fork_filter_new (const GForkFilterOptions  *options,
                   GError                   **error)
{
  g_set_error_literal (error, G_FORK_ERROR, G_FORK_ERROR_NOT_SUPPORTED,
                       _("Could not confine the template, as the library was built without "
                         "libseccomp"));
  return NULL;
}

#endif
