# tap.sh: sourced by the tests of the build that run commands and report each
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

n=0

# check WHAT COMMAND...: runs a command, quietly unless it fails, and reports a test.
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

# skip WHAT REASON: reports a test that cannot be run here.
skip ()
{
  n=$((n + 1))
  echo "ok $n $1 # SKIP $2"
}
