# SPDX-License-Identifier: Apache-2.0
"""Brokers of others, as they are: Debian's mosquitto, npm's aedes, Debian's nats-server; and ours beside them."""
import os
import shutil
import tempfile
import atexit

from harness import Broker, Child, as_me, free_port

AEDES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "js", "aedes_broker.mjs")
# nats-server wants a store for MQTT, even for QoS 0.
NATS_CONF = """server_name: smqtt-test
listen: "127.0.0.1:-1"
jetstream { store_dir: "%s" }
mqtt { listen: "127.0.0.1:%d" }
"""


class Foreign:
    """One of KINDS, listening on `port` of 127.0.0.1. `versions` are those of `smqtt -V`, the preferred one first.
    `conf`: more lines for mosquitto or smqttd."""

    kind, versions, max_qos = None, ("5", "311"), 2

    def __init__(self, conf=""):
        self.folder = tempfile.mkdtemp(prefix="smqtt-broker-")
        os.chmod(self.folder, 0o777)  # started as root, mosquitto and smqttd run as another user
        atexit.register(shutil.rmtree, self.folder, True)
        self.port, self.conf, self.child = free_port(), conf, None
        self.start()

    def start(self):
        self.child = Child(self.command(), name=self.kind)
        self.child.wait_line(self.ready)

    def restart(self):
        """Ends it and starts it again on the same port: connections are lost, and what it keeps nowhere."""
        self.stop()
        self.start()

    def stop(self):
        self.child.stop()

    def is_running(self):
        return self.child.process.poll() is None

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        return path


class Mosquitto(Foreign):
    kind, ready = "mosquitto", rb" running$"

    def command(self):
        text = "listener %d 127.0.0.1\nallow_anonymous true\n%s\n%s" % (self.port, self.conf, as_me())
        return ["/usr/sbin/mosquitto", "-v", "-c", self.write("mosquitto.conf", text)]


class Aedes(Foreign):
    kind, versions, ready = "aedes", ("311",), rb"^listening on port \d+$"

    def command(self):
        return [shutil.which("node") or "nodejs", AEDES, str(self.port)]


class Nats(Foreign):
    kind, versions, max_qos, ready = "nats", ("311",), 1, rb"Server is ready"

    def command(self):
        text = NATS_CONF % (os.path.join(self.folder, "store"), self.port)
        return [shutil.which("nats-server") or "/usr/sbin/nats-server", "-c", self.write("nats.conf", text)]


class Smqttd(Foreign):
    """Ours, in the same clothes."""

    kind = "smqttd"

    def __init__(self, conf="", workers=None):
        self.broker, self.workers = None, workers
        super().__init__(conf)

    def start(self):
        self.broker = Broker(conf=self.conf, kind="smqttd", port=self.port, workers=self.workers)
        self.child = self.broker.child


KINDS = {each.kind: each for each in (Mosquitto, Aedes, Nats, Smqttd)}
FOREIGN = ("mosquitto", "aedes", "nats")
