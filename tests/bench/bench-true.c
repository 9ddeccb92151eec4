/* bench-true.c: the program that does nothing
 *
 * SPDX-FileCopyrightText: The gspawnfork developers
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

int
main (void)
{
  return 0;
}
