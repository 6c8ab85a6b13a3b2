# SPDX-License-Identifier: Apache-2.0
"""CONNECT and CONNACK."""
import wire
from lab import conf, covers, main
from wire import CONNACK, DISCONNECT, PINGRESP, V31, V311, V5, harness, packet, props, string, u16

BAD_UTF8 = b"a\xed\xa0\x80b"
MALFORMED, PROTOCOL = 0x81, 0x82


def connect_refused(t, version, data, reason=None, code=None):
    """A CONNECT that the broker answers with a refusal or with nothing, and then closes; with a refusal, session
    present is 0. code: the return code that 3.x must get; None: no CONNACK."""
    peer = t.raw(version)
    peer.send(data)
    seen = peer.seen_until_close()
    if version == V5:
        assert [p.type for p in seen] == [CONNACK], seen
        assert seen[0].reason >= 0x80 and seen[0].session_present == 0, seen
        assert reason is None or seen[0].reason == reason, "not %#x: %r" % (reason, seen)
    elif code is None:
        assert not seen, "closed with words: %r" % seen
    else:
        assert [(p.type, p.reason, p.session_present) for p in seen] == [(CONNACK, code, 0)], seen
    return seen


@covers(v5="3.1.0-1", v311="3.1.0-1", v31=True)
def nothing_is_served_before_connect(t, version):
    watcher = t.peer(version)
    watcher.subscribe(t.topic())
    for first in (wire.publish(version, t.topic(), b"x"), wire.subscribe(version, t.topic()), wire.PING,
                  wire.ack(wire.PUBACK, 1), packet(0xF0, b""), wire.disconnect(version)):
        peer = t.raw(version)
        peer.send(first)
        assert peer.seen_until_close() == [], first
    watcher.nothing()


@covers(v5="3.1.0-2 3.2.0-2 3.14.2-1 4.13.1-1", v311="3.1.0-2 4.8.0-1", v31=True)
def a_second_connect_ends_the_connection(t, version):
    peer = t.peer(version)
    seen = peer.refused(wire.connect(version, peer.client_id), PROTOCOL)
    assert CONNACK not in [p.type for p in seen]


@covers(v5="3.1.2-1 3.1.4-1", v311="3.1.2-1 3.1.2-2 3.2.2-5", v31=True)
def a_wrong_protocol_name(t, version):
    for name in ("MQTX", "mqtt", "", "MQTTT", "MQIsdp" if version != V31 else "MQTT"):
        peer = t.raw(V311)
        peer.send(wire.connect(version, t.id(), name=name))
        seen = peer.seen_until_close()
        assert [p for p in seen if p.type != CONNACK or p.reason == 0] == [], (name, seen)


@covers(v5="3.1.2-2 3.2.2-7", v311="3.1.2-2 3.2.2-4 3.2.2-5")
def a_version_that_nobody_knows(t, version):
    for level in (0, 1, 2, 6, 7, 127):
        peer = t.raw(V311)
        peer.send(wire.connect(version, t.id(), level=level))
        seen = peer.seen_until_close()
        assert len(seen) == 1 and seen[0].type == CONNACK and seen[0].session_present == 0, (level, seen)
        assert seen[0].reason in (1, 0x84), (level, seen)


@covers(v5="3.1.2-3 3.1.4-1 4.13.2-1", v311="3.1.2-3 3.1.4-1")
def the_reserved_connect_flag(t, version):
    connect_refused(t, version, wire.connect(version, t.id(), flags=0x03), MALFORMED)


@covers(v5="3.1.2-11 3.1.2-13", v311="3.1.2-11 3.1.2-13 3.1.2-15")
def bits_of_a_will_without_a_will(t, version):
    for bits in (0x08, 0x10, 0x18, 0x20, 0x28):
        connect_refused(t, version, wire.connect(version, t.id(), flags=2 | bits), MALFORMED)


@covers(v311="3.1.2-11")
def fields_of_a_will_without_its_flag(t, version):
    tail = string("will") + string("gone")
    connect_refused(t, version, wire.connect(version, t.id(), flags=2, tail=tail))


@covers(v5="3.1.2-12", v311="3.1.2-14", v31=True)
def the_qos_of_a_will_is_not_3(t, version):
    for qos in (0, 1, 2):
        t.peer(version, will=(t.topic(), b"w", qos, False)).bye()
    connect_refused(t, version, wire.connect(version, t.id(), will=(t.topic(), b"w", 3, False)), MALFORMED)


@covers(v5="3.1.2-9", v311="3.1.2-9")
def a_will_flag_without_its_fields(t, version):
    connect_refused(t, version, wire.connect(version, t.id(), flags=0x06), MALFORMED)
    tail = harness.props(version) + string("topic")
    connect_refused(t, version, wire.connect(version, t.id(), flags=0x06, tail=tail), MALFORMED)


@covers(v5="3.1.2-16 3.1.2-18", v311="3.1.2-18 3.1.2-20")
def a_name_or_password_without_its_flag(t, version):
    connect_refused(t, version, wire.connect(version, t.id(), tail=string("user")), MALFORMED)
    connect_refused(t, version, wire.connect(version, t.id(), user="u", tail=string("password")), MALFORMED)


@covers(v5="3.1.2-17 3.1.2-19", v311="3.1.2-19 3.1.2-21")
def a_flag_without_name_or_password(t, version):
    connect_refused(t, version, wire.connect(version, t.id(), flags=0x82), MALFORMED)
    connect_refused(t, version, wire.connect(version, t.id(), flags=0xC2, tail=string("user")), MALFORMED)


@covers(v311="3.1.2-22")
def a_password_needs_a_user_name(t, version):
    connect_refused(t, version, wire.connect(version, t.id(), password="p"))
    t.peer(V5, password="p")  # 5.0 allows it


@covers(v5="3.1.3-1 3.1.3-3", v311="3.1.3-1 3.1.3-3")
def fields_of_connect_in_their_order(t, version):
    watcher = t.peer(version)
    watcher.subscribe(t.topic())
    peer = t.peer(version, will=(t.topic(), b"the payload", 0, False), user="name", password="word")
    peer.reset()
    found = watcher.message()
    assert (found.topic, found.payload) == (t.topic().encode(), b"the payload"), found
    # Without any field, not even an identifier.
    head = string("MQTT") + bytes([version, 2]) + u16(60) + harness.props(version)
    connect_refused(t, version, packet(0x10, head), MALFORMED)


@covers(v5="1.5.4-1 1.5.4-2 3.1.3-4 3.1.3-11 3.1.3-12 1.5.7-1 3.1.4-1",
        v311="1.5.3-1 1.5.3-2 3.1.3-4 3.1.3-10 3.1.3-11 3.1.4-1", v31=True)
def text_of_connect(t, version):
    for bad in (BAD_UTF8, b"a\0b", b"\xc0\x80", b"\xf5\x80\x80\x80", b"\x80", b"a\xc3"):
        connect_refused(t, version, wire.connect(version, bad), MALFORMED)
        connect_refused(t, version, wire.connect(version, t.id(), will=(bad, b"", 0, False)), MALFORMED)
        connect_refused(t, version, wire.connect(version, t.id(), user=bad), MALFORMED)
        if version == V5:
            connect_refused(t, version, wire.connect(version, t.id(), user_property=(bad, "v")), MALFORMED)
            connect_refused(t, version, wire.connect(version, t.id(), user_property=("n", bad)), MALFORMED)
    t.peer(version, user="Z\u00fcrich \U0001F30D", will=(t.topic("\u00e9"), b"\xff\x00", 0, False))


@covers(v5="3.1.3-5", v311="3.1.3-5")
def identifiers_of_letters_and_digits(t, version):
    letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    letters = letters[version:] + letters[:version]  # the versions run at the same time
    for name in (letters[0], letters[:23], letters[23:46], letters[39:62], letters):
        peer = t.raw(version)
        assert peer.ask(wire.connect(version, name), CONNACK).reason == 0, name
        peer.bye()


@covers(v5="3.1.3-6 3.1.3-7 3.2.2-16")
def an_identifier_is_assigned(t, version):
    names = set()
    for _ in range(4):
        peer = t.raw(version)
        connack = peer.ask(wire.connect(version, "", session_expiry=30), CONNACK)
        name = connack.prop("assigned_client_id")
        assert connack.reason == 0 and name, connack
        names.add(name)
        peer.subscribe(t.topic())
        peer.bye()
        again = t.raw(version)  # it counts as the client's own
        assert again.ask(wire.connect(version, name, clean=False), CONNACK).session_present == 1
        again.nothing()
    assert len(names) == 4, names
    assert t.peer(version).connack.prop("assigned_client_id") is None


@covers(v311="3.1.3-6 3.1.3-7 3.1.3-8 3.2.2-4 3.2.2-5")
def an_empty_identifier(t, version):
    first, second = t.raw(version), t.raw(version)
    for peer in (first, second):
        assert peer.ask(wire.connect(version, ""), CONNACK).reason == 0
    second.nothing()  # two empty ones are two clients
    first.nothing()
    connect_refused(t, version, wire.connect(version, "", clean=False), code=2)


@covers(v5="3.1.3-8", v311="3.1.3-9 3.2.2-5")
@conf("allow_zero_length_clientid false")
def an_identifier_that_is_refused(t, version):
    connect_refused(t, version, wire.connect(version, ""), 0x85, code=2)


@covers(v5="3.1.4-2 3.2.2-8 3.2.2-6 3.2.2-7", v311="3.2.2-4 3.2.2-5", v31=True)
@conf("allow_anonymous false")
def who_may_not_come_in(t, version):
    seen = connect_refused(t, version, wire.connect(version, "a", user="u", password="p"), code=5)
    assert seen[0].reason in (5, 0x86, 0x87), seen


@covers(v5="3.1.4-3 3.1.3-2", v311="3.1.4-2 3.1.3-2", v31=True)
def the_older_connection_ends(t, version):
    old = t.peer(version, "same")
    new = t.raw(version)
    assert new.ask(wire.connect(version, old.client_id), CONNACK).reason == 0
    seen = old.seen_until_close()
    if version == V5:
        assert [(p.type, p.reason) for p in seen] == [(DISCONNECT, 0x8E)], seen
    else:
        assert seen == []
    new.nothing()


@covers(v5="3.1.4-5 3.2.0-1 3.2.0-2 3.2.2-1 3.2.2-2", v311="3.1.4-4 3.2.0-1 3.2.2-1", v31=True)
def connack_comes_first_and_once(t, version):
    keeper = t.peer(version)
    keeper.publish(t.topic("kept"), b"kept", 1, retain=True)
    peer = t.raw(version)
    # Everything in one piece: the answers keep their order, and CONNACK is the first.
    peer.send(wire.connect(version, "pipe%d" % version) + wire.subscribe(version, t.topic("kept"), id=3) + wire.PING)
    connack = peer.see(CONNACK)
    assert connack.reason == 0 and connack.session_present == 0
    rest = [peer.see() for _ in range(3)]
    assert sorted(p.type for p in rest) == [wire.PUBLISH, wire.SUBACK, PINGRESP], rest
    peer.nothing()


@covers(v5="3.1.4-6", v311="3.1.4-5")
@conf("allow_zero_length_clientid false")
def nothing_behind_a_refused_connect(t, version):
    watcher = t.peer(version)
    watcher.subscribe(t.topic())
    peer = t.raw(version)
    peer.send(wire.connect(version, "") + wire.publish(version, t.topic(), b"x") +
              wire.publish(version, t.topic("kept"), b"x", retain=True))
    assert [p.type for p in peer.seen_until_close()] == [CONNACK]
    watcher.nothing()
    watcher.subscribe(t.topic("kept"))
    watcher.nothing()


@covers(v5="3.1.2-4 3.1.4-4 3.2.2-2", v311="3.1.2-6 3.1.4-3 3.2.2-1", v31=True)
def a_clean_start_forgets(t, version):
    keep = {"session_expiry": 100} if version == V5 else {}
    old = t.peer(version, "c", clean=False, **keep)
    old.subscribe((t.topic(), 1))
    old.bye()
    t.peer(version).publish(t.topic(), b"lost", 1)
    new = t.peer(version, "c", clean=True, **keep)
    assert new.connack.session_present == 0
    t.peer(version).publish(t.topic(), b"nobody", 1)
    new.nothing()
    new.bye()
    if version != V5:  # and in 3.x it leaves nothing behind
        assert t.peer(version, "c", clean=False).connack.session_present == 0


@covers(v5="3.1.2-5 3.1.2-23 3.2.2-3 3.1.3-2 4.5.0-1", v311="3.1.2-4 3.1.2-5 3.2.2-2 3.1.3-2 4.1.0-1 4.5.0-1")
def a_session_is_resumed(t, version):
    keep = {"session_expiry": 100} if version == V5 else {}
    old = t.peer(version, "c", clean=False, **keep)
    assert old.connack.session_present == 0
    old.subscribe((t.topic(), 2))
    old.bye()
    other = t.peer(version)
    for qos in (1, 2):
        other.publish(t.topic(), b"%d" % qos, qos)
    new = t.peer(version, "c", clean=False, **keep)
    assert new.connack.session_present == 1
    assert sorted((m.payload, m.qos) for m in new.messages(2)) == [(b"1", 1), (b"2", 2)]
    other.publish(t.topic(), b"now", 0)
    assert new.message().payload == b"now"
    new.bye()
    # Somebody else has nothing of it.
    assert t.peer(version, "d", clean=False, **keep).connack.session_present == 0


@covers(v5="3.1.2-6 3.2.2-3", v311="3.1.2-4 3.2.2-3")
def without_a_session_one_is_made(t, version):
    peer = t.peer(version, clean=False)
    assert peer.connack.session_present == 0 and peer.connack.reason == 0
    peer.subscribe(t.topic())
    peer.publish(t.topic(), b"x")
    assert peer.message().payload == b"x"


@covers(v5="3.1.2-28")
def no_response_information_unasked(t, version):
    for fields in ({}, {"request_response_info": 0}):
        assert t.peer(version, **fields).connack.prop("response_info") is None


@covers(v5="3.1.2-29 3.14.2-3")
def no_words_where_none_are_wanted(t, version):
    peer = t.peer(version, request_problem_info=0)
    answers = [peer.ask(wire.subscribe(version, t.topic(), "$SMQTT/server/x/+", id=2)),
               peer.ask(wire.unsubscribe(version, t.topic("no"), id=3)),
               peer.ask(wire.publish(version, t.topic("no"), b"", 1, id=4)),
               peer.ask(wire.publish(version, "$SYS/no", b"", 1, id=5)),
               peer.ask(wire.publish(version, t.topic("no"), b"", 2, id=6)),
               peer.ask(wire.ack(wire.PUBREL, 6)), peer.ask(wire.ack(wire.PUBREL, 99)),
               peer.ask(wire.ack(wire.PUBREC, 99))]
    for answer in answers:
        assert answer.prop("reason_string") is None and answer.prop("user_property") is None, answer


@covers(v5="2.1.3-1 4.13.1-1", v311="2.2.2-1 2.2.2-2 4.8.0-1", v31=True)
def the_flags_of_connect(t, version):
    data = wire.connect(version, t.id())
    for flags in (1, 2, 4, 8, 15):
        peer = t.raw(version)
        peer.send(bytes([0x10 | flags]) + data[1:])
        seen = peer.seen_until_close()
        assert [p for p in seen if p.reason == 0] == [], seen


@covers(v5="2.2.2-1 1.5.5-1")
def a_length_of_properties_is_there(t, version):
    peer = t.raw(version)
    connack = peer.ask(wire.connect(version, t.id()), CONNACK)
    assert len(connack.body) >= 3, "CONNACK without a length of properties"
    assert len(peer.ask(wire.subscribe(version, t.topic()), wire.SUBACK).body) == 4
    # A CONNECT without one is cut short.
    head = string("MQTT") + bytes([5, 2]) + u16(60)
    connect_refused(t, version, packet(0x10, head), MALFORMED)


@covers(v5="1.5.5-1")
def variable_byte_integers(t, version):
    body = wire.connect(version, t.id())[2:]
    # A length in more bytes than needed, and one in five bytes.
    for length in (bytes([len(body) | 0x80, 0]), bytes([len(body) | 0x80, 0x80, 0x80, 0x80, 0])):
        peer = t.raw(version)
        peer.send(b"\x10" + length + body)
        seen = peer.seen_until_close()
        assert [p for p in seen if p.reason == 0] == [], seen
    # What the broker writes is as short as can be: 127 and 128 bytes behind the length.
    peer = t.peer(version)
    peer.subscribe(t.topic())
    for size in (100, 200, 16300, 16500, 2097100, 2097200):
        peer.publish(t.topic(), b"x" * size)
        found = peer.message()
        assert len(found.payload) == size
        assert len(found.body) == 3 + len(t.topic()) + size, "a property length of 0 in one byte"


@covers(v5="3.14.0-1")
def no_disconnect_before_connack(t, version):
    for data in (wire.connect(version, BAD_UTF8), wire.connect(version, t.id(), flags=3), wire.PING,
                 wire.connect(version, t.id(), receive_maximum=0)):
        peer = t.raw(version)
        peer.send(data)
        assert DISCONNECT not in [p.type for p in peer.seen_until_close()]


@covers(v311="3.2.2-6")
@conf("max_qos 1")
def a_refusal_without_a_code(t, version):
    connect_refused(t, version, wire.connect(version, "w", will=(t.topic(), b"", 2, False)))
    t.peer(version, will=(t.topic(), b"", 1, False)).nothing()


@covers(v5="3.2.2-9 3.2.2-10 3.2.2-12 3.2.2-11")
@conf("max_qos 1")
def a_server_with_a_lower_qos(t, version):
    peer = t.peer(version)
    assert peer.connack.prop("maximum_qos") == 1
    assert peer.ask(wire.subscribe(version, (t.topic(), 2)), wire.SUBACK).codes[0] in (0, 1)
    seen = connect_refused(t, version, wire.connect(version, "w", will=(t.topic(), b"", 2, False)), 0x9B)
    assert seen[0].prop("maximum_qos") == 1
    peer.refused(wire.publish(version, t.topic(), b"", 2), 0x9B)


@covers(v5="3.2.2-13 3.2.2-14")
@conf("retain_available false")
def a_server_that_retains_nothing(t, version):
    peer = t.peer(version)
    assert peer.connack.prop("retain_available") == 0
    connect_refused(t, version, wire.connect(version, "w", will=(t.topic(), b"", 0, True)), 0x9A)
    peer.refused(wire.publish(version, t.topic(), b"x", retain=True), 0x9A)


@covers(v5="3.2.2-19 3.2.2-20 3.1.2-24")
def words_of_connack_give_way(t, version):
    for size in (2, 5, 8, 20, 40):
        peer = t.raw(version)
        peer.send(wire.connect(version, t.id(), maximum_packet_size=size) + wire.PING)
        seen = peer.see()
        # Who takes no CONNACK at all gets nothing, and does not wait for ever.
        assert seen is not None if size >= 20 else seen is None or seen.type == CONNACK, (size, seen)
        if seen:
            assert len(seen.body) + 2 <= size and seen.reason == 0 and seen.prop("reason_string") is None, seen
        bad = t.raw(version)
        bad.send(wire.connect(version, t.id(), maximum_packet_size=size, auth_method="nobody's"))
        for p in bad.seen_until_close():
            assert len(p.body) + 2 <= size, (size, p)


@covers(v5="4.12.0-1 4.12.0-6 4.12.0-7 3.15.1-1 3.2.2-8")
def authentication_that_nobody_knows(t, version):
    connect_refused(t, version, wire.connect(version, t.id(), auth_method="nobody's", auth_data=b"x"), 0x8C)
    peer = t.peer(version)
    assert peer.connack.prop("auth_method") is None
    peer.refused(packet(0xF0, b"\x19" + wire.varint(9) + props(auth_method="nobody")), PROTOCOL)
    t.peer(version).refused(packet(0xF1, b""), MALFORMED)


@covers(v5="4.2.0-1", v311="7.1.1-1 7.0.0-2", v31=True)
def bytes_in_any_pieces(t, version):
    peer = t.raw(version)
    data = wire.connect(version, "p%d" % version) + wire.subscribe(version, t.topic()) + \
        wire.publish(version, t.topic(), b"one by one")
    for i in range(len(data)):
        peer.send(data[i:i + 1])
    assert peer.see(CONNACK).reason == 0
    peer.see(wire.SUBACK)
    assert peer.message().payload == b"one by one"


main(globals())
