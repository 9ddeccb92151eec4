#!/bin/sh
# measure.sh [OPTION...]: installs what is missing, builds for release, measures, and
# brings the tables and plots of performance.md up to date. The options go to
# gspawnfork-bench; --quick is for trying. Takes some minutes and 2.5 GB, on a machine
# that does nothing else.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD_DIR:-$top/_build/bench}
results=$top/docs/performance/results.json

sh "$top/tests/setup.sh" build bench

[ -f "$build/build.ninja" ] ||
  meson setup "$build" "$top" --buildtype=release -Dtests=enabled \
    -Dintrospection=disabled -Dvapi=disabled -Dnls=disabled
meson compile -C "$build"

# Programs that are installed are not looked for in forty directories first.
meson devenv -C "$build" env -u LD_LIBRARY_PATH \
  "$build/tests/bench/gspawnfork-bench" "$@" --json "$results"
python3 "$top/docs/performance/draw.py" "$results"
