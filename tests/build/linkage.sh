#!/bin/sh
# linkage.sh HELPER LIBRARY SERVE-LIBRARY HEADER...: tests what the objects link to and
# export. The headers are all public ones. SERVE-LIBRARY is serve/ and wire/.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

helper=$1
library=$2
serve_library=$3
shift 3

n=0

# Reports a test as passed if what was found is what was wanted.
check ()
{
  n=$((n + 1))
  if [ "$2" = "$3" ]
  then
    echo "ok $n $1"
  else
    echo "not ok $n $1"
    printf 'wanted:\n%s\nfound:\n%s\n' "$2" "$3" | sed 's/^/# /'
  fi
}

# Symbols of the C library, which have a version, do not count.
exported ()
{
  nm -D --defined-only "$1" | awk '$NF !~ /@/ { print $NF }' | LC_ALL=C sort
}

declared ()
{
  cat "$@" |
    sed -nE \
      -e 's/^.*\b(g_fork_[a-z0-9_]+) +\(.*;?$/\1/p' \
      -e 's/^G_DECLARE_[A-Z]+_TYPE \([^,]+, *([^,]+),.*/\1_get_type/p' |
    LC_ALL=C sort -u
}

check "the helper links to nothing but the C library" \
  "" \
  "$(readelf -d "$helper" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
       grep -vE '^(libc|libdl|ld-)' || true)"

check "the helper is bound when it starts" \
  "yes" \
  "$(readelf -d "$helper" | grep -qE 'BIND_NOW|Flags:.* NOW' && echo yes)"

check "the helper exports what the worker header declares, and nothing else" \
  "$(for header; do case $header in *gforkworker.h) declared "$header" ;; esac; done)" \
  "$(exported "$helper")"

check "the library exports what the headers declare, and nothing else" \
  "$(declared "$@")" \
  "$(exported "$library")"

check "the template process uses no GLib" \
  "" \
  "$(nm -u "$serve_library" 2>/dev/null | awk '{ print $NF }' |
       grep -E '^(_?g_|glib_)' | grep -v '^g_fork_' || true)"

echo "1..$n"
