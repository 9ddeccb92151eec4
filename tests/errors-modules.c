/* errors-modules.c: tests of modules and functions that cannot be loaded or found
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <errno.h>

/* MODULE: there is no such module. */
static void
test_module_missing (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);

  g_fork_template_require (template, "no-such-module");
  test_assert_prepare_fails (template, G_FORK_ERROR_MODULE, "no-such-module");
}

static void
test_module_missing_path (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();

  g_fork_template_require (template, "/nonexistent/module.so");
  test_assert_prepare_fails (template, G_FORK_ERROR_MODULE, "/nonexistent/module.so",
                             g_strerror (ENOENT));
}

/* MODULE: a name is a path from the root or a plain name, so that nothing depends on
 * where a process happens to be; nor do relative directories count. */
static void
test_module_no_name (void)
{
  const char *names[] = { "../modules/test-worker", "modules/test-worker.so", "./test-worker", "" };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autoptr (GForkTemplate) template = g_fork_template_new ();
      g_autofree char *tests = test_build_path (".");

      g_fork_template_set_cwd (template, tests);
      g_fork_template_require (template, names[i]);
      test_assert_prepare_fails (template, G_FORK_ERROR_MODULE, names[i],
                                 "neither an absolute path");
    }
}

static void
test_module_relative_directory (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autofree char *tests = test_build_path (".");

  g_fork_template_set_cwd (template, tests);
  g_fork_template_setenv (template, "GFORK_MODULE_PATH", "modules::./modules");
  g_fork_template_require (template, "test-worker");
  test_assert_prepare_fails (template, G_FORK_ERROR_MODULE, "test-worker");
}

/* MODULE: it cannot be loaded; dlerror() says why. */
static void
test_module_undefined_symbol (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();

  g_fork_template_require (template, "test-undefined");
  test_assert_prepare_fails (template, G_FORK_ERROR_MODULE, "test-undefined",
                             "a_function_that_nobody_defines");
}

/* MODULE: neither is a qualified function's module there; nor is one that a loaded one's name
 * only begins with. */
static void
test_module_of_function (gconstpointer module)
{
  g_autoptr (GForkTemplate) template = test_template_new ();
  g_autofree char *function = g_strconcat (module, ":answer", NULL);

  test_assert_run_fails (template, function, G_FORK_ERROR_MODULE, module);
}

/* FUNCTION: no module has it. */
static void
test_function_to_run (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);

  test_assert_run_fails (template, "no_such_function", G_FORK_ERROR_FUNCTION, "no_such_function");
}

static void
test_function_to_call (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);

  g_fork_template_call (template, "no_such_call", NULL);
  test_assert_prepare_fails (template, G_FORK_ERROR_FUNCTION, "no_such_call");
}

/* FUNCTION: another module than the named one has it. */
static void
test_function_of_another (gconstpointer kind)
{
  g_autoptr (GForkTemplate) template = test_make (kind);

  g_fork_template_require (template, "test-other");
  test_assert_run_fails (template, "test-worker:only_here", G_FORK_ERROR_FUNCTION, "test-worker",
                         "only_here");
}

/* FUNCTION: there is no module at all. */
static void
test_function_of_none (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();

  test_assert_run_fails (template, "answer", G_FORK_ERROR_FUNCTION, "answer");
}

/* What the C library exports is not a function to run. */
static void
test_function_of_libc (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();

  test_assert_run_fails (template, "abort", G_FORK_ERROR_FUNCTION, "abort");
}

int
main (int    argc,
      char **argv)
{
  test_adopt_orphans ();
  g_test_init (&argc, &argv, NULL);

  test_add_kinds ("/errors/module/missing", test_module_missing);
  g_test_add_func ("/errors/module/missing-path", test_module_missing_path);
  g_test_add_func ("/errors/module/no-name", test_module_no_name);
  g_test_add_func ("/errors/module/relative-directory", test_module_relative_directory);
  g_test_add_func ("/errors/module/undefined-symbol", test_module_undefined_symbol);
  g_test_add_data_func ("/errors/module/of-function/none", "no-such-module", test_module_of_function);
  g_test_add_data_func ("/errors/module/of-function/prefix", "test-work", test_module_of_function);
  test_add_kinds ("/errors/function/missing/to-run", test_function_to_run);
  test_add_kinds ("/errors/function/missing/to-call", test_function_to_call);
  test_add_kinds ("/errors/function/of-another", test_function_of_another);
  g_test_add_func ("/errors/function/of-none", test_function_of_none);
  g_test_add_func ("/errors/function/of-libc", test_function_of_libc);

  return g_test_run ();
}
