# SPDX-License-Identifier: Apache-2.0
"""The story of `make demo BROKER=host:port` through brokers of others: the same in result as through ours, and nothing
of it is left behind there."""
import os
import re
import subprocess

from brokers import KINDS
from harness import BIN, main, wait_until
from smqtt_cli import Sub

TEXT = "あいうえお"
WRONG = ["0x0C", "0x0D", "step 0 with flag 1", "the sealed message behind it", "after: plaintext", "in a client id",
         "in a topic", "in a will", "recorded"]


def demo(broker, where):
    done = subprocess.run(["tools/demo.sh"], capture_output=True, timeout=200, check=False, stdin=subprocess.DEVNULL,
                          env={**os.environ, "BROKER": where, "SMQTT_BIN": BIN, "NO_COLOR": "1"})
    out = done.stdout.decode()
    assert done.returncode == 0 and out.endswith("Everything held.\n"), (out + done.stderr.decode())[-3000:]
    name = re.search(r"begin with the random name (smqtt-[0-9a-f]{8})\.", out).group(1)
    printed = re.search(r"All that the server printed.*?\n(.*?)\n  smqtt: ", out, re.S).group(1).splitlines()
    head = "  PEER_ANON %s/sensors/1 " % name
    assert all(line.startswith(head) for line in printed), printed
    texts = [line[len(head):] for line in printed]
    assert texts[:4] == [TEXT, TEXT, "still well", "still well"], texts
    assert sorted(next(w for w in WRONG if t.endswith(w)) for t in texts[4:]) == sorted(WRONG), texts
    assert broker.is_running(), "the broker is gone"
    return out, name


def left(broker):
    """What the broker keeps: all that comes before a mark."""
    watch = Sub(broker, "-V", "311", "-t", "#", "-F", "%r %t")
    subprocess.run([os.path.join(BIN, "smqtt"), "pub", "-p", str(broker.port), "-t", "mark", "-m", "x", "-q", "1"],
                   check=True)
    wait_until(lambda: b" mark\n" in watch.output(), 30, "the mark")
    return [line for line in watch.output().splitlines() if not line.endswith(b" mark")]


def through(kind):
    def test():
        broker = KINDS[kind]()
        out, name = demo(broker, "127.0.0.1:%d" % broker.port)
        if kind != "smqttd":
            assert "%s/own/" % name in out, "the handshake is not shown as messages"
            assert "it goes as an ordinary message" in out
            kept = [line for line in left(broker) if not line.startswith(b"1 $") and name.encode() in line]
            assert not kept, "left behind: %s" % kept
        broker.stop()
    test.__name__ = "test_" + kind
    return test


def test_nobody_there():
    done = subprocess.run(["tools/demo.sh"], capture_output=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
                          env={**os.environ, "BROKER": "127.0.0.1:1", "SMQTT_BIN": BIN})
    assert done.returncode == 1 and b"no broker answers at 127.0.0.1:1" in done.stderr, done.stderr


main(*[through(kind) for kind in KINDS], test_nobody_there, at_once=5)
