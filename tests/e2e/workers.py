# SPDX-License-Identifier: Apache-2.0
"""What clients may not notice of many workers: connections that are handed over, limits that count over all of them,
reloads under load, numbers of all in $SYS, Unix sockets."""
import os
import random
import signal
import socket

from harness import CONNACK, PATIENCE, PINGRESP, PUBACK, PUBLISH, SUBACK, V311, V5, WORKERS, Broker, Raw, \
    connect_packet, free_port, is_smqttd, main, publish_packet, skip, subscribe_packet, wait_until

if not is_smqttd():
    skip("smqttd's workers")
N = int(WORKERS or 4)


class Local(Raw):
    """Over a Unix socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self.buffer, self.version = b"", V311


def test_what_follows_connect_goes_along():
    """Most connections move to another worker with whatever was sent behind CONNECT, cut anywhere."""
    broker = Broker("allow_anonymous true\n", workers=N)
    rnd = random.Random(7)
    raws, rests = [], []
    for i in range(150):
        raw = Raw(broker)
        raw.version = (V311, V5)[i % 2]
        name = "moved/%d" % i
        stream = connect_packet(raw.version, "c%d" % i) + subscribe_packet(raw.version, name, 1)
        stream += b"".join(publish_packet(raw.version, name, b"%d %s" % (n, b"x" * rnd.randrange(3000)), qos=n % 2,
                                          packet_id=n + 1) for n in range(30)) + b"\xc0\x00"
        cut = rnd.choice((3, 20, 60, rnd.randrange(1, len(stream)), len(stream)))
        raw.send(stream[:cut])
        raws.append(raw)
        rests.append(stream[cut:])
    for raw, rest in zip(raws, rests):
        raw.send(rest)
    for raw in raws:
        assert raw.packet(kind=CONNACK).body[1] == 0
        raw.packet(kind=SUBACK)
        acked, got, pinged = [], [], False
        while not pinged or len(got) < 30 or len(acked) < 15:
            found = raw.packet()
            if found.type == PUBACK:
                acked.append(int.from_bytes(found.body[:2], "big") - 1)
            elif found.type == PUBLISH:
                got.append(int(found.publish(raw.version)[1].split()[0]))
            else:
                assert found.type == PINGRESP, found
                pinged = True
        assert got == list(range(30)) and acked == list(range(1, 30, 2)), (got, acked)
        raw.close()
    broker.child.stop()


def test_limits_count_over_all_workers():
    port = free_port()
    broker = Broker("max_connections 12\nlistener %d\nglobal_max_connections 20\nallow_anonymous true\n" % port,
                    workers=N)
    first = broker.port

    def let_in(at, n):
        """Those that get CONNACK, of n that come one after the other."""
        broker.port, inside = at, []
        for i in range(n):
            raw = Raw(broker)
            raw.send(connect_packet(V311, "%d-%d-%d" % (at, i, id(raw))))
            answer = raw.packet()
            if answer is not None:
                assert answer.type == CONNACK and answer.body[1] == 0, answer
                inside.append(raw)
        return inside
    at_first = let_in(first, 20)
    assert len(at_first) == 12, len(at_first)
    assert len(let_in(port, 15)) == 8
    for raw in at_first[:5]:
        raw.disconnect()
    again = []
    wait_until(lambda: again.extend(let_in(first, 1)) or len(again) >= 5, 30, "their places are free")
    assert not let_in(first, 3)
    broker.child.stop()


def test_reloads_under_load():
    """Nothing is lost, and order is kept, while the configuration is read again and again, and a listener comes and
    goes."""
    text = "allow_anonymous true\nmax_inflight_messages 1000\nmax_queued_messages 0\n%s"
    broker = Broker(text % "", workers=N)
    port = free_port()
    subs, pubs = [Raw(broker) for _ in range(3)], [Raw(broker) for _ in range(4)]
    for sub in subs:
        sub.connect(V311)
        sub.subscribe("load/#", 1)
    for pub in pubs:
        pub.connect(V311)
    heard = [[[] for _ in pubs] for _ in subs]
    for n in range(40):
        for i, pub in enumerate(pubs):
            pub.send(b"".join(publish_packet(V311, "load/%d" % i, b"%d" % (n * 25 + k), qos=1, packet_id=k + 1)
                              for k in range(25)))
        if n % 4 == 0:
            extra = "listener %d\nallow_anonymous true\n" % port if n % 8 == 0 else ""
            broker.write("smqttd.conf", broker._conf(text % extra))
            broker.child.process.send_signal(signal.SIGHUP)
        for pub in pubs:
            for k in range(25):
                assert pub.packet(kind=PUBACK).body[:2] == (k + 1).to_bytes(2, "big")
        for s, sub in enumerate(subs):
            for _ in range(25 * len(pubs)):
                found = sub.packet(kind=PUBLISH)
                sub.send(b"\x40\x02" + found.body[8:10])  # behind "load/N"
                topic, payload = found.publish(V311)[:2]
                heard[s][int(topic[5:])].append(int(payload))
    assert all(of_pub == list(range(1000)) for of_sub in heard for of_pub in of_sub)
    broker.child.stop()


def test_numbers_of_all_workers_are_told():
    broker = Broker("allow_anonymous true\nsys_interval 1\n", workers=N)
    raws = [Raw(broker) for _ in range(20)]
    for i, raw in enumerate(raws):
        raw.connect(V311, client_id="n%d" % i)
        raw.subscribe("t/%d" % i)
    for i, raw in enumerate(raws):
        raw.publish("t/%d" % i, "x")
        raw.packet(kind=PUBLISH)
    watcher = Raw(broker)
    watcher.connect(V311, client_id="watcher")
    wanted = {b"$SYS/broker/clients/connected": b"21", b"$SYS/broker/clients/total": b"21",
              b"$SYS/broker/publish/messages/received": b"20", b"$SYS/broker/subscriptions/count": b"24"}
    for name in wanted:
        watcher.send(subscribe_packet(V311, name))
    seen = {}

    def hear():
        found = watcher.packet()
        if found.type == PUBLISH:
            topic, payload = found.publish(V311)[:2]
            seen[topic] = payload
        return seen == wanted
    wait_until(hear, 30, "%r" % wanted)
    broker.child.stop()


def test_a_unix_socket_is_served_by_all():
    broker = Broker("allow_anonymous true\n", workers=N)
    path = os.path.join(broker.folder, "socket")
    broker.child.stop()
    broker = Broker("listener 0 %s\nallow_anonymous true\n" % path, workers=N)
    raws = [Local(path) for _ in range(60)]
    for i, raw in enumerate(raws):
        raw.connect(V311, client_id="u%d" % i)
        raw.subscribe("all")
    raws[0].publish("all", "hello", qos=1)
    for raw in raws:
        found = raw.packet()
        found = raw.packet() if found.type == PUBACK else found
        assert found.publish(V311)[:2] == (b"all", b"hello")
    broker.child.stop()


main(test_what_follows_connect_goes_along, test_limits_count_over_all_workers, test_reloads_under_load,
     test_numbers_of_all_workers_are_told, test_a_unix_socket_is_served_by_all)
