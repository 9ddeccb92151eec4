/* app.c: a program with the library as its subproject
 *
 * It runs a function of its own in a worker; with `--no-embedding` it runs a program,
 * and with `--module` a function of a module.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gspawnfork/gforkworker.h>
#include <gspawnfork/gspawnfork.h>

#include <string.h>
#include <unistd.h>

#if !G_FORK_CHECK_VERSION(1, 0, 0)
#error "This is not the version that was asked for."
#endif

int answer (int             socket,
            const GForkArg *args,
            size_t          n_args);

G_MODULE_EXPORT int
answer (int             socket,
        const GForkArg *args,
        size_t          n_args)
{
  if (n_args != 1)
    return 1;

  return write (socket, args[0].data, args[0].length) != (ssize_t) args[0].length;
}

int
main (int    argc,
      char **argv)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  char text[6] = "";

  if (argc == 2 && strcmp (argv[1], "--module") == 0)
    {
      template = g_fork_template_new ();
      g_fork_template_send_arg (template, "hello");
      socket = g_fork_template_run (template, "worker:answer", &process, NULL, &error);
    }
  else if (argc == 1 || strcmp (argv[1], "--no-embedding") != 0)
    {
      g_fork_embed_helper (argc, argv);
      template = g_fork_template_new ();
      g_fork_template_send_arg (template, "hello");
      socket = g_fork_template_run (template, "answer", &process, NULL, &error);
    }
  else
    {
      const char *const echo[] = { "echo", "-n", "hello", NULL };

      template = g_fork_template_new ();
      socket = g_fork_template_execv (template, echo,
                                      G_FORK_EXEC_SEARCH_PATH | G_FORK_EXEC_SOCKET_STDOUT,
                                      &process, NULL, &error);
    }
  g_assert_no_error (error);

  g_socket_set_blocking (socket, TRUE);
  g_socket_receive (socket, text, 5, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (text, ==, "hello");

  g_fork_process_wait_check (process, NULL, &error);
  g_assert_no_error (error);

  return 0;
}
