#!/bin/sh
# coverage.sh [DIRECTORY]: prints which lines of the library's sources no test executes, and
# fails if fewer than 95 % are executed. The library is built in the directory
# (_build/coverage) twice, as it is and with every fallback. A line counts if it is executed in
# one of the two. The report for the browser is index.html in the directory.
#
# What a process executes that is killed by a signal is not counted.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

floor=95
top=$(cd "$(dirname "$0")/../.." && pwd)
work=${1:-$top/_build/coverage}

command -v gcovr >/dev/null ||
  sh "$top/tests/setup.sh" build test ci

mkdir -p "$work"
work=$(cd "$work" && pwd)
${CC:-gcc} -std=gnu11 -fPIC -O2 -Wall -c -o "$work/flush.o" "$top/tests/coverage/flush.c"

# What becomes another user's process writes to these files as well.
umask 0

# Threads count, too.
export CFLAGS='-fprofile-update=atomic'
export LDFLAGS="--coverage $work/flush.o -Wl,--wrap=_exit -Wl,--exclude-libs,libgcov.a"

status=0

# count NAME MESON-OPTION...
count ()
{
  build=$work/$1
  trace=$work/$1.json
  shift

  [ -f "$build/build.ninja" ] ||
    meson setup "$build" "$top" -Db_coverage=true -Dbuildtype=debug \
      -Dvapi=disabled -Ddocumentation=disabled "$@"
  # What was counted of other sources, and by what runs while this is built, is in
  # the way.
  find "$build" -name '*.gcda' -delete
  meson compile -C "$build"
  find "$build" -name '*.gcda' -delete
  meson test -C "$build" --no-suite build --no-suite docs --print-errorlogs || status=1
  gcovr --root "$top" --filter "$top/gspawnfork/" --json "$trace" "$build"
}

count default
count portable -Dportable=true

gcovr --root "$top" \
  --add-tracefile "$work/default.json" \
  --add-tracefile "$work/portable.json" \
  --fail-under-line "$floor" \
  --html-details "$work/index.html" \
  --txt || status=1

exit "$status"
