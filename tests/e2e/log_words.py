# SPDX-License-Identifier: Apache-2.0
"""The words of the log, beside Debian's mosquitto: the same clients, the same lines in the same order for each."""
import difflib
import json
import os
import re
import socket
import subprocess
import sys
import time

from harness import (PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, V5, V31, V311, Broker, Child, Raw, as_me, connect_packet,
                     free_port, main, packet, publish_packet, skip, subscribe_packet, unsubscribe_packet, wait_until)
from harness import program as program_of
from smqtt_cli import folder

MOSQUITTO = "/usr/sbin/mosquitto"
ACL = "user alice\ntopic readwrite ok/#\ntopic read seen/#\n"
IDS = r"orderly|will|five|three-one|reason|auto-ID|wrong5?|nobody|twice5?|silent|[a-z0-9-]+-[45]|<unknown>"
# Lines that are no client's, and what one broker says and the other does not: docs/configuration.md.
SKIP = re.compile(r" version |listen socket|^Config loaded|workers\.$|Warning: |"
                  r"^Invalid protocol|^Bad CONNECT|^Bad client .* sending multiple CONNECT|^Sending DISCONNECT|"
                  r"^Received SUBSCRIBE from (flags|no-filter)-")


def normal(line):
    line = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", re.sub(r"^\d+: ", "", line))
    # What is wrong decides between the two reason codes, as the standard says.
    line = re.sub(r"due to (malformed packet|protocol error)", "due to MALFORMED OR PROTOCOL", line)
    return re.sub(r"on port \d+", "on port PORT", re.sub(r"auto-[0-9A-Za-z-]{20,}", "auto-ID", line))


def ack(kind, packet_id):
    return packet(kind << 4 | (2 if kind == PUBREL else 0), packet_id.to_bytes(2, "big"))


def hello(broker, client_id, version=V311, **fields):
    c = Raw(broker)
    fields.setdefault("user", "alice")
    fields.setdefault("password", "right")
    c.connect(version=version, client_id=client_id, **fields)
    return c


def gone(c):
    c.expect_close(20)
    c.close()


def goodbye(c):
    """Says so and waits until the broker has closed: what comes next is said after it."""
    c.send(packet(0xE0))
    gone(c)


def drop(c):
    c.close()
    time.sleep(0.2)


def refused(broker, data):
    c = Raw(broker)
    c.send(data)
    gone(c)


def comes_and_goes(broker):
    goodbye(hello(broker, "orderly"))
    drop(hello(broker, "will", will=("ok/will", b"gone", 1, True)))
    goodbye(hello(broker, "five", V5, keep_alive=17, clean=False, properties=b"\x11\0\0\0\1"))
    goodbye(hello(broker, "three-one", V31, keep_alive=0))
    c = hello(broker, "reason", V5)
    c.send(packet(0xE0, b"\x04\0"))  # with will
    gone(c)
    c = Raw(broker)
    c.connect(client_id="", user="alice", password="right")
    goodbye(c)
    drop(Raw(broker))
    broker.child.wait_line(b"Expiring client five due to timeout")


def refusals(broker):
    refused(broker, connect_packet(V311, "wrong", user="alice", password="wrong"))
    refused(broker, connect_packet(V5, "wrong5", user="alice", password="wrong"))
    refused(broker, connect_packet(V311, "nobody"))
    refused(broker, packet(0x10, b"\0\4MQTT\x09\2\0\x3c\0\1x"))
    refused(broker, b"GET / HTTP/1.1\r\n\r\n")
    refused(broker, connect_packet(V311, "", clean=False, user="alice", password="right"))


def wrongs(broker):
    c = hello(broker, "twice")
    d = hello(broker, "twice")
    gone(c)
    goodbye(d)
    c = hello(broker, "twice5", V5)
    d = hello(broker, "twice5", V5)
    gone(c)
    goodbye(d)
    for version in (V311, V5):
        for name, data in (("type-0", b"\0\0"), ("wild", publish_packet(version, "ok/+", b"x")),
                           ("connect", connect_packet(version, "x")), ("flags", b"\x80\0"),
                           ("no-filter", packet(0x82, b"\0\1" + (b"\0" if version == V5 else b"")))):
            c = hello(broker, "%s-%d" % (name, version), version)
            c.send(data)
            gone(c)
    c = hello(broker, "silent", keep_alive=1)
    gone(c)


def messages(broker):
    for version in (V311, V5):
        c, hears = hello(broker, "talks-%d" % version, version), hello(broker, "hears-%d" % version, version)
        hears.subscribe("ok/+", 2)
        hears.send(subscribe_packet(version, "never/#", 1, 7))
        hears.packet()
        for qos in (0, 1, 2):
            c.publish("ok/%d" % qos, b"hello", qos=qos, packet_id=20 + qos)
            converse(c, qos)
            converse(hears, (1, 1, 2)[qos])
            hears.is_healthy()
        for qos in (0, 1, 2):
            c.publish("seen/no", b"hello", qos=qos, packet_id=30 + qos)
            converse(c, (0, 1, 1 if version == V5 else 2)[qos])
        c.publish("ok/else/where", b"nobody", qos=1, packet_id=40)
        converse(c, 1)
        hears.send(unsubscribe_packet(version, "ok/+", 9))
        hears.packet()
        hears.is_healthy()
        goodbye(c)
        goodbye(hears)


def converse(c, n):
    """Takes n packets and answers them."""
    for _ in range(n):
        p = c.packet()
        if p.type == 3:
            _, _, qos, _, _, packet_id = p.publish(c.version)
            if qos:
                c.send(ack(PUBACK if qos == 1 else PUBREC, packet_id))
        elif p.type == PUBREL or p.type == PUBREC and p.body[2:3] < b"\x80":
            c.send(ack(PUBREL if p.type == PUBREC else PUBCOMP, int.from_bytes(p.body[:2], "big")))


class Files:
    """A password file and an ACL file that both brokers can read."""

    def __init__(self):
        self.folder = folder()
        os.chmod(self.folder, 0o777)
        self.passwords, self.acl = (os.path.join(self.folder, name) for name in ("passwords", "acl"))
        subprocess.run(["mosquitto_passwd", "-b", "-c", self.passwords, "alice", "right"], check=True)
        with open(self.acl, "w", encoding="utf-8") as f:
            f.write(ACL)
        os.chmod(self.passwords, 0o644)
        os.chmod(self.acl, 0o644)
        self.conf = "log_type all\nallow_anonymous false\npassword_file %s\nacl_file %s\n" % (
            self.passwords, self.acl)


def lines_of(kind, conf, play, workers=None):
    """By client ("" for what names none), what the log says of a play."""
    broker = Broker(conf, kind=kind, workers=workers)
    play(broker)
    broker.child.until_quiet()
    code = broker.child.stop()
    assert code == 0, "%s ended with %s" % (kind, code)
    found, last = {}, ""
    for line in broker.child.text().splitlines():
        line = normal(line)
        if SKIP.search(line):
            continue
        if not line.startswith(("\t", "No will", "Will ")):  # those belong to the line before
            named = re.search(r"(?<![\w/-])(%s)(?![\w/-])" % IDS, line)
            last = named.group(1) if named else ""
        found.setdefault(last, []).append(line)
    return found


def same(play):
    files = Files()
    theirs = lines_of("mosquitto", files.conf, play)
    for workers in (1, 2):
        ours = lines_of("smqttd", files.conf, play, workers)
        assert len(ours) > 1, ours
        for client in sorted(set(theirs) | set(ours)):
            a, b = theirs.get(client, []), ours.get(client, [])
            assert a == b, "%s, with %d workers:\n%s" % (client, workers, "\n".join(difflib.ndiff(a, b)))


def test_who_comes_and_goes():
    same(comes_and_goes)


def test_refusals():
    same(refusals)


def test_ends():
    same(wrongs)


def test_messages():
    same(messages)


def on_both(ask):
    answers = {kind: ask(kind) for kind in ("mosquitto", "smqttd")}
    assert answers["mosquitto"] == answers["smqttd"], answers
    return answers["smqttd"]


def test_topics():
    """Who listens to $SYS/broker/log/# reads the lines, with their time, but those for debugging."""
    def heard(kind):
        broker = Broker("log_type all\nlog_dest topic\nlog_dest stderr\n", kind=kind)
        with Raw(broker) as c:
            c.connect(client_id="watcher")
            c.send(subscribe_packet(V311, "$SYS/broker/log/#"))
            c.packet()  # or the line about it: Mosquitto says that first
            other = Raw(broker)
            other.connect(client_id="talks-4")
            other.subscribe("ok/+", 1)
            other.send(unsubscribe_packet(V311, "ok/+", 9))
            other.packet()
            goodbye(other)
            found = []
            try:
                while True:
                    p = c.packet(1.5)
                    if p.type != PUBLISH:
                        continue
                    topic, line, qos, retain, _, _ = p.publish(V311)
                    assert re.match(rb"\d{10}: ", line), line
                    found.append((topic.decode(), normal(line.decode()), qos, retain))
            except AssertionError:
                pass
        broker.child.stop()
        assert not any(topic.endswith("/D") for topic, *_ in found), found
        return [f for f in found if "watcher" not in f[1]]

    topics = [topic for topic, *_ in on_both(heard)]
    assert {t[len("$SYS/broker/log/"):] for t in topics} == {"N", "M/subscribe", "M/unsubscribe"}, topics


def mosquitto_ends(child):
    """It forgets a SIGTERM that comes between its listening and its first turn."""
    for _ in range(20):
        try:
            return child.stop(seconds=1)
        except AssertionError:
            pass
    return child.stop()


def logged(kind, conf):
    """The lines of a file, and what came out on the console, of a broker that was started and ended."""
    where = folder()
    os.chmod(where, 0o777)
    path, port = os.path.join(where, "log"), free_port()
    conf_path = os.path.join(where, "conf")
    with open(conf_path, "w", encoding="utf-8") as f:
        f.write("listener %d 127.0.0.1\nallow_anonymous true\n%s%s" % (port, conf.replace("FILE", path), as_me()))
    child = Child([MOSQUITTO if kind == "mosquitto" else program_of("smqttd"), "-c", conf_path], name=kind)
    wait_until(lambda: is_open(port), 30, "the broker listens")
    assert (mosquitto_ends(child) if kind == "mosquitto" else child.stop()) == 0
    if not os.path.exists(path):
        return None, child.text()
    with open(path, encoding="utf-8") as f:
        return f.read(), child.text()


def is_open(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def clean(text):
    """Lines without the programs' names; what only one of both says left out."""
    lines = [re.sub(r"(mosquitto|smqttd) version [0-9.]+", "BROKER", line) for line in (text or "").splitlines()]
    return [normal(line) for line in lines if not re.search(r"Warning: |Config loaded|workers|closed its|New c", line)]


def test_destinations():
    """A file with times of a format, without times, nothing at all."""
    def times(kind):
        text, console = logged(kind, "log_dest file FILE\nlog_timestamp_format %Y-%m-%dT%H:%M:%S\n")
        stamps = [re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d: ", line) for line in text.splitlines()]
        assert all(stamps) and "running" not in console, (text, console)
        return clean(re.sub(r"(?m)^\S+: ", "", text))

    def bare(kind):
        text, _ = logged(kind, "log_dest file FILE\nlog_timestamp false\n")
        return clean(text)

    def quiet(kind):
        text, console = logged(kind, "log_dest file FILE\nlog_type none\n")
        return clean(text), [line for line in clean(console) if "Error" not in line]

    def nowhere(kind):
        text, console = logged(kind, "log_dest none\n")
        return text, clean(console)

    def stdout(kind):
        return clean(logged(kind, "log_dest stdout\nlog_type notice\nlog_type information\n")[1])

    assert len(on_both(times)) == 4 and len(on_both(bare)) == 4 and len(on_both(stdout)) == 4
    assert on_both(quiet) == ([], []) and on_both(nowhere) == (None, [])


def test_syslog():
    """The lines that a socket /dev/log gets, in a file system of its own."""
    script = """
import os, socket, subprocess, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("/dev/log")
os.chmod("/dev/log", 0o666)
s.settimeout(30)
p = subprocess.Popen(sys.argv[1:])
while True:
    line = s.recv(4096).decode()
    print(line, flush=True)
    if "terminating" in line:
        break
    if "running" in line:
        time.sleep(0.3)  # Mosquitto forgets a signal that comes at once
        p.terminate()
"""
    private = "mount -t tmpfs none /dev && : > /dev/null"

    def lines(kind):
        where = folder()
        os.chmod(where, 0o777)
        conf = os.path.join(where, "conf")
        with open(conf, "w", encoding="utf-8") as f:
            f.write("listener %d 127.0.0.1\nlog_dest syslog\nlog_facility 5\n%s" % (free_port(), as_me()))
        broker = MOSQUITTO if kind == "mosquitto" else os.path.abspath(program_of("smqttd"))
        done = subprocess.run(["unshare", "-m", "sh", "-c", private + ' && exec "$@"', "sh", sys.executable, "-c",
                               script, broker, "-c", conf], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return clean(re.sub(r"(?m)^(<\d+>).*?\]: \d+: ", r"\1", done.stdout))

    if subprocess.run(["unshare", "-m", "sh", "-c", private], capture_output=True, check=False).returncode:
        skip("no private file system may be mounted here")
    found = on_both(lines)
    assert len(found) == 4 and all(line.startswith("<174>") for line in found), found  # local5, information


def test_json():
    """Each line is JSON whatever clients are called; fields say who it is about."""
    names = ['quote"s', "back\\slash", "{\"event\":\"forged\"}", "x" * 65535, "\u202eturned", "tab\u00e9\U0001F600"]
    broker = Broker("log_type all\nsmqtt_log_format json\nallow_zero_length_clientid true\n", kind="smqttd")
    for name in names:
        c = Raw(broker)
        c.connect(version=V5, client_id=name, user=name)
        c.subscribe("a")
        goodbye(c)
    c = Raw(broker)
    c.send(connect_packet(V311, b"control\x01\x1b[31m"))
    c.close()
    broker.child.until_quiet()
    assert broker.child.stop() == 0
    lines = [line for line in broker.child.lines if not re.match(rb"\d+: Warning: ", line)]  # of reading the file
    rows = [json.loads(line) for line in lines]
    assert all(set(row) <= {"time", "level", "event", "client", "user", "peer", "message"} for row in rows), rows[-1]
    assert not re.search(rb"[\x00-\x1f\x7f]", b"".join(lines))
    assert {row["event"] for row in rows if "event" in row} >= {"connected", "subscribed", "left"}
    shown = [row["client"] for row in rows if row.get("event") == "connected"]
    assert shown[0] == names[0] and shown[2] == names[2] and shown[5] == names[5], shown
    assert shown[3].endswith("...") and len(shown[3]) < 1100 and "\\x" in shown[4], shown[4]


if __name__ == "__main__":
    if not os.access(MOSQUITTO, os.X_OK):
        skip("mosquitto is not installed")
    main(test_who_comes_and_goes, test_refusals, test_ends, test_messages, test_topics, test_destinations,
         test_syslog, test_json)
