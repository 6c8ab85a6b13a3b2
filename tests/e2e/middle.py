# SPDX-License-Identifier: Apache-2.0
"""A broker that cannot be trusted: it stands between clients and a real broker, understands MQTT 3.1, 3.1.1 and 5.0,
keeps every byte, and does to packets what it is told."""
import base64
import socket
import threading

from harness import CONNECT, PATIENCE, PUBACK, PUBLISH, V5, packet, props, publish_packet, read_varint, string

DETECT = 0
UP, DOWN = "up", "down"  # from a client; to a client


class Frame:
    """One packet on its way. A PUBLISH has topic, payload, qos, retain, dup, packet_id and properties (as bytes)."""

    def __init__(self, link, way, raw):
        self.link, self.way, self.raw = link, way, raw
        self.first, self.type = raw[0], raw[0] >> 4
        size, at = read_varint(raw, 1)
        self.body = raw[at:at + size]
        self.topic = self.payload = b""
        if self.type == PUBLISH:
            self._publish()

    def _publish(self):
        self.qos, self.retain, self.dup = self.first >> 1 & 3, bool(self.first & 1), bool(self.first & 8)
        at = 2 + int.from_bytes(self.body[:2], "big")
        self.topic, self.packet_id, self.properties = self.body[2:at], 0, b""
        if self.qos:
            self.packet_id = int.from_bytes(self.body[at:at + 2], "big")
            at += 2
        if self.link.version == V5:
            size, at = read_varint(self.body, at)
            self.properties = self.body[at:at + size]
            at += size
        self.payload = self.body[at:]

    def changed(self, **fields):
        """The bytes of this PUBLISH with other fields: topic, payload, qos, retain, dup, packet_id."""
        now = {"topic": self.topic, "payload": self.payload, "qos": self.qos, "retain": self.retain, "dup": self.dup,
               "packet_id": self.packet_id, "properties": self.properties}
        now.update(fields)
        return publish_packet(self.link.version, now.pop("topic"), now.pop("payload"), **now)

    def refused_kindly(self):
        """The answer of a broker that takes this PUBLISH of QoS 1, for a rule that then does not."""
        if self.type == PUBLISH and self.qos:
            self.link.send(self.link.other(self.way), packet(PUBACK << 4, self.packet_id.to_bytes(2, "big")))
        return []

    # What S-MQTT is in it: natively a packet of type 0, in the tunnel header ‖ body as payload.

    def detect(self):
        """(header, body) of a packet of DETECT, or None."""
        if self.type == DETECT:
            return self.first, self.body
        own = self.own()
        if own and own[1] in ("c", "s") and self.payload and self.payload[0] < 0x80:
            return self.payload[0], self.payload[1:]
        return None

    def own(self):
        """(skid, branch, id) of a topic of an endpoint, as text, or None."""
        level = self.topic.decode("utf-8", "replace").split("/")
        if self.type != PUBLISH or len(level) < 3 or level[0] != "smqtt1":
            return None
        return level[1], level[2], level[3] if len(level) > 3 else ""

    def header(self):
        found = self.detect()
        return found[0] if found else None

    def is_record(self):
        return self.type == PUBLISH and not self.own() and 0x80 <= (self.payload or b"\0")[0] <= 0xBF

    def is_receipt(self):
        return bool(self.own()) and self.own()[1] == "s" and 0x80 <= (self.payload or b"\0")[0] <= 0xBF

    def is_notice(self):
        return bool(self.own()) and self.own()[1] == "n"

    def is_smqtt(self):
        return self.type == DETECT or self.is_record() or bool(self.own())

    def with_smqtt(self, data):
        """The same packet with other S-MQTT bytes: for DETECT header ‖ body, else the payload."""
        if self.type == DETECT:
            return packet(data[0], data[1:])
        return self.changed(payload=data)

    def smqtt(self):
        """header ‖ body, or the payload."""
        return bytes([self.first]) + self.body if self.type == DETECT else self.payload


class Link:
    """One client's connection through the middle."""

    def __init__(self, middle, client):
        self.middle, self.client = middle, client
        self.client_id, self.version, self.alive = "", 4, True
        self.broker = socket.create_connection(("127.0.0.1", middle.broker_port), PATIENCE)
        self.locks = {UP: threading.Lock(), DOWN: threading.Lock()}
        middle.links.append(self)
        for way in (UP, DOWN):
            self.end(way, False).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.end(way, False).settimeout(None)
            threading.Thread(target=self.pump, args=(way,), daemon=True).start()

    @staticmethod
    def other(way):
        return DOWN if way == UP else UP

    def end(self, way, source):
        """The socket that packets of this way come from, or go to."""
        return self.client if (way == UP) == source else self.broker

    def pump(self, way):
        data, source = b"", self.end(way, True)
        try:
            while True:
                more = source.recv(1 << 16)
                if not more:
                    break
                data = self.packets(way, data + more)
        except OSError:
            pass
        self.cut()

    def packets(self, way, data):
        """Hands on the whole packets at the start of the data; the rest."""
        at = 0
        while True:
            try:
                size, body = read_varint(data, at + 1)
            except IndexError:
                return data[at:]
            if len(data) < body + size:
                return data[at:]
            self.take(way, data[at:body + size])
            at = body + size

    def take(self, way, raw):
        if way == UP and raw[0] >> 4 == CONNECT:
            self.learn(raw)
        frame = Frame(self, way, raw)
        for each in self.middle.judge(frame):
            self.send(way, each)

    def learn(self, raw):
        """Version and client id, from CONNECT."""
        _, at = read_varint(raw, 1)
        at += 2 + int.from_bytes(raw[at:at + 2], "big")
        self.version, at = raw[at], at + 4
        if self.version == V5:
            size, at = read_varint(raw, at)
            at += size
        size = int.from_bytes(raw[at:at + 2], "big")
        self.client_id = raw[at + 2:at + 2 + size].decode("utf-8", "replace")

    def send(self, way, raw):
        """Puts a packet (Frame or bytes) on its way."""
        raw = raw.raw if isinstance(raw, Frame) else raw
        with self.locks[way]:
            try:
                self.end(way, False).sendall(raw)
            except OSError:
                self.cut()

    def say(self, topic, payload, retain=False, way=DOWN):
        """A PUBLISH of QoS 0 that the other side never sent."""
        self.send(way, publish_packet(self.version, topic, payload, retain=retain))

    def detect(self, header, body, way=DOWN):
        """A native packet of DETECT that the other side never sent."""
        self.send(way, packet(header, body))

    def cut(self):
        self.alive = False
        for each in (self.client, self.broker):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Middle:
    """Takes the place of a broker: `port` is what clients connect to. `rule(frame)` gives what goes on instead of the
    frame, a list of frames or bytes; None hands on everything. `said` is every byte of clients and broker."""

    def __init__(self, broker, rule=None):
        self.broker_port, self.rule, self.links = broker.port, rule, []
        self.frames, self.said, self.lock = [], {UP: bytearray(), DOWN: bytearray()}, threading.Lock()
        self.errors = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.port6 = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            try:
                Link(self, client)
            except OSError:
                client.close()

    def judge(self, frame):
        with self.lock:
            self.said[frame.way] += frame.raw
            self.frames.append(frame)
            rule = self.rule
        if rule is None:
            return [frame]
        try:
            return rule(frame)
        except Exception as e:  # a rule that fails must fail its test, not hang it
            self.errors.append(repr(e))
            return [frame]

    def seen(self, wanted, way=None):
        """The frames so far that are wanted(frame)."""
        with self.lock:
            frames = list(self.frames)
        return [f for f in frames if way in (None, f.way) and wanted(f)]

    def link(self, client_id):
        """The newest connection of this client."""
        return [each for each in self.links if each.client_id == client_id][-1]

    def close(self):
        self.socket.close()
        for each in self.links:
            each.cut()
        assert not self.errors, "a rule failed: %s" % self.errors[0]

    def nothing_plain(self, *secrets):
        """None of these texts went either way, plain or in any of the usual disguises."""
        for way in (UP, DOWN):
            with self.lock:
                said = bytes(self.said[way])
            lower = said.lower()
            for secret in secrets:
                for disguise in disguises(secret):
                    where = lower if disguise == disguise.lower() else said
                    assert disguise not in where, "%r went %s the client" % (disguise, {UP: "from", DOWN: "to"}[way])


def disguises(secret):
    """The bytes themselves, in hex, in base64 at each of the three alignments and in both alphabets."""
    data = secret.encode() if isinstance(secret, str) else secret
    assert len(data) >= 8, "too short to be sure that it is not there by chance"
    yield data
    yield data.hex().encode()
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + data)
        whole = text[(0, 2, 3)[shift]:len(text) - (0, 3, 2)[(len(data) + shift) % 3]]
        yield whole
        yield whole.translate(bytes.maketrans(b"+/", b"-_"))
    if isinstance(secret, str):
        yield secret.encode("utf-16-le")
        yield secret.encode("utf-16-be")


def with_property(version, raw, name, value):
    """A CONNACK of 5.0 with one more user property."""
    assert version == V5
    size, at = read_varint(raw, 1)
    body = raw[at:at + size]
    length, end = read_varint(body, 2)
    all_props = body[end:end + length] + b"\x26" + string(name) + string(value)
    return packet(raw[0], body[:2] + props(V5, all_props))


def without_property(raw, name):
    """A CONNACK of 5.0 without this user property; no other one may be longer than 127 bytes."""
    size, at = read_varint(raw, 1)
    body = raw[at:at + size]
    mark = b"\x26" + string(name)
    length, end = read_varint(body, 2)
    all_props = body[end:end + length]
    found = all_props.find(mark)
    if found < 0:
        return raw
    value = found + len(mark)
    rest = all_props[value + 2 + int.from_bytes(all_props[value:value + 2], "big"):]
    return packet(raw[0], body[:2] + props(V5, all_props[:found] + rest))
