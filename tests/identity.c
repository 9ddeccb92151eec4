/* identity.c: tests of default templates of an application that becomes another user
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "testutils.h"

#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <unistd.h>

#define OTHER 65534

/* ——— Becoming another one, and back ——— */

static gboolean
change_user (gboolean back)
{
  const char *helper = g_getenv ("GSPAWNFORK_HELPER");

  g_assert_no_errno (seteuid (back ? 0 : OTHER));
  return back || helper == NULL || faccessat (AT_FDCWD, helper, X_OK, AT_EACCESS) == 0;
}

static gboolean
change_group (gboolean back)
{
  g_assert_no_errno (setegid (back ? 0 : OTHER));
  return TRUE;
}

static gboolean
change_groups (gboolean back)
{
  static gid_t before[1024];
  static int n_before;
  const gid_t others[] = { OTHER, OTHER - 1 };

  if (!back)
    n_before = getgroups (G_N_ELEMENTS (before), before);
  g_assert_cmpint (n_before, >=, 0);
  g_assert_no_errno (back ? setgroups (n_before, before)
                          : setgroups (G_N_ELEMENTS (others), others));
  return TRUE;
}

/* More than fit into a small array. */
static gboolean
change_many_groups (gboolean back)
{
  gid_t many[100];

  if (back)
    return change_groups (TRUE);

  change_groups (FALSE);
  for (guint i = 0; i < G_N_ELEMENTS (many); i++)
    many[i] = OTHER - i;
  g_assert_no_errno (setgroups (G_N_ELEMENTS (many), many));
  return TRUE;
}

/* What the application can change: @change returns whether it can still execute the helper. */
typedef struct
{
  const char *name;
  gboolean (*change) (gboolean back);
} Change;

static const Change changes[] = {
  { "user", change_user },
  { "group", change_group },
  { "groups", change_groups },
  { "many-groups", change_many_groups },
};

/* Returns %FALSE if it cannot be done here; then the test is skipped. */
static gboolean
begin (const Change *change)
{
  if (geteuid () != 0)
    {
      g_test_skip ("only root can become another user");
      return FALSE;
    }

  if (change->change (FALSE))
    return TRUE;

  change->change (TRUE);
  g_test_skip ("another user cannot execute the helper here");
  return FALSE;
}

static void
end (const Change *change)
{
  change->change (TRUE);
}

/* The lines of /proc that say what a process may do. */
static char *
get_identity (GPid pid)
{
  g_autofree char *status = test_read_proc (pid, "status");
  g_auto (GStrv) lines = g_strsplit (status, "\n", -1);
  GString *identity = g_string_new (NULL);

  for (char **line = lines; *line != NULL; line++)
    if (g_str_has_prefix (*line, "Groups:"))
      g_string_append (identity, *line);
    else if (g_str_has_prefix (*line, "Uid:") || g_str_has_prefix (*line, "Gid:"))
      {
        g_auto (GStrv) ids = g_strsplit (*line, "\t", -1);

        /* The effective one. */
        g_string_append_printf (identity, "%s %s\n", ids[0], ids[2]);
      }
  return g_string_free (identity, FALSE);
}

/* A worker may do what the application may do now. */
static void
assert_worker_is_like_us (void)
{
  g_autofree char *our_identity = get_identity (getpid ());
  g_autofree char *its_identity = NULL;
  g_autofree char *module = test_build_path ("modules/test-worker.so");
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket G_GNUC_UNUSED = NULL;

  /* Where the effective user is another one, the environment does not say where modules are. */
  g_fork_template_require (template, module);
  socket = test_run (template, "echo", &process);
  its_identity = get_identity (g_fork_process_get_pid (process));
  g_assert_cmpstr (its_identity, ==, our_identity);
}

/* ——— Defaults ——— */

static void
test_replaced (gconstpointer change)
{
  GPid before = test_default_pid ();

  if (!begin (change))
    return;
  assert_worker_is_like_us ();
  g_assert_cmpint (test_default_pid (), !=, before);
  end (change);
  assert_worker_is_like_us ();
}

/* What was prepared is not lost without a word. */
static void
test_set_one_is_refused (gconstpointer change)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GForkTemplate) dup = NULL;
  g_autoptr (GForkTemplate) object = NULL;

  g_fork_template_set_default (template);
  if (begin (change))
    {
      fork = g_fork_template_new ();
      test_assert_run_fails (fork, "echo", G_FORK_ERROR_FAILED, "the function “echo”",
                             "another user or group");
      dup = g_fork_template_dup_default ();
      test_assert_prepare_fails (dup, G_FORK_ERROR_FAILED, "another user or group");
      object = g_object_new (G_FORK_TYPE_TEMPLATE, NULL);
      test_assert_prepare_fails (object, G_FORK_ERROR_FAILED, "another user or group");
      end (change);

      assert_worker_is_like_us ();
      g_assert_cmpint (test_default_pid (), ==, g_fork_template_get_pid (template));
    }
  g_fork_template_set_default (NULL);
}

/* It counts when it was started, and not when it was set. */
static void
test_set_late_is_refused (gconstpointer change)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GForkTemplate) prepared = g_fork_template_fork (template);
  g_autoptr (GForkTemplate) fork = NULL;

  if (begin (change))
    {
      g_fork_template_set_default (prepared);
      fork = g_fork_template_new ();
      test_assert_run_fails (fork, "echo", G_FORK_ERROR_FAILED, "another user or group");
      g_fork_template_set_default (NULL);
      assert_worker_is_like_us ();
      end (change);
    }
  g_fork_template_set_default (NULL);
}

/* What is confined is not replaced by what is not. */
static void
test_confined_is_refused (gconstpointer change)
{
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GForkTemplate) template = NULL;
  g_autoptr (GForkTemplate) fork = NULL;
  g_autoptr (GError) error = NULL;

  g_fork_template_set_default (NULL);
  template = g_fork_template_dup_default ();
  g_fork_sandbox_set_required (sandbox, FALSE);
  g_fork_template_confine (template, sandbox);
  if (!g_fork_template_prepare (template, NULL, &error))
    {
      g_assert_error (error, G_FORK_ERROR, G_FORK_ERROR_NOT_SUPPORTED);
      g_test_skip (error->message);
    }
  else if (begin (change))
    {
      fork = g_fork_template_new ();
      test_assert_prepare_fails (fork, G_FORK_ERROR_FAILED, "another user or group");
      end (change);
    }
  g_fork_template_set_default (NULL);
}

/* ——— Whose privileges are not known ——— */

static void
test_from_socket (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) control = g_fork_template_detach (template, NULL, &error);
  g_autoptr (GForkTemplate) adopted = NULL;
  g_autoptr (GForkTemplate) fork = NULL;
  GPid before = test_default_pid ();

  g_assert_no_error (error);
  adopted = g_fork_template_new_from_socket (control);
  fork = g_fork_template_fork (adopted);
  test_prepare (fork);

  for (guint i = 0; i < 2; i++)
    {
      g_test_expect_message ("gspawnfork", G_LOG_LEVEL_CRITICAL, "*another process has started*");
      g_fork_template_set_default (i == 0 ? adopted : fork);
      g_test_assert_expected_messages ();
      g_assert_cmpint (test_default_pid (), ==, before);
    }
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  /* Of a process that has become another user, it waits for ever for what it may not look at. */
  if (test_under_sanitizer ())
    {
      g_print ("1..0 # SKIP a leak checker looks at what other users' processes may not\n");
      return 0;
    }

  test_add_table ("/identity/replaced", changes, test_replaced);
  test_add_table ("/identity/set-one-is-refused", changes, test_set_one_is_refused);
  test_add_table ("/identity/set-late-is-refused", changes, test_set_late_is_refused);
  test_add_table ("/identity/confined-is-refused", changes, test_confined_is_refused);
  g_test_add_func ("/identity/from-socket", test_from_socket);

  return g_test_run ();
}
