/* main.c: asks two workers about the words of the command line
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gspawnfork/gspawnfork.h>
#include <locale.h>

/* Sends the words, runs the function, and returns what it has answered. */
static char *
ask (GForkTemplate  *template,
     char          **words,
     const char     *function,
     GError        **error)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  char answer[1000] = "";

  for (; *words != NULL; words++)
    g_fork_template_send_arg (template, *words);
  socket = g_fork_template_run (template, function, &process, NULL, error);
  if (socket == NULL)
    return NULL;

  g_socket_set_blocking (socket, TRUE);
  if (g_socket_receive (socket, answer, sizeof answer - 1, NULL, error) < 0
      || !g_fork_process_wait_check (process, NULL, error))
    return NULL;
  return g_strdup (answer);
}

int
main (int    argc,
      char **argv)
{
  g_autoptr (GForkTemplate) c = g_fork_template_new ();
  g_autoptr (GForkTemplate) python = g_fork_template_new_for_runtime ("python3");
  g_autoptr (GError) error = NULL;
  g_autofree char *longest = NULL;
  g_autofree char *total = NULL;

  setlocale (LC_ALL, "");
  g_fork_add_module_path (MODULE_DIR);
  g_fork_add_module_path (PYTHON_DIR);

  longest = ask (c, argv + 1, "longest-word:find", &error);
  if (longest != NULL)
    total = ask (python, argv + 1, "total_length:add_up", &error);
  if (error != NULL)
    {
      g_printerr ("%s\n", error->message);
      return 1;
    }

  g_print ("The longest word is “%s”; all have %s characters.\n", longest, total);
  return 0;
}
