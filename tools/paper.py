#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The paper reproduced: `make paper` (docs/paper.md).

    paper.py --bin DIR           plays, attacks and measures; writes docs/paper/*.svg and *.png, and the parts between
                                 markers of docs/paper.md
    paper.py --bin DIR --check   plays and attacks, measures a little, looks at no time and writes nothing: the test

Exit code 0: every attack succeeded against the paper's scheme, every one was refused by S-MQTT 1.0, and what was played
came out as described.
"""
import argparse
import csv
import io
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import hostile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = os.path.join(ROOT, "docs", "paper.md")
PLOTS = os.path.join(ROOT, "docs", "paper")
WAIT_S = 60.0  # only what fails waits so long
faults = []


def verdict(good, what):
    print(("  ok     " if good else "  WRONG  ") + what)
    if not good:
        faults.append(what)


def run(program, *args):
    """What a program prints; a bad exit code is a fault."""
    done = subprocess.run([program, *map(str, args)], stdout=subprocess.PIPE, check=False)
    name = f"{os.path.basename(program)} {' '.join(map(str, args))}"
    if done.returncode != 0:
        faults.append(f"{name} ended with {done.returncode}")
    return done.stdout.decode("utf-8", "replace")


# ---------------------------------------------------------------- attacks

def attack_rows(text):
    rows = [line.split("\t") for line in text.splitlines()]
    return {row[0]: row for row in rows if len(row) == 4}


def attacks(paper, beside):
    """One row for each weakness: id, title, what it got from the paper's scheme, what from 1.0."""
    ours = attack_rows(run(beside, "attacks"))
    theirs = attack_rows(run(paper, "attacks"))
    rows = []
    for key in sorted(theirs, key=lambda k: (int(re.sub(r"\D", "", k)), k)):
        _, state, title, note = theirs[key]
        _, state_10, _, note_10 = ours.get(key, (key, "was not tried", "", ""))
        good = state == "succeeded" and state_10 == "refused"
        verdict(good, f"{key:4} {title}: paper {state}, 1.0 {state_10}")
        print(f"           paper: {note}\n           1.0:   {note_10}")
        rows.append((key, title, note, note_10))
    if not rows or set(ours) != set(theirs):
        faults.append("the two lists of attacks are not of the same weaknesses")
    return rows


# ---------------------------------------------------------------- smqttd, alive

class Broker:
    """An smqttd on a free port."""

    def __init__(self, program):
        self.process = subprocess.Popen([program, "-p", "0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.port = None
        for line in self.process.stdout:
            found = re.search(rb"listen socket on port (\d+)", line)
            if found:
                self.port = int(found.group(1))
                break
        if self.port is None:
            sys.exit("paper.py: smqttd does not listen; run it by hand to see why.")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.stdout.close()
        self.process.wait(WAIT_S)


def packets_until(sock, enough):
    """Packets until `enough` of them is true, (packets, False); or (packets, True) when the connection has ended."""
    data, end = b"", time.monotonic() + WAIT_S
    sock.settimeout(0.2)
    while time.monotonic() < end and not enough(hostile.split(data)):
        try:
            piece = sock.recv(65536)
        except socket.timeout:
            continue
        except ConnectionError:
            return hostile.split(data), True
        if not piece:
            return hostile.split(data), True
        data += piece
    return hostile.split(data), False


def entered(port, client_id, version=5):
    sock = socket.create_connection(("127.0.0.1", port), WAIT_S)
    sock.sendall(hostile.Speaker(version).connect(client_id))
    seen, _ = packets_until(sock, lambda seen: any(header == 0x20 for header, _ in seen))
    if not seen or seen[0][0] != 0x20 or seen[0][1][1] != 0:
        sys.exit(f"paper.py: the broker on port {port} lets {client_id.decode()} not in; run it by hand to see why.")
    return sock


def step0_of(ver):
    """A step 0: 0xD0 as the paper's scheme has it here, 0xD1 with the same length, for nobody's server."""
    if ver == 0xD0:
        return b"\xd0" + bytes(8) + bytes(20) + b"{19360}{15684}" * 12
    stamp = int(time.time() * 1000).to_bytes(8, "big")
    return bytes([0xD1, 1, 4, 0]) + os.urandom(8) + os.urandom(8) + stamp + os.urandom(32) + os.urandom(120)


def answer_to(port, version, ver):
    """What comes of a DETECT packet of version `ver` and a PINGREQ behind it: (packets, was the connection ended)."""
    with entered(port, b"paper-%d-%d" % (version, ver), version) as sock:
        sock.sendall(hostile.packet(0x01, step0_of(ver)) + b"\xc0\x00")
        return packets_until(sock, lambda seen: any(header == 0xD0 for header, _ in seen))  # PINGRESP


def refused_version(port):
    """W22: DETECT 0xD0 ends the connection, 0xD1 does not."""
    for version, name in ((5, "5.0"), (4, "3.1.1")):
        _, ended = answer_to(port, version, 0xD0)
        seen, ended_10 = answer_to(port, version, 0xD1)
        verdict(ended, f"W22  smqttd ends the connection of DETECT 0xD0, the paper's (MQTT {name})")
        verdict(not ended_10 and any(header == 0x02 for header, _ in seen),
                f"W22  smqttd answers DETECT 0xD1 with RETRY, as there is no such server (MQTT {name})")


def other_broker():
    """W22: what a broker of today does with packet type 0."""
    program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    if not os.access(program, os.X_OK):
        print("  --     W22  there is no mosquitto here to show that it ends the connection of any DETECT")
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([program, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        _, ended = answer_to(port, 4, 0xD0)
        verdict(ended, "W22  mosquitto ends the connection of DETECT: through it only a tunnel gets, not the paper")
    finally:
        process.terminate()
        process.wait(WAIT_S)


def poisoned_topic(port):
    """W17: whoever publishes on an ill-formed topic loses his own connection and nobody else's."""
    with entered(port, b"subscriber") as sub, entered(port, b"attacker") as attacker, entered(port, b"good") as good:
        sub.sendall(hostile.packet(0x82, b"\x00\x01\x00" + hostile.text(b"sensors/#") + b"\x00"))
        packets_until(sub, lambda seen: any(header == 0x90 for header, _ in seen))
        attacker.sendall(hostile.packet(0x30, hostile.text(hostile.BAD) + b"\x00poison"))
        _, gone = packets_until(attacker, lambda seen: False)
        good.sendall(hostile.packet(0x30, hostile.text(b"sensors/1") + b"\x00good"))
        seen, cut = packets_until(sub, lambda seen: any(header == 0x30 for header, _ in seen))
    got = [body for header, body in seen if header == 0x30]
    verdict(gone, "W17  smqttd ends the connection of whoever publishes on 'sensors/C3 28'")
    verdict(not cut and len(got) == 1 and got[0].endswith(b"good"),
            "W17  the subscriber keeps its connection and gets the next good message, and no other")


def alive(program):
    broker = Broker(program)
    try:
        refused_version(broker.port)
        poisoned_topic(broker.port)
    finally:
        broker.stop()
    other_broker()


# ---------------------------------------------------------------- measuring

def measured(program, *args):
    rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(io.StringIO(run(program, *args)))]
    if len(rows) < 2 or rows[0]["bytes"] != 2 or rows[-1]["bytes"] > 200 or min(r["wire"] for r in rows) < 2:
        faults.append(f"{os.path.basename(program)} {args[0]}: these are no measurements of 2 to 200 bytes")
    return rows


def measurements(paper, beside, step, reps):
    return {"paper": measured(paper, "measure", step, max(1, reps // 10)),
            "smqtt": measured(beside, "measure", step, reps),
            "tls": measured(beside, "tls", step, reps)}


CURVES = (("paper", "the paper's scheme", "#d62728"), ("smqtt", "S-MQTT 1.0", "#1f77b4"),
          ("tls", "TLS 1.3", "#2ca02c"))
PLOTTED = (
    ("fig4", "prepare_s", "Figure 4: before the first message", "seconds", 1.0),
    ("fig5", "encrypt_s", "Figure 5: encrypting", "microseconds", 1e6),
    ("fig6", "decrypt_s", "Figure 6: decrypting", "microseconds", 1e6),
    ("sizes", "wire", "On the wire", "bytes", 1.0),
)


def plot(data, name, column, title, unit, scale):
    out = []
    for key, _, _ in CURVES:
        out += [f"${key} << EOD", *(f"{r['bytes']:.0f} {r[column] * scale:.6g}" for r in data[key]), "EOD"]
    more = ""
    if column == "wire":
        out += ["$one << EOD", *(f"{r['bytes']:.0f} {r['wire_one_k']:.0f}" for r in data["paper"]), "EOD"]
        more = ", $one with linespoints pt 6 ps 0.4 lc rgb '#ff9896' title 'the same with one k for all bytes'"
    out += [f"set title '{title}'", "set xlabel 'bytes of the message'", f"set ylabel '{unit}'", "set logscale y",
            "set grid", "set bmargin 6", "set key at screen 0.5,0.02 center bottom horizontal", "set xrange [0:205]"]
    curves = ", ".join(f"${key} with linespoints pt 7 ps 0.4 lc rgb '{color}' title \"{label}\""
                       for key, label, color in CURVES)
    for terminal, suffix in (("svg size 720,440 background 'white'", "svg"), ("pngcairo size 1440,880", "png")):
        path = os.path.join(PLOTS, f"{name}.{suffix}")
        script = "\n".join([f"set terminal {terminal}", f"set output '{path}'"] + out + [f"plot {curves}{more}", ""])
        done = subprocess.run(["gnuplot"], input=script.encode(), stderr=subprocess.PIPE, check=False)
        if done.returncode != 0 or not os.path.exists(path) or os.path.getsize(path) == 0:
            faults.append(f"gnuplot did not draw {path}: {done.stderr.decode('utf-8', 'replace')[-300:]}")
            continue
        if suffix == "svg":
            with open(path, encoding="utf-8") as svg:
                text = svg.read()
            with open(path, "w", encoding="utf-8") as svg:  # the same bytes on every machine with the same figures
                svg.write("\n".join(line.rstrip() for line in text.splitlines()) + "\n")


def at(rows, size):
    return min(rows, key=lambda r: abs(r["bytes"] - size))


def us(value):
    return f"{value * 1e6:,.1f}" if value < 1e-4 else f"{value * 1e6:,.0f}"


def figures_table(data):
    lines = ["| | bytes | the paper's scheme | S-MQTT 1.0 | TLS 1.3 | paper / 1.0 |", "|---|---|---|---|---|---|"]
    delays = (("prepare_s", "before the first message, µs", (200,)), ("encrypt_s", "encrypting, µs", (2, 200)),
              ("decrypt_s", "decrypting, µs", (2, 200)))
    for column, label, size in ((column, label, size) for column, label, sizes in delays for size in sizes):
        values = [at(data[key], size)[column] for key, _, _ in CURVES]
        lines.append(f"| {label} | {size} | " + " | ".join(map(us, values)) + f" | {values[0] / values[1]:,.0f} |")
    for size in (2, 200):
        values = [at(data[key], size)["wire"] for key, _, _ in CURVES]
        lines.append(f"| on the wire, bytes | {size} | " + " | ".join(f"{v:,.0f}" for v in values) +
                     f" | {values[0] / values[1]:,.1f} |")
    one = [at(data["paper"], size)["wire_one_k"] for size in (2, 200)]
    lines.append("")
    lines.append("With one k for all bytes, which gives one number for a byte as printed in the paper, the ciphertexts "
                 f"have {one[0]:,.0f} to {one[1]:,.0f} bytes.")
    return "\n".join(lines)


# ---------------------------------------------------------------- the page

def first_line(path, pattern):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            found = re.search(pattern, f.read(), re.M)
    except OSError:
        return "?"
    return found.group(1).strip() if found else "?"


def machine():
    compiler = subprocess.run(["cc", "--version"], stdout=subprocess.PIPE, check=False).stdout.decode().split("\n")[0]
    openssl = subprocess.run(["openssl", "version"], stdout=subprocess.PIPE, check=False).stdout.decode().strip()
    memory = int(first_line("/proc/meminfo", r"^MemTotal:\s+(\d+)") or 0) // 1048576
    rows = (("Hardware", "Intel Core i7-7500U CPU @ 2.70GHz",
             f"{first_line('/proc/cpuinfo', r'^model name.*: (.*)')}, {os.cpu_count()} processors"),
            ("Memory", "2 GB", f"{memory} GiB"),
            ("Operating System", "Windows 10, 64bit, Ubuntu 14.04",
             f"{first_line('/etc/os-release', r'^PRETTY_NAME=.(.*).$')}, {platform.system()} {platform.machine()}"),
            ("Gcc Version", "4.8.4 (Ubuntu 4.8.4)", compiler),
            ("Cryptographic library", "not said", openssl.split("(")[0].strip()))
    return "\n".join(["| | the paper | here |", "|---|---|---|"] + [f"| {a} | {b} | {c} |" for a, b, c in rows])


def attack_table(rows):
    lines = ["| | attack | the paper's scheme | S-MQTT 1.0 |", "|---|---|---|---|"]
    for key, title, note, note_10 in rows:
        lines.append(f"| {key} | {title} | **succeeds**: {note} | **refused**: {note_10} |")
    return "\n".join(lines)


def write_page(parts):
    with open(PAGE, encoding="utf-8") as page:
        text = page.read()
    for name, part in parts.items():
        text, n = re.subn(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)",
                          lambda m, part=part: m.group(1) + part.rstrip() + "\n" + m.group(2), text, flags=re.S)
        if n != 1:
            faults.append(f"docs/paper.md has {n} pairs of markers for '{name}', not one")
    with open(PAGE, "w", encoding="utf-8") as page:
        page.write("\n".join(line.rstrip() for line in text.splitlines()) + "\n")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--bin", default=os.path.join(ROOT, "build", "bin"))
    options.add_argument("--check", action="store_true")
    options.add_argument("--repetitions", type=int, default=500)
    args = options.parse_args()
    program = {name: os.path.join(os.path.abspath(args.bin), name)
               for name in ("smqtt-paper", "smqtt-paper-beside", "smqttd")}
    for path in program.values():
        if not os.access(path, os.X_OK):
            sys.exit(f"paper.py: there is no program {path}: run make paper.")
    if not args.check and shutil.which("gnuplot") is None:
        sys.exit("paper.py: there is no gnuplot to draw with: run tools/setup.sh paper.")

    played = run(program["smqtt-paper"], "figures")
    print(played)
    print("== Attacks ==")
    rows = attacks(program["smqtt-paper"], program["smqtt-paper-beside"])
    alive(program["smqttd"])
    if args.check:
        measurements(program["smqtt-paper"], program["smqtt-paper-beside"], 66, 10)
    else:
        print("\n== Measuring: 2 to 200 bytes, about two minutes ==", flush=True)
        data = measurements(program["smqtt-paper"], program["smqtt-paper-beside"], 6, args.repetitions)
        os.makedirs(PLOTS, exist_ok=True)
        for row in PLOTTED:
            plot(data, *row)
        print(figures_table(data))
        write_page({"machine": machine(), "transcripts": "```text\n" + played.rstrip() + "\n```",
                    "figures": figures_table(data), "attacks": attack_table(rows)})
        print("\nWritten: docs/paper.md, docs/paper/*.svg and *.png")
    for fault in faults:
        print("paper.py: " + fault, file=sys.stderr)
    print("Everything held." if not faults else f"{len(faults)} things did not hold.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
