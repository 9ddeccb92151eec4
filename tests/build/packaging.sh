#!/bin/sh
# packaging.sh SOURCE-ROOT BUILD-ROOT VERSION: tests that what packages are made from agrees
# with the sources: versions, Debian's list of symbols, the .spec, and Flatpak's manifest. What
# only a tool that is not there can tell is skipped.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

. "$(dirname "$0")/tap.sh"

source=$1
build=$2
version=$3

spec=$source/docs/packaging/gspawnfork.spec
manifest=$source/docs/packaging/org.example.Square.yml

# is WANTED COMMAND...: whether a command says just that
is ()
{
  wanted=$1
  shift
  found=$("$@") || return
  printf '%s\n' "$wanted" >"$work/wanted"
  printf '%s\n' "$found" | diff "$work/wanted" -
}

check "NEWS.md begins with the version" \
  is "## $version" sh -c 'grep -m 1 "^## " "$1"' sh "$source/NEWS.md"
check "the version of the Debian packages is the same" \
  is "$version" sed -nE '1s/.*\(([^-]*)-.*/\1/p' "$source/debian/changelog"
check "the version in the .spec is the same" \
  is "$version" sed -n 's/^Version: *//p' "$spec"

nm -D --defined-only "$build/gspawnfork/libgspawnfork-1.0.so" |
  awk '$NF ~ /^g_fork_/ { print $NF }' | LC_ALL=C sort >"$work/exported"
sed -n 's/^ \(g_fork_[a-z0-9_]*\)@Base .*/\1/p' "$source/debian/libgspawnfork-1.0-0.symbols" |
  LC_ALL=C sort >"$work/listed"
check "the symbols of the Debian package are those of the library" \
  diff "$work/exported" "$work/listed"

if command -v rpmspec >/dev/null
then
  check "rpm parses the .spec" rpmspec --parse "$spec"
  check "the .spec makes five packages" \
    is "gspawnfork gspawnfork-devel gspawnfork-doc gspawnfork-tests python3-gspawnfork " \
    sh -c 'rpmspec --query --queryformat "%{NAME}\n" "$1" | LC_ALL=C sort | tr "\n" " "' sh "$spec"
else
  skip "rpm parses the .spec" "no rpmspec"
fi

# The application is built by the manifest's own commands, with the library that was built here:
# the runtime in which it would be is not here.
if command -v flatpak-builder >/dev/null
then
  # It leaves a directory where it is run.
  mkdir -p "$work/app/bin"
  cd "$work/app"
  flatpak-builder --show-manifest "$manifest" >"$work/manifest" || true
  python3 -c '
import json, sys
manifest = json.load(open(sys.argv[1]))
print("set -eu", *manifest["modules"][-1]["build-commands"], sep="\n")' \
    "$work/manifest" >"$work/commands" || true
  check "flatpak-builder reads the manifest" test -s "$work/commands"

  cp "$source/docs/examples/single.c" .
  export PKG_CONFIG_PATH="$build/meson-uninstalled"
  export LD_LIBRARY_PATH="$build/gspawnfork"
  # It is its own helper, so there need be no other.
  export GSPAWNFORK_HELPER=
  check "its commands build the application" \
    env FLATPAK_DEST="$work/app" sh "$work/commands"
  check "the application works" is 144 "$work/app/bin/square" 12
else
  skip "flatpak-builder reads the manifest" "no flatpak-builder"
fi

echo "1..$n"
