#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What sealing costs: plain, sealed (S-MQTT end to end) and TLS 1.3 to the broker, through the same broker, in turns.

Through Debian's mosquitto: plain, sealed with both suites (by the tunnel), TLS 1.3 with a throwaway ECDSA P-256
certificate. Through smqttd: plain, sealed natively, sealed by the tunnel. The brokers are pinned to processor 0, the
generator to processor 1. A ratio is the median of the ratios within the rounds: what else the machine does meets all
ways of a round alike. Between the markers of docs/performance.md stands what the last whole run found.
QUICK=1: one short round; ROUNDS=n: other than 5. Neither writes the page.

  tools/bench_overhead.py BUILD_FOLDER
"""
import datetime
import json
import os
import pwd
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = os.path.join(ROOT, "docs/performance.md")
BEGIN, END = "<!-- overhead: begin -->", "<!-- overhead: end -->"
QUICK = os.environ.get("QUICK", "") not in ("", "0")
BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"
SMQTT, SMQTTD = os.path.join(BUILD, "bin/smqtt"), os.path.join(BUILD, "bin/smqttd")
ROUNDS = 1 if QUICK else int(os.environ.get("ROUNDS", "5"))
SECONDS, WARMUP = (0.3, 0.1) if QUICK else (0.7, 0.2)
SETUPS = 3 if QUICK else 25
SIZES = (64, 1024) if QUICK else (16, 64, 256, 1024, 8192)
RATE, RATE_PAIRS, PAIRS, WINDOW, COUNTED = 1000, 10, 20, 100, 500

# Nagle's algorithm is off: otherwise the handshakes measure its 40 ms. Nothing is lost for want of room, no log.
MOSQUITTO = """listener {port} 127.0.0.1
listener {tls} 127.0.0.1
certfile {folder}/broker.pem
keyfile {folder}/broker.key
tls_version tlsv1.3
allow_anonymous true
persistence false
set_tcp_nodelay true
max_inflight_messages 0
max_queued_messages 0
log_type error
user {me}
"""
OURS = """listener {port} 127.0.0.1
allow_anonymous true
max_inflight_messages 0
max_queued_messages 0
log_type error
"""

# name, flags, sizes: the first of a broker is what the others are compared with.
WAYS = {
    "mosquitto": [("plain", (), SIZES), ("sealed, x25519", ("--sealed", "x25519"), SIZES),
                  ("sealed, p256", ("--sealed", "p256"), (64, 8192)), ("TLS 1.3", ("tls",), SIZES)],
    "smqttd": [("plain", (), SIZES), ("sealed, x25519", ("--sealed", "x25519"), SIZES),
               ("sealed, p256", ("--sealed", "p256"), (64, 8192)),
               ("sealed, x25519, tunnel", ("--sealed", "x25519", "--tunnel"), (64,))]}


BUSY = ": **the machine was busy with other work, so only the ratios mean something, and those of latency little: " \
       "p50 and p99 are times of waiting for a processor**"


def say(text):
    print(text, file=sys.stderr, flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def mosquitto():
    return shutil.which("mosquitto") or "/usr/sbin/mosquitto"


def make_certificates(folder):
    def run(*argv):
        subprocess.run(argv, check=True, capture_output=True, cwd=folder)

    for name in ("ca", "broker"):
        run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", name + ".key")
    run("openssl", "req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=ca", "-days", "2", "-out", "ca.pem")
    run("openssl", "req", "-new", "-key", "broker.key", "-subj", "/CN=localhost", "-out", "broker.csr")
    with open(os.path.join(folder, "names"), "w", encoding="ascii") as f:
        f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    run("openssl", "x509", "-req", "-in", "broker.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
        "-days", "2", "-extfile", "names", "-out", "broker.pem")


class Broker:
    """One broker, running until the end of `with`."""

    def __init__(self, kind, folder):
        self.kind, self.port, self.tls, self.folder = kind, free_port(), free_port(), folder
        path = os.path.join(folder, kind + ".conf")
        text = (MOSQUITTO if kind == "mosquitto" else OURS).format(
            port=self.port, tls=self.tls, folder=folder, me=pwd.getpwuid(os.getuid()).pw_name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        argv = [mosquitto(), "-c", path] if kind == "mosquitto" else [SMQTTD, "-c", path, "--workers", "1"]
        self.process = subprocess.Popen(["taskset", "-c", "0"] + argv, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise SystemExit("%s did not start with this configuration:\n%s" % (kind, text)) from None
                time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def load(self, scenario, way, *flags):
        """What smqtt bench says about it."""
        port, extra = self.port, list(way)
        if "tls" in way:
            port, extra = self.tls, ["--cafile", os.path.join(self.folder, "ca.pem")]
        argv = ["taskset", "-c", "1", SMQTT, "bench", scenario, "-q", 1, "-h", "127.0.0.1", "-p", port, "--broker-pid",
                self.process.pid, "--json", "-", *extra, *flags]
        done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, timeout=600, check=False)
        if done.returncode != 0:
            raise SystemExit("failed: %s\n%s" % (" ".join(map(str, argv)), done.stderr))
        result = json.loads(done.stdout)
        for trouble in ("lost", "duplicate", "connections_failed", "unexpected_packets", "records_refused"):
            if result["messages"][trouble]:
                say("    %s %s: %d %s" % (self.kind, " ".join(map(str, [*way, *flags])), result["messages"][trouble],
                                          trouble))
        return result


def phase(result, name):
    return next(p for p in result["phases"] if p["name"] == name)


# --- what is measured ----------------------------------------------------------------------------------------------


def one_round(broker):
    """{(way, size): figures}, the ways in turn."""
    found = {}
    for size in SIZES:
        for name, flags, sizes in WAYS[broker.kind]:
            if size not in sizes:
                continue
            paced = broker.load("pairs", flags, "-c", RATE_PAIRS, "-s", size, "--rate", RATE, "--duration", SECONDS,
                                "--warmup", WARMUP)
            full = phase(broker.load("pairs", flags, "-c", PAIRS, "-s", size, "-F", WINDOW, "--duration", SECONDS,
                                     "--warmup", WARMUP), "publish")
            found[name, size] = {"p50": paced["latency_us"]["p50"], "p99": paced["latency_us"]["p99"],
                                 "rate": full["per_second"], "broker": 1e6 / full["per_cpu_second"],
                                 "clients": 1e6 * full["own_cpu_seconds"] / full["count"]}
    return found


def count_bytes(broker):
    """{(way, size): (message, all)}: bytes from publisher to broker, and of both links with acknowledgements; one
    message at a time."""
    found = {}
    for size in SIZES:
        for name, flags, sizes in WAYS[broker.kind]:
            if size in sizes:
                each = broker.load("latency", flags, "-s", size, "-L", COUNTED)["bytes_per_message"]
                assert abs(each["publisher_out"] - each["subscriber_in"]) < 0.01, each
                found[name, size] = (each["publisher_out"], sum(each.values()))
    return found


def set_up(broker):
    """{way: (bytes, ms)} of what comes before the first message beside plain connections."""
    runs = {name: [] for name, _, _ in WAYS[broker.kind]}
    for _ in range(SETUPS):
        for name, flags, _ in WAYS[broker.kind]:
            result = broker.load("latency", flags, "-L", 1)
            at = phase(result, "handshake" if "--sealed" in flags else "connect")
            runs[name].append((at["bytes_in"] + at["bytes_out"], 1000 * at["seconds"]))
    out = {name: tuple(statistics.median(column) for column in zip(*rows)) for name, rows in runs.items()}
    plain = out.pop("plain")
    return {name: (b - plain[0], ms - plain[1]) if name == "TLS 1.3" else (b, ms) for name, (b, ms) in out.items()}


# --- tables ----------------------------------------------------------------------------------------------------------


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def number(value):
    return "{:,.0f}".format(value) if value >= 100 else "%.3g" % value


def table_of_bytes(found):
    rows = []
    for size in SIZES:
        base = found["plain", size]
        row = [str(size), number(base[0]), number(base[1])]
        for name in ("sealed, x25519", "sealed, p256", "TLS 1.3"):
            mine = found.get((name, size))
            row += ["–", "–"] if mine is None else [
                "%.1f (%+.1f, ×%.2f)" % (mine[0], mine[0] - base[0], mine[0] / base[0]),
                "%.1f (×%.2f)" % (mine[1], mine[1] / base[1])]
        rows.append(row)
    return table(["payload", "plain: message", "all", "x25519: message", "all", "p256: message", "all",
                  "TLS 1.3: message", "all"], rows)


def table_of_costs(kind, rounds):
    rows = []
    for size in SIZES:
        for name, _, sizes in WAYS[kind]:
            if size not in sizes:
                continue
            mine, base = [r[name, size] for r in rounds], [r["plain", size] for r in rounds]
            row = [str(size), name]
            for column in ("p50", "p99", "rate", "broker", "clients"):
                cell = number(statistics.median(m[column] for m in mine))
                if name != "plain":
                    ratio = statistics.median(m[column] / b[column] for m, b in zip(mine, base))
                    more = statistics.median(m[column] - b[column] for m, b in zip(mine, base))
                    cell += " (%+.0f, ×%.2f)" % (more, ratio) if column in ("p50", "p99") else " (×%.2f)" % ratio
                row.append(cell)
            rows.append(row)
    return table(["payload", "through " + kind, "p50 µs", "p99 µs", "messages/s", "broker CPU µs",
                  "both clients CPU µs"], rows)


def machine():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        model = re.search(r"^model name\s*:\s*(.*)$", f.read(), re.M)
    load = os.getloadavg()[0]
    return "%s, %d processors, Linux %s, %s, load before the run %.1f%s" % (
        model.group(1) if model else "unknown", os.cpu_count(), os.uname().release, datetime.date.today(), load,
        BUSY if load > 1.5 else "")


def version_of(argv):
    out = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    found = re.search(r"\d+\.\d+\.\d+", out)
    return found.group() if found else "of unknown version"


def write(text):
    with open(PAGE, encoding="utf-8") as f:
        page = f.read()
    if BEGIN not in page:
        return
    head, _, tail = page.partition(BEGIN)
    with open(PAGE, "w", encoding="utf-8") as f:
        f.write(head + BEGIN + "\n" + text + END + tail.partition(END)[2])


def measure(folder):
    rounds, counted, setups = {kind: [] for kind in WAYS}, {}, {}
    for kind in WAYS:
        with Broker(kind, folder) as broker:
            counted[kind], setups[kind] = count_bytes(broker), set_up(broker)
    for at in range(ROUNDS):
        for kind in WAYS:
            with Broker(kind, folder) as broker:
                rounds[kind].append(one_round(broker))
        say("  round %d of %d" % (at + 1, ROUNDS))
    return rounds, counted, setups


def main():
    if os.cpu_count() < 2 or not os.access(mosquitto(), os.X_OK):
        say("left out: this needs two processors and Debian's mosquitto")
        return
    started, where = time.monotonic(), machine()
    with tempfile.TemporaryDirectory(prefix="smqtt-bench-") as folder:
        make_certificates(folder)
        rounds, counted, setups = measure(folder)
    text = "%s. mosquitto %s, smqttd %s. QoS 1, MQTT 5.0; medians of %d round%s of %g s.\n\n" % (
        where, version_of([mosquitto(), "-h"]), version_of([SMQTTD, "--version"]), ROUNDS, "s" if ROUNDS > 1 else "",
        SECONDS)
    text += "Bytes on the wire, one message at a time, the first %d of a session. \"Message\" is what goes from " \
            "publisher to broker, and as much from broker to subscriber; \"all\" is both links with their " \
            "acknowledgements:\n\n" % COUNTED
    text += table_of_bytes(counted["mosquitto"])
    same = all(abs(mine[0] - counted["mosquitto"][key][0]) < 0.01
               for key, mine in counted["smqttd"].items() if key in counted["mosquitto"])
    text += "\nThrough smqttd, natively or by the tunnel, they are %s.\n" % (
        "the same" if same else "**not** the same")
    text += "\nLatency at %s messages per second over %d pairs (how much more than plain, and the ratio); then %d " \
            "pairs with a full window of %d: messages per second, and CPU time for each message:\n\n" % (
                "{:,}".format(RATE), RATE_PAIRS, PAIRS, WINDOW)
    text += "\n".join(table_of_costs(kind, rounds[kind]) for kind in WAYS)
    text += "\nBefore the first message, medians of %d: bytes on both links together, and milliseconds. For TLS what " \
            "connecting takes beyond a plain connection:\n\n" % SETUPS
    text += table(["", "bytes", "ms"], [["DETECT, %s, through %s" % (name.replace("sealed, ", ""), kind)
                                         if name != "TLS 1.3" else "TLS 1.3 to mosquitto, publisher and subscriber",
                                         number(found[0]), "%.2f" % found[1]]
                                        for kind in WAYS for name, found in setups[kind].items()])
    print(text)
    say("%.0f s" % (time.monotonic() - started))
    if not QUICK and "ROUNDS" not in os.environ:
        write(text)


main()
