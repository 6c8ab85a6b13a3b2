# SPDX-License-Identifier: Apache-2.0
"""Many connections, too many connections, and readers that do not read."""
import resource
import time

from harness import PUBLISH, V31, V311, V5, Broker, Paho, Raw, connect_packet, is_smqttd, main, mosquitto_pub, \
    mosquitto_sub, wait_messages, wait_until


def open_files(soft):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_1000_idle_connections():
    open_files(4096)
    broker = Broker()
    idle = []
    for i in range(1000):
        raw = Raw(broker)
        raw.version = (V31, V311, V5)[i % 3]
        raw.send(connect_packet(raw.version, "idle-%d" % i))
        idle.append(raw)
    for raw in idle:
        assert raw.packet().body[1] == 0
        raw.subscribe("all")
    sub = mosquitto_sub(broker, "-t", "all")
    before = broker.cpu_seconds()
    time.sleep(0.5)
    assert broker.cpu_seconds() - before < 0.2, "idle connections cost processor time"
    mosquitto_pub(broker, "-t", "all", "-m", "hello")
    wait_messages(sub, ["all|0|0|hello"])
    for raw in idle:
        assert raw.packet(kind=PUBLISH).publish(raw.version)[:2] == (b"all", b"hello")
    assert broker.child.stop() == 0


def test_slow_reader():
    # Its socket and its queue fill up soon.
    broker = Broker("smqtt_max_output_bytes 1M" if is_smqttd() else "max_queued_bytes 1000000")
    with Raw(broker, receive_buffer=4096) as slow, Paho(broker, V311) as fast, Raw(broker) as pub:
        slow.connect(V311, client_id="slow")
        slow.subscribe("s")
        fast.subscribe("s")
        pub.connect(V5)
        started = time.monotonic()
        data = bytes(100000)
        for i in range(200):
            pub.publish("s", b"%d|" % i + data)
            # The publisher waits for the fast reader alone.
            assert fast.receive()[1] == b"%d|" % i + data
        took = time.monotonic() - started
        assert took < 60, "20 MB took %.1f s" % took
        pub.is_healthy()
        with Raw(broker) as late:
            late.connect()
    assert broker.child.stop() == 0


def test_slow_reader_of_qos1():
    """One that never acknowledges holds up nobody where publishers shall not wait (slow.py: where they shall)."""
    broker = Broker("max_inflight_messages 5\nmax_queued_messages 10" +
                    ("\nsmqtt_slow_subscriber drop-newest" if is_smqttd() else ""))
    with Raw(broker) as slow, Paho(broker, V5) as fast, Paho(broker, V311) as pub:
        slow.connect(V311, client_id="mute")
        slow.subscribe("s", 1)
        fast.subscribe("s", 1)
        for i in range(200):
            pub.publish("s", b"%d" % i, 1)
            assert fast.receive()[1] == b"%d" % i
        got = [slow.packet(kind=PUBLISH).publish(V311) for _ in range(5)]
        assert [p[1] for p in got] == [b"%d" % i for i in range(5)]
        slow.expect_nothing(0.1)
        slow.send(b"".join(b"\x40\x02" + p[5].to_bytes(2, "big") for p in got))
        assert slow.packet(kind=PUBLISH).publish(V311)[1] == b"5"
    assert broker.child.stop() == 0


def test_out_of_descriptors():
    """With 40 descriptors the connected ones are served, the broker does not spin, and recovers."""
    broker = Broker(preexec=lambda: open_files(40))
    sub = mosquitto_sub(broker, "-t", "#", "-q", "1")
    with Paho(broker, V5) as pub:
        rest = []
        for i in range(60):
            raw = Raw(broker)
            raw.send(connect_packet(V311, "c%d" % i))
            rest.append(raw)
        time.sleep(0.2)
        before = broker.cpu_seconds()
        time.sleep(1)
        used = broker.cpu_seconds() - before
        assert used < 0.2, "it spins: %.2f s of 1 s" % used
        pub.publish("served", "still", 1)
        wait_messages(sub, ["served|1|0|still"])
        lines = len(broker.child.lines)
        assert lines < 500, "the log grows by %d lines" % lines
        for raw in rest:
            raw.close()
        wait_until(lambda: is_let_in(broker), 30, "somebody is let in again")
    assert broker.child.stop() == 0


def is_let_in(broker):
    try:
        with Raw(broker) as raw:
            raw.send(connect_packet(V311, "late"))
            found = raw.packet(0.5)
            return found is not None and found.body[1] == 0
    except (AssertionError, OSError):
        return False


def test_max_connections():
    broker = Broker("max_connections 3")
    raws = [Raw(broker) for _ in range(3)]
    wait_until(lambda: all(is_connected(r, i) for i, r in enumerate(raws)), 30, "three are in")
    with Raw(broker) as fourth:
        fourth.send(connect_packet(V311, "four"))
        assert not [p for p in fourth.expect_close() if p.body[1] == 0]
    for raw in raws:
        raw.is_healthy()
    raws[0].disconnect()
    wait_until(lambda: is_let_in(broker), 30, "a place is free")
    assert broker.child.stop() == 0


def is_connected(raw, i):
    return raw.connect(V311, client_id="max%d" % i).body[1] == 0


open_files(4096)
main(test_1000_idle_connections, test_slow_reader, test_slow_reader_of_qos1,
     *([test_out_of_descriptors, test_max_connections] if is_smqttd() else []))
