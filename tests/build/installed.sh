#!/bin/sh
# installed.sh [--quick] BUILD-ROOT: installs the library to a directory of its own, tests
# it there, by pkg-config, CMake, from Python and from Vala, and uninstalls it. With --quick
# the tests are not installed and run there.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$here/../..

tests=enabled
if [ "$1" = --quick ]
then
  tests=disabled
  shift
fi
build=$1
prefix=$build/prefix
outside=$build/outside

rm -rf "$build"
meson setup "$build" "$top" --prefix="$prefix" --libdir=lib \
  -Dwerror=true -Dauto_features=enabled -Ddocumentation=enabled \
  -Dtests="$tests" -Dinstalled_tests="$tests" \
  -Dpython_overridesdir="$prefix/python/gi/overrides" \
  -Dpython_packagedir="$prefix/python" \
  -Dgjs_overridesdir="$prefix/share/gjs-1.0/overrides"
meson install -C "$build"
mkdir "$outside"

unset GSPAWNFORK_HELPER GFORK_MODULE_PATH GSPAWNFORK_RUNTIME_DIR
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
export LD_LIBRARY_PATH="$prefix/lib"
export GI_TYPELIB_PATH="$prefix/lib/girepository-1.0"
export PYTHONPATH="$prefix/python"
export GJS_PATH="$prefix/share/gjs-1.0"
# In the locale C nothing is translated; this one is always there.
export LC_ALL=C.UTF-8

passed=0
failed=0

# check WHAT COMMAND...: reports a test.
check ()
{
  what=$1
  shift
  if "$@" >"$outside/output" 2>&1
  then
    passed=$((passed + 1))
    echo "ok $what"
  else
    failed=$((failed + 1))
    echo "not ok $what"
    sed 's/^/# /' "$outside/output"
  fi
}

# pkg-config's flags are several words.
compile ()
{
  ${CC:-cc} -Wall -Wextra -Werror "$@" $(pkg-config --cflags --libs gspawnfork-1.0)
}

# shows TEXT COMMAND...: whether a command's output has a text
shows ()
{
  text=$1
  shift
  "$@" >"$outside/shown" 2>&1 || { cat "$outside/shown"; return 1; }
  grep -F -e "$text" "$outside/shown" || { cat "$outside/shown"; return 1; }
}

check "pkg-config names the helper" \
  test -x "$(pkg-config --variable=helper gspawnfork-1.0)"
check "pkg-config names the modules' directory" \
  test "$(pkg-config --variable=moduledir gspawnfork-1.0)" = "$prefix/lib/gspawnfork-1.0/modules"
check "no empty directory is installed" \
  sh -c '! find "$1" -type d -empty | grep .' sh "$prefix"
check "Devhelp finds the manual" \
  test -f "$prefix/share/devhelp/books/gspawnfork-1.0/gspawnfork-1.0.devhelp2"

# Who has modules makes their directory.
mkdir -p "$(pkg-config --variable=moduledir gspawnfork-1.0)"

check "a worker compiles with nothing but its header" \
  ${CC:-cc} -std=gnu11 -Wall -Wextra -Werror -shared -fPIC \
    -I"$prefix/include/gspawnfork-1.0" \
    -o "$(pkg-config --variable=moduledir gspawnfork-1.0)/outside.so" \
    "$here/outside/worker.c"
check "an application compiles" \
  compile -o "$outside/app" "$here/outside/app.c"
check "the application finds helper and module" \
  shows "worker says hello" "$outside/app" outside:answer
check "CMake configures an application" \
  cmake -S "$here/outside" -B "$outside/cmake"
check "CMake builds it" cmake --build "$outside/cmake"
check "the application of CMake's works" \
  shows "worker says hello" "$outside/cmake/app" outside:answer
check "it speaks German where German is spoken" \
  shows "nirgends" env LANGUAGE=de "$outside/app" nirgends:answer
check "Python finds the package" \
  /usr/bin/python3 -c 'import gspawnfork'
check "Python finds the library" \
  shows "worker says hello" /usr/bin/python3 "$here/outside/app.py"
check "a worker in Python works" \
  shows "Hello, world!" env GFORK_MODULE_PATH="$top/docs/examples" PYTHONDONTWRITEBYTECODE=1 \
    /usr/bin/python3 "$top/docs/examples/hello.py"
check "processes of Python's multiprocessing work" \
  shows "07.csv: its process crashed" /usr/bin/python3 "$top/docs/examples/summarize.py"
check "a worker in JavaScript works" \
  shows "Hello, world!" env GFORK_MODULE_PATH="$top/docs/examples" \
    gjs -m "$top/docs/examples/hello.js"
check "Vala compiles an application" \
  valac --directory "$outside" -o vala-app \
    --vapidir "$prefix/share/vala/vapi" --pkg gspawnfork-1.0 \
    -X "-I$prefix/include/gspawnfork-1.0" -X "-L$prefix/lib" "$here/outside/app.vala"
check "the Vala application works" \
  shows "worker says hello" "$outside/vala-app"

for file in "$prefix/share/installed-tests/gspawnfork-1.0"/*.test
do
  [ -f "$file" ] || continue
  check "installed test $(basename "$file" .test)" \
    sh -c "$(sed -n 's/^Exec=//p' "$file")"
done

# What was put beside it by hand is not its to remove, nor what an interpreter compiled.
rm "$(pkg-config --variable=moduledir gspawnfork-1.0)/outside.so"
find "$prefix" -name __pycache__ -prune -exec rm -r {} +
check "it can be uninstalled" ninja -C "$build" uninstall
check "nothing of it is left" \
  sh -c '! find "$1" ! -type d | grep .' sh "$prefix"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
