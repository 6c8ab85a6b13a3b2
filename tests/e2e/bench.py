# SPDX-License-Identifier: Apache-2.0
"""smqtt bench: its counts are right with a right broker, and notice one that loses, doubles or reorders."""
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time
import xml.etree.ElementTree

from brokers import Mosquitto
from harness import (CONNACK, CONNECT, PUBLISH, SUBACK, SUBSCRIBE, Child, free_port, is_smqttd, main, program, skip)
from smqtt_cli import folder, sentence, smqtt

BAD = ("lost", "duplicate", "out_of_order", "unknown", "connections_failed", "refused", "unexpected_packets")


def bench(port, *args, code=0):
    """The JSON that it prints."""
    out, err = smqtt("bench", *args, "-p", str(port), "--json", "-", code=code, seconds=60)
    assert err == b"", err
    return json.loads(out)


def phase(result, name):
    return next(p for p in result["phases"] if p["name"] == name)


def assert_clean(result, **expected):
    counted = result["messages"]
    for name in BAD:
        assert counted[name] == expected.pop(name, 0), "%s: %r" % (name, counted)
    for name, value in expected.items():
        assert counted[name] == value, "%s is not %d: %r" % (name, value, counted)


def test_messages_are_counted(broker):
    """Sent is what -L says, received what the scenario makes of it, in every version and with every QoS."""
    for scenario, count, copies in (("pairs", 5, 1), ("fan-in", 7, 1), ("fan-out", 6, 6)):
        for qos in (0, 1, 2):
            for version in (3, 4, 5):
                result = bench(broker.port, scenario, "-c", str(count), "-L", "333", "-q", str(qos), "-V", str(version))
                assert_clean(result, sent=333, received=333 * copies, acknowledged=333 if qos else 0)
                assert result["latency_us"]["count"] == 333 * copies


def test_window_and_size(broker):
    for window in (1, 3, 1000):
        for size in (24, 200, 5000):
            result = bench(broker.port, "pairs", "-c", "2", "-L", "200", "-q", "1", "-F", str(window), "-s", str(size))
            assert_clean(result, sent=200, received=200, acknowledged=200)


def test_rate_is_kept(broker):
    result = bench(broker.port, "pairs", "-c", "4", "--rate", "500", "--duration", "1")
    assert_clean(result)
    # On a busy machine a second is over late.
    most = 500 * max(1, phase(result, "publish")["seconds"]) + 10
    assert 450 <= result["messages"]["sent"] <= most, (result["messages"], most)
    assert 0 < result["latency_us"]["p50"] <= result["latency_us"]["p99"] <= result["latency_us"]["max"]


def test_broker_use(broker):
    """With --broker-pid there are CPU seconds and memory of that process."""
    before = broker.cpu_seconds()
    result = bench(broker.port, "fan-in", "-c", "3", "--duration", "1", "--broker-pid", str(broker.child.process.pid))
    used = sum(p["cpu_seconds"] for p in result["phases"])
    assert 0 < used <= broker.cpu_seconds() - before + 0.2, used
    assert phase(result, "publish")["rss_after"] > 1 << 20
    assert "cpu_seconds" not in phase(bench(broker.port, "pairs", "-L", "5"), "publish")


def test_retained(broker):
    result = bench(broker.port, "retained", "--messages", "500", "-q", "1")
    assert phase(result, "store")["count"] == phase(result, "fetch")["count"] == 500
    assert_clean(result, sent=500, acknowledged=500, received=500)


def test_subscriptions(broker):
    result = bench(broker.port, "subscriptions", "--filters", "2500", "--filters-per-packet", "70", "-L", "5000")
    assert phase(result, "subscribe")["count"] == 2500
    assert_clean(result, sent=5000, received=5000)


def test_connections(broker):
    result = bench(broker.port, "conn", "-c", "50", "-R", "200", "--duration", "0.1")
    assert phase(result, "connect")["count"] == phase(result, "idle")["count"] == 50
    assert phase(result, "connect")["seconds"] >= 0.2, "50 of 200 a second"
    result = bench(broker.port, "connects", "-c", "8", "-L", "200")
    assert 200 <= phase(result, "connect")["count"] <= 208
    assert_clean(result)


def test_pub_and_sub(broker):
    """As emqtt-bench: two processes."""
    path = os.path.join(folder(), "sub.json")
    sub = Child([program("smqtt"), "bench", "sub", "-p", str(broker.port), "-t", "x/#", "-c", "2", "-i", "0", "-q", "1",
                 "-L", "80", "--json", path])
    broker.child.wait_line(rb"New client connected", count=2)
    time.sleep(1)
    result = bench(broker.port, "pub", "-t", "x/%i/%c", "-c", "4", "-i", "1", "-I", "5", "-L", "40", "-q", "1",
                   "--prefix", "p", "--shortids", "-w")
    assert_clean(result, sent=40, acknowledged=40)
    assert sub.wait(30) == 0
    with open(path, encoding="utf-8") as f:
        assert_clean(json.load(f), received=80)


def test_sealed(broker):
    for suite in ("x25519", "p256"):
        for qos in (0, 1, 2):
            result = bench(broker.port, "pairs", "-c", "3", "-L", "300", "-q", str(qos), "--sealed", suite)
            assert phase(result, "handshake")["count"] == 3
            assert_clean(result, sent=300, received=300, records_refused=0)


def bytes_of(result):
    return result["bytes_per_message"]


def added(plain, other, sides=("publisher_out", "subscriber_in")):
    return [bytes_of(other)[side] - bytes_of(plain)[side] for side in sides]


def test_bytes_of_plain_messages(broker):
    """What the standard says a message is: byte, length, topic, identifier, in 5.0 one of properties, payload."""
    for version in (4, 5):
        for size, lengths in ((16, 1), (64, 1), (1024, 2)):
            whole = 1 + lengths + 2 + len("bench/pair/0") + 2 + (version == 5) + size
            result = bench(broker.port, "pairs", "-c", "1", "-L", "200", "-q", "1", "-s", str(size), "-V", str(version))
            assert bytes_of(result) == {"publisher_out": whole, "publisher_in": 4, "subscriber_in": whole,
                                        "subscriber_out": 4}, result
            assert phase(result, "publish")["bytes_out"] == 200 * (whole + 4)


def test_sealed_through_the_tunnel(broker):
    """Through a broker that knows nothing of it, and through ours when asked for; both versions. A record is longer by
    what protocol.md 6.1 says, and nothing is left behind."""
    other = Mosquitto()
    for port, flags in ((other.port, ()), (broker.port, ("--tunnel",)), (broker.port, ("-V", "4"))):
        for suite, size in (("x25519", "16"), ("p256", "1024")):
            args = ("pairs", "-c", "2", "-L", "600", "-q", "1", "-s", size, *flags)
            sealed = bench(port, *args, "--sealed", suite)
            assert sealed["path"] == "tunnel"
            assert_clean(sealed, sent=600, received=600, records_refused=0)
            plain = bench(port, *[a for a in args if a != "--tunnel"])
            for more in added(plain, sealed):
                assert 23 <= more <= 24, (port, suite, more)  # numbers of one byte, then of two
        left, _ = smqtt("sub", "-h", "127.0.0.1", "-p", str(port), "-t", "smqtt1/#", "-W", "1", "-v",
                        code=27)
        assert left == b"", left
    assert bench(broker.port, "pairs", "-c", "1", "-L", "9", "--sealed", "p256")["path"] == "native"
    other.stop()


def certificates():
    """Of an authority, and of a broker on localhost: their paths without ending."""
    where = folder()
    os.chmod(where, 0o755)

    def run(*argv):
        subprocess.run(argv, check=True, capture_output=True, cwd=where)

    for name in ("ca", "broker"):
        run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", name + ".key")
        os.chmod(os.path.join(where, name + ".key"), 0o644)
    run("openssl", "req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=ca", "-days", "2", "-out", "ca.pem")
    run("openssl", "req", "-new", "-key", "broker.key", "-subj", "/CN=localhost", "-out", "broker.csr")
    with open(os.path.join(where, "names"), "w", encoding="ascii") as f:
        f.write("subjectAltName=DNS:localhost\n")
    run("openssl", "x509", "-req", "-in", "broker.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
        "-days", "2", "-extfile", "names", "-out", "broker.pem")
    return os.path.join(where, "ca"), os.path.join(where, "broker")


def test_tls(broker):
    """TLS 1.3 to mosquitto: 22 bytes for each record, handshakes among the bytes of connecting; who cannot be trusted
    is refused."""
    ca, server = certificates()
    port = free_port()
    other = Mosquitto(conf="listener %d 127.0.0.1\ncertfile %s.pem\nkeyfile %s.key\ntls_version tlsv1.3\n" %
                      (port, server, server))
    tls = ("-h", "localhost", "--cafile", ca + ".pem")
    for qos in ("0", "1", "2"):
        for size in ("64", "40000"):
            result = bench(port, "pairs", "-c", "3", "-L", "600", "-q", qos, "-s", size, *tls)
            assert result["tls"] is True
            assert_clean(result, sent=600, received=600)
    one = ("-c", "1", "-L", "100", "-q", "1", "-F", "1")
    plain, sealed = bench(other.port, "pairs", *one), bench(port, "pairs", *one, *tls)
    assert added(plain, sealed, bytes_of(plain)) == [22] * 4, (bytes_of(plain), bytes_of(sealed))
    both = [phase(r, "connect")["bytes_in"] + phase(r, "connect")["bytes_out"] for r in (plain, sealed)]
    assert 2 * 800 < both[1] - both[0] < 2 * 3000, both
    assert_clean(bench(port, "connects", "-c", "4", "-L", "40", *tls))
    both_ways = bench(port, "pairs", "-c", "1", "-L", "100", "-q", "1", "--sealed", "x25519", *tls)
    assert_clean(both_ways, sent=100, received=100, records_refused=0)
    for flags, words in ((("-h", "127.0.0.1", "--cafile", ca + ".pem"), "IP address mismatch"),
                         (("-h", "localhost", "--cafile", server + ".pem"), "not accepted"),
                         (("-h", "localhost", "--cafile", ca + ".key"), "check --cafile")):
        _, err = smqtt("bench", "pairs", "-c", "2", "-L", "5", "-p", str(port), *flags, code=1)
        assert words in sentence(err), err
    _, err = smqtt("bench", "pairs", "-c", "2", "-L", "5", "-p", str(other.port), *tls, code=1)
    assert "does the broker speak it" in sentence(err), err
    bench(port, "pairs", "-c", "1", "-L", "5", "-h", "127.0.0.1", "--cafile", ca + ".pem", "--insecure")
    other.stop()


def test_picture_and_text(broker):
    path = os.path.join(folder(), "run.svg")
    out, _ = smqtt("bench", "pairs", "-c", "3", "-p", str(broker.port), "--duration", "0.6", "--svg", path)
    assert b"deliveries in" in out and b"p99" in out and b"lost 0, twice 0, out of order 0" in out
    root = xml.etree.ElementTree.parse(path).getroot()
    lines = [e for e in root.iter() if e.tag.endswith("polyline")]
    assert len(lines) == 3, "throughput, p50 and p99"
    for line in lines:
        points = [tuple(map(float, p.split(","))) for p in line.get("points").split()]
        assert len(points) >= 3
        assert all(0 <= x <= 860 and 0 <= y <= 560 for x, y in points), points
        assert points == sorted(points, key=lambda p: p[0])


def test_ctrl_c(broker):
    """What there is is printed."""
    run = Child([program("smqtt"), "bench", "pairs", "-c", "3", "-p", str(broker.port), "--duration", "60"])
    broker.child.wait_line(rb"New client connected", count=6)
    time.sleep(1)
    run.process.send_signal(signal.SIGINT)
    assert run.wait(30) == 0
    assert "deliveries in" in run.text() and "lost 0," in run.text(), run.text()


def test_wrong_use(broker):
    for args, words in ((["nothing"], "no scenario"), (["pairs", "--colour"], "does not know"),
                        (["pairs", "-q", "3"], "'3'"), (["pairs", "-c", "0"], "count of 0"),
                        (["pairs", "-p", str(broker.port), "-c"], "needs"),
                        (["pairs", "-s", "10"], "at least 16"), (["pub"], "needs a topic"),
                        (["pairs", "-V", "2"], "3, 4 or 5"), (["fan-in", "--sealed", "x25519"], "--sealed"),
                        (["pairs", "--tunnel"], "--sealed"), (["pairs", "--insecure"], "--cafile"),
                        (["pairs", "-p", str(free_port())], "no client could connect"),
                        (["pairs", "-h", "no.such.host.invalid"], "not found"),
                        (["pairs", "-c", "1", "-L", "1", "--svg", "/nowhere/x.svg"], "could not be written")):
        more = [] if "-p" in args or len(args) < 2 else ["-p", str(broker.port)]
        _, err = smqtt("bench", *args, *more, code=1)
        assert words in sentence(err), (args, err)


def test_every_flag_is_documented(broker):
    out, _ = smqtt("bench", "--help")
    with open("docs/man/smqtt-bench.1", encoding="utf-8") as f:
        page = f.read().replace("\\-", "-")
    for line in out.decode().splitlines():
        words = line.split()
        for word in [w.rstrip(",") for w in words[:2] if w.startswith("-")]:
            assert word in page, "%s is not in smqtt-bench(1)" % word


# --- a broker that is wrong -----------------------------------------------------------------------------------------


class WrongBroker:
    """Takes one subscriber and one publisher of QoS 0 or 1, and passes on what `judge` makes of the list of messages
    that came so far and the new one."""

    def __init__(self, judge):
        self.judge, self.subscriber, self.came = judge, None, []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            conn, _ = self.server.accept()
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        data = b""
        try:
            while True:
                got = conn.recv(65536)
                if not got:
                    return
                data += got
                while len(data) >= 2 and len(data) >= 2 + data[1]:
                    self.take(conn, data[:2 + data[1]])
                    data = data[2 + data[1]:]
        except OSError:
            pass

    def take(self, conn, packet):
        kind = packet[0] >> 4
        if kind == CONNECT:
            conn.sendall(bytes([CONNACK << 4, 2, 0, 0]))
        elif kind == SUBSCRIBE:
            self.subscriber = conn
            conn.sendall(bytes([SUBACK << 4, 3]) + packet[2:4] + b"\x00")
        elif kind == PUBLISH:
            if packet[0] & 6:
                at = 4 + struct.unpack(">H", packet[2:4])[0]
                conn.sendall(b"\x40\x02" + packet[at:at + 2])
                packet = bytes([PUBLISH << 4, packet[1] - 2]) + packet[2:at] + packet[at + 2:]
            self.subscriber.sendall(b"".join(self.judge(self.came, packet)))
            self.came.append(packet)


def with_wrong_broker(judge, *args):
    wrong = WrongBroker(judge)
    return bench(wrong.port, "pairs", "-c", "1", "-V", "4", "-L", "50", *args)["messages"]


def test_a_right_one_is_right(broker):
    for qos in "01":
        counted = with_wrong_broker(lambda came, new: [new], "-q", qos)
        assert [counted[name] for name in ("received", "lost", "duplicate", "out_of_order")] == [50, 0, 0, 0], counted


def test_losses_are_noticed(broker):
    for qos in "01":
        counted = with_wrong_broker(lambda came, new: [] if len(came) in (3, 4, 49) else [new], "-q", qos)
        assert [counted[name] for name in ("received", "lost", "duplicate", "out_of_order")] == [47, 3, 0, 0], counted


def test_copies_are_noticed(broker):
    counted = with_wrong_broker(lambda came, new: [new, new] if len(came) % 10 == 0 else [new])
    assert [counted[name] for name in ("received", "lost", "duplicate", "out_of_order")] == [55, 0, 5, 0], counted


def test_disorder_is_noticed(broker):
    """Number 7 is held back until 9 was sent."""
    counted = with_wrong_broker(lambda came, new: {7: [], 9: [new, came[7]] if len(came) > 7 else []}.get(len(came),
                                                                                                         [new]))
    assert [counted[name] for name in ("received", "lost", "duplicate", "out_of_order")] == [50, 0, 0, 1], counted


def test_no_answer(broker):
    """A broker that acknowledges nothing does not hold the tool for ever."""
    counted = with_wrong_broker(lambda came, new: [])
    assert counted["lost"] == 50 and counted["received"] == 0, counted


if not is_smqttd():
    skip("about smqtt alone")
assert subprocess.run([program("smqtt"), "version"], check=True, capture_output=True).returncode == 0
main(test_messages_are_counted, test_window_and_size, test_rate_is_kept, test_broker_use, test_retained,
     test_subscriptions, test_connections, test_pub_and_sub, test_sealed,
     test_bytes_of_plain_messages, test_sealed_through_the_tunnel, test_tls, test_picture_and_text, test_ctrl_c,
     test_wrong_use, test_every_flag_is_documented, test_a_right_one_is_right, test_losses_are_noticed,
     test_copies_are_noticed, test_disorder_is_noticed, test_no_answer)
