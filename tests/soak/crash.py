#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A broker that is killed with SIGKILL at random moments under load, and started again: every acknowledged message is
there, nothing comes twice at QoS 2 (the load and its account: tests/soak/*.c).

  SMQTT_SOAK   the load generator
  SMQTT_BIN    folder with smqttd
  --rounds N   how often it is killed, 200
  --workers N --qos 1,2 --seed N --messages N
  --change-workers  each start has another number of workers
  --beside-mosquitto  first shows what a kill costs: of 1,000 acknowledged messages for a client that is away, how many
                are gone, with smqttd and with Debian's mosquitto (persistence true)
"""
import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import harness  # noqa: E402

CONF = """listener %d 127.0.0.1
allow_anonymous true
max_queued_messages 0
max_inflight_messages 50
persistence true
persistence_location %s/
"""
OURS = "sys_interval 1\nconnection_messages false\n"
PATIENCE = int(os.environ.get("PATIENCE", "60"))


KILLS_A_RUN = 25  # then the load goes on to its end


class Mortal:
    """A broker that can be killed and started again on the same port and the same data."""

    def __init__(self, workers=1, kind="smqttd"):
        self.folder = tempfile.mkdtemp(prefix="smqtt-crash-")
        os.chmod(self.folder, 0o777)
        self.kind, self.workers, self.port = kind, workers, harness.free_port()
        self.conf = os.path.join(self.folder, "broker.conf")
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(CONF % (self.port, self.folder) + (OURS if kind == "smqttd" else "") + harness.as_me())
        self.start()

    def start(self):
        argv = ["/usr/sbin/mosquitto", "-v", "-c", self.conf]
        if self.kind == "smqttd":
            argv = [harness.program("smqttd"), "-c", self.conf, "--workers", str(self.workers)]
        began = time.monotonic()
        self.child = harness.Child(argv, name="broker")
        self.child.wait_line(rb" running(\"})?$", PATIENCE)
        return time.monotonic() - began

    def kill(self):
        self.child.process.kill()
        self.child.process.wait()
        if self.child in harness.Child.alive:
            harness.Child.alive.remove(self.child)

    def end(self):
        code = self.child.stop(seconds=PATIENCE)
        shutil.rmtree(self.folder, True)
        return code


class Soak:
    """The load, whose words are read by a thread."""

    def __init__(self, port, args, qos, seed):
        argv = [os.environ.get("SMQTT_SOAK", "build/tests/soak/soak"), "--port", str(port), "--qos", str(qos),
                "--seed", str(seed), "--messages", str(args.messages), "--patience", str(PATIENCE), "--mortal"]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.calm = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            if line.strip() == "calm":
                self.calm.set()
            else:
                print(line, end="", flush=True)
        self.calm.set()

    def end(self):
        """The broker lives on from now."""
        self.calm.wait()
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended already
        self.reader.join()
        return self.process.wait() == 0


def run(broker, args, qos, seed, limit):
    """In this thread alone: a broker dies with the thread that started it."""
    rng, kills, slowest = random.Random(seed), 0, 0.0
    soak = Soak(broker.port, args, qos, seed)
    while kills < limit and not soak.calm.wait(rng.uniform(0.05, 0.8)):
        broker.kill()
        kills += 1
        if args.change_workers:
            broker.workers = rng.choice((1, 2, 3, 4))
        slowest = max(slowest, broker.start())
    right = soak.end()
    print("killed %d times, the slowest start took %.2f s" % (kills, slowest), flush=True)
    return right, kills


def lost_of_a_thousand(kind):
    """How many are gone of those that were acknowledged with QoS 1 for a client that was away, after SIGKILL."""
    broker = Mortal(kind=kind)
    with harness.Raw(broker) as away:
        away.connect(client_id="away", clean=False)
        away.subscribe("t", 1)
    with harness.Raw(broker) as publisher:
        publisher.connect(client_id="publisher")
        for i in range(1, 1001):
            publisher.send(harness.publish_packet(harness.V311, "t", b"%d" % i, qos=1, packet_id=i))
        for _ in range(1000):
            publisher.packet(PATIENCE, harness.PUBACK)
    broker.kill()
    broker.start()
    came = set()
    with harness.Raw(broker) as back:
        back.connect(client_id="away", clean=False)
        try:
            while len(came) < 1000:
                message = back.packet(3, harness.PUBLISH)
                came.add(message.body[5:])
                back.send(harness.packet(0x40, message.body[3:5]))
        except AssertionError:
            pass  # no more of them
    broker.end()
    return 1000 - len(came)


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--messages", type=int, default=200000)
    parser.add_argument("--qos", default="1,2")
    parser.add_argument("--seed", type=int, default=random.randrange(1000000))
    parser.add_argument("--change-workers", action="store_true")
    parser.add_argument("--beside-mosquitto", action="store_true")
    return parser.parse_args()


def main():
    args = read_arguments()
    if args.beside_mosquitto:
        for kind in ("smqttd", "mosquitto"):
            print("%s: %d of 1,000 acknowledged messages are gone after SIGKILL" % (kind, lost_of_a_thousand(kind)))
    right, kills, seed = True, 0, args.seed
    broker = Mortal(args.workers)
    while kills < args.rounds and right:
        levels = args.qos.split(",")
        share = min(KILLS_A_RUN, -(-(args.rounds - kills) // len(levels)))
        for qos in levels:
            print("-- qos %s, seed %d, %d workers" % (qos, seed, broker.workers), flush=True)
            ok, n = run(broker, args, int(qos), seed, min(share, args.rounds - kills))
            right, kills = right and ok, kills + n
        seed += 1
    code = broker.end()
    if code != 0 or not right:
        print("smqttd ended with %s; its output:\n%s" % (code, broker.child.text()[-20000:]))
    print("crash: %d kills, %s" % (kills, "right" if right and code == 0 else "WRONG"))
    sys.exit(0 if right and code == 0 else 1)


main()
