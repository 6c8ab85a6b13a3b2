# SPDX-License-Identifier: Apache-2.0
"""S-MQTT through brokers that know nothing of it, and through ours by the same way. Between each broker and the clients
stands one who reads along: nothing of what was sealed may pass in plain, or in a disguise that anybody can take off."""
import os
import re
import shutil
import signal
import subprocess
import sys

from brokers import FOREIGN, KINDS
from harness import PUBACK, is_sanitized, main, program, wait_until
from middle import DOWN, UP, Middle
from smqtt_cli import Sub, address, folder, identity, sentence, smqtt

TEXT = "あいうえお は ひみつ です"
MANY = 400 if is_sanitized() else 2000


class Story:
    """A broker, one who reads along, the identity of a server."""

    def __init__(self, kind, version, suite="x25519", conf=""):
        self.broker = KINDS[kind](conf)
        self.middle = Middle(self.broker)
        self.version, self.where = version, folder()
        self.private, self.public = identity(self.where, "server", "--suite", suite)
        self.secrets = []

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.middle.nothing_plain(*self.secrets)
            assert self.broker.is_running(), "the broker is gone"
            assert not self.middle.seen(lambda f: f.type == 0), "a packet of DETECT went natively"
        self.middle.close()
        self.broker.stop()

    def flags(self):
        return [*address(self.middle), "-V", self.version, "--tunnel"]

    def server(self, *args, private=None):
        return Sub(self.middle, "-V", self.version, "--tunnel", "-F", "%Z %z|%t %p", *args,
                   identity=private or self.private, registers=False)

    def pub(self, *args, text=None, topic="s/1", public=None, **options):
        """Sealed; the text must not be seen on the way."""
        if text is not None:
            self.secrets.append(text)
            args = (*args, "-m", text)
        return smqtt("pub", *self.flags(), "-t", topic, "--to", public or self.public, *args, **options)

    def published(self, topic):
        return len(self.middle.seen(lambda f: f.topic == topic.encode(), UP))


def test_both_suites(kind, version):
    for suite in ("x25519", "p256"):
        with Story(kind, version, suite) as story:
            server = story.server("-t", "s/#")
            story.pub(text=TEXT)
            story.pub(text="a secret with QoS 0", *["-q", "0"])
            server.expect(("PEER_ANON |s/1 %s\nPEER_ANON |s/1 a secret with QoS 0\n" % TEXT).encode())
            out, _ = smqtt("detect", *story.flags(), "--to", story.public, "-t", "s/1", "-m", TEXT)
            for want in ("0x01", "0x0C", "0x0F", "flag     1", "verdict  1", "hashes   equal", "confirmed"):
                assert want in out.decode(), "%s is not shown: %s" % (want, out.decode())
            steps = {f.header() for f in story.middle.seen(lambda f: f.detect())}
            assert {0x01, 0x0C, 0x0F, 0x0E} <= steps, "not all steps went through the tunnel: %s" % steps
            assert story.middle.seen(lambda f: f.is_receipt(), DOWN), "no receipt came"


def test_verified_clients(kind, version):
    with Story(kind, version) as story:
        good, good_public = identity(story.where, "good")
        other, _ = identity(story.where, "other")
        clients = os.path.join(story.where, "clients")
        with open(good_public, encoding="ascii") as f, open(clients, "w", encoding="ascii") as out:
            out.write("%s  s/+\n" % f.read())
        server = story.server("-t", "#", "--clients", clients)
        story.pub("--identity", good, text="the good one may")
        for args, topic in ((["--identity", other], "s/1"), ([], "s/1"), (["--identity", good], "elsewhere")):
            before = story.published(topic)
            _, err = story.pub(*args, text="the others may not", topic=topic, code=2)
            assert "refuses it" in sentence(err)
            assert story.published(topic) == before
        story.pub("--identity", good, text="and it still may")
        server.expect(b"PEER good|s/1 the good one may\nPEER good|s/1 and it still may\n")


def test_mojibake(kind, version):
    with Story(kind, version) as story:
        server = story.server("-t", "s/#", "--charset", "US-ASCII")
        _, err = story.pub(text=TEXT, code=2)
        assert "does not survive" in sentence(err)
        assert story.published("s/1") == 0
        out, err = smqtt("detect", *story.flags(), "--to", story.public, "-t", "s/1", "-m", TEXT, code=2)
        assert "does not survive" in sentence(err)
        for want in ("0x04", "flag     0", "verdict  0", "nothing was published"):
            assert want in out.decode(), "%s is not shown: %s" % (want, out.decode())
        assert story.published("s/1") == 0
        story.pub(text="what it can hold")
        server.expect(b"PEER_ANON |s/1 what it can hold\n")


def stream(story, *args):
    return subprocess.Popen([program("smqtt"), "pub", *story.flags(), "-t", "s/1", "--to", story.public, "-l",
                             "--receipt-timeout", "25", *args], stdin=subprocess.PIPE, stderr=subprocess.PIPE)


def say(story, publisher, text):
    story.secrets.append(text)
    publisher.stdin.write(text.encode() + b"\n")
    publisher.stdin.flush()


def ended_well(publisher):
    publisher.stdin.close()
    assert publisher.wait(60) == 0, publisher.stderr.read()


def confirmed(story, n):
    """So many receipts have reached clients, which have acknowledged them: the middle sees a packet before they do."""

    def taken():
        acknowledged = {(f.link, f.body[:2]) for f in story.middle.seen(lambda f: f.type == PUBACK, UP)}
        receipts = story.middle.seen(lambda f: f.is_receipt(), DOWN)
        return sum(not f.qos or (f.link, f.packet_id.to_bytes(2, "big")) in acknowledged for f in receipts)

    wait_until(lambda: taken() >= n, 30, "%d receipts" % n)


def test_server_killed(kind, version):
    """With its state it goes on; without it a notice makes the client begin anew and seal again what waits."""
    with Story(kind, version) as story:
        server = story.server("-t", "s/#")
        publisher = stream(story)
        say(story, publisher, "the first message")
        confirmed(story, 1)
        server.child.stop(signal.SIGKILL)
        server = story.server("-t", "s/#")
        say(story, publisher, "the second message")
        server.expect(b"PEER_ANON |s/1 the second message\n")
        assert b"session opened" not in server.errors(), "a new handshake, although the state was there"
        confirmed(story, 2)
        server.child.stop(signal.SIGKILL)
        shutil.rmtree(os.path.join(story.where, "server.id.state"))
        server = story.server("-t", "s/#")
        assert not story.middle.seen(lambda f: f.is_notice(), DOWN)
        say(story, publisher, "the third message")
        server.expect(b"PEER_ANON |s/1 the third message\n")
        assert story.middle.seen(lambda f: f.is_notice(), DOWN), "no notice came"
        assert b"session opened" in server.errors()
        ended_well(publisher)


def test_connection_cut(kind, version):
    """A client whose connection breaks makes it again, and its session goes on: no second handshake."""
    with Story(kind, version) as story:
        server = story.server("-t", "s/#", "-F", "%p")
        publisher = stream(story, "-i", "the-client")
        for n in range(1, 4):
            say(story, publisher, "message number %d" % n)
            server.expect(b"".join(b"message number %d\n" % (i + 1) for i in range(n)))
            confirmed(story, n)
            links = len(story.middle.links)
            story.middle.link("the-client").cut()
            wait_until(lambda: len(story.middle.links) > links, 30, "the client connects again")
        say(story, publisher, "the last message")
        server.expect(b"message number 1\nmessage number 2\nmessage number 3\nthe last message\n")
        ended_well(publisher)
        assert len(story.middle.seen(lambda f: f.header() == 0x01, UP)) == 1, "a second handshake"


def test_many(kind, version):
    """Two clients at once, keys renewed on the way. Each may have 512 messages without receipt under way: more than
    mosquitto queues for the server by itself, which would lose some, and the clients would say so."""
    with Story(kind, version, conf="max_queued_messages 5000") as story:
        server = story.server("-t", "s/#", "-F", "%p", "--rekey", "100")
        publishers = [stream(story), stream(story)]
        for who, publisher in enumerate(publishers):
            for i in range(MANY):
                publisher.stdin.write(b"a line of %d number %d\n" % (who, i))
            publisher.stdin.close()
        for publisher in publishers:
            assert publisher.wait(120) == 0, publisher.stderr.read()
        lines = server.output().splitlines()
        for who in range(2):
            mine = [line for line in lines if line.startswith(b"a line of %d " % who)]
            assert mine == [b"a line of %d number %d" % (who, i) for i in range(MANY)], "lost, twice, or out of order"
        assert len(lines) == 2 * MANY
        kids = {f.payload[1:5] for f in story.middle.seen(lambda f: f.is_record(), UP)}
        assert len(kids) >= 2 * MANY // 100, "%d keys for %d records" % (len(kids), 2 * MANY)
        story.secrets.append("a line of ")


def test_plain_is_refused(kind, version):
    with Story(kind, version) as story:
        server = story.server("-t", "s/#")
        smqtt("pub", *address(story.broker), "-V", "311", "-t", "s/1", "-m", "said in plain", "-q", "1")
        story.pub(text="what was sealed")
        server.expect(b"PEER_ANON |s/1 what was sealed\n")
        server.child.stop(signal.SIGINT)
        assert b"1 in plain" in server.errors()


def test_server_away(kind, version):
    with Story(kind, version) as story:
        _, err = story.pub("--receipt-timeout", "1", text="nobody is there", code=2)
        assert re.search("is the server running|no server", sentence(err)), err
        assert story.published("s/1") == 0


def test_by_itself(kind, _):
    """Nobody says how: not the way, not the version."""
    with Story(kind, KINDS[kind].versions[0]) as story:
        server = Sub(story.middle, "-t", "s/#", identity=story.private, registers=False)
        story.secrets.append("found by itself")
        smqtt("pub", *address(story.middle), "-t", "s/1", "--to", story.public, "-m", "found by itself")
        smqtt("detect", *address(story.middle), "-t", "s/1", "--to", story.public, "-m", "found by itself")
        server.expect(b"found by itself\nfound by itself\n")
        spoken = {each.version for each in story.middle.links if story.middle.seen(lambda f, e=each: f.link is e, DOWN)}
        wanted = {"5": {5}, "311": {4, 5}}[KINDS[kind].versions[0]]
        assert spoken == wanted, "versions %s" % spoken


TESTS = (test_both_suites, test_verified_clients, test_mojibake, test_server_killed, test_connection_cut,
         test_many, test_plain_is_refused,
         test_server_away)


def through(test, kind, version):
    def run():
        test(kind, version)
    run.__name__ = "%s_%s_%s" % (test.__name__, kind, version)
    return run


if __name__ == "__main__":
    assert sys.version_info >= (3, 9)
    main(*[through(test, kind, version) for kind in KINDS for version in KINDS[kind].versions for test in TESTS],
         *[through(test_by_itself, kind, "any") for kind in FOREIGN], at_once=4)
