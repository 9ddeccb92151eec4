#!/bin/sh
# catalogues.sh SOURCE-ROOT: tests that the catalogues have every message of the
# sources.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

. "$(dirname "$0")/tap.sh"

cd "$1"

extract ()
{
  xgettext --from-code=UTF-8 --output="$work/messages.pot" \
    --keyword=_ --keyword=N_ --keyword=C_:1c,2 --keyword=NC_:1c,2 \
    --keyword=g_dngettext:2,3 \
    --flag=_:1:pass-c-format --flag=N_:1:pass-c-format \
    --flag=g_dngettext:2:pass-c-format --flag=g_dngettext:3:pass-c-format "$@"
}

# Without messages, xgettext makes no file.
for source in $(find gspawnfork -name '*.[ch]' -o -name '*.py' -o -name '*.js' | LC_ALL=C sort)
do
  rm -f "$work/messages.pot"
  extract "$source"
  [ ! -f "$work/messages.pot" ] || echo "$source"
done >"$work/with-messages"
grep -v '^#' po/POTFILES | LC_ALL=C sort >"$work/listed"
check "POTFILES lists the sources with messages" \
  diff "$work/with-messages" "$work/listed"

extract --files-from=po/POTFILES

for language in $(grep -v '^#' po/LINGUAS)
do
  check "$language is well formed" \
    msgfmt --check --check-format --output-file=/dev/null "po/$language.po"
  check "$language translates every message" \
    msgcmp "po/$language.po" "$work/messages.pot"
done

echo "1..$n"
