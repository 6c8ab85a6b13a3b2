# SPDX-License-Identifier: Apache-2.0
"""PUBLISH: topics, retained messages, properties, topic aliases, what the first bits mean."""
import time

import wire
from lab import conf, covers, main
from wire import PUBACK, PUBREC, V5, packet, props, string, u16

BAD_UTF8 = b"a\xed\xa0\x80b"
MALFORMED, PROTOCOL, ALIAS_INVALID = 0x81, 0x82, 0x94


def pair(t, version, *filters, **named):
    """A publisher and a subscriber."""
    to = t.peer(version)
    to.subscribe(*(filters or [t.topic()]), **named)
    return t.peer(version), to


@covers(v5="2.2.1-2 4.3.1-1 3.3.1-2 3.3.4-1 4.5.0-1", v311="2.3.1-5 4.3.1-1 3.3.1-2 3.3.4-1 4.5.0-1", v31=True)
def qos_0(t, version):
    to = [t.peer(version) for _ in range(3)]
    for peer in to:
        peer.subscribe((t.topic(), 2))
    sender = t.peer(version)
    sender.publish(t.topic(), b"\x00\x01 the payload")
    for peer in to:
        found = peer.message()
        assert (found.flags, found.topic, found.payload) == (0, t.topic().encode(), b"\x00\x01 the payload")
    sender.nothing()  # no answer


@covers(v5="2.2.1-3", v311="2.3.1-1", v31=True)
def an_identifier_is_not_0(t, version):
    for data in (wire.publish(version, t.topic(), b"", 1, id=0), wire.publish(version, t.topic(), b"", 2, id=0),
                 wire.subscribe(version, t.topic(), id=0), wire.unsubscribe(version, t.topic(), id=0)):
        t.peer(version).refused(data)


@covers(v5="2.2.1-5 4.3.2-4 4.3.3-8 4.3.3-11 3.3.4-1 3.4.2-1 3.5.2-1 3.7.2-1",
        v311="2.3.1-6 4.3.2-2 4.3.3-2 3.3.4-1", v31=True)
def answers_carry_the_identifier(t, version):
    peer, _ = pair(t, version)
    for number in (1, 77, 256, 65535):
        found = peer.ask(wire.publish(version, t.topic(), b"", 1, id=number))
        assert (found.type, found.id, found.reason, found.flags) == (PUBACK, number, 0, 0)
        found = peer.ask(wire.publish(version, t.topic(), b"", 2, id=number))
        assert (found.type, found.id, found.reason, found.flags) == (PUBREC, number, 0, 0)
        found = peer.ask(wire.ack(wire.PUBREL, number))
        assert (found.type, found.id, found.reason, found.flags) == (wire.PUBCOMP, number, 0, 0)
    found = peer.ask(wire.publish(version, t.topic("nobody"), b"", 1))
    assert found.reason in ((0, 0x10) if version == V5 else (0,))
    found = peer.ask(wire.ack(wire.PUBREL, 999))
    assert (found.type, found.reason) == (wire.PUBCOMP, 0x92 if version == V5 else 0)


@covers(v5="3.3.1-4 4.13.1-1", v311="3.3.1-4 4.8.0-1", v31=True)
def qos_3_ends_the_connection(t, version):
    data = packet(0x36, string(t.topic()) + u16(1) + (b"\0" if version == V5 else b""))
    t.peer(version).refused(data, MALFORMED)


@covers(v5="3.3.1-2")
def dup_with_qos_0(t, version):
    t.peer(version).refused(wire.publish(version, t.topic(), b"", 0, dup=True), MALFORMED)


@covers(v5="3.3.2-1 1.5.4-1 1.5.4-2 4.7.3-2", v311="3.3.2-1 1.5.3-1 1.5.3-2 4.7.3-2", v31=True)
def a_topic_is_text(t, version):
    for bad in (BAD_UTF8, b"a\0b", b"\xff", b"\xc1\xbf", b"\xf0\x80\x80\x80"):
        t.peer(version).refused(wire.publish(version, bad, b"x"), MALFORMED)
    # Shorter than its length says: there is no topic.
    t.peer(version).refused(packet(0x30, b"\x00\x10abc"), MALFORMED)


@covers(v5="3.3.2-2 4.7.0-1", v311="3.3.2-2 4.7.1-1", v31=True)
def no_wildcards_in_a_topic(t, version):
    watcher = t.peer(version)
    watcher.subscribe(t.topic("#"))
    for name in ("#", "+", "a/+/b", "a/#", "a+", "#a"):
        t.peer(version).refused(wire.publish(version, t.topic(name), b"x"))
    watcher.nothing()


@covers(v5="4.7.3-1", v311="4.7.3-1", v31=True)
def an_empty_topic(t, version):
    t.peer(version).refused(wire.publish(version, "", b"x"))
    peer = t.peer(version)
    peer.subscribe("/")
    peer.publish("/", b"%d" % version)
    while peer.message().payload != b"%d" % version:
        pass


@covers(v5="4.7.3-3", v311="4.7.3-3", v31=True)
def the_longest_topic(t, version):
    name = t.topic("x")
    name += "y" * (65535 - len(name))
    sender, to = pair(t, version, name)
    sender.publish(name, b"far")
    found = to.message()
    assert found.topic == name.encode() and found.payload == b"far"


@covers(v5="1.5.4-3 4.7.3-4 3.3.2-3", v311="1.5.3-3 4.7.3-4 3.3.2-3", v31=True)
def topics_are_compared_as_they_are(t, version):
    sender, to = pair(t, version, t.topic("\ufeffa"), t.topic("B/b"), t.topic("\u00e9"))
    for name in ("a", "b/b", "B/b/", "/B/b", "e\u0301", " B/b"):
        sender.publish(t.topic(name), b"other")
    for name in ("\ufeffa", "B/b", "\u00e9"):
        sender.publish(t.topic(name), b"this")
    for name in ("\ufeffa", "B/b", "\u00e9"):
        found = to.message()
        assert (found.topic, found.payload) == (t.topic(name).encode(), b"this"), found
    to.nothing()


@covers(v5="3.3.1-1 3.3.1-3", v311="3.3.1-3", v31=True)
def dup_does_not_travel(t, version):
    sender, to = pair(t, version, (t.topic(), 2))
    for qos in (1, 2):
        sender.publish(t.topic(), b"x", qos, dup=True)
        found = to.message()
        assert found.qos == qos and not found.dup, found


# --- retained messages ------------------------------------------------------------------------------------------------


@covers(v5="3.3.1-5 3.3.1-9", v311="3.3.1-5 3.3.1-6 3.3.1-7 3.3.1-8", v31=True)
def the_last_retained_message_counts(t, version):
    sender = t.peer(version)
    for payload, qos in ((b"first", 2), (b"second", 1), (b"third", 0), (b"last", 1)):
        sender.publish(t.topic(), payload, qos, retain=True)
        # QoS 0 has no answer to wait for.
        assert sender.ask(wire.PING).type == wire.PINGRESP
        for filters in (t.topic(), t.topic("").rstrip("/") + "/+"):
            to = t.peer(version)
            to.subscribe((filters, 2))
            found = to.message()
            assert (found.payload, found.qos, found.retain) == (payload, qos, True), found
            to.nothing(0.02)


@covers(v5="3.3.1-6 3.3.1-7", v311="3.3.1-10 3.3.1-11", v31=True)
def an_empty_one_removes_it(t, version):
    sender, watcher = pair(t, version)
    sender.publish(t.topic(), b"kept", 1, retain=True)
    assert watcher.message().payload == b"kept"
    sender.publish(t.topic(), b"", 1, retain=True)
    found = watcher.message()
    assert found.payload == b"" and not found.retain, "an empty one is delivered like any other"
    to = t.peer(version)
    to.subscribe(t.topic())
    to.nothing()


@covers(v5="3.3.1-8", v311="3.3.1-12", v31=True)
def without_retain_nothing_is_kept(t, version):
    sender = t.peer(version)
    sender.publish(t.topic("kept"), b"kept", 1, retain=True)
    for name in ("kept", "new"):
        sender.publish(t.topic(name), b"passing", 1)
        sender.publish(t.topic(name), b"", 1)
    to = t.peer(version)
    to.subscribe(t.topic("#"))
    assert to.message().payload == b"kept"
    to.nothing()


@covers(v5="3.3.1-12", v311="3.3.1-9", v31=True)
def a_standing_subscription_sees_no_retain(t, version):
    sender, to = pair(t, version)
    sender.publish(t.topic(), b"x", 1, retain=True)
    assert not to.message().retain


@covers(v311="3.1.2-7", v5="4.1.0-2")
def retained_messages_outlive_the_session(t, version):
    sender = t.peer(version, "gone")
    sender.publish(t.topic(), b"kept", 1, retain=True)
    sender.bye()
    t.peer(version, "gone").bye()
    to = t.peer(version)
    to.subscribe(t.topic())
    assert to.message().payload == b"kept"


@covers(v5="3.3.1-9 3.3.1-10 3.3.1-11")
def retain_handling(t, version):
    t.peer(version).publish(t.topic(), b"kept", 1, retain=True)
    for handling, often in ((0, (True, True)), (1, (True, False)), (2, (False, False))):
        to = t.peer(version)
        for sent in often:
            to.subscribe((t.topic(), handling << 4))
            if sent:
                assert to.message().payload == b"kept", handling
            to.nothing(0.05)


@covers(v5="3.3.1-13 3.3.1-12")
def retain_as_published(t, version):
    sender, to = pair(t, version, (t.topic(), 0x08))
    other = t.peer(version)
    other.subscribe((t.topic(), 0))
    for retain in (True, False):
        sender.publish(t.topic(), b"x", retain=retain)
        assert to.message().retain == retain
        assert not other.message().retain


# --- properties -------------------------------------------------------------------------------------------------------


@covers(v5="3.3.2-4 3.3.2-15 3.3.2-16 3.3.2-17 3.3.2-18 3.3.2-20 3.3.2-13 3.3.2-19")
def properties_travel(t, version):
    sender, to = pair(t, version, (t.topic(), 1))
    own = [("user_property", (b"b", b"2")), ("payload_format", 1), ("content_type", b"text/\xc3\xa9"),
           ("response_topic", b"answers/here"), ("user_property", (b"a", b"1")),
           ("correlation_data", b"\x00\xff\x10"), ("user_property", (b"b", b"2")), ("user_property", (b"", b""))]
    for qos in (0, 1):
        for retain in (False, True):
            sender.publish(t.topic(), b"x", qos, retain=retain, props=props(*own))
            found = to.message()
            assert sorted(found.props) == sorted(own), found
            assert found.all_of("user_property") == [v for n, v in own if n == "user_property"]
    late = t.peer(version)
    late.subscribe(t.topic())
    assert sorted(late.message().props) == sorted(own)
    sender.publish(t.topic(), b"x", props=props(payload_format=0))
    assert to.message().props in ([("payload_format", 0)], [])


@covers(v5="3.3.2-13 3.3.2-14 3.3.2-19 1.5.7-1")
def text_of_properties(t, version):
    for bad in (BAD_UTF8, b"a\0"):
        for one in (props(response_topic=bad), props(content_type=bad), props(user_property=(bad, "")),
                    props(user_property=("", bad))):
            t.peer(version).refused(wire.publish(version, t.topic(), b"x", props=one), MALFORMED)
    for wild in ("a/#", "+", "a/+/b"):
        t.peer(version).refused(wire.publish(version, t.topic(), b"x", props=props(response_topic=wild)))


@covers(v5="4.13.1-1")
def properties_that_do_not_belong_there(t, version):
    for one in (props(session_expiry=1), props(reason_string="x"), props(receive_maximum=3), b"\x7f\x01",
                props(payload_format=1) * 2, props(message_expiry=1) * 2, props(topic_alias=1) * 2,
                props(payload_format=2), props(content_type="a") * 2):
        t.peer(version).refused(wire.publish(version, t.topic(), b"x", props=one))
    peer = t.peer(version)  # longer than the packet
    peer.refused(packet(0x30, string(t.topic()) + b"\x7f"), MALFORMED)


@covers(v5="3.3.4-6")
def no_subscription_identifier_from_a_client(t, version):
    t.peer(version).refused(wire.publish(version, t.topic(), b"x", props=props(subscription_id=1)), PROTOCOL)


@covers(v5="3.3.2-5 3.3.2-6")
def messages_expire(t, version):
    to = t.peer(version, "c", session_expiry=100)
    to.subscribe((t.topic(), 1))
    to.bye()
    sender = t.peer(version)
    sender.publish(t.topic(), b"short", 1, props=props(message_expiry=1))
    sender.publish(t.topic(), b"long", 1, props=props(message_expiry=100))
    sender.publish(t.topic(), b"ever", 1)
    time.sleep(2.1)
    to = t.peer(version, "c", clean=False, session_expiry=100)
    found = to.messages(2)
    assert [m.payload for m in found] == [b"long", b"ever"], found
    assert 80 <= found[0].prop("message_expiry") <= 98, found[0]
    assert found[1].prop("message_expiry") is None
    to.nothing()


@covers(v5="3.3.2-5 3.3.2-6")
def retained_messages_expire(t, version):
    sender = t.peer(version)
    sender.publish(t.topic("a"), b"short", 1, retain=True, props=props(message_expiry=1))
    sender.publish(t.topic("b"), b"long", 1, retain=True, props=props(message_expiry=100))
    time.sleep(2.1)
    to = t.peer(version)
    to.subscribe(t.topic("+"))
    found = to.message()
    assert found.payload == b"long" and 80 <= found.prop("message_expiry") <= 98, found
    to.nothing()


# --- topic aliases ----------------------------------------------------------------------------------------------------


@covers(v5="3.3.2-12")
def aliases_of_a_client(t, version):
    sender, to = pair(t, version, t.topic("#"))
    most = sender.connack.prop("topic_alias_maximum")
    assert most, "no aliases are taken"
    for alias in range(1, most + 1):
        sender.publish(t.topic(alias), b"set", props=props(topic_alias=alias))
    for alias in range(1, most + 1):
        sender.publish("", b"use", props=props(topic_alias=alias))
    sender.publish(t.topic("new"), b"moved", props=props(topic_alias=1))
    sender.publish("", b"use", props=props(topic_alias=1))
    found = [(m.topic.decode(), m.payload) for m in (to.message() for _ in range(2 * most + 2))]
    wanted = [(t.topic(a), b"set") for a in range(1, most + 1)] + [(t.topic(a), b"use") for a in range(1, most + 1)]
    assert found == wanted + [(t.topic("new"), b"moved"), (t.topic("new"), b"use")], found
    # Another client's aliases are its own.
    t.peer(version).refused(wire.publish(version, "", b"x", props=props(topic_alias=1)), PROTOCOL)


@covers(v5="3.3.2-8 3.3.2-9 3.2.2-17")
def aliases_that_are_refused(t, version):
    most = t.peer(version).connack.prop("topic_alias_maximum")
    for alias in (0, most + 1, 65535):
        t.peer(version).refused(wire.publish(version, t.topic(), b"x", props=props(topic_alias=alias)), ALIAS_INVALID)
    t.peer(version).refused(wire.publish(version, "", b"x", props=props(topic_alias=most)), PROTOCOL)
    t.peer(version).refused(wire.publish(version, "", b"x"), PROTOCOL)


@covers(v5="3.2.2-18 3.2.2-17")
@conf("max_topic_alias 0")
def no_aliases_are_taken(t, version):
    peer = t.peer(version)
    assert not peer.connack.prop("topic_alias_maximum")
    peer.refused(wire.publish(version, t.topic(), b"x", props=props(topic_alias=1)), ALIAS_INVALID)


@covers(v5="3.3.2-7")
def aliases_end_with_the_connection(t, version):
    first = t.peer(version, "c", session_expiry=100)
    first.publish(t.topic(), b"set", props=props(topic_alias=1))
    first.bye()
    again = t.peer(version, "c", clean=False, session_expiry=100)
    assert again.connack.session_present == 1
    again.refused(wire.publish(version, "", b"x", props=props(topic_alias=1)), PROTOCOL)


@covers(v5="3.1.2-27 3.3.2-11")
def no_aliases_towards_who_wants_none(t, version):
    sender = t.peer(version)
    for fields in ({}, {"topic_alias_maximum": 0}):
        to = t.peer(version, **fields)
        to.subscribe(t.topic())
        for _ in range(5):
            sender.publish(t.topic(), b"x")
            found = to.message()
            assert found.prop("topic_alias") is None and found.topic == t.topic().encode()


@covers(v5="3.1.2-26 3.3.2-11")
def aliases_of_the_broker(t, version):
    sender, to = t.peer(version), t.peer(version, topic_alias_maximum=2)
    to.subscribe(t.topic("#"))
    known = {}
    for name in "abcabcabcabc":
        sender.publish(t.topic(name), name.encode())
        found = to.message()
        alias = found.prop("topic_alias")
        assert alias is None or 1 <= alias <= 2, found
        if alias and found.topic:
            known[alias] = found.topic
        assert (found.topic or known[alias]) == t.topic(name).encode(), found


main(globals())
