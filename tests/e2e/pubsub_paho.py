# SPDX-License-Identifier: Apache-2.0
"""Paho for Python exchanges messages in MQTT 3.1.1 and 5.0 and every QoS, small and large."""
import hashlib

from harness import V311, V5, Paho, Raw, has_ipv6, is_smqttd, main, mosquitto_pub, mosquitto_sub, wait_messages

VERSIONS = (V311, V5)
# Mosquitto 2.0.11 loses its count of messages in flight with more.
COUNT = 500 if is_smqttd() else 20


def test_every_qos_to_every_qos(broker):
    subs = {(v, q): Paho(broker, v).subscribe("p/#", q) for v in VERSIONS for q in range(3)}
    for version in VERSIONS:
        with Paho(broker, version) as pub:
            for qos in range(3):
                pub.publish("p/%d" % version, "m%d" % qos, qos)
    for (_, limit), sub in subs.items():
        # Paho shows a message of QoS 2 when it is released: others may overtake it.
        wanted = [("p/%d" % v, b"m%d" % qos, min(qos, limit), False) for v in VERSIONS for qos in range(3)]
        got = sorted(sub.receive() for _ in wanted)
        assert got == sorted(wanted), got
    for sub in subs.values():
        sub.expect_nothing(0.05)
        assert not sub.disconnects
        sub.close()


def test_unsubscribe(broker):
    for version in VERSIONS:
        with Paho(broker, version) as client:
            client.subscribe("u/1", 1).subscribe("u/2", 1)
            client.unsubscribe("u/1")
            client.publish("u/1", "no", 1)
            client.publish("u/2", "yes", 1)
            assert client.receive()[:2] == ("u/2", b"yes")
            client.expect_nothing()


def test_many_messages_in_order(broker):
    for version in VERSIONS:
        with Paho(broker, version) as sub, Paho(broker, version) as pub:
            sub.subscribe("o", 2)
            for qos in range(3):
                infos = [pub.client.publish("o", str(i), qos) for i in range(COUNT)]
                assert [sub.receive()[1] for _ in range(COUNT)] == [b"%d" % i for i in range(COUNT)]
                for info in infos:
                    info.wait_for_publish(3)
                    assert info.is_published()
            sub.expect_nothing(0.05)


def test_payload_of_a_megabyte(broker):
    data = bytes(hashlib.shake_256(b"payload").digest(1 << 20))
    cli = mosquitto_sub(broker, "-t", "big/#", "-q", "1", "-F", "MSG %t|%q|%r|%l")
    subs = [Paho(broker, v).subscribe("big/#", 2) for v in VERSIONS]
    for version in VERSIONS:
        with Paho(broker, version) as pub:
            for qos in range(3):
                pub.publish("big/%d/%d" % (version, qos), data, qos)
                for sub in subs:
                    assert sub.receive() == ("big/%d/%d" % (version, qos), data, qos, False)
    wait_messages(cli, ["big/%d/%d|%d|0|%d" % (v, q, min(q, 1), 1 << 20) for v in VERSIONS for q in range(3)])
    for sub in subs:
        sub.close()


def test_empty_payload(broker):
    with Paho(broker, V5) as sub:
        sub.subscribe("e", 2)
        for qos in range(3):
            mosquitto_pub(broker, "-t", "e", "-n", "-q", str(qos))
            assert sub.receive() == ("e", b"", qos, False)


def test_both_families_of_addresses(broker):
    cli = mosquitto_sub(broker, "-t", "6", host="::1")
    with Paho(broker, V5, host="::1") as six, Paho(broker, V311) as four, Raw(broker, "::1") as raw:
        raw.connect()
        six.subscribe("6", 1)
        four.subscribe("6", 1)
        raw.publish("6", b"from six")
        for sub in (six, four):
            assert sub.receive() == ("6", b"from six", 0, False)
        wait_messages(cli, ["6|0|0|from six"])  # the next publisher may be another worker's
        four.publish("6", b"from four", 1)
        for sub in (six, four):
            assert sub.receive() == ("6", b"from four", 1, False)
        wait_messages(cli, ["6|0|0|from six", "6|0|0|from four"])
    mosquitto_pub(broker, "-t", "6", "-m", "cli", host="::1")
    wait_messages(cli, ["6|0|0|from six", "6|0|0|from four", "6|0|0|cli"])


main(test_every_qos_to_every_qos, test_unsubscribe, test_many_messages_in_order, test_payload_of_a_megabyte,
     test_empty_payload, *([test_both_families_of_addresses] if has_ipv6() else []))
