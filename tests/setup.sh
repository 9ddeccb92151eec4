#!/bin/sh
# setup.sh [PURPOSE...]: installs what is missing of the Debian packages that
# packages.txt lists for the purposes: build (which is also the default), test,
# ci, toolchains, bench and package. Says and does nothing if all are there.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

here=$(cd "$(dirname "$0")" && pwd)
purposes=" ${*:-build} "

wanted=$(awk -v purposes="$purposes" \
           '/^[a-z]/ && index(purposes, " " $1 " ") { print $2 }' \
           "$here/packages.txt")

if ! command -v dpkg-query >/dev/null
then
  echo "This is not a Debian system: what tests/packages.txt lists has to be there already." >&2
  exit 0
fi

# dpkg-query complains about each package it has never heard of.
there=" $(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $(echo $wanted | tr '|' ' ') 2>/dev/null |
           awk '$1 == "installed" { print $2 }' | tr '\n' ' ') "

# is_there ALTERNATIVES: whether one of them is installed
is_there ()
{
  for alternative in $(echo "$1" | tr '|' ' ')
  do
    case $there in
      *" $alternative "*) return 0 ;;
    esac
  done
  return 1
}

missing=
for package in $wanted
do
  is_there "$package" || missing="$missing $package"
done

[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ]
then
  as_root=
elif command -v sudo >/dev/null
then
  as_root=sudo
else
  echo "These packages are missing, and it takes root or sudo to install them:$missing" >&2
  echo "As root: apt-get install$missing" >&2
  exit 1
fi

# sudo resets the environment, so the setting goes on the command's own line.
apt_get ()
{
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q "$@" </dev/null
}

echo "Installing:$missing"
# An index that cannot be had now may still be there from before.
apt_get update || echo "The package index could not be updated." >&2

chosen=
for package in $missing
do
  for alternative in $(echo "$package" | tr '|' ' ')
  do
    package=$alternative
    [ -z "$(apt-cache --quiet=0 show "$alternative" 2>/dev/null)" ] || break
  done
  chosen="$chosen $package"
done
apt_get install -y --no-install-recommends $chosen
