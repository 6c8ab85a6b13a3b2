# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests have in common: a broker, raw MQTT over sockets, Debian's mosquitto clients, Paho.

A test file is a script that ends with main(test_a, test_b, ...). Each function gets a broker of its own, is left by an
assertion when something is wrong, and the broker must then end with code 0. Exit codes: 0, 1, 77 (skipped).

  SMQTT_BIN          folder with smqttd
  SMQTT_E2E_BROKER   smqttd (default), or mosquitto to try the tests themselves against Debian's broker
  SMQTT_WORKERS      smqttd --workers N; without it as many as smqttd takes by itself
"""
import atexit
import ctypes
import faulthandler
import inspect
import os
import pwd
import queue
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

BIN = os.path.abspath(os.environ.get("SMQTT_BIN", "build/bin"))
KIND = os.environ.get("SMQTT_E2E_BROKER", "smqttd")
WORKERS = os.environ.get("SMQTT_WORKERS")
SKIPPED = 77
PATIENCE = 30  # seconds: only a test that fails waits so long, however much else the machine has to do
LONGEST = 280  # seconds: a test beside others that takes so long is ended, and says where it was
V31, V311, V5 = 3, 4, 5
CLI_VERSIONS = {V31: "mqttv31", V311: "mqttv311", V5: "mqttv5"}
CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE = 1, 2, 3, 4, 5, 6, 7, 8
SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = 9, 10, 11, 12, 13, 14, 15
_libc = ctypes.CDLL(None)

# What programs keep for their user is not that of whoever runs the tests.
os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp(prefix="smqtt-home-")
atexit.register(shutil.rmtree, os.environ["XDG_CONFIG_HOME"], True)


def skip(why):
    print("skipped: " + why)
    sys.exit(SKIPPED)


def is_smqttd():
    return KIND == "smqttd"


def wait_until(is_true, seconds, what):
    """Asks is_true() until it holds."""
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, "after %s s still not: %s" % (seconds, what)
        time.sleep(0.01)


_ports = []  # one socket for each that was given away, so that no test beside this one gets it as well


def free_port():
    """One that no client of anybody gets meanwhile: below those that the kernel gives away."""
    while True:
        port = random.SystemRandom().randrange(10240, 32768)
        mine = socket.socket(socket.AF_UNIX)
        with socket.socket() as s:
            try:
                mine.bind("\0smqtt-test-port-%d" % port)
                s.bind(("0.0.0.0", port))
            except OSError:
                mine.close()
                continue
        _ports.append(mine)
        return port


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
            return True
    except OSError:
        return False


# --- children -----------------------------------------------------------------------------------------------------


class Child:
    """A program whose output is collected by lines. It never outlives the test. `stdin`: the bytes of its standard
    input, or subprocess.PIPE for one that the test writes to."""

    alive = []

    def __init__(self, argv, stdin=None, preexec=None, name=None, env=None):
        def before():
            _libc.prctl(1, signal.SIGKILL)
            if preexec:
                preexec()

        self.argv, self.name = argv, name or os.path.basename(argv[0])
        self.lines, self.cond = [], threading.Condition()
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=before,
                                        env=env)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        Child.alive.append(self)
        if stdin not in (None, subprocess.PIPE):
            self.process.stdin.write(stdin)
            self.process.stdin.close()

    def _read(self):
        for line in self.process.stdout:
            with self.cond:
                self.lines.append(line.rstrip(b"\r\n"))
                self.cond.notify_all()

    def wait_line(self, pattern, seconds=PATIENCE, count=1):
        """The match of the count-th line that has the pattern (bytes)."""
        end = time.monotonic() + seconds
        with self.cond:
            while True:
                hits = [m for m in (re.search(pattern, line) for line in self.lines) if m]
                if len(hits) >= count:
                    return hits[count - 1]
                left = end - time.monotonic()
                assert left > 0, "%s: no line %r within %s s, %d of %d" % (self.name, pattern, seconds, len(hits),
                                                                          count)
                self.cond.wait(min(left, 0.1))
                assert self.process.poll() is None or self.reader.is_alive() or self._has(pattern, count), \
                    "%s ended with %s before a line %r" % (self.name, self.process.returncode, pattern)

    def until_quiet(self, seconds=0.5):
        """Until it has said nothing for so long."""
        n = -1
        while n != len(self.lines):
            n = len(self.lines)
            time.sleep(seconds)

    def _has(self, pattern, count):
        return len([1 for line in self.lines if re.search(pattern, line)]) >= count

    def wait(self, seconds=PATIENCE):
        """Its exit code."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError("%s still runs after %s s" % (self.name, seconds)) from None
        self.reader.join(2)
        return code

    def stop(self, sig=signal.SIGTERM, seconds=PATIENCE):
        if self.process.poll() is None:
            self.process.send_signal(sig)
        return self.wait(seconds)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def text(self):
        return b"\n".join(self.lines).decode("utf-8", "backslashreplace")


@atexit.register
def kill_children():
    for child in Child.alive:
        child.kill()


# --- brokers ------------------------------------------------------------------------------------------------------


def is_sanitized():
    """Is the program under test built with a sanitizer, which needs more memory and time?"""
    with open(program("smqttd"), "rb") as f:
        return b"__asan_" in f.read()


def as_me():
    """The directive with which a broker that root starts stays root, and can read what the test wrote."""
    return "user %s\n" % pwd.getpwuid(os.getuid()).pw_name


class Broker:
    """smqttd (or Debian's mosquitto), started and listening. `conf` is the text of a configuration file behind the
    line with the listener; without it smqttd runs as `smqttd -p 0`. `kind`: as SMQTT_E2E_BROKER; `port`: 0 for a free
    one."""

    def __init__(self, conf=None, preexec=None, workers=None, kind=None, port=0):
        self.folder = tempfile.mkdtemp(prefix="smqtt-e2e-")
        os.chmod(self.folder, 0o777)  # started as root, the broker runs as another user
        atexit.register(shutil.rmtree, self.folder, True)
        self.port = self.port6 = 0
        if (kind or KIND) == "smqttd":
            argv = [program("smqttd"), "-p", "0"]
            if conf is not None:
                self.port = port or free_port()
                argv = [program("smqttd"), "-c", self.write("smqttd.conf", self._conf(conf))]
            workers = workers or WORKERS
            argv += ["--workers", str(workers)] if workers else []
        else:
            self.port = port or free_port()
            argv = ["/usr/sbin/mosquitto", "-v", "-c", self.write("mosquitto.conf", self._conf(conf or ""))]
        self.child = Child(argv, preexec=preexec, name="broker")
        self.child.wait_line(rb" running(\"})?$")
        opened = rb"Opening ipv%d listen socket on port (\d+)"
        self.port = int(self.child.wait_line(opened % 4).group(1))
        self.port6 = self.port
        if has_ipv6():
            self.port6 = int(self.child.wait_line(opened % 6).group(1))

    def _conf(self, text):
        return "listener %d\nallow_anonymous true\n%s\n%s" % (self.port, text, as_me())

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.child.process.pid, encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def is_running(self):
        return self.child.process.poll() is None


def program(name):
    path = os.path.join(BIN, name)
    if not os.access(path, os.X_OK):
        raise SystemExit("%s is missing: build it, or set SMQTT_BIN to the folder of the programs." % path)
    return path


def tool(name):
    """A program, or library, that is built for the tests only."""
    return os.path.join(os.path.abspath(BIN), os.pardir, "tests", "tools", name)


# --- raw MQTT -----------------------------------------------------------------------------------------------------


def to_bytes(text):
    return text.encode("utf-8") if isinstance(text, str) else text


def string(text):
    data = to_bytes(text)
    return struct.pack(">H", len(data)) + data


def varint(value):
    out = bytearray()
    while True:
        value, low = divmod(value, 128)
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def packet(first, body=b""):
    return bytes([first]) + varint(len(body)) + body


def props(version, data=b""):
    return varint(len(data)) + data if version == V5 else b""


def user_property(name, value):
    return b"\x26" + string(name) + string(value)


def connect_packet(version=V311, client_id="", clean=True, keep_alive=60, will=None, user=None, password=None,
                   properties=b"", will_properties=b""):
    """will: (topic, payload, qos, retain)"""
    flags, body = 0x02 if clean else 0, b""
    body += string(client_id)
    if will:
        flags |= 0x04 | will[2] << 3 | (0x20 if will[3] else 0)
        body += props(version, will_properties) + string(will[0]) + string(will[1])
    if user is not None:
        flags |= 0x80
        body += string(user)
    if password is not None:
        flags |= 0x40
        body += string(password)
    name = "MQIsdp" if version == V31 else "MQTT"
    return packet(0x10, string(name) + bytes([version, flags]) + struct.pack(">H", keep_alive) +
                  props(version, properties) + body)


def publish_packet(version, topic, payload=b"", qos=0, retain=False, dup=False, packet_id=1, properties=b""):
    body = string(topic) + (struct.pack(">H", packet_id) if qos else b"") + props(version, properties)
    return packet(0x30 | (8 if dup else 0) | qos << 1 | (1 if retain else 0), body + to_bytes(payload))


def subscribe_packet(version, topic_filter, options=0, packet_id=1, properties=b""):
    return packet(0x82, struct.pack(">H", packet_id) + props(version, properties) + string(topic_filter) +
                  bytes([options]))


def unsubscribe_packet(version, topic_filter, packet_id=1, properties=b""):
    return packet(0xA2, struct.pack(">H", packet_id) + props(version, properties) + string(topic_filter))


class Packet:
    def __init__(self, first, body):
        self.type, self.flags, self.body = first >> 4, first & 15, body

    def __repr__(self):
        return "packet %d flags %d: %s%s" % (self.type, self.flags, self.body[:40].hex(), "…" * (len(self.body) > 40))

    def publish(self, version):
        """(topic, payload, qos, retain, dup, packet id) of a PUBLISH, as bytes, without its properties."""
        assert self.type == PUBLISH, "a PUBLISH was awaited: %r" % self
        at = 2 + struct.unpack_from(">H", self.body)[0]
        topic, qos, packet_id = self.body[2:at], self.flags >> 1 & 3, 0
        if qos:
            packet_id = struct.unpack_from(">H", self.body, at)[0]
            at += 2
        if version == V5:
            size, at = read_varint(self.body, at)
            at += size
        return topic, self.body[at:], qos, bool(self.flags & 1), bool(self.flags & 8), packet_id


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at


class Raw:
    """A connection that sends what it is told to."""

    early = []  # packets that came before the one that was waited for; each connection makes its own

    def __init__(self, broker, host="127.0.0.1", receive_buffer=None):
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect((host, broker.port6 if ":" in host else broker.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.version = b"", V311

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        """False when the other side has already closed."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def _fill(self, seconds):
        self.socket.settimeout(max(seconds, 0.001))
        try:
            data = self.socket.recv(1 << 18)
        except (ConnectionResetError, BrokenPipeError):
            data = b""
        self.buffer += data
        return bool(data)

    def _take(self):
        if self.early:
            return self.early.pop(0)
        if len(self.buffer) < 2:
            return None
        try:
            size, at = read_varint(self.buffer, 1)
        except IndexError:
            return None
        if len(self.buffer) < at + size:
            return None
        found = Packet(self.buffer[0], self.buffer[at:at + size])
        self.buffer = self.buffer[at + size:]
        return found

    def packet(self, seconds=PATIENCE, kind=None):
        """The next packet; None when the other side closed."""
        end = time.monotonic() + seconds
        while True:
            found = self._take()
            if found:
                assert kind is None or found.type == kind, "a packet of type %d was awaited: %r" % (kind, found)
                return found
            try:
                more = self._fill(end - time.monotonic())
            except socket.timeout:
                raise AssertionError("no packet within %s s" % seconds) from None
            if not more:
                assert kind is None, "a packet of type %d was awaited, the connection was closed" % kind
                return None

    def connect(self, version=V311, **fields):
        """Sends CONNECT; the CONNACK, which must be a success."""
        self.version = version
        # MQTT 3.1 knows no empty identifier.
        fields.setdefault("client_id", "raw-%d" % id(self))
        self.send(connect_packet(version, **fields))
        connack = self.packet(kind=CONNACK)
        assert connack.body[1] == 0, "refused: %r" % connack
        return connack

    def subscribe(self, topic_filter, options=0, packet_id=1):
        self.send(subscribe_packet(self.version, topic_filter, options, packet_id))
        suback = self.packet()
        early = []
        while suback and suback.type == PUBLISH:  # allowed by section 3.8.4; comes with several workers
            early.append(suback)
            suback = self.packet()
        self.early = self.early + early
        assert suback and suback.type == SUBACK, "SUBACK was awaited: %r" % suback
        assert suback.body[-1] == options & 3, "not subscribed: %r" % suback
        return self

    def publish(self, topic, payload=b"", **fields):
        return self.send(publish_packet(self.version, topic, payload, **fields))

    def is_healthy(self):
        self.send(b"\xc0\x00")
        self.packet(kind=PINGRESP)

    def until_now(self):
        """The packets of what all workers have said until now: the worker of this connection reads it before the first
        answer leaves, so it stands before the second one."""
        found = []
        for _ in range(2):
            self.send(b"\xc0\x00")
            packet = self.packet()
            while packet.type != PINGRESP:
                found.append(packet)
                packet = self.packet()
        return found

    def expect_close(self, seconds=PATIENCE):
        """The packets that came before the other side closed."""
        packets, end = [], time.monotonic() + seconds
        while True:
            try:
                found = self.packet(end - time.monotonic())
            except AssertionError:
                raise AssertionError("the connection is still open after %s s" % seconds) from None
            if found is None:
                return packets
            packets.append(found)

    def expect_nothing(self, seconds=0.2):
        try:
            found = self.packet(seconds)
        except AssertionError:
            return
        raise AssertionError("nothing was awaited: %r" % found)

    def disconnect(self):
        self.send(b"\xe0\x00")
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Closes as a crashed machine would."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


# --- mosquitto_pub and mosquitto_sub ---------------------------------------------------------------------------------


def mosquitto_sub(broker, *args, version=V311, host="127.0.0.1"):
    """A subscriber that is subscribed; each message is a line `MSG topic|qos|retain|payload`."""
    child = Child(["stdbuf", "-oL", "mosquitto_sub", "-h", host, "-p", str(port_of(broker, host)), "-V",
                   CLI_VERSIONS[version], "-d", "-F", "MSG %t|%q|%r|%p", *args], name="mosquitto_sub")
    child.wait_line(rb"^Subscribed ")
    return child


def messages(child):
    with child.cond:
        return [line[4:] for line in child.lines if line.startswith(b"MSG ")]


def wait_messages(child, wanted, seconds=PATIENCE):
    """The messages must become exactly these (`topic|qos|retain|payload`), in this order."""
    wanted = [to_bytes(w) for w in wanted]
    end = time.monotonic() + seconds
    while messages(child) != wanted and time.monotonic() < end:
        time.sleep(0.01)
    assert messages(child) == wanted, "%s got %r, not %r" % (child.name, messages(child), wanted)


def mosquitto_pub(broker, *args, version=V311, host="127.0.0.1", stdin=None, code=0):
    child = Child(["mosquitto_pub", "-h", host, "-p", str(port_of(broker, host)), "-V", CLI_VERSIONS[version], *args],
                  stdin=stdin, name="mosquitto_pub")
    got = child.wait()
    assert got == code, "mosquitto_pub %s ended with %s: %s" % (args, got, child.text())
    return child


def port_of(broker, host):
    return broker.port6 if ":" in host else broker.port


# --- Paho ---------------------------------------------------------------------------------------------------------


class Paho:
    """A Paho client that is connected when the constructor returns."""

    def __init__(self, broker, version=V311, client_id="", clean=True, expiry=None, will=None, host="127.0.0.1",
                 keep_alive=60):
        try:
            import paho.mqtt.client as paho
            from paho.mqtt.packettypes import PacketTypes
            from paho.mqtt.properties import Properties
        except ImportError:
            skip("python3-paho-mqtt is not installed")
        self.version, self.inbox, self.acks = version, queue.Queue(), queue.Queue()
        self.connects, self.disconnects = queue.Queue(), []
        extra = {"protocol": paho.MQTTv5} if version == V5 else {"protocol": paho.MQTTv311, "clean_session": clean}
        self.client = paho.Client(client_id=client_id, **extra)
        self.client.max_inflight_messages_set(100)
        self.client.on_message = lambda c, u, m: self.inbox.put(m)
        self.client.on_connect = lambda c, u, flags, code, *_: self.connects.put((flags, code))
        self.client.on_disconnect = lambda c, u, code, *_: self.disconnects.append(code)
        self.client.on_subscribe = lambda c, u, mid, codes, *_: self.acks.put((mid, codes))
        self.client.on_unsubscribe = lambda c, u, mid, *_: self.acks.put((mid, None))
        if will:
            self.client.will_set(*will)
        options = {}
        if version == V5:
            options["clean_start"] = clean
            if expiry is not None:
                options["properties"] = Properties(PacketTypes.CONNECT)
                options["properties"].SessionExpiryInterval = expiry
        self.client.connect(host, port_of(broker, host), keep_alive, **options)
        self.client.loop_start()
        self.flags, code = self.connects.get(timeout=PATIENCE)
        assert code == 0, "Paho was refused: %s" % code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def subscribe(self, topic_filter, qos=0):
        self.client.subscribe(topic_filter, qos)
        _, codes = self.acks.get(timeout=PATIENCE)
        got = getattr(codes[0], "value", codes[0])
        assert got == qos, "not subscribed: %s" % got
        return self

    def unsubscribe(self, topic_filter):
        self.client.unsubscribe(topic_filter)
        self.acks.get(timeout=PATIENCE)

    def publish(self, topic, payload=b"", qos=0, retain=False):
        info = self.client.publish(topic, payload, qos, retain)
        info.wait_for_publish(PATIENCE)
        assert info.is_published(), "not confirmed: %s" % topic

    def receive(self, seconds=PATIENCE):
        """(topic, payload, qos, retain) of the next message."""
        try:
            m = self.inbox.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError("Paho got no message within %s s" % seconds) from None
        return m.topic, m.payload, m.qos, bool(m.retain)

    def expect_nothing(self, seconds=0.2):
        try:
            m = self.inbox.get(timeout=seconds)
        except queue.Empty:
            return
        raise AssertionError("nothing was awaited: %s %r" % (m.topic, m.payload[:80]))

    def drop(self):
        """Ends the connection without DISCONNECT, and does not come back."""
        self.client.loop_stop()
        sock = self.client.socket()
        if sock:
            sock.close()

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


# --- running ------------------------------------------------------------------------------------------------------


def run_one(test, conf, workers):
    """True when it held. A test without parameter starts what it needs by itself."""
    started, broker, failed = time.monotonic(), None, False
    try:
        if inspect.signature(test).parameters:
            broker = Broker(conf, workers=workers)
            test(broker)
            assert broker.child.process.poll() in (None, 0), "the broker is gone"
            code = broker.child.stop()
            assert code == 0, "the broker ended with %s" % code
        else:
            test()
    except Exception:
        failed = True
        traceback.print_exc(file=sys.stdout)
        for child in Child.alive:
            print("--- output of %s" % " ".join(child.argv))
            print(child.text()[-2000:])
    kill_children()
    Child.alive.clear()
    print("%s %s (%.2f s)" % ("FAILED" if failed else "ok", test.__name__, time.monotonic() - started), flush=True)
    return not failed


def leave(code):
    """Ends this process; Paho's threads may still wait for something, so nothing but this runs what was left for the
    end (folders)."""
    sys.stdout.flush()
    kill_children()
    atexit._run_exitfuncs()
    os._exit(code)


def run_alone(test, conf, workers, out):
    """What a process does that was forked for one test: `out` gets all that is said; ends with 0, 1 or SKIPPED."""
    _libc.prctl(1, signal.SIGKILL)
    atexit._clear()  # what was there before is the other process's to remove
    atexit.register(kill_children)
    os.dup2(out.fileno(), 1)
    os.dup2(out.fileno(), 2)
    faulthandler.dump_traceback_later(LONGEST, exit=True)
    try:
        code = 0 if run_one(test, conf, workers) else 1
    except SystemExit as end:
        code = end.code if end.code == SKIPPED else 1
        print("%s %s%s" % ("skipped" if code == SKIPPED else "FAILED", test.__name__,
                           ": %s" % end.code if code == 1 else ""))
    leave(code)


def run_beside(tests, conf, workers, at_once):
    """Each test in a process of its own, so many at once; what each says is shown when it has ended. The exit codes."""
    waiting, running, codes = list(tests), {}, []
    while waiting or running:
        while waiting and len(running) < at_once:
            out = tempfile.TemporaryFile()
            test = waiting.pop(0)
            sys.stdout.flush()
            pid = os.fork()
            if pid == 0:
                run_alone(test, conf, workers, out)
            running[pid] = (test, out)
        pid, status = os.wait()
        test, out = running.pop(pid)
        codes.append(os.waitstatus_to_exitcode(status))
        out.seek(0)
        print(out.read().decode("utf-8", "backslashreplace"), end="")
        if codes[-1] not in (0, 1, SKIPPED):
            print("FAILED %s: its process ended with %d" % (test.__name__, codes[-1]))
        sys.stdout.flush()
        out.close()
    return codes


def main(*tests, conf=None, workers=None, at_once=1):
    """Runs the tests (or those whose names begin as the command line says), each with a broker of its own, and exits.
    workers: so many, whatever the environment says. at_once: so many beside each other, for tests that mostly wait;
    each is a process of its own then, and what one leaves in memory the next does not see."""
    tests = [t for t in tests if len(sys.argv) < 2 or t.__name__.startswith(tuple(sys.argv[1:]))]
    assert tests, "no test is called so"
    if at_once > 1:
        codes = run_beside(tests, conf, workers, at_once)
    else:
        codes = [0 if run_one(t, conf, workers) else 1 for t in tests]
    leave(1 if set(codes) - {0, SKIPPED} else SKIPPED if SKIPPED in codes else 0)
