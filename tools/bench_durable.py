#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What durability costs: smqttd with a store beside the bare disk, beside the store without a broker, and beside
Debian's mosquitto with `persistence true`, which acknowledges what it has not written. Then a million retained and a
million queued messages: memory, disk, and the time to start again. Between the markers of docs/performance.md stands
what the last whole run found. QUICK=1: short rounds, a hundredth of the messages, nothing is written.

  tools/bench_durable.py BUILD_FOLDER
"""
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = os.path.join(ROOT, "docs/performance.md")
BEGIN, END = "<!-- durable: begin -->", "<!-- durable: end -->"
QUICK = os.environ.get("QUICK", "") not in ("", "0")
BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"
SMQTT, SMQTTD = os.path.join(BUILD, "bin/smqtt"), os.path.join(BUILD, "bin/smqttd")
STORE_BENCH = os.path.join(BUILD, "tests/bench/store_bench")
ROUNDS, SECONDS = (1, 1) if QUICK else (3, 4)
MESSAGES = 10000 if QUICK else 1000000
PUBLISHERS = 256

CONF = """listener {port} 127.0.0.1
allow_anonymous true
max_inflight_messages 0
max_queued_messages 0
log_type error
persistence true
persistence_location {folder}/
"""
# Name, program, what is added to the configuration.
BROKERS = [("smqttd, fsync", "smqttd", "smqtt_durability fsync\n"),
           ("smqttd, interval 100", "smqttd", "smqtt_durability interval 100\n"),
           ("smqttd, off", "smqttd", "smqtt_durability off\n"),
           ("mosquitto", "mosquitto", "")]


def say(text):
    print(text, file=sys.stderr, flush=True)


class Broker:
    def __init__(self, kind, more):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.kind, self.folder = kind, tempfile.mkdtemp(prefix="smqtt-durable-", dir=os.environ.get("DISK"))
        os.chmod(self.folder, 0o777)
        self.conf = os.path.join(self.folder, "broker.conf")
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(CONF.format(port=self.port, folder=self.folder) + more)
        self.start()

    def start(self):
        """Seconds until it takes connections."""
        mosquitto = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        argv = [SMQTTD if self.kind == "smqttd" else mosquitto, "-c", self.conf]
        began = time.monotonic()
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 600) as s:
                    s.sendall(packet(0x10, string(b"MQTT") + bytes([4, 2, 0, 0]) + string(b"first")))
                    s.recv(4)  # the socket is open before everything is read
                return time.monotonic() - began
            except OSError:
                if self.process.poll() is not None or time.monotonic() > began + 600:
                    raise SystemExit("%s did not start with %s" % (self.kind, self.conf)) from None
                time.sleep(0.005)

    def kill(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill(signal.SIGTERM)
        shutil.rmtree(self.folder, True)

    def load(self, window):
        argv = [SMQTT, "bench", "fan-in", "-V", "5", "-h", "127.0.0.1", "-p", self.port, "--broker-pid",
                self.process.pid, "--json", "-", "-c", PUBLISHERS, "-q", 1, "-F", window, "-C", "false", "-x", 3600,
                "--duration", SECONDS, "--warmup", 0.5]
        done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=600, check=False)
        if done.returncode != 0:
            raise SystemExit("failed: %s\n%s" % (" ".join(map(str, argv)), done.stderr))
        result = json.loads(done.stdout)
        lost = result["messages"]["lost"]
        if lost:
            say("    %s, window %d: %d lost" % (self.kind, window, lost))
        return result

    def rss(self):
        with open("/proc/%d/status" % self.process.pid, encoding="ascii") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) * 1024

    def disk(self):
        return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(self.folder) for name in names)


def phase(result, name):
    return next(p for p in result["phases"] if p["name"] == name)


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def yardsticks():
    """What the disk and the bare store do in a second, by name and size of the groups."""
    folder = tempfile.mkdtemp(prefix="smqtt-yard-", dir=os.environ.get("DISK"))
    done = subprocess.run([STORE_BENCH, folder, "1" if QUICK else "3"], capture_output=True, text=True, timeout=600,
                          check=True)
    shutil.rmtree(folder, True)
    found = {}
    for line in done.stdout.splitlines():
        words = line.split()
        found["%s %s" % (words[0], words[1])] = float(words[2])
    return found


def flows(yard):
    found = {name: {1: [], 16: []} for name, _, _ in BROKERS}
    for _ in range(ROUNDS):
        for name, kind, more in BROKERS:
            for window in (1, 16):
                with Broker(kind, more) as broker:
                    found[name][window].append(broker.load(window))
    bare = yard["rocksdb 256"]
    rows = []
    for name, _, _ in BROKERS:
        row = [name]
        for window in (1, 16):
            rate = statistics.median(phase(r, "publish")["per_second"] for r in found[name][window])
            p50 = statistics.median(r["latency_us"]["p50"] for r in found[name][window])
            p99 = statistics.median(r["latency_us"]["p99"] for r in found[name][window])
            row += ["%.1f k" % (rate / 1000), "%.2f" % (rate / bare), "%.1f / %.1f" % (p50 / 1000, p99 / 1000)]
        rows.append(row)
        say("  %s: done" % name)
    head = ["%d publishers, QoS 1, 64 bytes, one subscriber with a stored session" % PUBLISHERS]
    for window in (1, 16):
        head += ["window %d: messages per second" % window, ": bare RocksDB", "p50 / p99, ms"]
    return table(head, rows)


# --- a million of each ------------------------------------------------------------------------------------------------


def string(text):
    return len(text).to_bytes(2, "big") + text


def packet(first, body):
    size, at = b"", len(body)
    while True:
        size += bytes([at & 127 | (128 if at > 127 else 0)])
        at >>= 7
        if at == 0:
            return bytes([first]) + size + body


class Client:
    def __init__(self, port, name, clean=True):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.send(packet(0x10, string(b"MQTT") + bytes([4, 2 if clean else 0, 0, 0]) + string(name)))
        assert self.read(4)[3] == 0, "refused"

    def send(self, data):
        self.socket.sendall(data)

    def read(self, n):
        data = b""
        while len(data) < n:
            more = self.socket.recv(min(n - len(data), 1 << 20))
            assert more, "the broker closed the connection"
            data += more
        return data

    def publish_all(self, make):
        """QoS 1, a window of 20,000."""
        step = 20000
        for first in range(0, MESSAGES, step):
            n = min(step, MESSAGES - first)
            self.send(b"".join(make(first + i, i % 60000 + 1) for i in range(n)))
            self.read(4 * n)


def a_million():
    payload = b"x" * 64
    rows = []
    with Broker("smqttd", "smqtt_durability fsync\n") as broker:
        before = broker.rss()
        away = Client(broker.port, b"away", clean=False)
        away.send(packet(0x82, b"\0\1" + string(b"queue/#") + b"\1"))
        away.read(5)
        away.socket.close()
        time.sleep(0.3)
        publisher = Client(broker.port, b"publisher")
        for name, topic, flags in (("queued for one session that is away", b"queue/%d", 0x32),
                                   ("retained", b"kept/a/%d", 0x33)):
            began = time.monotonic()
            publisher.publish_all(
                lambda i, mid: packet(flags, string(topic % i) + mid.to_bytes(2, "big") + payload))
            rows.append(["{:,} {}, stored in".format(MESSAGES, name), "%.1f s" % (time.monotonic() - began)])
        rows.append(["memory of the broker, more than at its start", "%.0f MB" % ((broker.rss() - before) / 1e6)])
        rows.append(["on the disk", "%.0f MB" % (broker.disk() / 1e6)])
        broker.kill()
        rows.append(["started again after SIGKILL in", "%.2f s" % broker.start()])
        rows.append(["memory then, more than at the first start", "%.0f MB" % ((broker.rss() - before) / 1e6)])
        began = time.monotonic()
        back = Client(broker.port, b"away", clean=False)
        got, rest = 0, b""
        while got < MESSAGES:
            rest += back.socket.recv(1 << 18)
            acks, at = [], 0
            while len(rest) - at > 4 and len(rest) - at >= 2 + rest[at + 1]:
                end_of_topic = at + 4 + int.from_bytes(rest[at + 2:at + 4], "big")
                acks.append(b"\x40\2" + rest[end_of_topic:end_of_topic + 2])
                at += 2 + rest[at + 1]
            rest, got = rest[at:], got + len(acks)
            back.send(b"".join(acks))
        rows.append(["the queue taken by its client in", "%.1f s" % (time.monotonic() - began)])
        back.socket.close()
        time.sleep(3)
        rows.append(["on the disk after that", "%.0f MB" % (broker.disk() / 1e6)])
    return table(["a million", "smqttd"], rows)


def main():
    if not os.access(STORE_BENCH, os.X_OK):
        raise SystemExit("%s is missing: build it first." % STORE_BENCH)
    yard = yardsticks()
    text = "The disk alone, a plain log and the store without a broker, in groups of so many messages, per second: "
    text += ", ".join("%s: %s" % (name, "{:,.0f}".format(value)) for name, value in yard.items()) + ".\n\n"
    text += flows(yard) + "\n" + a_million()
    print(text)
    if not QUICK:
        with open(PAGE, encoding="utf-8") as f:
            head, mark, tail = f.read().partition(BEGIN)
        if mark:
            with open(PAGE, "w", encoding="utf-8") as f:
                f.write(head + BEGIN + "\n" + text + END + tail.partition(END)[2])


main()
