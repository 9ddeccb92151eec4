/* answers.c: what the template process tells the application
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include "config.h"

#include "serve/template.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* How often an answer that is not queued is tried again. */
#define MAX_RETRIES 100

/* Records the first failure. The template goes on reaping its children, and answers every fork
 * and operation with it. */
void
gfork_fail (struct gfork_template *template,
            enum gfork_code        code,
            uint8_t                verb,
            const char            *subject,
            const char            *reason)
{
  struct gfork_failure *failure = &template->failure;

  if (template->failed)
    return;

  template->failed = true;
  failure->code = code;
  failure->verb = verb;
  failure->subject = strdup (subject);
  snprintf (failure->reason, sizeof failure->reason, "%s", reason);
}

static void
wait_for_memory (void)
{
  const struct timespec pause = { .tv_nsec = GFORK_RETRY_AFTER_MS * 1000000 };

  nanosleep (&pause, NULL);
}

/* Sends bytes. Without MSG_DONTWAIT it also waits until the kernel has memory for them. */
static ssize_t
send_bytes (int         socket,
            const void *data,
            size_t      length,
            int         flags)
{
  for (;;)
    {
      ssize_t n = gfork_send (socket, data, length, NULL, 0, flags);

      if (n >= 0 || (flags & MSG_DONTWAIT) != 0 || !gfork_can_send_later (errno))
        return n;
      wait_for_memory ();
    }
}

/* An answer got lost. Both ends see the end of file, so that nobody waits for it. */
static void
break_off (struct gfork_template *template)
{
  shutdown (template->socket, SHUT_RDWR);
}

bool
gfork_answer_flush (struct gfork_template *template,
                    int                    flags)
{
  size_t done = 0;

  template->out_of_memory = false;
  while (done < template->out_length)
    {
      ssize_t n = send_bytes (template->socket, template->out + done,
                               template->out_length - done, flags);

      if (n < 0)
        {
          template->out_of_memory = gfork_can_send_later (errno);
          if (errno != EAGAIN && !template->out_of_memory)
            {
              break_off (template);
              done = template->out_length;
            }
          break;
        }
      done += n;
    }

  template->out_length -= done;
  if (done > 0)
    memmove (template->out, template->out + done, template->out_length);
  return template->out_length == 0;
}

/* Sends an answer, or keeps it until the socket takes it. */
void
gfork_answer (struct gfork_template *template,
              const void            *frame,
              size_t                 length)
{
  ssize_t n = 0;
  uint8_t *grown;

  if (template->out_length == 0)
    {
      n = gfork_send (template->socket, frame, length, NULL, 0, MSG_DONTWAIT);
      if (n == (ssize_t) length)
        return;
      template->out_of_memory = n < 0 && gfork_can_send_later (errno);
      if (n < 0 && errno != EAGAIN && !template->out_of_memory)
        {
          break_off (template);
          return;
        }
      if (n < 0)
        n = 0;
    }

  grown = realloc (template->out, template->out_length + length - n);
  if (grown == NULL)
    gfork_leave (template, 127);

  template->out = grown;
  /* cppcheck-suppress nullPointerArithmeticRedundantCheck; gfork_leave() does not return */
  memcpy (grown + template->out_length, (const uint8_t *) frame + n, length - n);
  template->out_length += length - n;
}

/* Longer subjects, like code to evaluate, are cut, as they are quoted in a sentence. */
#define MAX_SUBJECT 4096

struct failure_frame
{
  struct gfork_header header;
  struct gfork_error error;
  char text[MAX_SUBJECT + 1 + sizeof ((struct gfork_failure *) NULL)->reason];
};

static size_t
make_failure_frame (struct failure_frame       *frame,
                    const struct gfork_failure *failure)
{
  size_t subject = failure->subject != NULL ? strnlen (failure->subject, MAX_SUBJECT) : 0;
  size_t reason = strlen (failure->reason);
  size_t length = sizeof frame->error + subject + 1 + reason + 1;

  gfork_header_set (&frame->header, GFORK_ERROR, length, 0);
  frame->error.code = failure->code;
  frame->error.verb = failure->verb;
  if (subject > 0)
    memcpy (frame->text, failure->subject, subject);
  frame->text[subject] = '\0';
  memcpy (frame->text + subject + 1, failure->reason, reason + 1);
  return sizeof frame->header + length;
}

void
gfork_answer_failure (struct gfork_template *template)
{
  struct failure_frame frame;
  size_t length = make_failure_frame (&frame, &template->failure);

  gfork_answer (template, &frame, length);
  gfork_answer_flush (template, 0);
}

/* Sends a failure on a socket that this process does not serve: what it does not take now cannot
 * be sent later. Does not wait until it takes more. */
void
gfork_send_failure (int                         socket,
                    const struct gfork_failure *failure)
{
  struct failure_frame frame;
  size_t length = make_failure_frame (&frame, failure);

  for (int i = 0; i < MAX_RETRIES; i++)
    {
      if (gfork_send (socket, &frame, length, NULL, 0, MSG_DONTWAIT) >= 0
          || !gfork_can_send_later (errno))
        return;
      wait_for_memory ();
    }
}

/* Returns -1 with errno set if there is none. */
int
gfork_open_pidfd (pid_t pid)
{
#if defined(SYS_pidfd_open) && !defined(GFORK_PORTABLE)
  return (int) syscall (SYS_pidfd_open, pid, 0);
#else
  (void) pid;
  errno = ENOSYS;
  return -1;
#endif
}

/* Sends the ID and a pidfd of this process. Through the pidfd it can be signalled, and its end
 * be seen, and no later process with the same ID is hit. Returns whether this was sent. */
bool
gfork_answer_with_pidfd (struct gfork_template *template,
                         uint8_t                verb,
                         int                    flags)
{
  struct
  {
    struct gfork_header header;
    struct gfork_pid pid;
  } frame = { .pid = { .pid = template->pid } };
  int pidfd = gfork_open_pidfd (template->pid);
  bool sent;

  if (verb == GFORK_READY && template->attributes.leads_session)
    frame.pid.flags = GFORK_PID_LEADS_GROUP;
  gfork_header_set (&frame.header, verb, sizeof frame.pid, pidfd >= 0);
  sent = pidfd >= 0 ? gfork_send (template->socket, &frame, sizeof frame, &pidfd, 1, flags) > 0
                    : send_bytes (template->socket, &frame, sizeof frame, flags) > 0;

  /* There may be too many descriptors in flight. The pidfd is not indispensable. */
  if (!sent && pidfd >= 0)
    {
      frame.header.n_fds = 0;
      sent = send_bytes (template->socket, &frame, sizeof frame, flags) > 0;
    }

  if (pidfd >= 0)
    close (pidfd);
  return sent;
}

/* If READY cannot be sent, nobody wants the run, and the process leaves. */
void
gfork_answer_ready (struct gfork_template *template)
{
  gfork_answer_flush (template, 0);
  if (!gfork_answer_with_pidfd (template, GFORK_READY, 0))
    gfork_leave (template, 0);
}
