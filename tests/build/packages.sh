#!/bin/sh
# packages.sh [--check] [DIRECTORY]: makes the archive of a release, builds the Debian packages
# from it, has lintian look at them, and runs their tests (debian/tests) in a bare root of the
# Debian release that runs this. With --check the tests are run when the packages are built, too.
# Wants root and the network; what is packaged is HEAD. DIRECTORY is by default
# _build/packages; the root in it is kept for the next time.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)

if [ "${1:-}" = --inside ]
then
  # In a mount and a PID namespace of its own, with the root's directory.
  root=$2
  shift 2
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount --rbind /sys "$root/sys"
  status=0
  autopkgtest "$@" -- chroot "$root" || status=$?
  # 2: some tests were skipped
  [ "$status" -eq 2 ] || exit "$status"
  exit 0
fi

options=nocheck
if [ "${1:-}" = --check ]
then
  options=
  shift
fi
work=${1:-$top/_build/packages}

sh "$top/tests/setup.sh" build package

mkdir -p "$work"
work=$(cd "$work" && pwd)
rm -rf "$work/archive" "$work/gspawnfork-"* "$work/gspawnfork_"* "$work"/*.deb

echo "==== archive"
meson setup "$work/archive" "$top" -Dauto_features=disabled >/dev/null
meson dist -C "$work/archive" --no-tests --formats xztar
archive=$(echo "$work/archive/meson-dist/gspawnfork-"*.tar.xz)
version=$(basename "$archive" .tar.xz)
version=${version#gspawnfork-}
cp "$archive" "$work/gspawnfork_$version.orig.tar.xz"
tar -x -C "$work" -f "$archive"

echo "==== packages"
cd "$work/gspawnfork-$version"
apt-get -q build-dep -y --no-install-recommends ./ </dev/null
DEB_BUILD_OPTIONS="$options parallel=$(nproc)" dpkg-buildpackage -us -uc

echo "==== lintian"
cd "$work"
lintian --allow-root --fail-on error,warning --tag-display-limit 0 gspawnfork_*.changes

# Packages of two architectures are installed beside each other if what they have in common is
# the same, so that may not tell of the one that it was built for.
echo "==== files that two architectures share"
triplet=$(dpkg-architecture -q DEB_HOST_MULTIARCH)
for package in *.deb
do
  case $package in *-dbgsym_*) continue ;; esac
  [ "$(dpkg-deb -f "$package" Multi-Arch)" = same ] || continue
  rm -rf "$work/files"
  dpkg-deb -x "$package" "$work/files"
  if find "$work/files" -type f ! -path "*/$triplet/*" ! -path '*/usr/share/doc/*' \
      -exec grep -lE "$triplet|$(dpkg-architecture -q DEB_HOST_GNU_CPU)" {} + ||
    find "$work/files" -type f ! -path "*/$triplet/*" -exec grep -l "$(printf '\177')ELF" {} +
  then
    echo "$package: the files above are of one architecture" >&2
    exit 1
  fi
done

echo "==== autopkgtest"
root=$work/root
if [ ! -d "$root" ]
then
  . /etc/os-release
  mirror=$(apt-get indextargets --format '$(SITE)' 'Origin: Debian' | head -n 1)
  mmdebstrap --variant=apt --include=apt-utils,ca-certificates,dpkg-dev "$VERSION_CODENAME" "$root.new" \
    "$mirror"
  mv "$root.new" "$root"
fi
cp /etc/resolv.conf "$root/etc/"
# An index, which mmdebstrap leaves out
chroot "$root" apt-get -q update
set --
for package in "$work"/*.deb
do
  case $package in *-dbgsym_*) ;; *) set -- "$@" "$package" ;; esac
done
unshare --mount --pid --fork sh "$top/tests/build/packages.sh" --inside "$root" "$@" \
  "$work"/gspawnfork_*.dsc
