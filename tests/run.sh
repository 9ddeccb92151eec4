#!/bin/sh
# run.sh [MESON-OPTION...]: installs what is missing, builds everything and runs
# all tests. Exits with their status; its last line says how many passed.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD_DIR:-$top/_build/default}

sh "$top/tests/setup.sh" build test

# An enabled feature that something is missing for is an error, an automatic one
# would be left out unseen.
set -- \
  -Dauto_features=enabled \
  -Ddocumentation=enabled \
  -Dinstalled_tests=enabled \
  "$@"

if [ -f "$build/build.ninja" ]
then
  meson configure "$build" "$@"
else
  meson setup "$build" "$top" "$@"
fi
meson compile -C "$build"

status=0
meson test -C "$build" --print-errorlogs || status=$?
python3 "$top/tests/count.py" "$build/meson-logs/testlog.json" || status=1
exit "$status"
