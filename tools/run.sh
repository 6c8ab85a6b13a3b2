#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Plays the demo, then leaves a broker running in the foreground: on port 1883, or PORT=, or the next free one.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${SMQTT_BIN:-build/bin}
tools/demo.sh

# Is this port taken?
taken() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

wanted=${PORT:-1883}
port=$wanted
while taken "$port"; do
    port=$((port + 1))
done

made=
if [ ! -e server.id ]; then
    made="$bin/smqtt id new my-server -o server.id && "
fi
flag=
if [ "$port" != 1883 ]; then
    flag=" -p $port"
fi
echo
if [ "$port" != "$wanted" ]; then
    echo "Port $wanted is taken by another program; the broker takes $port."
fi
cat <<END
The broker now runs on port $port until you press Ctrl-C. In two other terminals, from $PWD:

  ${made}$bin/smqtt sub$flag -t 'sensors/#' --identity server.id
  $bin/smqtt pub$flag -t sensors/1 -m 'あいうえお' --to server.pub
  $bin/smqtt sub$flag -t '#' -F '%t %x'

The first is the server, the second seals a message for it, the third shows what everybody else sees.

END
exec "$bin/smqttd" -p "$port"
