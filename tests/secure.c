/* secure.c: tests of programs that run with more rights than the user who has started them
 *
 * The environment of such a program is chosen by the user, who may be less trusted. The
 * library's objects are linked into this program, since the system does not let such programs
 * load libraries from any directory. It executes itself with another real than effective user,
 * which the kernel treats like a setuid program.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include <gspawnfork/gspawnfork.h>

#include "wire/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLER 65534

/* Exit statuses of the program that is executed. */
enum
{
  GOOD = 0,
  NOT_SECURE = 77,
  NOT_POSSIBLE = 78,
};

/* ——— In the program ——— */

static GError *
prepare (GForkTemplate *template)
{
  GError *error = NULL;

  g_assert_cmpint (g_fork_template_prepare (template, NULL, &error), ==, error == NULL);
  return error;
}

/* The helper is the installed one, whatever GSPAWNFORK_HELPER says. */
static void
check_helper (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GError) error = prepare (template);

  g_assert_no_error (error);
}

/* Modules are not looked for where GFORK_MODULE_PATH says. */
static void
check_module_path (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GError) error = NULL;

  g_fork_template_require (template, "test-worker");
  error = prepare (template);
  g_assert_error (error, G_FORK_ERROR, G_FORK_ERROR_MODULE);
}

/* Neither when the program has become its owner for good, so that to its helpers
 * the environment looks like anybody's. */
static void
check_module_path_for_good (void)
{
  g_assert_no_errno (setresuid (0, 0, 0));
  check_module_path ();
}

/* Nor in a fork of the program itself. */
static void
check_module_path_from_main (void)
{
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GError) error = NULL;

  template = g_fork_template_new_from_main (&error);
  g_assert_no_error (error);
  g_fork_template_require (template, "test-worker");
  error = prepare (template);
  g_assert_error (error, G_FORK_ERROR, G_FORK_ERROR_MODULE);
}

/* Runtimes are not looked for where GSPAWNFORK_RUNTIME_DIR says. */
static void
check_runtime (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec_for_runtime ("hostile");
  g_autoptr (GError) error = prepare (template);

  g_assert_error (error, G_FORK_ERROR, G_FORK_ERROR_NOT_SUPPORTED);
}

static const struct
{
  const char *name;
  void (*check) (void);
  gboolean with_helper;
} checks[] = {
  { "helper", check_helper, TRUE },
  { "module-path", check_module_path, TRUE },
  { "module-path-for-good", check_module_path_for_good, TRUE },
  { "module-path-from-main", check_module_path_from_main, FALSE },
  { "runtime", check_runtime, FALSE },
};

/* ——— Starting it ——— */

/* Has the helper stand where it would be installed: for this process alone. Nothing
 * that is there is touched. */
static gboolean
provide_helper (const char *built)
{
  g_autofree char *directory = g_path_get_dirname (GFORK_HELPER);
  g_autofree char *top = g_strdup (directory);
  g_autofree char *contents = NULL;
  gsize length;

  if (g_file_test (GFORK_HELPER, G_FILE_TEST_EXISTS))
    return TRUE;
  if (built == NULL || !g_file_get_contents (built, &contents, &length, NULL))
    return FALSE;

  while (!g_file_test (top, G_FILE_TEST_IS_DIR))
    {
      char *parent = g_path_get_dirname (top);

      g_free (top);
      top = parent;
    }

  return strcmp (top, "/") != 0
         && unshare (CLONE_NEWNS) == 0
         && mount (NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0
         && mount ("none", top, "tmpfs", 0, "mode=755") == 0
         && g_mkdir_with_parents (directory, 0755) == 0
         && g_file_set_contents_full (GFORK_HELPER, contents, length, G_FILE_SET_CONTENTS_NONE,
                                      0755, NULL);
}

static _Noreturn void
execute (const char *const *argv)
{
  /* What is mounted may hide the path. */
  int self = open ("/proc/self/exe", O_RDONLY);

  if (self < 0 || setresuid (CALLER, 0, 0) != 0)
    _exit (NOT_POSSIBLE);
  fexecve (self, (char **) argv, environ);
  _exit (NOT_POSSIBLE);
}

/* Returns the exit status, and skips the test where it says so. */
static int
await (pid_t pid)
{
  int wait_status;

  g_assert_no_errno (pid);
  g_assert_cmpint (waitpid (pid, &wait_status, 0), ==, pid);
  g_assert_true (WIFEXITED (wait_status));
  if (WEXITSTATUS (wait_status) == NOT_SECURE)
    g_test_skip ("the system does not treat this as a setuid program");
  if (WEXITSTATUS (wait_status) == NOT_POSSIBLE)
    g_test_skip ("users cannot be changed here, or nothing be mounted");

  return WEXITSTATUS (wait_status);
}

static gboolean
is_possible (void)
{
  if (geteuid () == 0 && g_getenv ("GFORK_TEST_VALGRIND") == NULL)
    return TRUE;

  g_test_skip ("only root can start such a program, and not under valgrind");
  return FALSE;
}

static void
test_environment (gconstpointer data)
{
  gsize i = GPOINTER_TO_SIZE (data);
  const char *argv[] = { "secure", "--secure", checks[i].name, NULL };
  g_autofree char *directory = NULL;
  g_autofree char *keyfile = NULL;
  g_autoptr (GError) error = NULL;
  pid_t pid;
  int status;

  if (!is_possible ())
    return;

  directory = g_dir_make_tmp ("gspawnfork-XXXXXX", &error);
  g_assert_no_error (error);
  keyfile = g_build_filename (directory, "hostile.runtime", NULL);
  g_assert_true (g_file_set_contents (keyfile, "[Runtime]\nExec=/bin/cat;\n", -1, &error));

  pid = fork ();
  if (pid == 0)
    {
      if (checks[i].with_helper && !provide_helper (g_getenv ("GSPAWNFORK_HELPER")))
        _exit (NOT_POSSIBLE);
      g_setenv ("GSPAWNFORK_HELPER", "/bin/false", TRUE);
      g_setenv ("GSPAWNFORK_RUNTIME_DIR", directory, TRUE);
      /* GFORK_MODULE_PATH is there, for all tests. */
      execute (argv);
    }
  status = await (pid);
  if (status != NOT_SECURE && status != NOT_POSSIBLE)
    g_assert_cmpint (status, ==, GOOD);

  g_unlink (keyfile);
  g_rmdir (directory);
}

/* A command line does not turn such a program into a helper: it goes on with main(). */
static void
test_command_line (void)
{
  const char *argv[] = { "secure", GFORK_SERVE_OPTION, G_STRINGIFY (GFORK_PROTOCOL_VERSION), "3",
                         NULL };
  int ends[2];
  pid_t pid;
  int status;
  char byte;

  if (!is_possible ())
    return;

  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
  pid = fork ();
  if (pid == 0)
    {
      int moved = fcntl (ends[1], F_DUPFD_CLOEXEC, 10);

      dup2 (moved, 3);
      fcntl (3, F_SETFD, 0);
      execute (argv);
    }
  close (ends[1]);
  status = await (pid);
  if (status != NOT_SECURE && status != NOT_POSSIBLE)
    g_assert_cmpint (status, ==, GOOD);
  g_assert_cmpint (read (ends[0], &byte, 1), ==, 0);
  close (ends[0]);
}

int
main (int    argc,
      char **argv)
{
  gboolean executed = argc > 1 && strncmp (argv[1], "--secure", 8) == 0;
  gboolean as_helper = argc > 1 && strcmp (argv[1], GFORK_SERVE_OPTION) == 0;

  if ((executed || as_helper) && getauxval (AT_SECURE) == 0)
    return NOT_SECURE;

  if (as_helper)
    {
      g_fork_embed_helper (argc, argv);
      return GOOD;
    }

  if (executed)
    {
      for (gsize i = 0; i < G_N_ELEMENTS (checks); i++)
        if (strcmp (argv[2], checks[i].name) == 0)
          checks[i].check ();
      return GOOD;
    }

  g_test_init (&argc, &argv, NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (checks); i++)
    {
      g_autofree char *path = g_strconcat ("/secure/environment/", checks[i].name, NULL);

      g_test_add_data_func (path, GSIZE_TO_POINTER (i), test_environment);
    }
  g_test_add_func ("/secure/command-line", test_command_line);

  return g_test_run ();
}
