/* fuzz.h: functions that the fuzz targets share
 *
 * An input is a script: bytes that say what happens, and among them bytes that are sent over a
 * socket. Past its end there are zeros.
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput (const uint8_t *data,
                            size_t         size);

struct fuzz_input
{
  const uint8_t *data;
  size_t size;
};

uint8_t fuzz_take (struct fuzz_input *input);
uint16_t fuzz_take_16 (struct fuzz_input *input);
const uint8_t *fuzz_take_bytes (struct fuzz_input *input,
                                 size_t            *size);

/* Sends a message. The script has the number of descriptors, a kind for each, the number of
 * bytes (16 bits), and the bytes. A descriptor of the kind FUZZ_SOCKET is @socket. Returns false
 * if the socket takes no more. */
bool fuzz_send (struct fuzz_input *input,
                int                to,
                int                socket);

enum fuzz_kind
{
  FUZZ_NULL,
  FUZZ_SEALED,   /* memory, sealed: FUZZ_MEMORY bytes, and a NUL */
  FUZZ_OPEN,     /* the same, unsealed */
  FUZZ_NO_NUL,   /* sealed, with another byte after them */
  FUZZ_SOCKET,
  FUZZ_PIPE,     /* the end for writing */
  FUZZ_REAPED,   /* the pidfd of a process that was reaped */
  FUZZ_UNREAPED, /* the pidfd of a process that has ended and was not reaped */
  FUZZ_N_KINDS,
};

#define FUZZ_MEMORY 70000

/* Returns how many descriptors are open, with those that can be sent. */
unsigned fuzz_count_fds (void);

/* Crashes with a message if the condition does not hold. */
#define fuzz_check(condition) \
  ((condition) ? (void) 0 : fuzz_fail (#condition, __FILE__, __LINE__))

_Noreturn void fuzz_fail (const char *what,
                          const char *file,
                          int         line);
