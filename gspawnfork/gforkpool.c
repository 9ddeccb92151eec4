/* gforkpool.c: the class: workers that stay up, and jobs for them
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "gforkpool-private.h"

#include "gforkenumtypes.h"

/**
 * GForkPool:
 *
 * Workers that stay up, and jobs for them.
 *
 * A pool forks its template for each worker, and runs a function there. It starts another
 * worker when one ends, and ends workers that are not needed. A worker does one thing at a
 * time.
 *
 * ```c
 * static int
 * measure (void)
 * {
 *   g_autoptr (GForkTemplate) template = g_fork_template_new ();
 *   g_autoptr (GForkPool) pool = g_fork_pool_new (template, "images:worker");
 *   g_autoptr (GBytes) request = g_bytes_new_static ("photo.jpg", 9);
 *   g_autoptr (GBytes) reply = NULL;
 *   g_autoptr (GError) error = NULL;
 *
 *   if (!g_fork_pool_start (pool, NULL, &error))
 *     return report (error);
 *
 *   reply = g_fork_pool_call (pool, request, NULL, &error);
 *   …
 * }
 * ```
 *
 * ## Three ways to use it
 *
 * - Jobs: [method@GFork.Pool.call] sends bytes to a worker, and returns the bytes with which
 *   the worker replies. The function of the worker calls [func@GFork.serve_jobs].
 * - Loans: [method@GFork.Pool.acquire] lends a worker and its socket, for any protocol.
 * - Servers: the workers serve by themselves, for instance on a listening socket that was
 *   sent to the template. The pool only keeps them running.
 *
 * A job or a loan gets an idle worker. If several are idle, it gets the one that was used
 * last. If none is idle, it gets a new worker, as long as there are fewer than
 * [property@GFork.Pool:max-workers]. Otherwise it waits. Those that wait are served in the
 * order of their requests.
 *
 * ## Ends
 *
 * If a worker dies, its job fails with %G_FORK_ERROR_LOST, unless
 * [property@GFork.Pool:retry-lost] has another worker do it. [property@GFork.Pool:restart]
 * says which workers are replaced. Another worker is started at once, or, if the worker has
 * ended early, after a delay. If too many end early, the state of the pool becomes
 * %G_FORK_POOL_STATE_FAILED.
 *
 * A worker that writes something else than a reply to its socket is killed, and its job fails
 * with %G_FORK_ERROR_PROTOCOL.
 *
 * Dropping the last reference to a pool kills its workers. If the application ends without
 * that, the workers read the end of file from their sockets, and [func@GFork.serve_jobs]
 * returns.
 *
 * ## Threads
 *
 * All methods may be called from any thread. The result of an asynchronous method arrives in
 * the thread-default main context of the call. A synchronous method needs no main loop
 * anywhere.
 *
 * The pool has no thread of its own. Its *own context* is the main context that was the
 * thread-default one when the pool was made. The pool works in three places:
 *
 * - in its own context, while that is iterated
 * - in the main context of each asynchronous call, until that call has completed
 * - in each synchronous call, until that returns
 *
 * A program that only makes synchronous calls needs no main loop. But nothing is done between
 * its calls: a worker that ends meanwhile is replaced in the next call.
 *
 * The signals of the pool and of the list are emitted in the pool's own context. A
 * synchronous call in the thread that made the pool emits them, too: all that it has brought
 * about, before it returns. Calls in other threads and contexts do not emit them. A new worker
 * waits for the handlers only if [signal@GFork.Pool::prepare] has any.
 *
 * In a process that was forked from the application, every operation of the pool fails with
 * %G_FORK_ERROR_CLOSED.
 *
 * As a [iface@Gio.ListModel], a pool has those workers that are ready, in the order in
 * which they became so.
 *
 * Since: 1.0
 */

struct _GForkPool
{
  GObject parent_instance;

  GForkCrew *crew;
  GForkTemplate *template; /* the one to begin with */
  char *function;

  GMutex lock;
  GPtrArray *workers; /* what the list has; changed in the pool's context alone */
};

enum
{
  PROP_TEMPLATE = 1,
  PROP_FUNCTION,
  PROP_STATE,
  PROP_N_WAITING,
  FIRST_SETTING, /* then one for each GForkSetting, in that order */
  N_PROPS = FIRST_SETTING + G_FORK_N_SETTINGS
};

#define PROP_OF(setting) (FIRST_SETTING + (setting))

static GParamSpec *props[N_PROPS];

enum
{
  PREPARE,
  WORKER_STARTED,
  WORKER_ENDED,
  FAILED,
  TEMPLATE_LOST,
  N_SIGNALS
};

static guint signals[N_SIGNALS];

static void list_model_init (GListModelInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (GForkPool, g_fork_pool, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_LIST_MODEL, list_model_init))

/* ——— The list ——— */

static GType
get_item_type (GListModel *list)
{
  return G_FORK_TYPE_WORKER;
}

static guint
get_n_items (GListModel *list)
{
  GForkPool *self = G_FORK_POOL (list);
  guint n;

  g_mutex_lock (&self->lock);
  n = self->workers->len;
  g_mutex_unlock (&self->lock);
  return n;
}

static gpointer
get_item (GListModel *list,
          guint       position)
{
  GForkPool *self = G_FORK_POOL (list);
  GForkWorker *worker = NULL;

  g_mutex_lock (&self->lock);
  if (position < self->workers->len)
    worker = g_object_ref (g_ptr_array_index (self->workers, position));
  g_mutex_unlock (&self->lock);
  return worker;
}

static void
list_model_init (GListModelInterface *iface)
{
  iface->get_item_type = get_item_type;
  iface->get_n_items = get_n_items;
  iface->get_item = get_item;
}

static void
add_worker (GForkPool   *self,
            GForkWorker *worker)
{
  guint position;

  g_mutex_lock (&self->lock);
  position = self->workers->len;
  g_ptr_array_add (self->workers, g_object_ref (worker));
  g_mutex_unlock (&self->lock);

  g_list_model_items_changed (G_LIST_MODEL (self), position, 0, 1);
  g_signal_emit (self, signals[WORKER_STARTED], 0, worker);
}

static void
remove_worker (GForkPool   *self,
               GForkWorker *worker)
{
  gboolean is_there;
  guint position;

  g_mutex_lock (&self->lock);
  is_there = g_ptr_array_find (self->workers, worker, &position);
  if (is_there)
    g_ptr_array_remove_index (self->workers, position);
  g_mutex_unlock (&self->lock);

  if (is_there)
    g_list_model_items_changed (G_LIST_MODEL (self), position, 1, 0);
  g_signal_emit (self, signals[WORKER_ENDED], 0, worker);
}

/* ——— Signals ——— */

/* Called in the pool's context. */
static GForkTemplate *
on_news (GForkPool     *self,
         GForkNewsKind  kind,
         gpointer       object,
         guint          index,
         const GError  *error)
{
  GForkTemplate *template = NULL;

  switch (kind)
    {
    case G_FORK_NEWS_STATE:
      g_object_notify_by_pspec (G_OBJECT (self), props[PROP_STATE]);
      break;
    case G_FORK_NEWS_TEMPLATE:
      g_object_notify_by_pspec (G_OBJECT (self), props[PROP_TEMPLATE]);
      break;
    case G_FORK_NEWS_STARTED:
      add_worker (self, object);
      break;
    case G_FORK_NEWS_ENDED:
      remove_worker (self, object);
      break;
    case G_FORK_NEWS_FAILED:
      g_signal_emit (self, signals[FAILED], 0, error);
      break;
    case G_FORK_NEWS_PREPARE:
      g_signal_emit (self, signals[PREPARE], 0, object, index);
      break;
    case G_FORK_NEWS_TEMPLATE_LOST:
      g_signal_emit (self, signals[TEMPLATE_LOST], 0, &template);
      break;
    }

  return template;
}

/* ——— The object ——— */

static void
set_one (GForkPool    *self,
         GForkSetting  setting,
         guint         value)
{
  if (g_fork_crew_set_setting (self->crew, setting, value))
    g_object_notify_by_pspec (G_OBJECT (self), props[PROP_OF (setting)]);
}

/* The least number of workers and the greatest one move each other. */
void
g_fork_pool_set_setting (GForkPool    *self,
                         GForkSetting  setting,
                         guint         value)
{
  if (setting == G_FORK_SETTING_MIN_WORKERS
      && value > g_fork_crew_get_setting (self->crew, G_FORK_SETTING_MAX_WORKERS))
    set_one (self, G_FORK_SETTING_MAX_WORKERS, value);
  if (setting == G_FORK_SETTING_MAX_WORKERS
      && value < g_fork_crew_get_setting (self->crew, G_FORK_SETTING_MIN_WORKERS))
    set_one (self, G_FORK_SETTING_MIN_WORKERS, value);
  set_one (self, setting, value);
}

static void
get_setting (GForkPool    *self,
             GForkSetting  setting,
             GValue       *value)
{
  guint number = g_fork_crew_get_setting (self->crew, setting);

  switch (setting)
    {
    case G_FORK_SETTING_RESTART:
      g_value_set_enum (value, number);
      break;
    case G_FORK_SETTING_STOP_SIGNAL:
      g_value_set_int (value, number);
      break;
    case G_FORK_SETTING_WAIT_FOR_READY:
      g_value_set_boolean (value, number);
      break;
    default:
      g_value_set_uint (value, number);
    }
}

static guint
number_of (GForkSetting  setting,
           const GValue *value)
{
  switch (setting)
    {
    case G_FORK_SETTING_RESTART:
      return g_value_get_enum (value);
    case G_FORK_SETTING_STOP_SIGNAL:
      return g_value_get_int (value);
    case G_FORK_SETTING_WAIT_FOR_READY:
      return g_value_get_boolean (value);
    default:
      return g_value_get_uint (value);
    }
}

static void
g_fork_pool_get_property (GObject    *object,
                          guint       prop_id,
                          GValue     *value,
                          GParamSpec *pspec)
{
  GForkPool *self = G_FORK_POOL (object);

  switch (prop_id)
    {
    case PROP_TEMPLATE:
      g_value_take_object (value, g_fork_crew_dup_template (self->crew));
      break;
    case PROP_FUNCTION:
      g_value_set_string (value, self->function);
      break;
    case PROP_STATE:
      g_value_set_enum (value, g_fork_pool_get_state (self));
      break;
    case PROP_N_WAITING:
      g_value_set_uint (value, g_fork_pool_get_n_waiting (self));
      break;
    default:
      get_setting (self, prop_id - FIRST_SETTING, value);
    }
}

static void
g_fork_pool_set_property (GObject      *object,
                          guint         prop_id,
                          const GValue *value,
                          GParamSpec   *pspec)
{
  GForkPool *self = G_FORK_POOL (object);

  switch (prop_id)
    {
    case PROP_TEMPLATE:
      self->template = g_value_dup_object (value);
      break;
    case PROP_FUNCTION:
      self->function = g_value_dup_string (value);
      break;
    default:
      g_fork_pool_set_setting (self, prop_id - FIRST_SETTING,
                               number_of (prop_id - FIRST_SETTING, value));
    }
}

static void
g_fork_pool_constructed (GObject *object)
{
  GForkPool *self = G_FORK_POOL (object);

  G_OBJECT_CLASS (g_fork_pool_parent_class)->constructed (object);

  if (self->template == NULL)
    self->template = g_fork_template_new ();
  if (self->function == NULL)
    g_critical ("A GForkPool needs a function");
  self->crew = g_fork_crew_new (self, self->template, self->function != NULL ? self->function : "",
                                on_news);
}

static void
g_fork_pool_finalize (GObject *object)
{
  GForkPool *self = G_FORK_POOL (object);

  g_fork_crew_close (self->crew);
  g_ptr_array_unref (self->workers);
  g_clear_object (&self->template);
  g_free (self->function);
  g_mutex_clear (&self->lock);

  G_OBJECT_CLASS (g_fork_pool_parent_class)->finalize (object);
}

/* Templates are collected from one handler at most: the first that gives one. */
static gboolean
accumulate_template (GSignalInvocationHint *hint,
                     GValue                *result,
                     const GValue          *returned,
                     gpointer               data)
{
  g_value_copy (returned, result);
  return g_value_get_object (returned) == NULL;
}

#define SETTABLE (G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS)

static void
g_fork_pool_class_init (GForkPoolClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = g_fork_pool_get_property;
  object_class->set_property = g_fork_pool_set_property;
  object_class->constructed = g_fork_pool_constructed;
  object_class->finalize = g_fork_pool_finalize;

  /**
   * GForkPool:template: (getter get_template)
   *
   * The template that the workers are forked from. [method@GFork.Pool.replace] and
   * [signal@GFork.Pool::template-lost] change it. If none is given, it is a new one of the
   * runtime "c".
   *
   * The pool only forks the template. So [property@GFork.Template:pid] of a template that is
   * a fork itself, as most are, stays 0 unless the template is prepared by
   * [method@GFork.Template.prepare].
   *
   * Since: 1.0
   */
  props[PROP_TEMPLATE] = g_param_spec_object ("template", NULL, NULL, G_FORK_TYPE_TEMPLATE,
                                              G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY
                                                  | G_PARAM_STATIC_STRINGS);

  /**
   * GForkPool:function: (getter get_function)
   *
   * The function that the workers run; see [method@GFork.Template.run].
   *
   * Since: 1.0
   */
  props[PROP_FUNCTION] = g_param_spec_string ("function", NULL, NULL, NULL,
                                              G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY
                                                  | G_PARAM_STATIC_STRINGS);

  /**
   * GForkPool:min-workers: (getter get_min_workers) (setter set_min_workers)
   *
   * The least number of workers while the pool is running. The default is 1.
   *
   * Raising it above [property@GFork.Pool:max-workers] raises that, too.
   *
   * Since: 1.0
   */
  props[PROP_OF (G_FORK_SETTING_MIN_WORKERS)]
      = g_param_spec_uint ("min-workers", NULL, NULL, 0, G_MAXUINT, 1, SETTABLE);

  /**
   * GForkPool:max-workers: (getter get_max_workers) (setter set_max_workers)
   *
   * The greatest number of workers. More than [property@GFork.Pool:min-workers] are started
   * when jobs or borrowers wait. The default is the number of processors.
   *
   * Lowering it below [property@GFork.Pool:min-workers] lowers that, too. Workers that are too
   * many are ended when they have finished their jobs and loans.
   *
   * Since: 1.0
   */
  props[PROP_OF (G_FORK_SETTING_MAX_WORKERS)]
      = g_param_spec_uint ("max-workers", NULL, NULL, 1, G_MAXUINT,
                           g_get_num_processors (), SETTABLE);

  /**
   * GForkPool:idle-timeout: (getter get_idle_timeout) (setter set_idle_timeout)
   *
   * The time in milliseconds after which an idle worker is ended, if there are more than
   * [property@GFork.Pool:min-workers]; 0 means never. The default is 0.
   *
   * Since: 1.0
   */
  props[PROP_OF (G_FORK_SETTING_IDLE_TIMEOUT)]
      = g_param_spec_uint ("idle-timeout", NULL, NULL, 0, G_MAXUINT, 0, SETTABLE);

  /**
   * GForkPool:max-jobs: (getter get_max_jobs) (setter set_max_jobs)
   *
   * The number of jobs and loans after which a worker is replaced; 0 means no limit. The
   * default is 0.
   *
   * Since: 1.0
   */
  props[PROP_OF (G_FORK_SETTING_MAX_JOBS)]
      = g_param_spec_uint ("max-jobs", NULL, NULL, 0, G_MAXUINT, 0, SETTABLE);

  /**
   * GForkPool:jobs-in-flight: (getter get_jobs_in_flight) (setter set_jobs_in_flight)
   *
   * The number of jobs that a worker may have at a time. It still does them one after another,
   * but need not wait until it is sent the next one. That makes short jobs faster. A long job
   * delays the jobs behind it.
   *
   * A worker is sent more than one job only if no other worker is idle or can be started. The
   * default is 1.
   *
   * Since: 1.0
   */
  props[PROP_OF (G_FORK_SETTING_JOBS_IN_FLIGHT)]
      = g_param_spec_uint ("jobs-in-flight", NULL, NULL, 1, G_MAXUINT, 1, SETTABLE);

  /**
   * GForkPool:max-restarts: (getter get_max_restarts) (setter set_max_restarts)
   *
   * The number of early ends of workers that may happen within
   * [property@GFork.Pool:restart-window]. With one more, the state of the pool becomes
   * %G_FORK_POOL_STATE_FAILED. %G_MAXUINT means no limit. The default is 5.
   *
   * A worker has ended early if it was not ready yet. It has also ended early if it became
   * ready less than a second before and has not finished a job or loan. Workers that the pool
   * ends do not count, except one that it kills because it has written something else than a
   * reply.
   *
   * If several workers end early at the same time, they have one cause, and count once: an end
   * does not count if it comes within 100 milliseconds of the last one that counted, and its
   * worker was running then.
   *
   * The pool does not see the requests of a server. So each end of a server within a second
   * after it became ready is early. A job that kills a new worker counts as well. If jobs or
   * requests are not trusted, set this to %G_MAXUINT, and [property@GFork.Pool:restart-delay]
   * to 0.
   *
   * Since: 1.0
   */
  props[PROP_OF (G_FORK_SETTING_MAX_RESTARTS)]
      = g_param_spec_uint ("max-restarts", NULL, NULL, 0, G_MAXUINT, 5, SETTABLE);

  /**
   * GForkPool:restart-window: (getter get_restart_window) (setter set_restart_window)
   *
   * The time in milliseconds within which early ends are counted. If a worker has lived so
   * long, the next delay of a restart in its place is [property@GFork.Pool:restart-delay]
   * again. The default is 10000.
   *
   * Since: 1.0
   */
  props[PROP_OF (G_FORK_SETTING_RESTART_WINDOW)]
      = g_param_spec_uint ("restart-window", NULL, NULL, 0, G_MAXUINT, 10000, SETTABLE);

  /**
   * GForkPool:restart-delay: (getter get_restart_delay) (setter set_restart_delay)
   *
   * The delay in milliseconds between an early end and the start of another worker. The default
   * is 100. With 0 there is never a delay.
   *
   * The delay is doubled with each further early end of a worker in the same place, and
   * shortened by up to a quarter at random. After any other end, another worker is started at
   * once.
   *
   * Since: 1.0
   */
  props[PROP_OF (G_FORK_SETTING_RESTART_DELAY)]
      = g_param_spec_uint ("restart-delay", NULL, NULL, 0, G_MAXUINT, 100, SETTABLE);

  /**
   * GForkPool:max-restart-delay: (getter get_max_restart_delay) (setter set_max_restart_delay)
   *
   * The greatest delay, in milliseconds, between an early end and the start of another worker.
   * The default is 10000.
   *
   * Since: 1.0
   */
  props[PROP_OF (G_FORK_SETTING_MAX_RESTART_DELAY)]
      = g_param_spec_uint ("max-restart-delay", NULL, NULL, 0, G_MAXUINT, 10000, SETTABLE);

  /**
   * GForkPool:stop-signal: (getter get_stop_signal) (setter set_stop_signal)
   *
   * The signal that a worker is sent to end it, when it has no job and is not on loan; 0 means
   * none. The default is SIGTERM. The socket of the worker is shut down for writing before, so
   * that it reads the end of file. Processes that the worker has started are not sent the
   * signal.
   *
   * A server has no jobs that the pool knows of, so it is sent the signal at once. If it is to
   * finish what it is doing, it has to handle the signal, or this has to be 0.
   *
   * Since: 1.0
   */
  props[PROP_OF (G_FORK_SETTING_STOP_SIGNAL)]
      = g_param_spec_int ("stop-signal", NULL, NULL, 0, G_MAXINT, SIGTERM, SETTABLE);

  /**
   * GForkPool:stop-timeout: (getter get_stop_timeout) (setter set_stop_timeout)
   *
   * The time in milliseconds after which a worker that was asked to end is killed. The default
   * is 5000. If the worker leads a process group, its group is killed as well; see
   * [method@GFork.Template.setsid].
   *
   * When the pool is stopped, the time begins then. When a worker is ended for another reason,
   * it begins when the worker has no job and is not on loan.
   *
   * Since: 1.0
   */
  props[PROP_OF (G_FORK_SETTING_STOP_TIMEOUT)]
      = g_param_spec_uint ("stop-timeout", NULL, NULL, 0, G_MAXUINT, 5000, SETTABLE);

  /**
   * GForkPool:wait-for-ready: (getter get_wait_for_ready) (setter set_wait_for_ready)
   *
   * Whether a worker is ready only when it has called [func@GFork.Worker.ready], as
   * [func@GFork.serve_jobs] does. Otherwise it is ready when it enters its function. The
   * default is %FALSE.
   *
   * Since: 1.0
   */
  props[PROP_OF (G_FORK_SETTING_WAIT_FOR_READY)]
      = g_param_spec_boolean ("wait-for-ready", NULL, NULL, FALSE, SETTABLE);

  /**
   * GForkPool:retry-lost: (getter get_retry_lost) (setter set_retry_lost)
   *
   * The number of times that a job whose worker has died is given to another worker, before
   * it fails with %G_FORK_ERROR_LOST. The default is 0.
   *
   * The worker that died may have done a part of the job, or all of it.
   *
   * Since: 1.0
   */
  props[PROP_OF (G_FORK_SETTING_RETRY_LOST)]
      = g_param_spec_uint ("retry-lost", NULL, NULL, 0, G_MAXUINT, 0, SETTABLE);

  /**
   * GForkPool:restart: (getter get_restart) (setter set_restart)
   *
   * Which workers are replaced when they end. The default is %G_FORK_RESTART_ALWAYS. If no
   * worker is left and none will be started, the state of the pool becomes
   * %G_FORK_POOL_STATE_STOPPED.
   *
   * Since: 1.0
   */
  props[PROP_OF (G_FORK_SETTING_RESTART)]
      = g_param_spec_enum ("restart", NULL, NULL, G_FORK_TYPE_RESTART,
                           G_FORK_RESTART_ALWAYS, SETTABLE);

  /**
   * GForkPool:state: (getter get_state)
   *
   * What the pool is doing.
   *
   * Since: 1.0
   */
  props[PROP_STATE] = g_param_spec_enum ("state", NULL, NULL, G_FORK_TYPE_POOL_STATE,
                                         G_FORK_POOL_STATE_STOPPED,
                                         G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);

  /**
   * GForkPool:n-waiting: (getter get_n_waiting)
   *
   * The number of jobs and loans that wait for a worker. As it may change very often, this
   * property is not notified.
   *
   * Since: 1.0
   */
  props[PROP_N_WAITING] = g_param_spec_uint ("n-waiting", NULL, NULL, 0, G_MAXUINT, 0,
                                             G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);

  g_object_class_install_properties (object_class, N_PROPS, props);

  /**
   * GForkPool::prepare:
   * @self: the pool
   * @fork: the template that is about to become a worker
   * @index: the number of the worker's place; see [method@GFork.Worker.get_index]
   *
   * Emitted for each worker before it runs the function. A handler can send it what the
   * other workers do not get.
   *
   * A new worker waits until the handlers have been called. They are called in the pool's own
   * context, so that has to be iterated, unless the thread that made the pool is in a
   * synchronous call of the pool.
   *
   * Since: 1.0
   */
  signals[PREPARE] = g_signal_new ("prepare", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL,
                                   NULL, NULL, G_TYPE_NONE, 2, G_FORK_TYPE_TEMPLATE, G_TYPE_UINT);

  /**
   * GForkPool::worker-started:
   * @self: the pool
   * @worker: the worker
   *
   * Emitted when a worker has become ready and was added to the list.
   *
   * Since: 1.0
   */
  signals[WORKER_STARTED] = g_signal_new ("worker-started", G_TYPE_FROM_CLASS (klass),
                                          G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1,
                                          G_FORK_TYPE_WORKER);

  /**
   * GForkPool::worker-ended:
   * @self: the pool
   * @worker: the worker
   *
   * Emitted when a worker that was ready has ended and was removed from the list.
   *
   * [method@GFork.Worker.get_process] has how it has ended. If that cannot be known, for
   * instance because the template has died before it, both
   * [method@GFork.Process.get_if_exited] and [method@GFork.Process.get_if_signaled] return
   * %FALSE.
   *
   * Since: 1.0
   */
  signals[WORKER_ENDED] = g_signal_new ("worker-ended", G_TYPE_FROM_CLASS (klass),
                                        G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1,
                                        G_FORK_TYPE_WORKER);

  /**
   * GForkPool::failed:
   * @self: the pool
   * @error: why no more workers are started
   *
   * Emitted when the state of the pool has become %G_FORK_POOL_STATE_FAILED.
   *
   * Since: 1.0
   */
  signals[FAILED] = g_signal_new ("failed", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL,
                                  NULL, NULL, G_TYPE_NONE, 1, G_TYPE_ERROR);

  /**
   * GForkPool::template-lost:
   * @self: the pool
   *
   * Emitted as soon as the template has died or was closed. The workers that live are kept. If
   * a template that a handler has given dies within a second, another one is asked for when a
   * worker is needed.
   *
   * If no handler returns a template, the state of the pool becomes
   * %G_FORK_POOL_STATE_FAILED, with the error %G_FORK_ERROR_LOST.
   *
   * Returns: (transfer full) (nullable): a new template; %NULL to ask the next handler
   *
   * Since: 1.0
   */
  signals[TEMPLATE_LOST] = g_signal_new ("template-lost", G_TYPE_FROM_CLASS (klass),
                                         G_SIGNAL_RUN_LAST, 0, accumulate_template, NULL, NULL,
                                         G_FORK_TYPE_TEMPLATE, 0);
}

static void
g_fork_pool_init (GForkPool *self)
{
  g_mutex_init (&self->lock);
  self->workers = g_ptr_array_new_with_free_func (g_object_unref);
}

/**
 * g_fork_pool_new:
 * @template_: the template that the workers are forked from; the pool keeps a reference
 * @function: the name of the function that they run: `name` or `module:name`; see
 *   [method@GFork.Template.run]
 *
 * Creates a pool. It has no workers until it is started.
 *
 * All workers get what was sent to the template. The template must not be run or closed.
 *
 * If there are no descriptors for the pool, every operation except
 * [method@GFork.Pool.stop] fails with %G_FORK_ERROR_FAILED.
 *
 * Returns: (transfer full): a new pool
 *
 * Since: 1.0
 */
GForkPool *
g_fork_pool_new (GForkTemplate *template,
                 const char    *function)
{
  g_return_val_if_fail (G_FORK_IS_TEMPLATE (template), NULL);
  g_return_val_if_fail (function != NULL, NULL);

  return g_object_new (G_FORK_TYPE_POOL, "template", template, "function", function, NULL);
}

/* ——— About it ——— */

GForkCrew *
g_fork_pool_get_crew (GForkPool *self)
{
  return self->crew;
}

/**
 * g_fork_pool_get_template: (get-property template)
 * @self: a pool
 *
 * Gets the template that the workers are forked from.
 *
 * Returns: (transfer full): the template
 *
 * Since: 1.0
 */
GForkTemplate *
g_fork_pool_get_template (GForkPool *self)
{
  g_return_val_if_fail (G_FORK_IS_POOL (self), NULL);

  return g_fork_crew_dup_template (self->crew);
}

/**
 * g_fork_pool_get_function: (get-property function)
 * @self: a pool
 *
 * Gets the name of the function that the workers run.
 *
 * Returns: (transfer none): the name
 *
 * Since: 1.0
 */
const char *
g_fork_pool_get_function (GForkPool *self)
{
  g_return_val_if_fail (G_FORK_IS_POOL (self), NULL);

  return self->function;
}

/**
 * g_fork_pool_get_state: (get-property state)
 * @self: a pool
 *
 * Gets what the pool is doing. The property may be notified later, as that happens in the
 * pool's own context.
 *
 * Returns: the state
 *
 * Since: 1.0
 */
GForkPoolState
g_fork_pool_get_state (GForkPool *self)
{
  g_return_val_if_fail (G_FORK_IS_POOL (self), G_FORK_POOL_STATE_STOPPED);

  return g_fork_crew_get_state (self->crew);
}

/**
 * g_fork_pool_get_n_waiting: (get-property n-waiting)
 * @self: a pool
 *
 * Gets the number of jobs and loans that wait for a worker.
 *
 * Returns: the number of jobs and loans
 *
 * Since: 1.0
 */
guint
g_fork_pool_get_n_waiting (GForkPool *self)
{
  g_return_val_if_fail (G_FORK_IS_POOL (self), 0);

  return g_fork_crew_get_n_waiting (self->crew);
}
