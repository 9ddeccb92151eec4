#!/bin/sh
# valgrind.sh BUILD-ROOT [VALGRIND-OPTION...] PROGRAM [ARGUMENT...]: runs a test,
# and every helper and worker of it, under valgrind. Fails if any of these
# processes has an error or a leak, or is still there after the test.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

build_root=$1
shift

for program
do
  case $program in
    --*) ;;
    *) break ;;
  esac
done

# Tests that are scripts check the build, not what the library does.
case $program in
  "$build_root"/*) ;;
  *)
    while [ "$1" != "$program" ]
    do
      shift
    done
    exec "$@"
    ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkfifo "$work/pipe"

# Each traced process holds the log open as long as it lives, whatever else it
# closes. So the end of the log is the end of the last process.
cat "$work/pipe" >"$work/log" &
reader=$!

# In a fork of an application, whatever the application had is lost on purpose:
# its locks may be held by threads that the fork does not have.
leaks=full
case $program in
  */appfork | */frommain) leaks=no ;;
esac

# Programs of the system have leaks of their own.
status=0
valgrind \
  --log-file="$work/pipe" \
  --trace-children=yes \
  --trace-children-skip='/bin/*,/sbin/*,/usr/bin/*,/usr/sbin/*' \
  --leak-check=$leaks \
  --num-callers=30 \
  "$@" || status=$?

fail ()
{
  [ "$status" -ne 0 ] || status=99
}

if ! timeout 60 tail --pid="$reader" -s 0.1 -f /dev/null
then
  fail
  kill "$reader"
  wait "$reader" || :
  echo "Processes are left behind:" >&2
  for link in /proc/[0-9]*/fd/*
  do
    if [ "$(readlink "$link")" = "$work/pipe" ]
    then
      pid=${link#/proc/}
      pid=${pid%%/*}
      echo "$pid $(tr '\0' ' ' <"/proc/$pid/cmdline")" >&2
      kill -KILL "$pid" || :
    fi
  done
fi

for pid in $(sed -n 's/^==\([0-9]*\)== ERROR SUMMARY: [1-9].*/\1/p' "$work/log" | sort -u)
do
  fail
  grep -E "^(==$pid==|--$pid--|\*\*$pid\*\*)" "$work/log" >&2
done

# Nothing found is good news only from a valgrind that has looked.
if ! grep -q '== ERROR SUMMARY: ' "$work/log"
then
  fail
  cat "$work/log" >&2
fi

exit "$status"
