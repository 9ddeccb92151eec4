#!/bin/sh
# subproject.sh MESON SOURCE-ROOT PROJECT KIND: builds a small project that has
# the library, shared or static, as its subproject, and runs its program.
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
mkdir "$work/project/subprojects"
ln -s "$source_root" "$work/project/subprojects/gspawnfork"

# It has to get by with what the dependency brings.
unset GSPAWNFORK_HELPER GFORK_MODULE_PATH LD_LIBRARY_PATH GI_TYPELIB_PATH

"$meson" setup -Ddefault_library="$kind" "$work/build" "$work/project"
"$meson" compile -C "$work/build"
"$meson" test -C "$work/build" --print-errorlogs

# As one tries a program that is not installed.
"$meson" devenv -C "$work/build" ./app --module
