#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A load with connections that are cut all the time: nothing is lost, doubled or out of order (tests/soak/*.c).

  SMQTT_SOAK   the load generator
  SMQTT_BIN    folder with smqttd
  --workers N --messages N --qos 0,1,2 --seed N --cut N --asleep N --churn N --hups N --pubs N --subs N --groups N
  --window N --rounds N --patience S --memory
"""
import argparse
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import harness  # noqa: E402

CONF = """max_queued_messages 0
max_inflight_messages 50
sys_interval 1
connection_messages false
"""


def run(broker, args, qos, seed):
    argv = [os.environ.get("SMQTT_SOAK", "build/tests/soak/soak"), "--port", str(broker.port), "--qos", str(qos),
            "--pid", str(broker.child.process.pid), "--seed", str(seed), "--messages", str(args.messages)]
    for name in ("cut", "asleep", "churn", "hups", "patience", "pubs", "subs", "groups", "window"):
        value = getattr(args, name)
        argv += ["--" + name, str(value)] if value is not None else []
    argv += ["--memory"] if args.memory else []
    code = subprocess.run(argv, check=False).returncode
    sys.stdout.flush()
    return code == 0


def read_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--messages", type=int, default=100000)
    parser.add_argument("--qos", default="0,1,2")
    parser.add_argument("--seed", type=int, default=random.randrange(1000000))
    parser.add_argument("--rounds", type=int, default=1, help="seeds one after the other")
    parser.add_argument("--slow-timeout", type=int, default=30)
    parser.add_argument("--memory", action="store_true")
    for name in ("cut", "asleep", "churn", "hups", "patience", "pubs", "subs", "groups", "window"):
        parser.add_argument("--" + name, type=int)
    return parser.parse_args()


def main():
    args = read_arguments()
    harness.WORKERS = str(args.workers)
    broker = harness.Broker(CONF + "smqtt_slow_timeout %d\n" % args.slow_timeout)
    right = True
    for seed in range(args.seed, args.seed + args.rounds):
        for qos in args.qos.split(","):
            print("-- workers %d, qos %s, seed %d" % (args.workers, qos, seed), flush=True)
            right = run(broker, args, int(qos), seed) and right
            if not broker.is_running():
                break
    code = broker.child.stop(seconds=20)
    if code != 0 or not right:
        print("smqttd ended with %s; its output:\n%s" % (code, broker.child.text()[-20000:]))
    sys.exit(0 if right and code == 0 else 1)


main()
