#!/bin/sh
# abi.sh LIBRARY: tests that programs which were built with the last release work with the
# library: no function that gspawnfork-1.0.abi, beside this file, describes has gone, and none
# has other arguments, or other types as arguments. New functions are no difference.
# gspawnfork-1.0.abignore says which types programs do not see.
#
# abi.sh --renew BUILD-ROOT writes the description anew, after a release.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

name=$(dirname "$0")/gspawnfork-1.0

if [ "${1:-}" = --renew ]
then
  build=$2
  # Without what depends on where, and with which options, it was compiled.
  exec abidw --no-corpus-path --no-comp-dir-path --no-elf-needed --no-show-locs \
    --no-parameter-names --drop-undefined-syms --no-write-default-sizes --type-id-style hash \
    --out-file "$name.abi" "$build/gspawnfork/libgspawnfork-1.0.so"
fi

. "$(dirname "$0")/tap.sh"

check "the library has the interface of the last release, or more" \
  abidiff --suppressions "$name.abignore" --no-added-syms "$name.abi" "$1"

echo "1..$n"
