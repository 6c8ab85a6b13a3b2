# SPDX-License-Identifier: Apache-2.0
"""examples/device.c behind a modem of a few lines, which is Paho: it seals with memory of its own, not much of it."""
import os
import re
import struct
import subprocess
import threading
import time

from brokers import Mosquitto, Smqttd
from harness import BIN, V311, Paho, main
from smqtt_cli import Sub, folder, identity

DEVICE = os.path.join(BIN, "..", "examples", "device")
TEXT = "21.5 °C"


class Modem:
    """Frames of the device become calls of Paho, messages and the time become frames."""

    def __init__(self, broker, public, text):
        with open(public, encoding="ascii") as f:
            line = f.read().strip()
        self.device = subprocess.Popen([DEVICE, line, "s/1", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE)
        self.paho, self.lock, self.published = Paho(broker, V311, "device"), threading.Lock(), []
        self.paho.client.on_message = lambda c, u, m: self.frame(b"M", m.topic.encode(), m.payload)
        threading.Thread(target=self.clock, daemon=True).start()

    def frame(self, kind, topic, payload):
        with self.lock:
            try:
                self.device.stdin.write(kind + struct.pack(">BBHH", 0, 0, len(topic), len(payload)) + topic + payload)
                self.device.stdin.flush()
            except (OSError, ValueError):
                pass

    def clock(self):
        while self.device.poll() is None:
            self.frame(b"T", b"", struct.pack(">QQ", time.time_ns() // 10**6, time.monotonic_ns() // 10**6))
            time.sleep(0.1)

    def run(self):
        """(exit code, what it says of its memory)."""
        while head := self.device.stdout.read(7):
            kind, qos, retain, topic_len, size = struct.unpack(">cBBHH", head)
            topic, payload = self.device.stdout.read(topic_len).decode(), self.device.stdout.read(size)
            if kind == b"S":
                self.paho.client.subscribe(topic, qos)
            elif kind == b"U":
                self.paho.client.unsubscribe(topic)
            else:
                self.published.append(payload)
                self.paho.client.publish(topic, payload, qos, bool(retain))
        said = self.device.stderr.read()
        code = self.device.wait()
        self.paho.close()
        return code, said


def test_device():
    for kind in (Mosquitto, Smqttd):
        broker = kind()
        private, public = identity(folder(), "server")
        server = Sub(broker, "-t", "s/#", "--tunnel", "-F", "%Z %t %p", identity=private)
        modem = Modem(broker, public, TEXT)
        code, said = modem.run()
        assert code == 0, said
        server.expect(("PEER_ANON s/1 %s\n" % TEXT).encode())
        assert len(modem.published) == 3, "step 0, step 3 and one record"
        assert not [p for p in modem.published if TEXT.encode() in p]
        kept, most = map(int, re.search(rb"session: (\d+) bytes, at most (\d+)", said).groups())
        print("memory: %d bytes, at most %d" % (kept, most))
        assert kept <= most <= 44 * 1024, "docs/libsmqtt.md says less"
        server.child.stop()
        broker.stop()


def test_memory_ends():
    """It is told, and nothing leaves, when the server's line does not fit or is none."""
    for line in ("smqtt-x25519 AAAA", ""):
        done = subprocess.run([DEVICE, line, "s/1", "x"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        assert done.returncode == 2 and not done.stdout


main(test_device, test_memory_ends)
