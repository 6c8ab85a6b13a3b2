# SPDX-License-Identifier: Apache-2.0
"""What the tests of keys have in common: files, fingerprints, what a broker keeps, people with known peers."""
import atexit
import base64
import os
import re
import subprocess

from brokers import KINDS, Smqttd
from harness import program, wait_until
from smqtt_cli import address, folder, smqtt

BROKERS = ("smqttd", "mosquitto")
FINGERPRINT = r"(?:[A-Z2-7]{4}-){7}[A-Z2-7]{4}"


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def write(path, text, mode=0o600):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def shown(path, what):
    out, _ = smqtt("id", "show", path)
    return re.search(r"^%s +(.*)$" % what, out.decode(), re.M).group(1)


def fingerprint(path):
    return shown(path, "fingerprint")


def skid(path):
    return shown(path, "skid")


def descriptor(pub):
    """The binary one of a public line, in a file."""
    text = read(pub).split()[1]
    path = pub + ".bin"
    with open(path, "wb") as f:
        f.write(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return path


def retain(broker, topic, path):
    smqtt("pub", *address(broker), "-t", topic, "-r", "-q", "1", "-f", path)


def kept(broker, topic):
    """What the broker has retained there."""
    done = subprocess.run([program("smqtt"), "sub", *address(broker), "-t", topic, "-C", "1", "-W", "10", "-F", "%x"],
                          capture_output=True, check=False)
    return bytes.fromhex(done.stdout.decode().strip())


def wait_kept(broker, pub):
    """Until the broker has this descriptor."""
    with open(descriptor(pub), "rb") as f:
        wanted = f.read()
    wait_until(lambda: kept(broker, "smqtt1/%s/d" % skid(pub)) == wanted, 30, "the descriptor is retained")


class Place:
    """A folder with known peers of its own, on a broker."""

    def __init__(self, broker=None):
        self.broker, self.where = broker, folder()
        self.known = ["--known", os.path.join(self.where, "known_peers")]

    def path(self, name):
        return os.path.join(self.where, name)

    def pub(self, to, text, *args, code=0):
        _, err = smqtt("pub", *address(self.broker), "-t", "s/1", "--to", to, "-m", text, *self.known, *args, code=code)
        return err.decode()

    def id(self, *args, code=0):
        out, err = smqtt("id", *args, *self.known, code=code)
        return (out if code == 0 else err).decode()


class Lines:
    """A publisher that goes on, a line a message: its session lasts."""

    def __init__(self, broker, to, *args):
        self.process = subprocess.Popen([program("smqtt"), "pub", *address(broker), "-t", "s/1", "--to", to, "-l",
                                         *args], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        atexit.register(self.process.kill)  # it would look for its broker for ever

    def line(self, text):
        try:
            self.process.stdin.write(text.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended already: ends() says with what

    def ends(self, code, *parts):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.stdin = None
        _, err = self.process.communicate(timeout=60)
        assert self.process.returncode == code, (self.process.returncode, err)
        has(err.decode(), *parts)


def through_both(test):
    """The same through our broker, natively, and through mosquitto, by the tunnel. One worker: a retained descriptor
    comes before the handshake's answer then; with several it may come behind, and the first message be through."""
    def through(kind):
        def run():
            broker = Smqttd(workers=1) if kind == "smqttd" else KINDS[kind]()
            test(Place(broker))
            broker.stop()
        run.__name__ = "%s_%s" % (test.__name__, kind)
        return run
    return [through(kind) for kind in BROKERS]


def has(text, *parts):
    for part in parts:
        assert re.search(part, text, re.M), "%r is not in %r" % (part, text)
