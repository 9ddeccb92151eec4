#!/bin/sh
# readme.sh SOURCE-ROOT: tests that README.md shows the examples as they are, and
# that the files that the documentation names are there.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

cd "$1"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

n=0

# Runs a command, quietly unless it fails, and reports a test.
check ()
{
  n=$((n + 1))
  what=$1
  shift
  if "$@" >"$work/output" 2>&1
  then
    echo "ok $n $what"
  else
    echo "not ok $n $what"
    sed 's/^/# /' "$work/output"
  fi
}

# Each block of C belongs to the example that was named last before it.
awk -v work="$work" '
  /^```/ { inside = !inside && $0 == "```c"; if (inside) printf "" >work "/" name; next }
  inside { print >work "/" name }
  !inside && match ($0, /docs\/examples\/[^)]*\.c/) {
    name = substr ($0, RSTART + 14, RLENGTH - 14)
  }' README.md

for example in hello-worker.c hello.c
do
  # All but the copyright.
  sed -n '/^#include/,$p' "docs/examples/$example" >"$work/code"
  check "README.md shows $example as it is" \
    diff "$work/code" "$work/$example"
done

# Links are relative to the page. Those to .html are to pages that gi-docgen makes.
for page in README.md NEWS.md docs/*.md
do
  for target in $(grep -o ']([^)#:]*' "$page" | cut -c 3- | grep -v '\.html$' | sort -u)
  do
    check "$page: $target is there" \
      test -e "$(dirname "$page")/$target"
  done
done

echo "1..$n"
