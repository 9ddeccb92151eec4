#!/bin/sh
# measure.sh [--quick]: installs what is missing, builds for release, measures, and brings the
# tables and plots of performance.md and performance-details.md up to date. It takes some six
# minutes and 2.5 GB, on a machine that does nothing else. With --quick it takes three to five
# minutes: all is measured in fewer rounds.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD_DIR:-$top/_build/bench}
results=$top/docs/performance/results.json
python_results=$top/docs/performance/python.json

rounds=15
case ${1:-} in
  --quick) rounds=6 ;;
  '') ;;
  *) sed -n '2,5s/^# //p' "$0" >&2; exit 2 ;;
esac

sh "$top/tests/setup.sh" build bench

set -- --buildtype=release -Dtests=enabled -Dintrospection=enabled -Dpython=enabled \
  -Dgjs=disabled -Dvapi=disabled -Dnls=disabled
if [ -f "$build/build.ninja" ]
then
  meson configure "$build" "$@"
else
  meson setup "$build" "$top" "$@"
fi
meson compile -C "$build"

# Programs that are installed are not looked for in forty directories first.
meson devenv -C "$build" env -u LD_LIBRARY_PATH \
  "$build/tests/bench/gspawnfork-bench" --rounds "$rounds" --json "$results"
# The interpreter, however, looks for the library.
meson devenv -C "$build" \
  /usr/bin/python3 "$top/tests/bench/python-workers.py" --rounds "$rounds" \
  --json "$python_results"
# The system's interpreter, which has the packages that were installed.
/usr/bin/python3 "$top/docs/performance/draw.py" "$results" "$python_results"
