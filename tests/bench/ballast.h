/* ballast.h: allocates private memory that makes a process big
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <stddef.h>

/* Allocates private memory, and writes to each page. Returns NULL if there is too little. */
void *ballast_new  (size_t megabytes);
void  ballast_free (void  *ballast,
                    size_t megabytes);

/* Reads one byte of each page, so that all of them are in memory. */
int   ballast_read (const void *memory,
                    size_t      length);
