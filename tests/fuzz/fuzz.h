/* fuzz.h: what the fuzz targets share
 *
 * An input is a script: bytes that say what happens, in between bytes that go
 * over a socket. Reading past its end gives zeros.
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

/* Sends what the script says: the number of descriptors, of what kind, the
 * number of bytes (16 bits), the bytes. Returns false if the socket takes no more.
 * A descriptor of the kind FUZZ_SOCKET is @socket. */
bool fuzz_send (struct fuzz_input *input,
                int                to,
                int                socket);

enum fuzz_kind
{
  FUZZ_NULL,
  FUZZ_SEALED,   /* memory, sealed: FUZZ_MEMORY bytes, and a NUL */
  FUZZ_OPEN,     /* the same, unsealed */
  FUZZ_NO_NUL,   /* sealed, with something else behind */
  FUZZ_SOCKET,
  FUZZ_PIPE,     /* the end for writing */
  FUZZ_REAPED,   /* the pidfd of a process that was reaped */
  FUZZ_UNREAPED, /* and of one that was not */
  FUZZ_N_KINDS,
};

#define FUZZ_MEMORY 70000

/* How many descriptors are open, those that are sent included. */
unsigned fuzz_count_fds (void);

/* Says what must not happen, and crashes. */
#define fuzz_check(condition) \
  ((condition) ? (void) 0 : fuzz_fail (#condition, __FILE__, __LINE__))

_Noreturn void fuzz_fail (const char *what,
                          const char *file,
                          int         line);
