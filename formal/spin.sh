#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks formal/detect.pml with spin: spin.sh test (some 20 s) | full (a minute or two, up to 1 GiB).
# Every check must end as its line says: the protocol without a fault, each mutant with the fault that it is for.
set -uo pipefail
cd "$(dirname "$0")" || exit 1
model=$PWD/detect.pml

if ! command -v spin >/dev/null; then
    echo "SKIPPED: spin is not there, so the protocol's automata were NOT checked; tools/setup.sh test installs it." >&2
    exit 77
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
failed=0
optimise=0 # compiling a search with -O2 takes longer than the small ones run

# search KIND DEFINITIONS…: leaves spin's report in `report`; KIND is safety or liveness. A search that did not reach
# the end of its depth or memory counts as failed.
search() {
    local kind=$1 flags run
    shift
    case $kind in
    safety) flags="-DSAFETY -DNOCLAIM" run="-m100000" ;;
    liveness) flags="" run="-m100000 -a -N progress" ;;
    esac
    # Flags are split on purpose.
    # shellcheck disable=SC2086
    {
        spin -a "$@" "$model" &&
            ${CC:-gcc} -O$optimise -w $flags -DMEMLIM=1000 -o pan pan.c &&
            ./pan $run
    } >report 2>&1
}

states() {
    sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' report | head -n 1
}

fault() {
    sed -n 's/^pan:1: \(.*\) (at depth.*/\1/p' report | head -n 1
}

# holds KIND DEFINITIONS…
holds() {
    search "$@"
    if grep -q 'errors: 0$' report && ! grep -qE 'depth too small|Search not completed|memory limit' report; then
        echo "holds      $* ($(states) states)"
    else
        echo "FAILED     $*: $(fault)"
        cat report
        failed=1
    fi
}

# found KIND FAULT MUTANT: the mutant is found by this fault.
found() {
    search "$1" -DLIVES=2 "-DMUTANT_$3"
    if [[ $(fault) == *"$2"* ]]; then
        echo "found      $3"
    else
        echo "NOT FOUND  $3: expected the fault \"$2\", got \"$(fault)\""
        cat report
        failed=1
    fi
}

holds safety -DLIVES=2
holds safety -DCIDS=2 -DNATIVE
holds liveness -DLIVES=2
if [ "${1:-test}" = full ]; then
    optimise=2
    holds safety -DNATIVE -DLIVES=2
    holds safety
    optimise=0
fi
found safety "s_window" COMMIT_AFTER_DELIVERY
found safety "!(((delivered" WINDOW_IN_MEMORY
found safety "!(((delivered" NO_DEDUPE
found safety "s_open&" STEP3_NOT_REPEATED
found safety "confirmed_by_c&" STEP3_NOT_BOUND
found safety "opened_by_s&" ACK_BEFORE_STORE
found safety "(delivered&" RECEIPT_BEFORE_DELIVERY
found safety "(delivered&" RECEIPT_FOR_REPLAY
found safety "!(((sealed&" NUMBERS_NOT_RESERVED
found safety "invalid end state" NOT_SEALED_AGAIN
found liveness "acceptance cycle" NOT_SEALED_AGAIN
exit $failed
