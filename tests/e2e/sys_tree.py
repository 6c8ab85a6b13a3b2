# SPDX-License-Identifier: Apache-2.0
"""What $SYS says, beside Debian's mosquitto: the same little scenario with both, then the same topics and figures."""
import os
import re
import tempfile
import time

from harness import (PATIENCE, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, V5, V311, Broker, Raw, main, packet,
                     skip, subscribe_packet, unsubscribe_packet)

MOSQUITTO = "/usr/sbin/mosquitto"
CONF = "sys_interval 1\nmax_queued_messages 5\n"
ROOT = "$SYS/broker/"
# What depends on the moment, on how a broker keeps things, or on what $SYS itself says; docs/configuration.md.
VARYING = re.compile(r"(version|uptime|heap/.*|load/.*|store/messages/bytes)$")
# Mosquitto counts only some of what it receives: neither retained messages nor those of QoS 2.
OURS = {"publish/messages/received": "27"}


def look(broker, wanted):
    """What is retained under $SYS, for one who comes only now; those that are wanted are waited for a while, as other
    workers keep them."""
    found, end = {}, time.monotonic() + 2
    with Raw(broker) as c:
        c.connect(client_id="observer")
        c.subscribe("$SYS/#")
        while True:
            for p in c.until_now():
                topic, value, _, retain, _, _ = p.publish(c.version)
                if retain:
                    found[topic.decode()] = value.decode()
            if set(wanted) <= set(found) or time.monotonic() > end:
                break
            time.sleep(0.02)
        c.disconnect()
    return found


def figures(broker, wanted=()):
    """To look changes what is there to see, so it is done once; but what smqttd publishes while it takes a subscription
    comes live instead of as retained, and then one looks again."""
    found, end = look(broker, wanted), time.monotonic() + PATIENCE
    while not set(wanted) <= set(found) and time.monotonic() < end:
        time.sleep(2.5)
        found = look(broker, wanted)
    return found


def ack(kind, packet_id):
    return packet(kind << 4 | (2 if kind == PUBREL else 0), packet_id.to_bytes(2, "big"))


def publish(client, topic, payload, qos, **more):
    client.publish(topic, payload, qos=qos, packet_id=9, **more)
    if qos == 1:
        client.packet(kind=PUBACK)
    elif qos == 2:
        client.packet(kind=PUBREC)
        client.send(ack(PUBREL, 9))
        client.packet(kind=PUBCOMP)


def take(client, n):
    """Takes n messages and acknowledges them."""
    for _ in range(n):
        p = client.packet()
        assert p.type == PUBLISH, p
        _, _, qos, _, _, packet_id = p.publish(client.version)
        if qos == 1:
            client.send(ack(PUBACK, packet_id))
        elif qos == 2:
            client.send(ack(PUBREC, packet_id))
            client.packet(kind=PUBREL)
            client.send(ack(PUBCOMP, packet_id))


def scenario(broker):
    """Three clients that stay, one that is away with messages that wait for it, one that was short."""
    stay = [Raw(broker) for _ in range(3)]
    for i, c in enumerate(stay):
        c.connect(client_id="stays-%d" % i, keep_alive=0)
    sender, reader, member = stay
    away = Raw(broker)
    away.connect(client_id="away", clean=False)
    away.subscribe("for/away/#", 1)
    away.disconnect()
    short = Raw(broker)
    short.connect(client_id="short")
    short.subscribe("short/+", 2)
    short.send(unsubscribe_packet(short.version, "short/+"))
    short.packet()
    short.disconnect()
    for qos in (0, 1, 2):
        reader.subscribe("t/%d/+" % qos, qos)
    member.subscribe("$share/group/shared", 1)
    for qos in (0, 1, 2):
        for i in range(4):
            publish(sender, "t/%d/%d" % (qos, i), b"x" * (qos + 1), qos)
            take(reader, 1)
    for i in range(3):
        publish(sender, "shared", b"for one", 1)
        take(member, 1)
    publish(sender, "kept/1", b"retained", 1, retain=True)
    publish(sender, "kept/2", b"retained", 0, retain=True)
    publish(sender, "kept/2", b"", 0, retain=True)
    for i in range(8):  # three more than may wait
        publish(sender, "for/away/%d" % i, b"queued", 1)
    publish(sender, "nobody/listens", b"lost", 0)
    for c in stay:
        c.is_healthy()
    return stay


def after_scenario(wanted=(), **how):
    broker = Broker(CONF, **how)
    stay = scenario(broker)
    time.sleep(4)
    found = figures(broker, wanted)
    for c in stay:
        c.disconnect()
    broker.child.stop()
    return found


def form(value):
    """9 seconds, 9, 9.99, text"""
    return re.sub(r"[a-z]+ version .*", "text", re.sub(r"[0-9]+(\.?)", r"9\1", re.sub(r"\.[0-9]{2}$", ".99", value)))


def until_alike(compare):
    """What $SYS says is of a moment, and who looks is counted, too: Mosquitto takes a connection that has sent no
    CONNECT yet off clients/inactive. What differs, differs again."""
    for again in range(4, -1, -1):
        try:
            return compare()
        except AssertionError:
            if again == 0:
                raise


def test_the_same_tree_and_figures_with_1_worker():
    until_alike(lambda: same_tree_and_figures(1))


def test_the_same_tree_and_figures_with_3_workers():
    until_alike(lambda: same_tree_and_figures(3))


def same_tree_and_figures(workers):
    theirs = after_scenario(kind="mosquitto")
    ours = after_scenario(theirs, kind="smqttd", workers=workers)
    assert sorted(ours) == sorted(theirs), sorted(set(ours) ^ set(theirs))
    for topic, value in theirs.items():
        assert form(ours[topic]) == form(value), (topic, ours[topic], value)
        name = topic[len(ROOT):]
        assert name in OURS or VARYING.match(name) or ours[topic] == value, (workers, topic, ours[topic], value)
    for name, value in OURS.items():
        assert ours[ROOT + name] == value, (workers, name, ours[ROOT + name])


def told(broker, topic, version, qos):
    """The type of packet that a publisher hears, and whether a subscriber got it."""
    with Raw(broker) as listener, Raw(broker) as c:
        listener.connect(client_id="listener")
        listener.subscribe(topic, 0)
        c.connect(version=version, client_id="intruder")
        c.publish(topic, b"forged", qos=qos, packet_id=3)
        answer = c.packet() if qos else None
        c.is_healthy()
        got = any(b"forged" in p.body for p in listener.until_now())
        assert got or not answer or version != V5 or answer.body[2] in (0x87, 0x90), answer
        return answer and answer.type, got


def on_both(ask, conf="sys_interval 1\n"):
    return until_alike(lambda: once_on_both(ask, conf))


def once_on_both(ask, conf):
    answers = []
    for kind in ("mosquitto", "smqttd"):
        broker = Broker(conf, kind=kind)
        answers.append(ask(broker))
        broker.child.stop()
    assert answers[0] == answers[1], "mosquitto: %s, smqttd: %s" % tuple(answers)
    return answers[1]


def test_clients_do_not_write_there():
    """Nobody hears what a client publishes there. Other topics with $ are the clients'."""
    others = ("$", "$x/y", "$/x", "$SY")
    answers = on_both(lambda b: {(t, v): told(b, t, v, 1) for t in others for v in (V311, V5)})
    assert all(answer == (PUBACK, True) for answer in answers.values()), answers
    topics = ("$SYS/broker/uptime", "$SYS/x", "$SYS", "$SYSx/y")
    answers = on_both(lambda b: {(t, v, q): told(b, t, v, q) for t in topics for v, q in ((V311, 1), (V5, 0), (V5, 1))})
    assert not any(got for _, got in answers.values()), answers
    # There, Mosquitto lets a bridge tell of itself, and with it everybody.
    broker = Broker()
    assert told(broker, "$SYS/broker/connection/x/state", V5, 1) == (PUBACK, False)


def test_rights():
    """An ACL file that lets everything be read; one that names $SYS; one that would let it be written."""
    def sees(broker):
        with Raw(broker) as c:
            c.connect(client_id="c")
            c.send(subscribe_packet(c.version, "$SYS/broker/version"))
            found = c.until_now()
            if "$SYS/#" in acl and len(found) < 2:  # it may come from another worker
                found.append(c.packet())
            answer = [p.body[-1] for p in found if p.type == SUBACK]
            seen = [p.type for p in found if p.type == PUBLISH]
        return answer, seen, told(broker, "$SYS/broker/uptime", V5, 1), told(broker, "$SYS/own", V5, 1)

    for acl in ("topic read #", "topic readwrite #", "topic read $SYS/#", "topic readwrite $SYS/#", "topic read a"):
        with tempfile.NamedTemporaryFile("w", suffix=".acl") as f:
            f.write(acl + "\n")
            f.flush()
            os.chmod(f.name, 0o644)
            answer, seen, *forged = on_both(sees, "sys_interval 1\nacl_file %s\n" % f.name)
        assert (seen == [PUBLISH]) == ("$SYS/#" in acl), (acl, answer, seen)
        assert not any(got for _, got in forged), (acl, forged)


def test_expired():
    def expires(broker):
        with Raw(broker) as c:
            c.connect(version=V5, client_id="goes", clean=False, properties=b"\x11\0\0\0\1")
            c.disconnect()
        end = time.monotonic() + PATIENCE
        while True:
            time.sleep(4)  # what is seen is of a moment at which nobody looks
            found = figures(broker, [ROOT + "clients/" + k for k in shown])
            if found.get(ROOT + "clients/expired") == "1" or time.monotonic() > end:
                return {k: found[ROOT + "clients/" + k] for k in shown}

    shown = ("expired", "total", "inactive", "connected")

    assert on_both(expires)["expired"] == "1"


def test_wildcards_do_not_reach_it():
    """# and +/broker/uptime see nothing of $SYS [MQTT-4.7.2-1]."""
    def seen(broker):
        with Raw(broker) as c:
            c.connect(client_id="c")
            c.subscribe("#").subscribe("+/broker/uptime", 0, 2)
            c.expect_nothing(2.5)
        return True

    on_both(seen)


if __name__ == "__main__":
    if not os.access(MOSQUITTO, os.X_OK):
        skip("mosquitto is not installed")
    main(test_rights, test_the_same_tree_and_figures_with_1_worker, test_the_same_tree_and_figures_with_3_workers,
         test_clients_do_not_write_there, test_expired, test_wildcards_do_not_reach_it, at_once=6)
