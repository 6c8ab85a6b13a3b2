# SPDX-License-Identifier: Apache-2.0
"""Reads decisions.txt: where smqttd answers otherwise than mosquitto 2.0.11, and why."""
import fnmatch
import functools
import os

HERE = os.path.dirname(os.path.abspath(__file__))
FIELDS = ("statement", "why", "scripts", "mosquitto", "smqttd")


@functools.lru_cache(None)
def read():
    """[{name, statement, why, scripts, mosquitto, smqttd}]"""
    found, last = [], None
    with open(os.path.join(HERE, "decisions.txt"), encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            line = line.rstrip("\n")
            if not line.strip() or line.startswith("#"):
                continue
            if line.startswith("[") and line.endswith("]"):
                found.append({"name": line[1:-1]})
                continue
            word, _, text = line.partition(":")
            if line.startswith(" "):
                found[-1][last] += " " + line.strip()
                continue
            assert word in FIELDS, "decisions.txt:%d: what is '%s'?" % (number, word)
            last = word
            found[-1][word] = text.strip()
    for d in found:
        assert set(d) == {"name", *FIELDS}, "decisions.txt: [%s] lacks %s" % (d["name"], set(FIELDS) - set(d))
    return found


def names():
    return [d["name"] for d in read()]


def fits(patterns, text):
    """Alternatives stand between bars."""
    return any(fnmatch.fnmatchcase(text, p.replace("[", "[[]")) for p in patterns.split(" | "))


def find(script, link, theirs, ours):
    """The name of the decision that allows this difference, or None. Patterns of scripts are `name` or
    `name@connection`."""
    for d in read():
        for pattern in d["scripts"].split():
            name, _, wanted = pattern.partition("@")
            if fits(name, script) and (not wanted or fits(wanted, link)) and fits(d["mosquitto"], theirs) and \
                    fits(d["smqttd"], ours):
                return d["name"]
    return None
