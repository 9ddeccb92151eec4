#!/bin/sh
# fuzz.sh BUILD [--quick]: fuzzes each target for ten minutes, or for five seconds, in a build
# of its own with clang, beside BUILD.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

seconds=600
[ "${2:-}" != --quick ] || seconds=5

BUILD_DIR=$1-fuzz exec sh "$(dirname "$0")/../fuzz/run.sh" "$seconds"
