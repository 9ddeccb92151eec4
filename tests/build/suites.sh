#!/bin/sh
# suites.sh [SUITE[/ARCHITECTURE]]...: runs what README says a user runs,
# docs/examples/try.sh and tests/run.sh, on bare installations of Debian's suites
# (bookworm, trixie and sid), as a user with sudo. An architecture has to be one that this
# machine runs itself, as i386 on amd64. Wants root, mmdebstrap and the network; what is
# tested is HEAD. The roots stay in ROOTS (by default a temporary directory, which is removed).
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/tests/build/roots.sh"

if [ "${1:-}" = --inside ]
then
  enter "$2" su - user -c '
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

failed=
for wanted
do
  suite=${wanted%/*}
  name=$(echo "$wanted" | tr / -)
  log=$ROOTS/$name.log
  if [ "$suite" = "$wanted" ]
  then
    make_root "$name" "$suite"
  else
    make_root "$name" "$suite" --architectures="${wanted#*/}"
  fi
  copy_sources "$top"
  chroot "$root" chown -R user: /home/user

  echo "==== $wanted: $log"
  if unshare --mount --pid --fork sh "$0" --inside "$root" >"$log" 2>&1
  then
    tail -n 1 "$log"
  else
    failed="$failed $wanted"
    grep -aE '^ *[0-9]+/[0-9]+ .* (FAIL|TIMEOUT|ERROR) ' "$log" || true
    tail -n 20 "$log"
  fi
done

[ -z "$failed" ] || { echo "Failed:$failed"; exit 1; }
