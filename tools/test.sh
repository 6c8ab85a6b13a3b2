#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# All that CI runs. Ends with the line `N passed, N failed`; the exit code says the same.
#   release (GCC)                   every test
#   asan    (GCC, ASan and UBSan)   all but js, tidy and package, which look at the release only
#   tsan    (GCC, TSan)             unit and threads
#   clang   (warnings as errors)    is built, not run
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
unset CC CFLAGS LDFLAGS
export UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=second_deadlock_stack=1

passed=0
failed=0

say() {
    printf '\n== %s (%d s)\n' "$*" "$SECONDS"
}

# build PRESET: a build that fails counts as one failure.
build() {
    local preset=$1 log
    say "build $preset"
    log=$(mktemp)
    if cmake --preset "$preset" -DSMQTT_TESTS=ON >"$log" 2>&1 &&
        cmake --build --preset "$preset" -j"$(nproc)" >"$log" 2>&1; then
        rm -f "$log"
        return 0
    fi
    cat "$log"
    rm -f "$log"
    echo "build $preset failed"
    failed=$((failed + 1))
    return 1
}

# The attribute $2 of the report $1.
figure() {
    sed -n "s/.*[[:space:]]$2=\"\([0-9]*\)\".*/\1/p" "$1" | head -n 1
}

# run PRESET ARGUMENTS…: runs a build's tests and adds them up.
run() {
    local preset=$1 report before=$failed code n bad skipped off
    shift
    say "test ${preset:-release}"
    report=$(mktemp)
    "${wrap[@]}" ctest --test-dir "build${preset:+-$preset}" -j"$(nproc)" --output-on-failure --no-tests=error \
        --output-junit "$report" "$@"
    code=$?
    n=$(figure "$report" tests)
    bad=$(figure "$report" failures)
    skipped=$(figure "$report" skipped)
    off=$(figure "$report" disabled)
    rm -f "$report"
    passed=$((passed + ${n:-0} - ${bad:-0} - ${skipped:-0} - ${off:-0}))
    failed=$((failed + ${bad:-0}))
    if [ $code != 0 ] && [ $failed = "$before" ]; then
        echo "test ${preset:-release}: ctest ended with code $code"
        failed=$((failed + 1))
    fi
}

wrap=()
if ! tools/setup.sh test; then
    echo "0 passed, 1 failed"
    exit 1
fi

build release && run ""
build asan && run asan -LE '^(js|tidy|package)$'
# The thread sanitizer of GCC 12 does not know the address layout of newer kernels unless it is fixed.
if build tsan; then
    if setarch "$(uname -m)" -R true 2>/dev/null; then
        wrap=(setarch "$(uname -m)" -R)
    fi
    run tsan -L '^(unit|threads)$'
    wrap=()
fi
build clang

printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
