# SPDX-License-Identifier: Apache-2.0
"""A hostile broker, natively and in the tunnel. Whatever it does to the packets of S-MQTT: the client says that nothing
is confirmed or the message arrives, the server prints nothing false and nothing twice, nothing goes in plain, nobody
crashes, and when the attack stops all is well. The cases are in hostile_cases.py, their meaning in docs/hostile.md."""
import concurrent.futures
import re
import sys
import time
import traceback

from brokers import KINDS
from harness import is_sanitized, main
from hostile_cases import CASES
from hostile_scene import Scene

AT_ONCE = 3 if is_sanitized() else 6  # most of the time all of them wait
BROKERS = {"native": "smqttd", "tunnel": "mosquitto", "tunnel5": "mosquitto"}


def play(broker, path, attack, what):
    scene = Scene(broker, path)
    try:
        if what is None:
            attack(scene)
        else:
            attack(scene, what)
        scene.recover()
    finally:
        scene.close()


def run(path, cases):
    """The cases of one path, some at once; the broker is the same for all."""
    if not cases:
        return  # Mosquitto does not end when it is told to before it has waited for anything
    broker = KINDS[BROKERS[path]]()
    failed = []
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        started = {}
        futures = {}
        for name, attack, what, _ in cases:
            label = "%s %s%s" % (path, name, "" if what is None else " %s" % (what,))

            def timed(label=label, attack=attack, what=what):
                started[label] = time.monotonic()
                play(broker, path, attack, what)
            futures[pool.submit(timed)] = label
        for future in concurrent.futures.as_completed(futures):
            label = futures[future]
            error = future.exception()
            print("%s %s (%.1f s)" % ("FAILED" if error else "  ok", label, time.monotonic() - started[label]),
                  flush=True)
            if error:
                failed.append(label)
                traceback.print_exception(type(error), error, error.__traceback__, limit=-4, file=sys.stdout)
    assert broker.is_running(), "the broker is gone"
    broker.stop()
    assert not failed, "%d of %d failed: %s" % (len(failed), len(cases), ", ".join(failed))


def test_natively():
    run("native", [c for c in CASES if "native" in c[3] and wanted(c)])


def test_in_the_tunnel():
    run("tunnel", [c for c in CASES if "tunnel" in c[3] and wanted(c)])


def test_in_the_tunnel_with_version_5():
    run("tunnel5", [c for c in CASES if ("tunnel5" in c[3] or "tunnel" in c[3] and not c[2]) and wanted(c)])


def test_the_document_names_each_case():
    with open("docs/hostile.md", encoding="utf-8") as f:
        named = re.findall(r"\| `(\w+)` \|$", f.read(), re.M)
    assert len(named) == len(set(named)) and set(named) == {c[0] for c in CASES}, set(named) ^ {c[0] for c in CASES}


ONLY = [arg[5:] for arg in sys.argv if arg.startswith("case=")]
sys.argv = [arg for arg in sys.argv if not arg.startswith("case=")]


def wanted(case):
    return not ONLY or case[0] in ONLY


main(test_natively, test_in_the_tunnel, test_in_the_tunnel_with_version_5,
     test_the_document_names_each_case, at_once=3)
