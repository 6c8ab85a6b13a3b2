# SPDX-License-Identifier: Apache-2.0
"""A broker whose disk is not as it should be: it starts, says so, and promises nothing that it cannot keep."""
import atexit
import glob
import os
import shutil
import tempfile

from harness import (PUBACK, V5, V311, Broker, Child, Paho, Raw, connect_packet, is_smqttd, main, publish_packet,
                     skip)


def refused(broker, version, properties=b""):
    """The reason of the CONNACK of a session that would have to be stored."""
    raw = Raw(broker)
    raw.send(connect_packet(version, client_id="stays", clean=False, properties=properties))
    reason = raw.packet().body[1]
    raw.close()
    return reason


def test_no_directory():
    broker = Broker("persistence true\npersistence_location /nonexistent/data\n")
    broker.child.wait_line(rb"Error: The store: .*/nonexistent/data/smqtt.store")
    # What need not survive works.
    with Paho(broker, V311, "clean") as client:
        client.subscribe("a", 1)
        client.publish("a", b"x", qos=1)
        assert client.receive()[1] == b"x"
    # What would have to is refused.
    assert refused(broker, V311) == 3
    assert refused(broker, V5, b"\x11\x00\x00\x00\x64") == 0x88
    raw = Raw(broker)
    raw.connect(V5)
    for retain, reason in ((False, b""), (True, b"\x97")):
        raw.send(publish_packet(V5, "r", b"kept?", qos=1, retain=retain))
        assert raw.packet(kind=PUBACK).body[2:3].strip(b"\0\x10") == reason, retain
    # Retained with QoS 0: nobody was promised anything.
    raw.send(publish_packet(V5, "r", b"kept?", retain=True))
    raw.is_healthy()
    raw.close()
    assert broker.child.stop() == 0


def with_data(conf=""):
    folder = tempfile.mkdtemp(prefix="smqtt-e2e-")
    atexit.register(shutil.rmtree, folder, True)
    return Broker("persistence true\npersistence_location %s\n%s" % (folder, conf)), folder


def again(broker):
    """The same broker once more."""
    broker.child = Child(broker.child.argv, name="broker")
    broker.child.wait_line(rb" running$")


def test_a_damaged_store_is_set_aside():
    broker, folder = with_data()
    with Paho(broker, V311, "stays", clean=False) as client:
        client.subscribe("a", 1)
    assert broker.child.stop() == 0
    with open(glob.glob(folder + "/smqtt.store/MANIFEST-*")[0], "r+b") as f:
        f.write(b"\xff" * 20)
    again(broker)
    broker.child.wait_line(rb"Error: The store: ")
    assert len(glob.glob(folder + "/smqtt.store.corrupt-*")) == 1, os.listdir(folder)
    with Paho(broker, V311, "stays", clean=False) as client:
        assert client.flags["session present"] == 0
        client.subscribe("a", 1)
    broker.child.kill()
    again(broker)
    with Paho(broker, V311, "stays", clean=False) as client:
        assert client.flags["session present"] == 1
    assert broker.child.stop() == 0


def test_the_limit():
    """A publisher of version 5 hears so; what is there is delivered."""
    broker, _ = with_data("smqtt_store_limit 300k\nmax_queued_messages 0\n")
    with Paho(broker, V311, "stays", clean=False) as client:
        client.subscribe("a", 1)
    raw = Raw(broker)
    raw.connect(V5)
    taken, reason = 0, b""
    while reason != b"\x97":
        assert taken < 1000
        raw.send(publish_packet(V5, "a", os.urandom(5000), qos=1))
        reason = raw.packet(kind=PUBACK).body[2:3]
        taken += reason != b"\x97"
    assert taken > 20
    broker.child.wait_line(rb"Warning: The store has \d+ bytes and may have 307200 \(smqtt_store_limit\)")
    raw.send(publish_packet(V5, "nobody", b"x", qos=1))  # is not stored
    assert raw.packet(kind=PUBACK).body[2:3] != b"\x97"
    with Paho(broker, V311, "stays", clean=False) as client:
        for _ in range(taken):
            client.receive()
        client.expect_nothing()
    raw.close()
    assert broker.child.stop() == 0


def test_autosave_is_explained():
    broker, _ = with_data("autosave_on_changes true\nautosave_interval 10\n")
    broker.child.wait_line(rb"autosave_interval and autosave_on_changes have nothing to do")
    assert broker.child.stop() == 0


if not is_smqttd():
    skip("about smqttd alone")
main(test_no_directory, test_a_damaged_store_is_set_aside, test_the_limit, test_autosave_is_explained)
