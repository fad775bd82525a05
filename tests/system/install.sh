#!/bin/bash
# make install into a folder of its own; the example builds against the installed library by pkg-config alone, and runs.
# Ends with "N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit 1
prefix=$PWD/build/test-tmp/install
system=build/test-tmp/install-system
passed=0 failed=0
check() { # name, then the command
    local name=$1
    shift
    if "$@" >build/test-tmp/install.out 2>&1; then
        passed=$((passed + 1))
        echo "ok   $name"
    else
        failed=$((failed + 1))
        echo "FAIL $name"
        cat build/test-tmp/install.out
    fi
}
finish() {
    YES=1 appliance/local --dir "$system" reset >/dev/null 2>&1
    rm -rf "$prefix"
}
trap finish EXIT
finish
mkdir -p build/test-tmp

check "make install" make --no-print-directory install PREFIX="$prefix"
for program in heraclius heracliusd heraclius-admin heraclius-console; do
    check "$program --help, as installed" "$prefix/bin/$program" --help
done
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig LD_LIBRARY_PATH=$prefix/lib
check "pkg-config knows it" pkg-config --exists libheraclius
# shellcheck disable=SC2046
check "the example builds outside the tree" gcc -std=c17 -D_GNU_SOURCE -Wall -Wextra -Werror -o "$prefix/hello" client/examples/hello.c \
    $(pkg-config --cflags --libs libheraclius)
check "nothing but the public names is exported" sh -c "! nm -D --defined-only '$prefix/lib/libheraclius.so' | grep -v ' heraclius_'"
check "the man pages are there" test -s "$prefix/share/man/man1/heraclius.1"
check "a system to talk to" appliance/local --dir "$system" start
check "the example runs" sh -c "cd '$system/..' && ln -sfn install-system local && '$prefix/hello' | grep -q world"
rm -f build/test-tmp/local
rm -f "$prefix/hello"
check "make uninstall leaves nothing" sh -c "make --no-print-directory uninstall PREFIX='$prefix' && ! find '$prefix' -type f -o -type l | grep ."
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
