/* frames.h: writes and reads frames of the protocol for the tests
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include "wire/frame.h"

#include <glib.h>

G_BEGIN_DECLS

#define MEBIBYTE ((gsize) 1 << 20)

/* Making them */

void   append_frame       (GByteArray    *bytes,
                           guint8         verb,
                           gconstpointer  payload,
                           gsize          length,
                           guint8         n_fds);
void   append_string      (GByteArray    *bytes,
                           guint8         verb,
                           const char    *string);
void   append_pid         (GByteArray    *bytes,
                           guint8         verb,
                           gint32         pid,
                           guint8         n_fds);
void   append_exited      (GByteArray    *bytes,
                           guint32        id,
                           gint32         wait_status);
void   append_error       (GByteArray    *bytes,
                           guint32        code,
                           const char    *strings,
                           gsize          length);

/* Bytes that are not frames, or not what the other end expects */

void   say_rubbish        (GByteArray    *bytes);
void   say_http           (GByteArray    *bytes);
void   say_zeros          (GByteArray    *bytes);
void   say_huge           (GByteArray    *bytes);
void   say_reserved       (GByteArray    *bytes);
void   say_synced         (GByteArray    *bytes);
void   say_ready          (GByteArray    *bytes);
void   say_exited_unknown (GByteArray    *bytes);

/* Sending them */

gssize send_some          (int            fd,
                           gconstpointer  data,
                           gsize          length,
                           const int     *fds,
                           gsize          n_fds,
                           int            flags);
gssize send_when_possible (int            fd,
                           gconstpointer  data,
                           gsize          length,
                           const int     *fds,
                           gsize          n_fds);
void   send_bytes         (int            fd,
                           GByteArray    *bytes,
                           int            sent_fd,
                           gsize          n_fds);
void   send_frame         (int            fd,
                           guint8         verb,
                           gconstpointer  payload,
                           gsize          length,
                           int            sent_fd);
void   send_string        (int            fd,
                           guint8         verb,
                           const char    *string);

/* Receiving them */

guint8 receive_frame      (int            fd,
                           GByteArray   **payload,
                           int           *received_fd);
void   assert_synced      (int            fd);
void   assert_failure     (int            fd,
                           guint32        code);
void   assert_end         (int            fd);

G_END_DECLS
