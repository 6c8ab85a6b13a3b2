# SPDX-License-Identifier: Apache-2.0
"""Retained messages, SUBSCRIBE, matching, shared subscriptions."""
import wire
from script import ALL, BAD_TEXT, NEW, add, after_connect, script
from wire import PUBREL, V5, V31, V311, harness, packet, props, string, u16


# --- retained messages ------------------------------------------------------------------------------------------------

for qos in (0, 1, 2):
    def retained(p, v, qos=qos):
        p.connect("a", v)
        p.publish("a", p.topic("one"), b"old", qos=1, retain=True)
        p.publish("a", p.topic("one"), b"kept", qos=qos, retain=True)
        p.send("a", wire.ack(PUBREL, 1))
        p.publish("a", p.topic("two"), b"passing", qos=qos, id=2)
        p.send("a", wire.ack(PUBREL, 2))
        p.connect("b", v)
        p.subscribe("b", (p.topic("+"), 2))
        p.ack_all("b")
        p.publish("a", p.topic("one"), b"", qos=qos, retain=True, id=3)
        p.send("a", wire.ack(PUBREL, 3))
        p.connect("c", v)
        p.subscribe("c", (p.topic("#"), 2))
    add("retained-qos-%d" % qos, ALL, retained)


@script(*ALL)
def retained_for_each_filter(p, v):
    p.connect("a", v)
    p.publish("a", p.topic("x"), b"kept", qos=1, retain=True)
    p.subscribe("a", p.topic("x"), p.topic("+"), p.topic("#"))


@script(*ALL)
def retained_again_on_subscribing_again(p, v):
    p.connect("a", v)
    p.publish("a", p.topic("x"), b"kept", qos=1, retain=True)
    for granted in (0, 1, 0):
        p.subscribe("a", (p.topic("x"), granted))
        p.ack_all("a")


for handling in (0, 1, 2, 3):
    def retain_handling(p, v, handling=handling):
        p.connect("a", v)
        p.publish("a", p.topic("x"), b"kept", qos=1, retain=True)
        p.subscribe("a", (p.topic("x"), handling << 4))
        p.subscribe("a", (p.topic("x"), handling << 4))
    add("retain-handling-%d" % handling, (V5,), retain_handling)


@script(V5)
def retain_as_published(p, v):
    p.connect("a", v)
    p.connect("b", v)
    p.subscribe("b", (p.topic("x"), 8))
    p.subscribe("a", (p.topic("x"), 0))
    for retain in (True, False):
        p.publish("a", p.topic("x"), b"m", retain=retain)


@script(V5)
def retained_with_properties(p, v):
    p.connect("a", v)
    p.publish("a", p.topic("x"), b"m", retain=True, props=props(("user_property", ("a", "b")), ("content_type", "c"),
                                                               ("message_expiry", 500), ("topic_alias", 3)))
    p.subscribe("a", p.topic("x"), subscription_id=5)
    p.connect("b", V311)
    p.subscribe("b", p.topic("x"))


@script(V5)
def retained_that_expires(p, v):
    p.connect("a", v)
    p.publish("a", p.topic("x"), b"m", qos=1, retain=True, props=props(message_expiry=1))
    p.wait(2.2)
    p.subscribe("a", p.topic("x"))


# --- SUBSCRIBE --------------------------------------------------------------------------------------------------------

for wrong in ("a/#/b", "a#", "a+", "#a", "+a", "##", "++", "a/b+", "", "#", "+", "a//b", "/", "//", "a/", "+/+"):
    after_connect("filter-%s" % (wrong.replace("/", "_") or "empty"), ALL,
                  lambda p, v, w=wrong: wire.subscribe(v, p.topic(w) if w else ""),
                  lambda p, v, w=wrong: wire.unsubscribe(v, p.topic(w) if w else ""))
for wrong in ("$share/g", "$share/g/", "$share//a", "$share/+/a", "$share/g#/a", "$share/", "$share",
              "$share/g/#/a", "$SYS/broker/none", "$other/a"):
    after_connect("filter-%s" % wrong.replace("/", "_"), ALL,
                  lambda p, v, w=wrong: wire.subscribe(v, w), lambda p, v, w=wrong: wire.unsubscribe(v, w))
for kind, bad in BAD_TEXT.items():
    after_connect("filter-text-" + kind, ALL, lambda p, v, b=bad: wire.subscribe(v, p.topic().encode() + b))
    after_connect("unsubscribe-text-" + kind, ALL, lambda p, v, b=bad: wire.unsubscribe(v, p.topic().encode() + b))
for options in (0, 1, 2, 3, 4, 8, 0x0C, 0x10, 0x20, 0x30, 0x40, 0x80, 0xC2):
    after_connect("options-%02x" % options, ALL, lambda p, v, o=options: wire.subscribe(v, (p.topic(), o)))
    if options & 3 != 3:
        after_connect("options-%02x-shared" % options, (V5,),
                      lambda p, v, o=options: wire.subscribe(v, ("$share/g/" + p.topic(), o)))
after_connect("subscribe-none", ALL, lambda p, v: wire.subscribe(v))
after_connect("subscribe-id-0", ALL, lambda p, v: wire.subscribe(v, p.topic(), id=0))
after_connect("subscribe-no-options", NEW, lambda p, v: packet(0x82, u16(1) + harness.props(v) + string(p.topic())))
after_connect("subscribe-many", ALL, lambda p, v: wire.subscribe(v, *[(p.topic(str(i)), i % 3) for i in range(100)]))
after_connect("subscribe-one-bad", ALL,
              lambda p, v: wire.subscribe(v, (p.topic("a"), 1), (p.topic("b#"), 1), (p.topic(), 2)))
after_connect("subscribe-deep", ALL, lambda p, v: wire.subscribe(v, p.topic("/".join("x" * 150))))
after_connect("subscribe-deeper", ALL, lambda p, v: wire.subscribe(v, p.topic("/".join("x" * 250))))
after_connect("unsubscribe-none", ALL, lambda p, v: wire.unsubscribe(v))
after_connect("unsubscribe-id-0", ALL, lambda p, v: wire.unsubscribe(v, p.topic(), id=0))
after_connect("unsubscribe-not-there", ALL, lambda p, v: wire.unsubscribe(v, p.topic(), p.topic("b")))
for text, own in {"id-1": props(subscription_id=1), "id-max": props(subscription_id=268435455),
                  "id-0": props(subscription_id=0), "id-twice": props(subscription_id=1) * 2,
                  "user": props(user_property=("a", "b")), "alias": props(topic_alias=1),
                  "unknown": b"\x7f\1"}.items():
    after_connect("subscribe-property-" + text, (V5,), lambda p, v, o=own: wire.subscribe(v, p.topic(), props=o),
                  lambda p, v: wire.publish(v, p.topic(), b"x", 1))
    after_connect("unsubscribe-property-" + text, (V5,), lambda p, v, o=own: wire.unsubscribe(v, p.topic(), props=o))

MATCHES = ["#", "+", "a/#", "+/b", "a/+", "a/+/c", "+/+", "/+", "+/#", "a", "a/b", "/b", "a//c", "a/", "A", "a/b/#",
           "+/+/+", "+/b/#", "a/+/+", "//"]
for number, pattern in enumerate(MATCHES):
    def match(p, v, pattern=pattern):
        p.connect("w", v)
        p.subscribe("w", (p.topic(pattern), 0))
        p.connect("a", v)
        p.send("a", b"".join(wire.publish(v, p.topic(name), b"x")
                             for name in ("a", "b", "a/b", "a/", "/b", "a/b/c", "a//c", "x/y/z", "/", "//", "A")))
    add("match-%d-%s" % (number, pattern.replace("/", "_")), (V311, V5), match)


@script(*ALL)
def overlapping(p, v):
    p.connect("w", v)
    for name, granted in (("#", 0), ("a", 2), ("+", 1)):
        p.subscribe("w", (p.topic(name), granted))
    p.connect("a", v)
    p.publish2("a", p.topic("a"), b"x")
    p.ack_all("w")


@script(V5)
def overlapping_with_identifiers(p, v):
    p.connect("w", v)
    for number, (name, granted) in enumerate((("#", 0), ("a", 2), ("+", 1))):
        p.subscribe("w", (p.topic(name), granted), subscription_id=number + 5)
    p.connect("a", v)
    p.publish2("a", p.topic("a"), b"x")
    p.ack_all("w")


@script(*ALL)
def granted_qos(p, v):
    p.connect("a", v)
    for granted in (0, 1, 2):
        p.connect("w%d" % granted, v)
        p.subscribe("w%d" % granted, (p.topic(), granted))
    for qos in (0, 1):
        p.publish("a", p.topic(), b"q%d" % qos, qos=qos)
    p.publish2("a", p.topic(), b"q2")
    for granted in (1, 2):
        p.ack_all("w%d" % granted)


@script(*ALL)
def unsubscribed(p, v):
    p.connect("w", v)
    p.subscribe("w", p.topic("a"), p.topic("b"), p.topic("+"))
    p.connect("a", v)
    p.unsubscribe("w", p.topic("a"), p.topic("no"), p.topic("+"))
    p.publish("a", p.topic("a"), b"a")
    p.publish("a", p.topic("b"), b"b")


@script(V5)
def no_local(p, v):
    p.connect("a", v)
    p.subscribe("a", (p.topic(), 4))
    p.connect("b", v)
    p.publish("a", p.topic(), b"own", qos=1)
    p.publish("b", p.topic(), b"other", qos=1)


@script(V31, V311, V5)
def shared_subscription(p, v):
    p.connect("a", v)
    for name in ("w1", "w2"):
        p.connect(name, v)
        p.subscribe(name, ("$share/g/" + p.topic(), 0))
    p.connect("w3", v)
    p.subscribe("w3", ("$share/other/" + p.topic(), 0))
    p.publish("a", p.topic(), b"1")
    p.unsubscribe("w1", "$share/g/" + p.topic())
    p.publish("a", p.topic(), b"2")


@script(V5)
def shared_gets_nothing_retained(p, v):
    p.connect("a", v)
    p.publish("a", p.topic(), b"kept", qos=1, retain=True)
    p.subscribe("a", "$share/g/" + p.topic())
    p.subscribe("a", p.topic())


@script(*ALL)
def shared_wildcards_get_nothing_retained(p, v):
    p.connect("a", v)
    p.publish("a", p.topic("x/y"), b"kept", qos=1, retain=True)
    p.subscribe("a", "$share/g/" + p.topic("+/#"))
    p.unsubscribe("a", "$share/g/" + p.topic("+/#"))


@script(V5)
def shared_with_identifier(p, v):
    p.connect("a", v)
    p.subscribe("a", ("$share/g/" + p.topic(), 1), subscription_id=9)
    p.publish("a", p.topic(), b"x", qos=1)
    p.ack_all("a")


@script(V5)
def shared_member_that_is_away(p, v):
    p.connect("w", v, session_expiry=100)
    p.subscribe("w", ("$share/g/" + p.topic(), 1))
    p.bye("w")
    p.connect("a", v)
    p.publish("a", p.topic(), b"x", qos=1)
    p.connect("w", v, clean=False, session_expiry=100)
