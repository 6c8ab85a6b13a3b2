#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same exchanges with Debian's mosquitto and with smqttd: every difference is a decision, or a fault.

    differential.py [PATTERN…]     play all, or those whose name has a pattern; print what nobody decided
    differential.py --list         names of the scripts
    differential.py --signatures   all differences, in the form of decisions.txt

A difference is what follows the first packet that is not the same on both sides. decisions.txt says which may be.
Exit code 1: a difference without a decision, or a decision that never came true; 77: there is no mosquitto.
"""
import collections
import concurrent.futures
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import decisions  # noqa: E402
from player import harness, play  # noqa: E402
from scripts import CONFS, SCRIPTS  # noqa: E402

AT_A_TIME = 24


def start(kind, conf):
    harness.KIND = kind
    return harness.Broker(conf)


def difference(ours, theirs):
    """{connection: (from the first difference on, theirs and ours)}"""
    found = {}
    for link in sorted(set(ours) | set(theirs)):
        a, b = theirs.get(link, []), ours.get(link, [])
        same = 0
        while same < min(len(a), len(b)) and a[same] == b[same]:
            same += 1
        if a[same:] or b[same:]:
            found[link] = ("; ".join(a[same:]) or "nothing", "; ".join(b[same:]) or "nothing")
    return found


def compare(names, brokers, patience):
    """{name: difference}. Scripts that wait come first."""
    names = sorted(names, key=lambda n: not re.search("expire|delay|keep-alive", n))
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        jobs = {(n, b): pool.submit(play, b, "%s.%d" % (n, patience), SCRIPTS[n], patience)
                for n in names for b in brokers[CONFS[n]]}
        return {n: difference(*(jobs[n, b].result() for b in reversed(brokers[CONFS[n]]))) for n in names}


def main():
    arguments = [a for a in sys.argv[1:] if not a.startswith("--")]
    names = [n for n in SCRIPTS if not arguments or any(re.search(a, n) for a in arguments)]
    if "--list" in sys.argv:
        print("\n".join(names))
        return 0
    if not os.access("/usr/sbin/mosquitto", os.X_OK):
        harness.skip("there is no /usr/sbin/mosquitto")
    brokers = {conf: [start("mosquitto", conf), start("smqttd", conf)] for conf in sorted({CONFS[n] for n in names})}
    found = compare(names, brokers, 1)
    # What differs is played again with more patience: a busy machine is no difference.
    again = [n for n in names if found[n]]
    found = compare(again, brokers, 3)
    used, faults, counts = collections.Counter(), [], collections.Counter()
    for name in again:
        for link, (theirs, ours) in found[name].items():
            which = decisions.find(name, link, theirs, ours)
            if which is None or "--signatures" in sys.argv:
                faults.append("%s %s\n  mosquitto: %s\n  smqttd:    %s" % (name, link, theirs, ours))
            if which is not None:
                used[which] += 1
        counts["differing"] += bool(found[name])
    if not arguments:
        faults += ["decision '%s' did not come true" % d for d in decisions.names() if not used[d]]
    for broker in [b for pair in brokers.values() for b in pair]:
        code = broker.child.stop(seconds=5)
        if code != 0:
            faults.append("%s ended with %s\n%s" % (broker.child.argv[0], code, broker.child.text()[-2000:]))
    print("\n".join(faults))
    print("%d exchanges, %d differ, %d decisions, %d faults" % (len(names), counts["differing"],
                                                                len(decisions.names()), len(faults)))
    return 1 if faults else 0


if __name__ == "__main__":
    CODE = main()
    sys.stdout.flush()
    harness.kill_children()
    harness.atexit._run_exitfuncs()
    os._exit(CODE)
