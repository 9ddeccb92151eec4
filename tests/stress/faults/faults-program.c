/* faults-program.c: uses everything of the library once, while system calls fail
 *
 * faults.py runs it, and makes a call fail in this process or in those that it starts. Each step
 * prints how it went:
 *
 *   STEP: ok
 *   STEP: CODE MESSAGE     it has failed as it may
 *   STEP: WRONG …          it must not have happened
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <gspawnfork/gspawnfork.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define MODULE "faults-worker"

static gboolean wrong;
static const char *work = "work";

/* ——— Saying how it went ——— */

/* Prints by a call that is not made to fail. */
static void G_GNUC_PRINTF (1, 2)
say (const char *format,
     ...)
{
  g_autofree char *text = NULL;
  struct iovec iov;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  iov = (struct iovec){ text, strlen (text) };
  if (writev (STDOUT_FILENO, &iov, 1) < 0)
    _exit (100);
}

static gboolean G_GNUC_PRINTF (2, 3)
say_wrong (const char *step,
           const char *format,
           ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  say ("%s: WRONG %s\n", step, text);
  wrong = TRUE;
  return FALSE;
}

static gboolean
say_ok (const char *step)
{
  say ("%s: ok\n", step);
  return TRUE;
}

/* Prints a failure. Each has to have a domain of the library, and a message. */
static gboolean
say_failed (const char   *step,
            const GError *error)
{
  g_autoptr (GEnumClass) codes = NULL;
  GEnumValue *code;

  if (error == NULL)
    return say_wrong (step, "failed without an error");
  if (error->domain != G_FORK_ERROR)
    return say_wrong (step, "%s: %s", g_quark_to_string (error->domain), error->message);
  if (error->message == NULL || error->message[0] == '\0')
    return say_wrong (step, "no message");

  codes = g_type_class_ref (G_FORK_TYPE_ERROR);
  code = g_enum_get_value (codes, error->code);
  say ("%s: %s %s\n", step, code != NULL ? code->value_nick : "?", error->message);
  return FALSE;
}

/* ——— What is open here ——— */

/* The ends of the pipes that this program has made. */
static GArray *pipes;

static gboolean
is_pipe_of_ours (int fd)
{
  struct stat st;

  if (fstat (fd, &st) == 0)
    for (guint i = 0; i < pipes->len; i++)
      if (g_array_index (pipes, ino_t, i) == st.st_ino)
        return TRUE;

  return FALSE;
}

/* Lists the open descriptors, but for those that may stay: the wake-ups of GLib's main contexts,
 * which are pipes if GLib could have nothing better; the one epoll descriptor of the library's
 * upkeep; and a file of /proc, which g_file_get_contents() does not close if fdopen() fails.
 * This is not what is tested, so a call that fails is tried again. */
static char *
list_fds (void)
{
  g_autoptr (GString) list = g_string_new (NULL);
  DIR *directory = NULL;
  struct dirent *entry;
  guint n_epolls = 0;

  for (int i = 0; i < 3 && directory == NULL; i++)
    directory = opendir ("/proc/self/fd");
  if (directory == NULL)
    return g_strdup ("unknown");

  while ((entry = readdir (directory)) != NULL)
    {
      char path[64], target[256];
      ssize_t length = -1;

      if (entry->d_name[0] == '.' || atoi (entry->d_name) == dirfd (directory))
        continue;
      g_snprintf (path, sizeof path, "/proc/self/fd/%.16s", entry->d_name);
      for (int i = 0; i < 3 && length < 0; i++)
        length = readlink (path, target, sizeof target - 1);
      target[MAX (length, 0)] = '\0';
      if (strcmp (target, "anon_inode:[eventfd]") != 0
          && (strcmp (target, "anon_inode:[eventpoll]") != 0 || n_epolls++ > 0)
          && !(g_str_has_prefix (target, "/proc/") && g_str_has_suffix (target, "/stat"))
          && (!g_str_has_prefix (target, "pipe:") || is_pipe_of_ours (atoi (entry->d_name))))
        g_string_append_printf (list, "%s=%s ", entry->d_name, target);
    }
  closedir (directory);
  if (list->len == 0)
    g_string_assign (list, "unknown");

  return g_string_free (g_steal_pointer (&list), FALSE);
}

/* ——— Parts of steps ——— */

/* Makes a pipe. This is not what is tested either. */
static void
make_pipe (int fds[2])
{
  struct stat st;

  fds[0] = fds[1] = -1;
  for (int i = 0; i < 3 && pipe2 (fds, O_CLOEXEC) != 0; i++)
    ;
  for (int i = 0; i < 3 && fds[0] >= 0; i++)
    if (fstat (fds[0], &st) == 0)
      {
        g_array_append_val (pipes, st.st_ino);
        break;
      }
}

static void
close_fd (int *fd)
{
  if (*fd >= 0)
    close (*fd);
  *fd = -1;
}

/* Reads until the end of file, without GLib. What could not be sent at once is sent from the
 * main context meanwhile. */
static char *
read_all (int fd)
{
  GString *all = g_string_new (NULL);

  for (;;)
    {
      struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
      char buffer[256];
      ssize_t n;

      while (poll (&poll_fd, 1, 10) == 0)
        g_main_context_iteration (NULL, FALSE);
      n = read (fd, buffer, sizeof buffer);
      if (n == 0 || (n < 0 && errno == ECONNRESET))
        return g_string_free (all, FALSE);
      if (n > 0)
        g_string_append_len (all, buffer, n);
    }
}

/* Sends arguments of each kind, and among them a descriptor that the worker writes to. */
static void
prepare (GForkTemplate *template,
         int           *answer)
{
  g_autofree char *large = g_strnfill (100000, 'x');
  g_autoptr (GBytes) bytes = g_bytes_new (large, 100000);
  int fds[2];

  make_pipe (fds);
  *answer = fds[0];
  g_fork_template_require (template, MODULE);
  g_fork_template_call (template, "set_up", (const char *[]){ "ready", NULL });
  g_fork_template_setenv (template, "FAULTS", "set");
  g_fork_template_set_cwd (template, "/");
  g_fork_template_send_arg (template, "text");
  g_fork_template_send_bytes (template, bytes);
  g_fork_template_send_fd (template, fds[1]);
  close_fd (&fds[1]);
}

/* Waits for a worker, which has to end with this status, unless it is LOST. */
static gboolean
await_end (const char   *step,
           GForkProcess *process,
           int           wait_status)
{
  g_autoptr (GError) error = NULL;

  if (!g_fork_process_wait (process, NULL, &error))
    return g_error_matches (error, G_FORK_ERROR, G_FORK_ERROR_LOST)
             ? say_failed (step, error)
             : say_wrong (step, "waiting failed: %s", error->message);
  if (g_fork_process_get_wait_status (process) != wait_status)
    return say_wrong (step, "wait status %#x", g_fork_process_get_wait_status (process));
  return TRUE;
}

/* Checks that a worker writes "good" to both descriptors that it was given, and ends with status
 * 3. */
static gboolean
check_worker (const char   *step,
              GSocket      *socket,
              GForkProcess *process,
              int          *answer)
{
  g_autofree char *said = read_all (g_socket_get_fd (socket));
  g_autofree char *written = NULL;

  if (strcmp (said, "good\n") != 0)
    return say_wrong (step, "the worker said “%s”", said);
  if (!await_end (step, process, 3 << 8))
    return FALSE;
  if (answer == NULL)
    return TRUE;

  written = read_all (*answer);
  if (written[0] != '!')
    return say_wrong (step, "the worker's descriptor was another one");
  return TRUE;
}

/* Checks that no process has what was sent to one that has ended. */
static void
check_gone (const char *step,
            int        *answer)
{
  g_autofree char *written = *answer >= 0 ? read_all (*answer) : NULL;

  close_fd (answer);
  if (written != NULL && strspn (written, "!") != strlen (written))
    say_wrong (step, "“%s” was written", written);
}

static gboolean
run (const char    *step,
     GForkTemplate *template,
     int           *answer)
{
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = g_fork_template_run (template, work, &process, NULL, &error);

  if (socket == NULL)
    return say_failed (step, error);
  return check_worker (step, socket, process, answer);
}

/* ——— Steps ——— */

static gboolean
step_new (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  int answer;
  gboolean good;

  prepare (template, &answer);
  good = run ("new", template, NULL);
  g_clear_object (&template);
  check_gone ("new", &answer);
  return good && say_ok ("new");
}

static gboolean
step_new_exec (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GError) error = NULL;
  int answer;
  gboolean good;

  prepare (template, &answer);
  good = g_fork_template_prepare (template, NULL, &error) || say_failed ("new-exec", error);
  good = good && run ("new-exec", template, NULL);
  g_clear_object (&template);
  check_gone ("new-exec", &answer);
  return good && say_ok ("new-exec");
}

typedef struct
{
  guint under_way;
  gboolean good;
} Launches;

static void
on_waited (GObject      *source,
           GAsyncResult *result,
           gpointer      user_data)
{
  Launches *launches = user_data;
  g_autoptr (GForkProcess) process = G_FORK_PROCESS (source);
  g_autoptr (GError) error = NULL;

  if (!g_fork_process_wait_finish (process, result, &error))
    launches->good = say_failed ("fork", error);
  else if (g_fork_process_get_wait_status (process) != 3 << 8)
    launches->good = say_wrong ("fork", "wait status %#x",
                                g_fork_process_get_wait_status (process));
  launches->under_way--;
}

static void
on_running (GObject      *source,
            GAsyncResult *result,
            gpointer      user_data)
{
  Launches *launches = user_data;
  GForkProcess *process = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = g_fork_template_run_finish (G_FORK_TEMPLATE (source), result,
                                                           &process, &error);
  g_autofree char *said = NULL;

  if (socket == NULL)
    {
      launches->good = say_failed ("fork", error);
      launches->under_way--;
      return;
    }

  said = read_all (g_socket_get_fd (socket));
  if (strcmp (said, "good\n") != 0)
    launches->good = say_wrong ("fork", "the worker said “%s”", said);
  g_fork_process_wait_async (process, NULL, on_waited, launches);
}

/* Runs two forks of a template, and then the template itself, which has children by then. */
static gboolean
step_fork (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  Launches launches = { 2, TRUE };
  gboolean good;
  int answer;

  prepare (template, &answer);
  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);

      g_fork_template_run_async (fork, work, NULL, on_running, &launches);
    }
  /* From then on the template has to look after its children. */
  g_fork_template_call (template, "set_up", (const char *[]){ "ready", NULL });
  good = run ("parent", template, NULL);
  /* What was read above has iterated the context, too. */
  while (launches.under_way > 0)
    g_main_context_iteration (NULL, TRUE);
  g_clear_object (&template);
  check_gone ("fork", &answer);
  return launches.good && good && say_ok ("fork");
}

static gboolean
step_signal (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = NULL;

  socket = g_fork_template_run (template, MODULE ":linger", &process, NULL, &error);
  if (socket == NULL)
    return say_failed ("signal", error);
  if (!g_fork_process_send_signal (process, SIGTERM, &error))
    {
      /* The signal was not sent, so the worker is to end by itself. */
      say_failed ("signal", error);
      g_clear_object (&socket);
      await_end ("signal", process, 5 << 8);
      return FALSE;
    }
  return await_end ("signal", process, SIGTERM) && say_ok ("signal");
}

static gboolean
step_cancel (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  int answer;

  prepare (template, &answer);
  g_cancellable_cancel (cancellable);
  if (g_fork_template_run (template, MODULE ":linger", NULL, cancellable, &error) != NULL)
    return say_wrong ("cancel", "it has run");
  g_clear_object (&template);
  check_gone ("cancel", &answer);
  if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return say_failed ("cancel", error);
  return say_ok ("cancel");
}

static gboolean
step_exec (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autofree char *said = NULL;
  const char *argv[] = { "/bin/echo", "this", NULL };
  int fds[2];

  make_pipe (fds);
  g_fork_template_send_arg (template, "that");
  if (fds[0] >= 0)
    g_fork_template_map_fd (template, fds[0], 7);
  close_fd (&fds[0]);
  close_fd (&fds[1]);
  socket = g_fork_template_execv (template, argv, G_FORK_EXEC_SOCKET_STDOUT, &process, NULL,
                                  &error);
  if (socket == NULL)
    return say_failed ("exec", error);

  said = read_all (g_socket_get_fd (socket));
  if (strcmp (said, "this that\n") != 0)
    return say_wrong ("exec", "the program said “%s”", said);
  return await_end ("exec", process, 0) && say_ok ("exec");
}

static gboolean
step_exec_nothing (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = NULL;
  const char *argv[] = { "/nonexistent", NULL };

  socket = g_fork_template_execv (template, argv, G_FORK_EXEC_NONE, &process, NULL, &error);
  if (socket != NULL)
    {
      /* The process could not send the error. Then its status has to tell, as in a shell. */
      if (!await_end ("exec-nothing", process, 127 << 8))
        return FALSE;
      g_set_error (&error, G_FORK_ERROR, G_FORK_ERROR_EXEC, "It ended with status 127");
      return say_failed ("exec-nothing", error);
    }
  if (!g_error_matches (error, G_FORK_ERROR, G_FORK_ERROR_EXEC)
      || strstr (error->message, g_strerror (ENOENT)) == NULL)
    return say_failed ("exec-nothing", error);
  return say_ok ("exec-nothing");
}

static gboolean
step_spares (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GError) error = NULL;
  int answer;
  gboolean good = TRUE;

  prepare (template, &answer);
  g_object_set (template, "spare-processes", 2, NULL);
  if (!g_fork_template_prepare (template, NULL, &error))
    good = say_failed ("spares", error);
  for (guint i = 0; i < 3; i++)
    {
      g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);

      good = run ("spares", fork, NULL) && good;
    }
  g_fork_template_close (template);
  g_clear_object (&template);
  check_gone ("spares", &answer);
  return good && say_ok ("spares");
}

/* Forgets workers without waiting for them, and templates without closing them. */
static gboolean
step_forget (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();
  g_autoptr (GForkTemplate) fork = g_fork_template_fork (template);
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = NULL;

  socket = g_fork_template_run (fork, MODULE ":linger", NULL, NULL, &error);
  return socket != NULL ? say_ok ("forget") : say_failed ("forget", error);
}

static gboolean
step_detach (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkTemplate) taken = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = NULL;
  int answer;
  gboolean good;

  prepare (template, &answer);
  socket = g_fork_template_detach (template, NULL, &error);
  good = socket != NULL || say_failed ("detach", error);
  if (good)
    {
      taken = g_fork_template_new_from_socket (socket);
      g_clear_object (&socket);
      good = run ("detach", taken, NULL);
    }
  g_clear_object (&taken);
  g_clear_object (&template);
  check_gone ("detach", &answer);
  return good && say_ok ("detach");
}

static gboolean
call (GForkPool  *pool,
      const char *text,
      gsize       length)
{
  g_autoptr (GBytes) request = g_bytes_new (text, length);
  g_autoptr (GBytes) reply = NULL;
  g_autoptr (GError) error = NULL;

  reply = g_fork_pool_call (pool, request, NULL, &error);
  if (reply == NULL)
    return say_failed ("pool", error);
  if (!g_bytes_equal (request, reply))
    return say_wrong ("pool", "another reply of %zu bytes", g_bytes_get_size (reply));
  return TRUE;
}

/* Each job is answered or fails, and no worker is left of a pool that was stopped. */
static gboolean
use_pool (GForkPool *pool)
{
  g_autofree char *large = g_strnfill (100000, 'x');
  g_autoptr (GForkLoan) loan = NULL;
  g_autoptr (GError) error = NULL;
  gboolean good;

  if (!g_fork_pool_start (pool, NULL, &error))
    return say_failed ("pool", error);

  good = call (pool, "small", 5);
  good = call (pool, large, 100000) && good;
  loan = g_fork_pool_acquire (pool, NULL, &error);
  if (loan == NULL)
    return say_failed ("pool", error);
  g_fork_loan_release (loan);
  return call (pool, "again", 5) && good;
}

static gboolean
step_pool (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkPool) pool = NULL;
  g_autoptr (GError) error = NULL;
  gboolean good;

  pool = g_fork_pool_new (template, MODULE ":serve");
  g_object_set (pool, "min-workers", 2, "max-workers", 2, "restart-delay", 0, NULL);
  good = use_pool (pool);
  if (!g_fork_pool_stop (pool, NULL, &error))
    return say_wrong ("pool", "stopping failed: %s", error->message);
  if (g_fork_pool_get_state (pool) != G_FORK_POOL_STATE_STOPPED)
    return say_wrong ("pool", "it does not stop");
  return good && say_ok ("pool");
}

static gboolean
step_from_main (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GForkTemplate) template = g_fork_template_new_from_main (&error);
  int answer;
  gboolean good;

  if (template == NULL)
    return say_failed ("from-main", error);

  work = "work_in_program";
  prepare (template, &answer);
  good = run ("from-main", template, NULL);
  g_clear_object (&template);
  check_gone ("from-main", &answer);
  work = "work";
  return good && say_ok ("from-main");
}

static gboolean
step_early (void)
{
  g_autoptr (GError) error = NULL;
  gboolean good = g_fork_init_early (&error) || say_failed ("early", error);

  return step_new_exec () && good && say_ok ("early");
}

/* ——— Which steps ——— */

typedef gboolean (*Step) (void);

enum
{
  ONCE = 1 << 0,  /* it cannot be done again */
  STAYS = 1 << 1, /* it leaves a process behind that stays as long as this one */
};

static const struct
{
  const char *name;
  Step steps[3];
  int flags;
} parts[] = {
  { "new", { step_new } },
  { "fork", { step_fork } },
  { "signal", { step_signal, step_cancel } },
  /* The first is executed by a fork, the later ones are started without one. */
  { "exec", { step_exec, step_exec, step_exec_nothing } },
  { "spares", { step_spares } },
  { "forget", { step_new_exec, step_forget } },
  { "detach", { step_detach } },
  { "pool", { step_pool } },
  { "from-main", { step_from_main }, ONCE },
  { "early", { step_early }, ONCE | STAYS },
  { "embed", { step_new } },
};

static gboolean
is_like_before (const char *before,
                const char *now)
{
  return strcmp (before, now) == 0 || strcmp (before, "unknown") == 0
         || strcmp (now, "unknown") == 0;
}

/* Waits until everything has ended that the library still has: the default template, processes
 * to be reaped, and sockets of templates that were closed. The main context does that, or else
 * the library's next call. */
static void
check_what_is_left (const char *before)
{
  g_autofree char *after = NULL;
  int left = 0;

  for (guint i = 0; i < 1000; i++)
    {
      g_autoptr (GForkTemplate) sweep G_GNUC_UNUSED = NULL;

      if (i % 100 == 99)
        sweep = g_fork_template_new_exec ();
      while (g_main_context_iteration (NULL, FALSE))
        ;
      left = waitid (P_ALL, 0, &(siginfo_t){ 0 }, WEXITED | WNOHANG | WNOWAIT);
      if (left != 0 && errno == ECHILD)
        {
          g_free (after);
          after = list_fds ();
          if (is_like_before (before, after))
            break;
        }
      g_usleep (1000);
    }
  if (left == 0)
    say_wrong ("end", "there are children left");

  if (after != NULL && !is_like_before (before, after))
    say_wrong ("end", "open before: %s; after: %s", before, after);
}

int
main (int    argc,
      char **argv)
{
  g_autofree char *before = NULL;
  const Step *steps = NULL;
  int flags = 0;

  if (argc > 1 && (strcmp (argv[1], "embed") == 0 || g_str_has_prefix (argv[1], "--gspawnfork")))
    g_fork_embed_helper (argc, argv);

  for (gsize i = 0; i < G_N_ELEMENTS (parts) && argc == 2; i++)
    if (strcmp (parts[i].name, argv[1]) == 0)
      {
        steps = parts[i].steps;
        flags = parts[i].flags;
      }
  if (steps == NULL)
    {
      for (gsize i = 0; i < G_N_ELEMENTS (parts); i++)
        say ("%s\n", parts[i].name);
      return 2;
    }

  pipes = g_array_new (FALSE, FALSE, sizeof (ino_t));
  before = list_fds ();
  /* This call shows faults.py where the program begins. */
  personality (0xffffffff);

  for (guint i = 0; i < G_N_ELEMENTS (parts[0].steps) && steps[i] != NULL; i++)
    steps[i]();

  /* Only one call was to fail, so the step must succeed now. */
  if (g_getenv ("FAULTS_RECOVERS") != NULL && (flags & ONCE) == 0 && !steps[0]() && !steps[0]()
      && !steps[0]())
    say_wrong ("recovery", "there is none");

  g_fork_template_set_default (NULL);
  if ((flags & STAYS) == 0)
    check_what_is_left (before);

  say ("end\n");
  return wrong;
}
