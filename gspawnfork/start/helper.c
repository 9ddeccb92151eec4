/* helper.c: finds a helper and executes it by posix_spawn
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "start/helper.h"

#include "base/debug.h"
#include "base/upkeep.h"
#include "gforkerror.h"
#include "serve/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n-lib.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Where the control socket is put. Everything above it is closed. */
#define CONTROL_FD 3

/* An argument that leaves space for a title, in which the name of a function has to fit. */
#define PADDING "                                                                " \
                "                                                                "

#define START_TIMEOUT 30
#define MAX_START_TIMEOUT (G_MAXUINT / 1000)

static gboolean embedded;

/* Makes the program its own helper. */
void
g_fork_helper_set_embedded (void)
{
  embedded = TRUE;
}

static const char *
find_helper (void)
{
  const char *helper = secure_getenv ("GSPAWNFORK_HELPER");

  if (helper != NULL && helper[0] != '\0')
    return helper;

  if (!embedded)
    return GFORK_HELPER;

  /* The link leads to the running program even if the file was moved or replaced. */
  if (access ("/proc/self/exe", X_OK) == 0)
    return "/proc/self/exe";
  return (const char *) getauxval (AT_EXECFN);
}

/* Moves a descriptor away from the numbers that the helper gets, 0 to 3. It may have one of
 * these if the application has closed that. Takes @fd. */
static int
move_above (int fd)
{
  int moved;

  if (fd > CONTROL_FD)
    return fd;

  moved = fcntl (fd, F_DUPFD_CLOEXEC, CONTROL_FD + 1);
  close (fd);
  return moved;
}

static int
add_file_actions (posix_spawn_file_actions_t *actions,
                  int                         control,
                  gboolean                    closing)
{
  int result = posix_spawn_file_actions_addopen (actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

  for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO && result == 0; fd++)
    if (fcntl (fd, F_GETFD) < 0)
      result = posix_spawn_file_actions_addopen (actions, fd, "/dev/null", O_WRONLY, 0);

  if (result == 0)
    result = posix_spawn_file_actions_adddup2 (actions, control, CONTROL_FD);
#ifdef HAVE_POSIX_SPAWN_FILE_ACTIONS_ADDCLOSEFROM_NP
  if (result == 0 && closing)
    result = posix_spawn_file_actions_addclosefrom_np (actions, CONTROL_FD + 1);
#endif

  return result;
}

/* A process starts with the default action for every signal, but SIGHUP, SIGINT and SIGQUIT stay
 * ignored if this one ignores them (nohup, background jobs). Signals that are meant for the
 * whole process group are blocked until the process has handlers, as they would end it. */
static int
set_attributes (posix_spawnattr_t *attributes)
{
  static const int of_terminal[] = { SIGHUP, SIGINT, SIGQUIT };
  sigset_t all, blocked;
  int result;

  sigfillset (&all);
  for (guint i = 0; i < G_N_ELEMENTS (of_terminal); i++)
    {
      struct sigaction action;

      if (sigaction (of_terminal[i], NULL, &action) == 0 && action.sa_handler == SIG_IGN)
        sigdelset (&all, of_terminal[i]);
    }
  gfork_signals_fill_quiet (&blocked);

  result = posix_spawnattr_setsigdefault (attributes, &all);
  if (result == 0)
    result = posix_spawnattr_setsigmask (attributes, &blocked);
  if (result == 0)
    result = posix_spawnattr_setflags (attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);

  return result;
}

/* Returns the environment of the helper. In a setuid program the variables that the helper would
 * read are removed: the user who has set them may be less trusted than the program. The helper
 * may not see that itself: if this process has become the program's owner for good, the kernel
 * does not take the helper for a setuid program. */
static char **
get_environment (char ***copy)
{
  static const char *const ours[] = { "GFORK_MODULE_PATH", "GSPAWNFORK_HELPER",
                                      "GSPAWNFORK_RUNTIME_DIR", "GSPAWNFORK_START_TIMEOUT" };

  if (getauxval (AT_SECURE) == 0)
    return environ;

  *copy = g_get_environ ();
  for (guint i = 0; i < G_N_ELEMENTS (ours); i++)
    *copy = g_environ_unsetenv (*copy, ours[i]);
  return *copy;
}

static int
spawn_closing (pid_t              *pid,
               const char         *program,
               const char * const *argv,
               int                 control,
               gboolean            search,
               gboolean            closing)
{
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  g_auto (GStrv) copy = NULL;
  int result = posix_spawn_file_actions_init (&actions);

  if (result != 0)
    return result;
  result = posix_spawnattr_init (&attributes);
  if (result == 0)
    {
      result = add_file_actions (&actions, control, closing);
      if (result == 0)
        result = set_attributes (&attributes);
      if (result == 0)
        result = (search ? posix_spawnp : posix_spawn) (pid, program, &actions, &attributes,
                                                        (char **) argv,
                                                        get_environment (&copy));
      posix_spawnattr_destroy (&attributes);
    }
  posix_spawn_file_actions_destroy (&actions);

  return result;
}

static int
spawn (pid_t              *pid,
       const char         *program,
       const char * const *argv,
       int                 control,
       gboolean            search)
{
  int result = spawn_closing (pid, program, argv, control, search, TRUE);

#ifdef HAVE_POSIX_SPAWN_FILE_ACTIONS_ADDCLOSEFROM_NP
  /* Without close_range() the C library needs /proc to close descriptors. The helper closes them
   * as well. */
  if (result != 0 && access ("/proc/self/fd", F_OK) != 0)
    result = spawn_closing (pid, program, argv, control, search, FALSE);
#endif

  return result;
}

static char *
why_not_spawned (int error_number)
{
  /* The helper has it as standard input. */
  if (access ("/dev/null", R_OK) != 0)
    return g_strdup_printf ("/dev/null: %s", g_strerror (errno));

#ifdef SYS_clone3
  /* The C library does without clone3() only if it fails with ENOSYS. The kernel itself never
   * accepts this size, so nothing is cloned. */
  if (error_number == EPERM && syscall (SYS_clone3, NULL, 0) != 0 && errno == EPERM)
    return g_strdup (_("a seccomp filter forbids clone3(), and does not say ENOSYS"));
#endif

  return g_strdup (g_strerror (error_number));
}

/* Returns how many seconds a program has to say HELLO; 0 if there is no limit. */
static guint
get_start_timeout (void)
{
  const char *value = secure_getenv ("GSPAWNFORK_START_TIMEOUT");
  guint64 seconds;

  if (value != NULL && g_ascii_string_to_unsigned (value, 10, 0, MAX_START_TIMEOUT, &seconds, NULL))
    return (guint) seconds;
  return START_TIMEOUT;
}

static GForkRemote *
start (const char         *program,
       const char * const *argv,
       gboolean            search)
{
  g_autoptr (GForkChild) child = NULL;
  GForkRemote *remote;
  pid_t pid = 0;
  int fds[2] = { -1, -1 }, result = 0;

  g_fork_upkeep ();

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
    result = errno;
  else
    {
      fds[0] = move_above (fds[0]);
      fds[1] = move_above (fds[1]);
      result = fds[0] < 0 || fds[1] < 0 ? errno : spawn (&pid, program, argv, fds[1], search);
    }
  if (fds[1] >= 0)
    close (fds[1]);

  if (result != 0)
    {
      g_autofree char *name = g_filename_display_name (program);
      g_autofree char *reason = why_not_spawned (result);
      GError *error = g_error_new (G_FORK_ERROR, G_FORK_ERROR_SPAWN,
                                   _("Could not execute the helper “%s”: %s"), name, reason);

      if (fds[0] >= 0)
        close (fds[0]);
      g_fork_debug ("error: %s", error->message);
      return g_fork_remote_new_failed (error);
    }

  g_fork_debug ("process %d is started: “%s”", (int) pid, program);
  child = g_fork_child_new_direct (pid);
  remote = g_fork_remote_new (fds[0], child);
  g_fork_remote_set_program (remote, program, get_start_timeout ());
  return remote;
}

#define VERSION_WORD G_STRINGIFY (GFORK_PROTOCOL_VERSION)
#define CONTROL_WORD G_STRINGIFY (CONTROL_FD)

/* Executes the helper for modules in C. */
GForkRemote *
g_fork_helper_start (void)
{
  const char *const argv[] = {
    "gspawnfork-helper", GFORK_SERVE_OPTION, VERSION_WORD, CONTROL_WORD,
    PADDING, /* NOLINT(bugprone-suspicious-missing-comma): one long word */
    NULL,
  };

  return start (find_helper (), argv, FALSE);
}

/* Executes the program of another runtime, given by the first words of its command line. */
GForkRemote *
g_fork_helper_start_program (const char * const *words)
{
  const char *const rest[] = { GFORK_SERVE_OPTION, VERSION_WORD, CONTROL_WORD, PADDING };
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();

  for (; *words != NULL; words++)
    g_ptr_array_add (argv, (gpointer) *words);
  for (guint i = 0; i < G_N_ELEMENTS (rest); i++)
    g_ptr_array_add (argv, (gpointer) rest[i]);
  g_ptr_array_add (argv, NULL);

  return start (argv->pdata[0], (const char *const *) argv->pdata, TRUE);
}
