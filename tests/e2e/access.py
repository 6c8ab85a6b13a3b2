# SPDX-License-Identifier: Apache-2.0
"""Password and ACL files: read as Mosquitto reads them. Where Debian's mosquitto is there, each matrix of clients and
topics is asked of both brokers, and the answers must be the same."""
import os
import select
import signal
import subprocess
import tempfile

from harness import *

MOSQUITTO = "/usr/sbin/mosquitto"


class Server:
    """A broker with a whole configuration file of its own; files in its folder are named %s in it."""

    def __init__(self, kind, conf, files):
        self.folder = tempfile.mkdtemp(prefix="smqtt-access-")
        atexit.register(shutil.rmtree, self.folder, True)
        os.chmod(self.folder, 0o755)
        self.port = self.port6 = free_port()
        for name, text in files.items():
            self.write(name, text)
        user = "user root\n" if os.geteuid() == 0 and kind == "mosquitto" else ""
        self.conf = self.write("broker.conf", "listener %d 127.0.0.1\n%s%s" %
                               (self.port, user, conf.replace("%s", self.folder)))
        argv = [MOSQUITTO, "-v", "-c", self.conf] if kind == "mosquitto" else [program("smqttd"), "-c", self.conf]
        self.child = Child(argv, name=kind)
        self.is_up = self._wait()

    def _wait(self):
        end = time.monotonic() + 30
        while time.monotonic() < end and self.child.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return True
            except OSError:
                time.sleep(0.01)
        return False

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, 0o644)
        return path

    def reload(self, **files):
        for name, text in files.items():
            self.write(name, text)
        before = self.child.text().count("Reloading config")
        self.child.process.send_signal(signal.SIGHUP)
        self.child.wait_line(rb"Reloading config", count=before + 1)
        self.child.until_quiet()

    def stop(self):
        if self.child.process.poll() is None:
            self.child.stop()


def kinds():
    return ["smqttd"] + (["mosquitto"] if os.access(MOSQUITTO, os.X_OK) else [])


def on_each(conf, files, what):
    """What what(server) returns must be the same for both brokers; returns it."""
    answers = {}
    for kind in kinds():
        server = Server(kind, conf, files)
        answers[kind] = what(server) if server.is_up else "does not start"
        server.stop()
    assert len(set(map(repr, answers.values()))) == 1, "\n".join("%s: %r" % a for a in answers.items())
    return answers["smqttd"]


def code_of(server, version=V311, **fields):
    """(code of CONNACK, connection)"""
    raw = Raw(server)
    raw.version = version
    fields.setdefault("client_id", "c%d" % id(raw))
    raw.send(connect_packet(version, **fields))
    return raw.packet(kind=CONNACK).body[1], raw


# ---------------------------------------------------------------- rights


def acl_matrix(clients, topics, filters):
    """For each client: may it publish on a topic (version 5 tells), does a subscriber like it get what another one
    publishes, which codes has SUBACK?"""
    def ask(server):
        _, writer = code_of(server, V5, client_id="the-writer", user="everything")
        found = {}
        for user, client_id in clients:
            code, raw = code_of(server, V5, client_id=client_id, user=user)
            assert code == 0, code
            raw.subscribe("#")
            row = []
            for i, topic in enumerate(topics):
                writer.publish(topic, "r%d" % i)
            writer.is_healthy()
            read = {p.publish(V5)[0].decode() for p in raw.until_now()}
            raw.send(unsubscribe_packet(V5, "#"))
            raw.packet(kind=UNSUBACK)
            for topic in topics:
                raw.publish(topic, "w", qos=1, packet_id=9)
                ack = raw.packet(kind=PUBACK)
                may_write = len(ack.body) < 3 or ack.body[2] != 0x87
                row.append("%s:%s%s" % (topic, "r" if topic in read else "-", "w" if may_write else "-"))
            for f in filters:
                raw.send(subscribe_packet(V5, f, 1))
                row.append("%s=%d" % (f, raw.packet(kind=SUBACK).body[-1]))
            found[str((user, client_id))] = row
            raw.close()
        return found
    return ask


EVERYTHING = "user everything\ntopic readwrite #\n"
CLIENTS = [(None, "c1"), ("alice", "c2"), ("bob", "c3"), ("a+", "c4"), ("bob", "#"), (None, "c+"), ("al/ice", "c5"),
           ("", "c6"), ("with space", "c7"), ("$x", "c8")]
TOPICS = ["a", "b", "c", "a/b", "a/b/c", "a b/c", "d/x", "d/alice", "d/c2", "d/al/ice", "d/", "/d", "x/c2/alice/y",
          "d/xalicey", "ec2", "read", "d/with space"]
FILTERS = ["a", "#", "z/+", "$share/g/z", "d/alice"]
ACLS = {
    "nothing": "",
    "comments": "# nothing\n\n   \n",
    "anonymous and users": "topic a\ntopic read b\nuser alice\ntopic write c\ntopic readwrite d/#\nuser bob\n",
    "deny": "user alice\ntopic readwrite #\ntopic deny b\nuser bob\ntopic deny b\ntopic #\ntopic deny a/#\n",
    "deny before and behind": "user alice\ntopic deny a\ntopic a\ntopic b\ntopic deny b\n",
    "wildcards": "user alice\ntopic read +/b/#\ntopic write +\nuser bob\ntopic readwrite a/#\ntopic write +/+/+\n",
    "patterns": "pattern d/%u\npattern read d/%c\n",
    "patterns in words": "pattern d/x%uy\npattern write e%c\npattern x/%c/%u/#\npattern read %u/%c\n",
    "pattern denies": "pattern deny d/%u\npattern readwrite #\n",
    "pattern denies what a user may": "pattern deny a\npattern readwrite #\nuser alice\ntopic a\n",
    "user denies what a pattern allows": "pattern readwrite #\nuser alice\ntopic deny a\n",
    "pattern between users": "user alice\ntopic a\npattern read d/%u\nuser bob\ntopic b\n",
    "user twice": "user alice\ntopic a\nuser bob\ntopic b\nuser alice\ntopic c\n",
    "names with wildcards": "pattern d/%u\npattern d/%c\nuser a+\ntopic a\n",
    "spaces": "topic read a b/c\ntopic readwrite   b  \n topic c\nuser with space\ntopic write a\n",
    "words that are topics": "topic read\ntopic read b\n",
    "a user without lines": "user alice\n",
    "line ends": "user alice\r\ntopic a\r\n",
    "dollar": "topic #\ntopic $x/#\n",
    "unknown word": "foo bar\n",
    "no topic": "topic\n",
    "no user": "user\ntopic a\n",
    "wrong access": "topic rw a\n",
    "wrong filter": "topic a#\n",
    "wrong filter in a pattern": "pattern a+b/%u\n",
    "capital letters": "Topic a\n",
}


def test_acl_files_are_read_as_mosquitto_reads_them():
    for name, text in ACLS.items():
        try:
            found = on_each("allow_anonymous true\nacl_file %s/acl\n", {"acl": text + EVERYTHING},
                            acl_matrix(CLIENTS, TOPICS, FILTERS))
        except AssertionError as wrong:
            raise AssertionError("%s:\n%s" % (name, wrong)) from None
        if name == "deny":
            assert found["('alice', 'c2')"][:2] == ["a:rw", "b:--"], found  # the test sees what it should
        if name == "unknown word":
            assert found == "does not start"


def test_what_is_not_written_is_not_published():
    """Delivery is judged by the receiver's rights, publishing by the publisher's, in each version and QoS."""
    acl = "user pub\ntopic write t/#\nuser sub\ntopic read t/yes\n"
    server = Server("smqttd", "allow_anonymous true\nacl_file %s/acl\n", {"acl": acl})
    for version in (V31, V311, V5):
        _, sub = code_of(server, version, user="sub", client_id="s")
        sub.subscribe("#", 2)
        _, pub = code_of(server, version, user="pub", client_id="p")
        for qos in (0, 1):
            pub.publish("t/no", "x", qos=qos)
            pub.publish("t/yes", "y%d" % qos, qos=qos, packet_id=2)
            sub.publish("t/yes", "forged", qos=0)
            found = sub.packet(kind=PUBLISH)
            assert found.publish(version)[:3] == (b"t/yes", b"y%d" % qos, qos), found
            sub.expect_nothing(0.05)
        sub.close()
        pub.close()
    server.stop()


def test_wills_are_judged():
    acl = "user may\ntopic write w/#\nuser sub\ntopic read #\n"
    server = Server("smqttd", "allow_anonymous true\nacl_file %s/acl\n", {"acl": acl})
    _, sub = code_of(server, V5, user="sub")
    sub.subscribe("#")
    assert code_of(server, V311, user="no", will=("w/1", "x", 0, False))[0] == 5
    assert code_of(server, V5, user="no", will=("w/1", "x", 0, False))[0] == 0x87
    code, fires = code_of(server, V5, user="may", will=("w/1", "fires", 0, False))
    assert code == 0
    fires.reset()
    assert sub.packet(kind=PUBLISH).publish(V5)[1] == b"fires"
    # The right is taken away while the session that has the will is without connection.
    _, later = code_of(server, V5, user="may", client_id="later", will=("w/2", "later", 1, False),
                       properties=b"\x11\x00\x00\x00\x02", will_properties=b"\x18\x00\x00\x00\x01")
    later.reset()
    server.reload(acl="user sub\ntopic read #\n")
    sub.expect_nothing(1.5)
    server.stop()


def test_retained_messages_are_judged():
    acl = "user pub\ntopic write #\nuser sub\ntopic read a/#\n"
    server = Server("smqttd", "allow_anonymous true\nacl_file %s/acl\n", {"acl": acl})
    _, pub = code_of(server, V311, user="pub")
    for topic in ("a/1", "b/1"):
        pub.publish(topic, "x", retain=True)
    pub.is_healthy()
    _, sub = code_of(server, V311, user="sub")
    sub.subscribe("#")
    assert sub.packet(kind=PUBLISH).publish(V311)[0] == b"a/1"
    sub.expect_nothing()
    server.stop()


def test_what_waits_is_judged_by_the_new_file():
    acl = "user pub\ntopic write #\nuser sub\ntopic read #\n"
    server = Server("smqttd", "allow_anonymous true\nacl_file %s/acl\n", {"acl": acl})
    _, sub = code_of(server, V311, user="sub", client_id="s", clean=False)
    sub.subscribe("#", 1)
    sub.disconnect()
    _, pub = code_of(server, V311, user="pub")
    pub.publish("a", "1", qos=1)
    pub.packet(kind=PUBACK)
    server.reload(acl="user pub\ntopic write #\nuser sub\ntopic read b\n")
    pub.publish("a", "2", qos=1)
    pub.publish("b", "3", qos=1, packet_id=2)
    pub.packet(kind=PUBACK)
    pub.packet(kind=PUBACK)
    _, sub = code_of(server, V311, user="sub", client_id="s", clean=False)
    assert sub.packet(kind=PUBLISH).publish(V311)[:2] == (b"b", b"3")
    sub.expect_nothing()
    # A file that is wrong changes nothing, and the log says where.
    server.reload(acl="user sub\ntopic rw a\n")
    server.child.wait_line(rb"acl:2: \"rw\" is not read")
    pub.publish("b", "4", qos=1)
    assert sub.packet(kind=PUBLISH).publish(V311)[1] == b"4"
    server.stop()


# ---------------------------------------------------------------- logins


def make_passwords(tool, folder, *rows):
    path = os.path.join(folder, "pw-" + os.path.basename(tool[0]))
    for i, (user, password, *flags) in enumerate(rows):
        subprocess.run([*tool, *(["-c"] if i == 0 else []), *flags, "-b", path, user, password], check=True)
    with open(path, encoding="utf-8") as f:
        return f.read()


LOGINS = [("alice", "a"), ("alice", "b"), ("alice", ""), ("alice", None), ("bob", "p:w"), ("bob", "p"), ("carl", "c"),
          ("zed", "a"), (None, None), ("", None), ("", "x"), ("Alice", "a"), ("al", "a"), ("alice ", "a")]


def logins(server):
    return [[code_of(server, version, user=u, password=p)[0] for u, p in LOGINS] for version in (V31, V311, V5)]


def test_logins_are_judged_as_mosquitto_does():
    rows = [("alice", "a"), ("bob", "p:w"), ("carl", "c", "-H", "sha512")]
    tools = [[program("smqtt"), "passwd"]] + ([["mosquitto_passwd"]] if shutil.which("mosquitto_passwd") else [])
    with tempfile.TemporaryDirectory() as folder:
        for tool in tools:
            text = make_passwords(tool, folder, *rows)
            for conf in ("", "allow_anonymous true\n", "allow_anonymous false\n"):
                found = on_each(conf + "password_file %s/pw\n", {"pw": text}, logins)
                assert found[1][0] == 0 and found[1][1] == 5 and found[2][1] == 0x87, found
    for conf in ("", "allow_anonymous true\n", "allow_anonymous false\n"):
        on_each(conf, {}, logins)


def test_expensive_passwords_hold_nobody_up():
    with tempfile.TemporaryDirectory() as folder:
        text = make_passwords([program("smqtt"), "passwd"], folder, ("slow", "s", "-H", "argon2id", "-I", "2"),
                              ("many", "m", "-I", "100000"))
    server = Server("smqttd", "allow_anonymous true\npassword_file %s/pw\n", {"pw": text})
    _, other = code_of(server)
    waiting = []
    for i in range(12):
        raw = Raw(server)
        user = ("slow", "many")[i % 2]
        raw.send(connect_packet(V311, client_id="x%d" % i, user=user, password="wrong") + b"\xc0\x00")
        waiting.append(raw)
    right = Raw(server)
    right.send(connect_packet(V311, client_id="right", user="many", password="m") + b"\xc0\x00")
    n, unanswered = 0, [raw.socket for raw in waiting]
    while unanswered:  # not by the clock: the machine may have other things to do
        other.is_healthy()
        n += 1
        unanswered = [s for s in unanswered if not select.select([s], [], [], 0)[0]]
    assert n > 5, "%d PINGs were answered before the last password was" % n
    for raw in waiting:
        assert raw.packet(kind=CONNACK).body[1] == 5
        raw.expect_close()
    assert right.packet(4 * PATIENCE, CONNACK).body[1] == 0
    right.packet(kind=PINGRESP)  # what it sent behind CONNECT was kept
    gone = Raw(server)  # and who leaves while its password is checked leaves nothing behind
    gone.send(connect_packet(V311, client_id="gone", user="slow", password="s"))
    gone.reset()
    other.is_healthy()
    server.stop()


def test_reload_disconnects_who_is_no_longer_let_in():
    tool = [program("smqtt"), "passwd"]
    with tempfile.TemporaryDirectory() as folder:
        text = make_passwords(tool, folder, ("alice", "a"), ("bob", "b"), ("carl", "c"))
        other = make_passwords(tool, folder, ("carl", "new"))
    server = Server("smqttd", "allow_anonymous true\npassword_file %s/pw\n", {"pw": text})
    there = {u: code_of(server, V5, user=u, password=p)[1] for u, p in
             (("alice", "a"), ("bob", "b"), ("carl", "c"), (None, None))}
    lines = text.splitlines(True)
    with open(server.conf, encoding="utf-8") as f:
        conf = f.read()
    server.reload(pw=lines[0] + other, **{"broker.conf": conf.replace("anonymous true", "anonymous false")})
    there["alice"].is_healthy()
    for user in ("bob", "carl", None):
        packets = there[user].expect_close()
        assert packets[0].type == DISCONNECT and packets[0].body[0] == 0x87, packets
    assert code_of(server, V5, user="carl", password="new")[0] == 0
    assert code_of(server, V5, user="bob", password="b")[0] == 0x87
    # Without its file nobody is let in differently than before.
    os.unlink(os.path.join(server.folder, "pw"))
    server.reload()
    server.child.wait_line(rb"The old configuration stays")
    there["alice"].is_healthy()
    server.stop()


def test_files_that_are_wrong_are_named():
    rows = {"pw": ("password_file %s/pw\n", "alice:plain\n", rb"pw:1: .*no hash"),
            "acl": ("acl_file %s/acl\n", "topic a\nfoo\n", rb"acl:2: \"foo\" is not user, topic or pattern")}
    for name, (conf, text, sentence) in rows.items():
        server = Server("smqttd", conf, {name: text})
        assert not server.is_up
        server.child.wait(30)
        assert re.search(sentence, server.child.text().encode()), server.child.text()
    assert not Server("smqttd", "acl_file %s/none\n", {}).is_up


if __name__ == "__main__":
    main(test_acl_files_are_read_as_mosquitto_reads_them, test_what_is_not_written_is_not_published,
         test_wills_are_judged, test_retained_messages_are_judged, test_what_waits_is_judged_by_the_new_file,
         test_logins_are_judged_as_mosquitto_does, test_expensive_passwords_hold_nobody_up,
         test_reload_disconnects_who_is_no_longer_let_in, test_files_that_are_wrong_are_named)
