#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/differences.md out of tests/differential/decisions.txt.

    differences.py          write it
    differences.py --check  is it up to date, and is each statement one of the standard? Exit code 1 if not
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
for folder in ("conformance", "differential"):
    sys.path.insert(0, os.path.join(ROOT, "tests", folder))
import decisions  # noqa: E402
import statements  # noqa: E402

HEAD = """# Differences to mosquitto

The test `differential` sends the same exchanges of raw packets to Debian's mosquitto 2.0.11 and to smqttd and compares
what every connection gets. This is the list of all differences, each with the statement of the standard behind it;
the test fails when there is another one and when one of these is gone. Made by `tools/differences.py` from
`tests/differential/decisions.txt`.
Words for people, identifiers that a server assigns and limits that it announces are not compared.

| what | why | statement | in |
|---|---|---|---|
"""


def document():
    rows = []
    for d in decisions.read():
        where = " ".join("`%s`" % s for s in d["scripts"].split())
        statement = d["statement"].replace("[", "").replace("]", "")
        rows.append("| %s | %s | %s | %s |" % (d["name"], d["why"].rstrip("."), statement, where))
    return HEAD + "\n".join(rows) + "\n"


def main():
    known, faults = statements.statements(), []
    for d in decisions.read():
        for part in d["statement"].split(";"):
            version = re.match(r"\s*(v5|v3\.1\.1) ", part)
            numbers = re.findall(r"\[MQTT-([0-9.]+-[0-9]+)\]", part)
            faults += ["[%s]: there is no %s %s" % (d["name"], version.group(1), n) for n in numbers
                       if n not in known[version.group(1)]]
            if not numbers and "section" not in part:
                faults.append("[%s]: no statement" % d["name"])
    path = os.path.join(ROOT, "docs", "differences.md")
    if "--check" in sys.argv:
        with open(path, encoding="utf-8") as f:
            if f.read() != document():
                faults.append("docs/differences.md is out of date: run tools/differences.py")
    else:
        with open(path, "w", encoding="utf-8") as f:
            f.write(document())
    print("\n".join(faults + ["%d decisions, %d faults" % (len(decisions.read()), len(faults))]))
    sys.exit(1 if faults else 0)


main()
