# SPDX-License-Identifier: Apache-2.0
"""Wills are published when a connection ends without DISCONNECT, and only then."""
import struct

from harness import DISCONNECT, PATIENCE, V31, V311, V5, Paho, Raw, connect_packet, is_smqttd, main, messages, \
    mosquitto_sub, packet, wait_messages, wait_until

VERSIONS = (V31, V311, V5)


def test_abrupt_close_fires(broker):
    sub = mosquitto_sub(broker, "-t", "will/#", "-q", "2", version=V5)
    wanted = []
    for version in VERSIONS:
        for qos in range(3):
            for end in (Raw.close, Raw.reset):
                client = Raw(broker)
                client.connect(version, client_id="dying", will=("will/%d" % version, "gone %d" % qos, qos, False))
                end(client)
                wanted.append("will/%d|%d|0|gone %d" % (version, qos, qos))
                wait_messages(sub, wanted)


def test_disconnect_does_not_fire(broker):
    sub = mosquitto_sub(broker, "-t", "#", version=V5)
    for version in VERSIONS:
        client = Raw(broker)
        client.connect(version, will=("will", "gone", 1, False))
        client.disconnect()
    with Paho(broker, V5, will=("will", "gone", 1, False)):
        pass
    with Raw(broker) as client:
        client.connect(V5, will=("end", "really", 0, False))
        # DISCONNECT with reason 4 asks for the will.
        client.send(packet(0xE0, b"\x04\x00"))
        client.expect_close()
    wait_messages(sub, ["end|0|0|really"])


def test_broken_packets_fire(broker):
    sub = mosquitto_sub(broker, "-t", "#")
    for version in VERSIONS:
        with Raw(broker) as client:
            client.connect(version, will=("will/%d" % version, "broken", 0, False))
            client.send(b"\xff\x00")
            client.expect_close()
    wanted = [b"will/%d|0|0|broken" % v for v in VERSIONS]
    wait_until(lambda: sorted(messages(sub)) == wanted, PATIENCE, "the wills")  # each may be another worker's


def test_silence_fires(broker):
    sub = mosquitto_sub(broker, "-t", "#")
    clients = []
    for version in VERSIONS:
        client = Raw(broker)
        client.connect(version, keep_alive=1, will=("will/%d" % version, "silent", 0, False))
        clients.append(client)
    for client in clients:
        left = client.expect_close()
        assert [(p.type, p.body[:1]) for p in left] == ([(DISCONNECT, b"\x8d")] if client.version == V5 else []), left
    sub.wait_line(rb"^MSG ", count=3)
    assert sorted(line for line in sub.lines if line.startswith(b"MSG")) == \
        [b"MSG will/%d|0|0|silent" % v for v in VERSIONS]


def test_retained_will(broker):
    for version, paho in ((V311, V5), (V5, V311)):
        client = Paho(broker, version, will=("kept/%d" % version, "gone", 1, True))
        client.drop()
        with Paho(broker, paho) as sub:
            sub.subscribe("kept/%d" % version, 2)
            topic, payload, qos, _ = sub.receive()
            assert (topic, payload, qos) == ("kept/%d" % version, b"gone", 1)
        with Paho(broker, paho) as sub:
            sub.subscribe("kept/%d" % version, 2)
            assert sub.receive() == ("kept/%d" % version, b"gone", 1, True)


def test_delayed_will(broker):
    def client(delay, expiry=60):
        raw = Raw(broker)
        raw.version = V5
        raw.send(connect_packet(V5, "late", clean=False, will=("will", "late", 0, False),
                                properties=b"\x11" + struct.pack(">I", expiry),
                                will_properties=b"\x18" + struct.pack(">I", delay)))
        assert raw.packet().body[1] == 0
        return raw

    sub = mosquitto_sub(broker, "-t", "#")
    client(5).reset()
    again = client(1)
    again.is_healthy()
    with Raw(broker) as other:
        other.connect()
        other.publish("mark", b"back in time")
    wait_messages(sub, ["mark|0|0|back in time"])
    again.reset()
    wait_messages(sub, ["mark|0|0|back in time", "will|0|0|late"])
    if not is_smqttd():
        return
    client(60, expiry=0).reset()
    wait_messages(sub, ["mark|0|0|back in time", "will|0|0|late", "will|0|0|late"])


main(test_abrupt_close_fires, test_disconnect_does_not_fire, test_broken_packets_fire, test_retained_will,
     test_delayed_will, *([test_silence_fires] if is_smqttd() else []))
