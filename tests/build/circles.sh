#!/bin/sh
# circles.sh BUILD-ROOT: tests that no source file of the library calls another one that calls
# it in turn, by itself or by way of others.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

. "$(dirname "$0")/tap.sh"

# A line for each pair of files of which the first uses a symbol of the second.
calls ()
{
  nm -A -g "$@" 2>/dev/null | sed -nE 's,^(.*/)?([^/]+)\.o:[0-9a-f ]* ([A-Z]) (.*)$,\2 \3 \4,p' |
    awk '
      $2 == "U" { uses[$1 " " $3] = 1; next }
      { defined_by[$3] = $1 }
      END {
        for (pair in uses)
          {
            split (pair, use, " ")
            file = defined_by[use[2]]
            if (file != "" && file != use[1])
              print use[1], file
          }
      }' | LC_ALL=C sort -u
}

# What tsort says about circles: nothing if there is none.
has_no_circle ()
{
  calls "$@" >"$work/calls"
  [ -s "$work/calls" ] || {
    echo "No calls between $*"
    return 1
  }
  ! tsort "$work/calls" 2>&1 >/dev/null | sed 's/^tsort: //' | grep .
}

check "the library has no circle" has_no_circle "$1"/gspawnfork/libgspawnfork-1.0.*.p/*.o
check "the template process has no circle" \
  has_no_circle "$1"/gspawnfork/libgforkserve.a.p/*.o "$1"/gspawnfork/*/libgfork*.a.p/*.o

echo "1..$n"
