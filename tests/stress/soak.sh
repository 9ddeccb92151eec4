#!/bin/sh
# soak.sh BUILD [--quick]: makes very many workers, 16 in flight: by the main loop; in a
# program that never iterates its main context; and in one that never waits for a process.
# Prints the memory and descriptors of the application and its templates. Fails if these grow,
# or if a worker is lost or remains.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

build=$(cd "$1" && pwd)
case ${2:-} in
  --quick) loop=10000 others=4000 patience=120 ;;
  *) loop=200000 others=50000 patience=3600 ;;
esac

export GSPAWNFORK_HELPER="$build/gspawnfork/helper/gspawnfork-helper"

status=0
for work in "loop $loop" "never-iterated $others" "never-waited $others"
do
  # Two words.
  timeout $patience "$build/tests/stress/load/load-soak" $work || status=1
done
exit "$status"
