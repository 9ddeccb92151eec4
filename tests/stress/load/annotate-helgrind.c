/* annotate-helgrind.c: tells helgrind which order GLib's locks make
 *
 * GLib's locks are made of atomic operations and futexes, which helgrind does not understand.
 * Valgrind calls these functions in place of GLib's, also within GLib. Without valgrind they are
 * never called.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <glib-object.h>
#include <valgrind/helgrind.h>

/* Calls the function that was wrapped. */
#define GLIB(name) I_WRAP_SONAME_FNNAME_ZU (libglibZa, name)
#define GOBJECT(name) I_WRAP_SONAME_FNNAME_ZU (libgobjectZa, name)

/* ——— Locks ——— */

/* What was done before unlocking is done before what is done after locking. */

void GLIB (g_mutex_lock) (GMutex *mutex);
gboolean GLIB (g_mutex_trylock) (GMutex *mutex);
void GLIB (g_mutex_unlock) (GMutex *mutex);
void GLIB (g_bit_lock) (volatile int *address, int bit);
gboolean GLIB (g_bit_trylock) (volatile int *address, int bit);
void GLIB (g_bit_unlock) (volatile int *address, int bit);
void GLIB (g_pointer_bit_lock) (volatile void *address, int bit);
gboolean GLIB (g_pointer_bit_trylock) (volatile void *address, int bit);
void GLIB (g_pointer_bit_unlock) (volatile void *address, int bit);

void
GLIB (g_mutex_lock) (GMutex *mutex)
{
  OrigFn original;

  VALGRIND_GET_ORIG_FN (original);
  CALL_FN_v_W (original, mutex);
  ANNOTATE_HAPPENS_AFTER (mutex);
}

gboolean
GLIB (g_mutex_trylock) (GMutex *mutex)
{
  OrigFn original;
  gboolean locked;

  VALGRIND_GET_ORIG_FN (original);
  CALL_FN_W_W (locked, original, mutex);
  if (locked)
    ANNOTATE_HAPPENS_AFTER (mutex);
  return locked;
}

void
GLIB (g_mutex_unlock) (GMutex *mutex)
{
  OrigFn original;

  VALGRIND_GET_ORIG_FN (original);
  ANNOTATE_HAPPENS_BEFORE (mutex);
  CALL_FN_v_W (original, mutex);
}

#define WRAP_BIT_LOCK(name, type) \
  void GLIB (g_##name##_lock) (type address, int bit) \
  { \
    OrigFn original; \
    VALGRIND_GET_ORIG_FN (original); \
    CALL_FN_v_WW (original, address, bit); \
    ANNOTATE_HAPPENS_AFTER (address); \
  } \
  gboolean GLIB (g_##name##_trylock) (type address, int bit) \
  { \
    OrigFn original; \
    gboolean locked; \
    VALGRIND_GET_ORIG_FN (original); \
    CALL_FN_W_WW (locked, original, address, bit); \
    if (locked) \
      ANNOTATE_HAPPENS_AFTER (address); \
    return locked; \
  } \
  void GLIB (g_##name##_unlock) (type address, int bit) \
  { \
    OrigFn original; \
    VALGRIND_GET_ORIG_FN (original); \
    ANNOTATE_HAPPENS_BEFORE (address); \
    CALL_FN_v_WW (original, address, bit); \
  }

WRAP_BIT_LOCK (bit, volatile int *)
WRAP_BIT_LOCK (pointer_bit, volatile void *)

/* ——— What is done once ——— */

gboolean GLIB (g_once_init_enter) (volatile void *location);
void GLIB (g_once_init_leave) (volatile void *location, gsize result);

gboolean
GLIB (g_once_init_enter) (volatile void *location)
{
  OrigFn original;
  gboolean entered;

  VALGRIND_GET_ORIG_FN (original);
  CALL_FN_W_W (entered, original, location);
  ANNOTATE_HAPPENS_AFTER (location);
  return entered;
}

void
GLIB (g_once_init_leave) (volatile void *location,
                          gsize          result)
{
  OrigFn original;

  VALGRIND_GET_ORIG_FN (original);
  ANNOTATE_HAPPENS_BEFORE (location);
  CALL_FN_v_WW (original, location, result);
}

/* ——— The last reference ——— */

/* Everything that was done with an object by those who had a reference happens before it is
 * freed. */

void GOBJECT (g_object_unref) (gpointer object);
gboolean GLIB (g_atomic_ref_count_dec) (gatomicrefcount *count);
void GLIB (g_main_context_unref) (GMainContext *context);

void
GOBJECT (g_object_unref) (gpointer object)
{
  OrigFn original;

  VALGRIND_GET_ORIG_FN (original);
  ANNOTATE_HAPPENS_BEFORE (object);
  ANNOTATE_HAPPENS_AFTER (object);
  CALL_FN_v_W (original, object);
}

gboolean
GLIB (g_atomic_ref_count_dec) (gatomicrefcount *count)
{
  OrigFn original;
  gboolean last;

  VALGRIND_GET_ORIG_FN (original);
  ANNOTATE_HAPPENS_BEFORE (count);
  CALL_FN_W_W (last, original, count);
  if (last)
    ANNOTATE_HAPPENS_AFTER (count);
  return last;
}

void
GLIB (g_main_context_unref) (GMainContext *context)
{
  OrigFn original;

  VALGRIND_GET_ORIG_FN (original);
  ANNOTATE_HAPPENS_BEFORE (context);
  ANNOTATE_HAPPENS_AFTER (context);
  CALL_FN_v_W (original, context);
}
