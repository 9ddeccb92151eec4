/* prepare.c: the options that say what a worker, or a program, starts with
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "command/command.h"

#include <glib/gi18n.h>
#include <string.h>

static gboolean ignore_environment;
static char **unset_variables;
static char **variables;
static char *directory;
static gboolean own_session;
static char **limits;
static gboolean die_with_application;
static gboolean confine;
static char **readable;
static char **writable;
static char **executable;
static gboolean allow_network;

const GOptionEntry command_prepare_entries[] = {
  { "ignore-environment", 'i', 0, G_OPTION_ARG_NONE, &ignore_environment,
    N_("Start with an empty environment"), NULL },
  { "unsetenv", 'u', 0, G_OPTION_ARG_FILENAME_ARRAY, &unset_variables,
    N_("Remove this variable from the environment; may be given several times"), N_("NAME") },
  { "setenv", 'E', 0, G_OPTION_ARG_FILENAME_ARRAY, &variables,
    N_("Set this variable of the environment; may be given several times"), N_("NAME=VALUE") },
  { "chdir", 'C', 0, G_OPTION_ARG_FILENAME, &directory, N_("Start in this directory"),
    N_("DIRECTORY") },
  { "setsid", 0, 0, G_OPTION_ARG_NONE, &own_session,
    N_("Start in a session and process group of its own, without a terminal"), NULL },
  { "limit", 'l', 0, G_OPTION_ARG_STRING_ARRAY, &limits,
    N_("Limit cpu-time (in seconds), memory, file-size, core (in bytes, or with K, M or G), open-files "
       "or processes; may be given several times"),
    N_("LIMIT=VALUE") },
  { "die-with-application", 0, 0, G_OPTION_ARG_NONE, &die_with_application,
    N_("Kill it when gspawnfork ends, in whatever way"), NULL },
  { "confine", 0, 0, G_OPTION_ARG_NONE, &confine,
    N_("Confine it to a sandbox in which it can compute, and use what it was given"), NULL },
  { "allow-read", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &readable,
    N_("Confine it, but let it read this file or directory; may be given several times"), N_("PATH") },
  { "allow-write", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &writable,
    N_("Confine it, but let it write to this file or directory; may be given several times"),
    N_("PATH") },
  { "allow-execute", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &executable,
    N_("Confine it, but let it execute this program, or those in this directory; may be given several "
       "times"),
    N_("PATH") },
  { "allow-network", 0, 0, G_OPTION_ARG_NONE, &allow_network,
    N_("Confine it, but let it connect by TCP and UDP"), NULL },
  G_OPTION_ENTRY_NULL
};

/* ——— Limits ——— */

/* Reads a number with a unit, as "512M". */
static gboolean
parse_value (const char *text,
             guint64    *value)
{
  static const char units[] = "KMGT";
  const char *unit;
  char *end;
  guint shift = 0;

  if (strcmp (text, "unlimited") == 0)
    {
      *value = G_MAXUINT64;
      return TRUE;
    }

  if (!g_ascii_isdigit (text[0]))
    return FALSE;
  *value = g_ascii_strtoull (text, &end, 10);
  if (*end != '\0')
    {
      unit = strchr (units, *end);
      if (unit == NULL || end[1] != '\0')
        return FALSE;
      shift = 10 * (unit - units + 1);
    }

  if (*value > G_MAXUINT64 >> shift)
    return FALSE;
  *value <<= shift;
  return TRUE;
}

static gboolean
set_limit (GForkTemplate  *template,
           const char     *text,
           GError        **error)
{
  g_autoptr (GEnumClass) class = g_type_class_ref (G_FORK_TYPE_LIMIT);
  g_auto (GStrv) parts = g_strsplit (text, "=", 2);
  const GEnumValue *limit = g_enum_get_value_by_nick (class, parts[0] != NULL ? parts[0] : "");
  guint64 value;

  if (limit == NULL || parts[1] == NULL || !parse_value (parts[1], &value))
    {
      g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, _("“%s” is not a limit and its value"),
                   text);
      return FALSE;
    }

  g_fork_template_set_limit (template, limit->value, value);
  return TRUE;
}

/* ——— Everything ——— */

static gboolean
set_variables (GForkTemplate  *template,
               GError        **error)
{
  static const char *const nothing[] = { NULL };

  if (ignore_environment)
    g_fork_template_set_environ (template, nothing);

  for (char **name = unset_variables; name != NULL && *name != NULL; name++)
    g_fork_template_unsetenv (template, *name);

  for (char **variable = variables; variable != NULL && *variable != NULL; variable++)
    {
      g_auto (GStrv) parts = g_strsplit (*variable, "=", 2);

      if (parts[0] == NULL || *parts[0] == '\0' || parts[1] == NULL)
        {
          g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                       _("“%s” is not a variable and its value"), *variable);
          return FALSE;
        }
      g_fork_template_setenv (template, parts[0], parts[1]);
    }
  return TRUE;
}

gboolean
command_prepare (GForkTemplate  *template,
                 GError        **error)
{
  if (!set_variables (template, error))
    return FALSE;

  for (char **limit = limits; limit != NULL && *limit != NULL; limit++)
    if (!set_limit (template, *limit, error))
      return FALSE;

  if (directory != NULL)
    g_fork_template_set_cwd (template, directory);
  if (own_session)
    g_fork_template_setsid (template);
  if (die_with_application)
    g_fork_template_die_with_application (template);
  return TRUE;
}

gboolean
command_has_own_session (void)
{
  return own_session;
}

/* ——— The sandbox ——— */

static void
allow (GForkSandbox *sandbox,
       char        **paths,
       void        (*function) (GForkSandbox *sandbox, const char *path))
{
  for (char **path = paths; path != NULL && *path != NULL; path++)
    {
      g_autofree char *absolute = g_canonicalize_filename (*path, NULL);

      function (sandbox, absolute);
    }
}

void
command_confine (GForkTemplate *template)
{
  g_autoptr (GForkSandbox) sandbox = NULL;

  if (!confine && !allow_network && readable == NULL && writable == NULL && executable == NULL)
    return;

  sandbox = g_fork_sandbox_new ();
  allow (sandbox, readable, g_fork_sandbox_allow_read);
  allow (sandbox, writable, g_fork_sandbox_allow_write);
  allow (sandbox, executable, g_fork_sandbox_allow_execute);
  if (allow_network)
    g_fork_sandbox_allow_network (sandbox);
  g_fork_template_confine (template, sandbox);
}
