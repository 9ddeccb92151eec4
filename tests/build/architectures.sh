#!/bin/sh
# architectures.sh [ARCHITECTURE]...: builds everything for other machines (arm64, i386
# and s390x) with warnings as errors, and runs the tests there: in an emulator those that
# it can run, and where this machine runs such programs itself, all. Wants root, mmdebstrap,
# the network and Linux 6.7; what is tested is HEAD. The root stays in ROOTS (by default a
# temporary directory, which is removed). With BUILD_ONLY=1 nothing is run but the command
# that the manual page comes from.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/tests/build/roots.sh"

# What runs in an emulator: both ends of the protocol, without a fork. qemu has a thread of its
# own in each process, and a template that sees one in /proc refuses to be forked.
emulated='fuzz-jobs fuzz-reader fuzz-serve queue wire'

# emulate ROOT QEMU: has the kernel run the programs that begin as the example does.
emulate ()
{
  begin=$(head -c 20 "$1/home/user/example" | od -An -v -t x1 | tr -d '\n' | sed 's/ /\\x/g')
  # The ABI and the kind of program may be others.
  compared='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\xff\xff'
  mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
  printf '%s' ":gspawnfork:M::$begin:$compared:$1/usr/bin/qemu-$2:FP" \
    >/proc/sys/fs/binfmt_misc/register
}

if [ "${1:-}" = --inside ]
then
  [ -z "$4" ] || emulate "$2" "${3%%-*}"
  enter "$2" sh -c "
    cd /home/user/gspawnfork || exit
    meson setup _build/$3 --cross-file ../$3.txt -Dwerror=true -Dinstalled_tests=enabled \
      -Dtests=enabled -Dnls=enabled -Dsandbox=enabled -Dintrospection=disabled \
      -Dvapi=disabled -Dpython=disabled -Dgjs=disabled -Ddocumentation=disabled &&
    meson compile -C _build/$3 || exit
    [ -z '${BUILD_ONLY:-}' ] || exit 0
    status=0
    meson test -C _build/$3 --no-rebuild --no-suite build --no-suite docs $4 || status=1
    python3 tests/count.py _build/$3/meson-logs/testlog.json || status=1
    exit \$status"
fi

# cross_file TRIPLET FAMILY ENDIAN
cross_file ()
{
  cat <<END
[binaries]
c = '$1-gcc'
ar = '$1-ar'
nm = '$1-nm'
readelf = '$1-readelf'
strip = '$1-strip'
pkgconfig = 'pkg-config'

[properties]
pkg_config_libdir = '/usr/lib/$1/pkgconfig:/usr/share/pkgconfig'
needs_exe_wrapper = false

[host_machine]
system = 'linux'
cpu_family = '$2'
cpu = '$2'
endian = '$3'
END
}

# dpkg_says NAME: of the architecture
dpkg_says ()
{
  chroot "$root" dpkg-architecture --host-arch "$architecture" --query "DEB_HOST_$1" 2>/dev/null
}

# Whether this machine runs programs of the architecture itself. Leaves one as an example.
runs_here ()
{
  echo 'int main (void) { return 0; }' |
    chroot "$root" "$triplet-gcc" -x c -o /home/user/example -
  chroot "$root" /home/user/example 2>/dev/null
}

if [ $# -eq 0 ]
then
  set -- arm64 i386 s390x
fi

# What the library is linked to is the other machine's; what makes introspection data runs as
# this one's. libsoup and GTK, which examples use, cannot be installed beside this one's.
libraries=$(awk '$1 == "build" && $2 ~ /^lib.*-dev$/ && $2 !~ /^libgirepository/ { print $2 }' \
              "$top/tests/packages.txt")

suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
make_root cross "$suite"
copy_sources "$top"

failed=
for architecture
do
  chroot "$root" dpkg --add-architecture "$architecture"
  chroot "$root" apt-get -q update
  chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends \
    meson gettext pkgconf procps qemu-user "crossbuild-essential-$architecture" \
    $(for library in $libraries; do echo "$library:$architecture"; done)

  triplet=$(dpkg_says GNU_TYPE)
  family=$(dpkg_says GNU_CPU | sed 's/^i.86$/x86/')
  cross_file "$triplet" "$family" "$(dpkg_says ARCH_ENDIAN)" >"$root/home/user/$triplet.txt"
  log=$ROOTS/$architecture.log

  # The kernel is told of an emulator in a user namespace, and so for nobody else.
  if runs_here
  then
    tests= namespaces=
  else
    tests=$emulated namespaces=--map-root-user
  fi

  echo "==== $architecture: $log"
  if unshare $namespaces --mount --pid --fork \
       sh "$0" --inside "$root" "$triplet" "$tests" >"$log" 2>&1
  then
    tail -n 1 "$log"
  else
    failed="$failed $architecture"
    grep -aE '^ *[0-9]+/[0-9]+ .* (FAIL|TIMEOUT|ERROR) ' "$log" || true
    tail -n 20 "$log"
  fi
done

[ -z "$failed" ] || { echo "Failed:$failed"; exit 1; }
