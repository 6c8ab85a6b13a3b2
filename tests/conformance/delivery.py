# SPDX-License-Identifier: Apache-2.0
"""The exchanges of QoS 1 and 2, sending again, order, flow control, packet sizes."""
import time

import wire
from lab import conf, covers, main
from wire import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, V31, V5, packet, props, u16

MALFORMED, PROTOCOL, TOO_LARGE, RECEIVE_MAXIMUM = 0x81, 0x82, 0x95, 0x93


def keep(version):
    return {"session_expiry": 100} if version == V5 else {}


def durable(t, version, *filters, **fields):
    """A client with a session that stays."""
    peer = t.peer(version, "durable", clean=False, **keep(version), **fields)
    peer.subscribe(*filters)
    return peer


def back(t, version, **fields):
    return t.peer(version, "durable", clean=False, **keep(version), **fields)


@covers(v5="4.3.2-1 4.3.2-2 4.3.2-3 4.3.3-1 4.3.3-2 4.3.3-3 2.2.1-4 3.3.1-1",
        v311="2.3.1-1 2.3.1-4 4.3.2-1 4.3.3-1 3.3.1-1", v31=True)
def identifiers_of_the_broker(t, version):
    to, sender = t.peer(version), t.peer(version)
    to.subscribe((t.topic(), 2))
    open_ones = []
    for i in range(12):
        sender.publish(t.topic(), b"%d" % i, 1 + i % 2)
        found = to.message(answer=False)
        assert found.qos == 1 + i % 2 and not found.dup and found.payload == b"%d" % i
        open_ones.append(found)
    ids = [m.id for m in open_ones]
    assert 0 not in ids and len(set(ids)) == 12, ids
    to.nothing()  # unanswered, and yet not sent again on the same connection
    for m in open_ones[::2]:
        to.send(wire.ack(PUBACK, m.id))
    for _ in range(40):  # round and round: never one that is open
        sender.publish(t.topic(), b"more", 1)
        found = to.message()
        assert found.id not in ids[1::2] and found.id != 0, found


@covers(v5="4.3.2-5 4.3.3-12", v311="4.3.2-2 4.3.3-2", v31=True)
def an_identifier_again_is_a_new_message(t, version):
    to, sender = t.peer(version), t.peer(version)
    to.subscribe((t.topic(), 0))
    for qos in (1, 2):
        for dup in (False, True, True):
            sender.publish(t.topic(), b"x", qos, id=5, dup=dup)
            assert to.message().payload == b"x"
    to.nothing()


@covers(v5="4.3.3-10 4.3.3-8 4.3.3-11", v311="4.3.3-2 2.3.1-6", v31=True)
def qos_2_comes_once(t, version):
    to, sender = t.peer(version), t.peer(version)
    to.subscribe((t.topic(), 2))
    for dup in (False, True, True, False):
        found = sender.ask(wire.publish(version, t.topic(), b"once", 2, id=9, dup=dup))
        assert (found.type, found.id) == (PUBREC, 9) and found.reason < 0x80
    assert to.message().payload == b"once"
    to.nothing()
    for _ in range(2):
        found = sender.ask(wire.ack(PUBREL, 9))
        assert (found.type, found.id) == (PUBCOMP, 9)


@covers(v5="4.3.3-10 4.4.0-1 4.1.0-1", v311="4.3.3-2 4.4.0-1 4.1.0-2", v31=True)
def qos_2_comes_once_over_two_connections(t, version):
    to = t.peer(version)
    to.subscribe((t.topic(), 2))
    sender = t.peer(version, "durable", clean=False, **keep(version))
    assert sender.ask(wire.publish(version, t.topic(), b"once", 2, id=9)).type == PUBREC
    assert to.message().payload == b"once"
    sender.reset()
    sender = back(t, version)
    assert sender.ask(wire.publish(version, t.topic(), b"once", 2, id=9, dup=True)).type == PUBREC
    assert sender.ask(wire.ack(PUBREL, 9)).type == PUBCOMP
    to.nothing()


@covers(v5="4.3.3-9")
def after_a_refusal_it_is_a_new_message(t, version):
    to, sender = t.peer(version), t.peer(version)
    to.subscribe((t.topic(), 2))
    assert sender.ask(wire.publish(version, "$SYS/nobody/may", b"x", 2, id=7)).reason >= 0x80
    assert sender.publish(t.topic(), b"new", 2, id=7).reason == 0
    assert to.message().payload == b"new"


@covers(v5="4.3.3-4 4.3.3-5 4.3.3-6 4.4.0-1 2.2.1-5 3.6.1-1 3.6.2-1 3.3.1-1",
        v311="4.3.3-1 4.4.0-1 3.6.1-1 3.3.1-1 2.3.1-3 2.3.1-4", v31=True)
def what_is_open_is_sent_again(t, version):
    to, sender = durable(t, version, (t.topic(), 2)), t.peer(version)
    for i, qos in enumerate((1, 2, 2, 1, 2)):
        sender.publish(t.topic(), b"%d" % i, qos)
    found = [to.message(answer=False) for _ in range(5)]
    rel = to.ask(wire.ack(PUBREC, found[2].id))
    assert (rel.type, rel.id, rel.flags) == (PUBREL, found[2].id, 2) and rel.reason == 0
    to.reset()
    to = back(t, version)
    again = [to.see() for _ in range(5)]
    assert [a.id for a in again] == [f.id for f in found], again
    for number in (0, 1, 3, 4):
        assert (again[number].payload, again[number].qos) == (found[number].payload, found[number].qos)
        assert again[number].dup and again[number].type == PUBLISH
    assert again[2].type == PUBREL, "after PUBREC the message is not sent again: %r" % again[2]
    for a in again:
        if a.type == PUBLISH:
            to.send(wire.ack(PUBACK if a.qos == 1 else PUBREC, a.id))
        else:
            to.send(wire.ack(PUBCOMP, a.id))
    for _ in range(2):
        to.send(wire.ack(PUBCOMP, to.see(PUBREL).id))
    to.nothing()
    to.bye()
    back(t, version).nothing()


@covers(v5="4.4.0-1", v311="4.4.0-1")
def nothing_is_sent_again_without_reconnecting(t, version):
    to, sender = t.peer(version), t.peer(version)
    to.subscribe((t.topic(), 2))
    sender.publish(t.topic(), b"x", 2)
    to.message(answer=False)
    to.nothing(1.0)


@covers(v5="3.6.1-1 2.1.3-1", v311="3.6.1-1 2.2.2-1 2.2.2-2", v31=True)
def flags_of_pubrel_and_others(t, version):
    for flags in (0, 1, 3, 4, 6, 10, 15):
        if version == V31 and flags in (0, 4, 6, 10):
            continue
        t.peer(version).refused(packet(0x60 | flags, u16(1)), MALFORMED)
    for first in (0x41, 0x52, 0x74, 0xC8, 0xE1):
        if version != V31:
            t.peer(version).refused(packet(first, b"" if first >= 0xC0 else u16(1)), MALFORMED)


@covers(v5="3.4.2-1 3.5.2-1 3.6.2-1 3.7.2-1")
def reason_codes_of_answers(t, version):
    for kind, wrong in ((PUBACK, 0x11), (PUBREC, 0x92), (PUBREL, 0x80), (PUBCOMP, 0x87), (PUBACK, 0x55)):
        t.peer(version).refused(wire.ack(kind, 1, wrong))


@covers(v5="4.4.0-2")
def what_is_refused_is_not_sent_again(t, version):
    to, sender = durable(t, version, (t.topic(), 2)), t.peer(version)
    sender.publish(t.topic(), b"1", 1)
    sender.publish(t.topic(), b"2", 2)
    to.send(wire.ack(PUBACK, to.message(answer=False).id, 0x97))
    to.send(wire.ack(PUBREC, to.message(answer=False).id, 0x83))
    to.nothing()  # no PUBREL either
    to.bye()
    back(t, version).nothing()


@covers(v5="4.3.3-7 4.3.3-13 3.3.2-5")
def what_was_sent_does_not_expire(t, version):
    to, sender = durable(t, version, (t.topic(), 2)), t.peer(version)
    sender.publish(t.topic(), b"x", 2, props=props(message_expiry=1))
    first = to.message(answer=False)
    time.sleep(1.3)
    rel = to.ask(wire.ack(PUBREC, first.id), PUBREL)
    assert rel.id == first.id and rel.reason == 0, "its exchange is brought to its end: %r" % rel
    to.send(wire.ack(PUBCOMP, first.id))
    # And the other way: the broker as the receiver of a message that expired meanwhile.
    sender.send(wire.publish(version, t.topic("no"), b"x", 2, id=3, props=props(message_expiry=1)))
    assert sender.see(PUBREC).id == 3
    time.sleep(1.3)
    assert sender.ask(wire.ack(PUBREL, 3), PUBCOMP).reason == 0


@covers(v5="4.3.3-7")
def what_was_sent_does_not_expire_over_connections(t, version):
    to, sender = durable(t, version, (t.topic(), 2)), t.peer(version)
    sender.publish(t.topic(), b"x", 2, props=props(message_expiry=1))
    first = to.message(answer=False)
    to.reset()
    time.sleep(1.3)
    to = back(t, version)
    again = to.message()
    assert (again.id, again.payload, again.dup) == (first.id, b"x", True), again


@covers(v5="4.6.0-5 4.6.0-6", v311="4.6.0-5 4.6.0-6", v31=True)
def order_is_kept(t, version):
    to, sender, second = t.peer(version), t.peer(version), t.peer(version)
    to.subscribe((t.topic(), 2))
    for qos in (0, 1, 2):
        for i in range(40):
            sender.send(wire.publish(version, t.topic(), b"a%d" % i, qos, id=i + 1))
            second.send(wire.publish(version, t.topic(), b"b%d" % i, qos, id=i + 1))
            if qos == 2:
                sender.send(wire.ack(PUBREL, i + 1))
                second.send(wire.ack(PUBREL, i + 1))
        got, rels = [], []
        while len(got) < 80 or len(rels) < (80 if qos == 2 else 0):
            p = to.see()
            if p.type == PUBLISH:
                got.append(p.payload)
                if qos:
                    to.send(wire.ack(PUBACK if qos == 1 else PUBREC, p.id))
            else:
                rels.append(p.id)
                to.send(wire.ack(PUBCOMP, p.id))
        for who in (b"a", b"b"):
            assert [p for p in got if p[:1] == who] == [who + b"%d" % i for i in range(40)], (qos, got)


@covers(v311="4.6.0-1 4.6.0-2 4.6.0-3 4.6.0-4")
def the_broker_answers_in_order(t, version):
    to, sender = durable(t, version, (t.topic(), 2)), t.peer(version)
    for qos, kind in ((1, PUBACK), (2, PUBREC)):
        sender.send(b"".join(wire.publish(version, t.topic(), b"%d" % i, qos, id=200 - i) for i in range(30)))
        assert [sender.see(kind).id for _ in range(30)] == [200 - i for i in range(30)]
    sent = [to.message(answer=False) for _ in range(20)]  # as many as are open at a time
    to.reset()
    to = back(t, version)
    again = [to.message(answer=False) for _ in range(20)]
    assert [(m.id, m.payload) for m in again] == [(m.id, m.payload) for m in sent]
    for m in again:
        to.send(wire.ack(PUBACK, m.id))
    rest = [to.message(answer=False) for _ in range(20)]
    assert [m.payload for m in rest[:10]] == [b"%d" % i for i in range(20, 30)]
    for m in rest[:10]:
        to.send(wire.ack(PUBACK, m.id))
    twos = rest[10:]
    to.send(b"".join(wire.ack(PUBREC, m.id) for m in twos))
    rels = []
    while len(rels) < len(twos):
        p = to.see()
        if p.type == PUBREL:
            rels.append(p.id)
    assert rels == [m.id for m in twos], rels


# --- flow control -----------------------------------------------------------------------------------------------------


@covers(v5="3.3.4-9 3.3.4-10 4.9.0-1 4.9.0-2 4.9.0-3")
def the_window_of_the_client(t, version):
    for qos in (1, 2):
        to, sender = t.peer(version, receive_maximum=3), t.peer(version)
        to.subscribe((t.topic(), 2), (t.topic("zero"), 0))
        for i in range(8):
            sender.publish(t.topic(), b"%d" % i, qos)
        found = [to.message(answer=False) for _ in range(3)]
        to.nothing()  # PINGREQ is answered
        assert to.ask(wire.subscribe(version, t.topic("more")), wire.SUBACK).codes == [0]
        to.publish(t.topic("zero"), b"QoS 0 goes on")
        assert to.message().payload == b"QoS 0 goes on"
        order = [int(m.payload) for m in found]
        while len(order) < 8 or found:
            m = found.pop(0)
            if qos == 1:
                to.send(wire.ack(PUBACK, m.id))
            else:
                assert to.ask(wire.ack(PUBREC, m.id), PUBREL).id == m.id
                if len(order) < 8:
                    to.nothing(0.03)  # PUBREC gives no place, PUBCOMP does
                to.send(wire.ack(PUBCOMP, m.id))
            if len(order) < 8:
                found.append(to.message(answer=False))
                order.append(int(found[-1].payload))
                to.nothing(0.03)
        assert order == list(range(8))
        to.bye()


@covers(v5="3.3.4-9 4.9.0-1")
def the_window_of_a_client_that_comes_back(t, version):
    to, sender = durable(t, version, (t.topic(), 1), receive_maximum=10), t.peer(version)
    for i in range(6):
        sender.publish(t.topic(), b"%d" % i, 1)
    for i in range(6):
        to.message(answer=False)
    to.reset()
    to = back(t, version, receive_maximum=2)  # smaller than what is open
    order = []
    for _ in range(3):
        found = [to.message(answer=False) for _ in range(2)]
        to.nothing(0.05)
        order += [int(m.payload) for m in found]
        for m in found:
            to.send(wire.ack(PUBACK, m.id))
    assert order == list(range(6))
    to.nothing()


@covers(v5="3.3.4-7 4.13.1-1 4.9.0-2")
@conf("max_inflight_messages 5\n")
def more_than_the_window_of_the_broker(t, version):
    peer = t.peer(version)
    most = peer.connack.prop("receive_maximum") or 65535
    assert most < 65535
    data = b"".join(wire.publish(version, t.topic(), b"", 2, id=i + 1) for i in range(most + 1))
    peer.send(data)
    seen = peer.seen_until_close()
    assert [p.type for p in seen[:-1]] == [PUBREC] * most, len(seen)
    assert seen[-1].type == wire.DISCONNECT and seen[-1].reason == RECEIVE_MAXIMUM, seen[-1]


# --- packet sizes -----------------------------------------------------------------------------------------------------


@covers(v5="3.1.2-24 3.1.2-25")
def a_message_too_large_for_the_client(t, version):
    to, sender = t.peer(version, maximum_packet_size=200, receive_maximum=1), t.peer(version)
    to.subscribe((t.topic(), 2))
    room = 200 - (2 + 1 + 2 + len(t.topic()) + 1)  # header, length in two bytes, topic, no properties
    for qos in (0, 1, 2):
        fits = room - (2 if qos else 0)
        sender.publish(t.topic(), b"x" * (fits + 1), qos)
        sender.publish(t.topic(), b"y" * fits, qos)
        found = to.message()
        assert found.payload == b"y" * fits, found
        assert len(found.body) + 3 == 200
    to.nothing()


@covers(v5="3.1.2-25")
def a_message_too_large_waits_for_nobody(t, version):
    to, sender = durable(t, version, (t.topic(), 2)), t.peer(version)
    to.bye()
    sender.publish(t.topic(), b"x" * 500, 1)
    sender.publish(t.topic(), b"small", 1)
    to = back(t, version, maximum_packet_size=200)
    assert to.message().payload == b"small"
    to.nothing()
    to.bye()
    back(t, version).nothing()  # it counts as delivered


@covers(v5="3.2.2-15 4.13.1-1")
@conf("max_packet_size 1000")
def a_packet_too_large_for_the_broker(t, version):
    peer = t.peer(version)
    assert peer.connack.prop("maximum_packet_size") == 1000
    peer.refused(wire.publish(version, t.topic(), b"x" * 1000), TOO_LARGE)


@covers(v5="3.4.2-2 3.4.2-3 3.5.2-2 3.5.2-3 3.6.2-2 3.6.2-3 3.7.2-2 3.7.2-3 3.9.2-1 3.9.2-2 3.11.2-1 3.11.2-2 "
           "3.14.2-3 3.14.2-4 3.1.2-24")
def words_give_way_to_the_size(t, version):
    for size in (6, 8, 12, 30):
        peer = t.raw(version)
        peer.send(wire.connect(version, t.id(), maximum_packet_size=size))
        if size >= 12:
            peer.see(wire.CONNACK)
        for data in (wire.publish(version, t.topic("no"), b"", 1), wire.publish(version, "$SYS", b"", 1),
                     wire.publish(version, "$SYS", b"", 2), wire.publish(version, t.topic("no"), b"", 2),
                     wire.ack(PUBREL, 1), wire.ack(PUBREL, 77), wire.ack(PUBREC, 78),
                     wire.subscribe(version, "$SMQTT/server/x/+"), wire.subscribe(version, t.topic("a")),
                     wire.unsubscribe(version, t.topic("b")), wire.connect(version, "x")):
            peer.send(data)
        for p in peer.seen_until_close():
            assert len(p.body) + 2 <= size, (size, p)


@covers(v5="3.12.4-1", v311="3.12.4-1", v31=True)
def pings(t, version):
    peer = t.peer(version)
    for _ in range(3):
        found = peer.ask(wire.PING)
        assert (found.type, found.flags, found.body) == (wire.PINGRESP, 0, b"")


@covers(v5="4.13.1-1", v311="4.8.0-1", v31=True)
def packets_that_only_a_server_sends(t, version):
    for data in (b"\xd0\x00", packet(0x20, b"\0\0"), packet(0x90, b"\0\1\0"), packet(0xB0, b"\0\1"), b"\x00\x00"):
        t.peer(version).refused(data)
    if version != V5:
        t.peer(version).refused(b"\xf0\x00")


@covers(v311="4.8.0-1", v31=True)
@conf("max_packet_size 1000")
def what_cannot_be_taken_ends_the_connection(t, version):
    t.peer(version).refused(wire.publish(version, t.topic(), b"x" * 2000, 1))


@covers(v5="3.4.2-1 3.5.2-1 3.8.4-7 3.9.3-2 4.3.3-9", v311="3.3.5-2 3.8.4-5 3.9.3-2", v31=True)
@conf("acl_file {acl}", acl="topic readwrite open/#\ntopic read closed/#\n")
def what_is_not_allowed(t, version):
    to, sender = t.peer(version), t.peer(version)
    found = to.ask(wire.subscribe(version, ("closed/#", 2), ("open/#", 2)))
    assert found.codes[1] == 2, found
    for qos in (0, 1, 2):
        answer = sender.publish("closed/x", b"secret", qos)  # acknowledged, and given to nobody
        assert qos == 0 or answer.reason == (0x87 if version == V5 else 0), answer
        sender.publish("open/x", b"%d" % qos, qos)
        found = to.message()
        assert (found.topic, found.payload) == (b"open/x", b"%d" % qos), found
    to.nothing()
    found = to.ask(wire.subscribe(version, "other/#", id=4))
    assert found.codes == [0x87 if version == V5 else 0x80] or found.codes == [0], found
    to.nothing()


main(globals())
