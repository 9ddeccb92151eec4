#!/bin/sh
# layers.sh SOURCE-ROOT: tests that each directory of the sources includes nothing of those
# that are above it in docs/architecture.md.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

. "$(dirname "$0")/tap.sh"

cd "$1/gspawnfork"

# Prints what the files include, without the quotes or brackets.
includes ()
{
  sed -nE 's/^#include ["<](.*)[">]/\1/p' "$@" | LC_ALL=C sort -u
}

# Whether the files include no header of the project but these, which a pattern of grep -E gives.
only ()
{
  allowed=$1
  shift
  includes "$@" | grep -E '^(gspawnfork/|g?fork|[a-z]+/[a-z]+\.h)' |
    grep -vE '^(sys|linux|netinet|arpa|asm|valgrind|gio|glib|gobject)/|^(glib|gio)' |
    grep -vE "^($allowed)" || return 0
  return 1
}

none ()
{
  pattern=$1
  shift
  ! includes "$@" | grep -E "$pattern"
}

public='(gspawnfork/)?gfork(binding|error|pool|process|sandbox|serve|template|version|enumtypes)\.h'

check "wire/ is above nothing" only 'wire/' wire/*.[ch]
check "serve/ is above wire/ alone" only 'serve/|wire/|gforkworker\.h' serve/*.[ch]
check "wire/, serve/ and helper/ know nothing of GLib" \
  none '^(glib|gio|gobject)' wire/*.[ch] serve/*.[ch] helper/*.[ch]
check "base/ is above wire/" only 'base/|wire/|gforkerror\.h' base/*.[ch]
check "process/ is above base/" only "process/|base/|wire/|$public" process/*.[ch]
check "channel/ is above process/" \
  only "channel/|process/|base/|wire/|gforkerror\.h" channel/*.[ch]
check "start/ is above channel/, and uses serve/" \
  only "start/|channel/|process/|base/|wire/|serve/|$public" start/*.[ch]
check "a pool uses the public interface, wire/ and base/" \
  only "gforkpool-private\.h|pool/|base/|wire/|$public" \
  pool/*.[ch] gforkpool*.[ch] gforkworker.c gforkloan.c
check "the command uses the public interface" \
  only "command/|gspawnfork/gspawnfork\.h" command/*.[ch]

echo "1..$n"
