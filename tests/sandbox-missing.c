/* sandbox-missing.c: tests of sandboxes on kernels that lack something
 *
 * This kernel lacks nothing, so each test runs in a process whose system calls fail as they do
 * there. Older versions of Landlock are simulated by another process, which answers the question
 * for the version.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CREATE_RULESET 444
#define CREATE_RULESET_VERSION 1

#define ALL_FEATURES \
  (G_FORK_SANDBOX_FILES | G_FORK_SANDBOX_NETWORK | G_FORK_SANDBOX_SIGNALS \
   | G_FORK_SANDBOX_SYSTEM_CALLS)

#define LOAD(field) BPF_STMT (BPF_LD | BPF_W | BPF_ABS, offsetof (struct seccomp_data, field))
/* The lower half, on little-endian machines. */
#define LOAD_ARGUMENT(n) \
  BPF_STMT (BPF_LD | BPF_W | BPF_ABS, offsetof (struct seccomp_data, args) + 8 * (n))
#define IF(value, then, otherwise) BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, value, then, otherwise)
#define RETURN(value) BPF_STMT (BPF_RET | BPF_K, value)

static int
install (struct sock_filter *rules,
         unsigned short      n,
         unsigned            flags)
{
  struct sock_fprog program = { n, rules };
  int result;

  g_assert_cmpint (prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), ==, 0);
  result = (int) syscall (SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
  g_assert_cmpint (result, >=, 0);
  return result;
}

/* From now on, in this process and those that it starts, a call fails. */
static void
break_call (long call,
            int  error)
{
  struct sock_filter rules[] = {
    LOAD (nr),
    IF ((guint32) call, 0, 1),
    RETURN (SECCOMP_RET_ERRNO | error),
    RETURN (SECCOMP_RET_ALLOW),
  };

  install (rules, G_N_ELEMENTS (rules), 0);
}

/* No filter can be had any more. It is the last that this process gets. */
static void
break_seccomp (void)
{
  struct sock_filter rules[] = {
    LOAD (nr),
    IF (SYS_seccomp, 4, 0),
    IF (SYS_prctl, 0, 2),
    LOAD_ARGUMENT (0),
    IF (PR_SET_SECCOMP, 1, 0),
    RETURN (SECCOMP_RET_ALLOW),
    RETURN (SECCOMP_RET_ERRNO | EINVAL),
  };

  install (rules, G_N_ELEMENTS (rules), 0);
}

static gpointer
answer_versions (gpointer data)
{
  int listener = GPOINTER_TO_INT (data) >> 8, version = GPOINTER_TO_INT (data) & 0xff;

  for (;;)
    {
      struct seccomp_notif question = { 0 };
      struct seccomp_notif_resp answer = { 0 };

      if (ioctl (listener, SECCOMP_IOCTL_NOTIF_RECV, &question) != 0)
        continue;
      answer.id = question.id;
      answer.val = version;
      ioctl (listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
  return NULL;
}

/* Landlock is of this version, as far as it says. */
static void
make_old (int version)
{
  struct sock_filter rules[] = {
    LOAD (nr),
    IF (CREATE_RULESET, 0, 3),
    LOAD_ARGUMENT (2),
    IF (CREATE_RULESET_VERSION, 0, 1),
    RETURN (SECCOMP_RET_USER_NOTIF),
    RETURN (SECCOMP_RET_ALLOW),
  };
  int listener = install (rules, G_N_ELEMENTS (rules), SECCOMP_FILTER_FLAG_NEW_LISTENER);

  g_thread_unref (g_thread_new ("kernel", answer_versions,
                                GINT_TO_POINTER (listener << 8 | version)));
}

/* ——— What is asserted ——— */

static void
assert_not_supported (const char *missing,
                      const char *there)
{
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GError) error = NULL;

  g_fork_template_confine (template, sandbox);
  g_assert_false (g_fork_template_prepare (template, NULL, &error));
  test_assert_error (error, G_FORK_ERROR_NOT_SUPPORTED, missing);
  if (there != NULL)
    g_assert_null (strstr (error->message, there));
}

static GSocket *
run_as_far_as_possible (void)
{
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  g_autoptr (GForkTemplate) template = g_fork_template_new ();

  g_fork_sandbox_set_required (sandbox, FALSE);
  g_fork_template_require (template, "test-confined");
  g_fork_template_confine (template, sandbox);
  return test_run (template, "do_things", NULL);
}

static void
assert_errno (GSocket    *socket,
              const char *question,
              int         expected)
{
  g_autofree char *answer = test_ask (socket, "%s", question);

  g_assert_cmpint (atoi (answer), ==, expected);
}

/* Runs a test in a process of its own. */
static gboolean
in_a_process (void)
{
  if (g_test_subprocess ())
    return TRUE;

  g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
  g_test_trap_assert_passed ();
  return FALSE;
}

static void
test_without_landlock (gconstpointer error)
{
  g_autoptr (GSocket) socket = NULL;

  if (!in_a_process ())
    return;

  break_call (CREATE_RULESET, GPOINTER_TO_INT (error));
  g_assert_cmpint (g_fork_sandbox_get_features (), ==, G_FORK_SANDBOX_SYSTEM_CALLS);
  assert_not_supported ("Landlock", "seccomp");

  socket = run_as_far_as_possible ();
  assert_errno (socket, "read /etc/passwd", 0);
  assert_errno (socket, "bind-tcp", EPERM);
  assert_errno (socket, "execute /bin/true", EPERM);
}

static void
test_without_seccomp (void)
{
  g_autoptr (GSocket) socket = NULL;

  if (!in_a_process ())
    return;

  break_seccomp ();
  g_assert_cmpint (g_fork_sandbox_get_features (), ==, ALL_FEATURES & ~G_FORK_SANDBOX_SYSTEM_CALLS);
  assert_not_supported ("seccomp", "Landlock");

  socket = run_as_far_as_possible ();
  assert_errno (socket, "read /etc/passwd", EACCES);
  assert_errno (socket, "bind-tcp", EACCES);
  assert_errno (socket, "bind-udp", 0);
}

static void
test_without_anything (void)
{
  g_autoptr (GSocket) socket = NULL;

  if (!in_a_process ())
    return;

  break_call (CREATE_RULESET, ENOSYS);
  break_seccomp ();
  g_assert_cmpint (g_fork_sandbox_get_features (), ==, G_FORK_SANDBOX_NONE);
  assert_not_supported ("seccomp", NULL);

  socket = run_as_far_as_possible ();
  assert_errno (socket, "read /etc/passwd", 0);
  assert_errno (socket, "privileges", 0);
}

static void
test_old_landlock (gconstpointer data)
{
  static const GForkSandboxFeatures features[] = {
    G_FORK_SANDBOX_NONE,
    G_FORK_SANDBOX_NONE,
    G_FORK_SANDBOX_NONE,
    G_FORK_SANDBOX_FILES,
    G_FORK_SANDBOX_FILES | G_FORK_SANDBOX_NETWORK,
    G_FORK_SANDBOX_FILES | G_FORK_SANDBOX_NETWORK,
    ALL_FEATURES & ~G_FORK_SANDBOX_SYSTEM_CALLS,
  };
  int version = GPOINTER_TO_INT (data);
  g_autoptr (GSocket) socket = NULL;
  g_autofree char *probe = NULL;

  if (!in_a_process ())
    return;

  make_old (version);
  g_assert_cmpint (g_fork_sandbox_get_features (), ==, features[version] | G_FORK_SANDBOX_SYSTEM_CALLS);
  if (version < 6)
    assert_not_supported ("signals", "seccomp");
  if (version < 4)
    assert_not_supported ("network", "seccomp");
  if (version < 3)
    assert_not_supported ("files", "seccomp");

  /* What there is of it is enforced. */
  socket = run_as_far_as_possible ();
  assert_errno (socket, "read /etc/passwd", EACCES);
  assert_errno (socket, "bind-tcp", EPERM);
  probe = g_strdup_printf ("kill %d 0", getpid ());
  assert_errno (socket, probe, version < 6 ? 0 : EPERM);
}

/* ——— In the process that is to be confined ——— */

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  if (test_under_sanitizer ())
    {
      g_print ("1..0 # SKIP what a sanitizer does at the end of a process is not allowed\n");
      return 0;
    }

  if (g_fork_sandbox_get_features () != ALL_FEATURES)
    {
      g_print ("1..0 # SKIP the kernel cannot confine\n");
      return 0;
    }

  g_test_add_data_func ("/sandbox/missing/landlock", GINT_TO_POINTER (ENOSYS), test_without_landlock);
  g_test_add_data_func ("/sandbox/missing/landlock-disabled", GINT_TO_POINTER (EOPNOTSUPP),
                        test_without_landlock);
  g_test_add_func ("/sandbox/missing/seccomp", test_without_seccomp);
  g_test_add_func ("/sandbox/missing/all", test_without_anything);
  for (int version = 1; version <= 6; version++)
    {
      g_autofree char *path = g_strdup_printf ("/sandbox/missing/landlock-%d", version);

      g_test_add_data_func (path, GINT_TO_POINTER (version), test_old_landlock);
    }

  return g_test_run ();
}
