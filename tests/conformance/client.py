# SPDX-License-Identifier: Apache-2.0
"""Our client: `smqtt pub` and `smqtt sub` against a broker that follows a script."""
import time

import wire
from lab import covers, main
from fake import Server
from wire import (CONNECT, DISCONNECT, PINGREQ, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBSCRIBE, UNSUBSCRIBE, V5,
                  packet, props, string, u16)


def with_server(test):
    """The test gets a scripted server in place of a broker."""
    def run(t, version):
        server = Server(version)
        try:
            test(server, version)
        finally:
            server.close()
    run.__name__ = test.__name__
    return run


@covers(v5="3.1.0-1 3.1.3-1 3.1.3-3 3.1.3-4 3.1.3-11 3.1.3-12 3.1.2-9 3.1.2-17 3.1.2-19 2.1.3-1 2.2.2-1",
        v311="3.1.0-1 3.1.3-1 3.1.3-3 3.1.3-4 3.1.3-10 3.1.3-11 3.1.2-9 3.1.2-19 3.1.2-21 2.2.2-1", v31=True)
@with_server
def connect_with_everything(server, version):
    link = server.sub("-t", "a", "-i", "client-\u00e9", "-u", "user-\u00fc", "-P", "pass", "-k", "77", "--will-topic",
                      "w/\u00f6", "--will-payload", "gone", "--will-qos", "2", "--will-retain")
    c = link.connect
    assert c.flags == 0 and c.version == version and c.keep_alive == 77 and not c.connect_flags & 1
    assert c.client_id == "client-\u00e9".encode() and c.user == "user-\u00fc".encode() and c.password == b"pass"
    assert c.will == ("w/\u00f6".encode(), b"gone", 2, True), c.will


@covers(v5="3.1.2-11 3.1.2-13 3.1.2-16 3.1.2-18 3.1.2-12",
        v311="3.1.2-11 3.1.2-13 3.1.2-15 3.1.2-18 3.1.2-20", v31=True)
@with_server
def connect_with_nothing(server, version):
    c = server.sub("-t", "a", "-i", "x").connect
    assert c.connect_flags & ~2 == 0 and c.will is None and c.user is None and c.password is None


@covers(v5="3.1.2-12", v311="3.1.2-14 3.1.3-7 3.1.2-22", v31=True)
@with_server
def connect_that_is_not_allowed(server, version):
    child = server.run("pub", "-t", "a", "-m", "x", "--will-topic", "w", "--will-payload", "g", "--will-qos", "3")
    assert child.wait(5) != 0
    if version != V5:
        server.socket.settimeout(0.5)
        for args in (["-P", "password alone"], ["-c", "-i", ""]):
            child = server.run("pub", "-t", "a", "-m", "x", *args)
            try:
                link = server.link()
            except TimeoutError:
                assert child.wait(5) != 0
                continue
            c = link.see(CONNECT)
            if c is None:
                continue  # it closed instead
            assert c.password is None or c.user is not None, c
            assert c.client_id or c.connect_flags & 2, c
            link.close()


@covers(v5="3.1.2-20", v311="3.1.2-23", v31=True)
@with_server
def pings_of_the_client(server, version):
    link = server.sub("-t", "a", "-k", "5")  # mosquitto_sub takes no less
    started = time.monotonic()
    assert link.see(PINGREQ).body == b""
    assert time.monotonic() - started < 20  # without -k it is a minute


@covers(v5="3.1.2-21 3.2.2-21")
@with_server
def the_keep_alive_that_the_server_says(server, version):
    link = server.sub("-t", "a", "-k", "600", server_keep_alive=1)
    started = time.monotonic()
    link.see(PINGREQ)
    assert time.monotonic() - started < 20


@covers(v5="3.2.2-4", v311="4.8.0-1")
@with_server
def a_session_of_which_it_knows_nothing(server, version):
    server.run("sub", "-t", "a", "-i", "x")
    link = server.link()
    link.accept(session_present=1)
    assert SUBSCRIBE not in [p.type for p in link.at_end()]


@covers(v5="2.1.3-1 3.8.1-1 3.8.3-1 3.8.3-2 3.8.3-4 3.8.3-5 2.2.1-3 3.10.1-1 3.10.3-1 3.10.3-2 4.8.2-1 4.8.2-2",
        v311="2.2.2-1 3.8.1-1 3.8.3-1 3.8.3-3 2.3.1-1 2.3.1-2 3.10.1-1 3.10.3-1 3.10.3-2", v31=True)
@with_server
def subscribe_of_the_client(server, version):
    names = ["a/+/b", "\u00e9/#"] + (["$share/g/x"] if version == V5 else [])
    flags = [f for name in names for f in ("-t", name)]
    link = server.sub(*flags, "-q", "1", "-U", "old/\u00e9")
    s = link.subscribe
    u = link.see(UNSUBSCRIBE)
    assert (s.flags, u.flags) == (2, 2) and s.id and u.id and s.id != u.id
    assert [name.decode() for name, _ in s.filters] == names
    assert all(options & ~0x3D == 0 and options & 3 == 1 for _, options in s.filters), s
    assert u.filters == ["old/\u00e9".encode()]


@covers(v5="4.7.1-1 4.7.1-2 4.7.0-1 4.7.3-1 4.8.2-1 4.8.2-2 3.3.2-2", v311="4.7.1-1 4.7.1-2 4.7.1-3 4.7.3-1 3.3.2-2")
@with_server
def names_that_it_refuses(server, version):
    for wrong in ("a/#/b", "a#", "b+", "") + (("$share/g", "$share//a", "$share/g+/a") if version == V5 else ()):
        child = server.run("sub", "-t", wrong)
        if child.process.poll() is None:
            try:
                server.socket.settimeout(0.3)
                link = server.link()
                link.accept()
                assert SUBSCRIBE not in [p.type for p in link.at_end()], wrong
            except TimeoutError:
                pass
        assert child.wait(5) != 0, wrong
    for wrong in ("a/#", "+", ""):
        child = server.run("pub", "-t", wrong, "-m", "x")
        try:
            server.socket.settimeout(0.3)
            link = server.link()
            link.accept()
            assert PUBLISH not in [p.type for p in link.at_end()], wrong
        except TimeoutError:
            pass
        assert child.wait(5) != 0, wrong


@covers(v5="2.2.1-2 2.2.1-3 3.3.1-2 3.3.2-1 4.3.1-1 3.14.4-1 3.14.4-2 3.14.1-1 3.3.4-6 3.14.2-1",
        v311="2.3.1-5 3.3.1-2 3.3.2-1 4.3.1-1 3.14.4-1 3.14.4-2 3.14.1-1 7.0.0-2", v31=True)
@with_server
def qos_0_of_the_client(server, version):
    link = server.pub("-t", "a/\u00e9", "-m", "x")
    found = link.see(PUBLISH)
    assert (found.flags, found.topic, found.payload, found.props) == (0, "a/\u00e9".encode(), b"x", [])
    rest = link.at_end()
    assert [(p.type, p.flags, p.reason) for p in rest] == [(DISCONNECT, 0, 0)], rest


@covers(v5="2.2.1-3 4.3.2-1 4.3.2-2 4.3.2-3 4.9.0-1 3.3.1-4", v311="2.3.1-1 2.3.1-2 4.3.2-1 3.3.1-4", v31=True)
@with_server
def qos_1_of_the_client(server, version):
    link = server.pub("-t", "a", "-q", "1", "-l", stdin=b"1\n2\n3\n")
    found = [link.see(PUBLISH) for _ in range(3)]
    assert [p.payload for p in found] == [b"1", b"2", b"3"]
    assert all(p.qos == 1 and not p.dup for p in found) and len({p.id for p in found} | {0}) == 4
    link.expect_nothing(0.3)  # no DISCONNECT: they are open
    for p in found:
        link.send(wire.ack(PUBACK, p.id))
    assert [p.type for p in link.at_end()] == [DISCONNECT]


@covers(v5="4.3.3-1 4.3.3-2 4.3.3-3 4.3.3-4 4.3.3-5 4.3.3-6 2.2.1-5 3.6.1-1 3.6.2-1 4.6.0-4",
        v311="4.3.3-1 2.3.1-6 3.6.1-1 4.6.0-4", v31=True)
@with_server
def qos_2_of_the_client(server, version):
    link = server.pub("-t", "a", "-q", "2", "-l", stdin=b"1\n2\n3\n")
    found = [link.see(PUBLISH) for _ in range(3)]
    assert all(p.qos == 2 and not p.dup for p in found) and len({p.id for p in found} | {0}) == 4
    order = [found[i].id for i in (1, 0, 2)]
    link.send(b"".join(wire.ack(PUBREC, i) for i in order))
    rels = [link.see(PUBREL) for _ in range(3)]
    assert [(p.id, p.flags, p.reason) for p in rels] == [(i, 2, 0) for i in order]
    link.expect_nothing(0.3)  # open until PUBCOMP
    for p in rels:
        link.send(wire.ack(PUBCOMP, p.id))
    assert [p.type for p in link.at_end()] == [DISCONNECT]


@covers(v5="4.4.0-2 4.3.3-4")
@with_server
def what_the_server_refuses(server, version):
    for qos, kind in (("1", PUBACK), ("2", PUBREC)):
        link = server.pub("-t", "a", "-q", qos, "-m", "x")
        link.send(wire.ack(kind, link.see(PUBLISH).id, 0x87))
        assert [p.type for p in link.at_end()] == [DISCONNECT], "neither again nor PUBREL"


@covers(v5="3.3.4-7 3.3.4-8 4.9.0-2 4.9.0-3")
@with_server
def the_window_of_the_server(server, version):
    link = server.pub("-t", "a", "-q", "1", "-l", "-k", "5", stdin=b"1\n2\n3\n4\n", receive_maximum=2)
    found = [link.see(PUBLISH) for _ in range(2)]
    assert link.see(None, 8).type == PINGREQ, "what is no PUBLISH goes on"
    link.send(b"\xd0\x00")
    for expected in (b"3", b"4"):
        link.send(wire.ack(PUBACK, found.pop(0).id))
        found.append(link.see(PUBLISH))
        assert found[-1].payload == expected
        link.expect_nothing(0.1)


@covers(v5="3.2.2-11 3.2.2-14 3.2.2-15 3.2.2-18")
@with_server
def what_the_server_does_not_take(server, version):
    for args, limits in ((("-q", "2"), {"maximum_qos": 1}), (("-q", "1"), {"maximum_qos": 0}),
                         (("-r",), {"retain_available": 0}),
                         (("-q", "1"), {"maximum_packet_size": 30})):
        link = server.pub("-t", "a", "-m", "a message of some length that is not short", *args, **limits)
        assert [p.type for p in link.at_end()] == [DISCONNECT], limits
    link = server.pub("-t", "a", "-m", "x", "-q", "1", "-r", maximum_qos=1, retain_available=1, maximum_packet_size=30)
    found = link.see(PUBLISH)
    assert found.retain and found.prop("topic_alias") is None


@covers(v5="4.3.2-4 4.3.3-8 4.3.3-10 4.3.3-11 4.3.3-12 4.3.2-5 2.2.1-5 3.3.4-1 4.5.0-2 4.6.0-2 4.6.0-3 3.4.2-1 3.5.2-1 "
           "3.7.2-1",
        v311="4.3.2-2 4.3.3-2 2.3.1-6 3.3.4-1 4.5.0-2 4.6.0-2 4.6.0-3", v31=True)
@with_server
def what_the_client_receives(server, version):
    link = server.sub("-t", "a", "-q", "2", "-T", "unwanted")
    child = server.children[-1]
    link.send(b"".join(wire.publish(version, "a", b"one-%d" % i, 1, id=30 - i) for i in range(10)))
    assert [link.see(PUBACK).id for _ in range(10)] == [30 - i for i in range(10)]
    link.send(b"".join(wire.publish(version, "a", b"two-%d" % i, 2, id=60 - i) for i in range(10)))
    assert [link.see(PUBREC).id for _ in range(10)] == [60 - i for i in range(10)]
    link.send(wire.publish(version, "a", b"two-0", 2, id=60, dup=True))
    assert link.see(PUBREC).id == 60
    link.send(wire.ack(PUBREL, 60))
    assert link.see(PUBCOMP).id == 60
    link.send(wire.publish(version, "a", b"new", 2, id=60))
    assert link.see(PUBREC).id == 60
    link.send(wire.publish(version, "a", b"one-again", 1, id=30, dup=True))
    assert link.see(PUBACK).id == 30
    link.send(wire.publish(version, "unwanted", b"x", 1, id=5) + wire.publish(version, "a", b"zero"))
    assert link.see(PUBACK).id == 5, "what nobody looks at is acknowledged"
    child.wait_line(rb"^zero$", 5)
    wanted = [b"one-%d" % i for i in range(10)] + [b"two-%d" % i for i in range(10)]
    assert child.lines == wanted + [b"new", b"one-again", b"zero"], child.lines


@covers(v5="3.3.1-4 1.5.4-1 1.5.4-2 3.14.1-1 2.1.3-1 3.3.2-8 1.5.7-1 3.3.2-14 3.6.1-1 3.14.4-2 4.12.0-7 "
           "4.13.2-1 3.15.1-1 3.3.2-13 3.3.2-19 4.7.3-2",
        v311="3.3.1-4 1.5.3-1 1.5.3-2 2.2.2-2 4.8.0-1 3.6.1-1 4.7.3-2", v31=True)
@with_server
def what_the_client_does_not_bear(server, version):
    none = b"\0" if version == V5 else b""
    rows = [packet(0x36, string("a") + u16(1) + none), wire.publish(version, b"a\xed\xa0\x80"),
            wire.publish(version, b"a\0b"), b"\xd1\x00", packet(0x60, u16(1)), packet(0x82, u16(1)), b"\xc0\x00",
            packet(0x30, u16(9) + b"x"), wire.connack(version)]
    if version == V5:
        rows += [packet(0xE1, b""), wire.publish(version, "a", props=props(user_property=(b"\xff", b""))),
                 wire.publish(version, "a", props=b"\x23\0\0"), wire.publish(version, "a", props=b"\x01\x02"),
                 wire.publish(version, "a", props=props(response_topic="a/#")), b"\xf0\x00", b"\xf1\x00",
                 wire.publish(version, "a", props=props(response_topic=b"a\xff")),
                 wire.publish(version, "a", props=props(content_type=b"\xed\xa0\x80"))]
    for row in rows:
        link = server.sub("-t", "a", "--strict")
        link.send(row)
        rest = link.at_end()
        assert [p.type for p in rest] == ([DISCONNECT] if version == V5 else []), (row, rest)
        assert version != V5 or rest[0].reason >= 0x80, (row, rest)
        server.children[-1].kill()


@covers(v5="1.5.5-1 3.3.2-10 1.5.4-3 4.2.0-1", v311="1.5.3-3 7.1.2-1", v31=True)
@with_server
def what_the_client_bears(server, version):
    link = server.sub("-t", "#", "-v")
    data = b"".join(wire.publish(version, "\ufeffa/%d" % size, b"x" * size) for size in (0, 1, 127, 128, 16384, 70000))
    for at in range(0, len(data), 777):
        link.send(data[at:at + 777])
    link.send(wire.publish(version, "end", b"."))
    server.children[-1].wait_line(rb"^end \.$", 5)
    assert [len(line) for line in server.children[-1].lines] == [
        len("\ufeffa/%d " % size) + 2 + (size or len("(null)")) for size in (0, 1, 127, 128, 16384, 70000)] + [5]


@covers(v5="3.4.2-2 3.4.2-3 3.5.2-2 3.5.2-3 3.6.2-2 3.6.2-3 3.7.2-2 3.7.2-3 3.14.2-3 3.14.2-4 3.2.2-15")
@with_server
def words_of_the_client_give_way(server, version):
    link = server.sub("-t", "a", "-q", "2", "--strict", maximum_packet_size=30)
    link.send(wire.publish(version, "a", b"1", 1, id=1) + wire.publish(version, "a", b"2", 2, id=2) +
              wire.ack(PUBREL, 2) + wire.ack(PUBREL, 99) + wire.publish(version, "#", b""))
    rest = link.at_end()
    assert [p.type for p in rest] == [PUBACK, PUBREC, PUBCOMP, PUBCOMP, DISCONNECT], rest
    assert all(len(p.body) + 2 <= 30 for p in rest), rest
    server.children[-1].kill()  # it would come back
    for size in (30, 1000):
        link = server.pub("-t", "a", "-m", "x", "-q", "2", "-D", "disconnect", "user-property", "name", "x" * 100,
                          maximum_packet_size=size)
        number = link.see(PUBLISH).id
        link.send(wire.ack(PUBREC, number))
        assert len(link.see(PUBREL).body) + 2 <= 30
        link.send(wire.ack(PUBCOMP, number))
        rest = link.at_end()
        assert [(p.type, len(p.props)) for p in rest] == [(DISCONNECT, 0 if size == 30 else 1)], rest


@covers(v5="4.3.3-7 4.3.3-13")
@with_server
def what_the_client_sent_does_not_expire(server, version):
    link = server.pub("-t", "a", "-m", "x", "-q", "2", "-D", "publish", "message-expiry-interval", "1")
    number = link.see(PUBLISH).id
    time.sleep(1.3)
    link.send(wire.ack(PUBREC, number))
    assert link.see(PUBREL).id == number
    link.send(wire.ack(PUBCOMP, number))
    link.at_end()
    # And the other way: it brings to its end what expired on the way.
    link = server.sub("-t", "a", "-q", "2")
    link.send(wire.publish(version, "a", b"x", 2, id=3, props=props(message_expiry=1)))
    assert link.see(PUBREC).id == 3
    time.sleep(1.3)
    link.send(wire.ack(PUBREL, 3))
    found = link.see(PUBCOMP)
    assert (found.id, found.reason) == (3, 0)


@covers(v5="4.7.3-3", v311="4.7.3-3")
@with_server
def the_longest_topic_of_the_client(server, version):
    child = server.run("pub", "-t", "x" * 65536, "-m", "x")
    try:
        server.socket.settimeout(0.3)
        link = server.link()
        link.accept()
        assert PUBLISH not in [p.type for p in link.at_end()]
    except TimeoutError:
        pass
    assert child.wait(5) != 0
    server.socket.settimeout(5)
    link = server.pub("-t", "x" * 65535, "-m", "x")
    assert link.see(PUBLISH).topic == b"x" * 65535


@covers(v5="4.13.2-1 3.14.4-1")
@with_server
def refused_or_sent_away(server, version):
    server.run("sub", "-t", "a")
    link = server.link()
    link.see(CONNECT)
    link.send(wire.connack(version, 0x87))
    assert link.at_end() == []
    link = server.sub("-t", "a")
    link.send(wire.disconnect(version, 0x8B))
    assert link.at_end() == [], "nothing is said to who said DISCONNECT"


@covers(v5="4.4.0-1 4.3.3-10 3.1.2-23", v311="4.3.3-2 3.1.2-4")
@with_server
def what_was_received_stays_received(server, version):
    more = ("-x", "100") if version == V5 else ()
    link = server.sub("-t", "a", "-q", "2", "-c", "-i", "x", *more)
    link.send(wire.publish(version, "a", b"once", 2, id=9))
    assert link.see(PUBREC).id == 9
    link.close()
    link = server.link()
    link.accept(session_present=1)
    link.send(wire.publish(version, "a", b"once", 2, id=9, dup=True) + wire.publish(version, "a", b"end"))
    while link.see().type != PUBREC:
        pass
    child = server.children[-1]
    child.wait_line(rb"^end$", 5)
    assert child.lines.count(b"once") == 1, child.lines


main(globals())
