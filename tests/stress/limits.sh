#!/bin/sh
# limits.sh BUILD [--quick]: the tests of limits, and of calls that fail at a certain
# moment, once or a hundred times.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

build=$1
repeat=100
[ "${2:-}" != --quick ] || repeat=1

status=0
meson test -C "$build" --no-rebuild --print-errorlogs --repeat "$repeat" --quiet \
  limits faults || status=1
python3 "$(dirname "$0")/../count.py" "$build/meson-logs/testlog.json" || status=1
exit "$status"
