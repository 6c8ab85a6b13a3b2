# SPDX-License-Identifier: Apache-2.0
"""`smqtt` seals end to end: delivered and confirmed, or nothing at all was published."""
import os
import re
import shutil
import signal
import subprocess
import time

from harness import PATIENCE, Child, Raw, free_port, main, program, wait_until
from middle import Middle
from smqtt_cli import Sub, address, folder, identity, sentence, smqtt

TEXT = "あいうえお"


def pub(broker, to, *args, topic="s/1", **options):
    return smqtt("pub", *address(broker), "-t", topic, "--to", to, *args, **options)


def published(watch, topic):
    """How many messages an ordinary subscriber to # saw there."""
    return len(re.findall(rb"^%s " % topic.encode(), watch.output(), re.M))


def watcher(broker):
    return Sub(broker, "-V", "5", "-t", "#", "-F", "%t %x")


def test_both_suites(broker):
    where = folder()
    watch = watcher(broker)
    for suite in ("x25519", "p256"):
        private, public = identity(where, suite, "--suite", suite)
        assert os.stat(private).st_mode & 0o777 == 0o600
        server = Sub(broker, "-t", "s/#", "-F", "%Z %z|%t %p", identity=private)
        pub(broker, public, "-m", TEXT)
        with open(public, encoding="ascii") as f:
            pub(broker, f.read().strip(), "-m", "by the line itself")
        server.expect(("PEER_ANON |s/1 %s\nPEER_ANON |s/1 by the line itself\n" % TEXT).encode())
        server.child.stop()
    wait_until(lambda: published(watch, "s/1") >= 4, PATIENCE, "the watcher sees all")
    assert published(watch, "s/1") == 4
    assert TEXT.encode().hex().encode() not in watch.output()


def test_verified_clients(broker):
    where = folder()
    private, public = identity(where, "server")
    good, good_pub = identity(where, "good")
    other, _ = identity(where, "other")
    clients = os.path.join(where, "clients")
    with open(good_pub, encoding="ascii") as f, open(clients, "w", encoding="ascii") as out:
        out.write("# devices\n%s  s/+\n  deep/#\n" % f.read())
    server = Sub(broker, "-t", "#", "-F", "%Z %z %t %p", "--clients", clients, identity=private)
    watch = watcher(broker)
    pub(broker, public, "-m", "hello", "--identity", good)
    server.expect(b"PEER good s/1 hello\n")
    wait_until(lambda: published(watch, "s/1") == 1, PATIENCE, "the watcher sees it")  # maybe on another worker
    for args, topic in ((["--identity", other], "s/1"), ([], "s/1"), (["--identity", good], "elsewhere")):
        before = published(watch, topic)
        _, err = pub(broker, public, "-m", "no", *args, topic=topic, code=2)
        sentence(err)
        assert published(watch, topic) == before
    pub(broker, public, "-m", "again", "--identity", good, topic="deep/a/b")
    server.expect(b"PEER good s/1 hello\nPEER good deep/a/b again\n")
    wait_until(lambda: published(watch, "deep/a/b") == 1, PATIENCE, "the watcher sees it")
    assert published(watch, "s/1") == 1 and published(watch, "elsewhere") == 0, watch.output()


def test_server_offline(broker):
    _, public = identity(folder(), "absent")
    watch = watcher(broker)
    started = time.monotonic()
    _, err = pub(broker, public, "-m", "x", "--receipt-timeout", "2", code=2, seconds=20)
    assert 1.5 < time.monotonic() - started < 6
    assert "no server with this identity" in sentence(err)
    assert published(watch, "s/1") == 0


def test_broker_without_detect():
    """Debian's mosquitto, told to go natively: nothing is published, in plain or otherwise. By the tunnel it goes."""
    class Other:
        port = free_port()
    conf = os.path.join(folder(), "conf")
    with open(conf, "w", encoding="ascii") as f:
        f.write("listener %d 127.0.0.1\nallow_anonymous true\n" % Other.port)
    mosquitto = Child(["/usr/sbin/mosquitto", "-v", "-c", conf])
    mosquitto.wait_line(rb"running")
    private, public = identity(folder(), "server")
    watch = Sub(Other, "-t", "#", "-F", "%t %x")
    _, err = pub(Other, public, "-m", TEXT, "--native", code=2)
    assert "DETECT" in sentence(err)
    _, err = smqtt("sub", *address(Other), "-t", "s/#", "--identity", private, "--native", code=1)
    assert "DETECT" in sentence(err)
    smqtt("pub", *address(Other), "-t", "mark", "-m", "x", "-q", "1")
    wait_until(lambda: b"mark 78\n" in watch.output(), 30, "the mark came")
    assert watch.output() == b"mark 78\n"
    server = Sub(Other, "-t", "s/#", identity=private)
    for version in ("5", "311"):
        pub(Other, public, "-m", TEXT, "-V", version)
    server.expect((TEXT + "\n" + TEXT + "\n").encode())
    assert TEXT.encode().hex().encode() not in watch.output()
    mosquitto.stop()


def test_version_311_native(broker):
    private, public = identity(folder(), "server")
    server = Sub(broker, "-t", "s/#", "-V", "311", "--native", identity=private)
    pub(broker, public, "-m", TEXT, "-V", "311", "--native")
    pub(broker, public, "-m", "from 5")
    server.expect((TEXT + "\nfrom 5\n").encode())


def test_long_and_binary(broker):
    where = folder()
    private, public = identity(where, "server")
    server = Sub(broker, "-t", "s/#", "-N", identity=private)
    long_text = ("x" + TEXT * 4000).encode()  # longer than what the handshake checks, cut inside a character
    pub(broker, public, "-s", stdin=long_text)
    binary = bytes(range(256)) * 300
    path = os.path.join(where, "bytes")
    with open(path, "wb") as f:
        f.write(binary)
    pub(broker, public, "-f", path)
    pub(broker, public, "-m", "text, but not to be checked", "--binary")
    server.expect(long_text + binary + b"text, but not to be checked")


def test_many_lines(broker):
    private, public = identity(folder(), "server")
    server = Sub(broker, "-t", "s/#", identity=private)
    lines = b"".join(b"line %d %s\n" % (i, TEXT.encode()) for i in range(3000))
    pub(broker, public, "-l", stdin=lines, seconds=30)
    server.expect(lines)
    pub(broker, public, "-m", "again", "--repeat", "5")
    server.expect(lines + b"again\n" * 5)


def test_plain_is_refused_where_sealing_is_required(broker):
    where = folder()
    private, public = identity(where, "server")
    server = Sub(broker, "-t", "#", "-F", "%Z %t %p", identity=private)
    smqtt("pub", *address(broker), "-t", "s/1", "-m", "plain", "-q", "1")
    pub(broker, public, "-m", "sealed")
    server.expect(b"PEER_ANON s/1 sealed\n")
    server.child.stop(signal.SIGINT)
    assert b"1 in plain" in server.errors()
    policy = os.path.join(where, "policy")
    with open(policy, "w", encoding="ascii") as f:
        f.write("open/# allow-plain\n+/# require\n")
    server = Sub(broker, "-t", "#", "-F", "%Z %t %p", "--policy", policy, identity=private)
    smqtt("pub", *address(broker), "-t", "s/1", "-m", "plain", "-q", "1")
    smqtt("pub", *address(broker), "-t", "open/1", "-m", "plain", "-q", "1")
    server.expect(b"PLAIN open/1 plain\n")
    _, err = pub(broker, public, "-m", "x", "-r", code=1)
    sentence(err)


def stream(broker, public):
    """A publisher that stays, and takes its lines from the test."""
    return Child([program("smqtt"), "pub", *address(broker), "-t", "s/1", "--to", public, "-l", "--receipt-timeout",
                  "20", "--progress"], stdin=subprocess.PIPE, name="pub")


def say(publisher, text):
    publisher.process.stdin.write(text.encode() + b"\n")
    publisher.process.stdin.flush()


def ends(publisher):
    publisher.process.stdin.close()
    assert publisher.wait() == 0, publisher.text()


def kill(server):
    """kill -9, but not between printing a message and sending its receipt: nobody would ever confirm that one."""
    time.sleep(1)
    server.child.stop(signal.SIGKILL)


def test_server_killed_session_goes_on(broker):
    private, public = identity(folder(), "server")
    args = ["-t", "s/#", "-i", "the-server", "-c"]
    server = Sub(broker, *args, identity=private)
    publisher = stream(broker, public)
    say(publisher, "one")
    server.expect(b"one\n")
    kill(server)
    server = Sub(broker, *args, identity=private)
    say(publisher, "two")
    server.expect(b"two\n")
    assert b"session opened" not in server.errors(), "a new handshake, although the state was there"
    kill(server)
    say(publisher, "while it is away")
    server = Sub(broker, *args, identity=private)
    server.expect(b"while it is away\n")
    ends(publisher)


def test_line_lost_before_the_receipt(broker):
    """Receipts wait at the broker while the connection of `pub -l` is made again; its session ends with it."""
    private, public = identity(folder(), "server")
    server = Sub(broker, "-t", "s/#", identity=private)
    cut = []

    def rule(frame):
        if frame.is_receipt() and not cut:
            cut.append(frame)
            frame.link.cut()
            return []
        return [frame]

    middle = Middle(broker, rule)
    publisher = stream(middle, public)
    say(publisher, "one")
    server.expect(b"one\n")
    say(publisher, "two")
    server.expect(b"one\ntwo\n")
    ends(publisher)
    assert cut
    middle.close()
    broker.child.wait_line(rb"New client connected from .* as smqtt-\d+-\w+ \(p5, c0, k60\)")


def test_state_lost_new_handshake(broker):
    private, public = identity(folder(), "server")
    server = Sub(broker, "-t", "s/#", identity=private)
    publisher = stream(broker, public)
    say(publisher, "one")
    server.expect(b"one\n")
    kill(server)
    states = [f for f in os.listdir(os.path.dirname(private)) if f.endswith(".state")]
    assert states
    shutil.rmtree(os.path.join(os.path.dirname(private), states[0]))
    server = Sub(broker, "-t", "s/#", identity=private)
    say(publisher, "two")
    server.expect(b"two\n")
    assert b"session opened" in server.errors()
    ends(publisher)


def test_charsets(broker):
    where = folder()
    watch = watcher(broker)
    for charset, text, bad in (("US-ASCII", "plain", TEXT), ("SHIFT_JIS", TEXT, "안녕"), ("ISO-8859-1", "grüß", "€"),
                               ("EUC-JP", TEXT, "😀"), ("ISO-2022-JP", TEXT, "안녕"), ("UTF-16BE", TEXT + "😀", None)):
        private, public = identity(where, "for-" + charset)
        topic = "cs/" + charset
        server = Sub(broker, "-t", topic, "-N", "--charset", charset, identity=private)
        held = text.encode({"SHIFT_JIS": "shift_jis"}.get(charset, charset.lower()))
        if bad:
            _, err = pub(broker, public, "-m", bad, topic=topic, code=2)
            assert "does not survive" in sentence(err)
            assert published(watch, topic) == 0
        pub(broker, public, "-m", text, topic=topic)
        server.expect(held)
        if bad:  # the session is open for good text: the bad one behind it is not delivered either
            out = smqtt("pub", *address(broker), "-t", topic, "--to", public, "-l",
                        stdin=(text + "\n" + bad + "\n").encode(), code=2)
            assert "does not survive" in sentence(out[1])
            server.expect(held + held)
        server.child.stop()
    private, _ = identity(where, "nonsense")
    for wrong in ("no-such-charset", "ASCII//TRANSLIT", ""):
        _, err = smqtt("sub", *address(broker), "-t", "a", "--identity", private, "--charset", wrong, code=1)
        sentence(err)


def test_identities(broker):
    where = folder()
    private, public = identity(where, "server", "--days", "30")
    shown, _ = smqtt("id", "show", private)
    assert smqtt("id", "show", public)[0].replace(b"public only", b"private and public") == shown
    assert re.search(rb"fingerprint  ([A-Z2-7]{4}-){7}[A-Z2-7]{4}\n", shown)
    with open(public, "rb") as f:
        assert f.read() == smqtt("id", "export", private)[0]
    _, err = smqtt("id", "new", "server", "-o", private, code=1)
    sentence(err)
    os.chmod(private, 0o644)
    _, err = smqtt("sub", *address(broker), "-t", "a", "--identity", private, code=1)
    sentence(err)
    _, err = smqtt("sub", *address(broker), "-t", "a", "--identity", public, code=1)
    sentence(err)
    _, err = pub(broker, "smqtt-x25519 AAAA", "-m", "x", code=1)
    sentence(err)
    for name in ("", "x" * 64, "bad\x01name"):
        _, err = smqtt("id", "new", name, "-o", os.path.join(where, "n.id"), code=1)
        sentence(err)
        assert not os.path.exists(os.path.join(where, "n.id"))


def test_journal_and_detect(broker):
    private, public = identity(folder(), "server")
    server = Sub(broker, "-t", "s/#", identity=private)
    out, _ = smqtt("detect", *address(broker), "--to", public, "-t", "s/1", "-m", TEXT)
    for want in ("0x01", "0x0C", "0x0F", "flag     1", "verdict  1", "equal"):
        assert want in out.decode(), "%s is not shown: %s" % (want, out.decode())
    server.expect((TEXT + "\n").encode())
    server.child.stop()
    journal, _ = smqtt("id", "journal", private)
    assert journal.strip(), "the journal is empty"


def test_one_server_at_a_time(broker):
    private, _ = identity(folder(), "server")
    Sub(broker, "-t", "s/#", identity=private)
    other = folder()
    _, err = smqtt("sub", *address(broker), "-t", "s/#", "--identity", private, "--state", other, code=1)
    assert "register" in sentence(err)


def test_hostile_detect(broker):
    private, public = identity(folder(), "server")
    server = Sub(broker, "-t", "s/#", identity=private)
    for header in (0x00, 0x03, 0x04, 0x05, 0x06, 0x08, 0x09, 0x0B, 0x0C, 0x0D, 0x0E):
        with Raw(broker) as raw:
            raw.connect(5, client_id="hostile")
            raw.send(bytes([header, 100]) + b"\xd1\x01" + bytes(98))
            raw.expect_close()
    pub(broker, public, "-m", "well")
    server.expect(b"well\n")


main(test_both_suites, test_verified_clients, test_server_offline, test_broker_without_detect, test_version_311_native,
     test_long_and_binary, test_many_lines, test_plain_is_refused_where_sealing_is_required,
     test_server_killed_session_goes_on, test_state_lost_new_handshake, test_line_lost_before_the_receipt,
     test_charsets, test_identities, test_journal_and_detect, test_one_server_at_a_time, test_hostile_detect)
