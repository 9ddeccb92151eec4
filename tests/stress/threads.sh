#!/bin/sh
# threads.sh BUILD [--quick]: runs 16 threads that do everything at once, on the same and on
# different templates: as fast as they can, under the thread sanitizer, and under helgrind.
# The tests of a pool's jobs run under helgrind, too. Fails if anything goes wrong, or if one of
# the two reports something.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

build=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
load=$build/tests/stress/load
case ${2:-} in
  --quick) plain=300 tsan=150 helgrind=12 patience=120 ;;
  *) plain=10000 tsan=4000 helgrind=200 patience=3600 ;;
esac

export GSPAWNFORK_HELPER="$build/gspawnfork/helper/gspawnfork-helper"
# Memory that GLib would keep to use it again looks like shared memory.
export G_SLICE=always-malloc

status=0
timeout $patience "$load/load-threads" "$plain" || status=1

if grep -q load-threads-tsan "$build/build.ninja"
then
  echo "Watched by the thread sanitizer:"
  meson compile -C "$build" load-threads-tsan >/dev/null

  # It wants its addresses where they are without randomization.
  fixed=
  ! setarch -R true 2>/dev/null || fixed='setarch -R'

  # What GLib, which is not compiled for it, allocates and frees for itself is its own.
  TSAN_OPTIONS="ignore_noninstrumented_modules=1 suppressions=$here/load/tsan.supp \
    history_size=4 second_deadlock_stack=1" \
    timeout $patience $fixed "$load/load-threads-tsan" "$tsan" || status=1
else
  echo "Not watched by the thread sanitizer: the compiler has none, or the build has another."
fi

# Without arguments the program fails in a way of its own, unless valgrind does before:
# some cannot read what some compilers write.
readable ()
{
  result=0
  valgrind -q --tool=none "$load/load-threads" >/dev/null 2>&1 || result=$?
  [ "$result" -eq 2 ]
}

if grep -q annotate-helgrind "$build/build.ninja" && readable
then
  echo "Watched by helgrind:"
  report=$(mktemp)
  trap 'rm -f "$report"' EXIT
  suppressions=--suppressions=$here/load/helgrind.supp
  glib=$(pkg-config --variable=prefix glib-2.0)/share/glib-2.0/valgrind/glib.supp
  [ ! -f "$glib" ] || suppressions="$suppressions --suppressions=$glib"

  watch ()
  {
    timeout $patience valgrind -q --tool=helgrind --history-level=approx --num-callers=20 --error-exitcode=1 \
      --log-file="$report" $suppressions "$@" || status=1
    # Without what it says of system calls that it does not know.
    grep -v '^--' "$report" || :
  }
  watch "$load/load-threads" "$helgrind"
  meson compile -C "$build" load-pool-jobs test-jobs >/dev/null
  export GFORK_MODULE_PATH="$build/tests/modules"
  watch "$load/load-pool-jobs"
else
  echo "Not watched by helgrind: it was not there when this was built, or cannot read this."
fi

exit "$status"
