#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# S-MQTT end to end, played before your eyes: every claim on the screen is checked, and the exit code is 0 only when all
# held. Programs from build/bin, or from the directory that SMQTT_BIN names. Free ports, a temporary directory, nothing
# is left behind.
#   BROKER=host:port   through the broker that listens there, whatever it is, instead of smqttd: all topics begin with a
#                      random name, and what was retained is removed at the end
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
# Of a broker elsewhere: where it is, how to get there (flags of smqtt and of the hostile clients), what all topics
# begin with. Without BROKER the broker is ours.
foreign=${BROKER:-}
host=${foreign%:*} at=() own=() sealed=() hostile_at=() base=''

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' dim=$'\e[2m' cyan=$'\e[1;36m' green=$'\e[32m' red=$'\e[31m' off=$'\e[0m'
else
    bold='' dim='' cyan='' green='' red='' off=''
fi

# sweep SECONDS: removes what is retained under the random name.
sweep() {
    smqtt sub "${at[@]}" -t "$base#" -q 1 --retained-only --remove-retained -W "$1" >/dev/null 2>&1
    return 0
}

finish() {
    local code=$?
    local pid
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null
    done
    wait 2>/dev/null
    [ -z "$base" ] || [ -n "${swept:-}" ] || sweep 2
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
    smqtt sub "${sealed[@]}" --identity "$name.id" --progress "$@" >"$name.out" 2>"$name.err" &
    server_pid=$!
    pids+=("$server_pid")
    if [ -z "$foreign" ]; then
        until_true 5 grep -q 'registered as server' "$name.err" ||
            fail "the server '$name' is not registered at the broker"
    fi
    until_true 5 grep -q '^subscribed' "$name.err" || fail "the server '$name' has not subscribed"
}

# send TEXT [FLAGS…]: a sealed message to server.pub.
send() {
    local message=$1
    shift
    smqtt pub "${sealed[@]}" --to server.pub -t "${base}sensors/1" -m "$message" "$@" 2>pub.err
}

# The server has printed exactly the lines of the file `expected`.
as_expected() {
    cmp -s expected server.out
}

# healthy MARK: the subscriber still gets what is sealed for it, and got nothing else.
healthy() {
    echo "PEER_ANON ${base}sensors/1 $1" >>expected
    send "$1" || fail "after that a sealed message was not confirmed: $(cat pub.err)"
    until_true 5 as_expected || fail "the server printed something else than what was sealed for it"
}

cd "$dir" || exit 1
text='あいうえお'

if [ -n "$foreign" ]; then
    title "A broker that nobody has to trust, and that knows nothing of S-MQTT"
    port=${foreign##*:}
    case $foreign in *:*) ;; *) port=1883 ;; esac
    host=${host#[} host=${host%]}
    at=(-h "$host" -p "$port") hostile_at=(--host "$host" --foreign)
    name=smqtt-$(od -An -N4 -tx4 </dev/urandom | tr -d ' ')
    base=$name/
    own=(--topic-prefix "$name/own")
    sealed=("${at[@]}" "${own[@]}")
    hostile_at+=(--root "$base")
    explain "It is the one at $foreign, as it is. All topics of this demo begin with the random name $name."
    show "smqtt pub -h $host -p $port -t ${base}hello -m hello -q 1"
    smqtt pub "${at[@]}" -t "${base}hello" -m hello -q 1 2>pub.err || fail "no broker answers at $foreign"
    good "the broker at $foreign takes messages"
else
    title "A broker that nobody has to trust"
    explain "smqttd starts on a free port of this machine, without any configuration."
    show "smqttd -p 0"
    smqttd -p 0 >broker.log 2>&1 &
    pids+=($!)
    broker_pid=$!
    until_true 5 grep -q 'listen socket on port' broker.log || fail "smqttd does not listen"
    port=$(sed -n 's/.*listen socket on port \([0-9]*\).*/\1/p' broker.log | head -n 1)
    good "the broker listens on port $port"
    at=(-p "$port") sealed=(-p "$port")
fi

title "The server makes its identity"
explain "Two key pairs and a name, signed. The private file stays with the server, the public line goes to its clients."
show "smqtt id new sensors-server -o server.id"
smqtt id new sensors-server -o server.id >id.out 2>id.err || fail "no identity was made"
saw <id.out
[ "$(stat -c %a server.id)" = 600 ] || fail "server.id can be read by others"
grep -q '^smqtt-x25519 ' server.pub || fail "server.pub holds no public line"
good "server.id is readable by its owner only; server.pub is one line of $(($(wc -c <server.pub))) bytes"

title "The server listens; an ordinary MQTT client listens, too"
show "smqtt sub -t '${base}sensors/#' --identity server.id -F '%Z %t %p'"
server server -t "${base}sensors/#" -F '%Z %t %p'
show "smqtt sub -t '$base#' -F '%t %x'        # a third party, with no keys"
other=(-V 5)
[ -z "$foreign" ] || other=()
smqtt sub "${at[@]}" "${other[@]}" -t "$base#" --progress -F '%t %x' >other.out 2>other.err &
pids+=($!)
until_true 5 grep -q '^subscribed' other.err || fail "the ordinary client has not subscribed"
healthy_pid=$server_pid
good "both are connected"

title "The client seals a message"
show "smqtt pub --to server.pub -t ${base}sensors/1 -m '$text'"
: >expected
echo "PEER_ANON ${base}sensors/1 $text" >>expected
send "$text" || fail "the message was not confirmed: $(cat pub.err)"
good "exit code 0: the server has confirmed that it holds exactly what was sent"

title "What each of them saw"
until_true 5 as_expected || fail "the server did not print the message"
explain "The server (class, topic, text):"
saw <server.out
good "equal to what was sent; PEER_ANON: sealed, by a client without an identity of its own"
until_true 5 grep -q "^${base}sensors/1 " other.out || fail "the ordinary client saw nothing"
explain "The ordinary client, and the broker, saw of it:"
grep "^${base}sensors/1 " other.out | cut -c 1-100 | saw
hex=$(printf %s "$text" | od -An -v -tx1 | tr -d ' \n')
grep -q "$hex" other.out && fail "the text was on the wire in plain"
[ "$(grep -c "^${base}sensors/1 " other.out)" = 1 ] || fail "the message was published more than once"
if [ -n "$foreign" ]; then
    through=$(grep -c "^${base}own/[0-9a-f]*/[cs]/" other.out)
    explain "The handshake and the receipt went the same way, as $through ordinary messages under ${base}own:"
    grep "^${base}own/[0-9a-f]*/[cs]/" other.out | cut -c 1-100 | saw
fi
good "only sealed bytes: the text ($hex) is nowhere among them"

title "The four steps in between"
explain "Before the first message client and server run DETECT through the broker. The same once more, step by step:"
show "smqtt detect --to server.pub -t ${base}sensors/1 -m '$text'"
NO_COLOR=1 smqtt detect "${sealed[@]}" --to server.pub -t "${base}sensors/1" -m "$text" \
    >detect.out 2>detect.err ||
    fail "the handshake was not confirmed: $(cat detect.err)"
saw <detect.out
echo "PEER_ANON ${base}sensors/1 $text" >>expected
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
    show "smqtt sub -t '${base}legacy/#' --identity $name.id --charset $charset"
    server "$name" -t "${base}legacy/#" --charset "$charset"
    before=$(grep -c "^${base}legacy/" other.out)
    show "smqtt pub --to $name.pub -t ${base}legacy/1 -m '$message'"
    smqtt pub "${sealed[@]}" --to "$name.pub" -t "${base}legacy/1" -m "$message" >pub.out 2>pub.err &&
        fail "it was confirmed"
    saw <pub.err
    grep -q 'does not survive' pub.err || fail "the sentence does not say why"
    NO_COLOR=1 smqtt detect "${sealed[@]}" --to "$name.pub" -t "${base}legacy/1" -m "$message" \
        >detect.out 2>detect.err &&
        fail "the handshake was confirmed"
    grep -q 'flag     0' detect.out || fail "the flag is not 0"
    grep -q 'header   0x04' detect.out || fail "step 2 is not 0x04"
    grep -q 'verdict  0' detect.out || fail "the verdict is not 0"
    good "flag 0 in step 2 (header 0x04), verdict 0 in step 3: the access ends"
    send "still well" || fail "the other server is disturbed: $(cat pub.err)"
    echo "PEER_ANON ${base}sensors/1 still well" >>expected
    after=$(grep -c "^${base}legacy/" other.out)
    [ "$before" = "$after" ] || fail "something was published on legacy/1"
    [ ! -s "$name.out" ] || fail "the server printed something"
    good "nothing was published: neither the server nor anybody else got a byte of it"
}

survives ascii US-ASCII "$text" "It has no Japanese letters. Sending them would end in mojibake; so nothing is sent."
survives sjis SHIFT_JIS '안녕하세요' "It has Japanese letters, but no Korean ones."
show "smqtt pub --to sjis.pub -t ${base}legacy/1 -m '$text'"
smqtt pub "${sealed[@]}" --to sjis.pub -t "${base}legacy/1" -m "$text" 2>pub.err ||
    fail "Japanese text was refused: $(cat pub.err)"
until_true 5 test -s sjis.out || fail "the Shift_JIS server printed nothing"
[ "$(od -An -v -tx1 <sjis.out | tr -d ' \n')" = 82a082a282a482a682a80a ] || fail "these are not the bytes of Shift_JIS"
good "what it can hold, it gets, in its own character set: $(od -An -v -tx1 <sjis.out | tr -d '\n')"

# attack NAME ARGUMENTS…: a hostile client; then the healthy subscriber is looked after. Ours has to end its connection;
# a broker elsewhere may bear what it likes (code 3).
attack() {
    local name=$1 code
    shift
    step="hostile client: $name"
    "$python" "$hostile" "$@" --port "$port" "${hostile_at[@]}" >hostile.out 2>&1
    code=$?
    [ $code = 0 ] || { [ -n "$foreign" ] && [ $code = 3 ]; } || fail "$name: $(cat hostile.out)"
    healthy "after: $name"
    good "$name: $(cat hostile.out)"
}

# On a broker that others use an ill-formed string could throw out who does not check.
is_near() {
    case $host in localhost | 127.* | ::1) return 0 ;; *) return 1 ;; esac
}

title "Hostile clients"
explain "Each of them may only hurt itself. After each the server must still get its next sealed message, and no other."
if [ -z "$foreign" ] || is_near; then
    attack "ill-formed UTF-8 in a topic" topic
    attack "ill-formed UTF-8 in a will" will
    attack "ill-formed UTF-8 in a client id" client-id
else
    explain "Ill-formed strings are left out: on a broker elsewhere they may hurt others that have no part in this."
fi
# false_headers WAY…: natively these bytes end the connection, in the tunnel they are noise.
false_headers() {
    attack "a flipped flag bit: step 0 with flag 1" "$@" 0x09
    attack "a flipped path bit: 0x0D" "$@" 0x0D
    attack "a server's answer from a client: 0x0C" "$@" 0x0C
}
[ -n "$foreign" ] || false_headers header

step="hostile client: replay"
"$python" "$hostile" record --port "$port" "${hostile_at[@]}" --out recorded >proxy.out 2>proxy.err &
pids+=($!)
until_true 5 test -s proxy.out || fail "the recording proxy does not listen"
echo "PEER_ANON ${base}sensors/1 recorded" >>expected
smqtt pub -p "$(cat proxy.out)" "${own[@]}" --to server.pub -t "${base}sensors/1" -m recorded 2>pub.err ||
    fail "the recorded client was not confirmed: $(cat pub.err)"
opened=$(grep -c '^session opened' server.err)
attack "a replayed step 0, and the sealed message behind it" replay recorded
[ "$(grep -c '^session opened' server.err)" = $((opened + 1)) ] || fail "the replay opened a session"
grep -q 'received before' server.err || fail "the server did not notice the replayed message"
if [ -n "$foreign" ]; then
    opened=$(grep -c '^session opened' server.err)
    if grep -aq '/own/[0-9a-f]*/c/' recorded; then
        false_headers relabel recorded
    else
        false_headers header
    fi
    [ "$(grep -c '^session opened' server.err)" = $((opened + 3)) ] || fail "a false header byte opened a session"
fi

step="plaintext where sealing is required"
smqtt pub "${at[@]}" -t "${base}sensors/1" -m 'not sealed' -q 1 2>pub.err ||
    fail "the broker did not take it: $(cat pub.err)"
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
one='[: ]1'
[ -z "$foreign" ] || one='[1-9][0-9]*' # some brokers hand on the ill-formed topic, too
grep -q "$one in plain" server.err || fail "the summary does not count the plaintext"
[ "$(grep -c '^subscribed' server.err)" = 1 ] || fail "the server had to connect again"
if [ -z "$foreign" ]; then
    kill -0 "$broker_pid" 2>/dev/null || fail "the broker has ended"
fi
good "it was connected all the time, got every message that was sealed for it, and nothing else"

if [ -n "$foreign" ]; then
    title "Nothing is left behind"
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null
    done
    wait 2>/dev/null
    show "smqtt sub -t '$base#' --retained-only --remove-retained -W 2"
    sweep 2
    swept=yes
    smqtt sub "${at[@]}" -t "$base#" -q 1 --retained-only -W 1 -F '%t' >left.out 2>left.err
    [ ! -s left.out ] || fail "the broker still keeps $(head -n 1 left.out)"
    good "the broker at $foreign keeps no message of this demo"
fi

printf '\n%sEverything held.%s\n' "$green" "$off"
