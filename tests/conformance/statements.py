# SPDX-License-Identifier: Apache-2.0
"""The numbered statements of MQTT 5.0 and 3.1.1, and the tests that carry their numbers.

Two places carry them: the decorators @covers(v5="…", v311="…") of tests/conformance/*.py, and comments above the tests
of tests/unit/**.c, in which the version stands before the numbers: v5 [MQTT-3.1.2-20] v3.1.1 [MQTT-3.1.2-23].
"""
import ast
import glob
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
VERSIONS = {"v5": "statements_v5.txt", "v3.1.1": "statements_v311.txt"}
COUNTS = {"v5": 251, "v3.1.1": 141}
ROLES = ("server", "client", "both")
KEYWORDS = {"v5": "v5", "v311": "v3.1.1"}
TAG = re.compile(r"\b(v5|v3\.1\.1)((?:\s+(?:\*\s+)?\[MQTT-[0-9.]+-[0-9]+\])+)")
TEST = re.compile(r"\nstatic void (\w+)\(void \*\*")


def lines_of(name):
    with open(os.path.join(HERE, name), encoding="utf-8") as f:
        return [line.rstrip("\n") for line in f if line.strip() and not line.startswith("#")]


def statements():
    """{version: {number: (role, words)}}"""
    found = {}
    for version, name in VERSIONS.items():
        rows = [line.split(None, 2) for line in lines_of(name)]
        found[version] = {number: (role, words) for number, role, words in rows}
    return found


def untested():
    """{(version, number): reason}"""
    return {tuple(line.split(None, 2)[:2]): line.split(None, 2)[2] for line in lines_of("untested.txt")}


def python_tests():
    """[(version, number, "file: test")]"""
    found = []
    for path in sorted(glob.glob(os.path.join(HERE, "*.py"))):
        with open(path, encoding="utf-8") as f:
            tree = ast.parse(f.read())
        for node in tree.body:
            for call in getattr(node, "decorator_list", []):
                if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "covers":
                    where = "conformance/%s: %s" % (os.path.basename(path)[:-3], node.name)
                    found += [(KEYWORDS[k.arg], number, where) for k in call.keywords if k.arg in KEYWORDS
                              for number in ast.literal_eval(k.value).split()]
    return found


def unit_tests():
    """The same of the module tests in C. A comment belongs to the test that follows it."""
    found = []
    for path in sorted(glob.glob(os.path.join(ROOT, "tests", "unit", "*", "*.c"))):
        with open(path, encoding="utf-8") as f:
            text = f.read()
        name = os.path.relpath(path, os.path.join(ROOT, "tests"))[:-2]
        for tag in TAG.finditer(text):
            test = TEST.search(text, tag.end())
            assert test, "%s: a statement is named behind the last test" % path
            found += [(tag.group(1), number, "%s: %s" % (name, test.group(1)))
                      for number in re.findall(r"MQTT-([0-9.]+-[0-9]+)", tag.group(2))]
    return found


def side_of(where):
    """Which side a test looks at: None where it looks at what both have in common."""
    if where.startswith(("conformance/client", "unit/client")):
        return "client"
    return "server" if where.startswith(("conformance/", "unit/broker", "e2e/")) else None


def check_sides(known, found):
    """A statement that binds one side needs a test of that side, and a test of the other shows nothing about it; but
    a server may show what it does with a client that breaks a rule."""
    faults = []
    for (version, number), tests in found.items():
        role, sides = known[version][number][0], {side_of(where) for where in tests}
        if role != "both" and not sides & {role, None}:
            faults.append("%s %s binds the %s, and no test of it looks there" % (version, number, role))
        if role == "server" and "client" in sides:
            faults.append("%s %s binds the server, a test of the client carries it" % (version, number))
    return faults


def coverage():
    """({(version, number): [tests]}, [faults])"""
    known, excused, found, faults = statements(), untested(), {}, []
    for version, number, where in python_tests() + unit_tests():
        if number not in known[version]:
            faults.append("%s: %s has no statement %s" % (where, version, number))
        elif where not in found.setdefault((version, number), []):
            found[version, number].append(where)
    for version, rows in known.items():
        if len(rows) != COUNTS[version]:
            faults.append("%s: %d statements, not %d" % (version, len(rows), COUNTS[version]))
        faults += ["%s %s: nobody is called %s" % (version, number, role) for number, (role, _) in rows.items()
                   if role not in ROLES]
    faults += check_sides(known, found)
    for key in excused:
        if key[1] not in known[key[0]]:
            faults.append("untested.txt: there is no %s %s" % key)
        if key in found:
            faults.append("%s %s is in untested.txt and has a test: %s" % (*key, found[key][0]))
    return found, faults


def missing(found):
    """Statements without a test and without an excuse."""
    return [(version, number) for version, rows in statements().items() for number in rows
            if (version, number) not in found and (version, number) not in untested()]


def document(found):
    """The text of docs/conformance.md."""
    known, excused = statements(), untested()
    out = ["# Conformance", "",
           "Every numbered statement of the standards MQTT 5.0 and MQTT 3.1.1 with the tests that fail when it is not "
           "kept. Made by", "`tools/conformance.py` from `tests/conformance/` and the comments of `tests/unit/`; the "
           "test `tidy/statements` fails when it is out of date",
           "or when a statement has no test. The words are ours, the standards are at docs.oasis-open.org/mqtt. "
           "Tests named `conformance/…` run", "against smqttd (or our client), with one and with several workers; "
           "MQTT 3.1, which has no numbers, is tested along with 3.1.1.", ""]
    for version, title in (("v5", "MQTT 5.0"), ("v3.1.1", "MQTT 3.1.1")):
        rows = known[version]
        with_tests = sum((version, number) in found for number in rows)
        out += ["## " + title, "",
                "%d statements, %d with tests, %d without for the reason that stands there." %
                (len(rows), with_tests, sum(v == version for v, _ in excused)), "",
                "| statement | binds | about | shown by |", "|---|---|---|---|"]
        for number, (role, words) in rows.items():
            tests = found.get((version, number))
            shown = ", ".join("`%s`" % t for t in tests) if tests else \
                "no test: " + excused.get((version, number), "MISSING")
            out.append("| %s | %s | %s | %s |" % (number, role, words, shown))
        out.append("")
    return "\n".join(out).rstrip("\n") + "\n"
