#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""smqttd with many clients that say nothing: what each costs, and whether those that talk feel it.

One process holds all connections, so there are as many as its limit of open files lets in, at most 19,000. VmRSS of the
broker is read at each step; a publisher and a subscriber send one message at a time before, with them, and with a
million subscriptions of one client besides.

  tools/bench_idle.py BUILD_FOLDER [WORKERS...]
"""
import os
import resource
import socket
import struct
import subprocess
import sys
import tempfile
import time

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"
WORKERS = [int(n) for n in sys.argv[2:]] or [1, 2]
QUICK = os.environ.get("QUICK", "") not in ("", "0")
LIMIT = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
STEPS = [n for n in ((500, 1000) if QUICK else (2000, 8000, 19000)) if n + 500 < LIMIT]
FILTERS, MESSAGES = (20000, 500) if QUICK else (1000000, 5000)
BATCH = 200  # connections that are made at a time; CONNECTs and SUBSCRIBEs that are under way
FILTERS_EACH = 500  # of one SUBSCRIBE
IP_BIND_ADDRESS_NO_PORT = 24


def connect_packet(client_id):
    name = client_id.encode()
    body = b"\0\4MQTT\4\2\0\0" + struct.pack(">H", len(name)) + name
    return b"\x10" + bytes([len(body)]) + body


def varint(n):
    out = b""
    while True:
        n, low = divmod(n, 128)
        out += bytes([low | (128 if n else 0)])
        if not n:
            return out


def read(sock, n):
    data = b""
    while len(data) < n:
        more = sock.recv(n - len(data))
        assert more, "the broker has closed a connection"
        data += more
    return data


class Broker:
    def __init__(self, workers):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.conf = tempfile.NamedTemporaryFile("w", suffix=".conf")
        self.conf.write("listener %d 127.0.0.1\nallow_anonymous true\nlog_type error\nsys_interval 0\n" % self.port)
        self.conf.flush()
        os.chmod(self.conf.name, 0o644)
        self.process = subprocess.Popen([os.path.join(BUILD, "bin/smqttd"), "-c", self.conf.name, "--workers",
                                         str(workers)], stderr=subprocess.DEVNULL)
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        time.sleep(0.2)

    def memory(self):
        with open("/proc/%d/status" % self.process.pid, encoding="ascii") as f:
            return int([line for line in f if line.startswith("VmRSS")][0].split()[1]) * 1024

    def cpu(self):
        with open("/proc/%d/stat" % self.process.pid, encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def client(self, client_id, source=1):
        """From an address of its own, because a system looks long for a free port when many of one are taken."""
        s = socket.socket()
        s.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        s.bind(("127.0.0.%d" % source, 0))
        s.connect(("127.0.0.1", self.port))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.settimeout(30)
        s.sendall(connect_packet(client_id))
        return s

    def crowd(self, first, end):
        made = []
        for at in range(first, end, BATCH):
            some = [self.client("idle-%05d" % i, 2 + i // 2000) for i in range(at, min(at + BATCH, end))]
            for s in some:
                assert read(s, 4)[3] == 0
            made += some
        return made

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.conf.close()


def subscribe(sock, n):
    """n filters of three levels."""
    for at in range(0, n, FILTERS_EACH):
        names = [b"site%d/dev%06d/state" % (i % 100, i) for i in range(at, min(at + FILTERS_EACH, n))]
        body = b"\0\1" + b"".join(struct.pack(">H", len(t)) + t + b"\0" for t in names)
        sock.sendall(b"\x82" + varint(len(body)) + body)
        head = 1 + len(varint(2 + len(names)))
        answer = read(sock, head + 2 + len(names))
        assert answer[0] == 0x90 and not any(answer[head + 2:]), "not subscribed"


def talk(broker, name):
    """(p50 µs, p99 µs, CPU µs of the broker) of a message of QoS 1 from one client to another, one at a time."""
    hears, says = broker.client(name + "-hears"), broker.client(name + "-says")
    read(hears, 4), read(says, 4)
    topic = name.encode() + b"/t"
    body = b"\0\1" + struct.pack(">H", len(topic)) + topic + b"\0"
    hears.sendall(b"\x82" + bytes([len(body)]) + body)
    read(hears, 5)
    message = struct.pack(">H", len(topic)) + topic
    sent = b"\x32" + bytes([len(message) + 2 + 64]) + message + b"\0\1" + b"x" * 64
    size, took = len(sent) - 2, []
    cpu = broker.cpu()
    for _ in range(MESSAGES):
        begun = time.perf_counter()
        says.sendall(sent)
        read(hears, size)
        took.append((time.perf_counter() - begun) * 1e6)
        read(says, 4)
    cpu = broker.cpu() - cpu
    hears.close(), says.close()
    took.sort()
    return took[len(took) // 2], took[len(took) * 99 // 100], cpu / MESSAGES * 1e6


def measure(workers):
    broker = Broker(workers)
    row = "%d worker%s, %%-42s p50 %%4.0f µs, p99 %%5.0f µs, %%5.1f µs of CPU a message" % (workers, "s"[:workers - 1])
    talk(broker, "warm")
    print(row % (("alone:",) + talk(broker, "before")))
    before, crowd, took = broker.memory(), [], 0.0
    for n in STEPS:
        begun = time.monotonic()
        crowd += broker.crowd(len(crowd), n)
        took += time.monotonic() - begun
        time.sleep(0.5)
        print("%d worker%s, %6d idle clients: %5.0f bytes of VmRSS each, connected in %.2f s" % (
            workers, "s"[:workers - 1], n, (broker.memory() - before) / n, took))
    print(row % (("beside them:",) + talk(broker, "with")))
    many = broker.client("many")
    read(many, 4)
    before, begun = broker.memory(), time.monotonic()
    subscribe(many, FILTERS)
    print("%d worker%s, %d filters of one client beside them: %.0f bytes each, subscribed in %.2f s" % (
        workers, "s"[:workers - 1], FILTERS, (broker.memory() - before) / FILTERS, time.monotonic() - begun))
    print(row % (("beside them and the filters:",) + talk(broker, "all")))
    for s in crowd + [many]:
        s.close()
    broker.stop()


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    for n in WORKERS:
        measure(n)


main()
