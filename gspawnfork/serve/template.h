/* template.h: what the template process's rooms share: the state of one template
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "gforkworker.h"
#include "serve/serve.h"
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
/* That there is no other thread is known without asking the kernel. */
#define GFORK_NEVER_THREADED __libc_single_threaded
#endif
#endif

#ifndef GFORK_NEVER_THREADED
#define GFORK_NEVER_THREADED 0
#endif

/* Marks what the application translates. */
#define N_(text) text

/* Why something did not work: a fact without a sentence around it, and perhaps a
 * GFORK_DETAIL. The application makes the sentence, in its user's language. */
struct gfork_failure
{
  enum gfork_code code;
  uint8_t verb;
  char *subject; /* the module, function, variable … */
  char reason[512];
};

/* arguments.c: what was sent for the run */
struct gfork_sent
{
  enum
  {
    SENT_INLINE,
    SENT_FD,
    SENT_MEMFD
  } type;
  bool is_string;
  int fd;
  char *data;
  size_t length;
};

struct gfork_arguments
{
  struct gfork_sent *sent;
  size_t n;
  size_t size;
};

/* descriptors.c: a descriptor that is wanted at an exact number */
struct gfork_placement
{
  int fd;
  int target;
};

struct gfork_placements
{
  struct gfork_placement *items;
  size_t n;
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
  int signals; /* tells of their ends; -1 as long as there was none */
  bool inherited; /* the table is the parent's */
  int64_t ask_all_at; /* in milliseconds of the monotonic clock, or 0 */
  struct gfork_child_entry few[16]; /* the table, as long as it is large enough */
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

/* random.c: the generators that a fork seeds anew */
struct gfork_random
{
  bool stale; /* they are in the same state as the parent's */
  void (*set_glib_seed) (uint32_t seed); /* NULL if GLib is not loaded */
};

/* signals.c: what a worker starts with, and what code of modules has changed */
struct gfork_signals
{
  bool of_interpreter;
  sigset_t ignored; /* from the start */
  sigset_t changed; /* have other handlers than the default ones */
};

/* title.c: the memory that the kernel shows as the command line */
struct gfork_title
{
  char *area;
  size_t size; /* 0 if there is none to write to */
};

struct gfork_template
{
  int socket;
  enum gfork_serve_flags flags;
  const struct gfork_language *language; /* NULL if modules are shared objects */
  pid_t pid;
  pid_t parent;

  bool forked;  /* leaves by _exit(): the handlers are another process's */
  bool is_fork_of_template; /* so its parent has one thread, and ends when the application does */
  bool untitled; /* ps shows what it was forked from */
  bool closed;  /* no more commands will come, but for KILL */
  bool failed;  /* failure says why */
  bool unknown_code_ran; /* since the threads were counted and stdio flushed */
  unsigned megabytes;    /* resident at the last look at that */

  struct gfork_children children;

  uint8_t *out; /* answers that the socket did not take yet */
  size_t out_length;
  bool out_of_memory; /* the kernel was, so that the socket does not tell when to go on */

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
void gfork_answer_failure (struct gfork_template *template);
void gfork_send_failure (int                         socket,
                         const struct gfork_failure *failure);

/* serve.c */
#define GFORK_TEMPLATE_TITLE "template"

_Noreturn void gfork_serve (struct gfork_template *template);
void gfork_refuse_child (struct gfork_template    *template,
                         const struct gfork_frame *frame,
                         enum gfork_code           code,
                         const char               *reason);
bool gfork_place_for_run (struct gfork_template *template,
                          char                  *reason,
                          size_t                 reason_size);

/* arguments.c */
bool gfork_arguments_add_bytes (struct gfork_arguments *arguments,
                                 bool                    is_string,
                                 const uint8_t          *data,
                                 size_t                  length);
bool gfork_arguments_add_fd (struct gfork_arguments *arguments,
                             int                     fd);
bool gfork_arguments_add_memfd (struct gfork_arguments *arguments,
                                bool                    is_string,
                                int                     fd,
                                uint64_t                length,
                                char                   *reason,
                                size_t                  reason_size);
GForkArg *gfork_arguments_open (struct gfork_arguments *arguments,
                                char                   *reason,
                                size_t                  reason_size);
void gfork_arguments_close (struct gfork_arguments *arguments);
void gfork_arguments_offer (struct gfork_arguments *arguments);

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

/* descriptors.c */
void gfork_fill_standard_streams (void);
void gfork_close_all_but (int *keep,
                          size_t n);
void gfork_close_from (int first);
void gfork_close_applications (int socket);
void gfork_close_inherited (int socket);
bool gfork_placements_have (const struct gfork_placements *placements,
                            int                            target);
bool gfork_placements_add (struct gfork_placements *placements,
                           int                      fd,
                           int                      target,
                           char                    *reason,
                           size_t                   reason_size);
void gfork_placements_close (struct gfork_placements *placements);
bool gfork_place (struct gfork_placements *placements,
                  int                    **movable,
                  size_t                   n_movable,
                  char                    *reason,
                  size_t                   reason_size);

/* exec.c */
void gfork_exec (struct gfork_template *template,
                 struct gfork_frame    *frame);

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

/* process.c */
_Noreturn void gfork_leave (struct gfork_template *template,
                            int                    status);
void gfork_leave_before_the_application (void);

/* random.c */
void gfork_random_look (struct gfork_random *random);
void gfork_random_renew (struct gfork_random *random);

/* signals.c */
void gfork_signals_drop_handlers (void);
void gfork_signals_begin (struct gfork_signals *signals,
                          bool                  of_interpreter);
void gfork_signals_settle (void);
void gfork_signals_block_child (void);
void gfork_signals_unblock (void);
void gfork_signals_look (struct gfork_signals *signals);
void gfork_signals_restore (const struct gfork_signals *signals,
                            bool                        for_program);

/* title.c */
void gfork_title_use_arguments (struct gfork_title *title,
                                int                 argc,
                                char              **argv);
void gfork_title_use_proc (struct gfork_title *title);
void gfork_title_set (struct gfork_title *title,
                      const char         *what,
                      pid_t               parent);
