# SPDX-License-Identifier: Apache-2.0
"""Exchanges that nobody thought of: clients that come, go, subscribe and publish in an order drawn from a number."""
import random

from script import SHORT, add
from wire import V5, V311, props

EXCHANGES, STEPS = 60, 25
NAMES = ("a", "b", "a/b", "a/c", "b/a/c", "/a")
FILTERS = ("a", "b", "a/b", "+", "a/+", "#", "+/b", "a/#", "+/+", "/+", "b/+/c", "+/a/#")


class Walk:
    """What is known of three clients: whether they are connected, and the one filter that they have, with its No Local
    and Retain As Published: overlapping filters and changed options are scripts of their own."""

    def __init__(self, p, version, seed):
        self.p, self.v, self.r = p, version, random.Random(seed)
        self.up, self.filters, self.number = set(), {}, 0

    def step(self):
        link = self.r.choice("xyz")
        if link not in self.up:
            self.connect(link)
        else:
            self.r.choice((self.publish, self.publish, self.publish, self.subscribe, self.subscribe, self.unsubscribe,
                           self.leave))(link)

    def connect(self, link):
        clean = self.r.random() < 0.3
        more = {"session_expiry": 100} if self.v == V5 else {}
        will = (self.p.topic(self.r.choice(NAMES)), b"will of " + link.encode(), self.r.randrange(2), False)
        self.p.connect(link, self.v, clean=clean, will=will if self.r.random() < 0.5 else None, **more)
        self.up.add(link)
        if clean:
            self.filters.pop(link, None)
        self.p.ack_all(link)

    def publish(self, link):
        self.number += 1
        qos, retain = self.r.randrange(3), self.r.random() < 0.3
        payload = b"" if retain and self.r.random() < 0.3 else b"%d" % self.number
        topic = self.p.topic(self.r.choice(NAMES))
        own = props(message_expiry=1000) if self.v == V5 and self.r.random() < 0.2 else b""
        if qos == 2:
            self.p.publish2(link, topic, payload, id=self.number, retain=retain, props=own)
        else:
            self.p.publish(link, topic, payload, qos=qos, id=self.number, retain=retain, props=own)
        self.settle()

    def subscribe(self, link):
        name, options = self.filters.setdefault(link, (self.r.choice(FILTERS), self.r.choice((0, 0, 4, 8))))
        handling = self.r.choice((0, 0x10, 0x20))
        options = self.r.randrange(3) | (options | handling if self.v == V5 else 0)
        self.p.subscribe(link, (self.p.topic(name), options))
        self.settle()

    def unsubscribe(self, link):
        name, _ = self.filters.pop(link, (self.r.choice(FILTERS), 0))
        self.p.unsubscribe(link, self.p.topic(name))

    def leave(self, link):
        self.up.discard(link)
        if self.r.random() < 0.5:
            self.p.bye(link)
        else:
            self.p.drop(link)
        self.settle()

    def settle(self):
        for link in sorted(self.up):
            self.p.ack_all(link)


def walk(p, version, seed):
    w = Walk(p, version, seed)
    p.messages_only = True
    for _ in range(STEPS):
        w.step()


for number in range(EXCHANGES):
    for v in (V311, V5):
        add("random-%d" % number, (v,), lambda p, version, n=number: walk(p, version, "%d-%s" % (n, SHORT[version])))
