#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""smqttd beside Debian's mosquitto (and FlashMQ where it is installed), loaded by the same generator in one run.

Each broker is pinned to processor 0, the generator to processor 1; they take turns, so that what else the machine does
meets all alike; medians of several rounds. Between the markers of docs/performance.md stands what the last whole run
found. QUICK=1: one short round of everything, nothing is written.

  tools/bench_brokers.py BUILD_FOLDER
"""
import datetime
import json
import os
import re
import resource
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
BEGIN, END = "<!-- brokers: begin -->", "<!-- brokers: end -->"
QUICK = os.environ.get("QUICK", "") not in ("", "0")
BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"
SMQTT, SMQTTD = os.path.join(BUILD, "bin/smqtt"), os.path.join(BUILD, "bin/smqttd")
ROUNDS, SECONDS, WARMUP = (1, 0.6, 0.2) if QUICK else (3, 2.0, 0.4)
CONNECTIONS = min(8000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 500)
FILTERS = {"smqttd": 100000 if QUICK else 1000000, "mosquitto": 10000 if QUICK else 100000, "flashmq": 100000}
MESSAGES = 20000 if QUICK else 100000

# Nothing may be lost for want of room, and no log is written: both would measure something else.
MOSQUITTO = """listener {port} 127.0.0.1
allow_anonymous true
persistence false
max_inflight_messages 0
max_queued_messages 0
log_type error
"""
FLASHMQ = """allow_anonymous true
log_level error
thread_count {workers}
max_qos_msg_pending_per_client 65535
listen {{
  protocol mqtt
  port {port}
}}
"""

FLOWS = [("fan-in", 50, 0, 100), ("fan-in", 50, 1, 100), ("fan-in", 50, 2, 100),
         ("fan-out", 500, 0, 100), ("fan-out", 500, 1, 100),
         ("pairs", 100, 0, 100), ("pairs", 100, 1, 100), ("pairs", 100, 2, 100),
         ("latency", 100, 1, 1)]
NAMES = {"fan-in": "fan-in %d → 1", "fan-out": "fan-out 1 → %d", "pairs": "%d pairs",
         "latency": "%d pairs, one message at a time"}


def say(text):
    print(text, file=sys.stderr, flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Broker:
    """One broker, running until the end of `with`."""

    def __init__(self, kind, workers=1, pinned=True):
        self.kind, self.port = kind, free_port()
        self.folder = tempfile.mkdtemp(prefix="smqtt-bench-")
        text = (FLASHMQ if kind == "flashmq" else MOSQUITTO).format(port=self.port, workers=workers)
        path = os.path.join(self.folder, "broker.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        argv = {"smqttd": [SMQTTD, "-c", path] + (["--workers", str(workers)] if has_workers() else []),
                "mosquitto": [mosquitto(), "-c", path], "flashmq": ["flashmq", "--config-file", path]}[kind]
        self.process = subprocess.Popen((["taskset", "-c", "0"] if pinned else []) + argv,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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
        shutil.rmtree(self.folder, True)

    def load(self, scenario, *flags, pinned=True):
        """What smqtt bench says about it."""
        argv = [SMQTT, "bench", scenario, "-V", "4", "-h", "127.0.0.1", "-p", str(self.port), "--broker-pid",
                str(self.process.pid), "--json", "-"] + [str(flag) for flag in flags]
        done = subprocess.run((["taskset", "-c", "1"] if pinned else []) + argv, capture_output=True, text=True,
                              timeout=600, check=False)
        if done.returncode != 0:
            raise SystemExit("failed: %s\n%s" % (" ".join(argv), done.stderr))
        result = json.loads(done.stdout)
        counted = result["messages"]
        for trouble in ("lost", "duplicate", "out_of_order", "connections_failed", "unexpected_packets"):
            if counted[trouble]:
                words = " ".join(map(str, flags))
                say("    %s: %s %s: %d %s" % (self.kind, scenario, words, counted[trouble], trouble))
        return result


def mosquitto():
    return shutil.which("mosquitto") or "/usr/sbin/mosquitto"


def has_workers():
    return "--workers" in subprocess.run([SMQTTD, "--help"], capture_output=True, text=True, check=False).stdout


def phase(result, name):
    return next(p for p in result["phases"] if p["name"] == name)


def middle(values):
    return statistics.median(values)


def short(value):
    """Three digits that count."""
    if value is None:
        return "–"
    for limit, unit in ((1e6, " M"), (1e3, " k")):
        if value >= limit:
            return "%.3g%s" % (value / limit, unit) if value / limit < 1000 else "%.0f%s" % (value / limit, unit)
    return "%.3g" % value


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


# --- messages on their way ------------------------------------------------------------------------------------------


def mover(scenario, clients, qos, window):
    program = next((os.path.join(at, "mover") for at, _, files in os.walk(BUILD) if "mover" in files), None)
    if program is None or qos == 2:
        return None
    name = "pairs" if scenario == "latency" else scenario
    size = 64 + 2 + 2 + len("bench/pair/10" if name == "pairs" else "bench/flow") + (2 if qos else 0)
    words = [program, name, clients, qos, window, size, SECONDS]
    return float(subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=60,
                                check=True).stdout.split()[0])


def measure_flow(kinds, scenario, clients, qos, window):
    """Per kind: deliveries per CPU second, per second, p99; and what the mover moves."""
    found = {kind: [] for kind in kinds}
    moved = []
    for _ in range(ROUNDS):
        for kind in kinds:
            with Broker(kind) as broker:
                found[kind].append(broker.load(scenario, "-c", clients, "-q", qos, "-F", window, "--duration", SECONDS,
                                               "--warmup", WARMUP))
        moved.append(mover(scenario, clients, qos, window))
    out = {kind: {"cpu": middle([phase(r, "publish")["per_cpu_second"] for r in rs]),
                  "wall": middle([phase(r, "publish")["per_second"] for r in rs]),
                  "p99": middle([r["latency_us"]["p99"] for r in rs])} for kind, rs in found.items()}
    return out, middle(moved) if None not in moved else None


def flows(kinds):
    rows = []
    for scenario, clients, qos, window in FLOWS:
        out, moved = measure_flow(kinds, scenario, clients, qos, window)
        ours, theirs = out["smqttd"], out["mosquitto"]
        name = NAMES[scenario] % clients + ", QoS %d" % qos
        say("  %s: %.1f times mosquitto" % (name, ours["cpu"] / theirs["cpu"]))
        row = [name] + [short(out[kind]["cpu"]) for kind in kinds]
        row += ["**%.1f**" % (ours["cpu"] / theirs["cpu"])]
        row += ["%.1f" % (ours["cpu"] / out["flashmq"]["cpu"])] if "flashmq" in kinds else []
        row += [short(moved), "%.2f" % (ours["cpu"] / moved) if moved else "–",
                "%s / %s" % (short(theirs["wall"]), short(ours["wall"])),
                "%.2f / %.2f" % (theirs["p99"] / 1000, ours["p99"] / 1000)]
        rows.append(row)
    head = ["deliveries per broker-CPU second"] + list(kinds) + ["smqttd : mosquitto"]
    head += ["smqttd : flashmq"] if "flashmq" in kinds else []
    head += ["byte mover", "smqttd : mover", "per second, mosquitto / smqttd", "p99 ms, mosquitto / smqttd"]
    return table(head, rows)


def pace(kinds):
    """Latency where nobody is at the limit."""
    rows = []
    for qos in (0, 1):
        cells = []
        for kind in kinds:
            found = []
            for _ in range(ROUNDS):
                with Broker(kind) as broker:
                    found.append(broker.load("pairs", "-c", 100, "-q", qos, "--rate", 10000, "--duration", SECONDS,
                                             "--warmup", WARMUP)["latency_us"])
            cells.append("%.0f / %.0f" % (middle([f["p50"] for f in found]), middle([f["p99"] for f in found])))
        rows.append(["100 pairs, QoS %d, 10,000 messages per second: p50 / p99, µs" % qos] + cells)
    return rows


# --- what stays ------------------------------------------------------------------------------------------------------


def idle(kind):
    with Broker(kind) as broker:
        result = broker.load("conn", "-c", CONNECTIONS, "-i", 0, "-k", 60, "--duration", 0.3)
    return phase(result, "connect")["bytes_each"]


def storm(kind):
    with Broker(kind) as broker:
        result = broker.load("connects", "-c", 64, "--duration", SECONDS)
    return phase(result, "connect")["per_second"], phase(result, "connect")["per_cpu_second"]


def subscriptions(kind):
    with Broker(kind) as broker:
        result = broker.load("subscriptions", "--filters", FILTERS[kind], "--duration", SECONDS)
    made = phase(result, "subscribe")
    return made["cpu_seconds"], made["bytes_each"], phase(result, "publish")["per_cpu_second"]


def retained(kind):
    with Broker(kind) as broker:
        result = broker.load("retained", "--messages", MESSAGES, "-q", 1)
    return (phase(result, "store")["bytes_each"], phase(result, "store")["per_cpu_second"],
            phase(result, "fetch")["per_cpu_second"])


def rest(kinds):
    rows = pace(kinds)
    say("  latency at a rate: done")
    rows.append(["memory per idle connection, %d of them, bytes" % CONNECTIONS] + ["%.0f" % idle(k) for k in kinds])
    storms = [storm(k) for k in kinds]
    rows.append(["connections made and ended, per second"] + [short(s[0]) for s in storms])
    rows.append(["the same, per broker-CPU second"] + [short(s[1]) for s in storms])
    say("  connections: done")
    subs = [subscriptions(k) for k in kinds]
    rows.append(["different filters of one client"] + ["{:,}".format(FILTERS[k]) for k in kinds])
    rows.append(["CPU seconds to subscribe to them"] + ["%.2f" % s[0] for s in subs])
    rows.append(["memory per filter, bytes"] + ["%.0f" % s[1] for s in subs])
    rows.append(["deliveries per broker-CPU second among them, QoS 0"] + [short(s[2]) for s in subs])
    say("  subscriptions: done")
    kept = [retained(k) for k in kinds]
    rows.append(["memory per retained message of 64 bytes, {:,} of them, bytes".format(MESSAGES)] +
                ["%.0f" % r[0] for r in kept])
    rows.append(["retained messages stored per broker-CPU second, QoS 1"] + [short(r[1]) for r in kept])
    rows.append(["retained messages fetched per broker-CPU second, QoS 1"] + [short(r[2]) for r in kept])
    say("  retained messages: done")
    return table([""] + list(kinds), rows)


# --- many workers ----------------------------------------------------------------------------------------------------


def workers():
    counts = (1, 2, 4) if has_workers() else (1,)
    rows = []
    for scenario, clients, qos in (("fan-in", 50, 0), ("fan-in", 50, 1), ("fan-out", 500, 0), ("pairs", 100, 0),
                                   ("pairs", 100, 1)):
        found = {n: [] for n in counts}
        for _ in range(ROUNDS):
            for n in counts:
                with Broker("smqttd", n, pinned=False) as broker:
                    result = broker.load(scenario, "-c", clients, "-q", qos, "--duration", SECONDS, "--warmup", WARMUP,
                                         pinned=False)
                found[n].append(1e6 / phase(result, "publish")["per_cpu_second"])
        one = middle(found[1])
        rows.append([NAMES[scenario] % clients + ", QoS %d" % qos] +
                    ["%.3f (%.2f)" % (middle(found[n]), middle(found[n]) / one) for n in counts])
    say("  workers: done")
    return table(["CPU µs per delivery (times one worker)"] +
                 ["%d worker%s" % (n, "s" if n > 1 else "") for n in counts], rows)


# --- the page --------------------------------------------------------------------------------------------------------


def machine():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        model = re.search(r"^model name\s*:\s*(.*)$", f.read(), re.M)
    name = model.group(1) if model else "unknown"
    return "%s, %d processors, Linux %s, %s, load before the run %.1f" % (
        name, os.cpu_count(), os.uname().release, datetime.date.today(), os.getloadavg()[0])


def version_of(kind):
    argv = {"smqttd": [SMQTTD, "--version"], "mosquitto": [mosquitto(), "-h"], "flashmq": ["flashmq", "--version"]}
    out = subprocess.run(argv[kind], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\d+\.\d+\.\d+", out)
    return "%s %s" % (kind, found.group() if found else "")


def write(text):
    with open(PAGE, encoding="utf-8") as f:
        page = f.read()
    head, _, tail = page.partition(BEGIN)
    tail = tail.partition(END)[2]
    with open(PAGE, "w", encoding="utf-8") as f:
        f.write(head + BEGIN + "\n" + text + END + tail)


def main():
    if os.cpu_count() < 2 or not os.access(mosquitto(), os.X_OK):
        say("left out: brokers side by side need two processors and Debian's mosquitto")
        return
    kinds = ["mosquitto", "smqttd"] + (["flashmq"] if shutil.which("flashmq") else [])
    started = time.monotonic()
    where = machine()
    first, second, third = flows(kinds), rest(kinds), workers()
    text = "%s. %s%s. Medians of %d round%s of %g s.\n\n" % (
        where, ", ".join(version_of(k) for k in kinds),
        "" if "flashmq" in kinds else "; FlashMQ is not installed and was not measured", ROUNDS,
        "s" if ROUNDS > 1 else "", SECONDS)
    text += first + "\n" + second + "\n"
    text += "Not pinned, generator and workers on the same processors:\n\n" + third
    text += "\nBrokers: `taskset -c 0`, with\n\n```\n" + MOSQUITTO.format(port="PORT") + "```\n\n"
    text += "Generator: `taskset -c 1 smqtt bench SCENARIO -V 4 -c N -q QOS -F WINDOW --duration %g --warmup %g " \
            "--broker-pid PID`.\n" % (SECONDS, WARMUP)
    print(text)
    say("%.0f s" % (time.monotonic() - started))
    if not QUICK and BEGIN in open(PAGE, encoding="utf-8").read():
        write(text)


main()
