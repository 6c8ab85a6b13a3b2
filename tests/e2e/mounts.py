# SPDX-License-Identifier: Apache-2.0
"""Listeners with a mount point: their clients live in a part of the topic tree and do not know it."""
from harness import V311, V5, Broker, free_port, main, mosquitto_pub, mosquitto_sub, wait_messages


class Door:
    """A listener of the broker."""

    def __init__(self, broker, port):
        self.child, self.port, self.port6 = broker.child, port, port


def start():
    port = free_port()
    broker = Broker("listener %d\nallow_anonymous true\nmount_point home/\n" % port)
    return broker, Door(broker, port)


def test_topics_are_moved_in_and_out():
    broker, inside = start()
    for version in (V311, V5):
        everything = mosquitto_sub(broker, "-t", "#", "-q", "1", version=version)
        within = mosquitto_sub(inside, "-t", "#", "-q", "1", version=version)
        mosquitto_pub(inside, "-t", "lamp", "-m", "on", "-q", "1", version=version)
        mosquitto_pub(broker, "-t", "home/lamp", "-m", "off", "-q", "1", version=version)
        mosquitto_pub(broker, "-t", "office/lamp", "-m", "no", "-q", "1", version=version)
        mosquitto_pub(broker, "-t", "home/end", "-m", "x", "-q", "1", version=version)
        wait_messages(everything, ["home/lamp|1|0|on", "home/lamp|1|0|off", "office/lamp|1|0|no", "home/end|1|0|x"])
        wait_messages(within, ["lamp|1|0|on", "lamp|1|0|off", "end|1|0|x"])
    assert broker.child.stop() == 0


def test_retained_and_shared():
    broker, inside = start()
    mosquitto_pub(broker, "-t", "state", "-m", "outer", "-r", "-q", "1")
    mosquitto_pub(inside, "-t", "state", "-m", "inner", "-r", "-q", "1")
    wait_messages(mosquitto_sub(inside, "-t", "state"), ["state|0|1|inner"])
    wait_messages(mosquitto_sub(broker, "-t", "home/+"), ["home/state|0|1|inner"])
    shared = mosquitto_sub(inside, "-t", "$share/group/work", version=V5)
    mosquitto_pub(broker, "-t", "work", "-m", "no")
    mosquitto_pub(broker, "-t", "home/work", "-m", "yes")
    wait_messages(shared, ["work|0|0|yes"])
    assert broker.child.stop() == 0


main(test_topics_are_moved_in_and_out, test_retained_and_shared)
