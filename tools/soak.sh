#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A million messages of each QoS with 1, 2 and 4 workers, while connections are cut all the time (tests/soak).
#   MESSAGES  how many of each QoS, 1000000
#   WORKERS   "1 2 4"
#   SEED      the decisions of a run that is to be repeated
#   BUILD     folder of the build, build
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
messages=${MESSAGES:-1000000}
seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
failed=0

for workers in ${WORKERS:-1 2 4}; do
    begin=$SECONDS
    SMQTT_BIN="$build/bin" SMQTT_SOAK="$build/tests/soak/soak" \
        python3 -B tests/soak/soak.py --workers "$workers" --messages "$messages" --seed "$seed" \
        --hups 3 --churn 6 --patience 60 --memory || failed=$((failed + 1))
    echo "== $workers workers: $((SECONDS - begin)) s, seed $seed"
done
[ "$failed" = 0 ] && echo "soak: right" || echo "soak: $failed failed"
exit "$failed"
