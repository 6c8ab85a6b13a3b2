# SPDX-License-Identifier: Apache-2.0
"""Runs the conformance tests of a file: one broker for all that need no configuration of their own, many at a time.

    @covers(v5="3.1.0-1", v311="3.1.0-1")
    def the_first_packet_is_connect(t, version): ...

Each keyword makes the test run with that version; `v31` takes no statements (True): MQTT 3.1 has no numbers.
tools/conformance.py reads the decorators. @conf("text", file="text") gives the test a broker with that
configuration.
"""
import concurrent.futures
import itertools
import os
import re
import shutil
import sys
import tempfile
import threading
import time
import traceback

import wire
from wire import CONNACK, DISCONNECT, PINGRESP, PUBLISH, SUBACK, UNSUBACK, V31, V311, V5, harness

AT_A_TIME = 12
VERSIONS = {"v31": V31, "v311": V311, "v5": V5}
SHORT = {V31: "v31", V311: "v311", V5: "v5"}


def covers(**statements):
    def mark(test):
        test.versions = [VERSIONS[v] for v in ("v31", "v311", "v5") if v in statements]
        return test
    return mark


def conf(text, **files):
    """The configuration of the test's own broker; {name} stands for the path of the file that is given its text."""
    def mark(test):
        test.conf, test.files = text, files
        return test
    return mark


def own_broker(test):
    folder = tempfile.mkdtemp(prefix="smqtt-conformance-")
    harness.atexit.register(shutil.rmtree, folder, True)
    paths = {}
    for name, text in test.files.items():
        paths[name] = os.path.join(folder, name)
        with open(paths[name], "w", encoding="utf-8") as f:
            f.write(text)
    for _ in range(3):  # its port was free a moment ago, but may be somebody's client's by now
        try:
            return harness.Broker(test.conf.format(**paths))
        except AssertionError as e:
            problem = e
    raise problem


class Peer(harness.Raw):
    """A client of raw packets. What it receives is taken apart."""

    def __init__(self, broker, version):
        super().__init__(broker)
        self.version, self.aside = version, []

    def see(self, kind=None, seconds=harness.PATIENCE):
        """The next packet, taken apart; None when the broker closed. Where an answer is awaited, messages may come
        before it: they are kept for later."""
        if kind in (None, PUBLISH) and self.aside:
            return self.aside.pop(0)
        while True:
            found = self.packet(seconds)
            found = found and wire.Seen(found, self.version)
            if found is None or kind is None or found.type == kind:
                assert found is not None or kind is None, "%s was awaited, the broker closed" % wire.TYPES[kind]
                return found
            assert found.type == PUBLISH and kind != CONNACK, "%s was awaited: %r" % (wire.TYPES[kind], found)
            self.aside.append(found)

    def seen_until_close(self, seconds=harness.PATIENCE):
        early, self.aside = self.aside, []
        return early + [wire.Seen(p, self.version) for p in self.expect_close(seconds)]

    def ask(self, data, kind=None):
        self.send(data)
        return self.see(kind)

    def publish(self, topic, payload=b"", qos=0, **fields):
        """Sends it, and for QoS 1 waits for PUBACK, for QoS 2 goes through all four packets. The (first) answer."""
        self.send(wire.publish(self.version, topic, payload, qos, **fields))
        if qos == 0:
            return None
        first = self.see(wire.PUBACK if qos == 1 else wire.PUBREC)
        if qos == 2 and first.reason < 0x80:
            assert self.ask(wire.ack(wire.PUBREL, first.id), wire.PUBCOMP).id == first.id
        return first

    def subscribe(self, *filters, id=1, **named):
        """Names or (name, options); all must be granted. The SUBACK."""
        found = self.ask(wire.subscribe(self.version, *filters, id=id, props=wire.props(**named)), SUBACK)
        assert all(code < 0x80 for code in found.codes), "not subscribed: %r" % found
        return found

    def unsubscribe(self, *filters, id=9):
        return self.ask(wire.unsubscribe(self.version, *filters, id=id), UNSUBACK)

    def message(self, answer=True, seconds=harness.PATIENCE):
        """The next PUBLISH; acknowledged to its end."""
        found = self.see(PUBLISH, seconds)
        if answer and found.qos == 1:
            self.send(wire.ack(wire.PUBACK, found.id))
        elif answer and found.qos == 2:
            assert self.ask(wire.ack(wire.PUBREC, found.id), wire.PUBREL).id == found.id
            self.send(wire.ack(wire.PUBCOMP, found.id))
        return found

    def messages(self, n):
        return [self.message() for _ in range(n)]

    def nothing(self, seconds=0.15):
        """No packet but the answer to our PINGREQ, and nothing for a moment after it."""
        self.send(wire.PING)
        found = self.see()
        assert found is not None and found.type == PINGRESP, "nothing was awaited: %r" % found
        self.expect_nothing(seconds)

    def next_of(self, seconds):
        """The next packet if there is one within the time."""
        try:
            return self.see(None, seconds)
        except AssertionError:
            return None

    def refused(self, data, reason=None, seconds=harness.PATIENCE):
        """Sends it; the broker must end the connection, in version 5 with DISCONNECT and the reason if one is
        given, in the others without a word."""
        self.send(data)
        found = self.seen_until_close(seconds)
        if self.version != V5:
            assert not found, "closed with words: %r" % found
        elif reason is not None:
            assert [p.type for p in found] == [DISCONNECT] and found[0].reason == reason, found
        return found

    def bye(self, reason=None, **named):
        self.send(wire.disconnect(self.version, reason, wire.props(**named) if named else None))
        self.expect_close()
        self.close()


def collect(peers, n, failure=None):
    """[(peer, message)] of the n messages that these get together. All are acknowledged to their end, or refused with
    this reason."""
    found, open_ones, end = [], 0, time.monotonic() + harness.PATIENCE
    while len(found) < n or open_ones:
        assert time.monotonic() < end, "only %d of %d messages: %r" % (len(found), n, found)
        for peer in peers:
            p = peer.next_of(0.01)
            if p is None:
                continue
            if p.type == PUBLISH:
                found.append((peer, p))
                if p.qos:
                    peer.send(wire.ack(wire.PUBACK if p.qos == 1 else wire.PUBREC, p.id, failure))
                    open_ones += p.qos == 2 and failure is None
            else:
                assert p.type == wire.PUBREL, p
                open_ones -= 1
                peer.send(wire.ack(wire.PUBCOMP, p.id))
    return found


class Test:
    """What a test is given."""

    def __init__(self, name, broker):
        self.name, self.broker, self.peers, self.numbers = name, broker, [], itertools.count(1)

    def topic(self, name="t"):
        """A topic that no other test uses."""
        return "%s/%s" % (self.name, name)

    def id(self, name=None):
        return "%s-%s" % (self.name, name or next(self.numbers))

    def raw(self, version=V5):
        """A connection on which nothing was sent yet."""
        peer = Peer(self.broker, version)
        self.peers.append(peer)
        return peer

    def peer(self, version=V5, client_id=None, **fields):
        """A client that is connected; its CONNACK is peer.connack."""
        peer = self.raw(version)
        name = self.id(client_id)
        if version == V31:
            name = "m%x" % (abs(hash(name)) % (1 << 60))
        peer.connack = peer.ask(wire.connect(version, name, **fields), CONNACK)
        assert peer.connack.reason == 0, "refused: %r" % peer.connack
        peer.client_id = name
        return peer

    def close(self):
        for peer in self.peers:
            peer.close()


lock = threading.Lock()


def run_one(name, test, version, broker):
    started, own = time.monotonic(), None
    t = None
    try:
        if getattr(test, "conf", None) is not None:
            own = broker = own_broker(test)
        t = Test(name, broker)
        test(t, version)
        problem = None
    except Exception:
        problem = traceback.format_exc()
    if t:
        t.close()
    if own:
        code = own.child.stop()
        if code != 0:
            problem = (problem or "") + "the broker ended with %s\n%s" % (code, own.child.text()[-2000:])
    with lock:
        print("%s %s (%.2f s)" % ("FAILED" if problem else "ok", name, time.monotonic() - started), flush=True)
        if problem:
            print(problem, flush=True)
    return problem is None


def main(names):
    """Runs what is marked in globals(), or what is named on the command line, and exits."""
    tests = [t for t in names.values() if hasattr(t, "versions")]
    if len(sys.argv) > 1:
        tests = [t for t in tests if any(re.search(pattern, t.__name__) for pattern in sys.argv[1:])]
    runs = [("%s-%s" % (t.__name__, SHORT[v]), t, v) for t in tests for v in t.versions]
    shared = harness.Broker() if any(getattr(t, "conf", None) is None for t in tests) else None
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        results = list(pool.map(lambda r: run_one(*r, shared), runs))
    failed = results.count(False)
    if shared:
        code = shared.child.stop()
        if code != 0:
            failed += 1
            print("FAILED: the broker ended with %s\n%s" % (code, shared.child.text()[-2000:]))
    print("%d runs, %d failed" % (len(results), failed))
    sys.stdout.flush()
    harness.kill_children()
    harness.atexit._run_exitfuncs()
    os._exit(1 if failed else 0)
