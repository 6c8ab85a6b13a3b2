# SPDX-License-Identifier: Apache-2.0
"""What was acknowledged is there after kill -9: with real clients, with one worker and several, and with another number
of workers after the restart."""
import atexit
import os
import shutil
import signal
import subprocess
import tempfile

from harness import (PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, V5, V311, Child, Paho, Raw, as_me, free_port,
                     is_smqttd, main, messages, mosquitto_pub, mosquitto_sub, packet, program, publish_packet, skip,
                     wait_until)


class Store:
    """A broker with a data directory that outlives it."""

    def __init__(self, conf="", workers=1):
        self.folder = tempfile.mkdtemp(prefix="smqtt-e2e-")
        os.chmod(self.folder, 0o777)
        atexit.register(shutil.rmtree, self.folder, True)
        self.conf, self.child, self.port = conf, None, 0
        self.start(workers)

    def start(self, workers=1, *flags):
        self.port = self.port6 = self.port or free_port()  # sessions belong to their listener
        path = os.path.join(self.folder, "smqttd.conf")
        with open(path, "w", encoding="ascii") as f:
            f.write("listener %d\nallow_anonymous true\npersistence true\npersistence_location %s\n%s\n%s" %
                    (self.port, self.folder, self.conf, as_me()))
        self.child = Child([program("smqttd"), "-c", path, "--workers", str(workers), *flags], name="broker")
        self.child.wait_line(rb" running$")

    def kill(self):
        self.child.process.send_signal(signal.SIGKILL)
        self.child.process.wait()

    def again(self, workers=1):
        self.kill()
        self.start(workers)

    def stop(self):
        assert self.child.stop() == 0, self.child.text()


# The numbers of workers before and after a crash.
WORKERS = ((1, 1), (2, 2), (4, 4), (1, 4), (4, 2))


def over_workers(test):
    def run():
        for before, after in WORKERS:
            store = Store(workers=before)
            try:
                test(store, after)
            except AssertionError as err:
                raise AssertionError("%d workers, then %d: %s\n%s" % (before, after, err, store.child.text())) from err
            store.stop()
    run.__name__ = test.__name__
    return run


def count_up(client, wanted):
    """These (topic, payload, QoS), and nothing else; in order among those of one QoS, as Paho shows one of QoS 2 when
    it is released."""
    got = [client.receive()[:3] for _ in wanted]
    for qos in (1, 2):
        mine = [m for m in got if m[2] == qos]
        assert mine == [m for m in wanted if m[2] == qos], "%s instead of %s" % (got, wanted)
    client.expect_nothing()


@over_workers
def test_queued_messages(store, workers):
    """For sessions that are away, of both QoS and both versions; in order, each of QoS 2 once."""
    with Paho(store, V311, "three", clean=False) as three, Paho(store, V5, "five", expiry=3600) as five:
        three.subscribe("q/#", 2)
        five.subscribe("q/+/one", 1)
    with Paho(store, V311, "publisher") as publisher:
        for i in range(20):
            publisher.publish("q/%d/one" % (i % 3), b"%d" % i, qos=1 + i % 2)
    wanted = [("q/%d/one" % (i % 3), b"%d" % i, 1 + i % 2) for i in range(20)]
    store.again(workers)
    with Paho(store, V311, "three", clean=False) as three, Paho(store, V5, "five", clean=False, expiry=3600) as five:
        assert three.flags["session present"] == 1 and five.flags["session present"] == 1
        count_up(three, wanted)
        count_up(five, [(topic, payload, 1) for topic, payload, _ in wanted])
        with Paho(store, V311, "late") as late:
            late.publish("q/9/one", b"after", qos=1)  # the subscriptions are there, too
        count_up(three, [("q/9/one", b"after", 1)])
        count_up(five, [("q/9/one", b"after", 1)])


@over_workers
def test_retained(store, workers):
    with Paho(store, V5, "r") as client:
        for i in range(50):
            client.publish("kept/%d" % i, b"old", qos=1, retain=True)
            client.publish("kept/%d" % i, b"new %d" % i, qos=1 + i % 2, retain=True)
        for i in range(40, 50):
            client.publish("kept/%d" % i, b"", qos=1, retain=True)
    store.again(workers)
    child = mosquitto_sub(store, "-t", "kept/#", "-v", "-q", "1", "-W", "20", "-C", "40")
    assert child.wait() == 0, child.text()
    got = [line.split(b"|")[::3] for line in messages(child)]
    assert sorted(got) == sorted([b"kept/%d" % i, b"new %d" % i] for i in range(40)), got
    with Paho(store, V311, "none") as client:
        client.subscribe("kept/+", 1)
        for _ in range(40):
            client.receive()
        client.expect_nothing()


@over_workers
def test_mosquitto_clients(store, workers):
    """A subscriber that leaves, and publishers that are done when they have their acknowledgement."""
    subprocess.run(["mosquitto_sub", "-p", str(store.port), "-t", "m/#", "-q", "2", "-c", "-i", "stays", "-E"],
                   check=True, timeout=30)
    for i in range(5):
        mosquitto_pub(store, "-t", "m/%d" % i, "-m", "text %d" % i, "-q", str(1 + i % 2))
    store.again(workers)
    child = mosquitto_sub(store, "-t", "m/#", "-q", "2", "-c", "-i", "stays", "-v", "-C", "5", "-W", "20")
    assert child.wait() == 0, child.text()
    got = [line.split(b"|")[::3] for line in messages(child)]
    assert sorted(got) == [[b"m/%d" % i, b"text %d" % i] for i in range(5)], got


@over_workers
def test_qos2_of_a_publisher(store, workers):
    """An identifier that was taken is known after the crash; one that was released is new."""
    with Paho(store, V311, "sub", clean=False) as sub:
        sub.subscribe("two", 2)
    raw = Raw(store)
    raw.connect(V311, client_id="pub", clean=False)
    raw.send(publish_packet(V311, "two", b"first", qos=2, packet_id=5))
    assert raw.packet(kind=PUBREC).body[:2] == b"\0\5"
    store.again(workers)
    raw = Raw(store)
    assert raw.connect(V311, client_id="pub", clean=False).body[0] == 1
    raw.send(publish_packet(V311, "two", b"first", qos=2, packet_id=5, dup=True))
    assert raw.packet(kind=PUBREC).body[:2] == b"\0\5"
    raw.send(packet(0x62, b"\0\5"))
    assert raw.packet(kind=PUBCOMP).body[:2] == b"\0\5"
    store.again(workers)
    raw = Raw(store)
    assert raw.connect(V311, client_id="pub", clean=False).body[0] == 1
    raw.send(packet(0x62, b"\0\5"))
    raw.packet(kind=PUBCOMP)
    raw.send(publish_packet(V311, "two", b"second", qos=2, packet_id=5))
    raw.packet(kind=PUBREC)
    raw.close()
    with Paho(store, V311, "sub", clean=False) as sub:
        count_up(sub, [("two", b"first", 2), ("two", b"second", 2)])


@over_workers
def test_qos2_of_a_subscriber(store, workers):
    """What was sent and not acknowledged comes again under the same identifier; what was received does not."""
    raw = Raw(store)
    raw.connect(V311, client_id="sub", clean=False)
    raw.subscribe("two", 2)
    with Paho(store, V311, "pub") as pub:
        pub.publish("two", b"a", qos=2)
        pub.publish("two", b"b", qos=2)
    first, second = [raw.packet(kind=PUBLISH).publish(V311)[5].to_bytes(2, "big") for _ in range(2)]
    raw.send(packet(0x50, first))
    assert raw.packet(kind=PUBREL).body[:2] == first
    store.again(workers)
    raw = Raw(store)
    assert raw.connect(V311, client_id="sub", clean=False).body[0] == 1
    seen = {}
    for _ in range(2):
        p = raw.packet()
        seen[p.type] = p
    assert set(seen) == {PUBREL, PUBLISH}, seen
    assert seen[PUBREL].body[:2] == first
    _, payload, qos, _, dup, packet_id = seen[PUBLISH].publish(V311)
    assert (payload, qos, dup) == (b"b", 2, True) and packet_id.to_bytes(2, "big") == second, seen
    raw.send(packet(0x70, first))
    raw.send(packet(0x50, second))
    raw.packet(kind=PUBREL)
    raw.send(packet(0x70, second))
    raw.until_now()
    raw.close()


@over_workers
def test_what_ended_does_not_come_back(store, workers):
    """A clean session, one that was ended, a filter that was given up, a message that was acknowledged."""
    with Paho(store, V311, "gone", clean=False) as client:
        client.subscribe("e/#", 1)
    with Paho(store, V311, "gone", clean=True) as client:
        client.subscribe("e/#", 1)
    with Paho(store, V311, "less", clean=False) as client:
        client.subscribe("e/a", 1)
        client.subscribe("e/b", 1)
        client.unsubscribe("e/a")
        with Paho(store, V311, "pub") as pub:
            pub.publish("e/b", b"done", qos=1)
        assert client.receive()[1] == b"done"
        client.subscribe("x", 1)  # PUBACK was read before this
    store.again(workers)
    with Paho(store, V311, "pub") as pub:
        pub.publish("e/a", b"1", qos=1)
        pub.publish("e/b", b"2", qos=1)
    with Paho(store, V311, "gone", clean=False) as client:
        assert client.flags["session present"] == 0
        client.expect_nothing()
    with Paho(store, V311, "less", clean=False) as client:
        assert client.flags["session present"] == 1
        assert client.receive()[:2] == ("e/b", b"2")
        client.expect_nothing()


@over_workers
def test_will_of_who_was_online(store, workers):
    """The connection ended with the broker: the will is published behind the start, once."""
    with Paho(store, V311, "heir", clean=False) as heir:
        heir.subscribe("will/#", 1)
    raw = Raw(store)
    raw.connect(V311, client_id="dies", clean=False, will=("will/dies", b"bye", 1, False))
    store.again(workers)
    raw.close()
    with Paho(store, V311, "heir", clean=False) as heir:
        assert heir.receive()[:2] == ("will/dies", b"bye")
        heir.expect_nothing()
    store.again(workers)
    with Paho(store, V311, "heir", clean=False) as heir:
        heir.expect_nothing()


@over_workers
def test_killed_again_and_again(store, workers):
    """Under load: whatever was acknowledged, by whichever of the brokers, is delivered in the end."""
    with Paho(store, V311, "sub", clean=False) as sub:
        sub.subscribe("load/#", 1)
    acknowledged = []
    for life in range(4):
        raw = Raw(store)
        raw.connect(V5, client_id="pub%d" % life)
        for i in range(1, 101):
            raw.send(publish_packet(V5, "load/%d" % (i % 5), b"%d.%d" % (life, i), qos=1, packet_id=i))
        for _ in range(50):
            ack = raw.packet(kind=PUBACK).body
            acknowledged.append(b"%d.%d" % (life, int.from_bytes(ack[:2], "big")))
        store.again(workers if life % 2 == 0 else 1 + life)
        raw.close()
    missing = set(acknowledged)
    with Paho(store, V311, "sub", clean=False) as sub:
        while missing:
            missing.discard(sub.receive()[1])


def test_policies():
    """Every policy survives the end of the process, and is named in the log and below $SYS."""
    for policy in ("fsync", "interval 100", "off"):
        store = Store("smqtt_durability " + policy)
        with Paho(store, V311, "sub", clean=False) as sub:
            sub.subscribe("p", 1)
            sub.subscribe("$SYS/broker/store/smqtt/durability", 0)
            assert sub.receive()[1].decode() == policy
        mosquitto_pub(store, "-t", "p", "-m", "x", "-q", "1")
        store.child.wait_line(b"durability " + policy.encode())
        store.again()
        with Paho(store, V311, "sub", clean=False) as sub:
            wait_until(lambda: sub.receive()[0] == "p", 20, "the message is there")
        store.stop()


def test_an_orderly_end_keeps_all():
    store = Store(workers=2)
    with Paho(store, V311, "sub", clean=False) as sub:
        sub.subscribe("p", 1)
    mosquitto_pub(store, "-t", "p", "-m", "x", "-q", "1")
    store.stop()
    store.start(2)
    with Paho(store, V311, "sub", clean=False) as sub:
        assert sub.flags["session present"] == 1
        assert sub.receive()[1] == b"x"
    store.stop()


def by_flags(store):
    """The command line of a broker that has its data directory from there."""
    path = os.path.join(store.folder, "user.conf")
    with open(path, "w", encoding="ascii") as f:
        f.write(as_me())
    return [program("smqttd"), "-c", path, "-p", str(free_port()), "--data-dir", store.folder]


def test_two_brokers_do_not_share_a_store():
    store = Store()
    child = Child(by_flags(store), name="second")
    assert child.wait() == 1 and "smqtt.store" in child.text(), child.text()
    store.stop()


def test_data_dir_of_the_command_line():
    store = Store()
    with Paho(store, V311, "sub", clean=False) as sub:
        sub.subscribe("p", 1)
    store.stop()
    child = Child(by_flags(store), name="flags")
    child.wait_line(b"is stored in " + store.folder.encode() + b"/smqtt.store")
    store.port = int(child.wait_line(rb"Opening ipv4 listen socket on port (\d+)").group(1))
    child.wait_line(rb" running$")
    with Paho(store, V311, "sub", clean=False) as sub:
        assert sub.flags["session present"] == 1
    assert child.stop() == 0


def test_background():
    """-d: the command ends when the broker is ready."""
    store = Store()
    store.stop()
    pid_file = os.path.join(store.folder, "pid")
    path = os.path.join(store.folder, "smqttd.conf")
    with open(path, "a", encoding="ascii") as f:
        f.write("\npid_file %s\n" % pid_file)
    subprocess.run([program("smqttd"), "-c", path, "-d"], check=True, timeout=30)
    with open(pid_file, encoding="ascii") as f:
        pid = int(f.read())
    try:
        mosquitto_pub(store, "-t", "p", "-m", "x", "-q", "1")  # at once
        second = subprocess.run([program("smqttd"), "-c", path, "-d"], check=False, timeout=30, capture_output=True)
        assert second.returncode == 1 and second.stderr, second
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not os.path.exists(pid_file), 20, "it has ended")


if not is_smqttd():
    skip("Mosquitto loses them")
main(test_queued_messages, test_retained, test_mosquitto_clients, test_qos2_of_a_publisher, test_qos2_of_a_subscriber,
     test_what_ended_does_not_come_back, test_will_of_who_was_online, test_killed_again_and_again, test_policies,
     test_an_orderly_end_keeps_all, test_two_brokers_do_not_share_a_store, test_data_dir_of_the_command_line,
     test_background)
