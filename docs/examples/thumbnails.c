/* thumbnails.c: shows a folder of pictures, which confined workers decode
 *
 *   thumbnails FOLDER [--report]
 *
 * The pictures come from strangers. So the application reads the files, but leaves the
 * decoding to the workers of a pool, which can open no file and connect to nothing. A file that
 * makes its worker fail, crash, hang or open other files becomes a broken tile, and the pool goes
 * on.
 *
 * Nothing blocks the main loop, so the grid scrolls while it is being filled. The pixels
 * come in sealed memory, and the renderer uses them where they are.
 *
 * With --report, the program scrolls on its own and prints what has become of the files, for
 * try-thumbnails.py.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "thumbnails-job.h"

#include <gspawnfork/gspawnfork.h>
#include <gtk/gtk.h>

#include <string.h>

/* ——— A tile: a file, and what became of it ——— */

#define TILE_TYPE (tile_get_type ())
G_DECLARE_FINAL_TYPE (Tile, tile, THUMBNAILS, TILE, GObject)

struct _Tile
{
  GObject parent_instance;
  GFile *file;
  GdkTexture *texture;
  char *trouble;
};

G_DEFINE_FINAL_TYPE (Tile, tile, G_TYPE_OBJECT)

enum
{
  CHANGED,
  N_SIGNALS
};
static guint signals[N_SIGNALS];

static void
tile_finalize (GObject *object)
{
  Tile *self = THUMBNAILS_TILE (object);

  g_clear_object (&self->file);
  g_clear_object (&self->texture);
  g_free (self->trouble);
  G_OBJECT_CLASS (tile_parent_class)->finalize (object);
}

static void
tile_class_init (TileClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = tile_finalize;
  signals[CHANGED] = g_signal_new ("changed", TILE_TYPE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                   G_TYPE_NONE, 0);
}

static void
tile_init (Tile *self)
{
}

/* ——— The program ——— */

/* So many files are in memory at a time. */
#define MAX_UNDER_WAY 32

/* A decoder that takes longer is killed. */
#define PATIENCE_SECONDS 3

typedef struct
{
  GForkPool *pool;
  GListStore *tiles;
  GtkWindow *window;
  GtkProgressBar *progress;
  GtkAdjustment *position;
  guint n_started;
  guint n_done;
  guint n_broken;
  gboolean reports;
  guint n_scrolled; /* while there was something to decode */
  gboolean drawn;   /* with all tiles */
} Program;

/* A file on its way through a worker. */
typedef struct
{
  Program *program;
  Tile *tile;
  GCancellable *cancellable;
  guint timeout;
} Job;

static void start_jobs (Program *program);

static void
finish_job (Job    *job,
            GError *error)
{
  Program *program = job->program;

  if (error != NULL)
    {
      job->tile->trouble = g_strdup (error->message);
      program->n_broken++;
    }
  if (error != NULL && program->reports)
    {
      g_autofree char *name = g_file_get_basename (job->tile->file);

      g_print ("%s: %s\n", name, error->message);
    }
  g_signal_emit (job->tile, signals[CHANGED], 0);

  g_clear_handle_id (&job->timeout, g_source_remove);
  g_object_unref (job->cancellable);
  g_object_unref (job->tile);
  g_free (job);

  program->n_done++;
  start_jobs (program);
}

/* The worker may have been taken over, so its answer is checked. */
static GdkTexture *
check_thumbnail (GBytes  *reply,
                 GError **error)
{
  gsize length;
  const guint8 *data = g_bytes_get_data (reply, &length);
  g_autoptr (GBytes) pixels = NULL;
  struct thumbnail head = { 0 };

  if (length >= sizeof head)
    memcpy (&head, data, sizeof head);
  if (head.width == 0 || head.height == 0 || head.width > THUMBNAIL_SIZE
      || head.height > THUMBNAIL_SIZE
      || length != sizeof head + (gsize) head.width * head.height * 4)
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                           "The worker's answer is not a picture");
      return NULL;
    }

  pixels = g_bytes_new_from_bytes (reply, sizeof head, length - sizeof head);
  return gdk_memory_texture_new (head.width, head.height, GDK_MEMORY_R8G8B8A8, pixels,
                                 head.width * 4);
}

static void
on_decoded (GObject      *source,
            GAsyncResult *result,
            gpointer      data)
{
  Job *job = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) reply = g_fork_pool_call_finish (G_FORK_POOL (source), result, &error);

  if (reply != NULL)
    job->tile->texture = check_thumbnail (reply, &error);
  finish_job (job, error);
}

/* Cancelling a job that runs kills its worker, and only that. */
static gboolean
on_timeout (gpointer data)
{
  Job *job = data;

  job->timeout = 0;
  g_cancellable_cancel (job->cancellable);
  return G_SOURCE_REMOVE;
}

static void
on_read (GObject      *source,
         GAsyncResult *result,
         gpointer      data)
{
  Job *job = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) contents = g_file_load_bytes_finish (G_FILE (source), result, NULL, &error);

  if (contents == NULL)
    {
      finish_job (job, error);
      return;
    }

  job->timeout = g_timeout_add_seconds (PATIENCE_SECONDS, on_timeout, job);
  g_fork_pool_call_async (job->program->pool, contents, job->cancellable, on_decoded, job);
}

/* Keeps some files on their way, until all are shown. */
static void
start_jobs (Program *program)
{
  guint n = g_list_model_get_n_items (G_LIST_MODEL (program->tiles));

  while (program->n_started < n && program->n_started - program->n_done < MAX_UNDER_WAY)
    {
      Job *job = g_new0 (Job, 1);

      job->program = program;
      job->tile = g_list_model_get_item (G_LIST_MODEL (program->tiles), program->n_started++);
      job->cancellable = g_cancellable_new ();
      g_file_load_bytes_async (job->tile->file, NULL, on_read, job);
    }

  gtk_progress_bar_set_fraction (program->progress, n > 0 ? (double) program->n_done / n : 1);
  gtk_widget_set_opacity (GTK_WIDGET (program->progress), program->n_done < n ? 1 : 0);
}

static GForkPool *
new_pool (void)
{
  g_autoptr (GForkTemplate) template = g_fork_template_new ();
  g_autoptr (GForkSandbox) sandbox = g_fork_sandbox_new ();
  GForkPool *pool;

  /* Decoders are loaded from files, so that is done before. */
  g_fork_template_call (template, "thumbnails-worker:load_decoders", NULL);
  g_fork_template_confine (template, sandbox);
  g_fork_template_set_limit (template, G_FORK_LIMIT_CORE, 0);

  pool = g_fork_pool_new (template, "thumbnails-worker:decode");
  /* Files that make their worker crash are to be expected, and no reason to give up. */
  g_fork_pool_set_max_restarts (pool, G_MAXUINT);
  g_fork_pool_set_restart_delay (pool, 0);
  return pool;
}

static void
on_started (GObject      *source,
            GAsyncResult *result,
            gpointer      data)
{
  Program *program = data;
  g_autoptr (GError) error = NULL;

  if (g_fork_pool_start_finish (G_FORK_POOL (source), result, &error))
    start_jobs (program);
  else
    {
      g_printerr ("%s\n", error->message);
      gtk_window_destroy (program->window);
    }
}

/* ——— The grid ——— */

static void
show_tile (Tile     *tile,
           GtkStack *stack)
{
  if (tile->texture != NULL)
    {
      gtk_picture_set_paintable (GTK_PICTURE (gtk_stack_get_child_by_name (stack, "picture")),
                                 GDK_PAINTABLE (tile->texture));
      gtk_stack_set_visible_child_name (stack, "picture");
    }
  else
    gtk_stack_set_visible_child_name (stack, tile->trouble != NULL ? "broken" : "waiting");
  gtk_widget_set_tooltip_text (GTK_WIDGET (stack), tile->trouble);
}

static void
on_setup (GtkSignalListItemFactory *factory,
          GtkListItem              *item,
          gpointer                  data)
{
  GtkWidget *stack = gtk_stack_new ();
  GtkWidget *broken = gtk_label_new ("✗");

  gtk_widget_add_css_class (broken, "broken");
  gtk_stack_add_named (GTK_STACK (stack), gtk_label_new (NULL), "waiting");
  gtk_stack_add_named (GTK_STACK (stack), gtk_picture_new (), "picture");
  gtk_stack_add_named (GTK_STACK (stack), broken, "broken");
  gtk_widget_set_size_request (stack, THUMBNAIL_SIZE, THUMBNAIL_SIZE);
  gtk_widget_set_halign (stack, GTK_ALIGN_CENTER);
  gtk_list_item_set_child (item, stack);
}

static void
on_bind (GtkSignalListItemFactory *factory,
         GtkListItem              *item,
         gpointer                  data)
{
  Tile *tile = gtk_list_item_get_item (item);
  GtkStack *stack = GTK_STACK (gtk_list_item_get_child (item));

  show_tile (tile, stack);
  g_signal_connect_object (tile, "changed", G_CALLBACK (show_tile), stack, 0);
}

static void
on_unbind (GtkSignalListItemFactory *factory,
           GtkListItem              *item,
           gpointer                  data)
{
  g_signal_handlers_disconnect_by_func (gtk_list_item_get_item (item), show_tile,
                                        gtk_list_item_get_child (item));
}

static int
compare_tiles (gconstpointer a,
               gconstpointer b,
               gpointer      data)
{
  g_autofree char *name = g_file_get_basename (((Tile *) a)->file);
  g_autofree char *other = g_file_get_basename (((Tile *) b)->file);

  return strcmp (name, other);
}

static void
find_files (Program    *program,
            const char *folder)
{
  g_autoptr (GDir) entries = g_dir_open (folder, 0, NULL);
  const char *name;

  while (entries != NULL && (name = g_dir_read_name (entries)) != NULL)
    {
      g_autoptr (Tile) tile = g_object_new (TILE_TYPE, NULL);
      g_autofree char *path = g_build_filename (folder, name, NULL);

      if (!g_file_test (path, G_FILE_TEST_IS_REGULAR))
        continue;
      tile->file = g_file_new_for_path (path);
      g_list_store_insert_sorted (program->tiles, tile, compare_tiles, NULL);
    }
}

/* Scrolls up and down while there is something to decode. When all tiles have been drawn, it
 * prints the numbers. */
static gboolean
on_frame (GtkWidget     *window,
          GdkFrameClock *clock,
          gpointer       data)
{
  Program *program = data;
  guint n = g_list_model_get_n_items (G_LIST_MODEL (program->tiles));
  double before = gtk_adjustment_get_value (program->position);

  if (program->n_done < n)
    {
      gtk_adjustment_set_value (program->position, before < 1 ? 4 : 0);
      program->n_scrolled += gtk_adjustment_get_value (program->position) != before;
      return G_SOURCE_CONTINUE;
    }
  if (!program->drawn)
    {
      /* This frame draws what has changed before. */
      gtk_adjustment_set_value (program->position, 0);
      program->drawn = TRUE;
      return G_SOURCE_CONTINUE;
    }

  gdk_display_sync (gtk_widget_get_display (window));
  g_print ("%u tiles, %u broken, %u times scrolled\n", n, program->n_broken, program->n_scrolled);
  return G_SOURCE_REMOVE;
}

static void
add_style (void)
{
  static const char rules[] = ".broken { color: white; background: #c01c28; font-size: 48px; }";
  g_autoptr (GtkCssProvider) style = gtk_css_provider_new ();

  /* The one is deprecated since there is the other. */
#if GTK_CHECK_VERSION (4, 12, 0)
  gtk_css_provider_load_from_string (style, rules);
#else
  gtk_css_provider_load_from_data (style, rules, -1);
#endif
  gtk_style_context_add_provider_for_display (gdk_display_get_default (), GTK_STYLE_PROVIDER (style),
                                              GTK_STYLE_PROVIDER_PRIORITY_APPLICATION);
}

static GtkWidget *
new_grid (Program *program)
{
  GtkListItemFactory *factory = gtk_signal_list_item_factory_new ();
  GListModel *tiles = g_object_ref (G_LIST_MODEL (program->tiles));
  GtkWidget *grid = gtk_grid_view_new (GTK_SELECTION_MODEL (gtk_no_selection_new (tiles)), factory);
  GtkWidget *scrolled = gtk_scrolled_window_new ();

  g_signal_connect (factory, "setup", G_CALLBACK (on_setup), NULL);
  g_signal_connect (factory, "bind", G_CALLBACK (on_bind), NULL);
  g_signal_connect (factory, "unbind", G_CALLBACK (on_unbind), NULL);
  gtk_grid_view_set_max_columns (GTK_GRID_VIEW (grid), 12);

  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scrolled), grid);
  gtk_widget_set_vexpand (scrolled, TRUE);
  program->position = gtk_scrolled_window_get_vadjustment (GTK_SCROLLED_WINDOW (scrolled));
  return scrolled;
}

static void
on_activate (GtkApplication *application,
             gpointer        data)
{
  Program *program = data;
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);

  add_style ();
  program->progress = GTK_PROGRESS_BAR (gtk_progress_bar_new ());
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (program->progress));
  gtk_box_append (GTK_BOX (box), new_grid (program));

  program->window = GTK_WINDOW (gtk_application_window_new (application));
  gtk_window_set_title (program->window, "Thumbnails");
  gtk_window_set_default_size (program->window, 800, 660);
  gtk_window_set_child (program->window, box);
  if (program->reports)
    gtk_widget_add_tick_callback (GTK_WIDGET (program->window), on_frame, program, NULL);
  gtk_window_present (program->window);

  g_fork_pool_start_async (program->pool, NULL, on_started, program);
}

int
main (int    argc,
      char **argv)
{
  Program program = { 0 };
  g_autoptr (GtkApplication) application = NULL;
  int status;

  if (argc < 2)
    {
      g_printerr ("Usage: thumbnails FOLDER [--report]\n");
      return 2;
    }

  program.reports = argc > 2 && g_str_equal (argv[2], "--report");
  program.pool = new_pool ();
  program.tiles = g_list_store_new (TILE_TYPE);
  find_files (&program, argv[1]);

  application = gtk_application_new ("org.example.Thumbnails", G_APPLICATION_NON_UNIQUE);
  g_signal_connect (application, "activate", G_CALLBACK (on_activate), &program);
  status = g_application_run (G_APPLICATION (application), 0, NULL);

  /* Ends the workers; what they were at comes to an end with an error. */
  g_clear_object (&program.pool);
  g_clear_object (&program.tiles);
  return status;
}
