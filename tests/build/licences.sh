#!/bin/sh
# licences.sh SOURCE-ROOT: tests that each file says who has the copyright and under which
# licence it is, in the form of SPDX, or is one of the few that cannot.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

. "$(dirname "$0")/tap.sh"

cd "$1"

# Which files are the project's is known in its repository alone.
if ! git ls-files >"$work/files" 2>"$work/error"
then
  echo "1..0 # SKIP $(head -n 1 "$work/error")"
  exit 0
fi

# What has a form that leaves no room for it: bytes for the fuzzers, images of pixels, JSON, what
# a tool writes anew each time, and a few files of which every line has a meaning.
# debian/copyright, which is for all files, is what is said of them.
grep -vxE -e 'tests/fuzz/corpus/.*|.*\.(png|json|abi)' \
  -e 'COPYING|debian/(copyright|changelog|source/format)' "$work/files" >"$work/can"

# lack LINE: which of the files do not have a line with it
lack ()
{
  # A file that was removed, which is not committed yet, is none.
  xargs -d '\n' grep -LasF -e "$1" <"$work/can" || true
}

{
  lack 'SPDX-FileCopyrightText: The gspawnfork developers'
  lack 'SPDX-License-Identifier: LGPL-2.1-or-later'
} | sort -u >"$work/silent"

check "all files that can have SPDX lines have them" diff /dev/null "$work/silent"
check "debian/copyright is for all files" grep -qx 'Files: \*' debian/copyright

echo "1..$n"
