#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# All that CI runs. Ends with the line `N passed, N failed`; the exit code says the same.
#   release (GCC)                   every test
#   asan    (GCC, ASan and UBSan)   all but js, tidy and package, which look at the release only
#   tsan    (GCC, TSan)             unit and threads
#   clang   (warnings as errors)    is built, not run
# The tests with the label e2e mostly wait for each other's programs, so more of them run at once than there are
# processors, and what that leaves of the processors builds the next presets.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
unset CC CFLAGS LDFLAGS
export UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS="second_deadlock_stack=1:suppressions=$PWD/tests/tsan.supp"

computing=$(nproc)
waiting=$((4 * computing))
passed=0
failed=0
work=$(mktemp -d)
builder=
trap 'rm -rf "$work"' EXIT
trap '[ -z "$builder" ] || kill -- "-$builder" 2>/dev/null; exit 1' INT TERM HUP

say() {
    printf '\n== %s (%d s)\n' "$*" "$SECONDS"
}

# build PRESET: its words and its exit code are kept in $work.
build() {
    local code=0
    {
        cmake --preset "$1" -DSMQTT_TESTS=ON && cmake --build --preset "$1" -j"$computing"
    } >"$work/$1.log" 2>&1 || code=$?
    echo "$code" >"$work/$1.code.new"
    mv "$work/$1.code.new" "$work/$1.code"
}

# built PRESET: waits for it; a build that failed counts as one failure.
built() {
    local preset=$1
    say "build $preset"
    while [ ! -e "$work/$preset.code" ] && kill -0 "$builder" 2>/dev/null; do
        sleep 0.2
    done
    if [ "$(cat "$work/$preset.code" 2>/dev/null)" = 0 ]; then
        return 0
    fi
    cat "$work/$preset.log"
    echo "build $preset failed"
    failed=$((failed + 1))
    return 1
}

# The attribute $2 of the report $1.
figure() {
    sed -n "s/.*[[:space:]]$2=\"\([0-9]*\)\".*/\1/p" "$1" | head -n 1
}

# run PRESET JOBS ARGUMENTS…: runs some of a build's tests and adds them up.
run() {
    local preset=$1 jobs=$2 report=$work/report.xml before=$failed code n bad skipped off
    shift 2
    say "test ${preset:-release} $*"
    rm -f "$report"
    "${wrap[@]}" ctest --test-dir "build${preset:+-$preset}" -j"$jobs" --output-on-failure --no-tests=error \
        --output-junit "$report" "$@"
    code=$?
    n=$(figure "$report" tests)
    bad=$(figure "$report" failures)
    skipped=$(figure "$report" skipped)
    off=$(figure "$report" disabled)
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

build release
# In a process group of its own, so that it can be ended as a whole.
set -m
{
    renice -n 19 -p "$BASHPID" >/dev/null
    for preset in asan tsan clang; do
        build "$preset"
    done
} &
builder=$!
set +m

if built release; then
    run "" "$computing" -LE '^e2e$'
    run "" "$waiting" -L '^e2e$'
fi
if built asan; then
    run asan "$computing" -LE '^(e2e|js|tidy|package)$'
    run asan "$waiting" -L '^e2e$'
fi
# The thread sanitizer of GCC 12 does not know the address layout of newer kernels unless it is fixed.
if built tsan; then
    if setarch "$(uname -m)" -R true 2>/dev/null; then
        wrap=(setarch "$(uname -m)" -R)
    fi
    run tsan "$computing" -L '^(unit|threads)$'
    wrap=()
fi
built clang
wait "$builder"

printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
