# SPDX-License-Identifier: Apache-2.0
"""A broker that delivers strings that MQTT does not allow does not keep `smqtt sub` and `smqtt rr` from the rest."""
import os
import subprocess

from harness import CONNACK, PUBACK, PUBCOMP, PUBREC, V5, V311, main, packet, props, publish_packet, string, \
    user_property
from poisoned_broker import FakeBroker
from smqtt_cli import folder, smqtt

GOOD = 20
BAD = {
    "a continuation byte": b"a\x80",
    "cut short": b"a\xe3\x81",
    "overlong": b"\xc0\xaf",
    "overlong U+0000": b"\xc0\x80",
    "above U+10FFFF": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "surrogate": b"\xed\xa0\x80",
    "U+0000": b"a\x00b",
    "Latin-1": b"gr\xfc\xdfe",
}


def poison(version, qos, packet_id, retain):
    """Every bad string in every field that a PUBLISH has in this version."""
    found = []

    def add(topic, payload=b"poison", properties=b""):
        found.append(publish_packet(version, topic, payload, qos=qos, packet_id=packet_id + len(found), retain=retain,
                                    properties=properties))

    for bad in BAD.values():
        add(bad)
        add(b"poison/" + bad + b"/x")
        if version == V5:
            add(b"t", properties=user_property(bad, "v"))
            add(b"t", properties=user_property("n", bad))
            add(b"t", properties=b"\x03" + string(bad))
            add(b"t", properties=b"\x08" + string(bad))
            if bad != b"a\x00b":  # a payload may have it
                add(b"t", bad, properties=b"\x01\x01")
    add(b"poison/+")
    add(b"#")
    return found


def mixed(version, qos, retain):
    """(packets, how many bad ones): a good message behind every few bad ones."""
    bad = poison(version, qos, 1000, retain)
    good = [publish_packet(version, "good/%d" % i, b"good", qos=qos, packet_id=i + 1) for i in range(GOOD)]
    step = -(-len(bad) // GOOD)
    script = []
    for i, each in enumerate(good):
        script += bad[i * step:(i + 1) * step] + [each]
    script.append(publish_packet(version, "end", b"end"))
    return script, len(bad)


def check_acks(broker, qos, bad):
    ids = sorted([i + 1 for i in range(GOOD)] + [1000 + i for i in range(bad)])
    for kind in {0: (), 1: (PUBACK,), 2: (PUBREC, PUBCOMP)}[qos]:
        got = sorted(i for k, i in broker.acks if k == kind)
        assert got == ids, "packet type %d acknowledged %s, not %s" % (kind, got, ids)
    assert qos or not broker.acks


def test_twenty_of_twenty():
    """All good messages arrive, in order; every bad one is acknowledged and counted."""
    for version, name in ((V311, "311"), (V5, "5")):
        for qos in (0, 1, 2):
            script, bad = mixed(version, qos, retain=qos != 0)
            broker = FakeBroker(lambda _, script=script: script)
            out, err = smqtt("sub", "-h", "127.0.0.1", "-p", str(broker.port), "-V", name, "-q", str(qos), "-t", "#",
                             "-v", "-C", str(GOOD + 1), seconds=30)
            assert out == b"".join(b"good/%d good\n" % i for i in range(GOOD)) + b"end end\n", (version, qos, out, err)
            last = err.decode().splitlines()[-1]
            assert last == "smqtt: %d messages were put aside, as a string in each is not what MQTT allows." % bad, err
            check_acks(broker, qos, bad)


def test_each_is_reported_once():
    """One sentence for each topic and field, with the bytes escaped and, for a retained message, the mend."""
    def script(version):
        return [publish_packet(version, b"a\x80'\n", b"x", retain=True), publish_packet(version, b"a\x80'\n", b"y"),
                publish_packet(version, "あ", b"x", properties=b"\x03" + string(b"\xed\xa0\x80")),
                publish_packet(version, "あ", b"x", properties=b"\x03" + string(b"\xff")),
                publish_packet(version, "good", b"x")]
    broker = FakeBroker(script)
    out, err = smqtt("sub", "-h", "127.0.0.1", "-p", str(broker.port), "-V", "5", "-t", "#", "-C", "1", "-F", "%j")
    lines = err.decode().splitlines()
    assert lines == [
        "smqtt: a retained message on 'a\\x80\\x27\\x0a' was put aside: its topic name has a continuation byte of "
        "UTF-8 without its beginning; the broker forgets it after: smqtt probe -h 127.0.0.1 -p %d --forget "
        "'a\\x80\\x27\\x0a'." % broker.port,
        "smqtt: a message on 'あ' was put aside: its content type '\\xed\\xa0\\x80' has a surrogate.",
        "smqtt: 4 messages were put aside, as a string in each is not what MQTT allows."], lines
    assert out.count(b"\n") == 1 and b'"topic":"good"' in out, out


def test_very_many_are_only_counted():
    def script(version):
        return [publish_packet(version, b"\x80%d" % i, b"x") for i in range(500)] + \
            [publish_packet(version, "good", b"x")]
    broker = FakeBroker(script)
    _, err = smqtt("sub", "-h", "127.0.0.1", "-p", str(broker.port), "-t", "#", "-C", "1")
    lines = err.splitlines()
    assert len(lines) == 66 and lines[-1].startswith(b"smqtt: 500 messages were put aside"), lines[-3:]
    _, err = smqtt("sub", "-h", "127.0.0.1", "-p", str(broker.port), "-t", "#", "-C", "1", "--quiet")
    assert err == b"", err


def test_strict_disconnects():
    for version in ("311", "5"):
        for bad in BAD.values():
            broker = FakeBroker(lambda v, bad=bad: [publish_packet(v, bad, b"x", qos=1),
                                                    publish_packet(v, "good", b"x")])
            out, err = smqtt("sub", "-h", "127.0.0.1", "-p", str(broker.port), "-V", version, "-t", "#", "-C", "1",
                             "--strict", code=1, seconds=20)
            lines = err.decode().splitlines()
            assert out == b"" and len(lines) == 1 and "--strict" in lines[0], (out, err)
            assert not broker.acks, "it acknowledged %r" % broker.acks


def test_rr_waits_on():
    """A response that is none is not the response."""
    broker = FakeBroker(lambda v: [publish_packet(v, "re", b"\xff", properties=b"\x01\x01"),
                                   publish_packet(v, "re", b"answer")])
    out, err = smqtt("rr", "-h", "127.0.0.1", "-p", str(broker.port), "-t", "ask", "-e", "re", "-m", "x", "-W", "20")
    assert out == b"answer\n" and err.count(b"put aside") == 2, (out, err)


def test_bad_strings_of_other_packets_are_ignored():
    class Bad(FakeBroker):
        def connack(self, version):
            return packet(CONNACK << 4, b"\x00\x00" + props(version, b"\x1f" + string(b"\xff") +
                                                            user_property(b"\x80", "v")))
    broker = Bad(lambda v: [publish_packet(v, "good", b"x")])
    out, err = smqtt("sub", "-h", "127.0.0.1", "-p", str(broker.port), "-V", "5", "-t", "#", "-C", "1")
    assert out == b"x\n" and err == b"", (out, err)


def test_debians_client_gets_fewer():
    """What it is good for: mosquitto_sub, which disconnects as the standard has it, does not get beyond the first."""
    script, _ = mixed(V311, 0, retain=True)
    broker = FakeBroker(lambda _: script)
    where = os.path.join(folder(), "out")
    with open(where, "wb") as out:
        done = subprocess.Popen(["mosquitto_sub", "-h", "127.0.0.1", "-p", str(broker.port), "-t", "good/#", "-W", "3"],
                                stdout=out, stderr=subprocess.DEVNULL)
        done.wait(30)
    with open(where, "rb") as out:
        n = len(out.read().splitlines())
    assert n < GOOD, "mosquitto_sub got %d of %d" % (n, GOOD)
    print("mosquitto_sub got %d of %d good messages" % (n, GOOD))


main(test_twenty_of_twenty, test_each_is_reported_once, test_very_many_are_only_counted, test_strict_disconnects,
     test_rr_waits_on, test_bad_strings_of_other_packets_are_ignored, test_debians_client_gets_fewer)
