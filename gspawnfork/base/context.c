/* context.c: the main contexts in which callbacks are called, and synchronous calls
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "base/context.h"

#include "gforkerror.h"

#include <errno.h>
#include <glib/gi18n-lib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The context that the thread had before it began a synchronous call. */
static GPrivate outer_context = G_PRIVATE_INIT (NULL);

/* The context whose dispatching has brought the thread here. */
static GPrivate dispatching_context = G_PRIVATE_INIT (NULL);

/* Nobody iterates the context of a synchronous call once that has returned, so it must
 * not be given anything that goes on. */
GMainContext *
g_fork_ref_background_context (void)
{
  GMainContext *outer = g_private_get (&outer_context);

  return outer != NULL ? g_main_context_ref (outer) : g_main_context_ref_thread_default ();
}

/* Returns the context in which an object that a task has made is to report later. */
GMainContext *
g_fork_ref_result_context (GTask *task)
{
  GMainContext *outer = g_private_get (&outer_context);

  return g_main_context_ref (outer != NULL ? outer : g_task_get_context (task));
}

/* A call that this thread makes at the end of the dispatch that is under way. If such a call
 * adds another one, that is made after it. */
typedef struct
{
  GMainContext *context;
  GSourceFunc func;
  gpointer data;
} Call;

static void
free_calls (gpointer calls)
{
  g_queue_free_full (calls, g_free);
}

static GPrivate waiting_calls = G_PRIVATE_INIT (free_calls);

static GList *
find_call (GQueue       *calls,
           GMainContext *context)
{
  for (GList *l = calls != NULL ? calls->head : NULL; l != NULL; l = l->next)
    if (((Call *) l->data)->context == context)
      return l;
  return NULL;
}

static gboolean make_calls_of_source (gpointer context);

/* A called function may iterate the context until the result of another of these calls has come.
 * So the rest of them have a source while it is being called. */
static void
make_calls (GMainContext *context)
{
  GQueue *calls = g_private_get (&waiting_calls);
  GSource *rest = NULL;
  GList *link;

  while ((link = find_call (calls, context)) != NULL)
    {
      Call *call = link->data;

      g_queue_delete_link (calls, link);
      if (rest == NULL && find_call (calls, context) != NULL)
        {
          rest = g_idle_source_new ();
          g_source_set_static_name (rest, "[gspawnfork] results");
          g_source_set_priority (rest, G_PRIORITY_DEFAULT);
          g_source_set_callback (rest, make_calls_of_source, context, NULL);
          g_source_attach (rest, context);
        }

      call->func (call->data);
      g_free (call);
    }

  if (rest != NULL)
    {
      g_source_destroy (rest);
      g_source_unref (rest);
    }
}

static gboolean
make_calls_of_source (gpointer context)
{
  make_calls (context);
  return G_SOURCE_REMOVE;
}

/* To be called when a source of the library in @context is dispatched. Returns what
 * g_fork_dispatch_end() is to be given. */
GMainContext *
g_fork_dispatch_begin (GMainContext *context)
{
  GMainContext *outer = g_private_get (&dispatching_context);

  g_private_set (&dispatching_context, context);
  return outer;
}

/* Makes the calls that were added during the dispatch. They come last, so that callbacks find
 * all objects in their new state. */
void
g_fork_dispatch_end (GMainContext *outer)
{
  GMainContext *context = g_private_get (&dispatching_context);

  /* A callback may call the library, which must not call another callback before that call has
   * returned. */
  g_private_set (&dispatching_context, NULL);
  make_calls (context);
  g_private_set (&dispatching_context, outer);
}

void
g_fork_call_later (GMainContext *context,
                   GSourceFunc   func,
                   gpointer      data)
{
  /* As soon as the source is attached, the thread that iterates the context may dispatch it and
   * drop the context. */
  g_autoptr (GMainContext) kept G_GNUC_UNUSED = g_main_context_ref (context);
  g_autoptr (GSource) source = g_idle_source_new ();

  g_source_set_static_name (source, "[gspawnfork] result");
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, func, data, NULL);
  g_source_attach (source, context);
}

/* Whether this thread is dispatching a source of the library in @context. */
gboolean
g_fork_is_dispatching (GMainContext *context)
{
  return g_private_get (&dispatching_context) == context;
}

/* Calls @func in @context: at the end of the dispatch, if this thread is dispatching a source of
 * the library in it; otherwise from a source. So @func is never called from within one of the
 * user's calls, where a callback is not expected. */
void
g_fork_call_in (GMainContext *context,
                GSourceFunc   func,
                gpointer      data)
{
  GQueue *calls = g_private_get (&waiting_calls);
  Call *call;

  if (!g_fork_is_dispatching (context))
    {
      g_fork_call_later (context, func, data);
      return;
    }

  if (calls == NULL)
    {
      calls = g_queue_new ();
      g_private_set (&waiting_calls, calls);
    }
  call = g_new (Call, 1);
  *call = (Call){ context, func, data };
  g_queue_push_tail (calls, call);
}

/* Making a context needs a descriptor, and GLib aborts if there is none, so each
 * thread keeps the one that it has made for its first synchronous call. */
static GPrivate sync_context = G_PRIVATE_INIT ((GDestroyNotify) g_main_context_unref);

/* A synchronous call may make so many contexts: its own, the thread's default one, and that of
 * GLib's worker thread, which the first GTask starts. */
#define MAX_NEW_CONTEXTS 3

static gboolean
can_make_contexts (GError **error)
{
  int fds[MAX_NEW_CONTEXTS], n = 0, saved_errno;

  while (n < MAX_NEW_CONTEXTS && (fds[n] = eventfd (0, EFD_CLOEXEC)) >= 0)
    n++;
  saved_errno = errno;
  for (int i = 0; i < n; i++)
    close (fds[i]);

  if (n < MAX_NEW_CONTEXTS)
    g_set_error (error, G_FORK_ERROR, G_FORK_ERROR_FAILED,
                 _("Could not create a main context to wait in: %s"), g_strerror (saved_errno));
  return n == MAX_NEW_CONTEXTS;
}

/* Returns %FALSE if there are no descriptors for a context. Nothing has begun then. */
gboolean
g_fork_sync_begin (GForkSync  *sync,
                   GError    **error)
{
  GMainContext *kept = g_private_get (&sync_context);

  if ((kept == NULL || g_main_context_is_owner (kept)) && !can_make_contexts (error))
    return FALSE;

  if (kept == NULL)
    {
      kept = g_main_context_new ();
      g_private_set (&sync_context, kept);
    }

  sync->result = NULL;
  /* A synchronous call further down the stack may be using it. */
  sync->context = g_main_context_is_owner (kept) ? g_main_context_new ()
                                                 : g_main_context_ref (kept);
  sync->outer = g_private_get (&outer_context);
  g_private_set (&outer_context, g_main_context_ref_thread_default ());
  g_main_context_push_thread_default (sync->context);
  return TRUE;
}

void
g_fork_sync_done (GObject      *source,
                  GAsyncResult *result,
                  gpointer      sync)
{
  ((GForkSync *) sync)->result = g_object_ref (result);
}

/* Returns the result, which g_fork_sync_end() drops. */
GAsyncResult *
g_fork_sync_wait (GForkSync *sync)
{
  while (sync->result == NULL)
    g_main_context_iteration (sync->context, TRUE);

  return sync->result;
}

void
g_fork_sync_end (GForkSync *sync)
{
  g_clear_object (&sync->result);
  g_main_context_pop_thread_default (sync->context);
  g_main_context_unref (sync->context);
  g_main_context_unref (g_private_get (&outer_context));
  g_private_set (&outer_context, sync->outer);
}
