# SPDX-License-Identifier: Apache-2.0
"""A server and a client with a hostile broker between them, and what must hold whatever it does."""
import base64
import hashlib
import itertools
import os
import re
import signal
import subprocess
import threading

from harness import PATIENCE, program, wait_until
from middle import DOWN, UP, Middle
from smqtt_cli import Sub, address, folder, identity, smqtt

KIND_OF_HEADER = {0x01: "step0", 0x03: "step0", 0x02: "retry", 0x04: "step2", 0x0C: "step2", 0x07: "step3",
                  0x0F: "step3", 0x0E: "ack", 0x06: "close"}
TO_SERVER, TO_CLIENT = (0x01, 0x07, 0x0F), (0x02, 0x04, 0x0C, 0x0E, 0x06)
CID_AT = {"step0": 4, "retry": 2, "step2": 2, "step3": 1, "ack": 1, "close": 1}
FROM_CLIENT = ("step0", "step3", "record")
NUMBERS = itertools.count(1)


def kind(f):
    """What of S-MQTT this packet is: step0, retry, step2, step3, ack, close, record, receipt, notice, descriptor."""
    if f.header() in KIND_OF_HEADER:
        return KIND_OF_HEADER[f.header()]
    if f.is_record():
        return "record"
    if f.is_receipt():
        return "receipt"
    own = f.own()
    return {"n": "notice", "d": "descriptor"}.get(own[1]) if own else None


def cid_of(f):
    """The cid in a packet of DETECT, or None."""
    if not f.detect() or kind(f) not in CID_AT:
        return None
    at = CID_AT[kind(f)]
    return f.detect()[1][at:at + 8]


def body_with_cid(f, cid):
    """The body of a packet of DETECT under the name of another handshake."""
    body, at = f.detect()[1], CID_AT[kind(f)]
    return body[:at] + cid + body[at + 8:]


class Scene:
    """`path`: native (smqttd), tunnel (mosquitto and 3.1.1), tunnel5."""

    def __init__(self, broker, path):
        self.native, self.version = path == "native", "311" if path == "tunnel" else "5"
        self.broker, self.middle, self.where = broker, Middle(broker), folder()
        self.number = next(NUMBERS)
        self.client_id, self.server_id = "client-%d" % self.number, "server-%d" % self.number
        self.private, self.public = identity(self.where, "server")
        self.policy = os.path.join(self.where, "policy")
        with open(self.policy, "w", encoding="ascii") as f:
            f.write("%s allow-plain\n+/# require\n" % self.topic("open"))
        self.secrets, self.wanted, self.possible, self.outputs = [], [], set(), []
        self.any_order = self.replays = self.hides = False
        self.server_process = None
        self.start_server()

    # --- the two ends

    def topic(self, name="1"):
        return "hostile%d/%s" % (self.number, name)

    def flags(self, who):
        return [*address(self.middle), "-V", self.version, "-i", who]

    def start_server(self, *args, again=False, registers=None, env=()):
        if again:
            self.server_process.child.stop(signal.SIGINT)
        registers = self.native if registers is None else registers
        self.server_process = Sub(self.middle, "-V", self.version, "-i", self.server_id, "-t", self.topic("#"), "-F",
                                  "%Z %t %p", "--policy", self.policy, *args, identity=self.private,
                                  registers=registers, env=env)
        self.outputs.append(self.server_process)

    def server_is_back(self):
        """After its connection was cut it has made it again; if it was the client's that was cut, it never left."""
        server = self.server_process
        if not self.middle.link(self.server_id).alive:
            wait_until(lambda: self.middle.link(self.server_id).alive, PATIENCE, "the server connects again")
        links = len([each for each in self.middle.links if each.client_id == self.server_id])
        server.ready(self.private if self.native else None, links)

    def try_pub(self, text, *args, who=""):
        """(exit code, standard error)"""
        self.secrets.append(text)
        done = subprocess.run([program("smqtt"), "pub", *self.flags(self.client_id + who), "-t", self.topic(), "--to",
                               self.public, "-m", text, *args], capture_output=True, timeout=60, check=False,
                              stdin=subprocess.DEVNULL)
        return done.returncode, done.stderr.decode()

    def pub(self, text, *args, code=0, says=None):
        got, err = self.try_pub(text, *args)
        assert got == code, "%s: ended with %d, not %d: %s" % (text, got, code, err)
        if code:
            assert err.startswith("smqtt: ") and re.search(says, err), "%s: says %r" % (text, err)

    def pub_lines(self, lines, *args, code=0):
        self.secrets += lines
        smqtt("pub", *self.flags(self.client_id), "-t", self.topic(), "--to", self.public, "-l", *args,
              stdin="".join(line + "\n" for line in lines).encode(), code=code)

    def stream(self, *args):
        return Stream(self, *args)

    # --- the broker in between

    def rule(self, rule, way=None):
        self.middle.rule = lambda f: rule(f) if way in (None, f.way) else [f]

    def later(self, f, seconds):
        threading.Timer(seconds, f.link.send, (f.way, f.raw)).start()
        return []

    def seen(self, way):
        return self.middle.seen(lambda f: f.is_smqtt(), way)

    def of_kind(self, what):
        return self.middle.seen(lambda f: kind(f) == what, UP if what in FROM_CLIENT else DOWN)

    def count(self, what):
        return len(self.of_kind(what))

    def last(self, what):
        return self.of_kind(what)[-1]

    def wait_for(self, what):
        wait_until(lambda: self.of_kind(what), PATIENCE, "a " + what)
        return self.of_kind(what)

    def cid(self):
        """Of the newest handshake of the client."""
        return cid_of(self.last("step0"))

    def skid(self):
        core = self.descriptor(self.public)
        keys = 25 + core[24]
        return hashlib.sha256(b"smqtt1 skid" + core[1:2] + core[keys:keys + 64]).hexdigest()[:16]

    @staticmethod
    def descriptor(public):
        with open(public, encoding="ascii") as f:
            data = f.read().split()[1]
        return base64.urlsafe_b64decode(data + "=" * (-len(data) % 4))

    # --- what must come of it

    def delivered(self, *texts):
        self.wanted += texts

    def delivered_in_any_order(self, *texts):
        self.any_order = True
        self.wanted += texts

    def maybe(self, *texts):
        """The broker may have delivered it without the client getting to know."""
        self.possible.update(texts)

    def retained_replays_allowed(self):
        self.replays = True

    def opened(self):
        return self.server_process.errors().count(b"session opened")

    def lines(self):
        """What the servers printed, without what they said to be retained replays, or may have been delivered."""
        text = b"".join(each.output() for each in self.outputs).decode()
        lines = text.splitlines()
        if self.replays:
            known = {line.split(" ", 1)[1] for line in lines if line.startswith("PEER_ANON ")}
            lines = [each for each in lines if not (each.startswith("RETAINED_REPLAY ") and
                                                    each.split(" ", 1)[1] in known)]
        for each in self.possible:
            line = "PEER_ANON %s %s" % (self.topic(), each)
            if line in lines:
                lines.remove(line)
        return lines

    def expect(self):
        """The servers have printed exactly what they should have."""
        wanted = ["PEER_ANON %s %s" % (self.topic(), each) for each in self.wanted]
        order = sorted if self.any_order else list
        try:
            wait_until(lambda: order(self.lines()) == order(wanted), PATIENCE, "the output")
        except AssertionError:
            raise AssertionError("printed %r, not %r; errors %r" % (
                self.lines(), wanted, self.server_process.errors()[-600:])) from None

    def settle(self):
        """The server has judged what it got before: it answers in order."""
        self.middle.rule = None
        self.pub("in good order", "--receipt-timeout", "20")
        self.delivered("in good order")
        self.expect()

    def recover(self):
        """The attack stops: all is as if it had never been."""
        self.middle.rule = None
        if self.hides:
            self.start_server(again=True)
        self.pub("after the attack", "--receipt-timeout", "20")
        self.delivered("after the attack")
        self.expect()
        self.middle.nothing_plain(*self.secrets)
        assert self.server_process.child.stop(signal.SIGINT) == 0, self.server_process.errors()
        self.expect()
        for each in self.outputs:
            assert b"Sanitizer" not in each.errors(), each.errors()

    def close(self):
        for each in self.outputs:
            each.child.kill()
        self.middle.close()


class Stream:
    """A publisher that stays."""

    def __init__(self, scene, *args):
        self.scene = scene
        self.process = subprocess.Popen([program("smqtt"), "pub", *scene.flags(scene.client_id), "-t", scene.topic(),
                                         "--to", scene.public, "-l", *(args or ("--receipt-timeout", "25"))],
                                        stdin=subprocess.PIPE, stderr=subprocess.PIPE)

    def say(self, text):
        self.scene.secrets.append(text)
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def end(self):
        """Its exit code."""
        self.process.stdin.close()
        return self.process.wait(60)

    def error(self):
        return self.process.stderr.read()
