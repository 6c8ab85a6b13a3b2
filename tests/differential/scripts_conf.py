# SPDX-License-Identifier: Apache-2.0
"""With lines of a configuration that both brokers read."""
import wire
from script import ALL, NEW, add
from wire import PUBACK, V5, props


def configured(name, text, versions, *bodies):
    for body in bodies:
        add("conf-%s-%s" % (name, body.__name__.replace("_", "-")), versions, body, conf=text)


def keep(v):
    return {"session_expiry": 100} if v == V5 else {}


def away(p, v):
    """Messages of each QoS for a client that is away."""
    p.connect("w", v, clean=False, **keep(v))
    p.subscribe("w", (p.topic(), 2))
    p.bye("w")
    p.connect("a", v)
    for i in range(8):
        p.publish("a", p.topic(), b"%d" % i, qos=i % 2, id=i + 1)
    p.connect("w", v, clean=False, **keep(v))
    p.ack_all("w")


def slow(p, v):
    """More than may be open at a time."""
    p.connect("w", v)
    p.subscribe("w", (p.topic(), 1))
    p.connect("a", v)
    for i in range(12):
        p.publish("a", p.topic(), b"%d" % i, qos=1, id=i + 1)
    p.ack("w", PUBACK)
    p.ack_all("w")


def qos(p, v):
    p.connect("w", v)
    p.subscribe("w", (p.topic(), 2))
    p.connect("a", v)
    for i in range(3):
        p.publish("a", p.topic(), b"%d" % i, qos=i, id=i + 1)
    p.send("a", wire.ack(wire.PUBREL, 3))
    p.ack_all("w")
    p.connect("b", v, will=(p.topic(), b"gone", 2, False))


def retained(p, v):
    p.connect("a", v)
    p.subscribe("a", p.topic())
    p.publish("a", p.topic(), b"kept", qos=1, retain=True)
    p.connect("b", v, will=(p.topic(), b"gone", 0, True))


def nameless(p, v):
    p.connect("a", v, client_id="")


def alive(p, v):
    for seconds in (0, 5, 20, 21, 65535):
        p.connect("k%d" % seconds, v, keep_alive=seconds)


def large(p, v):
    p.connect("w", v)
    p.subscribe("w", p.topic())
    p.connect("a", v)
    for size in (100, 400, 600, 2000):
        p.publish("a", p.topic(), b"x" * size, qos=1, id=size)


def alias(p, v):
    p.connect("a", v)
    for number in (1, 3, 4):
        p.publish("a", p.topic(), b"x", props=props(topic_alias=number))


configured("queue", "max_queued_messages 3", ALL, away)
configured("qos0", "queue_qos0_messages true", ALL, away)
configured("window", "max_inflight_messages 2", ALL, slow, away)
configured("window-and-queue", "max_inflight_messages 2\nmax_queued_messages 4", NEW, slow)
configured("upgrade", "upgrade_outgoing_qos true", ALL, qos)
configured("qos", "max_qos 1", ALL, qos)
configured("retain", "retain_available false", ALL, retained)
configured("nameless", "allow_zero_length_clientid false", ALL, nameless)
configured("prefix", "auto_id_prefix x-", ALL, nameless)
configured("alive", "max_keepalive 20", ALL, alive)
configured("message", "message_size_limit 500", ALL, large)
configured("packet", "max_packet_size 500", ALL, large)
configured("alias", "max_topic_alias 3", (V5,), alias)
