# SPDX-License-Identifier: Apache-2.0
"""Sessions that outlive their connection, and client identifiers that come twice."""
import struct
import time

from harness import DISCONNECT, PUBLISH, PUBREC, PUBREL, V31, V311, V5, Paho, Raw, is_smqttd, main, mosquitto_pub, \
    mosquitto_sub, packet, wait_messages

EXPIRY = b"\x11" + struct.pack(">I", 100)


def test_offline_queue(broker):
    for version in (V311, V5):
        fields = {"client_id": "sleeper", "clean": False, "expiry": 100 if version == V5 else None}
        with Paho(broker, version, **fields) as sub:
            sub.subscribe("q/%d/#" % version, 2)
        with Paho(broker, V5) as pub:
            for i in range(100):
                pub.publish("q/%d/%d" % (version, i), str(i), 1 + i % 2)
                if i % 10 == 0:
                    pub.publish("q/%d/0" % version, "not for the absent", 0)
        with Paho(broker, version, **fields) as sub:
            present = sub.flags["session present"]
            assert present == 1, "session present: %s" % present
            got = [sub.receive() for _ in range(100)]
            for qos in (1, 2):
                assert [m for m in got if m[2] == qos] == \
                    [("q/%d/%d" % (version, i), b"%d" % i, qos, False) for i in range(qos - 1, 100, 2)], got
            sub.expect_nothing()
            mosquitto_pub(broker, "-t", "q/%d/x" % version, "-m", "live", "-q", "2")
            assert sub.receive()[:2] == ("q/%d/x" % version, b"live")
        fields["clean"] = True
        with Paho(broker, version, **fields) as sub:
            assert sub.flags["session present"] == 0
            mosquitto_pub(broker, "-t", "q/%d/x" % version, "-m", "forgotten", "-q", "2")
            sub.expect_nothing()


def test_cli_offline_queue(broker):
    for version in (V31, V311, V5):
        args = ("-t", "c", "-i", "cli", "-c", "-q", "2") + (("-x", "100") if version == V5 else ())
        sub = mosquitto_sub(broker, *args, version=version)
        sub.stop()
        mosquitto_pub(broker, "-l", "-t", "c", "-q", "2", stdin=b"1\n2\n3\n", version=version)
        sub = mosquitto_sub(broker, *args, version=version)
        wait_messages(sub, ["c|2|0|%d" % i for i in (1, 2, 3)])
        sub.stop()
        with Raw(broker) as raw:
            raw.connect(version, client_id="cli")


def keep(broker, version, client_id="k"):
    raw = Raw(broker)
    connack = raw.connect(version, client_id=client_id, clean=False, properties=EXPIRY if version == V5 else b"")
    return raw, connack.body[0]


def test_unacknowledged_comes_again(broker):
    for version in (V31, V311, V5):
        client_id = "again %d" % version
        raw, _ = keep(broker, version, client_id)
        raw.subscribe("again", 2)
        mosquitto_pub(broker, "-t", "again", "-m", "one", "-q", "1")
        mosquitto_pub(broker, "-t", "again", "-m", "two", "-q", "2")
        one, two = (raw.packet(kind=PUBLISH).publish(version) for _ in range(2))
        assert (one[1:3], two[1:3], one[4]) == ((b"one", 1), (b"two", 2), False)
        raw.reset()
        raw, present = keep(broker, version, client_id)
        assert present == (version != V31), "session present: %s" % present
        again = [raw.packet(kind=PUBLISH).publish(version) for _ in range(2)]
        wanted = [(b"one", 1, True, one[5]), (b"two", 2, True, two[5])]
        assert [(p[1], p[2], p[4], p[5]) for p in again] == wanted, again
        raw.send(packet(0x40, struct.pack(">H", one[5])) + packet(0x50, struct.pack(">H", two[5])))
        assert raw.packet(kind=PUBREL).body[:2] == struct.pack(">H", two[5])
        raw.reset()
        raw, _ = keep(broker, version, client_id)
        # What was received (PUBREC) is not sent again, only released again.
        assert raw.packet(kind=PUBREL).body[:2] == struct.pack(">H", two[5])
        raw.send(packet(0x70, struct.pack(">H", two[5])))
        raw.expect_nothing()
        raw.disconnect()


def test_qos2_is_exactly_once_across_connections(broker):
    sub = mosquitto_sub(broker, "-t", "once", "-q", "2")
    wanted = []
    for version in (V31, V311, V5):
        client_id = "pub %d" % version
        raw, _ = keep(broker, version, client_id)
        raw.publish("once", b"%d" % version, qos=2, packet_id=7)
        raw.packet(kind=PUBREC)
        raw.reset()
        raw, _ = keep(broker, version, client_id)
        raw.publish("once", b"%d" % version, qos=2, packet_id=7, dup=True)
        raw.packet(kind=PUBREC)
        raw.send(packet(0x62, b"\x00\x07"))
        assert raw.packet().body[:2] == b"\x00\x07"
        wanted.append("once|2|0|%d" % version)
        wait_messages(sub, wanted)
        raw.publish("once", b"next", qos=2, packet_id=7)
        raw.packet(kind=PUBREC)
        raw.send(packet(0x62, b"\x00\x07"))
        wanted.append("once|2|0|next")
        wait_messages(sub, wanted)
        raw.disconnect()


def test_takeover(broker):
    for first in (V31, V311, V5):
        for second in (V31, V311, V5):
            with Raw(broker) as old, Raw(broker) as new:
                old.connect(first, client_id="twin")
                old.subscribe("twin")
                new.connect(second, client_id="twin")
                left = old.expect_close()
                wanted = [(DISCONNECT, b"\x8e")] if first == V5 and is_smqttd() else []
                assert [(p.type, p.body[:1]) for p in left] == wanted, left
                new.is_healthy()
                mosquitto_pub(broker, "-t", "twin", "-m", "for the old one")
                new.expect_nothing(0.05)


def test_takeover_keeps_the_session(broker):
    for version in (V311, V5):
        old, _ = keep(broker, version, "heir %d" % version)
        old.subscribe("heir", 1)
        new, present = keep(broker, version, "heir %d" % version)
        assert present == 1
        old.expect_close()
        mosquitto_pub(broker, "-t", "heir", "-m", "inherited", "-q", "1")
        assert new.packet(kind=PUBLISH).publish(version)[1] == b"inherited"
        new.disconnect()


def test_session_expiry(broker):
    with Raw(broker) as raw:
        raw.connect(V5, client_id="short", clean=False, properties=EXPIRY)
        raw.subscribe("short", 1)
        raw.disconnect()
    with Raw(broker) as raw:
        assert raw.connect(V5, client_id="short", clean=False).body[0] == 1, "within the time"
        raw.disconnect()
    with Raw(broker) as raw:
        assert raw.connect(V5, client_id="short", clean=False).body[0] == 0, "expiry 0 ends with the connection"


def test_messages_expire(broker):
    raw, _ = keep(broker, V5, "late")
    raw.subscribe("e", 1)
    raw.send(packet(0xE0))
    raw.expect_close()  # what is published now is not sent to this connection any more
    with Raw(broker) as pub:
        pub.connect(V5)
        for seconds, text in ((1, b"too late"), (100, b"in time")):
            pub.publish("e", text, qos=1, properties=b"\x02" + struct.pack(">I", seconds))
            pub.packet()
    time.sleep(1.5)
    raw, _ = keep(broker, V5, "late")
    found = raw.packet(kind=PUBLISH)
    assert found.publish(V5)[1] == b"in time", found
    at = found.body.index(b"\x02\x00\x00\x00") + 1
    assert 90 <= struct.unpack_from(">I", found.body, at)[0] <= 99, "the time left: %r" % found
    raw.expect_nothing()
    raw.disconnect()


main(test_offline_queue, test_cli_offline_queue, test_unacknowledged_comes_again,
     test_qos2_is_exactly_once_across_connections, test_takeover, test_takeover_keeps_the_session, test_session_expiry,
     test_messages_expire)
