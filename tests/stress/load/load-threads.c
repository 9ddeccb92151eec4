/* load-threads.c: uses the same and different templates from many threads at once
 *
 * load-threads [--seed SEED] OPERATIONS [THREADS]. Each thread does so many things that are
 * chosen at random: it makes, forks, prepares, runs, cancels, closes, detaches and drops
 * templates, waits for processes, signals and drops them. Some are its own, others are shared by
 * all threads. The main thread iterates the default main context, in which the results arrive
 * that other threads have begun without a context of their own.
 *
 * An operation must succeed, or fail with the error that what another thread did has caused. A
 * status must be the true one.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "testutils.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N_SHARED 6

/* What all threads share. The lock is for the pointers, not for the objects. */
static GMutex shared_lock;
static GForkTemplate *shared_templates[N_SHARED];
static GForkProcess *shared_processes[N_SHARED];

static char *leave_with;
static char *leave_at_eof;
static int n_running;
static int n_pending; /* results that are to arrive in the main thread */
static guint n_operations;
static guint32 seed;

typedef struct
{
  GRand *random;
  GMainContext *context;
} Thread;

/* ——— Errors ——— */

#define CLOSED (1u << G_FORK_ERROR_CLOSED)
#define LOST (1u << G_FORK_ERROR_LOST)
#define CANCELLED (1u << 31)

/* Checks that an operation has failed only with one of these errors. */
static void
check (const char   *what,
       const GError *error,
       guint         reasons)
{
  if (error == NULL
      || (error->domain == G_FORK_ERROR && (reasons & 1u << error->code) != 0)
      || ((reasons & CANCELLED) != 0 && g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED)))
    return;

  g_error ("%s: %s", what, error->message);
}

static void
check_status (GForkProcess *process,
              int           status)
{
  int wait_status = g_fork_process_get_wait_status (process);

  if (wait_status != status << 8)
    g_error ("wait status %x instead of exit status %d", (guint) wait_status, status);
}

/* ——— What is shared ——— */

static gpointer
dup_shared (gpointer *slots,
            Thread   *thread)
{
  gpointer *slot = &slots[g_rand_int_range (thread->random, 0, N_SHARED)];
  gpointer object;

  g_mutex_lock (&shared_lock);
  object = *slot != NULL ? g_object_ref (*slot) : NULL;
  g_mutex_unlock (&shared_lock);
  return object;
}

static void
put_shared (gpointer *slots,
            Thread   *thread,
            gpointer  object)
{
  gpointer *slot = &slots[g_rand_int_range (thread->random, 0, N_SHARED)];
  gpointer old;

  g_mutex_lock (&shared_lock);
  old = *slot;
  *slot = object;
  g_mutex_unlock (&shared_lock);
  g_clear_object (&old);
}

static GForkTemplate *
dup_template (Thread *thread)
{
  GForkTemplate *template = dup_shared ((gpointer *) shared_templates, thread);

  return template != NULL ? template : g_fork_template_new ();
}

static GForkProcess *
dup_process (Thread *thread)
{
  return dup_shared ((gpointer *) shared_processes, thread);
}

/* ——— What is done ——— */

static int
send_status (GForkTemplate *template,
             Thread        *thread)
{
  int status = g_rand_int_range (thread->random, 1, 100);
  g_autofree char *number = g_strdup_printf ("%d", status);

  g_fork_template_send_arg (template, number);
  return status;
}

static void
run_and_wait (GForkTemplate *template,
              Thread        *thread,
              guint          reasons)
{
  int status = send_status (template, thread);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = g_fork_template_run (template, leave_with, &process, NULL, &error);

  check ("run", error, reasons);
  if (socket == NULL)
    return;
  g_fork_process_wait (process, NULL, &error);
  check ("wait", error, reasons & LOST);
  if (error == NULL)
    check_status (process, status);
}

static void
make_and_run (Thread *thread)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();

  run_and_wait (template, thread, 0);
}

static void
fork_and_run (Thread *thread)
{
  g_autoptr (GForkTemplate) parent = dup_template (thread);
  g_autoptr (GForkTemplate) template = g_fork_template_fork (parent);

  g_fork_template_setenv (template, "LOAD", "heavy");
  run_and_wait (template, thread, CLOSED);
}

static void
prepare_shared (Thread *thread)
{
  g_autoptr (GForkTemplate) template = dup_template (thread);
  g_autoptr (GError) error = NULL;

  g_fork_template_setenv (template, "LOAD", "heavier");
  g_fork_template_unsetenv (template, "LOAD");
  g_fork_template_get_pid (template);
  g_fork_template_prepare (template, NULL, &error);
  check ("prepare", error, CLOSED);
}

static void
run_shared (Thread *thread)
{
  g_autoptr (GForkTemplate) template = dup_template (thread);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket G_GNUC_UNUSED = g_fork_template_run (template, leave_at_eof, &process, NULL, &error);

  /* Other threads may have sent it any number of arguments. Without one it would not know what
   * to return. So it is killed. */
  check ("run", error, CLOSED);
  if (process != NULL)
    {
      g_fork_process_force_exit (process);
      put_shared ((gpointer *) shared_processes, thread, g_steal_pointer (&process));
    }
}

static void
replace_shared (Thread *thread)
{
  g_autoptr (GForkTemplate) parent = dup_template (thread);

  put_shared ((gpointer *) shared_templates, thread,
              g_rand_boolean (thread->random) ? g_fork_template_new ()
                                              : g_fork_template_fork (parent));
}

static void
close_shared (Thread *thread)
{
  g_autoptr (GForkTemplate) template = dup_template (thread);

  g_fork_template_close (template);
  replace_shared (thread);
}

static void
make_and_drop (Thread *thread)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkTemplate) child = g_fork_template_fork (template);

  send_status (template, thread);
  g_fork_template_send_fd (child, 2);
}

static gpointer
cancel_soon (gpointer data)
{
  g_autoptr (GCancellable) cancellable = data;

  g_thread_yield ();
  g_cancellable_cancel (cancellable);
  return NULL;
}

static void
run_and_cancel (Thread *thread)
{
  g_autoptr (GForkTemplate) parent = dup_template (thread);
  g_autoptr (GForkTemplate) template = g_fork_template_fork (parent);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  int status = send_status (template, thread);
  GThread *canceller = g_thread_new ("canceller", cancel_soon, g_object_ref (cancellable));

  socket = g_fork_template_run (template, leave_at_eof, &process, cancellable, &error);
  check ("run", error, CLOSED | CANCELLED);
  g_clear_object (&socket);
  if (process != NULL)
    {
      g_clear_error (&error);
      g_fork_process_wait (process, cancellable, &error);
      check ("wait", error, CANCELLED);
      if (error == NULL)
        check_status (process, status);
    }
  g_thread_join (canceller);
}

static void
execute (Thread *thread)
{
  g_autoptr (GForkTemplate) parent = dup_template (thread);
  g_autoptr (GForkTemplate) template = g_fork_template_fork (parent);
  g_autoptr (GForkProcess) process = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  socket = g_fork_template_execv (template, (const char *[]){ "/bin/true", NULL }, 0, &process,
                                  NULL, &error);
  check ("execv", error, CLOSED);
  if (socket == NULL)
    return;
  g_fork_process_wait (process, NULL, &error);
  check ("wait", error, 0);
  check_status (process, 0);
}

static void
detach_and_adopt (Thread *thread)
{
  g_autoptr (GForkTemplate) parent = dup_template (thread);
  g_autoptr (GForkTemplate) template = g_fork_template_fork (parent);
  g_autoptr (GForkTemplate) adopted = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  socket = g_fork_template_detach (template, NULL, &error);
  check ("detach", error, CLOSED);
  if (socket == NULL)
    return;
  adopted = g_fork_template_new_from_socket (socket);
  g_fork_template_prepare (adopted, NULL, &error);
  check ("prepare", error, 0);
}

static void
execute_helper (Thread *thread)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new_exec ();

  run_and_wait (template, thread, 0);
}

static void
change_default (Thread *thread)
{
  g_autoptr (GForkTemplate) template = g_fork_template_dup_default ();

  if (g_rand_int_range (thread->random, 0, 10) == 0)
    g_fork_template_set_default (NULL);
  else
    g_fork_template_set_default (template);
}

static void
change_spares (Thread *thread)
{
  g_autoptr (GForkTemplate) template = dup_template (thread);

  g_fork_template_set_spare_processes (template, g_rand_int_range (thread->random, 0, 3));
  g_fork_template_get_spare_processes (template);
}

static gboolean
on_source (GForkProcess *process,
           int           wait_status,
           gpointer      done)
{
  *(gboolean *) done = TRUE;
  return G_SOURCE_REMOVE;
}

static void
end_shared_process (Thread *thread)
{
  g_autoptr (GForkProcess) process = dup_process (thread);
  g_autoptr (GError) error = NULL;

  if (process == NULL)
    return;

  if (g_rand_boolean (thread->random))
    g_fork_process_force_exit (process);
  g_fork_process_send_signal (process, SIGKILL, &error);
  check ("signal", error, CLOSED | LOST);
  g_clear_error (&error);

  if (g_rand_boolean (thread->random))
    {
      g_autoptr (GSource) source = g_fork_process_create_source (process);
      gboolean done = FALSE;

      g_source_set_callback (source, G_SOURCE_FUNC (on_source), &done, NULL);
      g_source_attach (source, thread->context);
      while (!done)
        g_main_context_iteration (thread->context, TRUE);
    }
  g_fork_process_wait (process, NULL, &error);
  check ("wait", error, LOST);
  g_fork_process_get_if_signaled (process);
}

static void
drop_shared_process (Thread *thread)
{
  put_shared ((gpointer *) shared_processes, thread, NULL);
}

/* ——— By asynchronous calls ——— */

typedef struct
{
  GCancellable *cancellable;
  GForkProcess *process;
  int status;
  gboolean may_fail;
  int *pending;
} Launch;

static void
launch_done (Launch *launch)
{
  int *pending = launch->pending;

  g_clear_object (&launch->cancellable);
  g_clear_object (&launch->process);
  g_free (launch);
  g_atomic_int_add (pending, -1);
}

static void
on_waited (GObject      *object,
           GAsyncResult *result,
           gpointer      user_data)
{
  Launch *launch = user_data;
  g_autoptr (GError) error = NULL;

  g_fork_process_wait_finish (launch->process, result, &error);
  check ("wait", error, launch->cancellable != NULL ? CANCELLED : 0);
  if (error == NULL)
    check_status (launch->process, launch->status);
  launch_done (launch);
}

static void
on_run (GObject      *object,
        GAsyncResult *result,
        gpointer      user_data)
{
  Launch *launch = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = g_fork_template_run_finish (G_FORK_TEMPLATE (object), result,
                                                           &launch->process, &error);

  check ("run", error, (launch->may_fail ? CLOSED : 0) | (launch->cancellable != NULL ? CANCELLED : 0));
  if (socket != NULL)
    g_fork_process_wait_async (launch->process, launch->cancellable, on_waited, launch);
  else
    launch_done (launch);
}

static void
launch (Thread *thread,
        int    *pending)
{
  g_autoptr (GForkTemplate) parent = dup_template (thread);
  g_autoptr (GForkTemplate) template = g_fork_template_fork (parent);
  g_autoptr (GCancellable) cancellable = NULL;
  Launch *launch = g_new0 (Launch, 1);

  launch->status = send_status (template, thread);
  launch->may_fail = TRUE;
  launch->pending = pending;
  if (g_rand_boolean (thread->random))
    {
      cancellable = g_cancellable_new ();
      launch->cancellable = g_object_ref (cancellable);
    }
  g_atomic_int_inc (pending);
  g_fork_template_run_async (template, leave_with, cancellable, on_run, launch);
  if (cancellable != NULL && g_rand_boolean (thread->random))
    g_cancellable_cancel (cancellable);
}

static void
launch_here (Thread *thread)
{
  int pending = 0;

  g_main_context_push_thread_default (thread->context);
  for (int i = 0; i < 3; i++)
    launch (thread, &pending);
  while (g_atomic_int_get (&pending) > 0)
    g_main_context_iteration (thread->context, TRUE);
  g_main_context_pop_thread_default (thread->context);
}

static void
launch_in_main (Thread *thread)
{
  launch (thread, &n_pending);
}

/* Waits for a process by an operation whose result arrives in the main thread, perhaps before
 * the call here has returned, and which is cancelled meanwhile. */
static void
wait_in_main (Thread *thread)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GForkProcess) process = NULL;
  Launch *launch = g_new0 (Launch, 1);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  GThread *canceller = NULL;

  launch->status = send_status (template, thread);
  launch->pending = &n_pending;
  launch->cancellable = g_object_ref (cancellable);
  socket = g_fork_template_run (template, leave_at_eof, &process, NULL, &error);
  check ("run", error, 0);

  g_atomic_int_inc (&n_pending);
  launch->process = g_object_ref (process);
  if (g_rand_boolean (thread->random))
    canceller = g_thread_new ("canceller", cancel_soon, g_object_ref (cancellable));
  g_socket_close (socket, NULL);
  g_fork_process_wait_async (process, cancellable, on_waited, launch);
  if (canceller != NULL)
    g_thread_join (canceller);
}

/* ——— The program ——— */

static void (*const actions[]) (Thread *thread) = {
  make_and_run, fork_and_run, prepare_shared, run_shared, replace_shared, close_shared,
  make_and_drop, run_and_cancel, execute, detach_and_adopt, execute_helper, change_default,
  change_spares, end_shared_process, drop_shared_process, launch_here, launch_in_main,
  wait_in_main,
};

static gpointer
do_anything (gpointer number)
{
  guint32 seeds[] = { seed, GPOINTER_TO_UINT (number) };
  Thread thread = {
    .random = g_rand_new_with_seed_array (seeds, G_N_ELEMENTS (seeds)),
    .context = g_main_context_new (),
  };

  for (guint i = 0; i < n_operations; i++)
    actions[g_rand_int_range (thread.random, 0, G_N_ELEMENTS (actions))](&thread);

  g_main_context_unref (thread.context);
  g_rand_free (thread.random);
  g_atomic_int_add (&n_running, -1);
  g_main_context_wakeup (NULL);
  return NULL;
}

/* When a thread has made a class, GObject publishes it by an atomic operation, in which helgrind
 * sees no order. So classes are made before there are threads. */
static void
make_classes (void)
{
  const GType types[] = {
    G_FORK_TYPE_TEMPLATE, G_FORK_TYPE_PROCESS, G_TYPE_TASK, G_TYPE_CANCELLABLE, G_TYPE_SOCKET,
  };

  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    g_type_class_ref (types[i]);
}

static gboolean
has_only_child (GPid child)
{
  g_autofree char *file = g_strdup_printf ("task/%d/children", (int) getpid ());
  g_autofree char *children = test_read_proc (getpid (), file);
  char *end;

  return strtol (children, &end, 10) == child && strspn (end, " ") == strlen (end);
}

/* Waits until only the default template is left, and no more descriptors than @most. The socket of
 * a template that was closed stays until its process has ended, which need not be a child of this
 * one, and a next call closes it. So one is always left here. */
static guint
come_to_rest (guint most)
{
  GPid pid = test_default_pid ();
  guint looks = 0;

  do
    {
      g_object_unref (g_fork_template_new ());
      while (g_main_context_iteration (NULL, FALSE))
        ;
      /* Longer than such a process takes. */
      g_usleep (50000);
    }
  while ((!has_only_child (pid) || test_count_fds (0) > most) && ++looks < 1000);

  g_assert_true (has_only_child (pid));
  return test_count_fds (0);
}

int
main (int    argc,
      char **argv)
{
  g_autofree char *directory = g_path_get_dirname (argv[0]);
  g_autoptr (GPtrArray) threads = g_ptr_array_new ();
  gint64 start = g_get_monotonic_time ();
  guint n_threads = 16, n_fds;

  seed = g_random_int ();
  for (int i = 1, position = 0; i < argc; i++)
    if (strcmp (argv[i], "--seed") == 0 && i + 1 < argc)
      seed = strtoul (argv[++i], NULL, 10);
    else if (position++ == 0)
      n_operations = atoi (argv[i]);
    else
      n_threads = atoi (argv[i]);
  if (n_operations == 0)
    {
      fprintf (stderr, "load-threads [--seed SEED] OPERATIONS [THREADS]\n");
      return 2;
    }

  printf ("threads: %u operations in each of %u, seed %u\n", n_operations, n_threads, seed);
  fflush (stdout);
  leave_with = g_build_filename (directory, "load-worker.so:leave_with", NULL);
  leave_at_eof = g_build_filename (directory, "load-worker.so:leave_at_eof", NULL);
  make_classes ();
  n_fds = come_to_rest (G_MAXUINT);

  n_running = n_threads;
  for (guint i = 0; i < n_threads; i++)
    g_ptr_array_add (threads, g_thread_new ("tester", do_anything, GUINT_TO_POINTER (i)));
  while (g_atomic_int_get (&n_running) > 0 || g_atomic_int_get (&n_pending) > 0)
    g_main_context_iteration (NULL, TRUE);
  for (guint i = 0; i < n_threads; i++)
    g_thread_join (threads->pdata[i]);

  for (int i = 0; i < N_SHARED; i++)
    {
      g_clear_object (&shared_templates[i]);
      g_clear_object (&shared_processes[i]);
    }
  g_assert_cmpuint (come_to_rest (n_fds), <=, n_fds);

  printf ("threads: good, %.1f s\n", (g_get_monotonic_time () - start) / 1e6);
  g_free (leave_with);
  g_free (leave_at_eof);
  return 0;
}
