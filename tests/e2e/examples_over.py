# SPDX-License-Identifier: Apache-2.0
"""The examples over libmosquitto and over Paho for C: through smqttd and through Debian's mosquitto, against `smqtt` at
the other end and against each other. What they said is nowhere on the wire in plain."""
import concurrent.futures
import os
import socket
import subprocess
import threading

from brokers import Mosquitto, Smqttd
from harness import BIN, PATIENCE, Child, free_port, main, skip, wait_until
from smqtt_cli import Sub, folder, identity, smqtt

EXAMPLES = os.path.join(BIN, "..", "examples")
CLIENTS = [name for name in ("over_libmosquitto", "over_paho") if os.access(os.path.join(EXAMPLES, name), os.X_OK)]
SUBACK = b"\x90\x03"
TEXT = "あいうえお, and nobody else shall read it"


class Recorder:
    """A TCP proxy that keeps every byte of both ways."""

    def __init__(self, broker):
        self.broker, self.port, self.bytes, self.lock = broker, free_port(), bytearray(), threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            one, _ = self.listener.accept()
            other = socket.create_connection(("127.0.0.1", self.broker.port))
            for pair in ((one, other), (other, one)):
                threading.Thread(target=self._copy, args=pair, daemon=True).start()

    def _copy(self, source, sink):
        try:
            while data := source.recv(65536):
                with self.lock:
                    self.bytes += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def count(self, what):
        with self.lock:
            return self.bytes.count(what)

    def check(self, text, topic):
        assert self.count(topic.encode()), "nothing was recorded"
        assert not self.count(text.encode()), "in plain on the wire"


def publish(name, via, public, text, topic="s/1", code=0):
    done = subprocess.run([os.path.join(EXAMPLES, name), "127.0.0.1", str(via.port), public, topic, text], timeout=60,
                          capture_output=True, check=False)
    assert done.returncode == code, "%s ended with %s: %r" % (name, done.returncode, done)
    return done.stdout + done.stderr


def serve(name, via, private, count):
    """The example as a server that is subscribed: to what clients send it, and to what they publish."""
    before = via.count(SUBACK)
    child = Child([os.path.join(EXAMPLES, name + "_sub"), "127.0.0.1", str(via.port), private, "s/#", str(count)])
    wait_until(lambda: via.count(SUBACK) >= before + 2, PATIENCE, "the subscriptions are made")
    return child


def with_brokers(test):
    def run():
        for kind in (Smqttd, Mosquitto):
            broker = kind()
            test(broker, Recorder(broker))
            broker.stop()
    run.__name__ = test.__name__
    return run


@with_brokers
def test_to_smqtt_sub(broker, recorder):
    private, public = identity(folder(), "server")
    server = Sub(broker, "-t", "s/#", "--tunnel", "-F", "%Z %t %p", identity=private)
    wanted = b""
    for name in CLIENTS:
        out = publish(name, recorder, public, TEXT + name)
        assert b"the other side confirms" in out, out
        wanted += ("PEER_ANON s/1 %s\n" % (TEXT + name)).encode()
        server.expect(wanted)
    recorder.check(TEXT, "s/1")


@with_brokers
def test_from_smqtt_pub(broker, recorder):
    for name in CLIENTS:
        private, public = identity(folder(), name)
        server = serve(name, recorder, private, 2)
        for text in (TEXT, "second"):
            smqtt("pub", "-h", "127.0.0.1", "-p", str(broker.port), "-t", "s/1", "-m", text, "--to", public, "--tunnel",
                  "--receipt-timeout", "30")
        assert server.wait() == 0, server.text()
        server.wait_line(("^PEER_ANON - s/1 %s$" % TEXT).encode())
        server.wait_line(b"^PEER_ANON - s/1 second$")
    recorder.check(TEXT, "s/1")


@with_brokers
def test_with_each_other(broker, recorder):
    for name, other in zip(CLIENTS, reversed(CLIENTS)):
        private, public = identity(folder(), name)
        server = serve(other, recorder, private, 1)
        publish(name, recorder, public, TEXT)
        assert server.wait() == 0, server.text()
        server.wait_line(("^PEER_ANON - s/1 %s$" % TEXT).encode())
    recorder.check(TEXT, "s/1")


@with_brokers
def test_plain_is_not_delivered(broker, recorder):
    for name in CLIENTS:
        private, public = identity(folder(), name)
        server = serve(name, recorder, private, 1)
        smqtt("pub", "-h", "127.0.0.1", "-p", str(broker.port), "-t", "s/1", "-m", "in plain", "-q", "1")
        server.wait_line(b"^not delivered: plain text came")
        publish(name, recorder, public, "sealed")
        assert server.wait() == 0, server.text()
        assert server.lines[1:] == [b"PEER_ANON - s/1 sealed"], server.text()


def test_no_server():
    broker = Mosquitto()
    recorder = Recorder(broker)
    _, public = identity(folder(), "absent")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:  # each waits ten seconds for an answer
        for out in pool.map(lambda name: publish(name, recorder, public, TEXT, code=1), CLIENTS):
            assert b"the answer took longer" in out, out
    recorder.check(TEXT, "smqtt1/")
    broker.stop()


def test_short():
    """The whole of each, comments and blank lines too."""
    where = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples")
    for name in ("over_libmosquitto", "over_libmosquitto_sub", "over_paho", "over_paho_sub"):
        with open(os.path.join(where, name + ".c"), encoding="utf-8") as f:
            n = len(f.read().splitlines())
        assert n < 100, "%s.c has %d lines, at most 99" % (name, n)


def test_mistakes():
    broker = Smqttd()
    private, public = identity(folder(), "server")
    for name in CLIENTS:
        assert b"reading or writing failed" in publish(name, broker, "/nonexistent", TEXT, code=1)
        os.chmod(private, 0o644)
        assert b"not valid" in publish(name, broker, private, TEXT, code=1), "others can read the private keys"
        os.chmod(private, 0o600)
        assert b"topic" in publish(name, broker, public, TEXT, topic="s/#", code=1)
    broker.stop()
    for name in CLIENTS:
        assert b"reading or writing failed" in publish(name, broker, public, TEXT, code=1)


if not CLIENTS:
    skip("neither libmosquitto-dev nor libpaho-mqtt-dev is installed")
main(test_to_smqtt_sub, test_from_smqtt_pub, test_with_each_other, test_plain_is_not_delivered, test_no_server,
     test_short, test_mistakes)
