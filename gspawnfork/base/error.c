/* error.c: makes error messages of what the template process reports
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "base/error.h"

#include <glib/gi18n-lib.h>

/* The domain of errors that are mere reasons. Users get errors that g_fork_reason_complete() has
 * made of them. */
static G_DEFINE_QUARK (g-fork-reason-quark, g_fork_reason)

/* Longer subjects, like code to evaluate, are cut in a message. */
#define MAX_SUBJECT 256

/* @last_code is the module or function that ran before the threads were seen, or empty. */
GError *
g_fork_error_new_threaded (const char *threads,
                           int         n_threads,
                           const char *last_code)
{
  /* The kernel cuts a name after 15 bytes. */
  g_autofree char *names = g_utf8_make_valid (threads, -1);

  if (n_threads == 0)
    return g_error_new (G_FORK_ERROR, G_FORK_ERROR_THREADED,
                        _("The process cannot be forked, because its threads cannot be counted: %s"),
                        names);

  if (last_code[0] != '\0')
    return g_error_new (G_FORK_ERROR, G_FORK_ERROR_THREADED,
                        _("The process cannot be forked, because it has other threads: %s; "
                          "the last code that ran in it was “%s”"),
                        names, last_code);

  return g_error_new (G_FORK_ERROR, G_FORK_ERROR_THREADED,
                      _("The process cannot be forked, because it has other threads: %s"), names);
}

/* Translates a reason. The library's own are in its catalogue, what strerror() says is in the C
 * library's, and messages of the user's modules are in neither. */
static char *
translate_reason (const char *reason)
{
  g_auto (GStrv) parts = g_strsplit (reason, GFORK_DETAIL, -1);
  g_autoptr (GString) joined = g_string_new (NULL);

  for (guint i = 0; parts[i] != NULL; i++)
    {
      const char *translated = parts[i];

      /* Every second part is a detail, which is not translated. */
      if (i % 2 == 0 && parts[i][0] != '\0')
        translated = _(parts[i]);
      if (i % 2 == 0 && translated == parts[i] && parts[i][0] != '\0')
        translated = g_dgettext ("libc", parts[i]);
      g_string_append_printf (joined, "%s%s", i > 0 ? ": " : "", translated);
    }

  return g_utf8_make_valid (joined->str, joined->len);
}

/* What has failed. The subject comes first and the reason second in each, so that one call can
 * format them all. */
static const char *
sentence (uint32_t verb)
{
  switch (verb)
    {
    case GFORK_REQUIRE:
      return N_("Could not load the module “%s”: %s");
    case GFORK_CALL:
      return N_("Calling the function “%s” failed: %s");
    case GFORK_EVAL:
      return N_("Evaluating “%s” failed: %s");
    case GFORK_ARG:
    case GFORK_ARG_MEMFD:
      return N_("Could not take a string%s: %s");
    case GFORK_ARG_FD:
      return N_("Could not take a descriptor%s: %s");
    case GFORK_SETENV:
      return N_("Could not set the environment variable “%s”: %s");
    case GFORK_UNSETENV:
      return N_("Could not unset the environment variable “%s”: %s");
    case GFORK_CHDIR:
      return N_("Could not change to the directory “%s”: %s");
    case GFORK_MODULE_PATH:
      return N_("Could not set the module path “%s”: %s");
    case GFORK_ENVIRON:
      return N_("Could not set the environment, because of “%s”: %s");
    case GFORK_SETSID:
      return N_("Could not make the process lead a session%s: %s");
    case GFORK_LIMIT:
      return N_("Could not set the limit “%s”: %s");
    case GFORK_DIE:
      return N_("Could not have the process end with the application%s: %s");
    case GFORK_MAP_FD:
      return N_("Could not place a descriptor at %s: %s");
    case GFORK_CONFINE:
      return N_("Could not confine the template%s: %s");
    case GFORK_FORK:
      return N_("Could not fork%s: %s");
    case GFORK_SYNC:
      return N_("Could not prepare the template%s: %s");
    case G_FORK_DETACH:
      return N_("Could not detach the template%s: %s");
    case G_FORK_WAIT:
      return N_("The template has ended%s: %s");
    case GFORK_RUN:
      return N_("Could not run the function “%s”: %s");
    case GFORK_EXEC:
      return N_("Could not execute the program “%s”: %s");
    default:
      return N_("The process gave up%s: %s");
    }
}

/* Returns the error of a command, about its @subject. */
GError *
g_fork_error_new_for (GForkError  code,
                      guint8      verb,
                      const char *subject,
                      const char *reason)
{
  return g_error_new (G_FORK_ERROR, code, _(sentence (verb)), subject, reason);
}

/* Describes a command in few words. The method has the same name in every language. */
char *
g_fork_command_describe (guint8      verb,
                         const char *subject)
{
  static const char *const methods[] = {
    [GFORK_REQUIRE] = "require",
    [GFORK_CALL] = "call",
    [GFORK_EVAL] = "eval",
  };
  g_autofree char *start = g_strndup (subject, MAX_SUBJECT);
  g_autofree char *valid = g_utf8_make_valid (start, -1);

  /* Translators: a method, and the module, function or code that it was given */
  return g_strdup_printf (_("%s “%s”"), methods[verb], valid);
}

/* ——— Reasons ——— */

GError *
g_fork_reason_new (GForkError  code,
                   const char *format,
                   ...)
{
  va_list args;
  GError *reason;

  va_start (args, format);
  reason = g_error_new_valist (g_fork_reason_quark (), code, format, args);
  va_end (args);
  return reason;
}

/* Makes an error that names the command and its subject of a mere reason. Returns an error that
 * is complete already as it is. Takes @error. */
GError *
g_fork_reason_complete (GError     *error,
                        guint8      verb,
                        const char *subject)
{
  g_autoptr (GError) reason = NULL;
  g_autofree char *start = NULL;
  g_autofree char *valid = NULL;

  if (error == NULL || error->domain != g_fork_reason_quark ())
    return error;

  reason = error;
  start = g_strndup (subject, MAX_SUBJECT);
  valid = g_utf8_make_valid (start, -1);
  return g_fork_error_new_for (reason->code, verb, valid, reason->message);
}

/* ——— What the template process reports ——— */

/* Makes an error of an ERROR frame; one about the protocol if it is not well-formed. It is a
 * mere reason if the frame names no command. @process names the template process in the middle
 * of a sentence. */
GError *
g_fork_error_new_from_frame (const struct gfork_frame *frame,
                             const char               *process)
{
  struct gfork_error error = { 0 };
  const uint8_t *rest = frame->payload + sizeof error;
  uint32_t length;
  const char *subject = NULL, *reason = NULL;
  g_autofree char *valid_subject = NULL;
  g_autofree char *valid_reason = NULL;

  if (frame->length >= sizeof error)
    {
      memcpy (&error, frame->payload, sizeof error);
      length = frame->length - sizeof error;
      subject = gfork_next_string (&rest, &length);
      reason = gfork_next_string (&rest, &length);
    }
  if (subject == NULL || reason == NULL || error.code > G_FORK_ERROR_CLOSED)
    return g_fork_reason_new (G_FORK_ERROR_PROTOCOL,
                              _("%s does not speak the protocol: malformed error"), process);

  /* Names and messages from C may be in any encoding. */
  valid_subject = g_utf8_make_valid (subject, -1);
  valid_reason = translate_reason (reason);

  if (error.verb == 0)
    return g_fork_reason_new (error.code, _("%s gave up: %s"), process, valid_reason);
  if (error.code == G_FORK_ERROR_THREADED && error.verb == GFORK_CONFINE)
    return g_error_new (G_FORK_ERROR, G_FORK_ERROR_THREADED,
                        _("The process cannot be confined, because it has other threads: %s"),
                        valid_reason);
  if (error.code == G_FORK_ERROR_THREADED)
    return g_fork_error_new_threaded (valid_reason, -1, valid_subject);
  if (error.code == G_FORK_ERROR_MODULE && error.verb != GFORK_REQUIRE)
    {
      g_autofree char *of_module = g_strdup_printf (_("its module could not be loaded: %s"),
                                                    valid_reason);

      return g_fork_error_new_for (error.code, error.verb, valid_subject, of_module);
    }

  return g_fork_error_new_for (error.code, error.verb, valid_subject, valid_reason);
}
