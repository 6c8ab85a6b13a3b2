# SPDX-License-Identifier: Apache-2.0
"""`smqtt probe` finds what brokers do with ill-formed strings, and leaves nothing behind. What it says of each broker
is the table of docs/poison.md."""
import json
import os
import signal
import subprocess

from brokers import KINDS
from harness import PUBLISH, V311, Broker, Child, Raw, main, program, publish_packet, wait_until
from mosquitto_broker import Certificates, Mosquitto
from poisoned_broker import FakeBroker
from smqtt_cli import Sub, address, folder, sentence, smqtt

DOC = "docs/poison.md"
LETTERS = {"refused": "refused", "swallowed": "taken, delivered to nobody", "taken": "taken",
           "changed": "delivered changed", "delivered": "**delivered**", "retained": "**delivered and retained**"}
EXPECTED = {"smqttd": 0, "mosquitto": 4, "nats": 4, "aedes": 4}


def probe(broker, *args, code=0):
    out, err = smqtt("probe", *address(broker), "--json", *args, code=code, seconds=120)
    assert err == b"", err
    return json.loads(out)


def nothing_is_left(broker):
    with Raw(broker) as raw:
        raw.connect(V311)
        raw.subscribe("smqtt-probe/#")  # nats-server shows its own bookkeeping to '#'
        raw.expect_nothing(0.3)


def outcomes(result, version, field):
    """{outcome: names of strings}"""
    found = {}
    for case in result["cases"]:
        if case["version"] == version and case["field"] == field:
            found.setdefault(case["outcome"], []).append(case["string"])
    return found


def cell(found):
    """What the table says of a field."""
    if not found:
        return "–"
    if len(found) == 1:
        return LETTERS[next(iter(found))]
    most = max(found, key=lambda k: len(found[k]))
    others = ["%s: %s" % (", ".join(found[k]), LETTERS[k]) for k in LETTERS if k in found and k != most]
    return "%s; %s" % (LETTERS[most], "; ".join(others))


def table(results):
    """The rows of docs/poison.md."""
    fields = []
    for case in results["smqttd"]["cases"]:
        if (case["version"], case["field"]) not in fields:
            fields.append((case["version"], case["field"]))
    return ["| %s | %s | %s |" % (version, field, " | ".join(cell(outcomes(results[kind], version, field))
                                                               for kind in EXPECTED)) for version, field in fields]


def test_each_broker_as_it_is():
    """The table of the document is what comes out, and each verdict has its exit code."""
    results = {}
    for kind, code in EXPECTED.items():
        broker = KINDS[kind]()
        results[kind] = probe(broker, code=code)
        assert results[kind]["complete"] and results[kind]["left_retained"] == 0, results[kind]
        nothing_is_left(broker)
        broker.stop()
    assert results["smqttd"]["verdict"] == "refuses" and set(results["smqttd"]["versions"]) == {"3.1.1", "5.0"}
    assert len(results["smqttd"]["cases"]) > 300
    topics = outcomes(results["nats"], "3.1.1", "topic name")
    assert len(topics["retained"]) == 14, "nats-server: %s" % topics
    topics = outcomes(results["aedes"], "3.1.1", "topic name")
    assert topics["retained"] == ["U+0000"] and len(topics["changed"]) == 13, "aedes: %s" % topics
    with open(DOC, encoding="utf-8") as f:
        text = f.read()
    rows = table(results)
    missing = [row for row in rows if row not in text]
    assert not missing, "%s has to have these rows:\n%s" % (DOC, "\n".join(rows))


def test_the_table_for_people():
    broker = KINDS["mosquitto"]()
    out, err = smqtt("probe", *address(broker), "-V", "5", "--advised", code=4)
    text = out.decode()
    assert err == b"" and text.startswith("MQTT 5.0\n  topic name ") and "MQTT 3.1.1" not in text, text
    assert "They get through in: response topic (wildcards), will response topic (wildcards).\n" in text, text
    assert "the standard leaves that check to the receiver" in text and max(map(len, text.splitlines())) <= 120, text


def test_users_and_places(broker):
    """It comes in as a user like others, and stays below the topic that this one may use."""
    where = folder()
    smqtt("passwd", "-c", "-b", os.path.join(where, "pw"), "me", "secret")
    with open(os.path.join(where, "acl"), "w", encoding="ascii") as f:
        f.write("user me\ntopic readwrite mine/#\n")
    os.chmod(where, 0o755)
    for name in ("pw", "acl"):
        os.chmod(os.path.join(where, name), 0o644)
    locked = Broker("allow_anonymous false\npassword_file %s/pw\nacl_file %s/acl" % (where, where))
    _, err = smqtt("probe", *address(locked), code=1)
    assert "not authori" in sentence(err), err
    who = ["-u", "me", "-P", "secret"]
    found = probe(locked, *who, "--below", "mine/own")
    assert found["verdict"] == "refuses", found["count"]
    assert locked.child.stop() == 0
    assert broker.is_running()


def test_tls_and_sockets():
    """It connects in all the ways in which the other commands do."""
    certs = Certificates()
    broker = Mosquitto(certs)
    for how in (["-h", "localhost", "-p", str(broker.ports["tls"]), "--cafile", certs["ca.crt"]],
                ["-L", "mqtt://127.0.0.1:%d/my/own" % broker.port], ["--unix", broker.unix]):
        out, err = smqtt("probe", *how, "-V", "311", code=0, seconds=120)
        assert b"This broker refuses every string" in out and err == b"", (how, out, err)
    broker.stop()


def test_wrong_flags_and_no_broker():
    broker = KINDS["smqttd"]()
    for flags in (["--below", "a/#"], ["-V", "4"], ["word"], ["--forget", "a\\q"], ["--forget", ""], ["--wait", "x"]):
        _, err = smqtt("probe", *address(broker), *flags, code=1)
        sentence(err)
    broker.stop()
    _, err = smqtt("probe", *address(broker), code=1)
    sentence(err)


def raw_publish(broker, topic, payload=b"x", version=V311):
    with Raw(broker) as raw:
        raw.connect(version)
        raw.send(publish_packet(version, topic, payload, qos=1, retain=True))
        raw.packet()
        raw.disconnect()


def test_one_message_against_twenty():
    """On nats-server one retained message keeps mosquitto_sub from good ones, and smqtt sub from none; then it is
    forgotten, as the sentence of smqtt sub says."""
    broker = KINDS["nats"]()
    raw_publish(broker, b"p/a\x80")
    ours = Sub(broker, "-t", "p/#", "-V", "311", "-C", "20")
    wait_until(lambda: b"--forget" in ours.errors(), 30, "the poison is put aside")
    where = os.path.join(folder(), "out")
    with open(where, "wb") as out:
        theirs = subprocess.Popen(["mosquitto_sub", *address(broker), "-t", "p/#", "-W", "4"], stdout=out,
                                  stderr=subprocess.DEVNULL)
    with Raw(broker) as raw:
        raw.connect(V311)
        for i in range(20):
            raw.publish("p/good", b"%d" % i)
        raw.is_healthy()
        ours.expect(b"".join(b"%d\n" % i for i in range(20)))
        assert ours.child.wait() == 0
        theirs.wait(30)
    with open(where, "rb") as out:
        n = len(out.read().splitlines())
    assert n < 20, "mosquitto_sub got all"
    print("smqtt sub got 20 of 20, mosquitto_sub %d" % n)
    smqtt("probe", *address(broker), "--forget", "p/a\\x80")
    later = Sub(broker, "-t", "p/#", "-V", "311", "-W", "1")
    assert later.child.wait() == 27 and b"put aside" not in later.errors(), later.errors()


def test_forget_where_it_is_refused():
    broker = KINDS["smqttd"]()
    _, err = smqtt("probe", *address(broker), "--forget", "a\\x80", code=1)
    assert "own tools" in sentence(err)


def test_a_broker_that_falls_over():
    """It is told which string did it."""
    class Weak(FakeBroker):
        def on_publish(self, connection, got, version):
            if b"\xed\xa0\x80" in got.body:
                self.die()
            else:
                super().on_publish(connection, got, version)
    broker = Weak(lambda version: [])
    _, err = smqtt("probe", *address(broker), "-V", "311", "--wait", "0.2", code=1, seconds=120)
    text = err.decode()
    assert "'surrogate' in the topic name (MQTT 3.1.1)" in text, text


def test_a_broker_that_takes_and_forgets():
    """It says yes to all and delivers nothing: nobody is harmed, exit code 3."""
    broker = FakeBroker(lambda version: [])
    found = probe(broker, "-V", "311", "--wait", "0.5", code=3)
    assert found["verdict"] == "takes" and found["count"]["swallowed"] == 32 and found["count"]["refused"] == 0, found


def test_interrupted_it_still_cleans_up():
    broker = KINDS["aedes"]()
    child = Child([program("smqtt"), "probe", *address(broker), "-V", "311"])
    with Raw(broker) as raw:
        raw.connect(V311)
        raw.subscribe("#")
        for _ in range(20):
            raw.packet(kind=PUBLISH)
        code = child.stop(signal.SIGINT)
        assert code in (1, 4) and "Not all was tried" in child.text(), (code, child.text())
    nothing_is_left(broker)


main(test_each_broker_as_it_is, test_the_table_for_people, test_users_and_places, test_tls_and_sockets,
     test_wrong_flags_and_no_broker, test_one_message_against_twenty, test_forget_where_it_is_refused,
     test_a_broker_that_falls_over, test_a_broker_that_takes_and_forgets, test_interrupted_it_still_cleans_up,
     at_once=5)
