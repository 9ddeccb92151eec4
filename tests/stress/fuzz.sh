#!/bin/sh
# fuzz.sh BUILD [--quick]: ten minutes for each target, or five seconds. The build is
# another one, with clang.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

seconds=600
[ "${2:-}" != --quick ] || seconds=5

BUILD_DIR=$1-fuzz exec sh "$(dirname "$0")/../fuzz/run.sh" "$seconds"
