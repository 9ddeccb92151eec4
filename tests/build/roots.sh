# roots.sh: what suites.sh and architectures.sh have in common: bare installations of Debian
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

# Those who run this in other namespaces have the same directory.
if [ -z "${ROOTS:-}" ]
then
  ROOTS=$(mktemp -d)
  export ROOTS
  trap 'rm -rf "$ROOTS"' EXIT
fi

# make_root NAME SUITE [OPTION-OF-MMDEBSTRAP...]: from the archive that this system has its
# own packages from, whose index may be as old here as there.
make_root ()
{
  root=$ROOTS/$1
  suite=$2
  shift 2
  if [ ! -e "$root/etc/sudoers.d/user" ]
  then
    rm -rf "$root"
    mmdebstrap --variant=apt --include=ca-certificates,passwd,sudo \
      --aptopt="Acquire::Check-Valid-Until \"$(setting Acquire::Check-Valid-Until)\"" \
      --aptopt="Acquire::Check-Date \"$(setting Acquire::Check-Date)\"" \
      "$@" "$suite" "$root" \
      "$(apt-get indextargets --format '$(SITE)' 'Origin: Debian' | head -n 1)"
    chroot "$root" useradd --create-home --shell /bin/bash user
    echo 'user ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/user"
  fi
  cp /etc/resolv.conf "$root/etc/"
}

# setting NAME: what apt is told here
setting ()
{
  value=true
  eval "$(apt-config shell value "$1")"
  echo "$value"
}

# copy_sources TOP: HEAD of the repository in TOP
copy_sources ()
{
  rm -rf "$root/home/user/gspawnfork"
  mkdir "$root/home/user/gspawnfork"
  git -C "$1" archive HEAD | tar -x -C "$root/home/user/gspawnfork"
}

# enter ROOT COMMAND...: for `unshare --mount --pid --fork`
enter ()
{
  mount -t proc proc "$1/proc"
  mount --rbind /dev "$1/dev"
  mount --rbind /sys "$1/sys"
  exec chroot "$@"
}
