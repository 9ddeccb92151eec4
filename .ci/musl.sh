#!/bin/sh
# musl.sh: builds the template process and the helper against musl, as it is and with
# every fallback, to show that they need a C library and not the C library.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

cd "$(dirname "$0")/../gspawnfork"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The kernel's headers are of no C library.
mkdir "$work/kernel"
ln -s /usr/include/linux /usr/include/asm-generic "$work/kernel"
ln -s "/usr/include/$(gcc -print-multiarch)/asm" "$work/kernel"

compile ()
{
  musl-gcc -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror \
    -Wno-unused-parameter -Wno-missing-field-initializers -fPIC -idirafter "$work/kernel" "$@"
}

# has FUNCTION HEADER: what meson finds out where there is a GLib for musl
has ()
{
  printf '#include <%s>\nint main (void) { return (long) %s == 0; }\n' "$2" "$1" >"$work/has.c"
  musl-gcc -D_GNU_SOURCE -o "$work/has" "$work/has.c" 2>/dev/null ||
    return 0
  echo "#define HAVE_$(echo "$1" | tr '[:lower:]' '[:upper:]') 1"
}

plain ()
{
  has close_range unistd.h
  has memfd_create sys/mman.h
  has posix_spawn_file_actions_addclosefrom_np spawn.h
}

portable ()
{
  echo '#define GFORK_PORTABLE 1'
}

for kind in plain portable
do
  mkdir "$work/$kind"
  {
    cat <<'END'
#define GFORK_VERSION "0"
#define GFORK_MODULE_DIR "/nowhere/modules"
#define GFORK_RUNTIME_DIR "/nowhere/runtimes"
#define GFORK_HELPER "/nowhere/helper"
#define GETTEXT_PACKAGE "gspawnfork-1.0"
#define LOCALEDIR "/nowhere/locale"
END
    "$kind"
  } >"$work/$kind/config.h"

  for source in wire/*.c serve/*.c helper/main.c
  do
    echo "musl-gcc $source ($kind)"
    compile -I"$work/$kind" -I. -c -o "$work/$kind/$(echo "$source" | tr / -).o" "$source"
  done

  # What musl does not have at all shows here.
  echo "musl-gcc gspawnfork-helper ($kind)"
  musl-gcc -o "$work/$kind/gspawnfork-helper" "$work/$kind"/*.o
done
