#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Instructions, allocations and mispredicted branches for each delivery through the pure worker, counted by valgrind's
callgrind: figures that do not depend on what else the machine does.

    route_count.py [--misses] path/to/route_bench [row ...]

Only the worker counts (what smq_worker_feed, smq_worker_next_dirty, smq_conn_output and smq_conn_sent do), as the
difference of a long and a short run, so that connecting costs nothing."""
import os
import re
import subprocess
import sys
import tempfile

FAN_OUT = (3, 4, 5)  # rows with one publisher
ENTRIES = ("smq_worker_feed", "smq_worker_next_dirty", "smq_conn_output", "smq_conn_sent")


def count(bench, row, windows, misses):
    """What callgrind counted, by event, and what route_bench said."""
    with tempfile.TemporaryDirectory() as tmp:
        out = os.path.join(tmp, "out")
        cmd = ["valgrind", "--tool=callgrind", "--callgrind-out-file=" + out]
        cmd += ["--toggle-collect=" + name for name in ENTRIES]
        cmd += ["--cache-sim=yes", "--branch-sim=yes"] if misses else []
        run = subprocess.run(cmd + [bench, "-n", str(windows), str(row)], capture_output=True, text=True, check=True)
        with open(out, encoding="ascii") as f:
            text = f.read()
    events = re.search(r"^events: (.*)$", text, re.M)[1].split()
    totals = [int(n) for n in re.search(r"^(?:totals|summary): (.*)$", text, re.M)[1].split()]
    name, deliveries, allocations = re.match(r"(.*): (\d+) deliveries, (\d+) allocations", run.stdout).groups()
    counts = dict(zip(events, totals))
    return name, dict(counts, deliveries=int(deliveries), allocations=int(allocations))


def main():
    args = sys.argv[1:]
    misses = "--misses" in args
    args = [a for a in args if a != "--misses"]
    if not args:
        sys.exit(__doc__)
    rows = [int(a) for a in args[1:]] or range(10)
    for row in rows:
        name, short = count(args[0], row, 1, misses)
        _, long = count(args[0], row, 4 if row in FAN_OUT else 9, misses)
        n = long["deliveries"] - short["deliveries"]
        per = {k: (long[k] - short.get(k, 0)) / n for k in long if k != "deliveries"}
        line = f"{name:32} {per['Ir']:8.1f} instructions {per['allocations']:6.3f} allocations"
        if misses:
            line += f" {per['Bcm'] + per['Bim']:6.2f} mispredicted {per['D1mr'] + per['D1mw']:6.2f} first-level misses"
        print(line, flush=True)


if __name__ == "__main__":
    main()
