#!/bin/sh
# toolchains.sh [NAME]...: builds everything that is C by other compilers, linkers and flags
# than the usual ones, with warnings as errors, and runs the tests: hardening (as Debian's
# packages have it, and more), fortify, lto, o3, clang, lld and mold. The builds are in
# BUILD_DIR (by default _build/toolchains).
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
builds=${BUILD_DIR:-$top/_build/toolchains}

sh "$top/tests/setup.sh" build test toolchains

# configure NAME MESON-OPTION...
configure ()
{
  directory=$builds/$1
  shift
  rm -rf "$directory"
  meson setup "$directory" "$top" -Dwerror=true -Dnls=enabled -Dsandbox=enabled \
    -Dtests=enabled -Dintrospection=disabled -Dvapi=disabled -Dpython=disabled \
    -Dgjs=disabled -Ddocumentation=disabled "$@"
}

# choose NAME: configures it, in an environment that says which tools there are
choose ()
{
  case $1 in
    hardening)
      eval "$(DEB_BUILD_MAINT_OPTIONS=hardening=+all dpkg-buildflags --export=sh)"
      configure "$1" --buildtype=plain
      ;;
    fortify)
      export CFLAGS='-O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3'
      configure "$1" --buildtype=plain
      ;;
    lto) configure "$1" -Db_lto=true ;;
    o3) configure "$1" -Doptimization=3 ;;
    clang) CC=clang configure "$1" ;;
    lld | mold) CC_LD=$1 configure "$1" ;;
    *)
      echo "Not known: $1" >&2
      return 1
      ;;
  esac
}

# try NAME
try ()
{
  choose "$1" || return
  meson compile -C "$builds/$1" || return
  status=0
  meson test -C "$builds/$1" --print-errorlogs linkage || status=1
  meson test -C "$builds/$1" --print-errorlogs --no-suite build --no-suite docs || status=1
  python3 "$top/tests/count.py" "$builds/$1/meson-logs/testlog.json" || status=1
  return "$status"
}

if [ $# -eq 0 ]
then
  set -- hardening fortify lto o3 clang lld mold
fi

mkdir -p "$builds"
failed=
for name
do
  echo "==== $name: $builds/$name.log"
  if (try "$name") >"$builds/$name.log" 2>&1
  then
    tail -n 1 "$builds/$name.log"
  else
    failed="$failed $name"
    grep -aE 'warning:|error:|^ *[0-9]+/[0-9]+ .* (FAIL|TIMEOUT|ERROR) ' "$builds/$name.log" || true
    tail -n 1 "$builds/$name.log"
  fi
done

[ -z "$failed" ] || { echo "Failed:$failed"; exit 1; }
