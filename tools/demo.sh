#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# S-MQTT end to end, played before your eyes: every claim on the screen is checked, and the exit code is 0 only when all
# held. Programs from build/bin, or from the directory that SMQTT_BIN names. Free ports, a temporary directory, nothing
# is left behind.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

bin=$(cd "${SMQTT_BIN:-build/bin}" 2>/dev/null && pwd) || {
    echo "demo: there are no programs in ${SMQTT_BIN:-build/bin}: run make first" >&2
    exit 1
}
hostile=$PWD/tools/hostile.py
python=/usr/bin/python3
export PATH=$bin:$PATH
dir=$(mktemp -d "${TMPDIR:-/tmp}/smqtt-demo.XXXXXX")
pids=()
step="start"

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' dim=$'\e[2m' cyan=$'\e[1;36m' green=$'\e[32m' red=$'\e[31m' off=$'\e[0m'
else
    bold='' dim='' cyan='' green='' red='' off=''
fi

finish() {
    local code=$?
    local pid
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null
    done
    wait 2>/dev/null
    rm -rf "$dir"
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

# fail REASON: names the step, shows what was logged.
fail() {
    echo "${red}demo: the step '$step' failed: $1${off}" >&2
    for log in "$dir"/*.err "$dir"/*.log; do
        [ -s "$log" ] && sed "s|^|    $(basename "$log"): |" "$log" | tail -n 8 >&2
    done
    exit 1
}

title() {
    step=$1
    printf '\n%s== %s ==%s\n' "$cyan" "$1" "$off"
}

explain() {
    printf '%s\n' "$@"
}

show() {
    printf '%s$ %s%s\n' "$bold" "$1" "$off"
}

good() {
    printf '%s  ok%s  %s\n' "$green" "$off" "$1"
}

saw() {
    sed "s|^|  ${dim}|; s|\$|${off}|"
}

# until_true SECONDS COMMAND…: waits until the command succeeds.
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@" 2>/dev/null; do
        [ "$SECONDS" -le "$end" ] || return 1
        sleep 0.05
    done
}

# server NAME FLAGS…: starts `smqtt sub` as the server NAME and waits until it is registered and subscribed.
server() {
    local name=$1
    shift
    smqtt sub -p "$port" --identity "$name.id" --progress "$@" >"$name.out" 2>"$name.err" &
    server_pid=$!
    pids+=("$server_pid")
    until_true 5 grep -q 'registered as server' "$name.err" || fail "the server '$name' is not registered at the broker"
    until_true 5 grep -q '^subscribed' "$name.err" || fail "the server '$name' has not subscribed"
}

# send TEXT [FLAGS…]: a sealed message to server.pub.
send() {
    local message=$1
    shift
    smqtt pub -p "$port" --to server.pub -t sensors/1 -m "$message" "$@" 2>pub.err
}

# The server has printed exactly the lines of the file `expected`.
as_expected() {
    cmp -s expected server.out
}

# healthy MARK: the subscriber still gets what is sealed for it, and got nothing else.
healthy() {
    echo "PEER_ANON sensors/1 $1" >>expected
    send "$1" || fail "after that a sealed message was not confirmed: $(cat pub.err)"
    until_true 5 as_expected || fail "the server printed something else than what was sealed for it"
}

cd "$dir" || exit 1
text='あいうえお'

title "A broker that nobody has to trust"
explain "smqttd starts on a free port of this machine, without any configuration."
show "smqttd -p 0"
smqttd -p 0 >broker.log 2>&1 &
pids+=($!)
broker_pid=$!
until_true 5 grep -q 'listen socket on port' broker.log || fail "smqttd does not listen"
port=$(sed -n 's/.*listen socket on port \([0-9]*\).*/\1/p' broker.log | head -n 1)
good "the broker listens on port $port"

title "The server makes its identity"
explain "Two key pairs and a name, signed. The private file stays with the server, the public line goes to its clients."
show "smqtt id new sensors-server -o server.id"
smqtt id new sensors-server -o server.id >id.out 2>id.err || fail "no identity was made"
saw <id.out
[ "$(stat -c %a server.id)" = 600 ] || fail "server.id can be read by others"
grep -q '^smqtt-x25519 ' server.pub || fail "server.pub holds no public line"
good "server.id is readable by its owner only; server.pub is one line of $(($(wc -c <server.pub))) bytes"

title "The server listens; an ordinary MQTT client listens, too"
show "smqtt sub -t 'sensors/#' --identity server.id -F '%Z %t %p'"
server server -t 'sensors/#' -F '%Z %t %p'
show "smqtt sub -t '#' -F '%t %x'        # a third party, with no keys"
smqtt sub -p "$port" -V 5 -t '#' --progress -F '%t %x' >other.out 2>other.err &
pids+=($!)
until_true 5 grep -q '^subscribed' other.err || fail "the ordinary client has not subscribed"
healthy_pid=$server_pid
good "both are connected"

title "The client seals a message"
show "smqtt pub --to server.pub -t sensors/1 -m '$text'"
: >expected
echo "PEER_ANON sensors/1 $text" >>expected
send "$text" || fail "the message was not confirmed: $(cat pub.err)"
good "exit code 0: the server has confirmed that it holds exactly what was sent"

title "What each of them saw"
until_true 5 as_expected || fail "the server did not print the message"
explain "The server (class, topic, text):"
saw <server.out
good "equal to what was sent; PEER_ANON: sealed, by a client without an identity of its own"
until_true 5 grep -q '^sensors/1 ' other.out || fail "the ordinary client saw nothing"
explain "The ordinary client, and the broker, saw of it:"
grep '^sensors/1 ' other.out | cut -c 1-100 | saw
hex=$(printf %s "$text" | od -An -v -tx1 | tr -d ' \n')
grep -q "$hex" other.out && fail "the text was on the wire in plain"
[ "$(grep -c '^sensors/1 ' other.out)" = 1 ] || fail "the message was published more than once"
good "only sealed bytes: the text ($hex) is nowhere among them"

title "The four steps in between"
explain "Before the first message client and server run DETECT through the broker. The same once more, step by step:"
show "smqtt detect --to server.pub -t sensors/1 -m '$text'"
NO_COLOR=1 smqtt detect -p "$port" --to server.pub -t sensors/1 -m "$text" >detect.out 2>detect.err ||
    fail "the handshake was not confirmed: $(cat detect.err)"
saw <detect.out
echo "PEER_ANON sensors/1 $text" >>expected
for want in 'step 0 .*encrypt' 'header   0x01' 'step 2 ' 'header   0x0C' 'flag     1' 'hashes   equal' 'header   0x0F' \
    'verdict  1'; do
    grep -q "$want" detect.out || fail "the trace does not show '$want'"
done
hash=$(printf %s "$text" | sha256sum | cut -d ' ' -f 1)
[ "$(grep -c "$hash" detect.out)" = 2 ] || fail "the hashes shown are not SHA-256 of the text"
until_true 5 as_expected || fail "the server did not print what followed the handshake"
good "step 0 encrypts, step 1 saves, step 2 signs the hash of what the server holds, step 3 verifies: flag 1, verdict 1"
smqtt id journal server.id >journal.out 2>journal.err || fail "the journal cannot be read: $(cat journal.err)"
[ -s journal.out ] || fail "the journal is empty"
explain "What the server saved in step 1 (smqtt id journal server.id):"
tail -n 2 journal.out | cut -c 1-160 | saw
good "the journal tells when, from whom, with which outcome"

# survives NAME CHARSET TEXT WHY: a server that cannot hold the text.
survives() {
    local name=$1 charset=$2 message=$3 why=$4 before after
    title "Section 4.2 of the paper: a server that holds text in $charset"
    explain "$why"
    smqtt id new "$name-server" -o "$name.id" >/dev/null 2>"$name-id.err" || fail "no identity was made"
    show "smqtt sub -t 'legacy/#' --identity $name.id --charset $charset"
    server "$name" -t "legacy/#" --charset "$charset"
    before=$(grep -c '^legacy/' other.out)
    show "smqtt pub --to $name.pub -t legacy/1 -m '$message'"
    smqtt pub -p "$port" --to "$name.pub" -t legacy/1 -m "$message" >pub.out 2>pub.err && fail "it was confirmed"
    saw <pub.err
    grep -q 'does not survive' pub.err || fail "the sentence does not say why"
    NO_COLOR=1 smqtt detect -p "$port" --to "$name.pub" -t legacy/1 -m "$message" >detect.out 2>detect.err &&
        fail "the handshake was confirmed"
    grep -q 'flag     0' detect.out || fail "the flag is not 0"
    grep -q 'header   0x04' detect.out || fail "step 2 is not 0x04"
    grep -q 'verdict  0' detect.out || fail "the verdict is not 0"
    good "flag 0 in step 2 (header 0x04), verdict 0 in step 3: the access ends"
    send "still well" || fail "the other server is disturbed: $(cat pub.err)"
    echo "PEER_ANON sensors/1 still well" >>expected
    after=$(grep -c '^legacy/' other.out)
    [ "$before" = "$after" ] || fail "something was published on legacy/1"
    [ ! -s "$name.out" ] || fail "the server printed something"
    good "nothing was published: neither the server nor anybody else got a byte of it"
}

survives ascii US-ASCII "$text" "It has no Japanese letters. Sending them would end in mojibake; so nothing is sent."
survives sjis SHIFT_JIS '안녕하세요' "It has Japanese letters, but no Korean ones."
show "smqtt pub --to sjis.pub -t legacy/1 -m '$text'"
smqtt pub -p "$port" --to sjis.pub -t legacy/1 -m "$text" 2>pub.err || fail "Japanese text was refused: $(cat pub.err)"
until_true 5 test -s sjis.out || fail "the Shift_JIS server printed nothing"
[ "$(od -An -v -tx1 <sjis.out | tr -d ' \n')" = 82a082a282a482a682a80a ] || fail "these are not the bytes of Shift_JIS"
good "what it can hold, it gets, in its own character set: $(od -An -v -tx1 <sjis.out | tr -d '\n')"

# attack NAME ARGUMENTS…: a hostile client; then the healthy subscriber is looked after.
attack() {
    local name=$1
    shift
    step="hostile client: $name"
    "$python" "$hostile" "$@" --port "$port" >hostile.out 2>&1 || fail "$name: $(cat hostile.out)"
    healthy "after: $name"
    good "$name: $(cat hostile.out)"
}

title "Hostile clients"
explain "Each of them may only hurt itself. After each the server must still get its next sealed message, and no other."
attack "ill-formed UTF-8 in a topic" topic
attack "ill-formed UTF-8 in a will" will
attack "ill-formed UTF-8 in a client id" client-id
attack "a flipped flag bit: step 0 with flag 1" header 0x09
attack "a flipped path bit: 0x0D" header 0x0D
attack "a server's answer from a client: 0x0C" header 0x0C

step="hostile client: replay"
"$python" "$hostile" record --port "$port" --out recorded >proxy.out 2>proxy.err &
pids+=($!)
until_true 5 test -s proxy.out || fail "the recording proxy does not listen"
echo "PEER_ANON sensors/1 recorded" >>expected
smqtt pub -p "$(cat proxy.out)" --to server.pub -t sensors/1 -m recorded 2>pub.err ||
    fail "the recorded client was not confirmed: $(cat pub.err)"
opened=$(grep -c '^session opened' server.err)
attack "a replayed step 0, and the sealed message behind it" replay recorded
[ "$(grep -c '^session opened' server.err)" = $((opened + 1)) ] || fail "the replay opened a session"
grep -q 'received before' server.err || fail "the server did not notice the replayed message"

step="plaintext where sealing is required"
smqtt pub -p "$port" -t sensors/1 -m 'not sealed' -q 1 2>pub.err || fail "the broker did not take it: $(cat pub.err)"
healthy "after: plaintext"
grep -q 'requires sealing' server.err || fail "the server did not count the plaintext"
good "plaintext on a topic that requires sealing: the server counts it and prints nothing"

title "The healthy subscriber"
kill -INT "$healthy_pid"
wait "$healthy_pid"
as_expected || fail "the server printed something else than what was sealed for it"
explain "All that the server printed, from first to last:"
saw <server.out
grep 'not printed' server.err | saw
grep -q '1 in plain' server.err || fail "the summary does not count the plaintext"
[ "$(grep -c '^subscribed' server.err)" = 1 ] || fail "the server had to connect again"
kill -0 "$broker_pid" 2>/dev/null || fail "the broker has ended"
good "it was connected all the time, got every message that was sealed for it, and nothing else"

printf '\n%sEverything held.%s\n' "$green" "$off"
