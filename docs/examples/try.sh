#!/bin/sh
# try.sh: installs what is missing, builds everything, and shows it at work.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD_DIR:-$top/_build/try}

heading ()
{
  printf '\n== %s ==\n\n' "$1"
}

# The environment tells where the library, the helper and the modules are.
run ()
{
  meson devenv -C "$build" "$build/docs/examples/$1"
}

heading "What is needed"
sh "$top/tests/setup.sh" build
echo "All of it is installed."

heading "Building"
[ -f "$build/build.ninja" ] || meson setup "$build" "$top" --buildtype=release -Dtests=disabled
meson compile -C "$build"

heading "The README's example: hello.c and hello-worker.c"
run hello

heading "Ten servers in a pool: pool.c and pool-worker.c"
run pool
