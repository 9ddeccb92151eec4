#!/bin/sh
# project.sh MESON PROJECT PKG-CONFIG-DIRECTORY: builds the project that the manual offers to
# copy, tests it, installs it, and runs what is installed.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

. "$(dirname "$0")/tap.sh"

meson=$1
project=$2

# What is installed has to find its modules itself.
unset GFORK_MODULE_PATH
export PKG_CONFIG_PATH="$3"
# The sentence that it prints is in UTF-8.
export LC_ALL=C.UTF-8

says ()
{
  expected=$1
  shift
  output=$("$@") || return
  echo "$output"
  [ "$output" = "$expected" ]
}

cp -R "$project" "$work/project"
check "the project is set up" \
  "$meson" setup --prefix="$work/prefix" --wrap-mode=nofallback "$work/build" "$work/project"
check "it is built" "$meson" compile -C "$work/build"
check "its tests pass" "$meson" test -C "$work/build" --print-errorlogs
check "it is installed" "$meson" install -C "$work/build"
check "its workers in C and Python are found where they were installed" \
  says "The longest word is “words”; all have 12 characters." \
  "$work/prefix/bin/word-lengths" a list of words

echo "1..$n"
