#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# fuzz.sh SECONDS [TARGET]: fuzzes each target (or one) for so many seconds. What it learns stays in build-fuzz/corpus,
# what it finds in build-fuzz/found.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
only=${2:-}

cmake --preset fuzz >/dev/null
cmake --build --preset fuzz --target fuzzers -j"$(nproc)"

run=0
bad=0
for program in build-fuzz/fuzz/fuzz_*; do
    name=${program##*/fuzz_}
    if [ ! -x "$program" ] || { [ -n "$only" ] && [ "$only" != "$name" ]; }; then
        continue
    fi
    echo "== $name, $seconds s"
    corpus=build-fuzz/corpus/$name
    mkdir -p "$corpus" build-fuzz/found
    words=()
    [ ! -e "tests/fuzz/$name.dict" ] || words=("-dict=tests/fuzz/$name.dict")
    seeds=()
    [ ! -d "tests/fuzz/corpus/$name" ] || seeds=("tests/fuzz/corpus/$name")
    run=$((run + 1))
    "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
        -artifact_prefix="build-fuzz/found/$name-" "${words[@]}" "$corpus" "${seeds[@]}" || bad=$((bad + 1))
done
if [ $run = 0 ]; then
    echo "fuzz: there is no target ${only:-at all}"
    exit 1
fi
echo "fuzz: $run targets, $bad with findings"
[ $bad = 0 ]
