#!/bin/sh
# catalogues.sh SOURCE-ROOT: tests that the catalogues have every message of the
# sources.
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

grep -rlE '\b(N_|_|C_|ngettext|g_dngettext) ?\(' gspawnfork --include='*.[ch]' | LC_ALL=C sort >"$work/with-messages"
grep -v '^#' po/POTFILES | LC_ALL=C sort >"$work/listed"
check "POTFILES lists the sources with messages" \
  diff "$work/with-messages" "$work/listed"

xgettext --from-code=UTF-8 --files-from=po/POTFILES --output="$work/messages.pot" \
  --keyword=_ --keyword=N_ --keyword=C_:1c,2 --keyword=NC_:1c,2 \
  --flag=_:1:pass-c-format --flag=N_:1:pass-c-format

for language in $(grep -v '^#' po/LINGUAS)
do
  check "$language is well formed" \
    msgfmt --check --output-file=/dev/null "po/$language.po"
  check "$language translates every message" \
    msgcmp "po/$language.po" "$work/messages.pot"
done

echo "1..$n"
