/* news.c: what a pool emits, in its own context
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "pool/news.h"

typedef struct
{
  GForkNewsKind kind;
  gpointer object;
  guint index;
  GError *error;
  GForkNewsThen then;
  gpointer data;
  GDestroyNotify release;
} Item;

struct _GForkNews
{
  GForkDriver *driver;
  GWeakRef pool;
  GForkNewsFunc func;
  GQueue items;
};

static void
item_free (Item *item)
{
  g_clear_object (&item->object);
  g_clear_error (&item->error);
  if (item->release != NULL)
    item->release (item->data);
  g_free (item);
}

GForkNews *
g_fork_news_new (GForkDriver   *driver,
                 GForkPool     *pool,
                 GForkNewsFunc  func)
{
  GForkNews *self = g_new0 (GForkNews, 1);

  self->driver = driver;
  g_weak_ref_init (&self->pool, pool);
  self->func = func;
  return self;
}

void
g_fork_news_free (GForkNews *self)
{
  g_queue_clear_full (&self->items, (GDestroyNotify) item_free);
  g_weak_ref_clear (&self->pool);
  g_free (self);
}

/* Whether somebody wants to be asked. The object may be on its way out. */
gboolean
g_fork_news_has_handler (GForkNews  *self,
                         const char *signal)
{
  GForkPool *pool = g_weak_ref_get (&self->pool);
  gboolean has_handler;

  if (pool == NULL)
    return FALSE;

  has_handler = g_signal_has_handler_pending (pool, g_signal_lookup (signal, G_OBJECT_TYPE (pool)),
                                              0, FALSE);
  g_fork_driver_discard (self->driver, pool, g_object_unref);
  return has_handler;
}

/* The data belongs to @then, and is released in any case. */
void
g_fork_news_ask (GForkNews      *self,
                 GForkNewsKind   kind,
                 gpointer        object,
                 guint           index,
                 GForkNewsThen   then,
                 gpointer        data,
                 GDestroyNotify  release)
{
  Item *item = g_new0 (Item, 1);

  *item = (Item){ kind, object != NULL ? g_object_ref (object) : NULL, index, NULL, then, data,
                  release };
  g_queue_push_tail (&self->items, item);
  g_fork_driver_emit_soon (self->driver);
}

void
g_fork_news_tell (GForkNews     *self,
                  GForkNewsKind  kind,
                  gpointer       object,
                  const GError  *error)
{
  g_fork_news_ask (self, kind, object, 0, NULL, NULL, NULL);
  if (error != NULL)
    ((Item *) g_queue_peek_tail (&self->items))->error = g_error_copy (error);
}

/* Has the pool emit what there is. Called without the lock. */
void
g_fork_news_emit (GForkNews *self)
{
  g_autoptr (GForkPool) pool = g_weak_ref_get (&self->pool);
  GForkTemplate *template;
  Item *item;

  if (pool == NULL)
    return;

  g_fork_driver_lock (self->driver);
  while ((item = g_queue_pop_head (&self->items)) != NULL)
    {
      g_fork_driver_unlock_unchanged (self->driver);
      template = self->func (pool, item->kind, item->object, item->index, item->error);
      g_fork_driver_lock (self->driver);
      if (item->then != NULL)
        item->then (item->data, template);
      g_fork_driver_unlock (self->driver);

      item_free (item);
      g_fork_driver_lock (self->driver);
    }
  g_fork_driver_unlock_unchanged (self->driver);
}
