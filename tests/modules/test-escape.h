/* test-escape.h: declarations that the ways out of a sandbox share
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "test-module.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#pragma GCC visibility push(hidden)

/* Where what there is to reach is: `key=value`, from the test. */
extern const char *dir, *path_listener, *path_datagram, *abstract_name;
extern int tcp_port, tcp6_port, udp_port;
extern pid_t template_pid, sibling, application;
extern int secret_fd, dir_fd, tcp_fd, unix_fd, terminal_fd, listen_fd;

/* Where the test is told what came of it. */
extern int conversation;

/* What siblings see of each other. */
extern volatile char memory[16];

/* An attempt succeeds if it does not return a negative number. */
struct escape_attempt
{
  const char *name;
  int (*attempt) (void);
};

/* Each ends with a name that is NULL. */
extern const struct escape_attempt escape_files[], escape_processes[], escape_kernel[],
  escape_corners[];

#define ESCAPE_DEFINE(name, ...) \
  static int try_##name (void) { return (__VA_ARGS__); }
#define ESCAPE_ENTRY(name, ...) { #name, try_##name },

const char *in_dir             (const char         *name);
const char *of_process         (pid_t               pid,
                                const char         *file);
int         process_descriptor (pid_t               pid);
int         wait_for           (pid_t               pid);
socklen_t   path_address       (struct sockaddr_un *address,
                                const char         *path);
socklen_t   abstract_address   (struct sockaddr_un *address,
                                const char         *name);
int         bind_unix          (const char         *path,
                                int                 is_abstract);

#pragma GCC visibility pop
