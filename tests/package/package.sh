#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the build directory $1 into an empty folder and uses it as other projects do: by pkg-config, static and
# shared, and by find_package.
set -euo pipefail
build=$1
here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

cmake --install "$build" --prefix "$tmp/prefix" >"$tmp/install.log" || { cat "$tmp/install.log"; exit 1; }
pc=$(find "$tmp/prefix" -name smqtt.pc)
[ -n "$pc" ] || { echo "smqtt.pc was not installed"; exit 1; }
lib=$(dirname "$(dirname "$pc")")
export PKG_CONFIG_PATH="${pc%/*}"
cc=${CC:-cc}

# Words of pkg-config are split on purpose.
# shellcheck disable=SC2046
"$cc" -std=c11 -Wall -Wextra -Werror "$here/use.c" $(pkg-config --cflags --libs smqtt) -o "$tmp/use_shared"
LD_LIBRARY_PATH=$lib "$tmp/use_shared"
# shellcheck disable=SC2046
"$cc" -std=c11 "$here/use.c" -o "$tmp/use_static" \
    $(pkg-config --static --cflags --libs smqtt | sed "s|-lsmqtt|$lib/libsmqtt.a|")
"$tmp/use_static"

cmake -S "$here/cmake" -B "$tmp/cmake" -DCMAKE_PREFIX_PATH="$tmp/prefix" -DCMAKE_C_COMPILER="$cc" >"$tmp/cmake.log" ||
    { cat "$tmp/cmake.log"; exit 1; }
cmake --build "$tmp/cmake" >"$tmp/cmake.log" || { cat "$tmp/cmake.log"; exit 1; }
"$tmp/cmake/use_smqtt"
"$tmp/cmake/use_smqtt_static"

# Every function that is exported has its page, and the overview is there.
for page in libsmqtt $(sed '/^#/d' "$here/../tidy/exports.txt"); do
    if [ ! -s "$tmp/prefix/share/man/man3/$page.3" ]; then
        echo "share/man/man3/$page.3 was not installed: the target manual makes it of include/smqtt/*.h"
        exit 1
    fi
done

for program in smqttd smqtt; do
    if [ -x "$build/bin/$program" ] && [ ! -x "$tmp/prefix/bin/$program" ]; then
        echo "bin/$program was not installed"
        exit 1
    fi
done
