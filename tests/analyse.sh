#!/bin/sh
# analyse.sh [--quick] [DIRECTORY]: runs four analysers over the library's sources, in builds
# of its own (_build/analyse): as they are, and with every fallback. Fails if one finds
# anything. With --quick there are only gcc and clang-tidy, and no fallbacks.
#
# Code that is right although an analyser objects is marked, with the reason. What they look
# for is in .clang-tidy and below.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

quick=
if [ "${1:-}" = --quick ]
then
  quick=yes
  shift
fi

top=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-$top/_build/analyse}
status=0

for tool in clang-tidy cppcheck scan-build
do
  command -v "$tool" >/dev/null ||
    sh "$top/tests/setup.sh" build ci
done

mkdir -p "$work"
work=$(cd "$work" && pwd)

# configure NAME MESON-OPTION...: a build of the library alone
configure ()
{
  build=$work/$1
  shift
  [ -f "$build/build.ninja" ] ||
    meson setup "$build" "$top" -Dauto_features=disabled -Dwerror=true "$@" >/dev/null
}

# report ANALYSER: clean, or what it has found
report ()
{
  if [ "$result" -eq 0 ]
  then
    echo "$1: clean"
  else
    cat "$work/findings"
    echo "$1: FAILED"
    status=1
  fi
}

# Not optimised, there are fewer paths that only the optimiser has made.
run_gcc ()
{
  name=$1
  shift
  CC=gcc configure "gcc-$name" -Doptimization=0 -Dc_args=-fanalyzer "$@"
  result=0
  meson compile -C "$build" gspawnfork-1.0 gspawnfork-helper >"$work/findings" 2>&1 || result=1
  report "gcc -fanalyzer ($name)"
}

# Analysers that read compile_commands.json need all sources that are generated.
configure_to_read ()
{
  name=$1
  shift
  CC=clang configure "clang-$name" "$@"
  (cd "$build" && ninja -t targets rule CUSTOM_COMMAND | grep '\.[ch]$' | xargs ninja) >/dev/null
  result=0
}

run_clang_tidy ()
{
  configure_to_read "$@"
  sed -n 's/^ *"file": "\(.*\)",\{0,1\}$/\1/p' "$build/compile_commands.json" |
    grep '/gspawnfork/[^/]*\.c$\|/gspawnfork/[a-z]*/[^/]*\.c$' |
    (cd "$build" && xargs -P "$(nproc)" -n 1 clang-tidy -p . --quiet) \
      >"$work/findings" 2>"$work/log" || result=1
  report "clang-tidy ($name)"
}

# Style is clang-tidy's. No libc has a readdir() that this warns of.
run_cppcheck ()
{
  configure_to_read "$@"
  # It has no macro of <link.h>.
  cppcheck -D'ElfW(type)=Elf64_##type' --project="$build/compile_commands.json" --file-filter='*/gspawnfork/*.c' \
    --enable=warning,performance,portability --suppress=readdirCalled --inline-suppr \
    --library=gtk --library=posix --max-configs=1 -j "$(nproc)" --quiet --error-exitcode=1 \
    >"$work/findings" 2>&1 || result=1
  report "cppcheck ($name)"
}

# The engine is that of clang-tidy's clang-analyzer, which can be told of single lines;
# that g_autoptr() releases something it can only be told so.
run_scan_build ()
{
  name=$1
  shift
  rm -rf "$work/scan-$name" "$work/reports"
  CC=clang configure "scan-$name" "$@"
  result=0
  scan-build --use-cc=clang --status-bugs -o "$work/reports" \
    -disable-checker deadcode.DeadStores -disable-checker unix.Malloc \
    meson compile -C "$build" gspawnfork-1.0 gspawnfork-helper >"$work/findings" 2>&1 || result=1
  report "scan-build ($name)"
}

run_all ()
{
  run_gcc "$@"
  run_clang_tidy "$@"
  [ -z "$quick" ] || return 0
  run_cppcheck "$@"
  run_scan_build "$@"
}

run_all default
[ -n "$quick" ] || run_all portable -Dportable=true

exit "$status"
