# SPDX-License-Identifier: Apache-2.0
"""Where rules meet: shared and plain, No Local and retained, what is left of a session, long queues, aliases."""
import wire
from script import ALL, add, script
from wire import PUBACK, PUBREC, PUBREL, V5, V311, props


def keep(v):
    return {"session_expiry": 100} if v == V5 else {}


@script(*ALL)
def shared_and_plain(p, v):
    p.connect("w", v)
    p.subscribe("w", ("$share/g/" + p.topic(), 1), **({"subscription_id": 1} if v == V5 else {}))
    p.subscribe("w", (p.topic(), 0), **({"subscription_id": 2} if v == V5 else {}))
    p.connect("a", v)
    p.publish("a", p.topic(), b"x", qos=1)
    p.ack_all("w")


@script(V5)
def no_local_and_retained(p, v):
    p.connect("a", v)
    p.publish("a", p.topic(), b"own", qos=1, retain=True)
    p.subscribe("a", (p.topic(), 0x04))
    p.connect("b", v)
    p.subscribe("b", (p.topic(), 0x04))


@script(V5)
def no_local_and_will(p, v):
    p.connect("a", v, session_expiry=100, will=(p.topic(), b"gone", 1, False))
    p.subscribe("a", (p.topic(), 0x05))
    p.connect("w", v)
    p.subscribe("w", p.topic())
    p.drop("a")
    p.wait(0.1)
    p.connect("a", v, clean=False, session_expiry=100)


@script(*ALL)
def the_same_filter_twice_in_one(p, v):
    p.connect("a", v)
    p.publish("a", p.topic(), b"kept", qos=1, retain=True)
    p.subscribe("a", (p.topic(), 0), (p.topic(), 1))
    p.ack_all("a")
    p.publish("a", p.topic(), b"x", qos=1, id=2)
    p.ack_all("a")


@script(*ALL)
def many_filters_with_retained(p, v):
    p.connect("a", v)
    for name in ("a", "b/c", "d"):
        p.publish("a", p.topic(name), name.encode(), qos=1, retain=True)
    p.subscribe("a", p.topic("a"), p.topic("b/+"), p.topic("none"))


@script(V5)
def retained_with_identifier_and_options(p, v):
    p.connect("a", v)
    p.publish("a", p.topic(), b"kept", qos=1, retain=True)
    for options in (0x08, 0x18, 0x28, 0x09):
        p.subscribe("a", (p.topic(), options), subscription_id=7)
        p.ack_all("a")


@script(V5)
def another_identifier(p, v):
    p.connect("w", v)
    p.subscribe("w", p.topic(), subscription_id=1)
    p.subscribe("w", p.topic(), subscription_id=2)
    p.connect("a", v)
    p.publish("a", p.topic(), b"x")
    p.subscribe("w", p.topic())
    p.publish("a", p.topic(), b"y")


@script(V5)
def clean_start_with_expiry(p, v):
    p.connect("w", v, clean=True, session_expiry=100)
    p.subscribe("w", (p.topic(), 1))
    p.bye("w")
    p.connect("a", v)
    p.publish("a", p.topic(), b"x", qos=1)
    p.connect("w", v, clean=False)
    p.ack_all("w")
    p.bye("w")
    p.connect("w", v, clean=False)


@script(*ALL)
def unsubscribed_while_away(p, v):
    p.connect("w", v, clean=False, **keep(v))
    p.subscribe("w", (p.topic(), 1))
    p.bye("w")
    p.connect("a", v)
    p.publish("a", p.topic(), b"queued", qos=1)
    p.connect("w", v, clean=False, **keep(v))
    p.unsubscribe("w", p.topic())
    p.publish("a", p.topic(), b"too late", qos=1)
    p.ack_all("w")


@script(*ALL)
def retained_while_away(p, v):
    p.connect("w", v, clean=False, **keep(v))
    p.subscribe("w", (p.topic(), 1))
    p.bye("w")
    p.connect("a", v)
    p.publish("a", p.topic(), b"kept", qos=1, retain=True)
    p.connect("w", v, clean=False, **keep(v))
    p.ack_all("w")


@script(V5)
def aliases_towards_the_client(p, v):
    p.connect("w", v, topic_alias_maximum=2, session_expiry=100)
    p.subscribe("w", (p.topic("#"), 1))
    p.connect("a", v)
    for name in "abcab":
        p.publish("a", p.topic(name), name.encode(), qos=1)
    p.drop("w")
    p.connect("w", v, clean=False, session_expiry=100)


@script(*ALL)
def the_same_identifier_for_all(p, v):
    p.connect("a", v)
    p.send("a", wire.publish(v, p.topic(), b"1", 1, id=5))
    p.send("a", wire.publish(v, p.topic(), b"2", 2, id=5))
    p.send("a", wire.subscribe(v, p.topic(), id=5))
    p.send("a", wire.ack(PUBREL, 5))
    p.send("a", wire.unsubscribe(v, p.topic(), id=5))


@script(V311, V5)
def a_window_of_20(p, v):
    p.connect("w", v)
    p.subscribe("w", (p.topic(), 1))
    p.connect("a", v)
    p.send("a", b"".join(wire.publish(v, p.topic(), b"%d" % i, 1, id=i + 1) for i in range(30)))
    p.ack_all("w")


@script(V311, V5)
def what_went_out_in_one_piece(p, v):
    p.connect("w", v)
    p.subscribe("w", (p.topic(), 0))
    p.connect("a", v)
    p.send("a", b"".join(wire.publish(v, p.topic(), b"x" * (i * 97), i % 2, id=i + 1) for i in range(40)))


@script(*ALL)
def a_thousand_wait(p, v):
    """As many as a session may have waiting: the first thousand."""
    p.connect("w", v, clean=False, **keep(v))
    p.subscribe("w", (p.topic(), 1))
    p.bye("w")
    p.connect("a", v)
    for start in range(0, 1100, 100):
        p.send("a", b"".join(wire.publish(v, p.topic(), b"%d" % i, 1, id=i + 1) for i in range(start, start + 100)))
    p.connect("w", v, clean=False, **keep(v))
    p.ack_all_at_once("w")


for qos in (0, 1, 2):
    def large(p, v, qos=qos):
        p.connect("w", v)
        p.subscribe("w", (p.topic(), 2))
        p.connect("a", v)
        p.publish("a", p.topic(), b"x" * 300000, qos=qos)
        p.send("a", wire.ack(PUBREL, 1))
        p.ack_all("w")
    add("large-qos-%d" % qos, (V311, V5), large)


@script(V5)
def pubrec_of_failure_and_again(p, v):
    p.connect("w", v, session_expiry=100)
    p.subscribe("w", (p.topic(), 2))
    p.connect("a", v)
    p.publish2("a", p.topic(), b"x")
    p.ack("w", PUBREC, 0x80)
    p.drop("w")
    p.connect("w", v, clean=False, session_expiry=100)
    p.publish("a", p.topic(), b"y", qos=1, props=props(message_expiry=600))
    p.ack("w", PUBACK)


for first, then in ((0x00, 0x08), (0x08, 0x00), (0x00, 0x04), (0x04, 0x00)):
    def options_changed(p, v, first=first, then=then):
        p.connect("a", v)
        p.subscribe("a", (p.topic(), first))
        p.subscribe("a", (p.topic(), then | 0x20))
        p.publish("a", p.topic(), b"x", qos=1, retain=True)
    add("options-from-%02x-to-%02x" % (first, then), (V5,), options_changed)
