/* annotate-tsan.c: tells the thread sanitizer which order GLib's locks make
 *
 * GLib is not compiled for the sanitizer, which therefore does not see the atomic operations and
 * futexes of its locks. The linker finds these functions before GLib's: they tell the sanitizer
 * what they do, and call GLib's. Calls within GLib are not seen.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <dlfcn.h>
#include <gio/gio.h>
#include <sanitizer/tsan_interface.h>

#pragma GCC visibility push(default)

/* Finds GLib's definition of the function in which this stands. */
#define NEXT(name, type, ...) \
  static type (*next) (__VA_ARGS__); \
  if (g_atomic_pointer_get (&next) == NULL) \
    g_atomic_pointer_set (&next, (type (*) (__VA_ARGS__)) dlsym (RTLD_NEXT, #name))

/* ——— Locks ——— */

void
g_mutex_lock (GMutex *mutex)
{
  NEXT (g_mutex_lock, void, GMutex *);
  __tsan_mutex_pre_lock (mutex, 0);
  next (mutex);
  __tsan_mutex_post_lock (mutex, 0, 0);
}

gboolean
g_mutex_trylock (GMutex *mutex)
{
  gboolean locked;

  NEXT (g_mutex_trylock, gboolean, GMutex *);
  __tsan_mutex_pre_lock (mutex, __tsan_mutex_try_lock);
  locked = next (mutex);
  __tsan_mutex_post_lock (mutex, __tsan_mutex_try_lock | (locked ? 0 : __tsan_mutex_try_lock_failed),
                          0);
  return locked;
}

/* Unlocks the mutex while it waits. */
void
g_cond_wait (GCond  *cond,
             GMutex *mutex)
{
  NEXT (g_cond_wait, void, GCond *, GMutex *);
  __tsan_mutex_pre_unlock (mutex, 0);
  __tsan_mutex_post_unlock (mutex, 0);
  next (cond, mutex);
  __tsan_mutex_pre_lock (mutex, 0);
  __tsan_mutex_post_lock (mutex, 0, 0);
}

void
g_mutex_unlock (GMutex *mutex)
{
  NEXT (g_mutex_unlock, void, GMutex *);
  __tsan_mutex_pre_unlock (mutex, 0);
  next (mutex);
  __tsan_mutex_post_unlock (mutex, 0);
}

void
g_mutex_clear (GMutex *mutex)
{
  NEXT (g_mutex_clear, void, GMutex *);
  __tsan_mutex_destroy (mutex, 0);
  next (mutex);
}

/* A thread that finds it initialized does so by an atomic read, which the sanitizer sees. */
void
(g_once_init_leave) (volatile void *location,
                     gsize          result)
{
  NEXT (g_once_init_leave, void, volatile void *, gsize);
  __tsan_release ((void *) location);
  next (location, result);
}

gboolean
(g_once_init_enter) (volatile void *location)
{
  gboolean entered;

  NEXT (g_once_init_enter, gboolean, volatile void *);
  entered = next (location);
  __tsan_acquire ((void *) location);
  return entered;
}

/* ——— The last reference ——— */

/* Everything that was done with an object by those who had a reference happens before it is
 * freed. */

void
g_object_unref (gpointer object)
{
  NEXT (g_object_unref, void, gpointer);
  __tsan_release (object);
  __tsan_acquire (object);
  next (object);
}

gboolean
(g_atomic_ref_count_dec) (gatomicrefcount *count)
{
  gboolean last;

  NEXT (g_atomic_ref_count_dec, gboolean, gatomicrefcount *);
  __tsan_release (count);
  last = next (count);
  if (last)
    __tsan_acquire (count);
  return last;
}

gpointer
(g_weak_ref_get) (GWeakRef *weak)
{
  gpointer object;

  NEXT (g_weak_ref_get, gpointer, GWeakRef *);
  object = next (weak);
  if (object != NULL)
    __tsan_acquire (object);
  return object;
}

/* ——— Sources ——— */

/* The lock of the context orders what a thread does that attaches, destroys or drops a source
 * and what the thread does that dispatches it. */

typedef struct
{
  GSourceFuncs funcs;
  const GSourceFuncs *original;
} Funcs;

static GMutex funcs_lock;
static GHashTable *all_funcs;

static gboolean
dispatch (GSource     *source,
          GSourceFunc  callback,
          gpointer     user_data)
{
  gboolean remains;

  __tsan_acquire (source);
  remains = ((const Funcs *) source->source_funcs)->original->dispatch (source, callback, user_data);
  __tsan_release (source);
  return remains;
}

/* Returns functions that also do what is above. There are few sets of them. */
static GSourceFuncs *
annotated_funcs (const GSourceFuncs *original)
{
  Funcs *funcs;

  if (original->dispatch == dispatch)
    return (GSourceFuncs *) original;

  g_mutex_lock (&funcs_lock);
  if (all_funcs == NULL)
    all_funcs = g_hash_table_new (NULL, NULL);
  funcs = g_hash_table_lookup (all_funcs, original);
  if (funcs == NULL)
    {
      funcs = g_new0 (Funcs, 1);
      funcs->funcs = *original;
      funcs->funcs.dispatch = dispatch;
      funcs->original = original;
      g_hash_table_insert (all_funcs, (gpointer) original, funcs);
    }
  g_mutex_unlock (&funcs_lock);
  return &funcs->funcs;
}

guint
g_source_attach (GSource      *source,
                 GMainContext *context)
{
  NEXT (g_source_attach, guint, GSource *, GMainContext *);
  source->source_funcs = annotated_funcs (source->source_funcs);
  __tsan_release (source);
  return next (source, context);
}

void
g_source_destroy (GSource *source)
{
  NEXT (g_source_destroy, void, GSource *);
  __tsan_release (source);
  __tsan_acquire (source);
  next (source);
}

void
g_source_unref (GSource *source)
{
  NEXT (g_source_unref, void, GSource *);
  __tsan_release (source);
  __tsan_acquire (source);
  next (source);
}
