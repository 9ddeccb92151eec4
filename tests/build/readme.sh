#!/bin/sh
# readme.sh SOURCE-ROOT: tests that README.md shows the examples as they are, and
# that the files that the documentation names are there.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

. "$(dirname "$0")/tap.sh"

cd "$1"

# The blocks of code, in the order in which the files are shown.
set -- hello-worker.c hello.c hello_worker.py hello.py hello-worker.js hello.js \
  digests_worker.py
awk -v work="$work" -v names="$*" '
  BEGIN { split (names, name, " ") }
  /^```(c|python|js)$/ { inside = 1; n++; printf "" >work "/" name[n]; next }
  /^```/ { inside = 0 }
  inside { print >work "/" name[n] }' README.md

for example
do
  # All but the head.
  sed -n '/^\(#include\|import\|export\)/,$p' "docs/examples/$example" >"$work/code"
  check "README.md shows $example as it is" \
    diff "$work/code" "$work/$example"
done

# In the manual, a block that is a whole example begins with its name.
awk -v work="$work" '
  /^```/ { if (file) close (file); file = ""; first = !inside; inside = !inside; next }
  inside && first { first = 0; if (match ($0, /^(\/\/|#) [a-z_-]+\.[a-z]+$/)) { file = work "/page-" $2; printf "" >file; next } }
  inside && file { print >file }' docs/getting-started.md docs/recipes.md docs/python.md
for block in "$work"/page-*
do
  example=${block##*/page-}
  sed -n '/^\(#include\|import\|export\|async\)/,$p' "docs/examples/$example" >"$work/code"
  check "the manual shows $example as it is" \
    diff "$work/code" "$block"
done

# Links are relative to the page. The reference makes links to HTML of those to pages.
for page in README.md CONTRIBUTING.md NEWS.md SECURITY.md docs/*.md
do
  for target in $(grep -o ']([^)#:]*' "$page" | cut -c 3- | grep -v '^https$' | sort -u)
  do
    check "$page: $target is there" \
      test -e "$(dirname "$page")/$target"
  done
  check "$page: no link is empty" \
    sh -c '! grep -n "]()" "$1"' sh "$page"
done

# Only gi-docgen knows links to symbols, and these pages are read in the repository.
for page in $(grep -o '](\(docs/\)\?[A-Za-z-]*\.md' README.md | cut -c 3- | sort -u)
do
  check "$page reads well as plain Markdown" \
    sh -c '! grep -n "\[[a-z]*@[A-Z]" "$1"' sh "$page"
done

echo "1..$n"
