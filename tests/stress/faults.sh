#!/bin/sh
# faults.sh BUILD [--quick]: makes every system call fail, one after another. The table, and
# everything that was printed, is also written to BUILD/faults.txt.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

here=$(dirname "$0")
build=$1
shift

exec python3 "$here/faults/faults.py" --output "$build/faults.txt" "$@" "$build"
