# SPDX-License-Identifier: Apache-2.0
"""Subscribers that read slowly, or not at all: nothing is lost, memory stays bounded, and nobody else waits."""
import select
import socket
import struct
import time

from harness import PUBACK, PUBLISH, V311, V5, Broker, Raw, is_sanitized, main, publish_packet, wait_until

PUBLISHERS, EACH, PAYLOAD, WINDOW = 20, 10000, 1024, 1000


def memory(broker):
    """Bytes in use."""
    with open("/proc/%d/status" % broker.child.process.pid, encoding="ascii") as f:
        return [int(line.split()[1]) for line in f if line.startswith("VmRSS")][0] * 1024


class Publisher:
    """Sends its messages as fast as it may; one of version 3.1.1 knows no window."""

    def __init__(self, broker, number):
        self.raw = Raw(broker)
        self.version = V5 if number % 2 else V311
        self.raw.connect(self.version, client_id="pub-%d" % number)
        self.raw.socket.setblocking(False)
        self.number, self.sent, self.acked, self.out, self.rest = number, 0, 0, b"", b""

    def wants_to_send(self):
        window = WINDOW if self.version == V5 else EACH
        return bool(self.out) or (self.sent < EACH and self.sent - self.acked < window)

    def send(self):
        window = WINDOW if self.version == V5 else EACH
        while len(self.out) < 65536 and self.sent < EACH and self.sent - self.acked < window:
            self.sent += 1
            payload = struct.pack(">HI", self.number, self.sent).ljust(PAYLOAD, b"x")
            self.out += publish_packet(self.version, "burst", payload, 1, packet_id=self.sent)
        try:
            self.out = self.out[self.raw.socket.send(self.out):]
        except BlockingIOError:
            pass

    def receive(self):
        data = self.rest + self.raw.socket.recv(65536)
        assert data, "publisher %d was disconnected" % self.number
        at = 0
        while at + 4 <= len(data):
            assert data[at] == PUBACK << 4 and data[at + 1] == 2, data[at:at + 8]
            self.acked += 1
            assert struct.unpack_from(">H", data, at + 2)[0] == self.acked, "an acknowledgement out of order"
            at += 4
        self.rest = data[at:]


class Reader:
    """Acknowledges what it gets; looks at order and completeness."""

    def __init__(self, raw):
        self.raw, self.buffer, self.n = raw, b"", 0
        self.last = [0] * PUBLISHERS
        raw.socket.setblocking(False)

    def read(self, size):
        try:
            self.buffer += self.raw.socket.recv(size)
        except BlockingIOError:
            return
        whole = 2 + 1 + 2 + len("burst") + 2 + PAYLOAD
        acks, at = b"", 0
        while at + whole <= len(self.buffer):
            assert self.buffer[at] == PUBLISH << 4 | 2, "a message of QoS 1, once: %s" % self.buffer[at:at + 20]
            start = at + 3 + 2 + len("burst")
            number, sequence = struct.unpack_from(">HI", self.buffer, start + 2)
            assert sequence == self.last[number] + 1, "lost or out of order: %d after %d of publisher %d" % (
                sequence, self.last[number], number)
            self.last[number] = sequence
            acks += b"\x40\x02" + self.buffer[start:start + 2]
            self.n += 1
            at += whole
        self.buffer = self.buffer[at:]
        self.raw.socket.setblocking(True)
        self.raw.socket.sendall(acks)
        self.raw.socket.setblocking(False)


def test_a_burst_is_kept_whole():
    broker = Broker("max_inflight_messages 1000")
    with Raw(broker, receive_buffer=65536) as raw:
        raw.connect(V311, client_id="reader")
        raw.subscribe("burst", 1)
        before, most = memory(broker), 0
        reader = Reader(raw)
        publishers = [Publisher(broker, i) for i in range(PUBLISHERS)]
        started = time.monotonic()
        pause = started + 1  # it does not read at all at first, and then with pauses
        while reader.n < PUBLISHERS * EACH or any(p.acked < EACH for p in publishers):
            assert time.monotonic() < started + 80, "%d came, %s were acknowledged" % (
                reader.n, [p.acked for p in publishers])
            sending = {p.raw.socket: p for p in publishers if p.wants_to_send()}
            waiting = {p.raw.socket: p for p in publishers if p.acked < EACH}
            reading = [raw.socket] if time.monotonic() >= pause else []
            readable, writable, _ = select.select(list(waiting) + reading, list(sending), [], 0.05)
            for s in writable:
                sending[s].send()
            for s in readable:
                if s in waiting:
                    waiting[s].receive()
                else:
                    n = reader.n
                    reader.read(1 << 18)
                    if n // 20000 != reader.n // 20000:
                        pause = time.monotonic() + 0.1
                        most = max(most, memory(broker))
        assert reader.last == [EACH] * PUBLISHERS
        # A sanitizer keeps freed memory on purpose.
        assert is_sanitized() or most - before < 100 << 20, "memory grew by %d MiB" % ((most - before) >> 20)
        for p in publishers:
            p.raw.close()
    assert broker.child.stop() == 0


def acks_until_quiet(raw, seconds):
    """How many come until none comes for so long."""
    n = 0
    while True:
        try:
            raw.packet(seconds, PUBACK)
        except AssertionError:
            return n
        n += 1


def test_who_does_not_read_is_waited_for_a_while():
    """Its publishers wait for the time that was set; all others do not."""
    broker = Broker("max_inflight_messages 10\nmax_queued_messages 50\nsmqtt_slow_timeout 8")
    with Raw(broker) as deaf, Raw(broker) as well, Raw(broker) as pub, Raw(broker) as other:
        deaf.connect(V311, client_id="deaf")
        deaf.subscribe("slow", 1)
        well.connect(V5, client_id="well")
        well.subscribe("#")
        pub.connect(V5, client_id="pub")
        other.connect(V5, client_id="other")
        for i in range(200):
            if i == 100:
                time.sleep(1)  # with several workers the word to wait needs a turn of each
            pub.publish("slow", b"%d" % i, qos=1, packet_id=i + 1)
        n = acks_until_quiet(pub, 1)
        assert 50 < n < 150, "%d were acknowledged" % n
        for i in range(100):
            other.publish("fast", b"x", qos=1, packet_id=i + 1)
            assert other.packet(kind=PUBACK)
        assert acks_until_quiet(pub, 0.01) == 0, "others wait, too"
        for _ in range(200 - n):
            pub.packet(kind=PUBACK)
        pub.publish("slow", b"late", qos=1, packet_id=300)
        assert pub.packet(kind=PUBACK)
        for _ in range(301):
            well.packet(kind=PUBLISH)
        well.expect_nothing(0.1)
    assert broker.child.stop() == 0


def test_policies():
    """20 of 40 messages do not fit."""
    for policy, first in (("drop-newest", 10), ("drop-oldest", 30), ("disconnect", None)):
        broker = Broker("max_inflight_messages 10\nmax_queued_messages 10\nsmqtt_slow_subscriber %s" % policy)
        with Raw(broker) as slow, Raw(broker) as pub:
            slow.connect(V311, client_id="slow")
            slow.subscribe("s", 1)
            pub.connect(V311, client_id="pub")
            for i in range(40):
                pub.publish("s", b"%d" % i, qos=1, packet_id=i + 1)
                assert pub.packet(kind=PUBACK)
            if first is None:
                slow.expect_close()
                continue
            slow.early = slow.until_now()  # all have come to its worker
            got = []
            for _ in range(20):
                p = slow.packet(kind=PUBLISH).publish(V311)
                got.append(int(p[1]))
                slow.send(b"\x40\x02" + p[5].to_bytes(2, "big"))
            assert got == list(range(10)) + list(range(first, first + 10)), "%s: %s" % (policy, got)
            slow.expect_nothing(0.1)
            wait_until(lambda: "Outgoing messages are being dropped for client slow." in broker.child.text(), 30,
                       "the log says so")
        assert broker.child.stop() == 0


main(test_a_burst_is_kept_whole, test_who_does_not_read_is_waited_for_a_while, test_policies)
