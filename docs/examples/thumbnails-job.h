/* thumbnails-job.h: the reply of thumbnails-worker.c
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#pragma once

#include <stdint.h>

#define THUMBNAIL_SIZE 128

/* The pixels follow, row by row: red, green, blue, alpha. */
struct thumbnail
{
  uint32_t width;
  uint32_t height;
};
