/* ballast.h: private memory that makes a process big
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <stddef.h>

/* Megabytes of private memory, each page of it written to. Returns NULL if
 * there is not as much. */
void *ballast_new  (size_t megabytes);
void  ballast_free (void  *ballast,
                    size_t megabytes);

/* Reads one byte of each page, so that all of them have to be there. */
int   ballast_read (const void *memory,
                    size_t      length);
