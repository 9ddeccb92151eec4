#!/bin/sh
# kill.sh BUILD [--quick]: kills and stops the application, its templates and workers, at
# every stage of a launch and at random moments. Prints how often each was struck, and with
# each failure the command that repeats it.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

build=$(cd "$1" && pwd)
case ${2:-} in
  --quick) rounds=630 ;;
  *) rounds=5000 ;;
esac

export GSPAWNFORK_HELPER="$build/gspawnfork/helper/gspawnfork-helper"
exec "$build/tests/stress/load/load-kill" "$rounds"
