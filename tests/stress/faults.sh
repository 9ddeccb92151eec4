#!/bin/sh
# faults.sh BUILD [--quick]: makes every system call fail, one after another. The
# table goes to BUILD/faults.txt, too, with all that was said.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

here=$(dirname "$0")
build=$1
shift

exec python3 "$here/faults/faults.py" --output "$build/faults.txt" "$@" "$build"
