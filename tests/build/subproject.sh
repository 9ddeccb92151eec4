#!/bin/sh
# subproject.sh MESON SOURCE-ROOT PROJECT KIND: builds a small project that has
# the library, shared or static, as its subproject, and runs its program and README's example.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

meson=$1
source_root=$2
project=$3
kind=$4

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cp -R "$project" "$work/project"
cp "$source_root/docs/examples/hello.c" "$source_root/docs/examples/hello-worker.c" "$work/project"
mkdir "$work/project/subprojects"
ln -s "$source_root" "$work/project/subprojects/gspawnfork"

# It has to get by with what the dependency brings.
unset GSPAWNFORK_HELPER GFORK_MODULE_PATH LD_LIBRARY_PATH GI_TYPELIB_PATH

"$meson" setup -Ddefault_library="$kind" "$work/build" "$work/project"
"$meson" compile -C "$work/build"
"$meson" test -C "$work/build" --print-errorlogs

# As one tries a program that is not installed.
"$meson" devenv -C "$work/build" ./app --module
"$meson" devenv -C "$work/build" ./hello | grep -F 'Hello, world!'

# The modules of the project's own are found there, and none of the library's tests.
path=$("$meson" devenv -C "$work/build" sh -c 'echo "$GFORK_MODULE_PATH"')
if [ "$path" != "$work/build" ]
then
  echo "meson devenv sets GFORK_MODULE_PATH=$path" >&2
  exit 1
fi
