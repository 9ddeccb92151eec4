/* fuzz-application.c: fuzzes the application's side, through the public interface, with template
 * processes that answer what the input says
 *
 * For every input: nothing crashes or warns, every call has ended when the template processes
 * have, and no descriptor is left open.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "fuzz.h"

#include "wire/frame.h"

#include <gspawnfork/gspawnfork.h>

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_TEMPLATES 16
#define MAX_PEERS 64

/* The action that a byte of the input stands for. */
enum
{
  ANSWER, /* the template process sends something */
  PREPARE,
  RUN,
  EXEC,
  DETACH,
  FORK,
  SEND,
  SEND_LONG,
  CANCEL,
  CLOSE,
  DROP,
  ITERATE,
  LISTEN, /* the template process reads, and gets the sockets of forks */
  HANG_UP,
  SPARES,
  PROCESSES, /* all functions are called that ask a process for something */
  SELECT,    /* chooses the template and the template process for the actions that follow */
  N_ACTIONS,
};

static GForkTemplate *templates[MAX_TEMPLATES];
static guint n_templates;
static int peers[MAX_PEERS]; /* the template processes' ends of control sockets */
static guint n_peers;
static GPtrArray *processes;
static GCancellable *cancellable;
static guint n_pending, n_waits;

static void
keep_template (GForkTemplate *template)
{
  if (n_templates < MAX_TEMPLATES)
    templates[n_templates++] = template;
  else
    g_object_unref (template);
}

static void
keep_peer (int fd)
{
  if (n_peers < MAX_PEERS)
    peers[n_peers++] = fd;
  else
    close (fd);
}

/* ——— Results ——— */

static void
on_prepared (GObject      *object,
             GAsyncResult *result,
             gpointer      data)
{
  g_autoptr (GError) error = NULL;
  gboolean prepared = g_fork_template_prepare_finish (G_FORK_TEMPLATE (object), result, &error);

  fuzz_check (prepared == (error == NULL));
  fuzz_check (error == NULL || g_utf8_validate (error->message, -1, NULL));
  fuzz_check (!prepared || g_fork_template_get_pid (G_FORK_TEMPLATE (object)) > 0);
  n_pending--;
}

static void
keep_process (GForkProcess *process)
{
  fuzz_check (g_fork_process_get_pid (process) > 0);
  g_ptr_array_add (processes, process);
}

static void
take_result (GSocket      *socket,
             GForkProcess *process,
             const GError *error)
{
  fuzz_check ((socket != NULL) == (error == NULL));
  fuzz_check ((process != NULL) == (error == NULL));
  fuzz_check (error == NULL || g_utf8_validate (error->message, -1, NULL));
  if (process != NULL)
    keep_process (process);
  g_clear_object (&socket);
  n_pending--;
}

static void
on_run (GObject      *object,
        GAsyncResult *result,
        gpointer      data)
{
  g_autoptr (GError) error = NULL;
  GForkProcess *process = NULL;
  GSocket *socket = g_fork_template_run_finish (G_FORK_TEMPLATE (object), result, &process, &error);

  take_result (socket, process, error);
}

static void
on_executed (GObject      *object,
             GAsyncResult *result,
             gpointer      data)
{
  g_autoptr (GError) error = NULL;
  GForkProcess *process = NULL;
  GSocket *socket = g_fork_template_execv_finish (G_FORK_TEMPLATE (object), result, &process,
                                                  &error);

  take_result (socket, process, error);
}

/* Another program takes the template over. */
static void
on_detached (GObject      *object,
             GAsyncResult *result,
             gpointer      data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = NULL;

  socket = g_fork_template_detach_finish (G_FORK_TEMPLATE (object), result, &error);
  fuzz_check ((socket != NULL) == (error == NULL));
  if (socket != NULL)
    keep_template (g_fork_template_new_from_socket (socket));
  n_pending--;
}

static void
on_waited (GObject      *object,
           GAsyncResult *result,
           gpointer      data)
{
  g_autoptr (GError) error = NULL;
  GForkProcess *process = G_FORK_PROCESS (object);

  if (g_fork_process_wait_finish (process, result, &error))
    {
      fuzz_check (g_fork_process_get_if_exited (process)
                  != g_fork_process_get_if_signaled (process));
      if (g_fork_process_get_if_exited (process))
        fuzz_check (g_fork_process_get_exit_status (process) >= 0);
      else
        fuzz_check (g_fork_process_get_term_sig (process) > 0);
      g_fork_process_get_max_rss (process);
    }
  else
    fuzz_check (error != NULL);
  n_waits--;
}

/* ——— Actions ——— */

static void
send_something (struct fuzz_input *input,
                GForkTemplate     *template)
{
  static const char *const args[] = { "argument", NULL };

  switch (fuzz_take (input) % 8)
    {
    case 0:
      g_fork_template_send_arg (template, "argument");
      break;
    case 1:
      g_fork_template_send_fd (template, 0);
      break;
    case 2:
      g_fork_template_require (template, "module");
      break;
    case 3:
      g_fork_template_call (template, "module:function", args);
      break;
    case 4:
      g_fork_template_setenv (template, "VARIABLE", "value");
      break;
    case 5:
      g_fork_template_set_cwd (template, "/");
      break;
    case 6:
      g_fork_template_map_fd (template, 0, 20);
      break;
    case 7:
      g_fork_template_eval (template, "1", NULL);
      break;
    }
}

static void
ask_processes (void)
{
  for (guint i = 0; i < processes->len; i++)
    {
      GForkProcess *process = g_ptr_array_index (processes, i);

      g_fork_process_wait_async (process, cancellable, on_waited, NULL);
      n_waits++;
      g_fork_process_send_signal (process, 0, NULL);
      fuzz_check (g_fork_process_get_pid (process) > 0);
    }
}

/* Reads everything that was sent. Descriptors are taken for the sockets of forks. */
static void
listen_to (int from)
{
  for (;;)
    {
      _Alignas (struct cmsghdr) char control[GFORK_CONTROL_SIZE (GFORK_MAX_FDS)];
      char bytes[4096];
      struct iovec iov = { bytes, sizeof bytes };
      struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
                                .msg_controllen = sizeof control };
      struct cmsghdr *header;

      if (recvmsg (from, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0)
        return;
      header = CMSG_FIRSTHDR (&message);
      for (size_t i = 0; header != NULL && i < (header->cmsg_len - CMSG_LEN (0)) / sizeof (int); i++)
        keep_peer (((int *) CMSG_DATA (header))[i]);
    }
}

static void
iterate (guint n)
{
  while (n-- > 0 && g_main_context_iteration (NULL, FALSE))
    ;
}

static void
act (struct fuzz_input *input,
     guint             *template_index,
     guint             *peer_index)
{
  static const char *const argv[] = { "/program", NULL };
  guint8 action = fuzz_take (input) % N_ACTIONS;
  GForkTemplate *template = NULL;
  int peer = peers[*peer_index % n_peers];

  if (n_templates > 0)
    template = templates[*template_index % n_templates];

  switch (action)
    {
    case ANSWER:
      fuzz_send (input, peer, -1);
      return;
    case CANCEL:
      g_cancellable_cancel (cancellable);
      g_object_unref (cancellable);
      cancellable = g_cancellable_new ();
      return;
    case ITERATE:
      iterate (fuzz_take (input) % 16);
      return;
    case LISTEN:
      listen_to (peer);
      return;
    case HANG_UP:
      shutdown (peer, fuzz_take (input) % 2 == 0 ? SHUT_WR : SHUT_RDWR);
      return;
    case PROCESSES:
      ask_processes ();
      return;
    case SELECT:
      *template_index = fuzz_take (input);
      *peer_index = fuzz_take (input);
      return;
    }

  if (template == NULL)
    return;

  switch (action)
    {
    case PREPARE:
      g_fork_template_prepare_async (template, cancellable, on_prepared, NULL);
      n_pending++;
      break;
    case RUN:
      g_fork_template_run_async (template, "module:function", cancellable, on_run, NULL);
      n_pending++;
      break;
    case EXEC:
      g_fork_template_execv_async (template, argv, G_FORK_EXEC_SOCKET_STDIN, cancellable,
                                   on_executed, NULL);
      n_pending++;
      break;
    case DETACH:
      g_fork_template_detach_async (template, cancellable, on_detached, NULL);
      n_pending++;
      break;
    case FORK:
      keep_template (g_fork_template_fork (template));
      break;
    case SEND:
      send_something (input, template);
      break;
    case SEND_LONG:
      {
        g_autoptr (GBytes) bytes = g_bytes_new_take (g_malloc0 (FUZZ_MEMORY), FUZZ_MEMORY);

        g_fork_template_send_bytes (template, bytes);
      }
      break;
    case CLOSE:
      g_fork_template_close (template);
      break;
    case DROP:
      g_object_unref (template);
      templates[*template_index % n_templates] = templates[n_templates - 1];
      n_templates--;
      break;
    case SPARES:
      g_object_set (template, "spare-processes", (guint) fuzz_take (input) % 4, NULL);
      break;
    }
}

/* ——— The target ——— */

static void
begin (void)
{
  g_autoptr (GSocket) socket = NULL;
  int ends[2];

  fuzz_check (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  socket = g_socket_new_from_fd (ends[0], NULL);
  fuzz_check (socket != NULL);
  cancellable = g_cancellable_new ();
  processes = g_ptr_array_new_with_free_func (g_object_unref);
  n_templates = n_peers = n_pending = n_waits = 0;
  keep_peer (ends[1]);
  keep_template (g_fork_template_new_from_socket (socket));
}

/* Ends the input: operations of template processes that have ended must end by themselves.
 * Processes may live longer, so waiting for these is cancelled. */
static void
end (void)
{
  for (guint i = 0; i < n_peers; i++)
    {
      listen_to (peers[i]);
      close (peers[i]);
    }
  for (guint i = 0; n_pending > 0 && i < 10000; i++)
    iterate (100);
  fuzz_check (n_pending == 0);

  g_cancellable_cancel (cancellable);
  while (n_templates > 0)
    g_object_unref (templates[--n_templates]);
  for (guint i = 0; n_waits > 0 && i < 10000; i++)
    iterate (100);
  fuzz_check (n_waits == 0);

  g_object_unref (cancellable);
  g_ptr_array_unref (processes);
  iterate (1000);
}

static void
run_script (struct fuzz_input *input)
{
  guint template_index = 0, peer_index = 0;

  begin ();
  while (input->size > 0)
    act (input, &template_index, &peer_index);
  end ();
}

int
LLVMFuzzerTestOneInput (const uint8_t *data,
                        size_t         size)
{
  struct fuzz_input input = { data, size };
  static gboolean warm;
  unsigned n_fds;

  if (!warm)
    {
      /* After these inputs everything is open that the library opens once for the whole program,
       * like the descriptor of its upkeep. */
      static const guint8 first[] = { PREPARE, RUN, ITERATE, 2 };
      static const guint8 second[] = { DROP };
      static const char *const strict[] = { "GLib", "GLib-GObject", "GLib-GIO" };

      /* The library itself warns of an error that nobody has asked for. */
      g_log_set_always_fatal (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL);
      for (guint i = 0; i < G_N_ELEMENTS (strict); i++)
        g_log_set_fatal_mask (strict[i], G_LOG_LEVEL_WARNING | G_LOG_FATAL_MASK);
      run_script (&(struct fuzz_input){ first, sizeof first });
      run_script (&(struct fuzz_input){ second, sizeof second });
      warm = TRUE;
    }

  n_fds = fuzz_count_fds ();
  run_script (&input);
  fuzz_check (fuzz_count_fds () == n_fds);
  return 0;
}
