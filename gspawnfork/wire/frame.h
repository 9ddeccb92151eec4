/* frame.h: the frames that the two ends of a control socket exchange
 *
 * Both ends include this, so that the layout is written once. It needs the C library alone.
 * docs/architecture.md tells what is sent when, docs/runtimes.md tells it byte by byte.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* The helper receives the version on its command line: both ends must agree. */
#define GFORK_PROTOCOL_VERSION 1

/* The first words of a helper's command line:
 *   PROGRAM GFORK_SERVE_OPTION VERSION DESCRIPTOR [PADDING]
 * The padding leaves space for a title that `ps` shows. */
#define GFORK_SERVE_OPTION "--gspawnfork-serve"

/* A new command needs, besides its number here:
 *
 * - a method in gforktemplate-commands.c that sends it, and the method's name in gforktemplate.h,
 *   in debian/libgspawnfork-1.0-0.symbols and in the two overrides in bindings/;
 * - a case in does_something() of channel/remote-commands.c, if it can be held back until
 *   another one is sent;
 * - a sentence for its failure in base/error.c, and the translations in po/;
 * - a handler and a row in the table of commands of serve/serve.c. What is for the worker or
 *   program alone is remembered in struct gfork_attributes, and applied by
 *   gfork_attributes_apply(). With the flag LAUNCHES the handler is also called for a copy of
 *   the template, and may then change nothing else; if it has to, plan_launch() of
 *   serve/launch.c needs a case;
 * - the same in Python: wire.py, template.py and attributes.py of python/gspawnfork/_template;
 * - in docs/runtimes.md a row in the tables of commands and of failures, and a section;
 * - in tests/bindings a number in peer.py, a test in conformance.py, and an implementation in
 *   third_party.py; in tests/fuzz an example in corpus.py, and in masks.h the system call that
 *   the fuzzed process must not really make.
 *
 * If users of the command-line program are to have it, an option in command/prepare.c. */
enum gfork_verb
{
  /* to the process */
  GFORK_REQUIRE = 1,     /* module */
  GFORK_CALL = 2,        /* function, arguments… */
  GFORK_EVAL = 3,        /* code, arguments… */
  GFORK_ARG = 4,         /* kind, bytes */
  GFORK_ARG_FD = 5,      /* +descriptors, an argument each */
  GFORK_ARG_MEMFD = 6,   /* struct gfork_memfd +1 descriptor */
  GFORK_SETENV = 7,      /* variable, value */
  GFORK_UNSETENV = 8,    /* variable */
  GFORK_CHDIR = 9,       /* directory */
  GFORK_MAP_FD = 10,     /* int32 target +1 descriptor */
  GFORK_MODULE_PATH = 11,/* directories, joined by ':' */
  GFORK_FORK = 12,       /* uint32 id, optionally the name of the function that is likely to be
                          run, or "" for a program +1 descriptor: the new control socket */
  GFORK_SYNC = 13,       /* —, or any byte: report no child any more, as another
                          application takes over */
  GFORK_RUN = 14,        /* function */
  GFORK_EXEC = 15,       /* uint32 flags, argv… +1 descriptor: the communication socket */
  GFORK_KILL = 16,       /* struct gfork_kill */
  GFORK_CLOSE = 17,      /* —, and nothing but KILL after it */
  GFORK_ENVIRON = 18,    /* NAME=value… */
  GFORK_SETSID = 19,     /* — */
  GFORK_LIMIT = 20,      /* struct gfork_limit */
  GFORK_DIE = 21,        /* — */
  GFORK_CONFINE = 22,    /* struct gfork_confine, a seccomp filter +Landlock rulesets */

  /* from the process */
  GFORK_READY = 64,      /* struct gfork_pid +1 descriptor: its pidfd, if it has one */
  GFORK_SYNCED = 65,     /* struct gfork_pid, likewise */
  GFORK_ERROR = 66,      /* struct gfork_error, subject, reason */
  GFORK_EXITED = 67,     /* struct gfork_exited */
  GFORK_HELLO = 68,      /* uint32 version: the first word of a program that was executed */
};

/* Numbers in a frame are in the host's order: both ends are on one host. */
struct gfork_header
{
  uint32_t length; /* of the payload */
  uint8_t verb;
  uint8_t n_fds;
  uint16_t zero;
};

enum gfork_arg_kind
{
  GFORK_ARG_STRING = 's', /* UTF-8 */
  GFORK_ARG_BYTES = 'b',
};

struct gfork_memfd
{
  uint64_t length; /* a NUL follows these bytes in the file */
  uint32_t kind;
  uint32_t zero;
};

struct gfork_kill
{
  uint32_t id;
  int32_t signum; /* negative: for the process group that the child leads */
};

struct gfork_limit
{
  uint32_t resource; /* enum gfork_resource */
  uint32_t zero;
  uint64_t value;
};

enum gfork_confine_has
{
  GFORK_CONFINE_ACCESS = 1 << 0, /* the first ruleset, for the process and all its forks */
  GFORK_CONFINE_SCOPE = 1 << 1,  /* the next, for each that runs or executes */
};

/* An array of struct sock_filter follows, as long as the payload is. It may be empty. */
struct gfork_confine
{
  uint32_t has; /* enum gfork_confine_has: what the descriptors are */
  uint32_t zero;
};

struct gfork_pid
{
  int32_t pid;
  uint32_t flags; /* enum gfork_pid_flags */
};

enum gfork_pid_flags
{
  GFORK_PID_LEADS_GROUP = 1 << 0, /* READY: of a session and process group of its own */
};

struct gfork_error
{
  uint32_t code; /* enum gfork_code */
  uint32_t verb; /* the command that failed, 0 if none did */
};

struct gfork_exited
{
  uint32_t id;
  int32_t wait_status; /* -1 if there never was such a process */
  int64_t user_time;   /* microseconds */
  int64_t system_time; /* microseconds */
  uint64_t max_rss;    /* bytes */
};

/* The values are GForkError's, which is asserted where both are known. */
enum gfork_code
{
  GFORK_CODE_FAILED,
  GFORK_CODE_SPAWN,
  GFORK_CODE_FORK,
  GFORK_CODE_THREADED,
  GFORK_CODE_MODULE,
  GFORK_CODE_FUNCTION,
  GFORK_CODE_CALL,
  GFORK_CODE_EXEC,
  GFORK_CODE_LOST,
  GFORK_CODE_PROTOCOL,
  GFORK_CODE_NOT_SUPPORTED,
  GFORK_CODE_CLOSED,
};

/* Separates the parts of a reason. The first, the third and so on are translated; the others are
 * details, like a number or a path. */
#define GFORK_DETAIL "\x1f"

/* The values are GForkExecFlags', which is asserted where both are known. */
enum gfork_exec_flags
{
  GFORK_EXEC_SOCKET_STDIN = 1 << 0,
  GFORK_EXEC_SOCKET_STDOUT = 1 << 1,
  GFORK_EXEC_SOCKET_STDERR = 1 << 2,
  GFORK_EXEC_SEARCH_PATH = 1 << 3,
  GFORK_EXEC_STDERR_MERGE = 1 << 9,
};

/* The values are GForkLimit's, which is asserted where both are known. */
enum gfork_resource
{
  GFORK_RESOURCE_CPU_TIME,
  GFORK_RESOURCE_MEMORY,
  GFORK_RESOURCE_FILE_SIZE,
  GFORK_RESOURCE_OPEN_FILES,
  GFORK_RESOURCE_PROCESSES,
  GFORK_RESOURCE_CORE,
  GFORK_N_RESOURCES,
};

/* What the kernel takes with one message (SCM_MAX_FD in unix(7)). */
#define GFORK_MAX_FDS 253

/* Longer strings travel as a memfd. */
#define GFORK_MAX_INLINE (64 * 1024)

/* No frame is longer: a hostile length must not make the reader allocate. */
#define GFORK_MAX_PAYLOAD (16 * 1024 * 1024)

/* READY is followed by what the worker writes, so it has to be read to its exact length. It is
 * the shortest answer, so to read this many bytes, and then what the header says, never reads
 * too far. */
#define GFORK_MIN_ANSWER (sizeof (struct gfork_header) + sizeof (struct gfork_pid))

/* One received frame. The payload and the array of descriptors stand in the reader
 * and are valid until the next fill; the descriptors themselves belong to the
 * function that takes the frame. */
struct gfork_frame
{
  uint8_t verb;
  uint8_t n_fds;
  uint32_t length;
  const uint8_t *payload;
  int *fds;
};

/* What a read needs to receive up to so many descriptors. */
#define GFORK_CONTROL_SIZE(n_fds) (CMSG_SPACE ((n_fds) * sizeof (int)))

/* Collects bytes and descriptors until they make a frame. */
struct gfork_reader
{
  uint8_t *data;
  size_t size;
  size_t start;
  size_t end;
  bool full; /* the last read filled the buffer */

  /* Set if frames are of use without their descriptors, as answers are. A descriptor is lost if
   * this process has too many open. */
  bool can_lose_fds;
  bool has_lost_fds;

  int *fds;
  size_t fds_size;
  size_t fds_start;
  size_t fds_end;
  int first_fds[8]; /* used until they are too few */

  /* Memory of the owner's. The bytes are kept there until it is too small. */
  uint8_t *first;
  size_t first_size;
  void *control;
  size_t control_size;
};

enum gfork_fill
{
  GFORK_FILL_DATA,
  GFORK_FILL_AGAIN, /* there is nothing to read, and the call does not block */
  GFORK_FILL_EOF,
  GFORK_FILL_RESET,     /* the connection broke: errno says how */
  GFORK_FILL_TRUNCATED, /* descriptors that are needed got lost, since too many are open here */
  GFORK_FILL_FLOODED,   /* more descriptors than any frames could ask for */
  GFORK_FILL_NO_MEMORY,
};

enum gfork_next
{
  GFORK_NEXT_FRAME,
  GFORK_NEXT_MORE, /* the frame is not complete yet */
  GFORK_NEXT_BAD,  /* these bytes are no frame */
};

void gfork_reader_init (struct gfork_reader *reader,
                        void                *memory,
                        size_t               size,
                        void                *control,
                        size_t               control_size);
void gfork_reader_clear (struct gfork_reader *reader);

enum gfork_fill gfork_reader_fill (struct gfork_reader *reader,
                                   int                  socket,
                                   bool                 exact,
                                   int                  flags);
enum gfork_next gfork_reader_next (struct gfork_reader *reader,
                                   struct gfork_frame  *frame);

void gfork_frame_close_fds (struct gfork_frame *frame);

/* One string of a payload that holds NUL-terminated strings; NULL after the
 * last, or if what is left is not terminated. */
const char *gfork_next_string (const uint8_t **payload,
                               uint32_t       *length);

void gfork_header_set (struct gfork_header *header,
                       uint8_t              verb,
                       size_t               length,
                       size_t               n_fds);

/* Calls sendmsg() with descriptors, and again if a signal has interrupted it. */
ssize_t gfork_send (int           socket,
                    const void   *data,
                    size_t        length,
                    const int    *fds,
                    size_t        n_fds,
                    int           flags);

/* Whether sending has failed with an errno that goes away in a while: the kernel has no memory,
 * or too many descriptors are in flight. */
bool gfork_can_send_later (int error_number);
