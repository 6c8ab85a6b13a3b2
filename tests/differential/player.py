# SPDX-License-Identifier: Apache-2.0
"""Plays a script of raw packets against one broker and writes down what each connection got, so that two brokers can
be compared: what may differ between two right brokers (identifiers they choose, words, limits they announce) is
left out or made the same."""
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "conformance"))
import wire  # noqa: E402
from wire import CONNACK, PINGRESP, PUBLISH, PUBREC, PUBREL, SUBACK, V311, harness  # noqa: E402

QUIET_S = 0.012
ENDS = (wire.PUBACK, wire.PUBREC, wire.PUBREL, wire.PUBCOMP)
# What a broker announces as it likes, and words for people.
FREE = ("reason_string", "receive_maximum", "topic_alias_maximum", "maximum_packet_size")


class Link(harness.Raw):
    def __init__(self, broker, version):
        super().__init__(broker)
        self.version, self.seen, self.is_up, self.is_over = version, [], False, False
        self.last, self.rels, self.names = [], [], {}  # messages and PUBRELs that the script may answer


def value_of(name, value):
    if name == "assigned_client_id":
        return "*"
    if name == "message_expiry":
        return "~%d" % ((value + 9) // 10 * 10)  # seconds pass
    return value if isinstance(value, int) else repr(value)


class Player:
    """What a script does. Connections have names; each step ends when the broker has answered it."""

    def __init__(self, broker, name, patience=1):
        self.broker, self.name, self.patience, self.links = broker, name, patience, {}
        self.messages_only = False  # compare what is delivered, in whatever order, and not who answers when

    # --- what scripts call

    def topic(self, name="t"):
        return "%s/%s" % (self.name, name)

    def id(self, link):
        return "%s.%s" % (self.name, link)

    def open(self, link, version=V311):
        if link in self.links:  # the same name again: what it got before stays
            old, fresh = self.links[link], Link(self.broker, version)
            fresh.seen = old.seen + ["again"]
            self.links[link] = fresh
            old.close()
        else:
            self.links[link] = Link(self.broker, version)

    def connect(self, link, version=V311, client_id=None, **fields):
        self.open(link, version)
        self.send(link, wire.connect(version, self.id(link) if client_id is None else client_id, **fields))

    def send(self, link, data, part=False):
        """part: not the whole of a packet, so that nothing else can be sent behind it to see when it was handled."""
        to = self.links[link]
        if not to.is_over and not to.send(data):
            to.is_over = True
        self.settle(to, part)

    def publish(self, link, *args, **fields):
        self.send(link, wire.publish(self.links[link].version, *args, **fields))

    def publish2(self, link, *args, id=1, **fields):
        """QoS 2 to its end."""
        self.publish(link, *args, qos=2, id=id, **fields)
        self.send(link, wire.ack(PUBREL, id))

    def subscribe(self, link, *filters, **named):
        self.send(link, wire.subscribe(self.links[link].version, *filters, props=wire.props(**named)))

    def unsubscribe(self, link, *filters):
        self.send(link, wire.unsubscribe(self.links[link].version, *filters, id=2))

    def ack(self, link, kind, *more):
        """Answers the oldest message that is open."""
        to = self.links[link]
        source = to.rels if kind == wire.PUBCOMP else to.last
        if source:
            self.send(link, wire.ack(kind, source.pop(0), *more))
        else:
            to.seen.append("nothing to answer")

    def ack_all(self, link):
        """Brings all that is open to its end."""
        to = self.links[link]
        while to.last or to.rels:
            while to.last:
                kind = wire.PUBACK if to.qos[to.last[0]] == 1 else PUBREC
                self.send(link, wire.ack(kind, to.last.pop(0)))
            while to.rels:
                self.send(link, wire.ack(wire.PUBCOMP, to.rels.pop(0)))

    def ack_all_at_once(self, link):
        """The same for many messages of QoS 1."""
        to = self.links[link]
        while to.last:
            data = b"".join(wire.ack(wire.PUBACK, number) for number in to.last)
            to.last.clear()
            self.send(link, data)

    def wait(self, seconds):
        time.sleep(seconds)
        for link in self.links.values():
            self.settle(link, False)

    def drop(self, link):
        """The connection breaks."""
        self.links[link].reset()
        self.links[link].is_over = True
        self.settle_others(self.links[link])

    def bye(self, link, *args):
        self.send(link, wire.disconnect(self.links[link].version, *args))

    # --- reading

    def settle(self, link, part):
        self.read(link, QUIET_S * self.patience)
        if not link.is_over and link.is_up and not part:
            self.barrier(link)
        elif not link.is_over:
            self.read(link, 0.04 * self.patience)
        self.settle_others(link)

    def settle_others(self, link):
        for other in self.links.values():
            if other is not link and other.is_up and not other.is_over:
                self.barrier(other)

    def barrier(self, link):
        if link.send(wire.PING):
            self.read(link, 2, until_pong=True)
        else:
            self.read(link, 0.05)

    def read(self, link, seconds, until_pong=False):
        end = time.monotonic() + seconds
        while not link.is_over:
            try:
                found = link.packet(max(end - time.monotonic(), 0.001))
            except AssertionError:
                return
            if found is None:
                link.is_over = True
                link.seen.append("closed")
                return
            if found.type == PINGRESP and until_pong:
                return
            link.seen.append(self.written(link, found))

    def written(self, link, raw):
        """A packet in words."""
        try:
            p = wire.Seen(raw, link.version)
        except Exception:
            return "%s ? %s" % (wire.TYPES[raw.type], raw.body.hex())
        words = [wire.TYPES[p.type]]
        if p.type == CONNACK:
            link.is_up = p.reason == 0
            words += ["%#04x" % p.reason, "session" if p.session_present else "new"]
        elif p.type == PUBLISH:
            words += self.message(link, p)
        elif p.type in ENDS:
            own = p.type in (PUBREL,) and p.id in link.names
            words += [link.names[p.id] if own else str(p.id)] + (["%#04x" % p.reason] if p.reason else [])
            if p.type == PUBREL and p.id in link.names:
                link.rels.append(p.id)
        elif p.codes is not None:
            words += [str(p.id)] + ["%#04x" % c for c in p.codes]
        elif p.type == wire.DISCONNECT:
            words.append("%#04x" % p.reason)
        if p.type not in (PUBLISH, PUBREL, SUBACK) and p.flags:
            words.append("flags %d" % p.flags)
        for name, value in sorted(p.props, key=lambda pair: pair[0]):
            if name not in FREE and not (name == "user_property" and value[0] == b"smqtt-detect"):
                words.append("%s=%s" % (name, value_of(name, value)))
        return " ".join(words).replace(self.name, "~")

    def message(self, link, p):
        words = [str(p.qos) + (" dup" if p.dup else "") + (" retain" if p.retain else "")]
        if p.qos:
            link.names.setdefault(p.id, "#%d" % (len(link.names) + 1))
            words.append(link.names[p.id])
            link.last.append(p.id)
            link.qos = getattr(link, "qos", {})
            link.qos[p.id] = p.qos
        text = p.payload if len(p.payload) < 40 else b"%d bytes" % len(p.payload)
        return words + [repr(p.topic)[2:-1], repr(text)[2:-1]]

    def result(self):
        for link in self.links.values():
            link.close()
        if self.messages_only:
            return {name: sorted(re.sub(r" #\d+", "", p) for p in link.seen if p.startswith("PUBLISH"))
                    for name, link in self.links.items()}
        return {name: link.seen for name, link in self.links.items()}


def play(broker, name, script, patience=1):
    player = Player(broker, name, patience)
    try:
        script(player)
    except OSError as e:
        return {"": ["the script ended with %s" % e]}
    finally:
        result = player.result()
    return result
