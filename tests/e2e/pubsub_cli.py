# SPDX-License-Identifier: Apache-2.0
"""Debian's mosquitto_pub and mosquitto_sub exchange messages in every version of MQTT and every QoS."""
from harness import V31, V311, V5, is_smqttd, main, messages, mosquitto_pub, mosquitto_sub, to_bytes, \
    wait_messages

VERSIONS = (V31, V311, V5)
# Mosquitto 2.0.11 exceeds the receive maximum of its own clients with more.
COUNT = 500 if is_smqttd() else 20


def test_every_version_to_every_version(broker):
    subs = {(v, q): mosquitto_sub(broker, "-t", "a/+/#", "-q", str(q), version=v) for v in VERSIONS for q in range(3)}
    wanted = {key: [] for key in subs}
    for version in VERSIONS:
        for qos in range(3):
            topic, text = "a/%d/%d" % (version, qos), "grüß dich, あいうえお %d" % qos
            mosquitto_pub(broker, "-t", topic, "-m", text, "-q", str(qos), version=version)
            for key in subs:
                wanted[key].append("%s|%d|0|%s" % (topic, min(qos, key[1]), text))
    for key, sub in subs.items():
        # Messages of different QoS may overtake each other.
        sub.wait_line(rb"^MSG ", count=len(wanted[key]))
        assert sorted(messages(sub)) == sorted(to_bytes(w) for w in wanted[key]), (key, messages(sub))


def test_many_lines_in_order(broker):
    lines = ["line %d" % i for i in range(COUNT)]
    for qos in range(3):
        subs = [mosquitto_sub(broker, "-t", "lines", "-q", "2", version=v) for v in VERSIONS]
        mosquitto_pub(broker, "-l", "-t", "lines", "-q", str(qos), stdin="\n".join(lines).encode() + b"\n", version=V5)
        for sub in subs:
            wait_messages(sub, ["lines|%d|0|%s" % (qos, line) for line in lines])
            sub.kill()


def test_unsubscribed_topics_stay_away(broker):
    sub = mosquitto_sub(broker, "-t", "x/+", "-t", "y/#", "-T", "y/not")
    other = mosquitto_sub(broker, "-t", "end")
    for topic in ("x", "x/1/2", "z", "X/1", "/x/1", "end"):
        mosquitto_pub(broker, "-t", topic, "-m", "no")
    for topic in ("x/1", "x/", "y", "y/1/2"):
        mosquitto_pub(broker, "-t", topic, "-m", "yes")
    wait_messages(sub, [t + "|0|0|yes" for t in ("x/1", "x/", "y", "y/1/2")])
    wait_messages(other, ["end|0|0|no"])


def test_count_ends_the_subscriber(broker):
    sub = mosquitto_sub(broker, "-t", "c", "-C", "2", "-q", "1", version=V5)
    for text in ("1", "2"):
        mosquitto_pub(broker, "-t", "c", "-m", text, "-q", "1", version=V31)
    assert sub.wait(30) == 0
    wait_messages(sub, ["c|1|0|1", "c|1|0|2"])


main(test_every_version_to_every_version, test_many_lines_in_order, test_unsubscribed_topics_stay_away,
     test_count_ends_the_subscriber)
