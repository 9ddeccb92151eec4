/* serve.h: the template process, for the programs that contain it
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

enum gfork_serve_flags
{
  /* Functions that the program itself exports are found. */
  GFORK_SERVE_PROGRAM = 1 << 0,
  /* This is a fork of an application, whose atexit handlers are not ours. */
  GFORK_SERVE_FROM_MAIN = 1 << 1,
};

/* What a process whose modules are not shared objects does in its own way. */
enum gfork_request
{
  GFORK_REQUEST_REQUIRE, /* load the module */
  GFORK_REQUEST_CALL,    /* call the function with the strings */
  GFORK_REQUEST_EVAL,    /* evaluate the code with the strings */
  GFORK_REQUEST_MODULE_PATH, /* look there for modules, before all others */
  GFORK_REQUEST_FIND,    /* find the function, which is about to be run */
  GFORK_REQUEST_RUN,     /* run the function that was found */
};

/* What is given to a function: a descriptor, or else a string or bytes. */
struct gfork_value
{
  int fd; /* -1 if it is no descriptor */
  bool is_string;
  const char *data;
  size_t length;
};

struct gfork_language
{
  /* Returns -1 on success, or the code of an error with its reason; from
   * GFORK_REQUEST_RUN the exit status. */
  int (*request) (enum gfork_request        request,
                  const char               *name,
                  const struct gfork_value *values,
                  size_t                    n_values,
                  int                       socket,
                  char                     *reason,
                  size_t                    reason_size,
                  void                     *data);
  void *data;
};

/* Serves in an interpreter, which has threads and cannot be forked. Returns only if
 * the command line is no helper's. */
void gfork_serve_language (int                          argc,
                           char                       **argv,
                           const struct gfork_language *language);

/* Serves if the command line is a helper's, and then never returns. */
void gfork_serve_command_line (int                    argc,
                               char                 **argv,
                               enum gfork_serve_flags flags);

/* Sets the signals that must do nothing to a template. */
void gfork_signals_fill_quiet (sigset_t *set);

/* Turns this process, a fork of an application that has nothing but the calling
 * thread and all signals blocked, into a template that serves @socket. */
_Noreturn void gfork_serve_fork (int socket);

/* Writes the names and IDs of all threads but the calling one to @names, separated by
 * commas, and returns how many threads there are: 1 if the process can be
 * forked; 0 with a reason in @names if they cannot be counted. */
int gfork_count_threads (char  *names,
                         size_t size);
