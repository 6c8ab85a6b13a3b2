# SPDX-License-Identifier: Apache-2.0
"""SUBSCRIBE and UNSUBSCRIBE, what matches, shared subscriptions."""
import wire
from lab import collect, conf, covers, main
from wire import PUBLISH, SUBACK, UNSUBACK, V31, V5, harness, packet, string, u16

BAD_UTF8 = b"a\xed\xa0\x80b"
MALFORMED, PROTOCOL = 0x81, 0x82


@covers(v5="3.8.1-1 3.10.1-1 2.1.3-1", v311="3.8.1-1 3.10.1-1 2.2.2-1 2.2.2-2", v31=True)
def flags_of_subscribe_and_unsubscribe(t, version):
    for flags in (0, 1, 3, 4, 6, 10, 15):
        if version == V31 and flags in (0, 4, 6, 10):
            continue  # 3.1 speaks of DUP and QoS there
        t.peer(version).refused(wire.subscribe(version, t.topic(), flags=flags), MALFORMED)
        t.peer(version).refused(wire.unsubscribe(version, t.topic(), flags=flags), MALFORMED)


@covers(v5="3.8.3-1 3.10.3-1 1.5.4-1 1.5.4-2 4.7.3-2", v311="3.8.3-1 3.10.3-1 1.5.3-1 1.5.3-2 4.7.3-2", v31=True)
def filters_are_text(t, version):
    for bad in (BAD_UTF8, b"a\0b", b"\xff/#", b"a/\xc0\x80"):
        t.peer(version).refused(wire.subscribe(version, bad), MALFORMED)
        t.peer(version).refused(wire.unsubscribe(version, bad), MALFORMED)


@covers(v5="3.8.3-2 3.10.3-2", v311="3.8.3-3 3.10.3-2 4.8.0-1", v31=True)
def at_least_one_filter(t, version):
    t.peer(version).refused(wire.subscribe(version), PROTOCOL)
    t.peer(version).refused(wire.unsubscribe(version), PROTOCOL)
    # A filter without its options.
    body = u16(1) + harness.props(version) + string(t.topic())
    t.peer(version).refused(packet(0x82, body), MALFORMED)


@covers(v5="3.8.3-5", v311="3.8.3-4", v31=True)
def reserved_bits_of_the_options(t, version):
    wrong = (0x40, 0x80, 0xC0, 0x03, 0x30) if version == V5 else (0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x03)
    for options in wrong if version != V31 else (0x03,):
        t.peer(version).refused(wire.subscribe(version, (t.topic(), options)))


@covers(v5="3.8.4-1 3.8.4-2 2.2.1-6 3.8.4-5 3.8.4-6 3.8.4-7 3.9.3-1 3.9.3-2",
        v311="3.8.4-1 3.8.4-2 2.3.1-7 3.8.4-4 3.8.4-5 3.9.3-1 3.9.3-2", v31=True)
def suback(t, version):
    peer = t.peer(version)
    for number, options in ((1, [0]), (2, [1]), (300, [2, 0, 1]), (65535, [1, 1, 0, 2, 2])):
        filters = [(t.topic("%d/%d" % (number, i)), o) for i, o in enumerate(options)]
        found = peer.ask(wire.subscribe(version, *filters, id=number))
        assert (found.type, found.id, found.codes, found.flags) == (SUBACK, number, options, 0), found
    # One that is refused among others that are not.
    found = peer.ask(wire.subscribe(version, (t.topic("a"), 2), "$SMQTT/server/x/+", (t.topic("b"), 1)))
    assert found.codes[0] == 2 and found.codes[1] >= 0x80 and found.codes[2] == 1, found
    assert found.codes[1] == 0x80 or version == V5
    sender = t.peer(version)
    for name in ("a", "b", "300/0", "300/1", "300/2"):
        sender.publish(t.topic(name), name.encode(), 0)
        assert peer.message().payload == name.encode()


@covers(v5="3.8.4-8 4.8.2-3", v311="3.8.4-6", v31=True)
def the_lower_qos_holds(t, version):
    sender = t.peer(version)
    for granted in (0, 1, 2):
        to = t.peer(version)
        to.subscribe((t.topic(), granted))
        for qos in (0, 1, 2):
            sender.publish(t.topic(), b"x", qos)
            assert to.message().qos == min(qos, granted)
        to.bye()


@covers(v5="3.8.4-3 3.8.4-4", v311="3.8.4-3", v31=True)
def the_same_filter_again(t, version):
    sender = t.peer(version)
    sender.publish(t.topic(), b"kept", 2, retain=True)
    to = t.peer(version)
    to.subscribe((t.topic(), 2))
    assert to.message().qos == 2
    to.subscribe((t.topic(), 0))
    found = to.message()
    assert (found.payload, found.qos, found.retain) == (b"kept", 0, True), "retained messages come again"
    sender.publish(t.topic(), b"x", 1)
    found = to.message()
    assert (found.payload, found.qos) == (b"x", 0)
    to.nothing()  # one subscription, one copy


@covers(v5="3.8.4-4", v311="3.8.4-3")
def nothing_is_lost_while_it_is_replaced(t, version):
    sender, to = t.peer(version), t.peer(version)
    to.subscribe((t.topic(), 1))
    for i in range(60):
        sender.send(wire.publish(version, t.topic(), b"%d" % i, 1, id=i + 1))
        if i % 5 == 0:
            to.send(wire.subscribe(version, (t.topic(), 1), id=100 + i))
    payloads = []
    while len(payloads) < 60:
        found = to.see()
        if found.type == PUBLISH:
            payloads.append(int(found.payload))
            to.send(wire.ack(wire.PUBACK, found.id))
    assert payloads == list(range(60)), payloads


@covers(v5="3.3.4-2 3.3.4-3 3.3.4-4 3.3.4-5", v311="3.3.5-1", v31=True)
def subscriptions_overlap(t, version):
    sender, to = t.peer(version), t.peer(version)
    numbers = (7, 268435455, 300) if version == V5 else (None,) * 3
    for (name, qos), number in zip(((t.topic("#"), 0), (t.topic("a"), 2), (t.topic("+"), 1)), numbers):
        to.subscribe((name, qos), **({"subscription_id": number} if number else {}))
    sender.publish(t.topic("a"), b"x", 2)
    copies = [to.message()]
    sender.publish(t.topic("a/b"), b"end", 2)  # matches only #
    while True:
        found = to.message()
        if found.payload == b"end":
            break
        copies.append(found)
    assert max(c.qos for c in copies) == 2, copies
    ids = [i for c in copies for i in c.all_of("subscription_id")]
    assert sorted(ids) == sorted(n for n in numbers if n), copies
    assert found.all_of("subscription_id") == ([7] if version == V5 else [])


@covers(v5="3.8.3-3")
def no_local(t, version):
    peer, other = t.peer(version), t.peer(version)
    peer.subscribe((t.topic(), 0x04))
    other.subscribe((t.topic(), 0))
    peer.publish(t.topic(), b"own", 1)
    assert other.message().payload == b"own"
    other.publish(t.topic(), b"foreign", 1)
    assert peer.message().payload == b"foreign"
    assert other.message().payload == b"foreign"
    peer.nothing()


@covers(v5="3.8.3-4")
def no_local_and_shared(t, version):
    t.peer(version).refused(wire.subscribe(version, ("$share/g/" + t.topic(), 0x04)), PROTOCOL)


# --- unsubscribing ----------------------------------------------------------------------------------------------------


@covers(v5="3.10.4-1 3.10.4-2 3.10.4-4 3.10.4-5 3.10.4-6 3.11.3-1 3.11.3-2 2.2.1-6",
        v311="3.10.4-1 3.10.4-2 3.10.4-4 3.10.4-5 3.10.4-6 2.3.1-7", v31=True)
def unsubscribe(t, version):
    sender, to = t.peer(version), t.peer(version)
    to.subscribe(t.topic("a"), t.topic("b"), t.topic("+"), t.topic("c/#"))
    found = to.ask(wire.unsubscribe(version, t.topic("b"), t.topic("A"), t.topic("c/+"), t.topic("+"), id=777))
    assert (found.type, found.id, found.flags) == (UNSUBACK, 777, 0)
    assert found.codes == ([0, 0x11, 0x11, 0] if version == V5 else []), found
    sender.publish(t.topic("b"), b"no")
    sender.publish(t.topic("z"), b"no")
    sender.publish(t.topic("a"), b"a")
    sender.publish(t.topic("c/d"), b"c")
    assert [m.payload for m in to.messages(2)] == [b"a", b"c"]
    found = to.ask(wire.unsubscribe(version, t.topic("b"), id=5))  # nothing to remove
    assert (found.type, found.id) == (UNSUBACK, 5)


@covers(v5="3.10.4-3", v311="3.10.4-3", v31=True)
def what_was_begun_is_finished(t, version):
    sender, to = t.peer(version), t.peer(version)
    to.subscribe((t.topic(), 2))
    sender.publish(t.topic(), b"one", 1)
    sender.publish(t.topic(), b"two", 2)
    one, two = to.message(answer=False), to.message(answer=False)
    assert to.unsubscribe(t.topic()).type == UNSUBACK
    to.send(wire.ack(wire.PUBACK, one.id))
    assert to.ask(wire.ack(wire.PUBREC, two.id), wire.PUBREL).id == two.id
    to.send(wire.ack(wire.PUBCOMP, two.id))
    sender.publish(t.topic(), b"three", 1)
    to.nothing()


# --- matching ---------------------------------------------------------------------------------------------------------


@covers(v5="4.7.1-1 4.7.1-2 4.7.3-1", v311="4.7.1-2 4.7.1-3 4.7.3-1 3.8.3-2", v31=True)
def filters_of_the_wrong_form(t, version):
    for wrong in ("a/#/b", "a#", "#a", "a/b#", "a+", "+a", "a/b+/c", "##", "++", ""):
        peer = t.peer(version)
        peer.send(wire.subscribe(version, t.topic(wrong) if wrong else ""))
        found = peer.see()
        # Refused in SUBACK or, as malformed, with the end of the connection.
        assert found is None or found.type == wire.DISCONNECT or found.codes[0] >= 0x80, (wrong, found)


@covers(v5="4.7.1-1 4.7.1-2 4.7.0-1 3.3.2-3", v311="4.7.1-1 4.7.1-2 4.7.1-3 3.8.3-2 3.3.2-3", v31=True)
def wildcards(t, version):
    sender = t.peer(version)
    cases = {"#": ("a", "a/b", "a/b/c", ""), "a/#": ("a", "a/", "a/b", "a/b/c", "a//c"), "+": ("a", "b", ""),
             "+/b": ("a/b", "/b"), "a/+": ("a/b", "a/"), "a/+/c": ("a/b/c", "a//c"), "+/+": ("a/b", "/b", "a/"),
             "/+": ("/b",), "+/#": ("a", "a/b", "a/b/c", "")}
    topics = ("a", "b", "a/b", "a/", "/b", "a/b/c", "a//c", "", "x/y/z/w")
    for number, (pattern, matches) in enumerate(sorted(cases.items())):
        to, own = t.peer(version), "%d" % number
        to.subscribe(t.topic(own + "/" + pattern), t.topic("end"))
        for name in topics:
            sender.publish(t.topic(own + "/" + name), name.encode())
        sender.publish(t.topic("end"), b"end")
        got = []
        while True:
            found = to.message()
            if found.payload == b"end":
                break
            got.append(found.payload.decode())
        for name in topics:
            deep = pattern in ("#", "+/#")
            assert (name in got) == (name in matches or deep), "%r and %r: %r" % (pattern, name, got)
        to.bye()


@covers(v5="4.7.2-1", v311="4.7.2-1", v31=True)
@conf("sys_interval 1")
def wildcards_and_topics_of_the_server(t, version):
    peer, sender = t.peer(version), t.peer(version)
    names = ("#", "+/#", "+/broker/#", "+/+/+", "+/+/+/+", "+/broker/+/+", "+")
    peer.subscribe(*names)
    peer.nothing(1.5)  # neither what is retained of $SYS nor what is new
    told = t.peer(version)
    told.subscribe("$SYS/#")
    assert told.message().topic.startswith(b"$SYS/broker/")
    sender.publish("own", b"end", 1)
    assert peer.message().topic == b"own"
    other = t.peer(version)
    other.subscribe("$SYS/+/clients/total")
    assert other.message().topic == b"$SYS/broker/clients/total"
    # Other topics with $ are the clients'.
    name = "$" + t.topic()
    other = t.peer(version)
    other.subscribe(name + "/+", "#")
    assert sender.publish(name + "/kept", b"x", 1, retain=True).type == wire.PUBACK
    found = other.message()
    assert (found.topic, found.payload) == ((name + "/kept").encode(), b"x")
    late = t.peer(version)
    late.subscribe("#", "+/+", "+/kept")
    late.nothing()
    late.subscribe(name + "/#")
    assert late.message().retain
    for to in (other, peer):
        to.nothing()
    sender.publish(name + "/kept", b"", 1, retain=True)


# --- shared subscriptions ---------------------------------------------------------------------------------------------


@covers(v5="4.8.2-1 4.8.2-2")
def filters_of_shares(t, version):
    for wrong in ("$share/g", "$share/g/", "$share//a", "$share/+/a", "$share/g+/a", "$share/#/a", "$share/g#/a",
                  "$share/", "$share/g/a/#/b"):
        peer = t.peer(version)
        peer.send(wire.subscribe(version, wrong))
        found = peer.see()
        assert found is None or found.type == wire.DISCONNECT or found.codes[0] >= 0x80, (wrong, found)
    assert t.peer(version).subscribe("$share/g/" + t.topic(), "$share/g/+/x/#").codes == [0, 0]


@covers(v5="4.8.2-3 4.8.2-1")
def each_member_has_its_qos(t, version):
    sender, members = t.peer(version), []
    for qos in (0, 1, 2):
        peer = t.peer(version)
        peer.subscribe(("$share/g/" + t.topic(), qos))
        members.append((peer, qos))
    for i in range(30):
        sender.publish(t.topic(), b"%d" % i, 2)
    qos_of = dict(members)
    found = collect(list(qos_of), 30)
    assert all(message.qos == qos_of[peer] for peer, message in found), found
    assert len({message.payload for _, message in found}) == 30, found
    assert len({peer for peer, _ in found}) == 3, "only one of them got all"
    collect(list(qos_of), 0)


@covers(v5="4.8.2-4 4.8.2-5")
def qos_2_of_a_member_stays_with_it(t, version):
    sender = t.peer(version)
    first = t.peer(version, "first", session_expiry=100)
    first.subscribe(("$share/g/" + t.topic(), 2))
    sender.publish(t.topic(), b"begun", 2)
    begun = first.message(answer=False)
    other = t.peer(version)
    other.subscribe(("$share/g/" + t.topic(), 2))
    first.reset()
    other.nothing()
    first = t.peer(version, "first", clean=False, session_expiry=100)
    again = first.message()
    assert (again.payload, again.id, again.dup) == (b"begun", begun.id, True), again
    # Begun again, and this time the session ends.
    first.unsubscribe("$share/g/" + t.topic())
    other.unsubscribe("$share/g/" + t.topic())
    first.subscribe(("$share/g/" + t.topic(), 2), id=20)
    sender.publish(t.topic(), b"second", 2)
    first.message(answer=False)
    other.subscribe(("$share/g/" + t.topic(), 2), id=21)
    first.bye(0, session_expiry=0)
    other.nothing()


@covers(v5="4.8.2-6 4.4.0-2")
def what_a_member_refuses_goes_to_nobody(t, version):
    sender, members = t.peer(version), [t.peer(version) for _ in range(2)]
    for peer in members:
        peer.subscribe(("$share/g/" + t.topic(), 2))
    for qos in (1, 2):
        for _ in range(4):
            sender.publish(t.topic(), b"x", qos)
    collect(members, 8, 0x80)
    for peer in members:
        peer.nothing()


main(globals())
