# SPDX-License-Identifier: Apache-2.0
"""Packets for the conformance and differential tests: properties, packets written part by part, packets taken apart.

What is written here is only as right as a test wants it: nothing is checked on the way out."""
import os
import struct
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import harness  # noqa: E402
from harness import (AUTH, CONNACK, CONNECT, DISCONNECT, PINGREQ, PINGRESP, PUBACK, PUBCOMP,  # noqa: E402,F401
                     PUBLISH, PUBREC, PUBREL, SUBACK, SUBSCRIBE, UNSUBACK, UNSUBSCRIBE, V31, V311, V5)
from harness import packet, read_varint, string, to_bytes, varint  # noqa: E402,F401

TYPES = ["0", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK",
         "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"]
PING = b"\xc0\x00"

# name: (identifier, form)
PROPERTIES = {
    "payload_format": (0x01, "B"), "message_expiry": (0x02, "I"), "content_type": (0x03, "s"),
    "response_topic": (0x08, "s"), "correlation_data": (0x09, "s"), "subscription_id": (0x0B, "v"),
    "session_expiry": (0x11, "I"), "assigned_client_id": (0x12, "s"), "server_keep_alive": (0x13, "H"),
    "auth_method": (0x15, "s"), "auth_data": (0x16, "s"), "request_problem_info": (0x17, "B"),
    "will_delay": (0x18, "I"), "request_response_info": (0x19, "B"), "response_info": (0x1A, "s"),
    "server_reference": (0x1C, "s"), "reason_string": (0x1F, "s"), "receive_maximum": (0x21, "H"),
    "topic_alias_maximum": (0x22, "H"), "topic_alias": (0x23, "H"), "maximum_qos": (0x24, "B"),
    "retain_available": (0x25, "B"), "user_property": (0x26, "p"), "maximum_packet_size": (0x27, "I"),
    "wildcard_available": (0x28, "B"), "subscription_id_available": (0x29, "B"), "shared_available": (0x2A, "B"),
}
BY_ID = {number: (name, form) for name, (number, form) in PROPERTIES.items()}


def u16(value):
    return struct.pack(">H", value)


def prop(name, value):
    """One property in wire form. A pair is a tuple."""
    number, form = PROPERTIES[name]
    head = bytes([number])
    if form == "s":
        return head + string(value)
    if form == "p":
        return head + string(value[0]) + string(value[1])
    if form == "v":
        return head + varint(value)
    return head + struct.pack(">" + form, value)


def props(*pairs, **named):
    """Properties in wire form without their length: props(receive_maximum=2), or pairs where the order matters or
    one comes twice."""
    return b"".join(prop(name, value) for name, value in list(pairs) + list(named.items()))


def read_props(data, at):
    """([(name, value)], where they end)"""
    size, at = read_varint(data, at)
    end, found = at + size, []
    while at < end:
        name, form = BY_ID[data[at]]
        at += 1
        if form in "sp":
            values = []
            for _ in form if form == "s" else "pp":
                length = struct.unpack_from(">H", data, at)[0]
                values.append(data[at + 2:at + 2 + length])
                at += 2 + length
            value = values[0] if form == "s" else tuple(values)
        elif form == "v":
            value, at = read_varint(data, at)
        else:
            value = struct.unpack_from(">" + form, data, at)[0]
            at += struct.calcsize(">" + form)
        found.append((name, value))
    assert at == end, "properties that end behind their length"
    return found, end


class Seen:
    """A packet taken apart. What a packet of its type does not have is None."""

    def __init__(self, raw, version):
        self.type, self.flags, self.body, self.version = raw.type, raw.flags, raw.body, version
        self.id = self.reason = self.topic = self.payload = self.codes = self.session_present = None
        self.client_id = self.user = self.password = self.will = self.filters = None
        self.props = []
        reader = getattr(self, "_" + TYPES[raw.type].lower(), None)
        if reader:
            reader(raw.body)

    def __repr__(self):
        parts = [TYPES[self.type]]
        for name in ("flags", "id", "reason", "session_present", "topic", "payload", "codes", "client_id", "filters"):
            value = getattr(self, name)
            if value is not None and value != 0:
                parts.append("%s=%r" % (name, value if not isinstance(value, bytes) else value[:40]))
        return " ".join(parts + ["%s=%r" % p for p in self.props])

    def prop(self, name):
        """Its value; a list when it is there more than once; None when it is not."""
        values = [value for n, value in self.props if n == name]
        return None if not values else values[0] if len(values) == 1 else values

    def all_of(self, name):
        return [value for n, value in self.props if n == name]

    @property
    def qos(self):
        return self.flags >> 1 & 3

    @property
    def dup(self):
        return bool(self.flags & 8)

    @property
    def retain(self):
        return bool(self.flags & 1)

    def _rest_props(self, body, at):
        if self.version == V5 and at < len(body):
            self.props, at = read_props(body, at)
        return at

    def _connack(self, body):
        self.session_present, self.reason = body[0], body[1]
        end = self._rest_props(body, 2)
        assert end == len(body), "CONNACK has more than belongs to it"

    def _publish(self, body):
        at = 2 + struct.unpack_from(">H", body)[0]
        self.topic = body[2:at]
        if self.qos:
            self.id = struct.unpack_from(">H", body, at)[0]
            at += 2
        if self.version == V5:
            self.props, at = read_props(body, at)
        self.payload = body[at:]

    def _acknowledgement(self, body):
        self.id = struct.unpack_from(">H", body)[0]
        self.reason = body[2] if len(body) > 2 else 0
        assert len(body) == 2 or self.version == V5, "an answer with more than an identifier"
        assert self._rest_props(body, 3) in (3, len(body)), "an answer with more than belongs to it"

    _puback = _pubrec = _pubrel = _pubcomp = _acknowledgement

    def _suback(self, body):
        self.id, at = struct.unpack_from(">H", body)[0], 2
        if self.version == V5:
            self.props, at = read_props(body, at)
        self.codes = list(body[at:])

    _unsuback = _suback

    def _disconnect(self, body):
        self.reason = body[0] if body else 0
        self._rest_props(body, 1)

    _auth = _disconnect

    def _connect(self, body):
        at = 2 + struct.unpack_from(">H", body)[0]
        self.name, self.version, flags = body[2:at], body[at], body[at + 1]
        self.connect_flags, self.keep_alive = flags, struct.unpack_from(">H", body, at + 2)[0]
        at = self._rest_props(body, at + 4)
        fields, self.rest = [], None
        self.will_props = []
        wanted = 1 + (2 if flags & 4 else 0) + bool(flags & 0x80) + bool(flags & 0x40)
        while wanted:
            if flags & 4 and len(fields) == 1 and self.version == V5:
                self.will_props, at = read_props(body, at)
            size = struct.unpack_from(">H", body, at)[0]
            fields.append(body[at + 2:at + 2 + size])
            at, wanted = at + 2 + size, wanted - 1
        assert at == len(body), "CONNECT has more than its flags say"
        self.client_id = fields.pop(0)
        self.will = (fields.pop(0), fields.pop(0), flags >> 3 & 3, bool(flags & 0x20)) if flags & 4 else None
        self.user = fields.pop(0) if flags & 0x80 else None
        self.password = fields.pop(0) if flags & 0x40 else None

    def _filters(self, body, options):
        self.id, at = struct.unpack_from(">H", body)[0], 2
        if self.version == V5:
            self.props, at = read_props(body, at)
        self.filters = []
        while at < len(body):
            size = struct.unpack_from(">H", body, at)[0]
            name, at = body[at + 2:at + 2 + size], at + 2 + size
            self.filters.append((name, body[at]) if options else name)
            at += 1 if options else 0

    def _subscribe(self, body):
        self._filters(body, True)

    def _unsubscribe(self, body):
        self._filters(body, False)


# --- packets of a client ----------------------------------------------------------------------------------------------


def connect(version, client_id="", clean=True, keep_alive=60, will=None, will_props=b"", flags=None, name=None,
            level=None, user=None, password=None, tail=b"", **named):
    """will: (topic, payload, qos, retain). Further names are properties; `flags`, `name` and `level` overrule."""
    bits, body = 2 if clean else 0, string(client_id)
    if will:
        bits |= 4 | will[2] << 3 | (0x20 if will[3] else 0)
        body += harness.props(version, will_props) + string(will[0]) + string(will[1])
    if user is not None:
        bits |= 0x80
        body += string(user)
    if password is not None:
        bits |= 0x40
        body += string(password)
    head = string(name if name is not None else "MQIsdp" if version == V31 else "MQTT")
    head += bytes([level if level is not None else version, bits if flags is None else flags]) + u16(keep_alive)
    return packet(0x10, head + harness.props(version, props(**named)) + body + tail)


def publish(version, topic, payload=b"", qos=0, id=1, retain=False, dup=False, props=b""):
    body = string(topic) + (u16(id) if qos else b"") + harness.props(version, props)
    return packet(0x30 | (8 if dup else 0) | qos << 1 | (1 if retain else 0), body + to_bytes(payload))


def ack(kind, id, reason=None, props=None):
    body = u16(id) + (b"" if reason is None else bytes([reason]))
    body += b"" if props is None else varint(len(props)) + props
    return packet(kind << 4 | (2 if kind == PUBREL else 0), body)


def subscribe(version, *filters, id=1, props=b"", flags=2):
    """filters: names, or (name, options)"""
    body = u16(id) + harness.props(version, props)
    for f in filters:
        name, options = f if isinstance(f, tuple) else (f, 0)
        body += string(name) + bytes([options])
    return packet(0x80 | flags, body)


def unsubscribe(version, *filters, id=1, props=b"", flags=2):
    body = u16(id) + harness.props(version, props) + b"".join(string(f) for f in filters)
    return packet(0xA0 | flags, body)


def disconnect(version=V311, reason=None, props=None):
    body = b"" if reason is None else bytes([reason])
    body += b"" if props is None else varint(len(props)) + props
    return packet(0xE0, body)


# --- packets of a server ----------------------------------------------------------------------------------------------


def connack(version, reason=0, session_present=0, **named):
    return packet(0x20, bytes([session_present, reason]) + harness.props(version, props(**named)))


def suback(version, id, *codes):
    return packet(0x90, u16(id) + harness.props(version) + bytes(codes))


def unsuback(version, id, *codes):
    return packet(0xB0, u16(id) + (harness.props(version) + bytes(codes) if version == V5 else b""))
