# SPDX-License-Identifier: Apache-2.0
"""Retained messages: set, replaced, got by later subscribers, cleared; the options of MQTT 5.0."""
from harness import PINGRESP, PUBLISH, SUBACK, V31, V311, V5, Paho, Raw, is_smqttd, main, mosquitto_pub, \
    mosquitto_sub, subscribe_packet, wait_messages


def test_set_get_clear(broker):
    for version in (V311, V5):
        for qos in range(3):
            topic = "r/%d/%d" % (version, qos)
            with Paho(broker, version) as pub, Paho(broker, V5) as live:
                live.subscribe(topic, 2)
                pub.publish(topic, "old", qos, True)
                pub.publish(topic, "new", qos, True)
                assert [live.receive() for _ in range(2)] == [(topic, b"old", qos, False), (topic, b"new", qos, False)]
                for late in (V311, V5):
                    with Paho(broker, late) as sub:
                        sub.subscribe(topic, 2)
                        assert sub.receive() == (topic, b"new", qos, True)
                        sub.expect_nothing(0.05)
                pub.publish(topic, b"", qos, True)
                assert live.receive() == (topic, b"", qos, False)
                with Paho(broker, version) as sub:
                    sub.subscribe(topic, 2)
                    sub.expect_nothing()


def test_cli_and_wildcards(broker):
    for version in (V31, V311, V5):
        mosquitto_pub(broker, "-r", "-t", "w/%d/x" % version, "-m", "kept", "-q", "1", version=version)
    mosquitto_pub(broker, "-r", "-t", "$w/x", "-m", "hidden")
    for version in (V31, V311, V5):
        for topic_filter, names in (("w/#", (3, 4, 5)), ("w/+/x", (3, 4, 5)), ("w/4/x", (4,)), ("+/+", ()),
                                    ("w/+", ()), ("#", (3, 4, 5))):
            sub = mosquitto_sub(broker, "-t", topic_filter, "-t", "end", "-q", "2", version=version)
            mosquitto_pub(broker, "-t", "end", "-m", "1")
            sub.wait_line(rb"^MSG end")
            if names:
                sub.wait_line(rb"^MSG w", count=len(names))  # those of other workers may come behind that
            got = sorted(line for line in sub.lines if line.startswith(b"MSG w"))
            assert got == [b"MSG w/%d/x|1|1|kept" % n for n in names], (topic_filter, got)
            sub.kill()


def test_a_lower_qos_is_granted(broker):
    mosquitto_pub(broker, "-r", "-t", "q", "-m", "kept", "-q", "2")
    for qos in range(3):
        sub = mosquitto_sub(broker, "-t", "q", "-q", str(qos))
        wait_messages(sub, ["q|%d|1|kept" % qos])


def test_subscribing_again_sends_again(broker):
    mosquitto_pub(broker, "-r", "-t", "again", "-m", "kept", "-q", "1")
    for version in (V31, V311, V5):
        with Raw(broker) as sub:
            sub.connect(version)
            for _ in range(2):
                sub.subscribe("again")
                assert sub.packet(kind=PUBLISH).publish(version)[:4] == (b"again", b"kept", 0, True)


def test_retain_handling_and_as_published(broker):
    mosquitto_pub(broker, "-r", "-t", "h", "-m", "kept", "-q", "1")

    def subscribe(sub, options, brings):
        sub.send(subscribe_packet(V5, "h", options) + b"\xc0\x00")
        assert sub.packet(kind=SUBACK).body[-1] == 0
        found = [sub.packet().type for _ in range(2 if brings else 1)]
        assert sorted(found) == ([PUBLISH, PINGRESP] if brings else [PINGRESP]), "options %#x: %r" % (options, found)
        if not brings:
            sub.expect_nothing(0.3)  # it might come from another worker

    with Raw(broker) as sub:
        sub.connect(V5)
        subscribe(sub, 0x20, False)  # retain handling 2: never
        subscribe(sub, 0x10, False)  # retain handling 1: there was a subscription
        subscribe(sub, 0x00, True)
        mosquitto_pub(broker, "-r", "-t", "h", "-m", "kept", "-q", "1")
        assert not sub.packet(kind=PUBLISH).publish(V5)[3], "live messages come without the flag"
    with Raw(broker) as sub:
        sub.connect(V5)
        subscribe(sub, 0x10, True)  # retain handling 1: a new subscription
        subscribe(sub, 0x08, True)
        mosquitto_pub(broker, "-r", "-t", "h", "-m", "kept", "-q", "1")
        live = sub.packet(kind=PUBLISH).publish(V5)
        assert live[3] or not is_smqttd(), "retain as published"


def test_only_the_flag_retains(broker):
    mosquitto_pub(broker, "-t", "no", "-m", "not kept", "-q", "2")
    with Paho(broker, V311) as sub:
        sub.subscribe("no")
        sub.expect_nothing()


main(test_set_get_clear, test_cli_and_wildcards, test_a_lower_qos_is_granted, test_subscribing_again_sends_again,
     test_retain_handling_and_as_published, test_only_the_flag_retains)
