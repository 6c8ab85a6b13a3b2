#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Bytes on the wire of a TLS 1.3 handshake with ECDSA P-256 certificates (a CA and one leaf), as openssl's own
# client counts them: server authenticated, and mutual. For comparison with DETECT in docs/performance.md.
set -euo pipefail
dir=$(mktemp -d)
pid=
cleanup() {
    [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
    rm -rf "$dir"
}
trap cleanup EXIT
cd "$dir"

key() {
    openssl ecparam -name prime256v1 -genkey -noout -out "$1.key" 2>/dev/null
}
key ca
openssl req -x509 -new -key ca.key -subj /CN=ca -days 30 -out ca.pem 2>/dev/null
for name in server client; do
    key $name
    openssl req -new -key $name.key -subj /CN=$name -out $name.csr 2>/dev/null
    openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out $name.pem 2>/dev/null
done

# one PORT SERVER_FLAGS [CLIENT FLAGS…]: prints read + written bytes of the handshake
one() {
    local port=$1 server_flags=$2
    shift 2
    # shellcheck disable=SC2086
    openssl s_server -accept "127.0.0.1:$port" -cert server.pem -key server.key -CAfile ca.pem $server_flags \
        -tls1_3 -num_tickets 0 -quiet >server.log 2>&1 &
    pid=$!
    for _ in $(seq 50); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
        sleep 0.1
    done
    openssl s_client -connect "127.0.0.1:$port" -CAfile ca.pem -tls1_3 "$@" </dev/null 2>/dev/null |
        sed -n 's/.*SSL handshake has read \([0-9]*\) bytes and written \([0-9]*\) bytes.*/\1 \2/p' |
        awk '{ print $1 + $2 }'
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    pid=
}

free_port() {
    /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

printf 'TLS 1.3, ECDSA P-256, server authenticated: %d bytes\n' "$(one "$(free_port)" "")"
mutual=$(one "$(free_port)" "-Verify 1" -cert client.pem -key client.key)
printf 'TLS 1.3, ECDSA P-256, mutual:               %d bytes\n' "$mutual"
