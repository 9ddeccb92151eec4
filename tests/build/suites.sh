#!/bin/sh
# suites.sh [SUITE]...: runs what README says a user runs, docs/examples/try.sh and
# tests/run.sh, on bare installations of Debian's suites (bookworm, trixie and sid),
# as a user with sudo. Wants root, mmdebstrap and the network; what is tested is HEAD.
# The roots stay in ROOTS (by default a temporary directory, which is removed).
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)

if [ "${1:-}" = --inside ]
then
  # In a mount and a PID namespace of its own, with the root's directory.
  root=$2
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount --rbind /sys "$root/sys"
  exec chroot "$root" su - user -c '
    cd gspawnfork || exit
    status=0
    sh docs/examples/try.sh || status=1
    sh tests/run.sh || status=1
    exit $status'
fi

if [ $# -eq 0 ]
then
  set -- bookworm trixie sid
fi

if [ -z "${ROOTS:-}" ]
then
  ROOTS=$(mktemp -d)
  trap 'rm -rf "$ROOTS"' EXIT
fi

# The archive that this system has its own packages from
mirror=$(apt-get indextargets --format '$(SITE)' 'Origin: Debian' | head -n 1)

failed=
for suite
do
  root=$ROOTS/$suite
  log=$ROOTS/$suite.log
  if [ ! -d "$root" ]
  then
    mmdebstrap --variant=apt --include=ca-certificates,passwd,sudo "$suite" "$root" "$mirror"
    chroot "$root" useradd --create-home --shell /bin/bash user
    echo 'user ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/user"
  fi
  cp /etc/resolv.conf "$root/etc/"
  rm -rf "$root/home/user/gspawnfork"
  mkdir "$root/home/user/gspawnfork"
  git -C "$top" archive HEAD | tar -x -C "$root/home/user/gspawnfork"
  chroot "$root" chown -R user: /home/user

  echo "==== $suite: $log"
  if unshare --mount --pid --fork sh "$0" --inside "$root" >"$log" 2>&1
  then
    tail -n 1 "$log"
  else
    failed="$failed $suite"
    grep -aE '^ *[0-9]+/[0-9]+ .* (FAIL|TIMEOUT|ERROR) ' "$log" || true
    tail -n 20 "$log"
  fi
done

[ -z "$failed" ] || { echo "Failed:$failed"; exit 1; }
