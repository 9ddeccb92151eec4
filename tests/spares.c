/* spares.c: tests of spare processes
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* The first answer has the spares refilled, the second comes after that. */
static void
refill (GForkTemplate *template)
{
  test_prepare (template);
  test_prepare (template);
}

/* How many children a process has, other than the zombies. */
static guint
count_children (GPid parent)
{
  g_autoptr (GDir) proc = g_dir_open ("/proc", 0, NULL);
  const char *name;
  guint n = 0;

  g_assert_nonnull (proc);
  while ((name = g_dir_read_name (proc)) != NULL)
    {
      g_autofree char *path = g_build_filename ("/proc", name, "stat", NULL);
      g_autofree char *stat = NULL;
      const char *rest;

      if (g_ascii_isdigit (name[0]) && g_file_get_contents (path, &stat, NULL, NULL)
          && (rest = strrchr (stat, ')')) != NULL && rest[2] != 'Z' && atoi (rest + 4) == parent)
        n++;
    }

  return n;
}

/* A template with its worker module and two spares, which are there. */
static GForkTemplate *
template_with_spares (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();

  g_fork_template_require (template, "test-worker");
  g_fork_template_set_spare_processes (template, 2);
  test_prepare (template);
  g_assert_cmpuint (count_children (g_fork_template_get_pid (template)), ==, 2);

  return g_steal_pointer (&template);
}

static void
count_call (GObject    *object,
            GParamSpec *pspec,
            gpointer    user_data)
{
  ++*(guint *) user_data;
}

static void
test_property (void)
{
  g_autoptr (GForkTemplate) template = g_object_new (G_FORK_TYPE_TEMPLATE, "spare-processes", 3,
                                                     NULL);
  guint n;

  g_object_get (template, "spare-processes", &n, NULL);
  g_assert_cmpuint (n, ==, 3);
  g_assert_cmpuint (g_fork_template_get_spare_processes (template), ==, 3);

  n = 0;
  g_signal_connect (template, "notify::spare-processes", G_CALLBACK (count_call), &n);
  g_fork_template_set_spare_processes (template, 3);
  g_assert_cmpuint (n, ==, 0);
  g_fork_template_set_spare_processes (template, 4);
  g_assert_cmpuint (n, ==, 1);
}

/* A fork is one of the spares, and after its run there are as many as before. */
static void
test_taken_and_refilled (void)
{
  g_autoptr (GForkTemplate) template = template_with_spares ();
  GPid parent = g_fork_template_get_pid (template);

  for (guint i = 0; i < 10; i++)
    {
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
      g_autoptr (GForkProcess) process = NULL;
      g_autoptr (GSocket) socket = NULL;

      refill (template);
      g_assert_cmpuint (count_children (parent), ==, 3);

      socket = test_run (fork, "answer", &process);
      test_send (socket, "exit 5\n");
      test_assert_exits (process, 5);
      refill (template);
      g_assert_cmpuint (count_children (parent), ==, 2);
    }
}

/* What the template is sent is there in the next fork, as if there were no
 * spares; and it is done once, not by every spare. */
static void
test_commands_reach_forks (void)
{
  g_autoptr (GForkTemplate) template = template_with_spares ();

  for (guint i = 0; i < 3; i++)
    {
      g_autoptr (GForkTemplate) fork = NULL;
      g_autoptr (GSocket) socket = NULL;

      g_fork_template_call (template, "remember", (const char *[]){ "told", NULL });
      g_fork_template_send_arg (template, "sent");
      fork = g_fork_template_fork (template);
      socket = test_run (fork, "answer", NULL);
      test_assert_answer (socket, "memory",
                          i == 0 ? "[told]" : i == 1 ? "[told][told]" : "[told][told][told]");
      test_assert_answer (socket, "n-args", i == 0 ? "1" : i == 1 ? "2" : "3");
    }
}

/* A spare that was killed is not what one gets. */
static void
test_dead_spares (void)
{
  g_autoptr (GForkTemplate) template = template_with_spares ();
  g_autofree char *path = NULL;
  g_autofree char *children = NULL;
  g_auto (GStrv) pids = NULL;
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GSocket) socket = NULL;
  GPid parent = g_fork_template_get_pid (template);

  path = g_strdup_printf ("/proc/%d/task/%d/children", parent, parent);
  if (!g_file_get_contents (path, &children, NULL, NULL))
    {
      g_test_skip ("the kernel does not list children");
      return;
    }

  pids = g_strsplit (g_strstrip (children), " ", 0);
  g_assert_cmpuint (g_strv_length (pids), ==, 2);
  for (guint i = 0; i < 2; i++)
    {
      g_assert_no_errno (kill (atoi (pids[i]), SIGKILL));
      test_wait_for_end (atoi (pids[i]));
    }

  fork = g_fork_template_fork (template);
  socket = test_run (fork, "answer", NULL);
  test_assert_answer (socket, "memory", "nothing");
  refill (template);
  g_assert_cmpuint (count_children (parent), ==, 3);
}

/* A template that is found dead when its spares are refilled ends them, as it ends
 * everything else. */
static void
test_dead_template (gconstpointer how)
{
  g_autoptr (GForkTemplate) template = template_with_spares ();
  g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
  g_autoptr (GError) error = NULL;

  test_prepare (fork);
  g_assert_no_errno (kill (g_fork_template_get_pid (template), SIGKILL));
  test_wait_for_end (g_fork_template_get_pid (template));

  /* When it is found depends on how often it was forked. */
  for (guint i = 0; i < 100; i++)
    {
      if (how != NULL)
        g_fork_template_set_spare_processes (template, 3 + i);
      else
        test_prepare (fork);
    }
  g_assert_false (g_fork_template_prepare (template, NULL, &error));
  g_assert_error (error, G_FORK_ERROR, G_FORK_ERROR_LOST);
}

/* They end when fewer are wanted, and with the template. */
static void
test_they_end (void)
{
  g_autoptr (GForkTemplate) template = template_with_spares ();
  GPid parent = g_fork_template_get_pid (template);

  g_fork_template_set_spare_processes (template, 1);
  while (count_children (parent) > 1)
    g_thread_yield ();
  g_assert_cmpuint (count_children (parent), ==, 1);

  g_fork_template_close (template);
  test_wait_for_end (parent);
  g_assert_cmpuint (count_children (parent), ==, 0);
}

/* A template with spares can itself be run, and its spares go. */
static void
test_run_template (void)
{
  g_autoptr (GForkTemplate) template = template_with_spares ();
  GPid parent = g_fork_template_get_pid (template);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = test_run (template, "answer", &process);

  while (count_children (parent) > 1)
    g_thread_yield ();
  test_send (socket, "exit 9\n");
  test_assert_exits (process, 9);
}

/* A template that cannot be forked has no spares, and says why as ever. */
static void
test_threaded (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_require (template, "test-thread");
  g_fork_template_call (template, "leave_thread", (const char *[]){ "stray", NULL });
  g_fork_template_set_spare_processes (template, 2);
  fork = g_fork_template_fork (template);
  g_assert_false (g_fork_template_prepare (fork, NULL, &error));
  g_assert_error (error, G_FORK_ERROR, G_FORK_ERROR_THREADED);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/spares/property", test_property);
  g_test_add_func ("/spares/taken-and-refilled", test_taken_and_refilled);
  g_test_add_func ("/spares/commands-reach-forks", test_commands_reach_forks);
  g_test_add_func ("/spares/dead", test_dead_spares);
  g_test_add_data_func ("/spares/dead-template/setting", "setting", test_dead_template);
  g_test_add_data_func ("/spares/dead-template/answers", NULL, test_dead_template);
  g_test_add_func ("/spares/they-end", test_they_end);
  g_test_add_func ("/spares/run-template", test_run_template);
  g_test_add_func ("/spares/threaded", test_threaded);

  return g_test_run ();
}
