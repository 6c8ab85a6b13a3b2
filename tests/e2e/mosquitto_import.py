# SPDX-License-Identifier: Apache-2.0
"""What Mosquitto kept on the disk is there when smqttd takes its place, with the same configuration."""
import atexit
import os
import shutil
import signal
import struct
import tempfile

from harness import (CONNACK, PUBLISH, PUBREL, V5, V311, Child, Raw, as_me, connect_packet, free_port, is_smqttd, main,
                     packet, program, wait_until)

EXPIRY = b"\x11" + struct.pack(">I", 1000)


class Place:
    """A configuration with a data directory, for one broker after the other."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="smqtt-e2e-")
        os.chmod(self.folder, 0o777)
        atexit.register(shutil.rmtree, self.folder, True)
        self.port = self.port6 = free_port()
        self.conf = os.path.join(self.folder, "conf")
        with open(self.conf, "w", encoding="ascii") as f:
            f.write("listener %d 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location %s/\n%s" %
                    (self.port, self.folder, as_me()))
        self.child = None

    def start(self, kind):
        argv = [program("smqttd"), "--workers", "3"] if kind == "smqttd" else ["/usr/sbin/mosquitto", "-v"]
        self.child = Child([*argv, "-c", self.conf], name=kind)
        self.child.wait_line(rb" running$")

    def stop(self):
        self.child.stop(signal.SIGTERM)

    def file(self):
        return os.path.join(self.folder, "mosquitto.db")


def leave(place, name, filters, version=V311, properties=b""):
    """A session that stays behind."""
    with Raw(place) as client:
        client.connect(version, client_id=name, clean=False, properties=properties)
        for topic_filter in filters:
            client.subscribe(topic_filter, 2)
        client.disconnect()


def publish_all(place, messages):
    with Raw(place) as client:
        client.connect(V311, client_id="publisher")
        for n, (topic, payload, qos, retain) in enumerate(messages, 1):
            client.publish(topic, payload, qos=qos, retain=retain, packet_id=n)
            assert struct.unpack(">H", client.packet().body[:2])[0] == n
            if qos == 2:
                client.send(packet(0x62, struct.pack(">H", n)))
                client.packet()


def resume(place, name, version=V311, properties=b""):
    """Connection and whether there was a session."""
    client = Raw(place)
    client.version = version
    client.send(connect_packet(version, client_id=name, clean=False, properties=properties))
    return client, client.packet(kind=CONNACK).body[0] & 1


def receive(client, n):
    """(topic, payload, qos) of n messages, acknowledged, and no more than these."""
    found, open_ids = [], set()
    while len(found) < n or open_ids:
        got = client.packet()
        assert got is not None, found
        if got.type == PUBLISH:
            topic, payload, qos, _, _, packet_id = got.publish(client.version)
            found.append((topic, payload, qos))
            client.send(packet(0x40 if qos == 1 else 0x50, struct.pack(">H", packet_id)))
            open_ids |= {packet_id} if qos == 2 else set()
        elif got.type == PUBREL:
            client.send(packet(0x70, got.body[:2]))
            open_ids.discard(struct.unpack(">H", got.body[:2])[0])
    client.expect_nothing()
    return found


def fill(place):
    leave(place, "old", ("a/+", "b/#"))
    leave(place, "new", ("a/1",), V5, EXPIRY)
    publish_all(place, [("a/%d" % i, b"message %d" % i, 1 + i % 2, False) for i in range(4)] +
                [("b/1", b"last", 1, False), ("kept", b"retained", 1, True)])
    # A message of QoS 2 on its way in that is not released.
    with Raw(place) as client:
        client.connect(V311, client_id="sender", clean=False)
        client.publish("b/2", b"unreleased", qos=2, packet_id=77)
        client.packet()
        client.reset()


def test_takes_over(_):
    place = Place()
    place.start("mosquitto")
    fill(place)
    place.stop()
    with open(place.file(), "rb") as f:
        before = f.read()
    place.start("smqttd")
    place.child.wait_line(rb"was taken over: 3 sessions with 3 subscriptions, 7 messages")
    sender, present = resume(place, "sender")
    assert present
    sender.send(packet(0x62, struct.pack(">H", 77)))
    assert sender.packet().body == struct.pack(">H", 77)
    old, present = resume(place, "old")
    assert present
    wanted = [(b"a/%d" % i, b"message %d" % i, 1 + i % 2) for i in range(4)]
    found = receive(old, 6)
    assert found == wanted + [(b"b/1", b"last", 1), (b"b/2", b"unreleased", 2)], found
    new, present = resume(place, "new", V5, EXPIRY)
    assert present
    assert receive(new, 1) == [(b"a/1", b"message 1", 2)]
    publish_all(place, [("a/1", b"after", 2, False)])  # the subscriptions live
    assert receive(old, 1) == receive(new, 1) == [(b"a/1", b"after", 2)]
    with Raw(place) as client:
        client.connect(V311)
        client.subscribe("kept", 1)
        early = getattr(client, "early", [])
        got = early[0] if early else client.packet()
        assert got.publish(V311)[:2] == (b"kept", b"retained")
    with open(place.file(), "rb") as f:
        assert f.read() == before  # the way back stays open
    # Only once: what was delivered does not come again.
    place.stop()
    place.start("smqttd")
    assert "taken over" not in place.child.text()
    again, present = resume(place, "old")
    assert present
    again.expect_nothing()
    place.stop()


def test_a_damaged_file_is_named(_):
    place = Place()
    with open(place.file(), "wb") as f:
        f.write(b"\0\xb5\0mosquitto db\0\0\0\0\0\0\0\x06broken")
    place.start("smqttd")
    wait_until(lambda: "was not taken over: it is damaged" in place.child.text(), 5, "a line about the file")
    with Raw(place) as client:
        client.connect(V311)
    place.stop()


if is_smqttd():
    main(test_takes_over, test_a_damaged_file_is_named)
