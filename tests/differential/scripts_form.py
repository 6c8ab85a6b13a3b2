# SPDX-License-Identifier: Apache-2.0
"""The form of packets: CONNECT, flags and types, PUBLISH."""
import wire
from script import ALL, BAD_TEXT, NEW, add, after_connect, script
from wire import PUBACK, PUBCOMP, PUBREC, PUBREL, V5, V31, V311, harness, packet, props, string, u16, varint


# --- CONNECT ----------------------------------------------------------------------------------------------------------


def refused_connect(title, versions, **fields):
    def body(p, version):
        p.open("a", version)
        values = {k: v(version) if callable(v) else v for k, v in fields.items()}
        client_id = values.pop("client_id", p.id("a"))
        p.send("a", wire.connect(version, client_id, **values))
    add("connect-" + title, versions, body)


for flag in (0x01, 0x03, 0x08, 0x0A, 0x10, 0x12, 0x18, 0x20, 0x22, 0x42, 0x06, 0x82, 0xC2, 0x1E):
    refused_connect("flags-%02x" % flag, ALL, flags=flag)
refused_connect("level-133", (V5,), level=133)
for level in (0, 1, 2, 3, 4, 6, 127, 131, 132):
    refused_connect("level-%d" % level, (V311,), level=level)
for protocol in ("", "MQT", "MQTT2", "mqtt", "MQIsdp", "MQISDP"):
    refused_connect("name-%s" % (protocol or "none"), NEW, name=protocol)
refused_connect("name-MQTT", (V31,), name="MQTT")
for kind, bad in BAD_TEXT.items():
    refused_connect("id-" + kind, ALL, client_id=bad)
    refused_connect("user-" + kind, NEW, user=bad)
    refused_connect("will-topic-" + kind, NEW, will=(bad, b"", 0, False))
for wild in ("#", "a/+", "", "$SYS/x", "a#"):
    refused_connect("will-topic-%s" % (wild.replace("/", "-") or "empty"), ALL, will=(wild, b"x", 0, False))
refused_connect("will-qos-3", ALL, will=("w", b"", 3, False))
refused_connect("will-empty", ALL, will=("w", b"", 0, True))
refused_connect("tail", ALL, tail=b"x")
refused_connect("user-behind", ALL, tail=string("user"))
refused_connect("empty-id", ALL, client_id="")
refused_connect("empty-id-kept", ALL, client_id="", clean=False)
refused_connect("long-id", ALL, client_id="x" * 300)
refused_connect("id-of-24", (V31,), client_id="x" * 24)
refused_connect("password-alone", ALL, password="p")
refused_connect("user-and-password", ALL, user="u", password="p")
refused_connect("empty-user", ALL, user="", password="")
refused_connect("keep-alive-0", ALL, keep_alive=0)
refused_connect("keep-alive-max", ALL, keep_alive=65535)
for text, wrong in {"receive-maximum-0": props(receive_maximum=0), "packet-size-0": props(maximum_packet_size=0),
                    "twice-expiry": props(session_expiry=1) * 2, "twice-receive": props(receive_maximum=5) * 2,
                    "problem-2": props(request_problem_info=2), "response-2": props(request_response_info=2),
                    "unknown": b"\x7f\0", "of-publish": props(topic_alias=1), "of-connack": props(maximum_qos=1),
                    "data-alone": props(auth_data=b"x"), "method": props(auth_method="m"),
                    "method-data": props(auth_method="m", auth_data=b"x"),
                    "will-delay": props(will_delay=1), "user-pair": props(user_property=("a", "b")) * 3,
                    "user-bad": props(user_property=(b"\xff", "b")), "response-1": props(request_response_info=1),
                    "expiry-max": props(session_expiry=0xFFFFFFFF), "alias-max": props(topic_alias_maximum=65535),
                    "reason": props(reason_string="x"), "cut": props(session_expiry=1)[:3]}.items():
    def with_properties(p, version, wrong=wrong):
        p.open("a", version)
        body = string("MQTT") + bytes([5, 2]) + u16(60) + varint(len(wrong)) + wrong + string(p.id("a"))
        p.send("a", packet(0x10, body))
    add("connect-property-" + text, (V5,), with_properties)
for text, wrong in {"delay": props(will_delay=5), "format": props(payload_format=1),
                    "format-2": props(payload_format=2),
                    "topic": props(response_topic="a/#"), "alias": props(topic_alias=1),
                    "expiry": props(message_expiry=5), "twice": props(content_type="a") * 2,
                    "user": props(user_property=("a", "b")), "bad": props(content_type=b"\xff"),
                    "session": props(session_expiry=4)}.items():
    refused_connect("will-property-" + text, (V5,), will=("w", b"\xff", 0, False), will_props=wrong)


def first_packet(name, data):
    def body(p, version):
        p.open("a", version)
        p.send("a", data(version) if callable(data) else data)
    add("first-" + name, NEW, body)


first_packet("ping", wire.PING)
first_packet("publish", lambda v: wire.publish(v, "t", b"x"))
first_packet("subscribe", lambda v: wire.subscribe(v, "t"))
first_packet("disconnect", b"\xe0\x00")
first_packet("connack", b"\x20\x02\0\0")
first_packet("zero", b"\0\0")
first_packet("http", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
first_packet("empty-connect", b"\x10\x00")
first_packet("flags", lambda v: b"\x11" + wire.connect(v, "first-flags")[1:])
first_packet("long-length", b"\x10\xff\xff\xff\xff\x01")
first_packet("long-form", lambda v: (lambda d: d[:1] + bytes([d[1] | 0x80, 0]) + d[2:])(wire.connect(v, "first-long")))


@script(*ALL)
def connect_twice(p, v):
    p.connect("a", v)
    p.send("a", wire.connect(v, p.id("a")))


@script(*ALL)
def connect_and_more_at_once(p, v):
    p.open("a", v)
    p.send("a", wire.connect(v, p.id("a")) + wire.subscribe(v, p.topic()) + wire.publish(v, p.topic(), b"x", 1))


@script(*ALL)
def connect_byte_by_byte(p, v):
    p.open("a", v)
    data = wire.connect(v, p.id("a"))
    for i in range(0, len(data), 5):
        p.links["a"].send(data[i:i + 5])
    p.send("a", b"", part=True)
    p.publish("a", p.topic(), b"x", qos=1)


# --- flags and types that are not allowed -----------------------------------------------------------------------------


for kind, text in ((2, "connack"), (9, "suback"), (11, "unsuback"), (13, "pingresp"), (0, "zero"), (15, "auth")):
    after_connect("type-" + text, NEW, packet(kind << 4, b"" if kind in (0, 13, 15) else u16(1)))
for kind, text in ((4, "puback"), (5, "pubrec"), (6, "pubrel"), (7, "pubcomp")):
    for flags in (0, 1, 2, 3, 8):
        if flags != (2 if kind == 6 else 0):
            after_connect("flags-%s-%d" % (text, flags), NEW, packet(kind << 4 | flags, u16(1)))
    after_connect("unknown-" + text, ALL, wire.ack(kind, 7))
    after_connect("zero-" + text, ALL, wire.ack(kind, 0))
    after_connect("short-" + text, ALL, packet(kind << 4 | (2 if kind == 6 else 0), b"\0"))
    after_connect("long-" + text, (V311,), packet(kind << 4 | (2 if kind == 6 else 0), u16(7) + b"\0"))
    after_connect("reason-" + text, (V5,), wire.ack(kind, 7, 0x92))
    after_connect("bad-reason-" + text, (V5,), wire.ack(kind, 7, 0x01))
    after_connect("props-" + text, (V5,), wire.ack(kind, 7, 0, props(reason_string="x", user_property=("a", "b"))))
    after_connect("bad-props-" + text, (V5,), wire.ack(kind, 7, 0, props(topic_alias=1)))
for flags in (0, 1, 3, 4, 10):
    after_connect("flags-subscribe-%d" % flags, ALL, lambda p, v, f=flags: wire.subscribe(v, p.topic(), flags=f))
    after_connect("flags-unsubscribe-%d" % flags, ALL, lambda p, v, f=flags: wire.unsubscribe(v, p.topic(), flags=f))
for flags in (1, 2, 8):
    after_connect("flags-pingreq-%d" % flags, ALL, bytes([0xC0 | flags, 0]))
    after_connect("flags-disconnect-%d" % flags, ALL, bytes([0xE0 | flags, 0]))
after_connect("long-pingreq", ALL, packet(0xC0, b"x"))
after_connect("long-disconnect", (V31, V311), packet(0xE0, b"\0"))
after_connect("varint-5-bytes", NEW, b"\x30\xff\xff\xff\xff\x01")
after_connect("varint-long-form", NEW, lambda p, v: (lambda d: d[:1] + bytes([d[1] | 0x80, 0]) + d[2:])(
    wire.publish(v, p.topic(), b"x", 1)))


# --- PUBLISH ----------------------------------------------------------------------------------------------------------

for qos in (0, 1, 2):
    def published(p, v, qos=qos):
        p.connect("w", v)
        p.subscribe("w", (p.topic("#"), 2))
        p.connect("a", v)
        p.publish("a", p.topic(), b"first", qos=qos, id=9)
        p.publish("a", p.topic(), b"dup", qos=qos, id=9, dup=True)
        p.send("a", wire.ack(PUBREL, 9))
        p.publish("a", p.topic(), b"again", qos=qos, id=9)
        p.send("a", wire.ack(PUBREL, 9))
        p.ack_all("w")
    add("publish-qos-%d" % qos, ALL, published)
    after_connect("publish-id-0-qos-%d" % qos, ALL, lambda p, v, q=qos: wire.publish(v, p.topic(), b"x", q, id=0),
                  watch=True)
    after_connect("publish-empty-qos-%d" % qos, ALL, lambda p, v, q=qos: wire.publish(v, p.topic(), b"", q), watch=True)
    after_connect("publish-nobody-qos-%d" % qos, ALL, lambda p, v, q=qos: wire.publish(v, p.topic("no"), b"x", q))
    after_connect("publish-dollar-qos-%d" % qos, ALL, lambda p, v, q=qos: wire.publish(v, "$x/y", b"x", q))
    after_connect("publish-sys-qos-%d" % qos, ALL, lambda p, v, q=qos: wire.publish(v, "$SYS/x", b"x", q))
after_connect("publish-qos-3", ALL, lambda p, v: packet(0x36, string(p.topic()) + u16(1) + harness.props(v)),
              watch=True)
after_connect("publish-empty-topic", ALL, lambda p, v: wire.publish(v, "", b"x"))
for kind, bad in BAD_TEXT.items():
    after_connect("publish-topic-" + kind, ALL, lambda p, v, b=bad: wire.publish(v, p.topic().encode() + b, b"x"),
                  watch=True)
for wild in ("#", "+", "a/+/b", "a#b", "a+"):
    after_connect("publish-topic-%s" % wild.replace("/", "-"), ALL,
                  lambda p, v, w=wild: wire.publish(v, p.topic(w), b"x"), watch=True)
after_connect("publish-cut-topic", NEW, packet(0x30, b"\x00\x10abc"))
after_connect("publish-no-body", NEW, packet(0x30, b""))
after_connect("publish-no-id", NEW, lambda p, v: packet(0x32, string(p.topic())))
after_connect("publish-long-topic", ALL, lambda p, v: wire.publish(v, p.topic("x" * 3000), b"x", 1), watch=True)
for text, levels in (("deep", 150), ("deeper", 250)):
    after_connect("publish-%s-topic" % text, ALL,
                  lambda p, v, n=levels: wire.publish(v, p.topic("/".join("x" * n)), b"x", 1), watch=True)
after_connect("publish-100000-bytes", ALL, lambda p, v: wire.publish(v, p.topic(), b"x" * 100000, 1), watch=True)
after_connect("publish-lower-and-upper", ALL, lambda p, v: wire.publish(v, p.topic("a\u00e9/A"), b"x", 1), watch=True)
for text, own in {"all": [("content_type", "t/x"), ("response_topic", "r/t"), ("correlation_data", b"\0\1"),
                          ("payload_format", 1), ("user_property", ("a", "1")), ("user_property", ("a", "2"))],
                  "expiry": [("message_expiry", 100)], "format-0": [("payload_format", 0)],
                  "format-2": [("payload_format", 2)], "format-bad": [("payload_format", 1)],
                  "subscription-id": [("subscription_id", 1)], "response-wild": [("response_topic", "a/+")],
                  "response-empty": [("response_topic", "")], "alias-0": [("topic_alias", 0)],
                  "alias-1": [("topic_alias", 1)], "alias-10": [("topic_alias", 10)], "alias-11": [("topic_alias", 11)],
                  "alias-65535": [("topic_alias", 65535)], "expiry-twice": [("message_expiry", 1)] * 2,
                  "type-twice": [("content_type", "a")] * 2, "of-connect": [("session_expiry", 1)],
                  "reason": [("reason_string", "a")], "content-bad": [("content_type", b"\xff")],
                  "user-bad": [("user_property", ("a", b"\xff"))], "user-empty": [("user_property", ("", ""))]}.items():
    after_connect("publish-property-" + text, (V5,),
                  lambda p, v, o=own, t=text: wire.publish(v, p.topic(), b"\xff" if t == "format-bad" else b"x", 1,
                                                           props=props(*o)), watch=True)
after_connect("publish-property-unknown", (V5,), lambda p, v: wire.publish(v, p.topic(), b"x", props=b"\x7f\x01"))
after_connect("publish-properties-too-long", (V5,), lambda p, v: packet(0x30, string(p.topic()) + b"\x7f"))


@script(V5)
def alias_set_and_used(p, v):
    p.connect("w", v)
    p.subscribe("w", p.topic("#"))
    p.connect("a", v)
    p.publish("a", p.topic("one"), b"1", props=props(topic_alias=1))
    p.publish("a", "", b"2", props=props(topic_alias=1))
    p.publish("a", p.topic("two"), b"3", props=props(topic_alias=1))
    p.publish("a", "", b"4", qos=1, props=props(topic_alias=1))
    p.publish("a", "", b"5", props=props(topic_alias=2))


@script(V5)
def alias_after_reconnecting(p, v):
    p.connect("a", v, session_expiry=100)
    p.publish("a", p.topic("one"), b"1", props=props(topic_alias=1))
    p.bye("a")
    p.connect("a", v, clean=False, session_expiry=100)
    p.publish("a", "", b"2", props=props(topic_alias=1))


@script(V5)
def alias_without_topic(p, v):
    p.connect("a", v)
    p.publish("a", "", b"2", props=props(topic_alias=1))


@script(*ALL)
def qos2_states(p, v):
    p.connect("w", v)
    p.subscribe("w", (p.topic("#"), 2))
    p.connect("a", v)
    for i in (3, 2, 1):
        p.publish("a", p.topic(), b"%d" % i, qos=2, id=i)
    for i in (1, 3, 3, 2):
        p.send("a", wire.ack(PUBREL, i))
    p.ack("w", PUBREC)
    p.ack("w", PUBREC)
    p.ack("w", PUBREC)
    p.ack("w", PUBCOMP)
    p.ack("w", PUBCOMP)
    p.ack("w", PUBCOMP)


@script(*ALL)
def qos2_wrong_answers(p, v):
    p.connect("w", v)
    p.subscribe("w", (p.topic(), 2))
    p.connect("a", v)
    p.publish2("a", p.topic(), b"x")
    p.ack("w", PUBACK)


@script(*ALL)
def qos1_wrong_answers(p, v):
    p.connect("w", v)
    p.subscribe("w", (p.topic(), 1))
    p.connect("a", v)
    p.publish("a", p.topic(), b"x", qos=1)
    p.ack("w", PUBREC)


@script(*ALL)
def pubcomp_before_pubrec(p, v):
    p.connect("w", v)
    p.subscribe("w", (p.topic(), 2))
    p.connect("a", v)
    p.publish2("a", p.topic(), b"x")
    p.send("w", wire.ack(PUBCOMP, p.links["w"].last[0] if p.links["w"].last else 1))


@script(*ALL)
def pubrec_twice(p, v):
    p.connect("w", v)
    p.subscribe("w", (p.topic(), 2))
    p.connect("a", v)
    p.publish2("a", p.topic(), b"x")
    number = p.links["w"].last[0]
    p.send("w", wire.ack(PUBREC, number))
    p.send("w", wire.ack(PUBREC, number))
    p.send("w", wire.ack(PUBCOMP, number))


@script(V5)
def refusing_answers(p, v):
    p.connect("w", v)
    p.subscribe("w", (p.topic(), 2))
    p.connect("a", v)
    p.publish("a", p.topic(), b"1", qos=1)
    p.publish2("a", p.topic(), b"2")
    p.ack("w", PUBACK, 0x87)
    p.ack("w", PUBREC, 0x87)
    p.publish("a", p.topic(), b"3", qos=1)
    p.ack("w", PUBACK, 0x10)
