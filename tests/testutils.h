/* testutils.h: functions that the tests share
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <gspawnfork/gspawnfork.h>

#include <gio/gio.h>
#include <sys/types.h>

G_BEGIN_DECLS

/* Descriptors that close themselves */

typedef int TestFd;

void  test_close_fd      (TestFd      *fd);
void  test_pipe          (TestFd      *read_end,
                          TestFd      *write_end);
char *test_read_fd       (int          fd);
void  test_assert_fd_eof (int          fd);
guint test_count_fds     (GPid         pid);

static inline void
test_fd_cleanup (TestFd *fd)
{
  test_close_fd (fd);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (TestFd, test_fd_cleanup)

/* This program and others */

void     test_adopt_orphans      (void);
gboolean test_in_subprocess      (void);
void     test_skip_in_subprocess (const char  *reason);
gboolean test_under_valgrind     (void);
gboolean test_under_sanitizer    (void);
gboolean test_limit_descriptors  (guint        n);
char    *test_build_path         (const char  *name);
guint    test_count_threads      (void);
gboolean test_has_pidfds         (void);
gboolean test_has_sealed_memory  (void);
char    *test_read_proc          (GPid         pid,
                                  const char  *file);
void           test_assert_title (GPid             pid,
                                  const char      *what,
                                  GPid             parent);
gboolean test_process_exists     (GPid         pid);
char     test_process_state      (GPid         pid);
GPid     test_process_parent     (GPid         pid);
guint    test_count_zombies      (GPid         parent);
void     test_wait_for_end       (GPid         pid);
void     test_kill_and_wait      (GPid         pid);
void     test_wait_until_reaped  (GPid         pid);

/* Results */

void          test_store_result    (GObject              *object,
                                    GAsyncResult         *result,
                                    gpointer              user_data);
GAsyncResult *test_await           (GAsyncResult        **result);
void          test_assert_error_at (const char           *file,
                                    int                   line,
                                    const char           *function,
                                    const GError         *error,
                                    GForkError            code,
                                    ...) G_GNUC_NULL_TERMINATED;

/* Asserts the code of a GForkError, and that its message has all these words. */
#define test_assert_error(error, code, ...) \
  test_assert_error_at (__FILE__, __LINE__, G_STRFUNC, error, code, ##__VA_ARGS__, NULL)

/* Asserts that an operation fails like this. */
#define test_assert_prepare_fails(template, code, ...) \
  test_assert_fails_ (test_fail_to_prepare (template), code, ##__VA_ARGS__)
#define test_assert_run_fails(template, function, code, ...) \
  test_assert_fails_ (test_fail_to_run (template, function), code, ##__VA_ARGS__)
#define test_assert_exec_fails(template, argv, code, ...) \
  test_assert_fails_ (test_fail_to_exec (template, argv), code, ##__VA_ARGS__)

#define test_assert_fails_(failure, code, ...) \
  G_STMT_START \
    { \
      g_autoptr (GError) failure_ = failure; \
      test_assert_error (failure_, code, ##__VA_ARGS__); \
    } \
  G_STMT_END

/* Templates */

/* The ways to make a template, for tests of what holds for each. */
typedef struct
{
  const char *name;
  GForkTemplate *(*make) (void);
} TestKind;

void           test_add_kinds    (const char      *path,
                                  void           (*test) (gconstpointer kind));
gconstpointer  test_kind         (const char      *name);
GForkTemplate *test_make         (gconstpointer    kind);
GForkTemplate *test_template_new (void);
void           test_prepare      (GForkTemplate   *template);
GSocket       *test_run          (GForkTemplate   *template,
                                  const char      *function,
                                  GForkProcess   **process);
GSocket       *test_start        (gconstpointer    kind,
                                  GForkProcess   **process);
GSocket       *test_run_until_ready (GForkTemplate  *template,
                                     const char     *function,
                                     GForkProcess  **process);
void           test_wait_for     (GForkProcess    *process);
GError        *test_fail_to_prepare (GForkTemplate *template);
GError        *test_fail_to_run  (GForkTemplate   *template,
                                  const char      *function);
GError        *test_fail_to_exec (GForkTemplate   *template,
                                  const char * const *argv);
void           test_block        (GForkTemplate   *template,
                                  TestFd          *unblock);
int            test_add_tell_tale (GForkTemplate  *template);
GPid           test_default_pid  (void);

/* Conversations with the functions of modules/test-worker.c */

void     test_send              (GSocket    *socket,
                                 const char *data);
char    *test_ask               (GSocket    *socket,
                                 const char *format,
                                 ...) G_GNUC_PRINTF (2, 3);
gint64   test_ask_number        (GSocket    *socket,
                                 const char *question);
GString *test_read_all          (GSocket    *socket);
void     test_assert_eof        (GSocket    *socket);

#define test_assert_answer(socket, question, expected) \
  G_STMT_START \
    { \
      g_autofree char *answer_ = test_ask (socket, "%s", question); \
      g_assert_cmpstr (answer_, ==, expected); \
    } \
  G_STMT_END

#define test_assert_all_is(socket, expected) \
  G_STMT_START \
    { \
      g_autoptr (GString) all_ = test_read_all (socket); \
      g_assert_cmpstr (all_->str, ==, expected); \
    } \
  G_STMT_END

/* Runs a function, and asserts all that it writes, or what it answers to one question. */
#define test_assert_writes(template, function, expected) \
  G_STMT_START \
    { \
      g_autoptr (GSocket) socket_ = test_run (template, function, NULL); \
      test_assert_all_is (socket_, expected); \
    } \
  G_STMT_END

#define test_assert_worker_answers(template, question, expected) \
  G_STMT_START \
    { \
      g_autoptr (GSocket) socket_ = test_run (template, "answer", NULL); \
      test_assert_answer (socket_, question, expected); \
    } \
  G_STMT_END

/* Adds a test for each element of a table, which has a name and is the test's data. */
#define test_add_table(path, table, test) \
  G_STMT_START \
    { \
      for (gsize i_ = 0; i_ < G_N_ELEMENTS (table); i_++) \
        { \
          g_autofree char *path_ = g_strconcat (path, "/", (table)[i_].name, NULL); \
          g_test_add_data_func (path_, &(table)[i_], test); \
        } \
    } \
  G_STMT_END

/* Waits for the end of a worker that exits. */
#define test_assert_exits(process, status) \
  G_STMT_START \
    { \
      test_wait_for (process); \
      g_assert_cmpint (g_fork_process_get_exit_status (process), ==, status); \
    } \
  G_STMT_END

G_END_DECLS
