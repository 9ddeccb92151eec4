/* news.h: what a pool emits, in its own context
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gforkpool.h"
#include "pool/driver.h"

G_BEGIN_DECLS

typedef struct _GForkNews GForkNews;

typedef enum
{
  G_FORK_NEWS_STATE,
  G_FORK_NEWS_TEMPLATE,
  G_FORK_NEWS_STARTED,       /* a worker */
  G_FORK_NEWS_ENDED,         /* a worker */
  G_FORK_NEWS_FAILED,        /* an error */
  G_FORK_NEWS_PREPARE,       /* a fork, its index */
  G_FORK_NEWS_TEMPLATE_LOST, /* returns a new template */
} GForkNewsKind;

/* Emits it. */
typedef GForkTemplate *(*GForkNewsFunc) (GForkPool     *pool,
                                         GForkNewsKind  kind,
                                         gpointer       object,
                                         guint          index,
                                         const GError  *error);

/* Called with the lock when it was emitted. Takes the template, which may be %NULL. */
typedef void (*GForkNewsThen) (gpointer       data,
                               GForkTemplate *template);

GForkNews *g_fork_news_new         (GForkDriver    *driver,
                                    GForkPool      *pool,
                                    GForkNewsFunc   func);
void       g_fork_news_free        (GForkNews      *self);
gboolean   g_fork_news_has_handler (GForkNews      *self,
                                    const char     *signal);
void       g_fork_news_tell        (GForkNews      *self,
                                    GForkNewsKind   kind,
                                    gpointer        object,
                                    const GError   *error);
void       g_fork_news_ask         (GForkNews      *self,
                                    GForkNewsKind   kind,
                                    gpointer        object,
                                    guint           index,
                                    GForkNewsThen   then,
                                    gpointer        data,
                                    GDestroyNotify  release);
void       g_fork_news_emit        (GForkNews      *self);

G_END_DECLS
