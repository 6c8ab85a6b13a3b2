#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The measurements of docs/performance.md, on this machine, now. Needs the release build. QUICK=1: the brokers only, one
# short round, plain and sealed.
set -euo pipefail
cd "$(dirname "$0")/.."
build=build
programs=(crypto_bench detect_bench route_bench utf8_bench codec_bench)
cmake --preset release -DSMQTT_TESTS=ON >/dev/null
targets=$(cmake --build "$build" --target help | sed -n 's/^\.\.\. //p')

printf '== machine\n'
uname -srm
sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1
printf '%s cores, OpenSSL %s\n' "$(nproc)" "$(openssl version | cut -d' ' -f2)"

printf '\n== brokers\n'
cmake --build "$build" --target product mover -j"$(nproc)" >/dev/null
tools/bench_brokers.py "$build"
printf '\n== idle clients\n'
tools/bench_idle.py "$build"
printf '\n== sealed, plain, TLS\n'
ROUNDS=2 tools/bench_overhead.py "$build"
[ "${QUICK:-0}" = 0 ] || exit 0

for program in "${programs[@]}"; do
    grep -qx "$program" <<<"$targets" || continue
    cmake --build "$build" --target "$program" -j"$(nproc)" >/dev/null
    printf '\n== %s\n' "$program"
    "$(find "$build" -type f -name "$program" -perm -u+x | head -n 1)"
done

printf '\n== handshake bytes of TLS\n'
tools/tls_bytes.sh

printf '\n== size of libsmqtt (text, data, bss; stripped file)\n'
lib=$(find "$build" -name 'libsmqtt.so.*' -type f | head -n 1)
size "$lib"
stripped=$(mktemp)
strip -o "$stripped" "$lib"
stat -c '%s bytes stripped' "$stripped"
rm -f "$stripped"
