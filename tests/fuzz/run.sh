#!/bin/sh
# run.sh: fuzzes both ends, with libFuzzer and sanitizers
#
#     sh tests/fuzz/run.sh [SECONDS [TARGET...]]
#
# Each target is fuzzed for so many seconds, 5 unless told, as many at a time as
# there are processors. The directory _build/fuzz holds the build, what was learned
# (learned/), so that the next run goes on from there, and the findings (findings/).
# BUILD_DIR names another one. Prints a line for each target; the exit status is 0
# if nothing was found.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD_DIR:-$top/_build/fuzz}
seconds=${1:-5}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- reader jobs serve application

export ASAN_OPTIONS=${ASAN_OPTIONS:-abort_on_error=1:quarantine_size_mb=64}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}

# fuzz TARGET: the seeds are only read, what is new goes to learned/.
fuzz ()
{
  target=$1
  log=$build/findings/$target.log
  mkdir -p "$build/learned/$target" "$build/findings"
  if "$build/tests/fuzz/fuzz-$target" -max_total_time="$seconds" -max_len=8192 -timeout=60 \
    -report_slow_units=60 -rss_limit_mb=1024 -print_final_stats=1 \
    -artifact_prefix="$build/findings/$target-" \
    "$build/learned/$target" "$top/tests/fuzz/corpus/$target" >"$log" 2>&1
  then
    awk -v target="$target" '
      /^#.* cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") coverage = $(i + 1) }
      /number_of_executed_units/ { runs = $2 }
      /^Done/ { seconds = $(NF - 1) }
      END { printf "%s: %d inputs in %d s, %d places reached, nothing found\n",
                   target, runs, seconds, coverage }' "$log"
  else
    grep -v -e '^#' -e ' # Uses: ' "$log" | tail -n 60
    echo "$target: FOUND something: see $build/findings"
    return 1
  fi
}

# As called below.
if [ "${GFORK_FUZZ_ONE:-}" ]
then
  fuzz "$1"
  exit
fi

mkdir -p "$(dirname "$build")"
if [ ! -e "$build/build.ninja" ]
then
  CC=clang meson setup "$build" "$top" -Dfuzzing=true -Db_sanitize=address,undefined \
    -Db_lundef=false -Dintrospection=disabled -Dvapi=disabled -Ddocumentation=disabled \
    -Dnls=disabled -Dpython=disabled -Dgjs=disabled >"$build.log" 2>&1 ||
    { cat "$build.log"; exit 1; }
fi
# shellcheck disable=SC2046 # a word a target
ninja -C "$build" $(printf 'tests/fuzz/fuzz-%s ' "$@") >"$build.log" 2>&1 ||
  { cat "$build.log"; exit 1; }

export GFORK_FUZZ_ONE=1 BUILD_DIR="$build"
printf '%s\n' "$@" | xargs -n 1 -P "$(nproc)" sh "$0" "$seconds"
