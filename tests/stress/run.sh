#!/bin/sh
# run.sh [--quick] [PART...]: runs the stress tests, or with --quick a sample of them, and
# prints figures. The parts are the scripts beside this one, each of which can also be run as
# PART.sh BUILD [--quick]. The status 77 means that it was skipped.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
build=${BUILD_DIR:-$top/_build/stress}

quick=
if [ "${1:-}" = --quick ]
then
  quick=--quick
  shift
fi
[ $# -gt 0 ] || set -- faults limits kill pool soak threads fuzz

sh "$top/tests/setup.sh" build test ci
if [ ! -f "$build/build.ninja" ]
then
  meson setup "$build" "$top" -Dtests=enabled -Dintrospection=disabled -Dvapi=disabled
fi
meson compile -C "$build"

failed=
for part in "$@"
do
  [ -f "$here/$part.sh" ] || continue

  printf '\n==== %s\n' "$part"
  start=$(date +%s)
  status=0
  sh "$here/$part.sh" "$build" $quick || status=$?
  duration=$(($(date +%s) - start))
  case $status in
    0) echo "==== $part: good, $duration s" ;;
    77) echo "==== $part: skipped" ;;
    *)
      echo "==== $part: FAILED, $duration s"
      failed="$failed $part"
      ;;
  esac
done

if [ -n "$failed" ]
then
  echo "Failed:$failed"
  exit 1
fi
