# SPDX-License-Identifier: Apache-2.0
"""How smqtt's clients live and end: lost brokers, pauses, signals, a closed pipe, limits."""
import signal
import socket
import subprocess
import threading
import time

from harness import Child, free_port, is_smqttd, main, mosquitto_pub, program, skip, wait_until
from smqtt_cli import Sub, address, folder, identity, sentence, smqtt


class At:
    """An address without a broker of its own."""

    def __init__(self, port):
        self.port = port


def start_on(port):
    """smqttd on this very port."""
    child = Child([program("smqttd"), "-p", str(port)], name="broker")
    child.wait_line(rb" running$")
    return child


def popen(*args, **more):
    return subprocess.Popen([program("smqtt"), *args], **{"stderr": subprocess.DEVNULL, **more})


def test_lines_survive_the_broker(_):
    port = free_port()
    broker = start_on(port)
    pub = popen("pub", *address(At(port)), "-t", "l", "-l", "-q", "1", "-i", "pub", stdin=subprocess.PIPE)
    sub = Sub(At(port), "-t", "l", "-q", "1")
    pub.stdin.write(b"one\ntwo\n")
    pub.stdin.flush()
    sub.expect(b"one\ntwo\n")
    broker.stop()
    broker = start_on(port)
    sub.ready(None, times=2)
    pub.stdin.write(b"three\n")
    pub.stdin.flush()
    sub.expect(b"one\ntwo\nthree\n")
    pub.stdin.close()
    assert pub.wait(30) == 0
    broker.stop()


def test_one_message_does_not_wait(_):
    """A publisher of one message whose broker goes ends with the code of a lost connection."""
    server = socket.create_server(("127.0.0.1", 0))
    pub = popen("pub", *address(At(server.getsockname()[1])), "-t", "l", "-m", "x", "-q", "1")
    client, _ = server.accept()
    client.recv(100)
    client.sendall(b"\x20\x02\x00\x00")
    client.recv(100)
    client.close()
    assert pub.wait(30) == 7


def test_pauses_grow(_):
    """A broker that closes at once is tried after 1 s, then after 2 s more, then after 4 s more."""
    server = socket.create_server(("127.0.0.1", 0))
    times = []

    def accept():
        while True:
            client, _ = server.accept()
            times.append(time.monotonic())
            client.close()

    threading.Thread(target=accept, daemon=True).start()
    _, err = smqtt("sub", *address(At(server.getsockname()[1])), "-t", "a", "-W", "6", code=27)
    assert err.endswith(b"Timed out\n")
    pauses = [b - a for a, b in zip(times, times[1:])]
    assert len(pauses) in (1, 2) and all(p > 0.9 * (1 << i) for i, p in enumerate(pauses)), pauses


def test_signals(broker):
    for version, published in (("5", True), ("311", False)):
        for sig in (signal.SIGTERM, signal.SIGINT):
            watch = Sub(broker, "-t", "will", "-q", "1")
            sub = Sub(broker, "-V", version, "-t", "a", "--will-topic", "will", "--will-payload", "gone", "-k", "5")
            assert sub.child.stop(sig) == 0
            mosquitto_pub(broker, "-t", "will", "-m", "after", "-q", "1")
            watch.expect(b"gone\nafter\n" if published else b"after\n")
            watch.child.stop()
    pub = popen("pub", *address(broker), "-t", "a", "-l", stdin=subprocess.PIPE)
    time.sleep(0.3)
    pub.terminate()
    assert pub.wait(30) == -signal.SIGTERM


def test_no_signal_is_missed(broker):
    """Those as well that come when it is just about to wait for more."""
    for _ in range(20):
        sub = subprocess.Popen([program("smqtt"), "sub", *address(broker), "-t", "a", "--progress"],
                               stderr=subprocess.PIPE)
        assert sub.stderr.readline() == b"subscribed\n"
        sub.terminate()
        assert sub.wait(30) == 0


def test_closed_pipe(broker):
    sub = popen("sub", *address(broker), "-t", "pipe", "-i", "piped", stdout=subprocess.PIPE)
    sub.stdout.close()
    end = time.monotonic() + 5
    while sub.poll() is None and time.monotonic() < end:
        mosquitto_pub(broker, "-t", "pipe", "-m", "x")
    assert sub.wait(30) == 0


def test_limits(broker):
    for i in range(60):
        mosquitto_pub(broker, "-r", "-q", "1", "-t", "many/%d" % i, "-m", "x")
    lines = b"".join(b"%d\n" % i for i in range(400))
    for chance, least, most in (("100", 400, 400), ("50", 120, 280), ("0.1", 0, 20)):
        sub = Sub(broker, "-t", "random", "-q", "1", "-C", "400", "--random-filter", chance)
        smqtt("pub", *address(broker), "-t", "random", "-l", "-q", "1", stdin=lines)
        assert sub.child.wait(30) == 0
        assert least <= len(sub.output().split()) <= most, len(sub.output().split())
    # what is to be removed is removed, also by one that leaves early: more than may be under way at once
    many = [*address(broker), "-t", "many/+"]
    assert smqtt("sub", *many, "--remove-retained", "-C", "50")[0] == b"x\n" * 50
    assert smqtt("sub", *many, "-C", "10", "-W", "30")[0] == b"x\n" * 10
    assert smqtt("sub", *many, "-C", "11", "-W", "1", code=27)[0] in [b"x\n" * n for n in range(11)]
    # and by one that does not print them, and takes what it sends itself for no message
    sub = Sub(broker, "-t", "many/+", "-v", "--remove-retained", "-R")
    wait_until(lambda: smqtt("sub", *many, "-W", "1", code=27)[0] == b"", 30, "removed")
    mosquitto_pub(broker, "-t", "many/0", "-n")
    sub.expect(b"many/0 (null)\n")


def test_sealed_has_no_open_properties(broker):
    _, public = identity(folder(), "server")
    _, err = smqtt("pub", *address(broker), "-t", "a", "-m", "x", "--to", public, "-D", "publish", "content-type", "t",
                   code=1)
    assert "in plain" in sentence(err)


if not is_smqttd():
    skip("about smqtt's clients")
main(test_lines_survive_the_broker, test_one_message_does_not_wait, test_pauses_grow, test_signals,
     test_no_signal_is_missed, test_closed_pipe, test_limits, test_sealed_has_no_open_properties)
