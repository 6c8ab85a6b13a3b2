# SPDX-License-Identifier: Apache-2.0
"""The programs of examples/ do what the tutorial says."""
import os
import subprocess

from harness import BIN, Child, main
from smqtt_cli import folder, identity

EXAMPLES = os.path.join(BIN, "..", "examples")


def test_publisher_and_subscriber(broker):
    private, public = identity(folder(), "server")
    where = ["127.0.0.1", str(broker.port)]
    subscriber = Child([os.path.join(EXAMPLES, "subscriber"), *where, private, "s/#", "2"])
    broker.child.wait_line(rb"example-subscriber")
    for text in ("あいうえお", "second"):
        done = subprocess.run([os.path.join(EXAMPLES, "publisher"), *where, public, "s/1", text], timeout=20,
                              capture_output=True, check=False)
        assert done.returncode == 0, done
    assert subscriber.wait(30) == 0
    subscriber.wait_line("^PEER_ANON - s/1 あいうえお$".encode())
    subscriber.wait_line(b"^PEER_ANON - s/1 second$")


def test_no_server(broker):
    _, public = identity(folder(), "absent")
    done = subprocess.run([os.path.join(EXAMPLES, "publisher"), "127.0.0.1", str(broker.port), public, "s/1", "x"],
                          timeout=30, capture_output=True, check=False)
    assert done.returncode == 1 and b"nothing was published" in done.stderr, done


def test_in_memory():
    done = subprocess.run([os.path.join(EXAMPLES, "in_memory")], timeout=20, capture_output=True, check=False)
    assert done.returncode == 0 and not done.stderr, done
    assert done.stdout == b"PEER_ANON says: 21.5 degrees\nreceipt: the other side confirms\n", done


main(test_in_memory, test_publisher_and_subscriber, test_no_server)
