# SPDX-License-Identifier: Apache-2.0
"""A string that is not the text that MQTT allows costs its sender the connection, and nobody else."""
import re

from harness import CONNACK, PUBLISH, V31, V311, V5, Broker, Paho, Raw, connect_packet, is_smqttd, main, \
    mosquitto_sub, packet, props, publish_packet, string, subscribe_packet, unsubscribe_packet, user_property

VERSIONS = (V31, V311, V5)
BAD = {
    "lone continuation byte": b"a\x80",
    "cut short": b"a\xe3\x81",
    "first byte alone": b"\xc3",
    "overlong /": b"\xc0\xaf",
    "overlong, three bytes": b"\xe0\x80\xaf",
    "overlong U+0000": b"\xc0\x80",
    "above U+10FFFF": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "Latin-1": b"gr\xfc\xdfe",
    "Shift JIS": b"\x82\xa0\x82\xa2",
    "U+0000": b"a\x00b",
    "surrogate": b"\xed\xa0\x80",
    "pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
    "U+0001": b"a\x01b",
    "line feed": b"a\nb",
    "U+007F": b"a\x7f",
    "U+0085": b"a\xc2\x85",
    "U+FFFF": b"\xef\xbf\xbf",
    "U+FDD0": b"\xef\xb7\x90",
    "U+1FFFE": b"\xf0\x9f\xbf\xbe",
    "U+10FFFF": b"\xf4\x8f\xbf\xbf",
}
LEGAL = {
    "byte-order mark": "\ufeffbom",
    "private use": "\ue000\U000f0000",
    "emoji": "\U0001f600\U0001f468\u200d\U0001f469",
    "borders": "\u00a0\ud7ff\ufdcf\ufdf0\ufffd\U00010000\U0010fffd",
    "Japanese": "あいうえお",
    "combining": "e\u0301\u00e9",
    "blanks": " a b ",
}


def attacks(version, bad):
    """(what, bytes, sent instead of a first CONNECT)."""
    for what, fields in (("client id", {"client_id": bad}), ("user name", {"user": bad}),
                         ("will topic", {"will": (bad, "x", 0, False)})):
        fields.setdefault("client_id", "evil")
        yield what, connect_packet(version, **fields), True
    yield "topic", publish_packet(version, bad, b"x"), False
    yield "topic with QoS 2", publish_packet(version, b"a/" + bad, b"x", qos=2), False
    yield "filter", subscribe_packet(version, bad), False
    yield "filter behind others", packet(0x82, b"\x00\x01" + props(version) + string("ok") + b"\x00" +
                                         string(b"a/+/" + bad) + b"\x00"), False
    yield "filter to unsubscribe", unsubscribe_packet(version, bad), False
    if version == V5:
        yield from attacks_v5(bad)


def attacks_v5(bad):
    will = ("w", "x", 0, False)
    for what, prop in (("name of a user property", user_property(bad, "v")),
                       ("value of a user property", user_property("n", bad))):
        yield "CONNECT, " + what, connect_packet(V5, "evil", properties=prop), True
        yield "will, " + what, connect_packet(V5, "evil", will=will, will_properties=prop), True
        yield "PUBLISH, " + what, publish_packet(V5, "t", b"x", properties=prop), False
        yield "SUBSCRIBE, " + what, subscribe_packet(V5, "t", properties=prop), False
        yield "UNSUBSCRIBE, " + what, unsubscribe_packet(V5, "t", properties=prop), False
    for what, prop in (("content type", b"\x03" + string(bad)), ("response topic", b"\x08" + string(bad))):
        yield "PUBLISH, " + what, publish_packet(V5, "t", b"x", properties=prop), False
        yield "will, " + what, connect_packet(V5, "evil", will=will, will_properties=prop), True
    yield "authentication method", connect_packet(V5, "evil", properties=b"\x15" + string(bad)), True
    reason = b"\x1f" + string(bad)
    yield "DISCONNECT, reason string", packet(0xE0, b"\x00" + bytes([len(reason)]) + reason), False


class Healthy:
    """Those who must not notice anything."""

    def __init__(self, broker):
        self.broker = broker
        self.cli = [mosquitto_sub(broker, "-t", "#", "-q", "2", version=v) for v in VERSIONS]
        self.paho = [Paho(broker, v).subscribe("#", 2) for v in (V311, V5)]
        self.raw = Raw(broker)
        self.raw.connect(V5)
        self.raw.subscribe("#", 2)

    def check(self, topics):
        """They get these messages now, have got nothing else, and are connected for the first time still."""
        with Raw(self.broker) as pub:
            pub.connect(V311)
            for topic in topics:
                pub.publish(topic, b"healthy")
            for topic in topics:
                got = self.raw.packet(kind=PUBLISH).publish(V5)
                assert got[:2] == (topic.encode(), b"healthy"), "the raw subscriber got %r" % (got,)
                for paho in self.paho:
                    assert paho.receive()[:2] == (topic, b"healthy")
            for cli in self.cli:
                cli.wait_line(rb"^MSG ", count=len(topics))
                got = [line for line in cli.lines if line.startswith(b"MSG ")]
                assert got == [b"MSG " + t.encode() + b"|0|0|healthy" for t in topics], got
                assert len([line for line in cli.lines if b"received CONNACK" in line]) == 1, "it connected again"
        for paho in self.paho:
            assert not paho.disconnects and paho.connects.empty(), "Paho was disconnected"


def attack(broker, version, data, is_first):
    with Raw(broker) as evil:
        if not is_first:
            evil.connect(version, client_id="evil")
        evil.send(data + b"\xc0\x00")
        left = evil.expect_close()
        if is_first:
            assert not [p for p in left if p.type == CONNACK and p.body[1] == 0], "it was let in"
        assert not [p for p in left if p.type not in (CONNACK, 14)], "it got %r" % left


def test_only_the_sender_is_disconnected(broker):
    healthy = Healthy(broker)
    faults, n = [], 0
    for version in VERSIONS:
        for name, bad in BAD.items():
            for what, data, is_first in attacks(version, bad):
                if what == "user name" and not is_smqttd():
                    continue
                n += 1
                try:
                    attack(broker, version, data, is_first)
                except AssertionError as fault:
                    faults.append("version %d, %s in %s: %s" % (version, name, what, fault))
                assert len(faults) < 10, "\n".join(faults)
    assert not faults, "\n".join(faults)
    healthy.check(["after", "all/that"])
    if is_smqttd():
        check_log(broker)
    print("%d attacks" % n)


def check_log(broker):
    """Nobody writes lines of his own into the log."""
    for line in broker.child.lines:
        pattern = r"(\d+: |smqttd listens on port )[^\x00-\x1f\x7f-\x9f]*$"
        assert re.match(pattern, line.decode()), "in the log: %r" % line


def test_wills_of_attackers_stay_valid_text(broker):
    """A connection that ends by a bad string publishes its own, legal will."""
    sub = mosquitto_sub(broker, "-t", "#")
    with Raw(broker) as evil:
        evil.connect(V5, will=("last", "words", 0, False))
        evil.publish(b"a\x00b", b"x")
        evil.expect_close()
    sub.wait_line(rb"^MSG last\|0\|0\|words$")


def test_legal_text_passes_untouched(broker):
    healthy = Healthy(broker)
    topics = ["t/" + text for text in LEGAL.values()] + list(LEGAL.values())
    healthy.check(topics)
    for version in VERSIONS:
        for text in LEGAL.values():
            data = text.encode()
            with Raw(broker) as raw:
                raw.connect(version, client_id=data[:23] if version != V31 else "v31", user=data, password=b"\xff\x00",
                            will=("will/" + text, data, 0, False))
                raw.subscribe("mine/" + text + "/#")
                raw.publish("mine/" + text, data)
                assert raw.packet(kind=PUBLISH).publish(version)[:2] == (b"mine/" + data, data)
                raw.disconnect()


def test_properties_pass_untouched(broker):
    for text in LEGAL.values():
        with Raw(broker) as sub, Raw(broker) as pub:
            sub.connect(V5)
            sub.subscribe("props")
            pub.connect(V5, properties=user_property(text, text))
            sent = user_property(text, text) + b"\x03" + string(text) + b"\x08" + string("re/" + text)
            pub.publish("props", b"p", properties=sent)
            body = sub.packet(kind=PUBLISH).body
            for part in (user_property(text, text), b"\x03" + string(text), b"\x08" + string("re/" + text)):
                assert part in body, (text, body)


def test_payloads_are_not_texts(broker):
    """Payloads and passwords are bytes."""
    sub = Raw(broker)
    sub.connect(V5)
    sub.subscribe("bytes")
    for version in VERSIONS:
        for bad in BAD.values():
            with Raw(broker) as raw:
                raw.connect(version, user="u", password=bad)
                raw.publish("bytes", bad)
                assert sub.packet(kind=PUBLISH).publish(V5)[:2] == (b"bytes", bad)


def test_standard_text_policy():
    """smqtt_text_policy standard lets through what MQTT only advises against, and nothing else."""
    broker = Broker("smqtt_text_policy standard")
    for name, bad in BAD.items():
        with Raw(broker) as raw:
            raw.connect(V311)
            raw.subscribe("#")
            raw.publish(bad, b"x")
            if name in ("U+0001", "line feed", "U+007F", "U+0085", "U+FFFF", "U+FDD0", "U+1FFFE", "U+10FFFF"):
                assert raw.packet(kind=PUBLISH).publish(V311)[:2] == (bad, b"x"), name
            else:
                assert raw.expect_close() == [], name
    for name in ("line feed", "U+0001", "U+0085"):
        with Raw(broker) as raw:
            raw.connect(V311, client_id=b"forged" + BAD[name])
            raw.disconnect()
    broker.child.wait_line(b"forged", count=3)
    check_log(broker)
    assert broker.child.stop() == 0


tests = [test_only_the_sender_is_disconnected, test_wills_of_attackers_stay_valid_text,
         test_legal_text_passes_untouched, test_properties_pass_untouched, test_payloads_are_not_texts]
main(*tests, *([test_standard_text_policy] if is_smqttd() else []))
