# SPDX-License-Identifier: Apache-2.0
"""Native on one side, tunnel on the other: within smqttd, through a bridge of Debian's mosquitto to it, and through one
that joins two smqttd. On the bridge stands one who reads along."""
import base64
import os
import re
import signal
import subprocess

from brokers import Mosquitto, Smqttd
from harness import SUBACK, main, program, wait_until
from middle import DOWN, UP, Middle
from smqtt_cli import Sub, address, folder, identity, sentence, smqtt

TEXT = "あいうえお は ひみつ です"
MANY = "smqtt_detect_per_minute 100000\nsmqtt_detect_burst 1000\n"
BRIDGE = """
connection %s
address 127.0.0.1:%d
bridge_protocol_version %s
restart_timeout 1
notifications false
cleansession true
"""
NATIVE, TUNNEL = ["-V", "5", "--native"], ["--tunnel"]
WAYS = ((TUNNEL, NATIVE), (NATIVE, TUNNEL), (["-V", "311"], ["-V", "5"]), (["-V", "5"], ["-V", "311"]))


def server(broker, private, *args):
    return Sub(broker, "-t", "s/#", "-F", "%Z|%t %p", *args, identity=private, registers="--native" in args)


def pub(broker, to, text, *args, **options):
    return smqtt("pub", *address(broker), "-t", "s/1", "--to", to, "-m", text, *args, **options)


def figure(broker, name):
    out, _ = smqtt("sub", *address(broker), "-t", "$SYS/broker/detect/smqtt/" + name, "-C", "1", "-W", "20")
    return int(out)


class Joined:
    """mosquitto in the middle, with a bridge to each of n smqttd, each seen by one who reads along."""

    def __init__(self, n=1, version="mqttv311", topics=("smqtt1/#", "s/#")):
        self.ours = [Smqttd(MANY) for _ in range(n)]
        self.middles = [Middle(each) for each in self.ours]
        conf = "".join(BRIDGE % ("to-%d" % i, each.port, version) + "".join("topic %s both 1\n" % t for t in topics)
                       for i, each in enumerate(self.middles))
        self.mosquitto = Mosquitto(conf)
        for each in self.middles:
            wait_until(lambda at=each: len(at.seen(lambda f: f.type == SUBACK)) >= len(topics), 30, "the bridge stands")
        self.where = folder()
        self.private, self.public = identity(self.where, "server")
        self.secrets = [TEXT]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            for middle in self.middles:
                middle.nothing_plain(*self.secrets)
                assert not middle.seen(lambda f: f.type == 0), "a packet of DETECT went natively over the bridge"
            assert self.mosquitto.is_running() and all(each.is_running() for each in self.ours)
        for each in (*self.middles, self.mosquitto, *self.ours):
            (each.close if isinstance(each, Middle) else each.stop)()

    def steps(self, way):
        """Header bytes that went over the first bridge."""
        return {f.header() for f in self.middles[0].seen(lambda f: f.detect(), way)}


def test_both_ways_in_one_broker(broker):
    for i, (its, ours) in enumerate(WAYS):
        private, public = identity(folder(), "server-%d" % i)
        there = server(broker, private, *its)
        pub(broker, public, TEXT, *ours)
        pub(broker, public, "with QoS 0", *ours, "-q", "0")
        there.expect(("PEER_ANON|s/1 %s\nPEER_ANON|s/1 with QoS 0\n" % TEXT).encode())
        there.child.stop()


def test_who_watches_sees_answers_only(broker):
    """What is for a registered server goes to nobody else, not even to who asks for it."""
    private, public = identity(folder(), "server")
    there = server(broker, private, *NATIVE)
    watch = Sub(broker, "-t", "smqtt1/+/c/+", "-t", "smqtt1/+/s/+", "-F", "%t %x")
    pub(broker, public, TEXT, *TUNNEL)
    there.expect(("PEER_ANON|s/1 %s\n" % TEXT).encode())
    wait_until(lambda: re.search(rb"/s/[0-9a-f]{16} 0e", watch.output()), 30, "the acknowledgement was published")
    assert b"/c/" not in watch.output()


def test_nobody_is_there(broker):
    _, public = identity(folder(), "absent")
    watch = Sub(broker, "-t", "#", "-F", "%t %x")
    _, err = pub(broker, public, TEXT, *NATIVE, "--receipt-timeout", "2", code=2)
    assert "no server with this identity" in sentence(err)
    assert b"s/1 " not in watch.output().replace(b"/s/1 ", b"")


def test_mojibake(broker):
    for i, (its, ours) in enumerate(WAYS[:2]):
        private, public = identity(folder(), "server-%d" % i)
        there = server(broker, private, *its, "--charset", "US-ASCII")
        _, err = pub(broker, public, TEXT, *ours, code=2)
        assert "does not survive" in sentence(err)
        pub(broker, public, "what it can hold", *ours)
        there.expect(b"PEER_ANON|s/1 what it can hold\n")
        there.child.stop()


def over_the_bridge(joined, there, here, *flags):
    """A server there, a client here."""
    its, ours = flags
    far = server(there, joined.private, *its)
    pub(here, joined.public, TEXT, *ours)
    out, _ = smqtt("detect", *address(here), "--to", joined.public, "-t", "s/1", "-m", TEXT, *ours)
    assert "confirmed" in out.decode()
    pub(here, joined.public, TEXT, *ours, "--repeat", "20")
    far.expect(("PEER_ANON|s/1 %s\n" % TEXT).encode() * 22)
    far.child.stop()


def test_a_device_here_and_a_server_behind_the_bridge():
    for version in ("mqttv311", "mqttv50"):
        with Joined(version=version) as joined:
            over_the_bridge(joined, joined.mosquitto, joined.ours[0], [], NATIVE)
            assert {0x01, 0x0F} <= joined.steps(DOWN) and {0x0C, 0x0E} <= joined.steps(UP)


def test_a_client_behind_the_bridge_and_a_server_here():
    for version in ("mqttv311", "mqttv50"):
        with Joined(version=version) as joined:
            over_the_bridge(joined, joined.ours[0], joined.mosquitto, NATIVE, [])
            assert {0x01, 0x0F} <= joined.steps(UP) and {0x0C, 0x0E} <= joined.steps(DOWN)


def test_a_bridge_for_everything():
    with Joined(topics=("#",)) as joined:
        over_the_bridge(joined, joined.mosquitto, joined.ours[0], [], NATIVE)
        over_the_bridge(joined, joined.ours[0], joined.mosquitto, NATIVE, [])


def test_native_at_both_ends_of_two_bridges():
    with Joined(2) as joined:
        over_the_bridge(joined, joined.ours[0], joined.ours[1], NATIVE, NATIVE)
        over_the_bridge(joined, joined.ours[1], joined.ours[0], NATIVE, NATIVE)


def test_many_at_once_behind_one_bridge():
    with Joined() as joined:
        here = server(joined.ours[0], joined.private, *NATIVE)
        many = [subprocess.Popen([program("smqtt"), "pub", *address(joined.mosquitto), "-t", "s/%d" % i, "--to",
                                  joined.public, "-m", "%s %d" % (TEXT, i), "--receipt-timeout", "25"],
                                 stderr=subprocess.PIPE) for i in range(25)]
        for each in many:
            assert each.wait(60) == 0, each.stderr.read()
        want = sorted("PEER_ANON|s/%d %s %d" % (i, TEXT, i) for i in range(25))
        assert sorted(here.output().decode().splitlines()) == want


def test_the_server_behind_the_bridge_is_killed():
    """With its state it goes on, under the eyes of a client that is native here."""
    with Joined() as joined:
        args = ["-i", "the-server", "-c"]
        far = server(joined.mosquitto, joined.private, *args)
        publisher = subprocess.Popen([program("smqtt"), "pub", *address(joined.ours[0]), "-t", "s/1", "--to",
                                      joined.public, "-l", "--receipt-timeout", "25", *NATIVE],
                                     stdin=subprocess.PIPE, stderr=subprocess.PIPE)

        def say(text):
            joined.secrets.append(text)
            publisher.stdin.write(text.encode() + b"\n")
            publisher.stdin.flush()
        say("the first message")
        wait_until(lambda: joined.middles[0].seen(lambda f: f.is_receipt(), UP), 30, "a receipt")
        far.child.stop(signal.SIGKILL)
        far = server(joined.mosquitto, joined.private, *args)
        say("the second message")
        far.expect(b"PEER_ANON|s/1 the second message\n")
        publisher.stdin.close()
        assert publisher.wait(60) == 0, publisher.stderr.read()


def test_the_broker_itself_for_clients_behind_the_bridge():
    where = folder()
    os.chmod(where, 0o755)
    private, public = identity(where, "broker")
    policy = os.path.join(where, "policy")
    with open(policy, "w", encoding="ascii") as f:
        f.write("s/# require\n+/# allow-plain\n")
    ours = Smqttd("%ssmqtt_identity %s\nsmqtt_identity_policy %s\nsys_interval 1\n" % (MANY, private, policy))
    mosquitto = Mosquitto(BRIDGE % ("to", ours.port, "mqttv311") + "topic smqtt1/# both 1\ntopic s/# out 1\n")
    shown, _ = smqtt("sub", *address(ours), "-t", "smqtt1/+/d", "-C", "1", "-W", "20", "-N")
    with open(public, encoding="ascii") as f:
        line = f.read().split()[1]
    assert base64.urlsafe_b64encode(shown).decode().rstrip("=") == line, "not its descriptor"
    plain = Sub(ours, "-t", "s/#", "-F", "%t %p")
    pub(mosquitto, public, TEXT, "--receipt-timeout", "20")
    plain.expect(("s/1 %s\n" % TEXT).encode())
    pub(ours, public, "through the tunnel", *TUNNEL)
    pub(ours, public, "natively", *NATIVE)
    plain.expect(("s/1 %s\ns/1 through the tunnel\ns/1 natively\n" % TEXT).encode())
    wait_until(lambda: figure(ours, "handshakes") == 3, 30, "three handshakes were counted")
    assert figure(ours, "converted") >= 8
    mosquitto.stop()
    ours.stop()


main(test_both_ways_in_one_broker, test_who_watches_sees_answers_only, test_nobody_is_there, test_mojibake,
     test_a_device_here_and_a_server_behind_the_bridge, test_a_client_behind_the_bridge_and_a_server_here,
     test_a_bridge_for_everything, test_native_at_both_ends_of_two_bridges, test_many_at_once_behind_one_bridge,
     test_the_server_behind_the_bridge_is_killed, test_the_broker_itself_for_clients_behind_the_bridge)
