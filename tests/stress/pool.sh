#!/bin/sh
# pool.sh BUILD [--quick]: has workers of a pool do very many jobs, while one of them is
# killed every 100 ms. Prints how many jobs were lost, and what has piled up.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

build=$(cd "$1" && pwd)
case ${2:-} in
  --quick) jobs=100000 ;;
  *) jobs=1000000 ;;
esac

export GSPAWNFORK_HELPER="$build/gspawnfork/helper/gspawnfork-helper"
exec "$build/tests/stress/load/load-pool" "$jobs"
