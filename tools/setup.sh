#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing on Debian 12, and nothing else: setup.sh run|fuzz|fmt|paper|prove|test. Silent, quick and
# without network when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()

# need PACKAGES TEST…: the packages are wanted when the test fails.
need() {
    local packages=$1
    shift
    # Names of packages are split on purpose.
    # shellcheck disable=SC2206
    "$@" >/dev/null 2>&1 || missing+=($packages)
}

has() {
    command -v "$1"
}

has_library() {
    pkg-config --exists "$1"
}

# libFuzzer and the sanitizers of clang.
has_clang_runtime() {
    local dir
    dir=$(clang -print-runtime-dir) && compgen -G "$dir/libclang_rt.fuzzer*.a"
}

want_run() {
    need gcc has gcc
    need make has make
    need cmake has cmake
    need git has git
    need python3 has python3
    need pkg-config has pkg-config
    need libc6-dev test -e /usr/include/stdlib.h
    need libssl-dev has_library libssl
    need libargon2-dev has_library libargon2
    need libcjson-dev has_library libcjson
    need libqrencode-dev has_library libqrencode
    need librocksdb-dev has_library rocksdb
}

want_fuzz() {
    need clang has clang
    need libclang-rt-14-dev has_clang_runtime
}

want_paper() {
    need gnuplot-nox has gnuplot
}

want_fmt() {
    need clang-format-14 has clang-format-14
}

want_prove() {
    need frama-c-base has frama-c
    need why3 has why3
    need cvc4 has cvc4
    need spin has spin
    need eprover has eprover
}

want_test() {
    need binutils has nm
    need g++ has g++
    need groff-base has groff
    need man-db has lexgrog
    need libcmocka-dev has_library cmocka
    # Paho comes from Debian, so it needs the Python of Debian.
    need python3 test -x /usr/bin/python3
    need openssl has openssl
    need spin has spin
    need eprover has eprover
    need libmosquitto-dev has_library libmosquitto
    need libpaho-mqtt-dev test -e /usr/include/MQTTClient.h
    need mosquitto test -x /usr/sbin/mosquitto
    need nats-server test -x /usr/sbin/nats-server
    need mosquitto-clients has mosquitto_pub
    need python3-paho-mqtt test -e /usr/lib/python3/dist-packages/paho/mqtt/client.py
    # A Node.js that does not come from Debian brings its own npm, with which Debian's would be in conflict.
    need "nodejs ca-certificates" has node
    need "npm ca-certificates" has npm
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# The packages of brokers start them at once and at every boot; here they only lend their programs to the tests.
policy=/usr/sbin/policy-rc.d
policy_made=no
log=
no_services() {
    if [ ! -e "$policy" ]; then
        policy_made=yes
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    fi
}
services_again() {
    if [ "$policy_made" = yes ]; then
        policy_made=no
        as_root rm -f "$policy"
    fi
}

install_missing() {
    echo "setup: installing ${missing[*]}"
    if ! has apt-get >/dev/null; then
        echo "setup: this is not Debian; install the equivalents of: ${missing[*]}" >&2
        exit 1
    fi
    if [ "$(id -u)" != 0 ] && ! has sudo >/dev/null; then
        echo "setup: run this as root, or install sudo; these packages are missing: ${missing[*]}" >&2
        exit 1
    fi
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300)
    local brokers=() broker
    for broker in mosquitto nats-server; do
        case " ${missing[*]} " in *" $broker "*) brokers+=("$broker") ;; esac
    done
    log=$(mktemp)
    trap 'services_again; rm -f "$log"' EXIT
    trap 'exit 1' INT TERM HUP
    [ ${#brokers[@]} = 0 ] || no_services
    if ! { as_root "${apt[@]}" update &&
        as_root "${apt[@]}" install --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
        cat "$log" >&2
        echo "setup: apt-get could not install: ${missing[*]}" >&2
        exit 1
    fi
    services_again
    if [ ${#brokers[@]} != 0 ] && has systemctl >/dev/null; then
        as_root systemctl disable "${brokers[@]}" >/dev/null 2>&1 || true
    fi
}

# What the tests in JavaScript use, exactly as their lock file says.
install_npm() {
    local lock=tests/js/package-lock.json done=tests/js/node_modules/.lock-installed
    if [ ! -e $lock ] || cmp -s $lock $done; then
        return 0
    fi
    echo "setup: installing the packages of tests/js"
    (cd tests/js && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) || return 1
    cp $lock $done # only now: what broke off half-way is done again
}

level=${1:-run}
case $level in
run) want_run ;;
fuzz) want_run && want_fuzz ;;
fmt) want_fmt ;;
paper) want_run && want_paper ;;
prove) want_run && want_prove ;;
test) want_run && want_fuzz && want_fmt && want_test ;;
*)
    echo "usage: tools/setup.sh run|fuzz|fmt|paper|prove|test" >&2
    exit 2
    ;;
esac
[ ${#missing[@]} = 0 ] || install_missing
[ "$level" != test ] || install_npm
