#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Puts each fault of tests/sim/mutations.def in force and runs seeds until the simulator finds it: name, number of
# seeds, what was seen. Fails if one is not found. Usage: tools/mutations.sh [NAME] [SEEDS]
set -euo pipefail
cd "$(dirname "$0")/.."
name=${1:-all}
seeds=${2:-4000}
cmake --preset release --log-level=WARNING -DSMQTT_TESTS=ON >/dev/null
cmake --build --preset release --target sim_mutated -j"$(nproc)" >/dev/null
exec build/bin/sim_mutated --mutation "$name" --seeds "1-$seeds"
