/* template.h: the state of a template process, and what the parts that share it do
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "serve/arguments.h"
#include "serve/descriptors.h"
#include "serve/messages.h"
#include "serve/random.h"
#include "serve/serve.h"
#include "serve/signals.h"
#include "serve/title.h"
#include "wire/frame.h"

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __GLIBC__
#if __GLIBC_PREREQ(2, 32)
#include <sys/single_threaded.h>
/* Whether it is known without asking the kernel that there is no other thread. */
#define GFORK_NEVER_THREADED __libc_single_threaded
#endif
#endif

#ifndef GFORK_NEVER_THREADED
#define GFORK_NEVER_THREADED 0
#endif

/* Why something did not work: a fact without a sentence around it, and perhaps a
 * GFORK_DETAIL. The application makes the sentence, in its user's language. */
struct gfork_failure
{
  enum gfork_code code;
  uint8_t verb;
  char *subject; /* the module, function, variable … */
  char reason[512];
};

/* children.c: who was forked, and who has ended */
struct gfork_child_entry
{
  pid_t pid; /* 0: free */
  uint32_t id;
};

struct gfork_children
{
  struct gfork_child_entry *table;
  size_t size; /* a power of two, or 0 */
  size_t n;
  int signals; /* a signalfd for their ends; -1 before the first fork */
  bool inherited; /* the table is the parent's */
  int64_t ask_all_at; /* in milliseconds of the monotonic clock, or 0 */
  struct gfork_child_entry few[16]; /* the first table */
};

/* modules.c: what was loaded */
struct gfork_module
{
  char *name;
  void *handle;
};

struct gfork_modules
{
  struct gfork_module *items;
  size_t n;
  char *path;
};

/* attributes.c: what applies to what is run or executed, and not to the template */
struct gfork_attributes
{
  bool leads_session;
  bool dies; /* with the application, or the template that it is a fork of */
  bool limited[GFORK_N_RESOURCES];
  uint64_t limits[GFORK_N_RESOURCES];
};

/* The function that is expected to be run, found before the fork. */
struct gfork_hint
{
  char name[64];
  void *function;
};

struct gfork_template;

/* launch.c: what it needs of the table of commands, which serve.c has */
struct gfork_launch_funcs
{
  /* Whether a program can be started with this command. */
  bool (*takes) (const struct gfork_frame *frame);
  /* Handles one that is only remembered, and takes effect when the program is executed. */
  void (*handle) (struct gfork_template *template, struct gfork_frame *frame);
};

struct gfork_template
{
  const struct gfork_launch_funcs *launch_funcs;
  int socket;
  enum gfork_serve_flags flags;
  const struct gfork_language *language; /* NULL if modules are shared objects */
  pid_t pid;
  pid_t parent;
  int scope; /* the Landlock ruleset for workers, or -1 */

  bool forked;  /* leaves by _exit(): the handlers are another process's */
  bool is_fork_of_template; /* so its parent has one thread, and ends with the application */
  bool untitled; /* ps shows what it was forked from */
  bool closed;  /* no more commands will come, but for KILL */
  bool failed;  /* failure says why */
  bool unknown_code_ran; /* since the threads were counted and stdio flushed */
  unsigned megabytes;    /* resident at the last look at that */

  struct gfork_children children;

  uint8_t *out; /* answers that the socket did not take yet */
  size_t out_length;
  bool out_of_memory; /* the kernel was, so poll() does not tell when to go on */

  struct gfork_arguments arguments;
  struct gfork_placements placements;
  struct gfork_modules modules;
  struct gfork_hint hint;
  struct gfork_title title;
  struct gfork_random random;
  struct gfork_signals signals;
  char last_code[128]; /* the module or function of the last REQUIRE or CALL */

  struct gfork_reader reader;
  uint8_t memory[1024];
  _Alignas (struct cmsghdr) char control[GFORK_CONTROL_SIZE (GFORK_MAX_FDS)];

  struct gfork_failure failure;
  struct gfork_attributes attributes;
};

/* exec.c: what a process needs to become a program */
struct gfork_execution
{
  const char *program;
  uint32_t flags; /* enum gfork_exec_flags */
  GForkArg *args;
  size_t n_args;
  char **argv;
  char **shell_argv; /* those of a script that the shell runs, if it is one */
  int *keep;         /* an array for the descriptors that stay open */
  int copies[3];     /* of the socket, which belong to the placements */
  size_t n_copies;
  char path[PATH_MAX]; /* where the program was looked for last */
};

/* answers.c */

/* What the kernel had no memory for is tried again after so many milliseconds. */
#define GFORK_RETRY_AFTER_MS 5

void gfork_fail (struct gfork_template *template,
                 enum gfork_code        code,
                 uint8_t                verb,
                 const char            *subject,
                 const char            *reason);
bool gfork_answer_flush (struct gfork_template *template,
                         int                    flags);
void gfork_answer (struct gfork_template *template,
                   const void            *frame,
                   size_t                 length);
void gfork_answer_ready (struct gfork_template *template);
bool gfork_answer_with_pidfd (struct gfork_template *template,
                              uint8_t                verb,
                              int                    flags);
int gfork_open_pidfd (pid_t pid);
void gfork_answer_failure (struct gfork_template *template);
void gfork_send_failure (int                         socket,
                         const struct gfork_failure *failure);

/* launch.c */
pid_t gfork_launch (struct gfork_template *template,
                    int                    socket);

/* serve.c */
#define GFORK_TEMPLATE_TITLE "template"

_Noreturn void gfork_serve (struct gfork_template *template);

/* attributes.c */
bool gfork_attributes_set_limit (struct gfork_attributes *attributes,
                                 uint32_t                 resource,
                                 uint64_t                 value);
bool gfork_attributes_apply (struct gfork_template *template);
_Noreturn void gfork_attributes_give_up (struct gfork_template *template);

/* children.c */
bool gfork_children_reserve (struct gfork_children *children);
void gfork_children_add (struct gfork_children *children,
                         pid_t                  pid,
                         uint32_t               id);
void gfork_children_forget (struct gfork_children *children);
void gfork_children_ignore (struct gfork_children *children);
void gfork_children_disown (struct gfork_children *children);
void gfork_children_reap (struct gfork_template *template);
void gfork_children_check (struct gfork_template *template);
int gfork_children_reap_in_time (struct gfork_template *template);
void gfork_children_kill (const struct gfork_children *children,
                          uint32_t                     id,
                          int                          signum);

/* confine.c */
void gfork_confine (struct gfork_template *template,
                    struct gfork_frame    *frame);
bool gfork_confine_worker (struct gfork_template *template,
                           uint8_t                verb,
                           const char            *subject);

/* exec.c */
void gfork_exec (struct gfork_template *template,
                 struct gfork_frame    *frame);
bool gfork_execution_prepare (struct gfork_execution   *execution,
                              struct gfork_template    *template,
                              const struct gfork_frame *frame,
                              char                     *reason,
                              size_t                    reason_size);
void gfork_execution_free (struct gfork_execution *execution);
bool gfork_execution_place (struct gfork_execution *execution,
                            struct gfork_template  *template,
                            char                   *reason,
                            size_t                  reason_size);
bool gfork_execution_settle (struct gfork_execution *execution,
                             struct gfork_template  *template);
void gfork_execution_go (struct gfork_execution *execution,
                         struct gfork_template  *template,
                         char                  **envp,
                         char                   *reason,
                         size_t                  reason_size);

/* execute.c */
void gfork_execute (char **argv,
                    char **envp,
                    bool   search,
                    char **shell_argv,
                    char   path[PATH_MAX]);
void gfork_execute_describe (const char *path,
                             int         error_number,
                             char       *reason,
                             size_t      reason_size);

/* forks.c */
void gfork_fork (struct gfork_template *template,
                 struct gfork_frame    *frame);
void gfork_refuse_child (struct gfork_template    *template,
                         const struct gfork_frame *frame,
                         enum gfork_code           code,
                         const char               *reason);

/* language.c */
bool gfork_language_handle (struct gfork_template *template,
                            struct gfork_frame    *frame);

/* memory.c */
void gfork_release_freed_memory (struct gfork_template *template);

/* modules.c */
bool gfork_module_require (struct gfork_modules *modules,
                           const char           *name,
                           char                 *reason,
                           size_t                reason_size);
void gfork_module_hint (struct gfork_template *template,
                        const char            *function);
void *gfork_module_find (struct gfork_template *template,
                         const char            *function,
                         enum gfork_code       *code,
                         char                  *reason,
                         size_t                 reason_size);

/* leave.c */
_Noreturn void gfork_leave (struct gfork_template *template,
                            int                    status);
void gfork_leave_before_the_application (void);

/* probe.c */
bool gfork_can_close_ranges (void);
bool gfork_vfork_shares_memory (void);

/* run.c */
void gfork_run (struct gfork_template *template,
                struct gfork_frame    *frame);
void gfork_become_worker (struct gfork_template *template,
                          const char            *function,
                          bool                   handlers_may_have_changed);
bool gfork_place_for_run (struct gfork_template *template,
                          char                  *reason,
                          size_t                 reason_size);
