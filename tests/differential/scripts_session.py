# SPDX-License-Identifier: Apache-2.0
"""Sessions, expiry, windows, wills."""
import time

import wire
from script import ALL, SHORT, add, script
from wire import PUBACK, PUBCOMP, PUBREC, PUBREL, V5, packet, props


# --- sessions ---------------------------------------------------------------------------------------------------------


def keep(v):
    return {"session_expiry": 100} if v == V5 else {}


@script(*ALL)
def session_resumed(p, v):
    p.connect("w", v, clean=False, **keep(v))
    p.subscribe("w", (p.topic(), 2))
    p.bye("w")
    p.connect("a", v)
    for qos in (0, 1):
        p.publish("a", p.topic(), b"q%d" % qos, qos=qos)
    p.publish2("a", p.topic(), b"q2")
    p.connect("w", v, clean=False, **keep(v))
    p.ack_all("w")
    p.bye("w")
    p.connect("w", v, clean=False, **keep(v))


@script(*ALL)
def session_thrown_away(p, v):
    p.connect("w", v, clean=False, **keep(v))
    p.subscribe("w", (p.topic(), 2))
    p.bye("w")
    p.connect("w", v, clean=True)
    p.connect("a", v)
    p.publish("a", p.topic(), b"x", qos=1)
    p.bye("w")
    p.connect("w", v, clean=False)


@script(*ALL)
def session_sent_again(p, v):
    p.connect("w", v, clean=False, **keep(v))
    p.subscribe("w", (p.topic(), 2))
    p.connect("a", v)
    for i, qos in enumerate((1, 2, 2)):
        p.publish("a", p.topic(), b"%d" % i, qos=qos)
        if qos == 2:
            p.send("a", wire.ack(PUBREL, 1))
    if len(p.links["w"].last) > 2:
        p.send("w", wire.ack(PUBREC, p.links["w"].last.pop(2)))
    p.drop("w")
    p.connect("w", v, clean=False, **keep(v))


@script(*ALL)
def session_qos2_of_the_client(p, v):
    p.connect("w", v)
    p.subscribe("w", (p.topic(), 2))
    p.connect("a", v, clean=False, **keep(v))
    p.publish("a", p.topic(), b"x", qos=2, id=5)
    p.drop("a")
    p.connect("a", v, clean=False, **keep(v))
    p.publish("a", p.topic(), b"x", qos=2, id=5, dup=True)
    p.send("a", wire.ack(PUBREL, 5))
    p.ack_all("w")


@script(V5)
def session_expires(p, v):
    p.connect("a", v, session_expiry=1)
    p.bye("a")
    p.wait(2.5)
    p.connect("a", v, clean=False)


@script(V5)
def session_expiry_of_disconnect(p, v):
    p.connect("a", v, session_expiry=100)
    p.bye("a", 0, props(session_expiry=0))
    p.connect("a", v, clean=False)
    p.bye("a", 0, props(session_expiry=10))


@script(V5)
def session_expires_at_once(p, v):
    p.connect("a", v, clean=True, session_expiry=0)
    p.bye("a")
    p.connect("a", v, clean=False)


for first in ALL:
    for then in ALL:
        if first != then:
            def change(p, v, first=first):
                p.connect("w", first, clean=False, **keep(first))
                p.subscribe("w", (p.topic(), 1))
                p.bye("w")
                p.connect("a", v)
                p.publish("a", p.topic(), b"x", qos=1)
                p.connect("w", v, clean=False, **keep(v))
            add("session-from-%s" % SHORT[first], (then,), change)


@script(*ALL)
def taken_over(p, v):
    p.connect("w", v)
    p.subscribe("w", p.topic("will"))
    p.connect("a", v, will=(p.topic("will"), b"gone", 0, False))
    p.connect("b", v, client_id=p.id("a"))
    p.publish("b", p.topic("x"), b"", qos=1)


@script(*ALL)
def taken_over_with_session(p, v):
    p.connect("a", v, clean=False, **keep(v))
    p.subscribe("a", (p.topic(), 1))
    p.connect("b", v, client_id=p.id("a"), clean=False, **keep(v))
    p.publish("b", p.topic(), b"x", qos=1)


@script(V5)
def message_expires(p, v):
    p.connect("w", v, session_expiry=100)
    p.subscribe("w", (p.topic(), 1))
    p.bye("w")
    p.connect("a", v)
    p.publish("a", p.topic(), b"short", qos=1, props=props(message_expiry=1))
    p.publish("a", p.topic(), b"long", qos=1, props=props(message_expiry=500))
    p.wait(2.2)
    p.connect("w", v, clean=False, session_expiry=100)


@script(V5)
def sent_does_not_expire(p, v):
    p.connect("w", v, session_expiry=100)
    p.subscribe("w", (p.topic(), 2))
    p.connect("a", v)
    p.publish2("a", p.topic(), b"x", props=props(message_expiry=1))
    p.drop("w")
    p.wait(2.2)
    p.connect("w", v, clean=False, session_expiry=100)


@script(V5)
def receive_maximum(p, v):
    p.connect("w", v, receive_maximum=2)
    p.subscribe("w", (p.topic(), 2))
    p.connect("a", v)
    for i in range(4):
        p.publish("a", p.topic(), b"%d" % i, qos=1)
    p.ack("w", PUBACK)
    p.ack_all("w")


@script(V5)
def receive_maximum_and_qos_2(p, v):
    p.connect("w", v, receive_maximum=1)
    p.subscribe("w", (p.topic(), 2))
    p.connect("a", v)
    for i in range(2):
        p.publish2("a", p.topic(), b"%d" % i)
    p.ack("w", PUBREC)
    p.ack("w", PUBCOMP)
    p.ack_all("w")


@script(V5)
def packet_size_of_the_client(p, v):
    p.connect("w", v, maximum_packet_size=100)
    p.subscribe("w", (p.topic(), 2))
    p.connect("a", v)
    for size in (200, 10):
        for qos in (0, 1):
            p.publish("a", p.topic(), b"x" * size, qos=qos)
    p.ack_all("w")


@script(V5)
def tiny_packet_size(p, v):
    p.connect("w", v, maximum_packet_size=4)
    p.open("b", v)
    p.send("b", wire.connect(v, p.id("b"), maximum_packet_size=20))


# --- wills ------------------------------------------------------------------------------------------------------------


def ending(name, versions, end, **more):
    def body(p, v):
        p.connect("w", v)
        p.subscribe("w", (p.topic("will"), 2))
        p.connect("a", v, will=(p.topic("will"), b"gone", more.get("qos", 0), more.get("retain", False)),
                  will_props=more.get("will_props", b"") if v == V5 else b"",
                  **(more.get("fields", {}) if v == V5 else {}))
        end(p, v)
        p.wait(more.get("wait", 0.1))
        p.connect("late", v)
        p.subscribe("late", p.topic("will"))
    add("will-" + name, versions, body)


for qos in (0, 1, 2):
    ending("dropped-qos-%d" % qos, ALL, lambda p, v: p.drop("a"), qos=qos)
    ending("dropped-retained-qos-%d" % qos, ALL, lambda p, v: p.drop("a"), qos=qos, retain=True)
ending("disconnect", ALL, lambda p, v: p.bye("a"))
ending("malformed", ALL, lambda p, v: p.send("a", b"\0\0"))
ending("second-connect", ALL, lambda p, v: p.send("a", wire.connect(v, "x")))
for reason in (0x00, 0x04, 0x80, 0x81, 0x8D, 0x93, 0x97, 0x98, 0x01, 0x8E, 0x55):
    ending("reason-%02x" % reason, (V5,), lambda p, v, r=reason: p.bye("a", r))
ending("reason-with-words", (V5,), lambda p, v: p.bye("a", 4, props(reason_string="x", user_property=("a", "b"))))
ending("reason-with-reference", (V5,), lambda p, v: p.bye("a", 4, props(server_reference="x")))
ending("disconnect-long", (V5,), lambda p, v: p.send("a", packet(0xE0, b"\0\0x")))
ending("delay", (V5,), lambda p, v: p.drop("a"), will_props=props(will_delay=1), fields={"session_expiry": 100},
       wait=2.4)
ending("delay-longer-than-session", (V5,), lambda p, v: p.drop("a"), will_props=props(will_delay=100), wait=0.5)
ending("delay-not-over", (V5,), lambda p, v: p.drop("a"), will_props=props(will_delay=100),
       fields={"session_expiry": 100}, wait=0.5)
ending("delay-and-back", (V5,), lambda p, v: (p.drop("a"), p.connect("a", v, clean=False, session_expiry=100)),
       will_props=props(will_delay=1), fields={"session_expiry": 100}, wait=2.4)
ending("delay-and-clean-start", (V5,), lambda p, v: (p.drop("a"), p.connect("a", v, clean=True, session_expiry=100)),
       will_props=props(will_delay=100), fields={"session_expiry": 100}, wait=0.5)
ending("properties", (V5,), lambda p, v: p.drop("a"),
       will_props=props(("user_property", ("b", "1")), ("user_property", ("a", "2")), ("content_type", "c"),
                        ("response_topic", "r"), ("correlation_data", b"\1"), ("payload_format", 1),
                        ("message_expiry", 500)))
ending("packet-cut", ALL, lambda p, v: (p.send("a", b"\x30\x7f\0\1", part=True), p.drop("a")))


@script(*ALL)
def will_of_keep_alive(p, v):
    p.connect("w", v)
    p.subscribe("w", p.topic("will"))
    p.connect("a", v, keep_alive=1, will=(p.topic("will"), b"gone", 0, False))
    time.sleep(7)
    p.read(p.links["a"], 0.1)
    p.settle_others(p.links["a"])
